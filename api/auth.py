"""Who sends a request: pure ASGI middleware that lets only signed requests reach the addresses under /v1."""

import asyncio
import logging
import tempfile
import time
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import datetime
from pathlib import Path

import msgspec
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api import explaining
from api.files.spool import MAX_FILE_BYTES, Disconnected, Spool
from api.limits import Limits, Rates, address_of, headers_of
from api.problems import ProblemError, problem, retry_after
from api.skew import Skews
from partners.model import PartnerKey
from partners.signature import RequestHead, Verified, verify_body, verify_digests, verify_head
from partners.signature_fields import SignatureRefused

log = logging.getLogger("tessera.api")

PREFIX = "/v1"
FILES_PATH = "/v1/batches"
MAX_BODY_BYTES = 1 << 20
MAX_AGE_SECONDS = 5.0
"""No request is judged by keys read longer ago: that is how fast a revocation works."""
REFRESH_AFTER_SECONDS = 4.0
EARLY_GAP_SECONDS = 1.0
"""Keys nobody knows make us read the register again, but never sooner than this after the last time."""
RETRY_GAP_SECONDS = 0.5
PATIENCE_SECONDS = 5.0
_NOT_COUNTED = {"unavailable", "rate_limited"}
MAX_WAITING = 64
"""Requests under unknown keys that may wait for one reading; the others are refused at once."""


class KeysUnavailable(Exception):
    """The register of keys cannot be read, and what was read is too old to judge by."""


class KeyRing:
    """The partners' keys as last read, never older than five seconds when a request is judged by them.

    The register is read in a thread, by one reader at a time, while requests go on under the keys held here.
    """

    def __init__(
        self,
        load: Callable[[], Mapping[str, PartnerKey]],
        *,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._load = load
        self._monotonic = monotonic
        self._sleep = sleep
        self._keys: Mapping[str, PartnerKey] = {}
        # When the readings began, since what they saw may be that old.
        self._read_at = self._begun_at = self._failed_at = float("-inf")
        self._reading: asyncio.Task[None] | None = None
        self._waiting = 0

    @property
    def age(self) -> float:
        """Seconds since the keys here were read; -1 where they never were."""
        return self._monotonic() - self._read_at if self._read_at > float("-inf") else -1.0

    async def keys(self) -> Mapping[str, PartnerKey]:
        """The keys to judge by now.

        Raises:
            KeysUnavailable: they are too old, and the register cannot be read.
        """
        now = self._monotonic()
        if now - self._read_at < REFRESH_AFTER_SECONDS:
            return self._keys
        if now - self._failed_at >= RETRY_GAP_SECONDS:
            self._begin_reading()
        if now - self._read_at >= MAX_AGE_SECONDS:
            await self._await_reading()
            if self._monotonic() - self._read_at >= MAX_AGE_SECONDS:
                raise KeysUnavailable
        return self._keys

    def moment(self) -> float:
        """When a request arrived, for `keys_anew`."""
        return self._monotonic()

    async def keys_anew(self, asked_at: float) -> Mapping[str, PartnerKey]:
        """The keys as read after a moment, for a key that is not among those here: new keys work at once.

        Where too many wait for that already, the keys that are here.

        Raises:
            KeysUnavailable: the register cannot be read.
        """
        if self._waiting >= MAX_WAITING:
            return self._keys
        self._waiting += 1
        try:
            while self._begun_at < asked_at:
                await self._await_reading()
                pause = self._begun_at + EARLY_GAP_SECONDS - self._monotonic()
                if pause > 0:
                    await self._sleep(pause)
                elif self._begun_at < asked_at:
                    self._begin_reading()
            await self._await_reading()
        finally:
            self._waiting -= 1
        if self._read_at < asked_at:
            raise KeysUnavailable
        return self._keys

    def _begin_reading(self) -> None:
        if self._reading is None:
            self._begun_at = self._monotonic()
            self._reading = asyncio.create_task(self._read())

    async def _await_reading(self) -> None:
        if self._reading is None:
            return
        # Unlike awaiting the task: a client that goes away does not cancel what others wait for.
        _, pending = await asyncio.wait({self._reading}, timeout=PATIENCE_SECONDS)
        if pending:
            raise KeysUnavailable

    async def _read(self) -> None:
        begun_at = self._begun_at
        try:
            self._keys = await asyncio.to_thread(self._load)
            self._read_at = begun_at
        except Exception:
            self._failed_at = self._monotonic()
            log.exception("the register of keys cannot be read")
        finally:
            self._reading = None


class _Refused(Exception):
    """Ends the judging of a request with a problem."""

    def __init__(
        self, code: str, detail: str, server_time: int = 0, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(code)
        self.code = code
        self.detail = detail
        self.server_time = server_time
        self.headers = headers or {}


class SignatureAuth:
    """Verifies requests under /v1 and puts `partner_id` and `key_id` into the scope's state.

    A file's body goes to disk, and into the state as `spooled`; the application then reads an empty one.

    The authority that was signed is compared with the configured one: no header of a request can change it.
    The head is judged before the body is read, so that only partners make us hold a large body.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        keyring: KeyRing,
        authority: str,
        now: Callable[[], datetime],
        limits: Limits | None = None,
        test_mode: bool = False,
        spool: Spool | None = None,
    ) -> None:
        self._app = app
        self.limits = limits or Limits(Rates(), time.monotonic)
        self._test_mode = test_mode
        self._spool = spool or Spool(Path(tempfile.gettempdir()), ThreadPoolExecutor(1))
        self._keyring = keyring
        self._authority = authority.lower().encode()
        self._hosts = hosts_of(authority)
        self._now = now
        self.skews = Skews(now)
        """The clocks of those who have signed."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        # `path` is what routes are chosen by; the raw path may spell the prefix in another way.
        path = scope.get("path", "").removeprefix(scope.get("root_path", ""))
        if scope["type"] != "http" or not (path.startswith(PREFIX + "/") or path == PREFIX):
            await self._app(scope, receive, send)
            return
        if self._test_mode and path == explaining.PATH and scope["method"] == "POST":
            await self._explain(scope, receive, send)
            return
        is_file = path == FILES_PATH and scope["method"] == "POST"
        limit = MAX_FILE_BYTES if is_file else MAX_BODY_BYTES
        fields: dict[bytes, bytes] = dict(scope["headers"])
        length = _announced_length(fields)
        # What is refused before it is read is thrown away by the server, which is fine if it has a near end.
        close = length > MAX_BODY_BYTES or b"transfer-encoding" in fields
        try:
            if length > limit:
                raise _too_large(limit)
            verified = await self._judge_head(scope, fields, is_file=is_file)
            if is_file:
                await self._serve_file(verified, scope, receive, send)
                return
            body = await _read_body(receive, limit)
            close = False
            _judge_body(verified, body)
        except _Refused as refused:
            await _answer(scope, send, self._counted(scope, refused), close=close)
        except Disconnected:
            return
        else:
            await self._app(self._signed(scope, verified), _replay(body, receive), send)

    async def _serve_file(self, verified: Verified, scope: Scope, receive: Receive, send: Send) -> None:
        """Take a file's body to disk, judge it, and hand it on.

        Raises:
            _Refused: with the problem that is the answer.
        """
        try:
            with self._spool.place(verified.partner_id):
                spooled = await self._spool.take(receive)
        except ProblemError as error:
            raise _Refused(error.code, error.detail) from error
        with closing(spooled.file):
            refused = await self._spool.run(lambda: verify_digests(verified, spooled.size, spooled.digest))
            if refused is not None:
                raise _refusal(refused)
            self._signed(scope, verified)["state"]["spooled"] = spooled
            await self._app(scope, _replay(b"", receive), send)

    def _signed(self, scope: Scope, verified: Verified) -> Scope:
        """A request's scope that says who has signed it."""
        state = scope.setdefault("state", {})
        state["partner_id"] = verified.key.partner_id
        state["key_id"] = verified.key.key_id
        self.skews.note(verified.key.key_id, verified.created)
        return scope

    async def _explain(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request of the test mode with what its signature comes to."""
        fields: dict[bytes, bytes] = dict(scope["headers"])
        head, address = self.head_of(scope, fields), address_of(scope.get("client"))
        try:
            body = await _read_body(receive, MAX_BODY_BYTES)
            self._require_room(address)
            judged = await self.judged(head, address)
        except _Refused as refused:
            await _answer(scope, send, refused, close=refused.code == "body_too_large")
        except KeysUnavailable:
            await _answer(scope, send, _Refused("unavailable", ""), close=False)
        except Disconnected:
            return
        else:
            refusal = judged if isinstance(judged, SignatureRefused) else verify_body(judged, body)
            said = msgspec.json.encode(explaining.explain(head, refusal, fields))
            headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(said))]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            await send({"type": "http.response.body", "body": said})

    async def _judge_head(self, scope: Scope, fields: Mapping[bytes, bytes], *, is_file: bool) -> Verified:
        """Who signed the request.

        Raises:
            _Refused: with the problem that is the answer.
        """
        encoding = fields.get(b"content-encoding", b"identity").strip().lower()
        if encoding != b"identity" and not (is_file and encoding == b"gzip"):
            raise _Refused(
                "media_type_unsupported", "send the body without a content encoding; files may have gzip"
            )
        verified = await self._verify(self.head_of(scope, fields), address_of(scope.get("client")))
        if fields.get(b"host", b"").lower() not in self._hosts:
            raise _Refused(
                "signature_invalid",
                f"the Host header must name {self._authority.decode()}, as the signature does",
            )
        keys = self.limits.keys
        wait = keys.take(verified.key.key_id, self.limits.now())
        if wait:
            raise _Refused(
                "rate_limited",
                f"more than {keys.rate.per_second:g} requests a second came under this key",
                headers=headers_of("key", keys.rate, wait),
            )
        return verified

    def head_of(self, scope: Scope, fields: Mapping[bytes, bytes]) -> RequestHead:
        """What a signature is judged by; the authority is ours, path and query are as they were sent."""
        return RequestHead(
            scope["method"].encode(),
            self._authority,
            scope["raw_path"].partition(b"?")[0],
            scope["query_string"],
            scope["headers"],
            _announced_length(fields) > 0 or b"transfer-encoding" in fields,
        )

    async def judged(self, head: RequestHead, address: str) -> Verified | SignatureRefused:
        """Who signed a head, or why nobody did.

        Raises:
            KeysUnavailable: the register of keys cannot be read.
        """
        asked_at = self._keyring.moment()
        verified = verify_head(head, await self._keyring.keys(), self._now(), test_mode=self._test_mode)
        if not isinstance(verified, SignatureRefused) or verified.code != "key_unknown":
            return verified
        if self.limits.refused.wait(address, self.limits.now()):
            return verified  # who tries key after key makes us read the register no more
        anew = await self._keyring.keys_anew(asked_at)
        return verify_head(head, anew, self._now(), test_mode=self._test_mode)

    def _require_room(self, address: str) -> None:
        """Count a request of an address as one that is refused, and refuse it where there are too many."""
        addresses = self.limits.refused
        wait = addresses.take(address, self.limits.now())
        if wait:
            raise _Refused("rate_limited", "", headers=headers_of("address", addresses.rate, wait))

    async def _verify(self, head: RequestHead, address: str) -> Verified:
        try:
            verified = await self.judged(head, address)
        except KeysUnavailable:
            raise _Refused("unavailable", "the register of keys cannot be read") from None
        if isinstance(verified, SignatureRefused):
            raise _refusal(verified)
        return verified

    def _counted(self, scope: Scope, refused: _Refused) -> _Refused:
        """What a refused request is told: its problem; after many of them from one address, to wait."""
        if refused.code in _NOT_COUNTED:
            return refused
        of_addresses = self.limits.refused
        wait = of_addresses.take(address_of(scope.get("client")), self.limits.now())
        if not wait:
            return refused
        return _Refused(
            "rate_limited",
            "too many requests from this address were refused",
            headers=headers_of("address", of_addresses.rate, wait),
        )


def _announced_length(fields: Mapping[bytes, bytes]) -> int:
    """Content-Length, 0 without one; of a number beyond belief the first digits are enough."""
    length = fields.get(b"content-length", b"")
    return int(length[:20]) if length.isdigit() else 0


def _judge_body(verified: Verified, body: bytes) -> None:
    """Refuse a body that is not the one that was signed."""
    refused = verify_body(verified, body)
    if refused is not None:
        raise _refusal(refused)


def hosts_of(given: str) -> frozenset[bytes]:
    """What a Host header may say of an authority: with its scheme's own port, too, where it names none."""
    authority = given.lower().encode()
    if authority.rpartition(b":")[2].isdigit():
        return frozenset({authority})
    return frozenset({authority, authority + b":443", authority + b":80"})


def _refusal(refused: SignatureRefused) -> _Refused:
    at = refused.server_time
    return _Refused(refused.code, refused.detail, 0 if at is None else int(at.timestamp()))


def _too_large(limit: int) -> _Refused:
    return _Refused("body_too_large", f"at most {limit} bytes are taken at this address")


async def _read_body(receive: Receive, limit: int) -> bytes:
    """The whole raw body, counted as it comes: a chunked one announces no length."""
    chunks: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] != "http.request":
            raise Disconnected
        chunk = message.get("body", b"")
        size += len(chunk)
        if size > limit:
            raise _too_large(limit)
        chunks.append(chunk)
        if not message.get("more_body", False):
            return chunks[0] if len(chunks) == 1 else b"".join(chunks)


def _replay(body: bytes, receive: Receive) -> Receive:
    """A `receive` that gives the body that was read, and then what comes after it."""
    given = False

    async def replayed() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replayed


async def _answer(scope: Scope, send: Send, refused: _Refused, *, close: bool) -> None:
    """Answer a refused request with its problem; `close`: the connection cannot be used again."""
    said = problem(refused.code, refused.detail, request_id=scope.get("state", {}).get("request_id", ""))
    body = msgspec.json.encode(msgspec.structs.replace(said, server_time=refused.server_time))
    headers = [
        (b"content-type", b"application/problem+json"),
        (b"content-length", b"%d" % len(body)),
    ]
    if said.status == 401:
        headers.append((b"www-authenticate", b"Signature"))
    seconds = retry_after(said)
    if seconds:
        headers.append((b"retry-after", b"%d" % seconds))
    if close:
        headers.append((b"connection", b"close"))
    headers += [(name.encode(), value.encode()) for name, value in refused.headers.items()]
    await send({"type": "http.response.start", "status": said.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
