"""What broke once: clients that go away, readers in a crowd, hostile sizes and times. Each has its answer."""

import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from sqlalchemy import Engine, text
from starlette.testclient import TestClient

from api.child import running_server
from config.database import make_engine
from network.batch import execute
from network.engine import carry_out
from network.errors import Busy
from network.outcomes import Rejected
from network.rules import Rules
from tests.api.conftest import Till, a_sale
from tests.coalition import GROCER, START, entry_of, new_card, run, sale, set_up
from tests.conftest import as_owner

Tills = Callable[[int], Till]


def test_one_stuck_row_does_not_fail_its_neighbours(database: Engine) -> None:
    """An account that somebody else holds: its command is told so, the other's is carried out."""
    live = set_up(database)
    stuck, free = new_card(database, live, "a"), new_card(database, live, "b")
    impatient = make_engine(database.url, schema="tessera", lock_timeout_ms=300)
    with database.connect() as other:
        other.execute(text("SELECT FROM account ORDER BY member_id LIMIT 1 FOR UPDATE"))
        callers = [[sale(stuck, 100, "stuck")], [sale(free, 100, "free")]]
        waiting, passing = carry_out(impatient, callers, live)
    assert isinstance(waiting, Busy)
    assert isinstance(passing, list)
    assert entry_of(passing[0]).points == 1
    impatient.dispose()


def test_a_replayed_enrolment_shows_its_own_card(database: Engine) -> None:
    """Also when the member has another card since; and a sale's replay needs no card at all."""
    live = set_up(database)
    first = new_card(database, live, "e")
    with database.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO card (card_number, member_id, issued_at, issued_to)"
                " SELECT 6330000000000010, member_id, issued_at + interval '1 day', issued_to FROM card"
            )
        )
    assert new_card(database, live, "e") == first
    run(database, live, sale(first, 500, "s"))
    with as_owner(database) as connection:
        connection.execute(text("DELETE FROM card WHERE card_number = 6330000000000010"))
    assert execute(database, [sale(first, 500, "s")], live)[0].replayed


def test_a_reference_that_time_cures_twice_in_one_batch(database: Engine) -> None:
    """First ahead of time, then right: one batch answers as two batches of one do."""
    live = set_up(database)
    card = new_card(database, live)
    ahead = sale(card, 500, "r", at=START + timedelta(minutes=11))
    right = sale(card, 500, "r")
    first, second, third = execute(database, [ahead, right, right], live)
    assert first.outcome == Rejected("occurred_in_future")
    assert (entry_of(second).points, second.replayed, third.replayed) == (5, False, True)


def test_entries_of_one_batch_are_listed_in_its_order(till: Tills, database: Engine, live: Rules) -> None:
    """Ids of one batch sort as it was decided, so pages show balances in the order they came about."""
    grocer = till(GROCER)
    card = int(grocer.enrol()["card"])
    execute(database, [sale(card, 100, f"s{n}") for n in range(30)], live)
    listed = grocer.get("/v1/entries?limit=100").json()["data"]
    assert [entry["balance"] for entry in listed if entry["kind"] == "accrual"] == list(range(1, 31))


@pytest.mark.parametrize("at", ["0001-01-01T00:00:00+05:00", "9999-12-31T23:59:59-05:00"])
def test_a_time_outside_the_calendar_is_named(till: Tills, at: str) -> None:
    """422 alone; in a file its own line says so, and the others are carried out."""
    grocer = till(GROCER)
    card = grocer.enrol()["card"]
    answer = grocer.post("/v1/accruals", **{**a_sale(card, 500, "s"), "occurred_at": at})
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "/occurred_at")
    lines = [
        {"type": "accrual", **a_sale(card, 500, "f1")},
        {"type": "accrual", **a_sale(card, 500, "f2"), "occurred_at": at},
        {"type": "accrual", **a_sale(card, 500, "f3")},
    ]
    assert [line["status"] for line in grocer.file(lines)] == [201, 422, 201]


def test_amounts_that_would_overflow_a_nights_sums_are_refused(till: Tills) -> None:
    """A million million is the most, of an amount as of points."""
    grocer = till(GROCER)
    card = grocer.enrol()["card"]
    answer = grocer.post("/v1/accruals", **a_sale(card, 10**12 + 1, "s"))
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "/amount_minor")
    assert grocer.post("/v1/accruals", **a_sale(card, 10**12, "s")).json()["points"] == 10**10


def test_a_file_of_too_many_or_too_long_lines(till: Tills) -> None:
    """Too many lines: 413 before anything is made of them. One too long: that line, and no other."""
    grocer = till(GROCER)
    card = grocer.enrol()["card"]
    many = grocer.send("POST", "/v1/batches", b"\n" * 100_001, content_type="application/x-ndjson")
    assert (many.status_code, many.json()["code"]) == (413, "body_too_large")
    good = msgspec.json.encode({"type": "accrual", **a_sale(card, 500, "f1")})
    raw = b"x" * 20_000 + b"\n" + good
    statuses = [
        msgspec.json.decode(line)["status"] for line in grocer.answers(grocer.batch(raw)).splitlines()
    ]
    assert statuses == [413, 201]


def test_what_is_newer_than_the_rules_may_come_again(till: Tills, database: Engine) -> None:
    """A sale at an outlet that is not read yet is refused by name, and its reference stays free."""
    grocer = till(GROCER)
    card = grocer.enrol()["card"]
    with database.begin() as connection:
        connection.execute(text("INSERT INTO outlet VALUES (:grocer, 'new', 'New')"), {"grocer": GROCER})
    answer = grocer.post("/v1/accruals", **a_sale(card, 500, "s", outlet="new"))
    assert answer.json()["code"] == "outlet_unknown"
    assert grocer.post("/v1/accruals", **a_sale(card, 500, "s")).status_code == 201


def test_a_crowd_of_readers_never_deadlocks(till: Tills, client: TestClient) -> None:
    """Sixty readers at once while the rules are due to be read anew: all are answered."""
    grocer = till(GROCER)
    member = grocer.enrol()["member"]
    service: Any = client.app.service  # type: ignore[attr-defined]  # our application's own
    service.rules._read_at = float("-inf")
    with ThreadPoolExecutor(60) as pool:
        answers = list(
            pool.map(lambda _: grocer.get(f"/v1/members/{member}/balance").status_code, range(120))
        )
    assert set(answers) == {200}


def test_what_fails_inside_has_a_request_id_too(till: Tills, client: TestClient, database: Engine) -> None:
    """A 500 is a problem with the id that stands in the log, in its header and in its body."""
    grocer = till(GROCER)
    entry = grocer.enrol()["id"]
    with as_owner(database) as connection:
        connection.execute(text("ALTER TABLE member RENAME COLUMN public_id TO renamed"))
    answer = grocer.get(f"/v1/entries/{entry}")
    assert (answer.status_code, answer.json()["code"]) == (500, "internal_error")
    assert answer.json()["request_id"] == answer.headers["request-id"]


def test_a_head_without_an_end_is_cut_off(database: Engine, database_url: str, tmp_path: Path) -> None:
    """A request line of megabytes: 431 and the connection is closed; others are answered meanwhile."""
    set_up(database)
    with running_server({"TESSERA_DATABASE_URL": database_url}, tmp_path / "server.log") as server:
        host, _, port = server.authority.partition(":")
        sent = 0
        with socket.create_connection((host, int(port)), timeout=10) as attacker:
            try:
                for _ in range(200):
                    attacker.sendall(b"GET /" + b"a" * 65_536 if sent == 0 else b"a" * 65_536)
                    sent += 1
                answered = attacker.recv(64)
            except (BrokenPipeError, ConnectionResetError):
                answered = b"HTTP/1.1 431"
        assert answered.startswith(b"HTTP/1.1 431")
        with socket.create_connection((host, int(port)), timeout=10) as other:
            other.sendall(b"GET /health/live HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            assert b"200 OK" in other.recv(1024)
