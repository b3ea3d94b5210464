"""The SDK's events: listed, forwarded to a program of this machine as signed webhooks, sent again."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import msgspec
import pytest
from sqlalchemy import Engine
from tessera_client import Client, Enrolment, NotFound, new_key, operations, verify_webhook, write_key
from tessera_client.cli import main
from tessera_client.messages import JSON, Request, path_of

from network.rules import Rules
from tests.api.served import register, served
from tests.coalition import GROCER, START

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"  # noqa: S105 - of the tests alone
ENDPOINT = {"reference": "hooks-1", "url": "https://hooks.example.com/tessera", "events": ["*"]}


class Receiver(HTTPServer):
    """A partner's program: keeps what it was sent, and answers 204."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.got: list[tuple[dict[str, str], bytes]] = []


class _Handler(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.server.got.append((dict(self.headers.items()), body))
        self.send_response(204)
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the library's name
        """Say nothing."""


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """The program, listening."""
    with Receiver() as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield running
        running.shutdown()
        thread.join()


def test_events_are_forwarded_and_sent_again(
    database: Engine,
    live: Rules,
    receiver: Receiver,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Three enrolments are three webhooks at the local port, which verify; `logs tail` prints them."""
    key = new_key()
    key_id = register(database, GROCER, key)
    write_key(tmp_path / "k.pem", key)
    with served(database) as address, Client(address, key_id, key) as client:
        body = msgspec.json.encode(ENDPOINT)
        made = client.request(
            Request(method="POST", path=path_of("webhook-endpoints"), body=body, content_type=JSON)
        )
        assert made.status == 201, made.body
        told = _told(client)
        for name, value in (
            ("TESSERA_URL", address),
            ("TESSERA_KEY_ID", key_id),
            ("TESSERA_KEY", str(tmp_path / "k.pem")),
            ("TESSERA_PARTNER_HOME", str(tmp_path)),
        ):
            monkeypatch.setenv(name, value)
        since = ("--since", told[0].timestamp.isoformat(), "--count", str(len(told)))
        url = f"http://127.0.0.1:{receiver.server_port}/webhooks"
        main(["listen", "--forward-to", url, "--secret", SECRET, *since])
        assert capsys.readouterr().out.count("-> 204") == len(told)
        main(["logs", "tail", *since])
        printed = capsys.readouterr().out
        main(["events", "resend", told[0].id])
        assert capsys.readouterr().out == "1 deliveries are on their way\n"
        with pytest.raises(NotFound):
            client.do(operations.resend_event("evt_" + "0" * 32))
    got = [verify_webhook(payload, fields, SECRET) for fields, payload in receiver.got]
    assert [one.id for one in got] == [one.id for one in told]
    for one, event in zip(got, told, strict=True):
        assert one.json()["type"] == event.type
        assert one.json()["data"] == json.loads(bytes(event.data))
        assert event.id in printed


def _told(client: Client) -> list[Any]:
    """Events of enrolments; the first of them are written some seconds after the endpoint is made."""
    for number in range(200):
        client.send(Enrolment(reference=f"m-{number}", occurred_at=START))
        told = list(client.events(page_size=2))
        if len(told) >= 3:
            return told
        threading.Event().wait(0.1)
    raise AssertionError("no event was written within twenty seconds")


@pytest.mark.parametrize("target", ["http://10.0.0.1/x", "https://example.com", "ftp://127.0.0.1", "x"])
def test_nothing_is_forwarded_elsewhere(
    target: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`listen` sends to this machine alone, and says so before it asks for anything."""
    monkeypatch.setenv("TESSERA_URL", "https://api.example.com")
    with pytest.raises(SystemExit):
        main(["listen", "--forward-to", target])
    assert "name a port of this machine" in capsys.readouterr().err
