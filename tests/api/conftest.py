"""A running application on a real ledger, and tills that sign."""

import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import Engine
from starlette.testclient import TestClient
from starlette.types import Message, Scope

from api.app import create_app
from api.files.spool import Spool, Spooled
from network.rules import Rules
from partners.model import PartnerKey
from partners.store import add_key
from tests.api.office import Clock, Office
from tests.coalition import CODES, START, set_up
from tests.hooks import HOOK_KEY
from tests.people import CARD_KEY, KEYS, NOW
from tests.signing import sign_request

AUTHORITY = "api.example.com"
NDJSON = "application/x-ndjson"
LONG_AGO = datetime(2017, 1, 1, tzinfo=UTC)


SPOOL = Spool(Path(tempfile.gettempdir()), ThreadPoolExecutor(2))
"""For middleware that is tested without an application."""


def real_now() -> datetime:
    """Real time, by which signatures are judged."""
    return datetime.now(UTC)  # noqa: TID251 - the tests' composition root


class Till:
    """Sends signed requests for one partner."""

    def __init__(self, client: TestClient, key_id: str, private_key: Ed25519PrivateKey) -> None:
        self.client = client
        self.key_id = key_id
        self.private_key = private_key

    def send(self, method: str, target: str, body: bytes = b"", **signing: Any) -> Any:
        """Send raw bytes, signed."""
        path, _, query = target.partition("?")
        headers = sign_request(
            self.private_key,
            self.key_id,
            method=method,
            authority=AUTHORITY,
            path=path,
            query=query,
            body=body,
            created=int(real_now().timestamp()),
            **signing,
        )
        return self.client.request(method, target, content=body, headers=headers)

    def post(self, path: str, **fields: Any) -> Any:
        """Post one JSON object."""
        return self.send("POST", path, msgspec.json.encode(fields))

    def get(self, target: str) -> Any:
        """Get an address."""
        return self.send("GET", target)

    def file(self, lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Post a file of lines; its answers."""
        raw = b"".join(msgspec.json.encode(line) + b"\n" for line in lines)
        answers = self.answers(self.batch(raw))
        return [msgspec.json.decode(line) for line in answers.splitlines()]

    def batch(self, raw: bytes, content_type: str = NDJSON, **signing: Any) -> dict[str, Any]:
        """Post a file that is taken."""
        answer = self.send("POST", "/v1/batches", raw, content_type=content_type, **signing)
        assert answer.status_code == 202, answer.text
        batch: dict[str, Any] = answer.json()
        assert answer.headers["location"] == f"/v1/batches/{batch['id']}"
        return batch

    def answers(self, batch: dict[str, Any], query: str = "wait=30") -> bytes:
        """The answers to a file's lines, once they are there."""
        answer = self.get(f"{batch['result']}?{query}")
        assert answer.status_code == 200, answer.text
        content: bytes = answer.content
        return content

    def enrol(self, reference: str = "member-1") -> dict[str, Any]:
        """Enrol a member."""
        answer = self.post("/v1/members", reference=reference, occurred_at=START.isoformat())
        assert answer.status_code == 201, answer.text
        entry: dict[str, Any] = answer.json()
        return entry


def till_of(database: Engine, client: TestClient, partner_id: int) -> Till:
    """A till of a partner, with a key of its own."""
    private_key = Ed25519PrivateKey.generate()
    key_id = f"{CODES[partner_id]}-test"
    with database.begin() as connection:
        add_key(
            connection,
            PartnerKey(
                key_id=key_id,
                partner_id=partner_id,
                public_key=private_key.public_key().public_bytes_raw(),
                not_before=LONG_AGO,
            ),
        )
    return Till(client, key_id, private_key)


def body_of(scope: Scope, message: Message) -> bytes:
    """The body of a request that the signature's middleware let in: a file's was spooled."""
    spooled: Spooled | None = scope.get("state", {}).get("spooled")
    if spooled is None:
        body: bytes = message["body"]
        return body
    assert message["body"] == b""
    spooled.file.seek(0)
    return spooled.file.read()


def a_sale(card: str, amount_minor: int, reference: str, **changed: Any) -> dict[str, Any]:
    """The fields of a sale, some of them changed."""
    return {
        "reference": reference,
        "occurred_at": START.isoformat(),
        "outlet": "main",
        "card": card,
        "amount_minor": amount_minor,
        "currency": "USD",
        **changed,
    }


@pytest.fixture
def live(database: Engine) -> Rules:
    """The rules of a network that has been set up in `database`."""
    return set_up(database)


@pytest.fixture
def client(database: Engine, live: Rules) -> Iterator[TestClient]:
    """The application, running."""
    app = create_app(database, authority=AUTHORITY, now=real_now, hook_key=HOOK_KEY, card_key=CARD_KEY)
    with TestClient(app, base_url=f"http://{AUTHORITY}", raise_server_exceptions=False) as running:
        yield running


@pytest.fixture
def office(database: Engine, live: Rules) -> Iterator[Office]:
    """The application with operators' addresses, on a clock of its own."""
    clock = Clock(NOW)
    app = create_app(database, authority=AUTHORITY, now=clock, operator_keys=KEYS)
    with TestClient(app, base_url=f"http://{AUTHORITY}", raise_server_exceptions=False) as running:
        yield Office(running, database, clock)


@pytest.fixture
def till(database: Engine, client: TestClient) -> Callable[[int], Till]:
    """Makes a till of a partner, with a key of its own."""
    return partial(till_of, database, client)
