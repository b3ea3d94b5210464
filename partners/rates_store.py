"""Rows of rates that contracts stand on: VAT by code and day, exchange rates, categories of redemption.

Every function takes a connection and never commits: the caller owns the transaction.
"""

from collections.abc import Sequence
from datetime import date

from sqlalchemy import Connection, func, select

from partners.model import Category, FxRate, VatRate
from partners.tables import fx_rate, redemption_category, vat_rate


def load_vat_rates(connection: Connection) -> dict[str, list[VatRate]]:
    """Every rate of every VAT code, by code, in order of days."""
    found: dict[str, list[VatRate]] = {}
    columns = (vat_rate.c.vat_code, vat_rate.c.effective_on, vat_rate.c.rate_bps)
    for row in connection.execute(select(*columns).order_by(*columns[:2])):
        found.setdefault(row.vat_code, []).append(VatRate(**row._asdict()))
    return found


def load_fx_sources(connection: Connection) -> list[str]:
    """The sources that have fixings, by name: the first is the network's."""
    return list(connection.execute(select(fx_rate.c.source).distinct().order_by(fx_rate.c.source)).scalars())


def load_fixings(
    connection: Connection, *, through: date, currencies: Sequence[str] = (), since: date = date.min
) -> dict[str, list[FxRate]]:
    """Fixings by source, every revision, in order of days; of some currencies, or of all."""
    columns = tuple(fx_rate.c[name] for name in FxRate.__struct_fields__)
    query = select(*columns).where(fx_rate.c.fixed_on.between(since, through)).order_by(*columns[:5])
    if currencies:
        query = query.where(fx_rate.c.base.in_(currencies) | fx_rate.c.quote.in_(currencies))
    found: dict[str, list[FxRate]] = {}
    for row in connection.execute(query):
        found.setdefault(row.source, []).append(FxRate(**row._asdict()))
    return found


def load_categories(connection: Connection) -> list[Category]:
    """The network's categories of redemption, by number."""
    rows = connection.execute(select(redemption_category).order_by(redemption_category.c.category))
    return [Category(**row._asdict()) for row in rows]


def add_vat_rate(connection: Connection, rate: VatRate, *, prepared_by: str, activated_by: str) -> None:
    """Add the rate of a VAT code from a day on.

    Raises:
        sqlalchemy.exc.IntegrityError: two people are one, the code has a rate of that day, or it is no rate.
    """
    people = {"prepared_by": prepared_by, "activated_by": activated_by}
    connection.execute(vat_rate.insert(), {**_fields(rate), **people})


def add_fixings(
    connection: Connection, rates: Sequence[FxRate], *, prepared_by: str, activated_by: str
) -> None:
    """Add fixings.

    Raises:
        sqlalchemy.exc.IntegrityError: two people are one, a fixing is there, or it is none.
    """
    people = {"prepared_by": prepared_by, "activated_by": activated_by}
    if rates:
        connection.execute(fx_rate.insert(), [{**_fields(rate), **people} for rate in rates])


def add_category(connection: Connection, category: Category) -> None:
    """Add a category of redemption.

    Raises:
        sqlalchemy.exc.IntegrityError: its number or its code is taken.
    """
    connection.execute(redemption_category.insert(), _fields(category))


def next_category(connection: Connection) -> int:
    """The number of the next category."""
    highest = connection.execute(select(func.max(redemption_category.c.category))).scalar_one()
    return (highest or 0) + 1


def _fields(value: Category | FxRate | VatRate) -> dict[str, object]:
    return {name: getattr(value, name) for name in value.__struct_fields__}
