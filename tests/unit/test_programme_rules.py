"""Rules of a programme by literals: a file and a sale in, points by rule and reasons out."""

from datetime import date
from typing import Any

import pytest

from network.basket import Details, Flight, Item
from network.errors import ProgrammeInvalid
from network.programme.compiled import compile_programme
from network.programme.counting import counts_of, less
from network.programme.judge import again, judge
from network.programme.rule import Plan, Step, split
from network.programme.sale import NO_FACTS, Facts, Sale, rest_of
from network.programme.spec import read_programme

IDS = {"grocer": 11, "petrol": 12, "air": 13}
HEAD = """
name = "rules"
[earn.default]
[expiry]
months = 3
"""
TUESDAY = date(2017, 5, 2)


def plan_of(rules: str, partner: str = "grocer", head: str = HEAD) -> Plan:
    """The plan of a partner under some rules."""
    return compile_programme(read_programme(head + rules), 1, IDS).plans[IDS[partner]]


def sale(
    amount_minor: int = 10_00,
    day: date = TUESDAY,
    minute: int = 600,
    partner: str = "grocer",
    **details: Any,
) -> Sale:
    """A sale of ten, on a Tuesday at ten."""
    return Sale(
        partner_id=IDS[partner],
        outlet_code="main",
        day=day,
        minute=minute,
        amount_minor=amount_minor,
        details=Details(**details),
    )


def given(plan: Plan, sold: Sale, facts: Facts = NO_FACTS) -> dict[str, int]:
    """Points by rule."""
    return {one.rule: one.points for one in judge(plan, sold, facts).awards}


def reasons(plan: Plan, sold: Sale, facts: Facts = NO_FACTS) -> dict[str, str]:
    """Why rules gave nothing, by rule."""
    steps: list[Step] = []
    judge(plan, sold, facts, steps)
    return {one.rule: one.reason for one in steps if one.reason}


def rule(text: str, *, name: str = "extra", kind: str = "promotion", award: str = "points = 5") -> str:
    """A rule with an id."""
    return f'[[rule]]\nid = "{name}"\nsays = "x"\nkind = "{kind}"\naward = {{ {award} }}\n{text}\n'


def test_the_best_base_counts_and_the_first_of_equals() -> None:
    """Of base rules one gives: that which gives most."""
    plan = plan_of(
        rule("", name="more", kind="base", award="points = 2, per = 100")
        + rule("", name="same", kind="base", award="points = 20, per = 1000")
    )
    assert given(plan, sale()) == {"more": 20}
    assert reasons(plan, sale()) == {
        "earn.default": "another_base_gives_more",
        "same": "another_base_gives_no_less",
    }


def test_promotions_add_to_the_base_and_never_to_one_another() -> None:
    """Double and triple together are four times the base: each multiplies the base alone."""
    plan = plan_of(
        rule("", name="double", award='times = "2"') + rule("", name="triple", award='times = "3"')
    )
    assert given(plan, sale()) == {"earn.default": 10, "double": 10, "triple": 20}


def test_an_exclusive_promotion_stands_alone() -> None:
    """The best exclusive one counts beside the base, and the others say why not."""
    plan = plan_of(
        rule("", name="plain")
        + rule("exclusive = true", name="big", award="points = 50")
        + rule("exclusive = true", name="small", award="points = 40")
    )
    assert given(plan, sale()) == {"earn.default": 10, "big": 50 * 1000}
    assert reasons(plan, sale()) == {"plain": "excluded_by_promotion", "small": "excluded_by_promotion"}


@pytest.mark.parametrize(
    ("rounding", "points"),
    [("whole_steps", 0), ("down", 24), ("half_up", 25), ("half_even", 24), ("up", 25)],
)
def test_every_rounding_is_named(rounding: str, points: int) -> None:
    """49 at one point for two: 24.5."""
    plan = plan_of(rule("", kind="base", award=f'points = 50, per = 100, rounding = "{rounding}"'))
    assert given(plan, sale(49)).get("extra", 0) == points


@pytest.mark.parametrize(
    ("when", "changed", "reason"),
    [
        ('tenders = ["cash"]', {"tender": "card"}, "other_tender"),
        ('channels = ["app"]', {}, "other_channel"),
        ('offers = ["latte"]', {"offer": "tea"}, "offer_not_shown"),
        ('outlets = ["grocer/other"]', {}, "other_outlet"),
        ('categories = ["food"]', {"items": (Item(10_00, "tobacco"),)}, "other_category"),
        ('categories = ["food"]', {}, "no_lines"),
        ('tiers = ["gold"]', {}, "other_tier"),
        ('alliance_tiers = ["gold"]', {}, "other_alliance_tier"),
        ('segments = ["lapsed"]', {}, "not_in_segment"),
        ("minimum_minor = 1001", {}, "below_minimum"),
        ("hours = { since = 14:00:00, until = 17:00:00 }", {}, "other_hours"),
        ('cabins = ["business"]', {}, "no_flight"),
        ("nth = 2", {}, "not_reached"),
    ],
)
def test_a_rule_says_why_it_does_not_apply(when: str, changed: dict[str, Any], reason: str) -> None:
    """Each condition has its reason."""
    plan = plan_of(rule(f"when = {{ {when} }}"), head='tiers = ["gold"]\n' + HEAD)
    assert reasons(plan, sale(**changed)) == {"extra": reason}


def test_hours_may_run_over_midnight() -> None:
    """From 22 to 2, both sides of midnight; the end is not in."""
    plan = plan_of(rule("when = { hours = { since = 22:00:00, until = 02:00:00 } }"))
    minutes = (1319, 1320, 0, 119, 120)
    assert ["extra" in given(plan, sale(minute=one)) for one in minutes] == [False, True, True, True, False]


def test_weekdays_and_dates_choose_the_rules_of_a_day() -> None:
    """Tuesdays of May: first and last day are in, other days do not even try the rule."""
    plan = plan_of(rule('when = { weekdays = ["tue"], first_on = 2017-05-02, last_on = 2017-05-30 }'))
    days = [date(2017, 4, 25), date(2017, 5, 2), date(2017, 5, 3), date(2017, 5, 30), date(2017, 6, 6)]
    assert ["extra" in given(plan, sale(day=day)) for day in days] == [False, True, False, True, False]


def test_categories_say_which_lines_count() -> None:
    """A point a unit of food only; doubling doubles what the base gave for food."""
    basket = (Item(6_50, "food"), Item(3_50, "tobacco", 2))
    plan = plan_of(rule('when = { categories = ["food"] }', award='times = "2"'))
    assert given(plan, sale(items=basket)) == {"earn.default": 10, "extra": 6}


def test_an_exclusion_takes_lines_from_every_rule() -> None:
    """Tobacco earns nothing, for no rule."""
    excluded = (
        '[[rule]]\nid = "no-tobacco"\nsays = "x"\nkind = "exclusion"\nwhen = { categories = ["tobacco"] }\n'
    )
    basket = (Item(6_50, "food"), Item(3_50, "tobacco", 2))
    plan = plan_of(excluded + rule("", award='times = "2"'))
    assert given(plan, sale(items=basket)) == {"earn.default": 6, "extra": 6}
    assert given(plan, sale()) == {"earn.default": 10, "extra": 10}


def test_caps_hold_for_the_period_and_the_sale() -> None:
    """Seven a sale, ten a month: what does not fit is cut."""
    caps = '[[rule.cap]]\npoints = 7\nperiod = "sale"\n[[rule.cap]]\npoints = 10\nperiod = "month"\n'
    plan = plan_of(rule(caps, award="points = 1, per = 100"))
    assert given(plan, sale())["extra"] == 7
    assert given(plan, sale(), Facts(counters={"cap:extra:month": 8}))["extra"] == 2
    assert "extra" not in given(plan, sale(), Facts(counters={"cap:extra:month": 10}))


def test_a_budget_is_cut_to_what_is_left() -> None:
    """Nothing left gives nothing."""
    plan = plan_of(rule("budget = { points = 100 }", award="points = 1, per = 100"))
    assert given(plan, sale(), Facts(budgets={"extra": 3}))["extra"] == 3
    assert "extra" not in given(plan, sale(), Facts(budgets={"extra": 0}))


def test_units_and_quantities() -> None:
    """Three nights at 500; two teas at 3."""
    plan = plan_of(
        rule('basis = { of = "units", unit = "nights" }', name="nights", award="points = 500")
        + rule('basis = { of = "quantity" }\nwhen = { categories = ["tea"] }', name="tea", award="points = 3")
    )
    sold = sale(units=(("nights", 3),), items=(Item(4_00, "tea", 2), Item(6_00, "cake")))
    assert given(plan, sold) == {"earn.default": 10, "nights": 1500, "tea": 6}


PEK_SHA = 1_075_000
"""About what lies between two airports, in metres: 668 miles."""


@pytest.mark.parametrize(
    ("cabin", "metres", "points"),
    [("economy", PEK_SHA, 668), ("business", PEK_SHA, 1002), ("saver", PEK_SHA, 500), ("none", PEK_SHA, 0)],
)
def test_distance_times_cabin_with_a_minimum(cabin: str, metres: int, points: int) -> None:
    """Whole miles, times the cabin's per cent, at least 500; a cabin of none has no minimum."""
    basis = (
        'basis = { of = "distance", minimum = 500,'
        " cabins = { economy = 100, business = 150, saver = 25, none = 0 } }"
    )
    plan = plan_of(rule(basis, kind="base", award="points = 1"), "air")
    flight = Flight(origin="PEK", destination="SHA", cabin=cabin)
    got = given(plan, sale(1, partner="air", flight=flight), Facts(metres=metres))
    assert got.get("extra", 0) == points


PUNCH = """
[[counter]]
id = "washes"
says = "Washes"
counts = "quantity"
when = { categories = ["wash"] }
[[rule]]
id = "free"
says = "Ten paid, one free"
when = { counter = { id = "washes", every = 10 } }
basis = { of = "visit" }
award = { points = 1 }
"""


def test_a_counter_gives_every_tenth_and_never_twice_for_the_same() -> None:
    """Nine before and two more: one. What was given for stays known after a return."""
    plan = plan_of(PUNCH)
    two = sale(items=(Item(10_00, "wash", 2),))
    assert "free" not in given(plan, two, Facts(counters={"count:washes": 7}))
    assert given(plan, two, Facts(counters={"count:washes": 9}))["free"] == 1
    assert given(plan, two, Facts(counters={"count:washes": 18, "given:free": 1}))["free"] == 1
    assert "free" not in given(plan, two, Facts(counters={"count:washes": 9, "given:free": 1}))


def test_what_remains_earns_no_more_and_counts_go_back() -> None:
    """A half returned: below the minimum the bonus goes, and with it its counters."""
    cap = '[[rule.cap]]\npoints = 100\nperiod = "month"\n'
    plan = plan_of(rule("when = { minimum_minor = 800 }\n" + cap, award="points = 1, per = 100"))
    sold = sale()
    outcome = judge(plan, sold, NO_FACTS)
    rest = rest_of(sold, 5_00, ())
    left = again(plan, rest, NO_FACTS, outcome)
    assert [(one.rule, one.points) for one in left.awards] == [("earn.default", 5), ("extra", 0)]
    back = less(counts_of(plan, sold, NO_FACTS, outcome), counts_of(plan, rest, NO_FACTS, left))
    assert back == {("cap:extra:month", date(2017, 5, 1)): -10}


def test_a_return_judges_by_the_rules_that_gave() -> None:
    """The base that counted counts for the rest, though another would give more for it."""
    plan = plan_of(rule("", name="steps", kind="base", award="points = 100, per = 1000"))
    outcome = judge(plan, sale(), NO_FACTS)
    left = again(plan, rest_of(sale(), 9_00, ()), NO_FACTS, outcome)
    assert [(one.rule, one.points) for one in left.awards] == [("steps", 0)]


@pytest.mark.parametrize(
    ("points", "shares"),
    [(0, [0, 0, 0]), (1, [0, 0, 1]), (2, [0, 0, 2]), (4, [1, 1, 2]), (101, [33, 33, 35])],
)
def test_funders_share_and_the_last_pays_what_is_left(points: int, shares: list[int]) -> None:
    """A third each in per cent: the remainder's share is named, and no point is lost."""
    got = split(points, ((11, 33), (12, 33), (13, 0)))
    assert [got[11], got[12], got[13]] == shares
    assert sum(shares) == points


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (rule("when = { tiers = ['gold'] }"), "rules:11: rule.1.when.tiers.1: 'gold' is none of the tiers"),
        (rule("") + rule(""), "rules:12: rule.2: the name 'extra' is taken"),
        (rule("pending_days = 1.5"), "rules:11: rule.1.pending_days: Input should be a valid integer"),
        (rule("colour = 'red'"), "rules:11: rule.1.colour: there is no such field here"),
        (rule("", award='times = "0.5"'), 'rules:10: rule.1.award: times is above "1"'),
        (rule("", kind="base", award='times = "2"'), "times is for promotions"),
        (rule("when = { counter = { id = 'x', every = 2 } }"), "'x' is none of the counters"),
        ("[[rule]]\nid = 'a'\nsays = 'x'\n", "award is missing: what does it give?"),
        (rule("fund = { shares = [{ who = 'petrol', per_cent = 50 }] }"), "shares need a remainder"),
    ],
)
def test_errors_name_line_field_and_what_was_expected(text: str, said: str) -> None:
    """A marketing person finds the line."""
    with pytest.raises(Exception, match="rules:") as failed:
        read_programme(HEAD + text, "rules")
    assert said in str(failed.value)


def test_unknown_partners_are_named_with_their_field() -> None:
    """A code that no partner has."""
    spec = read_programme(HEAD + rule("fund = { who = 'bank' }\nwhen = { partners = ['shop'] }"))
    with pytest.raises(Exception, match="rule extra fund names bank; rule extra when names shop"):
        compile_programme(spec, 1, IDS)


def test_a_rule_may_not_have_the_name_of_a_tiers_bonus() -> None:
    """Two rules of one name would be one: its cap would not hold, and its sponsor would not be billed."""
    tier = """[[tier]]
name = "gold"
says = "x"
qualify = [{ measure = "money", at_least = 1 }]
"""
    assert given(plan_of(tier + rule("", name="tier-gold")), sale())["tier-gold"] == 5000
    with pytest.raises(ProgrammeInvalid, match=r"rule.1.id: tier-gold is the rule of the tier's own bonus"):
        plan_of(tier + "bonus_per_cent = 50\n" + rule("", name="tier-gold"))
