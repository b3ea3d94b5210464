"""Reads who gave to whom, as far back from a batch's givers as the programme's circles reach."""

from collections.abc import Collection, Mapping, Sequence
from datetime import date

from sqlalchemy import Connection, text

from network.bulk import integers
from network.commands import Command, Gift
from network.outcomes import CardState, Given
from network.programme.counters import period_of
from network.rules import Rules

MOST_EDGES = 1000
"""Of one step back: who is given to by more is no ring of friends, and a till does not wait for it."""

# A step asks by member, so that each shard answers for its own: Citus has no recursion across them.
_GIVERS = text(
    "SELECT member_id, name, period, value FROM member_counter WHERE member_id = ANY(:members)"
    " AND period = ANY(:periods) AND name LIKE 'abuse:%:%' AND value > 0"
    " ORDER BY member_id, name, period LIMIT :most"
)
_MERGED = text(
    "SELECT member_id, merged_into FROM account WHERE member_id = ANY(:members) AND merged_into IS NOT NULL"
)


def load_gifts(
    connection: Connection, commands: Sequence[Command], cards: Mapping[int, CardState], rules: Rules
) -> tuple[tuple[Given, ...], frozenset[int]]:
    """Gifts in the periods of a batch's gifts, step by step back from its givers.

    Args:
        connection: It locks the accounts of the batch. Of whom else it asks has to be locked too, and
            this asked again: else two gifts at once close a circle unseen.
        commands: The batch; one without gifts, or a programme that watches for no circles, asks nothing.
        cards: The cards that it names.
        rules: The live rules.
    Returns:
        Each by the accounts that hold what the two have now: a merge hides nobody. And of whom it was asked:
        two gifts of one circle have one of these in common; who is found last of all need not be locked.
    """
    watching = [one for one in rules.programme.abuse if one.watch == "circular_gifts"]
    gifts = [c for c in commands if isinstance(c, Gift) and c.card_number in cards] if watching else []
    if not gifts:
        return (), frozenset()
    days = {rules.local_date(one.occurred_at) for one in gifts}
    periods = sorted({period_of(one.period, day) for one in watching for day in days})
    # In one batch gifts may follow each other, so all whose cards are named are looked back from.
    reached = {card.member_id for card in cards.values()}
    seen: set[int] = set()
    found: list[Given] = []
    for _ in range(max(one.givers for one in watching) - 1):
        seen |= reached
        step = _step_back(connection, reached, periods)
        found += step
        reached = {edge.giver for edge in step} - seen
        if not reached:
            break
    return tuple(found), frozenset(seen)


def _step_back(connection: Connection, members: Collection[int], periods: Sequence[date]) -> list[Given]:
    """Who gave to members."""
    asked = {"members": integers(members), "periods": list(periods), "most": MOST_EDGES}
    edges = []
    for receiver, name, period, points in connection.execute(_GIVERS, asked):
        _, rule_id, giver = name.split(":")
        edges.append(Given(rule_id, period, int(giver), receiver, points))
    if not edges:
        return []
    wanted = {"members": integers({edge.giver for edge in edges})}
    into = {row.member_id: row.merged_into for row in connection.execute(_MERGED, wanted)}
    return [edge._replace(giver=into.get(edge.giver, edge.giver)) for edge in edges]
