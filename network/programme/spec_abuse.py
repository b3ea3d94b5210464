"""Abuse that a programme file watches for: too many, too often, in a circle, or at one's own till."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from network.programme.spec_rules import Code, Count, Id, Strict

Watch = Literal["sales", "returns", "gifts", "circular_gifts", "own_till"]
Then = Literal["hold", "refuse", "flag"]
MOST_GIVERS = 6
"""In a circle of gifts: each more is one more look at who gave, while the till waits."""


class AbuseSpec(Strict):
    """Something that is watched for each member, and what becomes of it.

    `sales`: `more_than` so many sales in a period. `returns`: a sale of who has returned more than so many in
    it. `gifts`: more than so many given in it. `circular_gifts`: a gift that closes a circle in
    it: to who gave this one some, or, with `givers` above 2, by way of up to so many.
    `own_till`: a sale on the card of the till's own staff, as the operator named it.
    `at`: only at these partners. `then`: `refuse` it; `hold` what a sale earns until an operator releases it;
    or `flag` it, so that the operator sees it. Where several apply all are noted, and the strictest is done.
    """

    id: Id
    says: Annotated[str, Field(min_length=1, max_length=300)]
    watch: Watch
    more_than: Count | None = None
    period: Literal["day", "week", "month"] = "day"
    givers: Annotated[int, Field(ge=2, le=MOST_GIVERS)] | None = None
    at: list[Code] | None = Field(default=None, min_length=1)
    then: Then

    @model_validator(mode="after")
    def _of_its_kind(self) -> Self:
        counts = self.watch in {"sales", "returns", "gifts"}
        if counts != (self.more_than is not None):
            raise ValueError("more_than is for sales, returns and gifts, which need it")
        if self.givers is not None and self.watch != "circular_gifts":
            raise ValueError(f"givers is for circular_gifts: circles of 2 to {MOST_GIVERS} who give")
        if self.then == "hold" and self.watch in {"gifts", "circular_gifts"}:
            raise ValueError('a gift cannot be held: "refuse" or "flag" it')
        return self
