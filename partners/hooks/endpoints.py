"""Endpoints: where a partner is told, of what, and the secrets that sign for it.

Functions take a connection and never commit. Whoever asks is an argument, and sees and changes its own alone.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import Connection, text

from partners.errors import HookRefused
from partners.hooks import signing
from partners.hooks.events import WANTABLE, new_event_id
from partners.hooks.signing import HookKey, Secret, Signature

MOST_ENDPOINTS = 16
"""Of a partner."""
OVERLAP = timedelta(hours=24)
"""How long an old secret signs beside the new one, where nothing else is said."""


class Endpoint(msgspec.Struct, frozen=True, kw_only=True):
    """An endpoint as it stands. `failures`: in a row, since something got through."""

    endpoint_id: UUID
    partner_id: int
    reference: str
    url: str
    types: Sequence[str]
    signature: Signature
    description: str
    status: str
    because: str
    made_at: datetime
    changed_at: datetime
    failures: int
    rests_until: datetime | None
    delivered_at: datetime | None
    failed_at: datetime | None


class NewEndpoint(msgspec.Struct, frozen=True, kw_only=True):
    """An endpoint as its owner wishes it; the URL was read by addresses.read_url before."""

    partner_id: int
    reference: str
    url: str
    types: Sequence[str]
    signature: Signature
    description: str


class PublicKey(msgspec.Struct, frozen=True):
    """What verifies `v1a`, and until when; None: until it is rotated."""

    shown: str
    ends_at: datetime | None


COLUMNS = ", ".join(Endpoint.__struct_fields__)
_OF = text(
    f"SELECT {COLUMNS} FROM webhook_endpoint WHERE partner_id = :partner AND status <> 'deleted'"
    " ORDER BY endpoint_id"
)
_ONE = text(
    f"SELECT {COLUMNS} FROM webhook_endpoint WHERE endpoint_id = :endpoint AND partner_id = :partner"
    " AND status <> 'deleted'"
)
_BY_REFERENCE = text(
    f"SELECT {COLUMNS} FROM webhook_endpoint WHERE partner_id = :partner AND reference = :reference"
)
# One partner's endpoints are made one after another, so that none is made beyond the most there may be.
_LOCK = text("SELECT pg_advisory_xact_lock(7269, hashtext(current_schema() || :partner))")
_ADD = text(
    "INSERT INTO webhook_endpoint (endpoint_id, partner_id, reference, url, types, signature, description,"
    " status, made_at, changed_at) VALUES (:endpoint_id, :partner_id, :reference, :url, :types, :signature,"
    " :description, 'active', :at, :at)"
)
_SET_STATUS = text(
    "UPDATE webhook_endpoint SET status = :status, because = :because, changed_at = :at, failures = 0,"
    " rests_until = NULL WHERE endpoint_id = :endpoint AND status <> 'deleted'"
)
_ADD_SECRET = text(
    "INSERT INTO webhook_secret (endpoint_id, secret_id, reference, public_key, sealed, made_at)"
    " VALUES (:endpoint, :secret, :reference, :public_key, :sealed, :at)"
)
# Two sign at most: one that was on its way out when its successor was rotated ends now.
_END_SECRETS = text(
    "UPDATE webhook_secret SET ends_at = CASE WHEN ends_at IS NULL THEN CAST(:until AS timestamptz)"
    " ELSE least(ends_at, CAST(:at AS timestamptz)) END WHERE endpoint_id = :endpoint"
)
_FORGET_SECRETS = text("DELETE FROM webhook_secret WHERE endpoint_id = :endpoint")
_SECRETS = text(
    "SELECT secret_id, sealed FROM webhook_secret WHERE endpoint_id = :endpoint"
    " AND (ends_at IS NULL OR ends_at > :at) ORDER BY ends_at IS NULL DESC, made_at DESC, secret_id"
)
_PUBLIC_KEYS = text(
    "SELECT public_key, ends_at FROM webhook_secret WHERE endpoint_id = :endpoint AND public_key IS NOT NULL"
    " AND (ends_at IS NULL OR ends_at > :at) ORDER BY ends_at IS NULL DESC, made_at DESC"
)
_ROTATED = text(
    "SELECT EXISTS (SELECT FROM webhook_secret WHERE endpoint_id = :endpoint AND reference = :reference)"
)


def create(
    connection: Connection, new: NewEndpoint, key: HookKey, *, at: datetime
) -> tuple[Endpoint, Secret | None]:
    """Make an endpoint with its first secret, which is shown this once.

    Returns:
        The endpoint; and its secret, None where it was made before under the same reference.
    Raises:
        HookRefused: event_type_unknown, too_many_endpoints, reference_reused.
    """
    unknown = sorted(set(new.types) - WANTABLE)
    if unknown:
        raise HookRefused("event_type_unknown", f"there are no events {', '.join(unknown)}")
    connection.execute(_LOCK, {"partner": str(new.partner_id)})
    whose = {"partner": new.partner_id, "reference": new.reference}
    before = connection.execute(_BY_REFERENCE, whose).one_or_none()
    if before is not None:
        return _require_same(_endpoint(before), new), None
    if len(list_of(connection, new.partner_id)) >= MOST_ENDPOINTS:
        raise HookRefused("too_many_endpoints", f"a partner has {MOST_ENDPOINTS} endpoints at most")
    endpoint_id = new_event_id(at)
    row = {**msgspec.structs.asdict(new), "types": list(new.types), "endpoint_id": endpoint_id, "at": at}
    connection.execute(_ADD, row)
    secret = signing.new_secret(new.signature)
    _add_secret(connection, endpoint_id, secret, key, at, None)
    return one_of(connection, new.partner_id, endpoint_id), secret


def list_of(connection: Connection, partner_id: int) -> list[Endpoint]:
    """A partner's endpoints, the oldest first."""
    return [_endpoint(row) for row in connection.execute(_OF, {"partner": partner_id})]


def one_of(connection: Connection, partner_id: int, endpoint_id: UUID) -> Endpoint:
    """One endpoint.

    Raises:
        HookRefused: endpoint_unknown, also where it is another's.
    """
    row = connection.execute(_ONE, {"partner": partner_id, "endpoint": endpoint_id}).one_or_none()
    if row is None:
        raise HookRefused("endpoint_unknown", "")
    return _endpoint(row)


def remove(connection: Connection, partner_id: int, endpoint_id: UUID, *, at: datetime) -> None:
    """Delete an endpoint: nothing more is sent to it, and its secrets are forgotten.

    Raises:
        HookRefused: endpoint_unknown.
    """
    one_of(connection, partner_id, endpoint_id)
    set_status(connection, endpoint_id, "deleted", at=at)
    connection.execute(_FORGET_SECRETS, {"endpoint": endpoint_id})


def enable(connection: Connection, partner_id: int, endpoint_id: UUID, *, at: datetime) -> Endpoint:
    """Let an endpoint that was disabled be sent to again; what waits is sent, and what was missed replayed.

    Raises:
        HookRefused: endpoint_unknown.
    """
    if one_of(connection, partner_id, endpoint_id).status != "active":
        set_status(connection, endpoint_id, "active", at=at)
    return one_of(connection, partner_id, endpoint_id)


def set_status(
    connection: Connection, endpoint_id: UUID, status: str, *, at: datetime, because: str = ""
) -> None:
    """Enable, disable or delete an endpoint; what is deleted stays so."""
    wanted = {"endpoint": endpoint_id, "status": status, "because": because, "at": at}
    connection.execute(_SET_STATUS, wanted)


def rotate(
    connection: Connection,
    partner_id: int,
    endpoint_id: UUID,
    key: HookKey,
    *,
    reference: str,
    overlap: timedelta,
    at: datetime,
) -> Secret | None:
    """Give an endpoint a new secret; the old one signs beside it for a while.

    Returns:
        The new secret, shown this once; None where this was done before under the same reference.
    Raises:
        HookRefused: endpoint_unknown.
    """
    connection.execute(_LOCK, {"partner": str(partner_id)})
    endpoint = one_of(connection, partner_id, endpoint_id)
    if connection.execute(_ROTATED, {"endpoint": endpoint_id, "reference": reference}).scalar_one():
        return None
    connection.execute(_END_SECRETS, {"endpoint": endpoint_id, "until": at + overlap, "at": at})
    secret = signing.new_secret(endpoint.signature)
    _add_secret(connection, endpoint_id, secret, key, at, reference)
    return secret


def secrets_of(
    connection: Connection, endpoint_id: UUID, signature: Signature, key: HookKey, at: datetime
) -> list[Secret]:
    """What signs for an endpoint now, the newest first.

    Raises:
        SecretUnreadable: they were sealed under another key.
    """
    rows = connection.execute(_SECRETS, {"endpoint": endpoint_id, "at": at})
    return [signing.unseal(bytes(row.sealed), signature, key, endpoint_id) for row in rows]


def public_keys_of(connection: Connection, endpoint_id: UUID, at: datetime) -> list[PublicKey]:
    """What verifies an endpoint's `v1a`, the newest first; none where a shared secret signs."""
    rows = connection.execute(_PUBLIC_KEYS, {"endpoint": endpoint_id, "at": at})
    return [PublicKey(signing.show_public_key(bytes(row.public_key)), row.ends_at) for row in rows]


def _add_secret(
    connection: Connection,
    endpoint_id: UUID,
    secret: Secret,
    key: HookKey,
    at: datetime,
    reference: str | None,
) -> None:
    connection.execute(
        _ADD_SECRET,
        {
            "endpoint": endpoint_id,
            "secret": new_event_id(at),
            "reference": reference,
            "public_key": secret.public_key,
            "sealed": signing.seal(secret, key, endpoint_id),
            "at": at,
        },
    )


def _require_same(before: Endpoint, new: NewEndpoint) -> Endpoint:
    """The endpoint that was made under this reference, if it is the one that is asked for."""
    same = all(getattr(before, name) == getattr(new, name) for name in ("url", "signature", "description"))
    if not same or list(before.types) != list(new.types) or before.status == "deleted":
        raise HookRefused("reference_reused", "")
    return before


def _endpoint(row: Any) -> Endpoint:
    return Endpoint(**row._asdict())
