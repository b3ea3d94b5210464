"""Requests about standing pledges."""

from typing import Annotated

from msgspec import Meta

from api.bodies.fields import CardNumber, Cause, Guardian, Request, card_of, guardian_of, utc
from api.problems import FieldError, ProblemError
from network.commands import Command, Pledge

PledgeName = Annotated[
    str,
    Meta(pattern="^[a-z][a-z0-9_-]{0,47}(?!\\n)$", description="Which pledge of the programme: its id."),
]
Share = Annotated[
    int,
    Meta(ge=0, le=100, description="How much of what is earned goes to the cause; 0 ends the pledge."),
]


class PledgeBody(Request, frozen=True, tag_field="type", tag="pledge"):
    """A member pledges a share of what it will earn to a cause, in the place of the pledge it had before.

    Each night its share goes there as a donation. `per_cent` 0, without a cause, ends it.
    """

    card: CardNumber
    pledge: PledgeName
    per_cent: Share
    cause: Cause | None = None
    guardian: Guardian | None = None

    def command(self, partner_id: int) -> Command:
        """The command it asks for."""
        if (self.per_cent == 0) != (self.cause is None):
            raise ProblemError(
                "validation_failed",
                "a pledge has a cause, and its end has none",
                [FieldError("/cause", "missing" if self.per_cent else "not_for_an_end")],
            )
        return Pledge(
            partner_id=partner_id,
            reference=self.reference,
            occurred_at=utc(self.occurred_at),
            card_number=card_of(self.card),
            pledge=self.pledge,
            cause=self.cause or "",
            per_cent=self.per_cent,
            guardian_card=guardian_of(self.guardian),
        )
