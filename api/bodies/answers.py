"""What an entry looks like to partners."""

from collections.abc import Sequence
from datetime import UTC, datetime

import msgspec

from network import ids
from network.model import MONEY, AccountKind, Entry, EntryKind, Posting, Unit
from network.outcomes import Minted, Reply, VoucherState
from network.service import date_of_window

_OF_HOLDS = frozenset({EntryKind.CAPTURE, EntryKind.VOID, EntryKind.HOLD_LAPSE})
"""What names its hold; whose voucher was used or has ended is nobody else's business."""


class EntryBody(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An entry as partners see it. `points` is signed as it changed the balance; `balance` is after it.

    What is zero or does not apply is left out.
    `pooled`: what it took from other members' points (-) or gave back to them (+), on top of `points`: those
    of the pool, or of whom the member was merged into.
    `pending`: what it set aside until an event, or (-) let go.
    `cured`: points that the member owed before it: what it credited has paid them, or a merge took them over.
    `owed`: points that it could not take back, or took over, and that the member owes after it.
    `offline`: a till had accepted it without a line; `shortfall`: points that were not there, which you bear.
    `discount_minor`: what the sale's till takes off; in the answer to the sale only.
    `status_points`: those that it gave or (-) took back; they make tiers and cannot be spent.
    `value_minor`: stored value that it loaded, gave back, or (-) spent or paid back, in minor units of
    `currency`; `bonus_minor`: the same of what was given on top of loads.
    `plan_from`, `plan_until`: of a paid plan, the days that were paid for, or (of its end) paid back.
    `parent`: the entry of another member that a transfer belongs to. `invitation`: what a member joined by.
    `accrual`: whose pending points a release let go.
    `voucher`: which one it made, with its `code`, worth `amount_minor` from `valid_from` to `valid_until`.
    """

    id: str
    kind: str
    reference: str
    points: int
    balance: int
    occurred_at: datetime
    recorded_at: datetime
    business_date: str
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
    plan_from: str | None = None
    plan_until: str | None = None
    discount_minor: int = 0
    member: str | None = None
    card: str | None = None
    voucher: str | None = None
    code: str | None = None
    valid_from: str | None = None
    valid_until: str | None = None


def show_entry(
    entry: Entry,
    postings: Sequence[Posting] = (),
    enrolled: Minted | None = None,
    asked: int | None = None,
    discount_minor: int = 0,
    voucher: VoucherState | None = None,
    code: str = "",
) -> EntryBody:
    """An entry's public form; an enrolment shows the member and the card it made, a voucher its `code`.

    `asked`: the points that an offline redemption was for. `discount_minor`: what a sale's till takes off.
    """
    moved = _Moved.of(postings)
    aside = None if entry.hold_id is None else ids.show("ent", entry.hold_id)
    is_release = entry.kind is EntryKind.RELEASE
    of_hold = entry.kind in _OF_HOLDS
    return EntryBody(
        id=ids.show("ent", entry.entry_id),
        kind=entry.kind.name.lower(),
        reference=entry.reference,
        points=entry.points,
        balance=entry.balance_after,
        occurred_at=entry.occurred_at.astimezone(UTC),
        recorded_at=entry.recorded_at.astimezone(UTC),
        business_date=date_of_window(entry.window_id).isoformat(),
        outlet=entry.outlet_code,
        amount_minor=entry.amount_minor if entry.currency else None,
        currency=entry.currency,
        reverses=ids.show("ent", entry.reverses) if entry.reverses else None,
        hold=aside if of_hold else None,
        accrual=aside if is_release else None,
        **_belongs(entry),
        pooled=moved.pooled,
        pending=moved.pending,
        cured=moved.cured,
        owed=moved.owed,
        offline=asked is not None,
        shortfall=0 if asked is None else asked - sum(p.points for p in postings),
        status_points=moved.status,
        value_minor=moved.value,
        bonus_minor=moved.bonus,
        **_period(postings),
        discount_minor=discount_minor,
        member=ids.show("mbr", enrolled.public_id) if enrolled and enrolled.public_id else None,
        card=str(enrolled.card_number) if enrolled else None,
        **({} if voucher is None or not code else _paper(voucher, code)),
    )


def _paper(voucher: VoucherState, code: str) -> dict[str, str]:
    """What stands on a voucher."""
    days = {"valid_from": voucher.starts_on.isoformat(), "valid_until": voucher.ends_on.isoformat()}
    return {"voucher": voucher.name, "code": code, **days}


def _belongs(entry: Entry) -> dict[str, str]:
    """What an entry's parent is to it."""
    if entry.parent_id is None:
        return {}
    name = "invitation" if entry.kind is EntryKind.POOL_JOIN else "parent"
    return {name: ids.show("ent", entry.parent_id)}


def _period(postings: Sequence[Posting]) -> dict[str, str]:
    """The days that a fee is for."""
    fee = next((one for one in postings if one.unit is Unit.FEE), None)
    if fee is None:
        return {}
    return {"plan_from": fee.spendable_on.isoformat(), "plan_until": fee.expires_on.isoformat()}


def show_reply(reply: Reply) -> EntryBody | str:
    """The entry's public form, or the code of the refusal."""
    if isinstance(reply.outcome, Entry):
        return show_entry(
            reply.outcome,
            reply.postings,
            reply.enrolled,
            reply.asked,
            reply.discount_minor,
            reply.voucher,
            reply.code,
        )
    return reply.outcome.reason


class _Moved(msgspec.Struct):
    """What an entry's postings moved beside the member's own points."""

    pooled: int = 0
    pending: int = 0
    cured: int = 0
    owed: int = 0
    status: int = 0
    value: int = 0
    bonus: int = 0

    @classmethod
    def of(cls, postings: Sequence[Posting]) -> "_Moved":
        """Sums over postings. Between two members points pass through TRANSIT."""
        moved = cls()
        for one in postings:
            if one.unit is Unit.STATUS:
                moved.status += _signed(one, AccountKind.MEMBER)
                continue
            if one.unit in MONEY:
                change = _signed(one, AccountKind.MEMBER) + _signed(one, AccountKind.TRANSIT)
                moved.value += change if one.unit is Unit.VALUE else 0
                moved.bonus += change if one.unit is Unit.BONUS else 0
                continue
            if one.contributor_id is not None:
                moved.pooled += _signed(one, AccountKind.TRANSIT)
            moved.pending += _signed(one, AccountKind.PENDING)
            if one.credit is AccountKind.DEFICIT:
                moved.cured += one.points
            elif one.debit is AccountKind.DEFICIT:
                moved.owed += one.points
        return moved


def _signed(posting: Posting, account: AccountKind) -> int:
    """What a posting adds to an account, or (-) takes from it."""
    if posting.credit is account:
        return posting.points
    return -posting.points if posting.debit is account else 0
