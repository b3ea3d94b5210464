"""Single commands. The hot path: bytes → command → lane → bytes."""

from typing import Any

import msgspec
from fastapi import APIRouter, Request, Response

from api.bodies import (
    COMMANDS,
    AccrualBody,
    Body,
    CaptureBody,
    DonationBody,
    EnrolmentBody,
    GiftBody,
    HoldBody,
    MergeBody,
    PoolInvitationBody,
    PoolJoinBody,
    PoolLeaveBody,
    RedemptionBody,
    ReleaseBody,
    ReversalBody,
    UnmergeBody,
    VoidBody,
    read_body,
    show_reply,
)
from api.openapi import command_docs
from api.problems import ProblemError, problem_response
from api.service import carry_out, partner_of, service_of
from network.model import Reply

router = APIRouter(prefix="/v1", tags=["Entries"])
_DECODERS = {body: msgspec.json.Decoder(body) for body in COMMANDS}


@router.post("/members", **command_docs("EnrolmentBody"))
async def enrol(request: Request) -> Response:
    """Enrol a member; the answer holds the member's id and the number of a new card."""
    return await _command(request, EnrolmentBody)


@router.post("/accruals", **command_docs("AccrualBody"))
async def accrue(request: Request) -> Response:
    """Report a sale; it earns points by the programme's rules, zero included."""
    return await _command(request, AccrualBody)


@router.post("/redemptions", **command_docs("RedemptionBody"))
async def redeem(request: Request) -> Response:
    """Let points pay for part of a sale. Points of every issuer are taken, earliest expiry first.

    Where the member is in a pool, the points of all its members are; what was another's is in `pooled`.
    """
    return await _command(request, RedemptionBody)


@router.post("/holds", **command_docs("HoldBody"))
async def hold(request: Request) -> Response:
    """Reserve points for a sale that is not final; capture or void them later."""
    return await _command(request, HoldBody)


@router.post("/captures", **command_docs("CaptureBody"))
async def capture(request: Request) -> Response:
    """Take held points in payment, all of them or part."""
    return await _command(request, CaptureBody)


@router.post("/voids", **command_docs("VoidBody"))
async def void(request: Request) -> Response:
    """Give back what a hold still holds."""
    return await _command(request, VoidBody)


@router.post("/reversals", **command_docs("ReversalBody"))
async def reverse(request: Request) -> Response:
    """Undo an entry, in full, by amount, points or lines, in today's window, at its own terms.

    One of yours; or another partner's, by the id on its receipt, where its contract lets what it sold be
    returned elsewhere and yours takes returns.
    """
    return await _command(request, ReversalBody)


@router.post("/releases", **command_docs("ReleaseBody"))
async def release(request: Request) -> Response:
    """Let the points of one of your accruals be spent: what they were pending for has come about."""
    return await _command(request, ReleaseBody)


@router.post("/gifts", **command_docs("GiftBody"))
async def gift(request: Request) -> Response:
    """Give a member's own points to another member, earliest expiry first."""
    return await _command(request, GiftBody)


@router.post("/donations", **command_docs("DonationBody"))
async def donation(request: Request) -> Response:
    """Give a member's own points to a cause; the night pays it as it pays for a redemption."""
    return await _command(request, DonationBody)


@router.post("/pool-invitations", **command_docs("PoolInvitationBody"))
async def invite(request: Request) -> Response:
    """Ask a member into another's pool. Nothing is shared before the invited one has joined."""
    return await _command(request, PoolInvitationBody)


@router.post("/pool-joins", **command_docs("PoolJoinBody"))
async def join(request: Request) -> Response:
    """Consent to an invitation: from now on each member of the pool can spend the points of all."""
    return await _command(request, PoolJoinBody)


@router.post("/pool-leaves", **command_docs("PoolLeaveBody"))
async def leave(request: Request) -> Response:
    """Leave a pool. A member's points were its own all along, and stay with it."""
    return await _command(request, PoolLeaveBody)


@router.post("/merges", **command_docs("MergeBody"))
async def merge(request: Request) -> Response:
    """Make two accounts one: all points, debts and cards of one member go to the other."""
    return await _command(request, MergeBody)


@router.post("/unmerges", **command_docs("UnmergeBody"))
async def unmerge(request: Request) -> Response:
    """Undo one of your merges: the cards go back, and what is left of the points that came by it."""
    return await _command(request, UnmergeBody)


async def _command(request: Request, body: type[Body]) -> Response:
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise ProblemError("media_type_unsupported", "send application/json")
    command = read_body(await request.body(), _DECODERS[body]).command(partner_of(request))
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
