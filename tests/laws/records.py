"""What the model remembers of accounts, sales, rewards, holds, debts and invitations."""

from dataclasses import dataclass, field
from datetime import date, datetime
from uuid import UUID

from tests.laws.world import Paper, Scheme

LotKey = tuple[int, int, date, date]
"""Issuer, terms version, spendable on, expires on."""
ValueKey = tuple[str, int, int, date, date]
"""VALUE or BONUS, issuer, terms version, the day it was loaded, and the last day there is."""
ALWAYS = date(1970, 1, 1)
"""`spendable_on` of points that never were pending; `active_until` of who never did anything."""


@dataclass
class Part:
    """Points that left a lot of `owner` and may come back."""

    lot: LotKey
    points: int
    owner: int
    acceptor: int | None
    acceptor_terms: int | None
    window: int
    category: int = 0
    unit: str = "POINTS"


@dataclass
class Held:
    """A hold: what it still holds, in the order drawn. Captures take from the front, returns from the end."""

    member: int
    partner: int
    currency: str
    outlet: str
    points: int
    lapses_at: datetime
    parts: list[Part] = field(default_factory=list)
    captured: int = 0
    returned: int = 0


@dataclass
class Spent:
    """A redemption, capture or donation: what has not come back of it, in the order drawn."""

    points: int
    amount: int
    parts: list[Part]
    back: int = 0


@dataclass
class Sold:
    """A sale: its lot and window, how much of it has not been returned, what of its points is pending."""

    lot: LotKey
    window: int
    scheme: Scheme
    day: date
    left: int
    waiting: int = 0
    released: int = 0
    cancelled: int = 0


@dataclass
class Account:
    """What a member has beside points."""

    pool: UUID | None = None
    merged_into: int | None = None
    merged_by: UUID | None = None
    tier: str = ""
    active_until: date = ALWAYS


@dataclass
class Item:
    """A line of a sale or reward: its measure, and the reversal that returned it."""

    measure: int
    returned_by: UUID | None = None


@dataclass
class Debt:
    """Points of one issuer's terms that a member owes, and the entry that opened the debt: its age."""

    opened_by: UUID
    points: int


@dataclass
class Invited:
    """An invitation: who asked, into which pool, and who joined by it."""

    inviter: int
    pool: UUID
    joined_by: UUID | None = None


@dataclass
class Voucher:
    """Points on paper: what it is made of in the order drawn, its worth and days, how it ended ("": open)."""

    member: int
    name: str
    paper: Paper
    parts: list[Part]
    worth: int
    starts_on: date
    ends_on: date
    ended_as: str = ""
