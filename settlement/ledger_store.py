"""The money ledger's rows: events are booked once, and never changed. Balances are sums over lines."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from decimal import Decimal

from sqlalchemy import Connection, text

from network.bulk import insert_from_arrays, insert_rows
from network.errors import InvariantBroken
from settlement import money_tables
from settlement.exposure_moves import money_moved
from settlement.money_model import Account, EntryKind, MoneyEntry, MoneyLine

_BOOK = insert_from_arrays(
    money_tables.money_entry,
    ("kind", "reference", "window_id", "revision", "value_on", "booked_at", "booked_by"),
    "ON CONFLICT (kind, reference) DO NOTHING RETURNING entry_no, kind, reference",
)
_LINES = ("entry_no", "line", "account", "participant_id", "currency", "amount")
_INSERT_LINES = insert_from_arrays(money_tables.money_posting, _LINES)
_ENTRIES = text(
    "SELECT entry_no, kind, reference, window_id, revision, value_on FROM money_entry"
    " WHERE kind = ANY(:kinds) AND reference = ANY(:references) ORDER BY entry_no"
)
_POSTINGS = text(
    "SELECT entry_no, account, participant_id, currency, amount FROM money_posting"
    " WHERE entry_no = ANY(:numbers) ORDER BY entry_no, line"
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


def book(connection: Connection, entry: MoneyEntry, *, by: str, at: datetime) -> bool:
    """Write an event into the money ledger; whether it was not booked before.

    Its balance is checked again by the database, when the transaction commits. Rows of capped partners move
    with it, and the window cannot close before the transaction ends: book late.
    """
    return book_all(connection, [entry], by=by, at=at) == 1


def book_all(connection: Connection, entries: Sequence[MoneyEntry], *, by: str, at: datetime) -> int:
    """Write events into the money ledger, with two statements; returns how many were not booked before.

    Raises:
        InvariantBroken: two of them have one name.
    """
    named = {(one.kind, one.reference): one for one in entries}
    if len(named) != len(entries):
        raise InvariantBroken("two events of one booking have the same kind and reference")
    if not entries:
        return 0
    bound = _BOOK.bound(
        {
            "kind": [one.kind for one in entries],
            "reference": [one.reference for one in entries],
            "window_id": [one.window_id for one in entries],
            "revision": [one.revision for one in entries],
            "value_on": [one.value_on for one in entries],
            "booked_at": [at] * len(entries),
            "booked_by": [by] * len(entries),
        }
    )
    numbers = {(row.kind, row.reference): row.entry_no for row in connection.execute(_BOOK.statement, bound)}
    rows = [
        (number, line, one.account, one.participant_id, one.currency, one.amount)
        for key, number in numbers.items()
        for line, one in enumerate(named[key].lines, start=1)
    ]
    if rows:
        insert_rows(
            connection, _INSERT_LINES, dict(zip(_LINES, map(list, zip(*rows, strict=True)), strict=True))
        )
        money_moved(connection, [line for key in numbers for line in named[key].lines])
    return len(numbers)


def booked_entry(connection: Connection, kind: EntryKind, reference: str) -> MoneyEntry | None:
    """An event as it was booked."""
    return booked_entries(connection, [kind], [reference]).get((kind, reference))


def booked_entries(
    connection: Connection, kinds: Collection[EntryKind], references: Collection[str]
) -> dict[tuple[EntryKind, str], MoneyEntry]:
    """Events as they were booked, by kind and reference."""
    found = connection.execute(_ENTRIES, {"kinds": list(kinds), "references": list(references)}).all()
    lines: dict[int, list[MoneyLine]] = {row.entry_no: [] for row in found}
    if found:
        for number, *line in connection.execute(_POSTINGS, {"numbers": list(lines)}):
            lines[number].append(MoneyLine(*line))
    return {
        (row.kind, row.reference): MoneyEntry(
            kind=row.kind,
            reference=row.reference,
            window_id=row.window_id,
            revision=row.revision,
            value_on=row.value_on,
            lines=tuple(lines[row.entry_no]),
        )
        for row in found
    }


def balances(connection: Connection, *accounts: Account) -> Balances:
    """What these accounts stand at; those at zero are left out."""
    rows = connection.execute(_BALANCES, {"accounts": list(accounts)})
    return {(row.account, row.participant_id, row.currency): row.amount for row in rows}


def run_balances(connection: Connection, window_id: int, revision: int) -> Balances:
    """What the events of one run have moved."""
    rows = connection.execute(_RUN_BALANCES, {"window_id": window_id, "revision": revision})
    return {(row.account, row.participant_id, row.currency): row.amount for row in rows}
