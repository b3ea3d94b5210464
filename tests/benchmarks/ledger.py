"""A ledger of millions of members with all their history, filled by set-based SQL, resumable.

Each step is one transaction that notes itself, so that a fill that was stopped goes on where it was. Tables
without partitions are filled without their keys, which are made at the end.

Member m (1 … members) earned the same points at a partner of its own in every month, and spent none: its
lots, balance, entries and postings agree. History ends with the month before the open window's.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime, time, timedelta
from functools import partial

import msgspec
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from sqlalchemy import Connection, Engine, text

from config.database import ensure_schema, migrate
from network.identity import CARD_PREFIX
from network.model import AccountKind, EntryKind
from network.service import ensure_partitions
from network.tables import entry, posting
from tests.benchmarks.fill import (
    CURRENCY,
    FIRST_PARTNER,
    OUTLET,
    PARTNERS,
    fill_partition,
    make_coalition,
    settle_in,
)

_CHUNK = 5_000_000
"""Members of one step, so that a step is done in a minute or so."""


class Ledger(msgspec.Struct, frozen=True, kw_only=True):
    """How large: so many members, each with an entry and a posting in each of the months before `today`."""

    members: int
    months: int
    today: date

    @property
    def postings(self) -> int:
        """Of all months."""
        return self.members * self.months

    def month(self, number: int) -> date:
        """The first day of a month; number 0 is the oldest."""
        first = self.today.replace(day=1)
        for _ in range(self.months - number):
            first = (first - timedelta(days=1)).replace(day=1)
        return first


class _Step(msgspec.Struct, frozen=True):
    name: str
    work: Callable[[Connection], None]


def fill_ledger(database: Engine, ledger: Ledger, schema: str, console: Console) -> None:
    """Fill a schema of its own, or go on with one that was begun with the same sizes."""
    with database.begin() as connection:
        ensure_schema(connection, schema)
        connection.execute(text("CREATE TABLE IF NOT EXISTS bench_fill (step text PRIMARY KEY)"))
        done = set(connection.execute(text("SELECT step FROM bench_fill")).scalars())
    steps = list(_steps(ledger))
    with _progress(console) as progress:
        bar = progress.add_task("", total=len(steps) + 2, completed=len(done))
        if "coalition" not in done:
            migrate(database)
            make_coalition(database, ledger.today)
            with database.begin() as connection:
                connection.execute(_PAST_WINDOWS, {"first": ledger.month(0), "today": ledger.today})
                _note(connection, "coalition")
            progress.advance(bar)
        for step in steps:
            if step.name in done:
                continue
            progress.update(bar, description=step.name)
            with database.begin() as connection:
                connection.execute(text("SET LOCAL maintenance_work_mem = '1GB'"))
                connection.execute(
                    text("SET LOCAL synchronous_commit = off")
                )  # a step that is lost is done again
                step.work(connection)
                _note(connection, step.name)
            progress.advance(bar)
        if "settled" not in done:
            progress.update(bar, description="vacuum")
            with database.begin() as connection:
                ensure_partitions(connection, ledger.today, ledger.today + timedelta(days=62))
            settle_in(database)
            with database.begin() as connection:
                _note(connection, "settled")
            progress.advance(bar)


@contextmanager
def _progress(console: Console) -> Iterator[Progress]:
    columns = (BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TextColumn("{task.description}"))
    with Progress(*columns, console=console) as progress:
        yield progress


def _note(connection: Connection, step: str) -> None:
    connection.execute(text("INSERT INTO bench_fill VALUES (:step)"), {"step": step})


_PAST_WINDOWS = text(
    "INSERT INTO clearing_window (window_id, business_date, opened_at, closed_at, lapsed_through)"
    " SELECT to_char(day, 'YYYYMMDD')::integer, day::date, day, day + interval '1 day', day::date"
    " FROM generate_series(CAST(:first AS date), CAST(:today AS date) - 1, interval '1 day') day"
)
_MEMBER_PARTNER = f"({FIRST_PARTNER} + m * 7 % {PARTNERS})::integer"
_POINTS = "(10 + m % 90)"
_UNCHECKED = f"({CARD_PREFIX * 10**11} + m)"
_DIGITS = " + ".join(
    f"({_UNCHECKED} / {10**place} % 10)"
    if place % 2
    else f"({_UNCHECKED} / {10**place} % 10 * 2"
    f" - CASE WHEN {_UNCHECKED} / {10**place} % 10 > 4 THEN 9 ELSE 0 END)"
    for place in range(15)
)
_CARD = f"({_UNCHECKED} * 10 + (10 - ({_DIGITS}) % 10) % 10)"
_EXPIRES = "(CAST(:month AS date) + interval '25 months' - interval '1 day')::date"
# Entries of a month come in no order of members, over 28 days.
_AT = "CAST(:month AS timestamptz) + n * (interval '28 days' / :members)"
_MEMBERS = "generate_series(CAST(:first AS bigint), :last) m"
_SHUFFLED = (
    "(SELECT n, (n * 2654435761 + :number) % :members + 1 AS m FROM generate_series(0, :members - 1) n) s"
)
_ENTRY_ID = f"""(lpad(to_hex((extract(epoch FROM {_AT}) * 1000)::bigint), 12, '0') || '7'
    || lpad(to_hex(n % 4096), 3, '0') || lpad(to_hex(8388608 + n % 4194304), 6, '0')
    || lpad(to_hex(m), 10, '0'))::uuid"""
_WINDOW = f"to_char({_AT}, 'YYYYMMDD')::integer"

_PLAIN = {
    "member": (
        "member_id, public_id, enrolled_by, enrolled_at",
        f"m, md5('member' || m)::uuid, {_MEMBER_PARTNER}, CAST(:opened AS timestamptz)",
    ),
    "card": (
        "card_number, member_id, issued_at, issued_to",
        f"{_CARD}, m, CAST(:opened AS timestamptz), m",
    ),
    "account": ("member_id, unit, balance", f"m, 1, {_POINTS} * :months"),
}
"""Tables with a row a member."""
_MONTHLY = {
    "lot": (
        "member_id, unit, issuer_id, terms_version, spendable_on, expires_on, remaining",
        f"m, 1, {_MEMBER_PARTNER}, 2, '1970-01-01', {_EXPIRES}, {_POINTS}",
    ),
}
"""Tables with a row a member and month."""
_ENTRIES = f"""member_id, entry_id, kind, partner_id, window_id, programme_version, points, balance_after,
        amount_minor, occurred_at, recorded_at, currency, outlet_code, reference:
    SELECT m, {_ENTRY_ID}, {int(EntryKind.ACCRUAL)}, {_MEMBER_PARTNER}, {_WINDOW}, 1, {_POINTS},
        {_POINTS} * (:number + 1), 100 * {_POINTS}, {_AT}, {_AT}, '{CURRENCY}', '{OUTLET}',
        'till ' || n % 400 || ' receipt ' || :number || '-' || n
    FROM {_SHUFFLED}
"""
_IDEMPOTENCY = f"""
    INSERT INTO idempotency (request_key, content_hash, entry_id, recorded_on)
    SELECT md5('r' || :number || '-' || n)::uuid, md5('c' || n)::uuid, {_ENTRY_ID}, ({_AT})::date
    FROM {_SHUFFLED}
"""
_POSTINGS = f"""member_id, entry_id, line, debit, credit, points, issuer_id, issuer_terms, unit, window_id,
        spendable_on, expires_on:
    SELECT m, {_ENTRY_ID}, 1, {int(AccountKind.ISSUED)}, {int(AccountKind.MEMBER)}, {_POINTS},
        {_MEMBER_PARTNER}, 2, 1, {_WINDOW}, '1970-01-01', {_EXPIRES}
    FROM {_SHUFFLED}
"""


def _steps(ledger: Ledger) -> Iterator[_Step]:
    tables = (*_PLAIN, *_MONTHLY, "idempotency")
    for name in tables:
        yield _Step(f"{name}: keys taken off", partial(_take_off_keys, table=name))
    opened = datetime.combine(ledger.month(0), time(), tzinfo=UTC)
    for first in range(1, ledger.members + 1, _CHUNK):
        last = min(first + _CHUNK - 1, ledger.members)
        given = {"first": first, "last": last, "months": ledger.months, "opened": opened}
        for name in _PLAIN:
            yield _Step(f"{name} {last:,}", partial(_insert, table=name, given=given))
        for number in range(ledger.months):
            month = ledger.month(number)
            monthly = {**given, "number": number, "month": month}
            for name in _MONTHLY:
                yield _Step(f"{name} {month:%Y-%m} {last:,}", partial(_insert, table=name, given=monthly))
    for number in range(ledger.months):
        month = ledger.month(number)
        whole = {"members": ledger.members, "number": number, "month": month}
        for table, query in ((entry, _ENTRIES), (posting, _POSTINGS)):
            filling = partial(fill_partition, table=table, month=month, query=query, given=whole)
            yield _Step(f"{table.name} {month:%Y-%m}", filling)
        yield _Step(f"idempotency {month:%Y-%m}", partial(_run, sql=_IDEMPOTENCY, given=whole))
    for name in tables:
        yield _Step(f"{name}: keys", partial(_put_keys_back, table=name))


def _insert(connection: Connection, *, table: str, given: Mapping[str, object]) -> None:
    columns, values = (_PLAIN | _MONTHLY)[table]
    connection.execute(text(f"INSERT INTO {table} ({columns}) SELECT {values} FROM {_MEMBERS}"), given)


def _run(connection: Connection, *, sql: str, given: Mapping[str, object]) -> None:
    connection.execute(text(sql), given)


_KEYS = text(
    "SELECT i.indexrelid::regclass::text AS name, pg_get_indexdef(i.indexrelid) AS made,"
    " c.conname, pg_get_constraintdef(c.oid) AS constraint"
    " FROM pg_index i LEFT JOIN pg_constraint c ON c.conindid = i.indexrelid"
    " WHERE i.indrelid = CAST(:table AS regclass)"
)


def _take_off_keys(connection: Connection, table: str) -> None:
    """Drop a table's indexes, and remember how each is made."""
    connection.execute(text("CREATE TABLE IF NOT EXISTS bench_keys (table_name text, made text)"))
    for key in connection.execute(_KEYS, {"table": table}).all():
        if key.conname is None:
            made, dropped = key.made, f"DROP INDEX {key.name}"
        else:
            made = f"ALTER TABLE {table} ADD CONSTRAINT {key.conname} {key.constraint}"
            dropped = f"ALTER TABLE {table} DROP CONSTRAINT {key.conname}"
        connection.execute(
            text("INSERT INTO bench_keys VALUES (:table, :made)"), {"table": table, "made": made}
        )
        connection.exec_driver_sql(dropped)


def _put_keys_back(connection: Connection, table: str) -> None:
    kept: Sequence[str] = (
        connection.execute(text("SELECT made FROM bench_keys WHERE table_name = :table"), {"table": table})
        .scalars()
        .all()
    )
    for made in kept:
        connection.exec_driver_sql(made)
