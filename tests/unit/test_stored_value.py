"""Stored value by literals: what rules make of commands, and nights of postings; what a file may say."""

from collections.abc import Mapping
from datetime import date, timedelta
from decimal import Decimal
from uuid import UUID

import msgspec
import pytest

from network.commands import Command, LoadValue, RefundValue, SpendValue
from network.decide import decide_batch
from network.errors import ProgrammeInvalid
from network.model import AccountKind, Unit, ValueLot
from network.outcomes import CardState, Decision, LedgerState, MemberState, Minted, Moment, Rejected
from network.programme.spec import read_programme
from network.rules import Folded, Rules
from network.stored_value import load_value, refund_value, refundable, spend_value
from partners.model import SAFEGUARD_ID
from settlement.errors import FlowUnknown, TermsMissing
from settlement.model import ValueTotal
from settlement.values import value_flows
from tests.coalition import BANK, GROCER, HOTEL, OUTLET, PETROL, PROGRAMME, START, rules, terms, undo

FILE = """
[stored_value]
currency = "USD"
says = "x"
loads_at = ["grocer", "petrol"]
spends_at = ["grocer", "hotel"]
least_minor = 500
most_minor = 20000
most_balance_minor = 30000
[[stored_value.bonus]]
from_minor = 5000
value_minor = 500
who = "bank"
[[stored_value.bonus]]
from_minor = 10000
value_minor = 1200
who = "issuer"
[stored_value.refund]
rule = "within_days"
days = 14
below_minor = 200
"""
LIVE = rules(source=PROGRAMME + FILE)
CARD, MEMBER = 6330001234567895, 7
MINTED = Minted(entry_id=UUID(int=1 << 40 | MEMBER))
TODAY = START.date()
OLD = TODAY - timedelta(days=15)
Lot = tuple[Unit, int, date, int]
PAID, ON_TOP = Unit.VALUE, Unit.BONUS


def lots(*given: Lot) -> list[ValueLot]:
    """Lots by kind, issuer, day and what is left, of first terms."""
    return [
        ValueLot(unit=unit, issuer_id=issuer, terms_version=1, loaded_on=on, remaining=left)
        for unit, issuer, on, left in given
    ]


def judged(
    kind: type[Command], partner_id: int, amount: int, *given: Lot, live: Rules = LIVE
) -> Decision | Rejected:
    """What a command is judged to be, for a member with some value."""
    moment = Moment(now=START, window_id=20170501, business_date=TODAY, lapsed_through=TODAY)
    state = LedgerState(
        moment=moment,
        cards={CARD: CardState(MEMBER, active=True)},
        members={MEMBER: MemberState(member_id=MEMBER, balance=0, value=lots(*given))},
        recorded={},
    )
    command = kind(
        partner_id=partner_id,
        reference="r",
        occurred_at=START,
        outlet_code=OUTLET,
        card_number=CARD,
        amount_minor=amount,
        currency="USD",
    )  # type: ignore[call-arg]  # one of the three that have these fields
    judge: Mapping[type, object] = {
        LoadValue: load_value,
        SpendValue: spend_value,
        RefundValue: refund_value,
    }
    outcome = judge[kind](Folded(state), command, MINTED, live)  # type: ignore[operator]
    assert isinstance(outcome, Decision | Rejected)
    return outcome


def come(kind: type[Command], partner_id: int, amount: int, *given: Lot, live: Rules = LIVE) -> object:
    """What comes of a command for a member with some value: its postings, or the reason why not."""
    outcome = judged(kind, partner_id, amount, *given, live=live)
    if isinstance(outcome, Rejected):
        return outcome.reason
    return [
        (p.debit.name, p.credit.name, p.unit, p.points, p.issuer_id, p.spendable_on, p.acceptor_id)
        for p in outcome.postings
    ]


@pytest.mark.parametrize(
    ("partner_id", "amount", "on_top"),
    [
        (GROCER, 500, None),
        (GROCER, 4_999, None),
        (GROCER, 5_000, (500, BANK)),
        (PETROL, 9_999, (500, BANK)),
        (PETROL, 10_000, (1_200, PETROL)),
    ],
)
def test_a_load_is_its_tills_and_what_is_on_top_its_funders(
    partner_id: int, amount: int, on_top: tuple[int, int] | None
) -> None:
    """Two postings of two units, and two who owe the money at night."""
    expected = [("ISSUED", "MEMBER", PAID, amount, partner_id, TODAY, None)]
    if on_top is not None:
        expected.append(("ISSUED", "MEMBER", ON_TOP, *on_top, TODAY, None))
    assert come(LoadValue, partner_id, amount) == expected


def test_points_on_top_expire_as_points_do() -> None:
    """They are the funder's, can be spent at once, and are of the unit of points."""
    file = FILE.replace("value_minor = 500", "points = 70").replace(
        'rule = "within_days"\ndays = 14', 'rule = "never"'
    )
    assert come(LoadValue, GROCER, 5_000, live=rules(source=PROGRAMME + file)) == [
        ("ISSUED", "MEMBER", PAID, 5_000, GROCER, TODAY, None),
        ("ISSUED", "MEMBER", Unit.POINTS, 70, BANK, date(1970, 1, 1), None),
    ]


def test_points_on_top_keep_points_alive_that_live_with_activity() -> None:
    """Else a member that never did anything but load would get points that are dead already."""
    file = FILE.replace("value_minor = 500", "points = 70").replace(
        'rule = "within_days"\ndays = 14', 'rule = "never"'
    )
    source = PROGRAMME.replace("months = 3", 'rule = "activity"\nmonths = 1')
    live = rules(source=source + file)
    decided = [judged(LoadValue, GROCER, amount, live=live) for amount in (5_000, 4_999)]
    assert [one.account.active_until for one in decided if isinstance(one, Decision)] == [
        date(2017, 6, 30),
        msgspec.UNSET,
    ]


@pytest.mark.parametrize(
    ("kind", "partner_id", "amount", "given", "reason"),
    [
        (LoadValue, HOTEL, 5_000, [], "stored_value_not_here"),
        (LoadValue, GROCER, 499, [], "load_out_of_range"),
        (LoadValue, GROCER, 20_001, [], "load_out_of_range"),
        (LoadValue, GROCER, 5_000, [(PAID, GROCER, OLD, 24_501)], "stored_value_full"),
        (SpendValue, PETROL, 1, [(PAID, GROCER, OLD, 9)], "stored_value_not_here"),
        (SpendValue, HOTEL, 10, [(PAID, GROCER, OLD, 9)], "insufficient_value"),
        (RefundValue, HOTEL, 1, [(PAID, GROCER, TODAY, 9)], "stored_value_not_here"),
        (RefundValue, GROCER, 201, [(PAID, GROCER, OLD, 201)], "not_refundable"),
        (RefundValue, GROCER, 1, [(ON_TOP, GROCER, TODAY, 9)], "not_refundable"),
    ],
)
def test_what_the_file_does_not_allow_is_refused(
    kind: type[Command], partner_id: int, amount: int, given: list[Lot], reason: str
) -> None:
    """Where, how much, and what is there."""
    assert come(kind, partner_id, amount, *given) == reason


def test_the_oldest_load_is_spent_first_and_what_is_on_top_of_it_after_it() -> None:
    """Day by day; within a day paid value, then what was given on top."""
    given = [(ON_TOP, BANK, OLD, 5), (PAID, GROCER, TODAY, 50), (PAID, PETROL, OLD, 20)]
    assert come(SpendValue, HOTEL, 30, *given) == [
        ("MEMBER", "ACCEPTED", PAID, 20, PETROL, OLD, HOTEL),
        ("MEMBER", "ACCEPTED", ON_TOP, 5, BANK, OLD, HOTEL),
        ("MEMBER", "ACCEPTED", PAID, 5, GROCER, TODAY, HOTEL),
    ]


def test_money_is_spent_where_a_later_programme_has_no_stored_value() -> None:
    """It is the member's: it can be spent anywhere, and is paid back."""
    plain, given = rules(), [(PAID, GROCER, OLD, 20)]
    assert come(SpendValue, PETROL, 20, *given, live=plain) != "stored_value_not_offered"
    assert come(RefundValue, HOTEL, 20, *given, live=plain) == [
        ("MEMBER", "ACCEPTED", PAID, 20, GROCER, OLD, HOTEL)
    ]
    assert come(LoadValue, GROCER, 500, live=plain) == "stored_value_not_offered"


def test_a_refund_takes_the_newest_load_first_and_ends_what_was_on_top() -> None:
    """Of the loads that it touches; older ones keep theirs."""
    before = TODAY - timedelta(days=14)
    given = [
        *((PAID, GROCER, before, 50), (ON_TOP, BANK, before, 5)),
        *((PAID, GROCER, TODAY, 30), (ON_TOP, GROCER, TODAY, 3)),
    ]
    assert come(RefundValue, PETROL, 30, *given) == [
        ("MEMBER", "ACCEPTED", PAID, 30, GROCER, TODAY, PETROL),
        ("MEMBER", "ISSUED", ON_TOP, 3, GROCER, TODAY, None),
    ]
    assert come(RefundValue, PETROL, 81, *given) == "not_refundable"


@pytest.mark.parametrize(
    ("rule", "given", "back"),
    [
        ('rule = "never"', [(PAID, GROCER, TODAY, 900)], 0),
        ('rule = "never"\nbelow_minor = 901', [(PAID, GROCER, OLD, 900), (ON_TOP, GROCER, OLD, 90)], 900),
        ('rule = "never"\nbelow_minor = 900', [(PAID, GROCER, OLD, 900)], 0),
        ('rule = "always"', [(PAID, GROCER, OLD, 900)], 900),
        ('rule = "within_days"\ndays = 14', [(PAID, GROCER, OLD, 900), (PAID, GROCER, TODAY, 1)], 1),
        ('rule = "within_days"\ndays = 15', [(PAID, GROCER, OLD, 900), (PAID, GROCER, TODAY, 1)], 901),
    ],
)
def test_what_is_paid_back_goes_by_the_rule(rule: str, given: list[Lot], back: int) -> None:
    """Never, always, within days; and small remainders whatever the rule."""
    file = FILE[: FILE.index("[stored_value.refund]")] + "[stored_value.refund]\n" + rule
    offered = rules(source=PROGRAMME + file).programme.stored_value
    assert sum(lot.remaining for lot in refundable(lots(*given), offered, TODAY)) == back


def total(unit: Unit, debit: AccountKind, credit: AccountKind, acceptor: int | None = None) -> ValueTotal:
    """12.34 that moved."""
    return ValueTotal(
        unit=unit,
        debit=debit,
        credit=credit,
        issuer_id=GROCER,
        issuer_terms=1,
        acceptor_id=acceptor,
        minor=1_234,
        postings=2,
    )


KNOWN = {(GROCER, 1): terms(GROCER), (HOTEL, 1): msgspec.structs.replace(terms(HOTEL), currency="JPY")}
ISSUED, HAS, ACCEPTED, TRANSIT = (
    *(AccountKind.ISSUED, AccountKind.MEMBER, AccountKind.ACCEPTED, AccountKind.TRANSIT),
)


@pytest.mark.parametrize(
    ("moved", "flow", "debtor", "creditor", "amount"),
    [
        (total(PAID, ISSUED, HAS), "load", GROCER, SAFEGUARD_ID, "12.34"),
        (total(ON_TOP, HAS, ISSUED), "load", GROCER, SAFEGUARD_ID, "-12.34"),
        (total(PAID, HAS, ACCEPTED, BANK), "value", SAFEGUARD_ID, BANK, "12.34"),
        (total(ON_TOP, ACCEPTED, HAS, BANK), "value", SAFEGUARD_ID, BANK, "-12.34"),
        (total(PAID, ACCEPTED, TRANSIT, BANK), "value", SAFEGUARD_ID, BANK, "-12.34"),
        (total(Unit.FEE, ISSUED, ACCEPTED, BANK), "plan", GROCER, BANK, "12.34"),
        (total(Unit.FEE, ACCEPTED, ISSUED, BANK), "plan", GROCER, BANK, "-12.34"),
    ],
)
def test_who_owes_whom_at_night(
    moved: ValueTotal, flow: str, debtor: int, creditor: int, amount: str
) -> None:
    """Who took money owes it to the account, the account to who honours it; to the cent, and no points."""
    [line] = value_flows([moved], KNOWN)
    assert (line.flow, line.debtor_id, line.creditor_id, line.amount) == (
        *(flow, debtor, creditor),
        Decimal(amount),
    )
    assert (line.points, line.creditor_terms, line.currency) == (0, None, "USD")


def test_a_currency_without_cents_and_what_is_not_agreed() -> None:
    """1234 yen are 1234; and nothing is priced that nobody has thought of."""
    yen = msgspec.structs.replace(total(PAID, ISSUED, HAS), issuer_id=HOTEL)
    assert [line.amount for line in value_flows([yen], KNOWN)] == [Decimal(1_234)]
    assert value_flows([total(PAID, TRANSIT, HAS)], KNOWN) == []
    with pytest.raises(FlowUnknown):
        value_flows([total(PAID, HAS, AccountKind.LAPSED)], KNOWN)
    with pytest.raises(FlowUnknown):
        value_flows([total(Unit.POINTS, ISSUED, HAS)], KNOWN)
    with pytest.raises(TermsMissing):
        value_flows([total(PAID, HAS, ACCEPTED)], KNOWN)
    with pytest.raises(TermsMissing):
        value_flows([msgspec.structs.replace(total(PAID, ISSUED, HAS), issuer_terms=2)], KNOWN)


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ('rule = "within_days"', 'rule = "sometimes"', "Input should be 'within_days', 'always' or 'never'"),
        ("days = 14", "", "days is for the rule within_days, which needs it"),
        ("most_minor = 20000", "most_minor = 40000", "do not rise"),
        ("from_minor = 10000", "from_minor = 5000", "two bonuses have the same from_minor"),
        ("value_minor = 500", "points = 5", 'need the refund rule "never"'),
        ("value_minor = 500", "value_minor = 500\npoints = 5", "give either value_minor or points"),
        ('currency = "USD"', 'currency = "dollar"', "stored_value.currency: String should match"),
        ("[stored_value.refund]", "[stored_value.refunds]", "stored_value.refund: is missing"),
    ],
)
def test_a_file_is_told_what_is_wrong(before: str, after: str, message: str) -> None:
    """With its line and field."""
    with pytest.raises(ProgrammeInvalid) as told:
        read_programme(PROGRAMME + FILE.replace(before, after, 1))
    assert message in str(told.value)


def test_partners_of_stored_value_are_the_networks() -> None:
    """Who takes money, who honours it, who pays for what is on top."""
    for field, code in (("loads_at", '"petrol"'), ("spends_at", '"hotel"'), ("bonus", '"bank"')):
        with pytest.raises(ProgrammeInvalid, match=f"stored_value {field} names nobody"):
            rules(source=PROGRAMME + FILE.replace(code, '"nobody"'))


def test_what_was_drawn_last_comes_back_first_part_by_part() -> None:
    """A spend of two lots returned in two parts: each lot gets what it gave, and no more."""
    moment = Moment(now=START, window_id=20170501, business_date=TODAY, lapsed_through=TODAY)
    given = lots((PAID, PETROL, OLD, 5), (PAID, GROCER, TODAY, 15))
    state = LedgerState(
        moment=moment,
        cards={CARD: CardState(MEMBER, active=True)},
        members={MEMBER: MemberState(member_id=MEMBER, balance=0, value=given)},
        recorded={},
    )
    folded = Folded(state)
    spend = SpendValue(
        partner_id=HOTEL,
        reference="s",
        occurred_at=START,
        outlet_code=OUTLET,
        card_number=CARD,
        amount_minor=20,
        currency="USD",
    )
    [spent] = decide_batch(folded, [(spend, MINTED)], LIVE)
    assert isinstance(spent, Decision)
    back = [undo(spent.entry, f"b{number}", amount_minor=10) for number in range(3)]
    minted = [Minted(entry_id=UUID(int=number << 40 | MEMBER)) for number in (2, 3, 4)]
    *parts, more = decide_batch(folded, list(zip(back, minted, strict=True)), LIVE)
    assert [
        [(p.debit.name, p.credit.name, p.points, p.issuer_id, p.acceptor_id) for p in part.postings]
        for part in parts
        if isinstance(part, Decision)
    ] == [
        [("ACCEPTED", "MEMBER", 10, GROCER, HOTEL)],
        [("ACCEPTED", "MEMBER", 5, GROCER, HOTEL), ("ACCEPTED", "MEMBER", 5, PETROL, HOTEL)],
    ]
    assert more == Rejected("entry_already_reversed")
    assert sorted((lot.issuer_id, lot.remaining) for lot in folded.value(MEMBER)) == [
        (GROCER, 15),
        (PETROL, 5),
    ]
