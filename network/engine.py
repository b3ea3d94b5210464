"""Group commit: requests that wait together become one load → decide → save → commit.

The batch forms while the last one commits: no timer, so a lone request does not wait. The queue waits here,
bounded; beyond it callers are told to come back. See docs/how-it-works.md.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future

import msgspec
from sqlalchemy import Engine

from network.batch import execute
from network.errors import Busy, Overloaded, Unavailable
from network.model import Command, Reply
from network.rules import Rules


class _Ticket(msgspec.Struct):
    """Commands that one caller waits for together."""

    commands: Sequence[Command]
    future: Future[list[Reply]]


class GroupCommit:
    """A lane: one thread that turns whatever waits into batches.

    Args:
        database: Where the ledger is.
        rules: Gives the live rules; asked once per batch.
        max_batch: Most commands of one transaction.
        max_waiting: Most commands that may wait; beyond it `submit` raises Overloaded.
        observe: Told the size and the seconds of each batch.
    """

    def __init__(
        self,
        database: Engine,
        rules: Callable[[], Rules],
        *,
        name: str = "lane",
        max_batch: int = 512,
        max_waiting: int = 8192,
        observe: Callable[[int, float], None] = lambda size, seconds: None,
    ) -> None:
        self._database = database
        self._rules = rules
        self._max_batch = max_batch
        self._max_waiting = max_waiting
        self._observe = observe
        self._waiting: deque[_Ticket] = deque()
        self._waiting_commands = 0
        self._changed = threading.Condition()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Begin to take batches."""
        self._thread.start()

    def stop(self) -> None:
        """Carry out what waits, then end. Later submissions are refused."""
        with self._changed:
            self._stopping = True
            self._changed.notify()
        if self._thread.is_alive():
            self._thread.join()

    @property
    def waiting(self) -> int:
        """Commands in the queue."""
        return self._waiting_commands

    def submit(self, commands: Sequence[Command]) -> Future[list[Reply]]:
        """Queue commands that are answered together, after their commit.

        Raises:
            Overloaded: the queue is full, or the lane is stopping.
        """
        ticket = _Ticket(commands, Future())
        with self._changed:
            if self._stopping:
                raise Overloaded("the service is stopping")
            if self._waiting_commands + len(commands) > self._max_waiting:
                raise Overloaded(f"{self._waiting_commands} commands are waiting")
            self._waiting.append(ticket)
            self._waiting_commands += len(commands)
            self._changed.notify()
        return ticket.future

    def _take(self) -> list[_Ticket]:
        with self._changed:
            while not self._waiting and not self._stopping:
                self._changed.wait()
            taken: list[_Ticket] = []
            size = 0
            while self._waiting and (not taken or size + len(self._waiting[0].commands) <= self._max_batch):
                taken.append(self._waiting.popleft())
                size += len(taken[-1].commands)
            self._waiting_commands -= size
            return taken

    def _run(self) -> None:
        while tickets := self._take():
            started = time.perf_counter()
            self._carry_out(tickets)
            self._observe(sum(len(ticket.commands) for ticket in tickets), time.perf_counter() - started)

    def _carry_out(self, tickets: Sequence[_Ticket]) -> None:
        """One transaction for all; where it breaks, one for each, so that only the broken one fails."""
        # A caller that has gone away has cancelled its future: from here on it cannot, and the rest go on.
        tickets = [t for t in tickets if t.future.running() or t.future.set_running_or_notify_cancel()]
        commands = [command for ticket in tickets for command in ticket.commands]
        try:
            replies = iter(execute(self._database, commands, self._rules()) if commands else ())
        except Exception as error:
            broken: Exception = error
        else:
            for ticket in tickets:
                ticket.future.set_result([next(replies) for _ in ticket.commands])
            return
        if len(tickets) == 1 or (isinstance(broken, Unavailable) and not isinstance(broken, Busy)):
            for ticket in tickets:
                ticket.future.set_exception(broken)
        else:
            for ticket in tickets:
                self._carry_out([ticket])

    @property
    def alive(self) -> bool:
        """Whether the lane takes batches."""
        return self._thread.is_alive()
