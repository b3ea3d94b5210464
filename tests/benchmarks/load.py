"""A light load generator: requests made and signed beforehand, kept-alive connections, every answer checked.

Plain asyncio protocols of bytes: a general client costs more than the service it would measure.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import cast

import msgspec

_HELLO = b"GET /health/live HTTP/1.1\r\nHost: load\r\n\r\n"


class Incomplete(Exception):
    """Requests were left without an answer: what was measured is not what was asked."""


class Ask(msgspec.Struct, frozen=True):
    """A whole request, and the one that its answer leads to (a capture needs the id of its hold)."""

    request: bytes
    then: Callable[[bytes], bytes] | None = None


class Load(msgspec.Struct, frozen=True, kw_only=True):
    """What a run measured. Latencies in seconds, sorted."""

    answered: int
    wrong: Sequence[bytes]
    seconds: float
    latencies: Sequence[float]

    @property
    def rate(self) -> float:
        """Answers per second."""
        return self.answered / self.seconds

    def percentile(self, share: float) -> float:
        """The latency that `share` of the answers did not exceed."""
        return self.latencies[min(len(self.latencies) - 1, int(len(self.latencies) * share))]


def request_bytes(path: str, authority: str, headers: dict[str, str], body: bytes) -> bytes:
    """A whole HTTP/1.1 request."""
    lines = [f"POST {path} HTTP/1.1", f"Host: {authority}", f"Content-Length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


class _Connection(asyncio.Protocol):
    """Sends the next request as soon as the last is answered."""

    def __init__(self, run: "_Run") -> None:
        self._run = run
        self.ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._buffer = b""
        self._sent_at = 0.0
        self._then: Callable[[bytes], bytes] | None = None
        self._transport: asyncio.WriteTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.WriteTransport", transport)  # uvloop's is one without saying so
        # The server has accepted a connection when it answers on it: what is measured is none of that.
        self._transport.write(_HELLO)

    def begin(self) -> None:
        """Send the first request."""
        self._next(b"")

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, separator, rest = self._buffer.partition(b"\r\n\r\n")
        if not separator:
            return
        length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
        if len(rest) < length:
            return
        self._buffer = rest[length:]
        if not self.ready.done():
            self.ready.set_result(None)
            return
        self._run.answered(head, rest[:length], time.perf_counter() - self._sent_at)
        self._next(rest[:length])

    def connection_lost(self, error: Exception | None) -> None:
        if not self.ready.done():
            self.ready.set_exception(Incomplete("a connection was closed before it was used"))
        self._run.closed()

    def _next(self, answer: bytes) -> None:
        if self._transport is None:
            return
        then, self._then = self._then, None
        if then is not None:
            request = then(answer)
        else:
            ask = self._run.take()
            if ask is None:
                self._transport.close()
                return
            request, self._then = ask.request, ask.then
        self._sent_at = time.perf_counter()
        self._transport.write(request)


class _Run:
    """One load: the requests that are left, and what came back."""

    def __init__(self, asks: Sequence[Ask], connections: int) -> None:
        self._asks = iter(asks)
        self._open = connections
        self.done = asyncio.get_running_loop().create_future()
        self.latencies: list[float] = []
        self.wrong: list[bytes] = []

    def take(self) -> Ask | None:
        return next(self._asks, None)

    def answered(self, head: bytes, body: bytes, seconds: float) -> None:
        self.latencies.append(seconds)
        if not head.startswith(b"HTTP/1.1 201") or b'"points":' not in body:
            self.wrong.append(head.partition(b"\r\n")[0] + b" " + body[:200])

    def closed(self) -> None:
        self._open -= 1
        if self._open == 0 and not self.done.done():
            self.done.set_result(None)


async def run_load(host: str, port: int, asks: Sequence[Ask], connections: int) -> Load:
    """Send all requests over so many connections, each waiting for its answer; at most five minutes.

    Raises:
        Incomplete: connections were closed with requests not answered.
    """
    loop = asyncio.get_running_loop()
    run = _Run(asks, connections)
    opened = [
        (await loop.create_connection(lambda: _Connection(run), host, port))[1] for _ in range(connections)
    ]
    await asyncio.wait_for(asyncio.gather(*(connection.ready for connection in opened)), 60)
    started = time.perf_counter()
    for connection in opened:
        connection.begin()
    await asyncio.wait_for(run.done, 300)
    expected = len(asks) + sum(ask.then is not None for ask in asks)
    if len(run.latencies) != expected:
        raise Incomplete(f"{len(run.latencies)} of {expected} requests were answered")
    return Load(
        answered=len(run.latencies),
        wrong=run.wrong,
        seconds=time.perf_counter() - started,
        latencies=sorted(run.latencies),
    )
