"""What an operator sees of a server: its log, its metrics, whether it is ready, and how it ends."""

import json
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from sqlalchemy import Engine, create_engine, text
from starlette.testclient import TestClient

from api.child import Server, running_server
from api.gauges import LedgerGauges
from api.worker_metrics import WorkerMetrics
from network.rules import Rules
from network.service import set_clock
from partners.hooks.history import send_test
from settlement.service import clear, clear_due
from tests.api.conftest import Till, a_sale, real_now
from tests.coalition import GROCER, START, set_up
from tests.hooks import endpoint
from tests.signing import sign_request

Tills = Callable[[int], Till]
_PATIENCE_SECONDS = 60.0


class Line:
    """A till's line to a server that runs as a process."""

    def __init__(self, server: Server, till: Till) -> None:
        self.server = server
        self.till = till
        self.client = httpx.Client(base_url=server.base_url, timeout=30)

    def post(self, path: str, body: bytes) -> httpx.Response:
        """Post a signed body."""
        headers = sign_request(
            self.till.private_key,
            self.till.key_id,
            method="POST",
            authority=self.server.authority,
            path=path,
            body=body,
            created=int(real_now().timestamp()),
        )
        return self.client.post(path, content=body, headers=headers)

    def ready(self) -> int:
        """What readiness says."""
        return self.client.get("/health/ready").status_code


def until(reached: Callable[[], bool], what: str) -> None:
    """Wait until something is so, bounded."""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while not reached():
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


def lanes_of(server: Server) -> list[int]:
    """The processes of a server's lanes."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                said = (folder / "cmdline").read_bytes()
                parent = (folder / "stat").read_text().rpartition(")")[2].split()[1]
            except OSError:
                continue
            if b"api.lanes" in said and int(parent) == server.process_id:
                found.append(int(folder.name))
    return found


@pytest.fixture
def line(database: Engine, database_url: str, live: Rules, till: Tills, tmp_path: Path) -> Iterator[Line]:
    """A server as a process, with a log in JSON, and a till of the grocer's."""
    grocer = till(GROCER)
    environment = {
        "TESSERA_DATABASE_URL": database_url,
        "TESSERA_HOME": str(tmp_path),
        "TESSERA_LOG_FORMAT": "json",
        "TESSERA_LOG_REQUESTS": "true",
        "TESSERA_LOG_LEVEL": "debug",
        "TESSERA_DRAIN_SECONDS": "2",
    }
    with running_server(environment, tmp_path / "api.log") as server:
        made = Line(server, grocer)
        yield made
        made.client.close()
    del database, live


def test_a_run_is_logged_line_by_line_and_no_card_is_in_it(line: Line, till: Tills, tmp_path: Path) -> None:
    """Good and bad requests, a card that is unknown, one in a broken body: each line has the request's id."""
    card = line.till.enrol()["card"]
    good = msgspec.json.encode(a_sale(card, 500, "s1"))
    unknown = msgspec.json.encode(a_sale("6330009999999992", 500, "s2"))
    answers = [
        line.post("/v1/accruals", good),
        line.post("/v1/accruals", good),
        line.post("/v1/accruals", unknown),
        line.post("/v1/accruals", good[:-1]),
        line.post("/v1/accruals", good.replace(b'"USD"', b'"usd"')),
        line.post(f"/v1/cards/{card}", b"{}"),
        line.client.get(f"/v1/cards/{card}"),
    ]
    assert [answer.status_code for answer in answers[:2]] == [201, 201]
    assert all(answer.status_code >= 400 for answer in answers[2:])
    os.kill(lanes_of(line.server)[0], signal.SIGKILL)
    log = tmp_path / "api.log"
    until(lambda: "ended by itself" in log.read_text(), "the lost lane is told")
    said = log.read_text()
    for number in (card, "6330009999999992"):
        assert number not in said
    lines = [json.loads(one) for one in said.splitlines()]
    by_request = {one.get("request_id"): one for one in lines if one["message"].startswith("request ")}
    for answer in answers:
        told = by_request[answer.headers["request-id"]]
        assert told["status"] == answer.status_code
        assert told["milliseconds"] >= 0
    assert by_request[answers[0].headers["request-id"]]["partner_id"] == GROCER
    assert by_request[answers[0].headers["request-id"]]["route"] == "/v1/accruals"
    del till


def test_a_lane_that_hangs_takes_the_server_out_of_service(line: Line) -> None:
    """SIGSTOP: it lives and its socket is open, and readiness goes down; SIGCONT, and it comes back."""
    assert line.ready() == 200
    stopped = lanes_of(line.server)[0]
    os.kill(stopped, signal.SIGSTOP)
    try:
        until(lambda: line.ready() == 503, "readiness notices that a lane hangs")
        assert line.client.get("/health/live").status_code == 200
        assert "does not answer" in line.client.get("/health/ready").json()["detail"]
    finally:
        os.kill(stopped, signal.SIGCONT)
    until(lambda: line.ready() == 200, "readiness comes back")


def test_sigterm_drains_and_loses_nothing(line: Line, database: Engine) -> None:
    """Under load: first readiness goes down while sales are taken; what was acknowledged is all there."""
    card = line.till.enrol()["card"]
    acknowledged: list[str] = []
    refused: list[str] = []
    ended = threading.Event()

    def sell(number: int) -> None:
        own = Line(line.server, line.till)
        for count in range(100_000):
            reference = f"drain-{number}-{count}"
            try:
                answer = own.post("/v1/accruals", msgspec.json.encode(a_sale(card, 100, reference)))
            except httpx.HTTPError:
                refused.append(reference)
                break
            (acknowledged if answer.status_code == 201 else refused).append(reference)
            if ended.is_set():
                break
        own.client.close()

    tills = [threading.Thread(target=sell, args=(number,)) for number in range(4)]
    for one in tills:
        one.start()
    until(lambda: len(acknowledged) > 20, "sales are under way")
    os.kill(line.server.process_id, signal.SIGTERM)
    until(lambda: line.ready() == 503, "readiness goes down at once")
    before = len(acknowledged)
    until(lambda: len(acknowledged) > before, "what still comes is taken")
    for one in tills:
        one.join(_PATIENCE_SECONDS)
    ended.set()
    until(lambda: not Path(f"/proc/{line.server.process_id}/fd").exists() or not _lives(line), "it ends")
    with database.connect() as connection:
        rows = connection.execute(text("SELECT reference FROM entry WHERE reference LIKE 'drain-%'"))
        recorded = set(rows.scalars())
    assert set(acknowledged) <= recorded
    assert len(recorded) - len(acknowledged) <= len(tills)  # those whose answer was on its way
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{line.server.base_url}/health/live")


def _lives(line: Line) -> bool:
    state = Path(f"/proc/{line.server.process_id}/stat").read_text().rpartition(")")[2].split()[0]
    return state != "Z"


def test_metrics_tell_what_an_operator_asks(till: Tills, client: TestClient, database: Engine) -> None:
    """Requests, batches, lanes, keys, the outbox's lag and the nights, under names that say what they are."""
    grocer = till(GROCER)
    endpoint_id = endpoint(database, GROCER)
    with database.begin() as connection:
        send_test(connection, GROCER, endpoint_id, at=START)
        connection.execute(text("UPDATE webhook_delivery SET due_at = now() - interval '1 hour'"))
    card = grocer.enrol()["card"]
    grocer.post("/v1/accruals", **a_sale(card, 500, "s1"))
    page = client.get("/metrics").text
    values = {
        one.rpartition(" ")[0]: float(one.rpartition(" ")[2])
        for one in page.splitlines()
        if not one.startswith("#")
    }
    assert values['tessera_http_requests_total{route="/v1/accruals",status="201"}'] == 1
    assert values['tessera_commit_batch_size_count{lane="tills"}'] == 2
    assert values['tessera_commands_waiting{lane="tills"}'] == 0
    assert values['tessera_lane_silent_seconds{lane="files"}'] == 0
    assert 0 <= values["tessera_keys_age_seconds"] < 60
    assert values["tessera_webhook_outbox_due"] >= 1
    assert 3_600 <= values["tessera_webhook_outbox_lag_seconds"] < 7_200
    assert (values["tessera_database_up"], values["tessera_nights_unsettled"]) == (1, 0)
    assert values["tessera_draining"] == 0
    assert card not in page


def test_without_a_database_the_metrics_say_so() -> None:
    """The page is answered all the same, and the database is not asked again at once."""
    asked = 0

    def now() -> datetime:
        nonlocal asked
        asked += 1
        return START

    nowhere = create_engine(
        "postgresql+psycopg://nobody@127.0.0.1:1/nothing", connect_args={"connect_timeout": 2}
    )
    gauges = LedgerGauges(nowhere, now, lambda: 7.0)
    for _ in range(3):
        assert [(one.name, one.samples[0].value) for one in gauges.collect()] == [
            ("tessera_database_up", 0.0)
        ]
    assert asked == 1
    nowhere.dispose()


def test_a_workers_metrics_are_served_where_it_is_said() -> None:
    """Steps by name, webhooks by outcome; on the loopback, and gone with the worker."""
    metrics = WorkerMetrics()
    with metrics.step("settle"):
        pass
    with metrics.night_step("price"):
        pass
    metrics.attempted("delivered", 0.2)
    port = _free_port()
    with metrics.served(port):
        page = httpx.get(f"http://127.0.0.1:{port}/metrics").text
    assert 'tessera_worker_step_seconds_count{step="settle"} 1.0' in page
    assert 'tessera_night_step_seconds_count{step="price"} 1.0' in page
    assert 'tessera_webhook_attempts_total{outcome="delivered"} 1.0' in page
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"http://127.0.0.1:{port}/metrics")
    with metrics.served(None):
        pass


def test_each_step_of_a_night_is_timed(database: Engine) -> None:
    """Close, price and net of each night, in order; a night that was settled before has none."""
    set_up(database)
    steps: list[str] = []

    def timed(step: str) -> AbstractContextManager[None]:
        steps.append(step)
        return nullcontext()

    over = START.replace(hour=0) + timedelta(days=2)
    with database.begin() as connection:
        set_clock(connection, over)
    clear_due(database, over, timed=timed)
    assert steps == ["close", "price", "net"] * 2
    clear(database, START.date(), at=over, timed=timed)
    assert len(steps) == 6


def _free_port() -> int:
    import socket  # noqa: PLC0415 - beside its only use

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_a_database_error_tells_no_parameters(database: Engine) -> None:
    """What is bound to a statement may be a card: the error that is logged shows none of it."""
    set_up(database)
    with database.connect() as connection, pytest.raises(Exception, match="hide_parameters") as failed:
        connection.execute(text("SELECT 1 / (:card - :card)"), {"card": 6330001234567895})
    assert "6330001234567895" not in str(failed.value)
    told: Any = failed.value
    assert told.hide_parameters
