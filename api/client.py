"""A small client of the partner API: signs, keeps connections alive, and sends again what got no answer.

Sending again is safe, because every write carries the partner's own reference: what was done the first time
is answered from memory.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from types import TracebackType
from typing import Any, Self

import aiohttp
import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from yarl import URL

from partners.signature import sign_request

NDJSON = "application/x-ndjson"
FILES = "/v1/batches"
_WAIT_SECONDS = 20
_TAKEN, _NOT_DONE = 202, 409
MAX_CONNECTIONS = 64
MAX_ATTEMPTS = 6
FIRST_PAUSE_SECONDS = 0.1
LONGEST_PAUSE_SECONDS = 5.0
# What we do not need is not sent: it costs both sides time.
_LEFT_OUT = frozenset({"User-Agent", "Accept", "Accept-Encoding", "Content-Type"})
_ENCODER = msgspec.json.Encoder()
_DECODER = msgspec.json.Decoder()
_LOST = (aiohttp.ClientConnectionError, aiohttp.ClientPayloadError, TimeoutError)


class ClientError(Exception):
    """Root of the client's errors."""


class ServiceUnreachable(ClientError):
    """No answer after all attempts; whether the request was carried out is not known."""


class Answer(msgspec.Struct, frozen=True):
    """What came back, also when it is a refusal: a status, the header fields, and the raw body."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def replayed(self) -> bool:
        """Whether this is the remembered answer to an earlier request of the same reference."""
        return self.headers.get("Idempotent-Replayed") == "true"

    def json(self) -> Any:
        """The body, read as JSON."""
        return _DECODER.decode(self.body)

    def lines(self) -> list[Any]:
        """The body, read as NDJSON."""
        lines: list[Any] = _DECODER.decode_lines(self.body)
        return lines


def sign_headers(
    private_key: Ed25519PrivateKey,
    key_id: str,
    *,
    method: str,
    authority: str,
    path: str,
    query: str = "",
    body: bytes = b"",
    content_type: str = "application/json",
    at: datetime,
) -> dict[str, str]:
    """All header fields of a signed request but Host and Content-Length, to send now or soon."""
    return sign_request(
        private_key,
        key_id,
        method=method,
        authority=authority,
        path=path,
        query=query,
        body=body,
        content_type=content_type,
        created=int(at.timestamp()),
    )


class SignedClient:
    """Sends signed requests of one key; an async context manager.

    Args:
        base_url: Scheme, host and port, as partners address the service: "http://127.0.0.1:8080".
        key_id: Under which the key is registered.
        private_key: The partner's own.
        now: Real time; signatures carry it.
        connections: How many requests may be under way at once.
        session: To share connections between clients of several keys; by default one of its own.
        attempts: How often a request is sent before we give up.
    """

    def __init__(
        self,
        base_url: str,
        key_id: str,
        private_key: Ed25519PrivateKey,
        *,
        now: Callable[[], datetime],
        connections: int = MAX_CONNECTIONS,
        session: aiohttp.ClientSession | None = None,
        attempts: int = MAX_ATTEMPTS,
    ) -> None:
        self._origin = str(URL(base_url).origin())
        self._authority = self._origin.partition("://")[2].lower()
        self._key_id = key_id
        self._private_key = private_key
        self._now = now
        self._connections = connections
        self._session = session
        self._owns_session = session is None
        self._attempts = attempts

    async def __aenter__(self) -> Self:
        if self._session is None:
            self._session = open_session(self._connections)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._owns_session and self._session is not None:
            await self._session.close()
            self._session = None

    async def post(self, path: str, content: Any) -> Answer:
        """Send one JSON document; `content` is anything msgspec encodes, or the encoded bytes themselves."""
        body = content if isinstance(content, bytes) else _ENCODER.encode(content)
        return await self._send("POST", path, "", body, "application/json")

    async def send_file(self, lines: Iterable[Any]) -> Answer:
        """Send a file of commands, one a line, and wait until each is answered; the answers, or a refusal.

        The same file sent again, after whatever broke, is not carried out twice.
        """
        taken = await self._send("POST", FILES, "", _ENCODER.encode_lines(lines), NDJSON)
        if taken.status != _TAKEN:
            return taken
        result = taken.json()["result"]
        while True:
            answers = await self.get(result, f"wait={_WAIT_SECONDS}")
            if answers.status != _NOT_DONE:
                return answers

    async def get(self, path: str, query: str = "") -> Answer:
        """Read; `query` is percent-encoded already and has no question mark."""
        return await self._send("GET", path, query, b"", "")

    async def _send(self, method: str, path: str, query: str, body: bytes, content_type: str) -> Answer:
        """Send, signed anew each time, until there is an answer other than 503.

        Raises:
            ServiceUnreachable: there was none, or the last one was cut off.
        """
        if self._session is None:
            raise ClientError("open the client first: async with SignedClient(...) as client")
        url = URL(f"{self._origin}{path}?{query}" if query else self._origin + path, encoded=True)
        pause = FIRST_PAUSE_SECONDS
        attempt = 0
        while True:
            attempt += 1
            fields = sign_headers(
                self._private_key,
                self._key_id,
                method=method,
                authority=self._authority,
                path=path,
                query=query,
                body=body,
                content_type=content_type,
                at=self._now(),
            )
            try:
                async with self._session.request(
                    method, url, data=body or None, headers=fields, allow_redirects=False
                ) as response:
                    answer = Answer(response.status, response.headers, await response.read())
            except _LOST as error:
                if attempt >= self._attempts:
                    raise ServiceUnreachable(
                        f"{method} {url}: no answer in {attempt} attempts, last: {error!r}; is the server up?"
                    ) from error
                wait = pause
            else:
                if answer.status != 503 or attempt >= self._attempts:
                    return answer
                wait = max(pause, _retry_after(answer))
            await asyncio.sleep(min(wait, LONGEST_PAUSE_SECONDS))
            pause *= 2


def open_session(connections: int = MAX_CONNECTIONS) -> aiohttp.ClientSession:
    """Connections kept alive for signed clients; the caller closes it. Needs a running event loop."""
    return aiohttp.ClientSession(
        # Shorter than servers keep idle connections (uvicorn 5 s), else we write into ones they just closed.
        connector=aiohttp.TCPConnector(limit=connections, keepalive_timeout=4),
        cookie_jar=aiohttp.DummyCookieJar(),
        skip_auto_headers=_LEFT_OUT,
        auto_decompress=False,
        # A file is answered piece by piece, so what counts is that something comes.
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=60),
    )


def _retry_after(answer: Answer) -> float:
    """The pause a 503 asks for, in seconds; 0 where it gives none, or a date."""
    text = answer.headers.get("Retry-After", "")
    return float(text) if text.isdigit() else 0.0
