"""What a scheme is worth, from counts and sums of what its members did (pure).

- **Net promoter score**: of answers from 0 to 10, the percentage of 9 and 10 less that of 0 to 6.
- **Retention**: of the members who first bought in a month, the part that buys in a later one.
- **Churn**: of the members who bought in a month, the part that bought nothing in the three months after it.
- **Value**: what a member is expected to spend: its spending in a month it buys in, times the months it is
  expected to go on, 1 / (1 - r), with r the part that stays from one month to the next.
- **Effect**: what the scheme changed against a control group, as a difference of differences: how the members
  who had it changed, less how those changed who had not, with its standard error (Welch's).
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from decimal import Context, Decimal, localcontext
from fractions import Fraction
from typing import NamedTuple

import msgspec

from settlement.errors import SettlementError
from settlement.money import ZERO

QUIET_MONTHS = 3
"""Who buys nothing for so many whole months is lost."""
_ESTIMATE = Context(prec=34)
_NORMAL_95 = Decimal("1.96")


class NothingToCompare(SettlementError):
    """A group has fewer than two members: nothing can be said of how its members differ."""


class Answers(msgspec.Struct, frozen=True, kw_only=True):
    """How many gave 9 or 10, 7 or 8, and 0 to 6."""

    promoters: int
    passives: int
    detractors: int

    @property
    def asked(self) -> int:
        """Who answered."""
        return self.promoters + self.passives + self.detractors


class NetPromoter(msgspec.Struct, frozen=True, kw_only=True):
    """The score, from -100 to 100, and its standard error, in points of the score."""

    answers: Answers
    score: Decimal
    error: Decimal


class Bought(msgspec.Struct, frozen=True, kw_only=True):
    """Members who first bought in `first` and bought in `month`: how many, their purchases, their spending.

    Months are by their first day; `spent_minor` is less what they returned in that month.
    """

    first: date
    month: date
    members: int
    purchases: int
    spent_minor: int


class Month(msgspec.Struct, frozen=True, kw_only=True):
    """A month of the scheme: who bought, who of them for the first time, how often, for how much."""

    month: date
    members: int
    new: int
    purchases: int
    spent_minor: int

    @property
    def per_purchase(self) -> Fraction:
        """Average spending of a purchase, in minor units."""
        return Fraction(self.spent_minor, self.purchases) if self.purchases else Fraction(0)

    @property
    def per_member(self) -> Fraction:
        """Average spending of a member who bought, in minor units."""
        return Fraction(self.spent_minor, self.members) if self.members else Fraction(0)


class Group(msgspec.Struct, frozen=True, kw_only=True):
    """The changes of a group's members: how many members, the changes' sum, and the sum of their squares.

    A change is a member's spending after the beginning less that in as many days before it, in minor units.
    `before_minor`: what all of them spent before.
    """

    members: int
    changed: int
    squares: int
    before_minor: int

    def mean(self) -> Decimal:
        """A member's change, on average."""
        return Decimal(self.changed) / self.members

    def variance(self) -> Decimal:
        """Of the members' changes, as of a sample.

        Raises:
            NothingToCompare: it is not a sample.
        """
        if self.members < 2:
            raise NothingToCompare(f"a group of {self.members} members: a comparison needs two in each")
        # exact until the last division, so that large sums do not eat the difference
        spread = self.members * self.squares - self.changed**2
        return Decimal(spread) / (self.members * (self.members - 1))


class Effect(msgspec.Struct, frozen=True, kw_only=True):
    """What having the scheme changed, a member, in minor units; `low` and `high` are the 95 % interval."""

    treated: Group
    control: Group
    change: Decimal
    error: Decimal

    @property
    def low(self) -> Decimal:
        """The lower end of the interval."""
        return self.change - _NORMAL_95 * self.error

    @property
    def high(self) -> Decimal:
        """Its upper end."""
        return self.change + _NORMAL_95 * self.error

    @property
    def is_shown(self) -> bool:
        """Whether the interval leaves out that nothing changed."""
        return not self.low <= 0 <= self.high


def net_promoter(scores: Mapping[int, int]) -> NetPromoter | None:
    """The net promoter score.

    Args:
        scores: How many gave each answer, 0 to 10.
    Returns:
        The score, or None where nobody answered.
    Source: promoters give 9 or 10, detractors 0 to 6; the error is that of a mean of +1, 0 and -1.
    """
    promoters = sum(count for score, count in scores.items() if score >= 9)
    detractors = sum(count for score, count in scores.items() if score <= 6)
    asked = sum(scores.values())
    if not asked:
        return None
    with localcontext(_ESTIMATE):
        balance = Decimal(promoters - detractors) / asked
        variance = Decimal(promoters + detractors) / asked - balance**2
        error = 100 * (max(variance, ZERO) / asked).sqrt()
    return NetPromoter(
        answers=Answers(promoters=promoters, passives=asked - promoters - detractors, detractors=detractors),
        score=100 * balance,
        error=error,
    )


def by_month(bought: Iterable[Bought]) -> list[Month]:
    """Months in order, all cohorts together."""
    months: dict[date, list[Bought]] = {}
    for one in bought:
        months.setdefault(one.month, []).append(one)
    return [
        Month(
            month=month,
            members=sum(one.members for one in found),
            new=sum(one.members for one in found if one.first == month),
            purchases=sum(one.purchases for one in found),
            spent_minor=sum(one.spent_minor for one in found),
        )
        for month, found in sorted(months.items())
    ]


def months_between(first: date, later: date) -> int:
    """Whole months from one month to another."""
    return (later.year - first.year) * 12 + later.month - first.month


class Cohort(NamedTuple):
    """Members who first bought in a month, and the part of them that bought so many months later."""

    first: date
    members: int
    stayed: Sequence[Fraction]


def retention(bought: Iterable[Bought], through: date) -> list[Cohort]:
    """Of each month's new members, the part that bought 0, 1, 2, … months later.

    Args:
        bought: Counts by cohort and month.
        through: The last month that is over; what comes after it is not known yet.
    """
    cohorts: dict[date, dict[int, int]] = {}
    for one in bought:
        if one.month <= through:
            cohorts.setdefault(one.first, {})[months_between(one.first, one.month)] = one.members
    return [
        Cohort(
            first,
            counts[0],
            [Fraction(counts.get(age, 0), counts[0]) for age in range(months_between(first, through) + 1)],
        )
        for first, counts in sorted(cohorts.items())
        if counts.get(0)
    ]


def expected_spending(stays: Fraction, monthly: Fraction) -> Fraction | None:
    """What a member who buys now is expected to spend, this month included, in the unit of `monthly`.

    Args:
        stays: The part of a month's members that is not lost from one month to the next, 0 to 1.
        monthly: What a member spends in a month it buys in.
    Returns:
        None where nobody is ever lost: then there is no end to it.
    """
    return None if stays >= 1 else monthly / (1 - stays)


def effect(treated: Group, control: Group) -> Effect:
    """What the scheme changed: the mean change of who had it less that of who did not.

    Raises:
        NothingToCompare: a group has fewer than two members.
    """
    with localcontext(_ESTIMATE):
        variance = treated.variance() / treated.members + control.variance() / control.members
        return Effect(
            treated=treated,
            control=control,
            change=treated.mean() - control.mean(),
            error=variance.sqrt(),
        )
