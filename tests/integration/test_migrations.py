"""Migrations equal the tables, run in any schema, and keep the ledger's rows as they were written."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime
from uuid import UUID

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import URL, Connection, Engine, inspect, text
from sqlalchemy.exc import IntegrityError

from config.database import ensure_schema, make_engine, migrate
from config.settings import PROJECT
from network import award_tables, game_tables, member_tables
from network.ids import mint
from network.tables import entry, posting
from network.tables import metadata as network_metadata
from partners.hooks import tables as hook_tables
from partners.people.tables import metadata as people_metadata
from partners.tables import contract_terms, partner
from partners.tables import metadata as partners_metadata
from settlement import money_tables
from settlement.bank import tables as bank_tables
from settlement.tables import metadata as settlement_metadata

METADATAS = [people_metadata, partners_metadata, network_metadata, settlement_metadata]
MEMBERS = member_tables.member_login
"""Its module adds the tables of members who sign in."""
AWARDS = award_tables.award
"""Its module adds those of awards."""
GAMES = game_tables.game_match
"""Its module adds those of games."""
MONEY = money_tables.money_entry
"""Its module puts the tables of money into the settlement room's metadata."""
BANK = bank_tables.bank_account
"""Its module adds the bank's."""
HOOKS = hook_tables.webhook_endpoint
"""Its module adds the webhooks' to the partners room's."""
OURS = {"schema_revision"}

CATALOGUE = """
SELECT c.relname, c.relkind, c.relpersistence, array_to_string(c.reloptions, ',') AS options,
       pg_get_partkeydef(c.oid) AS partitioned_by,
       (SELECT array_agg(row(a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull,
                             pg_get_expr(d.adbin, d.adrelid))::text ORDER BY a.attnum)
        FROM pg_attribute a LEFT JOIN pg_attrdef d ON (d.adrelid, d.adnum) = (a.attrelid, a.attnum)
        WHERE a.attrelid = c.oid AND a.attnum > 0) AS columns,
       (SELECT array_agg(row(k.conname, pg_get_constraintdef(k.oid))::text ORDER BY k.conname)
        FROM pg_constraint k WHERE k.conrelid = c.oid AND k.contype <> 't') AS constraints,
       (SELECT array_agg(replace(pg_get_indexdef(i.indexrelid), :schema || '.', '')
                         ORDER BY i.indexrelid::regclass::text)
        FROM pg_index i WHERE i.indrelid = c.oid) AS indexes,
       (SELECT row(s.seqtypid::regtype, s.seqstart, s.seqincrement, s.seqcache)::text
        FROM pg_sequence s WHERE s.seqrelid = c.oid) AS sequence
FROM pg_class c
WHERE c.relnamespace = CAST(:schema AS regnamespace) AND c.relkind IN ('r', 'p', 'S') AND NOT c.relispartition
ORDER BY c.relname
"""


def catalogue(connection: Connection, schema: str) -> dict[str, tuple[object, ...]]:
    """What the database says of each table and sequence of a schema, by name."""
    rows = connection.execute(text(CATALOGUE), {"schema": schema})
    return {row.relname: tuple(row)[1:] for row in rows if row.relname not in OURS}


def migrated(url: URL, schema: str) -> Engine:
    """An engine on a schema that was made and migrated just now."""
    engine = make_engine(url, schema=schema)
    with engine.begin() as connection:
        ensure_schema(connection, schema)
    migrate(engine)
    return engine


def write_posting(connection: Connection) -> UUID:
    """One accrual of 12 points in May 2017, with its posting."""
    at = datetime(2017, 5, 3, 12, 0, tzinfo=UTC)
    entry_id = mint(at, 7)
    key = {"member_id": 7, "entry_id": entry_id, "window_id": 20170503}
    connection.execute(
        entry.insert(),
        {
            **key,
            "kind": 2,
            "partner_id": 11,
            "programme_version": 1,
            "points": 12,
            "balance_after": 12,
            "amount_minor": 1250,
            "occurred_at": at,
            "recorded_at": at,
            "currency": "USD",
            "outlet_code": "0031",
            "reference": "r-1",
        },
    )
    connection.execute(
        posting.insert(),
        {
            **key,
            "line": 1,
            "debit": 2,
            "credit": 1,
            "points": 12,
            "issuer_id": 11,
            "issuer_terms": 1,
            "unit": 1,
            "spendable_on": date(2017, 5, 3),
            "expires_on": date(2017, 8, 31),
        },
    )
    return entry_id


def test_autogenerate_finds_nothing_to_do(database: Engine) -> None:
    """Alembic, asked to bring the migrated schema to the three rooms' tables, has no step to propose."""
    with database.connect() as connection:
        context = MigrationContext.configure(
            connection,
            opts={
                "version_table": "schema_revision",
                "compare_type": True,
                "compare_server_default": True,
                "include_name": lambda name, kind, _: kind != "table" or "_p20" not in str(name),
            },
        )
        found = compare_metadata(context, METADATAS)  # type: ignore[arg-type]  # a list is documented
        assert found == []


def test_the_catalogue_is_the_same_as_the_tables_make(empty_database: URL) -> None:
    """Also what Alembic does not compare is equal: column order, checks, partitioning, fill factors."""
    engine = migrated(empty_database, "migrated")
    made = make_engine(empty_database, schema="made")
    with made.begin() as connection:
        ensure_schema(connection, "made")
        for metadata in METADATAS:
            metadata.create_all(connection)
        with engine.connect() as other:
            assert catalogue(other, "migrated") == catalogue(connection, "made")
    engine.dispose()
    made.dispose()


def test_migrations_stay_in_the_schema_that_was_chosen(empty_database: URL) -> None:
    """Two schemas of one database are migrated side by side, and nothing lands in `public`."""
    for schema in ("alpha", "beta"):
        engine = migrated(empty_database, schema)
        names = set(inspect(engine).get_table_names(schema=schema))
        assert {"posting", "contract_terms", "settlement_run", "schema_revision"} <= names
        assert inspect(engine).get_table_names(schema="public") == []
        engine.dispose()


def test_migrations_at_once_take_turns(empty_database: URL) -> None:
    """Three threads and two processes migrate one empty schema: all succeed, the revision is there once."""
    engine = make_engine(empty_database, schema="tessera")
    with engine.begin() as connection:
        ensure_schema(connection, "tessera")
    script = (
        "import sys; from config.database import make_engine, migrate\n"
        "engine = make_engine(sys.argv[1], schema='tessera'); migrate(engine); engine.dispose()"
    )
    command = [sys.executable, "-c", script, empty_database.render_as_string(hide_password=False)]
    with ThreadPoolExecutor(5) as pool:
        threads = [pool.submit(migrate, engine) for _ in range(3)]
        processes = [
            pool.submit(subprocess.run, command, cwd=PROJECT, check=False, timeout=60) for _ in range(2)
        ]
        assert [thread.result() for thread in threads] == [None] * 3
        assert [process.result().returncode for process in processes] == [0, 0]
    with engine.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM schema_revision")).scalar_one() == 1
    engine.dispose()


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE posting SET points = 13",
        "DELETE FROM posting",
        "TRUNCATE posting",
        "UPDATE posting_p201705 SET points = 13",
        "DELETE FROM posting_p201705",
        "UPDATE entry SET reference = 'other'",
        "DELETE FROM entry",
        "TRUNCATE entry",
        "UPDATE entry_p201705 SET balance_after = 0",
        "DELETE FROM entry_p201705",
        "TRUNCATE posting_p201705",
        "TRUNCATE entry_p201705",
        "UPDATE entry SET entry_id = '01600000-0000-7000-8000-000000000007'",
    ],
)
def test_what_was_written_to_the_ledger_stays(owner_database: Engine, statement: str) -> None:
    """Even their owner neither changes nor removes entries and postings, through the parent or a leaf."""
    with owner_database.begin() as connection:
        write_posting(connection)
    with pytest.raises(IntegrityError, match="never changed"), owner_database.begin() as connection:
        connection.execute(text(statement))
    with owner_database.connect() as connection:
        assert connection.execute(text("SELECT points, member_id FROM posting_p201705")).all() == [(12, 7)]
        assert connection.execute(text("SELECT reference FROM entry_p201705")).all() == [("r-1",)]


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE contract_terms SET issue_price = 0",
        "DELETE FROM contract_terms",
        "TRUNCATE contract_terms CASCADE",
    ],
)
def test_activated_terms_stay(owner_database: Engine, statement: str) -> None:
    """A version of a contract is superseded by a later one, never edited."""
    with owner_database.begin() as connection:
        connection.execute(
            partner.insert(), {"partner_id": 11, "code": "petrol", "name": "Petrol", "kind": "partner"}
        )
        connection.execute(
            contract_terms.insert(),
            {
                "partner_id": 11,
                "terms_version": 1,
                "effective_on": date(2017, 1, 1),
                "currency": "USD",
                "funding_share": 1,
                "issue_price": "0.01",
                "reimbursement_rate": "0.008",
                "prepared_by": "maker",
                "activated_by": "checker",
            },
        )
    with pytest.raises(IntegrityError, match="never changed"), owner_database.begin() as connection:
        connection.execute(text(statement))


def test_a_window_can_be_closed_once_and_then_stays(owner_database: Engine) -> None:
    """An open window may change and be closed; a closed one is not changed, reopened or removed."""
    opened, closed = datetime(2017, 5, 3, tzinfo=UTC), datetime(2017, 5, 4, tzinfo=UTC)
    with owner_database.begin() as connection:
        connection.execute(
            text("INSERT INTO clearing_window VALUES (20170503, '2017-05-03', :opened, NULL, '2017-05-03')"),
            {"opened": opened},
        )
        connection.execute(text("UPDATE clearing_window SET lapsed_through = '2017-05-04'"))
        connection.execute(text("UPDATE clearing_window SET closed_at = :closed"), {"closed": closed})
    for statement in (
        "UPDATE clearing_window SET closed_at = NULL",
        "UPDATE clearing_window SET lapsed_through = '2017-05-05'",
        "DELETE FROM clearing_window",
        "TRUNCATE clearing_window",
    ):
        with pytest.raises(IntegrityError, match="never changed"), owner_database.begin() as connection:
            connection.execute(text(statement))
