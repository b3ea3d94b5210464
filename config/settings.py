"""Settings, read once by the composition roots from TESSERA_* variables of the environment."""

from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from config.errors import SettingsError

PROJECT = Path(__file__).resolve().parent.parent
"""The folder of the clone."""


_LONGEST_SCHEMA = 56


class Settings(BaseSettings):
    """What may differ between two installations. Every field has a default that suits a laptop."""

    model_config = SettingsConfigDict(
        env_prefix="TESSERA_", frozen=True, env_ignore_empty=True, populate_by_name=True
    )

    database_url: SecretStr | None = None
    """An existing PostgreSQL, 15 or newer. Unset: the embedded one."""
    database_schema: str = Field(
        default="tessera", validation_alias="TESSERA_SCHEMA", pattern=r"^[a-z_][a-z0-9_]{0,55}$"
    )
    """The schema that holds all our tables; made if it is missing. Two roles are named after it."""
    lock_timeout_ms: int = Field(default=10_000, ge=1)
    """How long a statement waits for a lock before it fails, so that nothing queues behind it for ever."""
    home: Path | None = None
    """Folder of the project's data. Unset: `.tessera` in the clone; see also config.cluster.postgres_home."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["text", "json"] = "text"
    """How lines of the log look: for people, or one JSON object each."""
    log_requests: bool = False
    """Whether each request gets a line: method, route, status, time; never a body, an address or a card."""
    drain_seconds: float = Field(default=0.0, ge=0, le=600)
    """How long a server goes on after SIGTERM with its readiness down, so that nothing new is sent to it."""
    worker_metrics_port: int | None = Field(default=None, ge=1, le=65535)
    """Where the worker serves its metrics, on the loopback. Unset: nowhere."""
    traces: str | None = None
    """Where traces go, an OTLP address over HTTP (http://127.0.0.1:4318/v1/traces). Unset: none are made."""
    host: str = "127.0.0.1"
    port: int = Field(default=8080, ge=0, le=65535)
    network_key: Path | None = None
    """File of the network's private key, by which windows are sealed; `tessera keys` makes it. Unset: the
    nights are settled all the same, and not sealed."""
    operator_key: Path | None = None
    """File of the operators' key, for their sessions. Unset: `operators.pem` in the data folder."""
    webhook_key: Path | None = None
    """File of the key that webhooks' secrets are sealed under. Unset: `webhooks.pem` in the data folder."""
    webhook_loopback: bool = False
    """Webhooks may go to this machine, also without TLS: for tests and demos alone."""
    operator_token: SecretStr | None = None
    """An access token under which commands act, in the place of `tessera login`."""
    sessions: Path | None = None
    """Folder of those who signed in with `tessera login`. Unset: `sessions` in the data folder."""
    test_authority: str | None = None
    """Host and port at which partners address the test mode, and sign it. Unset: there is no test mode."""
    key_rate: float = Field(default=1_000, gt=0)
    """Requests a second that each key may send in the long run, twice as many at once."""
    mail: SecretStr | None = None
    """How codes reach members: smtps://user:password@host:465, smtp://… with STARTTLS. Unset: a file."""
    mail_from: str = "no-reply@localhost"
    authority: str | None = None
    """Host and port as partners address and sign them, where that is not host:port (behind a proxy, say)."""

    statements: Path | None = None
    """Folder that gets each night's statements. Unset: `statements/<schema>` in the data folder."""

    spool: Path | None = None
    """Folder for files that are being received, until they are whole and in the database; it need not be
    shared or kept. Unset: `spool` in the data folder."""

    @property
    def spool_folder(self) -> Path:
        """Where files are while they are received."""
        return self.data_folder / "spool" if self.spool is None else self.spool.expanduser()

    @property
    def of_test_mode(self) -> "Settings":
        """The same settings for the test mode: a schema of its own beside ours.

        Raises:
            SettingsError: the schema's name leaves no room for that.
        """
        schema = f"{self.database_schema}_test"
        if len(schema) > _LONGEST_SCHEMA:
            raise SettingsError(
                f"TESSERA_SCHEMA: {self.database_schema} is too long for a test mode beside it"
            )
        return self.model_copy(update={"database_schema": schema})

    @property
    def statements_folder(self) -> Path:
        """Where statements and the operator's reports go; each schema is a network of its own."""
        if self.statements is not None:
            return self.statements.expanduser()
        return self.data_folder / "statements" / self.database_schema

    @property
    def mail_file(self) -> Path:
        """Where mails are kept that no server sends; each schema is a network of its own."""
        return self.data_folder / "mail" / f"{self.database_schema}.ndjson"

    @property
    def operator_key_file(self) -> Path:
        """Where the operators' key is, or is to be made."""
        return self.data_folder / "operators.pem" if self.operator_key is None else self.operator_key

    @property
    def webhook_key_file(self) -> Path:
        """Where the key of webhooks' secrets is, or is to be made."""
        return self.data_folder / "webhooks.pem" if self.webhook_key is None else self.webhook_key

    @property
    def sessions_folder(self) -> Path:
        """Where commands keep sessions of people at this machine; each schema is a network of its own."""
        folder = self.data_folder / "sessions" if self.sessions is None else self.sessions.expanduser()
        return folder / self.database_schema

    @property
    def data_folder(self) -> Path:
        """Where reports and other files of ours go."""
        return PROJECT / ".tessera" if self.home is None else self.home.expanduser().absolute()


def load_settings() -> Settings:
    """Read the settings from the environment.

    Raises:
        SettingsError: a variable has a value that cannot be used; the error names each one.
    """
    try:
        return Settings()
    except ValidationError as error:
        lines = []
        for problem in error.errors(include_url=False, include_input=False):
            name = str(problem["loc"][0]).upper()
            variable = name if name.startswith("TESSERA_") else f"TESSERA_{name}"
            lines.append(f"{variable}: {problem['msg']}")
        raise SettingsError("settings that cannot be used: " + "; ".join(lines)) from None
