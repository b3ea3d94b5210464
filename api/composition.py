"""What the commands stand on: settings, and the database under the role that a command needs."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime

import typer
from sqlalchemy import Engine

from api.logs import set_up_logging
from api.sandbox import prepare
from config.database import acting_as, ensure_schema, make_engine, open_database
from config.database import migrate as migrate_database
from config.roles import application_role
from config.settings import Settings, load_settings
from network.errors import NotReady

log = logging.getLogger("tessera.api")

FAILED = 1
"""Exit status: it was tried, and did not come out well."""
BAD_INPUT = 2
"""Exit status: what was given cannot be used."""


def now() -> datetime:
    """Real time; the only clock the commands read."""
    return datetime.now(UTC)  # noqa: TID251 - a composition root


def day_of(given: str, option: str = "--date") -> date:
    """The date that an option or argument gives.

    Raises:
        typer.BadParameter: it is none.
    """
    try:
        return date.fromisoformat(given)
    except ValueError:
        raise typer.BadParameter(f"{given!r} is no date; write it as 2017-05-31", param_hint=option) from None


@contextmanager
def opened(
    role: Callable[[str], str] = application_role, *, migrated: bool = False
) -> Iterator[tuple[Settings, Engine]]:
    """Settings, and the database as a command sees it: under a role that can do no more than it must."""
    with owned() as (settings, owner):
        if migrated:
            migrate_database(owner)
        owner.dispose()
        with acting_as(owner, role(settings.database_schema), settings) as database:
            yield settings, database


@contextmanager
def sandbox(settings: Settings, live: Engine) -> Iterator[Engine]:
    """The test mode's database for the length of a block: migrated, with what is new in the live network."""
    own = settings.of_test_mode
    owner = make_engine(live.url, schema=own.database_schema, lock_timeout_ms=own.lock_timeout_ms)
    try:
        with owner.begin() as connection:
            ensure_schema(connection, own.database_schema)
        migrate_database(owner)
    finally:
        owner.dispose()
    with acting_as(owner, application_role(own.database_schema), own) as database:
        try:
            prepare(live, database)
        except NotReady as error:
            log.warning("the test mode waits for the network to be set up: %s", error)
        yield database


@contextmanager
def owned() -> Iterator[tuple[Settings, Engine]]:
    """The database as its owner sees it: to migrate."""
    settings = load_settings()
    set_up_logging(settings.log_level, settings.log_format)
    with open_database(settings) as database:
        yield settings, database
