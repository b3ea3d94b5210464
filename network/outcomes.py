"""What commands come to, and the state of the ledger that they are judged on."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Literal, NamedTuple
from uuid import UUID

import msgspec

from network.commands import Case
from network.model import IMMEDIATELY, NEVER, Entry, Lot, Membership, Posting, ValueLot


class Rejected(msgspec.Struct, frozen=True):
    """A refusal, as a fact. It is a value, remembered with the request, never raised.

    `cases`: what the programme found, where it takes the request for abuse.
    """

    reason: str
    cases: tuple[Case, ...] = ()


NOT_REMEMBERED = frozenset(
    {
        "occurred_in_future",
        "partner_unknown",
        "outlet_unknown",
        "no_contract_terms",
        "currency_not_contracted",
        "category_unknown",
        "programme_not_read",
        "tier_not_over",
        "retried_unknown",
        "voucher_not_over",
        "nothing_to_convert",
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


class Deficit(msgspec.Struct, frozen=True, kw_only=True):
    """What a member owes to an issuer: points that returns could not take back; its next credits pay them.

    `entry_id`: the entry that opened it. Of one account, the oldest is paid first.
    """

    entry_id: UUID
    issuer_id: int
    terms_version: int
    points: int


class AccountChange(msgspec.Struct, frozen=True, kw_only=True):
    """How an account changes beside its points; UNSET is as it was."""

    pool_id: UUID | msgspec.UnsetType | None = msgspec.UNSET
    merged_into: int | msgspec.UnsetType | None = msgspec.UNSET
    merge_id: UUID | msgspec.UnsetType | None = msgspec.UNSET
    tier: str | msgspec.UnsetType = msgspec.UNSET
    tier_until: date | msgspec.UnsetType = msgspec.UNSET
    active_until: date | msgspec.UnsetType = msgspec.UNSET
    guardian_id: int | msgspec.UnsetType | None = msgspec.UNSET
    child_until: date | msgspec.UnsetType = msgspec.UNSET


UNCHANGED = AccountChange()


class CardMove(msgspec.Struct, frozen=True, kw_only=True):
    """Cards that were issued to a member open another's account from now on."""

    issued_to: int
    before: int
    after: int


class Pledged(msgspec.Struct, frozen=True, kw_only=True):
    """A pledge as it was made: of which offer, to whom, how much, of whose points (() is all).

    Of 0 per cent it only ends the one before.
    """

    offer: str
    cause_id: int = 0
    per_cent: int = 0
    issuers: tuple[int, ...] = ()


class VoucherState(msgspec.Struct, frozen=True, kw_only=True):
    """A voucher: its name in the programme, first and last day, and how it ended ("": it has not)."""

    name: str
    starts_on: date
    ends_on: date
    ended_as: Literal["", "used", "returned", "lapsed"] = ""


NOTHING: Mapping[tuple[str, date], int] = {}
"""Nothing to count."""


class Occasion(msgspec.Struct, frozen=True, kw_only=True):
    """For what an award was given: once for each member, award, role and occasion.

    `staff` and `reason`: who gave a surprise, and why.
    """

    award: str
    occasion: str
    role: str = ""
    staff: str = ""
    reason: str = ""


class MatchState(msgspec.Struct, frozen=True):
    """A match as stakes see it."""

    partners: Sequence[int]
    outcomes: Sequence[str]
    state: str
    closes_at: datetime
    stake: int
    most_stakes: int


class Staked(msgspec.Struct, frozen=True, kw_only=True):
    """On what a stake is."""

    match_id: UUID
    outcome: str
    points: int


class PaidFor(msgspec.Struct, frozen=True, kw_only=True):
    """For which stake a payout is."""

    match_id: UUID
    stake_id: UUID


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """An accepted command: its entry and the movements it makes.

    `linked` are entries of other members that belong to it. `lapses_at` is of a hold. `lines` are measures of
    a new entry's lines, `returned_lines` the numbers of those of the entry it reverses. `deficits` are new or
    more of open ones, `cured` are parts of open ones. `invites_to` is the pool of an invitation.
    `asked`: of a redemption that a till accepted offline, the points it was for.
    `discount_minor` is money that rules take off a sale; its till gives it, the ledger does not.
    `occasion`: of an award, for what it was given; `staked`, `paid_for`: of a stake and of a payout.
    `judgement` is what rules saw of a sale and what it came to (network.judging); `counted` is what to add
    to its member's counters, or to those of `counted_for`, by name and period, `spent` what to take from
    budgets, by rule and period.
    `voucher`: that it makes; or, where the entry's `hold_id` names one, that one as it has ended.
    `pack`: whose code it uses up.
    `pledged` is a pledge that it makes or ends, `keeps` the entry of one that it gives for.
    `membership` is a paid plan that it buys, or ends, as it is then.
    """

    entry: Entry
    postings: Sequence[Posting] = ()
    enrolled: Minted | None = None
    lapses_at: datetime | None = None
    linked: Sequence["Decision"] = ()
    account: AccountChange = UNCHANGED
    lines: tuple[int, ...] = ()
    returned_lines: tuple[int, ...] = ()
    deficits: tuple[Deficit, ...] = ()
    cured: tuple[Deficit, ...] = ()
    cards: CardMove | None = None
    invites_to: UUID | None = None
    asked: int | None = None
    occasion: Occasion | None = None
    staked: Staked | None = None
    paid_for: PaidFor | None = None
    judgement: str | None = None
    discount_minor: int = 0
    cases: tuple[Case, ...] = ()
    counted: Mapping[tuple[str, date], int] = NOTHING
    counted_for: int | None = None
    spent: Mapping[tuple[str, date], int] = NOTHING
    pledged: Pledged | None = None
    keeps: UUID | None = None
    membership: Membership | None = None
    voucher: VoucherState | None = None
    pack: int | None = None


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """What a command is answered: an entry or a refusal, now or (`replayed`) as it was answered before.

    `asked`: of a redemption that a till accepted offline, the points it was for. `discount_minor`: of a sale,
    what the till is to take off its price.
    `voucher`: that it made, whose `code` the shell adds.
    """

    outcome: Entry | Rejected
    replayed: bool = False
    enrolled: Minted | None = None
    postings: Sequence[Posting] = ()
    asked: int | None = None
    discount_minor: int = 0
    voucher: VoucherState | None = None
    code: str = ""


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


class LineState(msgspec.Struct, frozen=True):
    """A line of a sale or reward: its amount or points, and whether it has come back."""

    measure: int
    returned: bool = False


class InvitationState(msgspec.Struct, frozen=True):
    """Into which pool an invitation is, and whether somebody has joined by it."""

    pool_id: UUID
    used: bool = False


class RecordedEntry(msgspec.Struct, frozen=True, kw_only=True):
    """An earlier entry with its postings, and how it stands.

    How much of it has been reversed; of a hold, how far it is; of an accrual, how many points still wait for
    their event; its lines, from 1; of an invitation, into which pool it is; of an offline redemption, the
    points that were asked for; of a sale, how it was judged; of what made a voucher, how that stands.
    """

    entry: Entry
    postings: Sequence[Posting]
    reversed: Reversed = NOT_REVERSED
    hold: HoldState | None = None
    pending: int = 0
    lines: tuple[LineState, ...] = ()
    invitation: InvitationState | None = None
    asked: int | None = None
    judgement: str | None = None
    voucher: VoucherState | None = None


class MemberState(msgspec.Struct, frozen=True, kw_only=True):
    """One member's points as loaded under lock. `lots` is None where no command of the batch needs them.

    `pool_id` names the pool it is in. `merged_into` is the member to whom its points went by the entry
    `merge_id`, `has_merged` says that others went into it (known where a command asks). `open_holds` counts
    those that still hold points (likewise). `deficits` are the open ones, oldest first. `status` are lots of
    status points, `value` is its stored value, `memberships` are its paid plans, known where a command asks.
    Before the day `child_until` it is under the guardian `guardian_id`.
    """

    member_id: int
    balance: int
    lots: Sequence[Lot] | None = None
    pool_id: UUID | None = None
    merged_into: int | None = None
    merge_id: UUID | None = None
    has_merged: bool = False
    open_holds: int = 0
    tier: str = ""
    active_until: date = IMMEDIATELY
    deficits: Sequence[Deficit] = ()
    tier_until: date = NEVER
    segments: frozenset[str] = frozenset()
    status: Sequence[Lot] = ()
    value: Sequence[ValueLot] = ()
    memberships: Sequence[Membership] = ()
    guardian_id: int | None = None
    child_until: date = IMMEDIATELY
    coupons: Mapping[str, tuple[date, date]] = {}
    """Coupons it was ever given, each with its first and last day; a counter says which it has used."""


class Moment(msgspec.Struct, frozen=True, kw_only=True):
    """When a batch happens: read once per batch, from the database, after the window's lock is held.

    `caps_basis`: which caps the rules have to know (network.caps.Caps).
    """

    now: datetime
    window_id: int
    business_date: date
    lapsed_through: date
    caps_basis: int = 0


class Retried(msgspec.Struct, frozen=True):
    """How a request stands that another tries again: refused or not, and whether one was taken for it."""

    refused: bool
    taken: bool


class CardState(msgspec.Struct, frozen=True):
    """Whose card it is, and whether it may be used."""

    member_id: int
    active: bool
    locked: bool = False
    """Its member has locked spending: it earns, and does not spend."""


class Given(NamedTuple):
    """What a member gave another in a period, as a watch for circles counts it.

    `giver`, `receiver`: the accounts that hold what the two have now.
    """

    rule_id: str
    period: date
    giver: int
    receiver: int
    points: int


class LedgerState(msgspec.Struct, frozen=True, kw_only=True):
    """All that a batch of commands can see.

    `due`: holds whose time is over, by member and id, each with what was minted for the entry that ends it.
    `counters` by member, name and period; `budgets`: what rules have given in a period. What is missing is 0.
    `retried`: requests that commands try again, by partner and reference. `used_packs`: whose codes were used
    before this batch. `gifts`: who gave to whom, back from those who give; `looked_back`: of
    whom it was asked who gave to them.
    """

    moment: Moment
    cards: Mapping[int, CardState]
    members: Mapping[int, MemberState]
    recorded: Mapping[UUID, RecordedEntry]
    due: Mapping[int, Mapping[UUID, Minted]] = {}
    counters: Mapping[tuple[int, str, date], int] = {}
    budgets: Mapping[tuple[str, date], int] = {}
    retried: Mapping[tuple[int, str], Retried] = {}
    matches: Mapping[UUID, MatchState] = {}
    used_packs: frozenset[int] = frozenset()
    gifts: tuple[Given, ...] = ()
    looked_back: frozenset[int] = frozenset()
