"""Why an entry is as it is: the rules that were tried, in order, and what its postings did (pure).

A sale is judged again by the version that judged it, on the facts that its record kept: so an explanation is
exact however old the entry is, and cannot say anything else than what its returns go by.
"""

from collections.abc import Mapping, Sequence

import msgspec

from network.judging import judgement_of, sold_as
from network.model import MONEY, AccountKind, Entry, EntryKind, Posting, Unit
from network.outcomes import Occasion, RecordedEntry
from network.programme.judge import judge
from network.programme.rule import Plan, Step
from network.programme.sale import Facts
from network.rewards import taken_by
from network.rules import Rules

REASONS: Mapping[str, str] = {
    "another_base_gives_more": "another base rule gives more",
    "another_base_gives_no_less": "another base rule gives as much or more, and stands before it",
    "excluded_by_promotion": "an exclusive promotion stands in its place",
    "excludes": "takes its lines from all other rules",
    "funder_cannot_pay": "who should pay for it took no part that day, or could owe no more",
    "not_reached": "its counter, or its n-th purchase, was not reached",
    "below_minimum": "the amount is below its minimum",
    "other_category": "nothing of its categories was bought",
    "no_lines": "the till sent no lines",
    "no_flight": "it is for flights",
    "other_tender": "it was paid in another way",
    "other_channel": "it came by another channel",
    "other_outlet": "it is for other outlets",
    "other_hours": "it is for other hours",
    "other_tier": "the member was in another tier",
    "other_alliance_tier": "the member had another tier of the alliance",
    "other_flight": "it is for other flights",
    "not_in_segment": "the member was in none of its segments",
    "without_plan": "the member had none of its paid plans that day",
    "not_a_guest": "it is for guests",
    "a_guest": "it is not for guests",
    "offer_not_shown": "its offer was not shown",
    "other_choice": "the member chose otherwise at the counter",
    "coupon_not_shown": "its coupon was not shown",
    "coupon_not_there": "the member has no such coupon, or has used it",
    "other_event": "it is for another event",
    "an_event": "it is for sales",
    "no_event": "it is for an event",
}
"""Why rules gave nothing, in words."""

_MOVES: Mapping[tuple[AccountKind, AccountKind], str] = {
    (AccountKind.ISSUED, AccountKind.MEMBER): "earned",
    (AccountKind.ISSUED, AccountKind.PENDING): "set aside until an event",
    (AccountKind.MEMBER, AccountKind.ACCEPTED): "spent",
    (AccountKind.MEMBER, AccountKind.HELD): "held",
    (AccountKind.MEMBER, AccountKind.ISSUED): "taken back",
    (AccountKind.MEMBER, AccountKind.LAPSED): "lapsed",
    (AccountKind.PENDING, AccountKind.ISSUED): "cancelled before its event",
    (AccountKind.PENDING, AccountKind.MEMBER): "released",
    (AccountKind.MEMBER, AccountKind.STAKED): "staked",
    (AccountKind.STAKED, AccountKind.MEMBER): "come of a stake",
    (AccountKind.STAKED, AccountKind.ACCEPTED): "lost as a stake",
    (AccountKind.HELD, AccountKind.ACCEPTED): "captured",
    (AccountKind.HELD, AccountKind.MEMBER): "given back from a hold",
    (AccountKind.MEMBER, AccountKind.VOUCHER): "turned into a voucher",
    (AccountKind.VOUCHER, AccountKind.ACCEPTED): "spent by voucher",
    (AccountKind.VOUCHER, AccountKind.MEMBER): "given back from a voucher",
    (AccountKind.VOUCHER, AccountKind.LAPSED): "lapsed with a voucher",
    (AccountKind.ACCEPTED, AccountKind.MEMBER): "given back from a reward",
    (AccountKind.DEFICIT, AccountKind.ISSUED): "owed",
    (AccountKind.ISSUED, AccountKind.DEFICIT): "debt paid",
}

_MONEY_MOVES: Mapping[tuple[AccountKind, AccountKind], str] = {
    (AccountKind.ISSUED, AccountKind.MEMBER): "loaded",
    (AccountKind.MEMBER, AccountKind.ISSUED): "ended with its load",
    (AccountKind.MEMBER, AccountKind.ACCEPTED): "spent, or paid back",
    (AccountKind.ACCEPTED, AccountKind.MEMBER): "given back",
    (AccountKind.ISSUED, AccountKind.ACCEPTED): "paid for a plan",
    (AccountKind.ACCEPTED, AccountKind.ISSUED): "paid back for a plan",
}


_UNITS = {"points": "points", "status": "status points", "discount": "minor units off"}


class Movement(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One posting: whose points, how many, what became of them, and who is paid for them."""

    line: int
    what: str
    points: int
    issuer: str
    terms: int
    unit: str = "points"
    acceptor: str = ""
    spendable_on: str = ""
    expires_on: str = ""


class Explanation(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Why an entry is as it is. `steps` are rules in the order in which they were tried."""

    kind: str
    programme_version: int
    points: int
    steps: Sequence[Step] = ()
    facts: Facts | None = None
    payers: Mapping[str, int] = {}
    movements: Sequence[Movement] = ()
    says: Sequence[str] = ()


def steps_of(plan: Plan | None, recorded: RecordedEntry, rules: Rules) -> list[Step]:
    """The rules of a sale, tried again as they were."""
    entry = recorded.entry
    if plan is None:
        rule = rules.programmes[entry.programme_version].earn_rule(entry.partner_id)
        points = rule.points_for(entry.amount_minor, rules.local_date(entry.occurred_at))
        says = f"{rule.points_per_step} for each whole {rule.step_minor} minor units"
        if rule.weekend_multiplier > 1:
            says += f", {rule.weekend_multiplier} times at weekends"
        return [Step(rule="earn", says=says, kind="base", points=points, basis=entry.amount_minor)]
    judgement = judgement_of(recorded)
    steps: list[Step] = []
    judge(plan, sold_as(entry, judgement, rules), judgement.facts, steps)
    return steps


def explain(recorded: RecordedEntry, rules: Rules, occasion: Occasion | None = None) -> Explanation:
    """Explain an entry.

    Args:
        recorded: The entry.
        rules: All versions of the programme, and the partners' names.
        occasion: Of an award, for what it was given.
    """
    entry = recorded.entry
    names = {number: one.code for number, one in rules.directory.participants.items()}
    steps: list[Step] = []
    facts = None
    if entry.kind is EntryKind.ACCRUAL and entry.programme_version in rules.programmes:
        plan = rules.programmes[entry.programme_version].plans.get(entry.partner_id)
        steps = steps_of(plan, recorded, rules)
        facts = None if plan is None else judgement_of(recorded).facts
    payers: dict[str, int] = {}
    for posting in recorded.postings:
        earned = posting.credit in {AccountKind.MEMBER, AccountKind.PENDING}
        if earned and posting.debit is AccountKind.ISSUED and posting.unit is Unit.POINTS:
            payer = names.get(posting.issuer_id, str(posting.issuer_id))
            payers[payer] = payers.get(payer, 0) + posting.points
    movements = [_movement(posting, names) for posting in recorded.postings]
    taken = taken_by(recorded) if entry.kind is EntryKind.REDEMPTION else None
    held_by = judgement_of(recorded).held_by
    says = [f"Held for review by {held_by}."] if held_by else []
    says += [] if taken is None else [f"It was for the reward {taken.reward}: {taken.says}."]
    return Explanation(
        kind=entry.kind.name.lower(),
        programme_version=entry.programme_version,
        points=entry.points,
        steps=steps,
        facts=facts,
        payers=payers,
        movements=movements,
        says=[
            *says,
            *_given_for(entry, occasion, rules),
            *_sentences(entry, steps, payers, movements),
        ],
    )


def _given_for(entry: Entry, occasion: Occasion | None, rules: Rules) -> list[str]:
    """What an award is and for what it was given, by the version of the programme that gave it."""
    programme = rules.programmes.get(entry.programme_version)
    if occasion is None or programme is None:
        return []
    award = programme.triggers.get(occasion.award) or programme.surprises.get(occasion.award)
    said = [f"{occasion.award if award is None else award.says}."]
    if occasion.staff:
        said.append(f"{occasion.staff} gave it: {occasion.reason}.")
    else:
        role = f", as {occasion.role}" if occasion.role else ""
        said.append(f"Once for the occasion {occasion.occasion}{role}.")
    return said


def _movement(posting: Posting, names: Mapping[int, str]) -> Movement:
    moves = _MONEY_MOVES if posting.unit in MONEY else _MOVES
    what = moves.get((posting.debit, posting.credit), "moved between members")
    acceptor = "" if posting.acceptor_id is None else names.get(posting.acceptor_id, "")
    return Movement(
        line=posting.line,
        what=what,
        points=posting.points,
        issuer=names.get(posting.issuer_id, str(posting.issuer_id)),
        terms=posting.issuer_terms,
        unit=posting.unit.name.lower(),
        acceptor=acceptor,
        spendable_on=posting.spendable_on.isoformat() if posting.spendable_on.year > 1970 else "",
        expires_on=posting.expires_on.isoformat() if posting.expires_on.year < 9999 else "",
    )


def _sentences(
    entry: Entry, steps: Sequence[Step], payers: Mapping[str, int], movements: Sequence[Movement]
) -> list[str]:
    """The explanation as a person would say it, a sentence each."""
    said = [f"Version {entry.programme_version} of the programme was in force."] if steps else []
    for step in steps:
        if step.reason:
            said.append(f"{step.says}: nothing, because {REASONS.get(step.reason, step.reason)}.")
            continue
        cut = f", cut from {step.before_caps} by its cap or budget" if step.before_caps else ""
        unit = _UNITS[step.unit]
        said.append(f"{step.says}: {step.points} {unit} on {step.basis}{cut}.")
    said += [f"{who} pays for {points} points." for who, points in payers.items()]
    if not steps:
        said += [_told(one) for one in movements] or ["It moved no points."]
    return said


def _told(one: Movement) -> str:
    at = f" at {one.acceptor}" if one.acceptor else ""
    expiry = f", which expire on {one.expires_on}" if one.expires_on else ""
    return f"{one.points} {one.unit} of {one.issuer} (terms {one.terms}){expiry}: {one.what}{at}."
