"""Settings come from TESSERA_* variables, with defaults for a laptop and errors that name the variable."""

from pathlib import Path

import pytest

from config.database import normalise_url
from config.errors import DatabaseError, SettingsError
from config.settings import PROJECT, load_settings


@pytest.fixture(autouse=True)
def no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each test starts from an environment without variables of ours."""
    ours = (
        "DATABASE_URL",
        "SCHEMA",
        "HOME",
        "LOG_LEVEL",
        "HOST",
        "PORT",
        "LOCK_TIMEOUT_MS",
        "STATEMENTS",
        "NETWORK_KEY",
    )
    for name in ours:
        monkeypatch.delenv(f"TESSERA_{name}", raising=False)


def test_defaults_suit_a_laptop() -> None:
    """With nothing set: the embedded database, schema tessera, the loopback address, the clone."""
    settings = load_settings()
    assert settings.database_url is None
    assert settings.database_schema == "tessera"
    assert (settings.host, settings.port, settings.log_level) == ("127.0.0.1", 8080, "info")
    assert settings.data_folder == PROJECT / ".tessera"
    assert settings.statements_folder == PROJECT / ".tessera" / "statements" / "tessera"


def test_variables_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each variable reaches its field; an empty one counts as not set."""
    monkeypatch.setenv("TESSERA_DATABASE_URL", "postgresql://u:secret@db/loyalty")
    monkeypatch.setenv("TESSERA_SCHEMA", "tessera_test")
    monkeypatch.setenv("TESSERA_HOME", "/srv/tessera data")
    monkeypatch.setenv("TESSERA_PORT", "9090")
    monkeypatch.setenv("TESSERA_HOST", "")
    settings = load_settings()
    assert settings.database_url is not None
    assert settings.database_url.get_secret_value() == "postgresql://u:secret@db/loyalty"
    assert "secret" not in repr(settings)
    assert settings.database_schema == "tessera_test"
    assert settings.data_folder == Path("/srv/tessera data")
    assert (settings.host, settings.port) == ("127.0.0.1", 9090)
    # two networks of one installation never meet in a file
    assert settings.statements_folder == Path("/srv/tessera data/statements/tessera_test")
    monkeypatch.setenv("TESSERA_STATEMENTS", "/srv/papers")
    assert load_settings().statements_folder == Path("/srv/papers")


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("TESSERA_PORT", "70000"),
        ("TESSERA_PORT", "http"),
        ("TESSERA_LOG_LEVEL", "loud"),
        ("TESSERA_SCHEMA", 'tessera"; DROP SCHEMA public; --'),
        ("TESSERA_SCHEMA", "Tessera"),
        ("TESSERA_LOCK_TIMEOUT_MS", "0"),
    ],
)
def test_a_value_that_cannot_be_used_is_named(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    """The error names the variable; a schema that would need quoting, or worse, is refused."""
    monkeypatch.setenv(variable, value)
    with pytest.raises(SettingsError, match=rf"cannot be used: {variable}: "):
        load_settings()


@pytest.mark.parametrize(
    "given",
    [
        "postgres://u:p%40ss@db:5433/loyalty",
        "postgresql://u:p%40ss@db:5433/loyalty",
        "postgresql+psycopg://u:p%40ss@db:5433/loyalty",
        " postgresql://u:p%40ss@db:5433/loyalty\n",
    ],
)
def test_every_spelling_of_a_postgres_url_gets_our_driver(given: str) -> None:
    """Host, user, password, port and database stay as they were given."""
    url = normalise_url(given)
    assert url.drivername == "postgresql+psycopg"
    assert (url.username, url.password, url.host, url.port, url.database) == (
        "u",
        "p@ss",
        "db",
        5433,
        "loyalty",
    )


@pytest.mark.parametrize(
    ("given", "message"), [("mysql://u:secret@db/x", "only PostgreSQL"), ("db.example secret", "is no URL")]
)
def test_what_is_no_postgres_url_is_refused_without_showing_it(given: str, message: str) -> None:
    """The error says what to write, and never repeats a password."""
    with pytest.raises(DatabaseError, match=message) as caught:
        normalise_url(given)
    assert "secret" not in str(caught.value)
    assert "postgresql://user:password@host:5432/database" in str(caught.value)
