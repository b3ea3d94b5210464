"""Single commands. The hot path: a verified body goes to the lane of the tills, and its answer back.

What FastAPI would do for a route (parameters, dependencies, responses) none of these needs, and it costs more
than all else at the door; so they are one ASGI application of their own, which hands every other address on.
The description of the API has them all the same.
"""

from typing import Any

from starlette.types import ASGIApp, Receive, Scope, Send

from api.commands import NAMING_CARDS, ROUTES
from api.lanes.wire import Answer
from api.limits import headers_of
from api.openapi import command_docs
from api.problems import ProblemError, answer_failure, problem_response
from api.service import Service

_JSON = (b"content-type", b"application/json")
_PROBLEM = (b"content-type", b"application/problem+json")


class Commands:
    """Has what is posted to ROUTES carried out; every other request goes on to the application."""

    def __init__(self, app: ASGIApp, service: Service) -> None:
        self._app = app
        self._service = service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        route = ROUTES.get(_path(scope)) if scope["type"] == "http" else None
        if route is None:
            if b"%00" in scope.get("query_string", b""):
                await _refuse_nul(scope, receive, send)
            else:
                await self._app(scope, receive, send)
            return
        scope["route"] = route  # whose path the metrics count by
        request_id = scope["state"]["request_id"]
        try:
            _require_json_post(scope)
            # whole: it was read, and its signature judged, before
            body = (await receive())["body"]
            partner_id = scope["state"]["partner_id"]
            if route.path in NAMING_CARDS:
                require_no_guessing(self._service, partner_id)
            trace = scope["state"].get("trace", "")
            answer = await self._service.tills.ask(route.path, partner_id, request_id, body, trace=trace)
            if answer.status in (404, 422):
                self._service.limits.count_guesses(partner_id, answer.body)
        except ProblemError as error:
            refused = {"allow": "POST"} if error.code == "method_not_allowed" else error.headers
            response = problem_response(
                error.code, error.detail, errors=error.errors, request_id=request_id, headers=refused
            )
            await response(scope, receive, send)
        except Exception as error:
            await answer_failure(error, request_id)(scope, receive, send)
        else:
            await _send(answer, send)


async def _refuse_nul(scope: Scope, receive: Receive, send: Send) -> None:
    """No text of ours holds NUL, and PostgreSQL would take none."""
    request_id = scope["state"]["request_id"]
    refused = problem_response("validation_failed", "NUL in the query", request_id=request_id)
    await refused(scope, receive, send)


def require_no_guessing(service: Service, partner_id: int) -> None:
    """Refuse to look for a card, whatever its number, of who named many that do not exist.

    Raises:
        ProblemError: cards_limited; it is the same for cards that exist and that do not.
    """
    cards = service.limits.cards
    wait = cards.wait(partner_id, service.limits.now())
    if wait:
        raise ProblemError("cards_limited", headers=headers_of("cards", cards.rate, wait))


def _require_json_post(scope: Scope) -> None:
    if scope["method"] != "POST":
        raise ProblemError("method_not_allowed")
    if _media_type(scope) != b"application/json":
        raise ProblemError("media_type_unsupported", "send application/json")


def _path(scope: Scope) -> str:
    path: str = scope["path"]
    return path.removeprefix(scope.get("root_path", ""))


def _media_type(scope: Scope) -> bytes:
    for name, value in scope["headers"]:
        if name == b"content-type":
            given: bytes = value
            return given.partition(b";")[0].strip().lower()
    return b""


async def _send(answer: Answer, send: Send) -> None:
    """The lane's bytes as they are; a replay says so in a header."""
    headers = [(b"content-length", b"%d" % len(answer.body)), _JSON if answer.status == 201 else _PROBLEM]
    if answer.replayed:
        headers.append((b"idempotent-replayed", b"true"))
    if answer.status == 503:
        headers.append((b"retry-after", b"1"))
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": answer.body})


def describe_commands(openapi: dict[str, Any]) -> None:
    """Add the addresses of commands to the description of the API, before all others."""
    described = {
        route.path: {"post": command_docs(route.body.__name__, route.says)} for route in ROUTES.values()
    }
    read = openapi["paths"]
    openapi["paths"] = {path: {**does, **read.get(path, {})} for path, does in described.items()} | {
        path: does for path, does in read.items() if path not in described
    }
