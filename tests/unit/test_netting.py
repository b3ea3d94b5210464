"""Netting and rounding, on the worked night and on a published case; every figure is a literal."""

from datetime import date
from decimal import Decimal

import msgspec
import pytest

from partners.model import Terms
from settlement.clearing import fee_bases, obligations, price
from settlement.errors import PositionsNotZero
from settlement.model import Before, Charge, Position, Rounded, Transactions
from settlement.money import half_up_minor
from settlement.netting import (
    bilateral_nets,
    gross,
    multilateral_positions,
    payments,
    round_positions,
    to_be_paid,
)
from settlement.positions import charges, net_positions, require_balance
from tests.factories import OPERATOR, POOL, A, B, C, D, by_version, contract, total

TERMS = by_version(
    *(
        contract(partner_id, rate=rate, per_point="0.0004", per_transaction="0.015", bps="125", vat_bps=2000)
        for partner_id, rate in ((A, "0.0080"), (B, "0.0075"), (C, "0.0085"), (D, "0.0070"))
    )
)
IN_FORCE: dict[int, Terms] = {partner_id: terms for (partner_id, _), terms in TERMS.items()}
TOTALS = [
    total("redemption", 125_001, A, B),
    total("redemption", 40_333, A, C),
    total("redemption", 8_750, A, D),
    total("redemption", 98_765, B, A),
    total("redemption", 33_333, B, C),
    total("redemption", 12_345, B, D),
    total("redemption", 61_111, C, A),
    total("redemption", 77_777, C, B),
    total("redemption", 4_321, C, D),
    total("redemption", 10_007, D, A),
    total("redemption", 20_021, D, B),
    total("redemption", 55_555, D, C),
    total("issue", 300_000, A),
    total("issue", 150_000, B),
    total("issue", 90_001, C),
    total("issue", 60_007, D),
]
TRANSACTIONS = [
    Transactions(partner_id=partner_id, occurred_on=date(2017, 5, 1), entries=entries)
    for partner_id, entries in ((A, 412), (B, 530), (C, 287), (D, 61))
]
LINES = price(TOTALS, TERMS)
OBLIGATIONS = obligations(LINES)
DEBTS = [(debt.debtor_id, debt.creditor_id, debt.amount) for debt in OBLIGATIONS]


def charged() -> dict[tuple[int, str], Charge]:
    """Fees and VAT of the worked night, the first of its month."""
    return charges(fee_bases(TOTALS, LINES, TRANSACTIONS, TERMS), TERMS, IN_FORCE, {}, date(2017, 5, 1))


def worked_night() -> dict[int, Position]:
    """Positions of the worked night by participant."""
    positions = net_positions(
        [OPERATOR, POOL, A, B, C, D], OBLIGATIONS, charged(), {}, currency="EUR"
    ).positions
    return {position.participant_id: position for position in positions}


def test_worked_night_gross() -> None:
    """Twelve debts, 4306.3470 in all; each is points x the acceptor's rate."""
    assert gross(DEBTS) == Decimal("4306.3470")
    assert {(debtor, creditor): amount for debtor, creditor, amount in DEBTS} == {
        (A, B): Decimal("937.5075"),
        (A, C): Decimal("342.8305"),
        (A, D): Decimal("61.2500"),
        (B, A): Decimal("790.1200"),
        (B, C): Decimal("283.3305"),
        (B, D): Decimal("86.4150"),
        (C, A): Decimal("488.8880"),
        (C, B): Decimal("583.3275"),
        (C, D): Decimal("30.2470"),
        (D, A): Decimal("80.0560"),
        (D, B): Decimal("150.1575"),
        (D, C): Decimal("472.2175"),
    }


def test_worked_night_bilateral() -> None:
    """Six pairs are left, 1117.9610 in all."""
    nets = bilateral_nets(DEBTS)
    assert nets == {
        (A, B): Decimal("147.3875"),
        (C, A): Decimal("146.0575"),
        (C, B): Decimal("299.9970"),
        (D, A): Decimal("18.8060"),
        (D, B): Decimal("63.7425"),
        (D, C): Decimal("441.9705"),
    }
    assert list(nets) == [(A, B), (C, A), (C, B), (D, A), (D, B), (D, C)]
    assert sum(nets.values()) == Decimal("1117.9610")


def test_worked_night_multilateral() -> None:
    """Four positions against the hub; 528.6030 is to be paid."""
    positions = multilateral_positions(DEBTS)
    assert positions == {
        A: Decimal("17.4760"),
        B: Decimal("511.1270"),
        C: Decimal("-4.0840"),
        D: Decimal("-524.5190"),
    }
    assert to_be_paid(positions.values()) == Decimal("528.6030")


def test_worked_night_fees() -> None:
    """Issued points, transactions and credits make these fees; VAT is on them."""
    assert {
        partner_id: (charge.fee_minor, charge.vat_minor) for (partner_id, _), charge in charged().items()
    } == {
        A: (14317, 2863),
        B: (8884, 1777),
        C: (5404, 1081),
        D: (2714, 543),
    }
    night = worked_night()
    assert {partner_id: night[partner_id].credits for partner_id in (A, B, C, D)} == {
        A: Decimal("1359.0640"),
        B: Decimal("1670.9925"),
        C: Decimal("1098.3785"),
        D: Decimal("177.9120"),
    }


def test_worked_night_positions() -> None:
    """Exact nets and final nets of all, the operator's fees and VAT included, and what each carries on."""
    assert {
        party: (position.exact, position.final_minor, position.carried_out)
        for party, position in worked_night().items()
    } == {
        OPERATOR: (Decimal("375.8300"), 37583, Decimal(0)),
        POOL: (Decimal(0), 0, Decimal(0)),
        A: (Decimal("-154.3240"), -15432, Decimal("-0.0040")),
        B: (Decimal("404.5170"), 40452, Decimal("-0.0030")),
        C: (Decimal("-68.9340"), -6894, Decimal("0.0060")),
        D: (Decimal("-557.0890"), -55709, Decimal("0.0010")),
    }


def test_worked_night_sums_to_zero_where_naive_rounding_does_not() -> None:
    """Largest remainder sums to 0.00; rounding each net half-up would make a cent out of nothing."""
    night = worked_night()
    assert sum(position.final_minor for position in night.values()) == 0
    assert sum(half_up_minor(position.exact, 2) for position in night.values()) == 1


def test_worked_night_payments() -> None:
    """Three debtors pay 780.35 in, and it is paid out to two."""
    pay_in, pay_out = payments({party: position.final_minor for party, position in worked_night().items()})
    assert pay_in == {A: 15432, C: 6894, D: 55709}
    assert pay_out == {OPERATOR: 37583, B: 40452}
    assert sum(pay_in.values()) == sum(pay_out.values()) == 78035


def test_the_operators_row_is_everybodys_fees_turned() -> None:
    """Every column sums to zero over the participants, so that each row reads the same way."""
    night = worked_night()
    assert (night[OPERATOR].fee_minor, night[OPERATOR].vat_minor) == (-31319, -6264)
    assert sum(position.fee_minor for position in night.values()) == 0
    assert sum(position.vat_minor for position in night.values()) == 0
    assert sum(position.credits - position.debits for position in night.values()) == 0


PUBLISHED = [
    (pair[0], pair[1], Decimal(amount))
    for pair, amount in (
        *(("AB", 250), ("AC", 50), ("AD", 250), ("BA", 300), ("BC", 150), ("BD", 300)),
        *(("CA", 270), ("CB", 230), ("CD", 400), ("DA", 600), ("DB", 500), ("DC", 300)),
    )
]


def test_published_case() -> None:
    """A published netting example with letters: gross 3600, bilateral 1000, multilateral 850."""
    assert gross(PUBLISHED) == 3600
    assert sum(bilateral_nets(PUBLISHED).values()) == 1000
    positions = multilateral_positions(PUBLISHED)
    assert positions == {"A": 620, "B": 230, "C": -400, "D": -450}
    assert to_be_paid(positions.values()) == 850
    finals = {party: rounded.final_minor for party, rounded in round_positions(positions, 2).items()}
    assert payments(finals) == ({"C": 40000, "D": 45000}, {"A": 62000, "B": 23000})


def test_a_negative_debt_is_owed_the_other_way() -> None:
    """Where returns outweigh sales, gross counts what is left of the pair, and the net turns round."""
    debts = [(A, B, Decimal("-5.00")), (A, B, Decimal("2.00"))]
    assert gross(debts) == Decimal("3.00")
    assert bilateral_nets(debts) == {(B, A): Decimal("3.00")}
    assert multilateral_positions(debts) == {A: Decimal("3.00"), B: Decimal("-3.00")}


def test_a_debt_to_oneself_is_none() -> None:
    """Self-dealing is neither gross nor net, and moves no position."""
    debts = [(A, A, Decimal("9.00")), (A, B, Decimal("1.00"))]
    assert gross(debts) == Decimal("1.00")
    assert bilateral_nets(debts) == {(A, B): Decimal("1.00")}
    assert multilateral_positions(debts) == {A: Decimal("-1.00"), B: Decimal("1.00")}


def test_equal_debts_leave_no_pair() -> None:
    """Two who owe one another the same have no net, and positions of nothing need no payment."""
    debts = [(A, B, Decimal("4.00")), (B, A, Decimal("4.00"))]
    assert bilateral_nets(debts) == {}
    assert multilateral_positions(debts) == {A: Decimal(0), B: Decimal(0)}
    assert payments({A: 0, B: 0}) == ({}, {})


def test_ties_go_to_the_smaller_id() -> None:
    """Three with the same fraction and one cent to give: the first gets it, however the rows came."""
    thirds = {C: Decimal("0.003"), A: Decimal("0.003"), B: Decimal("0.003"), D: Decimal("-0.009")}
    assert round_positions(thirds, 2) == {
        A: Rounded(1, Decimal("-0.007")),
        B: Rounded(0, Decimal("0.003")),
        C: Rounded(0, Decimal("0.003")),
        D: Rounded(-1, Decimal("0.001")),
    }


@pytest.mark.parametrize(
    ("digits", "finals"),
    [(0, {A: 1235, B: -1235}), (2, {A: 123457, B: -123457}), (3, {A: 1234568, B: -1234568})],
)
def test_currencies_round_to_their_own_minor_unit(digits: int, finals: dict[int, int]) -> None:
    """Yen have no decimals, dinars three; A's fraction is the larger one each time."""
    positions = {A: Decimal("1234.5678"), B: Decimal("-1234.5678")}
    assert {
        party: rounded.final_minor for party, rounded in round_positions(positions, digits).items()
    } == finals


def test_carried_fractions_are_paid_when_they_have_grown() -> None:
    """A third of a cent a night: nothing, nothing, then the cent; the books never differ by a cent."""
    carried: dict[int, Decimal] = {}
    paid = []
    for _ in range(6):
        rounded = round_positions({A: Decimal("0.0033"), B: Decimal("-0.0033")}, 2, carried)
        carried = {party: one.carried_out for party, one in rounded.items()}
        paid.append(rounded[A].final_minor)
    assert paid == [0, 1, 0, 0, 1, 0]
    assert carried == {A: Decimal("-0.0002"), B: Decimal("0.0002")}


def test_an_empty_night_after_a_carry_moves_nothing() -> None:
    """What was rounded stays rounded: carried fractions alone cause no payment."""
    first = round_positions({A: Decimal("0.006"), B: Decimal("0.006"), C: Decimal("-0.012")}, 2)
    carried = {party: one.carried_out for party, one in first.items()}
    again = round_positions(dict.fromkeys((A, B, C), Decimal(0)), 2, carried)
    assert {party: one.final_minor for party, one in again.items()} == {A: 0, B: 0, C: 0}
    assert {party: one.carried_out for party, one in again.items()} == carried


def test_positions_that_do_not_sum_to_zero_stop_the_night() -> None:
    """Money that would appear or vanish is a named error, never rounded away."""
    with pytest.raises(PositionsNotZero, match=r"sum to 0\.01"):
        round_positions({A: Decimal("1.00"), B: Decimal("-0.99")}, 2)
    with pytest.raises(PositionsNotZero, match="carried for"):
        round_positions({A: Decimal(0)}, 2, {B: Decimal("0.001"), C: Decimal("-0.001")})


def test_a_participant_with_a_carry_and_no_business_keeps_its_row() -> None:
    """Whoever left the network still owns its fraction of a cent."""
    before = {
        (A, "EUR"): Before(carried_out=Decimal("0.0040")),
        (D, "EUR"): Before(carried_out=Decimal("-0.0040")),
    }
    night = net_positions([A, B], [], {}, before, currency="EUR").positions
    assert [(position.participant_id, position.carried_in, position.final_minor) for position in night] == [
        (OPERATOR, Decimal(0), 0),
        (A, Decimal("0.0040"), 0),
        (B, Decimal(0), 0),
        (D, Decimal("-0.0040"), 0),
    ]


def test_a_night_that_does_not_balance_is_not_written() -> None:
    """A cent or a fraction too many, wherever it came from, is named with its window."""
    night = list(worked_night().values())
    require_balance(20170501, night)
    cent = msgspec.structs.replace(night[0], final_minor=night[0].final_minor + 1)
    with pytest.raises(PositionsNotZero, match="window 20170501: final positions sum to 1 minor units"):
        require_balance(20170501, [cent, *night[1:]])
    fraction = msgspec.structs.replace(night[0], exact=night[0].exact + Decimal("0.0001"))
    with pytest.raises(PositionsNotZero, match=r"exact ones to 0\.0001"):
        require_balance(20170501, [fraction, *night[1:]])
