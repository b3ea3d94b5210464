"""Makes the demo's network in a schema of its own: participants, terms, outlets, keys, programme, window."""

import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import Engine, NullPool, create_engine, text
from sqlalchemy.exc import DBAPIError

from api.demo.errors import DemoBusy
from api.demo.network_file import NetworkFile
from config.database import ensure_schema, migrate
from network.service import Network, apply_programme, create_network, ensure_partitions, open_first_window
from partners.model import PartnerKey
from partners.store import add_key, add_outlets, add_participants, add_terms

SCHEMA = "tessera_demo"
FOUNDED_AT = datetime(2016, 12, 31, 12, tzinfo=UTC)
"""Where the network clock stands when members are enrolled, the day before the first purchase."""
_ONE_DEMO = 7_835_231_904_413
"""Key of the advisory lock that a running demo holds."""
_PARTITIONS = (date(2016, 12, 1), date(2018, 1, 31))


class Signer(msgspec.Struct, frozen=True, kw_only=True):
    """A partner's key pair. It is made for one run and kept nowhere: the network knows the public half."""

    partner_id: int
    key_id: str
    private_key: Ed25519PrivateKey


def make_signers(partner_ids: Mapping[str, int]) -> dict[int, Signer]:
    """A fresh key pair for every partner, by partner id."""
    return {
        partner_id: Signer(
            partner_id=partner_id,
            key_id=f"demo-{code}-{secrets.token_hex(4)}",
            private_key=Ed25519PrivateKey.generate(),
        )
        for code, partner_id in partner_ids.items()
    }


@contextmanager
def alone(database: Engine) -> Iterator[None]:
    """For the length of a block, keep other demos off this database: each would drop the other's schema.

    Raises:
        DemoBusy: one is running.
    """
    # a connection of its own, for the lock goes only when it is closed
    own = create_engine(database.url, poolclass=NullPool, isolation_level="AUTOCOMMIT")
    with own.connect() as connection:
        if not connection.execute(text("SELECT pg_try_advisory_lock(:key)"), {"key": _ONE_DEMO}).scalar():
            raise DemoBusy("another demo is running on this database: wait for it, or end it")
        yield


def make_fresh_schema(database: Engine) -> None:
    """Drop what the last demo left and migrate an empty schema; the schema is the demo's own.

    Raises:
        DemoBusy: somebody reads or writes the old one and will not let go.
    """
    try:
        with database.begin() as connection:
            connection.execute(text(f"DROP SCHEMA IF EXISTS {SCHEMA} CASCADE"))
    except DBAPIError as error:
        raise DemoBusy(f"cannot drop the last demo's schema {SCHEMA}: {error.orig}") from error
    with database.begin() as connection:
        ensure_schema(connection, SCHEMA)
    migrate(database)


def found_network(
    database: Engine,
    spec: NetworkFile,
    programme: str,
    outlets: Sequence[tuple[int, str]],
    signers: Mapping[int, Signer],
    *,
    first: date,
    now: datetime,
) -> None:
    """Write the whole network in one transaction and open the window of its first business date.

    Args:
        database: The migrated, empty schema.
        spec: Participants and terms.
        programme: Text of the programme file.
        outlets: (partner_id, store number).
        signers: Whose public keys are registered.
        first: The first business date.
        now: Real time, from which the keys are valid.
    """
    with database.begin() as connection:
        ensure_partitions(connection, *_PARTITIONS)
        create_network(
            connection,
            Network(
                name=spec.name,
                time_zone=spec.time_zone,
                cut_off=spec.cut_off,
                currency=spec.currency,
                clock=FOUNDED_AT,
            ),
        )
        add_participants(connection, spec.participants)
        add_terms(connection, spec.terms, prepared_by="demo maker", activated_by="demo checker")
        add_outlets(connection, [(partner_id, store, f"Store {store}") for partner_id, store in outlets])
        for signer in signers.values():
            add_key(
                connection,
                PartnerKey(
                    key_id=signer.key_id,
                    partner_id=signer.partner_id,
                    public_key=signer.private_key.public_key().public_bytes_raw(),
                    not_before=now - timedelta(minutes=5),
                ),
            )
        apply_programme(connection, programme, at=FOUNDED_AT, applied_by="demo maker")
        open_first_window(connection, first, FOUNDED_AT)
