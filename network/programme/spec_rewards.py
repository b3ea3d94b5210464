"""Rewards of a programme file: what points are good for, at which price, and who honours it."""

from datetime import date
from itertools import pairwise
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from network.programme.spec_rules import Code, Id, Name, Points, Strict

Cash = Annotated[int, Field(ge=0, le=1_000_000_000_000)]


class PriceSpec(Strict):
    """A way to pay for a reward: points, and so much cash at the till, in minor units."""

    points: Points
    cash_minor: Cash = 0


class BandSpec(Strict):
    """Tickets or upgrades of a distance: points by the cabin one flies in; without `up_to` however far."""

    up_to: Points | None = None
    cabins: dict[Name, Points] = Field(min_length=1)


class RewardSpec(Strict):
    """A reward. `at`: the partners that honour it, and so are paid for it at night; all, if it is not given.

    `item`: at one of its `prices`. `money_off`: `worth_minor` for each whole `per` points. `ticket` and
    `upgrade`: by the great circle of the flight (`measure`: miles, half up) and the cabin flown, or flown up
    to; `band`s stand by distance. `stock`: so many for all members together; what is returned in full is
    there again.
    `tiers`: only for members of these.
    """

    id: Id
    says: Annotated[str, Field(min_length=1, max_length=300)]
    kind: Literal["item", "money_off", "ticket", "upgrade"] = "item"
    at: list[Code] | None = Field(default=None, min_length=1)
    prices: list[PriceSpec] = Field(default=[])
    per: Points | None = None
    worth_minor: Points | None = None
    measure: Literal["miles", "kilometres"] = "miles"
    band: list[BandSpec] = Field(default=[])
    stock: Annotated[int, Field(ge=1, le=1_000_000_000)] | None = None
    tiers: list[Name] | None = Field(default=None, min_length=1)
    first_on: date | None = None
    last_on: date | None = None

    @model_validator(mode="after")
    def _of_its_kind(self) -> Self:
        if (self.kind == "item") != bool(self.prices):
            raise ValueError("prices are for an item, which needs at least one")
        off = self.kind == "money_off"
        if off != (self.per is not None) or off != (self.worth_minor is not None):
            raise ValueError("per (points) and worth_minor are for money_off, which needs both")
        if (self.kind in {"ticket", "upgrade"}) != bool(self.band):
            raise ValueError("bands are for a ticket or an upgrade, which needs at least one")
        reach = [one.up_to for one in self.band]
        if None in reach[:-1] or any(a >= b for a, b in pairwise(reach) if a and b):
            raise ValueError("bands stand by up_to, the nearest first; only the last may be without")
        if self.first_on and self.last_on and self.last_on < self.first_on:
            raise ValueError("last_on is before first_on")
        return self
