"""Partners and their keys: suspended, reactivated and registered by two, revoked by one."""

from base64 import b64decode
from binascii import Error as NotBase64
from datetime import datetime
from typing import Annotated

import msgspec
from fastapi import Request, Response
from msgspec import Meta

from api.bodies import read_body
from api.operator.desk import EVERYBODY, Raw, answered, desk_of, guarded, make_router, who_of
from api.operator.people import ProposedBody, proposed
from api.operator.proposals import show
from api.operator.sessions import DoneBody
from api.problems import FieldError, ProblemError
from partners import service
from partners.model import PartnerKey
from partners.store import load_keys

router = make_router("Partners")

Instant = Annotated[datetime, Meta(tz=True)]


class PartnerBody(msgspec.Struct, frozen=True, kw_only=True):
    """A participant of clearing; operator and pool are participants too."""

    id: int
    code: str
    name: str
    kind: str
    status: str


class PartnersBody(msgspec.Struct, frozen=True, kw_only=True):
    """All participants."""

    data: list[PartnerBody]


class ReasonBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Why; whoever approves, or audits, reads it."""

    reason: Annotated[str, Meta(min_length=1, max_length=1_000)]


class KeyBody(msgspec.Struct, frozen=True, kw_only=True):
    """A partner's signing key."""

    key_id: str
    public_key: str
    not_before: datetime
    not_after: datetime | None
    revoked_at: datetime | None


class KeysBody(msgspec.Struct, frozen=True, kw_only=True):
    """All keys that a partner ever had."""

    data: list[KeyBody]


class NewKeyBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A public key, and its owner's proof: its own signature of the possession statement; both base64."""

    key_id: Annotated[str, Meta(min_length=1, max_length=128)]
    public_key: Annotated[str, Meta(min_length=44, max_length=44)]
    not_before: Instant
    not_after: Instant | None = None
    proof: Annotated[str, Meta(min_length=88, max_length=88)]


_REASON = msgspec.json.Decoder(ReasonBody)
_NEW_KEY = msgspec.json.Decoder(NewKeyBody)
TYPES = (PartnerBody, PartnersBody, ReasonBody, KeyBody, KeysBody, NewKeyBody)


@router.get("/partners", **guarded(*EVERYBODY, answer=PartnersBody))
def list_partners(request: Request) -> Response:
    """Who takes part, and how each stands."""
    with desk_of(request).database.connect() as connection:
        found = service.participants(connection)
    data = [
        PartnerBody(id=one.partner_id, code=one.code, name=one.name, kind=one.kind, status=one.status)
        for one in found
    ]
    return answered(PartnersBody(data=data))


@router.post("/partners/{code}/suspend", **guarded("maker", answer=ProposedBody, body=ReasonBody))
def suspend(code: str, request: Request, raw: Raw) -> Response:
    """Propose to suspend a partner: it then neither issues nor accepts; its members' points stay good."""
    return _propose(code, request, raw, service.SUSPEND)


@router.post("/partners/{code}/reactivate", **guarded("maker", answer=ProposedBody, body=ReasonBody))
def reactivate(code: str, request: Request, raw: Raw) -> Response:
    """Propose to let a suspended partner take part again."""
    return _propose(code, request, raw, service.REACTIVATE)


@router.get("/partners/{code}/keys", **guarded(*EVERYBODY, answer=KeysBody))
def list_keys(code: str, request: Request) -> Response:
    """A partner's signing keys."""
    with desk_of(request).database.connect() as connection:
        partner_id = service.partner_of(connection, code).partner_id
        keys = [key for key in load_keys(connection).values() if key.partner_id == partner_id]
    data = [
        KeyBody(
            key_id=key.key_id,
            public_key=key.public_key.hex(),
            not_before=key.not_before,
            not_after=key.not_after,
            revoked_at=key.revoked_at,
        )
        for key in sorted(keys, key=lambda key: key.key_id)
    ]
    return answered(KeysBody(data=data))


@router.post("/partners/{code}/keys", **guarded("maker", answer=ProposedBody, body=NewKeyBody))
def register_key(code: str, request: Request, raw: Raw) -> Response:
    """Propose a signing key, with its owner's proof that it holds the private half."""
    said = read_body(raw, _NEW_KEY)
    public_key, proof = _decoded(said.public_key, "/public_key"), _decoded(said.proof, "/proof")
    with desk_of(request).database.begin() as connection:
        key = PartnerKey(
            key_id=said.key_id,
            partner_id=service.partner_of(connection, code).partner_id,
            public_key=public_key,
            not_before=said.not_before,
            not_after=said.not_after,
        )
        made = service.propose_key(connection, code, key, proof, by=who_of(request).operator_id)
    return answered(ProposedBody(proposal=show(made)))


@router.post("/keys/{key_id}/revoke", **guarded("maker", "checker", "admin", answer=DoneBody))
def revoke_key(key_id: str, request: Request) -> Response:
    """Revoke a key, at once; one person is enough. Requests under it are refused within five seconds."""
    desk = desk_of(request)
    with desk.database.begin() as connection:
        service.revoke(connection, key_id, at=desk.now(), by=who_of(request).operator_id)
    return answered(DoneBody())


def _propose(code: str, request: Request, raw: bytes, kind: str) -> Response:
    said = read_body(raw, _REASON)
    return proposed(request, service.propose_status, code, kind, reason=said.reason)


def _decoded(given: str, pointer: str) -> bytes:
    try:
        return b64decode(given, validate=True)
    except (NotBase64, ValueError) as error:
        raise ProblemError("validation_failed", "not base64", [FieldError(pointer, "base64")]) from error
