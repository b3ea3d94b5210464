"""The test mode: keys and data of its own beside the live network's, its clock, its cards."""

from base64 import b64encode
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import Engine, text
from sqlalchemy.exc import IntegrityError
from starlette.testclient import TestClient
from tessera_client import verify_webhook
from typer.testing import CliRunner

from api.app import create_app
from api.child import running_server
from api.cli import app as cli
from api.composition import sandbox
from api.magic import MAGIC_CARDS
from api.problems import PROBLEMS
from config.settings import Settings
from network.rules import Rules
from network.service import apply_programme
from partners.model import PartnerKey
from partners.signature_fields import signature_base
from partners.store import add_key
from tests.api.conftest import AUTHORITY, LONG_AGO, a_sale, real_now
from tests.api.test_isolation import described
from tests.coalition import GROCER, PROGRAMME, START
from tests.conftest import as_owner
from tests.hooks import HOOK_KEY, deliver, receiving
from tests.signing import sign_request

TEST_AUTHORITY = "test.example.com"
PRIVATE = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))


@dataclass
class Both:
    """The application with both modes, and the database of each."""

    client: TestClient
    live: Engine
    test: Engine

    def send(
        self, method: str, target: str, key_id: str, body: bytes = b"", authority: str = TEST_AUTHORITY
    ) -> Any:
        """A request signed with PRIVATE, to an address of one of the modes."""
        path, _, query = target.partition("?")
        fields = sign_request(
            PRIVATE,
            key_id,
            method=method,
            authority=authority,
            path=path,
            query=query,
            body=body,
            created=int(real_now().timestamp()),
        )
        return self.client.request(method, target, content=body, headers={**fields, "Host": authority})

    def post(self, path: str, **fields: Any) -> Any:
        """What the grocer posts in the test mode."""
        return self.send("POST", path, "test_grocer", msgspec.json.encode(fields))

    def get(self, target: str) -> Any:
        """What the grocer gets in the test mode."""
        return self.send("GET", target, "test_grocer")

    def send_file(self, lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """The answers to a file of the grocer's in the test mode."""
        raw = b"".join(msgspec.json.encode(line) + b"\n" for line in lines)
        fields = sign_request(
            PRIVATE,
            "test_grocer",
            method="POST",
            authority=TEST_AUTHORITY,
            path="/v1/batches",
            body=raw,
            content_type="application/x-ndjson",
            created=int(real_now().timestamp()),
        )
        taken = self.client.post("/v1/batches", content=raw, headers={**fields, "Host": TEST_AUTHORITY})
        assert taken.status_code == 202, taken.text
        answers = self.get(f"{taken.json()['result']}?wait=30")
        return [msgspec.json.decode(line) for line in answers.content.splitlines()]

    def advance(self, **how_long: float) -> Any:
        """Let the test network's time pass."""
        seconds = int(timedelta(**how_long).total_seconds())
        answer = self.post("/v1/test/clock", advance_seconds=seconds)
        assert answer.status_code == 200, answer.text
        return answer.json()


def key(key_id: str, partner_id: int = GROCER) -> PartnerKey:
    """PRIVATE's public half under an id."""
    raw = PRIVATE.public_key().public_bytes_raw()
    return PartnerKey(key_id=key_id, partner_id=partner_id, public_key=raw, not_before=LONG_AGO)


@pytest.fixture
def both(database: Engine, live: Rules, tmp_path: Path) -> Iterator[Both]:
    """A live network and its test mode in one application; the grocer has a key in each."""
    with sandbox(Settings(home=tmp_path), database) as test:
        for engine, key_id in ((database, "grocer"), (test, "test_grocer")):
            with engine.begin() as connection:
                add_key(connection, key(key_id))
        beside = create_app(
            test,
            authority=TEST_AUTHORITY,
            now=real_now,
            hook_key=HOOK_KEY,
            hook_loopback=True,
            test_mode=True,
        )
        app = create_app(database, authority=AUTHORITY, now=real_now, hook_key=HOOK_KEY, beside=beside)
        with TestClient(app, base_url=f"http://{AUTHORITY}", raise_server_exceptions=False) as running:
            yield Both(running, database, test)


def count(database: Engine, table: str) -> int:
    """How many rows a table has."""
    with database.connect() as connection:
        return int(connection.execute(text(f"SELECT count(*) FROM {table}")).scalar_one())


def test_modes_are_apart_in_keys_and_data(both: Both) -> None:
    """Each key is taken at its own mode's address alone; what is recorded in one is not in the other."""
    enrolment = msgspec.json.encode({"reference": "m", "occurred_at": START.isoformat()})
    for key_id, authority, status, code in (
        ("test_grocer", TEST_AUTHORITY, 201, None),
        ("grocer", AUTHORITY, 201, None),
        ("test_grocer", AUTHORITY, 401, "key_of_other_mode"),
        ("grocer", TEST_AUTHORITY, 401, "key_of_other_mode"),
    ):
        answer = both.send("POST", "/v1/members", key_id, enrolment, authority)
        assert (answer.status_code, answer.json().get("code")) == (status, code), (key_id, authority)
    assert count(both.live, "entry") == count(both.test, "entry") == 1
    mine = both.get("/v1/entries").json()["data"][0]["id"]
    assert both.send("GET", f"/v1/entries/{mine}", "grocer", authority=AUTHORITY).status_code == 404
    test_only = {path for _, path in described_at(both, TEST_AUTHORITY)} - {
        path for _, path in described_at(both, AUTHORITY)
    }
    assert test_only == {"/v1/test/clock", "/v1/test/cards", "/v1/debug/signature"}
    assert both.send("GET", "/v1/test/clock", "grocer", authority=AUTHORITY).status_code == 404
    moved = fields_for_the_other(both)
    assert (moved.status_code, moved.json()["code"]) == (401, "signature_invalid")


def described_at(both: Both, authority: str) -> set[tuple[str, str]]:
    """What one of the modes describes."""
    with_host = TestClient(both.client.app, base_url=f"http://{authority}")
    return described(with_host)


def fields_for_the_other(both: Both) -> Any:
    """A request that was signed for the live address, sent to the test mode's under a test key's id."""
    fields = sign_request(
        PRIVATE,
        "test_grocer",
        method="GET",
        authority=AUTHORITY,
        path="/v1/keys",
        created=int(real_now().timestamp()),
    )
    return both.client.get("/v1/keys", headers={**fields, "Host": TEST_AUTHORITY})


def test_the_database_keeps_keys_apart(both: Both) -> None:
    """Whatever a program does: no test key is stored in the live network, and no live key in the test one."""
    for engine, key_id in ((both.live, "test_x"), (both.test, "x")):
        with pytest.raises(IntegrityError, match="mode"), engine.begin() as connection:
            add_key(connection, key(key_id))


def test_months_and_nights_pass_in_seconds(both: Both) -> None:
    """A hold lapses, points expire, every night is settled, and all that is told stays to be read: the live
    clock stands."""
    url = "https://hooks.example.com/month"
    assert both.post("/v1/webhook-endpoints", reference="h", url=url, events=["*"]).status_code == 201
    with both.test.begin() as connection:
        quick = PROGRAMME.replace("months = 3", "months = 1")
        apply_programme(connection, quick, at=START, applied_by="checker")
    member = both.post("/v1/members", reference="m", occurred_at=START.isoformat()).json()
    card, balance = member["card"], f"/v1/members/{member['member']}/balance"
    assert both.post("/v1/accruals", **a_sale(card, 50_000, "s")).json()["points"] == 500
    hold = both.post("/v1/holds", **a_sale(card, 100, "h", points=100, minutes=30))
    assert hold.status_code == 201, hold.text
    assert both.get(balance).json()["points"] == 400
    assert both.advance(minutes=31)["settled"] == []
    assert both.get(balance).json()["points"] == 500
    moved = both.advance(days=31)
    assert moved["settled"] == [f"2017-05-{day:02}" for day in range(1, 32)]
    assert both.get("/v1/test/clock").json()["now"] == moved["now"]
    assert both.get(balance).json()["points"] == 500
    assert both.advance(days=31)["settled"][-1] == "2017-07-01"
    assert both.get(balance).json()["points"] == 0
    told = both.get("/v1/events?type=statement.ready&limit=100").json()["data"]
    assert sorted(one["data"]["business_date"] for one in told)[::61] == ["2017-05-01", "2017-07-01"]
    with both.test.connect() as connection:
        lapsed = connection.execute(text("SELECT sum(points) FROM posting WHERE credit = 4")).scalar_one()
        unsettled = connection.execute(
            text("SELECT count(*) FROM settlement_run WHERE state IN ('closed', 'priced')")
        ).scalar_one()
    assert (lapsed, unsettled) == (500, 0)
    with both.live.connect() as connection:
        assert connection.execute(text("SELECT clock FROM network")).scalar_one() == START
    for wrong in ({"to": START.isoformat()}, {"advance_seconds": -1}, {}, {"advance_seconds": 41 * 86_400}):
        refused = both.post("/v1/test/clock", **wrong)
        assert (refused.status_code, refused.json()["code"]) == (422, "validation_failed"), wrong


def test_cards_provoke_each_refusal(both: Both) -> None:
    """Every magic card gives its code and status, alone and in a file, and leaves nothing behind."""
    listed = both.get("/v1/test/cards").json()["data"]
    assert {int(one["card"]): one["code"] for one in listed} == dict(MAGIC_CARDS)
    before = count(both.test, "idempotency")
    for one in listed:
        answer = both.post("/v1/redemptions", **a_sale(one["card"], 5, "same", points=5))
        assert (answer.status_code, answer.json()["code"]) == (PROBLEMS[one["code"]][0], one["code"])
        assert ("retry-after" in answer.headers) is (answer.status_code == 503)
    card = both.post("/v1/members", reference="m", occurred_at=START.isoformat()).json()["card"]
    cards = [card, listed[0]["card"], card, listed[1]["card"]]
    lines = [{"type": "accrual", **a_sale(each, 500, f"f{n}")} for n, each in enumerate(cards)]
    answer = both.send_file(lines)
    assert [(line["status"], line.get("code")) for line in answer] == [
        (201, None),
        (422, listed[0]["code"]),
        (201, None),
        (422, listed[1]["code"]),
    ]
    assert count(both.test, "idempotency") == before + 3
    live = both.send(
        "POST",
        "/v1/accruals",
        "grocer",
        msgspec.json.encode(a_sale(listed[1]["card"], 500, "l")),
        AUTHORITY,
    )
    assert live.json()["code"] == "card_unknown"


def test_webhooks_come_in_the_test_mode_too(both: Both) -> None:
    """An endpoint of its own: entries, and after two days of the clock the nights' statements; the live
    network knows nothing of it. Codes and PINs are right there, and approvals given at once."""
    with receiving() as receiver:
        made = both.post("/v1/webhook-endpoints", reference="h", url=receiver.url, events=["*"])
        assert made.status_code == 201, made.text
        # the lane reads who listens with its first command, and then every few seconds
        card = both.post("/v1/members", reference="m", occurred_at=START.isoformat()).json()["card"]
        both.post("/v1/accruals", **a_sale(card, 500, "s"))
        both.advance(days=2)
        deliver(both.test)
        types = []
        for one in receiver.got:
            event = verify_webhook(one.body, one.headers, made.json()["secret"])
            types.append(event.json()["type"])
    assert types.count("entry.accrual") == 1
    assert types.count("statement.ready") == 2
    assert count(both.live, "webhook_endpoint") == count(both.live, "webhook_event") == 0
    wish = {"outlet": "main", "points": 3, "amount_minor": 3, "currency": "USD"}
    given = both.post("/v1/approvals", reference="a", card=card, **wish).json()
    assert given["state"] == "approved"
    reward = a_sale(card, 3, "r", points=3, approval=given["id"], pin="4711", code="123456")
    assert both.post("/v1/redemptions", **reward).status_code == 201
    locked = next(str(number) for number, code in MAGIC_CARDS.items() if code == "spending_locked")
    assert both.post("/v1/approvals", reference="b", card=locked, **wish).json()["code"] == "spending_locked"


def test_a_signature_is_explained(both: Both) -> None:
    """Rightly signed; another path: the first line that differs; unreadable fields; unknown keys."""
    path = "/v1/debug/signature"

    def explained(signed_path: str = path, key_id: str = "test_grocer", **changed: str) -> Any:
        fields = sign_request(
            PRIVATE,
            key_id,
            method="POST",
            authority=TEST_AUTHORITY,
            path=signed_path,
            body=b"{}",
            created=int(real_now().timestamp()),
        )
        covered = [
            (b"@method", b"POST"),
            (b"@authority", TEST_AUTHORITY.encode()),
            (b"@path", signed_path.encode()),
            (b"@query", b"?"),
            (b"content-type", b"application/json"),
            (b"content-digest", fields["Content-Digest"].encode()),
        ]
        base = signature_base(covered, fields["Signature-Input"].removeprefix("sig1=").encode())
        sent = {"Signature-Base": b64encode(base).decode(), "Host": TEST_AUTHORITY}
        answer = both.client.post(path, content=b"{}", headers={**fields, **sent, **changed})
        assert answer.status_code == 200, answer.text
        return answer.json(), base.decode()

    right, base = explained()
    assert (right["verified"], right["code"], right["first_difference"]) == (True, None, None)
    assert (right["compared"], right["signature_base"]) == (True, base)
    wrong, _ = explained("/v1/accruals")
    assert (wrong["verified"], wrong["code"]) == (False, "signature_invalid")
    assert wrong["first_difference"] == {
        "line": 3,
        "ours": '"@path": /v1/debug/signature',
        "yours": '"@path": /v1/accruals',
    }
    assert explained(key_id="test_nobody")[0]["code"] == "key_unknown"
    unread, _ = explained(**{"Signature-Input": "nonsense"})
    assert (unread["code"], unread["signature_base"]) == ("signature_malformed", None)
    silent, _ = explained(**{"Signature-Base": "%"})
    assert silent["first_difference"]["line"] == 1
    digest, _ = explained(**{"Content-Digest": "sha-256=:AAAA:"})
    assert digest["first_difference"]["line"] == 6


def test_what_is_new_in_the_live_network_comes_over(both: Both, tmp_path: Path) -> None:
    """Outlets and terms that were added since are there after the next start; members and entries never."""
    with as_owner(both.live) as connection:
        connection.execute(text("INSERT INTO outlet VALUES (:grocer, 'new', 'New')"), {"grocer": GROCER})
    before = count(both.test, "contract_terms")
    with sandbox(Settings(home=tmp_path), both.live):
        pass
    assert count(both.test, "outlet") == count(both.live, "outlet")
    assert count(both.test, "contract_terms") == before == count(both.live, "contract_terms")
    assert count(both.test, "member") == 0


def test_one_server_serves_both(database: Engine, database_url: str, live: Rules, tmp_path: Path) -> None:
    """`tessera serve` with TESSERA_TEST_AUTHORITY: the Host that was signed picks the mode."""
    test_authority = "test.localhost:1"
    environment = {
        "TESSERA_DATABASE_URL": database_url,
        "TESSERA_HOME": str(tmp_path),
        "TESSERA_TEST_AUTHORITY": test_authority,
    }
    with (
        running_server(environment, tmp_path / "server.log") as server,
        sandbox(Settings(home=tmp_path), database) as test,
        httpx.Client(base_url=server.base_url, trust_env=False, timeout=60) as client,
    ):
        for engine, key_id in ((database, "grocer"), (test, "test_grocer")):
            with engine.begin() as connection:
                add_key(connection, key(key_id))
        statuses = {}
        for key_id in ("grocer", "test_grocer"):
            for authority in (server.authority, test_authority):
                fields = sign_request(
                    PRIVATE,
                    key_id,
                    method="GET",
                    authority=authority,
                    path="/v1/entries",
                    created=int(real_now().timestamp()),
                )
                answer = client.get("/v1/entries", headers={**fields, "Host": authority})
                statuses[key_id, authority] = answer.status_code
        assert statuses == {
            ("grocer", server.authority): 200,
            ("grocer", test_authority): 401,
            ("test_grocer", server.authority): 401,
            ("test_grocer", test_authority): 200,
        }


def test_the_command_registers_a_first_key(
    database: Engine, database_url: str, live: Rules, tmp_path: Path
) -> None:
    """`tessera test-key` puts a key into the test network, once, and takes no id of a live one."""
    raw = b64encode(PRIVATE.public_key().public_bytes_raw()).decode()
    runner = CliRunner(env={"TESSERA_DATABASE_URL": database_url, "TESSERA_HOME": str(tmp_path)})

    def registered(key_id: str, public_key: str = raw) -> Any:
        given = ["test-key", "--partner", "grocer", "--id", key_id, "--public-key", public_key]
        return runner.invoke(cli, given)

    assert registered("test_first").output == "test_first signs for grocer in the test mode\n"
    assert registered("first").exit_code == registered("test_x", "%").exit_code == 2
    with sandbox(Settings(home=tmp_path), database) as test, test.connect() as connection:
        found = connection.execute(text("SELECT key_id, partner_id FROM partner_key")).all()
    assert [tuple(row) for row in found] == [("test_first", GROCER)]
