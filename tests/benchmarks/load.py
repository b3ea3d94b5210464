"""A light load generator: requests made and signed beforehand, kept-alive connections, every answer checked.

It runs in processes of its own, on bare sockets: no event loop, no parser, no garbage to collect. What it
costs itself is measured and stated (`own_us` a request): it has the machine in common with the server.
"""

import gc
import multiprocessing
import resource
import select
import socket
import time
from array import array
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from multiprocessing.connection import Connection as Pipe
from typing import Any

import msgspec

_HELLO = b"GET /health/live HTTP/1.1\r\nHost: load\r\n\r\n"
_READ = 65_536
_READY_SECONDS = 120.0
_PATIENCE_SECONDS = 300.0
_IDLE_SECONDS = 3.0
"""A connection that was idle for longer is not used again."""
_REST_SECONDS = 1.0
"""What Retry-After says."""
_clock = time.perf_counter
_GONE = select.EPOLLHUP | select.EPOLLERR


class Incomplete(Exception):
    """Requests were left without an answer: what was measured is not what was asked."""


class Ask(msgspec.Struct, frozen=True):
    """A whole request, what its answer must hold, and the request that the answer leads to.

    `marks`: what is in the answer's body if it is the answer of this request: its reference.
    `then`: makes the next from the answer's body (a capture needs the id of its hold).
    """

    request: bytes
    marks: bytes
    then: "Callable[[bytes], Ask] | None" = None


class Load(msgspec.Struct, frozen=True, kw_only=True):
    """What a run measured. Latencies in seconds, sorted; `own_us`: the generator's own work a request."""

    answered: int
    wrong: Sequence[str]
    seconds: float
    latencies: Sequence[float]
    own_us: float
    own_share: float
    """Of one core, of the busiest of the generator's processes: near 1 it is what limits, not the server."""

    @property
    def rate(self) -> float:
        """Answers per second."""
        return self.answered / self.seconds

    def percentile(self, share: float) -> float:
        """The latency that `share` of the answers did not exceed."""
        return percentile(self.latencies, share)


def percentile(ordered: Sequence[float], share: float) -> float:
    """The value that `share` of the sorted ones do not exceed."""
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def request_bytes(path: str, authority: str, headers: dict[str, str], body: bytes) -> bytes:
    """A whole HTTP/1.1 request."""
    lines = [f"POST {path} HTTP/1.1", f"Host: {authority}", f"Content-Length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def run_load(address: tuple[str, int], asks: Sequence[Ask], connections: int, processes: int = 1) -> Load:
    """Send all requests over so many connections, each waiting for its answer; at most five minutes.

    Args:
        processes: Of the generator; requests and connections are dealt out among them.
    Raises:
        Incomplete: a connection was lost with requests not answered.
    """
    processes = min(processes, connections)
    parts = [
        (address, asks[number::processes], len(range(number, connections, processes)))
        for number in range(processes)
    ]
    results = in_processes(_closed_loop, parts)
    expected = len(asks) + sum(ask.then is not None for ask in asks)
    answered = sum(len(one["latencies"]) for one in results)
    if answered != expected:
        raise Incomplete(f"{answered} of {expected} requests were answered")
    seconds = max(one["ended"] for one in results) - min(one["started"] for one in results)
    return Load(
        answered=answered,
        wrong=[wrong for one in results for wrong in one["wrong"]],
        seconds=seconds,
        latencies=sorted(latency for one in results for latency in one["latencies"]),
        own_us=sum(one["own"] for one in results) / answered * 1e6,
        own_share=max(one["own"] for one in results) / seconds,
    )


def in_processes(
    work: Callable[..., dict[str, Any]], parts: Sequence[tuple[Any, ...]]
) -> list[dict[str, Any]]:
    """Run `work(ready, *part)` in a forked process for each part; all begin together once all are ready.

    Raises:
        Incomplete: a process failed; what it said is in the error.
    """
    context = multiprocessing.get_context("fork")  # requests and closures need no copying
    running = []
    gc.collect()
    gc.freeze()
    try:
        for part in parts:
            ours, theirs = context.Pipe()
            process = context.Process(target=_child, args=(theirs, work, part), daemon=True)
            process.start()
            theirs.close()
            running.append((process, ours))
        for _, pipe in running:
            _receive(pipe, _READY_SECONDS)
        for _, pipe in running:
            pipe.send(None)
        return [_receive(pipe, _PATIENCE_SECONDS + _READY_SECONDS) for _, pipe in running]
    finally:
        gc.unfreeze()
        for process, pipe in running:
            pipe.close()
            process.join(5)
            if process.is_alive():
                process.kill()
                process.join()


def _receive(pipe: Pipe, seconds: float) -> Any:
    if not pipe.poll(seconds):
        raise Incomplete(f"the load generator said nothing for {seconds:.0f} s")
    try:
        said = pipe.recv()
    except EOFError:
        raise Incomplete("a process of the load generator ended by itself") from None
    if isinstance(said, str):
        raise Incomplete(said)
    return said


def _child(pipe: Pipe, work: Callable[..., dict[str, Any]], part: tuple[Any, ...]) -> None:
    gc.disable()

    def ready() -> None:
        pipe.send({})
        pipe.recv()

    try:
        pipe.send(work(ready, *part))
    except Exception as error:  # it is told to who started us
        pipe.send(f"{type(error).__name__}: {error}")


def whole_answer(data: bytes) -> tuple[bytes, bytes] | None:
    """Head and body of an answer that has come whole, else None.

    Raises:
        Incomplete: more has come than one answer.
    """
    end = data.find(b"\r\n\r\n")
    if end < 0:
        return None
    head = data[:end].lower()
    length = int(head.partition(b"content-length:")[2].partition(b"\r\n")[0])
    have = len(data) - end - 4
    if have > length:
        raise Incomplete(f"more than one answer to one request: {data[:300]!r}")
    return (head, data[end + 4 :]) if have == length else None


def connect(address: tuple[str, int]) -> socket.socket:
    """A kept-alive connection that the server has accepted: it has answered on it."""
    connection = socket.create_connection(address, timeout=60)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.sendall(_HELLO)
    said = b""
    while whole_answer(said) is None:
        data = connection.recv(_READ)
        if not data:
            raise Incomplete("a connection was closed before it was used")
        said += data
    connection.setblocking(False)
    return connection


class _Open:
    """A connection, and what it waits for."""

    __slots__ = ("asked", "rest", "sent_at", "socket", "used_at")

    def __init__(self, opened: socket.socket) -> None:
        self.socket = opened
        self.asked: Ask | None = None
        self.sent_at = 0.0
        self.used_at = _clock()
        self.rest = b""


def _closed_loop(
    ready: Callable[[], None], address: tuple[str, int], asks: Sequence[Ask], connections: int
) -> dict[str, Any]:
    """Each connection sends its next request when the last is answered."""
    opened = {one.fileno(): _Open(one) for one in (connect(address) for _ in range(connections))}
    poll = select.epoll()
    for number in opened:
        poll.register(number, select.EPOLLIN)
    left = iter(asks)
    latencies = array("d")
    wrong: list[str] = []
    ready()
    begun = _own_seconds()
    started = _clock()
    waiting = sum(_send_next(one, left) for one in opened.values())
    until = started + _PATIENCE_SECONDS
    while waiting:
        events = poll.poll(1.0)
        if not events and _clock() > until:
            break
        for number, event in events:
            one = opened[number]
            data = one.socket.recv(_READ) if not event & _GONE else b""
            if not data:
                raise Incomplete(
                    f"{len(latencies)} of {len(asks)} requests were answered: a connection was closed"
                )
            data = one.rest + data if one.rest else data
            whole = whole_answer(data)
            if whole is None:
                one.rest = data
                continue
            one.rest = b""
            latencies.append(_clock() - one.sent_at)
            asked = one.asked
            head, body = whole
            if asked is None or not head.startswith(b"http/1.1 201") or asked.marks not in body:
                wrong.append(f"{head[:20]!r} {body[:200]!r}")
                waiting += _send_next(one, left) - 1
            elif asked.then is not None:
                _send(one, asked.then(body))
            else:
                waiting += _send_next(one, left) - 1
    ended = _clock()
    own = _own_seconds() - begun
    for one in opened.values():
        one.socket.close()
    return {"latencies": latencies, "wrong": wrong, "started": started, "ended": ended, "own": own}


def _send_next(one: _Open, left: Iterator[Ask]) -> int:
    """Send the next of what is left; 1 where there was one, else 0."""
    ask = next(left, None)
    if ask is None:
        return 0
    _send(one, ask)
    return 1


def _send(one: _Open, ask: Ask) -> None:
    one.asked = ask
    one.sent_at = _clock()
    one.socket.sendall(ask.request)  # a request is far smaller than the socket's buffer, and that is empty


def _own_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


class Timed(msgspec.Struct, frozen=True):
    """What came of one request of an open loop: its place, when it was due and sent, how long it took.

    `seconds` is from when it was due to its answer. `status` 0: the connection was refused or closed; -1: no
    answer came while answers were waited for. `told`: a 503 said when to come back.
    """

    place: int
    due: float
    sent: float
    seconds: float
    status: int
    told: bool


def run_open(
    address: tuple[str, int],
    asks: Sequence[Ask],
    *,
    rate: float | None,
    connections: tuple[int, int],
    seconds: float,
    drain_seconds: float = 30.0,
) -> tuple[list[Timed], float]:
    """Send requests at a rate, whether or not those before are answered; what came of each, and own seconds.

    What is due when all connections wait is sent when one is free again, and its latency counts the wait.

    Args:
        rate: Requests a second; None: whenever a connection is free, which after a 503 it is a second later,
            as it was told; and latencies count from the sending.
        connections: How many are open at first, and at most.
        seconds: For so long requests are sent; those that are left then are not.
        drain_seconds: How long answers are waited for after that.
    """
    [result] = in_processes(_OpenLoop.run, [(address, asks, rate, connections, seconds, drain_seconds)])
    return result["timed"], result["own"]


class _OpenLoop:
    """One process's open loop."""

    def __init__(self, address: tuple[str, int], asks: Sequence[Ask], first: int) -> None:
        self._address = address
        self._asks = asks
        self._poll = select.epoll()
        self._open: dict[int, _Open] = {}
        self._sent: dict[int, tuple[int, float, float]] = {}
        self._timed: list[Timed] = []
        self._resting: deque[tuple[float, _Open]] = deque()
        self._rests = False
        self._idle = [self._register(_Open(connect(address))) for _ in range(first)]

    @staticmethod
    def run(
        ready: Callable[[], None],
        address: tuple[str, int],
        asks: Sequence[Ask],
        rate: float | None,
        connections: tuple[int, int],
        seconds: float,
        drain_seconds: float,
    ) -> dict[str, Any]:
        """Send, and wait for what is still to come."""
        loop = _OpenLoop(address, asks, connections[0])
        ready()
        begun = _own_seconds()
        loop._rests = rate is None
        loop._send_all(rate, connections[1], seconds)
        until = _clock() + drain_seconds
        while loop._sent and _clock() < until:
            loop._receive(0.1)
        for place, due, sent in loop._sent.values():
            loop._timed.append(Timed(place, due, sent, _clock() - due, -1, False))
        return {"timed": loop._timed, "own": _own_seconds() - begun}

    def _send_all(self, rate: float | None, most: int, seconds: float) -> None:
        started = _clock()
        place = 0
        while place < len(self._asks) and (now := _clock()) < started + seconds:
            while place < len(self._asks) and (rate is None or started + place / rate <= now):
                one = self._free(most)
                if one is None:
                    break
                self._send(one, place, now if rate is None else started + place / rate)
                place += 1
            full = not self._idle and len(self._open) >= most
            due_in = 0.0 if rate is None else started + place / rate - _clock()
            self._receive(0.02 if full else max(0.0, min(due_in, 0.02)))

    def _free(self, most: int) -> _Open | None:
        while self._resting and self._resting[0][0] <= _clock():
            self._idle.append(self._resting.popleft()[1])
        while self._idle:
            one = self._idle.pop()
            if one.socket.fileno() < 0:
                continue  # the server closed it meanwhile
            if one.used_at < _clock() - _IDLE_SECONDS:
                self._close(one)  # the server is about to close it, perhaps just when we send
                continue
            return one
        if len(self._open) >= most:
            return None
        connection = socket.create_connection(self._address, timeout=5)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.setblocking(False)
        return self._register(_Open(connection))

    def _register(self, one: _Open) -> _Open:
        self._open[one.socket.fileno()] = one
        self._poll.register(one.socket.fileno(), select.EPOLLIN)
        return one

    def _send(self, one: _Open, place: int, due: float) -> None:
        one.asked = self._asks[place]
        self._sent[one.socket.fileno()] = (place, due, _clock())
        try:
            one.socket.sendall(one.asked.request)
        except OSError:
            self._close(one)

    def _receive(self, seconds: float) -> None:
        for number, _ in self._poll.poll(seconds):
            one = self._open[number]
            data = b""
            with suppress(OSError):
                data = one.socket.recv(_READ)
            if not data:
                self._close(one)
                continue
            one.rest += data
            whole = whole_answer(one.rest)
            if whole is None:
                continue
            one.rest = b""
            place, due, sent = self._sent.pop(number)
            head, body = whole
            status = int(head[9:12])
            if status == 201 and (one.asked is None or one.asked.marks not in body):
                raise Incomplete(f"an answer that belongs to another request: {body[:200]!r}")
            self._timed.append(Timed(place, due, sent, _clock() - due, status, b"retry-after:" in head))
            one.used_at = _clock()
            if b"connection: close" in head:
                self._close(one)
            elif self._rests and status == 503:
                self._resting.append((_clock() + _REST_SECONDS, one))
            else:
                self._idle.append(one)

    def _close(self, one: _Open) -> None:
        """Forget a connection; a request that was on it was not answered."""
        number = one.socket.fileno()
        if number in self._sent:
            place, due, sent = self._sent.pop(number)
            self._timed.append(Timed(place, due, sent, _clock() - due, 0, False))
        self._poll.unregister(number)
        del self._open[number]
        one.socket.close()
