"""Webhooks for tests: endpoints, and a receiver on this machine that says what it is told to say."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from uuid import UUID

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import Engine, text

from api.hooks.dispatch import Dispatcher
from partners.hooks import endpoints
from partners.hooks.endpoints import NewEndpoint
from partners.hooks.events import new_event_id
from partners.hooks.signing import HookKey, Secret, Signature
from tests.people import real_now

URL = "https://hooks.example.com/tessera"
HOOK_KEY = HookKey.of(Ed25519PrivateKey.from_private_bytes(bytes(range(32))))


def endpoint(database: Engine, partner_id: int, *, types: tuple[str, ...] = ("*",), url: str = URL) -> UUID:
    """An endpoint's id."""
    return signed_endpoint(database, partner_id, types=types, url=url)[0]


def signed_endpoint(
    database: Engine,
    partner_id: int,
    *,
    types: tuple[str, ...] = ("*",),
    url: str = URL,
    signature: Signature = "v1",
) -> tuple[UUID, Secret]:
    """An endpoint's id, and the secret that its partner was shown."""
    new = NewEndpoint(
        partner_id=partner_id,
        reference=new_event_id(real_now()).hex,
        url=url,
        types=types,
        signature=signature,
        description="",
    )
    with database.begin() as connection:
        made, secret = endpoints.create(connection, new, HOOK_KEY, at=real_now())
    assert secret is not None
    return made.endpoint_id, secret


class Delivered(msgspec.Struct, frozen=True):
    """A request as the receiver got it."""

    headers: dict[str, str]
    body: bytes

    @property
    def event(self) -> str:
        """Its webhook-id."""
        return self.headers["webhook-id"]

    @property
    def said(self) -> Any:
        """Its body, read."""
        return msgspec.json.decode(self.body)


class Receiver:
    """A partner's server: it keeps what it is sent, and answers as `answers` says."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.got: list[Delivered] = []
        self.answers: Callable[[Delivered], int] = lambda one: 204
        self.headers: dict[str, str] = {}
        self.body = b""

    @property
    def events(self) -> list[str]:
        """The ids that came, in order."""
        return [one.event for one in self.got]


@contextmanager
def receiving() -> Iterator[Receiver]:
    """A receiver on a free port of the loopback."""

    class Handler(BaseHTTPRequestHandler):
        """Takes what is posted."""

        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            """Take an event."""
            raw = self.rfile.read(int(self.headers["content-length"]))
            one = Delivered({name.lower(): value for name, value in self.headers.items()}, raw)
            status = receiver.answers(one)
            receiver.got.append(one)
            self.send_response(status)
            for name, value in receiver.headers.items():
                self.send_header(name, value)
            if status != 204:
                self.send_header("content-length", str(len(receiver.body)))
            self.end_headers()
            self.wfile.write(receiver.body)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - as the library names it
            """Say nothing."""

    class Server(ThreadingHTTPServer):
        """Serves each connection in a thread that ends with the process."""

        daemon_threads = True

        def handle_error(self, request: Any, client_address: Any) -> None:
            """A client that hangs up is no error of the test's."""

    with Server(("127.0.0.1", 0), Handler) as server:
        receiver = Receiver(f"http://127.0.0.1:{server.server_address[1]}/hooks?a=1")
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield receiver
        finally:
            server.shutdown()
            thread.join()


class Passing:
    """Real time that the test moves on."""

    def __init__(self) -> None:
        self.later = timedelta(0)

    def __call__(self) -> datetime:
        """What time it is, a moment ahead of what the database wrote."""
        return real_now() + self.later + timedelta(seconds=1)

    def pass_(self, **how_long: float) -> None:
        """Let time pass."""
        self.later += timedelta(**how_long)


def deliver(database: Engine, clock: Callable[[], datetime] | None = None, **given: Any) -> None:
    """Have a worker deliver all that is due."""
    given = {"loopback": True, "jitter": lambda: 0.0, **given}
    worker = Dispatcher(database, HOOK_KEY, now=Passing() if clock is None else clock, **given)
    asyncio.run(worker.run_once())


def deliveries(database: Engine) -> list[tuple[str, int]]:
    """State and number of attempts of each delivery, in order."""
    asked = text("SELECT state, tries FROM webhook_delivery ORDER BY place")
    with database.connect() as connection:
        return [(row.state, row.tries) for row in connection.execute(asked)]


def endpoint_row(database: Engine, endpoint_id: UUID) -> Any:
    """An endpoint as it stands."""
    asked = text("SELECT * FROM webhook_endpoint WHERE endpoint_id = :endpoint")
    with database.connect() as connection:
        return connection.execute(asked, {"endpoint": endpoint_id}).one()
