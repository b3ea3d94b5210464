"""More than the server can do: who is one too many is told so at once, and nobody waits to be accepted."""

import asyncio
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import uvicorn
from starlette.types import Receive, Scope, Send

from api import bounded
from api.accepting import make_loop
from api.bounded import BoundedProtocol

COMMAND = b"POST /v1/accruals HTTP/1.1\r\nHost: t\r\nContent-Length: 2\r\n\r\n{}"
HALF = b"POST /v1/accruals HTTP/1.1\r\nHost: t\r\nContent-Length: 9\r\n\r\n{}"
HEALTH = b"GET /health/live HTTP/1.1\r\nHost: t\r\n\r\n"


class Gate:
    """An application whose commands wait until it is opened; other requests do not."""

    def __init__(self) -> None:
        self.open = threading.Event()
        self.begun = threading.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer 201 to a command, 200 to anything else."""
        if scope["method"] == "POST":
            self.begun.set()
            await asyncio.to_thread(self.open.wait, 20)
        status = 201 if scope["method"] == "POST" else 200
        await send({"type": "http.response.start", "status": status, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"ok"})


@contextmanager
def serving(gate: Gate) -> Iterator[tuple[str, int]]:
    """The gate behind our protocol and our loop, on a free port of the loopback."""
    listening = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(
        gate, http=BoundedProtocol, loop="api.accepting:make_loop", lifespan="off", log_level="warning"
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, args=([listening],), daemon=True)
    thread.start()
    try:
        yield listening.getsockname()
    finally:
        gate.open.set()
        server.should_exit = True
        thread.join(20)


def ask(connection: socket.socket, request: bytes) -> bytes:
    """Send a request on a kept-alive connection; the head and body of its answer."""
    connection.sendall(request)
    said = b""
    while b"\r\n\r\n" not in said or not whole(said):
        data = connection.recv(65536)
        if not data:
            break
        said += data
    return said


def whole(said: bytes) -> bool:
    """Whether an answer has come to its end."""
    head, _, body = said.partition(b"\r\n\r\n")
    return len(body) >= int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])


def connected(address: tuple[str, int]) -> socket.socket:
    """A connection that gives up after twenty seconds."""
    return socket.create_connection(address, timeout=20)


def test_one_too_many_is_told_to_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """With one command under way and room for one: 503, Retry-After, a problem; health is answered."""
    monkeypatch.setattr(bounded, "MOST_UNDER_WAY", 1)
    gate = Gate()
    with serving(gate) as address, connected(address) as first, connected(address) as second:
        first.sendall(COMMAND)
        assert gate.begun.wait(20)
        refused = ask(second, COMMAND)
        head, _, body = refused.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 503 ")
        assert b"\r\nretry-after: 1" in head
        assert b'"code":"overloaded"' in body
        assert ask(second, HEALTH).startswith(b"HTTP/1.1 200 ")
        gate.open.set()
        assert first.recv(65536).startswith(b"HTTP/1.1 201 ")
        # the connection that was refused is as good as before
        assert ask(second, COMMAND).startswith(b"HTTP/1.1 201 ")


def test_one_too_many_that_is_not_here_whole_ends_its_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    """What comes after it could be taken for a request of its own: so nothing after it is read."""
    monkeypatch.setattr(bounded, "MOST_UNDER_WAY", 0)
    with serving(Gate()) as address, connected(address) as connection:
        refused = ask(connection, HALF)
        assert refused.startswith(b"HTTP/1.1 503 ")
        assert b"\r\nconnection: close" in refused
        assert connection.recv(65536) == b""


def test_who_went_away_holds_no_place(monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that gives up before it is answered does not count as under way any more."""
    monkeypatch.setattr(bounded, "MOST_UNDER_WAY", 1)
    gate = Gate()
    with serving(gate) as address, connected(address) as second:
        with connected(address) as first:
            first.sendall(COMMAND)
            assert gate.begun.wait(20)
        gate.open.set()
        deadline = time.monotonic() + 20
        while not ask(second, COMMAND).startswith(b"HTTP/1.1 201 "):
            assert time.monotonic() < deadline


def test_all_that_wait_are_accepted_in_a_few_turns() -> None:
    """Three hundred connections made while the loop was away are there after ten turns, not after 300."""
    there: list[asyncio.BaseTransport] = []

    class Counting(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            there.append(transport)

    async def count() -> int:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(Counting, "127.0.0.1", 0, backlog=512)
        address = server.sockets[0].getsockname()
        dialled = [socket.create_connection(address) for _ in range(300)]
        for _ in range(10):
            await asyncio.sleep(0)
        accepted = len(there)
        server.close()
        for one in dialled:
            one.close()
        for transport in there:
            transport.close()
        await asyncio.sleep(0.05)
        return accepted

    with asyncio.Runner(loop_factory=make_loop) as runner:
        assert runner.run(count()) == 300
