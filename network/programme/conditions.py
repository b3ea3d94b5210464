"""When a rule applies: each condition becomes one small function, with the reason it fails for (pure)."""

from collections.abc import Callable, Iterator
from datetime import time
from typing import NamedTuple

from network.programme.sale import Facts, Sale, amount_in, lines_in
from network.programme.spec_rules import HoursSpec, WhenSpec

WEEKDAYS = {name: number for number, name in enumerate(("mon", "tue", "wed", "thu", "fri", "sat", "sun"))}


class Test(NamedTuple):
    """One condition; `reason` is what an explanation says where it does not hold.

    `of_member`: it asks for facts about the member. `keyed`: it is asked once for all sales and members that
    are alike to it (see Plan.chosen): in words, in outlet, tier, segments and plans, and in whether the sale
    is on this or that side of `minutes` of the day and `amounts`.
    """

    reason: str
    holds: Callable[[Sale, Facts], bool]
    of_member: bool = False
    keyed: bool = False
    minutes: tuple[int, ...] = ()
    amounts: tuple[int, ...] = ()


def first_failing(tests: tuple[Test, ...], sale: Sale, facts: Facts) -> str | None:
    """Why not all conditions hold; None where they do."""
    for test in tests:
        if not test.holds(sale, facts):
            return test.reason
    return None


def tests_of(when: WhenSpec, outlets: frozenset[tuple[int, str]] | None) -> tuple[Test, ...]:
    """The conditions of a rule that are asked of each sale, the cheapest first.

    Partners, dates and weekdays are not among them: by these the rules of a day are chosen beforehand.

    Args:
        when: What the file says.
        outlets: The outlets it names, by partner.
    """
    return tuple(_tests(when, outlets))


def event_test(when: WhenSpec) -> Test:
    """Rules for what a member did are for no sale, and those for sales for nothing else."""
    if when.events is not None:
        return Test("no_event", lambda sale, _: bool(sale.details.event), keyed=True)
    return Test("an_event", lambda sale, _: not sale.details.event, keyed=True)


def funders_test(others: frozenset[int]) -> tuple[Test, ...]:
    """Others than the till's partner pay, and all of them can."""
    if not others:
        return ()
    return (_member("funder_cannot_pay", lambda _, facts: others.isdisjoint(facts.unfunded)),)


def _tests(when: WhenSpec, outlets: frozenset[tuple[int, str]] | None) -> Iterator[Test]:
    yield from _of_sale(when, outlets)
    yield from _of_member(when)
    categories = categories_of(when)
    if categories is not None:
        yield Test("no_lines", lambda sale, _: bool(sale.details.items), keyed=True)
        yield Test("other_category", lambda sale, _: bool(lines_in(sale, categories)))
    if when.minimum_minor is not None:
        yield _at_least(when.minimum_minor, categories)


def _of_sale(when: WhenSpec, outlets: frozenset[tuple[int, str]] | None) -> Iterator[Test]:
    if when.events is not None:
        events = frozenset(when.events)
        yield Test("other_event", lambda sale, _: sale.details.event in events, keyed=True)
    if outlets is not None:
        yield Test("other_outlet", lambda sale, _: (sale.partner_id, sale.outlet_code) in outlets, keyed=True)
    if when.tenders is not None:
        tenders = frozenset(when.tenders)
        yield Test("other_tender", lambda sale, _: sale.details.tender in tenders, keyed=True)
    if when.channels is not None:
        channels = frozenset(when.channels)
        yield Test("other_channel", lambda sale, _: sale.details.channel in channels, keyed=True)
    if when.offers is not None:
        offers = frozenset(when.offers)
        yield Test("offer_not_shown", lambda sale, _: sale.details.offer in offers, keyed=True)
    if when.choices is not None:
        choices = frozenset(when.choices)
        yield Test("other_choice", lambda sale, _: sale.details.choice in choices, keyed=True)
    if when.coupons is not None:
        coupons = frozenset(when.coupons)
        yield Test("coupon_not_shown", lambda sale, _: not coupons.isdisjoint(sale.details.coupons))
        yield Test(
            "coupon_not_there",
            lambda sale, facts: coupon_of(coupons, sale, facts) is not None,
            of_member=True,
        )
    if when.hours is not None:
        cuts = (_minute(when.hours.since), _minute(when.hours.until))
        yield Test("other_hours", _hours(when.hours), keyed=True, minutes=cuts)
    if when.cabins is not None or when.carriers is not None:
        yield Test("no_flight", lambda sale, _: sale.details.flight is not None, keyed=True)
        yield Test("other_flight", _flight(when.cabins, when.carriers))


def _of_member(when: WhenSpec) -> Iterator[Test]:
    if when.tiers is not None:
        tiers = frozenset(when.tiers)
        yield _member("other_tier", lambda _, facts: facts.tier in tiers)
    if when.plans is not None:
        plans = frozenset(when.plans)
        yield _member("without_plan", lambda _, facts: not plans.isdisjoint(facts.plans))
    if when.alliance_tiers is not None:
        known = frozenset(when.alliance_tiers)
        yield _member("other_alliance_tier", lambda _, facts: facts.alliance_tier in known)
    if when.guests is not None:
        guests = when.guests
        reason = "not_a_guest" if guests else "a_guest"
        yield Test(reason, lambda sale, _: _is_guest(sale) is guests, keyed=True)
    if when.segments is not None:
        segments = frozenset(when.segments)
        yield _member("not_in_segment", lambda _, facts: not segments.isdisjoint(facts.segments))


def _member(reason: str, holds: Callable[[Sale, Facts], bool]) -> Test:
    return Test(reason, holds, of_member=True, keyed=True)


def _at_least(least: int, categories: frozenset[str] | None) -> Test:
    if categories is None:
        return Test("below_minimum", lambda sale, _: sale.amount_minor >= least, keyed=True, amounts=(least,))
    return Test("below_minimum", lambda sale, _: amount_in(sale, categories) >= least)


def coupon_of(coupons: frozenset[str], sale: Sale, facts: Facts) -> str | None:
    """The coupon that opens a rule: the first that was shown, is the rule's, and is the member's to use."""
    return next((one for one in sale.details.coupons if one in coupons and one in facts.coupons), None)


def _is_guest(sale: Sale) -> bool:
    return bool(sale.details.alliance_tier)


def categories_of(when: WhenSpec) -> frozenset[str] | None:
    """The categories whose lines count; None is the whole sale."""
    return None if when.categories is None else frozenset(when.categories)


def _hours(hours: HoursSpec) -> Callable[[Sale, Facts], bool]:
    since, until = _minute(hours.since), _minute(hours.until)
    if since <= until:
        return lambda sale, _: since <= sale.minute < until
    return lambda sale, _: sale.minute >= since or sale.minute < until


def _minute(at: time) -> int:
    return at.hour * 60 + at.minute


def _flight(cabins: list[str] | None, carriers: list[str] | None) -> Callable[[Sale, Facts], bool]:
    def holds(sale: Sale, _: Facts) -> bool:
        flight = sale.details.flight
        if flight is None:
            return False
        return (cabins is None or flight.cabin in cabins) and (carriers is None or flight.carrier in carriers)

    return holds
