"""Rules of a programme file: when, on what basis, what they award, how much at most, and who pays.

Money is integer minor units; percentages and shares are whole; factors are texts ("1.5"), never floats.
"""

from datetime import date, time
from decimal import Decimal
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

Count = Annotated[int, Field(ge=1, le=1_000_000)]
Points = Annotated[int, Field(ge=1, le=1_000_000_000_000)]
Name = Annotated[str, Field(pattern="^[a-z][a-z0-9_-]{0,31}$")]
Id = Annotated[str, Field(pattern="^[a-z][a-z0-9_-]{0,47}$")]
Code = Annotated[str, Field(pattern="^[!-~]{1,32}$")]
Airline = Annotated[str, Field(pattern="^[A-Z0-9]{2}$")]
Weekday = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
Period = Literal["sale", "day", "week", "month", "quarter", "year", "ever"]


def _factor(text: str) -> str:
    """A factor above zero with at most four digits after the point."""
    try:
        value = Decimal(text)
    except ArithmeticError:
        raise ValueError('a factor is written as a text, such as "2" or "1.5"') from None
    digits = value.as_tuple().exponent
    if not value.is_finite() or not 0 < value <= 1000 or not isinstance(digits, int) or digits < -4:
        raise ValueError("a factor is above 0, at most 1000, with at most four digits after the point")
    return text


Factor = Annotated[str, Field(pattern=r"^[0-9]{1,4}([.][0-9]{1,4})?$"), AfterValidator(_factor)]


class Strict(BaseModel):
    """Every field is known, and of its type."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class HoursSpec(Strict):
    """From a time of the day, up to and without another, local; `until` before `since` is over midnight."""

    since: time
    until: time


class CounterUseSpec(Strict):
    """A rule that applies when a counter reaches a number (once), or `every` so many.

    What has been given for a counter stays known: goods that are returned and bought again give it once.
    """

    id: Id
    reaches: Points | None = None
    every: Points | None = None

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if (self.reaches is None) == (self.every is None):
            raise ValueError("give either reaches or every")
        return self


class WhenSpec(Strict):
    """Conditions of a rule; all that are given must hold. Days are the day of the sale, first and last in.

    `categories` also says what of the sale counts: the lines of these categories. `events`: no sale, but
    something that a member did; a rule without them never applies to an event. `guests`: whether another
    airline vouches for the tier. `plans`: the member has one of these paid plans on the day.
    `choices`: what the member chose at the counter.
    `nth`: only the member's n-th sale that meets the rule's other conditions.
    `coupons`: one of these is shown, and the member has not used it; the rule uses it up. `packs`: the member
    registers the code on a pack of one of these.
    """

    partners: list[Code] | None = None
    outlets: list[Annotated[str, Field(pattern="^[!-.0-~]{1,32}/[!-~]{1,32}$")]] | None = None
    categories: list[Name] | None = None
    tenders: list[Name] | None = None
    channels: list[Name] | None = None
    offers: list[Id] | None = None
    choices: list[Name] | None = None
    events: list[Id] | None = None
    coupons: list[Id] | None = None
    packs: list[Id] | None = None
    weekdays: list[Weekday] | None = None
    hours: HoursSpec | None = None
    first_on: date | None = None
    last_on: date | None = None
    minimum_minor: Points | None = None
    segments: list[Name] | None = None
    tiers: list[Name] | None = None
    plans: list[Name] | None = None
    alliance_tiers: list[Name] | None = None
    guests: bool | None = None
    cabins: list[Name] | None = None
    carriers: list[Airline] | None = None
    nth: Count | None = None
    counter: CounterUseSpec | None = None

    @model_validator(mode="after")
    def _can_be_met(self) -> Self:
        for name, value in self:
            if value == []:
                raise ValueError(f"{name} is empty, so that the rule could never apply; leave it out for all")
        if self.first_on and self.last_on and self.last_on < self.first_on:
            raise ValueError("last_on is before first_on")
        if self.nth and self.counter:
            raise ValueError("nth and counter exclude each other: give one of them")
        if self.events and self.packs:
            raise ValueError("events and packs exclude each other: write a rule for each")
        return self


class BasisSpec(Strict):
    """What an award is counted on.

    `money`: minor units of the sale (of the lines that count). `visit`: one a sale. `quantity`: pieces of the
    lines that count. `units`: what the till counts under a name (nights, millilitres). `distance`: the
    great circle between the flight's airports in whole miles or kilometres (half up), times the per cent of
    its cabin (half up), at least `minimum` a sector where the cabin earns at all.
    """

    of: Literal["money", "visit", "quantity", "units", "distance"] = "money"
    unit: Name | None = None
    measure: Literal["miles", "kilometres"] | None = None
    cabins: dict[Name, Annotated[int, Field(ge=0, le=1000)]] | None = None
    minimum: Annotated[int, Field(ge=0, le=10_000)] | None = None

    @model_validator(mode="after")
    def _fields_of_its_kind(self) -> Self:
        if (self.of == "units") != (self.unit is not None):
            raise ValueError('unit, the name of what is counted, is for the basis "units", which needs it')
        if (self.of == "distance") != (self.cabins is not None):
            raise ValueError('cabins, their per cents, are for the basis "distance", which needs them')
        if self.of != "distance" and (self.measure or self.minimum is not None):
            raise ValueError('measure and minimum are for the basis "distance"')
        return self


class AwardSpec(Strict):
    """Either `points` for each `per` of the basis, or `times`: a promotion that multiplies the base's points.

    rounding: `whole_steps` counts whole `per` only; the others round basis times points by per: `down`,
    `half_up`, `half_even` or `up`. Of `times` "2" a promotion gives the base's points once more.
    """

    points: Annotated[int, Field(ge=0, le=1_000_000_000)] | None = None
    per: Points = 1
    times: Factor | None = None
    rounding: Literal["whole_steps", "down", "half_up", "half_even", "up"] | None = None

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if (self.points is None) == (self.times is None):
            raise ValueError("give either points (for each per) or times (a multiple of the base's points)")
        if self.times is not None and self.rounding == "whole_steps":
            raise ValueError("whole_steps is for points; times rounds down, half_up, half_even or up")
        if self.times is not None and Decimal(self.times) <= 1:
            raise ValueError('times is above "1": what a promotion gives comes on top of the base\'s points')
        return self


class CapSpec(Strict):
    """At most so many points of this rule for one member in a period, by the day of the sale."""

    points: Points
    period: Period


class BudgetSpec(Strict):
    """At most so many points of this rule for all members together in a period, by the day of the sale."""

    points: Points
    period: Literal["day", "week", "month", "quarter", "year", "ever"] = "ever"


class ShareSpec(Strict):
    """A funder and its per cent: "issuer" (the till's partner), "operator", or a partner by its code."""

    who: Code
    per_cent: Annotated[int, Field(ge=1, le=99)]


class FundSpec(Strict):
    """Who pays: one, or several by per cent, of whom `remainder` pays all that the others do not."""

    who: Code | None = None
    shares: list[ShareSpec] | None = None
    remainder: Code | None = None

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if (self.who is None) == (self.shares is None):
            raise ValueError("give either who, or shares and the remainder")
        if self.shares is not None:
            if self.remainder is None:
                raise ValueError("shares need a remainder: who pays what is left")
            names = [one.who for one in self.shares]
            if len({*names, self.remainder}) != len(names) + 1:
                raise ValueError("each funder stands once among shares and remainder")
            if not names or sum(one.per_cent for one in self.shares) > 99:
                raise ValueError("shares are one or more, and come to at most 99 per cent together")
        elif self.remainder is not None:
            raise ValueError("remainder is for shares")
        return self


ISSUER = "issuer"
OPERATOR = "operator"
BY_ISSUER = FundSpec(who=ISSUER)


class RuleSpec(Strict):
    """A rule. Of `base` rules that apply the best one counts; `promotion`s come on top, in the file's order.

    An `exclusive` promotion that applies stands in the place of all other promotions (the best of several).
    An `exclusion` earns nothing: the lines of its categories, or the sale, count for no other rule.
    `earns`: points; status points, which make tiers and cannot be spent; or a discount, whose `points` are
    minor units that the till takes off, at its own partner's expense.
    """

    id: Id
    says: Annotated[str, Field(min_length=1, max_length=300)]
    kind: Literal["base", "promotion", "exclusion"] = "promotion"
    earns: Literal["points", "status", "discount"] = "points"
    exclusive: bool = False
    when: WhenSpec = WhenSpec()
    basis: BasisSpec = BasisSpec()
    award: AwardSpec | None = None
    cap: list[CapSpec] = Field(default=[])
    budget: BudgetSpec | None = None
    fund: FundSpec = BY_ISSUER
    pending_days: Annotated[int, Field(ge=0, le=366)] = 0
    pending_until_event: bool = False

    @model_validator(mode="after")
    def _of_its_kind(self) -> Self:
        if (self.kind == "exclusion") != (self.award is None):
            raise ValueError("award is missing: what does it give?" if self.award is None else _NOTHING)
        if self.kind != "promotion" and self.exclusive:
            raise ValueError("exclusive is for promotions")
        if self.award is not None and self.award.times is not None and self.kind != "promotion":
            raise ValueError("times is for promotions: a base rule has nothing to multiply")
        if self.kind != "promotion" and (self.when.counter or self.when.nth or self.when.coupons):
            raise ValueError("counter, nth and coupons are for promotions")
        if self.pending_days and self.pending_until_event:
            raise ValueError("pending_days and pending_until_event exclude each other: give one of them")
        if self.earns != "points" and (self.pending_days or self.pending_until_event):
            raise ValueError("only points can be pending")
        if self.earns == "discount" and self.fund != BY_ISSUER:
            raise ValueError("a discount is given by the till's own partner: leave fund out")
        if len({one.period for one in self.cap}) != len(self.cap):
            raise ValueError("two caps have the same period")
        return self


_NOTHING = "an exclusion gives nothing: it has no award"


class CounterSpec(Strict):
    """Something counted for each member: sales, money in minor units, pieces, or units by name.

    It starts anew with each `period` of the calendar. Rules look at it (`when.counter`), tiers may.
    """

    id: Id
    says: Annotated[str, Field(min_length=1, max_length=300)]
    counts: Literal["sales", "money", "quantity", "units"] = "sales"
    unit: Name | None = None
    period: Literal["day", "week", "month", "quarter", "year", "ever"] = "ever"
    when: WhenSpec = WhenSpec()

    @model_validator(mode="after")
    def _of_its_kind(self) -> Self:
        if (self.counts == "units") != (self.unit is not None):
            raise ValueError("unit, the name of what is counted, is for a counter of units, which needs it")
        if self.when.counter or self.when.nth or self.when.coupons:
            raise ValueError("a counter cannot depend on a counter or a coupon")
        return self
