"""Paid plans in a programme file: a fee buys benefits for a period."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from network.programme.spec_rules import Code, Name, Points, Strict


class PlanRefundSpec(Strict):
    """What of the fee is paid back when a plan is ended before its time.

    `pro_rata`: the fee times the days that are left after today, of all days of the period, rounded as
    `rounding` says to a minor unit. `never`. All of it within `full_days` after the day of purchase, or
    before the period begins.
    """

    rule: Literal["pro_rata", "never"] = "pro_rata"
    rounding: Literal["down", "half_up", "up"] = "down"
    full_days: Annotated[int, Field(ge=0, le=366)] = 0


class PaidPlanSpec(Strict):
    """A membership that is bought for some `months`; rules give its benefits (`when.plans`).

    `price_minor`: minor units of `currency`. `sold_at`: who sells it; all partners of that currency, where it
    is left out. Who took the fee owes it to `honoured_by`, the same night.
    """

    id: Name
    says: Annotated[str, Field(min_length=1, max_length=300)]
    months: Annotated[int, Field(ge=1, le=120)]
    price_minor: Points
    currency: Annotated[str, Field(pattern="^[A-Z]{3}$")]
    honoured_by: Code
    sold_at: list[Code] | None = Field(default=None, min_length=1)
    refund: PlanRefundSpec = PlanRefundSpec()

    @model_validator(mode="after")
    def _full_before_the_end(self) -> Self:
        if self.refund.full_days > self.months * 28:
            raise ValueError("refund.full_days is longer than the plan")
        return self
