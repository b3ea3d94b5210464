"""Values of the network room. Points are whole; amounts are integer minor units of a currency.

Structs of msgspec rather than dataclasses: as frozen, and made five times faster, which a batch feels.
"""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from enum import IntEnum
from typing import Literal
from uuid import UUID

import msgspec

from network.basket import Details, Wanted

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


class Enrol(msgspec.Struct, frozen=True, kw_only=True, tag="enrol", omit_defaults=True):
    """Make a member with one card; the shell has minted `member_id`, `public_id` and `card_number`.

    `born_on` is asked for where the programme names ages; `guardian_card` is a card of a child's guardian.
    """

    partner_id: int
    reference: str
    occurred_at: datetime
    born_on: date | None = None
    guardian_card: int = 0


class Accrue(msgspec.Struct, frozen=True, kw_only=True, tag="accrue", omit_defaults=True):
    """A sale earns points. `lines`: the amounts of its lines, so that it can be returned line by line.

    `details`: what else the till says of it, for rules that ask.
    `retries`: of this and of what spends points, the partner's reference of a request that was refused.
    """

    partner_id: int
    reference: str
    occurred_at: datetime
    outlet_code: str
    card_number: int
    amount_minor: int
    currency: str
    lines: tuple[int, ...] = ()
    details: Details | None = None
    retries: str = ""
    code: str = ""
    """What stood on a pack: the shell opens it, and what it opens to is in `details`; else it is unknown."""


class Redeem(msgspec.Struct, frozen=True, kw_only=True, tag="redeem", omit_defaults=True):
    """Points pay for `amount_minor` of a sale. `lines`: the points of its lines. `category`: what it is.

    `offline`: a till that had no line has accepted it; what the member does not have its partner bears.
    """

    partner_id: int
    reference: str
    occurred_at: datetime
    outlet_code: str
    card_number: int
    points: int
    amount_minor: int
    currency: str
    lines: tuple[int, ...] = ()
    category: str = ""
    offline: bool = False
    code: str = ""
    """The rotating code of the card, where the till read one; judged before the command comes here."""
    pin: str = ""
    """What the member typed at the till; judged before too, and no part of what the request said."""
    approval: UUID | None = None
    """What the member approved on its phone; judged before too."""
    retries: str = ""
    reward: Wanted | None = None
    """Which reward of the programme it is for; None where the till alone says what it is worth."""
    guardian_card: int = 0


class Reverse(msgspec.Struct, frozen=True, kw_only=True, tag="reverse"):
    """Undo an entry, in full or in part; another partner's where both contracts let it be returned there.

    `amount_minor`: of a sale, how much of it comes back. `points`: of a redemption or capture, how many come
    back. `lines`: which of its lines come back, from 1. None of them: all that has not come back yet.
    """

    partner_id: int
    reference: str
    occurred_at: datetime
    entry_id: UUID
    amount_minor: int | None = None
    points: int | None = None
    lines: tuple[int, ...] = ()


class Hold(msgspec.Struct, frozen=True, kw_only=True, tag="hold", omit_defaults=True):
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
    category: str = ""
    code: str = ""
    pin: str = ""
    approval: UUID | None = None
    retries: str = ""
    guardian_card: int = 0


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


class Release(msgspec.Struct, frozen=True, kw_only=True, tag="release"):
    """The event has come that an accrual's points were pending for."""

    partner_id: int
    reference: str
    occurred_at: datetime
    entry_id: UUID


class Gift(msgspec.Struct, frozen=True, kw_only=True, tag="gift", omit_defaults=True):
    """A member gives points to another."""

    partner_id: int
    reference: str
    occurred_at: datetime
    card_number: int
    to_card_number: int
    points: int
    guardian_card: int = 0
    code: str = ""
    pin: str = ""
    approval: UUID | None = None


class Donate(msgspec.Struct, frozen=True, kw_only=True, tag="donate", omit_defaults=True):
    """A member gives points to a cause, by its code: a partner whose contract accepts donations."""

    partner_id: int
    reference: str
    occurred_at: datetime
    card_number: int
    cause: str
    points: int
    guardian_card: int = 0
    code: str = ""
    pin: str = ""
    approval: UUID | None = None


class Invite(msgspec.Struct, frozen=True, kw_only=True, tag="invite", omit_defaults=True):
    """A member asks another into its pool; without one, it founds one."""

    partner_id: int
    reference: str
    occurred_at: datetime
    card_number: int
    to_card_number: int
    guardian_card: int = 0


class Join(msgspec.Struct, frozen=True, kw_only=True, tag="join", omit_defaults=True):
    """Who was invited consents."""

    partner_id: int
    reference: str
    occurred_at: datetime
    card_number: int
    invitation_id: UUID
    guardian_card: int = 0


class Leave(msgspec.Struct, frozen=True, kw_only=True, tag="leave", omit_defaults=True):
    """A member leaves its pool with what is left of its points."""

    partner_id: int
    reference: str
    occurred_at: datetime
    card_number: int
    guardian_card: int = 0


class Merge(msgspec.Struct, frozen=True, kw_only=True, tag="merge"):
    """Two accounts are one person's: points and cards of the merged one go to the other."""

    partner_id: int
    reference: str
    occurred_at: datetime
    card_number: int
    merged_card_number: int


class Unmerge(msgspec.Struct, frozen=True, kw_only=True, tag="unmerge"):
    """They were two people after all: cards go back, and what is left of the points."""

    partner_id: int
    reference: str
    occurred_at: datetime
    entry_id: UUID


class Adjust(msgspec.Struct, frozen=True, kw_only=True, tag="adjust"):
    """The operator gives points (`points` > 0) that `issuer_id` funds, or takes that issuer's back (< 0)."""

    partner_id: int
    reference: str
    occurred_at: datetime
    card_number: int
    issuer_id: int
    points: int


class Treat(msgspec.Struct, frozen=True, kw_only=True, tag="treat", omit_defaults=True):
    """The night gives a member the points of a trigger for an occasion. `role`: of a referral, which side."""

    partner_id: int
    reference: str
    occurred_at: datetime
    member_id: int
    award: str
    occasion: str
    role: str = ""


class Award(msgspec.Struct, frozen=True, kw_only=True, tag="award", omit_defaults=True):
    """A partner gives points outside of a sale: to make good (a trigger, once a `case`), or as a surprise.

    A surprise says how many `points`, who of the `staff` gives them, and why.
    """

    partner_id: int
    reference: str
    occurred_at: datetime
    card_number: int
    award: str
    case: str = ""
    points: int = 0
    staff: str = ""
    reason: str = ""


class Refer(msgspec.Struct, frozen=True, kw_only=True, tag="refer"):
    """A new member names who referred it."""

    partner_id: int
    reference: str
    occurred_at: datetime
    card_number: int
    referrer_card_number: int


class Stake(msgspec.Struct, frozen=True, kw_only=True, tag="stake"):
    """A member stakes points on an outcome of a match, once or several times the game's stake."""

    partner_id: int
    reference: str
    occurred_at: datetime
    card_number: int
    match_id: UUID
    outcome: str
    stakes: int = 1


class PayOut(msgspec.Struct, frozen=True, kw_only=True, tag="pay_out"):
    """What becomes of a stake: points that come to its member, are spent at the funder, or issued by it."""

    partner_id: int
    reference: str
    occurred_at: datetime
    member_id: int
    match_id: UUID
    stake_id: UUID
    back: tuple[Part, ...]
    lost: tuple[Part, ...]
    issued: int
    funder_id: int | None


class SetTier(msgspec.Struct, frozen=True, kw_only=True, tag="set_tier"):
    """The operator puts a member into a tier of the programme; "" is none."""

    partner_id: int
    reference: str
    occurred_at: datetime
    card_number: int
    tier: str


class ReviewTier(msgspec.Struct, frozen=True, kw_only=True, tag="review_tier"):
    """A member's time in a tier is over: it is kept, or it falls."""

    partner_id: int
    reference: str
    occurred_at: datetime
    member_id: int


class LoadValue(msgspec.Struct, frozen=True, kw_only=True, tag="load"):
    """A member pays a till money, to be spent later: stored value."""

    partner_id: int
    reference: str
    occurred_at: datetime
    outlet_code: str
    card_number: int
    amount_minor: int
    currency: str


class SpendValue(msgspec.Struct, frozen=True, kw_only=True, tag="spend"):
    """Stored value pays for a sale, or for part of it."""

    partner_id: int
    reference: str
    occurred_at: datetime
    outlet_code: str
    card_number: int
    amount_minor: int
    currency: str


class RefundValue(msgspec.Struct, frozen=True, kw_only=True, tag="refund"):
    """A till pays stored value back to its member in money."""

    partner_id: int
    reference: str
    occurred_at: datetime
    outlet_code: str
    card_number: int
    amount_minor: int
    currency: str


class BuyPlan(msgspec.Struct, frozen=True, kw_only=True, tag="plan_membership"):
    """A member pays a till the fee of a paid plan: for the first time, or to renew it."""

    partner_id: int
    reference: str
    occurred_at: datetime
    outlet_code: str
    card_number: int
    plan: str
    amount_minor: int
    currency: str


class EndPlan(msgspec.Struct, frozen=True, kw_only=True, tag="plan_refund"):
    """A member gives a paid plan up; `membership_id` is the entry by which it was bought."""

    partner_id: int
    reference: str
    occurred_at: datetime
    membership_id: UUID


class Pledge(msgspec.Struct, frozen=True, kw_only=True, tag="pledge", omit_defaults=True):
    """A member pledges a share of what it will earn to a cause, by its code; 0 per cent ends the pledge.

    `pledge`: which of those that the programme offers.
    """

    partner_id: int
    reference: str
    occurred_at: datetime
    card_number: int
    pledge: str
    cause: str
    per_cent: int
    guardian_card: int = 0


class KeepPledge(msgspec.Struct, frozen=True, kw_only=True, tag="keep_pledge"):
    """The night gives what a member's pledge, made by the entry `pledge_id`, comes to: `points`, if there."""

    partner_id: int
    reference: str
    occurred_at: datetime
    member_id: int
    pledge_id: UUID
    cause_id: int
    points: int


class IssueVoucher(msgspec.Struct, frozen=True, kw_only=True, tag="issue_voucher"):
    """A member turns points into a voucher of the programme. What shows that it is there: as for Redeem."""

    partner_id: int
    reference: str
    occurred_at: datetime
    card_number: int
    voucher: str
    points: int
    code: str = ""
    pin: str = ""
    approval: UUID | None = None
    guardian_card: int = 0


class Convert(msgspec.Struct, frozen=True, kw_only=True, tag="convert"):
    """A quarter is over: what a member has turns into a voucher, as the programme says."""

    partner_id: int
    reference: str
    occurred_at: datetime
    member_id: int


class UseVoucher(msgspec.Struct, frozen=True, kw_only=True, tag="use_voucher"):
    """A voucher pays for part of a basket of `amount_minor`. `voucher_id`: what its code opens to."""

    partner_id: int
    reference: str
    occurred_at: datetime
    outlet_code: str
    code: str
    amount_minor: int
    currency: str
    voucher_id: UUID | None = None


class ReturnVoucher(msgspec.Struct, frozen=True, kw_only=True, tag="return_voucher"):
    """A voucher is given back unused: its points are the member's again."""

    partner_id: int
    reference: str
    occurred_at: datetime
    code: str
    voucher_id: UUID | None = None


class LapseVoucher(msgspec.Struct, frozen=True, kw_only=True, tag="lapse_voucher"):
    """A voucher's last day is over: its points lapse with it, or come back, as the programme said."""

    partner_id: int
    reference: str
    occurred_at: datetime
    voucher_id: UUID


Showing = Redeem | Hold | Gift | Donate | IssueVoucher
"""Commands that may show that their member is there: code, pin, approval."""
Command = (
    Enrol
    | Accrue
    | Redeem
    | Reverse
    | Hold
    | Capture
    | Void
    | Release
    | Gift
    | Donate
    | Invite
    | Join
    | Leave
    | Merge
    | Unmerge
    | Adjust
    | Treat
    | Award
    | Refer
    | Stake
    | PayOut
    | SetTier
    | ReviewTier
    | Pledge
    | KeepPledge
    | BuyPlan
    | EndPlan
    | LoadValue
    | SpendValue
    | RefundValue
    | IssueVoucher
    | Convert
    | UseVoucher
    | ReturnVoucher
    | LapseVoucher
)


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """What a rule against abuse found: its id, what it says is to be done, and why."""

    rule: str
    then: str
    reason: str


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


class LedgerState(msgspec.Struct, frozen=True, kw_only=True):
    """All that a batch of commands can see.

    `due`: holds whose time is over, by member and id, each with what was minted for the entry that ends it.
    `counters` by member, name and period; `budgets`: what rules have given in a period. What is missing is 0.
    `retried`: requests that commands try again, by partner and reference. `used_packs`: whose codes were used
    before this batch.
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
