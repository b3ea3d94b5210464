"""Single commands. The hot path: bytes → command → lane → bytes, without a framework between.

Each address takes one kind of body. What FastAPI would do for a route (parameters, dependencies, responses)
none of these needs, and it costs more than all else in the process; so they are one ASGI application of their
own, which hands every other address on. The description of the API has them all the same.
"""

from collections.abc import Mapping
from typing import Any

import msgspec
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from api import bodies
from api.bodies import Body, read_body, show_reply
from api.openapi import command_docs
from api.problems import ProblemError, answer_failure, problem_response
from api.service import Service, carry_out
from network.model import Reply


class CommandRoute(msgspec.Struct, frozen=True, kw_only=True):
    """An address and the body it takes; `says` is its line in the description."""

    path: str
    body: type[Body]
    says: str
    decoder: msgspec.json.Decoder[Any]


def _route(path: str, body: type[Body], says: str) -> CommandRoute:
    return CommandRoute(path=path, body=body, says=says, decoder=msgspec.json.Decoder(body))


ROUTES: Mapping[str, CommandRoute] = {
    route.path: route
    for route in (
        _route(
            "/v1/members",
            bodies.EnrolmentBody,
            "Enrol a member; the answer holds the member's id and the number of a new card.",
        ),
        _route(
            "/v1/accruals",
            bodies.AccrualBody,
            "Report a sale; it earns points by the programme's rules, zero included.",
        ),
        _route(
            "/v1/redemptions",
            bodies.RedemptionBody,
            "Let points pay for part of a sale. Points of every issuer are taken, earliest expiry first.\n\n"
            "Where the member is in a pool, the points of all its members are; what was another's is in"
            " `pooled`.",
        ),
        _route(
            "/v1/holds",
            bodies.HoldBody,
            "Reserve points for a sale that is not final; capture or void them later.",
        ),
        _route("/v1/captures", bodies.CaptureBody, "Take held points in payment, all of them or part."),
        _route("/v1/voids", bodies.VoidBody, "Give back what a hold still holds."),
        _route(
            "/v1/reversals",
            bodies.ReversalBody,
            "Undo an entry, in full, by amount, points or lines, in today's window, at its own terms.\n\n"
            "One of yours; or another partner's, by the id on its receipt, where its contract lets what it"
            " sold be returned elsewhere and yours takes returns.",
        ),
        _route(
            "/v1/releases",
            bodies.ReleaseBody,
            "Let the points of one of your accruals be spent: what they were pending for has come about.",
        ),
        _route(
            "/v1/gifts",
            bodies.GiftBody,
            "Give a member's own points to another member, earliest expiry first.",
        ),
        _route(
            "/v1/donations",
            bodies.DonationBody,
            "Give a member's own points to a cause; the night pays it as it pays for a redemption.",
        ),
        _route(
            "/v1/pool-invitations",
            bodies.PoolInvitationBody,
            "Ask a member into another's pool. Nothing is shared before the invited one has joined.",
        ),
        _route(
            "/v1/pool-joins",
            bodies.PoolJoinBody,
            "Consent to an invitation: from now on each member of the pool can spend the points of all.",
        ),
        _route(
            "/v1/pool-leaves",
            bodies.PoolLeaveBody,
            "Leave a pool. A member's points were its own all along, and stay with it.",
        ),
        _route(
            "/v1/merges",
            bodies.MergeBody,
            "Make two accounts one: all points, debts and cards of one member go to the other.",
        ),
        _route(
            "/v1/unmerges",
            bodies.UnmergeBody,
            "Undo one of your merges: the cards go back, and what is left of the points that came by it.",
        ),
    )
}


class Commands:
    """Carries out what is posted to ROUTES; every other request goes on to the application."""

    def __init__(self, app: ASGIApp, service: Service) -> None:
        self._app = app
        self._service = service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        route = ROUTES.get(_path(scope)) if scope["type"] == "http" else None
        if route is None:
            await self._app(scope, receive, send)
            return
        scope["route"] = route  # whose path the metrics count by
        request_id = scope["state"]["request_id"]
        try:
            answered = await self._carry_out(route, scope, receive, request_id)
        except Exception as error:
            answered = answer_failure(error, request_id)
        await answered(scope, receive, send)

    async def _carry_out(
        self, route: CommandRoute, scope: Scope, receive: Receive, request_id: str
    ) -> Response:
        if scope["method"] != "POST":
            return problem_response("method_not_allowed", request_id=request_id, headers={"allow": "POST"})
        if _media_type(scope) != b"application/json":
            raise ProblemError("media_type_unsupported", "send application/json")
        # whole: it was read, and its signature judged, before
        body = (await receive())["body"]
        command = read_body(body, route.decoder).command(scope["state"]["partner_id"])
        [reply] = await carry_out(self._service.tills, [command])
        return _answer(reply, request_id)


def _path(scope: Scope) -> str:
    path: str = scope["path"]
    return path.removeprefix(scope.get("root_path", ""))


def _media_type(scope: Scope) -> bytes:
    for name, value in scope["headers"]:
        if name == b"content-type":
            given: bytes = value
            return given.partition(b";")[0].strip().lower()
    return b""


def _answer(reply: Reply, request_id: str) -> Response:
    """201 with the entry, or the problem of the refusal; a replay says so in a header."""
    headers = {"idempotent-replayed": "true"} if reply.replayed else {}
    shown = show_reply(reply)
    if isinstance(shown, str):
        return problem_response(shown, request_id=request_id, headers=headers)
    return Response(
        msgspec.json.encode(shown), status_code=201, media_type="application/json", headers=headers
    )


def describe_commands(openapi: dict[str, Any]) -> None:
    """Add the addresses of commands to the description of the API, before all others."""
    described = {
        route.path: {"post": command_docs(route.body.__name__, route.says)} for route in ROUTES.values()
    }
    openapi["paths"] = described | openapi["paths"]
