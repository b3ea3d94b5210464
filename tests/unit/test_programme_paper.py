"""Vouchers, coupons and packs of a programme by literals: what a file may say, and what a sale counts."""

from datetime import date

import pytest

from network.errors import ProgrammeInvalid
from network.programme.compiled import Programme, compile_programme
from network.programme.counters import EVER
from network.programme.counting import counts_of
from network.programme.judge import again, judge
from network.programme.sale import Facts, rest_of
from network.programme.spec import read_programme, write_programme
from tests.unit.test_programme_rules import HEAD, IDS, given, plan_of, reasons, rule, sale

VOUCHER = """
[[voucher]]
id = "paper"
says = "x"
points = 150
worth_minor = 200
currency = "USD"
partners = ["grocer"]
valid_months = 2
"""
CONVERSION = '[conversion]\nvoucher = "paper"\nminimum = 300\n'
COUPON = '[[coupon]]\nid = "coffee"\nsays = "x"\n'
PACKS = """
[[packs]]
id = "spring"
says = "x"
number = 3
packs = 10
first_on = 2017-05-01
last_on = 2017-05-31
"""


def compiled(text: str) -> Programme:
    """A file under the rules' head."""
    return compile_programme(read_programme(HEAD + text), 1, IDS)


def test_a_voucher_is_worth_its_steps_to_the_end_of_a_month() -> None:
    """300 points are two steps; what is no whole step stays; below the minimum all does."""
    programme = compiled(VOUCHER + CONVERSION)
    kind, conversion = programme.vouchers["paper"], programme.conversion
    assert conversion is not None
    assert kind.worth(300) == 400
    assert kind.days(date(2017, 11, 15)) == (date(2017, 11, 15), date(2018, 1, 31))
    assert kind.partners == frozenset({11})
    assert [conversion.points_of(many) for many in (299, 300, 449, 450)] == [0, 300, 300, 450]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (CONVERSION, "programme:7: conversion.voucher: 'paper' is none of the vouchers: there are none"),
        (VOUCHER + VOUCHER, "the name 'paper' is taken"),
        (PACKS + PACKS.replace("spring", "autumn"), "3 is another campaign's number"),
        (PACKS.replace("05-31", "04-30"), "last_on is before first_on"),
        (rule('when = { packs = ["tea"] }'), "'tea' is none of the packs"),
        (rule('when = { coupons = ["tea"] }'), "'tea' is none of the coupons"),
        (COUPON + rule('when = { coupons = ["coffee"] }', kind="base"), "counter, nth and coupons are for"),
        (
            PACKS + rule('when = { packs = ["spring"], events = ["a"] }'),
            "events and packs exclude each other",
        ),
        (VOUCHER.replace("valid_months = 2", "valid_months = 0\nstarts_in_days = 5"), "would be no day"),
        (VOUCHER.replace('"USD"', '"dollar"'), "currency"),
    ],
)
def test_faults_are_told(text: str, fault: str) -> None:
    """With what was expected."""
    with pytest.raises(ProgrammeInvalid) as told:
        read_programme(HEAD + text)
    assert fault in str(told.value)


def test_a_file_of_paper_round_trips() -> None:
    """Written and read again it says the same."""
    spec = read_programme(HEAD + CONVERSION + VOUCHER + COUPON + PACKS)
    assert read_programme(write_programme(spec)) == spec


def test_a_coupon_opens_its_rule_for_whom_it_is_given_and_comes_back_with_the_goods() -> None:
    """Shown and given: used up, once for two rules; not shown or not there: why; all returned: not used."""
    both = rule('when = { coupons = ["coffee"] }', name="one") + rule(
        'when = { coupons = ["coffee"] }', name="two", award="points = 1"
    )
    plan = plan_of(COUPON + both)
    has = Facts(coupons=("coffee",))
    shown = sale(coupons=("coffee",))
    assert given(plan, shown, has) == {"earn.default": 10, "one": 5000, "two": 1000}
    assert reasons(plan, shown) == {"one": "coupon_not_there", "two": "coupon_not_there"}
    assert reasons(plan, sale(), has) == {"one": "coupon_not_shown", "two": "coupon_not_shown"}
    outcome = judge(plan, shown, has)
    assert counts_of(plan, shown, has, outcome) == {("coupon:coffee", EVER): 1}
    part, nothing = (rest_of(shown, left, ()) for left in (5_00, 0))
    assert counts_of(plan, part, has, again(plan, part, has, outcome)) == {("coupon:coffee", EVER): 1}
    assert counts_of(plan, nothing, has, again(plan, nothing, has, outcome)) == {}


def test_a_pack_is_registered_as_an_event_that_no_till_can_report() -> None:
    """The rule of a pack asks for its campaign's event, and for no sale."""
    plan = plan_of(PACKS + rule('when = { packs = ["spring"] }\nbasis = { of = "visit" }', name="pack"))
    assert given(plan, sale(0, event="pack:3")) == {"pack": 5}
    assert reasons(plan, sale(0, event="pack:4"))["pack"] == "other_event"
    assert reasons(plan, sale())["pack"] == "no_event"
    assert compiled(PACKS).packs[3].packs == 10
