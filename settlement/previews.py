"""A preview of a contract as the network is: the other's terms, dated rates, fixings."""

from sqlalchemy import Connection

from partners.errors import PartnerUnknown
from partners.model import Terms
from partners.rates import latest_fixing
from partners.rates_store import load_categories, load_fixings, load_fx_sources, load_vat_rates
from partners.store import load_directory
from partners.terms import terms_on
from settlement.errors import TermsMissing
from settlement.preview import EXAMPLE_POINTS, Around, Side, preview


def preview_of(
    connection: Connection, terms: Terms, *, other: str | None, points: int = EXAMPLE_POINTS
) -> str:
    """What a version says and does, beside another partner's terms of its first day, as text.

    Args:
        connection: Where the network is.
        terms: The version: in force, drafted, or only read from a file.
        other: The other partner's code; None for no example with another.
        points: Of the example.
    Raises:
        PartnerUnknown: nobody has that code.
        TermsMissing: the other has no contract.
    """
    directory = load_directory(connection)
    on = terms.effective_on
    ours = Side(code=directory.participants[terms.partner_id].code, terms=terms)
    theirs = None
    fixing = None
    if other is not None:
        other_id = directory.by_code.get(other)
        if other_id is None:
            raise PartnerUnknown(f"no partner has the code {other!r}")
        versions = directory.terms.get(other_id, ())
        if not versions:
            raise TermsMissing(f"{other} has no contract yet: preview with another partner, or with none")
        theirs = Side(code=other, terms=terms_on(versions, on) or versions[0])
        if theirs.terms.currency != terms.currency:
            pair = (theirs.terms.currency, terms.currency)
            source = terms.fx_source or next(iter(load_fx_sources(connection)), "")
            rates = load_fixings(connection, through=on, currencies=pair).get(source, [])
            fixing = latest_fixing(rates, *pair, on)
    around = Around(
        on=on,
        vat=load_vat_rates(connection),
        categories=load_categories(connection),
        fixing=fixing,
        points=points,
    )
    return preview(ours, theirs, around)
