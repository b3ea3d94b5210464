"""Standing pledges that a programme file offers: to which causes, what share, of whose points."""

from typing import Annotated

from pydantic import Field, model_validator

from network.programme.spec_rules import Code, Id, Strict


class PledgeSpec(Strict):
    """A standing pledge that a member may make: each night a share of what it earned goes to a cause.

    `causes`: partners whose contracts accept donations, one of whom the member chooses. `per_cents`: the
    shares it may choose from. `of`: only points that these pay for count (partners, or "operator"); all
    points, where it is left out.
    """

    id: Id
    says: Annotated[str, Field(min_length=1, max_length=300)]
    causes: list[Code] = Field(min_length=1)
    per_cents: list[Annotated[int, Field(ge=1, le=100)]] = Field(min_length=1)
    of: list[Code] | None = None

    @model_validator(mode="after")
    def _each_once(self) -> "PledgeSpec":
        for name, values in (("causes", self.causes), ("per_cents", self.per_cents), ("of", self.of or [])):
            if len(set(values)) != len(values):
                raise ValueError(f"{name} names one twice")
        if self.of == []:
            raise ValueError("of is empty, so that nothing would count; leave it out for all points")
        return self
