"""Coming and going: enrolment, signing in, tokens, password."""

from typing import Annotated

import msgspec
from fastapi import Request, Response
from msgspec import Meta

from api.bodies import read_body
from api.operator.desk import EVERYBODY, Raw, answered, desk_of, guarded, make_router, who_of
from partners.people import operators, sessions
from partners.people.model import Role, Tokens

router = make_router("Operators' sessions")

Login = Annotated[str, Meta(min_length=1, max_length=64, description="Your login.")]
Password = Annotated[str, Meta(min_length=1, max_length=512)]
Code = Annotated[str, Meta(min_length=1, max_length=16, description="What the authenticator shows.")]
Secret = Annotated[
    str, Meta(min_length=1, max_length=128, description="Both halves of the enrolment secret: aaaa-bbbb.")
]


class SignInBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who you are, and what shows it."""

    operator: Login
    password: Password
    code: Code


class RefreshBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A refresh token. It is good once; one that comes again ends its session."""

    refresh: Annotated[str, Meta(min_length=1, max_length=256)]


class OperatorEnrolmentBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The one-time secret, and the password that you choose: twelve characters at least."""

    operator: Login
    secret: Secret
    password: Password


class ConfirmEnrolmentBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The same secret, and a code that shows that your authenticator works."""

    operator: Login
    secret: Secret
    code: Code


class PasswordBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Another password; your other sessions end."""

    old: Password
    new: Password
    code: Code


class TokensBody(msgspec.Struct, frozen=True, kw_only=True):
    """`access` goes into Authorization: Bearer … for `expires_in` seconds; `refresh` brings the next."""

    operator: str
    access: str
    refresh: str
    expires_in: int


class SecondFactorBody(msgspec.Struct, frozen=True, kw_only=True):
    """What your authenticator reads, shown this once."""

    provisioning_uri: str


class MeBody(msgspec.Struct, frozen=True, kw_only=True):
    """Who you are here, at this moment."""

    operator: str
    role: Role


class DoneBody(msgspec.Struct, frozen=True, kw_only=True):
    """It is done."""

    status: str = "done"


_SIGN_IN = msgspec.json.Decoder(SignInBody)
_REFRESH = msgspec.json.Decoder(RefreshBody)
_ENROL = msgspec.json.Decoder(OperatorEnrolmentBody)
_CONFIRM = msgspec.json.Decoder(ConfirmEnrolmentBody)
_PASSWORD = msgspec.json.Decoder(PasswordBody)
TYPES = (
    SignInBody,
    RefreshBody,
    OperatorEnrolmentBody,
    ConfirmEnrolmentBody,
    PasswordBody,
    TokensBody,
    SecondFactorBody,
    MeBody,
    DoneBody,
)


@router.post("/login", **guarded(answer=TokensBody, body=SignInBody))
async def login(request: Request, raw: Raw) -> Response:
    """Begin a session. After five wrong tries nobody gets one for a while, whatever is sent (429)."""
    desk, said = desk_of(request), read_body(raw, _SIGN_IN)
    given = await desk.hashing.run(
        lambda: sessions.sign_in(
            desk.database,
            desk.keys,
            name=said.operator,
            password=said.password,
            code=said.code,
            now=desk.now(),
        )
    )
    return answered(_tokens(given))


@router.post("/refresh", **guarded(answer=TokensBody, body=RefreshBody))
def refresh(request: Request, raw: Raw) -> Response:
    """Carry a session on: new tokens for a refresh token, which is used by that."""
    desk, said = desk_of(request), read_body(raw, _REFRESH)
    return answered(_tokens(sessions.refresh(desk.database, desk.keys, said.refresh, desk.now())))


@router.post("/logout", **guarded(*EVERYBODY, answer=DoneBody))
def logout(request: Request) -> Response:
    """End this session; its tokens are of no more use."""
    desk = desk_of(request)
    with desk.database.begin() as connection:
        sessions.sign_out(connection, who_of(request), desk.now())
    return answered(DoneBody())


@router.get("/me", **guarded(*EVERYBODY, answer=MeBody))
def me(request: Request) -> Response:
    """Who you are, and what you may."""
    who = who_of(request)
    return answered(MeBody(operator=who.operator_id, role=who.role))


@router.post("/password", **guarded(*EVERYBODY, answer=DoneBody, body=PasswordBody))
async def password(request: Request, raw: Raw) -> Response:
    """Set another password; it takes the old one and a code."""
    desk, who, said = desk_of(request), who_of(request), read_body(raw, _PASSWORD)
    await desk.hashing.run(
        lambda: operators.change_password(
            desk.database, desk.keys, who, old=said.old, new=said.new, code=said.code, now=desk.now()
        )
    )
    return answered(DoneBody())


@router.post("/enrolment", **guarded(answer=SecondFactorBody, body=OperatorEnrolmentBody))
async def enrolment(request: Request, raw: Raw) -> Response:
    """Choose a password and get a second factor, with the one-time secret."""
    desk, said = desk_of(request), read_body(raw, _ENROL)
    uri = await desk.hashing.run(
        lambda: operators.begin_enrolment(
            desk.database,
            desk.keys,
            name=said.operator,
            secret=said.secret,
            password=said.password,
            now=desk.now(),
        )
    )
    return answered(SecondFactorBody(provisioning_uri=uri))


@router.post("/enrolment/confirm", **guarded(answer=DoneBody, body=ConfirmEnrolmentBody))
def confirm(request: Request, raw: Raw) -> Response:
    """Show that the second factor works: from now on you can sign in."""
    desk, said = desk_of(request), read_body(raw, _CONFIRM)
    operators.finish_enrolment(
        desk.database, desk.keys, name=said.operator, secret=said.secret, code=said.code, now=desk.now()
    )
    return answered(DoneBody())


def _tokens(given: Tokens) -> TokensBody:
    return TokensBody(
        operator=given.operator_id, access=given.access, refresh=given.refresh, expires_in=given.expires_in
    )
