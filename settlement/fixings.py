"""At which fixing a night converts a partner's money, and whether one that was used is there."""

from collections.abc import Mapping
from datetime import date

from sqlalchemy import Connection

from partners.model import OPERATOR_ID, Terms
from partners.rates import Fixing, latest_fixing, rates_between
from partners.rates_store import load_fixings, load_fx_sources
from settlement.errors import RateMissing
from settlement.money_model import FxConversion
from settlement.positions import FixingOf


def of_night(connection: Connection, on: date, in_force: Mapping[int, Terms]) -> FixingOf:
    """The last fixings on or before a date, of the source that each partner's contract names.

    They are read when something is to be converted: most nights have one currency.
    """
    known: dict[tuple[str, str, str], Fixing | None] = {}

    def fixing_of(party: int, base: str, quote: str) -> Fixing:
        source = _source(connection, in_force.get(party))
        key = (source, base, quote)
        if key not in known:
            rates = load_fixings(connection, through=on, currencies=[base, quote]).get(source, [])
            known[key] = latest_fixing(rates, base, quote, on)
        found = known[key]
        if found is None:
            raise RateMissing(
                f"{source or 'no source'} has no fixing of {base} in {quote} on or before {on}, and "
                f"participant {party} has money to be converted: add one, and net the night again"
            )
        return found

    return fixing_of


def as_stored(conversions: Mapping[tuple[int, str], FxConversion]) -> FixingOf:
    """The fixings that a night's conversions name, to work the night out again."""

    def fixing_of(party: int, base: str, quote: str) -> Fixing:
        found = conversions.get((party, base))
        if found is None or found.to_currency != quote:
            raise RateMissing(
                f"the {base} of participant {party} are to become {quote}, and were not converted"
            )
        return Fixing(found.rate, found.source, found.fixed_on)

    return fixing_of


def is_known(connection: Connection, one: FxConversion) -> bool:
    """Whether the rate of a conversion is one that its source fixed on its day, in any revision."""
    currencies = [one.from_currency, one.to_currency]
    rates = load_fixings(connection, since=one.fixed_on, through=one.fixed_on, currencies=currencies)
    return one.rate in rates_between(rates.get(one.source, []), one.from_currency, one.to_currency)


def _source(connection: Connection, terms: Terms | None) -> str:
    """The source of a contract; where it names none, and for the operator, the first by name."""
    if terms is not None and terms.partner_id != OPERATOR_ID and terms.fx_source:
        return terms.fx_source
    return next(iter(load_fx_sources(connection)), "")
