"""Serving a lane on a database; in a thread of this process, or (api.lanes.process) in one of its own."""

import socket
from collections.abc import Callable, Sequence
from threading import Thread

from sqlalchemy import Engine

from api.lanes.filing import WatchLines, serve_files
from api.lanes.lane import Hire
from api.lanes.serving import Watch, serve
from api.lanes.work import CarryOut
from api.limits import Rates
from api.rules_cache import RulesCache
from network.commands import Command
from network.engine import Outcome, carry_out
from network.errors import NetworkError, RulesStale

FILES = "files"
MAX_BATCH = {"tills": 512, FILES: 500}
"""Most commands of one transaction, by lane."""


def serve_on(
    database: Engine,
    name: str,
    channel: socket.socket,
    around: Callable[[CarryOut], CarryOut] | None = None,
    watch: Watch | None = None,
    rates: Rates | None = None,
    watch_lines: WatchLines | None = None,
) -> None:
    """Serve a lane on a database, under its live rules, until the door closes the socket.

    `around` may stand before what carries commands out; the test mode answers some of them itself.
    """
    rules = RulesCache(database)

    def carry_out_live(callers: Sequence[Sequence[Command]]) -> list[Outcome]:
        try:
            outcomes = carry_out(database, callers, rules())
            if any(isinstance(outcome, RulesStale) for outcome in outcomes):
                # What was committed before the batch met newer rules is answered again from memory.
                outcomes = carry_out(database, callers, rules.anew())
        except NetworkError as error:
            return [error] * len(callers)
        return outcomes

    carry = carry_out_live if around is None else around(carry_out_live)
    if name == FILES:
        serve_files(channel, database, carry, max_batch=MAX_BATCH[name], rates=rates, watch=watch_lines)
    else:
        serve(channel, carry, max_batch=MAX_BATCH[name], watch=watch)


class InThread:
    """Serves a lane in a thread of this process."""

    def __init__(
        self,
        database: Engine,
        name: str,
        channel: socket.socket,
        around: Callable[[CarryOut], CarryOut] | None = None,
        rates: Rates | None = None,
    ) -> None:
        # a socket of its own: the door closes the one it handed over
        arguments = (database, name, channel.dup(), around, None, rates)
        self._thread = Thread(target=serve_on, args=arguments, name=name, daemon=True)
        self._thread.start()

    def ended(self) -> None:
        """Wait until it has answered all that was asked."""
        self._thread.join()


def in_threads(
    database: Engine,
    around: Callable[[CarryOut], CarryOut] | None = None,
    rates: Rates | None = None,
) -> Hire:
    """Lanes in threads: for tests, for the test mode, and for who embeds the application."""
    return lambda name, channel: InThread(database, name, channel, around, rates)
