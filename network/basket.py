"""What a sale was, beside its amount: lines, tender, channel, units, a flight. All optional; values only."""

import msgspec


class Item(msgspec.Struct, frozen=True, omit_defaults=True):
    """A line of a sale: its amount in minor units, what kind of thing it is, and how many of it."""

    amount_minor: int
    category: str = ""
    quantity: int = 1


class Flight(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One sector that was flown: airports by their IATA codes, the cabin, and the carrier that flew it."""

    origin: str
    destination: str
    cabin: str
    carrier: str = ""


class Details(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a till may say of a sale so that rules can ask for it.

    `items` are its lines, as many as its amounts; `units` count things by name ("nights", "millilitres").
    `alliance_tier`: the tier that another member of an alliance vouches for. `offer`: a personal offer that
    was shown. `event`: no sale, but something a member did. `evidence`: of a claim after the time for sales.
    `choice`: what the member chose at the counter, where the programme lets it (points, a discount, both).
    `coupons`: those that were shown. `pack`: whose code a member registers (network.codes.Pack.key).
    """

    items: tuple[Item, ...] = ()
    tender: str = ""
    channel: str = ""
    units: tuple[tuple[str, int], ...] = ()
    flight: Flight | None = None
    alliance_tier: str = ""
    offer: str = ""
    event: str = ""
    evidence: str = ""
    choice: str = ""
    coupons: tuple[str, ...] = ()
    pack: int | None = None


NO_DETAILS = Details()


class Wanted(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The reward of the programme that points are for, what is paid in cash, and of a ticket its flight."""

    id: str
    cash_minor: int = 0
    flight: Flight | None = None
