"""Gifts that come back to who gave first, by way of others (pure)."""

from collections.abc import Collection
from datetime import date

from network.model import Entry, EntryKind
from network.outcomes import Given
from network.programme.counters import period_of
from network.programme.watching import Suspicion
from network.rules import Folded, Rules


def gifts_in(folded: Folded, one: Suspicion, period: date, rules: Rules) -> list[Given]:
    """What was given in a period, as far as one watch for circles looks.

    Args:
        folded: What was loaded with the batch, and what was decided in it: that is in no counter yet.
        one: The watch.
        period: Its first day.
        rules: The live rules: they say on which day a gift was.
    """
    gifts = [edge for edge in folded.loaded.gifts if edge.rule_id == one.id and edge.period == period]
    for decision in folded.decided:
        entry = decision.entry
        if (
            entry.kind is EntryKind.GIFT
            and entry.counterpart_id
            and one.concerns(entry.partner_id)
            and period_of(one.period, rules.local_date(entry.occurred_at)) == period
        ):
            points = sum(posting.points for posting in decision.postings)
            gifts.append(Given(one.id, period, entry.member_id, entry.counterpart_id, points))
    return gifts


def givers_round(gifts: Collection[Given], gift: Entry, most: int) -> int:
    """How many give in the shortest circle that a gift would close.

    Args:
        gifts: Those before it.
        gift: The gift's entry.
        most: Longer circles are not looked for.
    Returns:
        2 where the receiver gave to the giver itself, 3 where one stands between; 0 where there is no circle.
    """
    gave: dict[int, set[int]] = {}
    for edge in gifts:
        gave.setdefault(edge.receiver, set()).add(edge.giver)
    reached = seen = {gift.member_id}
    for givers in range(2, most + 1):
        reached = {giver for receiver in reached for giver in gave.get(receiver, ())} - seen
        if gift.counterpart_id in reached:
            return givers
        seen = seen | reached
    return 0


def points_back(gifts: Collection[Given], gift: Entry) -> int:
    """Points that the giver got of who is given to."""
    direct = (gift.counterpart_id, gift.member_id)
    return sum(edge.points for edge in gifts if (edge.giver, edge.receiver) == direct)
