"""What the worker counts: how long each of its steps takes, and what became of webhooks it sent."""

from collections.abc import Iterator
from contextlib import contextmanager

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, start_http_server

_STEP_SECONDS = (0.01, 0.1, 0.5, 1, 5, 15, 60, 300, 900, 3_600)
_SEND_SECONDS = (0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 15)
HOST = "127.0.0.1"


class WorkerMetrics:
    """The metrics of one worker, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._steps = Histogram(
            "tessera_worker_step_seconds",
            "Time of a step: partitions, events, holds, disputes, settle, advance, seal, files.",
            ("step",),
            buckets=_STEP_SECONDS,
            registry=self.registry,
        )
        self._night_steps = Histogram(
            "tessera_night_step_seconds",
            "Time of a step of one night: close, price, net.",
            ("step",),
            buckets=_STEP_SECONDS,
            registry=self.registry,
        )
        self._nudged = Gauge(
            "tessera_worker_nudged_at_seconds",
            "When the worker last went through all of its steps, as seconds since 1970.",
            registry=self.registry,
        )
        self._sent = Counter(
            "tessera_webhook_attempts_total", "Webhooks sent.", ("outcome",), registry=self.registry
        )
        self._seconds = Histogram(
            "tessera_webhook_attempt_seconds",
            "Time of an attempt, from the name's resolution to the answer.",
            buckets=_SEND_SECONDS,
            registry=self.registry,
        )

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Time a step, however it ends."""
        with self._steps.labels(name).time():
            yield

    @contextmanager
    def night_step(self, name: str) -> Iterator[None]:
        """Time a step of a night, however it ends."""
        with self._night_steps.labels(name).time():
            yield

    def nudged(self) -> None:
        """All steps were gone through."""
        self._nudged.set_to_current_time()

    def attempted(self, outcome: str, seconds: float) -> None:
        """A webhook was sent, or was to be."""
        self._sent.labels(outcome).inc()
        self._seconds.observe(seconds)

    @contextmanager
    def served(self, port: int | None) -> Iterator[None]:
        """Serve them on the loopback for the length of a block; nowhere without a port.

        Raises:
            OSError: the port is taken.
        """
        if port is None:
            yield
            return
        server, thread = start_http_server(port, HOST, self.registry)
        try:
            yield
        finally:
            server.shutdown()
            server.server_close()
            thread.join()
