"""A programme file: TOML, validated to the last field.

Durations are whole months or days; steps are integer minor units; multipliers are whole.
"""

import tomllib
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from network.errors import ProgrammeInvalid

Count = Annotated[int, Field(ge=1, le=1_000_000)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class EarnRuleSpec(_Strict):
    """`points_per_step` for each whole `step_minor` of a sale, times `weekend_multiplier` at weekends.

    `pending_days`: the points can be spent that many days later, when the sale can no longer be returned.
    """

    step_minor: Count = 100
    points_per_step: Annotated[int, Field(ge=0, le=1_000_000)] = 1
    weekend_multiplier: Count = 1
    pending_days: Annotated[int, Field(ge=0, le=366)] = 0


class ExpirySpec(_Strict):
    """Points lapse `months` after the end of the month they were recorded in.

    `grace_days`: points that return from a reversed redemption after their expiry live that many days more.
    """

    months: Annotated[int, Field(ge=0, le=1200)]
    grace_days: Annotated[int, Field(ge=0, le=366)] = 0


class ReturnsSpec(_Strict):
    """What a returned sale takes back where its points were spent.

    `refuse`: nothing, the return is refused; `within_balance`: what is left of its issuer's points.
    """

    clawback: Literal["refuse", "within_balance"] = "refuse"


class EarnSpec(_Strict):
    """The rule for every partner, and those that replace it for a partner by its code."""

    default: EarnRuleSpec = EarnRuleSpec()
    partner: dict[str, EarnRuleSpec] = {}


class ProgrammeSpec(_Strict):
    """A whole programme file."""

    name: str
    earn: EarnSpec
    expiry: ExpirySpec
    returns: ReturnsSpec = ReturnsSpec()


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
