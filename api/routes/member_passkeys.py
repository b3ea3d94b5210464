"""Members' passkeys: made by a browser for who has signed in, and then a way to sign in.

What a browser gives is sent as it gives it, in base64url: see `PublicKeyCredential.toJSON()`.
"""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as NotBase64
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated

import msgspec
from fastapi import APIRouter, Depends, Request, Response
from msgspec import Meta
from starlette.background import BackgroundTask

from api.bodies import read_body
from api.problems import FieldError, ProblemError
from api.routes.disputes import Raw
from api.routes.member_app import Who, desk_of, keep_out, limited, mail, member_docs, private, with_tokens
from network import ids, member_passkeys
from network.member_passkeys import CHALLENGE_LIVES, Assertion, Registration
from partners.errors import SignInRefused
from partners.people.passkeys import ALGORITHMS

router = APIRouter(prefix="/m", tags=["Members"], dependencies=[Depends(keep_out)])
_MAIL = "A passkey was added to your account. If that was not you, remove it where you sign in.\n"

Base64Url = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{1,8000}(?!\n)$", description="Base64url, unpadded.")]


class ChallengeBody(msgspec.Struct, frozen=True, kw_only=True):
    """What `navigator.credentials.get` is given: `challenge`, `rpId`; user verification is required."""

    challenge: str
    rp_id: str
    expires_in: int


class NewPasskeyOptionsBody(msgspec.Struct, frozen=True, kw_only=True):
    """What `navigator.credentials.create` is given: a resident key, `user_id` its user's handle."""

    challenge: str
    rp_id: str
    user_id: str
    algorithms: Sequence[int]
    exclude: Sequence[str]
    expires_in: int


class NewPasskeyBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the browser made: of its response clientDataJSON, authenticatorData, publicKey."""

    challenge: Base64Url
    client_data: Base64Url
    authenticator_data: Base64Url
    public_key: Base64Url
    name: Annotated[str, Meta(pattern=r"^[ -~]{0,64}(?!\n)$", description="To tell it apart by.")] = ""


class PasskeySignInBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the passkey signed. `user_id` is the userHandle; `cookie`: keep the refresh token in a cookie."""

    challenge: Base64Url
    id: Base64Url
    user_id: Base64Url
    client_data: Base64Url
    authenticator_data: Base64Url
    signature: Base64Url
    cookie: bool = False


class OwnPasskeyBody(msgspec.Struct, frozen=True, kw_only=True):
    """A passkey of the member."""

    id: str
    name: str
    added_at: datetime
    used_at: datetime | None


class OwnPasskeysBody(msgspec.Struct, frozen=True, kw_only=True):
    """All of them, the oldest first."""

    data: Sequence[OwnPasskeyBody]


TYPES = (
    ChallengeBody,
    NewPasskeyOptionsBody,
    NewPasskeyBody,
    PasskeySignInBody,
    OwnPasskeyBody,
    OwnPasskeysBody,
)
_NEW = msgspec.json.Decoder(NewPasskeyBody)
_SIGN_IN = msgspec.json.Decoder(PasskeySignInBody)


def _bytes(given: str, pointer: str) -> bytes:
    try:
        return urlsafe_b64decode(given + "=" * (-len(given) % 4))
    except (NotBase64, ValueError) as error:
        raise ProblemError("validation_failed", errors=[FieldError(pointer, "base64url")]) from error


def _text(raw: bytes) -> str:
    return urlsafe_b64encode(raw).rstrip(b"=").decode()


@router.post("/passkeys/options", **member_docs("NewPasskeyOptionsBody"))
def options(request: Request, who: Who) -> Response:
    """What a browser needs to make a passkey of the member's."""
    desk = desk_of(request)
    with desk.database.begin() as connection:
        challenge = member_passkeys.challenge(connection, desk.now(), who.member_id)
        there = member_passkeys.own(connection, who.member_id)
    return private(
        NewPasskeyOptionsBody(
            challenge=_text(challenge),
            rp_id=desk.party.rp_id,
            user_id=_text(who.public_id.bytes),
            algorithms=ALGORITHMS,
            exclude=[_text(one.credential_id) for one in there],
            expires_in=int(CHALLENGE_LIVES.total_seconds()),
        )
    )


@router.post("/passkeys", **member_docs(body="NewPasskeyBody"))
def add(request: Request, raw: Raw, who: Who) -> Response:
    """Take the passkey that the browser made; the member is told by mail."""
    desk, said = desk_of(request), read_body(raw, _NEW)
    given = Registration(
        challenge=_bytes(said.challenge, "/challenge"),
        client_data=_bytes(said.client_data, "/client_data"),
        authenticator_data=_bytes(said.authenticator_data, "/authenticator_data"),
        public_key=_bytes(said.public_key, "/public_key"),
        name=said.name,
    )
    try:
        email = member_passkeys.register(desk.database, desk.party, who, given, desk.now())
    except SignInRefused as error:
        raise ProblemError("passkey_refused", str(error)) from error
    return Response(
        status_code=202,
        headers={"cache-control": "no-store"},
        background=BackgroundTask(mail, desk.send, email, "A passkey", _MAIL),
    )


@router.get("/passkeys", **member_docs("OwnPasskeysBody"))
def listed(request: Request, who: Who) -> Response:
    """The member's passkeys."""
    with desk_of(request).database.connect() as connection:
        found = member_passkeys.own(connection, who.member_id)
    return private(
        OwnPasskeysBody(
            data=[
                OwnPasskeyBody(
                    id=_text(one.credential_id), name=one.name, added_at=one.added_at, used_at=one.used_at
                )
                for one in found
            ]
        )
    )


@router.delete("/passkeys/{passkey}", **member_docs())
def remove(passkey: str, request: Request, who: Who) -> Response:
    """Take a passkey away: nobody signs in with it any more."""
    with desk_of(request).database.begin() as connection:
        if not member_passkeys.remove(connection, who.member_id, _bytes(passkey, "/passkey")):
            raise ProblemError("passkey_unknown")
    return Response(status_code=202, headers={"cache-control": "no-store"})


@router.post(
    "/passkeys/challenges", dependencies=[Depends(limited)], **member_docs("ChallengeBody", open_to_all=True)
)
def challenge(request: Request) -> Response:
    """A challenge to sign in with: good once, for five minutes, for whichever passkey the browser has."""
    desk = desk_of(request)
    with desk.database.begin() as connection:
        made = member_passkeys.challenge(connection, desk.now())
    seconds = int(CHALLENGE_LIVES.total_seconds())
    return private(ChallengeBody(challenge=_text(made), rp_id=desk.party.rp_id, expires_in=seconds))


@router.post(
    "/sessions/passkey",
    dependencies=[Depends(limited)],
    **member_docs("MemberTokensBody", "PasskeySignInBody", open_to_all=True),
)
def sign_in(request: Request, raw: Raw) -> Response:
    """Begin a session with a passkey."""
    desk, said = desk_of(request), read_body(raw, _SIGN_IN)
    user = ids.read("mbr", f"mbr_{_bytes(said.user_id, '/user_id').hex()}")
    if user is None:
        raise ProblemError("passkey_refused")
    given = Assertion(
        challenge=_bytes(said.challenge, "/challenge"),
        user=user,
        credential_id=_bytes(said.id, "/id"),
        client_data=_bytes(said.client_data, "/client_data"),
        authenticator_data=_bytes(said.authenticator_data, "/authenticator_data"),
        signature=_bytes(said.signature, "/signature"),
    )
    try:
        tokens = member_passkeys.sign_in(desk.database, desk.keys, desk.party, given, desk.now())
    except SignInRefused as error:
        raise ProblemError("passkey_refused") from error
    return with_tokens(tokens, cookie=said.cookie)
