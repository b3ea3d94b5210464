"""How rules judge a sale: which apply, and what each gives (pure).

Order: exclusions take lines away; of the base rules the one that gives most counts, the first of equals;
then promotions in the file's order, all of them or the best exclusive one alone. Each is held to its caps and
budget by itself. Nothing here depends on the order of rules but where the text says so.
"""

from collections.abc import Iterable, Iterator

import msgspec

from network.programme.conditions import Test, first_failing
from network.programme.rule import UNITS, Award, Outcome, Plan, Rule, Step
from network.programme.sale import Facts, Sale, amount_in, lines_in, without

_Bases = dict[str, tuple[Rule, Award]]
"""The base rule that counts, by what it gives: points, status points, or a discount."""
_Given = tuple[Rule, Award, int, int]
"""A promotion, what it gives, what it would without caps, and the base's points that it multiplies."""


def judge(plan: Plan, sale: Sale, facts: Facts, steps: list[Step] | None = None) -> Outcome:
    """What a sale earns.

    Args:
        plan: The rules of its partner.
        sale: The sale.
        facts: What they may ask for.
        steps: Where given, every rule that was tried is noted with what it gave, or why not.
    """
    sale = counting(plan, sale, facts, steps)
    if steps is None:
        tried = plan.chosen(sale, facts).rules
    else:
        tried = tuple((one, one.tests) for one in plan.on(sale.day)[1])
    met: list[str] = []
    bases: _Bases = {}
    promotions: list[tuple[Rule, int]] = []
    for one, tests in tried:
        reason, hits = _applies(one, tests, sale, facts, met)
        if reason is not None:
            _note(steps, one, reason)
        elif one.kind == "base":
            _contend(bases, one, sale, facts, steps)
        else:
            promotions.append((one, hits))
    given = _stacked(_given(promotions, bases, sale, facts), steps)
    if steps is not None:
        steps += _gave(bases, given, sale, facts)
    awards = [award for _, award in bases.values()] + [award for _, award, _, _ in given]
    return Outcome(tuple([one for one in awards if one.points]), tuple(met))


def _gave(bases: _Bases, given: Iterable[_Given], sale: Sale, facts: Facts) -> Iterator[Step]:
    for rule, award in bases.values():
        yield _step(rule, "", award.points, rule.basis(sale, facts), rule.raw(sale, facts, 0))
    for rule, award, raw, base in given:
        yield _step(rule, "", award.points, base if rule.times else rule.basis(sale, facts), raw)


def counting(plan: Plan, sale: Sale, facts: Facts, steps: list[Step] | None = None) -> Sale:
    """A sale less what exclusions take from it."""
    for one in plan.on(sale.day)[0] if plan.exclusions else ():
        reason = one.failing(sale, facts)
        _note(steps, one, reason or "excludes")
        if reason is None:
            sale = without(sale, one.categories)
    return sale


def _applies(
    rule: Rule, tests: tuple[Test, ...], sale: Sale, facts: Facts, met: list[str]
) -> tuple[str | None, int]:
    """Why a rule does not apply, else None and how often it gives; `met` notes what counts for an n-th."""
    reason = first_failing(tests, sale, facts)
    if reason is not None or (rule.nth is None and rule.counter is None):
        return reason, 1
    if rule.nth is not None:
        met.append(rule.id)
    hits = _hits(rule, sale, facts)
    return (None if hits else "not_reached"), hits


def _given(promotions: Iterable[tuple[Rule, int]], bases: _Bases, sale: Sale, facts: Facts) -> list[_Given]:
    given = []
    for rule, hits in promotions:
        base = 0 if rule.times is None else _base(rule, bases.get(rule.unit), sale, facts)
        raw = rule.raw(sale, facts, base) * hits
        given.append((rule, Award(rule.id, held(rule, raw, facts), hits), raw, base))
    return given


def _contend(bases: _Bases, rule: Rule, sale: Sale, facts: Facts, steps: list[Step] | None) -> None:
    """The best base rule stays: that which gives most, the first of equals."""
    award = Award(rule.id, held(rule, rule.raw(sale, facts, 0), facts))
    best = bases.get(rule.unit)
    if best is not None and best[1].points >= award.points:
        _note(steps, rule, "another_base_gives_no_less")
        return
    if best is not None:
        _note(steps, best[0], "another_base_gives_more")
    bases[rule.unit] = (rule, award)


def _stacked(given: list[_Given], steps: list[Step] | None) -> list[_Given]:
    """Promotions that count together: where exclusive ones apply, the best of them alone, for each unit."""
    if len(given) < 2:
        return given
    kept: list[_Given] = []
    for unit in UNITS:
        mine = [one for one in given if one[0].unit == unit]
        alone = [one for one in mine if one[0].exclusive]
        if alone:
            best = max(alone, key=lambda one: one[1].points)
            for one in mine:
                if one is not best:
                    _note(steps, one[0], "excluded_by_promotion")
            mine = [best]
        kept += mine
    return kept


def held(rule: Rule, points: int, facts: Facts) -> int:
    """Points within the caps and the budget of a rule."""
    for most, name in rule.caps:
        used = facts.counters.get(name, 0) if name else 0
        points = min(points, max(0, most - used))
    if rule.budget is not None:
        points = min(points, max(0, facts.budgets.get(rule.id, 0)))
    return points


def _hits(rule: Rule, sale: Sale, facts: Facts) -> int:
    """How often a rule gives now for its counter or the n-th sale; what it gave before counts as given."""
    given = facts.counters.get(rule.given_name, 0)
    if rule.counter is None:
        before = facts.counters.get(rule.nth_name, 0)
        return int(before + 1 == rule.nth and given == 0)
    added = rule.counter.counts(sale, facts)
    after = facts.counters.get(rule.counter.name, 0) + added
    if added <= 0:
        return 0
    return max(0, after // rule.target - given) if rule.every else int(after >= rule.target and given == 0)


def _base(rule: Rule, best: tuple[Rule, Award] | None, sale: Sale, facts: Facts) -> int:
    """What the base gave for the lines that a promotion multiplies; never more than it gave in all."""
    if best is None or rule.times is None:
        return 0
    base, award = best
    if rule.categories is None:
        return award.points
    items = lines_in(sale, rule.categories)
    amount = amount_in(sale, rule.categories)
    details = msgspec.structs.replace(sale.details, items=items)
    part = msgspec.structs.replace(sale, amount_minor=amount, details=details)
    return min(award.points, base.raw(part, facts, 0))


def again(plan: Plan, sale: Sale, facts: Facts, outcome: Outcome) -> Outcome:
    """What remains of what a sale earned, where `sale` is what remains of it, by the rules that gave it.

    Which rules gave is settled; whether each would still, is asked again (a minimum amount), and how much. So
    no rule ever gives more for less, and what is taken back is never negative.
    """
    sale = counting(plan, sale, facts)
    left: list[Award] = []
    bases: _Bases = {}
    for award in outcome.awards:
        rule = plan.rule(award.rule)
        points = 0
        if sale.amount_minor > 0 and rule.failing(sale, facts) is None:
            base = _base(rule, bases.get(rule.unit), sale, facts)
            points = min(award.points, rule.raw(sale, facts, base) * award.hits)
        kept = Award(award.rule, points, award.hits if points else 0)
        if rule.kind == "base":
            bases[rule.unit] = (rule, kept)
        left.append(kept)
    return Outcome(tuple(left), outcome.met if sale.amount_minor > 0 else ())


def _note(steps: list[Step] | None, rule: Rule, reason: str) -> None:
    if steps is not None:
        steps.append(_step(rule, reason))


def _step(rule: Rule, reason: str, points: int = 0, basis: int = 0, raw: int = 0) -> Step:
    return Step(
        rule=rule.id,
        says=rule.says,
        kind=rule.kind,
        unit=rule.unit,
        points=points,
        basis=basis,
        before_caps=raw if raw != points else 0,
        reason=reason,
    )
