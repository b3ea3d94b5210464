"""Setting debts off in circles, without anybody in the middle (pure).

Where A owes B, B owes C and C owes A, all three may strike out what the smallest of the three debts comes to:
nobody pays, and nobody is better or worse off. This finds the circles that strike out the most. It keeps four
promises:

1. every participant's net position is exactly what it was;
2. no debt becomes larger, and nobody comes to owe somebody whom it did not owe;
3. what is left is the least that can be left under 1 and 2, so no circle is left either;
4. the same debts give the same result, in whatever order they come.

What is left is a cheapest flow: what participants owe on balance, moved along the debts there are, each unit
past as few participants as can be. It is found by shortest paths, one length after another.
"""

from collections import deque
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Generic

import msgspec

from settlement.money import ZERO, exactly
from settlement.netting import Debt, Party

Pair = tuple[Party, Party]


class Circle(msgspec.Struct, Generic[Party], frozen=True, kw_only=True):
    """Debts struck out together: each of `debtors` owes the next, the last the first, all `amount` less."""

    debtors: tuple[Party, ...]
    amount: Decimal


class SetOff(msgspec.Struct, Generic[Party], frozen=True, kw_only=True):
    """What became of debts: before and after, (debtor, creditor) to amount above zero, and the circles."""

    before: Mapping[Pair[Party], Decimal]
    left: Mapping[Pair[Party], Decimal]
    circles: tuple[Circle[Party], ...]


@exactly
def set_off(debts: Iterable[Debt[Party]]) -> SetOff[Party]:
    """Strike out as much as can be struck out in circles.

    Debts of one pair and direction are one debt; one below zero is owed the other way; one to
    oneself is none.
    """
    owed = directed(debts)
    left = dict(owed)
    inside: dict[int, dict[Pair[Party], Decimal]] = {}
    group = _groups(owed)
    for pair, amount in owed.items():
        if group[pair[0]] == group[pair[1]]:  # any other debt is in no circle
            inside.setdefault(group[pair[0]], {})[pair] = amount
    for debts_inside in inside.values():
        left |= _cheapest_flow(debts_inside)
    struck = {pair: amount - left[pair] for pair, amount in owed.items() if amount != left[pair]}
    return SetOff(
        before=owed,
        left={pair: amount for pair, amount in left.items() if amount},
        circles=tuple(_circles(struck)),
    )


@exactly
def directed(debts: Iterable[Debt[Party]]) -> dict[Pair[Party], Decimal]:
    """Debts added up by debtor and creditor, each above zero, sorted by pair."""
    owed: dict[Pair[Party], Decimal] = {}
    for debtor, creditor, amount in debts:
        if debtor != creditor:
            owed[debtor, creditor] = owed.get((debtor, creditor), ZERO) + amount
    turned: dict[Pair[Party], Decimal] = {}
    for (debtor, creditor), amount in owed.items():
        if amount:
            pair = (debtor, creditor) if amount > 0 else (creditor, debtor)
            turned[pair] = turned.get(pair, ZERO) + abs(amount)
    return dict(sorted(turned.items()))


def _groups(owed: Mapping[Pair[Party], Decimal]) -> dict[Party, int]:
    """Participants that can be reached from one another along debts have the same number.

    Two searches, one along the debts and one against them: Kosaraju's.
    """
    creditors: dict[Party, list[Party]] = {}
    debtors: dict[Party, list[Party]] = {}
    for debtor, creditor in owed:
        creditors.setdefault(debtor, []).append(creditor)
        debtors.setdefault(creditor, []).append(debtor)
    finished: list[Party] = []
    seen: set[Party] = set()
    for start in sorted(creditors.keys() | debtors.keys()):
        finished.extend(_finished(start, creditors, seen))
    groups: dict[Party, int] = {}
    seen = set()
    for number, start in enumerate(reversed(finished)):
        groups |= dict.fromkeys(_finished(start, debtors, seen), number)
    return groups


def _finished(start: Party, ways: Mapping[Party, list[Party]], seen: set[Party]) -> list[Party]:
    """Whom a search in depth finds and had not seen, in the order it is done with them."""
    if start in seen:
        return []
    seen.add(start)
    finished: list[Party] = []
    path = [(start, iter(ways.get(start, ())))]
    while path:
        party, onward = path[-1]
        fresh = next((one for one in onward if one not in seen), None)
        if fresh is None:
            finished.append(party)
            path.pop()
        else:
            seen.add(fresh)
            path.append((fresh, iter(ways.get(fresh, ()))))
    return finished


class _Network:
    """Arcs by number, with what may still flow along each; arc `n ^ 1` is the way back of arc `n`."""

    def __init__(self, nodes: int) -> None:
        self.arcs: list[list[int]] = [[] for _ in range(nodes)]
        self.head: list[int] = []
        self.room: list[int] = []
        self.cost: list[int] = []

    def add(self, tail: int, head: int, room: int, cost: int) -> None:
        """Add an arc and, with no room yet, its way back."""
        for start, end, space, price in ((tail, head, room, cost), (head, tail, 0, -cost)):
            self.arcs[start].append(len(self.head))
            self.head.append(end)
            self.room.append(space)
            self.cost.append(price)

    def distances(self, source: int) -> list[int | None]:
        """The cheapest way from the source to every node along arcs with room; None where there is none."""
        distance: list[int | None] = [None] * len(self.arcs)
        distance[source] = 0
        waiting, queued = deque([source]), {source}
        while waiting:
            node = waiting.popleft()
            queued.discard(node)
            here = distance[node] or 0
            for arc in self.arcs[node]:
                head = self.head[arc]
                known = distance[head]
                if self.room[arc] and (known is None or here + self.cost[arc] < known):
                    distance[head] = here + self.cost[arc]
                    if head not in queued:
                        queued.add(head)
                        waiting.append(head)
        return distance

    def fill(self, source: int, sink: int, distance: list[int | None]) -> None:
        """Send all that can go from source to sink on cheapest ways: Dinic's, on the arcs of such ways."""
        while True:
            level = self._levels(source, distance)
            if level[sink] is None:
                return
            self._fill_levels(source, sink, distance, level)

    def _usable(self, arc: int, distance: list[int | None]) -> bool:
        tail, head = distance[self.head[arc ^ 1]], distance[self.head[arc]]
        return bool(self.room[arc]) and tail is not None and head == tail + self.cost[arc]

    def _levels(self, source: int, distance: list[int | None]) -> list[int | None]:
        level: list[int | None] = [None] * len(self.arcs)
        level[source] = 0
        waiting = deque([source])
        while waiting:
            node = waiting.popleft()
            for arc in self.arcs[node]:
                head = self.head[arc]
                if level[head] is None and self._usable(arc, distance):
                    level[head] = (level[node] or 0) + 1
                    waiting.append(head)
        return level

    def _fill_levels(
        self, source: int, sink: int, distance: list[int | None], level: list[int | None]
    ) -> None:
        tried = [0] * len(self.arcs)
        path: list[int] = []
        node = source
        while True:
            if node == sink:
                amount = min(self.room[arc] for arc in path)
                for arc in path:
                    self.room[arc] -= amount
                    self.room[arc ^ 1] += amount
                path, node = [], source
            elif tried[node] < len(self.arcs[node]):
                arc = self.arcs[node][tried[node]]
                if level[self.head[arc]] == (level[node] or 0) + 1 and self._usable(arc, distance):
                    path.append(arc)
                    node = self.head[arc]
                else:
                    tried[node] += 1
            elif path:
                node = self.head[path.pop() ^ 1]
                tried[node] += 1
            else:
                return


def _cheapest_flow(owed: Mapping[Pair[Party], Decimal]) -> dict[Pair[Party], Decimal]:
    """The least debts, none above the given ones, that leave everybody's balance as it is."""
    places = max(_places(amount) for amount in owed.values())
    whole = {pair: int(amount.scaleb(places)) for pair, amount in owed.items()}
    number = {party: place for place, party in enumerate(sorted({one for pair in owed for one in pair}))}
    balance = [0] * len(number)
    source, sink = len(number), len(number) + 1
    network = _Network(len(number) + 2)
    for (debtor, creditor), amount in whole.items():
        network.add(number[debtor], number[creditor], amount, 1)
        balance[number[debtor]] -= amount
        balance[number[creditor]] += amount
    for party, amount in enumerate(balance):
        if amount < 0:
            network.add(source, party, -amount, 0)
        elif amount > 0:
            network.add(party, sink, amount, 0)
    while (distance := network.distances(source))[sink] is not None:
        network.fill(source, sink, distance)
    return {pair: Decimal(network.room[2 * place + 1]).scaleb(-places) for place, pair in enumerate(whole)}


def _places(amount: Decimal) -> int:
    exponent = amount.as_tuple().exponent
    return max(0, -exponent) if isinstance(exponent, int) else 0


def _circles(struck: Mapping[Pair[Party], Decimal]) -> list[Circle[Party]]:
    """What was struck out, as circles: pairs first, then others, found in the order of participants."""
    owed: dict[Party, dict[Party, Decimal]] = {}
    for (debtor, creditor), amount in sorted(struck.items()):
        owed.setdefault(debtor, {})[creditor] = amount
    circles = [
        _strike([debtor, creditor], owed)
        for debtor, creditor in sorted(struck)
        if debtor < creditor and creditor in owed.get(debtor, {}) and debtor in owed.get(creditor, {})
    ]
    for start in sorted(owed):
        path: list[Party] = [start]
        place = {start: 0}
        while owed[path[-1]] or len(path) > 1:
            onward = next(iter(owed[path[-1]]), None)
            if onward is None:
                del place[path.pop()]
            elif onward in place:
                back = place[onward]
                circles.append(_strike(path[back:], owed))
                for gone in path[back + 1 :]:
                    del place[gone]
                del path[back + 1 :]
            else:
                place[onward] = len(path)
                path.append(onward)
    return circles


def _strike(circle: list[Party], owed: dict[Party, dict[Party, Decimal]]) -> Circle[Party]:
    """Take a circle out of what is struck, as much of it as all of it has."""
    pairs = [(debtor, circle[(place + 1) % len(circle)]) for place, debtor in enumerate(circle)]
    amount = min(owed[debtor][creditor] for debtor, creditor in pairs)
    for debtor, creditor in pairs:
        owed[debtor][creditor] -= amount
        if not owed[debtor][creditor]:
            del owed[debtor][creditor]
    first = circle.index(min(circle))
    return Circle(debtors=tuple(circle[first:] + circle[:first]), amount=amount)
