"""Keys over HTTP: a partner registers its next one with a proof, revokes one; across servers within 5 s."""

import time
from base64 import b64encode
from collections.abc import Callable
from contextlib import ExitStack
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from msgspec import structs
from sqlalchemy import Engine, text

from api.child import Server, running_server
from network.rules import Rules
from partners.keys import LOW_ORDER_KEYS, possession_statement
from partners.model import PartnerKey
from partners.own_keys import MOST_ACTIVE
from partners.store import add_key
from tests.api.conftest import LONG_AGO, Till, real_now
from tests.coalition import GROCER, HOTEL, START
from tests.people import faults_of
from tests.signing import sign_request

Tills = Callable[[int], Till]
PRIVATE = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))


def registration(key_id: str, partner_id: int = GROCER, **changed: Any) -> dict[str, Any]:
    """What a partner sends to register the key PRIVATE."""
    key = PartnerKey(
        key_id=key_id,
        partner_id=partner_id,
        public_key=PRIVATE.public_key().public_bytes_raw(),
        not_before=LONG_AGO,
    )
    return {
        "key_id": key_id,
        "public_key": b64encode(key.public_key).decode(),
        "proof": b64encode(PRIVATE.sign(possession_statement(key))).decode(),
        **changed,
    }


def row_of(database: Engine, key_id: str) -> Any:
    """A key's row, or None."""
    with database.connect() as connection:
        return connection.execute(
            text("SELECT * FROM partner_key WHERE key_id = :key_id"), {"key_id": key_id}
        ).one_or_none()


def test_a_partner_rotates_its_keys(till: Tills, database: Engine) -> None:
    """The next key is registered under the old one, and signs at once; then it revokes the old one."""
    grocer = till(GROCER)
    answer = grocer.post("/v1/keys", **registration("grocer-2018"))
    assert (answer.status_code, answer.json()["key_id"]) == (201, "grocer-2018")
    again = grocer.post("/v1/keys", **registration("grocer-2018"))
    assert (again.status_code, again.headers["idempotent-replayed"]) == (201, "true")
    assert again.content == answer.content
    new = Till(grocer.client, "grocer-2018", PRIVATE)
    assert new.get("/v1/entries").status_code == grocer.get("/v1/entries").status_code == 200
    listed = new.get("/v1/keys").json()
    assert listed["partner_id"] == GROCER
    assert [(key["key_id"], key["revoked_at"]) for key in listed["data"]] == [
        ("grocer-test", None),
        ("grocer-2018", None),
    ]
    revoked = new.post("/v1/key-revocations", key_id="grocer-test")
    assert revoked.status_code == 200
    assert revoked.json()["revoked_at"] is not None
    assert new.post("/v1/key-revocations", key_id="grocer-test").content == revoked.content
    with database.connect() as connection:
        noted = connection.execute(
            text(
                "SELECT done_by, action, subject FROM operator_audit WHERE subject LIKE 'key:%' ORDER BY seq"
            )
        ).all()
    assert [tuple(row) for row in noted] == [
        ("partner grocer", "partner.key_registered", "key:grocer-2018"),
        ("partner grocer", "partner.key_revoked", "key:grocer-test"),
    ]
    assert faults_of(database) == []


def test_a_key_that_begins_later_and_ends(till: Tills) -> None:
    """not_before and not_after are kept; until the first has come the key is refused as such."""
    grocer = till(GROCER)
    begins = (real_now() + timedelta(hours=1)).replace(microsecond=0)
    answer = grocer.post(
        "/v1/keys",
        **registration(
            "next", not_before=begins.isoformat(), not_after=(begins + timedelta(days=365)).isoformat()
        ),
    )
    assert (answer.status_code, datetime.fromisoformat(answer.json()["not_before"])) == (201, begins)
    early = Till(grocer.client, "next", PRIVATE).get("/v1/entries")
    assert (early.status_code, early.json()["code"]) == (401, "key_not_yet_valid")


def test_a_low_order_key_is_weak(till: Tills, database: Engine) -> None:
    """All encodings of the eight points, canonical or not: 422 weak_key, and nothing is stored."""
    grocer = till(GROCER)
    for raw in sorted(LOW_ORDER_KEYS):
        answer = grocer.post("/v1/keys", **registration("k", public_key=b64encode(raw).decode()))
        assert (answer.status_code, answer.json()["code"]) == (422, "weak_key"), raw.hex()
        assert answer.headers["content-type"] == "application/problem+json"
    assert len(LOW_ORDER_KEYS) == 14
    assert row_of(database, "k") is None


UNFIT: list[tuple[dict[str, Any], str]] = [
    ({"proof": b64encode(bytes(64)).decode()}, "possession_not_proven"),
    ({"proof": b64encode(PRIVATE.sign(b"another text")).decode()}, "possession_not_proven"),
    ({"proof": "AAAA"}, "possession_not_proven"),
    ({"proof": "not base64!"}, "validation_failed"),
    ({"public_key": "AAAA"}, "key_malformed"),
    ({"public_key": b64encode((2).to_bytes(32, "little")).decode()}, "key_malformed"),
    ({"public_key": b64encode((2**255 - 18 + 3).to_bytes(32, "little")).decode()}, "key_malformed"),
    ({"key_id": "test_k"}, "key_malformed"),
    ({"key_id": "a b"}, "validation_failed"),
    ({"key_id": "nul\0"}, "validation_failed"),
    ({"key_id": "x" * 129}, "validation_failed"),
    ({"not_after": "2017-01-01T00:00:00Z"}, "key_interval"),
    ({"not_before": "2017-01-01T00:00:00"}, "validation_failed"),
    ({"not_before": "0001-01-01T00:00:00+05:00"}, "validation_failed"),
    ({"extra": 1}, "validation_failed"),
]


def test_what_is_not_registered(till: Tills, database: Engine) -> None:
    """Weak proofs, odd points and ids, times that are none: each has its code, and nothing is stored."""
    grocer = till(GROCER)
    for changed, code in UNFIT:
        answer = grocer.post("/v1/keys", **{**registration("k"), **changed})
        assert (answer.status_code, answer.json()["code"]) == (422, code), changed
    with database.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM partner_key")).scalar_one() == 1


def test_keys_are_their_partners_alone(till: Tills, database: Engine) -> None:
    """Another partner's proof and id are of no use; its key is not there to revoke; nobody is told more."""
    grocer, hotel = till(GROCER), till(HOTEL)
    stolen = hotel.post("/v1/keys", **registration("k", GROCER))
    assert stolen.json()["code"] == "possession_not_proven"
    assert hotel.post("/v1/keys", **registration("grocer-test", HOTEL)).json()["code"] == "key_id_taken"
    one = hotel.post("/v1/key-revocations", key_id="grocer-test")
    none = hotel.post("/v1/key-revocations", key_id="nobody-has-this")
    for answer in (one, none):
        assert (answer.status_code, answer.json()["code"], answer.json().get("detail")) == (
            404,
            "key_not_found",
            None,
        )
    assert row_of(database, "grocer-test").revoked_at is None
    assert grocer.get("/v1/entries").status_code == 200
    assert [key["key_id"] for key in hotel.get("/v1/keys").json()["data"]] == ["hotel-test"]


def test_a_partner_has_so_many_keys_at_most(till: Tills, database: Engine) -> None:
    """Beyond twenty that may sign a new one is refused, until one is revoked."""
    grocer = till(GROCER)
    with database.begin() as connection:
        for number in range(MOST_ACTIVE - 1):
            raw = Ed25519PrivateKey.generate().public_key().public_bytes_raw()
            add_key(
                connection,
                PartnerKey(key_id=f"k{number}", partner_id=GROCER, public_key=raw, not_before=LONG_AGO),
            )
    assert grocer.post("/v1/keys", **registration("more")).json()["code"] == "too_many_keys"
    assert grocer.post("/v1/key-revocations", key_id="k0").status_code == 200
    assert grocer.post("/v1/keys", **registration("more")).status_code == 201


def old_key(key_id: str) -> PartnerKey:
    """The grocer's key PRIVATE."""
    raw = PRIVATE.public_key().public_bytes_raw()
    return PartnerKey(key_id=key_id, partner_id=GROCER, public_key=raw, not_before=LONG_AGO)


class Wire:
    """Sends signed requests to a server process."""

    def __init__(self, server: Server, key_id: str, private: Ed25519PrivateKey) -> None:
        self.server = server
        self.key_id = key_id
        self.private = private
        self.client = httpx.Client(base_url=server.base_url, trust_env=False, timeout=60)

    def send(self, method: str, path: str, body: bytes = b"") -> httpx.Response:
        """The answer to a request that is signed now."""
        fields = sign_request(
            self.private,
            self.key_id,
            method=method,
            authority=self.server.authority,
            path=path,
            body=body,
            created=int(real_now().timestamp()),
        )
        return self.client.request(method, path, content=body, headers=fields)

    def json(self, path: str, **fields: Any) -> Any:
        """What is answered to a POST of JSON."""
        return self.send("POST", path, msgspec.json.encode(fields)).json()

    def close(self) -> None:
        """End its connections."""
        self.client.close()


def test_across_processes(database: Engine, database_url: str, live: Rules, tmp_path: Path) -> None:
    """Two servers: a key registered at one signs at the other; revoked at one, the other takes nothing under
    it that is sent five seconds later; a command that was committed is answered from memory by the other
    after the first was killed."""
    old = old_key("old")
    with database.begin() as connection:
        add_key(connection, old)
    fresh = Ed25519PrivateKey.from_private_bytes(bytes(range(1, 33)))
    key = structs.replace(old, key_id="new", public_key=fresh.public_key().public_bytes_raw())
    environment = {"TESSERA_DATABASE_URL": database_url, "TESSERA_HOME": str(tmp_path)}
    enrolment = b'{"reference":"m-1","occurred_at":"%s"}' % START.isoformat().encode()
    with ExitStack() as stack:
        one, other = (
            stack.enter_context(running_server(environment, tmp_path / f"server-{n}.log")) for n in range(2)
        )
        at_one, at_other = Wire(one, "old", PRIVATE), Wire(other, "new", fresh)
        stack.callback(at_one.client.close)
        stack.callback(at_other.client.close)
        assert at_other.send("GET", "/v1/keys").json()["code"] == "key_unknown"
        new = b'{"key_id":"new","public_key":"%s","proof":"%s"}' % (
            b64encode(key.public_key),
            b64encode(fresh.sign(possession_statement(key))),
        )
        assert at_one.send("POST", "/v1/keys", new).status_code == 201
        assert at_other.send("GET", "/v1/keys").status_code == 200

        first = at_one.send("POST", "/v1/members", enrolment)
        assert first.status_code == 201
        assert at_one.send("POST", "/v1/key-revocations", b'{"key_id":"new"}').status_code == 200
        revoked_at = time.monotonic()
        while True:
            sent_at = time.monotonic()
            answer = at_other.send("GET", "/v1/keys")
            if answer.status_code != 200:
                break
            assert sent_at <= revoked_at + 5
            time.sleep(0.1)
        assert (answer.status_code, answer.json()["code"]) == (401, "key_revoked")

        one.kill()
        again = Wire(other, "old", PRIVATE)
        stack.callback(again.client.close)
        replayed = again.send("POST", "/v1/members", enrolment)
        assert (replayed.status_code, replayed.headers["idempotent-replayed"]) == (201, "true")
        assert replayed.content == first.content
