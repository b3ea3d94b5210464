"""Operators for tests: enrolled without ceremony, with secrets that the test knows."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import Engine, text

from api.identity import keep, keys_of
from config.settings import Settings
from partners.people import codes, passwords
from partners.people.audit import audited, chain_faults
from partners.people.model import HOST, Role, Tokens
from partners.people.operators import operator_of
from partners.people.sessions import open_session, sign_in
from partners.people.tokens import OperatorKeys

KEYS = OperatorKeys.of(Ed25519PrivateKey.from_private_bytes(bytes(range(32))))
CARD_KEY = bytes(range(32))
"""Opens members' cards, and makes the key of codes on paper."""
PASSWORD = "seven green bottles, hanging"  # noqa: S105 - a test's
NOW = datetime(2017, 5, 1, 9, 0, tzinfo=UTC)


@dataclass(frozen=True)
class Person:
    """An operator who knows password and second factor."""

    name: str
    secret: bytes

    def code(self, at: datetime) -> str:
        """The code that the authenticator shows."""
        return codes.code_at(self.secret, codes.step_of(at))


@lru_cache(maxsize=1)
def _hash() -> str:
    return passwords.hash_password(PASSWORD, operator_id="anybody")


def join(database: Engine, name: str, role: Role, keys: OperatorKeys = KEYS) -> Person:
    """An active operator, on record like any other."""
    secret = codes.make_secret()
    with database.begin() as connection:
        connection.execute(
            text("INSERT INTO operator VALUES (:name, :role, 'active', 'host', now())"),
            {"name": name, "role": role},
        )
        connection.execute(
            text(
                "INSERT INTO operator_credential (operator_id, password_hash, totp_secret)"
                " VALUES (:name, :hash, :secret)"
            ),
            {"name": name, "hash": _hash(), "secret": codes.seal_secret(secret, keys.secrets, name)},
        )
        after = {"role": role, "status": "active"}
        audited(connection, by=HOST, action="operator.added", subject=f"operator:{name}", after=after)
    return Person(name, secret)


def enter(database: Engine, person: Person, at: datetime = NOW, password: str = PASSWORD) -> Tokens:
    """Sign in as people do."""
    return sign_in(database, KEYS, name=person.name, password=password, code=person.code(at), now=at)


def session(database: Engine, name: str, at: datetime = NOW) -> Tokens:
    """A session without the effort of signing in."""
    with database.begin() as connection:
        return open_session(connection, KEYS, operator_of(connection, name).operator_id, at)


def settle_in(database: Engine, home: Path, name: str, role: Role) -> Person:
    """An operator who is signed in on this machine, for commands under TESSERA_HOME=home."""
    settings = Settings(home=home)
    keys = keys_of(settings)
    person = join(database, name, role, keys)
    with database.begin() as connection:
        keep(settings, open_session(connection, keys, name, real_now()))
    return person


def real_now() -> datetime:
    """Real time, which commands go by."""
    return datetime.now(UTC)  # noqa: TID251 - the tests' composition root


def later(minutes: float) -> datetime:
    """So many minutes after NOW."""
    return NOW + timedelta(minutes=minutes)


def faults_of(database: Engine) -> list[tuple[str, str]]:
    """Where the record does not hold."""
    with database.connect().execution_options(isolation_level="REPEATABLE READ") as connection:
        return [(fault.where, fault.detail) for fault in chain_faults(connection)]
