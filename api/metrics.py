"""Prometheus metrics with names an operator can read."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)


class Metrics:
    """The metrics of one process, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._requests = Counter(
            "tessera_http_requests_total", "Requests answered.", ("route", "status"), registry=self.registry
        )
        self._seconds = Histogram(
            "tessera_http_request_seconds",
            "Time from request to answer.",
            ("route",),
            buckets=_SECONDS,
            registry=self.registry,
        )
        self._batch_size = Histogram(
            "tessera_commit_batch_size",
            "Commands that shared a commit.",
            ("lane",),
            buckets=(1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048),
            registry=self.registry,
        )
        self._batch_seconds = Histogram(
            "tessera_commit_seconds", "Time of a batch.", ("lane",), buckets=_SECONDS, registry=self.registry
        )
        # Found by their labels once: that costs more than the counting. Routes and statuses are few.
        self._counted: dict[tuple[str, int], tuple[Counter, Histogram]] = {}
        self.keys_age = Gauge(
            "tessera_keys_age_seconds",
            "Age of the partners' keys that requests are judged by; -1 before the first reading.",
            registry=self.registry,
        )
        self.draining = Gauge(
            "tessera_draining", "Whether this process is about to end.", registry=self.registry
        )
        self.lane_silent = Gauge(
            "tessera_lane_silent_seconds",
            "For how long a lane has said nothing though it was asked.",
            ("lane",),
            registry=self.registry,
        )
        self.waiting = Gauge(
            "tessera_commands_waiting", "Commands in the queue.", ("lane",), registry=self.registry
        )

    def request(self, route: str, status: int, seconds: float) -> None:
        """Count a request."""
        counted = self._counted.get((route, status))
        if counted is None:
            counted = (self._requests.labels(route, str(status)), self._seconds.labels(route))
            self._counted[route, status] = counted
        counted[0].inc()
        counted[1].observe(seconds)

    def batch(self, lane: str, size: int, seconds: float) -> None:
        """Count a batch of the group commit."""
        self._batch_size.labels(lane).observe(size)
        self._batch_seconds.labels(lane).observe(seconds)

    def render(self) -> bytes:
        """The text exposition format."""
        return generate_latest(self.registry)
