"""What a partner does with its own signing keys: look at them, register the next one, revoke one.

Who signs with a key of the partner may give it another, having proven to hold its private half; so keys are
rotated without the operator. The first key is the operator's to register (partners.service), by two people.
"""

from datetime import datetime

import msgspec
from sqlalchemy import Connection, text

from partners import keys
from partners.errors import KeyNotFound
from partners.keys import KeyRefused
from partners.model import PartnerKey
from partners.people.audit import audited
from partners.store import add_key, revoke_key

MOST_ACTIVE = 20

_COLUMNS = "key_id, partner_id, public_key, not_before, not_after, revoked_at"
_OWN = text(f"SELECT {_COLUMNS} FROM partner_key WHERE partner_id = :partner ORDER BY not_before, key_id")
_ONE = text(f"SELECT {_COLUMNS} FROM partner_key WHERE key_id = :key_id")
_LOCK = text("SELECT code FROM partner WHERE partner_id = :partner FOR UPDATE")


def own_keys(connection: Connection, partner_id: int) -> list[PartnerKey]:
    """All keys that a partner ever had, the oldest first."""
    return [PartnerKey(**row._asdict()) for row in connection.execute(_OWN, {"partner": partner_id})]


def register(
    connection: Connection, key: PartnerKey, proof: bytes, *, signed_by: str, now: datetime
) -> tuple[PartnerKey, bool] | KeyRefused:
    """Register a partner's next key; the key as it stands, and whether it stood so before.

    Args:
        connection: A transaction.
        key: The new key; it names its partner.
        proof: 64 bytes, the key's own signature of `keys.possession_statement(key)`.
        signed_by: The id of the key that signed the request.
        now: Real time.
    Raises:
        sqlalchemy.exc.IntegrityError: another partner registered a key of that id at this very moment.
    """
    refused = keys.check_new_key(key) or keys.check_possession(key, proof)
    if refused is not None:
        return refused
    # One after the other, of one partner: two at once could both be the twentieth.
    code = connection.execute(_LOCK, {"partner": key.partner_id}).scalar_one()
    row = connection.execute(_ONE, {"key_id": key.key_id}).one_or_none()
    if row is not None:
        there = PartnerKey(**row._asdict())
        same = (there.partner_id, there.public_key) == (key.partner_id, key.public_key)
        if same and there.not_after == key.not_after:
            return there, True
        return KeyRefused("key_id_taken", f"a key {key.key_id!r} is registered already: choose another id")
    active = [one for one in own_keys(connection, key.partner_id) if _may_sign_yet(one, now)]
    if len(active) >= MOST_ACTIVE:
        return KeyRefused("too_many_keys", f"{len(active)} keys may sign: revoke those that you do not need")
    add_key(connection, key)
    audited(
        connection,
        by=f"partner {code}",
        action="partner.key_registered",
        subject=f"key:{key.key_id}",
        after={**msgspec.structs.asdict(key), "partner": code, "signed_by": signed_by},
    )
    return key, False


def revoke_own(
    connection: Connection, partner_id: int, key_id: str, *, signed_by: str, now: datetime
) -> PartnerKey:
    """Revoke a partner's key, at once; every server refuses it within five seconds.

    Raises:
        KeyNotFound: the partner has no such key, whoever else may.
    """
    code = connection.execute(_LOCK, {"partner": partner_id}).scalar_one()
    row = connection.execute(_ONE, {"key_id": key_id}).one_or_none()
    if row is None or row.partner_id != partner_id:
        raise KeyNotFound(key_id)
    if row.revoked_at is not None and row.revoked_at <= now:
        return PartnerKey(**row._asdict())
    revoke_key(connection, key_id, now)
    after = PartnerKey(**connection.execute(_ONE, {"key_id": key_id}).one()._asdict())
    audited(
        connection,
        by=f"partner {code}",
        action="partner.key_revoked",
        subject=f"key:{key_id}",
        before={"partner_id": partner_id, "revoked_at": row.revoked_at},
        after={"partner_id": partner_id, "revoked_at": after.revoked_at, "signed_by": signed_by},
    )
    return after


def _may_sign_yet(key: PartnerKey, now: datetime) -> bool:
    return keys.problem_at(key, now) in {None, "key_not_yet_valid"}
