"""Single commands: enrol, accrue, redeem, reverse. The hot path: bytes → command → lane → bytes."""

from typing import Any

import msgspec
from fastapi import APIRouter, Request, Response

from api.bodies import (
    ACCRUAL,
    CAPTURE,
    ENROLMENT,
    HOLD,
    REDEMPTION,
    REVERSAL,
    VOID,
    AnyBody,
    read_body,
    show_reply,
)
from api.openapi import command_docs
from api.problems import ProblemError, problem_response
from api.service import carry_out, partner_of, service_of
from network.model import Reply

router = APIRouter(prefix="/v1", tags=["Entries"])


@router.post("/members", **command_docs("EnrolmentBody"))
async def enrol(request: Request) -> Response:
    """Enrol a member; the answer holds the member's id and the number of a new card."""
    return await _command(request, ENROLMENT)


@router.post("/accruals", **command_docs("AccrualBody"))
async def accrue(request: Request) -> Response:
    """Report a sale; it earns points by the programme's rules, zero included."""
    return await _command(request, ACCRUAL)


@router.post("/redemptions", **command_docs("RedemptionBody"))
async def redeem(request: Request) -> Response:
    """Let points pay for part of a sale. Points of every issuer are taken, earliest expiry first."""
    return await _command(request, REDEMPTION)


@router.post("/holds", **command_docs("HoldBody"))
async def hold(request: Request) -> Response:
    """Reserve points for a sale that is not final; capture or void them later."""
    return await _command(request, HOLD)


@router.post("/captures", **command_docs("CaptureBody"))
async def capture(request: Request) -> Response:
    """Take held points in payment, all of them or part."""
    return await _command(request, CAPTURE)


@router.post("/voids", **command_docs("VoidBody"))
async def void(request: Request) -> Response:
    """Give back what a hold still holds."""
    return await _command(request, VOID)


@router.post("/reversals", **command_docs("ReversalBody"))
async def reverse(request: Request) -> Response:
    """Undo one of your entries, in full or in part, in today's window, at its own terms."""
    return await _command(request, REVERSAL)


async def _command(request: Request, decoder: msgspec.json.Decoder[AnyBody]) -> Response:
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise ProblemError("media_type_unsupported", "send application/json")
    command = read_body(await request.body(), decoder).command(partner_of(request))
    [reply] = await carry_out(service_of(request).tills, [command])
    return answer(reply, request)


def answer(reply: Reply, request: Request) -> Response:
    """201 with the entry, or the problem of the refusal; a replay says so in a header."""
    headers = {"idempotent-replayed": "true"} if reply.replayed else {}
    shown: Any = show_reply(reply)
    if isinstance(shown, str):
        return problem_response(shown, request_id=request.state.request_id, headers=headers)
    return Response(
        msgspec.json.encode(shown), status_code=201, media_type="application/json", headers=headers
    )
