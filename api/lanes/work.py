"""What a lane does with a batch: bodies → commands → outcomes → the bytes of answers."""

import logging
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from io import BytesIO

import msgspec

from api.bodies import LINE, EntryBody, read_body, show_reply
from api.commands import ROUTES
from api.lanes.wire import FILE, PING, Answer, Ask
from api.logs import REQUEST_ID
from api.problems import PROBLEMS, FieldError, ProblemError, failure, problem
from network.engine import Outcome
from network.model import Command, Reply

LONGEST_LINE = 16_384

CarryOut = Callable[[Sequence[Sequence[Command]]], list[Outcome]]
"""Carries out the commands of several callers; network.engine.carry_out on some database."""

log = logging.getLogger("tessera.api")


class LineAnswer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What became of one line of a file: an entry, or the code of its problem."""

    line: int
    status: int
    replayed: bool = False
    entry: EntryBody | None = None
    code: str | None = None
    detail: str | None = None
    errors: tuple[FieldError, ...] = ()


class _Read(msgspec.Struct, frozen=True):
    """The commands of an ask, and how its answer follows from what they come to."""

    commands: Sequence[Command]
    answered: Callable[[Outcome], Answer]


def answers(asks: Sequence[Ask], carry_out: CarryOut) -> list[Answer]:
    """Carry out what is asked, together, and answer each."""
    read = [_READERS.get(ask.address, _read_command)(ask) for ask in asks]
    outcomes = iter(carry_out([one.commands for one in read if one.commands]))
    return [one.answered(next(outcomes) if one.commands else []) for one in read]


def _read_command(ask: Ask) -> _Read:
    try:
        command = read_body(ask.body, ROUTES[ask.address].decoder).command(ask.partner_id)
    except ProblemError as error:
        refused = _failed(ask, error)
        return _Read((), lambda _: refused)
    return _Read((command,), partial(_shown, ask))


def _read_ping(ask: Ask) -> _Read:
    return _Read((), lambda _: Answer(ask.number, 200, b""))


def _failed(ask: Ask, error: Exception) -> Answer:
    REQUEST_ID.set(ask.request_id)
    try:
        said = failure(error, ask.request_id)
    except Exception:
        log.exception("request %s failed", ask.request_id)
        said = problem("internal_error", request_id=ask.request_id)
    finally:
        REQUEST_ID.set("")
    return Answer(ask.number, said.status, msgspec.json.encode(said))


def _shown(ask: Ask, outcome: Outcome) -> Answer:
    """201 with the entry, or the problem of the refusal."""
    if isinstance(outcome, Exception):
        return _failed(ask, outcome)
    [reply] = outcome
    shown = show_reply(reply)
    if isinstance(shown, str):
        said = problem(shown, request_id=ask.request_id)
        return Answer(ask.number, said.status, msgspec.json.encode(said), reply.replayed)
    return Answer(ask.number, 201, msgspec.json.encode(shown), reply.replayed)


def _read_file(ask: Ask) -> _Read:
    numbered = enumerate(BytesIO(ask.body), start=ask.first)
    lines = [_read_line(raw, number, ask.partner_id) for number, raw in numbered]
    commands = [line for line in lines if not isinstance(line, LineAnswer)]
    return _Read(commands, partial(_shown_file, ask, lines))


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


def _shown_file(ask: Ask, lines: Sequence[Command | LineAnswer], outcome: Outcome) -> Answer:
    """One answer a line, in order. What cannot be carried out now says so, line by line."""
    if isinstance(outcome, Exception):
        code = msgspec.json.decode(_failed(ask, outcome).body)["code"]
        told = (
            line if isinstance(line, LineAnswer) else LineAnswer(line=n, status=PROBLEMS[code][0], code=code)
            for n, line in enumerate(lines, start=ask.first)
        )
    else:
        replies = iter(outcome)
        told = (
            line if isinstance(line, LineAnswer) else _line(next(replies), n)
            for n, line in enumerate(lines, start=ask.first)
        )
    return Answer(ask.number, 200, b"".join([_ENCODER.encode(one) + b"\n" for one in told]))


def _line(reply: Reply, number: int) -> LineAnswer:
    shown = show_reply(reply)
    if isinstance(shown, str):
        return LineAnswer(line=number, status=PROBLEMS[shown][0], code=shown, replayed=reply.replayed)
    return LineAnswer(line=number, status=201, entry=shown, replayed=reply.replayed)


_ENCODER = msgspec.json.Encoder()
_READERS: Mapping[str, Callable[[Ask], _Read]] = {FILE: _read_file, PING: _read_ping}
