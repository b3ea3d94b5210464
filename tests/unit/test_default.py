"""The ladder of a default: the worked night to the cent, each rung, and several debtors at once."""

from decimal import Decimal

import pytest

from settlement.default import CLAIMS, FEES, Cover, climb, share_out, unwind
from settlement.errors import PositionsNotZero

OPERATOR = "operator"
DEBTS = [
    *(
        (pair[0], pair[1], Decimal(amount), CLAIMS)
        for pair, amount in (
            *(("AB", "937.5075"), ("AC", "342.8305"), ("AD", "61.25")),
            *(("BA", "790.12"), ("BC", "283.3305"), ("BD", "86.415")),
            *(("CA", "488.888"), ("CB", "583.3275"), ("CD", "30.247")),
            *(("DA", "80.056"), ("DB", "150.1575"), ("DC", "472.2175")),
        )
    ),
    *(
        (party, OPERATOR, Decimal(amount), FEES)
        for party, amounts in (
            ("A", ("143.17", "28.63")),
            ("B", ("88.84", "17.77")),
            ("C", ("54.04", "10.81")),
            ("D", ("27.14", "5.43")),
        )
        for amount in amounts
    ),
]
NO_COVER: Cover[str] = Cover()
FINALS = {"A": -15432, "B": 40452, "C": -6894, "D": -55709, OPERATOR: 37583}


def test_worked_night() -> None:
    """D leaves 557.09 unpaid and 300.00 as deposit; 257.09 are shared over the claims on it."""
    ladder = climb(FINALS, DEBTS, {"D"}, Cover(deposits={"D": 30000, "A": 99999}), 2)
    assert ladder.missing_minor == 55709
    assert ladder.deposits == {"D": 30000}
    assert (ladder.guarantee, ladder.carried) == ({}, {})
    assert ladder.losses == {"A": 2930, "B": 5496, "C": 17283}
    assert ladder.finals == {"A": -18362, "B": 34956, "C": -24177, "D": 0, OPERATOR: 37583}
    assert sum(ladder.finals.values()) == 30000


def test_worked_night_clearing_vector() -> None:
    """Fees come whole; the claims get what is left of 177.9120 and 300.00, in proportion."""
    ladder = climb(FINALS, DEBTS, {"D"}, Cover(deposits={"D": 30000}), 2)
    of_d = {(one.creditor, one.rank): one for one in ladder.payments if one.debtor == "D"}
    assert of_d[OPERATOR, FEES].paid == Decimal("32.57")
    claims = [one for one in of_d.values() if one.rank == CLAIMS]
    assert sum(one.paid for one in claims) == Decimal("177.9120") + 300 - Decimal("32.57")
    assert sum(one.owed for one in claims) == Decimal("702.4310")
    assert len({one.paid / one.owed for one in claims}) == 1
    for one in claims:
        assert abs((one.owed - one.paid) * 100 - ladder.losses[one.creditor]) < 1


def test_worked_night_unwound() -> None:
    """Without D, before fees: A -1.3300, B 447.3845, C -446.0545; D still owes its fees."""
    unwound = unwind(DEBTS, {"D"}, Cover(deposits={"D": 30000}), 2)
    assert unwound.positions == {
        "A": Decimal("-1.3300"),
        "B": Decimal("447.3845"),
        "C": Decimal("-446.0545"),
        OPERATOR: 0,
    }
    assert unwound.finals == {"A": -17313, "B": 34077, "C": -51090, "D": -3257, OPERATOR: 37583}
    assert unwound.ladder.deposits == {"D": 3257}
    assert unwound.ladder.losses == {}
    assert sum(amount for _, _, amount in unwound.outside) == Decimal("702.4310") + Decimal("177.9120")


def test_every_rung_takes_its_part() -> None:
    """Deposit, then the fund with D's own part before the others', then what is lent, then the creditors."""
    cover = Cover(deposits={"D": 30000}, guarantee={"A": 10000, "B": 5000, "D": 2000}, carry_minor=2000)
    ladder = climb(FINALS, DEBTS, {"D"}, cover, 2)
    assert ladder.deposits == {"D": 30000}
    assert (ladder.guarantee, ladder.lent) == ({"A": 10000, "B": 5000, "D": 2000}, {"D": 17000})
    assert ladder.carried == {"D": 2000}
    assert ladder.losses == {"A": 765, "B": 1434, "C": 4510}
    assert sum(ladder.finals.values()) == 30000 + 17000 + 2000


def test_a_rung_stops_where_nothing_is_missing() -> None:
    """A fund that is large enough is used in proportion; nothing is lent, and nobody loses."""
    cover = Cover(deposits={"D": 30000}, guarantee={"A": 20000, "B": 10000, "D": 709}, carry_minor=2000)
    ladder = climb(FINALS, DEBTS, {"D"}, cover, 2)
    assert ladder.guarantee == {"A": 16667, "B": 8333, "D": 709}
    assert (ladder.carried, ladder.losses) == ({}, {})
    assert ladder.finals == {**FINALS, "D": 0}


def test_only_what_is_needed_of_the_deposit_is_used() -> None:
    """A deposit of more than the debt pays the debt."""
    ladder = climb(FINALS, DEBTS, {"D"}, Cover(deposits={"D": 99999}), 2)
    assert (ladder.deposits, ladder.losses) == ({"D": 55709}, {})


def test_who_receives_is_no_debtor() -> None:
    """B is named and is to get money: nothing is missing, and it gets it."""
    ladder = climb(FINALS, DEBTS, {"B"}, Cover(deposits={"B": 1000}), 2)
    assert (ladder.missing_minor, ladder.deposits, ladder.losses) == (0, {}, {})
    assert ladder.finals == FINALS


def test_fees_rank_before_the_claims_and_may_still_fail() -> None:
    """Of means of 10 the fee of 8 gets all and the claim 2; of 3 the fee gets 3."""
    debts = [("D", OPERATOR, Decimal(8), FEES), ("D", "A", Decimal(20), CLAIMS)]
    finals = {"A": 2000, "D": -2800, OPERATOR: 800}
    assert climb(finals, debts, {"D"}, Cover(deposits={"D": 1000}), 2).losses == {"A": 1800}
    ladder = climb(finals, debts, {"D"}, Cover(deposits={"D": 300}), 2)
    assert ladder.losses == {"A": 2000, OPERATOR: 500}


def test_debtors_of_one_another_are_settled_together() -> None:
    """C bears most of D's loss and does not pay either: its own creditors bear that, by its claims."""
    cover = Cover(deposits={"C": 1000, "D": 30000})
    ladder = climb(FINALS, DEBTS, {"C", "D"}, cover, 2)
    assert ladder.missing_minor == 6894 + 55709
    assert ladder.deposits == {"C": 1000, "D": 30000}
    assert set(ladder.losses) == {"A", "B"}
    assert ladder.finals["C"] == ladder.finals["D"] == 0
    assert ladder.finals[OPERATOR] == 37583
    assert sum(ladder.losses.values()) == 6894 + 55709 - 31000


def test_one_debtors_loss_may_be_anothers_need() -> None:
    """C alone could pay with its deposit; with D's loss it needs more of it, and it is enough."""
    ladder = climb(FINALS, DEBTS, {"C", "D"}, Cover(deposits={"C": 50000, "D": 30000}), 2)
    assert ladder.losses == {"A": 2930, "B": 5496, "C": 17283}
    assert ladder.deposits == {"C": 6894 + 17283, "D": 30000}
    assert ladder.finals["C"] == 0


def test_a_debt_of_a_fraction_of_a_cent_finds_a_bearer() -> None:
    """Rounding may make a cent of nearly nothing; it is borne by who won it, whoever the claims were on."""
    debts = [("D", "E", Decimal("0.004"), CLAIMS), ("E", "D", Decimal("0.003"), CLAIMS)]
    ladder = climb({"A": 1, "D": -1, "E": 0}, debts, {"D", "E"}, NO_COVER, 2)
    assert ladder.finals == {"A": 0, "D": 0, "E": 0}


def test_positions_that_do_not_balance_are_refused() -> None:
    """A default never hides a sum that is wrong."""
    with pytest.raises(PositionsNotZero):
        climb({"A": 100, "D": -99}, [("D", "A", Decimal(1), CLAIMS)], {"D"}, NO_COVER, 2)


def test_shares_are_whole_and_sum() -> None:
    """Largest remainder, ties by name; nobody is asked for more than its own weight."""
    assert share_out(100, {"B": 1, "A": 1, "C": 1}) == {"A": 34, "B": 33, "C": 33}
    assert share_out(5, {"A": 3, "B": 1, "C": 1}) == {"A": 3, "B": 1, "C": 1}
    assert share_out(0, {"A": 0}) == {"A": 0}
    with pytest.raises(PositionsNotZero, match="nobody has a share"):
        share_out(1, {"A": 0})
