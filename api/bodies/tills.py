"""Requests of a till: enrol, earn, burn, hold, return, and say that an event has come."""

from typing import Annotated

import msgspec
from msgspec import Meta

from api.bodies.fields import (
    Amount,
    Amounts,
    ApprovalId,
    BornOn,
    CardNumber,
    Cash,
    Category,
    Choice,
    Coupons,
    Currency,
    EntryId,
    Evidence,
    FlightBody,
    Guardian,
    LineNumbers,
    Offer,
    Outlet,
    Pin,
    Points,
    PointsOfLines,
    Request,
    Retries,
    RewardId,
    RotatingCode,
    Units,
    Word,
    amounts_of,
    approval_of,
    card_of,
    entry_id_of,
    guardian_of,
    items_of,
    unique_lines,
    utc,
)
from api.problems import FieldError, ProblemError
from network.basket import Details, Flight, Wanted
from network.commands import Accrue, Capture, Command, Enrol, Hold, Redeem, Release, Reverse, Void

MOST_MINUTES = 7 * 24 * 60


class EnrolmentBody(Request, frozen=True, tag_field="type", tag="enrolment"):
    """Enrol a member with a new card; a child under its guardian, where the programme lets children in."""

    born_on: BornOn | None = None
    guardian: Guardian | None = None

    def command(self, partner_id: int) -> Command:
        """The command it asks for."""
        return Enrol(
            partner_id=partner_id,
            reference=self.reference,
            occurred_at=utc(self.occurred_at),
            born_on=self.born_on,
            guardian_card=guardian_of(self.guardian),
        )


class AccrualBody(Request, frozen=True, tag_field="type", tag="accrual"):
    """A sale that earns points."""

    outlet: Outlet
    card: CardNumber
    amount_minor: Amount
    currency: Currency
    lines: Amounts | None = None
    tender: Word | None = None
    channel: Word | None = None
    units: Units | None = None
    flight: FlightBody | None = None
    alliance_tier: Word | None = None
    offer: Offer | None = None
    evidence: Evidence | None = None
    choice: Choice | None = None
    coupons: Coupons | None = None
    retries: Retries | None = None

    def command(self, partner_id: int) -> Command:
        """The command it asks for."""
        return Accrue(
            partner_id=partner_id,
            reference=self.reference,
            occurred_at=utc(self.occurred_at),
            outlet_code=self.outlet,
            card_number=card_of(self.card),
            amount_minor=self.amount_minor,
            currency=self.currency,
            lines=amounts_of(self.lines),
            details=self._details(),
            retries=self.retries or "",
        )

    def _details(self) -> Details | None:
        """What the till says of the sale beside its amount; None where it says nothing, as most do."""
        itemised = self.lines is not None and not isinstance(self.lines[0], int)
        told = (self.tender, self.channel, self.units, self.flight, self.alliance_tier, self.offer)
        if not itemised and not any((*told, self.evidence, self.choice, self.coupons)):
            return None
        flight = self.flight
        return Details(
            items=items_of(self.lines) if itemised else (),
            tender=self.tender or "",
            channel=self.channel or "",
            units=tuple(sorted((self.units or {}).items())),
            flight=None if flight is None else Flight(**msgspec.structs.asdict(flight)),
            alliance_tier=self.alliance_tier or "",
            offer=self.offer or "",
            evidence=self.evidence or "",
            choice=self.choice or "",
            coupons=tuple(dict.fromkeys(self.coupons or ())),
        )


class MemberEventBody(Request, frozen=True, tag_field="type", tag="event"):
    """Something that a member did, and that is no sale: the programme may give points for it."""

    outlet: Outlet
    card: CardNumber
    currency: Currency
    event: Offer

    def command(self, partner_id: int) -> Command:
        """The command it asks for."""
        return Accrue(
            partner_id=partner_id,
            reference=self.reference,
            occurred_at=utc(self.occurred_at),
            outlet_code=self.outlet,
            card_number=card_of(self.card),
            amount_minor=0,
            currency=self.currency,
            details=Details(event=self.event),
        )


class RedemptionBody(Request, frozen=True, tag_field="type", tag="redemption"):
    """Points that pay for part of a sale."""

    outlet: Outlet
    card: CardNumber
    points: Points
    amount_minor: Amount
    currency: Currency
    lines: PointsOfLines | None = None
    category: Category | None = None
    offline: Annotated[
        bool,
        Meta(
            description="Your till accepted it without a line. What the member has is taken, and you bear the"
            " rest; up to the floor of your contract, and without `lines`."
        ),
    ] = False
    code: RotatingCode | None = None
    pin: Pin | None = None
    approval: ApprovalId | None = None
    reward: RewardId | None = None
    cash_minor: Cash | None = None
    flight: FlightBody | None = None
    guardian: Guardian | None = None
    retries: Retries | None = None

    def command(self, partner_id: int) -> Command:
        """The command it asks for."""
        if self.offline and (self.lines or self.reward):
            raise ProblemError(
                "validation_failed",
                "what was accepted offline has no lines, and is for no reward of the programme",
                [FieldError("/lines" if self.lines else "/reward", "offline")],
            )
        return Redeem(
            partner_id=partner_id,
            reference=self.reference,
            occurred_at=utc(self.occurred_at),
            outlet_code=self.outlet,
            card_number=card_of(self.card),
            points=self.points,
            amount_minor=self.amount_minor,
            currency=self.currency,
            lines=self.lines or (),
            category=self.category or "",
            offline=self.offline,
            code=self.code or "",
            pin=self.pin or "",
            approval=approval_of(self.approval),
            retries=self.retries or "",
            guardian_card=guardian_of(self.guardian),
            reward=self._wanted(),
        )

    def _wanted(self) -> Wanted | None:
        """The reward that it is for, with what only rewards have."""
        if self.reward is None:
            for name in ("cash_minor", "flight"):
                if getattr(self, name) is not None:
                    raise ProblemError(
                        "validation_failed", f"{name} is of a reward", [FieldError(f"/{name}", "reward")]
                    )
            return None
        flight = self.flight
        return Wanted(
            id=self.reward,
            cash_minor=self.cash_minor or 0,
            flight=None if flight is None else Flight(**msgspec.structs.asdict(flight)),
        )


class HoldBody(Request, frozen=True, tag_field="type", tag="hold"):
    """Reserve points; what is not captured comes back by itself after `minutes`."""

    outlet: Outlet
    card: CardNumber
    points: Points
    amount_minor: Amount
    currency: Currency
    minutes: Annotated[int, Meta(ge=1, le=MOST_MINUTES, description="How long the points are held.")] = 30
    category: Category | None = None
    code: RotatingCode | None = None
    pin: Pin | None = None
    approval: ApprovalId | None = None
    guardian: Guardian | None = None
    retries: Retries | None = None

    def command(self, partner_id: int) -> Command:
        """The command it asks for."""
        return Hold(
            partner_id=partner_id,
            reference=self.reference,
            occurred_at=utc(self.occurred_at),
            outlet_code=self.outlet,
            card_number=card_of(self.card),
            points=self.points,
            amount_minor=self.amount_minor,
            currency=self.currency,
            minutes=self.minutes,
            category=self.category or "",
            code=self.code or "",
            pin=self.pin or "",
            approval=approval_of(self.approval),
            retries=self.retries or "",
            guardian_card=guardian_of(self.guardian),
        )


class CaptureBody(Request, frozen=True, tag_field="type", tag="capture"):
    """Take held points in payment; several captures may share a hold, until nothing is left of it."""

    hold: EntryId
    points: Points
    amount_minor: Amount

    def command(self, partner_id: int) -> Command:
        """The command it asks for."""
        return Capture(
            partner_id=partner_id,
            reference=self.reference,
            occurred_at=utc(self.occurred_at),
            hold_id=entry_id_of(self.hold, "/hold"),
            points=self.points,
            amount_minor=self.amount_minor,
        )


class VoidBody(Request, frozen=True, tag_field="type", tag="void"):
    """Give back what a hold still holds."""

    hold: EntryId

    def command(self, partner_id: int) -> Command:
        """The command it asks for."""
        return Void(
            partner_id=partner_id,
            reference=self.reference,
            occurred_at=utc(self.occurred_at),
            hold_id=entry_id_of(self.hold, "/hold"),
        )


class ReversalBody(Request, frozen=True, tag_field="type", tag="reversal"):
    """Undo an entry, all that is left of it or part: yours, or one that both contracts let you take back.

    Of a sale say how much of it comes back (`amount_minor`), of a redemption, capture or donation how many
    `points`; of an entry with lines say which of its `lines`.
    """

    entry: EntryId
    amount_minor: Amount | None = None
    points: Points | None = None
    lines: LineNumbers | None = None

    def command(self, partner_id: int) -> Command:
        """The command it asks for."""
        return Reverse(
            partner_id=partner_id,
            reference=self.reference,
            occurred_at=utc(self.occurred_at),
            entry_id=entry_id_of(self.entry, "/entry"),
            amount_minor=self.amount_minor,
            points=self.points,
            lines=unique_lines(self.lines),
        )


class ReleaseBody(Request, frozen=True, tag_field="type", tag="release"):
    """Say that the event has come that the points of one of your accruals were pending for."""

    accrual: EntryId

    def command(self, partner_id: int) -> Command:
        """The command it asks for."""
        return Release(
            partner_id=partner_id,
            reference=self.reference,
            occurred_at=utc(self.occurred_at),
            entry_id=entry_id_of(self.accrual, "/accrual"),
        )
