"""uvicorn's HTTP protocol with bounds on what may come before a request's body, and on what is under way.

Its parser has no bound: a request line or a header of megabytes is gathered whole, unsigned as it is, and
everybody else waits meanwhile. And to refuse a request after it was parsed and its signature judged costs as
much as to carry it out nearly, so that under more than we can do nobody would be told in time. So a command
that is one too many is answered here, before anything is made of it.
"""

import secrets
from typing import Any, ClassVar

import msgspec
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from api.problems import problem

MOST_HEAD_BYTES = 32_768
MOST_UNDER_WAY = 320
"""Requests that a process carries out at a time: more than a crowd of tills has, half a second of work."""
_COMMAND = b"POST /v1/"
_LENGTH = b"\r\ncontent-length:"
_CHUNKED = b"\r\ntransfer-encoding:"
_MOST_DIGITS = 10


class BoundedProtocol(HttpToolsProtocol):
    """Refuses commands beyond 320 under way, and closes a connection whose head exceeds 32 KB."""

    _busy: ClassVar[set["BoundedProtocol"]] = set()
    """Connections of this process with a request under way: here whole, and its answer can be sent.

    Who sends a body slowly, or does not read, needs no signature for that, and would keep all others out.
    """
    _in_body = False
    _head_bytes = 0
    _beside_body = 0
    """Bytes since the last piece of body: sizes of chunks, and what may come after the last of them."""
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
                self.transport.write(_too_large())
                self.transport.close()
                return
        else:
            self._beside_body += len(data)
        super().data_received(data)
        if self._beside_body > MOST_HEAD_BYTES and not self.transport.is_closing():
            self.transport.close()  # it was answered, perhaps: two answers to one request would be wrong

    def _should_upgrade_to_ws(self) -> bool:
        """Nothing here speaks WebSocket; its protocol would leave this one without a word."""
        return False

    def _unsupported_upgrade_warning(self) -> None:
        """Nor is it worth two lines of the log: it is answered as if it had not asked for that."""

    def _refuse(self, data: bytes) -> bool:
        """Tell a command to come back; whether that was done. Health and metrics are always answered."""
        before: Any = self.cycle  # None at first, whatever uvicorn says
        if not data.startswith(_COMMAND) or (before is not None and not before.response_complete):
            return False  # no command; or it has to wait for the answer before it
        head, _, body = data.partition(b"\r\n\r\n")
        length = head.lower().partition(_LENGTH)[2].partition(b"\r\n")[0].strip()
        # One that is not here whole goes on: where the next begins is not known, so the connection ends.
        # So it does where nobody reads our answers, which would be gathered here.
        whole = (
            length.isdigit()
            and len(length) <= _MOST_DIGITS
            and int(length) == len(body)
            and _CHUNKED not in head.lower()
            and not self.flow.write_paused
        )
        request_id, said = _overloaded()
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
        self._beside_body = 0
        late = len(self._busy) >= MOST_UNDER_WAY and self not in self._busy
        app = self.app
        if late:  # its first bytes did not look like a command's: it is one all the same, perhaps
            told: Any = _Late(app)  # uvicorn has types of its own for what passes through an application
            self.app = told
        try:
            super().on_headers_complete()
        finally:
            self.app = app

    def on_body(self, body: bytes) -> None:
        """A piece of body: what is between two of them is bounded."""
        self._beside_body = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """A request is whole: the next bytes are a head again."""
        self._in_body = False
        self._head_bytes = 0
        self._beside_body = 0
        self._last = b""
        super().on_message_complete()
        if not self.cycle.response_complete:
            self._busy.add(self)

    def on_response_complete(self) -> None:
        """A request is answered; where a client sent several ahead, the next of them begins."""
        if not self.pipeline or self.pipeline[-1][0].more_body:
            self._busy.discard(self)
        super().on_response_complete()

    def pause_writing(self) -> None:
        """Answers are not read: what waits for that is no work of ours."""
        self._busy.discard(self)
        super().pause_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nobody waits any more."""
        self._busy.discard(self)
        super().connection_lost(exc)


class _Late:
    """The application, but commands are told to come back: those in pieces or in an unusual spelling."""

    def __init__(self, app: Any) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["method"] != "POST" or not scope["path"].startswith("/v1/"):
            await self._app(scope, receive, send)
            return
        request_id, said = _overloaded()
        headers = [
            (b"content-type", b"application/problem+json"),
            (b"retry-after", b"1"),
            (b"request-id", request_id.encode()),
            (b"content-length", b"%d" % len(said)),
            (b"connection", b"close"),
        ]
        await send({"type": "http.response.start", "status": 503, "headers": headers})
        await send({"type": "http.response.body", "body": said})


def _too_large() -> bytes:
    """The whole answer to a head without an end."""
    request_id = f"req_{secrets.token_hex(12)}"
    said = msgspec.json.encode(
        problem("header_too_large", f"{MOST_HEAD_BYTES} bytes came, and no end", request_id=request_id)
    )
    return (
        b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-type: application/problem+json\r\n"
        b"request-id: %b\r\ncontent-length: %d\r\nconnection: close\r\n\r\n%b"
        % (request_id.encode(), len(said), said)
    )


def _overloaded() -> tuple[str, bytes]:
    """A new request's id, and the problem that it is one too many."""
    request_id = f"req_{secrets.token_hex(12)}"
    said = problem("overloaded", f"{MOST_UNDER_WAY} requests are under way", request_id=request_id)
    return request_id, msgspec.json.encode(said)
