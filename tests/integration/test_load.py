"""The load generator of `make bench`: an answer for every request, or no figure at all."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count

import pytest

from tests.benchmarks.load import Ask, Incomplete, Load, request_bytes, run_load, run_open


@contextmanager
def server(answers: int, *, reference: bytes = b"%d") -> Iterator[tuple[str, int]]:
    """A server on the loopback that hangs up after so many answers in all; each names the request's path."""
    listening = socket.create_server(("127.0.0.1", 0))
    left = iter(range(answers))

    def serve(connection: socket.socket) -> None:
        with connection, suppress(ConnectionError):  # who gave up may reset what it had open
            while data := connection.recv(65536):
                if next(left, None) is None:
                    return
                path = data.split(b" ")[1]
                body = b'{"reference":"%b"}' % (path if reference == b"%d" else reference)
                connection.sendall(
                    b"HTTP/1.1 201 Created\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
                )

    def accept() -> None:
        for _ in count():
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            threading.Thread(target=serve, args=(connection,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield listening.getsockname()
    finally:
        listening.shutdown(socket.SHUT_RDWR)
        listening.close()


def asks(number: int) -> list[Ask]:
    """Requests, each with an address of its own that its answer must name."""
    return [Ask(request_bytes(f"/{one}", "h", {}, b""), b'"reference":"/%d"' % one) for one in range(number)]


def loaded(answers: int, requests: int, **given: bytes) -> Load:
    """A load over four connections of two processes; each connection says hello first."""
    with server(answers, **given) as address:
        return run_load(address, asks(requests), 4, processes=2)


def test_every_request_is_answered() -> None:
    """Forty requests over four connections: forty answers, none wrong."""
    load = loaded(44, 40)
    assert (load.answered, list(load.wrong), len(load.latencies)) == (40, [], 40)


def test_an_answer_of_another_request_is_wrong() -> None:
    """A server that answers 201 to all, but with one body, has answered one request."""
    assert len(loaded(44, 40, reference=b"/7").wrong) == 39


def test_requests_without_an_answer_are_no_load() -> None:
    """A server that hangs up is not a fast one: the run fails and says how many were answered."""
    with pytest.raises(Incomplete, match="of 20 requests were answered"):
        loaded(19, 40)


def test_an_open_loop_tells_what_came_of_each() -> None:
    """Two hundred requests at 1,000 a second: each has its place, once, and its status."""
    with server(10_000) as address:
        timed, _ = run_open(address, asks(200), rate=1000, connections=(4, 8), seconds=5)
    assert sorted(one.place for one in timed) == list(range(200))
    assert {one.status for one in timed} == {201}
