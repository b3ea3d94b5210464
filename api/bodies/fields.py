"""What the fields of requests are, and how a body is read.

One strict pass: integers are integers (no "12", 12.0 or true), unknown fields are refused, times have a
zone, text is printable ASCII. Duplicate keys are refused too: two readers could understand them differently.
"""

import json
from collections.abc import Sequence
from datetime import UTC, date, datetime
from functools import lru_cache
from types import UnionType
from typing import Annotated, Any, TypeVar
from uuid import UUID

import msgspec
from msgspec import Meta

from api.problems import FieldError, ProblemError
from network import ids
from network.basket import Item
from network.identity import is_card_number
from network.rules import MOST_POINTS

MOST = MOST_POINTS
"""Of an amount and of points: far above any sale, and far below where a night's sums would overflow."""
MOST_LINES = 500
"""Of one sale or reward."""

Reference = Annotated[
    str,
    Meta(
        pattern="^[!-~]{1,64}(?!\\n)$",
        description="Yours, unique among your requests for 400 days; 1 to 64 characters.",
    ),
]
Retries = Annotated[
    str,
    Meta(
        pattern="^[!-~]{1,64}(?!\\n)$",
        description="The reference of a request of yours that was refused, and that this one tries again.",
    ),
]
OccurredAt = Annotated[
    datetime,
    Meta(tz=True, description="When it happened at the till: RFC 3339 with a zone; 30 days back at most."),
]
Outlet = Annotated[str, Meta(pattern="^[!-~]{1,32}(?!\\n)$", description="One of your outlets, by its code.")]
Cause = Annotated[
    str, Meta(pattern="^[!-~]{1,32}(?!\\n)$", description="The code of a partner that takes donations.")
]
CardNumber = Annotated[str, Meta(pattern="^[0-9]{16}(?!\\n)$", description="The 16 digits on the card.")]
Category = Annotated[
    str,
    Meta(
        pattern="^[!-~]{1,32}(?!\\n)$",
        description="What the points pay for, where the network has categories.",
    ),
]
RotatingCode = Annotated[
    str,
    Meta(
        pattern="^[0-9]{6}(?!\\n)$",
        description="The six digits after the card's number in the member's QR: good for a minute, once.",
    ),
]
Pin = Annotated[
    str,
    Meta(
        pattern="^[0-9]{4,8}(?!\\n)$",
        description="What the member typed at the till, sent at once and kept nowhere; files take none.",
    ),
]
ApprovalId = Annotated[
    str,
    Meta(
        pattern="^apv_[0-9a-f]{32}(?!\\n)$",
        description="What the member approved on its phone, for this card and as many points.",
    ),
]
# `(?!\n)$`: a bare `$` would let a line feed pass at the end.
Currency = Annotated[str, Meta(pattern="^[A-Z]{3}(?!\\n)$", description="ISO 4217.")]
Amount = Annotated[int, Meta(ge=1, le=MOST, description="In minor units of the currency: 1250 is 12.50.")]
Points = Annotated[int, Meta(ge=1, le=MOST, description="Whole points.")]
Word = Annotated[str, Meta(pattern="^[a-z][a-z0-9_-]{0,31}(?!\\n)$")]
"""A name as programmes use them: of a category, a tender, a channel, a cabin."""
Airport = Annotated[str, Meta(pattern="^[A-Z]{3}(?!\\n)$", description="An airport, by its IATA code.")]


class LineBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A line of a sale, for programmes whose rules ask what was sold."""

    amount_minor: Amount
    category: Annotated[str, Meta(pattern="^([a-z][a-z0-9_-]{0,31})?(?!\\n)$")] = ""
    quantity: Annotated[int, Meta(ge=1, le=1_000_000)] = 1


class FlightBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One sector that was flown; its carrier by the code of two letters or digits."""

    origin: Airport
    destination: Airport
    cabin: Word
    carrier: Annotated[str, Meta(pattern="^([A-Z0-9]{2})?(?!\\n)$")] = ""


Amounts = Annotated[
    tuple[Amount | LineBody, ...],
    Meta(
        min_length=1,
        max_length=MOST_LINES,
        description="The sale's lines, which add up to it; a line can then be returned. Each is an amount, or"
        " an object with amount, category and quantity, all of them the same way.",
    ),
]
PointsOfLines = Annotated[
    tuple[Points, ...],
    Meta(
        min_length=1,
        max_length=MOST_LINES,
        description="The points of the reward's lines, which add up to it; a line can then be returned.",
    ),
]
Units = Annotated[
    dict[Word, Annotated[int, Meta(ge=1, le=1_000_000_000)]],
    Meta(min_length=1, max_length=20, description='What else was counted, by name: {"nights": 3}.'),
]
Offer = Annotated[
    str,
    Meta(pattern="^[a-z][a-z0-9_-]{0,47}(?!\\n)$", description="The personal offer that was shown."),
]
Coupons = Annotated[
    tuple[Offer, ...],
    Meta(
        min_length=1,
        max_length=20,
        description="Personal coupons that were shown, by their names.",
        extra_json_schema={"uniqueItems": True},
    ),
]
Evidence = Annotated[
    str,
    Meta(
        pattern="^[!-~]( ?[!-~]){0,199}(?!\\n)$",
        description="For a claim after the time for sales: the number of the ticket, or another proof.",
    ),
]
Choice = Annotated[
    str,
    Meta(
        pattern="^[a-z][a-z0-9_-]{0,31}(?!\\n)$",
        description="What the member chose at the counter: points, a discount, both.",
    ),
]
RewardId = Annotated[
    str,
    Meta(
        pattern="^[a-z][a-z0-9_-]{0,47}(?!\\n)$",
        description="The reward of the programme that the points are for; its price is checked.",
    ),
]
Cash = Annotated[
    int, Meta(ge=1, le=MOST, description="What is paid in cash beside the points, in minor units.")
]
BornOn = Annotated[
    date,
    Meta(description="Asked for where the programme has a minimum age; it is not kept."),
]
Guardian = Annotated[
    str,
    Meta(
        pattern="^[0-9]{16}(?!\\n)$",
        description="A card of the guardian, where the member is a child: the guardian does this for it.",
    ),
]
LineNumbers = Annotated[
    tuple[Annotated[int, Meta(ge=1, le=MOST_LINES)], ...],
    Meta(
        min_length=1,
        max_length=MOST_LINES,
        description="Which of the entry's lines come back, counted from 1; each once.",
        extra_json_schema={"uniqueItems": True},
    ),
]
EntryId = Annotated[str, Meta(pattern="^ent_[0-9a-f]{32}(?!\\n)$", description="An entry's id.")]


class Request(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What every request holds."""

    reference: Reference
    occurred_at: OccurredAt


AnyBody = TypeVar("AnyBody", bound=msgspec.Struct)


def read_body(raw: bytes, decoder: msgspec.json.Decoder[AnyBody]) -> AnyBody:
    """Read one JSON object strictly.

    Raises:
        ProblemError: malformed_json (400) or validation_failed (422), with a pointer to the field.
    """
    plain = _read_plain(raw, decoder)
    if plain is not None:
        return plain
    try:
        _PAIRS.decode(raw.decode())
        body = decoder.decode(raw)
    except msgspec.ValidationError as error:
        raise invalid(error) from error
    except RecursionError as error:
        raise ProblemError("malformed_json", "nested too deeply") from error
    except (ValueError, msgspec.DecodeError) as error:
        # ValueError: bad UTF-8, not JSON, or an integer of thousands of digits
        raise ProblemError("malformed_json", str(error)[:200]) from error
    if b"\\u0000" in raw:
        raise ProblemError("validation_failed", "no text holds the character NUL")
    return body


def _read_plain(raw: bytes, decoder: msgspec.json.Decoder[AnyBody]) -> AnyBody | None:
    """The same of most bodies in a third of the time; None where that takes a closer look.

    A name can stand twice only where there are more names than those that must be there. No more than that
    there are where so many colons follow a quote, none follows a space, and there is one object.
    """
    # one by one: a loop over them takes as long as all of msgspec's work
    if b" :" in raw or b"\t:" in raw or b"\n:" in raw or b"\r:" in raw:
        return None
    if b"\\" in raw or raw.count(b"{") != 1:
        return None
    try:
        body = decoder.decode(raw)
    except (msgspec.DecodeError, RecursionError, ValueError):
        return None
    names = _must_be_there(type(body)) + isinstance(decoder.type, UnionType)
    return body if raw.count(b'":') <= names else None


@lru_cache(maxsize=256)
def _must_be_there(kind: type[msgspec.Struct]) -> int:
    """How many fields a body always has; among several kinds, its type is one more."""
    return sum(field.required for field in msgspec.structs.fields(kind))


def invalid(error: msgspec.ValidationError) -> ProblemError:
    """What a field is refused by: validation_failed, with a pointer to it."""
    reason, _, path = str(error).partition(" - at `$")
    pointer = path.rstrip("`").replace(".", "/").replace("[", "/").replace("]", "")
    return ProblemError("validation_failed", reason, [FieldError(pointer, "invalid")])


def utc(at: datetime) -> datetime:
    """The same instant in UTC."""
    try:
        return at.astimezone(UTC)
    except OverflowError as error:
        raise ProblemError(
            "validation_failed", "outside the calendar", [FieldError("/occurred_at", "range")]
        ) from error


def entry_id_of(shown: str, pointer: str) -> UUID:
    """The id behind `ent_…`, as the field at `pointer` gives it."""
    entry_id = ids.read("ent", shown)
    if entry_id is None:
        raise ProblemError("validation_failed", "not an entry id", [FieldError(pointer, "entry_id")])
    return entry_id


def approval_of(shown: str | None) -> UUID | None:
    """The id behind `apv_…`, where there is one."""
    if shown is None:
        return None
    approval_id = ids.read("apv", shown)
    if approval_id is None:
        raise ProblemError(
            "validation_failed", "not an approval's id", [FieldError("/approval", "approval_id")]
        )
    return approval_id


def card_of(digits: str, pointer: str = "/card") -> int:
    """The number of a card, as the field at `pointer` gives it.

    Raises:
        ProblemError: card_number_invalid.
    """
    number = int(digits)
    if not is_card_number(number):
        raise ProblemError("card_number_invalid", errors=[FieldError(pointer, "luhn")])
    return number


def guardian_of(digits: str | None) -> int:
    """The number of a guardian's card; 0 where none was shown."""
    return 0 if digits is None else card_of(digits, "/guardian")


def amounts_of(lines: Sequence[int | LineBody] | None) -> tuple[int, ...]:
    """The amounts of a sale's lines.

    Raises:
        ProblemError: some are amounts, and others objects.
    """
    if lines is None:
        return ()
    if len({type(one) for one in lines}) > 1:
        what = "lines are all amounts, or all objects"
        raise ProblemError("validation_failed", what, [FieldError("/lines", "mixed")])
    return tuple(one if isinstance(one, int) else one.amount_minor for one in lines)


def items_of(lines: Sequence[int | LineBody] | None) -> tuple[Item, ...]:
    """The lines of a sale with what each is."""
    return tuple(
        Item(one.amount_minor, one.category, one.quantity) for one in lines or () if not isinstance(one, int)
    )


def unique_lines(numbers: tuple[int, ...] | None) -> tuple[int, ...]:
    """Numbers of lines, each named once."""
    lines = numbers or ()
    if len(set(lines)) != len(lines):
        raise ProblemError("validation_failed", "a line is named twice", [FieldError("/lines", "unique")])
    return lines


def _no_duplicates(pairs: list[tuple[str, Any]]) -> None:
    """For the decoder below, which calls it for each object; what it returns is not used."""
    if len({name for name, _ in pairs}) != len(pairs):
        raise ProblemError("malformed_json", "a name stands twice in one object")


_PAIRS = json.JSONDecoder(object_pairs_hook=_no_duplicates)
"""Made once: json.loads makes one a call where it is given a hook."""
