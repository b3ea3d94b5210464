"""Fees and VAT of the network operator (pure).

Both are rounded half-up on the month to date, less what was charged before: a fee of a fifth of a cent a
night would else never be charged. VAT is on the fee as charged, so that the month's VAT is what the invoice's
rate makes of the invoice's fee.
"""

from collections.abc import Iterable
from decimal import Decimal

from partners.model import Terms
from settlement.model import Charge, FeeBasis
from settlement.money import ZERO, exactly, from_minor, half_up_minor

_ONE_BPS = Decimal("0.0001")


@exactly
def unrounded_fee(basis: FeeBasis, terms: Terms) -> Decimal:
    """Fee on one contract version's basis; below zero where more was reversed than issued and credited."""
    return (
        basis.issued_points * terms.fee_per_issued_point
        + basis.transactions * terms.fee_per_transaction
        + basis.credits * terms.fee_bps_of_credits * _ONE_BPS
    )


@exactly
def charge(fee_bases: Iterable[Decimal], vat_bps: int, before: Charge, digits: int) -> Charge:
    """What a participant is charged for one window.

    Args:
        fee_bases: The window's unrounded fees, of each contract version.
        vat_bps: VAT rate on the business date, basis points.
        before: Sums of what was charged in this month's earlier windows.
        digits: Decimal digits of the currency's minor unit.
    """
    fee_base = sum(fee_bases, ZERO)
    fee_minor = half_up_minor(before.fee_base + fee_base, digits) - before.fee_minor
    vat_base = from_minor(fee_minor, digits) * vat_bps * _ONE_BPS
    vat_minor = half_up_minor(before.vat_base + vat_base, digits) - before.vat_minor
    return Charge(fee_base=fee_base, vat_base=vat_base, fee_minor=fee_minor, vat_minor=vat_minor)
