"""The database: the embedded PostgreSQL or the one of TESSERA_DATABASE_URL, its schema, its migrations."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import URL, Connection, Engine, NullPool, create_engine, make_url, text
from sqlalchemy.exc import ArgumentError, DBAPIError, OperationalError

from config.cluster import postgres_home
from config.errors import DatabaseError
from config.postgres import Server, embedded_server
from config.settings import PROJECT, Settings

OLDEST_POSTGRES = 15
DATABASE = "tessera"
"""Name of our database on the embedded server."""

_DRIVER = "postgresql+psycopg"
_ACCEPTED_SCHEMES = ("postgres", "postgresql", _DRIVER)
_ONE_AT_A_TIME = 7_835_231_904_412
"""Key of the advisory lock under which a schema is made and migrated."""
_MIGRATION_LOCK_TIMEOUT = "5s"
_ALEMBIC = threading.Lock()
"""Alembic keeps what it is doing in globals of its module, so threads take turns as well."""


def normalise_url(given: str) -> URL:
    """A database URL as SQLAlchemy wants it, with our driver.

    Raises:
        DatabaseError: it is no PostgreSQL URL. The text is not shown: it may hold a password.
    """
    try:
        url = make_url(given.strip())
    except ArgumentError:
        raise DatabaseError(
            "TESSERA_DATABASE_URL is no URL; write postgresql://user:password@host:5432/database"
        ) from None
    if url.drivername not in _ACCEPTED_SCHEMES:
        raise DatabaseError(
            f"TESSERA_DATABASE_URL starts with {url.drivername}://, and only PostgreSQL can be used: "
            "write postgresql://user:password@host:5432/database"
        )
    return url.set(drivername=_DRIVER)


def make_engine(
    url: URL | str,
    *,
    schema: str,
    lock_timeout_ms: int = 10_000,
    role: str | None = None,
    plans_once: bool = False,
) -> Engine:
    """An engine whose connections see our schema alone, speak UTC, and never wait long for a lock.

    Options that the URL already carries are kept, before ours.

    Args:
        role: What they act as from their first statement on; by default as who logs in.
        plans_once: For who sends the same prepared statements all day: each is planned once, and joins tables
            in the order in which it names them. PostgreSQL plans anew where values might pay, and among eight
            tables that took it 1.9 ms a batch of tills (docs/performance.md).
    """
    url = make_url(url)
    own = f"-c search_path={schema} -c timezone=UTC -c lock_timeout={lock_timeout_ms}"
    if role is not None:
        own += f" -c role={role}"
    if plans_once:
        own += " -c join_collapse_limit=1 -c plan_cache_mode=force_generic_plan"
    carried = url.query.get("options", "")
    options = f"{carried if isinstance(carried, str) else ' '.join(carried)} {own}".strip()
    return create_engine(
        url,  # its own options stay in it, for who opens it again; ours win
        hide_parameters=True,  # an error is logged, and its parameters name cards
        connect_args={
            "options": options,
            "application_name": "tessera",
            # Hot statements are prepared by network.pipeline. The driver's own way makes it forget all of a
            # connection's statements after a rollback, ours too.
            "prepare_threshold": None,
        },
    )


@contextmanager
def open_database(settings: Settings) -> Iterator[Engine]:
    """Open the database for the length of a block: the schema is there, its tables come with `migrate`.

    Raises:
        DatabaseError: it cannot be reached, is too old, or the schema cannot be made.
    """
    if settings.database_url is not None:
        with _engine_of(normalise_url(settings.database_url.get_secret_value()), settings) as engine:
            yield engine
        return
    with open_server(settings) as server:
        create_database(server, DATABASE)
        with _engine_of(make_url(server.url(DATABASE)), settings) as engine:
            yield engine


@contextmanager
def open_server(settings: Settings) -> Iterator[Server]:
    """The embedded server of the settings' home, for the length of a block."""
    with embedded_server(postgres_home(PROJECT, settings.home)) as server:
        yield server


def create_database(server: Server, name: str) -> None:
    """Make a database on the embedded server unless it is there."""
    admin = create_engine(server.url("postgres"), poolclass=NullPool, isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        if not connection.scalar(text("SELECT 1 FROM pg_database WHERE datname = :name"), {"name": name}):
            connection.execute(text(f"SELECT pg_advisory_lock({_ONE_AT_A_TIME})"))
            if not connection.scalar(text("SELECT 1 FROM pg_database WHERE datname = :name"), {"name": name}):
                connection.execute(text(f'CREATE DATABASE "{name}"'))


def migrate(engine: Engine) -> None:
    """Bring the schema of the engine's search_path to the newest revision; does nothing when it is there.

    Two at once take turns. All revisions that are missing happen in one transaction, or none.
    """
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    with _ALEMBIC, engine.begin() as connection:
        connection.execute(text(f"SELECT pg_advisory_xact_lock({_ONE_AT_A_TIME})"))
        connection.execute(text(f"SET LOCAL lock_timeout = '{_MIGRATION_LOCK_TIMEOUT}'"))
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


@contextmanager
def acting_as(database: Engine, role: str, settings: Settings) -> Iterator[Engine]:
    """The same database under a role of config.roles, for the length of a block; the schema is migrated.

    Raises:
        DatabaseError: the role is not there yet, or who logs in may not act as it.
    """
    engine = make_engine(
        database.url, schema=settings.database_schema, lock_timeout_ms=settings.lock_timeout_ms, role=role
    )
    try:
        try:
            engine.connect().close()
        except OperationalError as error:
            raise DatabaseError(
                f"cannot act as the role {role}: {error.orig}; run `tessera migrate` as the schema's owner, "
                f'and where another role logs in: GRANT "{role}" TO it'
            ) from error
        yield engine
    finally:
        engine.dispose()


@contextmanager
def _engine_of(url: URL, settings: Settings) -> Iterator[Engine]:
    schema = settings.database_schema
    engine = make_engine(url, schema=schema, lock_timeout_ms=settings.lock_timeout_ms)
    try:
        with _named_errors(url), engine.begin() as connection:
            _check_version(connection)
            ensure_schema(connection, schema)
        yield engine
    finally:
        engine.dispose()


@contextmanager
def _named_errors(url: URL) -> Iterator[None]:
    try:
        yield
    except OperationalError as error:
        raise DatabaseError(
            f"cannot reach the database {url.render_as_string(hide_password=True)}: {error.orig}; "
            "check TESSERA_DATABASE_URL, or unset it to use the embedded PostgreSQL"
        ) from error


def _check_version(connection: Connection) -> None:
    version = int(connection.scalar(text("SHOW server_version_num")) or 0)
    if version // 10_000 < OLDEST_POSTGRES:
        raise DatabaseError(
            f"the database is PostgreSQL {version // 10_000}, and {OLDEST_POSTGRES} or newer is needed; "
            "unset TESSERA_DATABASE_URL to use the embedded PostgreSQL"
        )


def ensure_schema(connection: Connection, schema: str) -> None:
    """Make the schema unless it is there.

    Raises:
        DatabaseError: the role may not make it.
    """
    there = text("SELECT 1 FROM pg_namespace WHERE nspname = :schema")
    if connection.scalar(there, {"schema": schema}):
        return
    connection.execute(text(f"SELECT pg_advisory_xact_lock({_ONE_AT_A_TIME})"))
    try:
        connection.execute(text(f'CREATE SCHEMA IF NOT EXISTS "{schema}"'))
    except DBAPIError as error:
        raise DatabaseError(
            f"cannot make the schema {schema!r}: {error.orig}; make it yourself, or GRANT CREATE ON DATABASE"
        ) from error
