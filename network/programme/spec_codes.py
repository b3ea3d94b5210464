"""Vouchers, their quarterly conversion, coupons and codes on packs, as a programme file says them."""

from datetime import date
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from network.codes import MOST_CAMPAIGN, MOST_PACK
from network.programme.spec_rules import Code, Id, Name, Points, Strict

Says = Annotated[str, Field(min_length=1, max_length=300)]


class VoucherSpec(Strict):
    """Points on paper: each `points` are worth `worth_minor` of `currency`, once, at `partners` or at all.

    Good from `starts_in_days` after the day it is made to the end of the month `valid_months` later, for a
    basket of at least `minimum_basket_minor`, and never of less than the voucher is worth. When its last day
    is over, the points lapse with it, or are the member's again.
    """

    id: Name
    says: Says
    points: Points
    worth_minor: Points
    currency: Annotated[str, Field(pattern="^[A-Z]{3}$")]
    partners: list[Code] | None = Field(default=None, min_length=1)
    minimum_basket_minor: Points = 1
    starts_in_days: Annotated[int, Field(ge=0, le=92)] = 0
    valid_months: Annotated[int, Field(ge=0, le=120)]
    when_over: Literal["lapse", "return"] = "lapse"

    @model_validator(mode="after")
    def _has_days(self) -> Self:
        if self.starts_in_days > 28 * self.valid_months:
            raise ValueError("starts_in_days is beyond valid_months: there would be no day to use it on")
        return self


class ConversionSpec(Strict):
    """On the first night of each quarter all that a member can spend becomes one `voucher`, in whole steps.

    Who has fewer than `minimum` points keeps them, and so does whoever asked to.
    """

    voucher: Name
    minimum: Points


class CouponSpec(Strict):
    """A right of single members, given in bulk, that opens rules once (`when.coupons`)."""

    id: Id
    says: Says


class PacksSpec(Strict):
    """Codes on packs: `number` stands in the codes and is never given to others; `packs` were printed.

    They can be registered from `first_on` to `last_on`, each once; a rule says what they earn (`when.packs`).
    """

    id: Id
    says: Says
    number: Annotated[int, Field(ge=1, le=MOST_CAMPAIGN)]
    packs: Annotated[int, Field(ge=1, le=MOST_PACK)]
    first_on: date
    last_on: date

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.last_on < self.first_on:
            raise ValueError("last_on is before first_on")
        return self
