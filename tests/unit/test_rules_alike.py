"""Rules are looked up once for sales and members that are alike: whatever a rule asks for sets them apart."""

from datetime import date
from typing import Any

import msgspec
import pytest

from network.basket import Details, Flight, Item
from network.programme.compiled import compile_programme
from network.programme.judge import judge
from network.programme.rule import Plan
from network.programme.sale import Facts, Sale
from network.programme.spec import read_programme

IDS = {"grocer": 11, "petrol": 12}
ASKED = {
    "category": 'categories = ["food"]',
    "food-over": 'categories = ["food"]\nminimum_minor = 500',
    "tender": 'tenders = ["cash"]',
    "channel": 'channels = ["app"]',
    "offer": 'offers = ["spring"]',
    "choice": 'choices = ["points"]',
    "event": 'events = ["login"]',
    "hours": "hours = { since = 10:00:00, until = 12:00:00 }",
    "night": "hours = { since = 22:00:00, until = 06:00:00 }",
    "minimum": "minimum_minor = 2000",
    "outlet": 'outlets = ["grocer/main"]',
    "tier": 'tiers = ["gold"]',
    "alliance": 'alliance_tiers = ["ruby"]',
    "guest": "guests = true",
    "segment": 'segments = ["young"]',
    "plan": 'plans = ["plus"]',
    "cabin": 'cabins = ["first"]',
    "coupon": 'coupons = ["free"]',
    "weekday": 'weekdays = ["sat"]',
    "dates": "first_on = 2017-05-04",
}
FILE = """
name = "alike"
tiers = ["gold"]
[earn.default]
[expiry]
months = 3
[[segment]]
id = "young"
says = "x"
when = { seen = { at_most = 9 } }
[[coupon]]
id = "free"
says = "x"
[[plan]]
id = "plus"
says = "x"
months = 12
price_minor = 9900
currency = "USD"
honoured_by = "grocer"
[plan.refund]
full_days = 2
[[rule]]
id = "sponsored"
says = "x"
award = { points = 5 }
fund = { who = "petrol" }
""" + "".join(
    f'[[rule]]\nid = "{name}"\nsays = "x"\naward = {{ points = 5 }}\n[rule.when]\n{when}\n'
    for name, when in ASKED.items()
)
SOLD = Sale(
    partner_id=11, outlet_code="other", day=date(2017, 5, 2), minute=780, amount_minor=1000, details=Details()
)
FACTS = Facts()
VARIED: dict[str, tuple[dict[str, Any], dict[str, Any], dict[str, Any]]] = {
    "tender": ({}, {"tender": "cash"}, {}),
    "channel": ({}, {"channel": "app"}, {}),
    "offer": ({}, {"offer": "spring"}, {}),
    "choice": ({}, {"choice": "points"}, {}),
    "event": ({}, {"event": "login"}, {}),
    "category": ({}, {"items": (Item(1000, "food"),)}, {}),
    "food-over": ({}, {"items": (Item(600, "food"), Item(400, "toys"))}, {}),
    "cabin": ({}, {"flight": Flight(origin="PEK", destination="CDG", cabin="first")}, {}),
    "guest": ({}, {"alliance_tier": "ruby"}, {}),
    "hours": ({"minute": 600}, {}, {}),
    "night": ({"minute": 1320}, {}, {}),
    "minimum": ({"amount_minor": 2000}, {}, {}),
    "outlet": ({"outlet_code": "main"}, {}, {}),
    "weekday": ({"day": date(2017, 5, 6)}, {}, {}),
    "dates": ({"day": date(2017, 5, 4)}, {}, {}),
    "tier": ({}, {}, {"tier": "gold"}),
    "alliance": ({}, {}, {"alliance_tier": "ruby"}),
    "segment": ({}, {}, {"segments": ("far", "young")}),
    "plan": ({}, {}, {"plans": ("plus",)}),
    "coupon": ({}, {"coupons": ("free",)}, {"coupons": ("free",)}),
}


def _given(plan: Plan, sold: Sale, facts: Facts) -> set[str]:
    return {one.rule for one in judge(plan, sold, facts).awards} - {"earn.default"}


def _plan() -> Plan:
    return compile_programme(read_programme(FILE), 1, IDS).plans[11]


@pytest.mark.parametrize("name", VARIED)
def test_a_rule_is_found_for_the_one_sale_and_not_for_the_other(name: str) -> None:
    """Two sales that differ in one thing: the rule that asks for it gives for one, in either order."""
    sale, details, facts = VARIED[name]
    other = msgspec.structs.replace(SOLD, details=msgspec.structs.replace(SOLD.details, **details), **sale)
    known = msgspec.structs.replace(FACTS, **facts)
    for order in (1, -1):
        plan = _plan()
        found = [_given(plan, *one) for one in ((SOLD, FACTS), (other, known))[::order]][::order]
        assert name not in found[0]
        assert name in found[1]


def test_a_sponsor_that_cannot_pay_sets_members_sales_apart() -> None:
    """The sponsor's rule gives until it cannot pay, and when it can again."""
    plan = _plan()
    poor = msgspec.structs.replace(FACTS, unfunded=(12,))
    assert [_given(plan, SOLD, one) for one in (FACTS, poor, FACTS)] == [{"sponsored"}, set(), {"sponsored"}]


def test_sales_that_no_rule_tells_apart_share_what_was_found() -> None:
    """Other amounts, minutes and outlets between the places where conditions turn are looked up once."""
    plan = _plan()
    for amount, minute, outlet in ((1, 721, "other"), (1999, 1319, "third")):
        sold = msgspec.structs.replace(SOLD, amount_minor=amount, minute=minute, outlet_code=outlet)
        assert _given(plan, sold, FACTS) == {"sponsored"}
    assert len(plan.alike) == 1
