"""What operators do to partners: suspend and reactivate them, register and revoke their keys.

What gives a partner rights takes two people; a key is revoked by one, at once. Whoever does it is on record.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import Connection, text

from partners import keys
from partners.errors import KeyNotAccepted, KeyNotFound, NotNow, PartnerUnknown, ProposalChanged
from partners.hooks.events import Told
from partners.hooks.outbox import publish
from partners.model import Participant, PartnerKey
from partners.people import approvals
from partners.people.approvals import content_of, propose
from partners.people.audit import audited
from partners.people.model import Proposal
from partners.store import add_key, load_keys, revoke_key

SUSPEND, REACTIVATE, REGISTER = "partner.suspend", "partner.reactivate", "partner.register_key"
_STATUS = {SUSPEND: "suspended", REACTIVATE: "active"}

_COLUMNS = "partner_id, code, name, kind, status"
_ALL = text(f"SELECT {_COLUMNS} FROM partner ORDER BY partner_id")
_ONE = text(f"SELECT {_COLUMNS} FROM partner WHERE code = :code")
_LOCKED = text(f"SELECT {_COLUMNS} FROM partner WHERE code = :code FOR UPDATE")
_NOW = text("SELECT now()")
_SET_STATUS = text("UPDATE partner SET status = :status WHERE code = :code")


def participants(connection: Connection) -> list[Participant]:
    """All participants of clearing, operator and pool among them."""
    return [Participant(**row._asdict()) for row in connection.execute(_ALL)]


def partner_of(connection: Connection, code: str, *, locked: bool = False) -> Participant:
    """A partner by its code.

    Raises:
        PartnerUnknown: none has that code; the operator and the pool are no partners.
    """
    row = connection.execute(_LOCKED if locked else _ONE, {"code": code}).one_or_none()
    if row is None or row.kind != "partner":
        raise PartnerUnknown(f"no partner has the code {code!r}")
    return Participant(**row._asdict())


def propose_status(connection: Connection, code: str, kind: str, *, reason: str, by: str) -> Proposal:
    """Propose to suspend or to reactivate a partner.

    Args:
        connection: A transaction.
        code: The partner's.
        kind: SUSPEND or REACTIVATE.
        reason: Why; who approves it reads it.
        by: Who proposes it.
    Raises:
        NotNow: it is so already, the partner has left, or there is no reason.
        PartnerUnknown, ProposalOpen: there is none; it is proposed already.
    """
    found, after = partner_of(connection, code), _STATUS[kind]
    if found.status in {after, "left"}:
        raise NotNow(f"{code} is {found.status}")
    if not reason.strip():
        raise NotNow("give a reason: whoever approves, or audits, reads it")
    content = {"partner": code, "before": found.status, "after": after, "reason": reason.strip()}
    return propose(connection, kind=kind, subject=f"partner:{code}", content=content, by=by)


def propose_key(connection: Connection, code: str, key: PartnerKey, proof: bytes, *, by: str) -> Proposal:
    """Propose a signing key whose owner has proven to hold the private half.

    Args:
        connection: A transaction.
        code: The partner's; the key names it by its number.
        key: The key.
        proof: The key's own signature of `keys.possession_statement(key)`.
        by: Who proposes it.
    Raises:
        KeyNotAccepted: the point is weak, the proof is not one, or the id is taken.
        NotNow: the key names another partner.
    """
    if partner_of(connection, code).partner_id != key.partner_id:
        raise NotNow(f"the key is not {code}'s: it names partner {key.partner_id}")
    refused = keys.check_new_key(key) or keys.check_possession(key, proof)
    if refused is not None:
        raise KeyNotAccepted(key.key_id, refused.code, refused.detail)
    if key.key_id in load_keys(connection):
        raise KeyNotAccepted(key.key_id, "key_id_taken", "a key of that id is registered: choose another id")
    content = {"partner": code, **msgspec.structs.asdict(key)}
    del content["revoked_at"]
    return propose(connection, kind=REGISTER, subject=f"key:{key.key_id}", content=content, by=by)


def decide(connection: Connection, proposal_id: UUID, *, sha256: bytes, by: str, approve: bool) -> Proposal:
    """Decide a proposal of KINDS, and do what is approved.

    Raises:
        ProposalChanged: the partner is no longer what it was when it was proposed.
        ProposalUnknown, ProposalDecided, SecondPersonNeeded: see approvals.decide.
    """
    content = content_of(approvals.read(connection, proposal_id))
    connection.execute(_LOCKED, {"code": content.get("partner")})
    decided = approvals.decide(connection, proposal_id, sha256=sha256, by=by, approve=approve, of=KINDS)
    if approve:
        _CARRY_OUT[decided.kind](connection, content, by)
    return decided


def revoke(connection: Connection, key_id: str, *, at: datetime, by: str) -> None:
    """Revoke a key from an instant on; requests under it are refused within five seconds of that.

    Raises:
        KeyNotFound: no such key.
    """
    before = load_keys(connection).get(key_id)
    if before is None:
        raise KeyNotFound(key_id)
    revoke_key(connection, key_id, at)
    after = load_keys(connection)[key_id]
    _tell(connection, after, "key.revoked")
    audited(
        connection,
        by=by,
        action="partner.key_revoked",
        subject=f"key:{key_id}",
        before={"partner_id": before.partner_id, "revoked_at": before.revoked_at},
        after={"partner_id": after.partner_id, "revoked_at": after.revoked_at},
    )


def _set_status(connection: Connection, content: Mapping[str, Any], by: str) -> None:
    found = partner_of(connection, content["partner"], locked=True)
    if found.status != content["before"]:
        raise ProposalChanged(f"{found.code} is {found.status} now: propose it again")
    connection.execute(_SET_STATUS, {"code": found.code, "status": content["after"]})
    audited(
        connection,
        by=by,
        action="partner.suspended" if content["after"] == "suspended" else "partner.reactivated",
        subject=f"partner:{found.code}",
        before={"status": found.status},
        after={"status": content["after"], "reason": content["reason"]},
    )


def _register(connection: Connection, content: Mapping[str, Any], by: str) -> None:
    until = content["not_after"]
    key = PartnerKey(
        key_id=content["key_id"],
        partner_id=content["partner_id"],
        public_key=bytes.fromhex(content["public_key"]),
        not_before=datetime.fromisoformat(content["not_before"]),
        not_after=None if until is None else datetime.fromisoformat(until),
    )
    if key.key_id in load_keys(connection):
        raise ProposalChanged(f"a key {key.key_id!r} was registered meanwhile")
    add_key(connection, key)
    _tell(connection, key, "key.registered")
    audited(
        connection, by=by, action="partner.key_registered", subject=f"key:{key.key_id}", after=dict(content)
    )


def _tell(connection: Connection, key: PartnerKey, event: str) -> None:
    """Its partner, of what became of a key; by name alone."""
    told = Told(partner_id=key.partner_id, type=event, data={"key_id": key.key_id})
    publish(connection, [told], at=connection.execute(_NOW).scalar_one())


_CARRY_OUT: Mapping[str, Callable[[Connection, Mapping[str, Any], str], None]] = {
    SUSPEND: _set_status,
    REACTIVATE: _set_status,
    REGISTER: _register,
}
KINDS = tuple(_CARRY_OUT)
