"""A lane as a process: python -m api.lanes FD, with what it is to do on its standard input.

It ends when the door closes the socket, having done what was asked before; signals that are meant for the
whole service it leaves to the door.
"""

import logging
import os
import signal
import socket
import sys
from datetime import UTC, datetime

import msgspec

from api.lanes.hiring import serve_on
from api.lanes.process import Setup
from api.lanes.refusing import by_codes, refusing
from config.database import make_engine

_PATIENT = 5
"""How much sooner the kernel gives a core to a till's work than to a file's, where both want one."""


def _now() -> datetime:
    return datetime.now(UTC)  # noqa: TID251 - a composition root


def main() -> None:
    """Serve the lane."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    setup = msgspec.json.decode(sys.stdin.buffer.read(), type=Setup)
    if setup.name == "files":
        os.nice(_PATIENT)
    logging.basicConfig(
        level=setup.log_level.upper(), format="%(asctime)s %(levelname)s %(name)s %(message)s"
    )
    database = make_engine(
        setup.database_url, schema=setup.schema, lock_timeout_ms=setup.lock_timeout_ms, role=setup.role
    )
    around = refusing(by_codes(database, setup.card_key, _now)) if setup.card_key else None
    serve_on(database, setup.name, socket.socket(fileno=int(sys.argv[1])), around)
    database.dispose()


if __name__ == "__main__":
    main()
