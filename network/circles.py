"""Gifts that come back to who gave first, by way of others (pure)."""

from collections.abc import Iterable

from network.model import Entry, EntryKind
from network.outcomes import Decision, Given
from network.programme.counters import period_of
from network.programme.watching import Suspicion
from network.rules import Folded, Rules


def givers_round(folded: Folded, one: Suspicion, gift: Entry, rules: Rules) -> int:
    """How many give in the shortest circle that a gift would close.

    Args:
        folded: What was given before: loaded with the batch, and by its predecessors in it.
        one: A watch for circles, which says how long they may be and in which period.
        gift: The gift's entry; not counted yet.
        rules: The live rules: they say on which day a gift was.
    Returns:
        2 where the receiver gave to the giver itself, 3 where one stands between; 0 where there is no circle.
    """
    period = period_of(one.period, rules.local_date(gift.occurred_at))
    gave: dict[int, set[int]] = {}
    for edge in (*folded.loaded.gifts, *_in_batch(folded.decided, one, rules)):
        if edge.rule_id == one.id and edge.period == period:
            gave.setdefault(edge.receiver, set()).add(edge.giver)
    reached = seen = {gift.member_id}
    for givers in range(2, one.givers + 1):
        reached = {giver for receiver in reached for giver in gave.get(receiver, ())} - seen
        if gift.counterpart_id in reached:
            return givers
        seen = seen | reached
    return 0


def points_back(folded: Folded, one: Suspicion, gift: Entry, rules: Rules) -> int:
    """Points that the giver got of who is given to, in the period of the gift."""
    period = period_of(one.period, rules.local_date(gift.occurred_at))
    direct = (one.id, period, gift.counterpart_id, gift.member_id)
    edges = (*folded.loaded.gifts, *_in_batch(folded.decided, one, rules))
    return sum(edge.points for edge in edges if edge[:4] == direct)


def _in_batch(decided: Iterable[Decision], one: Suspicion, rules: Rules) -> Iterable[Given]:
    """Gifts of the same batch: they are in no counter that was read."""
    for decision in decided:
        entry = decision.entry
        if entry.kind is EntryKind.GIFT and entry.counterpart_id and one.concerns(entry.partner_id):
            period = period_of(one.period, rules.local_date(entry.occurred_at))
            points = sum(posting.points for posting in decision.postings)
            yield Given(one.id, period, entry.member_id, entry.counterpart_id, points)
