"""Values of the network room. Points are whole; amounts are integer minor units of a currency.

Structs of msgspec rather than dataclasses: as frozen, and made five times faster, which a batch feels.
"""

from datetime import date, datetime
from enum import IntEnum
from uuid import UUID

import msgspec

NEVER = date(9999, 12, 31)
"""Expiry of points that never lapse (a NULL in the lot's key would let duplicates in)."""

WITH_ACTIVITY = date(9999, 12, 30)
"""Expiry of points that live as long as their account is active: `account.active_until` says until when."""

IMMEDIATELY = date(1970, 1, 1)
"""`spendable_on` of points that were never pending, so that they share lots whatever day they came."""


class Unit(IntEnum):
    """What an account counts."""

    POINTS = 1
    STATUS = 2
    """Make tiers; nobody can spend them, and they cost nobody anything."""
    VALUE = 3
    """Stored value: money that a member has loaded, in minor units; each day's load is a lot."""
    BONUS = 4
    """Value that was given on top of a load, in minor units: it is spent like that, and never paid out."""
    FEE = 5
    """Money for a paid plan, in minor units; no member holds it."""


MONEY = (Unit.VALUE, Unit.BONUS, Unit.FEE)
"""Units that count money: the night takes each as it is, and prices points alone."""
STORED = (Unit.VALUE, Unit.BONUS)


class AccountKind(IntEnum):
    """The accounts a posting moves points between; kind and the posting's own columns name the owner.

    Only MEMBER is materialised (table account). The others are sums over postings: ISSUED and LAPSED per
    issuer, ACCEPTED per acceptor, HELD per member and hold, PENDING per member and accrual, DEFICIT per
    member and reversal, STAKED per match. TRANSIT is between two members' entries of one transaction, and so
    always zero. VOUCHER, per member and voucher, is the escrow of points that were turned into one.
    """

    MEMBER = 1
    ISSUED = 2
    ACCEPTED = 3
    LAPSED = 4
    HELD = 5
    PENDING = 6
    DEFICIT = 7
    TRANSIT = 8
    VOUCHER = 9
    STAKED = 21


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
    RELEASE = 10
    GIFT = 11
    TRANSFER = 12
    DONATION = 13
    POOL_INVITATION = 14
    POOL_JOIN = 15
    POOL_LEAVE = 16
    MERGE = 17
    UNMERGE = 18
    ADJUSTMENT = 19
    TIER = 20
    VOUCHER = 21
    VOUCHER_END = 22
    AWARD = 31
    REFERRAL = 32
    STAKE = 33
    PAYOUT = 34
    PLEDGE = 41
    LOAD = 42
    SPEND = 43
    REFUND = 44
    PLAN_MEMBERSHIP = 45
    PLAN_REFUND = 46


UNASKED = frozenset({EntryKind.EXPIRY, EntryKind.HOLD_LAPSE, EntryKind.TRANSFER})
"""Kinds that no request names: time made them, or another member's entry did (its `parent_id`)."""


PLAN_KINDS = (EntryKind.PLAN_MEMBERSHIP, EntryKind.PLAN_REFUND)


class Lot(msgspec.Struct, frozen=True):
    """Points of one member with one issuer, terms version and expiry.

    `lives_until` is the last day on which they live: `expires_on`, or the account's while it is active.
    """

    issuer_id: int
    terms_version: int
    spendable_on: date
    expires_on: date
    remaining: int
    lives_until: date


class Part(msgspec.Struct, frozen=True, order=True):
    """Points of a lot, or of part of one, wherever they are. Ordered by what lapses first."""

    expires_on: date
    issuer_id: int
    terms_version: int
    spendable_on: date
    points: int


class ValueLot(msgspec.Struct, frozen=True, kw_only=True):
    """What is left of a day's loads of one kind: paid (VALUE) or given on top (BONUS), in minor units.

    `issuer_id` took the money, or gave it.
    """

    unit: Unit
    issuer_id: int
    terms_version: int
    loaded_on: date
    remaining: int


class Membership(msgspec.Struct, frozen=True, kw_only=True):
    """A paid plan that was bought by an entry: the days that were paid for, and the last on which it is good.

    One of which all of the fee was paid back has no day: it ends before it starts.
    """

    entry_id: UUID
    plan: str
    starts_on: date
    paid_until: date
    ends_on: date
    ended: bool = False


class Posting(msgspec.Struct, frozen=True, kw_only=True):
    """One balanced movement of points inside an entry; the lot it fed or drew is named by its own columns.

    `contributor_id`: whose points they were, where they were not the entry's member's (a pool, a merge).
    """

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
    contributor_id: int | None = None
    unit: Unit = Unit.POINTS


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One business event as it is recorded. `points` is signed as it changes the member's balance.

    `hold_id`: the entry that had set aside what this one moves: a hold, a voucher, or an accrual pending
    until an event.
    `parent_id`: of a TRANSFER, the entry of another member that made it; of a POOL_JOIN, the invitation.
    `counterpart_id`: the other member.
    """

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
    parent_id: UUID | None = None
    counterpart_id: int | None = None
