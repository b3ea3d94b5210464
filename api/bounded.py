"""uvicorn's HTTP protocol with a bound on what may come before a request's body.

Its parser has none: a request line or a header of megabytes is gathered whole, unsigned as it is, and
everybody else waits meanwhile.
"""

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MOST_HEAD_BYTES = 32_768
_REFUSAL = b"HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"


class BoundedProtocol(HttpToolsProtocol):
    """Closes a connection whose request line and headers exceed 32 KB."""

    _in_body = False
    _head_bytes = 0
    _last = b""

    def data_received(self, data: bytes) -> None:
        """Count what is not body, before anything is made of it."""
        if not self._in_body:
            # What of this data is body is counted too, so the end of the head is looked for as well.
            self._head_bytes += len(data)
            ended = b"\r\n\r\n" in self._last + data[:MOST_HEAD_BYTES]
            self._last = data[-3:]
            if self._head_bytes > MOST_HEAD_BYTES and not ended:
                self.transport.write(_REFUSAL)
                self.transport.close()
                return
        super().data_received(data)

    def on_headers_complete(self) -> None:
        """The head is over: what follows is body, and has bounds of its own."""
        self._in_body = True
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """A request is whole: the next bytes are a head again."""
        self._in_body = False
        self._head_bytes = 0
        self._last = b""
        super().on_message_complete()
