"""What a partner can ask for: one type a command, sent alone (`client.send`) or as a line of a file.

Every command carries your own `reference`: sent again under the same reference with the same content it is
answered from memory, and nothing is done twice. So give a reference, and the time, once per event at the
till, and keep both until there is an answer.
"""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import ClassVar

import msgspec

from tessera_client.errors import Unusable


class Command(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What every command holds.

    Args:
        reference: Yours, unique among your requests for 400 days; 1 to 64 printable characters without space.
        occurred_at: When it happened at the till, with a zone.
    Raises:
        Unusable: the time has no zone.
    """

    path: ClassVar[str]

    reference: str
    occurred_at: datetime

    def __post_init__(self) -> None:
        if self.occurred_at.tzinfo is None:
            raise Unusable("occurred_at has no zone: datetime.now(UTC), or .astimezone() for local time")


class Enrolment(Command, frozen=True, tag="enrolment"):
    """Enrol a member; the answer holds the member's id and the number of a new card."""

    path = "/v1/members"

    born_on: date | None = None
    guardian: str | None = None


class Accrual(Command, frozen=True, tag="accrual"):
    """A sale that earns points. Amounts are in minor units: 1250 is 12.50. `lines` add up to the amount.

    Lines are amounts, or objects with amount_minor, category and quantity. What else the till knows, rules of
    the programme may ask for: how it was paid, by which channel, `units` that it counts, a flight, an offer.
    `retries`: the reference of a request that was refused, which this one tries again.
    """

    path = "/v1/accruals"

    outlet: str
    card: str
    amount_minor: int
    currency: str
    lines: Sequence[int | Mapping[str, int | str]] | None = None
    tender: str | None = None
    channel: str | None = None
    units: Mapping[str, int] | None = None
    flight: Mapping[str, str] | None = None
    alliance_tier: str | None = None
    offer: str | None = None
    evidence: str | None = None
    choice: str | None = None
    coupons: Sequence[str] | None = None
    retries: str | None = None


class MemberEvent(Command, frozen=True, tag="event"):
    """Something that a member did, and that is no sale: the programme may give points for it."""

    path = "/v1/member-events"

    outlet: str
    card: str
    currency: str
    event: str


class Redemption(Command, frozen=True, tag="redemption"):
    """Points that pay for part of a sale: `points` of the card's member are worth `amount_minor` to you.

    What the programme asks for beside the card, by its thresholds: `code`, the six digits behind the card's
    number in the member's QR; `pin`, typed by the member; `approval`, the id of what it approved.
    `offline`: your till has accepted it without a line; what the member does not have you bear.
    `reward`: of the programme, which they are for; with what is paid in cash, or the ticket's flight.
    """

    path = "/v1/redemptions"

    outlet: str
    card: str
    points: int
    amount_minor: int
    currency: str
    lines: Sequence[int] | None = None
    category: str | None = None
    code: str | None = None
    pin: str | None = None
    approval: str | None = None
    reward: str | None = None
    cash_minor: int | None = None
    flight: Mapping[str, str] | None = None
    offline: bool = False
    guardian: str | None = None
    retries: str | None = None


class Hold(Command, frozen=True, tag="hold"):
    """Reserve points for a sale that is not final; what is not captured comes back after `minutes`."""

    path = "/v1/holds"

    outlet: str
    card: str
    points: int
    amount_minor: int
    currency: str
    minutes: int = 30
    category: str | None = None
    code: str | None = None
    pin: str | None = None
    approval: str | None = None
    guardian: str | None = None
    retries: str | None = None


class Capture(Command, frozen=True, tag="capture"):
    """Take held points in payment, all of them or part."""

    path = "/v1/captures"

    hold: str
    points: int
    amount_minor: int


class Void(Command, frozen=True, tag="void"):
    """Give back what a hold still holds."""

    path = "/v1/voids"

    hold: str


class Reversal(Command, frozen=True, tag="reversal"):
    """Undo an entry: all that is left of it, or part by `amount_minor`, `points` or `lines`."""

    path = "/v1/reversals"

    entry: str
    amount_minor: int | None = None
    points: int | None = None
    lines: Sequence[int] | None = None


class Release(Command, frozen=True, tag="release"):
    """Let the points of one of your accruals be spent: what they were pending for has come about."""

    path = "/v1/releases"

    accrual: str


class Gift(Command, frozen=True, tag="gift"):
    """A member gives points of its own to another."""

    path = "/v1/gifts"

    card: str
    to_card: str
    points: int
    guardian: str | None = None
    code: str | None = None
    pin: str | None = None
    approval: str | None = None


class Donation(Command, frozen=True, tag="donation"):
    """A member gives points of its own to a cause: a partner that takes donations, by its code."""

    path = "/v1/donations"

    card: str
    cause: str
    points: int
    guardian: str | None = None
    code: str | None = None
    pin: str | None = None
    approval: str | None = None


class Pledge(Command, frozen=True, tag="pledge"):
    """A member pledges `per_cent` of what it will earn to a cause, by its code; 0 without a cause ends it.

    `pledge`: which of those that the programme offers.
    """

    path = "/v1/pledges"

    card: str
    pledge: str
    per_cent: int
    cause: str | None = None
    guardian: str | None = None


class PlanMembership(Command, frozen=True, tag="plan_membership"):
    """A member has paid your till the fee of a paid plan; bought again while it runs, it is renewed."""

    path = "/v1/plan-memberships"

    outlet: str
    card: str
    plan: str
    amount_minor: int
    currency: str


class PlanRefund(Command, frozen=True, tag="plan_refund"):
    """A member gives a paid plan up; the answer's `amount_minor` is what you pay back."""

    path = "/v1/plan-refunds"

    membership: str


class Load(Command, frozen=True, tag="load"):
    """A member has paid your till money that it will spend later: stored value."""

    path = "/v1/loads"

    outlet: str
    card: str
    amount_minor: int
    currency: str


class Spend(Command, frozen=True, tag="spend"):
    """Stored value pays for a sale, or for part of it."""

    path = "/v1/spends"

    outlet: str
    card: str
    amount_minor: int
    currency: str


class Refund(Command, frozen=True, tag="refund"):
    """Your till pays stored value back to its member in money."""

    path = "/v1/refunds"

    outlet: str
    card: str
    amount_minor: int
    currency: str


class PoolInvitation(Command, frozen=True, tag="pool_invitation"):
    """A member asks another into its pool."""

    path = "/v1/pool-invitations"

    card: str
    to_card: str
    guardian: str | None = None


class PoolJoin(Command, frozen=True, tag="pool_join"):
    """Who was invited consents; `invitation` is the id of the invitation's entry."""

    path = "/v1/pool-joins"

    card: str
    invitation: str
    guardian: str | None = None


class PoolLeave(Command, frozen=True, tag="pool_leave"):
    """A member leaves its pool."""

    path = "/v1/pool-leaves"

    card: str
    guardian: str | None = None


class Merge(Command, frozen=True, tag="merge"):
    """Two accounts are one person's: all of `merged_card`'s member goes to `card`'s."""

    path = "/v1/merges"

    card: str
    merged_card: str


class Unmerge(Command, frozen=True, tag="unmerge"):
    """They were two people after all; `merge` is the id of the merge's entry."""

    path = "/v1/unmerges"

    merge: str


class Award(Command, frozen=True, tag="award"):
    """Points that are no sale's: to make good, by `case`; or a surprise: `points`, `staff` and `reason`."""

    path = "/v1/awards"

    card: str
    award: str
    case: str | None = None
    points: int | None = None
    staff: str | None = None
    reason: str | None = None


class Stake(Command, frozen=True, tag="stake"):
    """A member stakes points of its own on an outcome of a match, `stakes` times the game's stake."""

    path = "/v1/stakes"

    card: str
    match: str
    outcome: str
    stakes: int = 1


class Referral(Command, frozen=True, tag="referral"):
    """A new member names who referred it: `referrer_card` was a member before."""

    path = "/v1/referrals"

    card: str
    referrer_card: str


class Voucher(Command, frozen=True, tag="voucher"):
    """Turn points of a member into a voucher of the programme; the answer holds its `code`.

    What shows that the member is there, where the programme asks for it: as for a redemption.
    """

    path = "/v1/vouchers"

    card: str
    voucher: str
    points: int
    code: str | None = None
    pin: str | None = None
    approval: str | None = None
    guardian: str | None = None


class VoucherUse(Command, frozen=True, tag="voucher_use"):
    """A voucher pays for part of a basket of `amount_minor`; the answer's amount is what it is worth."""

    path = "/v1/voucher-uses"

    outlet: str
    code: str
    amount_minor: int
    currency: str


class VoucherReturn(Command, frozen=True, tag="voucher_return"):
    """Take a voucher back unused: its points are its member's again."""

    path = "/v1/voucher-returns"

    code: str


class SerialCode(Command, frozen=True, tag="serial_code"):
    """Register the code on a pack for a member, once. `channel`: web, message or voice; rules may ask."""

    path = "/v1/serial-codes"

    outlet: str
    card: str
    currency: str
    code: str
    channel: str | None = None


COMMANDS: tuple[type[Command], ...] = (
    Enrolment,
    Accrual,
    MemberEvent,
    Redemption,
    Hold,
    Capture,
    Void,
    Reversal,
    Release,
    Gift,
    Donation,
    Pledge,
    PlanMembership,
    PlanRefund,
    Load,
    Spend,
    Refund,
    PoolInvitation,
    PoolJoin,
    PoolLeave,
    Merge,
    Unmerge,
    Award,
    Stake,
    Referral,
    Voucher,
    VoucherUse,
    VoucherReturn,
    SerialCode,
)
