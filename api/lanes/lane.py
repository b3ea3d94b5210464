"""The door's side of a lane: asks go out together, answers come back to who waits for each."""

import asyncio
import logging
import socket
from collections.abc import Callable
from typing import Protocol

import msgspec

from api.lanes.wire import PING, Answer, Answered, Ask, Frames, framed
from network.errors import Overloaded, Unavailable

_FIRST_PAUSE_SECONDS = 0.1
_LONGEST_PAUSE_SECONDS = 5.0
MOST_WAITING_BYTES = 64 << 20
"""Of bodies that wait. A client that goes away leaves its command here, however large."""
_ANSWERED = msgspec.msgpack.Decoder(Answered)

log = logging.getLogger("tessera.api")


class Hired(Protocol):
    """A thread or a process that serves a lane."""

    def ended(self) -> None:
        """Wait until it has ended, its socket being closed; make it end where it does not."""


Hire = Callable[[str, socket.socket], Hired]
"""Starts what serves the lane of a name, at the other end of a socket."""


class Lane:
    """A lane as the door sees it. It lives on one event loop, between `start` and `stop`.

    Should what serves it end by itself, everybody who waits is told that nothing is known (a retry is safe),
    and another is hired.
    """

    def __init__(
        self,
        name: str,
        hire: Hire,
        *,
        most_waiting: int,
        observe: Callable[[int, float], None] = lambda size, seconds: None,
        resumes: bool = False,
    ) -> None:
        """`resumes`: what waits at the end is gone on with by who is next, so that nobody waits for it."""
        self.name = name
        self._hire = hire
        self._most_waiting = most_waiting
        self._observe = observe
        self._resumes = resumes
        self._hired: Hired | None = None
        self._channel: _Channel | None = None
        self._waiting: dict[int, tuple[asyncio.Future[Answer], int, int]] = {}
        self._commands = 0
        self._bytes = 0
        self._asked = 0
        self._unsent: list[Ask] = []
        self._stopping = False
        self._pinged_at = self._heard_at = 0.0
        self._pinged: asyncio.Future[Answer] | None = None
        self._rehiring: asyncio.Task[None] | None = None

    @property
    def waiting(self) -> int:
        """Commands that were asked and are not answered."""
        return self._commands

    @property
    def alive(self) -> bool:
        """Whether something serves it."""
        return self._channel is not None

    @property
    def silent_for(self) -> float:
        """Seconds for which what serves it has said nothing though it was asked whether it is there."""
        if self._pinged is None or self._pinged.done():
            return 0.0
        return asyncio.get_running_loop().time() - max(self._pinged_at, self._heard_at)

    async def silence(self, patience: float) -> float:
        """Ask whether it is there: seconds for which it has said nothing, 0.0 where it answers.

        Args:
            patience: How long an answer is waited for.
        """
        if self._channel is None:
            return 0.0
        if self._pinged is None or self._pinged.done():
            self._pinged = self._ask(PING, 0, "", b"", size=0)
            self._pinged_at = asyncio.get_running_loop().time()
        done, _ = await asyncio.wait({self._pinged}, timeout=patience)
        if done:
            self._pinged.exception()  # it was lost, perhaps: that is said by `alive`
        return self.silent_for

    async def start(self) -> None:
        """Hire what serves the lane, and connect to it."""
        ours, theirs = socket.socketpair()
        ours.settimeout(0)
        with theirs:
            self._hired = self._hire(self.name, theirs)
        loop = asyncio.get_running_loop()
        _, self._channel = await loop.create_unix_connection(lambda: _Channel(self), sock=ours)

    async def stop(self) -> None:
        """Let what waits be answered, then end. Later asks are refused."""
        self._stopping = True
        if self._rehiring is not None:
            self._rehiring.cancel()
        if self._waiting and not self._resumes:
            await asyncio.wait([future for future, _, _ in self._waiting.values()], timeout=30)
        if self._channel is not None:
            self._channel.close()
        if self._hired is not None:
            await asyncio.to_thread(self._hired.ended)

    async def ask(
        self,
        address: str,
        partner_id: int,
        request_id: str,
        body: bytes,
        *,
        size: int = 1,
        trace: str = "",
    ) -> Answer:
        """Have a body carried out; its durable answer.

        Raises:
            Overloaded: too much waits, or the lane is stopping.
            Unavailable: nobody serves the lane now, or who did has ended before it answered.
        """
        if self._stopping:
            raise Overloaded("the service is stopping")
        if self._commands + size > self._most_waiting and self._commands:
            raise Overloaded(f"{self._commands} commands are waiting")
        if self._bytes + len(body) > MOST_WAITING_BYTES and self._commands:
            raise Overloaded(f"{self._bytes} bytes of commands are waiting")
        if self._channel is None:
            raise Unavailable(f"the lane {self.name} is being started again")
        return await self._ask(address, partner_id, request_id, body, size, trace)

    def _ask(
        self,
        address: str,
        partner_id: int,
        request_id: str,
        body: bytes,
        size: int = 1,
        trace: str = "",
    ) -> "asyncio.Future[Answer]":
        loop = asyncio.get_running_loop()
        self._asked += 1
        future: asyncio.Future[Answer] = loop.create_future()
        self._waiting[self._asked] = (future, size, len(body))
        self._commands += size
        self._bytes += len(body)
        if not self._unsent:
            # After all that this turn of the loop has read: they travel, and are carried out, together.
            loop.call_soon(self._send)
        self._unsent.append(Ask(self._asked, address, partner_id, request_id, body, size, trace))
        return future

    def _send(self) -> None:
        unsent, self._unsent = self._unsent, []
        if self._channel is not None:
            self._channel.write(framed(unsent))

    def answered(self, frame: bytes) -> None:
        """Tell who waits what came back."""
        came = _ANSWERED.decode(frame)
        if came.size:
            self._observe(came.size, came.seconds)
        for answer in came.answers:
            future, size, body_bytes = self._waiting.pop(answer.number)
            self._commands -= size
            self._bytes -= body_bytes
            if not future.done():  # its caller may have gone away
                future.set_result(answer)
        self._heard_at = asyncio.get_running_loop().time()

    def lost(self) -> None:
        """What served the lane is gone: nothing is known of what waits."""
        self._channel = None
        waiting, self._waiting, self._unsent, self._commands, self._bytes = self._waiting, {}, [], 0, 0
        for future, _, _ in waiting.values():
            if not future.done():
                future.set_exception(Unavailable(f"the lane {self.name} ended before it answered"))
        if not self._stopping:
            log.error("the lane %s has ended by itself: it is started again", self.name)
        # One that ends at once is lost while it is hired: two at it would hire two, and forget one.
        if not self._stopping and (self._rehiring is None or self._rehiring.done()):
            self._rehiring = asyncio.get_running_loop().create_task(self._hire_again())

    async def _hire_again(self) -> None:
        pause = _FIRST_PAUSE_SECONDS
        while self._channel is None:
            if self._hired is not None:
                await asyncio.to_thread(self._hired.ended)
            try:
                await self.start()
            except OSError:
                log.exception("the lane %s cannot be started", self.name)
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)


class _Channel(asyncio.Protocol):
    """The socket to what serves a lane."""

    def __init__(self, lane: Lane) -> None:
        self._lane = lane
        self._frames = Frames()
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]  # uvloop's is one without saying so

    def data_received(self, data: bytes) -> None:
        for frame in self._frames.fed(data):
            self._lane.answered(frame)

    def connection_lost(self, error: Exception | None) -> None:
        self._lane.lost()

    def write(self, data: bytes) -> None:
        """Send bytes."""
        if self._transport is not None:
            self._transport.write(data)

    def close(self) -> None:
        """End the conversation, once what was written is sent."""
        if self._transport is not None:
            self._transport.close()
