"""Two partners, every address of the description: neither ever reads or changes what is the other's.

Each address is called by each of the two with what is the other's (tests.api.isolation_calls says how). Three
laws hold for all of them: the answer names nothing of the other's; it is, to the byte, what is answered about
ids that nobody has; and no row that is the other's is added, changed or removed. An address that is described
and not called fails the test.
"""

import random
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import msgspec
import pytest
from sqlalchemy import Engine, text
from starlette.testclient import TestClient

from api.app import create_app
from network.rules import Rules
from network.service import set_clock
from settlement.service import clear_due
from tests.api.conftest import AUTHORITY, Till, a_sale, real_now
from tests.api.isolation_calls import AT, CALLS, NOBODYS, Call, Own
from tests.coalition import CODES, GROCER, HOTEL, PETROL, START
from tests.hooks import HOOK_KEY
from tests.people import KEYS

Tills = Callable[[int], Till]
OWNERS = ("partner_id", "raised_by_id", "enrolled_by", "issuer_id")
"""Columns that say whose a row is. A lot's issuer too: no call here earns at the other."""


def settle(database: Engine) -> None:
    """The night of the first business date."""
    over = START.replace(hour=0) + timedelta(days=2)
    with database.begin() as connection:
        set_clock(connection, over)
    clear_due(database, over, programme_version=1)


def build(till: Till, petrol: Till, code: str) -> Own:
    """A partner's first day: something of everything that a partner can have."""
    own = Own(code)

    def done(path: str, **fields: Any) -> dict[str, Any]:
        answer = till.post(path, **fields)
        assert answer.status_code in {200, 201}, answer.text
        made: dict[str, Any] = answer.json()
        own.secrets |= {made["id"], str(fields.get("reference", made["id"]))}
        return made

    def ref(name: str) -> str:
        return f"{code}/secret/{name}"

    members = [done("/v1/members", reference=ref(f"m{n}"), occurred_at=AT) for n in range(4)]
    own.card, own.other_card, merged, spent = (member["card"] for member in members)
    own.member = members[0]["member"]
    own.sale = done("/v1/accruals", **a_sale(own.card, 200_000, ref("sale")))["id"]
    done("/v1/accruals", **a_sale(spent, 200_000, ref("sale-2")))
    own.reward = petrol.post("/v1/redemptions", **a_sale(spent, 100, f"petrol/{code}", points=100)).json()[
        "id"
    ]
    done("/v1/redemptions", **a_sale(own.card, 100, ref("reward"), points=100))
    line = {"type": "accrual", **a_sale(own.card, 300, ref("line"))}
    taken = till.batch(msgspec.json.encode(line), idempotency_key=ref("file"))
    own.batch = taken["id"]
    own.secrets |= {own.batch, ref("line"), ref("file")}
    till.answers(taken)
    own.hold = done("/v1/holds", **a_sale(own.card, 100, ref("hold"), points=100, minutes=10_000))["id"]
    own.invitation = done(
        "/v1/pool-invitations", reference=ref("invite"), occurred_at=AT, card=own.card, to_card=own.other_card
    )["id"]
    own.merge = done("/v1/merges", reference=ref("merge"), occurred_at=AT, card=spent, merged_card=merged)[
        "id"
    ]
    raw = msgspec.json.encode({"type": "enrolment", "reference": ref("file"), "occurred_at": AT})
    sent = till.send("POST", "/v1/batches", raw, content_type="application/x-ndjson")
    if sent.status_code == 202:
        own.batch = sent.json()["id"]
        assert till.get(f"/v1/batches/{own.batch}?wait=30").json()["state"] == "done"
        own.secrets.add(own.batch)
    url = f"https://hooks.example.com/{code}-secret"
    made = till.post("/v1/webhook-endpoints", reference=ref("hook"), url=url, events=["*"])
    assert made.status_code == 201, made.text
    own.endpoint = made.json()["id"]
    own.event = till.send("POST", f"/v1/webhook-endpoints/{own.endpoint}/tests").json()["event"]
    own.secrets |= {own.endpoint, url, ref("hook"), own.event, made.json()["secret"]}
    login = {"member": own.member, "email": f"{code}@example.com"}
    assert till.post("/v1/member-logins", **login).status_code == 200
    wish = {"outlet": "main", "card": own.card, "points": 5, "amount_minor": 5, "currency": "USD"}
    own.approval = done("/v1/approvals", reference=ref("approval"), **wish)["id"]
    own.key_id = till.key_id
    own.cursor = till.get("/v1/entries?limit=2").json()["next_cursor"]
    own.secrets |= {own.key_id, own.cursor, own.reward}
    return own


def complain(till: Till, own: Own) -> None:
    """After the night: a dispute with petrol, and a file attached to it."""
    fields = {"reference": f"{own.code}/secret/claim", "against": "petrol", "entry": own.reward}
    raised = till.post("/v1/disputes", **fields, reason=f"{own.code} does not know it")
    assert raised.status_code == 201, raised.text
    own.dispute = raised.json()["id"]
    content = f"%PDF-1.7 {own.code}".encode()
    path = f"/v1/disputes/{own.dispute}/evidence?name={own.code}-secret.pdf"
    attached = till.send("POST", path, content, content_type="application/pdf")
    assert attached.status_code == 200, attached.text
    own.evidence = attached.json()["evidence"][0]["sha256"]
    own.secrets |= {own.dispute, own.evidence, f"{own.code}-secret.pdf", fields["reference"]}


@pytest.fixture
def client(database: Engine, live: Rules) -> Iterator[TestClient]:
    """The application with all that it can serve."""
    app = create_app(database, authority=AUTHORITY, now=real_now, operator_keys=KEYS, hook_key=HOOK_KEY)
    with TestClient(app, base_url=f"http://{AUTHORITY}", raise_server_exceptions=False) as running:
        yield running


@pytest.fixture
def two(database: Engine, till: Tills) -> dict[int, tuple[Till, Own]]:
    """The grocer and the hotel, each with a till and something of everything."""
    petrol = till(PETROL)
    tills = {partner_id: till(partner_id) for partner_id in (GROCER, HOTEL)}
    made = {partner_id: (one, build(one, petrol, CODES[partner_id])) for partner_id, one in tills.items()}
    settle(database)
    for one, own in made.values():
        complain(one, own)
    return made


def rows_of(database: Engine, partner_id: int) -> Counter[str]:
    """Every row of every table that is a partner's: by its number, or by a member that it enrolled."""
    with database.connect() as connection:
        tables = connection.execute(
            text(
                "SELECT relname FROM pg_class WHERE relnamespace = CAST(current_schema() AS regnamespace)"
                " AND relkind IN ('r', 'p') AND NOT relispartition AND has_table_privilege(oid, 'SELECT')"
            )
        ).scalars()
        union = " UNION ALL ".join(f"SELECT '{name}', to_jsonb(t) FROM \"{name}\" t" for name in tables)
        rows = [(name, row) for name, row in connection.execute(text(union))]
    members = {
        row["member_id"] for name, row in rows if name == "member" and row["enrolled_by"] == partner_id
    }
    entries = {row["entry_id"] for name, row in rows if name == "entry" and row["partner_id"] == partner_id}
    disputes = {
        row["dispute_id"] for name, row in rows if name == "dispute" and row["raised_by_id"] == partner_id
    }
    return Counter(
        f"{name} {msgspec.json.encode(row, order='sorted').decode()}"
        for name, row in rows
        if any(row.get(column) == partner_id for column in OWNERS)
        or row.get("member_id") in members
        or row.get("entry_id") in entries
        or row.get("dispute_id") in disputes
    )


def asked(till: Till, method: str, call: Call) -> Any:
    """The answer to a call; to a file, what its lines came to."""
    answer = till.send(method, call.target, call.body, content_type=call.content_type)
    return till.get(f"{answer.json()['result']}?wait=30") if answer.status_code == 202 else answer


def told(answer: Any) -> tuple[int, str, str]:
    """An answer without what differs from request to request."""
    said = answer.text
    request_id = answer.headers["request-id"]
    return answer.status_code, answer.headers.get("content-type", ""), said.replace(request_id, "")


def described(client: TestClient) -> set[tuple[str, str]]:
    """Method and path of every operation below /v1."""
    paths = client.get("/openapi.json").json()["paths"]
    return {
        (method.upper(), path)
        for path, operations in paths.items()
        if path.startswith("/v1/")
        for method in operations
    }


def test_every_address_is_called(client: TestClient) -> None:
    """What is described has a line in isolation_calls."""
    assert described(client) - set(CALLS) == set(), "say in tests/api/isolation_calls.py how to call these"


def test_neither_reads_nor_changes_what_is_the_others(
    two: dict[int, tuple[Till, Own]], database: Engine
) -> None:
    """Every address, both ways: no word of the other's, the answer of what is not there, no row touched."""
    for me, other in ((HOTEL, GROCER), (GROCER, HOTEL)):
        (till, mine), (_, theirs) = two[me], two[other]
        before = rows_of(database, other)
        assert len(before) > 50
        addresses = sorted(described(till.client))
        for number, (method, path) in enumerate(addresses):
            calls = CALLS[method, path]
            where = f"{CODES[me]}: {method} {path}"
            tried = list(calls(mine, theirs, f"theirs-{number}"))
            nobodys = list(calls(mine, NOBODYS, f"nobodys-{number}"))
            for call, same in zip(tried, nobodys, strict=True):
                answer = asked(till, method, call)
                assert answer.status_code < 500, (where, answer.text)
                seen = {secret for secret in theirs.secrets if secret in answer.text}
                assert seen == set(), where
                if path == "/v1/batches":
                    assert set(codes_of(till, answer)) <= {"entry_unknown", "hold_unknown"}, where
                elif call != same and names_theirs(call, theirs):
                    assert answer.status_code >= 400, (where, answer.text)
                    assert told(answer) == told(asked(till, method, same)), where
            after = rows_of(database, other)
            assert (after - before, before - after) == (Counter(), Counter()), where


def codes_of(till: Till, answer: Any) -> list[str]:
    """What the lines of a file were refused for; where it is done later, that is waited for."""
    assert answer.status_code in {200, 202}, answer.text
    if answer.status_code == 202:
        answer = till.get(f"/v1/batches/{answer.json()['id']}/result?wait=30")
        assert answer.status_code == 200, answer.text
    return [msgspec.json.decode(line)["code"] for line in answer.content.splitlines()]


def names_theirs(call: Call, theirs: Own) -> bool:
    """Whether a call names what is the other's alone (a member is the network's)."""
    said = call.target + call.body.decode(errors="replace")
    return any(secret in said for secret in theirs.secrets)


def require_that_each_finds_its_own(two: dict[int, tuple[Till, Own]]) -> None:
    """The same addresses answer their owner: what is refused to the other is refused for whose it is."""
    for till, own in two.values():
        for target in (
            f"/v1/entries/{own.sale}",
            f"/v1/disputes/{own.dispute}",
            f"/v1/disputes/{own.dispute}/evidence/{own.evidence}",
            f"/v1/entries?cursor={own.cursor}",
            f"/v1/batches/{own.batch}",
            f"/v1/batches/{own.batch}/result",
            f"/v1/webhook-endpoints/{own.endpoint}",
            f"/v1/events/{own.event}",
            f"/v1/approvals/{own.approval}",
        ):
            assert till.get(target).status_code == 200, target
        listed = {entry["id"] for entry in till.get("/v1/entries?limit=100").json()["data"]}
        assert {own.sale, own.hold, own.invitation, own.merge} <= listed
        assert [one["id"] for one in till.get("/v1/disputes").json()["data"]] == [own.dispute]
        assert [one["key_id"] for one in till.get("/v1/keys").json()["data"]] == [own.key_id]


def test_any_id_in_any_place(two: dict[int, tuple[Till, Own]], database: Engine) -> None:
    """Owners find their own; then 150 random calls, a random id of the other's in every place."""
    require_that_each_finds_its_own(two)
    drawn = random.Random(20170501)
    before = {partner_id: rows_of(database, partner_id) for partner_id in two}
    there = described(two[GROCER][0].client)
    looking = [(method, CALLS[method, path]) for method, path in sorted(there) if method == "GET"]
    naming = [
        (method, CALLS[method, path])
        for method, path in sorted(there)
        if method == "POST" and path in _NAMING_ENTRIES
    ]
    for number in range(150):
        me, other = drawn.sample([GROCER, HOTEL], 2)
        (till, mine), (_, theirs) = two[me], two[other]
        ids = [getattr(theirs, name) for name in _NAMED]
        mixed = Own("", member=mine.member, key_id=theirs.key_id, cursor=theirs.cursor)
        for name in _NAMED:
            setattr(mixed, name, drawn.choice(ids))
        mixed.evidence = drawn.choice([theirs.evidence, *ids])
        method, calls = drawn.choice(looking + naming)
        for call in calls(mine, mixed, f"any-{number}"):
            answer = asked(till, method, call)
            assert answer.status_code < 500, (call, answer.text)
            assert not {secret for secret in theirs.secrets if secret in answer.text}, (call, answer.text)
    assert {partner_id: rows_of(database, partner_id) for partner_id in two} == before


_NAMED = (
    *("sale", "reward", "hold", "invitation", "merge", "dispute"),
    *("batch", "endpoint", "event", "approval"),
)
_NAMING_ENTRIES = {
    "/v1/captures",
    "/v1/voids",
    "/v1/reversals",
    "/v1/releases",
    "/v1/unmerges",
    "/v1/disputes/{dispute}/answers",
    "/v1/key-revocations",
    "/v1/webhook-endpoints/{endpoint}/enablement",
    "/v1/webhook-endpoints/{endpoint}/secrets",
    "/v1/webhook-endpoints/{endpoint}/tests",
    "/v1/webhook-endpoints/{endpoint}/replays",
    "/v1/events/{event}/resend",
}
