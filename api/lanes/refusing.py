"""What is refused before the ledger sees it: cards of the test mode, and members who are not there."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

from sqlalchemy import Engine

from api.lanes.work import CarryOut
from network import presence
from network.commands import Command, Showing
from network.engine import Outcome
from network.outcomes import Rejected, Reply

Judge = Callable[[Sequence[Command]], Mapping[int, str]]
"""What commands are refused for, by their place; most batches have none."""


def refusing(judge: Judge) -> Callable[[CarryOut], CarryOut]:
    """Stands before what carries commands out: those that are judged wrong are answered, the others go on."""

    def around(carry_out: CarryOut) -> CarryOut:
        def carried_out(callers: Sequence[Sequence[Command]]) -> list[Outcome]:
            try:
                refused = judge([command for commands in callers for command in commands])
            except Exception as error:
                return [error] * len(callers)
            return _without(refused, callers, carry_out) if refused else carry_out(callers)

        return carried_out

    return around


def _without(
    refused: Mapping[int, str], callers: Sequence[Sequence[Command]], carry_out: CarryOut
) -> list[Outcome]:
    places = iter(range(sum(map(len, callers))))
    codes = [[refused.get(next(places)) for _ in commands] for commands in callers]
    kept = [
        [command for command, code in zip(commands, of_caller, strict=True) if code is None]
        for commands, of_caller in zip(callers, codes, strict=True)
    ]
    left = iter(carry_out([commands for commands in kept if commands]))
    return [
        _merged(of_caller, next(left) if commands else [])
        for commands, of_caller in zip(kept, codes, strict=True)
    ]


def _merged(codes: Sequence[str | None], outcome: Outcome) -> Outcome:
    if isinstance(outcome, Exception):
        return outcome
    replies = iter(outcome)
    return [next(replies) if code is None else Reply(outcome=Rejected(code)) for code in codes]


def by_presence(database: Engine, card_key: bytes, now: Callable[[], datetime]) -> Judge:
    """Uses what commands show of their member: code, PIN, approval; `card_key` opens the secrets of cards."""

    def judge(commands: Sequence[Command]) -> Mapping[int, str]:
        showing = [
            (place, command)
            for place, command in enumerate(commands)
            if isinstance(command, Showing) and (command.code or command.pin or command.approval is not None)
        ]
        if not showing:
            return {}
        found = presence.judge_each(database, card_key, [command for _, command in showing], now())
        return {showing[number][0]: code for number, code in found.items()}

    return judge
