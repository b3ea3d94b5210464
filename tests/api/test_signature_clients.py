"""Clients that others wrote sign requests that we take, and our own gets through; over real sockets."""

import asyncio
import socket
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest
import requests
import uvicorn
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from http_message_signatures import HTTPMessageSigner, HTTPMessageVerifier, MappingKeyResolver
from http_message_signatures.aiohttp import SignatureMiddleware, SignatureMiddlewareMode
from http_message_signatures.algorithms import ED25519
from requests_http_signature import HTTPSignatureAuth
from starlette.types import Receive, Scope, Send
from tessera_client import Unreachable

from api.auth import KeyRing, SignatureAuth
from api.client import Answer, SignedClient, sign_headers
from partners.signature import RequestHead, Verified, verify_request
from tests.api.conftest import SPOOL, body_of
from tests.npm_packages import installed, run_script
from tests.signing import BODY, KEY, KEY_ID, NOW, RFC_KEY

TAG = "loyalty-v1"
LINE = ("@method", "@authority", "@path", "@query")
COVERED = (*LINE, "content-type", "content-digest")
PEM = RFC_KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
RESOLVER = MappingKeyResolver(public_keys={KEY_ID: RFC_KEY.public_key()}, private_keys={KEY_ID: RFC_KEY})


def real_now() -> datetime:
    """Clients of others sign by the real clock, so the server judges by it."""
    return datetime.now(UTC)  # noqa: TID251  # the test is the composition root here


class Server:
    """A live server on loopback: the middleware before an application that answers what it was sent."""

    def __init__(self) -> None:
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.authority = f"127.0.0.1:{self.listening.getsockname()[1]}"
        self.url = f"http://{self.authority}"
        self.busy = 0
        self.seen: list[dict[bytes, bytes]] = []
        app = SignatureAuth(
            self.answer,
            keyring=KeyRing(lambda: {KEY_ID: KEY}),
            authority=self.authority,
            now=real_now,
            spool=SPOOL,
        )
        config = uvicorn.Config(app, lifespan="off", ws="none", log_config=None, http="httptools")
        self.server = uvicorn.Server(config)
        self.thread = threading.Thread(target=self.server.run, kwargs={"sockets": [self.listening]})

    async def answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        """503 while it is to be busy, then 200 with what came."""
        self.seen.append(dict(scope["headers"]))
        body = body_of(scope, await receive())
        status, self.busy = (503, self.busy - 1) if self.busy else (200, 0)
        said = {
            "partner": scope["state"]["partner_id"],
            "body": body.decode(),
            "query": scope["query_string"].decode(),
        }
        headers = [(b"retry-after", b"0")]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": msgspec.json.encode(said)})


@pytest.fixture
def server() -> Iterator[Server]:
    """A server for one test; it ends with it."""
    running = Server()
    running.thread.start()
    deadline = time.monotonic() + 10
    while not running.server.started and time.monotonic() < deadline:
        time.sleep(0.005)
    try:
        yield running
    finally:
        running.server.should_exit = True
        running.thread.join(10)
        running.listening.close()


def auth(**changed: Any) -> HTTPSignatureAuth:
    """The requests plugin, set up for our profile."""
    given = {"covered_component_ids": COVERED, "tag": TAG, **changed}
    return HTTPSignatureAuth(signature_algorithm=ED25519, key=PEM, key_id=KEY_ID, **given)


def test_requests_http_signature_posts_json(server: Server) -> None:
    """The plugin covers our components and, unasked, Date: a live POST is taken."""
    answer = requests.post(f"{server.url}/v1/accruals", json={"a": 1}, auth=auth(), timeout=10)
    assert (answer.status_code, answer.json()) == (200, {"partner": 11, "body": '{"a": 1}', "query": ""})
    assert b'"date"' in server.seen[0][b"signature-input"]


def test_requests_http_signature_with_all_it_can_add(server: Server) -> None:
    """Nonce, expiry and an Idempotency-Key that it is told to cover pass, also with a query and no alg."""
    answer = requests.post(
        f"{server.url}/v1/accruals?x=a%20b&y=%C3%A9",
        data=BODY,
        headers={"Content-Type": "application/json", "Idempotency-Key": '"k-1"'},
        auth=auth(
            covered_component_ids=(*COVERED, "idempotency-key"),
            use_nonce=True,
            expires_in=timedelta(seconds=300),
            include_alg=False,
        ),
        timeout=10,
    )
    assert (answer.status_code, answer.json()["query"]) == (200, "x=a%20b&y=%C3%A9")


def test_requests_http_signature_gets(server: Server) -> None:
    """A read passes; the plugin covers the digest of no bytes, which we check as any other."""
    answer = requests.get(
        f"{server.url}/v1/entries?limit=5", auth=auth(covered_component_ids=LINE), timeout=10
    )
    assert (answer.status_code, answer.json()["query"]) == (200, "limit=5")
    assert b'"content-digest"' in server.seen[0][b"signature-input"]


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"covered_component_ids": ("@method", "@authority", "@target-uri")}, "signature_coverage"),
        ({"covered_component_ids": (*LINE, "content-digest")}, "signature_coverage"),
        ({"tag": None}, "signature_malformed"),
        ({"tag": "another"}, "signature_malformed"),
    ],
    ids=["its default coverage", "no content type", "no tag", "another tag"],
)
def test_what_the_plugins_defaults_lack(server: Server, changed: dict[str, Any], code: str) -> None:
    """Coverage and tag must be given: as it comes the plugin covers @target-uri and sends no tag."""
    answer = requests.post(f"{server.url}/v1/accruals", json={}, auth=auth(**changed), timeout=10)
    assert (answer.status_code, answer.json()["code"]) == (401, code)


def test_the_aiohttp_client_of_http_message_signatures(server: Server) -> None:
    """The other library's aiohttp middleware gets a POST and a GET through."""

    def signing(covered: tuple[str, ...]) -> aiohttp.ClientSession:
        middleware = SignatureMiddleware(
            SignatureMiddlewareMode.SIGN_REQUEST,
            sign_options={
                "origin": server.url,
                "signature_algorithm": ED25519,
                "key_id": KEY_ID,
                "key_resolver": RESOLVER,
                "tag": TAG,
                "covered_component_ids": covered,
            },
        )
        return aiohttp.ClientSession(**middleware.session_kwargs)

    async def send() -> list[int]:
        async with (
            signing((*LINE, "content-type")) as writing,
            signing(LINE) as reading,
            writing.post(f"{server.url}/v1/accruals", json={"a": 1}) as written,
            reading.get(f"{server.url}/v1/entries?limit=5&q=%C3%A9") as read,
        ):
            return [written.status, read.status]

    assert asyncio.run(send()) == [200, 200]


NODE = Path(__file__).parent.parent / "node" / "sign_with_node.mjs"
PACKAGES = ("http-message-signatures@1.0.6", "http-message-sig@0.3.0")


@pytest.mark.parametrize("library", ["http-message-signatures", "http-message-sig"])
def test_libraries_of_node_sign_what_we_take(server: Server, library: str) -> None:
    """POST and GET, with query and Idempotency-Key, from Node: all are taken; a changed body is not."""
    folder = installed(*PACKAGES)
    requests_to_send: list[dict[str, Any]] = [
        {"method": "POST", "target": "/v1/accruals", "body": '{"a":1,"b":"\u00e9"}'},
        {
            "method": "POST",
            "target": "/v1/accruals?a=b%20c",
            "body": "{}",
            "headers": {"idempotency-key": '"k"'},
        },
        {"method": "GET", "target": "/v1/entries?limit=5&q=%C3%A9"},
        {"method": "GET", "target": "/v1/entries"},
        {"method": "POST", "target": "/v1/accruals", "body": '{"a":1}', "tampered": '{"a":2}'},
    ]
    given = {
        "library": library,
        "url": server.url,
        "keyid": KEY_ID,
        "pem": PEM.decode(),
        "requests": requests_to_send,
    }
    answers = msgspec.json.decode(run_script(folder, NODE, msgspec.json.encode(given).decode()))
    assert [status for status, _ in answers] == [200, 200, 200, 200, 401], answers
    assert msgspec.json.decode(answers[0][1])["body"] == requests_to_send[0]["body"]
    assert msgspec.json.decode(answers[4][1])["code"] == "digest_mismatch"


def test_http_message_signatures_signs_what_we_take() -> None:
    """Its signer is understood, with each optional parameter, with a body and with none."""
    for body, alg in ((BODY, True), (BODY, False), (b"", False)):
        message = requests.Request(
            "POST",
            "https://api.example.com/v1/earn?a=1",
            data=body,
            headers={"Content-Type": "application/json"},
        ).prepare()
        HTTPMessageSigner(signature_algorithm=ED25519, key_resolver=RESOLVER).sign(
            message,
            key_id=KEY_ID,
            created=NOW,
            expires=datetime(2021, 4, 20, 2, 12, 53, tzinfo=UTC),
            nonce="n-1",
            label="theirs",
            tag=TAG,
            include_alg=alg,
            covered_component_ids=(*LINE, "content-type"),
            body=body,
        )
        headers = [(name.lower().encode(), str(value).encode()) for name, value in message.headers.items()]
        head = RequestHead(b"POST", b"api.example.com", b"/v1/earn", b"a=1", headers, body != b"")
        verified = verify_request(head, body, {KEY_ID: KEY}, NOW)
        assert isinstance(verified, Verified)
        assert verified.nonce == "n-1"


def test_our_headers_are_verified_by_http_message_signatures() -> None:
    """What our client sends is a signature that the other library accepts, body digest included."""
    fields = sign_headers(
        RFC_KEY,
        KEY_ID,
        method="POST",
        authority="api.example.com",
        path="/v1/accruals",
        query="a=%20",
        body=BODY,
        at=real_now(),
    )
    message = requests.Request("POST", "https://api.example.com/v1/accruals?a=%20", headers=fields).prepare()
    [result] = HTTPMessageVerifier(signature_algorithm=ED25519, key_resolver=RESOLVER).verify(
        message, expect_tag=TAG, require_components=COVERED, body=BODY
    )
    assert result.body == BODY
    assert set(result.parameters) == {"created", "keyid", "tag"}


@asynccontextmanager
async def client_of(url: str, **changed: Any) -> AsyncIterator[SignedClient]:
    """Our client, with the fixture's key."""
    async with SignedClient(url, KEY_ID, RFC_KEY, now=real_now, **changed) as client:
        yield client


def test_our_client_posts_files_and_reads(server: Server) -> None:
    """JSON, NDJSON and a query arrive as they were given, over one kept connection or several."""

    async def send() -> list[Answer]:
        async with client_of(server.url) as client:
            return [
                await client.post("/v1/accruals", {"reference": "r-1", "amount_minor": 1250}),
                await client.post("/v1/accruals", BODY),
                await client.send_file([{"a": 1}, {"b": "é"}]),
                await client.get("/v1/entries", "limit=5&cursor=a%2Fb"),
                *await asyncio.gather(*(client.get(f"/v1/entries/{number}") for number in range(200))),
            ]

    answers = asyncio.run(send())
    assert {answer.status for answer in answers} == {200}
    assert [answer.json()["body"] for answer in answers[:3]] == [
        '{"reference":"r-1","amount_minor":1250}',
        BODY.decode(),
        '{"a":1}\n{"b":"é"}\n',
    ]
    assert answers[3].json()["query"] == "limit=5&cursor=a%2Fb"
    assert server.seen[2][b"content-type"] == b"application/x-ndjson"


def test_our_client_returns_refusals_as_answers(server: Server) -> None:
    """A 401 is an answer like another, and is not sent again."""

    async def send() -> Answer:
        async with SignedClient(server.url, "unknown", RFC_KEY, now=real_now) as client:
            return await client.get("/v1/entries")

    answer = asyncio.run(send())
    assert (answer.status, answer.json()["code"]) == (401, "key_unknown")


def test_our_client_sends_again_after_503(server: Server) -> None:
    """A busy server is asked again with the same body, until it answers, or until our patience ends."""

    async def send(busy: int, attempts: int) -> int:
        server.busy = busy
        async with client_of(server.url, attempts=attempts) as client:
            return (await client.post("/v1/accruals", BODY)).status

    assert asyncio.run(send(busy=2, attempts=3)) == 200
    assert len(server.seen) == 3
    assert asyncio.run(send(busy=9, attempts=2)) == 503
    assert len(server.seen) == 5


def test_our_client_sends_again_after_a_lost_connection() -> None:
    """Connections that break before, and in the middle of, an answer lead to another attempt, signed anew."""
    requests_seen: list[bytes] = []
    replies = [
        b"",
        b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhal",
        b"HTTP/1.1 201 C\r\ncontent-length: 2\r\n\r\n{}",
    ]

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        requests_seen.append(head + await reader.readexactly(len(BODY)))
        writer.write(replies[len(requests_seen) - 1])
        await writer.drain()
        writer.close()

    async def send() -> Answer:
        instants = iter(datetime(2021, 4, 20, 2, 7, second, tzinfo=UTC) for second in range(60))
        async with await asyncio.start_server(serve, "127.0.0.1", 0) as listening:
            port = listening.sockets[0].getsockname()[1]
            async with SignedClient(
                f"http://127.0.0.1:{port}", KEY_ID, RFC_KEY, now=lambda: next(instants)
            ) as client:
                return await client.post("/v1/accruals", BODY)

    answer = asyncio.run(send())
    assert (answer.status, answer.json()) == (201, {})
    assert [request.endswith(BODY) for request in requests_seen] == [True, True, True]
    assert [
        f"created={second}".encode() in request
        for second, request in zip((1618884420, 1618884421, 1618884422), requests_seen, strict=True)
    ] == [True, True, True]


def test_our_client_gives_up_on_a_server_that_is_not_there() -> None:
    """After its attempts the error says what was tried."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

    async def send() -> None:
        async with client_of(f"http://127.0.0.1:{port}", attempts=2) as client:
            await client.get("/v1/entries")

    with pytest.raises(Unreachable, match="no answer in 2 attempts"):
        asyncio.run(send())


def pour_chunks(connection: socket.socket) -> None:
    """Send a quarter of a gigabyte in chunks, and no last one."""
    for _ in range(4096):
        connection.sendall(b"10000\r\n" + bytes(65536) + b"\r\n")


@pytest.mark.parametrize("signed", [True, False])
def test_a_body_without_an_end_is_cut_off(server: Server, *, signed: bool) -> None:
    """A chunked body that never ends is refused and its connection closed, signed or not."""
    fields = sign_headers(
        RFC_KEY,
        KEY_ID,
        method="POST",
        authority=server.authority,
        path="/v1/accruals",
        body=BODY,
        at=real_now(),
    )
    lines = [f"{name}: {value}\r\n" for name, value in fields.items()] if signed else []
    head = f"POST /v1/accruals HTTP/1.1\r\nHost: {server.authority}\r\nTransfer-Encoding: chunked\r\n"
    with socket.create_connection(server.listening.getsockname(), timeout=10) as connection:
        connection.sendall((head + "".join(lines) + "\r\n").encode())
        with pytest.raises((BrokenPipeError, ConnectionResetError)):
            pour_chunks(connection)
    assert server.seen == []
    assert requests.get(f"{server.url}/v1/entries", auth=auth(covered_component_ids=LINE), timeout=10).ok
