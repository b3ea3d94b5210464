"""Games of a programme file: what members predict, with points as stakes or for a gift."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from network.programme.spec_rules import Code, Count, Id, Points, Strict


class GameSpec(Strict):
    """A game on events whose end nobody knows: matches. The operator opens each of them.

    `pool`: the stakes of all are shared among those who were right, in proportion to what each staked.
    `odds`: who was right gets the stake back and odds less one times as much, which `fund` pays; stakes of
    those who were wrong are spent at `fund`. `gift`: there is no stake; who was right gets `gift` points of
    `fund`'s. `stake`: points of one stake. `most_stakes`: of a member on a match. Stakes are taken until
    `closes_minutes` before the match begins.
    """

    id: Id
    says: Annotated[str, Field(min_length=1, max_length=300)]
    pays: Literal["pool", "odds", "gift"]
    partners: list[Code] = Field(min_length=1)
    stake: Points | None = None
    most_stakes: Count = 1
    gift: Points | None = None
    closes_minutes: Annotated[int, Field(ge=0, le=100_000)] = 0
    fund: Code | None = None

    @model_validator(mode="after")
    def _of_its_kind(self) -> Self:
        if (self.pays == "gift") != (self.gift is not None):
            raise ValueError('gift, its points, is for pays = "gift", which needs it')
        if (self.pays == "gift") == (self.stake is not None):
            raise ValueError('stake, its points, is for pays = "pool" and "odds", which need it')
        if (self.pays == "pool") == (self.fund is not None):
            raise ValueError('fund, who pays, is for pays = "odds" and "gift", which need it')
        if self.pays == "gift" and self.most_stakes != 1:
            raise ValueError("of what is free a member has one")
        return self
