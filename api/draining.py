"""uvicorn's server, but SIGTERM takes it out of service in order.

Readiness goes down at once; for a while it serves all that comes, so that whoever routes to it has time to
notice; then it accepts no more, answers what is under way, lets the lanes carry out what they were given, and
ends. A second signal ends it without the wait.
"""

import logging
import signal
import time
from collections.abc import Callable
from types import FrameType

import uvicorn

log = logging.getLogger("tessera.api")


class DrainingServer(uvicorn.Server):
    """Serves until it is told to end.

    Args:
        config: uvicorn's.
        drain: Called first, from a signal handler.
        drain_seconds: How long it serves on after that.
    """

    def __init__(self, config: uvicorn.Config, *, drain: Callable[[], None], drain_seconds: float) -> None:
        super().__init__(config)
        self._drain = drain
        self._drain_seconds = drain_seconds
        self._ends_at: float | None = None

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """SIGTERM begins the drain; Ctrl-C, or a second SIGTERM, ends it."""
        if sig != signal.SIGTERM:
            super().handle_exit(sig, frame)
        elif self._ends_at is None:
            self._drain()
            self._ends_at = time.monotonic() + self._drain_seconds
        else:
            self.should_exit = True

    async def on_tick(self, counter: int) -> bool:
        """Ten times a second: whether it is time to end."""
        if self._ends_at is not None and time.monotonic() >= self._ends_at and not self.should_exit:
            log.info("draining is over: no more connections are accepted")
            self.should_exit = True
        return await super().on_tick(counter)
