"""The load generator of `make bench`: an answer for every request, or no figure at all."""

import asyncio

import pytest

from tests.benchmarks.load import Ask, Incomplete, Load, request_bytes, run_load

ANSWER = b'HTTP/1.1 201 Created\r\nContent-Length: 12\r\n\r\n{"points":1}'


async def loaded(answers: int, requests: int) -> Load:
    """A load on a server that closes every connection after so many answers in all."""
    left = iter(range(answers))

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await reader.readuntil(b"\r\n\r\n"):
                if next(left, None) is None:
                    break
                writer.write(ANSWER)
        except asyncio.IncompleteReadError:
            pass
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        return await run_load("127.0.0.1", port, [Ask(request_bytes("/x", "h", {}, b""))] * requests, 4)


def test_every_request_is_answered() -> None:
    """Forty requests over four connections: forty answers, none wrong."""
    load = asyncio.run(loaded(44, 40))
    assert (load.answered, list(load.wrong), len(load.latencies)) == (40, [], 40)


def test_requests_without_an_answer_are_no_load() -> None:
    """A server that hangs up is not a fast one: the run fails and says how many are missing."""
    with pytest.raises(Incomplete, match="15 of 40 requests were answered"):
        asyncio.run(loaded(19, 40))
