"""What requests and answers look like, and how a request becomes a command.

One strict pass: integers are integers (no "12", 12.0 or true), unknown fields are refused, times have a
zone, text is printable ASCII. Duplicate keys are refused too: two readers could understand them differently.
"""

import json
from datetime import UTC, datetime
from typing import Annotated, Any, TypeVar
from uuid import UUID

import msgspec
from msgspec import Meta

from api.problems import FieldError, ProblemError
from network import ids
from network.identity import is_card_number
from network.model import (
    Accrue,
    Capture,
    Command,
    Enrol,
    Entry,
    Hold,
    Minted,
    Redeem,
    Reply,
    Reverse,
    Void,
)
from network.rules import MOST_POINTS
from network.service import date_of_window

MOST_MINUTES = 7 * 24 * 60
MOST = MOST_POINTS
"""Of an amount and of points: far above any sale, and far below where a night's sums would overflow."""

Reference = Annotated[
    str,
    Meta(
        pattern="^[!-~]{1,64}(?!\\n)$",
        description="Yours, unique among your requests for 400 days; 1 to 64 characters.",
    ),
]
OccurredAt = Annotated[
    datetime,
    Meta(tz=True, description="When it happened at the till: RFC 3339 with a zone; 30 days back at most."),
]
Outlet = Annotated[str, Meta(pattern="^[!-~]{1,32}(?!\\n)$", description="One of your outlets, by its code.")]
CardNumber = Annotated[str, Meta(pattern="^[0-9]{16}(?!\\n)$", description="The 16 digits on the card.")]
# `(?!\n)$`: a bare `$` would let a line feed pass at the end.
Currency = Annotated[str, Meta(pattern="^[A-Z]{3}(?!\\n)$", description="ISO 4217.")]
Amount = Annotated[int, Meta(ge=1, le=MOST, description="In minor units of the currency: 1250 is 12.50.")]
Points = Annotated[int, Meta(ge=1, le=MOST, description="Whole points.")]
EntryId = Annotated[str, Meta(pattern="^ent_[0-9a-f]{32}(?!\\n)$", description="An entry's id.")]


class _Body(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    reference: Reference
    occurred_at: OccurredAt


class EnrolmentBody(_Body, frozen=True, tag_field="type", tag="enrolment"):
    """Enrol a member with a new card."""

    def command(self, partner_id: int) -> Command:
        """The command it asks for."""
        return Enrol(partner_id=partner_id, reference=self.reference, occurred_at=_utc(self.occurred_at))


class AccrualBody(_Body, frozen=True, tag_field="type", tag="accrual"):
    """A sale that earns points."""

    outlet: Outlet
    card: CardNumber
    amount_minor: Amount
    currency: Currency

    def command(self, partner_id: int) -> Command:
        """The command it asks for."""
        return Accrue(
            partner_id=partner_id,
            reference=self.reference,
            occurred_at=_utc(self.occurred_at),
            outlet_code=self.outlet,
            card_number=_card(self.card),
            amount_minor=self.amount_minor,
            currency=self.currency,
        )


class RedemptionBody(_Body, frozen=True, tag_field="type", tag="redemption"):
    """Points that pay for part of a sale."""

    outlet: Outlet
    card: CardNumber
    points: Points
    amount_minor: Amount
    currency: Currency

    def command(self, partner_id: int) -> Command:
        """The command it asks for."""
        return Redeem(
            partner_id=partner_id,
            reference=self.reference,
            occurred_at=_utc(self.occurred_at),
            outlet_code=self.outlet,
            card_number=_card(self.card),
            points=self.points,
            amount_minor=self.amount_minor,
            currency=self.currency,
        )


class HoldBody(_Body, frozen=True, tag_field="type", tag="hold"):
    """Reserve points; what is not captured comes back by itself after `minutes`."""

    outlet: Outlet
    card: CardNumber
    points: Points
    amount_minor: Amount
    currency: Currency
    minutes: Annotated[int, Meta(ge=1, le=MOST_MINUTES, description="How long the points are held.")] = 30

    def command(self, partner_id: int) -> Command:
        """The command it asks for."""
        return Hold(
            partner_id=partner_id,
            reference=self.reference,
            occurred_at=_utc(self.occurred_at),
            outlet_code=self.outlet,
            card_number=_card(self.card),
            points=self.points,
            amount_minor=self.amount_minor,
            currency=self.currency,
            minutes=self.minutes,
        )


class CaptureBody(_Body, frozen=True, tag_field="type", tag="capture"):
    """Take held points in payment; several captures may share a hold, until nothing is left of it."""

    hold: EntryId
    points: Points
    amount_minor: Amount

    def command(self, partner_id: int) -> Command:
        """The command it asks for."""
        return Capture(
            partner_id=partner_id,
            reference=self.reference,
            occurred_at=_utc(self.occurred_at),
            hold_id=_entry(self.hold, "/hold"),
            points=self.points,
            amount_minor=self.amount_minor,
        )


class VoidBody(_Body, frozen=True, tag_field="type", tag="void"):
    """Give back what a hold still holds."""

    hold: EntryId

    def command(self, partner_id: int) -> Command:
        """The command it asks for."""
        return Void(
            partner_id=partner_id,
            reference=self.reference,
            occurred_at=_utc(self.occurred_at),
            hold_id=_entry(self.hold, "/hold"),
        )


class ReversalBody(_Body, frozen=True, tag_field="type", tag="reversal"):
    """Undo one of your entries: all that is left of it, or part.

    Of a sale say how much of it comes back (`amount_minor`), of a redemption or capture how many `points`.
    """

    entry: EntryId
    amount_minor: Amount | None = None
    points: Points | None = None

    def command(self, partner_id: int) -> Command:
        """The command it asks for."""
        return Reverse(
            partner_id=partner_id,
            reference=self.reference,
            occurred_at=_utc(self.occurred_at),
            entry_id=_entry(self.entry, "/entry"),
            amount_minor=self.amount_minor,
            points=self.points,
        )


Body = EnrolmentBody | AccrualBody | RedemptionBody | ReversalBody | HoldBody | CaptureBody | VoidBody
AnyBody = TypeVar("AnyBody", bound=Body)

ENROLMENT = msgspec.json.Decoder(EnrolmentBody)
ACCRUAL = msgspec.json.Decoder(AccrualBody)
REDEMPTION = msgspec.json.Decoder(RedemptionBody)
REVERSAL = msgspec.json.Decoder(ReversalBody)
HOLD = msgspec.json.Decoder(HoldBody)
CAPTURE = msgspec.json.Decoder(CaptureBody)
VOID = msgspec.json.Decoder(VoidBody)
LINE = msgspec.json.Decoder(Body)
"""One line of a batch file: any of these, told apart by `type`."""


class EntryBody(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An entry as partners see it. `points` is signed as it changed the balance; `balance` is after it."""

    id: str
    kind: str
    reference: str
    points: int
    balance: int
    occurred_at: datetime
    recorded_at: datetime
    business_date: str
    outlet: str | None = None
    amount_minor: int | None = None
    currency: str | None = None
    reverses: str | None = None
    hold: str | None = None
    member: str | None = None
    card: str | None = None


def show_entry(entry: Entry, enrolled: Minted | None = None) -> EntryBody:
    """An entry's public form; an enrolment shows the member and the card it made."""
    return EntryBody(
        id=ids.show("ent", entry.entry_id),
        kind=entry.kind.name.lower(),
        reference=entry.reference,
        points=entry.points,
        balance=entry.balance_after,
        occurred_at=entry.occurred_at.astimezone(UTC),
        recorded_at=entry.recorded_at.astimezone(UTC),
        business_date=date_of_window(entry.window_id).isoformat(),
        outlet=entry.outlet_code,
        amount_minor=entry.amount_minor if entry.currency else None,
        currency=entry.currency,
        reverses=ids.show("ent", entry.reverses) if entry.reverses else None,
        hold=ids.show("ent", entry.hold_id) if entry.hold_id else None,
        member=ids.show("mbr", enrolled.public_id) if enrolled and enrolled.public_id else None,
        card=str(enrolled.card_number) if enrolled else None,
    )


def show_reply(reply: Reply) -> EntryBody | str:
    """The entry's public form, or the code of the refusal."""
    if isinstance(reply.outcome, Entry):
        return show_entry(reply.outcome, reply.enrolled)
    return reply.outcome.reason


def read_body(raw: bytes, decoder: msgspec.json.Decoder[AnyBody]) -> AnyBody:
    """Read one JSON object strictly.

    Raises:
        ProblemError: malformed_json (400) or validation_failed (422), with a pointer to the field.
    """
    try:
        json.loads(raw, object_pairs_hook=_no_duplicates)
        return decoder.decode(raw)
    except msgspec.ValidationError as error:
        reason, _, path = str(error).partition(" - at `$")
        pointer = path.rstrip("`").replace(".", "/").replace("[", "/").replace("]", "")
        raise ProblemError("validation_failed", reason, [FieldError(pointer, "invalid")]) from error
    except RecursionError as error:
        raise ProblemError("malformed_json", "nested too deeply") from error
    except (ValueError, msgspec.DecodeError) as error:
        # ValueError: bad UTF-8, not JSON, or an integer of thousands of digits
        raise ProblemError("malformed_json", str(error)[:200]) from error


def _utc(at: datetime) -> datetime:
    try:
        return at.astimezone(UTC)
    except OverflowError as error:
        raise ProblemError(
            "validation_failed", "outside the calendar", [FieldError("/occurred_at", "range")]
        ) from error


def _entry(shown: str, pointer: str) -> UUID:
    entry_id = ids.read("ent", shown)
    if entry_id is None:
        raise ProblemError("validation_failed", "not an entry id", [FieldError(pointer, "entry_id")])
    return entry_id


def _card(digits: str) -> int:
    number = int(digits)
    if not is_card_number(number):
        raise ProblemError("card_number_invalid", errors=[FieldError("/card", "luhn")])
    return number


def _no_duplicates(pairs: list[tuple[str, Any]]) -> None:
    """For json.loads, which calls it for each object; what it returns is not used."""
    if len({name for name, _ in pairs}) != len(pairs):
        raise ProblemError("malformed_json", "a name stands twice in one object")
