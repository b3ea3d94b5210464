"""A partner's own signing keys: rotated by the partner itself, revoked at once."""

import msgspec
from fastapi import APIRouter, Request, Response
from sqlalchemy.exc import IntegrityError

from api.bodies import read_body
from api.bodies.keys import (
    OwnKeysBody,
    RegistrationBody,
    RevocationBody,
    bytes_of,
    instant_of,
    show_key,
)
from api.openapi import post_docs, read_docs
from api.problems import FieldError, ProblemError
from api.routes.disputes import Raw
from api.routes.reads import json_response
from api.service import partner_of, service_of
from partners import own_keys
from partners.errors import KeyNotFound
from partners.keys import KeyRefused, is_of_test_mode
from partners.model import PartnerKey

router = APIRouter(prefix="/v1", tags=["Keys"])

_NEW = msgspec.json.Decoder(RegistrationBody)
_REVOKED = msgspec.json.Decoder(RevocationBody)


@router.get("/keys", **read_docs("OwnKeysBody"))
def list_keys(request: Request) -> Response:
    """Your signing keys, those that are over included."""
    partner_id = partner_of(request)
    with service_of(request).database.connect() as connection:
        found = own_keys.own_keys(connection, partner_id)
    return json_response(OwnKeysBody(partner_id=partner_id, data=[show_key(key) for key in found]))


@router.post("/keys", **post_docs("OwnKeyBody", 201, "RegistrationBody", 409))
def register_key(request: Request, raw: Raw) -> Response:
    """Register your next key; it works at once, beside the others, on every server within five seconds.

    Sign the request with a key that you have, and prove with `proof` that you hold the new one. The same
    registration again changes nothing.
    """
    said = read_body(raw, _NEW)
    service = service_of(request)
    if is_of_test_mode(said.key_id) is not service.test_mode:
        word = "begin" if service.test_mode else "do not begin"
        raise ProblemError(
            "key_malformed", f"ids of keys {word} with test_ here", [FieldError("/key_id", "mode")]
        )
    now = service.now()
    key = PartnerKey(
        key_id=said.key_id,
        partner_id=partner_of(request),
        public_key=bytes_of(said.public_key, "/public_key"),
        not_before=instant_of(said.not_before, "/not_before") or now,
        not_after=instant_of(said.not_after, "/not_after"),
    )
    proof = bytes_of(said.proof, "/proof")
    try:
        with service.database.begin() as connection:
            done = own_keys.register(connection, key, proof, signed_by=request.state.key_id, now=now)
    except IntegrityError as error:
        raise ProblemError("key_id_taken", "another key of that id came first: choose another") from error
    if isinstance(done, KeyRefused):
        raise ProblemError(done.code, done.detail)
    registered, was_there = done
    answer = json_response(show_key(registered))
    answer.status_code = 201
    if was_there:
        answer.headers["idempotent-replayed"] = "true"
    return answer


@router.post("/key-revocations", **post_docs("OwnKeyBody", 200, "RevocationBody", 404))
def revoke_key(request: Request, raw: Raw) -> Response:
    """Revoke a key of yours, at once, the one that signs this too; after five seconds no server takes it."""
    said = read_body(raw, _REVOKED)
    service = service_of(request)
    try:
        with service.database.begin() as connection:
            key = own_keys.revoke_own(
                connection,
                partner_of(request),
                said.key_id,
                signed_by=request.state.key_id,
                now=service.now(),
            )
    except KeyNotFound as error:
        raise ProblemError("key_not_found") from error
    return json_response(show_key(key))
