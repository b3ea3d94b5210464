"""Stored value in a programme file: who takes and honours it, what is given on top, when it is paid back."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from network.programme.spec_rules import Code, Points, Strict


class ValueBonusSpec(Strict):
    """What a load of `from_minor` or more gives on top: value, or points; and `who` pays for it.

    `who`: "issuer" (who takes the money), "operator", or a partner's code. Of several that a load reaches the
    one of the highest `from_minor` counts. Who cannot pay that day gives nothing.
    """

    from_minor: Points
    value_minor: Points | None = None
    points: Points | None = None
    who: Code

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        if (self.value_minor is None) == (self.points is None):
            raise ValueError("give either value_minor or points")
        return self


class ValueRefundSpec(Strict):
    """When what was loaded is paid back in money.

    `within_days`: what is left of loads of the last `days`, that of today among them. `always`, `never`.
    `below_minor`: whatever the rule, all of it where less than this is left.
    """

    rule: Literal["within_days", "always", "never"]
    days: Annotated[int, Field(ge=0, le=3660)] | None = None
    below_minor: Points | None = None

    @model_validator(mode="after")
    def _days_where_needed(self) -> Self:
        if (self.rule == "within_days") != (self.days is not None):
            raise ValueError("days is for the rule within_days, which needs it")
        return self


class StoredValueSpec(Strict):
    """Money that members load and spend later, apart from points. Amounts are minor units of `currency`.

    `loads_at`: partners that take money, and pay it back; `spends_at`: those that honour it; all partners of
    that currency, where it is left out. One load is from `least_minor` to `most_minor`; nobody has more than
    `most_balance_minor`, what was given on top included.
    """

    currency: Annotated[str, Field(pattern="^[A-Z]{3}$")]
    says: Annotated[str, Field(min_length=1, max_length=300)]
    loads_at: list[Code] | None = Field(default=None, min_length=1)
    spends_at: list[Code] | None = Field(default=None, min_length=1)
    least_minor: Points = 1
    most_minor: Points
    most_balance_minor: Points
    bonus: list[ValueBonusSpec] = Field(default=[])
    refund: ValueRefundSpec

    @model_validator(mode="after")
    def _together(self) -> Self:
        if not self.least_minor <= self.most_minor <= self.most_balance_minor:
            raise ValueError("least_minor, most_minor and most_balance_minor do not rise")
        if len({one.from_minor for one in self.bonus}) != len(self.bonus):
            raise ValueError("two bonuses have the same from_minor")
        if self.refund.rule != "never" and any(one.points for one in self.bonus):
            raise ValueError(
                'points on top of a load need the refund rule "never": else they could be had for money that'
                " is paid back"
            )
        return self
