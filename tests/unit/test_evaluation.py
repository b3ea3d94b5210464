"""What a scheme is worth, from counts that stand here, against results worked out by hand."""

from datetime import date
from decimal import Decimal
from fractions import Fraction

import pytest

from network.experiment import Experiment, draw
from settlement.evaluation import (
    Bought,
    Group,
    NothingToCompare,
    by_month,
    effect,
    expected_spending,
    net_promoter,
    retention,
)

MAY, JUNE, JULY = date(2017, 5, 1), date(2017, 6, 1), date(2017, 7, 1)


def bought(first: date, month: date, members: int, purchases: int = 1, spent_minor: int = 100) -> Bought:
    """A cohort in a month."""
    return Bought(first=first, month=month, members=members, purchases=purchases, spent_minor=spent_minor)


COHORTS = [
    bought(MAY, MAY, 10, purchases=12, spent_minor=24_000),
    bought(MAY, JULY, 4, purchases=4, spent_minor=9_000),
    bought(JUNE, JUNE, 5, purchases=5, spent_minor=5_000),
    bought(JUNE, JULY, 1, purchases=2, spent_minor=1_001),
]


def test_the_score_is_promoters_less_detractors() -> None:
    """50 promoters, 30 passives and 20 detractors: 30, with a standard error of √(0.61 / 100)."""
    promoter = net_promoter({10: 30, 9: 20, 8: 10, 7: 20, 6: 15, 0: 5})
    assert promoter is not None
    assert (promoter.score, round(promoter.error, 4)) == (Decimal(30), Decimal("7.8102"))
    assert promoter.answers.asked == 100


def test_seven_is_no_promoter_and_six_is_a_detractor() -> None:
    """The bounds of the three groups; all alike, the error is zero; nobody, no score."""
    scores = [net_promoter({score: 3}) for score in (10, 9, 8, 7, 6, 0)]
    assert [one.score for one in scores if one is not None] == [100, 100, 0, 0, -100, -100]
    assert [one.error for one in scores if one is not None] == [0] * 6
    assert net_promoter({}) is None


def test_months_add_up_their_cohorts() -> None:
    """July: four of May and one of June, none new; six purchases for 100.01 in all."""
    months = by_month(COHORTS)
    assert [(one.month, one.members, one.new, one.purchases) for one in months] == [
        (MAY, 10, 10, 12),
        (JUNE, 5, 5, 5),
        (JULY, 5, 0, 6),
    ]
    assert (months[2].per_purchase, months[2].per_member) == (Fraction(10_001, 6), Fraction(10_001, 5))


def test_who_stays_away_for_a_month_and_returns_is_retained_then() -> None:
    """May's ten: none in June, four in July. What comes after the last whole month is not told."""
    assert [tuple(one) for one in retention(COHORTS, JULY)] == [
        (MAY, 10, [1, 0, Fraction(4, 10)]),
        (JUNE, 5, [1, Fraction(1, 5)]),
    ]
    assert [tuple(one) for one in retention(COHORTS, JUNE)] == [(MAY, 10, [1, 0]), (JUNE, 5, [1])]


def test_expected_spending_is_a_geometric_sum() -> None:
    """60 a month, and a fifth is lost each month: 60 + 48 + 38.4 + … = 300. Without an end, no sum."""
    assert expected_spending(Fraction(4, 5), Fraction(60)) == 300
    assert expected_spending(Fraction(0), Fraction(60)) == 60
    assert expected_spending(Fraction(1), Fraction(60)) is None


def group(*changes: int) -> Group:
    """A group of members who changed so."""
    squares = sum(change * change for change in changes)
    return Group(members=len(changes), changed=sum(changes), squares=squares, before_minor=0)


def test_the_effect_is_a_difference_of_means() -> None:
    """Means 4 and 1, variances 4 of three and 2 of two: 3, with an error of √(4/3 + 2/2) = 1.5275."""
    found = effect(group(2, 4, 6), group(0, 2))
    assert (found.change, round(found.error, 4)) == (Decimal(3), Decimal("1.5275"))
    assert (round(found.low, 4), round(found.high, 4)) == (Decimal("0.0061"), Decimal("5.9939"))
    assert found.is_shown
    assert not effect(group(2, 4, 6), group(1, 4)).is_shown


def test_large_sums_keep_small_differences() -> None:
    """Changes of a billion that differ by one: the variance is 1, not what is left of rounded squares."""
    assert group(10**12 - 1, 10**12, 10**12 + 1).variance() == 1


def test_a_group_of_one_compares_with_nothing() -> None:
    """Its members cannot differ from one another."""
    with pytest.raises(NothingToCompare, match="a group of 1 members"):
        effect(group(1, 2), group(5))


def test_the_draw_is_the_name_and_the_member() -> None:
    """Anybody can draw again: SHA-256 of "spring:1" and so on; another name draws others."""
    assert [draw("spring", member) for member in (1, 2, 3, 4, 5)] == [9521, 5772, 7538, 267, 8187]
    assert [draw("autumn", member) for member in (1, 2, 3)] != [9521, 5772, 7538]


def test_the_control_group_is_as_large_as_was_said() -> None:
    """Of 20,000 members 10 % are left out, give or take what chance does (2.5 standard deviations)."""
    made = Experiment(name="spring", control_bps=1_000, starts_on=MAY)
    assert abs(sum(map(made.is_control, range(20_000))) - 2_000) < 106
