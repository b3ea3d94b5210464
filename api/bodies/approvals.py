"""What tills ask members to approve on their phones, and how it is shown to either."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from api.bodies.fields import Amount, CardNumber, Currency, Outlet, Pin, Points, Reference, card_of
from network import ids
from network.member_approvals import Approval, Wish


class NewApprovalBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What you want to take, as the redemption or hold will say it: the member sees it and answers."""

    reference: Reference
    outlet: Outlet
    card: CardNumber
    points: Points
    amount_minor: Amount
    currency: Currency

    def wish(self, partner_id: int) -> Wish:
        """What is wished for."""
        return Wish(
            partner_id=partner_id,
            reference=self.reference,
            card_number=card_of(self.card),
            outlet_code=self.outlet,
            points=self.points,
            amount_minor=self.amount_minor,
            currency=self.currency,
        )


class AskedApprovalBody(msgspec.Struct, frozen=True, kw_only=True):
    """How it stands. `until`: of what is asked, to be answered by then; of what is approved, to be used."""

    id: str
    reference: str
    state: Literal["asked", "approved", "refused", "lapsed", "used"]
    points: int
    until: datetime


class WaitingApprovalBody(msgspec.Struct, frozen=True, kw_only=True):
    """What a partner asks the member to approve: points that are worth so much there."""

    id: str
    partner: str
    outlet: str
    card: str
    points: int
    amount_minor: int
    currency: str
    asked_at: datetime
    until: datetime


class WaitingApprovalsBody(msgspec.Struct, frozen=True, kw_only=True):
    """All that waits for the member's answer, the oldest first."""

    data: Sequence[WaitingApprovalBody]


class MemberAnswerBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The member's answer; it is given once."""

    approve: bool


class PinBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A new PIN for tills, four to eight digits; null: none any more."""

    pin: Annotated[Pin | None, Meta(description="Four to eight digits, not all alike and not in a row.")]


PARTNER_BODIES = (NewApprovalBody, AskedApprovalBody)
MEMBER_BODIES = (WaitingApprovalBody, WaitingApprovalsBody, MemberAnswerBody, PinBody)


def show_approval(approval: Approval, now: datetime) -> AskedApprovalBody:
    """As its partner sees it."""
    return AskedApprovalBody(
        id=ids.show("apv", approval.approval_id),
        reference=approval.reference,
        state=approval.state(now),
        points=approval.points,
        until=approval.ends_at,
    )


def show_waiting(approval: Approval, partner: str) -> WaitingApprovalBody:
    """As the member sees it; `partner` is the name of who asks."""
    return WaitingApprovalBody(
        id=ids.show("apv", approval.approval_id),
        partner=partner,
        outlet=approval.outlet_code,
        card=str(approval.card_number),
        points=approval.points,
        amount_minor=approval.amount_minor,
        currency=approval.currency,
        asked_at=approval.asked_at,
        until=approval.ends_at,
    )
