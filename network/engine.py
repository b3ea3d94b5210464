"""Group commit: requests that wait together become one load → decide → save → commit.

Whoever gathers them (api.lanes) takes what waits while the last batch commits: no timer, so that a lone
request does not wait for company. See docs/how-it-works.md.
"""

from collections.abc import Sequence

from sqlalchemy import Engine

from network.batch import execute
from network.commands import Command
from network.errors import Busy, Unavailable
from network.outcomes import Reply
from network.rules import Rules

Outcome = list[Reply] | Exception
"""What a caller is told: its replies in order, or why there are none."""


def carry_out(database: Engine, callers: Sequence[Sequence[Command]], rules: Rules) -> list[Outcome]:
    """Carry out the commands of several callers together; answer each, after the commit and never before.

    One transaction for all; where it breaks, one for each, so that only the broken one fails.

    Args:
        database: Where the ledger is.
        callers: What each of them asks, at least one command.
        rules: The live rules.
    """
    commands = [command for asked in callers for command in asked]
    try:
        replies = iter(execute(database, commands, rules))
    except Exception as error:
        if len(callers) == 1 or (isinstance(error, Unavailable) and not isinstance(error, Busy)):
            return [error] * len(callers)
    else:
        return [[next(replies) for _ in asked] for asked in callers]
    return [outcome for asked in callers for outcome in carry_out(database, [asked], rules)]
