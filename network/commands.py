"""What can be asked of the network: a struct for each kind of command."""

from datetime import date, datetime
from uuid import UUID

import msgspec

from network.basket import Details, Wanted
from network.model import Part


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


class Convert(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag="convert"):
    """A quarter is over: what a member has turns into a voucher, as the programme says.

    `programme_version`: the one that says how, where it is not the live one.
    """

    partner_id: int
    reference: str
    occurred_at: datetime
    member_id: int
    programme_version: int | None = None


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
