"""What an award is counted on, and how a fraction of a point is rounded (pure, compiled once)."""

from collections.abc import Callable, Mapping
from typing import Protocol

from network.programme.geography import whole_kilometres, whole_miles
from network.programme.sale import Facts, Sale, amount_in, lines_in
from network.programme.spec_rules import BasisSpec

Basis = Callable[[Sale, Facts], int]
"""How much a sale is, in the unit that a rule counts."""
Rounding = Callable[[int, int, int], int]
"""Points for a basis: basis, points, per."""


class Counted(Protocol):
    """Anything that names a unit to count."""

    unit: str | None


def _half_even(numerator: int, denominator: int) -> int:
    whole, rest = divmod(numerator, denominator)
    return whole + (2 * rest > denominator or (2 * rest == denominator and whole % 2 == 1))


ROUNDINGS: Mapping[str, Rounding] = {
    "whole_steps": lambda basis, points, per: basis // per * points,
    "down": lambda basis, points, per: basis * points // per,
    "half_up": lambda basis, points, per: (2 * basis * points + per) // (2 * per),
    "half_even": lambda basis, points, per: _half_even(basis * points, per),
    "up": lambda basis, points, per: -(-basis * points // per),
}


def basis_of(spec: BasisSpec, categories: frozenset[str] | None) -> Basis:
    """How much of a sale an award counts; of what remains of it less is never more."""
    match spec.of:
        case "visit":
            return lambda sale, _: int(amount_in(sale, categories) > 0 or bool(sale.details.event))
        case "quantity":
            return lambda sale, _: sum(one.quantity for one in lines_in(sale, categories))
        case "units":
            return units(spec.unit or "")
        case "distance":
            return _distance(spec)
    return lambda sale, _: amount_in(sale, categories)


def units(name: str) -> Basis:
    """What a till counted under a name; nothing where nothing is left of the sale."""

    def counted(sale: Sale, _: Facts) -> int:
        return next((many for one, many in sale.details.units if one == name), 0) if sale.amount_minor else 0

    return counted


def _distance(spec: BasisSpec) -> Basis:
    per_cents = dict(spec.cabins or {})
    whole = whole_kilometres if spec.measure == "kilometres" else whole_miles
    least = spec.minimum or 0

    def flown(sale: Sale, facts: Facts) -> int:
        flight = sale.details.flight
        per_cent = 0 if flight is None else per_cents.get(flight.cabin, 0)
        if facts.metres is None or per_cent == 0 or sale.amount_minor == 0:
            return 0
        return max(least, (2 * whole(facts.metres) * per_cent + 100) // 200)

    return flown
