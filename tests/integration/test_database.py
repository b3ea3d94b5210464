"""Opening a database: connections see one schema in UTC, and what cannot be used is refused with a reason."""

import pytest
from pydantic import SecretStr
from sqlalchemy import URL, Engine, text
from sqlalchemy.exc import OperationalError

from config import database as module
from config.database import make_engine, migrate, open_database
from config.errors import DatabaseError
from config.settings import Settings


def settings_for(url: URL, schema: str = "tessera") -> Settings:
    """Settings as TESSERA_DATABASE_URL and TESSERA_SCHEMA would give them."""
    plain = url.set(drivername="postgresql").render_as_string(hide_password=False)
    return Settings(database_url=SecretStr(plain), database_schema=schema)


def test_an_empty_database_gets_its_schema(empty_database: URL) -> None:
    """Schema made, search_path on it alone, UTC, a lock timeout; opened again it is found as it was left."""
    settings = settings_for(empty_database, "loyalty")
    with open_database(settings) as engine:
        migrate(engine)
        with engine.connect() as connection:
            shown = [
                connection.scalar(text(f"SHOW {name}"))
                for name in ("search_path", "timezone", "lock_timeout", "application_name")
            ]
        assert shown == ["loyalty", "UTC", "10s", "tessera"]
    with open_database(settings) as engine, engine.connect() as connection:
        assert connection.scalar(text("SELECT count(*) FROM schema_revision")) == 1


def test_options_of_a_url_reach_the_server_beside_ours(empty_database: URL) -> None:
    """A server parameter in the URL holds, and the schema is still ours."""
    url = empty_database.update_query_dict({"options": "-c work_mem=7MB -c search_path=public"})
    engine = make_engine(url, schema="tessera")
    with engine.connect() as connection:
        assert connection.scalar(text("SHOW work_mem")) == "7MB"
        assert connection.scalar(text("SHOW search_path")) == "tessera"
    engine.dispose()


def test_a_lock_is_waited_for_so_long_and_no_longer(owner_database: Engine) -> None:
    """A statement that meets a lock fails after the timeout instead of queueing for ever."""
    hasty = make_engine(owner_database.url, schema="tessera", lock_timeout_ms=50)
    with owner_database.begin() as holder:
        holder.execute(text("LOCK TABLE account"))
        with pytest.raises(OperationalError, match="lock timeout"), hasty.begin() as connection:
            connection.execute(text("SELECT * FROM account"))
    hasty.dispose()


def test_an_old_postgres_is_refused(empty_database: URL, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error says which version was found, which is needed, and the way out."""
    monkeypatch.setattr(module, "OLDEST_POSTGRES", 99)
    with (
        pytest.raises(DatabaseError, match=r"is PostgreSQL \d\d, and 99 or newer is needed; unset"),
        open_database(settings_for(empty_database)),
    ):
        pass


def test_a_database_that_cannot_be_reached_is_named_without_its_password(empty_database: URL) -> None:
    """The error names the address and what to check; the password is hidden."""
    url = empty_database.set(database="not_there", password="wrong-secret")  # noqa: S106
    with (
        pytest.raises(DatabaseError, match=r"not_there.*check TESSERA_DATABASE_URL") as caught,
        open_database(settings_for(url)),
    ):
        pass
    assert "wrong-secret" not in str(caught.value)


def test_a_role_without_the_right_to_make_a_schema_is_told_so(empty_database: URL) -> None:
    """Where the schema is missing and may not be made, the error names it and what to grant."""
    engine = make_engine(empty_database, schema="tessera")
    with engine.begin() as connection:
        connection.execute(text(f'REVOKE CREATE ON DATABASE "{empty_database.database}" FROM CURRENT_USER'))
        with pytest.raises(DatabaseError, match=r"'tessera'.*GRANT CREATE ON DATABASE"):
            module.ensure_schema(connection, "tessera")
    engine.dispose()
