"""`make overload`: three times what the server can carry, then 2,000 connections, and what becomes of it.

    python -m tests.benchmarks.overload [--seconds 60]

The surplus has to be told 503 with Retry-After quickly, the rest served at the usual rate, memory has to stay
bounded, every acknowledged earn has to be in the ledger, and right after all has to be as before.
"""

import argparse
import json
import resource
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from sqlalchemy import text

from config.database import open_database
from config.settings import load_settings
from tests.benchmarks.load import Ask, Load, Timed, percentile, run_open
from tests.benchmarks.measures import earns, load
from tests.benchmarks.rows import Row, make_console, print_table, summary
from tests.benchmarks.site import CLIENTS, SCHEMA, Site, memory_mb, running_site

TIMES = 3
CROWD = 2_000
MANY = 256
"""Connections with which the sustainable rate is measured: batches are large, and nobody is refused."""
_SIGNED_AHEAD_SECONDS = 200
"""A signature is good for 300 s: so much of an open loop is signed before it begins, at most."""

ROWS = (
    Row(f"sustainable: earns a second over {MANY} connections", "sustainable_per_second", ",.0f"),
    Row("offered, ÷ sustainable", "offered_by_sustainable", goal=2.9),
    Row("served meanwhile, ÷ sustainable", "served_by_sustainable", goal=0.8, beside="served_per_second"),
    Row("latency of the served, p99, ms", "served_p99_ms", ",.0f", goal=2000, better="less"),
    Row("latency of the refused (503), p50, ms", "refused_p50_ms", ",.0f"),
    Row("latency of the refused (503), p99, ms", "refused_p99_ms", ",.0f", goal=500, better="less"),
    Row("refused without Retry-After", "refused_untold", ",.0f", goal=0, better="less"),
    Row("neither answered nor refused", "unanswered", ",.0f", goal=0, better="less"),
    Row("memory of the server, most, ÷ before", "memory_ratio", goal=1.5, better="less", beside="memory_mb",
        beside_unit=" MB"),
    Row("acknowledged and not in the ledger", "lost", ",.0f", goal=0, better="less"),
    Row(f"{CROWD:,} connections: served ÷ sustainable", "crowd_served_by_sustainable", goal=0.8,
        beside="crowd_served_per_second"),
    Row(f"{CROWD:,} connections: latency of the refused, p99, ms", "crowd_refused_p99_ms", ",.0f", goal=1000,
        better="less"),
    Row(f"{CROWD:,} connections: neither answered nor refused", "crowd_unanswered", ",.0f", goal=0,
        better="less"),
    Row("right after: rate ÷ sustainable", "after_by_sustainable", goal=0.8),
    Row("right after: earn p99 ÷ before", "after_p99_by_before", goal=2, better="less"),
)  # fmt: skip


def measure_overload(site: Site, tag: str, seconds: int, console: Console) -> dict[str, float]:
    """Run the overload and look at what became of every request."""
    allow_connections(2 * CROWD + 1000)
    console.print("  what is sustainable …")
    before = load(site, earns(site, f"{tag}-before", 6_000), MANY)
    with watched_memory(site) as memory:
        offered = TIMES * before.rate
        asks = earns(site, f"{tag}-open", int(offered * min(seconds, _SIGNED_AHEAD_SECONDS)))
        console.print(f"  {len(asks):,} earns, {offered:,.0f} a second, for {seconds} s …")
        timed, own = run_open(site.address, asks, rate=offered, connections=(CLIENTS, CROWD), seconds=seconds)
        crowd_asks = earns(site, f"{tag}-crowd", int(offered * seconds / 3))
        console.print(f"  {CROWD:,} connections …")
        crowd, _ = run_open(
            site.address, crowd_asks, rate=None, connections=(CROWD, CROWD), seconds=seconds / 3
        )
    after = load(site, earns(site, f"{tag}-after", 6_000), MANY)
    return {
        "sustainable_per_second": before.rate,
        **_told(timed, before.rate),
        "offered_by_sustainable": len(timed) / _span(timed) / before.rate,
        "generator_us": own / len(asks) * 1e6,
        "memory_mb": max(memory),
        "memory_ratio": max(memory) / memory[0],
        "lost": float(_lost(site, asks, timed) + _lost(site, crowd_asks, crowd)),
        **{f"crowd_{name}": value for name, value in _told(crowd, before.rate).items()},
        "after_by_sustainable": after.rate / before.rate,
        "after_p99_by_before": _p99(after) / _p99(before),
    }


def _p99(done: Load) -> float:
    return done.percentile(0.99)


def _told(timed: Sequence[Timed], sustainable: float) -> dict[str, float]:
    """What became of the requests of an open loop.

    The rate of the served is over the time from the first that was due to the last that was served.
    """
    first = min(one.due for one in timed)
    last = max((one.due + one.seconds for one in timed if one.status == 201), default=first + 1)
    served = sorted(one.seconds for one in timed if one.status == 201)
    refused = sorted(one.seconds for one in timed if one.status == 503)
    statuses = Counter(one.status for one in timed)
    rate = len(served) / (last - first)
    return {
        "served_per_second": rate,
        "served_by_sustainable": rate / sustainable,
        "served_p50_ms": percentile(served, 0.5) * 1000 if served else 0.0,
        "served_p99_ms": percentile(served, 0.99) * 1000 if served else 0.0,
        "served": float(len(served)),
        "refused": float(len(refused)),
        "refused_p50_ms": percentile(refused, 0.5) * 1000 if refused else 0.0,
        "refused_p99_ms": percentile(refused, 0.99) * 1000 if refused else 0.0,
        "refused_untold": float(sum(one.status == 503 and not one.told for one in timed)),
        "unanswered": float(sum(number for status, number in statuses.items() if status not in {201, 503})),
    }


def _span(timed: Sequence[Timed]) -> float:
    """Seconds in which requests were sent."""
    return max(one.sent for one in timed) - min(one.sent for one in timed)


def _lost(site: Site, asks: Sequence[Ask], timed: Sequence[Timed]) -> int:
    """How many earns were acknowledged and are not in the ledger."""
    acknowledged = {asks[one.place].marks.split(b'"')[3].decode() for one in timed if one.status == 201}
    if not acknowledged:
        return 0
    prefix = next(iter(acknowledged)).rpartition("-")[0]
    with site.database.connect() as connection:
        kept = connection.execute(
            text("SELECT reference FROM entry WHERE reference LIKE :pattern"), {"pattern": f"{prefix}-%"}
        ).scalars()
        return len(acknowledged - set(kept))


@contextmanager
def watched_memory(site: Site) -> Iterator[list[float]]:
    """Memory of the server in MB: before the block first, then every second while it lasts."""
    seen = [memory_mb(site.process_id)]
    over = threading.Event()

    def watch() -> None:
        while not over.wait(1.0):
            seen.append(memory_mb(site.process_id))

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield seen
    finally:
        over.set()
        thread.join()


def allow_connections(number: int) -> None:
    """Let this process, and those it starts, have so many files open, if the machine allows it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < number:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(number, hard), hard))


def main() -> int:
    """Run the overload by itself and print what came of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=60, help="of three times the sustainable rate")
    parser.add_argument("--members", type=int, default=10_000)
    parser.add_argument("--out", type=Path, default=Path("build/overload.json"))
    options = parser.parse_args()
    console = make_console()
    allow_connections(2 * CROWD + 1000)
    settings = load_settings().model_copy(update={"database_schema": SCHEMA})
    with open_database(settings) as database:
        console.print(f"{options.members:,} members …")
        with running_site(database, options.members, options.out.with_suffix(".log")) as site:
            load(site, earns(site, "warm", 2_000), CLIENTS)
            measured = measure_overload(site, "overload", options.seconds, console)
    print_table(console, "overload", ROWS, [measured])
    report: dict[str, Any] = {"measured": measured, "rows": summary(ROWS, [measured])}
    options.out.write_text(json.dumps(report, indent=2) + "\n")
    console.print(f"written to {options.out}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
