"""Draws of a programme file: prizes among those who bought enough, drawn so that anybody can recompute it."""

from datetime import date
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from network.programme.spec_rules import Code, Count, Id, Points, Strict


class DrawSpec(Strict):
    """A draw: `winners` prizes among members, or couples, who bought for `threshold_minor` within its days.

    `of`: each member has a ticket, or each couple: two members whose accounts are linked in one pool, which
    buy together. What was returned does not count. `partners`: where. `prize`: in words; with `points`, which
    `fund` pays, each winner gets them on top, of a couple both.
    """

    id: Id
    says: Annotated[str, Field(min_length=1, max_length=300)]
    of: Literal["members", "couples"]
    partners: list[Code] = Field(min_length=1)
    threshold_minor: Points
    first_on: date
    last_on: date
    winners: Count
    prize: Annotated[str, Field(min_length=1, max_length=300)]
    points: Points | None = None
    fund: Code | None = None

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.last_on < self.first_on:
            raise ValueError("last_on is before first_on")
        if (self.points is None) != (self.fund is None):
            raise ValueError("points of a prize need fund, who pays them; and fund is for points")
        return self
