"""Tiers that members reach by themselves: qualify, keep, drop (pure)."""

from collections.abc import Callable
from datetime import date

import msgspec

from network.expiry import month_end_after
from network.model import NEVER
from network.programme.counters import EVER, months_back

Amount = Callable[[str, date], int]
"""What a counter stands at in a period, which its first day names."""


class Way(msgspec.Struct, frozen=True):
    """One way to qualify: a counter's name, how much of it, over which time."""

    name: str
    at_least: int
    over: str

    def met(self, amount: Amount, today: date) -> bool:
        """Whether it is met on a day."""
        return sum(amount(self.name, period) for period in self.periods(today)) >= self.at_least

    def periods(self, today: date) -> list[date]:
        """The periods whose sum it asks for."""
        if self.over == "lifetime":
            return [EVER]
        months = today.month if self.over == "calendar_year" else 12
        return [months_back(today, number) for number in range(months)]


class Tier(msgspec.Struct, frozen=True, kw_only=True):
    """A tier, compiled; `keep` are the ways to stay in it."""

    name: str
    ways: tuple[Way, ...]
    keep: tuple[Way, ...]
    lasts_months: int
    soft_landing: bool
    alliance: str
    benefits: tuple[str, ...] = ()


class Ladder(msgspec.Struct, frozen=True):
    """The tiers of a file, the lowest first."""

    tiers: tuple[Tier, ...] = ()

    @property
    def names(self) -> frozenset[str]:
        """The counters that make tiers."""
        return frozenset(way.name for tier in self.tiers for way in (*tier.ways, *tier.keep))

    def place(self, name: str) -> int:
        """How high a tier is; -1 for none, and for one that is only set by hand."""
        for place, tier in enumerate(self.tiers):
            if tier.name == name:
                return place
        return -1

    def alliance(self, name: str) -> str:
        """What the alliance calls a tier; "" where it knows none."""
        place = self.place(name)
        return "" if place < 0 else self.tiers[place].alliance

    def benefits(self, name: str) -> tuple[str, ...]:
        """What a tier brings beside points."""
        place = self.place(name)
        return () if place < 0 else self.tiers[place].benefits

    def until(self, name: str, today: date, amount: Amount | None = None) -> date:
        """How long a tier lasts that begins, or is kept, on a day. What a lifetime earned has no end."""
        tier = self.tiers[self.place(name)]
        if amount is not None and any(
            way.over == "lifetime" and way.met(amount, today) for way in (*tier.ways, *tier.keep)
        ):
            return NEVER
        return month_end_after(today, tier.lasts_months)

    def reached(self, amount: Amount, today: date) -> int:
        """The highest tier that is met on a day; -1 for none."""
        for place in range(len(self.tiers) - 1, -1, -1):
            if any(way.met(amount, today) for way in self.tiers[place].ways):
                return place
        return -1

    def reviewed(self, name: str, amount: Amount, today: date) -> str:
        """The tier of a member whose time in one is over: kept, one lower, or what it qualifies for."""
        place, reached = self.place(name), self.reached(amount, today)
        tier = self.tiers[place]
        if reached >= place or any(way.met(amount, today) for way in tier.keep):
            return self.tiers[max(reached, place)].name
        landing = max(reached, place - 1) if tier.soft_landing else reached
        return self.tiers[landing].name if landing >= 0 else ""
