"""What the demo must come to, worked out from the purchases alone: plain sums, nothing of the ledger.

Of each household only totals are told. Which of two lots that expire alike is drawn first decides whose
points are spent, and not how many.
"""

from calendar import monthrange
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import date, timedelta

import msgspec

from api.demo.dataset import COUPON_POINTS, Shopping
from api.demo.errors import ProgrammeTooRich
from network.programme.spec import EarnRuleSpec, ProgrammeSpec

_SATURDAY = 5


class Expected(msgspec.Struct, frozen=True, kw_only=True):
    """Coupons accepted and refused, points in all, and what each household has left.

    `expired_last`: the part of `expired` that went in the last night. What expires in a night is booked in
    the window that it opens; the last of these is not settled, and in no report.
    """

    accepted: int
    refused: int
    issued: int
    expired: int
    expired_last: int = 0
    balances: Mapping[int, int]

    @property
    def redeemed(self) -> int:
        """Points that the accepted coupons cost."""
        return self.accepted * COUPON_POINTS

    @property
    def outstanding(self) -> int:
        """Points that nobody has spent yet and that live."""
        return sum(self.balances.values())


def expect(
    shopping: Shopping, dates: Sequence[date], programme: ProgrammeSpec, partner_ids: Mapping[str, int]
) -> Expected:
    """Go through the purchases day by day: coupons, then sales, then what expires in the night.

    A household's points are kept by the day they expire; a coupon takes those that expire first, or is
    refused whole. The programme's points must be spendable at once (none pending) and live by months.

    Args:
        shopping: The purchases.
        dates: Business dates that are replayed, in order.
        programme: What sales earn, and how many months points live.
        partner_ids: Partner id by code.
    Raises:
        ProgrammeTooRich: the programme's points live by another rule.
    """
    months = programme.expiry.months
    if programme.expiry.rule != "months" or months is None or programme.expiry.tier:
        raise ProgrammeTooRich("the demo's programme must let all points expire by months: see [expiry]")
    if programme.earn is None or programme.rule or programme.tier:
        raise ProgrammeTooRich("the demo's programme must earn by [earn] alone")
    default = programme.earn.default
    rules = {partner_ids[code]: rule for code, rule in programme.earn.partner.items()}
    lots: dict[int, defaultdict[date, int]] = {one: defaultdict(int) for one in shopping.households}
    accepted = refused = issued = expired = tonight = 0
    for on in dates:
        for coupon in shopping.days[on].coupons:
            if _take(lots[coupon.household], COUPON_POINTS):
                accepted += 1
            else:
                refused += 1
        expires_on = _month_end(on, months)
        for sale in shopping.days[on].sales:
            points = _points(rules.get(sale.partner_id, default), sale.amount_minor, on)
            lots[sale.household][expires_on] += points
            issued += points
        tomorrow = on + timedelta(days=1)
        # points expire at the end of a month
        tonight = sum(_expire(one, tomorrow) for one in lots.values()) if tomorrow.day == 1 else 0
        expired += tonight
    return Expected(
        accepted=accepted,
        refused=refused,
        issued=issued,
        expired=expired,
        expired_last=tonight,
        balances={household: sum(one.values()) for household, one in lots.items()},
    )


def _points(rule: EarnRuleSpec, amount_minor: int, on: date) -> int:
    times = rule.weekend_multiplier if on.weekday() >= _SATURDAY else 1
    return amount_minor // rule.step_minor * rule.points_per_step * times


def _month_end(on: date, months: int) -> date:
    """The end of the month so many months after this one."""
    years, month = divmod(on.month - 1 + months, 12)
    return date(on.year + years, month + 1, monthrange(on.year + years, month + 1)[1])


def _take(lots: defaultdict[date, int], points: int) -> bool:
    """Take points, those first that expire first; nothing where there are not enough."""
    if sum(lots.values()) < points:
        return False
    for expires_on in sorted(lots):
        taken = min(points, lots[expires_on])
        lots[expires_on] -= taken
        points -= taken
    return True


def _expire(lots: defaultdict[date, int], today: date) -> int:
    """Drop what expired before today; how much it was."""
    return sum(lots.pop(expires_on) for expires_on in sorted(lots) if expires_on < today)
