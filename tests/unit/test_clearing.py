"""What a window's postings cost: each flow of money, per point, on literals."""

from datetime import date
from decimal import Decimal

import pytest

from network.model import AccountKind
from settlement.clearing import fee_bases, obligations, price
from settlement.errors import FlowUnknown, TermsMissing
from settlement.model import FeeBasis, Transactions, WindowTotal
from tests.factories import (
    ACCEPTED,
    DEFICIT,
    HELD,
    ISSUED,
    MEMBER,
    OPERATOR,
    PENDING,
    POOL,
    TRANSIT,
    VOUCHER,
    A,
    B,
    by_version,
    contract,
    owed,
    row,
    total,
)

FULL = (contract(A, share="0.25", price="0.0100"), contract(B, rate="0.0080"))
"""Terms under which every kind of flow is more than nothing."""


def priced(totals: list[WindowTotal], *versions: object) -> list[tuple[str, int, int, int, Decimal]]:
    """Obligations of some totals as literal rows."""
    terms = by_version(*versions)  # type: ignore[arg-type]  # a row of Terms
    return [row(obligation) for obligation in obligations(price(totals, terms))]


def test_points_funded_at_issue_pay_their_price_into_the_pool() -> None:
    """600,008 points at an issue price of .0100 and a share of 1 put 6000.08 into the pool."""
    assert priced([total("issue", 600_008, A)], contract(A, share="1", price="0.0100")) == [
        owed("issue", A, POOL, 600_008, "6000.08")
    ]


def test_points_funded_at_redemption_cost_nothing_at_issue() -> None:
    """With a share of 0 an issue makes nobody a debtor, and no line of nothing is written."""
    assert priced([total("issue", 500, A)], contract(A, share="0")) == []


def test_redemption_is_billed_to_the_issuer_at_the_acceptors_rate() -> None:
    """With a share of 0 the issuer owes the acceptor points x the acceptor's rate."""
    assert priced([total("redemption", 1000, A, B)], contract(A), contract(B, rate="0.0075")) == [
        owed("redemption", A, B, 1000, "7.50")
    ]


def test_redemption_of_prepaid_points_comes_from_the_pool_with_the_margin_to_the_operator() -> None:
    """With a share of 1 the pool pays the acceptor's rate, and price less rate goes to the operator."""
    assert priced(
        [total("redemption", 1000, A, B)], contract(A, share="1", price="0.0100"), contract(B, rate="0.0075")
    ) == [
        owed("margin", POOL, OPERATOR, 1000, "2.50"),
        owed("redemption", POOL, B, 1000, "7.50"),
    ]


def test_a_negative_margin_is_the_operators_to_pay() -> None:
    """Where the rate is above the issue price, the operator makes the pool whole."""
    assert priced(
        [total("redemption", 1000, A, B)], contract(A, share="1", price="0.0070"), contract(B, rate="0.0075")
    ) == [
        owed("margin", OPERATOR, POOL, 1000, "0.50"),
        owed("redemption", POOL, B, 1000, "7.50"),
    ]


def test_a_split_share_divides_every_flow() -> None:
    """With a share of .25, a quarter is paid at issue and three quarters at redemption."""
    terms = (contract(A, share="0.25", price="0.0100"), contract(B, rate="0.0080"))
    assert priced([total("issue", 1000, A), total("redemption", 1000, A, B)], *terms) == [
        owed("issue", A, POOL, 1000, "2.50"),
        owed("margin", POOL, OPERATOR, 1000, "0.50"),
        owed("redemption", POOL, B, 1000, "2.00"),
        owed("redemption", A, B, 1000, "6.00"),
    ]


def test_lapsed_points_free_the_pools_money_for_the_recipient() -> None:
    """50,000 points at .0080 lapse: 400.00, to the operator or back to the issuer as the contract says."""
    operator = contract(A, share="1", price="0.0080")
    issuer = contract(B, share="1", price="0.0080", breakage_to="issuer")
    assert priced([total("lapse", 50_000, A), total("lapse", 50_000, B)], operator, issuer) == [
        owed("lapse", POOL, OPERATOR, 50_000, "400.00"),
        owed("lapse", POOL, B, 50_000, "400.00"),
    ]


def test_reversals_turn_the_sign_at_the_terms_on_the_posting() -> None:
    """A return is priced by the versions of its original, although newer ones exist."""
    terms = (
        contract(A, version=1, share="1", price="0.0100"),
        contract(A, version=2, share="0", price="0.0200"),
        contract(B, version=1, rate="0.0075"),
        contract(B, version=2, rate="0.0090"),
    )
    returned = [
        total("issue reversed", 400, A, reversed_window=20170101),
        total("redemption reversed", 1000, A, B, reversed_window=20170101),
    ]
    assert priced(returned, *terms) == [
        owed("issue", A, POOL, -400, "-4.00"),
        owed("margin", POOL, OPERATOR, -1000, "-2.50"),
        owed("redemption", POOL, B, -1000, "-7.50"),
    ]


def test_the_reversal_of_a_negative_margin_returns_it_to_the_operator() -> None:
    """A sign turned twice: the margin flows the way of the original, with a negative amount."""
    terms = (contract(A, share="1", price="0.0070"), contract(B, rate="0.0075"))
    assert owed("margin", OPERATOR, POOL, -1000, "-0.50") in priced(
        [total("redemption reversed", 1000, A, B)], *terms
    )


def test_a_sale_and_its_return_in_one_window_leave_a_debt_of_nothing() -> None:
    """The line stays on the statement with no points and no money."""
    both = [total("redemption", 700, A, B), total("redemption reversed", 700, A, B)]
    assert priced(both, contract(A), contract(B)) == [owed("redemption", A, B, 0, "0")]


def test_versions_of_one_contract_are_priced_apart_and_summed() -> None:
    """Points born under two versions are redeemed in one window: each at its own share."""
    terms = (contract(A, version=1, share="0"), contract(A, version=2, share="1"), contract(B, rate="0.0075"))
    both = [total("redemption", 100, A, B), total("redemption", 200, A, B, issuer_terms=2)]
    assert priced(both, *terms) == [
        owed("margin", POOL, OPERATOR, 200, "0.50"),
        owed("redemption", POOL, B, 200, "1.50"),
        owed("redemption", A, B, 100, "0.75"),
    ]


def test_self_dealing_stays_on_the_statement() -> None:
    """A partner that accepts the points it funds at redemption owes itself."""
    assert priced([total("redemption", 100, A, A)], contract(A, rate="0.0080")) == [
        owed("redemption", A, A, 100, "0.80")
    ]


def test_prices_are_exact_beyond_the_usual_28_digits() -> None:
    """Nothing is rounded however large the points and however fine the price and the share."""
    terms = contract(A, share="0.3333", price="0.12345679")
    assert priced([total("issue", 9_000_000_000_000_000_001, A)], terms) == [
        owed("issue", A, POOL, 9_000_000_000_000_000_001, "370333332963000000.041148148107")
    ]


@pytest.mark.parametrize("debit", [MEMBER, HELD, TRANSIT, VOUCHER])
def test_points_are_accepted_at_one_price_wherever_they_came_from(debit: AccountKind) -> None:
    """From the member, a hold, a voucher, or another of its pool: a redemption, to the last digit."""
    assert priced([total((debit, ACCEPTED), 1000, A, B)], *FULL) == [
        owed("margin", POOL, OPERATOR, 1000, "0.50"),
        owed("redemption", POOL, B, 1000, "2.00"),
        owed("redemption", A, B, 1000, "6.00"),
    ]


@pytest.mark.parametrize("credit", [MEMBER, TRANSIT])
def test_a_reward_comes_back_at_one_price_whoever_gets_it(credit: AccountKind) -> None:
    """To the member, or to another whose points they were: the same flows with the sign turned."""
    assert priced([total((ACCEPTED, credit), 1000, A, B)], *FULL) == [
        owed("margin", POOL, OPERATOR, -1000, "-0.50"),
        owed("redemption", POOL, B, -1000, "-2.00"),
        owed("redemption", A, B, -1000, "-6.00"),
    ]


@pytest.mark.parametrize("credit", [MEMBER, PENDING])
def test_points_are_paid_for_when_they_are_issued(credit: AccountKind) -> None:
    """Also those that wait for an event: the pool has their price from the first night on."""
    assert priced([total((ISSUED, credit), 1000, A)], *FULL) == [owed("issue", A, POOL, 1000, "2.50")]


@pytest.mark.parametrize("debit", [MEMBER, PENDING, TRANSIT])
def test_points_really_taken_back_refund_their_price(debit: AccountKind) -> None:
    """From the member, from what waits for an event, or from whom the member was merged into."""
    assert priced([total((debit, ISSUED), 1000, A)], *FULL) == [owed("issue", A, POOL, -1000, "-2.50")]


@pytest.mark.parametrize(
    ("debit", "credit"),
    [
        *((MEMBER, HELD), (TRANSIT, HELD), (HELD, MEMBER), (HELD, TRANSIT)),
        *((PENDING, MEMBER), (PENDING, TRANSIT), (MEMBER, TRANSIT), (TRANSIT, MEMBER)),
        *((DEFICIT, ISSUED), (ISSUED, DEFICIT)),
        *((MEMBER, VOUCHER), (VOUCHER, MEMBER), (VOUCHER, TRANSIT)),
    ],
)
def test_what_changes_only_its_place_costs_nothing(debit: AccountKind, credit: AccountKind) -> None:
    """Holds, vouchers, releases, transfers and deficits: no debt, and no fee on it."""
    moved = [total((debit, credit), 1000, A, B)]
    assert priced(moved, *FULL) == []
    assert fee_bases(moved, price(moved, by_version(*FULL)), [], by_version(*FULL)) == {}


def test_points_lapse_at_one_price_in_a_voucher_too() -> None:
    """What lapses with a voucher that nobody used is shared out as what lapses with its owner."""
    lapsed, with_voucher = (
        priced([total((debit, AccountKind.LAPSED), 1000, A)], *FULL) for debit in (MEMBER, VOUCHER)
    )
    assert lapsed == with_voucher != []


def test_no_posting_moves_points_in_a_way_that_is_not_priced() -> None:
    """Of all pairs of accounts twenty-nine are agreed; each other one stops the night."""
    agreed = 0
    for debit in AccountKind:
        for credit in AccountKind:
            try:
                price([total((debit, credit), 1, A, B)], by_version(*FULL))
            except FlowUnknown:
                continue
            agreed += 1
    assert agreed == 29


def test_an_uncured_deficit_is_its_issuers_loss() -> None:
    """1,000 points are issued, spent at another's till, and their sale is returned: nothing is refunded."""
    totals = [
        total((ISSUED, MEMBER), 1000, A),
        total((MEMBER, ACCEPTED), 1000, A, B),
        total((DEFICIT, ISSUED), 1000, A),
    ]
    terms = (contract(A, share="1", price="0.0100"), contract(B, rate="0.0080"))
    assert priced(totals, *terms) == [
        owed("issue", A, POOL, 1000, "10.00"),
        owed("margin", POOL, OPERATOR, 1000, "2.00"),
        owed("redemption", POOL, B, 1000, "8.00"),
    ]
    bases = fee_bases(totals, price(totals, by_version(*terms)), [], by_version(*terms))
    assert bases[A, 1] == FeeBasis(issued_points=1000)


def test_a_cure_is_a_redemption_in_favour_of_whom_the_member_owes() -> None:
    """500 new points of B pay what the member owes A: the pool pays A, at A's rate, and the operator."""
    totals = [
        total((ISSUED, MEMBER), 500, B),
        total((MEMBER, ACCEPTED), 500, B, A),
        total((ISSUED, DEFICIT), 500, A),
    ]
    terms = (contract(A, share="1", rate="0.0070"), contract(B, share="1", price="0.0100"))
    assert priced(totals, *terms) == [
        owed("issue", B, POOL, 500, "5.00"),
        owed("margin", POOL, OPERATOR, 500, "1.50"),
        owed("redemption", POOL, A, 500, "3.50"),
    ]


def test_unknown_accounts_are_named() -> None:
    """A movement that no contract prices stops the night instead of costing nothing."""
    strange = WindowTotal(
        debit=AccountKind.LAPSED,
        credit=AccountKind.MEMBER,
        issuer_id=A,
        issuer_terms=1,
        acceptor_id=None,
        acceptor_terms=None,
        category=0,
        reversed_window_id=None,
        points=5,
        postings=1,
    )
    with pytest.raises(FlowUnknown, match="from account kind 4 to 1"):
        price([strange], by_version(contract(A)))


def test_missing_terms_are_named() -> None:
    """A posting under terms that do not exist stops the night and says which."""
    with pytest.raises(TermsMissing, match="terms 7 of partner 11"):
        price([total("issue", 5, A, issuer_terms=7)], by_version(contract(A)))
    with pytest.raises(TermsMissing, match="terms 1 of partner 12"):
        price([total("redemption", 5, A, B)], by_version(contract(A)))


def test_fees_are_based_on_what_each_version_issued_and_was_credited() -> None:
    """Reversals take back points issued and credits under their own version, and no transaction."""
    terms = by_version(
        contract(A, version=1),
        contract(A, version=2, effective_on=date(2017, 3, 1), share="1", breakage_to="issuer"),
        contract(B, version=1, rate="0.0080"),
        contract(B, version=2, effective_on=date(2017, 3, 1), rate="0.0100"),
    )
    totals = [
        total("issue", 1000, A, issuer_terms=2),
        total("issue reversed", 300, A, issuer_terms=1),
        total("redemption", 500, A, B, acceptor_terms=2),
        total("redemption", 100, A, B, issuer_terms=2, acceptor_terms=2),
        total("redemption reversed", 50, A, B, acceptor_terms=1),
        total("lapse", 70, A, issuer_terms=2),
    ]
    transactions = [
        Transactions(partner_id=A, occurred_on=date(2017, 3, 1), entries=40),
        Transactions(partner_id=B, occurred_on=date(2017, 3, 2), entries=6),
    ]
    assert fee_bases(totals, price(totals, terms), transactions, terms) == {
        (A, 1): FeeBasis(issued_points=-300),
        (A, 2): FeeBasis(issued_points=1000, transactions=40),
        (B, 1): FeeBasis(credits=Decimal("-0.40")),
        (B, 2): FeeBasis(transactions=6, credits=Decimal("6.00")),
    }


def test_credits_from_oneself_bear_no_basis_points() -> None:
    """Points accepted by their own issuer, paid directly or through the pool, are in no fee basis."""
    terms = by_version(contract(A), contract(B, share="1"))
    totals = [total("redemption", 500, A, A), total("redemption", 500, B, B)]
    assert fee_bases(totals, price(totals, terms), [], terms) == {}


def test_transactions_count_under_the_version_of_the_day_they_occurred() -> None:
    """A window with late tills: each sale by its own day; before the first version, that one."""
    terms = by_version(
        contract(A, version=1, effective_on=date(2017, 1, 1)),
        contract(A, version=2, effective_on=date(2017, 5, 2)),
    )
    days = [(date(2016, 12, 31), 2), (date(2017, 5, 1), 3), (date(2017, 5, 2), 5)]
    transactions = [Transactions(partner_id=A, occurred_on=on, entries=count) for on, count in days]
    assert fee_bases([], [], transactions, terms) == {
        (A, 1): FeeBasis(transactions=5),
        (A, 2): FeeBasis(transactions=5),
    }


def test_transactions_without_terms_are_named() -> None:
    """A partner with sales and no contract stops the night."""
    sales = [Transactions(partner_id=A, occurred_on=date(2017, 5, 1), entries=1)]
    with pytest.raises(TermsMissing, match="partner 11 had transactions"):
        fee_bases([], [], sales, {})
