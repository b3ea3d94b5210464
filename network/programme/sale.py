"""A sale as rules see it, and the facts about its member that they may ask for (pure)."""

from collections.abc import Collection, Mapping
from datetime import date, datetime
from zoneinfo import ZoneInfo

import msgspec

from network.basket import NO_DETAILS, Details, Item
from network.programme.geography import metres_between


class Sale(msgspec.Struct, frozen=True, kw_only=True):
    """What was sold: where, when by the network's clock on the wall, for how much, and its details."""

    partner_id: int
    outlet_code: str
    day: date
    minute: int
    amount_minor: int
    details: Details = NO_DETAILS


class Facts(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What rules asked for beside the sale, as it was when the sale was judged; the entry's record keeps it.

    `counters`: before the sale, by name, of the period the sale is in. `budgets`: what was left, by rule.
    `unfunded`: partners that could not pay for points that day. `metres`: how far the flight was.
    `plans`: paid plans that were good on the day of the sale, where a rule of the partner asks.
    `coupons`: of those that were shown, the member's own that it had not used.
    """

    tier: str = ""
    alliance_tier: str = ""
    segments: tuple[str, ...] = ()
    plans: tuple[str, ...] = ()
    counters: Mapping[str, int] = {}
    budgets: Mapping[str, int] = {}
    unfunded: tuple[int, ...] = ()
    metres: int | None = None
    coupons: tuple[str, ...] = ()


NO_FACTS = Facts()


def sale_of(
    *,
    partner_id: int,
    outlet_code: str,
    amount_minor: int,
    details: Details | None,
    at: datetime,
    time_zone: ZoneInfo,
) -> Sale:
    """A sale with its local day and minute."""
    local = at.astimezone(time_zone)
    return Sale(
        partner_id=partner_id,
        outlet_code=outlet_code,
        day=local.date(),
        minute=local.hour * 60 + local.minute,
        amount_minor=amount_minor,
        details=NO_DETAILS if details is None else details,
    )


def metres_of(details: Details) -> int | None:
    """How far a sale's flight was; None without one, or where an airport is not known."""
    flight = details.flight
    return None if flight is None else metres_between(flight.origin, flight.destination)


def rest_of(sale: Sale, left_minor: int, lines_left: Collection[int]) -> Sale:
    """What remains of a sale after returns: these lines of it (from 1), or so much of its amount.

    Units that a till counted shrink in proportion, rounded down. A flight remains while anything does.
    """
    if left_minor == sale.amount_minor:
        return sale
    details = sale.details
    items = tuple(one for number, one in enumerate(details.items, start=1) if number in lines_left)
    units = tuple((name, many * left_minor // sale.amount_minor) for name, many in details.units)
    rest = msgspec.structs.replace(details, items=items, units=units)
    return msgspec.structs.replace(sale, amount_minor=left_minor, details=rest)


def without(sale: Sale, categories: frozenset[str] | None) -> Sale:
    """A sale less its lines of some categories; None takes all of it."""
    if categories is None:
        nothing = msgspec.structs.replace(sale.details, items=(), units=(), flight=None)
        return msgspec.structs.replace(sale, amount_minor=0, details=nothing)
    kept = tuple(one for one in sale.details.items if one.category not in categories)
    gone = sum(one.amount_minor for one in sale.details.items if one.category in categories)
    details = msgspec.structs.replace(sale.details, items=kept)
    return msgspec.structs.replace(sale, amount_minor=sale.amount_minor - gone, details=details)


def lines_in(sale: Sale, categories: frozenset[str] | None) -> tuple[Item, ...]:
    """The lines of a sale that are of some categories; of a sale without lines, none."""
    items = sale.details.items
    return items if categories is None else tuple(one for one in items if one.category in categories)


def amount_in(sale: Sale, categories: frozenset[str] | None) -> int:
    """How much of a sale is of some categories, in minor units."""
    if categories is None:
        return sale.amount_minor
    return sum(one.amount_minor for one in lines_in(sale, categories))
