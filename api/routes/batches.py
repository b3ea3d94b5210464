"""Files of commands: NDJSON in, one answer a line out, in order."""

from collections.abc import AsyncIterator
from io import BytesIO
from itertools import islice

import msgspec
from fastapi import APIRouter, Request, Response
from starlette.responses import StreamingResponse

from api.lanes.lane import Lane
from api.lanes.wire import FILE
from api.lanes.work import LineAnswer
from api.openapi import BATCH_DOCS
from api.problems import PROBLEMS, ProblemError, failure
from api.service import Service, partner_of, service_of
from network.errors import NetworkError

CHUNK = 500
MOST_LINES = 100_000
_MEDIA_TYPES = {"application/x-ndjson", "application/jsonl"}

router = APIRouter(prefix="/v1", tags=["Files"])


@router.post("/batches", **BATCH_DOCS)
async def batch(request: Request) -> Response:
    """Carry out a file of commands. Every line is answered; a refused line does not stop the others.

    Sent again after an interruption, the lines that were done are answered from memory, the rest are done.
    """
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() not in _MEDIA_TYPES:
        raise ProblemError("media_type_unsupported", "send application/x-ndjson: one JSON object a line")
    body = await request.body()
    # counted before anything is made of it: a file of line feeds alone would become a list of millions
    lines = body.count(b"\n") + (not body.endswith(b"\n") and body != b"")
    if lines > MOST_LINES:
        raise ProblemError("body_too_large", f"{lines:,} lines; at most {MOST_LINES:,} in one file")
    return StreamingResponse(
        _answers(service_of(request), request.state.request_id, BytesIO(body), partner_of(request)),
        media_type="application/x-ndjson",
    )


async def _answers(service: Service, request_id: str, file: BytesIO, partner_id: int) -> AsyncIterator[bytes]:
    """A file's answers, chunk by chunk: one goes on while the next is read by the lane."""
    first = 1
    while lines := list(islice(file, CHUNK)):
        # not while the answer is sent: who does not read it would keep others' files waiting
        async with service.file_slots:
            answer = await _carried_out(service.files, request_id, lines, first, partner_id)
        yield answer
        first += len(lines)


async def _carried_out(lane: Lane, request_id: str, lines: list[bytes], first: int, partner_id: int) -> bytes:
    """The answers to a chunk of lines. What cannot be carried out now says so, line by line."""
    try:
        size = len(lines)
        return (await lane.ask(FILE, partner_id, request_id, b"".join(lines), size=size, first=first)).body
    except NetworkError as error:
        code = failure(error, request_id).code
        return b"".join(
            msgspec.json.encode(LineAnswer(line=first + place, status=PROBLEMS[code][0], code=code)) + b"\n"
            for place in range(len(lines))
        )
