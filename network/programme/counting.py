"""What a sale adds to its member's counters and takes from budgets (pure)."""

from datetime import date

from network.programme.conditions import coupon_of
from network.programme.counters import (
    EVER,
    MONEY,
    STATUS,
    VISITS,
    claimed_name,
    coupon_name,
    flown_name,
    period_of,
)
from network.programme.judge import counting
from network.programme.rule import Outcome, Plan
from network.programme.sale import Facts, Sale

Counts = dict[tuple[str, date], int]
"""What to add to counters, by name and period."""


def counts_of(plan: Plan, sale: Sale, facts: Facts, outcome: Outcome) -> Counts:
    """What a sale, or what remains of one, adds to its member's counters."""
    counts: Counts = {}
    sale = counting(plan, sale, facts)
    since = plan.since_on(sale.day)
    for counter in plan.counters:
        _add(counts, counter.name, since[counter.name], counter.counts(sale, facts))
    for rule_id in outcome.met:
        _add(counts, plan.rule(rule_id).nth_name, EVER, 1)
    for award in outcome.awards:
        rule = plan.rule(award.rule)
        for _, name in rule.caps:
            if name:
                _add(counts, name, since[name], award.points)
        if rule.nth is not None or rule.counter is not None:
            _add(counts, rule.given_name, since[rule.given_name], award.hits)
    for coupon in sorted(_used(plan, sale, facts, outcome)):
        _add(counts, coupon_name(coupon), EVER, 1)
    if plan.claims and sale.amount_minor > 0:
        _add_flight(counts, sale)
    if plan.makes_tiers:
        _add_to_tiers(counts, plan, sale, outcome)
    return counts


def _add_flight(counts: Counts, sale: Sale) -> None:
    flight = sale.details.flight
    if flight is not None:
        _add(counts, flown_name(flight.origin, flight.destination), sale.day, 1)
        if sale.details.evidence:
            _add(counts, claimed_name(flight.origin, flight.destination), sale.day, 1)


def _used(plan: Plan, sale: Sale, facts: Facts, outcome: Outcome) -> set[str]:
    """Coupons that opened rules which gave something; one that opened several is used once."""
    if not facts.coupons:
        return set()
    opening = (plan.rule(one.rule).coupons for one in outcome.awards if one.points)
    return {used for one in opening if (used := coupon_of(one, sale, facts)) is not None}


def _add_to_tiers(counts: Counts, plan: Plan, sale: Sale, outcome: Outcome) -> None:
    status = sum(one.points for one in outcome.awards if plan.rule(one.rule).unit == "status")
    visits = int(sale.amount_minor > 0)
    for name, many in ((STATUS, status), (MONEY, sale.amount_minor), (VISITS, visits)):
        if name in plan.makes_tiers:
            _add(counts, name, period_of("month", sale.day), many)
            _add(counts, name, EVER, many)


def budgets_of(plan: Plan, sale: Sale, outcome: Outcome) -> Counts:
    """What a sale takes from the budgets of rules, by rule and period."""
    spent: Counts = {}
    for award in outcome.awards:
        rule = plan.rule(award.rule)
        if rule.budget is not None:
            _add(spent, rule.id, period_of(rule.budget[1], sale.day), award.points)
    return spent


def _add(counts: Counts, name: str, period: date, many: int) -> None:
    if many:
        counts[name, period] = counts.get((name, period), 0) + many


def less(before: Counts, after: Counts) -> Counts:
    """What to add to counters so that what was counted for `before` is as counted for `after`."""
    return {key: change for key in {**before, **after} if (change := after.get(key, 0) - before.get(key, 0))}
