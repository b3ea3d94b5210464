"""The test mode: a second network beside the live one, in a schema of its own, on a clock that partners set.

`<schema>_test` has the live network's partners, outlets, contracts and programmes, and nothing else of it: no
members, no entries, no keys. See docs/decisions for why it is a schema, and why it has an address of its own.
"""

from datetime import datetime, timedelta
from threading import Lock

import msgspec
from sqlalchemy import Engine, Table, select, text
from sqlalchemy.dialects.postgresql import insert
from starlette.types import ASGIApp, Receive, Scope, Send

from network.batch import end_over_holds
from network.errors import NotReady
from network.service import (
    PARTITIONS_AHEAD,
    create_network,
    ensure_partitions,
    load_rules,
    network_now,
    open_date,
    open_first_window,
    read_network,
    set_clock,
)
from network.tables import programme_version
from partners import tables
from partners.hooks.history import prune
from settlement.disputes import carry_on_due
from settlement.service import clear_due

MOST_DAYS = 40
"""How far the clock goes at a time: each night in between is settled before the answer."""
_EVENTS_STAY = timedelta(days=3 * MOST_DAYS)
"""Of the clock, beyond what the live network keeps: a month's events are there to be read after a month."""
COPIED: tuple[Table, ...] = (
    tables.partner,
    tables.outlet,
    tables.redemption_category,
    tables.vat_rate,
    tables.fx_rate,
    tables.contract_terms,
    tables.contract_category,
    tables.contract_vat,
    tables.partner_exit,
    programme_version,
)
_OVER = text("SELECT DISTINCT member_id FROM hold WHERE captured + returned < points AND lapses_at <= :now")


class ByHost:
    """Hands requests that name a host of the test mode to its application, all others to the live one."""

    def __init__(self, live: ASGIApp, test: ASGIApp, hosts: frozenset[bytes]) -> None:
        self._live = live
        self._test = test
        self._hosts = hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] == "http":
            for name, value in scope["headers"]:
                if name == b"host":
                    if value.lower() in self._hosts:
                        await self._test(scope, receive, send)
                        return
                    break
        await self._live(scope, receive, send)


def prepare(live: Engine, test: Engine) -> None:
    """Bring partners, outlets, terms and programmes of the live network that are new into the test network.

    The first time its clock begins where the live network's time is, and its first window is opened.

    Raises:
        NotReady: the live network is not set up.
    """
    with live.connect() as source, test.begin() as target:
        network = read_network(source)
        for table in COPIED:
            rows = [row._asdict() for row in source.execute(select(table))]
            if rows:
                target.execute(insert(table).on_conflict_do_nothing(), rows)
        try:
            read_network(target)
        except NotReady:
            at = network_now(source)
            create_network(target, msgspec.structs.replace(network, clock=at, mode="test"))
            open_first_window(target, open_date(source), at)
            ensure_partitions(target, at.date(), at.date() + PARTITIONS_AHEAD)


class TestClock:
    """Moves the test network's time, and does what a worker would have done meanwhile."""

    __test__ = False

    def __init__(self, database: Engine) -> None:
        self._database = database
        self._moving = Lock()

    def now(self) -> datetime:
        """The test network's time."""
        with self._database.connect() as connection:
            return network_now(connection)

    def advance(self, to: datetime) -> tuple[datetime, list[str]]:
        """Put the clock forward; the time it shows then, and the business dates that were settled.

        Raises:
            ClockBackwards: it stands later already.
            NetworkError, SettlementError: a night was not settled; the next call goes on from there.
        """
        with self._moving:
            with self._database.begin() as connection:
                ensure_partitions(connection, network_now(connection).date(), to.date() + PARTITIONS_AHEAD)
                set_clock(connection, to)
            self._end_holds(to)
            nights = clear_due(self._database, to)
            while carry_on_due(self._database):
                pass
            prune(self._database, to - _EVENTS_STAY)
        return to, [night.business_date.isoformat() for night in nights]

    def _end_holds(self, now: datetime) -> None:
        with self._database.connect() as connection:
            members = list(connection.execute(_OVER, {"now": now}).scalars())
            rules = load_rules(connection)
        if members:
            end_over_holds(self._database, members, rules)
