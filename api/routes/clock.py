"""Clocks: what ours says, and how far that of your key has been from it."""

from datetime import datetime

import msgspec
from fastapi import APIRouter, Request, Response

from api.openapi import read_docs
from api.routes.reads import json_response
from api.skew import Skews

router = APIRouter(prefix="/v1", tags=["Entries"])


class ClockBody(msgspec.Struct, frozen=True, kw_only=True):
    """Our clock, and what this server has seen of your key's since it was started.

    Seconds ahead of ours, or (-) behind: of this request, the least and the most of `seen` signatures. A
    request takes its time to come and `created` has whole seconds: a right clock is seen up to a second off.
    """

    server_time: datetime
    key: str
    ahead_seconds: float
    least_seconds: float
    most_seconds: float
    seen: int


@router.get("/clock", **read_docs("ClockBody"))
async def clock(request: Request) -> Response:
    """Look at the clock of the till that signs this; one that is far off reports its sales at wrong times."""
    skews: Skews = request.app.state.skews
    key_id: str = request.state.key_id
    skew = skews.of(key_id)
    if skew is None:
        raise RuntimeError(f"the signature of {key_id!r} was verified, and its clock was not looked at")
    return json_response(
        ClockBody(
            server_time=skews.now(),
            key=key_id,
            ahead_seconds=round(skew.last, 3),
            least_seconds=round(skew.least, 3),
            most_seconds=round(skew.most, 3),
            seen=skew.seen,
        )
    )
