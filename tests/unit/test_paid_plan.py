"""Paid plans by literals: periods, what is paid back, which day a plan is good on, what a file may say."""

from datetime import date, timedelta
from uuid import UUID

import msgspec
import pytest

from network.errors import ProgrammeInvalid
from network.judging import plans_on
from network.model import AccountKind, EntryKind, Membership, Unit
from network.outcomes import (
    CardState,
    Decision,
    LedgerState,
    MemberState,
    Minted,
    Moment,
    RecordedEntry,
    Rejected,
)
from network.paid_plan import buy_plan, end_plan, paid_back, period_end
from network.programme.offers import PaidPlan
from network.programme.spec import read_programme
from network.rules import Folded
from tests.between import buy_plan as buying
from tests.between import end_plan as ending
from tests.coalition import BANK, GROCER, HOTEL, PROGRAMME, START, rules

FILE = """
[[plan]]
id = "plus"
says = "x"
months = 12
price_minor = 9900
currency = "USD"
honoured_by = "hotel"
sold_at = ["grocer"]
[plan.refund]
full_days = 2
"""
LIVE = rules(source=PROGRAMME + FILE)
CARD, MEMBER = 6330001234567895, 7
BOUGHT = UUID(int=1 << 40 | MEMBER)
MINTED = Minted(entry_id=UUID(int=2 << 40 | MEMBER))
TODAY = START.date()
FIRST, LAST = date(2017, 5, 1), date(2018, 4, 30)
YEAR = Membership(entry_id=BOUGHT, plan="plus", starts_on=FIRST, paid_until=LAST, ends_on=LAST)


def folded(*memberships: Membership, days: int = 0, recorded: RecordedEntry | None = None) -> Folded:
    """A member with some memberships, so many days after the start."""
    today = TODAY + timedelta(days=days)
    moment = Moment(
        now=START + timedelta(days=days), window_id=20170501, business_date=today, lapsed_through=today
    )
    return Folded(
        LedgerState(
            moment=moment,
            cards={CARD: CardState(MEMBER, active=True)},
            members={MEMBER: MemberState(member_id=MEMBER, balance=0, memberships=memberships)},
            recorded={} if recorded is None else {recorded.entry.entry_id: recorded},
        )
    )


@pytest.mark.parametrize(
    ("starts_on", "months", "ends_on"),
    [
        (date(2017, 5, 1), 12, date(2018, 4, 30)),
        (date(2017, 1, 31), 1, date(2017, 2, 27)),
        (date(2016, 2, 29), 12, date(2017, 2, 27)),
        (date(2016, 2, 29), 48, date(2020, 2, 28)),
        (date(2017, 12, 1), 1, date(2017, 12, 31)),
    ],
)
def test_a_period_is_of_whole_months(starts_on: date, months: int, ends_on: date) -> None:
    """To the day before the same day of a month to come; a day that it lacks is its last."""
    assert period_end(starts_on, months) == ends_on


def test_a_purchase_is_a_fee_from_the_seller_to_who_honours_it() -> None:
    """One posting of a unit that no member holds, for the days of the membership."""
    bought = buy_plan(folded(), buying(CARD, "b"), MINTED, LIVE)
    assert isinstance(bought, Decision)
    [fee] = bought.postings
    assert (fee.debit, fee.credit, fee.unit, fee.points) == (
        *(AccountKind.ISSUED, AccountKind.ACCEPTED, Unit.FEE),
        99_00,
    )
    assert (fee.issuer_id, fee.acceptor_id, fee.spendable_on, fee.expires_on) == (GROCER, HOTEL, FIRST, LAST)
    expected = msgspec.structs.replace(YEAR, entry_id=MINTED.entry_id)
    assert (bought.entry.kind, bought.membership) == (EntryKind.PLAN_MEMBERSHIP, expected)


def test_a_renewal_goes_on_where_the_plan_would_have_ended() -> None:
    """Once; what was given up, or is of another plan, is no renewal."""
    renewed = buy_plan(folded(YEAR), buying(CARD, "b"), MINTED, LIVE)
    assert isinstance(renewed, Decision)
    assert renewed.membership is not None
    assert (renewed.membership.starts_on, renewed.membership.ends_on) == (date(2018, 5, 1), date(2019, 4, 30))
    again = buy_plan(folded(YEAR, renewed.membership), buying(CARD, "b"), MINTED, LIVE)
    assert again == Rejected("plan_already_renewed")
    over = msgspec.structs.replace(YEAR, ends_on=FIRST - timedelta(days=1), ended=True)
    other = msgspec.structs.replace(YEAR, plan="other")
    fresh = buy_plan(folded(over, other), buying(CARD, "b"), MINTED, LIVE)
    assert isinstance(fresh, Decision)
    assert fresh.membership == msgspec.structs.replace(YEAR, entry_id=MINTED.entry_id)


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"plan": "other"}, "plan_unknown"),
        ({"amount_minor": 98_99}, "plan_price_differs"),
        ({"partner_id": BANK}, "plan_not_sold_here"),
        ({"currency": "EUR"}, "currency_not_contracted"),
        ({"card_number": 1}, "card_unknown"),
    ],
)
def test_what_is_not_for_sale_is_refused(changed: dict[str, object], reason: str) -> None:
    """Another plan, price, seller, currency."""
    command = msgspec.structs.replace(buying(CARD, "b"), **changed)
    assert buy_plan(folded(), command, MINTED, LIVE) == Rejected(reason)


def plan(refund: str = "pro_rata", rounding: str = "down", full_days: int = 0) -> PaidPlan:
    """A year for 99.00."""
    return msgspec.structs.replace(
        LIVE.programme.paid_plans["plus"], refund=refund, rounding=rounding, full_days=full_days
    )


@pytest.mark.parametrize(
    ("made", "today", "back", "ends_on"),
    [
        (plan(), date(2017, 5, 1), 99_00, date(2017, 4, 30)),
        (plan(full_days=2), date(2017, 5, 3), 99_00, date(2017, 4, 30)),
        # 9900 x 361 / 365 = 9791.506...
        (plan(full_days=2), date(2017, 5, 4), 97_91, date(2017, 5, 4)),
        (plan(rounding="half_up"), date(2017, 5, 4), 97_92, date(2017, 5, 4)),
        # 9900 x 1 / 365 = 27.12...
        (plan(rounding="half_up"), date(2018, 4, 29), 27, date(2018, 4, 29)),
        (plan(rounding="up"), date(2018, 4, 29), 28, date(2018, 4, 29)),
        (plan(rounding="up"), LAST, 0, LAST),
        (plan("never", full_days=2), date(2017, 5, 3), 99_00, date(2017, 4, 30)),
        (plan("never"), date(2017, 5, 4), 0, date(2017, 5, 4)),
    ],
)
def test_what_is_paid_back_goes_by_days(made: PaidPlan, today: date, back: int, ends_on: date) -> None:
    """Today counts as used; within the days that are full, nothing does."""
    assert paid_back(made, YEAR, bought_on=FIRST, today=today) == (back, ends_on)


def test_a_period_that_has_not_begun_is_paid_back_whole() -> None:
    """A renewal that is given up in time has no day."""
    late = msgspec.structs.replace(
        YEAR, starts_on=date(2018, 5, 1), paid_until=date(2019, 4, 30), ends_on=date(2019, 4, 30)
    )
    assert paid_back(plan("never"), late, bought_on=FIRST, today=LAST) == (99_00, LAST)


def test_an_end_is_by_who_sold_it_or_honours_it_and_only_once() -> None:
    """Who pays back gets it from who had the fee; the terms are those of the purchase."""
    bought = buy_plan(folded(), buying(CARD, "b"), Minted(entry_id=BOUGHT), LIVE)
    assert isinstance(bought, Decision)
    recorded = RecordedEntry(entry=bought.entry, postings=bought.postings)
    state = folded(YEAR, days=3, recorded=recorded)
    at = START + timedelta(days=3)
    stranger = ending(bought.entry, "e", partner_id=BANK, at=at)
    assert end_plan(state, stranger, MINTED, LIVE) == Rejected("entry_unknown")
    for partner_id in (GROCER, HOTEL):
        ended = end_plan(state, ending(bought.entry, "e", partner_id=partner_id, at=at), MINTED, LIVE)
        assert isinstance(ended, Decision)
        [back] = ended.postings
        assert (back.debit, back.credit, back.points, back.issuer_id, back.acceptor_id) == (
            *(AccountKind.ACCEPTED, AccountKind.ISSUED, 97_91),
            *(partner_id, HOTEL),
        )
        assert (ended.entry.amount_minor, ended.membership) == (
            97_91,
            msgspec.structs.replace(YEAR, ends_on=date(2017, 5, 4), ended=True),
        )
    over = folded(msgspec.structs.replace(YEAR, ended=True), days=3, recorded=recorded)
    assert end_plan(over, ending(bought.entry, "e", at=at), MINTED, LIVE) == Rejected("plan_over")


def test_a_plan_is_good_from_its_first_day_to_its_last() -> None:
    """Whatever day it is now: it goes by the day of the sale."""
    days = (FIRST - timedelta(days=1), FIRST, LAST, LAST + timedelta(days=1))
    assert [plans_on([YEAR], day) for day in days] == [(), ("plus",), ("plus",), ()]


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("months = 12", "months = 0", "plan.1.months: Input should be greater than or equal to 1"),
        ("full_days = 2", "full_days = 366", "refund.full_days is longer than the plan"),
        ("full_days = 2", 'rounding = "even"', "Input should be 'down', 'half_up' or 'up'"),
        ("price_minor = 9900", "price = 99", "plan.1.price: there is no such field here"),
        (
            "[[plan]]",
            '[[rule]]\nid = "r"\nsays = "x"\naward = { points = 1 }\nwhen = { plans = ["none"] }\n[[plan]]',
            "rule.1.when.plans.1: 'none' is none of the plans: plus",
        ),
    ],
)
def test_a_file_is_told_what_is_wrong(before: str, after: str, message: str) -> None:
    """With its line and field; a rule asks for plans that there are."""
    with pytest.raises(ProgrammeInvalid) as told:
        read_programme(PROGRAMME + FILE.replace(before, after, 1))
    assert message in str(told.value)


def test_partners_of_a_plan_are_the_networks() -> None:
    """Who honours it, and who sells it."""
    for field, code in (("honoured_by", '"hotel"'), ("sold_at", '"grocer"')):
        with pytest.raises(ProgrammeInvalid, match=f"plan plus {field} names nobody"):
            rules(source=PROGRAMME + FILE.replace(code, '"nobody"'))
