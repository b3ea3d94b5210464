"""Keeping the operators: added, given another role, let go, and how each comes by password and second factor.

What gives somebody rights takes two admins; what takes rights away takes one. As long as there are not two
active admins, the machine's own rights may add and reset admins (`tessera operator add`): who has them could
write to the database anyway, and all of it is on record.

Who is added enrols with a secret of two halves: one was shown to the admin who proposed it, one to the admin
who approved it. Neither alone can become the new operator.
"""

import secrets
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Engine, text

from partners.errors import (
    NotAllowed,
    NotNow,
    OperatorKnown,
    OperatorUnknown,
    ProposalChanged,
    SignInRefused,
)
from partners.people import approvals, codes, passwords
from partners.people.approvals import content_of, propose
from partners.people.audit import audited
from partners.people.guard import admit, forget_tries
from partners.people.model import HOST, Operator, Proposal, Role, SignedIn, operator_name
from partners.people.sessions import credential_of, end_sessions, prove
from partners.people.tokens import OperatorKeys

ADD, ROLE, ENABLE, RESET = "operator.add", "operator.role", "operator.enable", "operator.reset"
KINDS = (ADD, ROLE, ENABLE, RESET)
ENROLMENT_LIVES = timedelta(days=2)
FEWEST_ADMINS = 2

_COLUMNS = ", ".join(Operator.__struct_fields__)
_ALL = text(f"SELECT {_COLUMNS} FROM operator ORDER BY operator_id")
_ONE = text(f"SELECT {_COLUMNS} FROM operator WHERE operator_id = :name")
_LOCKED = text(f"SELECT {_COLUMNS} FROM operator WHERE operator_id = :name FOR UPDATE")
_INSERT = text(
    "INSERT INTO operator (operator_id, role, status, added_by, added_at)"
    f" VALUES (:name, :role, 'enrolling', :by, :now) ON CONFLICT DO NOTHING RETURNING {_COLUMNS}"
)
_CHANGE = text(
    f"UPDATE operator SET role = :role, status = :status WHERE operator_id = :name RETURNING {_COLUMNS}"
)
_ENROLLING = text(
    "INSERT INTO operator_credential (operator_id, enrolment_hash, enrolment_ends_at)"
    " VALUES (:name, :hash, :ends) ON CONFLICT (operator_id) DO UPDATE SET password_hash = NULL,"
    " totp_secret = NULL, enrolment_hash = :hash, enrolment_ends_at = :ends"
)
_ENROLMENT = text(
    "SELECT o.operator_id, c.totp_secret, c.password_hash FROM operator o"
    " JOIN operator_credential c USING (operator_id)"
    " WHERE operator_id = :name AND o.status = 'enrolling' AND c.enrolment_hash = :hash"
    " AND c.enrolment_ends_at > :now FOR UPDATE"
)
_SET_SECRETS = text(
    "UPDATE operator_credential SET password_hash = :password_hash, totp_secret = :totp_secret"
    " WHERE operator_id = :name"
)
_ENROLLED = text(
    "UPDATE operator_credential SET enrolment_hash = NULL, enrolment_ends_at = NULL, totp_step = :step"
    " WHERE operator_id = :name"
)
_SET_PASSWORD = text("UPDATE operator_credential SET password_hash = :hash WHERE operator_id = :name")
_LOCK_SESSIONS = text(
    "SELECT FROM operator_session WHERE operator_id = :name AND ended_at IS NULL"
    " ORDER BY session_id FOR UPDATE"
)
# Two who count admins at once take turns: each sees what the other did.
_ONE_AT_A_TIME = text("SELECT pg_advisory_xact_lock(7266, hashtext(current_schema()))")
_ADMINS = text("SELECT count(*) FROM operator WHERE role = 'admin' AND status = 'active'")


def operators(connection: Connection) -> list[Operator]:
    """All operators, by name."""
    return [Operator(**row._asdict()) for row in connection.execute(_ALL)]


def operator_of(connection: Connection, name: str, *, locked: bool = False) -> Operator:
    """One operator.

    Raises:
        OperatorUnknown: there is none of that name.
        NameInvalid: the name is no login.
    """
    row = connection.execute(_LOCKED if locked else _ONE, {"name": operator_name(name)}).one_or_none()
    if row is None:
        raise OperatorUnknown(f"there is no operator {name!r}")
    return Operator(**row._asdict())


def add_from_host(connection: Connection, name: str, role: Role, now: datetime) -> str:
    """Add an admin with the machine's own rights; the one-time secret with which it enrols.

    Raises:
        NotAllowed: there are two active admins, who add operators themselves; or the role is no admin's.
        OperatorKnown: there is one of that name.
    """
    _require_host(connection, role)
    one, other = _half(), _half()
    _add(connection, operator_name(name), role, _both(_digest(one), other), by=HOST, now=now)
    return f"{one}-{other}"


def reset_from_host(connection: Connection, name: str, now: datetime) -> str:
    """Let an admin enrol anew with the machine's own rights; the one-time secret for it.

    Raises:
        NotAllowed: there are two active admins besides, or it is no admin.
    """
    found = operator_of(connection, name, locked=True)
    _require_host(connection, found.role, found)
    one, other = _half(), _half()
    _reset(connection, found, _both(_digest(one), other), by=HOST, now=now)
    return f"{one}-{other}"


def propose_add(connection: Connection, name: str, role: Role, *, by: str) -> tuple[Proposal, str]:
    """Propose a new operator; the first half of its enrolment secret, shown this once.

    Raises:
        OperatorKnown, ProposalOpen: it is there, or proposed, already.
    """
    name = operator_name(name)
    if connection.execute(_ONE, {"name": name}).first() is not None:
        raise OperatorKnown(f"there is an operator {name!r}: names are never given twice")
    half = _half()
    content = {"operator": name, "role": role, "half": _digest(half)}
    return propose(connection, kind=ADD, subject=f"operator:{name}", content=content, by=by), half


def propose_role(connection: Connection, name: str, role: Role, *, by: str) -> Proposal:
    """Propose another role for an operator."""
    found = operator_of(connection, name)
    if found.role == role:
        raise NotNow(f"{found.operator_id} is {role} already")
    content = {"operator": found.operator_id, "before": found.role, "after": role}
    return propose(connection, kind=ROLE, subject=f"operator:{found.operator_id}", content=content, by=by)


def propose_reset(connection: Connection, name: str, *, by: str) -> tuple[Proposal, str]:
    """Propose that an operator enrols anew, for a lost password or phone; the first half of the secret."""
    found = operator_of(connection, name)
    if found.status == "disabled":
        raise NotNow(f"{found.operator_id} is disabled: propose to enable it first")
    half = _half()
    content = {"operator": found.operator_id, "half": _digest(half)}
    made = propose(connection, kind=RESET, subject=f"operator:{found.operator_id}", content=content, by=by)
    return made, half


def propose_enable(connection: Connection, name: str, *, by: str) -> tuple[Proposal, str]:
    """Propose to let a disabled operator act again, after enrolling anew; the first half of the secret."""
    found = operator_of(connection, name)
    if found.status != "disabled":
        raise NotNow(f"{found.operator_id} is {found.status}, not disabled")
    half = _half()
    content = {"operator": found.operator_id, "role": found.role, "half": _digest(half)}
    made = propose(connection, kind=ENABLE, subject=f"operator:{found.operator_id}", content=content, by=by)
    return made, half


def decide(
    connection: Connection, proposal_id: UUID, *, sha256: bytes, by: str, approve: bool, now: datetime
) -> tuple[Proposal, str | None]:
    """Decide a proposal of KINDS, and do what is approved; the second half of the secret, where there is one.

    Raises:
        ProposalChanged: the operator is no longer what it was when it was proposed.
    """
    content = content_of(approvals.read(connection, proposal_id))
    name, half = content["operator"], _half()
    # Before the record's lock is taken: who signs in or out holds these, and then wants that.
    connection.execute(_LOCKED, {"name": name})
    connection.execute(_LOCK_SESSIONS, {"name": name})
    decided = approvals.decide(connection, proposal_id, sha256=sha256, by=by, approve=approve, of=KINDS)
    if not approve:
        return decided, None
    if decided.kind == ADD:
        _add(connection, name, content["role"], _both(content["half"], half), by=by, now=now)
        return decided, half
    found = operator_of(connection, name, locked=True)
    if decided.kind == ROLE:
        if found.role != content["before"]:
            raise ProposalChanged(f"{name} is {found.role} now: propose it again")
        _change(connection, found, content["after"], found.status, "operator.role_changed", by=by)
        return decided, None
    if (found.status == "disabled") != (decided.kind == ENABLE):
        raise ProposalChanged(f"{name} is {found.status} now: propose it again")
    _reset(connection, found, _both(content["half"], half), by=by, now=now)
    return decided, half


def disable(connection: Connection, name: str, *, by: str, now: datetime) -> None:
    """Take all rights from an operator, at once: its sessions end, and it cannot sign in.

    Raises:
        NotAllowed: it is who asks for it.
    """
    found = operator_of(connection, name, locked=True)
    if found.operator_id == by:
        raise NotAllowed("nobody disables themselves: another admin does")
    if found.status == "disabled":
        return
    end_sessions(connection, found.operator_id, "disabled", now, by=by)
    _change(connection, found, found.role, "disabled", "operator.disabled", by=by)


def begin_enrolment(
    database: Engine, keys: OperatorKeys, *, name: str, secret: str, password: str, now: datetime
) -> str:
    """Set the password, and make the second factor; what an authenticator reads, shown this once.

    Raises:
        SignInRefused: the secret is wrong, used, or its time is over.
        PasswordUnfit, TooManyTries: the password will not do; too many wrong secrets.
    """
    admit(database, name, now)
    hashed = passwords.hash_password(password, operator_id=name.strip().lower())
    with database.begin() as connection:
        found = _enrolling(connection, name, secret, now)
        made = codes.make_secret()
        sealed = codes.seal_secret(made, keys.secrets, found.operator_id)
        wanted = {"name": found.operator_id, "password_hash": hashed, "totp_secret": sealed}
        connection.execute(_SET_SECRETS, wanted)
        forget_tries(connection, found.operator_id)
    return codes.provisioning_uri(made, found.operator_id)


def finish_enrolment(
    database: Engine, keys: OperatorKeys, *, name: str, secret: str, code: str, now: datetime
) -> None:
    """Show that the second factor works: from now on the operator can sign in, and the secret is used.

    Raises:
        SignInRefused: secret or code is wrong.
    """
    admit(database, name, now)
    with database.begin() as connection:
        found = _enrolling(connection, name, secret, now)
        step = None
        if found.totp_secret is not None:
            opened = codes.open_secret(bytes(found.totp_secret), keys.secrets, found.operator_id)
            step = codes.step_of_code(opened, code, now)
        if step is None:
            raise SignInRefused("the enrolment secret or the code is wrong")
        connection.execute(_ENROLLED, {"name": found.operator_id, "step": step})
        forget_tries(connection, found.operator_id)
        operator = operator_of(connection, found.operator_id, locked=True)
        _change(connection, operator, operator.role, "active", "operator.enrolled", by=operator.operator_id)


def change_password(
    database: Engine, keys: OperatorKeys, who: SignedIn, *, old: str, new: str, code: str, now: datetime
) -> None:
    """Set another password; the operator's other sessions end.

    Raises:
        SignInRefused: the old password or the code is wrong.
        PasswordUnfit, TooManyTries: the new one will not do; too many wrong tries.
    """
    admit(database, who.operator_id, now)
    with database.connect() as connection:
        found = credential_of(connection, who.operator_id)
    if found is None or not passwords.is_password(found.password_hash, old):
        raise SignInRefused("the old password or the code is wrong")
    hashed = passwords.hash_password(new, operator_id=who.operator_id)
    with database.begin() as connection:
        if not prove(connection, keys, found, code, now):
            raise SignInRefused("the old password or the code is wrong")
        connection.execute(_SET_PASSWORD, {"name": who.operator_id, "hash": hashed})
        end_sessions(
            connection, who.operator_id, "password changed", now, by=who.operator_id, but=who.session_id
        )
        audited(
            connection,
            by=who.operator_id,
            action="operator.password_changed",
            subject=f"password:{who.operator_id}",
        )


def _require_host(connection: Connection, role: Role, but: Operator | None = None) -> None:
    connection.execute(_ONE_AT_A_TIME)
    admins = connection.execute(_ADMINS).scalar_one()
    if but is not None and but.status == "active":
        admins -= 1
    if admins >= FEWEST_ADMINS:
        raise NotAllowed(f"there are {admins} active admins: one of them proposes it, another approves it")
    if role != "admin":
        raise NotAllowed("only admins come this way: once there are two, they add everybody else")


def _add(connection: Connection, name: str, role: Role, hashed: bytes, *, by: str, now: datetime) -> None:
    row = connection.execute(_INSERT, {"name": name, "role": role, "by": by, "now": now}).one_or_none()
    if row is None:
        raise OperatorKnown(f"there is an operator {name!r}: names are never given twice")
    connection.execute(_ENROLLING, {"name": name, "hash": hashed, "ends": now + ENROLMENT_LIVES})
    _record(connection, None, Operator(**row._asdict()), "operator.added", by=by)


def _reset(connection: Connection, found: Operator, hashed: bytes, *, by: str, now: datetime) -> None:
    name = found.operator_id
    connection.execute(_ENROLLING, {"name": name, "hash": hashed, "ends": now + ENROLMENT_LIVES})
    end_sessions(connection, name, "reset", now, by=by)
    _change(connection, found, found.role, "enrolling", "operator.reset", by=by)


def _change(
    connection: Connection, found: Operator, role: Role, status: str, action: str, *, by: str
) -> None:
    wanted = {"name": found.operator_id, "role": role, "status": status}
    row = connection.execute(_CHANGE, wanted).one()
    _record(connection, found, Operator(**row._asdict()), action, by=by)


def _record(
    connection: Connection, before: Operator | None, after: Operator, action: str, *, by: str
) -> None:
    audited(
        connection,
        by=by,
        action=action,
        subject=f"operator:{after.operator_id}",
        before=None if before is None else {"role": before.role, "status": before.status},
        after={"role": after.role, "status": after.status},
    )


def _enrolling(connection: Connection, name: str, secret: str, now: datetime) -> Any:
    one, _, other = secret.strip().partition("-")
    wanted = {"name": name.strip().lower(), "hash": _both(_digest(one), other), "now": now}
    found = connection.execute(_ENROLMENT, wanted).one_or_none()
    if found is None:
        raise SignInRefused("the enrolment secret is wrong, or used, or older than two days")
    return found


def _half() -> str:
    """Eighty random bits, as they are read from paper."""
    return secrets.token_hex(10)


def _digest(half: str) -> str:
    return sha256(half.encode(errors="replace")).hexdigest()


def _both(first: str, other: str) -> bytes:
    """What is stored of an enrolment secret: of the digest of its first half, and the other half."""
    return sha256(f"{first}-{other}".encode(errors="replace")).digest()
