"""Streams the ledger out as a journal: one window at a time, through server-side cursors, in flat memory.

The caller opens a repeatable read, so that lines, accounts and totals are of one moment while tills go on.
"""

from collections.abc import Callable, Iterator
from datetime import date
from itertools import groupby
from typing import Any

import msgspec
from sqlalchemy import Connection, RowMapping, text

from network import tables
from network.errors import InvariantBroken, NoSuchWindow
from network.journal import (
    Format,
    Movement,
    Names,
    Owner,
    Record,
    Side,
    Total,
    place,
    transaction,
)
from network.model import AccountKind, Posting, Unit
from network.store import read_entry
from partners.store import load_directory

_FETCHED = 2000
"""Rows that a cursor brings at a time."""


class Span(msgspec.Struct, frozen=True, kw_only=True):
    """Consecutive windows and how many entries they hold."""

    first: date
    last: date
    windows: dict[int, date]
    entries: int


_WINDOWS = text("SELECT window_id, business_date FROM clearing_window ORDER BY business_date")
_ENTRIES = text("SELECT count(*) FROM entry WHERE window_id BETWEEN :low AND :high")


def span(connection: Connection, first: date | None, last: date | None) -> Span:
    """The windows from one business date through another; None is where the ledger begins or ends.

    Raises:
        NoSuchWindow: one of the dates has no window.
    """
    dates = {row.window_id: row.business_date for row in connection.execute(_WINDOWS)}
    if not dates:
        raise NoSuchWindow("this ledger has no window yet: there is nothing to export")
    begins, ends = min(dates.values()), max(dates.values())
    for given in (first, last):
        if given is not None and given not in dates.values():
            raise NoSuchWindow(f"{given} has no window: business dates run from {begins} to {ends}")
    first, last = first or begins, last or ends
    windows = {number: on for number, on in dates.items() if first <= on <= last}
    if not windows:
        raise NoSuchWindow(f"no window lies between {first} and {last}: the first date comes first")
    bounds = {"low": min(windows), "high": max(windows)}
    entries = connection.execute(_ENTRIES, bounds).scalar_one()
    return Span(first=first, last=last, windows=windows, entries=entries)


def export_journal(
    connection: Connection, wanted: Span, form: Format, *, advance: Callable[[int], None]
) -> Iterator[str]:
    """The journal of some windows, in pieces that are whole lines; the same rows give the same bytes.

    Args:
        connection: In a repeatable read.
        wanted: From `span`.
        form: One of network.journal.FORMATS.
        advance: Told how many more entries were written, now and then.
    Raises:
        InvariantBroken: a posting without its entry, or a participant that there is not.
    """
    names = Names(load_directory(connection).participants.values())
    yield form.opening(names, wanted.first, wanted.last)
    for account in _accounts(connection, wanted, names):
        yield form.account(account, wanted.first)
    for window_id, business_date in wanted.windows.items():
        pending = 0
        for record in _records(connection, window_id, business_date):
            yield form.transaction(transaction(record, names))
            pending += 1
            if pending == _FETCHED:
                advance(pending)
                pending = 0
        advance(pending)
    yield form.totals(_totals(connection, wanted), names, wanted.last)


def _owned_by(owner: Owner) -> str:
    """The kinds whose accounts a member or an acceptor has, as SQL."""
    return ", ".join(str(int(kind)) for kind in AccountKind if place(kind).owner is owner)


_SIDES = """
    posting CROSS JOIN LATERAL (VALUES (debit, points), (credit, -points)) AS side (kind, change)
    WHERE window_id BETWEEN :low AND :high
"""
_ACCOUNTS = text(
    f"""
    SELECT DISTINCT kind, issuer_id, CASE WHEN kind IN ({_owned_by(Owner.MEMBER)}) THEN member_id
        WHEN kind IN ({_owned_by(Owner.ACCEPTOR)}) THEN acceptor_id END AS owner_id
    FROM {_SIDES} ORDER BY 1, 2, 3
    """
)
_TOTALS = text(
    f"""
    SELECT kind, issuer_id, unit, sum(change)::bigint AS points FROM {_SIDES}
    GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
    """
)


def _accounts(connection: Connection, wanted: Span, names: Names) -> Iterator[str]:
    """Every account of these windows, each after the one above it, whose total is stated at the end."""
    above = ""
    with connection.execute(_ACCOUNTS, _bounds(wanted), execution_options={"yield_per": _FETCHED}) as rows:
        for row in rows:
            side = Side(kind=AccountKind(row.kind), issuer_id=row.issuer_id, owner_id=row.owner_id)
            if names.group(side) != above:
                above = names.group(side)
                yield above
            if side.owner_id is not None:
                yield names.account(side)


def _totals(connection: Connection, wanted: Span) -> list[Total]:
    return [
        Total(kind=AccountKind(row.kind), issuer_id=row.issuer_id, unit=Unit(row.unit), points=row.points)
        for row in connection.execute(_TOTALS, _bounds(wanted))
    ]


def _bounds(wanted: Span) -> dict[str, int]:
    return {"low": min(wanted.windows), "high": max(wanted.windows)}


_KEY = ("member_id", "entry_id")
_ENTRY_FIELDS = tuple(column.name for column in tables.entry.columns if column.name not in _KEY)
_POSTING_FIELDS = tuple(
    column.name for column in tables.posting.columns if column.name not in {*_KEY, "unit"}
)
# A full join: a posting whose entry is in another window must not go missing without a word.
_RECORDS = text(
    f"""
    SELECT member_id, entry_id, e.entry_id IS NULL AS stray, p.unit,
        {", ".join(f"e.{name}" for name in _ENTRY_FIELDS)},
        {", ".join(f"p.{name} AS posting_{name}" for name in _POSTING_FIELDS)}
    FROM (SELECT * FROM entry WHERE window_id = :window_id) e
    FULL JOIN (SELECT * FROM posting WHERE window_id = :window_id) p USING (member_id, entry_id)
    ORDER BY member_id, entry_id, line
    """
)


def _records(connection: Connection, window_id: int, business_date: date) -> Iterator[Record]:
    """A window's entries with their postings, by member, entry and line."""
    asked = connection.execute(_RECORDS, {"window_id": window_id}, execution_options={"yield_per": _FETCHED})
    with asked as rows:
        for entry_id, lines in groupby(rows.mappings(), key=lambda row: row["entry_id"]):
            together = list(lines)
            if together[0]["stray"]:
                raise InvariantBroken(
                    f"window {window_id} has postings of entry {entry_id}, but not the entry:"
                    " run `tessera verify`"
                )
            yield Record(
                entry=read_entry(together[0]),
                business_date=business_date,
                movements=[_movement(row) for row in together if row["unit"] is not None],
            )


def _movement(row: RowMapping) -> Movement:
    values: dict[str, Any] = {name: row[f"posting_{name}"] for name in _POSTING_FIELDS}
    values["debit"] = AccountKind(values["debit"])
    values["credit"] = AccountKind(values["credit"])
    return Movement(Posting(**values), Unit(row["unit"]))
