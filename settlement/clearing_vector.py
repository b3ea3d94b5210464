"""What debtors who cannot pay all do pay: the greatest Eisenberg-Noe clearing vector, exactly (pure).

Four rules. Limited liability: nobody pays more than its own means and what its debtors pay it. Absolute
priority: who does not pay all keeps nothing, and a rank gets nothing before the ranks above it have all.
Proportionality: claims of one rank on one debtor are paid in the same proportion. And of all payments that
keep these, the greatest: no participant pays or gets more under any others.

How it is found: from paying everything downwards. Payments that are too high for somebody are lowered along
the line that leads to where all fit, if everybody went on paying the rank it is paying now, as far as the
first point at which somebody has nothing left for a rank. In the words of Eisenberg and Noe this is the
fictitious default; the stops are there because of the ranks. Nothing is ever lowered below the greatest
vector, whatever the network: means of nothing, circles of debts and claims on nobody else included.

Source: L. Eisenberg, T. H. Noe, Systemic Risk in Financial Systems, Management Science 47 (2001), 236-249;
ranks: H. Elsinger, Financial Networks, Cross Holdings, and Limited Liability (2009).
"""

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from fractions import Fraction
from typing import Generic

import msgspec

from settlement.errors import DebtBelowZero
from settlement.netting import Party

RankedDebt = tuple[Party, Party, Decimal | Fraction | int, int]
"""Debtor, creditor, amount (not below zero) and rank; lower ranks are paid first."""

_NONE = Fraction(0)


class Payment(msgspec.Struct, Generic[Party], frozen=True, kw_only=True):
    """What a debtor owes a creditor in one rank, and what it pays of that."""

    debtor: Party
    creditor: Party
    rank: int
    owed: Fraction
    paid: Fraction


class _Rank(msgspec.Struct, Generic[Party], frozen=True):
    """The claims of one rank on one debtor; `below` is what the ranks before it come to."""

    rank: int
    below: Fraction
    total: Fraction
    claims: Mapping[Party, Fraction]


_Ranks = Mapping[Party, Sequence[_Rank[Party]]]


def greatest_clearing(
    debts: Iterable[RankedDebt[Party]], means: Mapping[Party, Decimal | Fraction | int]
) -> tuple[Payment[Party], ...]:
    """The greatest clearing vector, as one payment for each debtor, creditor and rank, sorted by these.

    Args:
        debts: What is owed; several of the same pair and rank are added up. A debt to oneself is none.
        means: What participants have besides what others owe them, not below zero. Those who are not
            named have enough for all they owe.
    Raises:
        DebtBelowZero: a debt or somebody's means are below zero.
    """
    ranks = _by_rank(debts)
    own = {party: Fraction(amount) for party, amount in means.items()}
    if any(amount < 0 for amount in own.values()):
        raise DebtBelowZero(f"means are below zero: {means}")
    paid = {debtor: levels[-1].below + levels[-1].total for debtor, levels in ranks.items()}
    while True:
        received = _received(ranks, paid)
        excess = {
            debtor: max(paid[debtor] - own[debtor] - received.get(debtor, _NONE), _NONE)
            for debtor in paid
            if debtor in own
        }
        if not any(excess.values()):
            return _payments(ranks, paid)
        # A debtor that pays all it owes and has enough is left out: the others cannot change what it pays.
        marginal = {
            debtor: _paying(ranks[debtor], paid[debtor])
            for debtor in sorted(excess)
            if paid[debtor]
            and (excess[debtor] or paid[debtor] < ranks[debtor][-1].below + ranks[debtor][-1].total)
        }
        for debtor, lowered in _descent(marginal, excess, paid).items():
            paid[debtor] -= lowered


def _by_rank(debts: Iterable[RankedDebt[Party]]) -> _Ranks[Party]:
    """Claims by debtor and rank, with amounts above zero only; sorted, whatever order they came in."""
    owed: dict[Party, dict[int, dict[Party, Fraction]]] = {}
    for debtor, creditor, amount, rank in debts:
        if amount < 0:
            raise DebtBelowZero(f"{debtor} owes {creditor} {amount}: turn debtor and creditor round")
        if amount and debtor != creditor:
            claims = owed.setdefault(debtor, {}).setdefault(rank, {})
            claims[creditor] = claims.get(creditor, _NONE) + Fraction(amount)
    found: dict[Party, list[_Rank[Party]]] = {}
    for debtor in sorted(owed):
        below = _NONE
        for rank, claims in sorted(owed[debtor].items()):
            total = sum(claims.values(), _NONE)
            found.setdefault(debtor, []).append(_Rank(rank, below, total, dict(sorted(claims.items()))))
            below += total
    return found


def _paid_of(level: _Rank[Party], paid: Fraction) -> Fraction:
    """What of a debtor's payment falls on one rank."""
    return min(max(paid - level.below, _NONE), level.total)


def _received(ranks: _Ranks[Party], paid: Mapping[Party, Fraction]) -> dict[Party, Fraction]:
    """What everybody gets from everybody's payments."""
    received: dict[Party, Fraction] = {}
    for debtor, levels in ranks.items():
        for level in levels:
            part = _paid_of(level, paid[debtor]) / level.total
            for creditor, claim in level.claims.items():
                received[creditor] = received.get(creditor, _NONE) + claim * part
    return received


def _payments(ranks: _Ranks[Party], paid: Mapping[Party, Fraction]) -> tuple[Payment[Party], ...]:
    return tuple(
        Payment(
            debtor=debtor,
            creditor=creditor,
            rank=level.rank,
            owed=claim,
            paid=claim * _paid_of(level, paid[debtor]) / level.total,
        )
        for debtor, levels in ranks.items()
        for creditor, level, claim in sorted(
            ((creditor, level, claim) for level in levels for creditor, claim in level.claims.items()),
            key=lambda one: (one[0], one[1].rank),
        )
    )


def _paying(levels: Sequence[_Rank[Party]], paid: Fraction) -> _Rank[Party]:
    """The rank from which a debtor that pays `paid`, above zero, would pay less."""
    return next(level for level in reversed(levels) if level.below < paid)


def _descent(
    marginal: Mapping[Party, _Rank[Party]], excess: Mapping[Party, Fraction], paid: Mapping[Party, Fraction]
) -> dict[Party, Fraction]:
    """By how much each payment is lowered in one go.

    `marginal` has those who pay less than they owe, or will, with the rank in which each is paying; the
    last unit a debtor pays reaches a creditor by that rank's shares. With these shares M and the excess r,
    lowering by d leaves everybody even where d - Md = r. Where a circle of debtors pays its last unit only
    to one another, that has no solution while the circle pays others, of higher rank, more than comes in:
    then its members go down together, in the proportion that each of them gets back what it pays.
    """
    shares = {
        debtor: {creditor: claim / level.total for creditor, claim in level.claims.items()}
        for debtor, level in marginal.items()
    }
    circles = _circles(shares)
    for circle in circles:
        if any(excess[debtor] for debtor in circle):
            head, others = circle[0], circle[1:]
            back = {debtor: shares[head].get(debtor, _NONE) for debtor in others}
            return _as_far_as_it_goes({head: Fraction(1)} | _solve(others, shares, back), marginal, paid)
    closed = {debtor for circle in circles for debtor in circle}
    step = _solve([debtor for debtor in marginal if debtor not in closed], shares, excess)
    return _as_far_as_it_goes(step, marginal, paid, most=Fraction(1))


def _as_far_as_it_goes(
    direction: Mapping[Party, Fraction],
    marginal: Mapping[Party, _Rank[Party]],
    paid: Mapping[Party, Fraction],
    *,
    most: Fraction | None = None,
) -> dict[Party, Fraction]:
    """Lower payments in a direction until the first of them has left its rank, or all of the way."""
    stops: list[Fraction] = [
        (paid[debtor] - marginal[debtor].below) / by for debtor, by in direction.items() if by
    ]
    way = min(stops if most is None else [most, *stops])
    return {debtor: by * way for debtor, by in direction.items()}


def _circles(shares: Mapping[Party, Mapping[Party, Fraction]]) -> list[list[Party]]:
    """Groups of debtors whose last unit, passed on and on, never leaves the group; each sorted."""
    reached = {debtor: _reached(debtor, shares) for debtor in shares}
    circles: list[list[Party]] = []
    for debtor, group in reached.items():
        if debtor == min(group) and all(one in shares and debtor in reached[one] for one in group):
            circles.append(sorted(group))
    return circles


def _reached(start: Party, shares: Mapping[Party, Mapping[Party, Fraction]]) -> set[Party]:
    """Whom a debtor's last unit may come to, itself among them if it comes back."""
    found: set[Party] = set()
    waiting = [start]
    while waiting:
        fresh = shares.get(waiting.pop(), {}).keys() - found
        found |= fresh
        waiting.extend(fresh)
    return found


def _solve(
    debtors: Sequence[Party],
    shares: Mapping[Party, Mapping[Party, Fraction]],
    right: Mapping[Party, Fraction],
) -> dict[Party, Fraction]:
    """Solve d - Md = right among some debtors, by elimination; there is one solution, none below zero."""
    rows = [
        {
            column: (_NONE if row != column else Fraction(1)) - shares[column].get(row, _NONE)
            for column in debtors
        }
        for row in debtors
    ]
    sides = [right[row] for row in debtors]
    for place, pivot in enumerate(debtors):
        # The matrix is one with a dominant diagonal at heart (an M-matrix): no pivot is ever zero.
        for other in range(place + 1, len(debtors)):
            factor = rows[other][pivot] / rows[place][pivot]
            if factor:
                for column in debtors[place:]:
                    rows[other][column] -= factor * rows[place][column]
                sides[other] -= factor * sides[place]
    solved: dict[Party, Fraction] = {}
    for place in reversed(range(len(debtors))):
        known = sum((rows[place][column] * value for column, value in solved.items()), _NONE)
        solved[debtors[place]] = (sides[place] - known) / rows[place][debtors[place]]
    return solved
