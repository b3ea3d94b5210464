"""Commands for tests, beside those of a till: events, between members, and by the operator."""

from datetime import datetime

from network.commands import (
    Adjust,
    BuyPlan,
    Donate,
    EndPlan,
    Gift,
    Invite,
    IssueVoucher,
    Join,
    Leave,
    Merge,
    Pledge,
    Release,
    ReturnVoucher,
    SetTier,
    Unmerge,
    UseVoucher,
)
from network.model import Entry
from partners.model import OPERATOR_ID
from tests.coalition import GROCER, OUTLET, PETROL, START


def come_about(accrual: Entry, reference: str, *, at: datetime = START) -> Release:
    """The event that an accrual's points are pending for, told by its own partner."""
    return Release(
        partner_id=accrual.partner_id, reference=reference, occurred_at=at, entry_id=accrual.entry_id
    )


def give(
    card_number: int,
    to_card_number: int,
    points: int,
    reference: str,
    *,
    partner_id: int = GROCER,
    at: datetime = START,
) -> Gift:
    """A gift from one card's member to another's."""
    return Gift(
        partner_id=partner_id,
        reference=reference,
        occurred_at=at,
        card_number=card_number,
        to_card_number=to_card_number,
        points=points,
    )


def donate(
    card_number: int,
    points: int,
    reference: str,
    *,
    cause: str = "bank",
    partner_id: int = GROCER,
    at: datetime = START,
) -> Donate:
    """A donation to a cause."""
    return Donate(
        partner_id=partner_id,
        reference=reference,
        occurred_at=at,
        card_number=card_number,
        cause=cause,
        points=points,
    )


def pledge(
    card_number: int, reference: str, *, per_cent: int = 10, cause: str = "bank", at: datetime = START
) -> Pledge:
    """A pledge of the kind that the test programmes offer, by the grocer."""
    return Pledge(
        partner_id=GROCER,
        reference=reference,
        occurred_at=at,
        card_number=card_number,
        pledge="good",
        cause=cause,
        per_cent=per_cent,
    )


def buy_plan(card_number: int, reference: str, *, amount: int = 99_00, at: datetime = START) -> BuyPlan:
    """The plan of the test programmes, sold by the grocer."""
    return BuyPlan(
        partner_id=GROCER,
        reference=reference,
        occurred_at=at,
        outlet_code=OUTLET,
        card_number=card_number,
        plan="plus",
        amount_minor=amount,
        currency="USD",
    )


def end_plan(bought: Entry, reference: str, *, partner_id: int = GROCER, at: datetime = START) -> EndPlan:
    """The end of a plan before its time."""
    return EndPlan(partner_id=partner_id, reference=reference, occurred_at=at, membership_id=bought.entry_id)


def invite(
    card_number: int, to_card_number: int, reference: str, *, partner_id: int = GROCER, at: datetime = START
) -> Invite:
    """An invitation into the pool of a card's member."""
    return Invite(
        partner_id=partner_id,
        reference=reference,
        occurred_at=at,
        card_number=card_number,
        to_card_number=to_card_number,
    )


def join(
    card_number: int, invitation: Entry, reference: str, *, partner_id: int = GROCER, at: datetime = START
) -> Join:
    """The consent of who was invited."""
    return Join(
        partner_id=partner_id,
        reference=reference,
        occurred_at=at,
        card_number=card_number,
        invitation_id=invitation.entry_id,
    )


def leave(card_number: int, reference: str, *, partner_id: int = GROCER, at: datetime = START) -> Leave:
    """A member's leaving of its pool."""
    return Leave(partner_id=partner_id, reference=reference, occurred_at=at, card_number=card_number)


def merge(
    card_number: int,
    merged_card_number: int,
    reference: str,
    *,
    partner_id: int = GROCER,
    at: datetime = START,
) -> Merge:
    """The merge of a second card's account into that of the first."""
    return Merge(
        partner_id=partner_id,
        reference=reference,
        occurred_at=at,
        card_number=card_number,
        merged_card_number=merged_card_number,
    )


def unmerge(merged: Entry, reference: str, *, at: datetime = START) -> Unmerge:
    """The undoing of a merge, by its own partner."""
    return Unmerge(
        partner_id=merged.partner_id, reference=reference, occurred_at=at, entry_id=merged.entry_id
    )


def adjust(
    card_number: int, points: int, reference: str, *, issuer_id: int = GROCER, at: datetime = START
) -> Adjust:
    """An adjustment by the operator, which an issuer funds."""
    return Adjust(
        partner_id=OPERATOR_ID,
        reference=reference,
        occurred_at=at,
        card_number=card_number,
        issuer_id=issuer_id,
        points=points,
    )


def set_tier(card_number: int, tier: str, reference: str, *, at: datetime = START) -> SetTier:
    """A tier, set by the operator."""
    return SetTier(
        partner_id=OPERATOR_ID, reference=reference, occurred_at=at, card_number=card_number, tier=tier
    )


def turn(card_number: int, points: int, reference: str, *, at: datetime = START) -> IssueVoucher:
    """Points turned into a voucher of the programme WHOLE."""
    return IssueVoucher(
        partner_id=GROCER,
        reference=reference,
        occurred_at=at,
        card_number=card_number,
        voucher="paper",
        points=points,
    )


def by_paper(
    voucher: Entry, reference: str, *, partner_id: int = PETROL, basket: int = 20_00, at: datetime = START
) -> UseVoucher:
    """A basket that a voucher pays for part of, its code opened."""
    return UseVoucher(
        partner_id=partner_id,
        reference=reference,
        occurred_at=at,
        outlet_code=OUTLET,
        code="opened",
        amount_minor=basket,
        currency="USD",
        voucher_id=voucher.entry_id,
    )


def off_paper(voucher: Entry, reference: str, *, at: datetime = START) -> ReturnVoucher:
    """A voucher that is given back, its code opened."""
    return ReturnVoucher(
        partner_id=GROCER,
        reference=reference,
        occurred_at=at,
        code="opened",
        voucher_id=voucher.entry_id,
    )
