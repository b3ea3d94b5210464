"""Eisenberg-Noe clearing vectors: the published networks, ranks, and networks that have several vectors."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from fractions import Fraction

import pytest

from settlement.clearing_vector import greatest_clearing
from settlement.errors import DebtBelowZero


def totals(
    debts: Sequence[tuple[int, int, int | Fraction, int]], means: Mapping[int, int | Fraction]
) -> dict[int, Fraction]:
    """What each debtor pays in all."""
    paid: dict[int, Fraction] = {}
    for one in greatest_clearing(debts, means):
        paid[one.debtor] = paid.get(one.debtor, Fraction(0)) + one.paid
    return paid


def test_published_network_of_three() -> None:
    """L = [[0,10,10],[20,0,30],[40,0,0]] and means 5, 30, 0: payments 20, 40, 34."""
    debts = [(1, 2, 10, 0), (1, 3, 10, 0), (2, 1, 20, 0), (2, 3, 30, 0), (3, 1, 40, 0)]
    assert totals(debts, {1: 5, 2: 30, 3: 0}) == {1: 20, 2: 40, 3: 34}


def test_published_network_by_shares() -> None:
    """Debts of 1 each, shares [[0,1/2,1/2],[1,0,0],[0,1,0]] and means .2, .1, 0: payments 1, 1, 1/2."""
    half = Fraction(1, 2)
    debts: list[tuple[int, int, int | Fraction, int]] = [
        (1, 2, half, 0),
        (1, 3, half, 0),
        (2, 1, 1, 0),
        (3, 2, 1, 0),
    ]
    means: dict[int, int | Fraction] = {1: Fraction(1, 5), 2: Fraction(1, 10), 3: 0}
    assert totals(debts, means) == {1: 1, 2: 1, 3: half}


def test_of_many_vectors_the_greatest_is_taken() -> None:
    """Two who owe one another 10 and have nothing: paying nothing clears too, and 4 does, and 10 is right."""
    assert totals([(1, 2, 10, 0), (2, 1, 10, 0)], {1: 0, 2: 0}) == {1: 10, 2: 10}


def test_a_circle_that_loses_to_others_runs_dry() -> None:
    """The same two, and 1 also owes 9 a little, of the same rank: each round less is left."""
    assert totals([(1, 2, 10, 0), (2, 1, 10, 0), (1, 9, 1, 0)], {1: 0, 2: 0}) == {1: 0, 2: 0}


def test_a_circle_that_pays_a_higher_rank_goes_down_to_what_comes_in() -> None:
    """1 pays 9 first; where nothing comes in the circle cannot go on, with 2 from outside 9 gets these 2."""
    debts: list[tuple[int, int, int | Fraction, int]] = [(1, 2, 10, 1), (2, 1, 10, 1), (1, 9, 5, 0)]
    assert totals(debts, {1: 0, 2: 0}) == {1: 0, 2: 0}
    assert totals(debts, {1: 2, 2: 0}) == {1: 2, 2: 0}
    assert totals(debts, {1: 5, 2: 0}) == {1: 15, 2: 10}


def test_ranks_are_paid_one_after_another() -> None:
    """7 against 4 of the first rank and 12 of the second: 4, then 1 and 2 of 4 and 8."""
    payments = greatest_clearing([("D", "F", 4, 0), ("D", "A", 4, 1), ("D", "B", 8, 1)], {"D": 7})
    assert [(one.creditor, one.rank, int(one.owed), int(one.paid)) for one in payments] == [
        ("A", 1, 4, 1),
        ("B", 1, 8, 2),
        ("F", 0, 4, 4),
    ]
    payments = greatest_clearing([("D", "F", 4, 0), ("D", "G", 2, 0), ("D", "A", 4, 1)], {"D": 3})
    assert [(one.creditor, int(one.paid)) for one in payments] == [("A", 0), ("F", 2), ("G", 1)]


def test_a_rank_that_gets_nothing_takes_nothing() -> None:
    """1 cannot even pay its first rank, so 2 gets nothing from it; it is not made to give back."""
    assert totals([(1, 9, 5, 0), (1, 2, 4, 1), (2, 9, 10, 1)], {1: 1, 2: 5}) == {1: 1, 2: 5}


def test_who_has_no_means_given_pays_all() -> None:
    """B pays in full whatever D does; D has what B pays it."""
    payments = greatest_clearing([("D", "B", 10, 0), ("B", "D", 3, 0), ("B", "A", 100, 0)], {"D": 1})
    assert [(one.debtor, one.creditor, int(one.paid)) for one in payments] == [
        ("B", "A", 100),
        ("B", "D", 3),
        ("D", "B", 4),
    ]


def test_amounts_stay_exact() -> None:
    """A third is a third; decimals are taken as they are written."""
    payments = greatest_clearing([("D", who, Decimal("0.1"), 0) for who in "ABC"], {"D": Decimal("0.1")})
    assert {one.paid for one in payments} == {Fraction(1, 30)}
    assert sum(one.paid for one in payments) == Fraction(1, 10)


def test_nothing_is_nothing() -> None:
    """No debts, debts of zero, debts to oneself and means of strangers make no payment."""
    assert greatest_clearing([("A", "B", 0, 0), ("A", "A", 5, 0)], {"A": 0, "Z": 9}) == ()


def test_amounts_below_zero_are_refused() -> None:
    """A debt turned round and means below zero would break every law: they are named."""
    with pytest.raises(DebtBelowZero, match="turn debtor and creditor round"):
        greatest_clearing([("A", "B", -1, 0)], {})
    with pytest.raises(DebtBelowZero, match="means are below zero"):
        greatest_clearing([("A", "B", 1, 0)], {"A": -1})
