"""The positions of a night: debts, fees, what was carried, currencies, and the rounding (pure)."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date, timedelta
from decimal import Decimal

import msgspec

from partners.model import FX_ID, OPERATOR_ID, POOL_ID, SAFEGUARD_ID, Terms
from partners.rates import Fixing, VatRates
from settlement.clearing import TermsByVersion, fee_vat_bps, version_on, versions_by_partner
from settlement.errors import PositionsNotZero, RateMissing, TermsMissing
from settlement.fees import charge, topped_up, unrounded_fee
from settlement.model import Before, Charge, FeeBasis, Obligation, Position, Rounded
from settlement.money import ZERO, exactly, from_minor, half_even, minor_digits
from settlement.money_model import FxConversion
from settlement.netting import round_positions

Holder = tuple[int, str]
"""A participant and a currency: a position is of both."""
FixingOf = Callable[[int, str, str], Fixing]
"""The fixing at which a participant's amount of one currency becomes another; raises where there is none."""
CONVERTED_DECIMALS = 12
"""Of a converted amount, in major units."""

_NOTHING = Charge()
_EVERY_CURRENCY = (POOL_ID, FX_ID, SAFEGUARD_ID)
"""Who settles in each currency that it has something in."""


class Settling(msgspec.Struct, frozen=True):
    """How a participant settles: in which currency, and what is too little to be paid."""

    currency: str
    minimum_payment_minor: int = 0


class Netted(msgspec.Struct, frozen=True):
    """A night's positions, by participant and currency, and what was converted for them."""

    positions: tuple[Position, ...]
    conversions: tuple[FxConversion, ...] = ()


class _Amounts(msgspec.Struct):
    """What moves for one participant in one currency; filled in while a night is netted."""

    credits: Decimal = ZERO
    debits: Decimal = ZERO
    charge: Charge = _NOTHING
    carried_in: Decimal = ZERO
    converted: Decimal = ZERO
    deferred_in_minor: int = 0

    def tonight(self, digits: int) -> Decimal:
        """All but what was carried in."""
        charged = from_minor(self.charge.fee_minor + self.charge.vat_minor, digits)
        return self.credits - self.debits + self.converted - charged


def terms_in_force(terms: TermsByVersion, on: date) -> dict[int, Terms]:
    """Each partner's terms on a business date; before its first version, that one."""
    return {partner_id: version_on(known, on) for partner_id, known in versions_by_partner(terms).items()}


def settling(in_force: Mapping[int, Terms], on: date, last_days: Mapping[int, date]) -> dict[int, Settling]:
    """How partners settle on a date. Who has had its last day is paid every amount.

    Args:
        in_force: Terms by partner_id on the business date.
        on: The business date.
        last_days: On which partners that leave accept for the last time.
    """
    return {
        partner_id: Settling(
            now.currency, 0 if on > last_days.get(partner_id, date.max) else now.minimum_payment_minor
        )
        for partner_id, now in in_force.items()
    }


@exactly
def charges(
    bases: Mapping[tuple[int, int], FeeBasis],
    terms: TermsByVersion,
    in_force: Mapping[int, Terms],
    before: Mapping[Holder, Before],
    on: date,
    *,
    vat: VatRates | None = None,
    last_days: Mapping[int, date] | None = None,
) -> dict[Holder, Charge]:
    """Fee and VAT by participant and currency, of everybody who has terms.

    In the last window of a month fees are topped up to the minimum of the version in force, in its currency,
    of whoever has a contract and has not had its last day. Fees in another currency do not count for it.

    Args:
        bases: What each (partner_id, terms_version) is charged on.
        terms: Contract terms by the same key.
        in_force: Terms by partner_id on the business date; their VAT rate applies.
        before: What earlier nights left.
        on: The business date.
        vat: Rates of VAT codes.
        last_days: On which partners that leave accept for the last time.
    Raises:
        TermsMissing: a basis is of a version that does not exist.
        RateMissing: a VAT code of fees has no rate on the date.
    """
    fees: dict[Holder, list[Decimal]] = {(party, now.currency): [] for party, now in in_force.items()}
    for key, basis in bases.items():
        if key not in terms or key[0] not in in_force:
            raise TermsMissing(f"partner {key[0]} is to be charged by terms {key[1]}, and there are none")
        holder = (key[0], terms[key].currency)
        fees.setdefault(holder, []).append(unrounded_fee(basis, terms[key]))
    charged: dict[Holder, Charge] = {}
    for (party, currency), of in sorted(fees.items()):
        now = in_force[party]
        so_far = before.get((party, currency), Before()).month_to_date
        bound = now.effective_on <= on <= (last_days or {}).get(party, date.max)
        if currency == now.currency and bound and _ends_month(on):
            fees[party, currency] = topped_up(of, now.monthly_minimum, so_far)
        vat_rate = fee_vat_bps(now, on, vat or {})
        charged[party, currency] = charge(fees[party, currency], vat_rate, so_far, minor_digits(currency))
    return charged


@exactly
def net_positions(
    participants: Iterable[int],
    obligations: Sequence[Obligation],
    charged: Mapping[Holder, Charge],
    before: Mapping[Holder, Before],
    *,
    currency: str,
    settles: Mapping[int, Settling] | None = None,
    fixing_of: FixingOf | None = None,
) -> Netted:
    """Every participant's positions, sorted; also of those who had nothing that night.

    What is not in the currency that a participant settles in is converted, with its fees and what it carried;
    the FX account takes the other side. Pool, FX and safeguarding account settle in every currency.

    Args:
        currency: The network's; whoever is not in `settles` settles in it.
        settles: How partners settle.
        fixing_of: Fixings; only asked where there is something to convert.
    Raises:
        PositionsNotZero: what was carried in does not sum to zero.
        RateMissing: there is no fixing for what is to be converted.
    """
    how = settles or {}
    home = {party: how[party].currency if party in how else currency for party in participants}
    held = _held(home, obligations, charged, before, currency)
    conversions: list[FxConversion] = []
    for party, of in sorted(held):
        to = how[party].currency if party in how else currency
        if party in _EVERY_CURRENCY or of == to:
            continue
        amount = held[party, of].tonight(minor_digits(of)) + held[party, of].carried_in
        if amount != 0:
            conversions.append(_convert(held, party, (of, to), amount, fixing_of))
    positions: list[Position] = []
    for of in sorted({of for _, of in held}):
        positions.extend(_rounded({party: one for (party, in_), one in held.items() if in_ == of}, of, how))
    positions.sort(key=lambda one: (one.participant_id, one.currency))
    return Netted(tuple(positions), tuple(conversions))


@exactly
def require_balance(window_id: int, positions: Sequence[Position]) -> None:
    """Money neither appears nor vanishes: the last check before a night is written.

    Raises:
        PositionsNotZero: final or exact positions of a currency do not sum to zero.
    """
    for currency in sorted({position.currency for position in positions}):
        of = [position for position in positions if position.currency == currency]
        finals = sum(position.final_minor for position in of)
        exact = sum((position.exact for position in of), ZERO)
        if finals != 0 or exact != 0:
            raise PositionsNotZero(
                f"window {window_id}: final positions sum to {finals} minor units of {currency} and exact "
                f"ones to {exact}; both must be 0, and nothing was written"
            )


def _held(
    home: Mapping[int, str],
    obligations: Sequence[Obligation],
    charged: Mapping[Holder, Charge],
    before: Mapping[Holder, Before],
    currency: str,
) -> dict[Holder, _Amounts]:
    """What each participant has in each currency, before any is converted."""
    held: dict[Holder, _Amounts] = {
        holder: _Amounts() for holder in [(OPERATOR_ID, currency), *home.items()] if holder[0] != FX_ID
    }
    for holder, left in before.items():
        if left.carried_out or left.deferred_out_minor:
            one = held.setdefault(holder, _Amounts())
            one.carried_in, one.deferred_in_minor = left.carried_out, left.deferred_out_minor
    for debt in obligations:
        of = debt.currency or currency
        creditor = held.setdefault((debt.creditor_id, of), _Amounts())
        debtor = held.setdefault((debt.debtor_id, of), _Amounts())
        if debt.debtor_id != debt.creditor_id:
            creditor.credits += debt.amount
            debtor.debits += debt.amount
    for holder, one_charge in charged.items():
        held.setdefault(holder, _Amounts()).charge = one_charge
    for of in {of for _, of in charged}:
        received = _received(one for (_, in_), one in charged.items() if in_ == of)
        if received != _NOTHING:
            held.setdefault((OPERATOR_ID, of), _Amounts()).charge = received
    return held


def _convert(
    held: dict[Holder, _Amounts],
    party: int,
    pair: tuple[str, str],
    amount: Decimal,
    fixing_of: FixingOf | None,
) -> FxConversion:
    """Take what a participant has in one currency into another, and give the FX account the other side."""
    of, to = pair
    if fixing_of is None:
        raise RateMissing(f"participant {party} has {amount} {of} and settles in {to}: no fixings are given")
    fixing = fixing_of(party, of, to)
    converted = half_even(amount * fixing.rate, CONVERTED_DECIMALS)
    held[party, of].converted -= amount
    held.setdefault((party, to), _Amounts()).converted += converted
    held.setdefault((FX_ID, of), _Amounts()).converted += amount
    held.setdefault((FX_ID, to), _Amounts()).converted -= converted
    return FxConversion(
        participant_id=party,
        from_currency=of,
        to_currency=to,
        from_amount=amount,
        to_amount=converted,
        rate=fixing.rate,
        source=fixing.source,
        fixed_on=fixing.fixed_on,
    )


def _rounded(held: Mapping[int, _Amounts], currency: str, how: Mapping[int, Settling]) -> Iterable[Position]:
    """The positions of one currency, in minor units; what is too little to be paid is deferred."""
    digits = minor_digits(currency)
    tonight = {party: one.tonight(digits) for party, one in held.items()}
    carried = {party: one.carried_in for party, one in held.items() if one.carried_in}
    for party, rounded in round_positions(tonight, digits, carried).items():
        one = held[party]
        yield Position(
            participant_id=party,
            currency=currency,
            credits=one.credits,
            debits=one.debits,
            fee_minor=one.charge.fee_minor,
            vat_minor=one.charge.vat_minor,
            fee_base=one.charge.fee_base,
            vat_base=one.charge.vat_base,
            carried_in=one.carried_in,
            exact=tonight[party] + one.carried_in,
            final_minor=rounded.final_minor,
            carried_out=rounded.carried_out,
            converted=one.converted,
            deferred_in_minor=one.deferred_in_minor,
            deferred_out_minor=_deferred(one, rounded, how.get(party), currency),
        )


def _deferred(one: _Amounts, rounded: Rounded, how: Settling | None, currency: str) -> int:
    """What is carried on instead of being paid: all of it, where it is less than the minimum payment."""
    due = one.deferred_in_minor + rounded.final_minor
    small = how is not None and how.currency == currency and abs(due) < how.minimum_payment_minor
    return due if small else 0


def _received(charged: Iterable[Charge]) -> Charge:
    """The operator's side of everybody's fees and VAT."""
    everybody = tuple(charged)
    return Charge(
        fee_minor=-sum(charge.fee_minor for charge in everybody),
        vat_minor=-sum(charge.vat_minor for charge in everybody),
    )


def _ends_month(on: date) -> bool:
    return (on + timedelta(days=1)).month != on.month
