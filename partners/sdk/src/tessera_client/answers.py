"""What the service answers. Fields that a newer service adds are passed over; what does not apply is None."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Generic, TypeVar

import msgspec

T = TypeVar("T")


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a command. `points` is signed as it changed the balance; `balance` is after it.

    `replayed`: this is the remembered answer to an earlier request of the same reference.
    """

    id: str
    kind: str
    reference: str
    points: int
    balance: int
    occurred_at: datetime
    recorded_at: datetime
    business_date: date
    outlet: str | None = None
    amount_minor: int | None = None
    currency: str | None = None
    reverses: str | None = None
    hold: str | None = None
    accrual: str | None = None
    parent: str | None = None
    invitation: str | None = None
    pooled: int = 0
    pending: int = 0
    cured: int = 0
    owed: int = 0
    offline: bool = False
    shortfall: int = 0
    status_points: int = 0
    value_minor: int = 0
    bonus_minor: int = 0
    plan_from: date | None = None
    plan_until: date | None = None
    discount_minor: int = 0
    member: str | None = None
    card: str | None = None
    voucher: str | None = None
    code: str | None = None
    valid_from: date | None = None
    valid_until: date | None = None
    replayed: bool = False


class Page(msgspec.Struct, Generic[T], frozen=True, kw_only=True):
    """A page of a list, and where the next one begins."""

    data: Sequence[T]
    has_more: bool
    next_cursor: str | None = None


class Card(msgspec.Struct, frozen=True, kw_only=True):
    """A card: whose it is, and whether it may be used (`status` is "active")."""

    card: str
    status: str
    member: str


class Approval(msgspec.Struct, frozen=True, kw_only=True):
    """What you asked a member to approve: `state` is asked, approved, refused, lapsed or used."""

    id: str
    reference: str
    state: str
    points: int
    until: datetime


class Expiring(msgspec.Struct, frozen=True, kw_only=True):
    """Points that lapse after a day."""

    expires_on: date
    points: int


class Pending(msgspec.Struct, frozen=True, kw_only=True):
    """Points that can be spent from a day on."""

    spendable_on: date
    points: int
    expires_on: date | None = None


class PendingEvent(msgspec.Struct, frozen=True, kw_only=True):
    """Points that wait for a release; the accrual is named where it is yours."""

    points: int
    entry: str | None = None


class Deficit(msgspec.Struct, frozen=True, kw_only=True):
    """Points that the member owes to an issuer."""

    issuer: str
    points: int
    entry: str | None = None


class Pool(msgspec.Struct, frozen=True, kw_only=True):
    """The pool that the member is in, and what each of its members can spend."""

    members: int
    points: int


class StoredValue(msgspec.Struct, frozen=True, kw_only=True):
    """Money that the member has loaded and not spent, apart from its points, in minor units.

    `bonus_minor`: given on top of loads; it is spent like that, and not paid out. `refundable_minor`: how
    much would be paid back in money today.
    """

    currency: str
    paid_minor: int
    bonus_minor: int
    refundable_minor: int


class PaidPlan(msgspec.Struct, frozen=True, kw_only=True):
    """A paid plan that is good, or will be; `membership` is its entry's id, where it is yours."""

    plan: str
    starts_on: date
    ends_on: date
    membership: str | None = None


class Balance(msgspec.Struct, frozen=True, kw_only=True):
    """What a member can spend, what of it lapses when, and what is still to come."""

    member: str
    points: int
    as_of: datetime
    expiring: Sequence[Expiring] = ()
    pending: Sequence[Pending] = ()
    pending_events: Sequence[PendingEvent] = ()
    held: int = 0
    deficits: Sequence[Deficit] = ()
    pool: Pool | None = None
    tier: str | None = None
    stored_value: Sequence[StoredValue] = ()
    plans: Sequence[PaidPlan] = ()
    merged_into: str | None = None


class Key(msgspec.Struct, frozen=True, kw_only=True):
    """A signing key of yours; `public_key` is in hexadecimal."""

    key_id: str
    public_key: str
    not_before: datetime
    not_after: datetime | None = None
    revoked_at: datetime | None = None


class Keys(msgspec.Struct, frozen=True, kw_only=True):
    """All keys that you ever had, and your number, which proofs of possession name."""

    partner_id: int
    data: Sequence[Key]


class Batch(msgspec.Struct, frozen=True, kw_only=True):
    """A file and how far it is: `state` is "received", "processing" or "done"."""

    id: str
    state: str
    reference: str | None
    format: str
    lines: int
    answered: int
    accepted: int
    refused: int
    received_at: datetime
    finished_at: datetime | None
    result: str
    result_until: datetime | None


class LineAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to a line of a file: its entry, or the code of the refusal."""

    line: int
    status: int
    entry: Entry | None = None
    code: str | None = None
    detail: str | None = None
    replayed: bool = False


class PartnerEvent(msgspec.Struct, frozen=True, kw_only=True):
    """Something that you are told of. `data` is the JSON of what it tells, as it came."""

    id: str
    type: str
    timestamp: datetime
    data: msgspec.Raw


class Queued(msgspec.Struct, frozen=True, kw_only=True):
    """How many deliveries are on their way."""

    queued: int


class DisputeEvent(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a dispute. `by`: a partner's code, "operator", or "clock" where nobody answered."""

    state: str
    text: str
    by: str
    at: datetime
    answer_until: datetime | None = None


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """A file that was attached; `sha256` names it."""

    sha256: str
    name: str
    media_type: str
    size: int
    attached_by: str
    attached_at: datetime


class Dispute(msgspec.Struct, frozen=True, kw_only=True):
    """A dispute and all that became of it; amounts are exact texts in major units."""

    id: str
    reference: str
    state: str
    waits_for: str | None
    answer_until: datetime | None
    raised_by: str
    against: str
    entry: str | None
    line: str
    business_date: date
    currency: str
    amount: str
    reason: str
    raised_at: datetime
    awarded: str | None
    paid_on: date | None
    events: Sequence[DisputeEvent] = ()
    evidence: Sequence[Evidence] = ()
