"""Tiers of a programme file: how a member comes into one, stays in it, and what it brings."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from network.programme.spec_rules import Code, Id, Name, Points, Strict

Over = Literal["12_months", "calendar_year", "lifetime"]


class QualifySpec(Strict):
    """One way to qualify: at least so much of a measure over a time.

    `measure`: "status" (status points), "money" (minor units of all sales), "visits" (sales), or a counter's
    id with `period = "month"`. `12_months`: this month and the eleven before it. A lifetime never ends.
    """

    measure: Id
    at_least: Points
    over: Over = "12_months"


class TierSpec(Strict):
    """A tier. Those further down in the file are higher.

    Whoever meets one of `qualify` has it at once, and until the end of the month `lasts_months` later; then
    whoever meets one of `keep` (of `qualify`, where it is not given) keeps it as long again. Who does not,
    falls to the tier it does qualify for; with `soft_landing` one tier at a time, for as long again.
    `bonus_per_cent`: more points on the base's, at every partner or at those of `bonus_at`.
    `alliance`: what partners of an alliance know it as; several tiers may be one there.
    """

    name: Name
    says: Annotated[str, Field(min_length=1, max_length=300)]
    qualify: list[QualifySpec] = Field(default=[])
    keep: list[QualifySpec] | None = None
    lasts_months: Annotated[int, Field(ge=1, le=120)] = 12
    soft_landing: bool = False
    bonus_per_cent: Annotated[int, Field(ge=1, le=1000)] | None = None
    bonus_at: list[Code] | None = None
    alliance: Name | None = None
    benefits: list[str] = Field(default=[])

    @model_validator(mode="after")
    def _bonus_somewhere(self) -> Self:
        if self.bonus_at is not None and (self.bonus_per_cent is None or not self.bonus_at):
            raise ValueError("bonus_at names the partners of a bonus_per_cent, at least one")
        if self.keep == []:
            raise ValueError("keep is empty: leave it out, and whoever qualifies again keeps the tier")
        return self
