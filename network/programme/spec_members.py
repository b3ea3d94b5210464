"""Segments of a programme file, and triggers: points for an occasion that is no sale."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from network.programme.spec_rules import Code, Count, Name, Points, Strict

Days = Annotated[int, Field(ge=1, le=3660)]
Says = Annotated[str, Field(min_length=1, max_length=300)]
Fact = Annotated[str, Field(pattern="^[!-~]( ?[!-~]){0,63}$")]
BIRTHDAY = "birthday"
"""The fact that says when a member was born, as 2000-02-29."""
Leap = Literal["28-february", "1-march"]


class BirthdaysSpec(Strict):
    """Who was born on 29 February has the birthday on that day, and in other years on `leap`."""

    leap: Leap = "28-february"


class RangeSpec(Strict):
    """At least, at most, or both."""

    at_least: Annotated[int, Field(ge=0, le=1_000_000_000_000)] | None = None
    at_most: Annotated[int, Field(ge=0, le=1_000_000_000_000)] | None = None

    @model_validator(mode="after")
    def _somewhere(self) -> Self:
        if self.at_least is None and self.at_most is None:
            raise ValueError("give at_least, at_most, or both")
        if self.at_least is not None and self.at_most is not None and self.at_most < self.at_least:
            raise ValueError("at_most is below at_least")
        return self


class OverDaysSpec(RangeSpec):
    """The same of what was counted over the last so many `days`."""

    days: Days = 365


class SegmentWhenSpec(Strict):
    """Who is in a segment; all that is given must hold.

    `seen`: days since the last sale (recency). `sales`: how many (frequency). `money_minor`: for how much
    (monetary value); returns are taken off. `partners`: only sales there are looked at. `tiers`: by name.
    `facts`: what the member has said of itself, by name, one of these values. `age`: in years, of the fact
    "birthday". Who did not consent to a fact that is asked for is not in the segment.
    """

    seen: RangeSpec | None = None
    sales: OverDaysSpec | None = None
    money_minor: OverDaysSpec | None = None
    partners: list[Code] | None = Field(default=None, min_length=1)
    tiers: list[Name] | None = Field(default=None, min_length=1)
    facts: dict[Name, Annotated[list[Fact], Field(min_length=1)]] | None = Field(default=None, min_length=1)
    age: RangeSpec | None = None

    @model_validator(mode="after")
    def _can_be_met(self) -> Self:
        if not any((self.seen, self.sales, self.money_minor, self.tiers, self.facts, self.age)):
            raise ValueError("is empty: give seen, sales, money_minor, tiers, facts or age")
        if self.facts is not None and BIRTHDAY in self.facts:
            raise ValueError("a segment asks for the age, not for birthdays")
        return self

    @property
    def needs(self) -> frozenset[str]:
        """Facts that a member must have told, and not taken back, to be in it."""
        return frozenset(self.facts or ()) | ({BIRTHDAY} if self.age else frozenset())


class SegmentSpec(Strict):
    """Members that belong together, found anew each night; rules ask for it with `when.segments`."""

    id: Name
    says: Says
    when: SegmentWhenSpec


Occasion = Literal["birthday", "anniversary", "enrolment", "lapse", "recovery", "referral"]


class TriggerSpec(Strict):
    """Points that a member gets for an occasion, once; the night gives them, and catches up a week.

    `birthday`: on the day, of who told it. `anniversary`: of the enrolment. `enrolment`: the night after it.
    `lapse`: when the last sale is `after_days` ago. `recovery`: when a partner makes good, once a case.
    `referral`: `after_days` after the first sale of who was referred, of at least `minimum_minor` of which is
    left then; that member gets `points`, who referred it `referrer_points`.
    `fund`: the code of the partner that pays, or "operator"; of recoveries also "issuer", who asks.
    """

    id: Name
    says: Says
    occasion: Occasion
    points: Points
    referrer_points: Points | None = None
    after_days: Annotated[int, Field(ge=0, le=3660)] | None = None
    minimum_minor: Points | None = None
    segments: list[Name] | None = Field(default=None, min_length=1)
    tiers: list[Name] | None = Field(default=None, min_length=1)
    fund: Code

    @model_validator(mode="after")
    def _of_its_occasion(self) -> Self:
        referral = self.occasion == "referral"
        if referral != (self.referrer_points is not None):
            raise ValueError(
                'referrer_points is for the occasion "referral", which needs it: both sides get something'
            )
        if self.minimum_minor is not None and not referral:
            raise ValueError('minimum_minor is for the occasion "referral"')
        if self.occasion == "lapse" and not self.after_days:
            raise ValueError('the occasion "lapse" needs after_days, at least 1: how long nobody was seen')
        if self.after_days is not None and self.occasion not in ("lapse", "referral"):
            raise ValueError('after_days is for the occasions "lapse" and "referral"')
        if (self.segments or self.tiers) and self.occasion in ("recovery", "referral"):
            raise ValueError(f"segments and tiers are not asked for a {self.occasion}")
        if self.fund == "issuer" and self.occasion != "recovery":
            raise ValueError('"issuer" is who reports a sale, and here there is none: name the partner')
        return self


class StaffBudgetSpec(Strict):
    """What one person may give away in a period of the calendar."""

    points: Points
    period: Literal["day", "week", "month", "quarter", "year"] = "month"


class SurpriseSpec(Strict):
    """A gift by staff, on the spot: at most `most_points` each, out of the person's own budget.

    `partners`: whose staff may; they pay, unless `fund` names another. `together`: what all staff of a
    partner may give in a period.
    """

    id: Name
    says: Says
    partners: list[Code] = Field(min_length=1)
    most_points: Count
    each: StaffBudgetSpec
    together: StaffBudgetSpec | None = None
    fund: Code = "issuer"
