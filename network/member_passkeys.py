"""Members' passkeys: registered by who has signed in, then good to sign in with; challenges are good once.

A passkey says whose it is (the user handle, which is the member's public id), so nobody names an address, and
nobody is told who is a member.
"""

import secrets
from datetime import datetime, timedelta
from hashlib import sha256
from uuid import UUID

import msgspec
from sqlalchemy import Connection, Engine, text

from network import ids, member_sessions
from network.member_sessions import MemberSignedIn, MemberTokens
from partners.errors import SignInRefused
from partners.people import passkeys
from partners.people.passkeys import Credential, RelyingParty
from partners.people.tokens import OperatorKeys

CHALLENGE_LIVES = timedelta(minutes=5)
MOST_PASSKEYS = 10

_ASK = text(
    "INSERT INTO member_challenge (challenge_hash, member_id, ends_at) VALUES (:hash, :member, :ends)"
)
_FORGET = text(
    "DELETE FROM member_challenge WHERE challenge_hash IN"
    " (SELECT challenge_hash FROM member_challenge WHERE ends_at <= :now LIMIT 100)"
)
_TAKE = text(
    "DELETE FROM member_challenge WHERE challenge_hash = :hash AND member_id IS NOT DISTINCT FROM :member"
    " RETURNING ends_at"
)
_COUNT = text("SELECT count(*) FROM member_passkey WHERE member_id = :member")
_ADD = text(
    "INSERT INTO member_passkey (member_id, credential_id, public_key, sign_count, name, added_at)"
    " VALUES (:member, :credential, :key, :count, :name, :now) ON CONFLICT DO NOTHING"
)
_EMAIL = text("SELECT email FROM member_login WHERE member_id = :member")
_ONE = text(
    "SELECT p.public_key, p.sign_count FROM member_passkey p JOIN member m USING (member_id)"
    " WHERE p.member_id = :member AND p.credential_id = :credential AND m.public_id = :public FOR UPDATE OF p"
)
_USED = text(
    "UPDATE member_passkey SET sign_count = :count, used_at = :now"
    " WHERE member_id = :member AND credential_id = :credential"
)
_LIST = text(
    "SELECT credential_id, name, added_at, used_at FROM member_passkey WHERE member_id = :member"
    " ORDER BY added_at, credential_id"
)
_REMOVE = text("DELETE FROM member_passkey WHERE member_id = :member AND credential_id = :credential")


class Passkey(msgspec.Struct, frozen=True, kw_only=True):
    """A passkey as its member sees it."""

    credential_id: bytes
    name: str
    added_at: datetime
    used_at: datetime | None


class Registration(msgspec.Struct, frozen=True, kw_only=True):
    """What a browser gives when it has made a passkey; `name` is for its member to tell them apart."""

    challenge: bytes
    client_data: bytes
    authenticator_data: bytes
    public_key: bytes
    name: str


class Assertion(msgspec.Struct, frozen=True, kw_only=True):
    """What a browser gives when a passkey has signed; `user` is the handle of whose it is."""

    challenge: bytes
    user: UUID
    credential_id: bytes
    client_data: bytes
    authenticator_data: bytes
    signature: bytes


def challenge(connection: Connection, now: datetime, member_id: int | None = None) -> bytes:
    """A challenge, good once, for minutes: to register a member's passkey, or for nobody in particular."""
    made = secrets.token_bytes(passkeys.CHALLENGE_BYTES)
    connection.execute(_FORGET, {"now": now})
    wanted = {"hash": sha256(made).digest(), "member": member_id, "ends": now + CHALLENGE_LIVES}
    connection.execute(_ASK, wanted)
    return made


def register(
    database: Engine, party: RelyingParty, who: MemberSignedIn, given: Registration, now: datetime
) -> str:
    """Take a passkey of a member who has signed in; the address that is to be told.

    Raises:
        SignInRefused: it is not of a challenge that this member was given, or there are enough.
    """
    _take(database, given.challenge, who.member_id, now)
    made = passkeys.register(
        party, given.challenge, given.client_data, given.authenticator_data, given.public_key
    )
    with database.begin() as connection:
        if connection.execute(_COUNT, {"member": who.member_id}).scalar_one() >= MOST_PASSKEYS:
            raise SignInRefused(f"a member has {MOST_PASSKEYS} passkeys at most")
        fields = {
            "member": who.member_id,
            "credential": made.credential_id,
            "key": made.public_key,
            "count": made.sign_count,
            "name": given.name,
            "now": now,
        }
        connection.execute(_ADD, fields)
        email: str = connection.execute(_EMAIL, {"member": who.member_id}).scalar_one()
    return email


def sign_in(
    database: Engine, keys: OperatorKeys, party: RelyingParty, given: Assertion, now: datetime
) -> MemberTokens:
    """Begin a session by a passkey.

    Raises:
        SignInRefused: it is nobody's, or has not signed a challenge of ours; which, is not told.
    """
    _take(database, given.challenge, None, now)
    member_id = ids.member_of(given.user)
    named = {"member": member_id, "credential": given.credential_id}
    with database.begin() as connection:
        row = connection.execute(_ONE, {**named, "public": given.user}).one_or_none()
        if row is None:
            raise SignInRefused("no such passkey")
        held = Credential(
            credential_id=given.credential_id,
            public_key=bytes(row.public_key),
            sign_count=row.sign_count,
        )
        count = passkeys.prove(
            party, held, given.challenge, given.client_data, given.authenticator_data, given.signature
        )
        connection.execute(_USED, {**named, "count": count, "now": now})
        return member_sessions.begin(connection, keys, member_id, now)


def own(connection: Connection, member_id: int) -> list[Passkey]:
    """A member's passkeys, the oldest first."""
    return [Passkey(**row._asdict()) for row in connection.execute(_LIST, {"member": member_id})]


def remove(connection: Connection, member_id: int, credential_id: bytes) -> bool:
    """Take a passkey away; whether it was there. Sessions that it began go on until they are ended."""
    wanted = {"member": member_id, "credential": credential_id}
    return connection.execute(_REMOVE, wanted).rowcount == 1


def _take(database: Engine, given: bytes, member_id: int | None, now: datetime) -> None:
    """Use a challenge up, whatever then comes of it."""
    with database.begin() as connection:
        wanted = {"hash": sha256(given).digest(), "member": member_id}
        ends_at = connection.execute(_TAKE, wanted).scalar_one_or_none()
    if ends_at is None or ends_at <= now:
        raise SignInRefused("the challenge is not ours, is used, or its time is over")
