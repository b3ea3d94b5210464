"""Requests about paid plans: bought, renewed, given up."""

from typing import Annotated

from msgspec import Meta

from api.bodies.fields import (
    Amount,
    CardNumber,
    Currency,
    EntryId,
    Outlet,
    Request,
    card_of,
    entry_id_of,
    utc,
)
from network.commands import BuyPlan, Command, EndPlan

PlanName = Annotated[
    str,
    Meta(pattern="^[a-z][a-z0-9_-]{0,31}(?!\\n)$", description="Which paid plan of the programme: its id."),
]


class PlanMembershipBody(Request, frozen=True, tag_field="type", tag="plan_membership"):
    """A member has paid your till the fee of a paid plan; bought again while it runs, it is renewed."""

    outlet: Outlet
    card: CardNumber
    plan: PlanName
    amount_minor: Amount
    currency: Currency

    def command(self, partner_id: int) -> Command:
        """The command it asks for."""
        return BuyPlan(
            partner_id=partner_id,
            reference=self.reference,
            occurred_at=utc(self.occurred_at),
            outlet_code=self.outlet,
            card_number=card_of(self.card),
            plan=self.plan,
            amount_minor=self.amount_minor,
            currency=self.currency,
        )


class PlanRefundBody(Request, frozen=True, tag_field="type", tag="plan_refund"):
    """A member gives a paid plan up; the answer's `amount_minor` is what you pay back."""

    membership: EntryId

    def command(self, partner_id: int) -> Command:
        """The command it asks for."""
        return EndPlan(
            partner_id=partner_id,
            reference=self.reference,
            occurred_at=utc(self.occurred_at),
            membership_id=entry_id_of(self.membership, "/membership"),
        )
