"""`make bench`: what the server does per second, as ratios to pgbench's TPC-B in the same run.

Every round measures all on the same server with durable defaults (fsync and synchronous_commit on), so that
a noisy machine disturbs them alike. Results go to build/bench.json; docs/performance.md says what they mean.
"""

import argparse
import json
import os
import platform
import statistics
from pathlib import Path
from typing import Any

import uvloop
from rich.console import Console
from rich.table import Table
from sqlalchemy import Engine, text

from config.database import open_database
from config.settings import load_settings
from tests.benchmarks.load import Ask, request_bytes, run_load
from tests.benchmarks.measures import BESIDE, beside_files, earns, files, load, mixed
from tests.benchmarks.site import (
    CLIENTS,
    SCALE,
    SCHEMA,
    Site,
    processor_seconds,
    running_plain,
    running_site,
    tpcb,
)

MANY = 256
"""Connections of the crowded measure."""
PLAIN_PORT = 18_743


def main() -> int:
    """Run the benchmark and print its table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=8, help="of pgbench in each round")
    parser.add_argument("--earns", type=int, default=12_000, help="signed requests of each measure")
    parser.add_argument("--lines", type=int, default=60_000, help="lines of files in each round")
    parser.add_argument("--members", type=int, default=20_000)
    parser.add_argument("--out", type=Path, default=Path("build/bench.json"))
    options = parser.parse_args()
    console = Console()
    settings = load_settings().model_copy(update={"database_schema": SCHEMA})
    with open_database(settings) as database:
        console.print(f"{options.members:,} members, each with points of four issuers …")
        with running_site(database, options.members, options.out.with_suffix(".log")) as site:
            load(site, earns(site, "warm", 1_000), CLIENTS)
            rounds = [_round(console, site, number, options) for number in range(1, options.rounds + 1)]
            report = {"machine": _machine(), "settings": _settings(database), "rounds": rounds}
    options.out.write_text(json.dumps(report, indent=2) + "\n")
    _print(console, rounds)
    console.print(f"written to {options.out}")
    return 0


def _round(console: Console, site: Site, number: int, options: argparse.Namespace) -> dict[str, float]:
    tag = f"r{number}"

    def say(what: str) -> None:
        console.print(f"round {number}: {what} …")

    say(f"pgbench TPC-B, {CLIENTS} clients, {options.seconds} s")
    tps = tpcb(site.database, options.seconds)
    say(f"{options.earns:,} signed earns over {CLIENTS} connections")
    requests = earns(site, tag, options.earns)
    before = processor_seconds(site.process_id)
    few = load(site, requests, CLIENTS)
    own_cpu = (processor_seconds(site.process_id) - before) / options.earns
    say(f"{options.earns:,} over {MANY}")
    many = load(site, earns(site, f"{tag}-many", options.earns), MANY)
    say(f"{options.earns:,} requests of mixed till load over {CLIENTS}")
    till = load(site, mixed(site, f"{tag}-mixed", options.earns), CLIENTS)
    say(f"{options.lines:,} accruals in files")
    lines = files(site, tag, options.lines)
    say(f"the same beside {BESIDE} tills")
    alone = load(site, earns(site, f"{tag}-alone", 1_000), BESIDE)
    lines_beside, beside = beside_files(site, f"{tag}-beside", options.lines // 2)
    say("the yardstick: a FastAPI route that verifies a signature")
    plain_cpu = _plain(options.earns // 2)
    return {
        "tpcb_tps": tps,
        "earns_per_second": few.rate,
        "earns_ratio": few.rate / tps,
        "earn_p50_ms": few.percentile(0.5) * 1000,
        "earn_p99_ms": few.percentile(0.99) * 1000,
        "crowded_per_second": many.rate,
        "crowded_ratio": many.rate / tps,
        "crowded_p99_by_p50": many.percentile(0.99) / many.percentile(0.5),
        "mixed_per_second": till.rate,
        "mixed_ratio": till.rate / tps,
        "file_lines_per_second": lines,
        "file_ratio": lines / tps,
        "file_lines_per_second_beside_tills": lines_beside,
        "earn_p99_beside_file_by_alone": beside.percentile(0.99) / alone.percentile(0.99),
        "earn_cpu_us": own_cpu * 1e6,
        "plain_cpu_us": plain_cpu * 1e6,
        "cpu_ratio": own_cpu / plain_cpu,
    }


def _plain(count: int) -> float:
    """Processor seconds per request of the yardstick."""
    with running_plain(PLAIN_PORT) as process_id:
        authority = f"127.0.0.1:{PLAIN_PORT}"
        headers = {"Content-Type": "application/json"}
        request = request_bytes(
            "/plain", authority, headers, b'{"points": 12, "reference": "as long as a sale"}'
        )
        _load_plain(authority, request, 500)
        before = processor_seconds(process_id)
        _load_plain(authority, request, count)
        return (processor_seconds(process_id) - before) / count


def _load_plain(authority: str, request: bytes, count: int) -> None:
    host, _, port = authority.partition(":")
    done = uvloop.run(run_load(host, int(port), [Ask(request)] * count, CLIENTS))
    if done.wrong:
        raise RuntimeError(f"the yardstick answered wrongly: {done.wrong[0]!r}")


def _machine() -> dict[str, Any]:
    return {
        "cores": os.cpu_count(),
        "architecture": platform.machine(),
        "python": platform.python_version(),
    }


def _settings(database: Engine) -> dict[str, str]:
    names = (
        "server_version",
        "fsync",
        "synchronous_commit",
        "full_page_writes",
        "shared_buffers",
        "max_wal_size",
    )
    with database.connect() as connection:
        return {name: str(connection.scalar(text(f"SHOW {name}"))) for name in names}


_ROWS = (
    (f"pgbench TPC-B, {CLIENTS} clients, scale {SCALE}", "tpcb_tps", None, ""),
    (f"signed earns by HTTP, {CLIENTS} connections", "earns_per_second", "earns_ratio", "≥ 1.5"),
    (f"the same, {MANY} connections", "crowded_per_second", "crowded_ratio", "≥ 2.0"),
    ("mixed till load", "mixed_per_second", "mixed_ratio", "≥ 1.2"),
    ("accruals from files", "file_lines_per_second", "file_ratio", "≥ 12"),
)


def _print(console: Console, rounds: list[dict[str, float]]) -> None:
    table = Table(title="median of the rounds (least to most)")
    for heading in ("measure", "per second", "÷ TPC-B", "goal"):
        table.add_column(heading, justify="left" if heading == "measure" else "right")

    def spread(name: str, form: str) -> str:
        values = [measured[name] for measured in rounds]
        return (
            f"{format(statistics.median(values), form)}"
            f" ({format(min(values), form)} to {format(max(values), form)})"
        )

    for title, rate, ratio, goal in _ROWS:
        table.add_row(title, spread(rate, ",.0f"), "1" if ratio is None else spread(ratio, ".2f"), goal)
    console.print(table)
    console.print(
        f"earn latency: p50 {spread('earn_p50_ms', '.1f')} ms, p99 {spread('earn_p99_ms', '.1f')} ms;"
        f" crowded p99 ÷ p50 {spread('crowded_p99_by_p50', '.1f')} (goal < 4)"
    )
    console.print(
        f"earn p99 beside a file ÷ alone: {spread('earn_p99_beside_file_by_alone', '.1f')} (goal ≤ 3)"
    )
    console.print(
        f"processor time of the server per signed durable earn: {spread('earn_cpu_us', '.0f')} µs;"
        f" ÷ a FastAPI route that only verifies a signature: {spread('cpu_ratio', '.2f')} (goal ≤ 0.8)"
    )


if __name__ == "__main__":
    raise SystemExit(main())
