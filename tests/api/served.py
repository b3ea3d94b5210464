"""The application on a socket of the loopback, for clients that speak HTTP themselves."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import Engine

from api.app import create_app
from api.bounded import BoundedProtocol
from partners.model import PartnerKey
from partners.store import add_key
from tests.api.conftest import LONG_AGO, real_now
from tests.coalition import CODES
from tests.hooks import HOOK_KEY
from tests.people import CARD_KEY

_START_SECONDS = 30


@contextmanager
def served(database: Engine) -> Iterator[str]:
    """Serve the application for the length of a block; its address, as clients name it."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        authority = f"127.0.0.1:{listening.getsockname()[1]}"
        app = create_app(database, authority=authority, now=real_now, hook_key=HOOK_KEY, card_key=CARD_KEY)
        config = uvicorn.Config(app, http=BoundedProtocol, ws="none", log_config=None, lifespan="on")
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        try:
            deadline = time.monotonic() + _START_SECONDS
            while not server.started:
                if not thread.is_alive() or time.monotonic() > deadline:
                    raise RuntimeError("the application did not start")
                time.sleep(0.005)
            yield f"http://{authority}"
        finally:
            server.should_exit = True
            thread.join(_START_SECONDS)


def register(database: Engine, partner_id: int, private_key: Ed25519PrivateKey, suffix: str = "test") -> str:
    """Register a partner's key; its id."""
    key_id = f"{CODES[partner_id]}-{suffix}"
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
    return key_id
