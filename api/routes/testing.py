"""What only the test mode has: its clock, and cards that provoke refusals."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated

import msgspec
from fastapi import APIRouter, Request, Response
from msgspec import Meta

from api.bodies import read_body
from api.bodies.keys import instant_of
from api.magic import MAGIC_CARDS
from api.openapi import post_docs, read_docs
from api.problems import PROBLEMS, FieldError, ProblemError
from api.routes.disputes import Raw
from api.routes.reads import json_response
from api.sandbox import MOST_DAYS, TestClock
from network.errors import ClockBackwards

router = APIRouter(prefix="/v1/test", tags=["Test mode"])


class NetworkClockBody(msgspec.Struct, frozen=True, kw_only=True):
    """The test network's time, and the business dates that were settled on the way there."""

    now: datetime
    settled: Sequence[str] = ()


class ClockMoveBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the clock goes: forward by so many seconds, or to an instant; one of the two."""

    advance_seconds: Annotated[int, Meta(ge=0, le=MOST_DAYS * 86_400)] | None = None
    to: Annotated[datetime, Meta(tz=True)] | None = None


class MagicCardBody(msgspec.Struct, frozen=True, kw_only=True):
    """A card, and the problem that every command with it has."""

    card: str
    code: str
    status: int
    title: str


class MagicCardsBody(msgspec.Struct, frozen=True, kw_only=True):
    """All cards that provoke something."""

    data: Sequence[MagicCardBody]


TYPES = (NetworkClockBody, ClockMoveBody, MagicCardBody, MagicCardsBody)
_MOVE = msgspec.json.Decoder(ClockMoveBody)


def _clock(request: Request) -> TestClock:
    clock: TestClock = request.app.state.test_clock
    return clock


@router.get("/clock", **read_docs("NetworkClockBody"))
def read_clock(request: Request) -> Response:
    """What time it is in the test network. It stands still until somebody sets it."""
    return json_response(NetworkClockBody(now=_clock(request).now()))


@router.post("/clock", **post_docs("NetworkClockBody", 200, "ClockMoveBody"))
def move_clock(request: Request, raw: Raw) -> Response:
    """Put the clock forward: holds end, points lapse, every night on the way is settled before the answer.

    All partners of the test mode share one clock, as they share a real one. It never goes back.
    """
    said = read_body(raw, _MOVE)
    clock = _clock(request)
    if (said.advance_seconds is None) == (said.to is None):
        raise ProblemError(
            "validation_failed", "say advance_seconds or to", [FieldError("/advance_seconds", "one_of")]
        )
    now = clock.now()
    if said.to is None:
        to = now + timedelta(seconds=said.advance_seconds or 0)
    else:
        to = instant_of(said.to, "/to") or now
    if to - now > timedelta(days=MOST_DAYS):
        raise ProblemError(
            "validation_failed", f"at most {MOST_DAYS} days at a time", [FieldError("/to", "range")]
        )
    try:
        at, settled = clock.advance(to)
    except ClockBackwards as error:
        raise ProblemError("validation_failed", str(error), [FieldError("/to", "range")]) from error
    return json_response(NetworkClockBody(now=at.astimezone(UTC), settled=settled))


@router.get("/cards", **read_docs("MagicCardsBody"))
def list_cards() -> Response:
    """Cards that provoke a refusal, each with its code, in whatever command they are named."""
    return json_response(
        MagicCardsBody(
            data=[
                MagicCardBody(card=str(card), code=code, status=PROBLEMS[code][0], title=PROBLEMS[code][1])
                for card, code in MAGIC_CARDS.items()
            ]
        )
    )
