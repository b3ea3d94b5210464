"""More than the server can do: who is one too many is told so at once, and nobody waits to be accepted."""

import asyncio
import errno
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

    def __init__(self, length: int = 2) -> None:
        self.open = threading.Event()
        self.begun = threading.Event()
        self._length = length

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer 201 to a command, 200 to anything else."""
        if scope["method"] == "POST":
            while (await receive()).get("more_body"):
                pass
            self.begun.set()
            await asyncio.to_thread(self.open.wait, 20)
        status, said = (201, b"ok") if scope["method"] == "POST" else (200, b"x" * self._length)
        length = (b"content-length", b"%d" % len(said))
        await send({"type": "http.response.start", "status": status, "headers": [length]})
        await send({"type": "http.response.body", "body": said[:-1], "more_body": True})
        await send({"type": "http.response.body", "body": said[-1:]})


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


def send_for_ever(connection: socket.socket, piece: bytes) -> None:
    """The same again and again, fifty megabytes of it."""
    for _ in range(50_000):
        connection.sendall(piece)


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


@pytest.mark.parametrize(
    "pieces",
    [
        (COMMAND[:1], COMMAND[1:]),
        (b"\r\n" + COMMAND,),
        (COMMAND.replace(b" /v1", b" http://t/v1"),),
        (COMMAND.replace(b"/v1", b"/%761"),),
    ],
    ids=["in pieces", "after a line feed", "absolute", "escaped"],
)
def test_one_too_many_is_known_in_any_spelling(
    monkeypatch: pytest.MonkeyPatch, pieces: tuple[bytes, ...]
) -> None:
    """A command whose first bytes do not look like one is refused as well; health is answered."""
    monkeypatch.setattr(bounded, "MOST_UNDER_WAY", 0)
    with serving(Gate()) as address, connected(address) as connection, connected(address) as other:
        for piece in pieces[:-1]:
            connection.sendall(piece)
            time.sleep(0.05)
        refused = ask(connection, pieces[-1])
        assert refused.startswith(b"HTTP/1.1 503 ")
        assert b'"code":"overloaded"' in refused
        assert connection.recv(65536) == b""
        assert ask(other, HEALTH).startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize(
    "length", [b"9" * 5000, b"2\r\nTransfer-Encoding: chunked"], ids=["of thousands of digits", "and chunked"]
)
def test_one_too_many_whose_end_is_not_known_ends_its_connection(
    monkeypatch: pytest.MonkeyPatch, length: bytes
) -> None:
    """It is told so all the same, and nothing after it is read."""
    monkeypatch.setattr(bounded, "MOST_UNDER_WAY", 0)
    with serving(Gate()) as address, connected(address) as connection:
        refused = ask(connection, COMMAND.replace(b"Length: 2", b"Length: " + length))
        assert refused.startswith(b"HTTP/1.1 503 ")
        assert connection.recv(65536) == b""


def test_who_sends_slowly_or_does_not_read_holds_no_place(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody needs a signature for half a body, also after a whole request, or to leave answers unread."""
    monkeypatch.setattr(bounded, "MOST_UNDER_WAY", 1)
    gate = Gate(length=1 << 20)
    gate.open.set()
    with (
        serving(gate) as address,
        connected(address) as slow,
        connected(address) as ahead,
        connected(address) as deaf,
        connected(address) as other,
    ):
        slow.sendall(HALF)
        ahead.sendall(COMMAND + HALF)
        deaf.sendall(HEALTH * 40)
        deadline = time.monotonic() + 20
        while not ask(other, COMMAND).startswith(b"HTTP/1.1 201 "):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        for _ in range(3):
            time.sleep(0.05)
            assert ask(other, COMMAND).startswith(b"HTTP/1.1 201 ")


def test_a_refusal_waits_for_the_answer_before_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where that is not read yet, the 503 comes after it, not into it."""
    monkeypatch.setattr(bounded, "MOST_UNDER_WAY", 0)
    length = 16 << 20
    with serving(Gate(length)) as address, connected(address) as connection:
        connection.sendall(HEALTH)
        time.sleep(0.2)
        connection.sendall(COMMAND)
        said = bytearray()
        while b"HTTP/1.1 503 " not in said[-65536:]:
            data = connection.recv(65536)
            assert data
            said += data
        assert said.count(b"x", said.index(b"\r\n\r\n"), said.index(b"HTTP/1.1 503 ")) == length


def test_who_asks_for_another_protocol_holds_no_place(monkeypatch: pytest.MonkeyPatch) -> None:
    """WebSocket's own protocol would take the connection over, and nobody would say when it ended."""
    monkeypatch.setattr(bounded, "MOST_UNDER_WAY", 1)
    gate = Gate()
    gate.open.set()
    upgrade = b"GET /any HTTP/1.1\r\nHost: t\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    upgrade += b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    with serving(gate) as address, connected(address) as other:
        with connected(address) as connection:
            assert ask(connection, upgrade).startswith(b"HTTP/1.1 200 ")
        assert ask(other, COMMAND).startswith(b"HTTP/1.1 201 ")


@pytest.mark.parametrize("piece", [b"A" * 1000, b"name: " + b"A" * 992 + b"\r\n"], ids=["one", "many"])
def test_fields_after_a_body_have_a_bound(piece: bytes) -> None:
    """The trailers of a chunked body would be gathered whole, as a head would: the connection is closed."""
    with serving(Gate()) as address, connected(address) as connection:
        connection.sendall(HEALTH[:-2] + b"Transfer-Encoding: chunked\r\n\r\n0\r\nname: A")
        connection.sendall(b"" if piece.startswith(b"A") else b"\r\n")
        with pytest.raises(OSError, match=r"reset|pipe|closed"):
            send_for_ever(connection, piece)


def test_a_long_body_in_small_chunks_is_read() -> None:
    """What is beside its pieces is more than a head may have, all in all, and never at once."""
    gate = Gate()
    gate.open.set()
    chunked = COMMAND.replace(b"Content-Length: 2\r\n\r\n{}", b"Transfer-Encoding: chunked\r\n\r\n")
    with serving(gate) as address, connected(address) as connection:
        connection.sendall(chunked)
        for _ in range(40):
            connection.sendall(b"1\r\nx\r\n" * 1000)
        assert ask(connection, b"0\r\n\r\n").startswith(b"HTTP/1.1 201 ")
        assert ask(connection, HEALTH).startswith(b"HTTP/1.1 200 ")


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


@pytest.mark.skipif(not socket.has_ipv6, reason="no IPv6 here")
def test_it_listens_on_an_address_of_ipv6() -> None:
    """As uvloop's own loop does."""

    async def listen() -> str:
        try:
            server = await asyncio.get_running_loop().create_server(asyncio.Protocol, "::1", 0)
        except OSError as error:
            if error.errno in {errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT}:
                pytest.skip("no address of IPv6 here")
            raise
        address: str = server.sockets[0].getsockname()[0]
        server.close()
        return address

    with asyncio.Runner(loop_factory=make_loop) as runner:
        assert runner.run(listen()) == "::1"
