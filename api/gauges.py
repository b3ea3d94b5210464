"""What the database knows of how the network does, as metrics; read when somebody asks for them.

Any process can tell, since the database does; nothing is counted on the way of a request. Where the database
does not answer, that is what is told.
"""

import threading
import time
from collections.abc import Callable, Iterable
from datetime import datetime
from decimal import Decimal

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import SQLAlchemyError

from network.exposure_store import read_exposures
from network.service import load_rules, network_now
from partners.hooks.history import Backlog, backlog

_FRESH_SECONDS = 5.0
"""However many ask, the database is asked no more often."""
# Whose window is open, how long past its end by the network's own time; nights that are not settled yet.
_NIGHTS = text(
    "SELECT extract(epoch FROM coalesce(n.clock, clock_timestamp()) - w.opened_at) AS open_seconds,"
    " (SELECT count(*) FROM clearing_window c LEFT JOIN settlement_run r"
    " ON r.window_id = c.window_id AND r.state <> 'aborted'"
    " WHERE c.closed_at IS NOT NULL AND coalesce(r.state, 'closed') IN ('closed', 'priced')) AS unsettled,"
    " (SELECT count(*) FROM hold WHERE captured + returned < points"
    " AND lapses_at <= coalesce(n.clock, clock_timestamp())) AS holds_over"
    " FROM network n, clearing_window w WHERE w.closed_at IS NULL"
)
_CAPPED = text("SELECT EXISTS (SELECT FROM exposure)")


class LedgerGauges(Collector):
    """A collector for a registry of prometheus_client."""

    def __init__(
        self, database: Engine, now: Callable[[], datetime], monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._database = database
        self._now = now
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._told: list[GaugeMetricFamily] = []
        self._read_at = float("-inf")

    def describe(self) -> list[GaugeMetricFamily]:
        """Nothing ahead of time: the database is not asked when this is registered."""
        return []

    def collect(self) -> Iterable[GaugeMetricFamily]:
        """The gauges, five seconds old at most."""
        with self._lock:
            if self._monotonic() - self._read_at >= _FRESH_SECONDS:
                self._told = self._read()
                self._read_at = self._monotonic()
            return list(self._told)

    def _read(self) -> list[GaugeMetricFamily]:
        try:
            now = self._now()
            with self._database.connect() as connection:
                waiting = backlog(connection, now)
                nights = connection.execute(_NIGHTS).one_or_none()
                exposed = [] if nights is None else _of_exposure(connection)
        except SQLAlchemyError:
            return [_gauge("tessera_database_up", "Whether the database answered the last question.", 0)]
        found = [
            _gauge("tessera_database_up", "Whether the database answered the last question.", 1),
            *_of_hooks(waiting, now),
            *exposed,
        ]
        if nights is not None:
            found += [
                _gauge(
                    "tessera_window_open_seconds",
                    "Age of the open clearing window, by the network's time.",
                    float(nights.open_seconds),
                ),
                _gauge("tessera_nights_unsettled", "Closed windows that are not netted.", nights.unsettled),
                _gauge(
                    "tessera_holds_over", "Holds whose time is over and that hold points.", nights.holds_over
                ),
            ]
        return found


def _of_exposure(connection: Connection) -> list[GaugeMetricFamily]:
    """Of each partner with a cap, how much of its limit is used; where that is 0, whether it owes."""
    if not connection.execute(_CAPPED).scalar_one():
        return []
    rules = load_rules(connection)
    share = GaugeMetricFamily(
        "tessera_exposure_share",
        "What a partner may come to owe, as a share of its limit (cap and deposit).",
        labels=("partner",),
    )
    for one in read_exposures(connection, rules, rules.local_date(network_now(connection))):
        if one.limit is not None:
            used = one.amount / one.limit if one.limit else Decimal(one.amount > 0)
            share.add_metric((rules.directory.participants[one.partner_id].code,), float(used))
    return [share]


def _of_hooks(waiting: Backlog, now: datetime) -> list[GaugeMetricFamily]:
    oldest = waiting.oldest_due_at
    lag = 0.0 if oldest is None else max(0.0, (now - oldest).total_seconds())
    return [
        _gauge(
            "tessera_webhook_outbox_waiting", "Deliveries on their way, retries included.", waiting.waiting
        ),
        _gauge("tessera_webhook_outbox_due", "Deliveries that should have been tried by now.", waiting.due),
        _gauge("tessera_webhook_outbox_lag_seconds", "For how long the oldest of them has been due.", lag),
        _gauge("tessera_webhook_endpoints_failing", "Endpoints whose last attempt failed.", waiting.failing),
        _gauge("tessera_webhook_endpoints_disabled", "Endpoints that are disabled.", waiting.disabled),
    ]


def _gauge(name: str, says: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, says, value)
