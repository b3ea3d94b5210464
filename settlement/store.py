"""The settlement room's rows: runs and their steps, window totals, obligations, positions.

Every function takes a connection and never commits: a step of the night is one transaction of its caller.
"""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any, TypeVar

import msgspec
from sqlalchemy import Connection, Table, select, text

from network.bulk import insert_from_arrays, insert_rows
from network.service import read_network, window_id_of
from network.tables import clearing_window
from partners import rates_store
from partners import store as partners_store
from settlement import tables
from settlement.acceptance import load_accepted
from settlement.adjustments import load_adjustments
from settlement.canonical import digest
from settlement.clearing import Night, TermsByVersion
from settlement.errors import NightOutOfOrder
from settlement.fees import VatPair, VatToDate
from settlement.model import (
    NETTED_STATES,
    Before,
    Charge,
    ClosedWindow,
    NightResult,
    Obligation,
    Output,
    Position,
    Step,
    ValueTotal,
    WindowActivity,
    WindowTotal,
)
from settlement.money import minor_digits
from settlement.money_model import FxConversion
from settlement.netting import bilateral_nets, gross, multilateral_positions, payments, to_be_paid
from settlement.positions import Holder

UNFINISHED = "('closed', 'priced')"
"""SQL: states of a run whose positions are not there yet."""

_WAIT = text("SET LOCAL lock_timeout = '15min'")
_LOCK_RUN = text(
    "SELECT revision, state FROM settlement_run"
    " WHERE window_id = :window_id AND state <> 'aborted' FOR UPDATE"
)
_LIVE_RUN = text(
    "SELECT revision, state FROM settlement_run WHERE window_id = :window_id AND state <> 'aborted'"
)
_RUNS_FROM = text(
    "SELECT window_id FROM settlement_run WHERE window_id >= :window_id AND state <> 'aborted' ORDER BY 1"
)
_FIRST_UNINSTRUCTED = text(
    "SELECT min(window_id) FROM settlement_run WHERE state IN ('closed', 'priced', 'netted', 'approved')"
)
_IN_STATE_THROUGH = text(
    "SELECT window_id FROM settlement_run WHERE state = :state AND window_id <= :through ORDER BY 1"
)
_FIRST_UNNETTED_BEFORE = text(
    f"SELECT min(window_id) FROM settlement_run WHERE window_id < :window_id AND state IN {UNFINISHED}"
)
_UNDER_WAY = text(
    "SELECT window_id FROM settlement_run WHERE state IN ('instructed', 'funded', 'paid') ORDER BY 1"
)
_UNBOOKED = text(
    "SELECT r.window_id FROM settlement_run r WHERE r.state NOT IN ('closed', 'priced', 'aborted')"
    " AND NOT EXISTS (SELECT FROM money_entry e WHERE e.kind = 'netted' AND e.window_id = r.window_id"
    " AND e.revision = r.revision) ORDER BY 1"
)
_BEGIN_RUN = text(
    "INSERT INTO settlement_run (window_id, revision, state)"
    " SELECT :window_id, coalesce(max(revision), 0) + 1, 'closed' FROM settlement_run"
    " WHERE window_id = :window_id HAVING coalesce(bool_and(state = 'aborted'), true)"
    " ON CONFLICT DO NOTHING RETURNING revision"
)
_ABORT_RUN = text(
    "UPDATE settlement_run SET state = 'aborted' WHERE window_id = :window_id AND revision = :revision"
)
_FINISH_STEP = text(
    "WITH moved AS (UPDATE settlement_run SET state = :step"
    "   WHERE window_id = :window_id AND revision = :revision)"
    " INSERT INTO settlement_step (window_id, revision, step, sha256, done_at)"
    " VALUES (:window_id, :revision, :step, :sha256, :done_at)"
)
_HASHES = text(
    "SELECT s.window_id, s.step, s.sha256 FROM settlement_step s JOIN settlement_run r"
    " USING (window_id, revision) WHERE r.state <> 'aborted'"
    " AND (CAST(:window_ids AS integer[]) IS NULL OR s.window_id = ANY(:window_ids)) ORDER BY s.window_id"
)
_FIRST_UNSETTLED = text(
    "SELECT w.business_date, w.closed_at FROM clearing_window w"
    " LEFT JOIN settlement_run r ON r.window_id = w.window_id AND r.state <> 'aborted'"
    f" WHERE r.state IS NULL OR r.state IN {UNFINISHED} ORDER BY w.window_id LIMIT 1"
)
_STATE = text(
    "SELECT r.state FROM clearing_window w"
    " JOIN settlement_run r ON r.window_id = w.window_id AND r.state <> 'aborted'"
    " WHERE w.business_date = :on"
)
_BEFORE = text(
    """
    SELECT participant_id, currency,
        coalesce(sum(fee_base) FILTER (WHERE window_id >= :month), 0) AS fee_base,
        coalesce(sum(vat_base) FILTER (WHERE window_id >= :month), 0) AS vat_base,
        coalesce(sum(fee_minor) FILTER (WHERE window_id >= :month), 0)::bigint AS fee_minor,
        coalesce(sum(vat_minor) FILTER (WHERE window_id >= :month), 0)::bigint AS vat_minor,
        coalesce(sum(carried_out) FILTER (WHERE window_id = last), 0) AS carried_out,
        coalesce(sum(deferred_out_minor) FILTER (WHERE window_id = last), 0)::bigint AS deferred_out_minor
    FROM net_position JOIN settlement_run USING (window_id, revision),
        (SELECT max(window_id) AS last FROM clearing_window WHERE window_id < :window_id) w
    WHERE state <> 'aborted' AND window_id >= least(:month, last) AND window_id < :window_id
    GROUP BY participant_id, currency
    """
)
_VAT_BEFORE = text(
    """
    SELECT debtor_id, creditor_id, currency, sum(vat_base) AS base, sum(amount) AS amount
    FROM obligation JOIN settlement_run USING (window_id, revision)
    WHERE flow = 'vat' AND state <> 'aborted' AND window_id >= :month AND window_id < :window_id
    GROUP BY 1, 2, 3
    """
)
_NIGHT = text(
    "SELECT w.business_date, n.currency, s.revision, s.step, s.sha256"
    " FROM network n, clearing_window w JOIN settlement_run r USING (window_id)"
    " JOIN settlement_step s USING (window_id, revision)"
    " WHERE window_id = :window_id AND r.state <> 'aborted'"
)

_Row = TypeVar("_Row", bound=msgspec.Struct)


class Unsettled(msgspec.Struct, frozen=True):
    """The first business date that is not settled; `closed_at` is None where it is still open."""

    business_date: date
    closed_at: datetime | None


class LiveRun(msgspec.Struct, frozen=True):
    """The run of a window that lives: its revision, and the last step of it that is done."""

    window_id: int
    revision: int
    state: Step


def first_unsettled(connection: Connection) -> Unsettled | None:
    """The business date to net next; None before the network's first window."""
    row = connection.execute(_FIRST_UNSETTLED).one_or_none()
    return None if row is None else Unsettled(*row)


def is_settled(connection: Connection, business_date: date) -> bool:
    """Whether a date's positions are there: the worker's part of its night is done."""
    state = connection.execute(_STATE, {"on": business_date}).scalar_one_or_none()
    return state in NETTED_STATES


def begin_run(connection: Connection, window_id: int, at: datetime) -> None:
    """Begin the run of a window that has been closed in this transaction or before; once.

    Where the last run was aborted, that is the next revision.
    """
    revision = connection.execute(_BEGIN_RUN, {"window_id": window_id}).scalar_one_or_none()
    if revision is not None:
        window = _load(connection, clearing_window, ClosedWindow, [window_id])[window_id]
        run = LiveRun(window_id, revision, "closed")
        finish_step(connection, run, "closed", Output(window=window), at)


def lock_run(connection: Connection, window_id: int) -> LiveRun:
    """The run of a window that lives; it is locked until the transaction ends.

    Whoever comes second waits for the first, however long its night takes, and then finds the step done.

    Raises:
        NightOutOfOrder: the run was not begun.
    """
    connection.execute(_WAIT)
    for _ in range(2):  # who waited for a run that was then aborted looks again for its successor
        row = connection.execute(_LOCK_RUN, {"window_id": window_id}).one_or_none()
        if row is not None:
            return LiveRun(window_id, row.revision, row.state)
    raise NightOutOfOrder(f"window {window_id} is not closed: close it before it is priced or netted")


def require_earlier_netted(connection: Connection, window_id: int) -> None:
    """Make sure that a window stands on nights that are netted; the caller holds its run's lock.

    An earlier run that was reopened meanwhile has left nothing yet. One that is reopened from now on waits
    for the caller, and then begins this run again, too.

    Raises:
        NightOutOfOrder: an earlier one is not.
    """
    first = connection.execute(_FIRST_UNNETTED_BEFORE, {"window_id": window_id}).scalar_one_or_none()
    if first is not None:
        raise NightOutOfOrder(
            f"window {first} is not netted: net it before window {window_id}, which stands on what it leaves"
        )


def live_run(connection: Connection, window_id: int) -> LiveRun:
    """The run of a window that lives, as it is now, without a lock.

    Raises:
        NightOutOfOrder: the run was not begun.
    """
    row = connection.execute(_LIVE_RUN, {"window_id": window_id}).one_or_none()
    if row is None:
        raise NightOutOfOrder(f"window {window_id} is not closed: it has no run")
    return LiveRun(window_id, row.revision, row.state)


def runs_from(connection: Connection, window_id: int) -> list[int]:
    """Windows from one on that have a run, in order."""
    return list(connection.execute(_RUNS_FROM, {"window_id": window_id}).scalars())


def first_uninstructed(connection: Connection) -> int | None:
    """The first window whose payments have not left; None where no run waits for that."""
    found: int | None = connection.execute(_FIRST_UNINSTRUCTED).scalar_one_or_none()
    return found


def netted_through(connection: Connection, window_id: int) -> list[int]:
    """Windows up to one whose runs are netted and wait for approval, in order."""
    return list(connection.execute(_IN_STATE_THROUGH, {"state": "netted", "through": window_id}).scalars())


def approved_through(connection: Connection, window_id: int) -> list[int]:
    """Windows up to one whose runs are approved and not instructed, in order."""
    return list(connection.execute(_IN_STATE_THROUGH, {"state": "approved", "through": window_id}).scalars())


def unbooked(connection: Connection) -> list[int]:
    """Windows that are netted, and not in the money ledger."""
    return list(connection.execute(_UNBOOKED).scalars())


def under_way(connection: Connection) -> list[int]:
    """Windows whose payments have left and are not all final, in order."""
    return list(connection.execute(_UNDER_WAY).scalars())


def abort_run(connection: Connection, run: LiveRun) -> None:
    """Give a run up; the caller holds its lock, and begins the next."""
    connection.execute(_ABORT_RUN, {"window_id": run.window_id, "revision": run.revision})


def finish_step(connection: Connection, run: LiveRun, step: Step, output: Output, at: datetime) -> None:
    """Note that a step is done, with the hash of what it put out."""
    sha256 = digest(step, run.window_id, run.revision, **output.of(step))
    done = {"window_id": run.window_id, "revision": run.revision, "step": step}
    connection.execute(_FINISH_STEP, {**done, "sha256": sha256, "done_at": at})


def load_outputs(connection: Connection, window_ids: Sequence[int]) -> dict[int, Output]:
    """All that the nights of some windows put out so far, each table sorted by its key."""
    currency = read_network(connection).currency
    windows = _load(connection, clearing_window, ClosedWindow, window_ids)
    totals = _load(connection, tables.window_total, WindowTotal, window_ids)
    activity = _load(connection, tables.window_activity, WindowActivity, window_ids)
    obligations = _load(connection, tables.obligation, Obligation, window_ids)
    positions = _load(connection, tables.net_position, Position, window_ids)
    conversions = _load(connection, tables.fx_conversion, FxConversion, window_ids)
    values = _load(connection, tables.value_total, ValueTotal, window_ids)
    adjustments = load_adjustments(connection, window_ids)
    return {
        window_id: Output(
            currency=currency,
            window=windows[window_id],
            totals=totals[window_id],
            activity=activity[window_id],
            obligations=sorted(
                obligations[window_id],
                key=lambda debt: (debt.flow, debt.debtor_id, debt.creditor_id, debt.currency, debt.category),
            ),
            positions=sorted(positions[window_id], key=lambda one: (one.participant_id, one.currency)),
            adjustments=adjustments[window_id],
            values=values[window_id],
            conversions=sorted(
                conversions[window_id], key=lambda one: (one.participant_id, one.from_currency)
            ),
        )
        for window_id in window_ids
    }


def load_positions(connection: Connection, window_id: int) -> list[Position]:
    """The positions of a window's run, by participant and currency."""
    found = _load(connection, tables.net_position, Position, [window_id])[window_id]
    return sorted(found, key=lambda one: (one.participant_id, one.currency))


def load_hashes(
    connection: Connection, window_ids: Sequence[int] | None = None
) -> dict[int, dict[Step, bytes]]:
    """The hash of every step that is done, by window, in order of windows; of all windows, or of some."""
    hashes: dict[int, dict[Step, bytes]] = {}
    wanted = None if window_ids is None else list(window_ids)
    for row in connection.execute(_HASHES, {"window_ids": wanted}):
        hashes.setdefault(row.window_id, {})[row.step] = bytes(row.sha256)
    return hashes


def load_terms(connection: Connection) -> TermsByVersion:
    """Every version of every contract."""
    return {
        (version.partner_id, version.terms_version): version
        for versions in partners_store.load_terms(connection).values()
        for version in versions
    }


def load_participants(connection: Connection) -> list[int]:
    """The ids of all participants of clearing, operator and pool among them."""
    return list(connection.execute(text("SELECT partner_id FROM partner ORDER BY partner_id")).scalars())


def load_before(connection: Connection, business_date: date) -> dict[Holder, Before]:
    """What earlier nights left, by participant and currency.

    The charges of this month so far, and what the last night carried on.
    """
    return {
        (row.participant_id, row.currency): Before(
            month_to_date=Charge(
                fee_base=row.fee_base, vat_base=row.vat_base, fee_minor=row.fee_minor, vat_minor=row.vat_minor
            ),
            carried_out=row.carried_out,
            deferred_out_minor=row.deferred_out_minor,
        )
        for row in connection.execute(_BEFORE, _month_before(business_date))
    }


def load_vat_before(connection: Connection, business_date: date) -> dict[VatPair, VatToDate]:
    """VAT on flows that earlier windows of a date's month were charged, by debtor, creditor and currency."""
    return {
        (row.debtor_id, row.creditor_id, row.currency): VatToDate(row.base, row.amount)
        for row in connection.execute(_VAT_BEFORE, _month_before(business_date))
    }


def load_night(connection: Connection, business_date: date) -> Night:
    """What prices a date's window besides its totals and contracts."""
    return Night(
        on=business_date,
        vat=rates_store.load_vat_rates(connection),
        accepted=load_accepted(connection, business_date),
    )


def load_last_days(connection: Connection) -> dict[int, date]:
    """On which day partners that leave accept for the last time."""
    return {party: one.last_burn_on for party, one in partners_store.load_exits(connection).items()}


def _month_before(business_date: date) -> dict[str, int]:
    return {"window_id": window_id_of(business_date), "month": window_id_of(business_date.replace(day=1))}


def save_totals(connection: Connection, window_id: int, totals: Sequence[WindowTotal]) -> None:
    """Keep the sums of a window's postings."""
    _save(connection, tables.window_total, totals, window_id=window_id)


def save_values(connection: Connection, window_id: int, values: Sequence[ValueTotal]) -> None:
    """Keep the sums of a window's postings that count money."""
    _save(connection, tables.value_total, values, window_id=window_id)


def save_activity(connection: Connection, window_id: int, activity: Sequence[WindowActivity]) -> None:
    """Keep the counts of a window's entries."""
    _save(connection, tables.window_activity, activity, window_id=window_id)


def save_obligations(connection: Connection, run: LiveRun, obligations: Sequence[Obligation]) -> None:
    """Write a run's gross debts."""
    _save(connection, tables.obligation, obligations, window_id=run.window_id, revision=run.revision)


def save_positions(connection: Connection, run: LiveRun, positions: Sequence[Position]) -> None:
    """Write a run's positions."""
    _save(connection, tables.net_position, positions, window_id=run.window_id, revision=run.revision)


def save_conversions(connection: Connection, run: LiveRun, conversions: Sequence[FxConversion]) -> None:
    """Write what a run's positions were converted at."""
    key = {"window_id": run.window_id, "revision": run.revision}
    _save(connection, tables.fx_conversion, conversions, **key)


def read_night(connection: Connection, window_id: int) -> NightResult:
    """What a settled night came to.

    Raises:
        NightOutOfOrder: it is not settled.
    """
    rows = connection.execute(_NIGHT, {"window_id": window_id}).all()
    hashes: dict[Step, bytes] = {row.step: bytes(row.sha256) for row in rows}
    if "netted" not in hashes:
        raise NightOutOfOrder(f"window {window_id} is not settled: clear it first")
    output = load_outputs(connection, [window_id])[window_id]
    own = rows[0].currency
    debts = [
        (debt.debtor_id, debt.creditor_id, debt.amount) for debt in output.obligations if debt.currency == own
    ]
    pay_in, _ = payments(
        {one.participant_id: one.payment_minor for one in output.positions if one.currency == own}
    )
    return NightResult(
        window_id=window_id,
        business_date=rows[0].business_date,
        revision=rows[0].revision,
        currency=own,
        minor_digits=minor_digits(own),
        gross=gross(debts),
        bilateral=to_be_paid(bilateral_nets(debts).values()),
        multilateral=to_be_paid(multilateral_positions(debts).values()),
        payment_minor=sum(pay_in.values()),
        obligations=tuple(output.obligations),
        positions=tuple(output.positions),
        hashes=hashes,
    )


def _load(
    connection: Connection, table: Table, row_type: type[_Row], window_ids: Sequence[int]
) -> dict[int, list[_Row]]:
    """Rows of windows as values, by window; of runs, those that live."""
    names = row_type.__struct_fields__
    query = select(table.c.window_id, *(table.c[name] for name in names)).where(
        table.c.window_id.in_(window_ids)
    )
    if "revision" in table.c:
        live = select(tables.settlement_run.c.revision).where(
            tables.settlement_run.c.window_id == table.c.window_id,
            tables.settlement_run.c.state != "aborted",
        )
        query = query.where(table.c.revision == live.scalar_subquery())
    found: dict[int, list[_Row]] = {window_id: [] for window_id in window_ids}
    for window_id, *values in connection.execute(query):
        found[window_id].append(row_type(**dict(zip(names, values, strict=True))))
    return found


def _save(connection: Connection, table: Table, rows: Sequence[msgspec.Struct], **key: int) -> None:
    """Write rows of a window, or of a run: each has its key besides its own fields."""
    if not rows:
        return
    names = rows[0].__struct_fields__
    arrays: dict[str, list[Any]] = {name: [getattr(row, name) for row in rows] for name in names}
    arrays.update({name: [value] * len(rows) for name, value in key.items()})
    insert_rows(connection, insert_from_arrays(table, tuple(arrays)), arrays)
