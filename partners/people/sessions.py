"""Signing in and staying so: a password and a code begin a session, refresh tokens carry it on, each once.

A session lasts twelve hours at most, and two without being used. A refresh token that comes a second time was
copied by somebody: which of the two is the thief cannot be known, so the session ends for both.
"""

import secrets
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Engine, text

from partners.errors import NameInvalid, SecretUnreadable, SignInRefused, TokenRefused
from partners.people import codes, passwords, tokens
from partners.people.audit import audited
from partners.people.guard import FREE_TRIES, admit, forget_tries
from partners.people.model import UNKNOWN, SignedIn, Tokens, operator_name
from partners.people.tokens import OperatorKeys

SESSION_LIVES = timedelta(hours=12)
REFRESH_LIVES = timedelta(hours=2)
_WRONG = "login, password or code is wrong"

_CREDENTIAL = (
    "SELECT o.operator_id, c.password_hash, c.totp_secret FROM operator o JOIN operator_credential c"
    " USING (operator_id) WHERE o.operator_id = :name AND o.status = 'active'"
)
_FIND = text(_CREDENTIAL)
_LOCK = text(f"{_CREDENTIAL} AND c.password_hash = :password_hash FOR UPDATE")
_USE_STEP = text(
    "UPDATE operator_credential SET totp_step = :step WHERE operator_id = :name AND totp_step < :step"
)
_REHASH = text("UPDATE operator_credential SET password_hash = :hash WHERE operator_id = :name")
_OPEN = text(
    "INSERT INTO operator_session (session_id, operator_id, started_at, ends_at)"
    " VALUES (gen_random_uuid(), :name, :now, :ends) RETURNING session_id"
)
_GIVE = text(
    "INSERT INTO operator_refresh (token_hash, session_id, issued_at) VALUES (:hash, :session, :now)"
)
_TAKE = text(
    "SELECT s.session_id, s.operator_id, s.ended_at, s.ends_at, r.issued_at, r.used_at, o.status"
    " FROM operator_refresh r JOIN operator_session s USING (session_id) JOIN operator o USING (operator_id)"
    " WHERE r.token_hash = :hash FOR UPDATE OF s, r"
)
_USE = text("UPDATE operator_refresh SET used_at = :now WHERE token_hash = :hash")
_END = text(
    "UPDATE operator_session SET ended_at = :now, ended_because = :because"
    " WHERE ended_at IS NULL AND operator_id = :name"
    " AND (CAST(:session AS uuid) IS NULL OR session_id = :session)"
    " AND (CAST(:but AS uuid) IS NULL OR session_id <> :but) RETURNING session_id"
)
_LIVE = text(
    "SELECT o.operator_id, o.role FROM operator_session s JOIN operator o USING (operator_id)"
    " WHERE s.session_id = :session AND s.operator_id = :name AND s.ended_at IS NULL AND s.ends_at > :now"
    " AND o.status = 'active'"
)


def sign_in(
    database: Engine, keys: OperatorKeys, *, name: str, password: str, code: str, now: datetime
) -> Tokens:
    """Begin a session.

    Raises:
        SignInRefused: something is wrong; what, is not told, and takes as long.
        TooManyTries: after wrong ones, even if all is right.
    """
    tries = admit(database, name, now)
    with database.connect() as connection:
        found = connection.execute(_FIND, {"name": _spelled(name)}).one_or_none()
    right = passwords.is_password(None if found is None else found.password_hash, password)
    if found is not None and right:
        with database.begin() as connection:
            if prove(connection, keys, found, code, now):
                if passwords.is_outdated(found.password_hash):
                    fresh = passwords.hash_password(password, operator_id=found.operator_id)
                    connection.execute(_REHASH, {"name": found.operator_id, "hash": fresh})
                return open_session(connection, keys, found.operator_id, now)
    if found is not None and tries >= FREE_TRIES:
        with database.begin() as connection:
            note = {"wrong_tries": tries}
            audited(
                connection,
                by=UNKNOWN,
                action="sign_in.locked",
                subject=f"sign_in:{found.operator_id}",
                after=note,
            )
    raise SignInRefused(_WRONG)


def prove(connection: Connection, keys: OperatorKeys, found: Any, code: str, now: datetime) -> bool:
    """Whether a code is right and was not used; it is used now, and wrong tries are forgotten.

    Args:
        found: A row with operator_id, password_hash and totp_secret; it must still be so.
    """
    name = found.operator_id
    still = connection.execute(_LOCK, {"name": name, "password_hash": found.password_hash}).one_or_none()
    if still is None or still.totp_secret is None:
        return False
    try:
        secret = codes.open_secret(bytes(still.totp_secret), keys.secrets, name)
    except SecretUnreadable:
        return False
    step = codes.step_of_code(secret, code, now)
    if step is None or not connection.execute(_USE_STEP, {"name": name, "step": step}).rowcount:
        return False
    forget_tries(connection, name)
    return True


def credential_of(connection: Connection, operator_id: str) -> Any:
    """The row that `prove` takes, of an active operator; None of another."""
    return connection.execute(_FIND, {"name": operator_id}).one_or_none()


def open_session(connection: Connection, keys: OperatorKeys, operator_id: str, now: datetime) -> Tokens:
    """Begin a session of somebody who has shown who it is."""
    session: UUID = connection.execute(
        _OPEN, {"name": operator_id, "now": now, "ends": now + SESSION_LIVES}
    ).scalar_one()
    given = _tokens(connection, keys, operator_id, session, now)
    audited(connection, by=operator_id, action="session.began", subject=f"session:{session}")
    return given


def refresh(database: Engine, keys: OperatorKeys, token: str, now: datetime) -> Tokens:
    """Carry a session on: new tokens for a refresh token, which is thereby used.

    Raises:
        TokenRefused: it is unknown, its time is over, or it was used before; then its session has ended.
    """
    hashed = _hash(token)
    with database.begin() as connection:
        found = connection.execute(_TAKE, {"hash": hashed}).one_or_none()
        if found is not None and found.ended_at is None:
            if found.used_at is not None:
                end_sessions(
                    connection,
                    found.operator_id,
                    "refresh token reused",
                    now,
                    only=found.session_id,
                    by=UNKNOWN,
                )
            elif now < min(found.ends_at, found.issued_at + REFRESH_LIVES) and found.status == "active":
                connection.execute(_USE, {"hash": hashed, "now": now})
                return _tokens(connection, keys, found.operator_id, found.session_id, now)
    raise TokenRefused("sign in again")


def authenticate(connection: Connection, keys: OperatorKeys, token: str, now: datetime) -> SignedIn:
    """Who an access token proves, with the role of this moment.

    Raises:
        TokenRefused: it is not ours, or over; its session has ended; or its operator may no longer act.
    """
    claims = tokens.read(keys, token, now)
    wanted = {"name": claims.operator_id, "session": claims.session_id, "now": now}
    row = connection.execute(_LIVE, wanted).one_or_none()
    if row is None:
        raise TokenRefused("the session has ended: sign in again")
    return SignedIn(operator_id=row.operator_id, role=row.role, session_id=claims.session_id)


def sign_out(connection: Connection, who: SignedIn, now: datetime) -> None:
    """End a session; its tokens are of no more use."""
    end_sessions(connection, who.operator_id, "signed out", now, only=who.session_id, by=who.operator_id)


def end_sessions(
    connection: Connection,
    operator_id: str,
    because: str,
    now: datetime,
    *,
    by: str,
    only: UUID | None = None,
    but: UUID | None = None,
) -> None:
    """End an operator's sessions: one, all, or all but one."""
    wanted = {"name": operator_id, "now": now, "because": because, "session": only, "but": but}
    for session in sorted(connection.execute(_END, wanted).scalars()):
        audited(
            connection,
            by=by,
            action="session.ended",
            subject=f"session:{session}",
            before={"operator": operator_id},
            after={"operator": operator_id, "because": because},
        )


def _tokens(
    connection: Connection, keys: OperatorKeys, operator_id: str, session: UUID, now: datetime
) -> Tokens:
    given = f"rt_{secrets.token_hex(32)}"
    connection.execute(_GIVE, {"hash": _hash(given), "session": session, "now": now})
    return Tokens(
        operator_id=operator_id,
        access=tokens.mint(keys, operator_id, session, now),
        refresh=given,
        expires_in=int(tokens.LIVES.total_seconds()),
    )


def _hash(token: str) -> bytes:
    # Without salt or stretching: 256 random bits cannot be guessed.
    return sha256(token.encode(errors="replace")).digest()


def _spelled(name: str) -> str:
    """The login that is meant; what is none is nobody's."""
    try:
        return operator_name(name)
    except NameInvalid:
        return ""
