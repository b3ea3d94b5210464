"""Fees of the network operator, and VAT on them and on other flows (pure).

All are rounded half-up on the month to date, less what was charged before: a fee of a fifth of a cent a
night would else never be charged. VAT on a fee is on the fee as charged, so that the month's VAT is what the
invoice's rate makes of the invoice's fee.
"""

from collections.abc import Iterable, Mapping
from decimal import Decimal

import msgspec

from partners.model import Terms
from settlement.model import Charge, FeeBasis, Obligation
from settlement.money import ONE_BPS, ZERO, exactly, from_minor, half_up_minor, minor_digits


@exactly
def unrounded_fee(basis: FeeBasis, terms: Terms) -> Decimal:
    """Fee on one contract version's basis; below zero where more was reversed than issued and credited."""
    return (
        basis.issued_points * terms.fee_per_issued_point
        + basis.transactions * terms.fee_per_transaction
        + basis.credits * terms.fee_bps_of_credits * ONE_BPS
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
    vat_base = from_minor(fee_minor, digits) * vat_bps * ONE_BPS
    vat_minor = half_up_minor(before.vat_base + vat_base, digits) - before.vat_minor
    return Charge(fee_base=fee_base, vat_base=vat_base, fee_minor=fee_minor, vat_minor=vat_minor)


@exactly
def topped_up(fee_bases: Iterable[Decimal], minimum: Decimal, before: Charge) -> list[Decimal]:
    """The unrounded fees of a month's last window, with what the month's fall short of its minimum."""
    fees = list(fee_bases)
    short = minimum - before.fee_base - sum(fees, ZERO)
    return [*fees, short] if short > 0 else fees


VatPair = tuple[int, int, str]
"""Debtor, creditor and currency of VAT on flows between them."""


class VatToDate(msgspec.Struct, frozen=True):
    """VAT on flows of a month so far: unrounded, and as charged, both in major units."""

    base: Decimal = ZERO
    amount: Decimal = ZERO


@exactly
def vat_rounded(debts: Iterable[Obligation], before: Mapping[VatPair, VatToDate]) -> tuple[Obligation, ...]:
    """Debts with the exact VAT among them charged in minor units, on the month to date.

    Args:
        debts: Of one window; the amounts of VAT are exact.
        before: What was charged in this month's earlier windows.
    """
    return tuple(_vat_charged(debt, before) if debt.flow == "vat" else debt for debt in debts)


def _vat_charged(debt: Obligation, before: Mapping[VatPair, VatToDate]) -> Obligation:
    so_far = before.get((debt.debtor_id, debt.creditor_id, debt.currency), VatToDate())
    digits = minor_digits(debt.currency)
    charged = from_minor(half_up_minor(so_far.base + debt.amount, digits), digits)
    return msgspec.structs.replace(debt, amount=charged - so_far.amount, vat_base=debt.amount)
