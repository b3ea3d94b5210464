"""Laws of programmes, whatever rules are combined: nothing is minted, returns add up, files round-trip."""

from collections.abc import Mapping
from datetime import date, time
from itertools import product
from typing import Any

import msgspec
import tomlkit
from hypothesis import given, settings
from hypothesis import strategies as st

from config.settings import PROJECT
from network.basket import Details, Item
from network.programme.compiled import compile_programme
from network.programme.counters import cap_name, period_of
from network.programme.counting import budgets_of, counts_of, less
from network.programme.judge import again, counting, judge
from network.programme.rule import Outcome, Plan, split
from network.programme.sale import Facts, Sale, rest_of
from network.programme.spec import read_programme, write_programme

IDS = {"grocer": 11, "bank": 12, "petrol": 13}
DAY = date(2017, 5, 2)

amounts = st.integers(1, 5_000)
_COUNTED = (("cap", ":month"), ("nth", ""), ("given", ""))
whens = st.fixed_dictionaries(
    {},
    optional={
        "tenders": st.just(["cash"]),
        "categories": st.sampled_from([["food"], ["food", "drink"]]),
        "minimum_minor": st.integers(1, 4_000),
        "weekdays": st.sampled_from([["tue"], ["sat", "tue"]]),
        "nth": st.integers(1, 3),
        "channels": st.just(["app"]),
        "outlets": st.sampled_from([["grocer/main"], ["grocer/other", "petrol/main"]]),
        "hours": st.sampled_from(
            [{"since": time(9), "until": time(10)}, {"since": time(22), "until": time(6)}]
        ),
        "tiers": st.sampled_from([["gold"], ["gold", "silver"]]),
        "segments": st.sampled_from([["young"], ["young", "far"]]),
        "guests": st.booleans(),
    },
)
awards = st.one_of(
    st.fixed_dictionaries(
        {"points": st.integers(0, 500), "per": st.integers(1, 500)},
        optional={"rounding": st.sampled_from(["whole_steps", "down", "half_up", "half_even", "up"])},
    ),
    st.fixed_dictionaries(
        {"times": st.sampled_from(["1.5", "2", "3.25"])},
        optional={"rounding": st.sampled_from(["down", "half_up", "up"])},
    ),
)
funds = st.sampled_from(
    [
        {"who": "issuer"},
        {"who": "bank"},
        {
            "shares": [{"who": "bank", "per_cent": 33}, {"who": "petrol", "per_cent": 33}],
            "remainder": "issuer",
        },
    ]
)
caps = st.lists(
    st.fixed_dictionaries({"points": st.integers(1, 400), "period": st.sampled_from(["sale", "month"])}),
    max_size=2,
    unique_by=lambda one: one["period"],
)


@st.composite
def programmes(draw: st.DrawFn) -> dict[str, Any]:
    """A file with up to five rules of any kind."""
    rules = []
    for number in range(draw(st.integers(0, 5))):
        kind = draw(st.sampled_from(["base", "promotion", "promotion", "exclusion"]))
        rule: dict[str, Any] = {"id": f"r{number}", "says": "x", "kind": kind, "when": draw(whens)}
        if kind != "exclusion":
            rule |= {"award": draw(awards), "fund": draw(funds), "cap": draw(caps)}
            if draw(st.booleans()):
                rule["budget"] = {"points": draw(st.integers(1, 500))}
            if "times" in rule["award"] and kind == "base":
                rule["award"] = {"points": 1, "per": 10}
        if kind != "promotion":
            rule["when"].pop("nth", None)
        elif draw(st.booleans()):
            rule["exclusive"] = True
        rules.append(rule)
    return {
        "name": "laws",
        "tiers": ["gold", "silver"],
        "segment": [{"id": name, "says": "x", "when": {"seen": {"at_most": 9}}} for name in ("young", "far")],
        "earn": {"default": {"step_minor": draw(st.integers(1, 300))}},
        "rule": rules,
        "expiry": {"months": 3},
    }


sales = st.builds(
    lambda lines, tender: Sale(
        partner_id=11,
        outlet_code="main",
        day=DAY,
        minute=600,
        amount_minor=sum(amount for amount, _ in lines),
        details=Details(items=tuple(Item(*one) for one in lines), tender=tender),
    ),
    st.lists(st.tuples(amounts, st.sampled_from(["food", "drink", "tobacco"])), min_size=1, max_size=5),
    st.sampled_from(["cash", "card"]),
)
varied = st.builds(
    lambda sale, amount, minute, outlet, told: msgspec.structs.replace(
        sale,
        amount_minor=sale.amount_minor if amount is None else amount,
        minute=minute,
        outlet_code=outlet,
        details=Details(**told) if amount is not None else msgspec.structs.replace(sale.details, **told),
    ),
    sales,
    st.none() | amounts,
    st.integers(0, 1_439),
    st.sampled_from(["main", "other"]),
    st.fixed_dictionaries(
        {},
        optional={
            "channel": st.sampled_from(["app", "web"]),
            "alliance_tier": st.just("gold"),
            "event": st.just("login"),
        },
    ),
)
"""Sales at any time of the day and with any words, with lines or with nothing but an amount."""
members = st.builds(
    Facts,
    tier=st.sampled_from(["", "gold", "silver"]),
    segments=st.sampled_from([(), ("young",), ("far", "young"), ("near",)]),
    unfunded=st.sampled_from([(), (12,), (12, 13)]),
    counters=st.dictionaries(
        st.sampled_from([f"{kind}:r{n}{ends}" for n in range(5) for kind, ends in _COUNTED]),
        st.integers(0, 300),
    ),
)


@settings(max_examples=40, deadline=None)
@given(programmes())
def test_a_file_reads_as_it_was_written(file: dict[str, Any]) -> None:
    """Parsed, written, parsed: the same."""
    spec = read_programme(tomlkit.dumps(file))
    assert read_programme(write_programme(spec)) == spec


@settings(max_examples=40, deadline=None)
@given(programmes(), sales, st.integers(0, 600), st.integers(0, 600))
def test_caps_and_budgets_hold_and_postings_add_up(
    file: dict[str, Any], sale: Sale, used: int, left: int
) -> None:
    """No rule gives more than its caps and its budget leave; what funders pay is what was given."""
    programme = compile_programme(read_programme(tomlkit.dumps(file)), 1, IDS)
    plan = programme.plans.get(11)
    if plan is None:
        return
    facts = Facts(
        counters={cap_name(one["id"], "month"): used for one in file["rule"]},
        budgets={one["id"]: left for one in file["rule"]},
    )
    for award in judge(plan, sale, facts).awards:
        rule = plan.rule(award.rule)
        assert award.points > 0
        for most, name in rule.caps:
            assert award.points <= (most - used if name else most)
        assert rule.budget is None or award.points <= left
        shares = split(award.points, rule.funders)
        assert sum(shares.values()) == award.points
        assert min(shares.values()) >= 0


@settings(max_examples=150, deadline=None)
@given(programmes(), st.lists(varied, min_size=1, max_size=3), st.lists(members, min_size=1, max_size=4))
def test_rules_found_once_for_sales_that_are_alike_are_those_of_each(
    file: dict[str, Any], sold: list[Sale], known: list[Facts]
) -> None:
    """What the live rules make of sales, one after another, is what trying every rule on each makes of them.

    And of counters they ask for no more than those of the rules that were found.
    """
    plan = compile_programme(read_programme(tomlkit.dumps(file)), 1, IDS).plans.get(11)
    if plan is None:
        return
    for sale, member in product(sold, known):
        facts = msgspec.structs.replace(member, budgets={one["id"]: 250 for one in file["rule"]})
        outcome = judge(plan, sale, facts)
        assert outcome == judge(plan, sale, facts, [])
        asked = {name for name, _ in plan.chosen(counting(plan, sale, facts), facts).counters}
        held = {name: value for name, value in facts.counters.items() if name in asked}
        assert outcome == judge(plan, sale, msgspec.structs.replace(facts, counters=held))


@settings(max_examples=40, deadline=None)
@given(programmes(), sales, st.randoms(use_true_random=False))
def test_returns_never_give_and_add_up_to_the_sale(file: dict[str, Any], sale: Sale, random: Any) -> None:
    """Line by line in any order: no return gives points, and all together take everything back."""
    plan = compile_programme(read_programme(tomlkit.dumps(file)), 1, IDS).plans.get(11)
    if plan is None:
        return
    facts = Facts(budgets={one["id"]: 10_000 for one in file["rule"]})
    outcome = judge(plan, sale, facts)
    lines = list(range(1, len(sale.details.items) + 1))
    random.shuffle(lines)
    left, counted = set(lines), counts_of(plan, sale, facts, outcome)
    before = {one.rule: one.points for one in outcome.awards}
    funded = {
        (rule, who): part
        for rule, points in before.items()
        for who, part in split(points, plan.rule(rule).funders).items()
    }
    for line in lines:
        left.discard(line)
        amount = sum(sale.details.items[number - 1].amount_minor for number in left)
        rest = rest_of(sale, amount, left)
        remains = again(plan, rest, facts, outcome)
        after = {one.rule: one.points for one in remains.awards}
        assert all(after[rule] <= points for rule, points in before.items())
        for rule, points in after.items():
            for who, part in split(points, plan.rule(rule).funders).items():
                assert part <= funded[rule, who]
                funded[rule, who] = part
        now = counts_of(plan, rest, facts, remains)
        for key, change in less(counted, now).items():
            assert change <= 0, key
        before, counted = after, now
    assert set(before.values()) <= {0}
    assert counted == {}


@settings(max_examples=40, deadline=None)
@given(programmes(), st.lists(sales, min_size=2, max_size=4))
def test_without_caps_and_counters_the_order_of_sales_never_matters(
    file: dict[str, Any], many: list[Sale]
) -> None:
    """Rules that count nothing give the same in whatever order sales come."""
    for rule in file["rule"]:
        rule.pop("budget", None)
        rule["when"].pop("nth", None)
        if "cap" in rule:
            rule["cap"] = [one for one in rule["cap"] if one["period"] == "sale"]
    plan = compile_programme(read_programme(tomlkit.dumps(file)), 1, IDS).plans.get(11)
    if plan is None:
        return

    def total(ordered: list[Sale]) -> int:
        counters: dict[str, int] = {}
        points = 0
        for sale in ordered:
            facts = Facts(counters=dict(counters))
            outcome = judge(plan, sale, facts)
            points += sum(one.points for one in outcome.awards)
            for (name, _), change in counts_of(plan, sale, facts, outcome).items():
                counters[name] = counters.get(name, 0) + change
        return points

    assert total(many) == total(many[::-1])


steps = st.lists(st.tuples(sales, st.booleans(), st.integers(0, 3)), min_size=1, max_size=8)
"""Sales; whether a return follows, and of which of the sales so far."""


class Shop:
    """One member's sales under a file: what is counted, what budgets gave, and which sales stand."""

    def __init__(self, file: dict[str, Any], plan: Plan) -> None:
        self.plan = plan
        self.budgets = {one["id"]: one["budget"]["points"] for one in file["rule"] if "budget" in one}
        self.counters: dict[tuple[str, date], int] = {}
        self.spent: dict[str, int] = dict.fromkeys(self.budgets, 0)
        self.sold: list[tuple[Sale, Facts, Outcome]] = []

    def sell(self, sale: Sale) -> None:
        """A sale, as it would be judged now."""
        since = self.plan.since_on(DAY)
        facts = Facts(
            counters={name: self.counters.get((name, period), 0) for name, period in since.items()},
            budgets={rule_id: most - self.spent[rule_id] for rule_id, most in self.budgets.items()},
        )
        outcome = judge(self.plan, sale, facts)
        self.sold.append((sale, facts, outcome))
        self._add(counts_of(self.plan, sale, facts, outcome), budgets_of(self.plan, sale, outcome))

    def take_back(self, which: int) -> None:
        """One of the sales comes back whole."""
        sale, facts, outcome = self.sold.pop(which % len(self.sold))
        rest = rest_of(sale, 0, set())
        left = again(self.plan, rest, facts, outcome)
        self._add(
            less(counts_of(self.plan, sale, facts, outcome), counts_of(self.plan, rest, facts, left)),
            less(budgets_of(self.plan, sale, outcome), budgets_of(self.plan, rest, left)),
        )

    def _add(self, counted: Mapping[tuple[str, date], int], spent: Mapping[tuple[str, date], int]) -> None:
        for key, change in counted.items():
            self.counters[key] = self.counters.get(key, 0) + change
        for (rule_id, _), change in spent.items():
            self.spent[rule_id] += change

    def given(self, rule_id: str) -> int:
        """Points of a rule in the sales that stand."""
        return sum(one.points for _, _, came in self.sold for one in came.awards if one.rule == rule_id)


@settings(max_examples=40, deadline=None)
@given(programmes(), steps)
def test_caps_and_budgets_hold_over_many_sales_and_returns(
    file: dict[str, Any], many: list[tuple[Sale, bool, int]]
) -> None:
    """No member has more of a rule than its cap, nor all than its budget; counters say what stands."""
    plan = compile_programme(read_programme(tomlkit.dumps(file)), 1, IDS).plans.get(11)
    if plan is None:
        return
    shop = Shop(file, plan)
    for sale, returns, which in many:
        shop.sell(sale)
        if returns:
            shop.take_back(which)
        for rule in plan.rules:
            for most, name in rule.caps:
                if name:
                    counted = shop.counters.get((name, period_of("month", DAY)), 0)
                    assert counted == shop.given(rule.id) <= most
            if rule.budget is not None:
                assert shop.spent[rule.id] == shop.given(rule.id) <= rule.budget[0]


more = st.fixed_dictionaries(
    {
        "reward": st.just(
            [{"id": "r", "says": "x", "prices": [{"points": 5}, {"points": 2, "cash_minor": 9}]}]
        ),
        "abuse": st.just([{"id": "a", "says": "x", "watch": "sales", "more_than": 2, "then": "hold"}]),
        "ages": st.just({"minimum": 12, "with_guardian_from": 2}),
    }
)


@settings(max_examples=10, deadline=None)
@given(programmes(), more)
def test_rewards_and_abuse_read_as_they_were_written(file: dict[str, Any], tables: dict[str, Any]) -> None:
    """The same of the other tables."""
    spec = read_programme(tomlkit.dumps({**file, **tables}))
    assert read_programme(write_programme(spec)) == spec


def test_example_files_read_as_they_were_written() -> None:
    """Every example of config/programmes, comments aside."""
    files = sorted((PROJECT / "config" / "programmes").glob("*.toml"))
    assert len(files) >= 12
    for path in files:
        spec = read_programme(path.read_text(), path.name)
        assert read_programme(write_programme(spec)) == spec
