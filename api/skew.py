"""How far the clocks of those who sign are from ours: seen in each signature, told to who asks."""

from collections.abc import Callable, Iterator
from datetime import datetime

import msgspec
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector


class Skew(msgspec.Struct):
    """What was seen of a key's clock since this process began: seconds ahead (+) of ours, or behind (-).

    A request takes its time to come, so a right clock is seen a little behind.
    """

    last: float
    least: float
    most: float
    seen: int = 1


class Skews(Collector):
    """The clocks of all keys that have signed here; also a collector of metrics."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self.now = now
        self._keys: dict[str, Skew] = {}

    def note(self, key_id: str, created: int) -> None:
        """A signature of the key was verified, made at a Unix second by the clock of who signed."""
        # a second's middle: what is told in whole seconds is late by half of one on the whole
        ahead = created + 0.5 - self.now().timestamp()
        known = self._keys.get(key_id)
        if known is None:
            self._keys[key_id] = Skew(ahead, ahead, ahead)
            return
        known.last = ahead
        known.seen += 1
        if ahead < known.least:
            known.least = ahead
        elif ahead > known.most:
            known.most = ahead

    def of(self, key_id: str) -> Skew | None:
        """What was seen of a key's clock."""
        return self._keys.get(key_id)

    def collect(self) -> Iterator[Metric]:
        """The last, least and most of each key."""
        family = GaugeMetricFamily(
            "tessera_key_clock_ahead_seconds",
            "How far the clock of who signs is ahead of ours: the last seen, the least and the most.",
            labels=("key", "which"),
        )
        for key_id, skew in self._keys.copy().items():
            for which in ("last", "least", "most"):
                family.add_metric((key_id, which), getattr(skew, which))
        yield family
