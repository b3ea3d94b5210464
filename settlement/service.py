"""The night: closed → priced → netted. Each step is one transaction that commits its output with its hash.

The database decides, whoever nudges: a run is resumed at the first step that is not done, two workers make
one result, and doing it again changes nothing.
"""

from collections.abc import Callable
from datetime import date, datetime, timedelta

from sqlalchemy import Engine

from network.service import (
    close_window,
    closes_at,
    lapse_expired,
    live_programme_version,
    read_network,
    window_id_of,
)
from settlement import store
from settlement.clearing import fee_bases, obligations, price, require_currency
from settlement.errors import NightOutOfOrder
from settlement.model import NightResult, Output
from settlement.money import minor_digits
from settlement.positions import charges, net_positions, require_balance, terms_in_force


def clear(
    database: Engine, business_date: date, *, at: datetime, programme_version: int | None = None
) -> NightResult:
    """Settle a business date: close its window, price it, net it. Safe to do again, anywhere, any time.

    Args:
        database: Where ledger and settlement are.
        business_date: The open date, once it is over; or one that is closed already.
        at: The network's time (network.service.network_now).
        programme_version: The programme under which expired points lapse; by default the live one.
    Returns:
        The night as it stands in the database: the same value every time.
    Raises:
        NightOutOfOrder: an earlier date is closed and not settled.
        network.errors.WindowOrder: the date is not over, or an earlier one is open.
        PositionsNotZero, TermsMissing, FlowUnknown, CurrencyMixed: the step was rolled back.
    """
    window_id = window_id_of(business_date)
    with database.connect() as connection:
        if store.is_settled(connection, business_date):
            return store.read_night(connection, window_id)
        unsettled = store.first_unsettled(connection)
    if unsettled is not None and unsettled.closed_at is not None and unsettled.business_date < business_date:
        raise NightOutOfOrder(
            f"{unsettled.business_date} is closed and not settled: clear it before {business_date}"
        )
    close_step(database, business_date, at=at)
    price_step(database, business_date, at=at, programme_version=programme_version)
    net_step(database, business_date, at=at)
    with database.connect() as connection:
        return store.read_night(connection, window_id)


def clear_due(
    database: Engine,
    now: datetime,
    *,
    programme_version: int | None = None,
    stop: Callable[[], bool] = lambda: False,
) -> list[NightResult]:
    """Settle every business date that is over, in order; finish what was begun first.

    After missed nights the open window belongs to the first date; the dates after it are empty.

    Args:
        now: The network's time.
        stop: Asked between nights; true ends the work early, and the next call goes on from there.
    """
    nights: list[NightResult] = []
    while not stop():
        with database.connect() as connection:
            unsettled = store.first_unsettled(connection)
            if unsettled is None:
                break
            if closes_at(read_network(connection), unsettled.business_date) > now:
                break
        nights.append(clear(database, unsettled.business_date, at=now, programme_version=programme_version))
    return nights


def close_step(database: Engine, business_date: date, *, at: datetime) -> None:
    """Close the window exactly, open the next date's, and begin the run."""
    with database.begin() as connection:
        window_id = close_window(connection, business_date, at)
        store.begin_run(connection, window_id, at)


def price_step(
    database: Engine, business_date: date, *, at: datetime, programme_version: int | None = None
) -> None:
    """Sum the window's postings and make them obligations; before that, sweep what lapses on the new date.

    The sweep commits by itself, in portions, into the window that is open now. It runs under this run's lock,
    so that no second worker can settle this date and close the next one while it is under way.
    """
    window_id = window_id_of(business_date)
    with database.begin() as connection:
        if store.lock_run(connection, window_id) != "closed":
            return
        version = live_programme_version(connection) if programme_version is None else programme_version
        lapse_expired(database, business_date + timedelta(days=1), version)
        totals = store.sum_postings(connection, window_id)
        activity = store.count_entries(connection, window_id)
        terms = store.load_terms(connection)
        currency = read_network(connection).currency
        require_currency(terms.values(), currency)
        debts = obligations(price(totals, terms))
        store.save_obligations(connection, window_id, debts)
        output = Output(currency=currency, totals=totals, activity=activity, obligations=debts)
        store.finish_step(connection, window_id, "priced", output, at)


def net_step(database: Engine, business_date: date, *, at: datetime) -> None:
    """Net the obligations with fees, VAT and what the last night carried, and round them to minor units."""
    window_id = window_id_of(business_date)
    with database.begin() as connection:
        state = store.lock_run(connection, window_id)
        if state == "netted":
            return
        if state != "priced":
            raise NightOutOfOrder(f"window {window_id} is not priced: price it before it is netted")
        currency = read_network(connection).currency
        digits = minor_digits(currency)
        priced = store.load_outputs(connection, [window_id])[window_id]
        terms = store.load_terms(connection)
        before = store.load_before(connection, business_date)
        in_force = terms_in_force(terms, business_date)
        transactions = store.load_transactions(connection, [window_id])[window_id]
        bases = fee_bases(priced.totals, price(priced.totals, terms), transactions, terms)
        positions = net_positions(
            store.load_participants(connection),
            priced.obligations,
            charges(bases, terms, in_force, before, digits),
            before,
            currency=currency,
            digits=digits,
        )
        require_balance(window_id, positions)
        store.save_positions(connection, window_id, positions)
        store.finish_step(connection, window_id, "netted", Output(positions=positions), at)
