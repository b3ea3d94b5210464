"""A file's rules made ready for each partner: what can never concern a partner is not in its plan (pure)."""

from collections.abc import Iterable, Mapping
from datetime import date
from fractions import Fraction
from typing import TypeVar

import msgspec

from network.model import Unit
from network.programme import games
from network.programme.codes import event_of
from network.programme.conditions import (
    WEEKDAYS,
    Test,
    categories_of,
    event_test,
    funders_test,
    tests_of,
)
from network.programme.counters import (
    MONEY,
    STATUS,
    VISITS,
    cap_name,
    count_name,
    coupon_name,
    given_name,
    nth_name,
)
from network.programme.ladder import Ladder, Tier, Way
from network.programme.measure import ROUNDINGS, basis_of, units
from network.programme.offers import partners_of, partners_of_plans, partners_of_value
from network.programme.rule import Counter, Part, Plan, Rule
from network.programme.sale import Facts, Sale
from network.programme.spec import EarnRuleSpec, ProgrammeSpec, funders_of
from network.programme.spec_rules import (
    ISSUER,
    OPERATOR,
    AwardSpec,
    BasisSpec,
    CounterSpec,
    FundSpec,
    RuleSpec,
    WhenSpec,
)
from network.programme.spec_tiers import QualifySpec, TierSpec
from partners.model import OPERATOR_ID

_MEASURES = {"status": STATUS, "money": MONEY, "visits": VISITS}
_UNBOUND = WhenSpec()
AnyOf = TypeVar("AnyOf", RuleSpec, CounterSpec)


def unknown_partners(spec: ProgrammeSpec, partner_ids: Mapping[str, int]) -> list[tuple[str, str]]:
    """Fields that name a partner the network does not have, each with the code."""
    named = [("earn.partner", code) for code in (spec.earn.partner if spec.earn else ())]
    for one in spec.rule:
        funders = [(f"rule {one.id} fund", code) for code in funders_of(one.fund)]
        named += [(field, code) for field, code in funders if code not in {ISSUER, OPERATOR}]
    conditions = [(f"rule {one.id} when", one.when) for one in spec.rule]
    conditions += [(f"counter {counter.id} when", counter.when) for counter in spec.counter]
    for where, when in conditions:
        named += [(where, code) for code in when.partners or ()]
        named += [(where, outlet.partition("/")[0]) for outlet in when.outlets or ()]
    named += [(f"abuse {one.id} at", code) for one in spec.abuse for code in one.at or ()]
    named += [(f"reward {one.id} at", code) for one in spec.reward for code in one.at or ()]
    named += [(f"voucher {one.id} partners", code) for one in spec.voucher for code in one.partners or ()]
    if spec.retro_claim is not None:
        named += [("retro_claim", code) for code in spec.retro_claim.partners]
    named += partners_of(spec.pledge) + partners_of_value(spec.stored_value)
    named += partners_of_plans(spec.plan)
    for segment in spec.segment:
        named += [(f"segment {segment.id} when", code) for code in segment.when.partners or ()]
    named += [(f"trigger {one.id} fund", one.fund) for one in spec.trigger if one.fund != ISSUER]
    for surprise in spec.surprise:
        paying = [surprise.fund] if surprise.fund != ISSUER else []
        named += [(f"surprise {surprise.id}", code) for code in (*surprise.partners, *paying)]
    named += games.partners_of(spec.game)
    for draw in spec.draw:
        named += [(f"draw {draw.id}", code) for code in (*draw.partners, *([draw.fund] if draw.fund else ()))]
    named += [(f"tier {one.name} bonus_at", code) for one in spec.tier for code in one.bonus_at or ()]
    return sorted({(field, code) for field, code in named if code not in partner_ids})


def ladder_of(spec: ProgrammeSpec) -> Ladder:
    """The tiers that members reach by themselves."""
    return Ladder(tuple(map(_tier, spec.tier)))


def _tier(spec: TierSpec) -> Tier:
    ways = tuple(map(_way, spec.qualify))
    return Tier(
        name=spec.name,
        ways=ways,
        keep=ways if spec.keep is None else tuple(map(_way, spec.keep)),
        lasts_months=spec.lasts_months,
        soft_landing=spec.soft_landing,
        alliance=spec.alliance or "",
        benefits=tuple(spec.benefits),
    )


def _way(spec: QualifySpec) -> Way:
    return Way(_MEASURES.get(spec.measure) or count_name(spec.measure), spec.at_least, spec.over)


def plans_of(spec: ProgrammeSpec, partner_ids: Mapping[str, int]) -> Mapping[int, Plan]:
    """The plans of all partners for whom one plain rule will not do."""
    spec = _registering(spec)
    counters = {one.id: one for one in spec.counter}
    ladder = ladder_of(spec)
    bonuses = [bonus for tier in spec.tier if (bonus := _bonus(tier)) is not None]
    plans = {}
    for code, partner_id in partner_ids.items():
        mine = [one for one in (*spec.rule, *bonuses) if _concerns(one.when, code)]
        counted = [one for one in spec.counter if _concerns(one.when, code)]
        claims = spec.retro_claim is not None and code in spec.retro_claim.partners
        if mine or counted or ladder.names or claims:
            plans[partner_id] = _plan(spec, code, mine, counted, counters, ladder.names, partner_ids)
    return plans


def _registering(spec: ProgrammeSpec) -> ProgrammeSpec:
    """The same, with packs as the events that registering them is."""
    numbers = {one.id: one.number for one in spec.packs}

    def told(one: AnyOf) -> AnyOf:
        if one.when.packs is None:
            return one
        events = [event_of(numbers[name]) for name in one.when.packs]
        return one.model_copy(update={"when": one.when.model_copy(update={"events": events})})

    if not numbers:
        return spec
    return spec.model_copy(update={"rule": [*map(told, spec.rule)], "counter": [*map(told, spec.counter)]})


def _concerns(when: WhenSpec, code: str) -> bool:
    """Whether a sale at a partner can ever meet the conditions."""
    if when.partners is not None and code not in when.partners:
        return False
    return when.outlets is None or any(one.partition("/")[0] == code for one in when.outlets)


def _plan(
    spec: ProgrammeSpec,
    code: str,
    mine: list[RuleSpec],
    counted: list[CounterSpec],
    counters: Mapping[str, CounterSpec],
    making_tiers: frozenset[str],
    partner_ids: Mapping[str, int],
) -> Plan:
    rules = (
        []
        if spec.earn is None
        else [_plain(code, spec.earn.partner.get(code) or spec.earn.default, spec, partner_ids)]
    )
    exclusions = [_rule(one, counters, partner_ids, code) for one in mine if one.kind == "exclusion"]
    for kind in ("base", "promotion"):
        rules += [_rule(one, counters, partner_ids, code) for one in mine if one.kind == kind]
    compiled = [_counter(one, partner_ids) for one in counted]
    conditions = [*(one.when for one in mine), *(one.when for one in counted)]
    coupons = frozenset(coupon for one in rules for coupon in one.coupons)
    return Plan(
        exclusions=tuple(exclusions),
        rules=tuple(rules),
        counters=tuple(compiled),
        periods=dict(ask for one in rules for ask in one.asks)
        | {coupon_name(coupon): "ever" for coupon in coupons}
        | {one.name: one.period for one in compiled},
        claims=spec.retro_claim is not None and code in spec.retro_claim.partners,
        makes_tiers=making_tiers,
        segments=frozenset(name for when in conditions for name in when.segments or ()),
        outlets=frozenset(one.partition("/")[2] for when in conditions for one in when.outlets or ()),
        paid_plans=any(when.plans for when in conditions),
        budgets=any(one.budget for one in mine),
        funders=frozenset(funder for one in rules for funder, _ in one.funders) - {partner_ids[code]},
        by_id={one.id: one for one in (*exclusions, *rules)},
        minutes=_cuts(minute for one in rules for test in one.tests for minute in test.minutes),
        amounts=_cuts(amount for one in rules for test in one.tests for amount in test.amounts),
        by_day={},
        alike={},
        since={},
        coupons=coupons,
    )


def _cuts(places: Iterable[int]) -> tuple[int, ...]:
    return tuple(sorted(set(places)))


def _asks(spec: RuleSpec, counter: Counter | None) -> Iterable[tuple[str, str]]:
    """Counters that a rule asks for, with their periods."""
    yield from ((cap_name(spec.id, one.period), one.period) for one in spec.cap if one.period != "sale")
    if spec.when.nth is not None:
        yield nth_name(spec.id), "ever"
    if counter is not None:
        yield counter.name, counter.period
    if spec.when.nth is not None or counter is not None:
        yield given_name(spec.id), "ever" if counter is None else counter.period


def _rule(
    spec: RuleSpec, counters: Mapping[str, CounterSpec], partner_ids: Mapping[str, int], code: str
) -> Rule:
    """A rule as it is at the tills of one partner."""
    when, award = spec.when, spec.award or AwardSpec(points=0)
    categories = categories_of(when)
    times = None if award.times is None else Fraction(award.times)
    used = when.counter
    counter = None if used is None else _counter(counters[used.id], partner_ids)
    funders = _funders(spec.fund, partner_ids, partner_ids[code])
    rounding = award.rounding or ("whole_steps" if times is None else "down")
    return Rule(
        id=spec.id,
        says=spec.says,
        kind=spec.kind,
        unit=spec.earns,
        exclusive=spec.exclusive,
        first_on=when.first_on or date.min,
        last_on=when.last_on or date.max,
        weekdays=_weekdays(when),
        tests=(
            event_test(when),
            *tests_of(when, _outlets(when, partner_ids)),
            *funders_test(frozenset(funder for funder, _ in funders) - {partner_ids[code]}),
        ),
        categories=categories,
        basis=basis_of(spec.basis, categories),
        points=award.points or 0,
        per=award.per,
        rounding=ROUNDINGS[rounding],
        times=None if times is None else (times.numerator, times.denominator),
        nth=when.nth,
        counter=counter,
        target=0 if used is None else used.every or used.reaches or 0,
        every=used is not None and used.every is not None,
        caps=tuple((one.points, _capped(spec.id, one.period)) for one in spec.cap),
        nth_name=nth_name(spec.id),
        given_name=given_name(spec.id),
        asks=tuple(_asks(spec, counter)),
        budget=None if spec.budget is None else (spec.budget.points, spec.budget.period),
        funders=funders,
        part=Part(
            funder_id=funders[0][0],
            unit=Unit.STATUS if spec.earns == "status" else Unit.POINTS,
            pending_days=spec.pending_days,
            pending_until_event=spec.pending_until_event,
        ),
        coupons=frozenset(when.coupons or ()),
    )


def _capped(rule_id: str, period: str) -> str:
    """The counter of a cap; of what one sale may earn there is none."""
    return "" if period == "sale" else cap_name(rule_id, period)


def _plain(code: str, spec: EarnRuleSpec, programme: ProgrammeSpec, partner_ids: Mapping[str, int]) -> Rule:
    """The rule of [earn], among the base rules of a plan."""
    own = programme.earn is not None and code in programme.earn.partner
    rule = _rule(
        RuleSpec(
            id="earn",
            says=f"{spec.points_per_step} for each whole {spec.step_minor} minor units",
            kind="base",
            award=AwardSpec(points=spec.points_per_step, per=spec.step_minor),
            pending_days=spec.pending_days,
            pending_until_event=spec.pending_until_event,
        ),
        {},
        partner_ids,
        code,
    )
    times = spec.weekend_multiplier
    if times == 1:
        return msgspec.structs.replace(rule, id=f"earn.partner.{code}" if own else "earn.default")
    plain = rule.basis

    def whole_steps(sale: Sale, facts: Facts) -> int:
        """Whole steps of the sale, as many times as the day says."""
        steps = plain(sale, facts) // spec.step_minor
        return steps * (times if sale.day.weekday() >= 5 else 1)

    return msgspec.structs.replace(
        rule,
        id=f"earn.partner.{code}" if own else "earn.default",
        says=f"{rule.says}, {times} times at weekends",
        basis=whole_steps,
        per=1,
    )


def _bonus(tier: TierSpec) -> RuleSpec | None:
    """What a tier gives on top of the base's points, as a promotion."""
    if tier.bonus_per_cent is None:
        return None
    factor = 100 + tier.bonus_per_cent
    return RuleSpec(
        id=f"tier-{tier.name}",
        says=f"{tier.bonus_per_cent} per cent more in tier {tier.name}",
        when=WhenSpec(partners=tier.bonus_at, tiers=[tier.name]),
        award=AwardSpec(times=f"{factor // 100}.{factor % 100:02}"),
    )


def _counter(spec: CounterSpec, partner_ids: Mapping[str, int]) -> Counter:
    when = spec.when
    categories = categories_of(when)
    basis = {
        "sales": lambda: basis_of(BasisSpec(of="visit"), categories),
        "money": lambda: basis_of(BasisSpec(of="money"), categories),
        "quantity": lambda: basis_of(BasisSpec(of="quantity"), categories),
        "units": lambda: units(spec.unit or ""),
    }
    tests = (event_test(when), *tests_of(when, _outlets(when, partner_ids)))
    if when.partners is not None:
        # A rule's plan may be of a partner where nothing is counted: there the counter only is looked at.
        tests = (*tests, _at(frozenset(partner_ids[code] for code in when.partners)))
    return Counter(
        id=spec.id,
        name=count_name(spec.id),
        period=spec.period,
        first_on=when.first_on or date.min,
        last_on=when.last_on or date.max,
        weekdays=_weekdays(when),
        tests=tests,
        basis=basis[spec.counts](),
    )


def _at(partners: frozenset[int]) -> Test:
    return Test("other_partner", lambda sale, _: sale.partner_id in partners)


def _weekdays(when: WhenSpec) -> frozenset[int] | None:
    return None if when.weekdays is None else frozenset(WEEKDAYS[one] for one in when.weekdays)


def _outlets(when: WhenSpec, partner_ids: Mapping[str, int]) -> frozenset[tuple[int, str]] | None:
    if when.outlets is None:
        return None
    pairs = (one.partition("/") for one in when.outlets)
    return frozenset((partner_ids[code], outlet) for code, _, outlet in pairs)


def _funders(spec: FundSpec, partner_ids: Mapping[str, int], issuer_id: int) -> tuple[tuple[int, int], ...]:
    known = {**partner_ids, ISSUER: issuer_id, OPERATOR: OPERATOR_ID}
    if spec.who is not None:
        return ((known[spec.who], 0),)
    shares = [(known[one.who], one.per_cent) for one in spec.shares or []]
    return (*shares, (known[spec.remainder or ISSUER], 0))
