"""Deferred revenue of points: example 52 of the standard, and what a roll-forward must always obey."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from settlement.ifrs15 import (
    Allocation,
    CohortPeriod,
    EstimateImpossible,
    Movement,
    add_up,
    allocate,
    roll_forward,
)


def period(
    issued: int = 0, redeemed: int = 0, lapsed: int = 0, allocated: int = 0, later: int | Fraction = 0
) -> CohortPeriod:
    """One period of a cohort."""
    return CohortPeriod(
        issued=issued,
        redeemed=redeemed,
        lapsed=lapsed,
        allocated_minor=allocated,
        expected_later=Fraction(later),
    )


def test_example_52() -> None:
    """Sales of 100,000, 10,000 points: every figure of the standard, catch-up of the second year included."""
    assert allocate(100_000, Fraction(9_500)) == Allocation(91_324, 8_676)
    first, second = roll_forward(
        [
            period(issued=10_000, redeemed=4_500, allocated=8_676, later=5_000),
            period(redeemed=4_000, later=1_200),
        ]
    )
    assert first == Movement(allocated=8_676, recognised=4_110, closing=4_566)
    assert second == Movement(opening=4_566, recognised=3_578, catch_up=-85, closing=1_073)
    assert second.recognised + second.catch_up == 3_493


def test_a_cohort_that_ends_leaves_nothing() -> None:
    """Half was expected and a quarter redeemed; when the rest lapses, what is left becomes revenue."""
    lines = roll_forward(
        [
            period(issued=1_000, allocated=500, later=500),
            period(redeemed=250, later=250),
            period(lapsed=750),
            period(),
        ]
    )
    assert lines == [
        Movement(allocated=500, closing=500),
        Movement(opening=500, recognised=250, closing=250),
        Movement(opening=250, lapsed=250),
        Movement(),
    ]
    assert roll_forward([period(issued=7, allocated=7, later=7), period(lapsed=7), period()]) == [
        Movement(allocated=7, closing=7),
        Movement(opening=7, lapsed=7),
        Movement(),
    ]


def test_more_is_redeemed_than_was_expected() -> None:
    """Revenue never exceeds what was allocated."""
    lines = roll_forward([period(issued=100, allocated=90, later=50), period(redeemed=90, lapsed=10)])
    assert lines[-1] == Movement(opening=90, recognised=90)


def test_a_sale_that_is_returned_takes_its_part_back() -> None:
    """Points and their money leave together; what stays is priced as before."""
    lines = roll_forward(
        [period(issued=200, allocated=100, later=200), period(issued=-100, allocated=-50, later=100)]
    )
    assert lines[-1] == Movement(opening=100, allocated=-50, closing=50)


def test_sales_without_points_or_price() -> None:
    """Points worth nothing get nothing; a gift's points can be allocated nothing."""
    assert allocate(500, Fraction(0)) == Allocation(500, 0)
    assert allocate(0, Fraction(7)) == Allocation(0, 0)
    with pytest.raises(EstimateImpossible):
        allocate(-1, Fraction(7))


@pytest.mark.parametrize(
    "impossible",
    [period(issued=1, redeemed=2), period(issued=2, later=3), period(issued=2, later=-1), period(lapsed=1)],
)
def test_figures_that_contradict_one_another(impossible: CohortPeriod) -> None:
    """More ended than was issued, or more is expected than is out: no figure is better than a false one."""
    with pytest.raises(EstimateImpossible):
        roll_forward([impossible])


def test_cohorts_add_up() -> None:
    """Period by period, column by column."""
    one = [Movement(allocated=5, closing=5), Movement(opening=5, recognised=2, closing=3)]
    assert add_up([one, one]) == [
        Movement(allocated=10, closing=10),
        Movement(opening=10, recognised=4, closing=6),
    ]


@st.composite
def lives(draw: st.DrawFn) -> list[CohortPeriod]:
    """A cohort from its first point to its last."""
    periods = []
    outstanding = 0
    for _ in range(draw(st.integers(1, 6))):
        issued = draw(st.integers(0, 10_000))
        outstanding += issued
        redeemed = draw(st.integers(0, outstanding))
        outstanding -= redeemed
        lapsed = draw(st.integers(0, outstanding))
        outstanding -= lapsed
        periods.append(
            period(
                issued=issued,
                redeemed=redeemed,
                lapsed=lapsed,
                allocated=draw(st.integers(0, 2 * issued)),
                later=draw(st.integers(0, outstanding)),
            )
        )
    return [*periods, period(lapsed=outstanding)]


@given(lives())
def test_laws(periods: list[CohortPeriod]) -> None:
    """Each line adds up and begins where the last one ended; in the end all of it has become revenue."""
    lines = roll_forward(periods)
    before = 0
    for line, given_one in zip(lines, periods, strict=True):
        assert line.opening == before
        assert line.allocated == given_one.allocated_minor
        assert line.closing == line.opening + line.allocated - line.recognised - line.catch_up - line.lapsed
        assert line.closing >= 0
        before = line.closing
    assert before == 0
    revenue = sum(line.recognised + line.catch_up + line.lapsed for line in lines)
    assert revenue == sum(one.allocated_minor for one in periods)
