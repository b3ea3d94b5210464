"""A compiled rule, the plan of a partner, and what a sale comes to (pure)."""

from bisect import bisect_right
from collections.abc import Iterable, Mapping
from datetime import date
from typing import NamedTuple

import msgspec

from network.basket import NO_DETAILS, Details
from network.model import Unit
from network.programme.conditions import Test, first_failing
from network.programme.counters import period_of
from network.programme.measure import Basis, Rounding
from network.programme.sale import NO_FACTS, Facts, Sale

UNITS = ("points", "status", "discount")
"""What rules give. A discount is minor units that the till takes off; it is no posting."""
_MOST_ALIKE = 4096
"""Kinds of sales and members for which a plan remembers its rules."""


class Counter(msgspec.Struct, frozen=True, kw_only=True):
    """Something that is counted for a member, compiled."""

    id: str
    name: str
    period: str
    first_on: date
    last_on: date
    weekdays: frozenset[int] | None
    tests: tuple[Test, ...]
    basis: Basis

    def counts(self, sale: Sale, facts: Facts) -> int:
        """How much a sale adds to it."""
        if not self.first_on <= sale.day <= self.last_on or (
            self.weekdays is not None and sale.day.weekday() not in self.weekdays
        ):
            return 0
        return self.basis(sale, facts) if first_failing(self.tests, sale, facts) is None else 0


class Part(NamedTuple):
    """Points of one posting of a sale: who pays, which unit, and when they can be spent."""

    funder_id: int
    unit: Unit
    pending_days: int
    pending_until_event: bool


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """A rule, compiled for a partner. `times` is a factor as a fraction; `funders` have their per cents.

    `unit`: what it gives: "points", "status" points, or a "discount" in minor units.
    `part` is what its points are, the first funder's.
    The last funder pays what the others do not. `target`: what its counter must reach, once or `every` time.
    `caps`: most points, and the counter of what it gave in the period of the cap ("": the sale's own).
    `nth_name`, `given_name`: the counters of an n-th sale, and of what it gave for one or for its counter.
    `asks`: all of these that it asks for, each with its period.
    """

    id: str
    says: str
    kind: str
    unit: str
    exclusive: bool
    first_on: date
    last_on: date
    weekdays: frozenset[int] | None
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
    nth_name: str
    given_name: str
    asks: tuple[tuple[str, str], ...]
    budget: tuple[int, str] | None
    funders: tuple[tuple[int, int], ...]
    part: Part
    coupons: frozenset[str] = frozenset()

    def parts(self, points: int) -> Iterable[tuple[Part, int]]:
        """What it gave, by who pays."""
        if len(self.funders) == 1:
            return ((self.part, points),)
        shares = split(points, self.funders)
        return [(self.part._replace(funder_id=who), many) for who, many in shares.items()]

    def may_apply(self, sale: Sale) -> bool:
        """Whether the rule could apply to a sale, whoever's it is: for what has to be locked before."""
        return all(test.of_member or test.holds(sale, NO_FACTS) for test in self.tests)

    def failing(self, sale: Sale, facts: Facts) -> str | None:
        """Why the rule does not apply; None where it does."""
        return first_failing(self.tests, sale, facts)

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


def split(points: int, funders: tuple[tuple[int, int], ...]) -> Mapping[int, int]:
    """Who pays how many of a rule's points.

    One after another takes its per cent of what those before it left (so a point more is never less for
    anybody), rounded down; the last takes the rest.
    """
    shares: dict[int, int] = {}
    left, per_cents = points, 100
    for place, (who, per_cent) in enumerate(funders):
        part = left if place == len(funders) - 1 else left * per_cent // per_cents
        shares[who] = shares.get(who, 0) + part
        left, per_cents = left - part, per_cents - per_cent
    return shares


class Chosen(msgspec.Struct, frozen=True):
    """Rules that may apply to a sale, each with the conditions that are still to be asked of it.

    `counters`: what these rules ask for, with the first day of its period.
    """

    rules: tuple[tuple[Rule, tuple[Test, ...]], ...]
    counters: tuple[tuple[str, date], ...]


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """The rules that concern one partner: by kind, in the file's order.

    `periods` are the counters they ask for, each with its period; `makes_tiers` those that make tiers, which
    are asked for over months. `claims`: whether flights may be claimed later, so that they are counted.
    `funders` are the others who may pay. `coupons`: those of members that open some of them. `segments`,
    `outlets`: those that conditions name. `minutes`, `amounts`: where a condition begins or ceases to hold,
    in order.
    """

    exclusions: tuple[Rule, ...]
    rules: tuple[Rule, ...]
    counters: tuple[Counter, ...]
    periods: Mapping[str, str]
    makes_tiers: frozenset[str]
    segments: frozenset[str]
    outlets: frozenset[str]
    paid_plans: bool
    claims: bool
    budgets: bool
    funders: frozenset[int]
    by_id: Mapping[str, Rule]
    minutes: tuple[int, ...]
    amounts: tuple[int, ...]
    by_day: dict[date, tuple[tuple[Rule, ...], tuple[Rule, ...]]]
    alike: dict[tuple[object, ...], Chosen]
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

    def chosen(self, sale: Sale, facts: Facts) -> Chosen:
        """Rules that can apply to a sale: found once for all sales and members that are alike to the rules.

        Args:
            sale: The sale, less what exclusions take from it.
            facts: Of the member; counters and budgets do not matter.
        """
        said = sale.details
        key = (
            sale.day,
            sale.outlet_code if sale.outlet_code in self.outlets else "",
            bisect_right(self.minutes, sale.minute),
            bisect_right(self.amounts, sale.amount_minor),
            None if said is NO_DETAILS else _words(said),
            self._member_like(facts),
        )
        found = self.alike.get(key)
        if found is None:
            if len(self.alike) > _MOST_ALIKE:
                self.alike.clear()
            found = self.alike[key] = self._choose(sale, facts)
        return found

    def _member_like(self, facts: Facts) -> tuple[object, ...]:
        segments = self.segments.intersection(facts.segments) if facts.segments else None
        return (facts.tier, facts.alliance_tier, segments, facts.plans, facts.unfunded)

    def _choose(self, sale: Sale, facts: Facts) -> Chosen:
        rules = [
            (one, tuple(test for test in one.tests if not test.keyed))
            for one in self.on(sale.day)[1]
            if all(test.holds(sale, facts) for test in one.tests if test.keyed)
        ]
        since = self.since_on(sale.day)
        names = dict.fromkeys(name for one, _ in rules for name, _ in one.asks)
        return Chosen(tuple(rules), tuple((name, since[name]) for name in names))

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


def _words(said: Details) -> tuple[object, ...]:
    """What a sale says that conditions ask for in the same way of all."""
    return (
        *(said.tender, said.channel, said.offer, said.event, said.choice, said.alliance_tier),
        *(not said.items, not said.flight),
    )


def _live(rules: Iterable[Rule], day: date) -> tuple[Rule, ...]:
    return tuple(
        one
        for one in rules
        if one.first_on <= day <= one.last_on and (one.weekdays is None or day.weekday() in one.weekdays)
    )
