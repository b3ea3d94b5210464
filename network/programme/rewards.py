"""Rewards made ready: whether one can be had, and what it costs (pure)."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import date

import msgspec

from network.basket import Flight
from network.programme.geography import metres_between, whole_kilometres, whole_miles
from network.programme.spec_rewards import RewardSpec


class Taken(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a redemption was for: the record of its entry. `counts`: it was taken from a stock."""

    reward: str
    says: str
    cash_minor: int = 0
    flight: Flight | None = None
    metres: int | None = None
    counts: bool = False


class RewardOffer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A reward at a price, as a card could have it: points, and cash or what they take off the price.

    Of money off, `points` and `worth_minor` are of one step.
    """

    id: str
    says: str
    kind: str
    points: int
    cash_minor: int = 0
    worth_minor: int = 0


class Reward(msgspec.Struct, frozen=True, kw_only=True):
    """A reward, compiled. `at`: partners that honour it; None is all. `bands`: how far, and by cabin."""

    id: str
    says: str
    kind: str
    at: frozenset[int] | None
    prices: Sequence[tuple[int, int]]
    per: int
    worth_minor: int
    kilometres: bool
    bands: Sequence[tuple[int | None, Mapping[str, int]]]
    stock: int | None
    tiers: frozenset[str] | None
    first_on: date
    last_on: date

    @property
    def shelf(self) -> str:
        """Under which name its stock is counted, among the budgets of rules."""
        return f"reward:{self.id}"

    def out_of_reach(self, partner_id: int, tier: str, day: date) -> str | None:
        """Why a member cannot have it here on a day, whatever it pays; None where it can."""
        if self.at is not None and partner_id not in self.at:
            return "reward_not_here"
        if not self.first_on <= day <= self.last_on:
            return "reward_not_now"
        return "reward_of_other_tier" if self.tiers is not None and tier not in self.tiers else None

    def costs(self, flight: Flight | None) -> list[tuple[int, int]]:
        """Its prices in points and cash; none where this flight has none. Of money off, that of one step."""
        if self.kind == "money_off":
            return [(self.per, 0)]
        return list(self.prices) if not self.bands else list(self._fares(flight))

    def is_price(self, points: int, cash_minor: int, amount_minor: int, flight: Flight | None) -> bool:
        """Whether so many points and so much cash are a price of it; of money off, what it is off too."""
        if self.kind == "money_off":
            steps, rest = divmod(points, self.per)
            return rest == 0 and cash_minor == 0 and amount_minor == steps * self.worth_minor
        return (points, cash_minor) in self.costs(flight)

    def _fares(self, flight: Flight | None) -> Iterator[tuple[int, int]]:
        metres = None if flight is None else metres_between(flight.origin, flight.destination)
        if flight is None or metres is None:
            return
        far = whole_kilometres(metres) if self.kilometres else whole_miles(metres)
        for up_to, cabins in self.bands:
            if up_to is None or far <= up_to:
                if flight.cabin in cabins:
                    yield cabins[flight.cabin], 0
                return


def rewards_of(specs: Sequence[RewardSpec], partner_ids: Mapping[str, int]) -> Mapping[str, Reward]:
    """The rewards of a file, by id."""
    return {
        one.id: Reward(
            id=one.id,
            says=one.says,
            kind=one.kind,
            at=None if one.at is None else frozenset(partner_ids[code] for code in one.at),
            prices=tuple((price.points, price.cash_minor) for price in one.prices),
            per=one.per or 1,
            worth_minor=one.worth_minor or 0,
            kilometres=one.measure == "kilometres",
            bands=tuple((band.up_to, band.cabins) for band in one.band),
            stock=one.stock,
            tiers=None if one.tiers is None else frozenset(one.tiers),
            first_on=one.first_on or date.min,
            last_on=one.last_on or date.max,
        )
        for one in specs
    }
