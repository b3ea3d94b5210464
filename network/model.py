"""Values of the network room. Points are whole; amounts are integer minor units of a currency.

Structs of msgspec rather than dataclasses: as frozen, and made five times faster, which a batch feels.
"""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from enum import IntEnum
from uuid import UUID

import msgspec

NEVER = date(9999, 12, 31)
"""Expiry of points that never lapse (a NULL in the lot's key would let duplicates in)."""


IMMEDIATELY = date(1970, 1, 1)
"""`spendable_on` of points that were never pending, so that they share lots whatever day they came."""


class Unit(IntEnum):
    """What an account counts."""

    POINTS = 1


class AccountKind(IntEnum):
    """The accounts a posting moves points between; kind and the posting's own columns name the owner.

    Only MEMBER is materialised (table account). The others are sums over postings: ISSUED and LAPSED per
    issuer, ACCEPTED per acceptor, HELD per member and hold.
    """

    MEMBER = 1
    ISSUED = 2
    ACCEPTED = 3
    LAPSED = 4
    HELD = 5


class EntryKind(IntEnum):
    """Business events."""

    ENROLMENT = 1
    ACCRUAL = 2
    REDEMPTION = 3
    REVERSAL = 4
    EXPIRY = 5
    HOLD = 6
    CAPTURE = 7
    VOID = 8
    HOLD_LAPSE = 9


class Lot(msgspec.Struct, frozen=True):
    """Points of one member with one issuer, terms version and expiry."""

    issuer_id: int
    terms_version: int
    spendable_on: date
    expires_on: date
    remaining: int


class Posting(msgspec.Struct, frozen=True, kw_only=True):
    """One balanced movement of points inside an entry; the lot it fed or drew is named by its own columns."""

    line: int
    debit: AccountKind
    credit: AccountKind
    points: int
    issuer_id: int
    issuer_terms: int
    spendable_on: date
    expires_on: date
    acceptor_id: int | None = None
    acceptor_terms: int | None = None
    category: int = 0
    window_id: int
    reversed_window_id: int | None = None


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One business event as it is recorded. `points` is signed as it changes the member's balance."""

    entry_id: UUID
    member_id: int
    kind: EntryKind
    partner_id: int
    reference: str
    window_id: int
    programme_version: int
    points: int
    balance_after: int
    amount_minor: int
    currency: str | None
    outlet_code: str | None
    occurred_at: datetime
    recorded_at: datetime
    reverses: UUID | None = None
    hold_id: UUID | None = None


class Enrol(msgspec.Struct, frozen=True, kw_only=True, tag="enrol"):
    """Make a member with one card; the shell has minted `member_id`, `public_id` and `card_number`."""

    partner_id: int
    reference: str
    occurred_at: datetime


class Accrue(msgspec.Struct, frozen=True, kw_only=True, tag="accrue"):
    """A sale earns points."""

    partner_id: int
    reference: str
    occurred_at: datetime
    outlet_code: str
    card_number: int
    amount_minor: int
    currency: str


class Redeem(msgspec.Struct, frozen=True, kw_only=True, tag="redeem"):
    """Points pay for `amount_minor` of a sale."""

    partner_id: int
    reference: str
    occurred_at: datetime
    outlet_code: str
    card_number: int
    points: int
    amount_minor: int
    currency: str


class Reverse(msgspec.Struct, frozen=True, kw_only=True, tag="reverse"):
    """Undo an entry of the same partner, in full or in part.

    `amount_minor`: of a sale, how much of it comes back. `points`: of a redemption or capture, how many come
    back. None of either: all that has not come back yet.
    """

    partner_id: int
    reference: str
    occurred_at: datetime
    entry_id: UUID
    amount_minor: int | None = None
    points: int | None = None


class Hold(msgspec.Struct, frozen=True, kw_only=True, tag="hold"):
    """Reserve points for a sale that is not final; they come back by themselves after `minutes`."""

    partner_id: int
    reference: str
    occurred_at: datetime
    outlet_code: str
    card_number: int
    points: int
    amount_minor: int
    currency: str
    minutes: int


class Capture(msgspec.Struct, frozen=True, kw_only=True, tag="capture"):
    """Take held points in payment, all of them or part; what is left stays held."""

    partner_id: int
    reference: str
    occurred_at: datetime
    hold_id: UUID
    points: int
    amount_minor: int


class Void(msgspec.Struct, frozen=True, kw_only=True, tag="void"):
    """Give back what a hold still holds."""

    partner_id: int
    reference: str
    occurred_at: datetime
    hold_id: UUID


Command = Enrol | Accrue | Redeem | Reverse | Hold | Capture | Void


class Rejected(msgspec.Struct, frozen=True):
    """A refusal, as a fact. It is a value, remembered with the request, never raised."""

    reason: str


NOT_REMEMBERED = frozenset(
    {
        "occurred_in_future",
        "partner_unknown",
        "outlet_unknown",
        "no_contract_terms",
        "currency_not_contracted",
    }
)
"""Refusals that time cures (a clock, or a set-up that is not complete or not read yet): the same reference
may be sent again. All others are final."""


class Minted(msgspec.Struct, frozen=True, kw_only=True):
    """What the shell drew for one command: ids are arguments of a decision, never made inside it."""

    entry_id: UUID
    member_id: int = 0
    public_id: UUID | None = None
    card_number: int = 0


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """An accepted command: its entry and the movements it makes. `lapses_at` is of a hold."""

    entry: Entry
    postings: Sequence[Posting] = ()
    enrolled: Minted | None = None
    lapses_at: datetime | None = None


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """What a command is answered: an entry or a refusal, now or (`replayed`) as it was answered before."""

    outcome: Entry | Rejected
    replayed: bool = False
    enrolled: Minted | None = None


class HoldState(msgspec.Struct, frozen=True, kw_only=True):
    """How far a hold has come: captured from the first draw on, returned from the last."""

    lapses_at: datetime
    captured: int = 0
    returned: int = 0


class Reversed(msgspec.Struct, frozen=True, kw_only=True):
    """How much of an entry has been reversed so far."""

    points: int = 0
    amount_minor: int = 0


NOT_REVERSED = Reversed()


class RecordedEntry(msgspec.Struct, frozen=True, kw_only=True):
    """An earlier entry with its postings, how much of it has been reversed, and of a hold how far it is."""

    entry: Entry
    postings: Sequence[Posting]
    reversed: Reversed = NOT_REVERSED
    hold: HoldState | None = None


class MemberState(msgspec.Struct, frozen=True, kw_only=True):
    """One member's points as loaded under lock. `lots` is None where no command of the batch needs them."""

    member_id: int
    balance: int
    lots: Sequence[Lot] | None = None


class Moment(msgspec.Struct, frozen=True, kw_only=True):
    """When a batch happens: read once per batch, from the database, after the window's lock is held."""

    now: datetime
    window_id: int
    business_date: date
    lapsed_through: date


class CardState(msgspec.Struct, frozen=True):
    """Whose card it is, and whether it may be used."""

    member_id: int
    active: bool


class LedgerState(msgspec.Struct, frozen=True, kw_only=True):
    """All that a batch of commands can see."""

    moment: Moment
    cards: Mapping[int, CardState]
    members: Mapping[int, MemberState]
    recorded: Mapping[UUID, RecordedEntry]
