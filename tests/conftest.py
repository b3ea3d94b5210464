"""Fixtures: one PostgreSQL per run, and for each test a database of its own, copied from a migrated one.

The embedded server of a run lies in a folder of its own, in memory where there is plenty, and ends with
the run. With TESSERA_DATABASE_URL the databases are made on that server instead, by a role that may do so.
Under pytest-xdist the controller owns server and template, and tells its workers where they are.
"""

import os
import secrets
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import URL, Connection, Engine, NullPool, create_engine, make_url, text
from sqlalchemy.exc import DBAPIError, ProgrammingError

from config.database import ensure_schema, make_engine, migrate, normalise_url
from config.postgres import embedded_server, sweep
from config.roles import application_role
from config.settings import PROJECT
from config.throwaway import throwaway_home
from network.service import ensure_partitions

SCHEMA = "tessera"
MONTHS = (date(2016, 12, 1), date(2018, 3, 31))
"""The partitions that the template has."""
_WORKERS_KEY = "tessera_run"


@dataclass(frozen=True)
class Run:
    """Where this run's databases are: a URL that may make databases, and the name of the template."""

    url: str
    template: str

    def of(self, database: str) -> URL:
        """The URL of a database of this run."""
        return make_url(self.url).set(database=database)


@contextmanager
def database_on(run: Run, *, template: str | None = None) -> Iterator[URL]:
    """A database with a name of its own for the length of a block."""
    name = f"tessera_test_{secrets.token_hex(6)}"
    copied = f' TEMPLATE "{template}" STRATEGY FILE_COPY' if template else ""
    admin = create_engine(run.url, poolclass=NullPool, isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        try:
            connection.execute(text(f'CREATE DATABASE "{name}"{copied}'))
        except ProgrammingError as error:
            raise pytest.UsageError(
                f"tests make databases of their own, and TESSERA_DATABASE_URL's role may not: {error.orig}"
                "\nALTER ROLE ... CREATEDB, or unset TESSERA_DATABASE_URL to use the embedded PostgreSQL"
            ) from None
    try:
        yield run.of(name)
    finally:
        _drop(admin, name)


def _drop(admin: Engine, name: str) -> None:
    """Drop a database; an autovacuum that is at work in it cannot be ended by us, but is soon over."""
    for attempt in range(20):
        try:
            with admin.connect() as connection:
                connection.execute(text(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)'))
        except DBAPIError:
            if attempt == 19:
                raise
            time.sleep(0.25)
        else:
            return


@contextmanager
def started_run() -> Iterator[Run]:
    """The server of this run with its template: migrated once, partitions for the tests' months in it."""
    with ExitStack() as stack:
        given = os.environ.get("TESSERA_DATABASE_URL")
        if given:
            url = normalise_url(given).render_as_string(hide_password=False)
        else:
            home = throwaway_home(PROJECT, given_home())
            sweep(home, "tests-*")
            name = f"tests-{os.getpid()}-{secrets.token_hex(3)}"
            url = stack.enter_context(embedded_server(home, name=name, throwaway=True)).url("postgres")
        run = Run(url, "")
        template = stack.enter_context(database_on(run))
        engine = make_engine(template, schema=SCHEMA)
        with engine.begin() as connection:
            ensure_schema(connection, SCHEMA)
        migrate(engine)
        with engine.begin() as connection:
            ensure_partitions(connection, *MONTHS)
        engine.dispose()
        yield Run(url, template.database or "")


@contextmanager
def as_owner(database: Engine) -> Iterator[Connection]:
    """A transaction of the owner in a test's database, to plant what the application could never do."""
    owner = make_engine(database.url, schema=SCHEMA)
    try:
        with owner.begin() as connection:
            yield connection
    finally:
        owner.dispose()


def given_home() -> Path | None:
    """TESSERA_HOME, where it is set."""
    home = os.environ.get("TESSERA_HOME")
    return Path(home) if home else None


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Under xdist, in the controller: start the run once, and hand it to each worker."""
    stash = node.config.stash
    if _RUN not in stash:
        stash[_STACK] = ExitStack()
        stash[_RUN] = stash[_STACK].enter_context(started_run())
    node.workerinput[_WORKERS_KEY] = (stash[_RUN].url, stash[_RUN].template)


def pytest_unconfigure(config: pytest.Config) -> None:
    """Under xdist, in the controller: end the server after the last worker."""
    if _STACK in config.stash:
        config.stash[_STACK].close()


_RUN = pytest.StashKey[Run]()
_STACK = pytest.StashKey[ExitStack]()


@pytest.fixture(scope="session")
def server(request: pytest.FixtureRequest) -> Iterator[Run]:
    """The PostgreSQL of this run, with its template."""
    handed: dict[str, tuple[str, str]] = getattr(request.config, "workerinput", {})
    if _WORKERS_KEY in handed:
        yield Run(*handed[_WORKERS_KEY])
        return
    with started_run() as run:
        yield run


@pytest.fixture
def migrated_url(server: Run) -> Iterator[URL]:
    """The URL of a database of this test's own: schema, tables and partitions are there, no rows."""
    with database_on(server, template=server.template) as url:
        yield url


@pytest.fixture
def database(migrated_url: URL) -> Iterator[Engine]:
    """An engine on that database, under the application's role: it may do what the application may."""
    engine = make_engine(migrated_url, schema=SCHEMA, role=application_role(SCHEMA))
    yield engine
    engine.dispose()


@pytest.fixture
def owner_database(migrated_url: URL) -> Iterator[Engine]:
    """An engine on the same database as its owner, to plant what the application could never do."""
    engine = make_engine(migrated_url, schema=SCHEMA)
    yield engine
    engine.dispose()


@pytest.fixture
def empty_database(server: Run) -> Iterator[URL]:
    """The URL of a database of this test's own with nothing in it, not even the schema."""
    with database_on(server) as url:
        yield url


@pytest.fixture
def database_url(migrated_url: URL) -> str:
    """The URL of `database` with its password, as TESSERA_DATABASE_URL for a process that the test starts."""
    return migrated_url.render_as_string(hide_password=False)
