"""A sale before the rules of its programme: what they may know, what follows, what is counted (pure).

Only sales at partners with more than one plain rule come here (see network.accrual).
"""

from collections.abc import Callable, Iterable, Mapping
from datetime import date, timedelta
from typing import NamedTuple

import msgspec

from network.basket import NO_DETAILS, Details
from network.commands import Accrue
from network.draft import activity
from network.model import IMMEDIATELY, NEVER, AccountKind, Entry, Membership, Posting, Unit
from network.outcomes import UNCHANGED, AccountChange, Decision, RecordedEntry, Rejected
from network.programme.compiled import Programme
from network.programme.counters import EVER, claimed_name, coupon_name, flown_name, period_of
from network.programme.counting import budgets_of, counts_of, less
from network.programme.judge import again, counting, judge
from network.programme.rewards import Taken
from network.programme.rule import Outcome, Part, Plan
from network.programme.sale import NO_FACTS, Facts, Sale, metres_of, rest_of, sale_of
from network.rules import MOST_POINTS, OLDEST, Folded, Rules


class Judgement(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What rules saw of a sale, and what it came to: the record by which it can be judged again.

    `discount_minor`: what its till was told to take off. `taken`: of a redemption, the reward it was for.
    `moved`: of a merge, the counters that went along. `held_by`: the rule against abuse for which its points
    wait.
    """

    details: Details = NO_DETAILS
    facts: Facts = NO_FACTS
    outcome: Outcome = Outcome()
    discount_minor: int = 0
    taken: Taken | None = None
    held_by: str = ""
    moved: tuple[tuple[str, date, int], ...] = ()


NO_JUDGEMENT = Judgement()
_ENCODER = msgspec.json.Encoder()
_DECODER = msgspec.json.Decoder(Judgement)


def written(judgement: Judgement) -> str:
    """A judgement as it is kept."""
    return _ENCODER.encode(judgement).decode()


def judgement_of(recorded: RecordedEntry) -> Judgement:
    """How a sale was judged."""
    return NO_JUDGEMENT if recorded.judgement is None else _DECODER.decode(recorded.judgement)


def facts_of(
    folded: Folded, plan: Plan, sale: Sale, member_id: int, rules: Rules, payable: Callable[[int], bool]
) -> Facts:
    """What the rules of a partner may ask about the member of a sale."""
    member = folded.member(member_id)
    budgets = {}
    if plan.budgets:
        for rule in plan.on(sale.day)[1]:
            if rule.budget is not None:
                most, period = rule.budget
                budgets[rule.id] = most - folded.given_by(rule.id, period_of(period, sale.day))
    facts = Facts(
        tier=member.tier,
        alliance_tier=sale.details.alliance_tier or rules.programme.ladder.alliance(member.tier),
        segments=tuple(sorted(member.segments)) if member.segments else (),
        plans=plans_on(folded.memberships(member_id), sale.day) if plan.paid_plans else (),
        budgets=budgets,
        unfunded=tuple(one for one in sorted(plan.funders) if not payable(one)) if plan.funders else (),
        metres=metres_of(sale.details),
        coupons=_open_coupons(folded, sale, member_id) if plan.coupons and sale.details.coupons else (),
    )
    asked = plan.chosen(counting(plan, sale, facts), facts).counters
    counters = {name: value for name, since in asked if (value := folded.counter(member_id, name, since))}
    return msgspec.structs.replace(facts, counters=counters) if counters else facts


def _open_coupons(folded: Folded, sale: Sale, member_id: int) -> tuple[str, ...]:
    """Of the coupons that were shown, those that are the member's on that day, and not used."""
    given = folded.member(member_id).coupons
    return tuple(
        one
        for one in sale.details.coupons
        if one in given
        and given[one][0] <= sale.day <= given[one][1]
        and not folded.counter(member_id, coupon_name(one), EVER)
    )


def plans_on(memberships: Iterable[Membership], day: date) -> tuple[str, ...]:
    """Paid plans that are good on a day."""
    return tuple(sorted({one.plan for one in memberships if one.starts_on <= day <= one.ends_on}))


def parts_of(plan: Plan, outcome: Outcome) -> dict[Part, int]:
    """Points of a sale by the posting they stand in, in order; the same rules give the same order."""
    parts: dict[Part, int] = {}
    for award in outcome.awards:
        rule = plan.by_id[award.rule]
        if rule.unit == "discount":
            continue
        for part, points in rule.parts(award.points):
            if points:
                parts[part] = parts.get(part, 0) + points
    return parts


def payable(rules: Rules, at: Entry | Accrue) -> Callable[[int], bool]:
    """Whether a partner can pay for points of the day of a sale: it takes part, has terms, and has room."""

    def can(partner_id: int) -> bool:
        return (
            partner_id not in rules.at_cap
            and rules.inactive(partner_id) is None
            and rules.contract(partner_id, at.occurred_at) is not None
            and rules.issues_no_more(partner_id, at.occurred_at) is None
        )

    return can


def judged(
    folded: Folded, command: Accrue, entry: Entry, plan: Plan, rules: Rules, terms_version: int
) -> Decision | Rejected:
    """A sale's decision by the plan of its partner.

    Args:
        folded: The state.
        command: The sale.
        entry: Its entry, but for what its postings say.
        plan: The live rules of its partner.
        rules: The live rules.
        terms_version: Of the partner's contract on the day of the sale.
    """
    sale = sale_at_till(command, rules)
    member_id = entry.member_id
    credited = credited_by(command, rules)
    if credited is not None and folded.counter(member_id, credited, sale.day):
        return Rejected("flight_already_credited")
    facts = facts_of(folded, plan, sale, member_id, rules, payable(rules, command))
    outcome = judge(plan, sale, facts)
    parts = parts_of(plan, outcome)
    if sum(parts.values()) > MOST_POINTS:
        return Rejected("too_many_points")
    counted = counts_of(plan, sale, facts, outcome)
    discounts = (one.points for one in outcome.awards if plan.rule(one.rule).unit == "discount")
    discount = min(sum(discounts), sale.amount_minor)  # no till pays its customer
    judgement = Judgement(details=sale.details, facts=facts, outcome=outcome, discount_minor=discount)
    return Decision(
        entry=entry,
        postings=_postings(folded, parts, command, rules, member_id, terms_version),
        account=raised(folded, rules, member_id, counted, activity(folded, rules, member_id)),
        lines=command.lines,
        judgement=written(judgement),
        discount_minor=discount,
        counted=counted,
        spent=budgets_of(plan, sale, outcome),
    )


def credited_by(command: Accrue, rules: Rules) -> str | None:
    """The counter that says whether a sale's flight was credited before; None where it may be so again.

    A claim, with evidence, is refused after any credit of the sector that day; what a till reports, after a
    claim alone: somebody may fly to and fro on one day, and claims are made because no report came.
    """
    details = command.details
    if details is None or details.flight is None:
        return None
    plan = rules.programme.plans.get(command.partner_id)
    if plan is None or not plan.claims:
        return None
    name = flown_name if details.evidence else claimed_name
    return name(details.flight.origin, details.flight.destination)


def is_claim(command: Accrue, rules: Rules) -> bool:
    """Whether a sale claims a flight later, with evidence."""
    details = command.details
    return bool(details and details.evidence) and credited_by(command, rules) is not None


def oldest_claim(command: Accrue, rules: Rules) -> timedelta:
    """How long ago a sale may have been; of a flight that is claimed with evidence, the programme says it."""
    return timedelta(days=rules.programme.claim_days) if is_claim(command, rules) else OLDEST


def sale_at_till(command: Accrue, rules: Rules) -> Sale:
    """A sale as its rules see it."""
    return sale_of(
        partner_id=command.partner_id,
        outlet_code=command.outlet_code,
        amount_minor=command.amount_minor,
        details=command.details,
        at=command.occurred_at,
        time_zone=rules.time_zone,
    )


def _postings(
    folded: Folded,
    parts: Mapping[Part, int],
    command: Accrue,
    rules: Rules,
    member_id: int,
    terms_version: int,
) -> tuple[Posting, ...]:
    expires_on = rules.programme.expiry_rule(folded.member(member_id).tier).expires_on(folded.today)
    postings = []
    for line, (part, points) in enumerate(parts.items(), start=1):
        version = terms_version
        if part.funder_id != command.partner_id:
            terms = rules.contract(part.funder_id, command.occurred_at)
            version = 0 if terms is None else terms.terms_version
        days = part.pending_days
        postings.append(
            Posting(
                line=line,
                debit=AccountKind.ISSUED,
                credit=AccountKind.PENDING if part.pending_until_event else AccountKind.MEMBER,
                points=points,
                issuer_id=part.funder_id,
                issuer_terms=version,
                spendable_on=folded.today + timedelta(days=days) if days else IMMEDIATELY,
                expires_on=expires_on if part.unit is Unit.POINTS else NEVER,
                window_id=folded.moment.window_id,
                unit=part.unit,
            )
        )
    return tuple(postings)


def raised(
    folded: Folded,
    rules: Rules,
    member_id: int,
    counted: Mapping[tuple[str, date], int],
    change: AccountChange,
) -> AccountChange:
    """What a sale, or a merge, does to the account beside its points: it may reach a higher tier by it.

    Args:
        counted: What it adds to the counters.
        change: What else it does to the account.
    """
    ladder = rules.programme.ladder
    if not ladder.tiers:
        return change
    member = folded.member(member_id)
    now = ladder.place(member.tier)
    if member.tier and now < 0:
        return change  # who was put by hand into a tier that is not on the ladder stays there

    def amount(name: str, period: date) -> int:
        return folded.counter(member_id, name, period) + counted.get((name, period), 0)

    reached = ladder.reached(amount, folded.today)
    if reached <= now:
        return change
    name = ladder.tiers[reached].name
    until = ladder.until(name, folded.today, amount)
    return msgspec.structs.replace(
        AccountChange() if change is UNCHANGED else change, tier=name, tier_until=until
    )


class Returned(NamedTuple):
    """What a return takes back: points of the sale's postings, what was counted, what budgets get back."""

    points: list[tuple[Posting, int]]
    counted: Mapping[tuple[str, date], int]
    spent: Mapping[tuple[str, date], int]


def returned(
    recorded: RecordedEntry, programme: Programme, rules: Rules, part_minor: int, part_lines: tuple[int, ...]
) -> Returned:
    """What the return of part of a sale takes back, counts back and gives back to budgets.

    Source: points of the original under its own rules less points of what remains under the same rules.

    Args:
        recorded: The sale, with what has come back of it before.
        programme: The version that judged it.
        rules: The live rules, for the time zone.
        part_minor: How much comes back now.
        part_lines: Which of its lines do.
    """
    plan = programme.plans[recorded.entry.partner_id]
    judgement = judgement_of(recorded)
    lines = _lines_left(recorded)
    left = _left(recorded)
    facts = judgement.facts
    before = _remains(recorded, plan, judgement, rules, left, lines)
    after = _remains(recorded, plan, judgement, rules, left - part_minor, lines - set(part_lines))
    return Returned(
        points=_fewer(recorded, plan, judgement.outcome, before[1], after[1]),
        counted=less(
            counts_of(plan, before[0], facts, before[1]), counts_of(plan, after[0], facts, after[1])
        ),
        spent=less(budgets_of(plan, *before), budgets_of(plan, *after)),
    )


def remaining(recorded: RecordedEntry, programme: Programme, rules: Rules) -> list[tuple[Posting, int]]:
    """Points of a sale's postings that its returns have left."""
    plan = programme.plans[recorded.entry.partner_id]
    judgement = judgement_of(recorded)
    now = _remains(recorded, plan, judgement, rules, _left(recorded), _lines_left(recorded))
    return _fewer(recorded, plan, judgement.outcome, now[1], Outcome())


def _left(recorded: RecordedEntry) -> int:
    return recorded.entry.amount_minor - recorded.reversed.amount_minor


def _lines_left(recorded: RecordedEntry) -> frozenset[int]:
    return frozenset(number for number, line in enumerate(recorded.lines, start=1) if not line.returned)


def _remains(
    recorded: RecordedEntry,
    plan: Plan,
    judgement: Judgement,
    rules: Rules,
    left_minor: int,
    lines: frozenset[int],
) -> tuple[Sale, Outcome]:
    """What remains of a sale, and what that comes to."""
    sold = sold_as(recorded.entry, judgement, rules)
    if left_minor == sold.amount_minor:
        return sold, judgement.outcome
    sale = rest_of(sold, left_minor, lines)
    return sale, again(plan, sale, judgement.facts, judgement.outcome)


def sold_as(entry: Entry, judgement: Judgement, rules: Rules) -> Sale:
    """A recorded sale as its rules saw it."""
    return sale_of(
        partner_id=entry.partner_id,
        outlet_code=entry.outlet_code or "",
        amount_minor=entry.amount_minor,
        details=judgement.details,
        at=entry.occurred_at,
        time_zone=rules.time_zone,
    )


def _fewer(
    recorded: RecordedEntry, plan: Plan, original: Outcome, before: Outcome, after: Outcome
) -> list[tuple[Posting, int]]:
    """How many points of each of a sale's postings are in one outcome and not in another."""
    many, rest = parts_of(plan, before), parts_of(plan, after)
    # Its postings stand in the order of its parts; what they may have cured stands behind them.
    postings = dict(zip(parts_of(plan, original), recorded.postings, strict=False))
    return [
        (postings[part], points - rest.get(part, 0))
        for part, points in many.items()
        if points > rest.get(part, 0)
    ]
