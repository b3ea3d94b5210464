"""A programme file: TOML, validated to the last field.

Durations are whole months or days; steps are integer minor units; multipliers are whole.
"""

import tomllib
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from network.errors import ProgrammeInvalid

Count = Annotated[int, Field(ge=1, le=1_000_000)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class EarnRuleSpec(_Strict):
    """`points_per_step` for each whole `step_minor` of a sale, times `weekend_multiplier` at weekends.

    `pending_days`: the points can be spent that many days later, when the sale can no longer be returned.
    `pending_until_event`: they can be spent when the partner says that what was sold has come about (a stay).
    """

    step_minor: Count = 100
    points_per_step: Annotated[int, Field(ge=0, le=1_000_000)] = 1
    weekend_multiplier: Count = 1
    pending_days: Annotated[int, Field(ge=0, le=366)] = 0
    pending_until_event: bool = False

    @model_validator(mode="after")
    def _pending_one_way(self) -> Self:
        if self.pending_until_event and self.pending_days:
            raise ValueError("pending_days and pending_until_event exclude each other: give one of them")
        return self


class ExpiryRuleSpec(_Strict):
    """When points lapse.

    `months`: so many months after the end of the month they were recorded in. `activity`: so many months
    after the end of the month in which the member last earned or spent. `never`: they do not.
    """

    rule: Literal["months", "activity", "never"] = "months"
    months: Annotated[int, Field(ge=0, le=1200)] | None = None

    @model_validator(mode="after")
    def _months_where_needed(self) -> Self:
        if (self.rule == "never") != (self.months is None):
            raise ValueError(
                "months is not for points that never lapse"
                if self.rule == "never"
                else f"rule {self.rule!r} needs months, the number of months that points live"
            )
        return self


class ExpirySpec(ExpiryRuleSpec):
    """The rule for everybody, and those that replace it for a tier by its name.

    `grace_days`: points that return from a reversed redemption after their expiry live that many days more.
    """

    grace_days: Annotated[int, Field(ge=0, le=366)] = 0
    tier: dict[str, ExpiryRuleSpec] = {}


class ReturnsSpec(_Strict):
    """What a returned sale takes back where its points were spent.

    `refuse`: nothing, the return is refused; `within_balance`: what is left of its issuer's points;
    `deficit`: that, and the rest is owed: the member's next credits pay it. Nobody comes to owe more than
    `most_owed` points; what exceeds them is its issuer's loss.
    """

    clawback: Literal["refuse", "within_balance", "deficit"] = "refuse"
    most_owed: Annotated[int, Field(ge=0, le=1_000_000_000)] = 10_000


class AdjustmentsSpec(_Strict):
    """Adjustments of more than `four_eyes_above` points need a second operator."""

    four_eyes_above: Annotated[int, Field(ge=0, le=1_000_000_000)] = 1_000


class RedeemSpec(_Strict):
    """Rewards and holds of more than `code_above` points need the rotating code of the member's card."""

    code_above: Annotated[int, Field(ge=0, le=1_000_000_000)] | None = None


class EarnSpec(_Strict):
    """The rule for every partner, and those that replace it for a partner by its code."""

    default: EarnRuleSpec = EarnRuleSpec()
    partner: dict[str, EarnRuleSpec] = {}


class ProgrammeSpec(_Strict):
    """A whole programme file. `tiers` are the names of those that members can be put into."""

    name: str
    tiers: list[Annotated[str, Field(pattern="^[a-z][a-z0-9_-]{0,31}$")]] = []
    earn: EarnSpec
    expiry: ExpirySpec
    returns: ReturnsSpec = ReturnsSpec()
    redeem: RedeemSpec = RedeemSpec()
    adjustments: AdjustmentsSpec = AdjustmentsSpec()

    @model_validator(mode="after")
    def _tiers_are_known(self) -> Self:
        unknown = sorted(set(self.expiry.tier) - set(self.tiers))
        if unknown:
            raise ValueError(
                f"expiry.tier names {', '.join(unknown)}, and tiers are {', '.join(self.tiers) or 'none'}"
            )
        return self


def read_programme(source: str, name: str = "programme") -> ProgrammeSpec:
    """Read and validate the text of a programme file.

    Args:
        source: TOML.
        name: What to call the file in errors.
    Raises:
        ProgrammeInvalid: every fault with its field, what was expected and what stood there.
    """
    try:
        return ProgrammeSpec.model_validate(tomllib.loads(source))
    except tomllib.TOMLDecodeError as error:
        raise ProgrammeInvalid(f"{name}: not TOML: {error}") from error
    except ValidationError as error:
        faults = "; ".join(
            f"{'.'.join(str(part) for part in fault['loc'])}: {fault['msg']} (was {fault['input']!r})"
            for fault in error.errors()
        )
        raise ProgrammeInvalid(f"{name}: {faults}") from error
