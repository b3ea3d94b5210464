"""`make bench`: what the server does per second, as ratios to pgbench's TPC-B in the same run.

Every round measures all on the same server with durable defaults (fsync and synchronous_commit on), so that
a noisy machine disturbs them alike. Results go to build/bench.json; docs/performance.md says what they mean.
"""

import argparse
import json
import time
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

from rich.console import Console

from config.database import open_database
from config.settings import load_settings
from tests.benchmarks import fifty, large, overload
from tests.benchmarks.load import Ask, request_bytes, run_load
from tests.benchmarks.machine import describe_machine, describe_postgres
from tests.benchmarks.measures import BESIDE, beside_files, earns, load, make_files, mixed, send_files
from tests.benchmarks.rows import Row, make_console, print_table, summary
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
BUSY_SHARE = 0.85
"""Of a core: from here on the load generator may be what limits."""

ROWS = (
    Row(f"pgbench TPC-B, {CLIENTS} clients, scale {SCALE}", "tpcb_tps", ",.0f"),
    Row(f"signed earns, {CLIENTS} connections ÷ TPC-B", "earns_ratio", goal=1.5, beside="earns_per_second"),
    Row(f"the same, {MANY} connections ÷ TPC-B", "crowded_ratio", goal=2.0, beside="crowded_per_second"),
    Row(f"{MANY} connections: p99 ÷ p50", "crowded_p99_by_p50", goal=4, better="less"),
    Row("mixed till load ÷ TPC-B", "mixed_ratio", goal=1.2, beside="mixed_per_second"),
    Row("earns under fifty rules, one gives ÷ no rules", "one_gives_ratio", goal=1.0,
        beside="one_gives_per_second"),
    Row("the same, five give ÷ no rules", "five_give_ratio", goal=1.0, beside="five_give_per_second"),
    Row("the same, five give, capped a month ÷ no rules", "capped_ratio", goal=1.0,
        beside="capped_per_second"),
    Row("accruals from files ÷ TPC-B", "file_ratio", goal=12, beside="file_lines_per_second"),
    Row(f"earn p99 beside a file ÷ alone, {BESIDE} tills", "earn_p99_beside_file_by_alone", goal=3,
        better="less", beside="file_lines_per_second_beside_tills"),
    Row("server's processor time of an earn ÷ yardstick's", "cpu_ratio", goal=0.8, better="less",
        beside="earn_cpu_us", beside_unit=" µs"),
    Row(f"earn latency, {CLIENTS} connections, p50, ms", "earn_p50_ms", ".1f"),
    Row(f"earn latency, {CLIENTS} connections, p99, ms", "earn_p99_ms", ".1f"),
    Row("load generator, µs of processor time a request", "generator_us", ".0f"),
)  # fmt: skip


def main() -> int:
    """Run the benchmark and print its table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=8, help="of pgbench in each round")
    parser.add_argument("--earns", type=int, default=12_000, help="signed requests of each measure")
    parser.add_argument("--lines", type=int, default=60_000, help="lines of files in each round")
    parser.add_argument("--members", type=int, default=20_000)
    parser.add_argument("--overload", type=int, default=10, help="seconds of three times the rate; 0: none")
    parser.add_argument("--out", type=Path, default=Path("build/bench.json"))
    options = parser.parse_args()
    console = make_console()
    overload.allow_connections(2 * overload.CROWD + 1000)
    settings = load_settings().model_copy(update={"database_schema": SCHEMA})
    overloaded: list[dict[str, float]] = []
    with open_database(settings) as database:
        report: dict[str, Any] = {
            "machine": describe_machine(settings.data_folder),
            "postgres": describe_postgres(database),
        }
        console.print(f"{options.members:,} members, each with points of four issuers …")
        log = options.out.with_suffix(".log")
        with running_site(database, options.members, log, fifty.fifty_each()) as site:
            load(site, earns(site, "warm", 2_000), CLIENTS)
            rounds = [_round(console, site, number, options) for number in range(1, options.rounds + 1)]
            if options.overload:
                console.print("overload, in short (make overload takes a minute):")
                overloaded.append(overload.measure_overload(site, "overload", options.overload, console))
    report |= {
        "rounds": rounds,
        "rows": [*summary(ROWS, rounds), *summary(overload.ROWS, overloaded)],
        "overload": overloaded,
    }
    options.out.write_text(json.dumps(report, indent=2) + "\n")
    _print(console, report, rounds, overloaded, options.out)
    return 0


def _print(
    console: Console,
    report: dict[str, Any],
    rounds: Sequence[dict[str, float]],
    overloaded: Sequence[dict[str, float]],
    out: Path,
) -> None:
    machine, postgres = report["machine"], report["postgres"]
    console.print(
        f"{machine['cores']} cores ({machine['processor']}), {machine['memory_gb']} GB, a flush takes"
        f" {machine['flush_us']} µs; PostgreSQL {postgres['server_version']}, fsync {postgres['fsync']},"
        f" synchronous_commit {postgres['synchronous_commit']}; Python {machine['python']}"
    )
    print_table(console, f"{len(rounds)} rounds: median", ROWS, rounds)
    if overloaded:
        print_table(console, "overload", overload.ROWS, overloaded)
    large.print_last(console)
    busiest = max(one["generator_share"] for one in rounds)
    if busiest > BUSY_SHARE:
        console.print(f"the load generator used {busiest:.0%} of a core: it may have been what limited")
    console.print(f"written to {out}")


def _round(console: Console, site: Site, number: int, options: argparse.Namespace) -> dict[str, float]:
    tag = f"r{number}"
    started = time.monotonic()

    def say(what: str) -> None:
        at = timedelta(seconds=round(time.monotonic() - started))
        console.print(f"round {number} of {options.rounds}, {at}: {what} …")

    say(f"pgbench TPC-B, {CLIENTS} clients, {options.seconds} s")
    tps = tpcb(site.database, options.seconds)
    say(f"{tps:,.0f}/s; {options.earns:,} signed earns over {CLIENTS} connections")
    requests = earns(site, tag, options.earns)
    before = processor_seconds(site.process_id)
    few = load(site, requests, CLIENTS)
    own_cpu = (processor_seconds(site.process_id) - before) / options.earns
    say(f"{few.rate:,.0f}/s; {options.earns:,} over {MANY}")
    many = load(site, earns(site, f"{tag}-many", options.earns), MANY)
    say(f"{many.rate:,.0f}/s; {options.earns:,} requests of mixed till load over {CLIENTS}")
    till = load(site, mixed(site, f"{tag}-mixed", options.earns), CLIENTS)
    say(f"{till.rate:,.0f}/s; earns under fifty rules")
    ruled = _under_rules(site, tag, options.earns)
    say(f"{ruled['one_gives_per_second']:,.0f}/s; {options.lines:,} accruals in files")
    lines = send_files(site, make_files(site, tag, options.lines))
    say(f"{lines:,.0f}/s; the same beside {BESIDE} tills")
    alone = load(site, earns(site, f"{tag}-alone", 2_000), BESIDE)
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
        "crowded_p50_ms": many.percentile(0.5) * 1000,
        "crowded_p99_ms": many.percentile(0.99) * 1000,
        "crowded_p99_by_p50": many.percentile(0.99) / many.percentile(0.5),
        "mixed_per_second": till.rate,
        "mixed_ratio": till.rate / tps,
        **ruled,
        "one_gives_ratio": ruled["one_gives_per_second"] / few.rate,
        "five_give_ratio": ruled["five_give_per_second"] / few.rate,
        "capped_ratio": ruled["capped_per_second"] / few.rate,
        "file_lines_per_second": lines,
        "file_ratio": lines / tps,
        "file_lines_per_second_beside_tills": lines_beside,
        "earn_p99_alone_ms": alone.percentile(0.99) * 1000,
        "earn_p99_beside_file_ms": beside.percentile(0.99) * 1000,
        "earn_p99_beside_file_by_alone": beside.percentile(0.99) / alone.percentile(0.99),
        "earn_cpu_us": own_cpu * 1e6,
        "plain_cpu_us": plain_cpu * 1e6,
        "cpu_ratio": own_cpu / plain_cpu,
        "generator_us": few.own_us,
        "generator_share": max(few.own_share, many.own_share, till.own_share),
    }


def _under_rules(site: Site, tag: str, count: int) -> dict[str, float]:
    """Earns a second of partners that have fifty rules, and of processor time in microseconds each."""
    figures = {}
    for name, one in (("one_gives", fifty.ONE), ("five_give", fifty.FIVE), ("capped", fifty.CAPPED)):
        before = processor_seconds(site.process_id)
        figures[f"{name}_per_second"] = fifty.earns_under(site, one, tag, count, CLIENTS).rate
        figures[f"{name}_cpu_us"] = (processor_seconds(site.process_id) - before) / count * 1e6
    return figures


def _plain(count: int) -> float:
    """Processor seconds per request of the yardstick."""
    with running_plain(PLAIN_PORT) as process_id:
        address = ("127.0.0.1", PLAIN_PORT)
        headers = {"Content-Type": "application/json"}
        body = b'{"points": 12, "reference": "as long as a sale"}'
        ask = Ask(request_bytes("/plain", f"127.0.0.1:{PLAIN_PORT}", headers, body), b'"points":12')
        _load_plain(address, [ask] * 1_000)
        before = processor_seconds(process_id)
        _load_plain(address, [ask] * count)
        return (processor_seconds(process_id) - before) / count


def _load_plain(address: tuple[str, int], asks: Sequence[Ask]) -> None:
    done = run_load(address, asks, CLIENTS)
    if done.wrong:
        raise RuntimeError(f"the yardstick answered wrongly: {done.wrong[0]}")


if __name__ == "__main__":
    raise SystemExit(main())
