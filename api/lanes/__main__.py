"""A lane as a process: python -m api.lanes FD, with what it is to do on its standard input.

It ends when the door closes the socket, having done what was asked before; signals that are meant for the
whole service it leaves to the door.
"""

import os
import signal
import socket
import sys
from datetime import UTC, datetime

import msgspec

from api.garbage import collect_rarely
from api.lanes.hiring import serve_on
from api.lanes.process import Setup
from api.lanes.standing import standing
from api.logs import set_up_logging
from api.switched import tracing_of
from config.database import make_engine
from network import pipeline

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
    set_up_logging(setup.log_level, setup.log_format)
    database = make_engine(
        setup.database_url,
        schema=setup.schema,
        lock_timeout_ms=setup.lock_timeout_ms,
        role=setup.role,
        plans_once=True,
    )
    around = standing(database, setup.card_key, _now)
    channel = socket.socket(fileno=int(sys.argv[1]))
    with tracing_of(setup.traces, f"lane-{setup.name}") as tracing:
        if tracing is not None:
            pipeline.observe_with(tracing.statements)
        collect_rarely()
        if tracing is None:
            serve_on(database, setup.name, channel, around)
        else:
            serve_on(database, setup.name, channel, around, tracing.batch, watch_lines=tracing.lines)
    database.dispose()


if __name__ == "__main__":
    main()
