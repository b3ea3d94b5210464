"""Members who sign in: a code by mail begins a session, refresh tokens carry it on, each once.

Nobody is told who is a member: an address that nobody has is answered, counted and stored like any other. A
refresh token that comes a second time was copied by somebody, so its whole family ends.
"""

import hmac
import secrets
from collections.abc import Callable
from datetime import datetime, timedelta
from hashlib import blake2b, sha256
from uuid import UUID

import msgspec
from sqlalchemy import Connection, Engine, text

from network import ids
from partners.errors import SignInRefused, TokenRefused
from partners.people import codes, tokens
from partners.people.tokens import MEMBER, OperatorKeys

CODE_LIVES = timedelta(minutes=10)
CODE_GAP = timedelta(seconds=60)
MOST_TRIES = 5
SESSION_LIVES = timedelta(days=90)
REFRESH_LIVES = timedelta(days=30)
_DIGITS = 8
_SHARES = 4_096

Send = Callable[[str, str, str], None]
"""Sends a mail: to whom, subject, text."""

_LOGIN = text("SELECT member_id FROM member_login WHERE email = :email")
_ADD = text(
    "INSERT INTO member_login (member_id, email, added_by, added_at, card_secret)"
    " SELECT :member, :email, :by, :now, :secret"
    " WHERE NOT EXISTS (SELECT FROM member_login WHERE email = :email AND member_id <> :member)"
    " ON CONFLICT (member_id) DO UPDATE SET email = excluded.email RETURNING member_id"
)
_KEEP_CODE = text(
    "INSERT INTO member_code AS c (guarded, code_hash, sent_at, ends_at)"
    " VALUES (:guarded, :hash, :now, :ends)"
    " ON CONFLICT (guarded) DO UPDATE SET code_hash = :hash, sent_at = :now, ends_at = :ends, tries = 0"
    " WHERE c.sent_at <= :before RETURNING guarded"
)
_TRY = text(
    "UPDATE member_code SET tries = tries + 1 WHERE guarded = :guarded AND ends_at > :now AND tries < :most"
    " RETURNING code_hash"
)
_USED = text("DELETE FROM member_code WHERE guarded = :guarded AND code_hash = :hash RETURNING guarded")
_OPEN = text(
    "INSERT INTO member_session (session_id, member_id, started_at, ends_at)"
    " VALUES (gen_random_uuid(), :member, :now, :ends) RETURNING session_id"
)
_GIVE = text("INSERT INTO member_refresh (token_hash, session_id, issued_at) VALUES (:hash, :session, :now)")
_TAKE = text(
    "SELECT s.session_id, s.member_id, s.ended_at, s.ends_at, r.issued_at, r.used_at FROM member_refresh r"
    " JOIN member_session s USING (session_id) WHERE r.token_hash = :hash FOR UPDATE OF s, r"
)
_USE = text("UPDATE member_refresh SET used_at = :now WHERE token_hash = :hash")
_END = text(
    "UPDATE member_session SET ended_at = :now, ended_because = :because"
    " WHERE session_id = :session AND ended_at IS NULL"
)
_LIVE = text(
    "SELECT m.public_id FROM member_session s JOIN member m USING (member_id)"
    " WHERE s.session_id = :session AND s.member_id = :member AND s.ended_at IS NULL AND s.ends_at > :now"
)


class MemberTokens(msgspec.Struct, frozen=True, kw_only=True):
    """What a session is carried on with: `access` for minutes, `refresh` once."""

    access: str
    refresh: str
    expires_in: int


class MemberSignedIn(msgspec.Struct, frozen=True, kw_only=True):
    """A member, as far as a session proves it."""

    member_id: int
    public_id: UUID
    session_id: UUID


def add_login(
    connection: Connection, keys: OperatorKeys, *, member_id: int, email: str, by: int, now: datetime
) -> bool:
    """Let a member sign in by an address, or by another than before; False where another member has it.

    Args:
        by: The partner that vouches for the address.
    """
    secret = codes.seal_secret(codes.make_secret(), keys.secrets, f"member {member_id}")
    wanted = {"member": member_id, "email": email.lower(), "by": by, "now": now, "secret": secret}
    return connection.execute(_ADD, wanted).one_or_none() is not None


def send_code(database: Engine, keys: OperatorKeys, email: str, now: datetime) -> str | None:
    """Make a code for an address; what is to be mailed there, None where nothing is.

    A code a minute at most; who asks cannot tell whether there is one.
    """
    address, code = email.lower(), f"{secrets.randbelow(10**_DIGITS):0{_DIGITS}d}"
    with database.begin() as connection:
        guarded, known = _guarded(connection, address)
        wanted = {
            "guarded": guarded,
            "hash": _hash_of_code(keys, guarded, code),
            "now": now,
            "ends": now + CODE_LIVES,
            "before": now - CODE_GAP,
        }
        kept = connection.execute(_KEEP_CODE, wanted).one_or_none() is not None
    return code if kept and known else None


def sign_in(database: Engine, keys: OperatorKeys, email: str, code: str, now: datetime) -> MemberTokens:
    """Begin a session by the code that was mailed. A try is counted before it is judged; five there are.

    Raises:
        SignInRefused: address or code is wrong, or the code is over; which, is not told.
    """
    with database.begin() as connection:
        guarded, known = _guarded(connection, email.lower())
        wanted = {"guarded": guarded, "now": now, "most": MOST_TRIES}
        kept = connection.execute(_TRY, wanted).scalar_one_or_none()
    given = _hash_of_code(keys, guarded, code)
    right = hmac.compare_digest(given, bytes(kept or bytes(32)))
    if right and known is not None:
        with database.begin() as connection:
            if connection.execute(_USED, {"guarded": guarded, "hash": given}).one_or_none() is not None:
                return begin(connection, keys, known, now)
    raise SignInRefused("address or code is wrong")


def begin(connection: Connection, keys: OperatorKeys, member_id: int, now: datetime) -> MemberTokens:
    """Begin a session of a member who has shown who it is."""
    wanted = {"member": member_id, "now": now, "ends": now + SESSION_LIVES}
    session: UUID = connection.execute(_OPEN, wanted).scalar_one()
    return _tokens(connection, keys, member_id, session, now)


def refresh(database: Engine, keys: OperatorKeys, token: str, now: datetime) -> MemberTokens:
    """Carry a session on: new tokens for a refresh token, which is thereby used.

    Raises:
        TokenRefused: it is unknown, its time is over, or it was used before; then its session has ended.
    """
    hashed = _hash(token)
    with database.begin() as connection:
        found = connection.execute(_TAKE, {"hash": hashed}).one_or_none()
        if found is not None and found.ended_at is None:
            if found.used_at is not None:
                end = {"session": found.session_id, "now": now, "because": "refresh token reused"}
                connection.execute(_END, end)
            elif now < min(found.ends_at, found.issued_at + REFRESH_LIVES):
                connection.execute(_USE, {"hash": hashed, "now": now})
                return _tokens(connection, keys, found.member_id, found.session_id, now)
    raise TokenRefused("sign in again")


def authenticate(connection: Connection, keys: OperatorKeys, token: str, now: datetime) -> MemberSignedIn:
    """Who an access token proves.

    Raises:
        TokenRefused: it is not ours, or over; or its session has ended.
    """
    claims = tokens.read(keys, token, now, MEMBER)
    public_id = ids.read("mbr", claims.operator_id)
    if public_id is not None:
        member_id = ids.member_of(public_id)
        wanted = {"session": claims.session_id, "member": member_id, "now": now}
        found = connection.execute(_LIVE, wanted).scalar_one_or_none()
        if found == public_id:
            return MemberSignedIn(member_id=member_id, public_id=public_id, session_id=claims.session_id)
    raise TokenRefused("the session has ended: sign in again")


def sign_out(connection: Connection, who: MemberSignedIn, now: datetime) -> None:
    """End a session; its tokens are of no more use."""
    connection.execute(_END, {"session": who.session_id, "now": now, "because": "signed out"})


def _tokens(
    connection: Connection, keys: OperatorKeys, member_id: int, session: UUID, now: datetime
) -> MemberTokens:
    given = f"rt_{secrets.token_hex(32)}"
    connection.execute(_GIVE, {"hash": _hash(given), "session": session, "now": now})
    public_id: UUID = connection.execute(
        text("SELECT public_id FROM member WHERE member_id = :member"), {"member": member_id}
    ).scalar_one()
    return MemberTokens(
        access=tokens.mint(keys, ids.show("mbr", public_id), session, now, MEMBER),
        refresh=given,
        expires_in=int(tokens.LIVES.total_seconds()),
    )


def _guarded(connection: Connection, address: str) -> tuple[str, int | None]:
    """Under what an address's code is kept, and the member that has the address."""
    member_id = connection.execute(_LOGIN, {"email": address}).scalar_one_or_none()
    if member_id is not None:
        return f"member {member_id}", int(member_id)
    share = int.from_bytes(blake2b(address.encode(errors="replace"), digest_size=4).digest()) % _SHARES
    return f"nobody {share}", None


def _hash_of_code(keys: OperatorKeys, guarded: str, code: str) -> bytes:
    # Keyed: eight digits are tried in a second by who copies the database alone.
    return hmac.digest(keys.secrets, f"{guarded}\n{code}".encode(errors="replace"), "sha256")


def _hash(token: str) -> bytes:
    return sha256(token.encode(errors="replace")).digest()
