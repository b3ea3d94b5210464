"""Files of commands: NDJSON in, one answer a line out, in order."""

import asyncio
import logging
from collections.abc import AsyncIterator
from io import BytesIO
from itertools import islice

import msgspec
from fastapi import APIRouter, Request, Response
from starlette.responses import StreamingResponse

from api.bodies import LINE, EntryBody, read_body, show_reply
from api.openapi import BATCH_DOCS
from api.problems import PROBLEMS, FieldError, ProblemError
from api.service import Service, carry_out, partner_of, service_of
from network.model import Command, Reply

CHUNK = 1_000
MOST_LINES = 100_000
LONGEST_LINE = 16_384
_MEDIA_TYPES = {"application/x-ndjson", "application/jsonl"}

log = logging.getLogger("tessera.api")
router = APIRouter(prefix="/v1", tags=["Files"])


class LineAnswer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What became of one line: an entry, or the code of its problem."""

    line: int
    status: int
    replayed: bool = False
    entry: EntryBody | None = None
    code: str | None = None
    detail: str | None = None
    errors: tuple[FieldError, ...] = ()


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
        _answers(service_of(request), BytesIO(body), partner_of(request)),
        media_type="application/x-ndjson",
    )


async def _answers(service: Service, file: BytesIO, partner_id: int) -> AsyncIterator[bytes]:
    first = 1
    async with service.file_slots:
        while lines := list(islice(file, CHUNK)):
            # in a thread: a thousand lines take long enough for a till to notice
            chunk = await asyncio.to_thread(_read, lines, first, partner_id)
            yield await _carried_out(service, chunk, first)
            first += len(lines)


async def _carried_out(service: Service, chunk: list[Command | LineAnswer], first: int) -> bytes:
    """The answers to a chunk of lines. What cannot be carried out now says so, line by line."""
    commands = [command for command in chunk if not isinstance(command, LineAnswer)]
    try:
        replies = await carry_out(service.files, commands) if commands else []
    except ProblemError as error:
        failed = error.code
    except Exception:
        log.exception("lines %s to %s of a file failed", first, first + len(chunk) - 1)
        failed = "internal_error"
    else:
        return await asyncio.to_thread(_encoded, chunk, replies, first)
    return b"".join(
        _encode(
            command
            if isinstance(command, LineAnswer)
            else LineAnswer(line=number, status=PROBLEMS[failed][0], code=failed)
        )
        for number, command in enumerate(chunk, start=first)
    )


def _encoded(chunk: list[Command | LineAnswer], replies: list[Reply], first: int) -> bytes:
    answers = []
    waiting = iter(replies)
    for number, command in enumerate(chunk, start=first):
        if isinstance(command, LineAnswer):
            answers.append(command)
            continue
        reply = next(waiting)
        shown = show_reply(reply)
        if isinstance(shown, str):
            answers.append(
                LineAnswer(line=number, status=PROBLEMS[shown][0], code=shown, replayed=reply.replayed)
            )
        else:
            answers.append(LineAnswer(line=number, status=201, entry=shown, replayed=reply.replayed))
    return b"".join(_encode(answer) for answer in answers)


def _read(lines: list[bytes], first: int, partner_id: int) -> list[Command | LineAnswer]:
    return [_read_line(raw, number, partner_id) for number, raw in enumerate(lines, start=first)]


def _read_line(raw: bytes, number: int, partner_id: int) -> Command | LineAnswer:
    if len(raw) > LONGEST_LINE:
        return LineAnswer(
            line=number,
            status=413,
            code="body_too_large",
            detail=f"a line has at most {LONGEST_LINE:,} bytes",
        )
    try:
        command: Command = read_body(raw, LINE).command(partner_id)
    except ProblemError as error:
        return LineAnswer(
            line=number,
            status=PROBLEMS[error.code][0],
            code=error.code,
            detail=error.detail or None,
            errors=tuple(error.errors),
        )
    return command


def _encode(answer: LineAnswer) -> bytes:
    return msgspec.json.encode(answer) + b"\n"
