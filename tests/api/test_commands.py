"""The partner API end to end: signed requests in, entries and problems out, on a real ledger."""

from collections.abc import Callable

import pytest
from sqlalchemy import Engine, text
from starlette.testclient import TestClient

from tests.api.conftest import Till, a_sale
from tests.coalition import GROCER, HOTEL, START

Tills = Callable[[int], Till]


def test_enrol_accrue_redeem_reverse_and_look_up(till: Tills) -> None:
    """A member's first day: each answer shows the entry, and the balance that follows from it."""
    grocer, hotel = till(GROCER), till(HOTEL)
    member = grocer.enrol()
    card = member["card"]
    assert (member["kind"], len(card), member["member"][:4]) == ("enrolment", 16, "mbr_")
    earned = grocer.post("/v1/accruals", **a_sale(card, 12_99, "s1"))
    assert earned.status_code == 201
    assert earned.headers["request-id"].startswith("req_")
    assert {name: earned.json()[name] for name in ("kind", "points", "balance", "business_date")} == {
        "kind": "accrual",
        "points": 12,
        "balance": 12,
        "business_date": "2017-05-01",
    }
    burnt = hotel.post("/v1/redemptions", **a_sale(card, 10, "b1", points=10))
    assert (burnt.status_code, burnt.json()["points"], burnt.json()["balance"]) == (201, -10, 2)
    undone = hotel.post(
        "/v1/reversals", reference="u1", occurred_at=START.isoformat(), entry=burnt.json()["id"]
    )
    assert (undone.status_code, undone.json()["points"], undone.json()["balance"]) == (201, 10, 12)
    assert undone.json()["reverses"] == burnt.json()["id"]
    assert hotel.get(f"/v1/cards/{card}").json() == {
        "card": card,
        "status": "active",
        "member": member["member"],
    }
    balance = hotel.get(f"/v1/members/{member['member']}/balance").json()
    assert (balance["points"], balance["expiring"]) == (12, [{"expires_on": "2017-08-31", "points": 12}])
    assert hotel.get(f"/v1/entries/{burnt.json()['id']}").json() == burnt.json()


def test_a_replay_gives_the_same_answer_and_says_so(till: Tills) -> None:
    """Status and body are the same to the byte, for an acceptance, an enrolment and a refusal's code."""
    grocer = till(GROCER)
    card = grocer.enrol()["card"]
    first = grocer.post("/v1/accruals", **a_sale(card, 500, "s1"))
    again = grocer.post("/v1/accruals", **a_sale(card, 500, "s1"))
    assert (first.status_code, first.content) == (again.status_code, again.content)
    assert "idempotent-replayed" not in first.headers
    assert again.headers["idempotent-replayed"] == "true"
    assert grocer.enrol()["card"] == card
    codes = [
        grocer.post("/v1/redemptions", **a_sale(card, 900, "b", points=900)).json()["code"] for _ in range(2)
    ]
    assert codes == ["insufficient_points"] * 2
    other = grocer.post("/v1/accruals", **a_sale(card, 501, "s1"))
    assert (other.status_code, other.json()["code"]) == (422, "reference_reused")


def test_partners_do_not_see_each_others_entries(till: Tills) -> None:
    """Another partner's entry is not there: not to read, not to reverse, not in a list."""
    grocer, hotel = till(GROCER), till(HOTEL)
    card = grocer.enrol()["card"]
    entry = grocer.post("/v1/accruals", **a_sale(card, 500, "s1")).json()["id"]
    assert hotel.get(f"/v1/entries/{entry}").status_code == 404
    reversal = hotel.post("/v1/reversals", reference="u", occurred_at=START.isoformat(), entry=entry)
    assert (reversal.status_code, reversal.json()["code"]) == (404, "entry_unknown")
    assert hotel.get("/v1/entries").json()["data"] == []


def test_entries_are_listed_by_pages(till: Tills) -> None:
    """Pages of two, oldest first, hold every entry once; the cursor of one partner is nobody else's."""
    grocer = till(GROCER)
    card = grocer.enrol()["card"]
    for number in range(5):
        grocer.post("/v1/accruals", **a_sale(card, 100, f"s{number}"))
    seen, target = [], "/v1/entries?limit=2"
    while target:
        page = grocer.get(target).json()
        seen += [entry["reference"] for entry in page["data"]]
        target = f"/v1/entries?limit=2&cursor={page['next_cursor']}" if page["has_more"] else ""
    assert sorted(seen) == ["member-1", "s0", "s1", "s2", "s3", "s4"]
    cursor = grocer.get("/v1/entries?limit=2").json()["next_cursor"]
    assert till(HOTEL).get(f"/v1/entries?cursor={cursor}").json()["code"] == "cursor_invalid"
    tampered = ("A" if cursor[0] != "A" else "B") + cursor[1:]
    assert grocer.get(f"/v1/entries?cursor={tampered}").status_code == 400
    assert grocer.get("/v1/entries?business_date=2017-04-30").json()["data"] == []
    assert len(grocer.get("/v1/entries?business_date=2017-05-01").json()["data"]) == 6


@pytest.mark.parametrize(
    ("changed", "pointer"),
    [
        ({"amount_minor": True}, "/amount_minor"),
        ({"amount_minor": "1250"}, "/amount_minor"),
        ({"amount_minor": 12.0}, "/amount_minor"),
        ({"amount_minor": 0}, "/amount_minor"),
        ({"amount_minor": -1}, "/amount_minor"),
        ({"amount_minor": 2**63}, "/amount_minor"),
        ({"occurred_at": "2017-05-01T09:00:00"}, "/occurred_at"),
        ({"reference": "with space"}, "/reference"),
        ({"reference": "nul\0"}, "/reference"),
        ({"reference": "line\n"}, "/reference"),
        ({"reference": "x" * 65}, "/reference"),
        ({"currency": "usd"}, "/currency"),
        ({"extra": 1}, ""),
    ],
)
def test_a_field_that_is_wrong_is_named(till: Tills, changed: dict[str, object], pointer: str) -> None:
    """422 with a pointer to the field, and nothing is stored, so the reference stays free."""
    grocer = till(GROCER)
    card = grocer.enrol()["card"]
    answer = grocer.post("/v1/accruals", **{**a_sale(card, 500, "s1"), **changed})
    assert (answer.status_code, answer.json()["code"]) == (422, "validation_failed")
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["errors"][0]["pointer"] == pointer
    assert grocer.post("/v1/accruals", **a_sale(card, 500, "s1")).status_code == 201


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"card": "6330001234567891"}, "card_number_invalid"),
        ({"card": "6330001234567895"}, "card_unknown"),
        ({"outlet": "elsewhere"}, "outlet_unknown"),
        ({"currency": "EUR"}, "currency_not_contracted"),
        ({"occurred_at": "2017-05-01T09:11:00Z"}, "occurred_in_future"),
        ({"occurred_at": "2017-03-31T00:00:00Z"}, "occurred_too_long_ago"),
    ],
)
def test_a_refusal_is_a_problem_with_its_code(till: Tills, changed: dict[str, object], code: str) -> None:
    """Each rule's refusal has its own code."""
    grocer = till(GROCER)
    card = grocer.enrol()["card"]
    answer = grocer.post("/v1/accruals", **{**a_sale(card, 500, "s1"), **changed})
    assert (answer.status_code, answer.json()["code"]) == (422, code)


@pytest.mark.parametrize(
    "raw",
    [
        b'{"reference":"a","reference":"b"}',
        b"[" * 100_000,
        b'{"amount_minor":' + b"9" * 5_000 + b"}",
        b'{"reference":"\xff"}',
        b"{",
        b"NaN",
    ],
)
def test_what_is_not_json_in_one_way_only_is_400(till: Tills, raw: bytes) -> None:
    """Duplicate names, depth, giant integers, bad UTF-8, half a document: 400, and never a 500."""
    answer = till(GROCER).send("POST", "/v1/accruals", raw)
    assert (answer.status_code, answer.json()["code"]) == (400, "malformed_json")


def test_other_content_types_are_415(till: Tills) -> None:
    """A body that does not say it is JSON is not guessed at."""
    answer = till(GROCER).send("POST", "/v1/accruals", b"{}", content_type="text/plain")
    assert (answer.status_code, answer.json()["code"]) == (415, "media_type_unsupported")


def test_an_unsigned_request_is_401_and_stores_nothing(client: TestClient, database: Engine) -> None:
    """Without a signature nobody gets further than the door."""
    answer = client.post("/v1/members", json={"reference": "r", "occurred_at": START.isoformat()})
    assert (answer.status_code, answer.json()["code"]) == (401, "signature_missing")
    assert answer.json()["request_id"] == answer.headers["request-id"]
    with database.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM entry")).scalar_one() == 0


def test_the_frameworks_own_answers_are_problems_too(till: Tills, client: TestClient) -> None:
    """404 and 405 have the same form as every other problem, and so has a query's 422."""
    grocer = till(GROCER)
    assert grocer.get("/v1/nothing").json()["code"] == "not_found"
    assert grocer.get("/v1/accruals").json()["code"] == "method_not_allowed"
    limit = grocer.get("/v1/entries?limit=101")
    assert (limit.status_code, limit.json()["errors"][0]["pointer"]) == (422, "/limit")
    assert client.get("/elsewhere").headers["content-type"] == "application/problem+json"


def test_a_file_answers_every_line_in_order(till: Tills) -> None:
    """Good lines are done, bad ones named; the same lines in another file are answered from memory."""
    grocer = till(GROCER)
    card = grocer.enrol()["card"]
    lines = [
        {"type": "accrual", **a_sale(card, 1_000, "f1")},
        {"type": "redemption", **a_sale(card, 5_000, "f2", points=5_000)},
        {"type": "accrual", **a_sale(card, 0, "f3")},
        {"type": "present", "reference": "f4"},
        {"type": "redemption", **a_sale(card, 4, "f5", points=4)},
        {"type": "enrolment", "reference": "f6", "occurred_at": START.isoformat()},
        {"type": "accrual", **a_sale(card, 1_000, "f1")},
    ]
    answers = grocer.file(lines)
    assert [(a["line"], a["status"], a.get("code")) for a in answers] == [
        (1, 201, None),
        (2, 422, "insufficient_points"),
        (3, 422, "validation_failed"),
        (4, 422, "validation_failed"),
        (5, 201, None),
        (6, 201, None),
        (7, 201, None),
    ]
    assert answers[0]["entry"]["balance"] == 10
    assert answers[4]["entry"]["balance"] == 6
    assert (answers[6]["replayed"], answers[6]["entry"]) == (True, answers[0]["entry"])
    assert grocer.file(lines) == answers  # the same file
    again = grocer.file([*lines, lines[0]])  # another, with the same lines
    assert [a.get("entry") for a in again[:7]] == [a.get("entry") for a in answers]
    assert [a["line"] for a in again if a.get("replayed")] == [1, 2, 5, 6, 7, 8]


def test_health_and_metrics(till: Tills, client: TestClient) -> None:
    """Ready means a window is open; metrics count what was committed."""
    till(GROCER).enrol()
    assert client.get("/health/live").json() == {"status": "live"}
    assert client.get("/health/ready").status_code == 200
    metrics = client.get("/metrics").text
    assert 'tessera_http_requests_total{route="/v1/members",status="201"} 1.0' in metrics
    assert 'tessera_commit_batch_size_count{lane="tills"} 1.0' in metrics


def test_the_description_is_complete(client: TestClient) -> None:
    """Every operation under /v1 is signed, every referenced schema is there, every command has an example."""
    described = client.get("/openapi.json").json()
    text_of = client.get("/openapi.json").text
    for piece in text_of.split('"$ref":"')[1:]:
        *_, kind, name = piece.partition('"')[0].split("/")
        assert name in described["components"][kind]
    signed = [
        operation
        for path, methods in described["paths"].items()
        if path.startswith("/v1/")
        for operation in methods.values()
    ]
    assert len(signed) >= 34
    assert all(operation["security"] == [{"httpSignature": []}] for operation in signed)
    bodies = [op["requestBody"]["content"] for op in signed if "requestBody" in op]
    assert len(bodies) >= 22
    written = [held for content in bodies for kind, held in content.items() if "json" in kind]
    assert len(written) == len(bodies) - 1  # all but the files of evidence
    assert all("example" in held for held in written)


def test_hold_capture_void_and_returns_in_parts(till: Tills) -> None:
    """The two phases and a partial return over HTTP: each answer says what is left."""
    grocer, hotel = till(GROCER), till(HOTEL)
    card = grocer.enrol()["card"]
    grocer.post("/v1/accruals", **a_sale(card, 100_00, "s1"))
    hold = hotel.post("/v1/holds", **a_sale(card, 60, "h1", points=60, minutes=15))
    assert (hold.status_code, hold.json()["kind"], hold.json()["balance"]) == (201, "hold", 40)
    at = START.isoformat()
    taken = hotel.post(
        "/v1/captures", reference="c1", occurred_at=at, hold=hold.json()["id"], points=25, amount_minor=25
    )
    assert (taken.status_code, taken.json()["hold"]) == (201, hold.json()["id"])
    much = hotel.post(
        "/v1/captures", reference="c2", occurred_at=at, hold=hold.json()["id"], points=36, amount_minor=36
    )
    assert (much.status_code, much.json()["code"]) == (422, "more_than_held")
    assert grocer.post("/v1/voids", reference="x", occurred_at=at, hold=hold.json()["id"]).status_code == 404
    voided = hotel.post("/v1/voids", reference="v1", occurred_at=at, hold=hold.json()["id"])
    assert (voided.json()["points"], voided.json()["balance"]) == (35, 75)
    part = hotel.post(
        "/v1/reversals", reference="u1", occurred_at=at, entry=taken.json()["id"], points=5
    ).json()
    assert (part["points"], part["balance"], part["amount_minor"]) == (5, 80, 5)
    wrong = hotel.post(
        "/v1/reversals", reference="u2", occurred_at=at, entry=taken.json()["id"], amount_minor=5
    )
    assert wrong.json()["code"] == "rewards_are_reversed_by_points"
