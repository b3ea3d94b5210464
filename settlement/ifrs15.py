"""Deferred revenue of points by IFRS 15: allocation, recognition, and the roll-forward of periods (pure).

A sale that earns points sells two things. Its price is allocated to goods and points by their selling prices,
points at what is expected to be redeemed; the part of the points is a liability, and revenue as points are
redeemed, in proportion to all that are expected to be. Example 52 of the standard, to the unit:

    sales of 100,000 earn 10,000 points; 9,500 are expected to be redeemed, at a selling price of 1 each
    allocated: goods 91,324, points 8,676
    first year: 4,500 redeemed of 9,500 expected: revenue 4,110, liability 4,566
    second: 8,500 redeemed so far of 9,700 now expected: revenue 3,493, liability 1,073

What is recognised goes by cumulative figures, rounded half-up, so that no unit is lost over the periods.
Source: IFRS 15, paragraphs 74, B39 to B47, and IE267 to IE270.
"""

from collections.abc import Iterable, Sequence
from fractions import Fraction

import msgspec

from settlement.errors import SettlementError


class EstimateImpossible(SettlementError):
    """Figures of a cohort that contradict one another."""


class Allocation(msgspec.Struct, frozen=True):
    """The price of a sale, in minor units, between its goods and its points."""

    goods_minor: int
    points_minor: int


class CohortPeriod(msgspec.Struct, frozen=True, kw_only=True):
    """One period of points that share an expectation. Points are of the period; the estimate is at its end.

    `issued` and `allocated_minor`: less what returned sales took back, so a period's may be below zero.
    `lapsed`: points that ended without redemption.
    `expected_later`: points of what is outstanding at the end that are expected to be redeemed later.
    """

    issued: int
    redeemed: int
    lapsed: int
    allocated_minor: int
    expected_later: Fraction


class Movement(msgspec.Struct, frozen=True, kw_only=True):
    """A line of the roll-forward: closing = opening + allocated - recognised - catch_up - lapsed.

    All in minor units. `recognised`: for points redeemed. `catch_up`: revenue of earlier periods made right
    by a new estimate; below zero where it had been too much. `lapsed`: what was left of points of which no
    redemption is expected any more, most of them lapsed.
    """

    opening: int = 0
    allocated: int = 0
    recognised: int = 0
    catch_up: int = 0
    lapsed: int = 0
    closing: int = 0


def allocate(sales_minor: int, points_selling_price: Fraction) -> Allocation:
    """Share the price of sales between goods and points, half-up; together they are the price.

    Args:
        sales_minor: What customers paid; goods sell for that by themselves.
        points_selling_price: Points expected to be redeemed times the selling price of one, in minor units.
    Raises:
        EstimateImpossible: one of them is below zero.
    """
    if sales_minor < 0 or points_selling_price < 0:
        raise EstimateImpossible(
            f"{sales_minor} of sales with points worth {points_selling_price}: none is < 0"
        )
    if not points_selling_price:
        return Allocation(sales_minor, 0)
    points = _half_up(Fraction(sales_minor) * points_selling_price / (sales_minor + points_selling_price))
    return Allocation(sales_minor - points, points)


def roll_forward(periods: Iterable[CohortPeriod]) -> list[Movement]:
    """The liability of one cohort over its periods, in order.

    A new estimate changes what was recognised before (catch_up), then the period's points are recognised by
    it. Where no redemption is expected any more, the period's are recognised by the estimate that was, and
    what is left has `lapsed`.

    Raises:
        EstimateImpossible: more points ended than were issued, or more are expected than are outstanding.
    """
    issued = redeemed = lapsed = allocated = 0
    recognised = opening = 0
    rate = Fraction(0)
    lines = []
    for number, period in enumerate(periods):
        issued_before, redeemed_before, allocated_before = issued, redeemed, allocated
        issued, redeemed = issued + period.issued, redeemed + period.redeemed
        lapsed, allocated = lapsed + period.lapsed, allocated + period.allocated_minor
        outstanding = issued - redeemed - lapsed
        if outstanding < 0 or not 0 <= period.expected_later <= outstanding:
            raise EstimateImpossible(
                f"period {number}: {issued} issued, {redeemed} redeemed and {lapsed} lapsed leave "
                f"{outstanding}, of which {period.expected_later} are expected"
            )
        new_rate = Fraction(redeemed + period.expected_later, issued) if issued else Fraction(0)
        if period.expected_later:
            restated = _earned(allocated_before, redeemed_before, issued_before, new_rate)
            earned = total = _earned(allocated, redeemed, issued, new_rate)
        else:
            restated, total = recognised, allocated
            # of a cohort that had ended before, what still comes is revenue at once
            over = recognised and not opening
            earned = total if over else _earned(allocated, redeemed, issued, rate or new_rate)
        lines.append(
            Movement(
                opening=opening,
                allocated=period.allocated_minor,
                recognised=earned - restated,
                catch_up=restated - recognised,
                lapsed=total - earned,
                closing=allocated - total,
            )
        )
        recognised, opening, rate = total, allocated - total, new_rate
    return lines


def add_up(columns: Iterable[Sequence[Movement]]) -> list[Movement]:
    """Several roll-forwards over the same periods as one."""
    names = Movement.__struct_fields__
    return [
        Movement(**{name: sum(getattr(one, name) for one in lines) for name in names})
        for lines in zip(*columns, strict=True)
    ]


def _earned(allocated: int, redeemed: int, issued: int, rate: Fraction) -> int:
    """What redeemed points have earned of what was allocated to all; no more than that."""
    expected = issued * rate
    return min(allocated, _half_up(allocated * redeemed / expected)) if expected else 0


def _half_up(amount: Fraction) -> int:
    """The nearest whole unit; a half goes away from zero."""
    sign = -1 if amount < 0 else 1
    return sign * ((2 * abs(amount.numerator) + amount.denominator) // (2 * amount.denominator))
