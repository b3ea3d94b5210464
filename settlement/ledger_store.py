"""The money ledger's rows: events are booked once, and never changed. Balances are sums over lines."""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal

from sqlalchemy import Connection, text

from network.bulk import insert_from_arrays, insert_rows
from settlement import money_tables
from settlement.exposure_moves import money_moved
from settlement.money_model import Account, EntryKind, MoneyEntry, MoneyLine

_BOOK = text(
    "INSERT INTO money_entry (kind, reference, window_id, revision, value_on, booked_at, booked_by)"
    " VALUES (:kind, :reference, :window_id, :revision, :value_on, :at, :by)"
    " ON CONFLICT (kind, reference) DO NOTHING RETURNING entry_no"
)
_LINES = ("entry_no", "line", "account", "participant_id", "currency", "amount")
_INSERT_LINES = insert_from_arrays(money_tables.money_posting, _LINES)
_ENTRY = text(
    "SELECT entry_no, window_id, revision, value_on FROM money_entry"
    " WHERE kind = :kind AND reference = :reference"
)
_POSTINGS = text(
    "SELECT account, participant_id, currency, amount FROM money_posting WHERE entry_no = :no ORDER BY line"
)
_BALANCES = text(
    "SELECT account, participant_id, currency, sum(amount) AS amount FROM money_posting"
    " WHERE account = ANY(:accounts) GROUP BY 1, 2, 3 HAVING sum(amount) <> 0"
)
_RUN_BALANCES = text(
    "SELECT p.account, p.participant_id, p.currency, sum(p.amount) AS amount"
    " FROM money_entry e JOIN money_posting p USING (entry_no)"
    " WHERE e.window_id = :window_id AND e.revision = :revision GROUP BY 1, 2, 3 HAVING sum(p.amount) <> 0"
)

Balances = Mapping[tuple[Account, int, str], Decimal]
"""What accounts stand at, exact major units, debits above zero: by account, participant and currency."""


def book(connection: Connection, entry: MoneyEntry, *, by: str, at: datetime) -> int | None:
    """Write an event into the money ledger; returns its number, None where it was booked before.

    Its balance is checked again by the database, when the transaction commits. Rows of capped partners move
    with it, and the window cannot close before the transaction ends: book late.
    """
    wanted = {
        "kind": entry.kind,
        "reference": entry.reference,
        "window_id": entry.window_id,
        "revision": entry.revision,
        "value_on": entry.value_on,
        "at": at,
        "by": by,
    }
    number: int | None = connection.execute(_BOOK, wanted).scalar_one_or_none()
    if number is not None and entry.lines:
        rows = [
            (number, line, one.account, one.participant_id, one.currency, one.amount)
            for line, one in enumerate(entry.lines, start=1)
        ]
        columns = dict(zip(_LINES, map(list, zip(*rows, strict=True)), strict=True))
        insert_rows(connection, _INSERT_LINES, columns)
        money_moved(connection, entry.lines)
    return number


def booked_entry(connection: Connection, kind: EntryKind, reference: str) -> MoneyEntry | None:
    """An event as it was booked."""
    row = connection.execute(_ENTRY, {"kind": kind, "reference": reference}).one_or_none()
    if row is None:
        return None
    lines = connection.execute(_POSTINGS, {"no": row.entry_no})
    return MoneyEntry(
        kind=kind,
        reference=reference,
        window_id=row.window_id,
        revision=row.revision,
        value_on=row.value_on,
        lines=tuple(MoneyLine(*line) for line in lines),
    )


def balances(connection: Connection, *accounts: Account) -> Balances:
    """What these accounts stand at; those at zero are left out."""
    rows = connection.execute(_BALANCES, {"accounts": list(accounts)})
    return {(row.account, row.participant_id, row.currency): row.amount for row in rows}


def run_balances(connection: Connection, window_id: int, revision: int) -> Balances:
    """What the events of one run have moved."""
    rows = connection.execute(_RUN_BALANCES, {"window_id": window_id, "revision": revision})
    return {(row.account, row.participant_id, row.currency): row.amount for row in rows}
