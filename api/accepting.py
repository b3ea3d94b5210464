"""uvloop's event loop, but with all waiting connections accepted in one turn of it.

uvloop accepts one connection a turn. Under load a turn takes milliseconds, so that some hundreds of new
connections a second are accepted, and all others wait in the kernel's queue with their requests unread:
served late, and not even told to come back.
"""

import asyncio
import socket
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import uvloop

_AT_ONCE = 64
"""Connections accepted in one turn, so that those who are there already are served meanwhile."""


class Listening:
    """Sockets that are listened on, until it is closed."""

    def __init__(self, loop: asyncio.AbstractEventLoop, sockets: list[socket.socket]) -> None:
        self._loop = loop
        self.sockets = sockets

    def close(self) -> None:
        """Accept no more; connections that are open stay."""
        for listening in self.sockets:
            self._loop.remove_reader(listening)
            listening.close()
        self.sockets = []

    async def wait_closed(self) -> None:
        """Nothing is waited for: closing is done at once."""


class AcceptingLoop(uvloop.Loop):
    """A loop whose servers accept what waits."""

    async def create_server(  # type: ignore[override]  # of its many options those that a plain server has
        self,
        protocol_factory: Callable[[], asyncio.Protocol],
        host: str | None = None,
        port: int | None = None,
        *,
        sock: socket.socket | None = None,
        backlog: int = 2048,
        ssl: None = None,
    ) -> Listening:
        """Listen on an address, or on a socket that is bound.

        Raises:
            OSError: the address is taken, or is none.
        """
        if ssl is not None:
            raise ValueError("TLS ends before this server")
        family = socket.AF_INET6 if host is not None and ":" in host else socket.AF_INET
        listening = (
            sock
            if sock is not None
            else socket.create_server((host or "", port or 0), family=family, backlog=backlog)
        )
        listening.setblocking(False)  # noqa: FBT003 - the library takes it so
        listening.listen(backlog)

        def accept() -> None:
            for _ in range(_AT_ONCE):
                try:
                    connection, _ = listening.accept()
                except OSError:  # none waits, or no file may be opened: then the loop comes back
                    return
                self.create_task(self._begin(protocol_factory, connection))

        self.add_reader(listening, accept)
        return Listening(self, [listening])

    async def _begin(
        self, protocol_factory: Callable[[], asyncio.Protocol], connection: socket.socket
    ) -> None:
        with suppress(OSError):  # it went away in between
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            await self.connect_accepted_socket(protocol_factory, connection)


def make_loop() -> Any:
    """A new loop, for who takes a factory."""
    return AcceptingLoop()
