"""What operators' addresses share: who asks and whether the role allows it, bodies, pages, and problems.

Tokens come in the header Authorization alone. No cookie is ever set or read, so a page of another site cannot
make a browser act for an operator; what says that it comes from another site is refused all the same.
"""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as NotBase64
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from hashlib import blake2b
from threading import Lock
from typing import Annotated, Any
from urllib.parse import unquote_plus
from uuid import UUID

import msgspec
from fastapi import APIRouter, Depends, FastAPI, Request, Response
from sqlalchemy import Engine

from api.openapi import content_of_type
from api.operator.hashing import Hashing
from api.problems import ProblemError, problem_response
from network import errors as network_errors
from network.rules import Rules
from partners import errors
from partners.people.model import Role, SignedIn
from partners.people.sessions import authenticate
from partners.people.tokens import OperatorKeys
from settlement import errors as settlement_errors
from settlement.bank import errors as bank_errors
from settlement.reports.errors import NothingToReport

MAX_BODY_BYTES = 64 << 10
EVERYBODY: tuple[Role, ...] = ("viewer", "maker", "checker", "admin")
_TOLD_NOTHING = {"sign_in_refused", "token_refused"}
_LONGEST_HEADER = 4_096
_NO_STORE = {"cache-control": "no-store"}


class TokenMissing(Exception):
    """A request carries no access token."""


PROBLEM_OF: Mapping[type[Exception], str] = {
    TokenMissing: "token_missing",
    errors.NameInvalid: "name_invalid",
    errors.PasswordUnfit: "password_unfit",
    errors.SignInRefused: "sign_in_refused",
    errors.TokenRefused: "token_refused",
    errors.OperatorUnknown: "operator_unknown",
    errors.OperatorKnown: "operator_known",
    errors.NotAllowed: "not_allowed",
    errors.NotNow: "not_now",
    errors.RecordUnfit: "validation_failed",
    errors.ProposalUnknown: "proposal_unknown",
    errors.ProposalDecided: "proposal_decided",
    errors.ProposalChanged: "proposal_changed",
    errors.ProposalOpen: "proposal_open",
    errors.SecondPersonNeeded: "second_person_needed",
    errors.PartnerUnknown: "partner_not_found",
    errors.DraftUnknown: "draft_unknown",
    errors.DraftUnfit: "terms_unfit",
    errors.RateUnfit: "terms_unfit",
    errors.TermsNotAccepted: "terms_unfit",
    errors.KeyNotFound: "key_not_found",
    errors.KeyNotAccepted: "key_not_accepted",
    network_errors.AdjustmentUnknown: "adjustment_unknown",
    network_errors.AdjustmentInvalid: "adjustment_invalid",
    network_errors.AdjustmentDecided: "proposal_decided",
    network_errors.FourEyesNeeded: "second_person_needed",
    settlement_errors.FourEyesNeeded: "second_person_needed",
    bank_errors.AccountInvalid: "bank_account_invalid",
    bank_errors.PaymentInvalid: "bank_account_invalid",
    bank_errors.StatementRefused: "statement_refused",
    bank_errors.NotPayable: "not_now",
    bank_errors.WayOutClosed: "way_out_closed",
    bank_errors.ProposalUnknown: "proposal_unknown",
    bank_errors.ProposalDecided: "proposal_decided",
    settlement_errors.ApprovalStale: "proposal_changed",
    settlement_errors.RunNotReady: "run_not_ready",
    settlement_errors.NightOutOfOrder: "run_not_ready",
    settlement_errors.NotFinal: "not_final",
    settlement_errors.PaymentRefused: "payment_refused",
    NothingToReport: "report_unknown",
    settlement_errors.NothingMissing: "nothing_missing",
    settlement_errors.CannotUnwind: "cannot_unwind",
    settlement_errors.CaseUnknown: "case_unknown",
    settlement_errors.ExitRefused: "exit_refused",
    settlement_errors.CorrectionRefused: "correction_refused",
    settlement_errors.CalendarUnknown: "correction_refused",
}
"""Which problem an error of the rooms below is, where it is the caller's."""


class Desk:
    """What lives as long as the application."""

    def __init__(
        self,
        database: Engine,
        keys: OperatorKeys,
        *,
        now: Callable[[], datetime],
        rules: Callable[[], Rules],
    ) -> None:
        self.database = database
        self.keys = keys
        self.now = now
        self.rules = rules
        self.hashing = Hashing()
        self.verifying = Lock()
        self.drawing = Lock()


def desk_of(request: Request) -> Desk:
    """The application's desk."""
    desk: Desk = request.app.state.desk
    return desk


def who_of(request: Request) -> SignedIn:
    """Who asks, as the session proved it."""
    who: SignedIn = request.state.operator
    return who


def make_router(tag: str) -> APIRouter:
    """A router of operators' addresses; partners and pages of other sites do not get in."""
    return APIRouter(prefix="/operator", tags=[tag], dependencies=[Depends(_keep_out)])


async def _keep_out(request: Request) -> None:
    if "signature" in request.headers or "signature-input" in request.headers:
        raise ProblemError("operators_only")
    if "\0" in request.url.path or "\0" in unquote_plus(request.url.query):
        raise ProblemError("validation_failed", "no text holds the character NUL")
    site = request.headers.get("sec-fetch-site", "none")
    if request.method not in {"GET", "HEAD"} and site not in {"none", "same-origin"}:
        raise ProblemError("cross_site")


def allowed(*roles: Role) -> Any:
    """The dependency that lets only these roles in."""

    def judge(request: Request) -> None:
        desk = desk_of(request)
        given = request.headers.get("authorization", "")
        scheme, _, token = given.partition(" ")
        if scheme.lower() != "bearer" or not token or len(given) > _LONGEST_HEADER:
            raise TokenMissing
        with desk.database.connect() as connection:
            who = authenticate(connection, desk.keys, token.strip(), desk.now())
        if who.role not in roles:
            raise ProblemError("not_allowed", f"{who.role} may not; {' or '.join(roles)} may")
        request.state.operator = who

    return Depends(judge)


def guarded(
    *roles: Role,
    answer: type | None = None,
    gives: tuple[str, ...] = (),
    body: type | None = None,
    takes: str | None = None,
) -> dict[str, Any]:
    """Keyword arguments of a route: who may, what it takes and answers.

    Args:
        roles: Who may; nobody else. None: whoever asks, as to sign in.
        answer: The type of its answer, where that is JSON.
        gives: The media types of its answer, where it is a file.
        body: The type of its request, where it takes JSON.
        takes: The media type, where it takes something else.
    """
    extra: dict[str, Any] = {"x-roles": list(roles), "security": [{"operatorSession": []}] if roles else []}
    if body is not None:
        extra["requestBody"] = {"required": True, "content": content_of_type(body.__name__)}
    elif takes is not None:
        held = {takes: {"schema": {"type": "string", "format": "binary"}}}
        extra["requestBody"] = {"required": True, "content": held}
    content = {given: {"schema": {"type": "string", "format": "binary"}} for given in gives}
    if answer is not None:
        content = content_of_type(answer.__name__)
    found = {"description": "Done, or found.", "content": content}
    problem = {"description": "A problem.", "content": content_of_type("Problem", "application/problem+json")}
    return {
        "dependencies": [allowed(*roles)] if roles else [],
        "openapi_extra": extra,
        "responses": {200: found, "default": problem},
    }


def taking(limit: int, media_types: tuple[str, ...]) -> Callable[[Request], Awaitable[bytes]]:
    """A dependency that reads a body of these kinds, of no more than so many bytes."""

    async def read(request: Request) -> bytes:
        media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if media_type not in media_types or request.headers.get("content-encoding", "identity") != "identity":
            raise ProblemError("media_type_unsupported", f"send {' or '.join(media_types)} as it is")
        held = bytearray()
        async for chunk in request.stream():
            held += chunk
            if len(held) > limit:
                raise ProblemError("body_too_large", f"at most {limit} bytes are taken at this address")
        if media_type == "application/json" and b"\\u0000" in held:
            raise ProblemError("validation_failed", "no text holds the character NUL")
        return bytes(held)

    return read


Raw = Annotated[bytes, Depends(taking(MAX_BODY_BYTES, ("application/json",)))]
"""The bytes of a JSON body."""


def answered(body: msgspec.Struct) -> Response:
    """An answer of 200, which nobody keeps."""
    return Response(msgspec.json.encode(body), media_type="application/json", headers=_NO_STORE)


def uuid_of(given: str, code: str) -> UUID:
    """The id in an address.

    Raises:
        ProblemError: it is none, and so there is nothing of that id.
    """
    try:
        return UUID(given)
    except ValueError as error:
        raise ProblemError(code) from error


def sha256_of(given: str) -> bytes:
    """A hash as it was shown, 64 hexadecimal digits; what is none fits nothing."""
    try:
        return bytes.fromhex(given)
    except ValueError:
        return b""


def cursor_of(pages: str, position: object) -> str:
    """Where the next page begins, with a check that it came from us and of which pages it is."""
    held = str(position)
    return urlsafe_b64encode(_check(pages, held) + held.encode()).decode()


def read_cursor(pages: str, cursor: str) -> str:
    """The position in a cursor.

    Raises:
        ProblemError: cursor_invalid.
    """
    try:
        raw = urlsafe_b64decode(cursor.encode())
        position = raw[8:].decode()
    except (NotBase64, ValueError) as error:
        raise ProblemError("cursor_invalid") from error
    if raw[:8] != _check(pages, position):
        raise ProblemError("cursor_invalid")
    return position


def _check(pages: str, position: str) -> bytes:
    # No secret: operators may read all that a made-up cursor could reach. It finds slips and tampering.
    return blake2b(position.encode(), digest_size=8, key=f"pages of {pages}".encode()).digest()


def add_error_answers(app: FastAPI) -> None:
    """Errors of the rooms below that are the caller's are answered as problems; the others go on."""

    async def on_error(request: Request, error: Exception) -> Response:
        request_id = str(getattr(request.state, "request_id", ""))
        if isinstance(error, errors.TooManyTries):
            headers = {"retry-after": str(error.seconds)}
            return problem_response("too_many_tries", request_id=request_id, headers=headers)
        code = next(PROBLEM_OF[each] for each in type(error).__mro__ if each in PROBLEM_OF)
        told = "" if code in _TOLD_NOTHING else str(error)
        answer = problem_response(code, told, request_id=request_id)
        if answer.status_code == 401:
            answer.headers["www-authenticate"] = "Bearer"
        return answer

    for each in (*PROBLEM_OF, errors.TooManyTries):
        app.add_exception_handler(each, on_error)
