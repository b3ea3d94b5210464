"""Ledgers as large as wanted, made by the database itself from numbers: set-based, through the real schema.

Row n is a function of n, so a fill can go on where it was stopped, and two fills of one size are equal. A
partition is filled before it has indexes and is attached, because a random key a row costs more than a sort.
"""

from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, Engine, Table, text

from network.model import AccountKind, EntryKind
from network.service import (
    Network,
    apply_programme,
    create_network,
    ensure_partitions,
    open_first_window,
    window_id_of,
)
from network.tables import entry, posting
from partners.model import OPERATOR_ID, POOL_ID, Participant, Terms
from partners.store import add_outlets, add_participants, add_terms

PARTNERS = 40
FIRST_PARTNER = 11
ZONE = "Europe/Berlin"
CURRENCY = "EUR"
OUTLET = "main"
PROGRAMME = f"""
name = "bench"
[earn.default]
step_minor = 100
points_per_step = 1
[expiry]
months = 24
[earn.partner.p{FIRST_PARTNER}]
step_minor = 100
points_per_step = 2
"""


def make_coalition(database: Engine, business_date: date) -> None:
    """Forty partners with three versions of terms each, a programme, and `business_date` as first window."""
    numbers = range(FIRST_PARTNER, FIRST_PARTNER + PARTNERS)
    opened = datetime.combine(business_date, time(), tzinfo=ZoneInfo(ZONE)).astimezone(UTC)
    with database.begin() as connection:
        create_network(
            connection,
            Network(name="bench", time_zone=ZONE, cut_off=time(), currency=CURRENCY),
        )
        add_participants(
            connection,
            [
                Participant(partner_id=OPERATOR_ID, code="operator", name="Operator", kind="operator"),
                Participant(partner_id=POOL_ID, code="pool", name="Pool", kind="pool"),
                *(Participant(partner_id=one, code=f"p{one}", name=f"Partner {one}") for one in numbers),
            ],
        )
        add_outlets(connection, [(one, OUTLET, "Main street") for one in numbers])
        add_terms(
            connection,
            [
                _terms(one, version, effective_on)
                for one in numbers
                for version, effective_on in enumerate(_versions_since(one, business_date), start=1)
            ],
            prepared_by="maker",
            activated_by="checker",
        )
        apply_programme(connection, PROGRAMME, at=opened, applied_by="bench")
        open_first_window(connection, business_date, opened)


def _versions_since(partner_id: int, on: date) -> tuple[date, ...]:
    """A contract is superseded about once a year; every eighth partner's was five days ago."""
    days = (5, 370, 735) if partner_id % 8 == 0 else (100, 465, 830)
    return tuple(on - timedelta(days=before) for before in reversed(days))


def _terms(partner_id: int, version: int, effective_on: date) -> Terms:
    """Contracts of all three kinds of funding, each a little different."""
    return Terms(
        partner_id=partner_id,
        terms_version=version,
        effective_on=effective_on,
        currency=CURRENCY,
        funding_share=(Decimal(1), Decimal(0), Decimal("0.5"))[partner_id % 3],
        issue_price=Decimal("0.0090") + Decimal("0.0001") * (partner_id % 7 + version),
        reimbursement_rate=Decimal("0.0070") + Decimal("0.0001") * (partner_id % 5 + version),
        fee_per_issued_point=Decimal("0.0004"),
        fee_per_transaction=Decimal("0.015"),
        fee_bps_of_credits=Decimal(125),
        vat_bps=2000,
    )


def fill_partition(
    connection: Connection, table: Table, month: date, query: str, given: Mapping[str, object]
) -> None:
    """Make a month's partition of rows that a query gives, then its indexes, and attach it.

    Args:
        table: `entry` or `posting`; the month must have no partition of it yet.
        query: Gives all columns of the table that it names, in the order `columns: query`.
    """
    leaf = f"{table.name}_p{month:%Y%m}"
    columns, _, rows = query.partition(":")
    connection.execute(text("SET LOCAL maintenance_work_mem = '1GB'"))
    connection.execute(
        text(f"CREATE TABLE {leaf} (LIKE {table.name} INCLUDING DEFAULTS INCLUDING CONSTRAINTS)")
    )
    connection.execute(text(f"INSERT INTO {leaf} ({columns}) {rows}"), given)
    key = ", ".join(column.name for column in table.primary_key.columns)
    connection.execute(text(f"ALTER TABLE {leaf} ADD PRIMARY KEY ({key})"))
    for index in table.indexes:
        connection.execute(text(f"CREATE INDEX ON {leaf} ({', '.join(index.columns.keys())})"))
    following = (month + timedelta(days=32)).replace(day=1)
    low, high = (_floor_of(first) for first in (month, following))
    connection.execute(
        text(f"ALTER TABLE {table.name} ATTACH PARTITION {leaf} FOR VALUES FROM ('{low}') TO ('{high}')")
    )
    connection.execute(text("SELECT never_empties(:leaf)"), {"leaf": leaf})


def _floor_of(month: date) -> str:
    at = datetime.combine(month, time(), tzinfo=UTC)
    return f"{int(at.timestamp()) * 1000:012x}{'0' * 20}"


# The numbers of a window. n: an entry; k: what happens in it; h: 32 bits that look like chance.
# Of a hundred entries 82 are sales, 2 sales too small for a point, 10 redemptions (of one to three lots),
# 4 returns, and a hold with its capture: 108 postings. Later entries of a day have later ids; members come in
# no order; partners are as unlike in size as they are in life.
_NUMBERS = f"""
    SELECT n, n % 100 AS k, h,
        (CASE n % 100 WHEN 99 THEN n - 1 ELSE n END * 2654435761 % :members) + 1 AS member_id,
        {FIRST_PARTNER} + ({PARTNERS} * ((h & 65535)::bigint * (h & 65535)) >> 32)::integer AS partner_id,
        CAST(:opened AS timestamptz) + interval '6 hours' + n * (interval '16 hours' / :entries)
            AS recorded_at,
        CASE WHEN (h >> 16) % 33 = 0 THEN 1 + (h >> 20) % 20 ELSE 0 END AS days_late
    FROM (SELECT n, hashint8extended(n, 1)::bit(32)::bigint AS h FROM generate_series(0, :entries - 1) n) g
"""
_ID = """(lpad(to_hex((extract(epoch FROM {at}) * 1000)::bigint), 12, '0') || '7'
    || lpad(to_hex({n} % 4096), 3, '0') || lpad(to_hex(8388608 + {n} % 4194304), 6, '0')
    || lpad(to_hex({member}), 10, '0'))::uuid"""
_ENTRY_ID = _ID.format(at="recorded_at", n="n", member="member_id")
_HOLD_ID = _ID.format(
    at="CAST(:opened AS timestamptz) + interval '6 hours' + (n - 1) * (interval '16 hours' / :entries)",
    n="(n - 1)",
    member="member_id",
)
_ENTRIES = f"""member_id, entry_id, kind, partner_id, window_id, programme_version, points, balance_after,
        amount_minor, occurred_at, recorded_at, currency, outlet_code, reference, hold_id:
    SELECT member_id, {_ENTRY_ID},
        CASE WHEN k < 84 THEN {int(EntryKind.ACCRUAL)} WHEN k < 94 THEN {int(EntryKind.REDEMPTION)}
            WHEN k < 98 THEN {int(EntryKind.REVERSAL)} WHEN k = 98 THEN {int(EntryKind.HOLD)}
            ELSE {int(EntryKind.CAPTURE)} END,
        partner_id, :window_id, 1,
        CASE WHEN k < 82 THEN 1 WHEN k < 84 OR k = 99 THEN 0 ELSE -1 END * (1 + h % 90), 100 + h % 5000,
        100 * (1 + h % 90), recorded_at - days_late * interval '1 day', recorded_at, '{CURRENCY}',
        '{OUTLET}', 'till ' || h % 400 || ' receipt ' || n,
        CASE k WHEN 99 THEN {_HOLD_ID} END
    FROM ({_NUMBERS}) e
"""
_POSTINGS = f"""member_id, entry_id, line, debit, credit, points, issuer_id, issuer_terms, acceptor_id,
        acceptor_terms, unit, window_id, reversed_window_id, spendable_on, expires_on:
    SELECT member_id, {_ENTRY_ID}, line,
        CASE WHEN k < 82 THEN {int(AccountKind.ISSUED)} WHEN k = 99 THEN {int(AccountKind.HELD)}
            ELSE {int(AccountKind.MEMBER)} END,
        CASE WHEN k < 82 THEN {int(AccountKind.MEMBER)} WHEN k < 94 OR k = 99 THEN {int(AccountKind.ACCEPTED)}
            WHEN k < 98 THEN {int(AccountKind.ISSUED)} ELSE {int(AccountKind.HELD)} END,
        1 + h % 90,
        CASE WHEN k < 82 OR k BETWEEN 94 AND 97 THEN partner_id
            ELSE {FIRST_PARTNER} + ({PARTNERS} * ((d & 65535)::bigint * (d & 65535)) >> 32)::integer END,
        CASE WHEN k < 82 THEN version ELSE 2 + (d >> 16) % 2 END,
        CASE WHEN k BETWEEN 84 AND 93 OR k = 99 THEN partner_id END,
        CASE WHEN k BETWEEN 84 AND 93 OR k = 99 THEN version END,
        1, :window_id,
        CASE WHEN k BETWEEN 94 AND 97 THEN
            to_char(CAST(:on AS date) - ((h >> 24) % 28)::integer, 'YYYYMMDD')::integer END,
        '1970-01-01', (CAST(:on AS date) + 30 * (1 + h % 24)::integer)
    FROM ({_NUMBERS}) e
    CROSS JOIN LATERAL generate_series(1, CASE WHEN k BETWEEN 84 AND 93 THEN 1 + n / 100 % 3 ELSE 1 END) line
    CROSS JOIN LATERAL (SELECT CASE WHEN partner_id % 8 = 0 AND days_late > 5 THEN 2 ELSE 3 END AS version) v
    CROSS JOIN LATERAL (SELECT hashint8extended(n * 4 + line, 2)::bit(32)::bigint AS d) l
    WHERE k NOT BETWEEN 82 AND 83
"""


def fill_window(database: Engine, business_date: date, *, postings: int, members: int) -> None:
    """Fill the open window of a business date with at least so many postings; nobody has an account.

    The night reads entries and postings alone, so members, cards and lots are left out.
    """
    month = business_date.replace(day=1)
    opened = datetime.combine(business_date, time(), tzinfo=ZoneInfo(ZONE)).astimezone(UTC)
    given = {
        "entries": -(-postings // 324)
        * 300,  # of 300 entries one in ten draws one, two and three lots in turn
        "members": members,
        "opened": opened,
        "on": business_date,
        "window_id": window_id_of(business_date),
    }
    with database.begin() as connection:
        fill_partition(connection, entry, month, _ENTRIES, given)
        fill_partition(connection, posting, month, _POSTINGS, given)
    with database.begin() as connection:
        ensure_partitions(connection, month, month + timedelta(days=62))
    settle_in(database)


def settle_in(database: Engine) -> None:
    """What autovacuum does to a table in time: statistics, and pages marked as seen by all."""
    with database.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("VACUUM ANALYZE"))
