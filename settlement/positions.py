"""The positions of a night: debts, fees, what was carried, and the rounding (pure)."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from decimal import Decimal

from partners.model import OPERATOR_ID, Terms
from settlement.clearing import TermsByVersion, version_on, versions_by_partner
from settlement.errors import PositionsNotZero, TermsMissing
from settlement.fees import charge, unrounded_fee
from settlement.model import Before, Charge, FeeBasis, Obligation, Position, Rounded
from settlement.money import ZERO, exactly, from_minor
from settlement.netting import round_positions

_NOTHING = Charge()


def terms_in_force(terms: TermsByVersion, on: date) -> dict[int, Terms]:
    """Each partner's terms on a business date; before its first version, that one."""
    return {partner_id: version_on(known, on) for partner_id, known in versions_by_partner(terms).items()}


@exactly
def charges(
    bases: Mapping[tuple[int, int], FeeBasis],
    terms: TermsByVersion,
    in_force: Mapping[int, Terms],
    before: Mapping[int, Before],
    digits: int,
) -> dict[int, Charge]:
    """Fee and VAT by participant, of everybody who has terms.

    Args:
        bases: What each (partner_id, terms_version) is charged on.
        terms: Contract terms by the same key.
        in_force: Terms by partner_id on the business date; their VAT rate applies.
        before: What earlier nights left.
        digits: Decimal digits of the currency's minor unit.
    Raises:
        TermsMissing: a basis is of a version that does not exist.
    """
    fees: dict[int, list[Decimal]] = {partner_id: [] for partner_id in in_force}
    for key, basis in bases.items():
        if key not in terms or key[0] not in fees:
            raise TermsMissing(f"partner {key[0]} is to be charged by terms {key[1]}, and there are none")
        fees[key[0]].append(unrounded_fee(basis, terms[key]))
    return {
        partner_id: charge(
            fees[partner_id], now.vat_bps, before.get(partner_id, Before()).month_to_date, digits
        )
        for partner_id, now in sorted(in_force.items())
    }


@exactly
def net_positions(
    participants: Iterable[int],
    obligations: Sequence[Obligation],
    charged: Mapping[int, Charge],
    before: Mapping[int, Before],
    *,
    currency: str,
    digits: int,
) -> tuple[Position, ...]:
    """Every participant's position, sorted by participant; also of those who had nothing that night.

    Raises:
        PositionsNotZero: what was carried in does not sum to zero.
    """
    carried = {party: left.carried_out for party, left in before.items() if left.carried_out}
    parties = {OPERATOR_ID, *participants, *charged, *carried}
    parties |= {party for debt in obligations for party in (debt.debtor_id, debt.creditor_id)}
    owed, owes = dict.fromkeys(parties, ZERO), dict.fromkeys(parties, ZERO)
    for debt in obligations:
        if debt.debtor_id != debt.creditor_id:
            owed[debt.creditor_id] += debt.amount
            owes[debt.debtor_id] += debt.amount
    bears = {**charged, OPERATOR_ID: _received(charged.values())}
    tonight = {
        party: owed[party] - owes[party] - _major(bears.get(party, _NOTHING), digits) for party in parties
    }
    rounded = round_positions(tonight, digits, carried)
    return tuple(
        _position(
            party,
            currency,
            (owed[party], owes[party]),
            bears.get(party, _NOTHING),
            carried_in=carried.get(party, ZERO),
            tonight=tonight[party],
            rounded=rounded[party],
        )
        for party in sorted(parties)
    )


@exactly
def require_balance(window_id: int, positions: Sequence[Position]) -> None:
    """Money neither appears nor vanishes: the last check before a night is written.

    Raises:
        PositionsNotZero: final or exact positions do not sum to zero.
    """
    finals = sum(position.final_minor for position in positions)
    exact = sum((position.exact for position in positions), ZERO)
    if finals != 0 or exact != 0:
        raise PositionsNotZero(
            f"window {window_id}: final positions sum to {finals} minor units and exact ones to {exact}; "
            "both must be 0, and nothing was written"
        )


def _received(charged: Iterable[Charge]) -> Charge:
    """The operator's side of everybody's fees and VAT."""
    everybody = tuple(charged)
    return Charge(
        fee_minor=-sum(charge.fee_minor for charge in everybody),
        vat_minor=-sum(charge.vat_minor for charge in everybody),
    )


def _major(charge: Charge, digits: int) -> Decimal:
    return from_minor(charge.fee_minor + charge.vat_minor, digits)


def _position(
    party: int,
    currency: str,
    owed_and_owes: tuple[Decimal, Decimal],
    bears: Charge,
    *,
    carried_in: Decimal,
    tonight: Decimal,
    rounded: Rounded,
) -> Position:
    return Position(
        participant_id=party,
        currency=currency,
        credits=owed_and_owes[0],
        debits=owed_and_owes[1],
        fee_minor=bears.fee_minor,
        vat_minor=bears.vat_minor,
        fee_base=bears.fee_base,
        vat_base=bears.vat_base,
        carried_in=carried_in,
        exact=tonight + carried_in,
        final_minor=rounded.final_minor,
        carried_out=rounded.carried_out,
    )
