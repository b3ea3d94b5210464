"""Values of people and of what they did."""

import re
from datetime import datetime
from typing import Literal, get_args
from uuid import UUID

import msgspec

from partners.errors import NameInvalid

Role = Literal["viewer", "maker", "checker", "admin"]
ROLES: tuple[Role, ...] = get_args(Role)
"""A viewer looks; a maker also prepares; a checker also decides what another prepared; an admin also keeps
the operators themselves. Nobody is two of them: who needs two roles needs two people."""
Status = Literal["enrolling", "active", "disabled"]

HOST = "host"
"""Who acts with the machine's own rights, before there are admins; no operator has this name."""
UNKNOWN = "unknown"
"""Who tried to sign in as somebody, and was not let in; no operator has this name."""
WORKER = "worker"
"""Who does what nobody is asked for, at night and when deadlines pass; no operator has this name."""
_NAME = re.compile("[a-z][a-z0-9._-]{0,31}")


class Operator(msgspec.Struct, frozen=True, kw_only=True):
    """A person of the operator. `operator_id` is the login, for ever this person's."""

    operator_id: str
    role: Role
    status: Status
    added_by: str
    added_at: datetime


class SignedIn(msgspec.Struct, frozen=True, kw_only=True):
    """Who acts, as far as a session proves it; the role is the one of this moment."""

    operator_id: str
    role: Role
    session_id: UUID


class Tokens(msgspec.Struct, frozen=True, kw_only=True):
    """What a session is carried on with: `access` for minutes, `refresh` once."""

    operator_id: str
    access: str
    refresh: str
    expires_in: int


class AuditRow(msgspec.Struct, frozen=True, kw_only=True):
    """One link of the chain. `record` is canonical JSON; hash = SHA-256(previous_hash ‖ record)."""

    seq: int
    at: datetime
    done_by: str
    action: str
    subject: str
    record: str
    previous_hash: bytes
    hash: bytes


class Proposal(msgspec.Struct, frozen=True, kw_only=True):
    """What one person proposes and another decides. `sha256` is of `content`, canonical JSON."""

    proposal_id: UUID
    kind: str
    subject: str
    content: str
    sha256: bytes
    prepared_by: str
    prepared_at: datetime
    decided_by: str | None = None
    decided_at: datetime | None = None
    approved: bool | None = None


def operator_name(given: str) -> str:
    """A login in its one spelling: blanks around it and upper case do not make another person.

    Raises:
        NameInvalid: it is none.
    """
    name = given.strip().lower()
    if not _NAME.fullmatch(name) or name in {HOST, UNKNOWN, WORKER}:
        raise NameInvalid(
            f"{given!r} is no login: a letter, then up to 31 letters, digits, dots, dashes or underscores"
        )
    return name
