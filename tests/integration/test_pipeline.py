"""Statements that travel together: their errors, and what is left of connections after them."""

import pytest
from sqlalchemy import URL, Connection, Engine, text
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError

from config.database import make_engine
from network.batch import execute
from network.errors import InvariantBroken, Unavailable
from network.pipeline import Pipeline
from tests.coalition import entry_of, new_card, sale, set_up
from tests.conftest import SCHEMA, as_owner

_ONE = text("SELECT :number + 1")


def send(connection: Connection, *statements: str) -> None:
    """Statements in one round trip."""
    with Pipeline(connection) as pipeline:
        for statement in statements:
            pipeline.ask(text(statement))


def test_answers_come_in_order_and_in_one_transaction(database: Engine) -> None:
    """Each statement has its own answer; what the block wrote is there only after the commit."""
    set_up(database)
    with database.begin() as connection:
        with Pipeline(connection) as pipeline:
            asked = [pipeline.ask(_ONE, {"number": number}) for number in range(3)]
            assert [answer.first() for answer in asked] == [(1,), (2,), (3,)]
            pipeline.change(text("UPDATE network SET clock = clock"), {}, 1, "clock")
        assert connection.execute(_ONE, {"number": 7}).scalar_one() == 8


def test_other_rows_than_expected_are_an_invariant_broken(database: Engine) -> None:
    """The block ends with what was changed and what should have been; the connection can be used again."""
    set_up(database)
    with database.connect() as connection:
        with (
            pytest.raises(InvariantBroken, match="clock: 1 rows, expected 2"),
            Pipeline(connection) as pipeline,
        ):
            pipeline.change(text("UPDATE network SET clock = clock"), {}, 2, "clock")
        connection.rollback()
        assert connection.execute(_ONE, {"number": 1}).scalar_one() == 2


def test_the_first_error_is_told_and_the_rest_is_not_done(database: Engine) -> None:
    """A CHECK in the middle is SQLAlchemy's IntegrityError; what follows it was not carried out."""
    set_up(database)
    with database.connect() as connection:
        with pytest.raises(IntegrityError, match="network_is_one"):
            send(
                connection,
                "INSERT INTO network VALUES (2, 'x', 'UTC', '00:00', 'USD', NULL)",
                "UPDATE network SET clock = NULL",
            )
        connection.rollback()
        assert connection.execute(text("SELECT clock FROM network")).scalar_one() is not None


def test_a_statement_that_was_prepared_before_an_error_is_known_after_it(database: Engine) -> None:
    """What the server was taught in a block that failed is neither taught twice nor forgotten."""
    set_up(database)
    with database.connect() as connection:
        for _ in range(3):
            with pytest.raises(IntegrityError, match="network_is_one"):
                send(
                    connection,
                    "SELECT 1 AS first",
                    "INSERT INTO network VALUES (2, 'x', 'UTC', '00:00', 'USD', NULL)",
                    "SELECT 2 AS never",
                )
            connection.rollback()
        send(connection, "SELECT 2 AS never", "SELECT 1 AS first")


def test_a_statement_that_the_server_forgot_is_prepared_again(database: Engine) -> None:
    """As behind a pooler that changes servers: one block fails with its name, the next is carried out."""
    set_up(database)
    with database.connect() as connection:
        send(connection, "SELECT 3 AS forgotten")
        connection.execute(text("DEALLOCATE ALL"))
        with pytest.raises(DBAPIError, match="does not exist"):
            send(connection, "SELECT 3 AS forgotten")
        connection.rollback()
        send(connection, "SELECT 3 AS forgotten")


def test_a_statement_whose_table_a_migration_changed_is_prepared_again(owner_database: Engine) -> None:
    """PostgreSQL refuses to answer with other types than at first: once, and not until we are restarted."""
    with owner_database.connect() as connection:
        connection.execute(text("CREATE TEMPORARY TABLE changing AS SELECT 1 AS number"))
        send(connection, "SELECT number FROM changing")
        connection.execute(text("ALTER TABLE changing ALTER COLUMN number TYPE bigint"))
        connection.commit()
        with pytest.raises(DBAPIError, match="must not change result type"):
            send(connection, "SELECT number FROM changing")
        connection.rollback()
        send(connection, "SELECT number FROM changing")


def test_changes_of_many_rows_are_planned_for_their_values(migrated_url: URL) -> None:
    """On a connection that plans once, too: these changes alone, and not what follows them."""
    engine = make_engine(migrated_url, schema=SCHEMA, plans_once=True)
    mode = (
        "INSERT INTO told SELECT current_setting('plan_cache_mode')"
        " FROM generate_series(1, CAST(:rows AS int))"
    )
    with engine.begin() as connection:
        connection.execute(text("CREATE TEMPORARY TABLE told (mode text)"))
        with Pipeline(connection) as pipeline:
            for rows in (1, 65, 66, 2, 67):
                pipeline.change(text(mode), {"rows": rows}, rows, "told")
        told = connection.execute(text("SELECT mode, count(*) FROM told GROUP BY 1 ORDER BY 1"))
        assert [tuple(row) for row in told] == [("force_custom_plan", 198), ("force_generic_plan", 3)]
        assert connection.scalar(text("SHOW plan_cache_mode")) == "force_generic_plan"
    engine.dispose()


def test_a_text_with_a_nul_is_refused(database: Engine) -> None:
    """libpq would cut it off there, and store what is before it."""
    set_up(database)
    with (
        database.connect() as connection,
        pytest.raises(DataError, match="NUL"),
        Pipeline(connection) as pipeline,
    ):
        pipeline.ask(text("SELECT CAST(:word AS text)"), {"word": "be\0fore"})


def test_after_a_restart_one_batch_fails_and_not_one_for_each_connection(database: Engine) -> None:
    """Connections that died together are given up together."""
    live = set_up(database)
    card = new_card(database, live)
    connections = [database.connect() for _ in range(4)]
    for connection in connections:
        connection.close()
    with as_owner(database) as connection:
        connection.execute(
            text(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        )
    failed = 0
    for number in range(5):
        try:
            execute(database, [sale(card, 1_00, f"s{number}")], live)
        except Unavailable:
            failed += 1
    assert failed <= 1
    [reply] = execute(database, [sale(card, 1_00, "last")], live)
    assert entry_of(reply).points == 1
