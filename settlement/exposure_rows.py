"""The rows of capped partners counted again from nothing: to make them, to mend them, and to compare.

`recount` makes them from postings, entries, adjustments and the money ledger alone; it knows nothing of how
they came to be what they are (network.exposure_store, settlement.exposure_moves). `tessera verify` compares.
"""

from collections.abc import Sequence
from datetime import date
from typing import Any

from sqlalchemy import Connection, text

from network import exposure_store
from network.bulk import insert_from_arrays
from network.caps import Holding
from network.check import Problem
from network.exposure import Holder
from network.service import date_of_window, open_date
from network.store import WINDOW_LOCK
from network.tables import exposure
from settlement import store, window_store
from settlement.adjustments import load_adjustments
from settlement.exposure import Accruals, Sums, accrued, standing_points, together
from settlement.exposure_moves import ANY, OWING, SHARE, load_ground, prices_of
from settlement.model import WindowTotal
from settlement.standing import load_stand_ins

_ALONE = text(f"SELECT pg_advisory_xact_lock({WINDOW_LOCK})")
_CAPPED = text(
    "SELECT DISTINCT partner_id FROM contract_terms WHERE net_debit_cap IS NOT NULL"
    " UNION SELECT partner_id FROM exposure ORDER BY 1"
)
_MISSING = text(
    "SELECT EXISTS (SELECT FROM contract_terms WHERE net_debit_cap IS NOT NULL"
    " AND partner_id NOT IN (SELECT partner_id FROM exposure))"
)
_FIRST_CURRENCY = text("SELECT DISTINCT partner_id, currency FROM contract_terms")
_BUMP = text("UPDATE network SET caps_basis = caps_basis + 1")
_LEDGER = text(
    "SELECT participant_id, currency,"
    " coalesce(sum(amount) FILTER (WHERE account = ANY(:owing)), 0) AS owed,"
    " coalesce(-sum(amount) FILTER (WHERE account = 'deposit'), 0) AS deposit"
    " FROM money_posting WHERE account = ANY(:owing) OR account = 'deposit' GROUP BY 1, 2"
)
_UNNETTED = text(
    "SELECT window_id FROM clearing_window w WHERE NOT EXISTS (SELECT FROM settlement_run r"
    f" WHERE r.window_id = w.window_id AND r.state <> 'aborted' AND r.state NOT IN {store.UNFINISHED})"
    " ORDER BY 1"
)
_ALL_TOTALS = text(
    "SELECT debit, credit, issuer_id, issuer_terms, acceptor_id, acceptor_terms, category,"
    " NULL::integer AS reversed_window_id, sum(points)::bigint AS points, sum(postings)::bigint AS postings"
    " FROM window_total GROUP BY 1, 2, 3, 4, 5, 6, 7"
)
_SET = insert_from_arrays(
    exposure,
    ("partner_id", "currency", "owed", "held", "points", "deposit", "moved_by_tills"),
    "ON CONFLICT (partner_id, currency) DO UPDATE SET owed = excluded.owed, held = excluded.held,"
    " points = excluded.points, deposit = excluded.deposit, moved_by_tills = excluded.moved_by_tills",
)
_ROWS = text("SELECT partner_id, currency, owed, held, points, deposit FROM exposure")


def windows_reopened(connection: Connection, window_ids: Sequence[int]) -> None:
    """Give back to rows what windows accrued whose positions were booked back."""
    connection.execute(SHARE)
    if connection.execute(ANY).scalar_one():
        ground = load_ground(connection)
        windows = load_accruals(connection, window_ids)
        exposure_store.add_all(connection, together(*(accrued(one, ground) for one in windows)))


def load_accruals(connection: Connection, window_ids: Sequence[int]) -> list[Accruals]:
    """All that happened in some windows: totals are summed anew where they are not kept yet."""
    ground = load_ground(connection)
    outputs = store.load_outputs(connection, window_ids)
    transactions = window_store.load_transactions(connection, window_ids)
    adjustments = load_adjustments(connection, window_ids)
    return [
        Accruals(
            window_id=window_id,
            on=date_of_window(window_id),
            prices=prices_of(connection, ground, window_id),
            totals=outputs[window_id].totals or window_store.sum_postings(connection, window_id),
            transactions=transactions[window_id],
            adjustments=adjustments[window_id],
            values=outputs[window_id].values or window_store.sum_values(connection, window_id),
        )
        for window_id in window_ids
    ]


def recount(connection: Connection) -> Sums:
    """The sums of every capped partner, from postings, entries, adjustments and the money ledger alone."""
    ground = load_ground(connection)
    windows = load_accruals(connection, list(connection.execute(_UNNETTED).scalars()))
    kept = [WindowTotal(**row._asdict()) for row in connection.execute(_ALL_TOTALS)]
    unkept = [
        total for window in windows if not _is_kept(connection, window.window_id) for total in window.totals
    ]
    booked = {
        (row.participant_id, row.currency): Holding(owed=row.owed, deposit=row.deposit)
        for row in connection.execute(_LEDGER, {"owing": list(OWING)})
    }
    sums = together(
        booked, standing_points([*kept, *unkept], ground), *(accrued(one, ground) for one in windows)
    )
    capped = set(connection.execute(_CAPPED).scalars())
    return {key: holding for key, holding in sums.items() if key[0] in capped}


def differences(connection: Connection) -> list[tuple[Holder, Holding | None, Holding | None]]:
    """Rows that are not what a recount makes of them: of whom, as they are, as they should be."""
    rows = _rows(connection)
    capped = set(connection.execute(_CAPPED).scalars())
    without = capped - {partner_id for partner_id, _ in rows}
    if not capped:
        return []
    counted = recount(connection)
    found: list[tuple[Holder, Holding | None, Holding | None]] = [
        ((partner_id, ""), None, None) for partner_id in sorted(without)
    ]
    found.extend(
        (key, rows.get(key), counted.get(key))
        for key in sorted(rows.keys() | counted.keys())
        if key[0] not in without and rows.get(key, Holding()) != counted.get(key, Holding())
    )
    return found


def problems(connection: Connection) -> list[Problem]:
    """What is wrong with the rows, for `verify`: what tills are tested against must be what is owed."""
    found = []
    for (partner_id, currency), row, counted in differences(connection):
        detail = (
            "it has a cap and no row: run `tessera exposure rebuild`"
            if counted is None and row is None
            else f"the row is {_shown(row)}, and counted anew {_shown(counted)}: rebuild it"
        )
        where = f"partner {partner_id} {currency}".rstrip()
        found.append(Problem(check="exposure_is_what_is_owed", where=where, detail=detail))
    return found


def _shown(one: Holding | None) -> str:
    held = one or Holding()
    parts = (("owed", held.owed), ("held", held.held), ("points", held.points), ("deposit", held.deposit))
    return ", ".join(f"{name} {amount.normalize():f}" for name, amount in parts)


def rebuild(connection: Connection) -> int:
    """Make the rows of every capped partner anew, alone: tills wait, and then begin under new rules.

    Returns:
        How many partners have a cap.
    """
    connection.execute(_ALONE)
    counted = recount(connection)
    capped = list(connection.execute(_CAPPED).scalars())
    if not capped:
        return 0
    gone = {one.partner_id for one in load_stand_ins(connection)}
    keys = counted.keys() | _rows(connection).keys()
    keys |= {tuple(row) for row in connection.execute(_FIRST_CURRENCY) if row.partner_id in capped}
    ordered = sorted(keys)
    holdings = [counted.get(key, Holding()) for key in ordered]
    arrays: dict[str, list[Any]] = {
        "partner_id": [partner_id for partner_id, _ in ordered],
        "currency": [currency for _, currency in ordered],
        "owed": [one.owed for one in holdings],
        "held": [one.held for one in holdings],
        "points": [one.points for one in holdings],
        "deposit": [one.deposit for one in holdings],
        "moved_by_tills": [partner_id not in gone for partner_id, _ in ordered],
    }
    connection.execute(_SET.statement, _SET.bound(arrays))
    connection.execute(_BUMP)
    return len(capped)


def ensure(connection: Connection) -> bool:
    """Make rows where a contract with a cap has none; whether there were any to make."""
    if not connection.execute(_MISSING).scalar_one():
        return False
    rebuild(connection)
    return True


def stop_tills(connection: Connection) -> None:
    """Wait until no batch is under way, and let none begin before this transaction ends.

    To be called first, by whoever is going to change what exposure is made of: locks that others take before
    they share the window's come after it.
    """
    connection.execute(_ALONE)


def contracts_changed(connection: Connection) -> None:
    """After a contract was activated, in its transaction: tills begin under rules that know it.

    Nothing that was counted changes: a version never prices what happened before it.
    """
    stop_tills(connection)
    if not ensure(connection) and connection.execute(ANY).scalar_one():
        connection.execute(_BUMP)


def replaced(connection: Connection) -> None:
    """After another took a partner's place in all that its points cost, in that transaction."""
    stop_tills(connection)
    if connection.execute(ANY).scalar_one():
        rebuild(connection)


def rates_changed(connection: Connection, effective_on: date) -> None:
    """After a VAT rate was added, in its transaction; of the open date it changes what was accrued."""
    stop_tills(connection)
    if not connection.execute(ANY).scalar_one():
        return
    if effective_on <= open_date(connection):
        rebuild(connection)
    else:
        connection.execute(_BUMP)


def _rows(connection: Connection) -> dict[Holder, Holding]:
    return {(row.partner_id, row.currency): Holding(*row[2:]) for row in connection.execute(_ROWS)}


def _is_kept(connection: Connection, window_id: int) -> bool:
    return bool(
        connection.execute(
            text("SELECT EXISTS (SELECT FROM window_total WHERE window_id = :window_id)"),
            {"window_id": window_id},
        ).scalar_one()
    )
