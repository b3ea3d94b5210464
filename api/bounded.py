"""uvicorn's HTTP protocol with bounds on what may come before a request's body, and on what is under way.

Its parser has no bound: a request line or a header of megabytes is gathered whole, unsigned as it is, and
everybody else waits meanwhile. And to refuse a request after it was parsed and its signature judged costs as
much as to carry it out nearly, so that under more than we can do nobody would be told in time. So a command
that is one too many is answered here, before anything is made of it.
"""

import secrets
from typing import ClassVar

import msgspec
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from api.problems import problem

MOST_HEAD_BYTES = 32_768
MOST_UNDER_WAY = 320
"""Requests that a process carries out at a time: more than a crowd of tills has, half a second of work."""
_TOO_LARGE = b"HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
_COMMAND = b"POST /v1/"
_LENGTH = b"\r\ncontent-length:"


class BoundedProtocol(HttpToolsProtocol):
    """Refuses commands beyond 320 under way, and closes a connection whose head exceeds 32 KB."""

    _busy: ClassVar[set["BoundedProtocol"]] = set()
    """Connections of this process with a request under way."""
    _in_body = False
    _head_bytes = 0
    _last = b""

    def data_received(self, data: bytes) -> None:
        """Count what is not body, before anything is made of it."""
        if not self._in_body:
            if not self._head_bytes and len(self._busy) >= MOST_UNDER_WAY and self._refuse(data):
                return
            # What of this data is body is counted too, so the end of the head is looked for as well.
            self._head_bytes += len(data)
            ended = b"\r\n\r\n" in self._last + data[:MOST_HEAD_BYTES]
            self._last = data[-3:]
            if self._head_bytes > MOST_HEAD_BYTES and not ended:
                self.transport.write(_TOO_LARGE)
                self.transport.close()
                return
        super().data_received(data)

    def _refuse(self, data: bytes) -> bool:
        """Tell a command to come back; whether that was done. Health and metrics are always answered."""
        if not data.startswith(_COMMAND) or self in self._busy:
            return False
        head, _, body = data.partition(b"\r\n\r\n")
        length = head.lower().partition(_LENGTH)[2].partition(b"\r\n")[0].strip()
        # One that is not here whole goes on: where the next begins is not known, so the connection ends.
        whole = length.isdigit() and int(length) == len(body)
        request_id = f"req_{secrets.token_hex(12)}"
        said = msgspec.json.encode(
            problem("overloaded", f"{MOST_UNDER_WAY} requests are under way", request_id=request_id)
        )
        self.transport.write(
            b"HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/problem+json\r\n"
            b"retry-after: 1\r\nrequest-id: %b\r\ncontent-length: %d\r\n%b\r\n%b"
            % (request_id.encode(), len(said), b"" if whole else b"connection: close\r\n", said)
        )
        if whole:
            self._unset_keepalive_if_required()  # as after any other answer, the connection may wait a while
            self.timeout_keep_alive_task = self.loop.call_later(
                self.timeout_keep_alive, self.timeout_keep_alive_handler
            )
        else:
            self.transport.close()
        return True

    def on_headers_complete(self) -> None:
        """The head is over: what follows is body, and has bounds of its own."""
        self._in_body = True
        self._busy.add(self)
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """A request is whole: the next bytes are a head again."""
        self._in_body = False
        self._head_bytes = 0
        self._last = b""
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """A request is answered; where a client sent several ahead, the next of them begins."""
        if not self.pipeline:
            self._busy.discard(self)
        super().on_response_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nobody waits any more."""
        self._busy.discard(self)
        super().connection_lost(exc)
