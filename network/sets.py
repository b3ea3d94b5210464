"""What the night does to many members: set by set through the engine, so that tills never wait long for it.

Each command has a reference of its own, so that a night which was cut off anywhere goes on, and two nights at
once do nothing twice.
"""

from collections.abc import Callable, Sequence
from typing import TypeVar

import msgspec
from sqlalchemy import Connection, Engine

from network.batch import execute
from network.commands import Command
from network.errors import RulesStale
from network.model import Entry
from network.rules import Rules
from network.service import load_rules

AT_ONCE = 500
"""Commands in one transaction."""

Due = TypeVar("Due", bound=Command)


class Carried(msgspec.Struct, frozen=True, kw_only=True):
    """How many commands did something now, and how many were refused; the others had been done before."""

    done: int = 0
    refused: int = 0

    def __add__(self, other: "Carried") -> "Carried":
        return Carried(done=self.done + other.done, refused=self.refused + other.refused)


def carry_out(database: Engine, commands: Sequence[Command], rules: Rules) -> Carried:
    """Carry out commands that are known beforehand, set by set.

    Args:
        database: Where the ledger is.
        commands: Any number of them.
        rules: The live rules.
    Raises:
        Unavailable, Busy, RulesStale: as `execute` does; the sets before are done.
    """
    carried = Carried()
    for first in range(0, len(commands), AT_ONCE):
        replies = execute(database, commands[first : first + AT_ONCE], rules)
        carried += Carried(
            done=sum(isinstance(one.outcome, Entry) and not one.replayed for one in replies),
            refused=sum(not isinstance(one.outcome, Entry) for one in replies),
        )
    return carried


def carry_out_due(database: Engine, due: Callable[[Connection, Due | None, int], Sequence[Due]]) -> int:
    """Look for what is due and carry it out, set by set, until nothing is left; how many did something.

    All sets go by the live rules as they were when the first was found. They are read again only where a
    contract or a cap changed meanwhile: the engine takes no others then.

    Args:
        database: Where the ledger is.
        due: Finds what comes after the last command of the set before (None: from the beginning), in a fixed
            order, at most so many.
    """
    done, last, rules = 0, None, None
    while True:
        with database.connect() as connection:
            commands = due(connection, last, AT_ONCE)
            if not commands:
                return done
            rules = rules or load_rules(connection)
        try:
            done += carry_out(database, commands, rules).done
        except RulesStale:
            rules = None
            continue
        last = commands[-1]
