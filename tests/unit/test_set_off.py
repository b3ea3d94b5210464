"""Debts struck out in circles: published figures, and what is never done."""

from decimal import Decimal

from settlement.netting import multilateral_positions
from settlement.set_off import Circle, set_off

PUBLISHED = [
    (pair[0], pair[1], Decimal(amount))
    for pair, amount in (
        *(("AB", 250), ("AC", 50), ("AD", 250), ("BA", 300), ("BC", 150), ("BD", 300)),
        *(("CA", 270), ("CB", 230), ("CD", 400), ("DA", 600), ("DB", 500), ("DC", 300)),
    )
]


def test_a_circle_of_three_is_struck_out() -> None:
    """The smallest of the three debts goes from all three; what is left is no circle."""
    off = set_off([("C", "A", Decimal(9)), ("A", "B", Decimal(5)), ("B", "C", Decimal("7.25"))])
    assert off.circles == (Circle(debtors=("A", "B", "C"), amount=Decimal(5)),)
    assert off.left == {("B", "C"): Decimal("2.25"), ("C", "A"): Decimal(4)}
    assert off.before == {("A", "B"): Decimal(5), ("B", "C"): Decimal("7.25"), ("C", "A"): Decimal(9)}


def test_the_published_case_is_left_with_what_the_hub_would_move() -> None:
    """Of 3600 gross 850 are left, as little as through a hub, and nobody stands between."""
    off = set_off(PUBLISHED)
    assert off.left == {("C", "A"): 270, ("C", "B"): 130, ("D", "A"): 350, ("D", "B"): 100}
    assert sum(off.left.values()) == 850
    assert sum(circle.amount * len(circle.debtors) for circle in off.circles) == 3600 - 850
    positions = multilateral_positions((*pair, amount) for pair, amount in off.left.items())
    assert positions == {"A": 620, "B": 230, "C": -400, "D": -450}


def test_a_debt_may_serve_better_than_its_own_pair() -> None:
    """By pairs first, 10 would be left; A's debt to B need not shrink, and then C's two debts go: 8."""
    debts = [("A", "B", 10), ("B", "A", 4), ("A", "C", 2), ("C", "B", 2)]
    off = set_off([(debtor, creditor, Decimal(amount)) for debtor, creditor, amount in debts])
    assert off.left == {("A", "B"): Decimal(8)}


def test_what_is_in_no_circle_stays() -> None:
    """A chain is left as it is: to shorten it, somebody would have to owe a stranger."""
    chain = [("A", "B", Decimal(5)), ("B", "C", Decimal(5)), ("C", "D", Decimal(5))]
    off = set_off(chain)
    assert (off.left, off.circles) == ({(debtor, creditor): Decimal(5) for debtor, creditor, _ in chain}, ())


def test_odd_debts_are_understood() -> None:
    """A debt to oneself is none, one below zero is owed the other way, doubles are added."""
    off = set_off(
        [
            *(("A", "A", Decimal(9)), ("A", "B", Decimal(-3)), ("A", "B", Decimal(1))),
            *(("B", "A", Decimal("0.00000001")), ("C", "D", Decimal(0))),
        ]
    )
    assert off.left == {("B", "A"): Decimal("2.00000001")}
    empty = set_off(list[tuple[str, str, Decimal]]())
    assert (empty.before, empty.left, empty.circles) == ({}, {}, ())


def test_a_long_circle_and_many_participants_are_no_trouble() -> None:
    """Fifty thousand in one circle: nothing here recurses."""
    count = 50_000
    off = set_off([(one, (one + 1) % count, Decimal("0.01")) for one in range(count)])
    assert (len(off.circles), off.left) == (1, {})
