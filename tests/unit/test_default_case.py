"""What a default case would do, without a database: debts from a night, lines, and who never bears."""

from datetime import date
from decimal import Decimal

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from partners.model import FX_ID, HUB_ID, OPERATOR_ID, POOL_ID
from settlement.clearing import price
from settlement.default import CLAIMS, FEES, Claim
from settlement.default_case import Facts, Simulation, Way, debts_of, simulate
from settlement.errors import CannotUnwind, NothingMissing
from settlement.model import Obligation, Position, PricedLine
from settlement.money_model import FxConversion
from settlement.standing import StandIn, in_window, owing_on, stood_in
from tests.factories import A, B, C, D, by_version, contract, total

OURS = {HUB_ID, POOL_ID, FX_ID}


def position(participant_id: int, *, fee: int = 0, vat: int = 0, deferred: int = 0) -> Position:
    """A position in euro; only what makes debts."""
    none = Decimal(0)
    return Position(
        participant_id=participant_id,
        currency="EUR",
        credits=none,
        debits=none,
        fee_minor=fee,
        vat_minor=vat,
        fee_base=none,
        vat_base=none,
        carried_in=none,
        exact=none,
        final_minor=0,
        carried_out=none,
        deferred_in_minor=deferred,
    )


def owes(
    debtor: int, creditor: int, amount: str, *, currency: str = "EUR", flow: str = "redemption"
) -> Obligation:
    """A gross debt of a night."""
    return Obligation(
        flow="vat" if flow == "vat" else "redemption",
        debtor_id=debtor,
        creditor_id=creditor,
        points=0,
        amount=Decimal(amount),
        currency=currency,
    )


def case(facts: Facts, way: Way = "ladder", carry_minor: int = 0) -> Simulation:
    """Simulate in euro."""
    return simulate(facts, window_id=1, revision=1, currency="EUR", way=way, carry_minor=carry_minor)


def facts(payments: dict[int, int], debts: list[Claim[int]], **more: object) -> Facts:
    """D does not pay."""
    given_: dict[str, object] = {"deposits": {}, "guarantee": {}, **more}
    return Facts(debtor_id=D, digits=2, payments=payments, debts=debts, **given_)  # type: ignore[arg-type]  # as named


def lines(one: Simulation) -> list[tuple[str, int, int]]:
    """Rung, participant, minor units."""
    return [(line.rung, line.participant_id, line.amount_minor) for line in one.lines]


def test_debts_of_a_night() -> None:
    """Obligations by pair, turned where below zero; fees and the operator's VAT first; carried; converted."""
    found = debts_of(
        "EUR",
        2,
        [position(D, fee=100, vat=20, deferred=-500), position(A, fee=-50), position(OPERATOR_ID, fee=-50)],
        [
            *(owes(D, A, "5"), owes(D, A, "-2"), owes(D, B, "-1.5"), owes(D, D, "9")),
            *(owes(D, A, "7", currency="USD"), owes(D, OPERATOR_ID, "0.3", flow="vat")),
        ],
        [
            FxConversion(
                participant_id=D,
                from_currency="USD",
                to_currency="EUR",
                from_amount=Decimal(-7),
                to_amount=Decimal("-6.3"),
                rate=Decimal("0.9"),
                source="test",
                fixed_on=date(2017, 5, 1),
            )
        ],
    )
    assert sorted(found) == [
        (OPERATOR_ID, A, Decimal("0.50"), FEES),
        (B, D, Decimal("1.5"), CLAIMS),
        (D, HUB_ID, Decimal("5.00"), CLAIMS),
        (D, OPERATOR_ID, Decimal("0.3"), FEES),
        (D, OPERATOR_ID, Decimal("1.20"), FEES),
        (D, FX_ID, Decimal("6.3"), CLAIMS),
        (D, A, Decimal(3), CLAIMS),
    ]


def test_pool_hub_and_fx_account_never_bear() -> None:
    """What D owes them is lost by the operator, and so is what it owes somebody paid in another currency."""
    debts: list[Claim[int]] = [
        *((D, POOL_ID, Decimal(10), CLAIMS), (D, HUB_ID, Decimal(5), CLAIMS)),
        *((D, FX_ID, Decimal(5), CLAIMS), (D, B, Decimal(10), CLAIMS), (D, A, Decimal(10), CLAIMS)),
    ]
    one = case(facts({D: -4000, POOL_ID: 1000, FX_ID: 500, A: 1000, OPERATOR_ID: 0}, debts))
    assert lines(one) == [("loss", OPERATOR_ID, 3000), ("loss", A, 1000)]
    assert one.suspends


def test_a_suspended_debtors_points_may_be_the_operators_cost() -> None:
    """By its contract nobody else loses."""
    debts: list[Claim[int]] = [(D, A, Decimal(10), CLAIMS)]
    one = case(facts({D: -1000, A: 1000}, debts, to_operator=True, deposits={D: 300}))
    assert lines(one) == [("deposit", D, 300), ("loss", OPERATOR_ID, 700)]


def test_nothing_missing_and_nothing_to_unwind() -> None:
    """Who is to be paid is no debtor; a part that was paid, or another case, bars unwinding."""
    debts: list[Claim[int]] = [(D, A, Decimal(10), CLAIMS)]
    with pytest.raises(NothingMissing):
        case(facts({D: 0, A: 0}, debts))
    for more in ({"paid": 1}, {"before": (C,)}):
        with pytest.raises(CannotUnwind):
            case(facts({D: -999, A: 1000}, debts, **more), way="unwind")


def test_unwinding_leaves_what_is_owed_to_pool_and_operator() -> None:
    """A gives up its net claim of 6.00; fee and issue stay, the deposit pays what it can."""
    debts: list[Claim[int]] = [
        *((D, A, Decimal(10), CLAIMS), (A, D, Decimal(4), CLAIMS)),
        *((D, POOL_ID, Decimal(3), CLAIMS), (D, OPERATOR_ID, Decimal(2), FEES)),
    ]
    one = case(
        facts({D: -1100, A: 600, POOL_ID: 300, OPERATOR_ID: 200}, debts, deposits={D: 250}), way="unwind"
    )
    assert lines(one) == [("deposit", D, 250), ("unwind", A, 600), ("loss", OPERATOR_ID, 250)]
    assert [(debtor, creditor) for debtor, creditor, _ in one.outside] == [(A, D), (D, A)]


parties = st.sampled_from((OPERATOR_ID, POOL_ID, FX_ID, HUB_ID, A, B, C, D))
gross = st.lists(
    st.tuples(
        parties, parties, st.decimals(min_value="0.0001", max_value=900, places=4), st.sampled_from((0, 1))
    ),
    min_size=1,
    max_size=16,
)
minor = st.dictionaries(st.sampled_from((A, B, C, D)), st.integers(0, 50_000))


@given(
    gross, minor, minor, st.integers(0, 20_000), st.sampled_from(("ladder", "unwind")), st.integers(-30, 30)
)
def test_lines_come_to_what_is_missing(
    debts: list[Claim[int]],
    deposits: dict[int, int],
    guarantee: dict[int, int],
    carry_minor: int,
    way: Way,
    deferred: int,
) -> None:
    """Whatever the debts: lines sum to what is missing, rungs pay what is there, ours bear nothing."""
    payments = dict.fromkeys((OPERATOR_ID, POOL_ID, FX_ID, A, B, C, D), 0)
    for debtor, creditor, amount, _ in debts:
        for party, sign in ((debtor, -1), (creditor, 1)):
            if party in payments and debtor != creditor:
                payments[party] += sign * int(amount * 100)
    payments[A] += deferred
    if payments[D] >= 0:
        return
    one = case(facts(payments, debts, deposits=deposits, guarantee=guarantee), way, carry_minor)
    assert sum(line.amount_minor for line in one.lines) == one.missing_minor == -payments[D]
    for line in one.lines:
        if line.rung == "deposit":
            assert line.participant_id == D
            assert line.amount_minor <= deposits[D]
        elif line.rung == "guarantee":
            assert 0 < line.amount_minor <= guarantee[line.participant_id]
        elif line.rung == "carry":
            assert line.participant_id == D
            assert line.amount_minor <= carry_minor
        else:
            assert line.participant_id not in OURS
    assert one.after[D] == 0
    assert case(facts(payments, debts[::-1], deposits=deposits, guarantee=guarantee), way, carry_minor) == one


@example([(C, OPERATOR_ID, Decimal("0.03"), FEES), (D, C, Decimal("0.04"), FEES)], {}, {}, 0)
@given(gross, minor, minor, st.integers(0, 20_000))
def test_an_earlier_debtor_gives_what_is_left_of_its_deposit(
    debts: list[Claim[int]], deposits: dict[int, int], guarantee: dict[int, int], carry_minor: int
) -> None:
    """C's case was decided: D's lines still come to what D misses, and C bears no more than its deposit."""
    payments = dict.fromkeys((OPERATOR_ID, POOL_ID, FX_ID, A, B, C, D), 0)
    for debtor, creditor, amount, _ in debts:
        for party, sign in ((debtor, -1), (creditor, 1)):
            if party in payments and debtor != creditor:
                payments[party] += sign * int(amount * 100)
    if payments[D] >= 0:
        return
    covered = {C: max(0, -payments[C])}
    payments[C] = max(0, payments[C])
    of_both = {party: amount for party, amount in deposits.items() if party in (C, D)}
    given_ = {"deposits": of_both, "guarantee": guarantee, "before": (C,), "covered": covered}
    one = case(facts(payments, debts, **given_), "ladder", carry_minor)
    assert sum(line.amount_minor for line in one.lines) == one.missing_minor == -payments[D]
    of_c = [line for line in one.lines if line.participant_id == C]
    assert all(line.amount_minor <= deposits[C] for line in of_c if line.rung == "deposit")
    assert sum(line.amount_minor for line in of_c if line.rung == "loss") <= payments[C]
    assert not [line for line in of_c if line.rung == "carry"]


def test_a_stand_in_has_the_leavers_place() -> None:
    """From its window on, on both sides, and nobody else's flows change."""
    flows = [
        PricedLine("redemption", D, A, 10, Decimal("0.1")),
        PricedLine("redemption", A, D, 5, Decimal("0.05")),
        PricedLine("redemption", A, B, 7, Decimal("0.07")),
    ]
    gone = [StandIn(D, 20170502, OPERATOR_ID)]
    assert stood_in(flows, 20170501, gone) == flows
    assert [(one.debtor_id, one.creditor_id, one.points) for one in stood_in(flows, 20170502, gone)] == [
        *((OPERATOR_ID, A, 10), (A, OPERATOR_ID, 5), (A, B, 7)),
    ]


def test_what_is_carried_is_deferred_into_the_night() -> None:
    """It adds to what was deferred before, of that participant and currency alone.

    A debt in a currency that its debtor settles in no more is not forgotten: it is a position of its own.
    """
    found = owing_on([position(A), position(D, deferred=-5)], {(D, "EUR"): 100, (A, "USD"): 7})
    assert [(one.participant_id, one.currency, one.deferred_in_minor) for one in found] == [
        *((A, "EUR", 0), (A, "USD", -7), (D, "EUR", -105)),
    ]
    assert [one.payment_minor for one in found] == [0, -7, -105]


def test_points_that_were_bought_out_cost_the_pool_all() -> None:
    """A quarter funded at .0100, the rest bought out at .0090: .00925 lapse for each, and that is all."""
    terms = by_version(contract(A, share="0.25", breakage_to="issuer"), contract(B, rate="0.0095"))
    gone = [StandIn(A, 20170502, OPERATOR_ID, ((1, Decimal("0.0090")),))]
    totals = [total("lapse", 1_000, A), total("redemption", 100, A, B)]
    before, after = (
        [
            (one.flow, one.debtor_id, one.creditor_id, f"{one.amount:.4f}")
            for one in stood_in(price(totals, in_window(terms, window, gone)), window, gone)
        ]
        for window in (20170501, 20170502)
    )
    assert before == [
        ("lapse", POOL_ID, A, "2.5000"),
        ("redemption", A, B, "0.7125"),
        ("redemption", POOL_ID, B, "0.2375"),
        ("margin", POOL_ID, OPERATOR_ID, "0.0125"),
    ]
    assert after == [
        ("lapse", POOL_ID, OPERATOR_ID, "9.2500"),
        ("redemption", POOL_ID, B, "0.9500"),
        ("margin", OPERATOR_ID, POOL_ID, "0.0250"),  # B takes more than the highest rate was
    ]
