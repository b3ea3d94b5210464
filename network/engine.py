"""Group commit: requests that wait together become one load → decide → save → commit.

The batch forms while the last one commits: no timer, so a lone request does not wait. The queue waits here,
bounded; beyond it callers are told to come back. See docs/how-it-works.md.
"""

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from contextlib import suppress

import msgspec
from sqlalchemy import Engine

from network.batch import execute
from network.errors import Busy, Overloaded, Unavailable
from network.model import Command, Reply
from network.rules import Rules

Outcome = list[Reply] | Exception
"""What a caller is told: its replies in order, or why there are none."""


class _Thread(msgspec.Struct, frozen=True):
    """A caller in a thread of its own."""

    future: Future[list[Reply]]

    def still_there(self) -> bool:
        """From here on it cannot cancel."""
        return self.future.running() or self.future.set_running_or_notify_cancel()


class _Task(msgspec.Struct, frozen=True):
    """A caller on an event loop."""

    loop: asyncio.AbstractEventLoop
    future: asyncio.Future[list[Reply]]

    def still_there(self) -> bool:
        """Whether its task was not cancelled."""
        return not self.future.cancelled()


class _Ticket(msgspec.Struct):
    """Commands that one caller waits for together."""

    commands: Sequence[Command]
    caller: _Thread | _Task


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
        self._waking: asyncio.AbstractEventLoop | None = None
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
        caller = _Thread(Future())
        self._queue(_Ticket(commands, caller))
        return caller.future

    async def carry_out(self, commands: Sequence[Command]) -> list[Reply]:
        """Queue commands, and wait for their answers on this event loop.

        Raises:
            Overloaded: as `submit` does.
            NetworkError, SQLAlchemyError: what the batch ended with.
        """
        loop = asyncio.get_running_loop()
        caller = _Task(loop, loop.create_future())
        self._queue(_Ticket(commands, caller), wake=False)
        # After all that this turn of the loop has read: they come in one batch, not the first by itself.
        if self._waking is not loop:
            self._waking = loop
            loop.call_soon(self._wake)
        return await caller.future

    def _wake(self) -> None:
        self._waking = None
        with self._changed:
            self._changed.notify()

    def _queue(self, ticket: _Ticket, *, wake: bool = True) -> None:
        with self._changed:
            if self._stopping:
                raise Overloaded("the service is stopping")
            if self._waiting_commands + len(ticket.commands) > self._max_waiting:
                raise Overloaded(f"{self._waiting_commands} commands are waiting")
            self._waiting.append(ticket)
            self._waiting_commands += len(ticket.commands)
            if wake:
                self._changed.notify()

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
        tickets = [ticket for ticket in tickets if ticket.caller.still_there()]
        commands = [command for ticket in tickets for command in ticket.commands]
        try:
            replies = iter(execute(self._database, commands, self._rules()) if commands else ())
        except Exception as error:
            if len(tickets) == 1 or (isinstance(error, Unavailable) and not isinstance(error, Busy)):
                _tell((ticket.caller, error) for ticket in tickets)
                return
        else:
            _tell((ticket.caller, [next(replies) for _ in ticket.commands]) for ticket in tickets)
            return
        for ticket in tickets:
            self._carry_out([ticket])

    @property
    def alive(self) -> bool:
        """Whether the lane takes batches."""
        return self._thread.is_alive()


def _tell(outcomes: Iterable[tuple[_Thread | _Task, Outcome]]) -> None:
    """Answer callers. An event loop is woken once for all of its callers: waking it costs a system call."""
    tasks: dict[asyncio.AbstractEventLoop, list[tuple[_Thread | _Task, Outcome]]] = {}
    for caller, outcome in outcomes:
        if isinstance(caller, _Task):
            tasks.setdefault(caller.loop, []).append((caller, outcome))
        else:
            _answer(caller, outcome)
    for loop, told in tasks.items():
        with suppress(RuntimeError):  # a loop that has ended has nobody who waits
            loop.call_soon_threadsafe(_answer_all, told)


def _answer_all(outcomes: Sequence[tuple[_Thread | _Task, Outcome]]) -> None:
    for caller, outcome in outcomes:
        if not caller.future.done():
            _answer(caller, outcome)


def _answer(caller: _Thread | _Task, outcome: Outcome) -> None:
    if isinstance(outcome, Exception):
        caller.future.set_exception(outcome)
    else:
        caller.future.set_result(outcome)
