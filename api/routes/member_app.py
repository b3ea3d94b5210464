"""What members do themselves, under /m: sign in by a code that is mailed, lock their cards, show one.

Access tokens come in the header Authorization alone. A browser may keep the refresh token in a cookie that
only our own origin gets; so whatever changes something is refused to pages of other sites.
"""

import logging
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Depends, Request, Response
from msgspec import Meta
from sqlalchemy import Engine
from starlette.background import BackgroundTask
from starlette.concurrency import run_in_threadpool

from api.bodies import read_body
from api.limits import Limits, address_of, headers_of
from api.mail import SendMail
from api.openapi import content_of_type
from api.problems import ProblemError
from api.routes.disputes import Raw
from network import ids, member_cards, member_sessions
from network.member_sessions import MemberSignedIn, MemberTokens
from partners.errors import SignInRefused, TokenRefused
from partners.people.passkeys import RelyingParty
from partners.people.tokens import OperatorKeys

log = logging.getLogger("tessera.api")
COOKIE = "__Host-tessera"
_LONGEST_HEADER = 4_096
_NO_STORE = {"cache-control": "no-store"}
CODE_MAIL = "{code}\n\nIt is good for ten minutes, once. Tell it to nobody.\n"

Email = Annotated[
    str,
    Meta(pattern=r"^[!-?A-~]{1,64}@[A-Za-z0-9.-]{1,189}(?!\n)$", description="An address for mails, ASCII."),
]


class MemberDesk:
    """What lives as long as the application."""

    def __init__(
        self,
        database: Engine,
        keys: OperatorKeys,
        *,
        now: Callable[[], datetime],
        limits: Limits,
        send: SendMail,
        party: RelyingParty,
    ) -> None:
        self.database = database
        self.keys = keys
        self.now = now
        self.limits = limits
        self.send = send
        self.party = party


class CodeWishBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where a code shall be mailed; it is, if a member signs in by that address."""

    email: Email


class MemberSignInBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The address, and the eight digits that were mailed. `cookie`: keep the refresh token in a cookie."""

    email: Email
    code: Annotated[str, Meta(pattern=r"^[0-9]{8}(?!\n)$")]
    cookie: bool = False


class MemberRefreshBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A refresh token, or none where the cookie holds it; it is good once."""

    refresh: Annotated[str, Meta(min_length=1, max_length=256)] | None = None


class MemberTokensBody(msgspec.Struct, frozen=True, kw_only=True):
    """`access` is good for `expires_in` seconds; `refresh` (null: the cookie holds it) brings the next."""

    access: str
    refresh: str | None
    expires_in: int


class OwnCardBody(msgspec.Struct, frozen=True, kw_only=True):
    """A card of the member: active, locked or blocked."""

    card: str
    status: str


class MemberBody(msgspec.Struct, frozen=True, kw_only=True):
    """Who is signed in."""

    member: str
    cards: Sequence[OwnCardBody]


class LockBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whether the member's cards shall be locked: they then earn, and do not spend."""

    locked: bool


class CardCodeBody(msgspec.Struct, frozen=True, kw_only=True):
    """A card as the phone shows it: the text of its QR, whose code changes at an instant (Unix seconds)."""

    card: str
    code: str
    changes_at: int
    qr: str


TYPES = (
    CodeWishBody,
    MemberSignInBody,
    MemberRefreshBody,
    MemberTokensBody,
    OwnCardBody,
    MemberBody,
    LockBody,
    CardCodeBody,
)
_WISH = msgspec.json.Decoder(CodeWishBody)
_SIGN_IN = msgspec.json.Decoder(MemberSignInBody)
_REFRESH = msgspec.json.Decoder(MemberRefreshBody)
_LOCK = msgspec.json.Decoder(LockBody)


def desk_of(request: Request) -> MemberDesk:
    """The application's desk for members."""
    desk: MemberDesk = request.app.state.member_desk
    return desk


async def keep_out(request: Request) -> None:
    """Refuse pages of other sites whatever changes something, and signatures of partners everything."""
    if "signature" in request.headers or "signature-input" in request.headers:
        raise ProblemError("operators_only", "partners sign for /v1, and members do not sign")
    if request.method in {"GET", "HEAD"}:
        return
    origin = request.headers.get("origin")
    site = request.headers.get("sec-fetch-site", "none")
    ours = desk_of(request).party.origins
    if site not in {"none", "same-origin"} or (origin is not None and origin not in ours):
        raise ProblemError("cross_site")


def limited(request: Request) -> None:
    """Count a try to sign in by its address."""
    limits = desk_of(request).limits
    wait = limits.members.take(address_of(request.scope.get("client")), limits.now())
    if wait:
        raise ProblemError("rate_limited", headers=headers_of("members", limits.members.rate, wait))


def _member(request: Request) -> MemberSignedIn:
    """Who asks, as the token proves it."""
    desk, given = desk_of(request), request.headers.get("authorization", "")
    scheme, _, token = given.partition(" ")
    if scheme.lower() != "bearer" or not token or len(given) > _LONGEST_HEADER:
        raise ProblemError("member_token_missing")
    try:
        with desk.database.connect() as connection:
            return member_sessions.authenticate(connection, desk.keys, token.strip(), desk.now())
    except TokenRefused as error:
        raise ProblemError("member_token_refused") from error


Who = Annotated[MemberSignedIn, Depends(_member)]
router = APIRouter(prefix="/m", tags=["Members"], dependencies=[Depends(keep_out)])


def member_docs(
    answer: str | None = None, body: str | None = None, *, open_to_all: bool = False
) -> dict[str, Any]:
    """Keyword arguments of a route: what it answers and takes, and whether a token is needed."""
    extra: dict[str, Any] = {"security": [] if open_to_all else [{"memberSession": []}]}
    if body is not None:
        extra["requestBody"] = {"required": True, "content": content_of_type(body)}
    found: dict[str, Any] = {"description": "Done, or found."}
    if answer is not None:
        found["content"] = content_of_type(answer)
    problem = {"description": "A problem.", "content": content_of_type("Problem", "application/problem+json")}
    status = 200 if answer is not None else 202
    return {"openapi_extra": extra, "status_code": status, "responses": {status: found, "default": problem}}


def private(body: msgspec.Struct) -> Response:
    """An answer that nobody on the way keeps."""
    return Response(msgspec.json.encode(body), media_type="application/json", headers=_NO_STORE)


@router.post("/codes", dependencies=[Depends(limited)], **member_docs(body="CodeWishBody", open_to_all=True))
def send_code(request: Request, raw: Raw) -> Response:
    """Have a code mailed. The answer is the same whether somebody signs in by that address or nobody does."""
    desk, said = desk_of(request), read_body(raw, _WISH)
    code = member_sessions.send_code(desk.database, desk.keys, said.email, desk.now())
    # after the answer, whose time so tells nothing
    mailing = (
        None
        if code is None
        else BackgroundTask(mail, desk.send, said.email, "Your code", CODE_MAIL.format(code=code))
    )
    return Response(status_code=202, headers=_NO_STORE, background=mailing)


def mail(send: SendMail, to: str, subject: str, said: str) -> None:
    """Mail something; that it did not leave is in the log."""
    try:
        send(to, subject, said)
    except OSError:  # SMTP's errors are such
        log.exception("a mail did not leave")


@router.post(
    "/sessions",
    dependencies=[Depends(limited)],
    **member_docs("MemberTokensBody", "MemberSignInBody", open_to_all=True),
)
def sign_in(request: Request, raw: Raw) -> Response:
    """Begin a session with the code that was mailed."""
    desk, said = desk_of(request), read_body(raw, _SIGN_IN)
    try:
        given = member_sessions.sign_in(desk.database, desk.keys, said.email, said.code, desk.now())
    except SignInRefused as error:
        raise ProblemError("code_refused") from error
    return with_tokens(given, cookie=said.cookie)


@router.post(
    "/sessions/refresh",
    dependencies=[Depends(limited)],
    **member_docs("MemberTokensBody", "MemberRefreshBody", open_to_all=True),
)
def refresh(request: Request, raw: Raw) -> Response:
    """Carry the session on. A refresh token that comes a second time ends it: one of the two is a thief."""
    desk, said = desk_of(request), read_body(raw, _REFRESH)
    token = said.refresh or request.cookies.get(COOKIE, "")
    try:
        given = member_sessions.refresh(desk.database, desk.keys, token, desk.now())
    except TokenRefused as error:
        raise ProblemError("member_token_refused") from error
    return with_tokens(given, cookie=said.refresh is None)


def with_tokens(given: MemberTokens, *, cookie: bool) -> Response:
    """The tokens of a session; the refresh token in a cookie where that is wished for."""
    answer = private(
        MemberTokensBody(
            access=given.access, refresh=None if cookie else given.refresh, expires_in=given.expires_in
        )
    )
    if cookie:
        answer.set_cookie(
            COOKIE,
            given.refresh,
            max_age=int(member_sessions.REFRESH_LIVES.total_seconds()),
            path="/",
            secure=True,
            httponly=True,
            samesite="strict",
        )
    return answer


@router.post("/sign-out", **member_docs())
async def sign_out(request: Request, who: Who) -> Response:
    """End the session; its tokens are of no more use."""
    desk = desk_of(request)

    def end() -> None:
        with desk.database.begin() as connection:
            member_sessions.sign_out(connection, who, desk.now())

    await run_in_threadpool(end)
    answer = Response(status_code=202, headers=_NO_STORE)
    answer.delete_cookie(COOKIE, path="/", secure=True, httponly=True, samesite="strict")
    return answer


@router.get("/me", **member_docs("MemberBody"))
def me(request: Request, who: Who) -> Response:
    """Who is signed in, and the cards."""
    with desk_of(request).database.connect() as connection:
        return private(_shown(who, member_cards.cards_of(connection, who.member_id)))


@router.post("/lock", **member_docs("MemberBody", "LockBody"))
def lock(request: Request, raw: Raw, who: Who) -> Response:
    """Lock all cards, at once: they earn, and pay for nothing; or unlock them."""
    said = read_body(raw, _LOCK)
    with desk_of(request).database.begin() as connection:
        member_cards.lock_cards(connection, who.member_id, locked=said.locked)
        return private(_shown(who, member_cards.cards_of(connection, who.member_id)))


@router.get("/card", **member_docs("CardCodeBody"))
def card(request: Request, who: Who) -> Response:
    """A card as the phone shows it to a till; its code changes every thirty seconds, and is good once."""
    desk = desk_of(request)
    with desk.database.connect() as connection:
        usable = [n for n, status in member_cards.cards_of(connection, who.member_id) if status != "blocked"]
        if not usable:
            raise ProblemError("card_blocked")
        shown = member_cards.show_code(connection, desk.keys, who.member_id, usable[-1], desk.now())
    return private(
        CardCodeBody(
            card=str(shown.card_number),
            code=shown.code,
            changes_at=shown.changes_at,
            qr=f"{shown.card_number}.{shown.code}",
        )
    )


def _shown(who: MemberSignedIn, cards: Sequence[tuple[int, str]]) -> MemberBody:
    return MemberBody(
        member=ids.show("mbr", who.public_id),
        cards=[OwnCardBody(card=str(number), status=status) for number, status in cards],
    )
