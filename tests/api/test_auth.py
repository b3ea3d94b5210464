"""The signature middleware before a tiny application: what passes, what is answered, and the ring of keys."""

import asyncio
import gzip
from collections.abc import AsyncIterator, Mapping
from typing import Any

import httpx
import pytest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.auth import KeyRing, SignatureAuth
from partners.model import PartnerKey
from tests.api.conftest import SPOOL, body_of
from tests.signing import BODY, CREATED, KEY, KEY_ID, NOW, RFC_KEY, sign_request

ORIGIN = "https://api.example.com"
KEYS = {KEY_ID: KEY}


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer with who was let in, and the body that came through."""
    message = await receive()
    state = scope.get("state", {})
    headers = [
        (b"x-partner", str(state.get("partner_id")).encode()),
        (b"x-key", str(state.get("key_id")).encode()),
    ]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body_of(scope, message)})


def signed(method: str = "POST", path: str = "/v1/earn", **changed: Any) -> dict[str, str]:
    """The fields of a rightly signed request."""
    given = {"authority": "api.example.com", "body": BODY, "created": CREATED, **changed}
    return sign_request(RFC_KEY, KEY_ID, method=method, path=path, **given)


def sent(
    method: str = "POST",
    url: str = "/v1/earn",
    *,
    fields: Mapping[str, str],
    content: bytes | AsyncIterator[bytes] = BODY,
    keyring: KeyRing | None = None,
) -> httpx.Response:
    """The answer to one request through the middleware."""

    async def send() -> httpx.Response:
        app = SignatureAuth(
            echo,
            keyring=keyring or KeyRing(lambda: KEYS),
            authority="api.example.com",
            now=lambda: NOW,
            spool=SPOOL,
        )
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=ORIGIN) as client:
            return await client.request(method, url, headers=dict(fields), content=content)

    return asyncio.run(send())


def test_a_signed_request_passes_with_its_body() -> None:
    """The application learns who signed, with which key, and reads the very bytes that were signed."""
    answer = sent(fields=signed())
    assert (answer.status_code, answer.content) == (200, BODY)
    assert (answer.headers["x-partner"], answer.headers["x-key"]) == ("11", "test-key-ed25519")


def test_a_read_passes_with_its_query_as_it_was_sent() -> None:
    """The raw path and query are judged: percent-encoding is not undone."""
    fields = signed("GET", "/v1/cards/a%2Fb%20c", body=b"", query="q=%C3%A9&x=a+b")
    assert sent("GET", "/v1/cards/a%2Fb%20c?q=%C3%A9&x=a+b", fields=fields, content=b"").status_code == 200


def test_other_addresses_are_none_of_its_business() -> None:
    """Only /v1 and what is below it needs a signature."""
    for url in ("/health/live", "/v12", "/"):
        answer = sent("GET", url, fields={}, content=b"")
        assert (answer.status_code, answer.headers["x-partner"]) == (200, "None")


@pytest.mark.parametrize("url", ["/v1", "/v1/", "/v1/earn", "/%76%31/earn", "/v1%2Fearn"])
def test_no_spelling_of_the_prefix_goes_around_it(url: str) -> None:
    """Whatever a router would take for /v1 must be signed."""
    assert sent("GET", url, fields={}, content=b"").json()["code"] == "signature_missing"


def test_a_refusal_is_a_problem() -> None:
    """Status, media type, code and server time are there for a program to read."""
    answer = sent(fields=signed(created=CREATED - 400))
    assert (answer.status_code, answer.headers["content-type"]) == (401, "application/problem+json")
    assert answer.headers["www-authenticate"] == "Signature"
    problem = answer.json()
    assert (problem["status"], problem["code"], problem["server_time"]) == (401, "signature_time", 1618884473)


def test_without_keys_to_judge_by_the_answer_is_503() -> None:
    """A register that cannot be read is our fault, and the client may come again."""

    def broken() -> Mapping[str, PartnerKey]:
        raise ConnectionError("no database")

    answer = sent(fields=signed(), keyring=KeyRing(broken))
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert answer.json()["code"] == "unavailable"


def test_the_refusals_status_is_the_tables() -> None:
    """Headers over the cap are 431, an unknown key is 401."""
    huge = {**signed(), "Signature-Input": "sig1=(" + '"a" ' * 15_000 + ")"}
    assert sent(fields=huge).status_code == 431
    strange = sent(fields={**signed(), "Signature-Input": signed()["Signature-Input"].replace(KEY_ID, "k")})
    assert (strange.status_code, strange.json()["code"]) == (401, "key_unknown")


@pytest.mark.parametrize(
    ("header", "value", "status"),
    [
        ("Host", "evil.example.com", 401),
        ("Host", "api.example.com:8443", 401),
        ("Host", "", 401),
        ("Host", "API.example.com", 200),
        ("Host", "api.example.com:443", 200),
        ("X-Forwarded-Host", "evil.example.com", 200),
        ("Forwarded", "host=evil.example.com", 200),
    ],
)
def test_the_host_is_the_configured_one(header: str, value: str, status: int) -> None:
    """A changed Host is refused, and no forwarding header has any effect."""
    assert sent(fields={**signed(), header: value}).status_code == status


def test_a_signature_for_another_host_does_not_pass_with_forged_headers() -> None:
    """Who signed for another service cannot be replayed here by telling us that we are it."""
    for forged in ({"Host": "other.example.com"}, {"X-Forwarded-Host": "other.example.com"}):
        answer = sent(fields={**signed(authority="other.example.com"), **forged})
        assert (answer.status_code, answer.json()["code"]) == (401, "signature_invalid")


def test_a_changed_body_is_refused() -> None:
    """The digest is of the raw bytes."""
    answer = sent(fields=signed(), content=BODY.replace(b"1250", b"9250"))
    assert (answer.status_code, answer.json()["code"]) == (401, "digest_mismatch")


def test_a_body_behind_an_unsigned_head_is_not_read() -> None:
    """An unknown sender is refused before a byte of its body is taken."""
    taken = 0

    async def chunks() -> AsyncIterator[bytes]:
        nonlocal taken
        for _ in range(100):
            taken += 1
            yield bytes(1000)

    answer = sent(fields={}, content=chunks())
    assert (answer.json()["code"], answer.headers["connection"]) == ("signature_missing", "close")
    assert taken == 0


def test_a_refusal_keeps_the_connection_where_the_body_has_a_near_end() -> None:
    """What is announced and small is thrown away by the server; what is large is not waited for."""
    small, large = sent(fields={}), sent(url="/v1/batches", fields={}, content=bytes(1048577))
    assert "connection" not in small.headers
    assert large.headers["connection"] == "close"
    assert "connection" not in sent(fields=signed(), content=BODY + b" ").headers


async def in_pieces(size: int) -> AsyncIterator[bytes]:
    """A body without an announced length."""
    for start in range(0, size, 65536):
        yield bytes(min(65536, size - start))


@pytest.mark.parametrize(
    ("path", "size", "status"),
    [
        ("/v1/earn", 1048576, 200),
        ("/v1/earn", 1048577, 413),
        ("/v1/batches", 1048577, 200),
        ("/v1/batches", 67108864, 200),
        ("/v1/batches", 67108865, 413),
    ],
)
def test_a_body_has_a_limit_however_it_is_sent(path: str, size: int, status: int) -> None:
    """1 MB, for files 64 MB: by the announced length, and by counting where none is announced."""
    fields = signed(path=path, body=bytes(size))
    whole = sent(url=path, fields=fields, content=bytes(size))
    chunked = sent(url=path, fields={**fields, "Transfer-Encoding": "chunked"}, content=in_pieces(size))
    assert (whole.status_code, chunked.status_code) == (status, status)
    if status == 413:
        assert (chunked.json()["code"], chunked.headers["connection"]) == ("body_too_large", "close")
    else:
        assert len(chunked.content) == size


def test_an_announced_length_beyond_belief_is_refused() -> None:
    """A length of forty digits is compared, not computed with."""
    assert sent(fields={**signed(), "Content-Length": "9" * 40}).status_code == 413


def test_an_encoded_body_is_not_taken() -> None:
    """The digest is of what is sent, so nothing is unpacked. A file may be gzip, if the signature says so."""
    packed = gzip.compress(BODY)
    answer = sent(fields={**signed(body=packed), "Content-Encoding": "gzip"}, content=packed)
    assert (answer.status_code, answer.json()["code"]) == (415, "media_type_unsupported")
    files = "/v1/batches"
    unsaid = {**signed(path=files, body=packed), "Content-Encoding": "gzip"}
    assert sent(url=files, fields=unsaid, content=packed).json()["code"] == "signature_coverage"
    said = signed(path=files, body=packed, content_encoding="gzip")
    assert sent(url=files, fields=said, content=packed).content == packed
    other = signed(path=files, body=packed, content_encoding="br")
    assert sent(url=files, fields=other, content=packed).status_code == 415
    assert sent(fields={**signed(), "Content-Encoding": "identity"}).status_code == 200


def served_by_hand(app: ASGIApp, *messages: Message) -> list[Message]:
    """What the middleware before `app` sends when the server hands it these messages."""
    answers: list[Message] = []
    waiting = iter(messages)

    async def receive() -> Message:
        return next(waiting)

    async def send(message: Message) -> None:
        answers.append(message)

    async def serve() -> None:
        guarded = SignatureAuth(
            app, keyring=KeyRing(lambda: KEYS), authority="api.example.com", now=lambda: NOW, spool=SPOOL
        )
        await guarded(a_scope(), receive, send)

    asyncio.run(serve())
    return answers


def a_scope() -> Scope:
    """The fixture's request as a server hands it over."""
    fields = {**signed(), "Host": "api.example.com", "Content-Length": str(len(BODY))}
    return {
        "type": "http",
        "method": "POST",
        "path": "/v1/earn",
        "raw_path": b"/v1/earn",
        "query_string": b"",
        "headers": [(name.lower().encode(), value.encode()) for name, value in fields.items()],
    }


def test_the_application_may_listen_on_after_the_body() -> None:
    """After the replayed body come the server's own messages: a disconnect is noticed."""
    heard: list[Message] = []

    async def listener(scope: Scope, receive: Receive, send: Send) -> None:
        heard.extend([await receive(), await receive()])

    served_by_hand(
        listener,
        {"type": "http.request", "body": BODY[:9], "more_body": True},
        {"type": "http.request", "body": BODY[9:], "more_body": False},
        {"type": "http.disconnect"},
    )
    assert heard == [
        {"type": "http.request", "body": BODY, "more_body": False},
        {"type": "http.disconnect"},
    ]


def test_a_client_that_goes_away_is_not_answered() -> None:
    """A body that breaks off reaches neither the application nor an answer."""
    answers = served_by_hand(
        echo, {"type": "http.request", "body": BODY[:9], "more_body": True}, {"type": "http.disconnect"}
    )
    assert answers == []
