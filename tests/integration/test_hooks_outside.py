"""Webhooks as others meet them: Node's official library, and a worker's process that is killed."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Engine, text

from config.key_file import make_key
from config.settings import PROJECT
from config.webhook_key import load_or_make_webhook_key
from network.batch import execute
from network.service import load_rules
from partners.hooks import endpoints
from partners.hooks.endpoints import NewEndpoint
from partners.hooks.signing import HookKey, Secret
from tests.coalition import GROCER, entry_of, new_card, sale, set_up
from tests.hooks import Delivered, deliver, receiving, signed_endpoint
from tests.npm_packages import installed, run_script
from tests.people import real_now

_PATIENCE_SECONDS = 60


def test_nodes_official_library_verifies_a_delivery(database: Engine) -> None:
    """npm's standardwebhooks takes it, and refuses it with another body or a secret that is not its own."""
    folder = installed("standardwebhooks@1.1.1")
    with receiving() as receiver:
        set_up(database)
        _, secret = signed_endpoint(database, GROCER, types=("entry.accrual",), url=receiver.url)
        with database.connect() as connection:
            live = load_rules(connection)
        execute(database, [sale(new_card(database, live), 500, "s1")], live)
        deliver(database)
        [one] = receiver.got
    script = PROJECT / "tests" / "node" / "verify_webhook.mjs"
    body = one.body.decode()
    asked = [
        {"secret": whsec, "headers": one.headers, "body": said}
        for whsec, said in (
            (secret.shown, body),
            (secret.shown, body.replace("s1", "s2")),
            (Secret("v1", bytes(32)).shown, body),
        )
    ]
    answers = [json.loads(run_script(folder, script, json.dumps(each))) for each in asked]
    assert answers[0]["said"]["data"]["reference"] == "s1"
    assert [set(answer) for answer in answers] == [{"said"}, {"refused"}, {"refused"}]


@contextmanager
def worker(environment: dict[str, str], log: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """`tessera worker` for the length of a block."""
    with log.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "api.cli", "worker"],
            cwd=PROJECT,
            env={**os.environ, **environment},
            stdout=file,
            stderr=subprocess.STDOUT,
        )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def wait_for(ready: threading.Event, process: "subprocess.Popen[bytes]", log: Path) -> None:
    """Wait until something has happened, as long as the process lives."""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while not ready.wait(0.1):
        said = log.read_text(errors="replace")[-2_000:]
        assert process.poll() is None, said
        assert time.monotonic() < deadline, said


def test_a_worker_that_is_killed_loses_nothing(database: Engine, database_url: str, tmp_path: Path) -> None:
    """SIGKILL while a delivery is on the wire: another sends it again under its id; SIGTERM ends that one."""
    key = tmp_path / "webhooks.pem"
    make_key(key, name="webhooks' key")
    environment = {
        "TESSERA_DATABASE_URL": database_url,
        "TESSERA_HOME": str(tmp_path),
        "TESSERA_WEBHOOK_KEY": str(key),
        "TESSERA_WEBHOOK_LOOPBACK": "true",
    }
    came, again, hang = threading.Event(), threading.Event(), threading.Event()

    def answers(one: Delivered) -> int:
        del one
        if not came.is_set():
            came.set()
            hang.wait(_PATIENCE_SECONDS)
            return 500
        again.set()
        return 204

    with receiving() as receiver:
        receiver.answers = answers
        set_up(database)
        new = NewEndpoint(
            partner_id=GROCER,
            reference="h",
            url=receiver.url,
            types=("entry.accrual",),
            signature="v1",
            description="",
        )
        with database.begin() as connection:
            endpoints.create(connection, new, HookKey.of(load_or_make_webhook_key(key)), at=real_now())
            live = load_rules(connection)
        [reply] = execute(database, [sale(new_card(database, live), 500, "s1")], live)
        with worker(environment, tmp_path / "first.log") as first:
            wait_for(came, first, tmp_path / "first.log")
        with database.begin() as connection:  # a minute of patience, saved
            connection.execute(text("UPDATE webhook_endpoint SET leased_until = now()"))
        with worker(environment, tmp_path / "second.log") as second:
            wait_for(again, second, tmp_path / "second.log")
            second.send_signal(signal.SIGTERM)
            assert second.wait(_PATIENCE_SECONDS) == 0, (tmp_path / "second.log").read_text()
        hang.set()
    assert set(receiver.events) == {f"evt_{entry_of(reply).entry_id.hex}"}
    with database.connect() as connection:
        state = connection.execute(text("SELECT state FROM webhook_delivery")).scalar_one()
    assert state == "delivered"
