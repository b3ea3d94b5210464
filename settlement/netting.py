"""From gross debts to the fewest payments, and to whole minor units (pure).

Participants are ids or codes: anything that sorts. The hub stands between all of them, so that each position
that is not zero is one payment, to the hub or from it.
"""

from collections.abc import Collection, Iterable, Mapping
from decimal import Decimal
from typing import TypeVar

from settlement.errors import PositionsNotZero
from settlement.model import Rounded
from settlement.money import ZERO, exactly, floor_minor, from_minor

Party = TypeVar("Party", int, str)

Debt = tuple[Party, Party, Decimal]
"""Debtor, creditor, amount. A negative debt is owed the other way; a debt to oneself is none."""


@exactly
def gross(debts: Iterable[Debt[Party]]) -> Decimal:
    """What would be paid if each debtor paid each of its creditors by itself; the one figure called gross.

    The sum over (debtor, creditor) of what is owed, debts to oneself left out. Debts of one pair and one
    direction are one payment, whatever they are for, so that a return in the same window lowers the sale it
    undoes; where more was undone than done, the money flows back and counts as what it is.
    """
    owed: dict[tuple[Party, Party], Decimal] = {}
    for debtor, creditor, amount in debts:
        if debtor != creditor:
            owed[debtor, creditor] = owed.get((debtor, creditor), ZERO) + amount
    return sum((abs(amount) for amount in owed.values()), ZERO)


@exactly
def bilateral_nets(debts: Iterable[Debt[Party]]) -> dict[tuple[Party, Party], Decimal]:
    """What is left between each pair: (debtor, creditor) to an amount above zero, sorted by pair.

    The pairs that owe one another the same are left out.
    """
    nets: dict[tuple[Party, Party], Decimal] = {}
    for debtor, creditor, amount in debts:
        if debtor < creditor:
            nets[debtor, creditor] = nets.get((debtor, creditor), ZERO) + amount
        elif creditor < debtor:
            nets[creditor, debtor] = nets.get((creditor, debtor), ZERO) - amount
    directed = {
        pair if amount > 0 else (pair[1], pair[0]): abs(amount) for pair, amount in nets.items() if amount
    }
    return dict(sorted(directed.items()))


@exactly
def multilateral_positions(debts: Iterable[Debt[Party]]) -> dict[Party, Decimal]:
    """What each participant is owed less what it owes, sorted by participant. They sum to zero."""
    positions: dict[Party, Decimal] = {}
    for debtor, creditor, amount in debts:
        positions[debtor] = positions.get(debtor, ZERO) - amount
        positions[creditor] = positions.get(creditor, ZERO) + amount
    return dict(sorted(positions.items()))


@exactly
def to_be_paid(positions: Iterable[Decimal]) -> Decimal:
    """What positions cost to discharge: the sum of those above zero."""
    return sum((position for position in positions if position > 0), ZERO)


@exactly
def round_positions(
    positions: Mapping[Party, Decimal], digits: int, carried_in: Mapping[Party, Decimal] | None = None
) -> dict[Party, Rounded]:
    """Round to minor units by largest remainder, so that positions sum to zero to the cent.

    What the last night left over is added first. Every position is floored towards minus infinity; the units
    that are then left go, one each, to the largest fractions, ties by participant. Nobody moves by a whole
    unit, and what a participant lost or won is its `carried_out`, so nothing drifts over the nights.

    Args:
        positions: Exact, in major units.
        digits: Decimal digits of the currency's minor unit.
        carried_in: Fractions left by the last night; participants without one had none.
    Raises:
        PositionsNotZero: positions and carried fractions do not sum to zero.
    """
    carried = carried_in or {}
    exact = {party: position + carried.get(party, ZERO) for party, position in positions.items()}
    _require_zero(exact.values(), carried.keys() - positions.keys())
    floors = {party: floor_minor(amount, digits) for party, amount in exact.items()}
    lost = {party: amount - from_minor(floors[party], digits) for party, amount in exact.items()}
    favoured = sorted(exact, key=lambda party: (-lost[party], party))[: -sum(floors.values())]
    finals = {party: floors[party] for party in sorted(exact)}
    for party in favoured:
        finals[party] += 1
    return {
        party: Rounded(final, exact[party] - from_minor(final, digits)) for party, final in finals.items()
    }


def payments(finals: Mapping[Party, int]) -> tuple[dict[Party, int], dict[Party, int]]:
    """The payments that discharge rounded positions: into the hub, and out of it; minor units above zero."""
    pay_in = {party: -final for party, final in finals.items() if final < 0}
    pay_out = {party: final for party, final in finals.items() if final > 0}
    return pay_in, pay_out


def _require_zero(amounts: Collection[Decimal], forgotten: Collection[object]) -> None:
    left = sum(amounts, ZERO)
    if left != 0:
        raise PositionsNotZero(f"positions sum to {left}, which must be 0")
    if forgotten:
        raise PositionsNotZero(
            f"fractions were carried for {sorted(map(str, forgotten))}: no position is there"
        )
