"""What a programme watches for: refused, held until an operator releases it, or noted (pure).

Every accepted command passes here. What is watched is counted in counters of the member, as rules count, so
it holds within a batch and between lanes. To watch for more, add how it is counted to `_COUNTED`, how it is
found to `_SEEN`, and what must be read for it to `names_watched`.
"""

from collections.abc import Callable, Iterable, Mapping
from datetime import date

import msgspec

from network.circles import gifts_in, givers_round, points_back
from network.commands import Accrue, Case, Command, Gift
from network.judging import judgement_of, written
from network.model import AccountKind, Entry, EntryKind, Posting, Unit
from network.outcomes import Decision, RecordedEntry, Rejected
from network.programme.compiled import Programme
from network.programme.counters import period_of
from network.programme.watching import Suspicion
from network.rules import Folded, Rules

_STRICTEST = ("refuse", "hold", "flag")


def staff_of(partner_id: int) -> str:
    """The segment of a partner's staff: kept by hand, and of no programme."""
    return f"staff:{partner_id}"


def counter_of(one: Suspicion, giver: int = 0) -> str:
    """Under which name it is counted; of gifts in a circle, for whom got some, by who gave them."""
    return f"abuse:{one.id}:{giver}" if one.watch == "circular_gifts" else f"abuse:{one.id}"


def _sale_of(one: Suspicion, decision: Decision) -> bool:
    entry = decision.entry
    return entry.kind is EntryKind.ACCRUAL and entry.amount_minor > 0 and one.concerns(entry.partner_id)


def _gift_of(one: Suspicion, decision: Decision) -> bool:
    return decision.entry.kind is EntryKind.GIFT and one.concerns(decision.entry.partner_id)


def _return_of(one: Suspicion, decision: Decision) -> bool:
    entry = decision.entry
    if entry.kind is not EntryKind.REVERSAL or not one.concerns(entry.partner_id):
        return False
    return any(posting.credit is AccountKind.ISSUED for posting in decision.postings)


_COUNTED: Mapping[str, Callable[[Suspicion, Decision], bool]] = {
    "sales": _sale_of,
    "returns": _return_of,
    "gifts": _gift_of,
    "circular_gifts": _gift_of,
    "own_till": lambda _, __: False,
}
"""Whether a decision is counted."""


def _too_many(folded: Folded, one: Suspicion, entry: Entry, period: date, _: Rules) -> str:
    seen = folded.counter(entry.member_id, counter_of(one), period) + (one.watch != "returns")
    what = {"sales": "sales", "returns": "returned sales", "gifts": "gifts"}[one.watch]
    return f"{seen} {what} in a {one.period}" if seen > one.more_than else ""


def _in_a_circle(folded: Folded, one: Suspicion, entry: Entry, period: date, rules: Rules) -> str:
    gifts = gifts_in(folded, one, period, rules)
    givers = givers_round(gifts, entry, one.givers)
    if givers > 2:
        return f"closes a circle of {givers} who gave, in the same {one.period}"
    got = points_back(gifts, entry) if givers else 0
    return f"got {got} points of who is given to, in the same {one.period}" if got else ""


def _at_own_till(folded: Folded, _: Suspicion, entry: Entry, __: date, ___: Rules) -> str:
    mine = staff_of(entry.partner_id) in folded.member(entry.member_id).segments
    return "the card is of the partner's own staff" if mine else ""


_SEEN: Mapping[
    str, tuple[Callable[[Suspicion, Decision], bool], Callable[[Folded, Suspicion, Entry, date, Rules], str]]
] = {
    "sales": (_sale_of, _too_many),
    "returns": (_sale_of, _too_many),
    "gifts": (_gift_of, _too_many),
    "circular_gifts": (_gift_of, _in_a_circle),
    "own_till": (_sale_of, _at_own_till),
}
"""Which decisions are looked at, and what is found: "" is nothing."""


def watched(folded: Folded, decision: Decision, rules: Rules) -> Decision | Rejected:
    """What becomes of a decision that the programme may take for abuse.

    Returns:
        The same, with what is counted of it and what was noted; what a sale earned waits where it is held; or
        why it is refused, with what was found.
    """
    watching = rules.programme.abuse
    if not watching:
        return decision
    day = rules.local_date(decision.entry.occurred_at)
    cases = []
    for one in watching:
        looks_at, finds = _SEEN[one.watch]
        if looks_at(one, decision):
            reason = finds(folded, one, decision.entry, period_of(one.period, day), rules)
            if reason:
                cases.append(Case(rule=one.id, then=one.then, reason=reason))
    strictest = min((_STRICTEST.index(one.then) for one in cases), default=None)
    if strictest == 0:
        return Rejected("taken_for_abuse", tuple(cases))
    decision = _counted(decision, watching, day)
    if strictest == 1:
        decision = _held(decision, next(one.rule for one in cases if one.then == "hold"))
    return msgspec.structs.replace(decision, cases=tuple(cases)) if cases else decision


def _counted(decision: Decision, watching: Iterable[Suspicion], day: date) -> Decision:
    """A decision with what it adds to the counters of what is watched."""
    counted: dict[tuple[str, date], int] = {}
    got: dict[tuple[str, date], int] = {}
    points = sum(p.points for p in decision.postings if p.debit is AccountKind.MEMBER)
    for one in watching:
        if not _COUNTED[one.watch](one, decision):
            continue
        period = period_of(one.period, day)
        if one.watch == "circular_gifts":
            got[counter_of(one, decision.entry.member_id), period] = points
        else:
            counted[counter_of(one), period] = 1
    if not counted and not got:
        return decision
    linked = tuple(
        msgspec.structs.replace(other, counted={**other.counted, **got}) if got else other
        for other in decision.linked
    )
    return msgspec.structs.replace(decision, counted={**decision.counted, **counted}, linked=linked)


def _held(decision: Decision, rule_id: str) -> Decision:
    """What a sale earned waits until an operator releases it; its record says by which rule."""
    if not any(_earned(posting) for posting in decision.postings):
        return decision
    known = RecordedEntry(entry=decision.entry, postings=(), judgement=decision.judgement)
    return msgspec.structs.replace(
        decision,
        postings=tuple(
            msgspec.structs.replace(posting, credit=AccountKind.PENDING) if _earned(posting) else posting
            for posting in decision.postings
        ),
        judgement=written(msgspec.structs.replace(judgement_of(known), held_by=rule_id)),
    )


def _earned(posting: Posting) -> bool:
    return posting.credit is AccountKind.MEMBER and posting.unit is Unit.POINTS


def names_watched(commands: Iterable[Command], programme: Programme) -> set[str]:
    """Counters that a batch may ask for. Who gave to whom is read by itself (network.circle_store)."""
    if not any(isinstance(one, Accrue | Gift) for one in commands):
        return set()
    return {counter_of(one) for one in programme.abuse if one.watch != "circular_gifts"}


def segments_watched(programme: Programme) -> bool:
    """Whether it matters who is staff."""
    return any(one.watch == "own_till" for one in programme.abuse)
