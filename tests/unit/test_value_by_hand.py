"""The naive model of stored value against cases worked out by hand from docs/stored-value.md."""

from datetime import timedelta
from typing import Any

from tests.laws.book import NEVER, Answer
from tests.laws.world import CURRENCY, OUTLET
from tests.unit.test_model_by_hand import Hand

PETROL = 12
"""Gives 0.90 on top of loads from 10.00 on; who took the money gives 5.00 from 40.00 on."""


def till(hand: Hand, kind: str, member: int, minor: int, partner_id: int = 11) -> Answer:
    """Money at a till."""
    where = {"outlet_code": OUTLET, "currency": CURRENCY, "card_number": member, "amount_minor": minor}
    return hand.do(kind, member, partner_id, **where)


def flows(hand: Hand, answer: Answer) -> list[tuple[Any, ...]]:
    """Debit, credit, minor units, issuer, unit of an entry's lines."""
    return [(*line[1:4], line[4], line[-2]) for line in hand.book.moves[answer["entry_id"]]]


def test_a_load_is_spent_before_what_is_on_top_and_comes_back_after_it() -> None:
    """40.00 and 5.00 on top, 42.00 spent: 2.00 of them on top, which come back first."""
    hand = Hand()
    till(hand, "load", 1, 4_000)
    spent = till(hand, "spend", 1, 4_200, 13)
    accepted = [("MEMBER", "ACCEPTED", 4_000, 11, "VALUE"), ("MEMBER", "ACCEPTED", 200, 11, "BONUS")]
    assert flows(hand, spent) == accepted
    assert spent["points"] == 0
    back = hand.undo(spent, amount_minor=300)
    assert flows(hand, back) == [
        ("ACCEPTED", "MEMBER", 200, 11, "BONUS"),
        ("ACCEPTED", "MEMBER", 100, 11, "VALUE"),
    ]
    assert hand.undo(spent, amount_minor=3_901) == {"refused": "more_than_is_left"}


def test_a_refund_takes_the_newest_load_and_ends_what_is_on_top_of_it() -> None:
    """10.00 of two days; 12.00 paid back touch both, and both 0.90 go back to the petrol station."""
    hand = Hand()
    till(hand, "load", 1, 1_000)
    hand.book.now += timedelta(days=1)
    till(hand, "load", 1, 1_000)
    refund = till(hand, "refund", 1, 1_200)
    assert flows(hand, refund) == [
        ("MEMBER", "ACCEPTED", 1_000, 11, "VALUE"),
        ("MEMBER", "ACCEPTED", 200, 11, "VALUE"),
        ("MEMBER", "ISSUED", 90, PETROL, "BONUS"),
        ("MEMBER", "ISSUED", 90, PETROL, "BONUS"),
    ]
    day = hand.book.today - timedelta(days=1)
    assert {k: n for k, n in hand.book.value[1].items() if n} == {("VALUE", 11, 2, day, NEVER): 800}


def test_two_weeks_and_no_longer_unless_it_is_little() -> None:
    """The fourteenth day is in time, the fifteenth is not; what is below 3.00 always is."""
    hand = Hand()
    load = till(hand, "load", 1, 500)
    hand.book.now += timedelta(days=14)
    assert "refused" not in till(hand, "refund", 1, 100)
    hand.book.now += timedelta(days=1)
    assert till(hand, "refund", 1, 100) == {"refused": "not_refundable"}
    assert hand.undo(load) == {"refused": "value_already_spent"}
    till(hand, "spend", 1, 101, 12)
    assert "refused" not in till(hand, "refund", 1, 299)


def test_a_load_is_undone_whole_by_who_took_the_money() -> None:
    """In part, elsewhere, or twice it is not; the load and what is on top go back to their issuers."""
    hand = Hand()
    load = till(hand, "load", 1, 1_000)
    assert hand.undo(load, amount_minor=999) == {"refused": "loads_are_reversed_whole"}
    assert hand.undo(load, PETROL) == {"refused": "entry_unknown"}
    assert flows(hand, hand.undo(load)) == [
        ("MEMBER", "ISSUED", 1_000, 11, "VALUE"),
        ("MEMBER", "ISSUED", 90, PETROL, "BONUS"),
    ]
    assert hand.undo(load) == {"refused": "entry_already_reversed"}


def test_a_funder_that_takes_no_part_gives_nothing_and_an_account_with_value_is_not_merged() -> None:
    """The petrol station is suspended: 10.00 are 10.00. They keep their member from being merged away."""
    hand = Hand()
    hand.book.world.partners[PETROL].status = "suspended"
    load = till(hand, "load", 1, 1_000)
    assert flows(hand, load) == [("ISSUED", "MEMBER", 1_000, 11, "VALUE")]
    merge = {"card_number": 2, "merged_card_number": 1}
    assert hand.do("merge", 2, **merge) == {"refused": "account_has_value"}
