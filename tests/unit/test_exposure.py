"""What decisions do to exposure, figure by figure; how it is valued; and which accruals a cap refuses."""

from datetime import date
from decimal import Decimal
from uuid import UUID

import msgspec
import pytest

from network.caps import Caps, Exposure, Holding, Level, exposure_of, worth
from network.exposure import Pricing
from network.model import AccountKind, Entry, EntryKind, Posting, Unit
from network.outcomes import Decision, LedgerState, Moment
from network.rules import Folded, Rules
from partners.model import FxRate, Terms, VatRate
from tests.coalition import BANK, GROCER, HOTEL, PETROL, START, rules, terms

DAY = START.date()
MEMBER, ISSUED, ACCEPTED = AccountKind.MEMBER, AccountKind.ISSUED, AccountKind.ACCEPTED
HELD, LAPSED, PENDING = AccountKind.HELD, AccountKind.LAPSED, AccountKind.PENDING
MOMENT = Moment(now=START, window_id=20170501, business_date=DAY, lapsed_through=DAY)


def capped(*versions: Terms, vat: tuple[VatRate, ...] = (), fixings: tuple[FxRate, ...] = ()) -> Rules:
    """Rules under which grocer and hotel are watched; `versions` replace the partners' first terms."""
    live = rules()
    known = {**live.directory.terms, **{one.partner_id: [one] for one in versions}}
    caps = Caps(
        partners=frozenset({GROCER, HOTEL}),
        vat={one.vat_code: [one] for one in vat},
        fixings={one.source: [one] for one in fixings},
    )
    directory = msgspec.structs.replace(live.directory, terms=known)
    return msgspec.structs.replace(live, directory=directory, caps=caps)


def moved(
    debit: AccountKind,
    credit: AccountKind,
    points: int,
    issuer: int = GROCER,
    acceptor: int | None = None,
    *,
    kind: EntryKind = EntryKind.EXPIRY,
    partner: int = GROCER,
    category: int = 0,
    reversed_in: int | None = None,
) -> Decision:
    """An entry of one posting."""
    entry = Entry(
        entry_id=UUID(int=7),
        member_id=7,
        kind=kind,
        partner_id=partner,
        reference="r",
        window_id=20170501,
        programme_version=1,
        points=points,
        balance_after=0,
        amount_minor=0,
        currency=None,
        outlet_code=None,
        occurred_at=START,
        recorded_at=START,
    )
    posting = Posting(
        line=1,
        debit=debit,
        credit=credit,
        points=points,
        issuer_id=issuer,
        issuer_terms=1,
        spendable_on=DAY,
        expires_on=DAY,
        acceptor_id=acceptor,
        acceptor_terms=None if acceptor is None else 1,
        category=category,
        window_id=20170501,
        reversed_window_id=reversed_in,
    )
    return Decision(entry=entry, postings=(posting,))


def added(live: Rules, *decisions: Decision) -> dict[int, tuple[str, str, str]]:
    """Owed, held and points by capped partner, as texts without trailing zeros."""
    folded = Folded(LedgerState(moment=MOMENT, cards={}, members={}, recorded={}))
    change = Pricing(live, DAY).change(folded, decisions)
    assert {currency for _, currency in change.added} <= {"USD"}
    return {
        partner: (plain(one.owed), plain(one.held), plain(one.points))
        for (partner, _), one in change.added.items()
    }


def plain(amount: Decimal) -> str:
    """A figure as one writes it."""
    return f"{amount.normalize():f}"


@pytest.mark.parametrize(
    ("decision", "found"),
    [
        # The grocer pays .0100 * .25 for each point at issue; .75 of each stays for the redemption.
        (moved(ISSUED, MEMBER, 400), {GROCER: ("1", "0", "300")}),
        (moved(ISSUED, PENDING, 400), {GROCER: ("1", "0", "300")}),
        (moved(MEMBER, ISSUED, 400), {GROCER: ("-1", "0", "-300")}),
        # 100 points at .0080: the grocer owes 75 %, the hotel is owed all of it.
        (
            moved(MEMBER, ACCEPTED, 100, acceptor=HOTEL),
            {GROCER: ("0.6", "0", "-75"), HOTEL: ("-0.8", "0", "0")},
        ),
        (
            moved(MEMBER, ACCEPTED, 100, acceptor=HOTEL, category=1),
            {GROCER: ("0.9", "0", "-75"), HOTEL: ("-1.2", "0", "0")},
        ),
        (moved(MEMBER, ACCEPTED, 100, acceptor=PETROL), {GROCER: ("0.6", "0", "-75")}),
        # Nothing between issuer and acceptor where they are one; the pool pays its part.
        (moved(MEMBER, ACCEPTED, 100, acceptor=GROCER), {GROCER: ("-0.2", "0", "-75")}),
        # A hold takes the points, and holds what their capture will cost; it raises nothing.
        (moved(MEMBER, HELD, 100, acceptor=HOTEL), {GROCER: ("0", "0.6", "-75")}),
        (
            moved(HELD, ACCEPTED, 100, acceptor=HOTEL),
            {GROCER: ("0.6", "-0.6", "0"), HOTEL: ("-0.8", "0", "0")},
        ),
        (moved(HELD, MEMBER, 100, acceptor=HOTEL), {GROCER: ("0", "-0.6", "75")}),
        (moved(MEMBER, LAPSED, 100), {GROCER: ("0", "0", "-75")}),
        (moved(MEMBER, AccountKind.TRANSIT, 100), {}),
        (moved(AccountKind.DEFICIT, ISSUED, 100), {}),
        (moved(ISSUED, AccountKind.DEFICIT, 100), {}),
        (moved(ISSUED, MEMBER, 100, issuer=BANK, partner=BANK), {}),
    ],
)
def test_what_a_posting_adds(decision: Decision, found: dict[int, tuple[str, str, str]]) -> None:
    """Each kind of movement, without fees: s = .25, issue price .0100, rate .0080, .0120 in a category."""
    live = capped(
        terms(GROCER, funding_share="0.25"),
        msgspec.structs.replace(terms(HOTEL), category_rates=((1, Decimal("0.0120")),)),
    )
    assert added(live, decision) == found


@pytest.mark.parametrize(
    ("debit", "credit", "acceptor", "unit", "found"),
    [
        (ISSUED, MEMBER, None, Unit.VALUE, {GROCER: ("25.05", "0", "0")}),
        (MEMBER, ISSUED, None, Unit.BONUS, {GROCER: ("-25.05", "0", "0")}),
        (MEMBER, ACCEPTED, HOTEL, Unit.VALUE, {HOTEL: ("-25.05", "0", "0")}),
        (ACCEPTED, MEMBER, HOTEL, Unit.BONUS, {HOTEL: ("25.05", "0", "0")}),
        (AccountKind.TRANSIT, MEMBER, None, Unit.VALUE, {}),
        (ISSUED, ACCEPTED, HOTEL, Unit.FEE, {GROCER: ("25.05", "0", "0"), HOTEL: ("-25.05", "0", "0")}),
        (ACCEPTED, ISSUED, GROCER, Unit.FEE, {GROCER: ("0", "0", "0")}),
        (ISSUED, MEMBER, None, Unit.STATUS, {}),
    ],
)
def test_money_is_owed_as_it_is(
    debit: AccountKind,
    credit: AccountKind,
    acceptor: int | None,
    unit: Unit,
    found: dict[int, tuple[str, str, str]],
) -> None:
    """2,505 cents: stored value is owed by who took it, and to who honours it; a plan's fee between two."""
    decision = moved(debit, credit, 2_505, acceptor=acceptor)
    [posting] = decision.postings
    money = msgspec.structs.replace(decision, postings=(msgspec.structs.replace(posting, unit=unit),))
    assert added(capped(), money) == found


def test_fees_and_vat_are_in_it() -> None:
    """100 points issued and 50 of the hotel's taken: fees, 20 % on them, 10 % on the flows.

    Issue: 100 * .0100 = 1.00, VAT .10, fee .04 and .008. The sale: .015 and .003. Redemption: 50 * .0080 is
    .40 owed with VAT .04, less the fee on credits .005 and its VAT .001. Returned in a window of 5 %: .02.
    """
    fees = {"fee_per_issued_point": "0.0004", "fee_per_transaction": "0.015", "fee_bps_of_credits": "125"}
    grocer = msgspec.structs.replace(
        terms(GROCER),
        **{name: Decimal(value) for name, value in fees.items()},
        vat_bps=2000,
        vat_codes=(("issue", "std"), ("redemption", "std")),
    )
    rates = (
        VatRate(vat_code="std", effective_on=date(2017, 4, 1), rate_bps=500),
        VatRate(vat_code="std", effective_on=DAY, rate_bps=1000),
    )
    live = capped(grocer)
    live = msgspec.structs.replace(live, caps=msgspec.structs.replace(live.caps, vat={"std": rates}))
    sale = moved(ISSUED, MEMBER, 100, kind=EntryKind.ACCRUAL)
    assert added(live, sale) == {GROCER: ("1.166", "0", "0")}
    taken = moved(MEMBER, ACCEPTED, 50, issuer=HOTEL, acceptor=GROCER, kind=EntryKind.REVERSAL)
    assert added(live, taken) == {GROCER: ("-0.434", "0", "0"), HOTEL: ("0.44", "0", "-50")}
    back = moved(
        ACCEPTED, MEMBER, 50, issuer=HOTEL, acceptor=GROCER, kind=EntryKind.REVERSAL, reversed_in=20170430
    )
    assert added(live, back) == {GROCER: ("0.414", "0", "0"), HOTEL: ("-0.42", "0", "50")}


def test_a_partner_s_own_rate_is_not_what_its_points_may_cost() -> None:
    """The highest rate is of the others in force on the day, in whatever category."""
    live = capped(
        terms(GROCER, reimbursement_rate="0.0500"),
        msgspec.structs.replace(terms(PETROL), category_rates=((2, Decimal("0.0110")),)),
        terms(BANK, effective_on=date(2017, 6, 1), reimbursement_rate="0.0900"),
    )
    valued = worth(live.caps, live.directory, GROCER, DAY)
    assert valued is not None
    assert valued.rate == Decimal("0.0110")
    later = worth(live.caps, live.directory, GROCER, date(2017, 6, 1))
    assert later is not None
    assert later.rate == Decimal("0.0900")


def test_other_currencies_are_valued_at_the_last_fixing() -> None:
    """Owed 10 USD and 20 EUR, which are 22.50; a deposit of 4 EUR; yen have no fixing and are named."""
    fixing = FxRate(source="ecb", base="EUR", quote="USD", fixed_on=DAY, revision=1, rate=Decimal("1.125"))
    live = capped(
        msgspec.structs.replace(terms(GROCER), net_debit_cap=Decimal(30)),
        msgspec.structs.replace(terms(HOTEL), currency="EUR", reimbursement_rate=Decimal("0.0080")),
        msgspec.structs.replace(terms(PETROL), currency="JPY", reimbursement_rate=Decimal("9.00")),
        fixings=(fixing,),
    )
    valued = worth(live.caps, live.directory, GROCER, DAY)
    assert valued is not None
    found = exposure_of(
        {
            "USD": Holding(owed=Decimal(10), points=Decimal(1000)),
            "EUR": Holding(owed=Decimal(20), deposit=Decimal(4)),
            "JPY": Holding(owed=Decimal(500)),
        },
        valued,
    )
    assert (found.owed, found.points_cost, found.deposit) == (Decimal("32.5"), Decimal(9), Decimal("4.5"))
    assert (found.amount, found.limit, found.unvalued) == (Decimal("41.5"), Decimal("34.5"), ("JPY",))
    assert found.level is Level.OVER


def standing(owed: str, held: str = "0", points_cost: str = "0", cap: str | None = "80") -> Exposure:
    """An exposure with a deposit of 20, warned at 80 % and 95 %."""
    return Exposure(
        partner_id=GROCER,
        currency="USD",
        owed=Decimal(owed),
        held=Decimal(held),
        points=Decimal(0),
        points_cost=Decimal(points_cost),
        deposit=Decimal(20),
        cap=None if cap is None else Decimal(cap),
        at_cap="refuse",
        warning_bps=8000,
        alarm_bps=9500,
    )


@pytest.mark.parametrize(
    ("exposure", "amount", "level"),
    [
        (standing("79.99"), "79.99", Level.WITHIN),
        (standing("80"), "80", Level.WARNING),
        (standing("94.99"), "94.99", Level.WARNING),
        (standing("95"), "95", Level.ALARM),
        (standing("100"), "100", Level.ALARM),
        (standing("100.0001"), "100.0001", Level.OVER),
        (standing("-50", "20", "10"), "10", Level.WITHIN),
        (standing("-50", "60", "75"), "85", Level.WARNING),
        (standing("1000", cap=None), "1000", Level.WITHIN),
        (standing("0", cap="0"), "0", Level.WITHIN),
    ],
)
def test_levels(exposure: Exposure, amount: str, level: Level) -> None:
    """Thresholds are parts of cap and deposit, reached when touched; the limit is passed when passed.

    What others owe a partner covers what it owes and holds, and never what its outstanding points may cost.
    """
    assert (exposure.amount, exposure.level) == (Decimal(amount), level)
