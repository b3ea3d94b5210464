"""The settlement room's rows: runs and their steps, window totals, obligations, positions.

Every function takes a connection and never commits: a step of the night is one transaction of its caller.
"""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any, TypeVar, cast

import msgspec
from sqlalchemy import Connection, Table, select, text

from network.bulk import insert_from_arrays, insert_rows
from network.model import EntryKind
from network.service import read_network, window_id_of
from network.tables import clearing_window
from partners import store as partners_store
from settlement import tables
from settlement.canonical import digest
from settlement.clearing import TermsByVersion
from settlement.errors import NightOutOfOrder
from settlement.model import (
    Before,
    Charge,
    ClosedWindow,
    NightResult,
    Obligation,
    Output,
    Position,
    Step,
    Transactions,
    WindowActivity,
    WindowTotal,
)
from settlement.money import minor_digits
from settlement.netting import bilateral_nets, gross, multilateral_positions, payments, to_be_paid

REVISION = 1
"""A window is settled once; a later revision would be a run that was aborted and done again."""

_WAIT = text("SET LOCAL lock_timeout = '15min'")
_LOCK_RUN = text(
    "SELECT state FROM settlement_run WHERE window_id = :window_id AND revision = :revision FOR UPDATE"
)
_BEGIN_RUN = text(
    "INSERT INTO settlement_run (window_id, revision, state) VALUES (:window_id, :revision, 'closed')"
    " ON CONFLICT DO NOTHING"
)
_FINISH_STEP = text(
    "WITH moved AS (UPDATE settlement_run SET state = :step"
    "   WHERE window_id = :window_id AND revision = :revision)"
    " INSERT INTO settlement_step (window_id, revision, step, sha256, done_at)"
    " VALUES (:window_id, :revision, :step, :sha256, :done_at)"
)
_HASHES = text(
    "SELECT window_id, step, sha256 FROM settlement_step WHERE revision = :revision ORDER BY window_id"
)
_FIRST_UNSETTLED = text(
    "SELECT w.business_date, w.closed_at FROM clearing_window w"
    " LEFT JOIN settlement_run r ON r.window_id = w.window_id AND r.revision = :revision"
    " WHERE r.state IS DISTINCT FROM 'netted' ORDER BY w.window_id LIMIT 1"
)
_STATE = text(
    "SELECT r.state FROM clearing_window w"
    " JOIN settlement_run r ON r.window_id = w.window_id AND r.revision = :revision"
    " WHERE w.business_date = :on"
)
# No bound on entry_id, though partitions go by it: ids carry the database's clock, opened_at and closed_at
# come from whoever closed, and a clock that was set back must not cost a posting. The index on window_id
# answers for each partition that has none.
_SUM_POSTINGS = text(
    """
    INSERT INTO window_total (window_id, debit, credit, issuer_id, issuer_terms, acceptor_id, acceptor_terms,
        category, reversed_window_id, points, postings)
    SELECT window_id, debit, credit, issuer_id, issuer_terms, acceptor_id, acceptor_terms, category,
        reversed_window_id, sum(points)::bigint, count(*)
    FROM posting WHERE window_id = :window_id GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9
    RETURNING debit, credit, issuer_id, issuer_terms, acceptor_id, acceptor_terms, category,
        reversed_window_id, points, postings
    """
)
_COUNT_ENTRIES = text(
    """
    INSERT INTO window_activity (window_id, partner_id, kind, entries, points, amount_minor)
    SELECT window_id, partner_id, kind, count(*), sum(points)::bigint, sum(amount_minor)::bigint
    FROM entry WHERE window_id = :window_id GROUP BY 1, 2, 3
    RETURNING partner_id, kind, entries, points, amount_minor
    """
)
# A capture is a transaction of the day its hold was made on, whose terms its points have too.
_TRANSACTIONS = text(
    f"""
    SELECT window_id, partner_id, (occurred_at AT TIME ZONE n.time_zone)::date AS occurred_on,
        count(*) AS entries
    FROM network n, (
        SELECT window_id, partner_id, occurred_at FROM entry
        WHERE window_id = ANY(:window_ids)
            AND kind IN ({int(EntryKind.ACCRUAL)}, {int(EntryKind.REDEMPTION)})
        UNION ALL
        SELECT e.window_id, e.partner_id, h.occurred_at
        FROM entry e JOIN entry h ON h.member_id = e.member_id AND h.entry_id = e.hold_id
        WHERE e.window_id = ANY(:window_ids) AND e.kind = {int(EntryKind.CAPTURE)}
    ) e GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
    """
)
_BEFORE = text(
    """
    SELECT participant_id,
        coalesce(sum(fee_base) FILTER (WHERE window_id >= :month), 0) AS fee_base,
        coalesce(sum(vat_base) FILTER (WHERE window_id >= :month), 0) AS vat_base,
        coalesce(sum(fee_minor) FILTER (WHERE window_id >= :month), 0)::bigint AS fee_minor,
        coalesce(sum(vat_minor) FILTER (WHERE window_id >= :month), 0)::bigint AS vat_minor,
        coalesce(sum(carried_out) FILTER (WHERE window_id = last), 0) AS carried_out
    FROM net_position,
        (SELECT max(window_id) AS last FROM clearing_window WHERE window_id < :window_id) w
    WHERE revision = :revision AND window_id >= least(:month, last) AND window_id < :window_id
    GROUP BY participant_id
    """
)
_NIGHT = text(
    "SELECT w.business_date, n.currency, s.step, s.sha256 FROM network n, clearing_window w"
    " JOIN settlement_step s ON s.window_id = w.window_id AND s.revision = :revision"
    " WHERE w.window_id = :window_id"
)

_RUN = ("window_id", "revision")
_Row = TypeVar("_Row", bound=msgspec.Struct)


class Unsettled(msgspec.Struct, frozen=True):
    """The first business date that is not settled; `closed_at` is None where it is still open."""

    business_date: date
    closed_at: datetime | None


def first_unsettled(connection: Connection) -> Unsettled | None:
    """The business date to settle next; None before the network's first window."""
    row = connection.execute(_FIRST_UNSETTLED, {"revision": REVISION}).one_or_none()
    return None if row is None else Unsettled(*row)


def is_settled(connection: Connection, business_date: date) -> bool:
    """Whether a date's night is done."""
    state = connection.execute(_STATE, {"on": business_date, "revision": REVISION}).scalar_one_or_none()
    return state == "netted"


def begin_run(connection: Connection, window_id: int, at: datetime) -> None:
    """Begin the run of a window that has been closed in this transaction or before; once."""
    begun = connection.execute(_BEGIN_RUN, {"window_id": window_id, "revision": REVISION}).rowcount
    if begun:
        window = _load(connection, clearing_window, ClosedWindow, [window_id])[window_id]
        finish_step(connection, window_id, "closed", Output(window=window), at)


def lock_run(connection: Connection, window_id: int) -> Step:
    """The last step of a run that is done; the run is locked until the transaction ends.

    Whoever comes second waits for the first, however long its night takes, and then finds the step done.

    Raises:
        NightOutOfOrder: the run was not begun.
    """
    connection.execute(_WAIT)
    run = {"window_id": window_id, "revision": REVISION}
    state = connection.execute(_LOCK_RUN, run).scalar_one_or_none()
    if state is None:
        raise NightOutOfOrder(f"window {window_id} is not closed: close it before it is priced or netted")
    return cast("Step", state)


def finish_step(connection: Connection, window_id: int, step: Step, output: Output, at: datetime) -> None:
    """Note that a step is done, with the hash of what it put out."""
    sha256 = digest(step, window_id, REVISION, **output.of(step))
    connection.execute(
        _FINISH_STEP,
        {"window_id": window_id, "revision": REVISION, "step": step, "sha256": sha256, "done_at": at},
    )


def sum_postings(connection: Connection, window_id: int) -> list[WindowTotal]:
    """Sum a closed window's postings by what prices them, and keep the sums; in no order."""
    rows = connection.execute(_SUM_POSTINGS, {"window_id": window_id})
    return [WindowTotal(**row._asdict()) for row in rows]


def count_entries(connection: Connection, window_id: int) -> list[WindowActivity]:
    """Count a closed window's entries by partner and kind, and keep the counts; in no order."""
    rows = connection.execute(_COUNT_ENTRIES, {"window_id": window_id})
    return [WindowActivity(**row._asdict()) for row in rows]


def load_outputs(connection: Connection, window_ids: Sequence[int]) -> dict[int, Output]:
    """All that the nights of some windows put out so far, each table sorted by its key."""
    currency = read_network(connection).currency
    windows = _load(connection, clearing_window, ClosedWindow, window_ids)
    totals = _load(connection, tables.window_total, WindowTotal, window_ids)
    activity = _load(connection, tables.window_activity, WindowActivity, window_ids)
    obligations = _load(connection, tables.obligation, Obligation, window_ids)
    positions = _load(connection, tables.net_position, Position, window_ids)
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
            positions=sorted(positions[window_id], key=lambda position: position.participant_id),
        )
        for window_id in window_ids
    }


def load_transactions(connection: Connection, window_ids: Sequence[int]) -> dict[int, list[Transactions]]:
    """What partners are charged for by the piece in some windows, by the day it occurred.

    Counted from the entries whenever it is asked for: a closed window's never change.
    """
    found: dict[int, list[Transactions]] = {window_id: [] for window_id in window_ids}
    for row in connection.execute(_TRANSACTIONS, {"window_ids": list(window_ids)}):
        found[row.window_id].append(
            Transactions(partner_id=row.partner_id, occurred_on=row.occurred_on, entries=row.entries)
        )
    return found


def load_hashes(connection: Connection) -> dict[int, dict[Step, bytes]]:
    """The hash of every step that is done, by window, in order of windows."""
    hashes: dict[int, dict[Step, bytes]] = {}
    for row in connection.execute(_HASHES, {"revision": REVISION}):
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


def load_before(connection: Connection, business_date: date) -> dict[int, Before]:
    """What earlier nights left: the charges of this month so far, and what the last night carried on."""
    wanted = {
        "window_id": window_id_of(business_date),
        "month": window_id_of(business_date.replace(day=1)),
        "revision": REVISION,
    }
    return {
        row.participant_id: Before(
            month_to_date=Charge(
                fee_base=row.fee_base, vat_base=row.vat_base, fee_minor=row.fee_minor, vat_minor=row.vat_minor
            ),
            carried_out=row.carried_out,
        )
        for row in connection.execute(_BEFORE, wanted)
    }


def save_obligations(connection: Connection, window_id: int, obligations: Sequence[Obligation]) -> None:
    """Write a window's gross debts."""
    _save(connection, tables.obligation, window_id, obligations)


def save_positions(connection: Connection, window_id: int, positions: Sequence[Position]) -> None:
    """Write a window's positions."""
    _save(connection, tables.net_position, window_id, positions)


def read_night(connection: Connection, window_id: int) -> NightResult:
    """What a settled night came to.

    Raises:
        NightOutOfOrder: it is not settled.
    """
    rows = connection.execute(_NIGHT, {"window_id": window_id, "revision": REVISION}).all()
    hashes: dict[Step, bytes] = {row.step: bytes(row.sha256) for row in rows}
    if "netted" not in hashes:
        raise NightOutOfOrder(f"window {window_id} is not settled: clear it first")
    output = load_outputs(connection, [window_id])[window_id]
    debts = [(debt.debtor_id, debt.creditor_id, debt.amount) for debt in output.obligations]
    pay_in, _ = payments({position.participant_id: position.final_minor for position in output.positions})
    return NightResult(
        window_id=window_id,
        business_date=rows[0].business_date,
        revision=REVISION,
        currency=rows[0].currency,
        minor_digits=minor_digits(rows[0].currency),
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
    """Rows of windows as values, by window; runs of another revision are not ours."""
    names = row_type.__struct_fields__
    query = select(table.c.window_id, *(table.c[name] for name in names)).where(
        table.c.window_id.in_(window_ids)
    )
    if "revision" in table.c:
        query = query.where(table.c.revision == REVISION)
    found: dict[int, list[_Row]] = {window_id: [] for window_id in window_ids}
    for window_id, *values in connection.execute(query):
        found[window_id].append(row_type(**dict(zip(names, values, strict=True))))
    return found


def _save(connection: Connection, table: Table, window_id: int, rows: Sequence[msgspec.Struct]) -> None:
    if not rows:
        return
    names = rows[0].__struct_fields__
    arrays: dict[str, list[Any]] = {name: [getattr(row, name) for row in rows] for name in names}
    arrays["window_id"] = [window_id] * len(rows)
    arrays["revision"] = [REVISION] * len(rows)
    insert_rows(connection, insert_from_arrays(table, (*_RUN, *names)), arrays)
