"""Requests about codes on paper: vouchers made, used and given back, and codes on packs."""

from typing import Annotated

from msgspec import Meta

from api.bodies.fields import (
    Amount,
    ApprovalId,
    CardNumber,
    Currency,
    Guardian,
    Outlet,
    Pin,
    Points,
    Request,
    RotatingCode,
    Word,
    approval_of,
    card_of,
    guardian_of,
    utc,
)
from api.problems import FieldError, ProblemError
from network.basket import Details
from network.codes import plain
from network.commands import Accrue, Command, IssueVoucher, ReturnVoucher, UseVoucher

PaperCode = Annotated[
    str,
    Meta(
        pattern="^[0-9A-Za-z -]{16,60}(?!\\n)$",
        description="As it is printed or was typed; case, spaces and hyphens do not matter, and O is 0, I and"
        " L are 1.",
    ),
]


def symbols_of(code: str) -> str:
    """A code without what does not matter.

    Raises:
        ProblemError: code_mistyped.
    """
    symbols = plain(code)
    if symbols is None:
        raise ProblemError("code_mistyped", errors=[FieldError("/code", "check")])
    return symbols


class VoucherBody(Request, frozen=True, tag_field="type", tag="voucher"):
    """Turn points of a member into a voucher of the programme, in its whole steps."""

    card: CardNumber
    voucher: Annotated[Word, Meta(description="Which voucher of the programme.")]
    points: Points
    code: RotatingCode | None = None
    pin: Pin | None = None
    approval: ApprovalId | None = None
    guardian: Guardian | None = None

    def command(self, partner_id: int) -> Command:
        """The command it asks for."""
        return IssueVoucher(
            partner_id=partner_id,
            reference=self.reference,
            occurred_at=utc(self.occurred_at),
            card_number=card_of(self.card),
            voucher=self.voucher,
            points=self.points,
            code=self.code or "",
            pin=self.pin or "",
            approval=approval_of(self.approval),
            guardian_card=guardian_of(self.guardian),
        )


class VoucherUseBody(Request, frozen=True, tag_field="type", tag="voucher_use"):
    """A voucher pays for part of a basket; the answer's `amount_minor` is what it is worth."""

    outlet: Outlet
    code: PaperCode
    amount_minor: Annotated[Amount, Meta(description="The basket, in minor units.")]
    currency: Currency

    def command(self, partner_id: int) -> Command:
        """The command it asks for."""
        return UseVoucher(
            partner_id=partner_id,
            reference=self.reference,
            occurred_at=utc(self.occurred_at),
            outlet_code=self.outlet,
            code=symbols_of(self.code),
            amount_minor=self.amount_minor,
            currency=self.currency,
        )


class VoucherReturnBody(Request, frozen=True, tag_field="type", tag="voucher_return"):
    """Give a voucher back unused: its points are its member's again."""

    code: PaperCode

    def command(self, partner_id: int) -> Command:
        """The command it asks for."""
        return ReturnVoucher(
            partner_id=partner_id,
            reference=self.reference,
            occurred_at=utc(self.occurred_at),
            code=symbols_of(self.code),
        )


class SerialCodeBody(Request, frozen=True, tag_field="type", tag="serial_code"):
    """Register the code on a pack for a member; by which channel (web, message, voice), rules may ask."""

    outlet: Outlet
    card: CardNumber
    currency: Currency
    code: PaperCode
    channel: Word | None = None

    def command(self, partner_id: int) -> Command:
        """The command it asks for."""
        return Accrue(
            partner_id=partner_id,
            reference=self.reference,
            occurred_at=utc(self.occurred_at),
            outlet_code=self.outlet,
            card_number=card_of(self.card),
            amount_minor=0,
            currency=self.currency,
            details=Details(channel=self.channel or ""),
            code=symbols_of(self.code),
        )
