"""A compiled rule, the plan of a partner, and what a sale comes to (pure)."""

from collections.abc import Iterable, Mapping
from datetime import date

import msgspec

from network.programme.conditions import Test
from network.programme.counters import period_of
from network.programme.measure import Basis, Rounding
from network.programme.sale import NO_FACTS, Facts, Sale

UNITS = ("points", "status", "discount")
"""What rules give. A discount is minor units that the till takes off; it is no posting."""


class Counter(msgspec.Struct, frozen=True, kw_only=True):
    """Something that is counted for a member, compiled."""

    id: str
    name: str
    period: str
    first_on: date
    last_on: date
    weekdays: frozenset[int] | None
    events: bool
    tests: tuple[Test, ...]
    basis: Basis

    def counts(self, sale: Sale, facts: Facts) -> int:
        """How much a sale adds to it."""
        if not self.first_on <= sale.day <= self.last_on or (
            self.weekdays is not None and sale.day.weekday() not in self.weekdays
        ):
            return 0
        if self.events is not bool(sale.details.event):
            return 0
        return self.basis(sale, facts) if all(test.holds(sale, facts) for test in self.tests) else 0


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """A rule, compiled. `times` is a factor as a fraction; `funders` (0: the till's partner) with per cents.

    `unit`: what it gives: "points", "status" points, or a "discount" in minor units.
    The last funder pays what the others do not. `target`: what its counter must reach, once or `every` time.
    """

    id: str
    says: str
    kind: str
    unit: str
    exclusive: bool
    first_on: date
    last_on: date
    weekdays: frozenset[int] | None
    events: bool
    tests: tuple[Test, ...]
    categories: frozenset[str] | None
    basis: Basis
    points: int
    per: int
    rounding: Rounding
    times: tuple[int, int] | None
    nth: int | None
    counter: Counter | None
    target: int
    every: bool
    caps: tuple[tuple[int, str], ...]
    budget: tuple[int, str] | None
    funders: tuple[tuple[int, int], ...]
    pending_days: int
    pending_until_event: bool
    coupons: frozenset[str] = frozenset()

    @property
    def status(self) -> bool:
        """Whether it gives status points."""
        return self.unit == "status"

    def may_apply(self, sale: Sale) -> bool:
        """Whether the rule could apply to a sale, whoever's it is: for what has to be locked before."""
        return self.events is bool(sale.details.event) and all(
            test.of_member or test.holds(sale, NO_FACTS) for test in self.tests
        )

    def failing(self, sale: Sale, facts: Facts) -> str | None:
        """Why the rule does not apply; None where it does."""
        if self.events is not bool(sale.details.event):
            return "an_event" if sale.details.event else "no_event"
        for test in self.tests:
            if not test.holds(sale, facts):
                return test.reason
        for funder, _ in self.funders:
            if funder in facts.unfunded:
                return "funder_cannot_pay"
        return None

    def raw(self, sale: Sale, facts: Facts, base: int) -> int:
        """Points before caps; `base` is what the base gives for the lines that this rule is about."""
        if self.times is not None:
            over, under = self.times
            return self.rounding(base, over - under, under)
        return self.rounding(self.basis(sale, facts), self.points, self.per)


class Award(msgspec.Struct, frozen=True, array_like=True):
    """What a rule gave: points, and how often its counter was reached (1 where it has none)."""

    rule: str
    points: int
    hits: int = 1


class Outcome(msgspec.Struct, frozen=True, array_like=True):
    """What a sale came to: awards in order, and the rules whose other conditions it met as the n-th sale."""

    awards: tuple[Award, ...] = ()
    met: tuple[str, ...] = ()


class Step(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One line of an explanation: a rule, what it gave, or why it gave nothing."""

    rule: str
    says: str
    kind: str
    unit: str = "points"
    points: int = 0
    basis: int = 0
    before_caps: int = 0
    reason: str = ""


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """The rules that concern one partner: by kind, in the file's order.

    `periods` are the counters they ask for, each with its period; `makes_tiers` those that make tiers, which
    are asked for over months. `claims`: whether flights may be claimed later, so that they are counted.
    `funders` are the others who may pay. `coupons`: those of members that open some of them.
    """

    exclusions: tuple[Rule, ...]
    rules: tuple[Rule, ...]
    counters: tuple[Counter, ...]
    periods: Mapping[str, str]
    makes_tiers: frozenset[str]
    segments: bool
    paid_plans: bool
    claims: bool
    budgets: bool
    funders: frozenset[int]
    by_id: Mapping[str, Rule]
    by_day: dict[date, tuple[tuple[Rule, ...], tuple[Rule, ...]]]
    alike: dict[tuple[object, ...], tuple[Rule, ...]]
    since: dict[date, dict[str, date]]
    coupons: frozenset[str] = frozenset()

    def on(self, day: date) -> tuple[tuple[Rule, ...], tuple[Rule, ...]]:
        """Exclusions and rules that can apply on a day. Found once a day, not once a sale."""
        found = self.by_day.get(day)
        if found is None:
            if len(self.by_day) > 64:
                self.by_day.clear()
            found = self.by_day[day] = (_live(self.exclusions, day), _live(self.rules, day))
        return found

    def for_sale(self, sale: Sale) -> tuple[Rule, ...]:
        """Rules that can apply to a sale: found once for all sales of a day that say the same words."""
        said = sale.details
        key = (
            sale.day,
            said.tender,
            said.channel,
            said.offer,
            said.event,
            said.choice,
            not said.items,
            not said.flight,
        )
        found = self.alike.get(key)
        if found is None:
            if len(self.alike) > 512:
                self.alike.clear()
            event = bool(said.event)
            found = self.alike[key] = tuple(
                one
                for one in self.on(sale.day)[1]
                if one.events is event and all(test.holds(sale, NO_FACTS) for test in one.tests if test.keyed)
            )
        return found

    def since_on(self, day: date) -> Mapping[str, date]:
        """The first day of the period of each counter, on a day."""
        found = self.since.get(day)
        if found is None:
            if len(self.since) > 64:
                self.since.clear()
            found = self.since[day] = {name: period_of(one, day) for name, one in self.periods.items()}
        return found

    def rule(self, rule_id: str) -> Rule:
        """A rule by its id."""
        return self.by_id[rule_id]


def _live(rules: Iterable[Rule], day: date) -> tuple[Rule, ...]:
    return tuple(
        one
        for one in rules
        if one.first_on <= day <= one.last_on and (one.weekdays is None or day.weekday() in one.weekdays)
    )
