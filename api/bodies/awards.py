"""Requests for points outside of a sale: to make good, as a surprise; who referred a member; stakes."""

from typing import Annotated

from msgspec import Meta

from api.bodies.fields import CardNumber, Offer, Points, Request, card_of, utc
from api.problems import ProblemError
from network import ids
from network.commands import Award, Command, Refer, Stake

Case = Annotated[
    str,
    Meta(pattern="^[!-~]{1,64}(?!\\n)$", description="Your number of what went wrong; it is made good once."),
]
Staff = Annotated[
    str, Meta(pattern="^[!-~]{1,64}(?!\\n)$", description="Who gives it, by your number of the person.")
]
Reason = Annotated[
    str, Meta(pattern="^[!-~]( ?[!-~]){0,199}(?!\\n)$", description="Why; it stays on record.")
]


class AwardBody(Request, frozen=True, tag_field="type", tag="award"):
    """Points that are no sale's: to make good, by its `case`; or a surprise of `points` by `staff`."""

    card: CardNumber
    award: Offer
    case: Case | None = None
    points: Points | None = None
    staff: Staff | None = None
    reason: Reason | None = None

    def command(self, partner_id: int) -> Command:
        """The command it asks for."""
        return Award(
            partner_id=partner_id,
            reference=self.reference,
            occurred_at=utc(self.occurred_at),
            card_number=card_of(self.card),
            award=self.award,
            case=self.case or "",
            points=self.points or 0,
            staff=self.staff or "",
            reason=self.reason or "",
        )


class ReferralBody(Request, frozen=True, tag_field="type", tag="referral"):
    """A new member names who referred it: another, who was a member before."""

    card: CardNumber
    referrer_card: CardNumber

    def command(self, partner_id: int) -> Command:
        """The command it asks for."""
        return Refer(
            partner_id=partner_id,
            reference=self.reference,
            occurred_at=utc(self.occurred_at),
            card_number=card_of(self.card),
            referrer_card_number=card_of(self.referrer_card, "/referrer_card"),
        )


class StakeBody(Request, frozen=True, tag_field="type", tag="stake"):
    """A member stakes points of its own on an outcome of a match, `stakes` times the game's stake."""

    card: CardNumber
    match: Annotated[str, Meta(pattern="^mat_[0-9a-f]{32}(?!\\n)$", description="A match's id.")]
    outcome: Annotated[str, Meta(pattern="^[ -~]{1,32}(?!\\n)$", description="One of the match's outcomes.")]
    stakes: Annotated[int, Meta(ge=1, le=1_000_000)] = 1

    def command(self, partner_id: int) -> Command:
        """The command it asks for."""
        match_id = ids.read("mat", self.match)
        if match_id is None:
            raise ProblemError("match_unknown")
        return Stake(
            partner_id=partner_id,
            reference=self.reference,
            occurred_at=utc(self.occurred_at),
            card_number=card_of(self.card),
            match_id=match_id,
            outcome=self.outcome,
            stakes=self.stakes,
        )
