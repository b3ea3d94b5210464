"""What a lane does with a batch: bodies → commands → outcomes → the bytes of answers."""

import logging
from collections.abc import Callable, Mapping, Sequence
from functools import partial

import msgspec

from api.bodies import read_body, show_reply
from api.commands import ROUTES
from api.lanes.wire import PING, Answer, Ask
from api.logs import REQUEST_ID
from api.problems import ProblemError, failure, problem
from network.commands import Command
from network.engine import Outcome

CarryOut = Callable[[Sequence[Sequence[Command]]], list[Outcome]]
"""Carries out the commands of several callers; network.engine.carry_out on some database."""

log = logging.getLogger("tessera.api")


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


_READERS: Mapping[str, Callable[[Ask], _Read]] = {PING: _read_ping}
