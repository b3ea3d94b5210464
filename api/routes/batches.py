"""Files of commands: NDJSON in, one answer a line out, in order."""

from collections.abc import AsyncIterator, Iterator

import msgspec
from fastapi import APIRouter, Request, Response
from starlette.responses import StreamingResponse

from api.bodies import LINE, EntryBody, read_body, show_reply
from api.openapi import BATCH_DOCS
from api.problems import PROBLEMS, FieldError, ProblemError
from api.service import Service, carry_out, partner_of, service_of
from network.model import Command

CHUNK = 1_000
MOST_LINES = 100_000
_MEDIA_TYPES = {"application/x-ndjson", "application/jsonl"}

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
    lines = (await request.body()).splitlines()
    if len(lines) > MOST_LINES:
        raise ProblemError("body_too_large", f"{len(lines)} lines; at most {MOST_LINES:,} in one file")
    return StreamingResponse(
        _answers(service_of(request), lines, partner_of(request)), media_type="application/x-ndjson"
    )


async def _answers(service: Service, lines: list[bytes], partner_id: int) -> AsyncIterator[bytes]:
    for start in range(0, len(lines), CHUNK):
        chunk = list(_read(lines[start : start + CHUNK], start + 1, partner_id))
        commands = [command for command in chunk if not isinstance(command, LineAnswer)]
        try:
            replies = iter(await carry_out(service.files, commands) if commands else ())
        except ProblemError as error:
            # The answer has begun: say so for every line of this chunk, and stop. A retry does the rest.
            for number in range(start + 1, len(lines) + 1):
                yield _encode(LineAnswer(line=number, status=PROBLEMS[error.code][0], code=error.code))
            return
        answers = []
        for number, command in enumerate(chunk, start=start + 1):
            if isinstance(command, LineAnswer):
                answers.append(command)
                continue
            reply = next(replies)
            shown = show_reply(reply)
            if isinstance(shown, str):
                answers.append(
                    LineAnswer(line=number, status=PROBLEMS[shown][0], code=shown, replayed=reply.replayed)
                )
            else:
                answers.append(LineAnswer(line=number, status=201, entry=shown, replayed=reply.replayed))
        yield b"".join(_encode(answer) for answer in answers)


def _read(lines: list[bytes], first: int, partner_id: int) -> Iterator[Command | LineAnswer]:
    for number, raw in enumerate(lines, start=first):
        try:
            yield read_body(raw, LINE).command(partner_id)
        except ProblemError as error:
            yield LineAnswer(
                line=number,
                status=PROBLEMS[error.code][0],
                code=error.code,
                detail=error.detail or None,
                errors=tuple(error.errors),
            )


def _encode(answer: LineAnswer) -> bytes:
    return msgspec.json.encode(answer) + b"\n"
