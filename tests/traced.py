"""A lane in a thread with something that stands around its batches."""

import socket
from collections.abc import Callable
from threading import Thread

from sqlalchemy import Engine

from api.lanes.filing import WatchLines
from api.lanes.serving import Watch


class InWatchedThread:
    """Serves a lane in a thread, each batch watched."""

    def __init__(
        self,
        database: Engine,
        name: str,
        channel: socket.socket,
        watch: Watch,
        watch_lines: WatchLines,
        serve_on: Callable[..., None],
    ) -> None:
        arguments = (database, name, channel.dup(), None, watch, None, watch_lines)
        self._thread = Thread(target=serve_on, args=arguments, name=name, daemon=True)
        self._thread.start()

    def ended(self) -> None:
        """Wait until it has answered all that was asked."""
        self._thread.join()
