"""Laws of netting, rounding and pricing, for any debts."""

from datetime import date
from decimal import Decimal
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from partners.model import Terms
from settlement.clearing import fee_bases, obligations, price
from settlement.model import Before, Charge, Position, WindowTotal
from settlement.money import EXACT, from_minor
from settlement.netting import (
    bilateral_nets,
    gross,
    multilateral_positions,
    payments,
    round_positions,
    to_be_paid,
)
from settlement.positions import charges, net_positions
from tests.factories import ACCEPTED, ISSUED, MEMBER, POOL, A, B, C, D, Event, by_version, contract, total

PARTIES = (A, B, C, D, 15, 16)
amounts = st.decimals(min_value="-1000000", max_value="1000000", places=6)
debts = st.lists(st.tuples(st.sampled_from(PARTIES), st.sampled_from(PARTIES), amounts), max_size=30)
digits = st.sampled_from((0, 2, 3))


@given(debts)
def test_positions_sum_to_zero(rows: list[tuple[int, int, Decimal]]) -> None:
    """What somebody is owed somebody owes."""
    assert sum(multilateral_positions(rows).values()) == 0


@given(debts)
def test_netting_never_asks_for_more(rows: list[tuple[int, int, Decimal]]) -> None:
    """Through the hub costs no more than by pairs, and by pairs no more than one by one."""
    nets = bilateral_nets(rows)
    assert all(amount > 0 for amount in nets.values())
    multilateral = to_be_paid(multilateral_positions(rows).values())
    assert multilateral <= sum(nets.values()) <= gross(rows)


@given(debts)
def test_bilateral_nets_leave_every_position_as_it_was(rows: list[tuple[int, int, Decimal]]) -> None:
    """Netting by pairs changes what is paid, not what anybody ends with."""
    positions = multilateral_positions(rows)
    by_pairs = multilateral_positions(
        [(debtor, creditor, amount) for (debtor, creditor), amount in bilateral_nets(rows).items()]
    )
    assert {party: by_pairs.get(party, Decimal(0)) for party in positions} == positions


@given(debts, digits)
def test_rounding_sums_to_zero_and_moves_nobody_by_a_unit(
    rows: list[tuple[int, int, Decimal]], places: int
) -> None:
    """Largest remainder: the sum is exactly zero, and each position is within one minor unit."""
    positions = multilateral_positions(rows)
    rounded = round_positions(positions, places)
    assert sum(one.final_minor for one in rounded.values()) == 0
    for party, one in rounded.items():
        assert abs(positions[party] - from_minor(one.final_minor, places)) < from_minor(1, places)
        assert positions[party] == from_minor(one.final_minor, places) + one.carried_out


@given(debts)
def test_whole_positions_are_left_alone(rows: list[tuple[int, int, Decimal]]) -> None:
    """Who has no fraction of a cent gets none of the cents that are left."""
    rounded = round_positions(multilateral_positions(rows), 6)
    assert all(one.carried_out == 0 for one in rounded.values())


@given(debts)
def test_payments_discharge_all_and_are_the_fewest_through_the_hub(
    rows: list[tuple[int, int, Decimal]],
) -> None:
    """One payment for each position that is not zero; what is paid in is paid out."""
    finals = {
        party: one.final_minor for party, one in round_positions(multilateral_positions(rows), 2).items()
    }
    pay_in, pay_out = payments(finals)
    assert sum(pay_in.values()) == sum(pay_out.values())
    assert len(pay_in) + len(pay_out) == sum(final != 0 for final in finals.values())
    assert {party: pay_out.get(party, 0) - pay_in.get(party, 0) for party in finals} == finals


@given(debts, st.randoms(use_true_random=False))
def test_the_order_of_rows_does_not_matter(rows: list[tuple[int, int, Decimal]], random: Random) -> None:
    """Shuffled debts give the same nets, positions and cents, in the same order."""
    shuffled = list(rows)
    random.shuffle(shuffled)
    assert gross(shuffled) == gross(rows)
    assert list(bilateral_nets(shuffled).items()) == list(bilateral_nets(rows).items())
    positions, again = multilateral_positions(rows), multilateral_positions(shuffled)
    assert list(again.items()) == list(positions.items())
    assert list(round_positions(again, 2).items()) == list(round_positions(positions, 2).items())


@given(st.lists(debts, max_size=12), digits)
def test_carried_fractions_never_grow_to_a_unit(
    nights: list[list[tuple[int, int, Decimal]]], places: int
) -> None:
    """Over any nights, what was paid is what was owed, and exactly so with the carry."""
    carried = dict.fromkeys(PARTIES, Decimal(0))
    exact = dict.fromkeys(PARTIES, Decimal(0))
    paid = dict.fromkeys(PARTIES, 0)
    for rows in nights:
        tonight = dict.fromkeys(PARTIES, Decimal(0)) | multilateral_positions(rows)
        rounded = round_positions(tonight, places, carried)
        carried = {party: one.carried_out for party, one in rounded.items()}
        for party in PARTIES:
            exact[party] = EXACT.add(exact[party], tonight[party])
            paid[party] += rounded[party].final_minor
            assert abs(carried[party]) < from_minor(1, places)
            assert exact[party] == from_minor(paid[party], places) + carried[party]
        assert sum(carried.values()) == 0


@given(debts, digits)
def test_an_empty_night_pays_nothing(rows: list[tuple[int, int, Decimal]], places: int) -> None:
    """Carried fractions alone never make a payment, so empty nights are empty."""
    first = round_positions(multilateral_positions(rows), places)
    carried = {party: one.carried_out for party, one in first.items()}
    again = round_positions(dict.fromkeys(first, Decimal(0)), places, carried)
    assert all(one.final_minor == 0 for one in again.values())
    assert {party: one.carried_out for party, one in again.items()} == carried


shares = st.decimals(min_value=0, max_value=1, places=4)
prices = st.decimals(min_value=0, max_value="0.05", places=8)
events: st.SearchStrategy[Event] = st.sampled_from(
    ("issue", "redemption", "lapse", "issue reversed", "redemption reversed")
)


@st.composite
def priced_windows(draw: st.DrawFn) -> tuple[dict[tuple[int, int], Terms], list[WindowTotal]]:
    """Three partners on any terms, two versions each, and any totals of a window."""
    terms = by_version(
        *(
            contract(
                partner_id,
                version=version,
                share=str(draw(shares)),
                price=str(draw(prices)),
                rate=str(draw(prices)),
                per_point=str(draw(prices)),
                bps=str(draw(st.integers(0, 500))),
                vat_bps=draw(st.integers(0, 2500)),
                breakage_to=draw(st.sampled_from(("operator", "issuer"))),
            )
            for partner_id in (A, B, C)
            for version in (1, 2)
        )
    )
    totals = []
    for event in draw(st.lists(events, max_size=15)):
        redemption = event.startswith("redemption")
        totals.append(
            total(
                event,
                draw(st.integers(1, 10**12)),
                draw(st.sampled_from((A, B, C))),
                draw(st.sampled_from((A, B, C))) if redemption else None,
                issuer_terms=draw(st.sampled_from((1, 2))),
                acceptor_terms=draw(st.sampled_from((1, 2))),
            )
        )
    return terms, totals


PriceOf = dict[tuple[int, int], Terms]
SALES: dict[tuple[int, int], str] = {(ISSUED, MEMBER): "issue", (MEMBER, ACCEPTED): "redemption"}


@given(priced_windows())
def test_the_pool_holds_the_price_of_what_is_outstanding(window: tuple[PriceOf, list[WindowTotal]]) -> None:
    """Whatever happens, the pool receives issue price x share of each point that became outstanding."""
    terms, totals = window
    position = multilateral_positions(
        [(debt.debtor_id, debt.creditor_id, debt.amount) for debt in obligations(price(totals, terms))]
    ).get(POOL, Decimal(0))
    expected = Decimal(0)
    for one in totals:
        version = terms[one.issuer_id, one.issuer_terms]
        worth = EXACT.multiply(
            EXACT.multiply(version.issue_price, version.funding_share), Decimal(one.points)
        )
        expected = EXACT.add(expected, worth if one.credit == MEMBER else -worth)
    assert position == expected


@given(priced_windows())
def test_a_window_and_its_mirror_cost_nothing(window: tuple[PriceOf, list[WindowTotal]]) -> None:
    """Every issue and redemption returned at its own terms leaves no debt."""
    terms, totals = window
    mirrored = [
        total(
            f"{event} reversed",  # type: ignore[arg-type]  # one of the two reversals
            one.points,
            one.issuer_id,
            one.acceptor_id,
            issuer_terms=one.issuer_terms,
            acceptor_terms=one.acceptor_terms or 1,
        )
        for one in totals
        for event in [SALES.get((one.debit, one.credit))]
        if event is not None
    ]
    sales = [one for one in totals if (one.debit, one.credit) in SALES]
    assert all(debt.amount == debt.points == 0 for debt in obligations(price(sales + mirrored, terms)))


@given(priced_windows(), st.integers(0, 9))
def test_a_night_sums_to_zero_with_fees_and_carries(
    window: tuple[PriceOf, list[WindowTotal]], hundredths: int
) -> None:
    """Positions sum to zero exactly and to the cent, and each is the sum of its parts."""
    terms, totals = window
    in_force = {partner_id: terms[partner_id, 2] for partner_id in (A, B, C)}
    fraction = Decimal(hundredths).scaleb(-3)
    before = {
        (A, "EUR"): Before(carried_out=fraction, month_to_date=Charge(fee_base=Decimal("0.004"))),
        (B, "EUR"): Before(carried_out=-fraction),
    }
    lines = price(totals, terms)
    charged = charges(fee_bases(totals, lines, [], terms), terms, in_force, before, date(2017, 5, 1))
    night = net_positions((A, B, C), obligations(lines), charged, before, currency="EUR").positions
    assert sum(position.final_minor for position in night) == 0
    for position in night:
        assert position.exact == _parts(position)
        assert position.exact == EXACT.add(from_minor(position.final_minor, 2), position.carried_out)


def _parts(position: Position) -> Decimal:
    charged = from_minor(position.fee_minor + position.vat_minor, 2)
    owed = EXACT.subtract(position.credits, position.debits)
    return EXACT.subtract(EXACT.add(position.carried_in, owed), charged)
