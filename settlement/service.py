"""The night as far as nobody is asked: closed → priced → netted. What follows is in `settlement.runs`.

Each step is one transaction that commits its output with its hash. The database decides, whoever nudges: a
run is resumed at the first step not done, two workers make one result, doing it again changes nothing.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from datetime import date, datetime, timedelta

from sqlalchemy import Connection, Engine

from network.conversion import convert_due, lapse_vouchers
from network.morning import begin_day
from network.pledges import keep_pledges, sum_causes
from network.service import (
    close_window,
    closes_at,
    date_of_window,
    lapse_expired,
    live_programme_version,
    read_network,
    window_id_of,
)
from settlement import fixings, ledger, ledger_store, standing, store, window_store
from settlement.adjustments import load_adjustments
from settlement.clearing import adjusted, fee_bases, obligations, price
from settlement.errors import NightOutOfOrder
from settlement.exposure_moves import window_netted
from settlement.fees import vat_rounded
from settlement.model import (
    NETTED_STATES,
    NightResult,
    Obligation,
    Output,
    Position,
    Transactions,
    WindowActivity,
)
from settlement.positions import charges, net_positions, require_balance, settling, terms_in_force
from settlement.telling import tell_statements
from settlement.values import value_flows

WORKER = "worker"
"""Who does what nobody is asked for."""


Timed = Callable[[str], AbstractContextManager[None]]
"""Stands around each step of a night: close, price, net; for who measures them."""


def untimed(step: str) -> AbstractContextManager[None]:
    """Nobody measures."""
    del step
    return nullcontext()


def clear(
    database: Engine,
    business_date: date,
    *,
    at: datetime,
    programme_version: int | None = None,
    timed: Timed = untimed,
) -> NightResult:
    """Settle a business date: close its window, price it, net it. Safe to do again, anywhere, any time.

    Args:
        database: Where ledger and settlement are.
        business_date: The open date, once it is over; or one that is closed already.
        at: The network's time (network.service.network_now).
        programme_version: The programme under which expired points lapse; by default the live one.
        timed: Stands around each step.
    Returns:
        The night as it stands in the database: the same value every time.
    Raises:
        NightOutOfOrder: an earlier date is closed and not settled.
        network.errors.WindowOrder: the date is not over, or an earlier one is open.
        PositionsNotZero, TermsMissing, FlowUnknown, RateMissing: the step was rolled back.
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
    with timed("close"):
        close_step(database, business_date, at=at)
    with timed("price"):
        transactions = price_step(database, business_date, at=at, programme_version=programme_version)
    with timed("net"):
        net_step(database, business_date, at=at, transactions=transactions)
    with database.connect() as connection:
        return store.read_night(connection, window_id)


def clear_due(
    database: Engine,
    now: datetime,
    *,
    programme_version: int | None = None,
    stop: Callable[[], bool] = lambda: False,
    timed: Timed = untimed,
) -> list[NightResult]:
    """Settle every business date that is over, in order; finish what was begun first.

    After missed nights the open window belongs to the first date; the dates after it are empty.

    Args:
        now: The network's time.
        stop: Asked between nights; true ends the work early, and the next call goes on from there.
        timed: Stands around each step of each night.
    """
    nights: list[NightResult] = []
    while not stop():
        with database.connect() as connection:
            unsettled = store.first_unsettled(connection)
            if unsettled is None:
                break
            if closes_at(read_network(connection), unsettled.business_date) > now:
                break
        on = unsettled.business_date
        nights.append(clear(database, on, at=now, programme_version=programme_version, timed=timed))
    return nights


def close_step(database: Engine, business_date: date, *, at: datetime) -> None:
    """Close the window exactly, open the next date's, and begin the run."""
    with database.begin() as connection:
        window_id = close_window(connection, business_date, at)
        store.begin_run(connection, window_id, at)


def price_step(
    database: Engine, business_date: date, *, at: datetime, programme_version: int | None = None
) -> list[Transactions] | None:
    """Sum the window's postings and make them obligations; before that, sweep what lapses on the new date.

    The sweep commits by itself, in portions, into the window that is open now. It runs under this run's lock,
    so that no second worker can settle this date and close the next one while it is under way. A later
    revision finds sweep and sums done: postings never change.

    Returns:
        What partners are charged for by the piece, for `net_step`, which else counts it again; None where
        the step was done before.
    """
    window_id = window_id_of(business_date)
    with database.begin() as connection:
        run = store.lock_run(connection, window_id)
        if run.state != "closed":
            return None
        store.require_earlier_netted(connection, window_id)
        version = live_programme_version(connection) if programme_version is None else programme_version
        following = business_date + timedelta(days=1)
        lapse_vouchers(database, following)
        lapse_expired(database, following, version)
        begin_day(database, following)
        keep_pledges(database, window_id)
        convert_due(database, following)
        currency = read_network(connection).currency
        known = store.load_outputs(connection, [window_id])[window_id] if run.revision > 1 else None
        # The window is closed, so the other connection sees the same; postings are priced meanwhile.
        with ThreadPoolExecutor(1) as beside:
            counting = beside.submit(_count_entries, database, window_id)
            totals = window_store.sum_postings(connection, window_id) if known is None else known.totals
            terms = store.load_terms(connection)
            adjustments = load_adjustments(connection, [window_id])[window_id]
            night = store.load_night(connection, business_date)
            stand_ins = standing.load_stand_ins(connection)
            priced_by = standing.in_window(terms, window_id, stand_ins)
            activity, transactions = counting.result()
            values = (
                window_store.sum_values(connection, window_id, activity) if known is None else known.values
            )
            priced = [*price(totals, priced_by, night), *value_flows(values, terms)]
            flows = standing.stood_in(priced, window_id, stand_ins)
            before = store.load_vat_before(connection, business_date)
            debts = vat_rounded(obligations([*flows, *adjusted(adjustments, terms, night)]), before)
            store.save_obligations(connection, run, debts)
        if known is None:
            store.save_totals(connection, window_id, totals)
            store.save_values(connection, window_id, values)
            sum_causes(connection, window_id, {one.kind for one in activity})
            store.save_activity(connection, window_id, activity)
        output = Output(
            currency=currency,
            totals=totals,
            activity=activity,
            obligations=debts,
            adjustments=adjustments,
            values=values,
        )
        store.finish_step(connection, run, "priced", output, at)
    return transactions


def _count_entries(database: Engine, window_id: int) -> tuple[list[WindowActivity], list[Transactions]]:
    with database.connect() as connection:
        return window_store.count_entries(connection, window_id)


def net_step(
    database: Engine, business_date: date, *, at: datetime, transactions: Sequence[Transactions] | None = None
) -> None:
    """Net the obligations with fees, VAT and what the last night carried, round them, and book what is owed.

    Args:
        transactions: As `price_step` counted them; by default they are counted again.
    """
    window_id = window_id_of(business_date)
    with database.begin() as connection:
        run = store.lock_run(connection, window_id)
        if run.state in NETTED_STATES:
            return
        if run.state != "priced":
            raise NightOutOfOrder(f"window {window_id} is not priced: price it before it is netted")
        store.require_earlier_netted(connection, window_id)
        currency = read_network(connection).currency
        priced = store.load_outputs(connection, [window_id])[window_id]
        terms = store.load_terms(connection)
        before = store.load_before(connection, business_date)
        in_force = terms_in_force(terms, business_date)
        last_days = store.load_last_days(connection)
        night = store.load_night(connection, business_date)
        if transactions is None:
            transactions = window_store.load_transactions(connection, [window_id])[window_id]
        lines = price(priced.totals, terms, night)
        bases = fee_bases(priced.totals, lines, transactions, terms, priced.adjustments)
        netted = net_positions(
            store.load_participants(connection),
            priced.obligations,
            charges(bases, terms, in_force, before, business_date, vat=night.vat, last_days=last_days),
            before,
            currency=currency,
            settles=settling(in_force, business_date, last_days),
            fixing_of=fixings.of_night(connection, business_date, in_force),
        )
        positions = netted.positions
        require_balance(window_id, positions)
        positions = standing.owing_on(positions, standing.load_carried(connection, [window_id])[window_id])
        store.save_positions(connection, run, positions)
        store.save_conversions(connection, run, netted.conversions)
        output = Output(positions=positions, conversions=netted.conversions)
        store.finish_step(connection, run, "netted", output, at)
        tell_statements(connection, window_id, run.revision, positions, at=at)
        # Last, because tills of capped partners wait from here on: their rows move.
        _book_netted(connection, run, positions, priced.obligations, at)
        window_netted(connection, window_id, priced.totals, transactions, priced.adjustments, priced.values)


def book_netted_nights(database: Engine, *, at: datetime) -> int:
    """Book the nights that were netted before there was a money ledger; returns how many were missing."""
    with database.connect() as connection:
        missing = store.unbooked(connection)
    for window_id in missing:
        with database.begin() as connection:
            run = store.lock_run(connection, window_id)
            output = store.load_outputs(connection, [window_id])[window_id]
            _book_netted(connection, run, output.positions, output.obligations, at)
    return len(missing)


def _book_netted(
    connection: Connection,
    run: store.LiveRun,
    positions: Sequence[Position],
    debts: Sequence[Obligation],
    at: datetime,
) -> None:
    on = date_of_window(run.window_id)
    ledger_store.book(
        connection, ledger.netted(run.window_id, run.revision, on, positions, debts), by=WORKER, at=at
    )
