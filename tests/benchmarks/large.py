"""`make bench-large`: a night of four million postings, and earns in a ledger of millions of members.

The large ledger lies in an embedded server of its own that makes a checkpoint every 30 s, so that latencies
are measured across one; the small ledger, to compare with, lies beside it. Filling goes on where it stopped.
"""

import argparse
import json
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from rich.console import Console
from sqlalchemy import Engine, make_url, text

from api.child import running_server
from config.cluster import postgres_home
from config.database import create_database, make_engine
from config.postgres import embedded_server
from config.settings import PROJECT, load_settings
from network.identity import card_number
from partners.model import PartnerKey
from partners.store import add_key
from tests.benchmarks.fill import FIRST_PARTNER
from tests.benchmarks.ledger import Ledger, fill_ledger
from tests.benchmarks.load import percentile, run_open
from tests.benchmarks.machine import describe_machine, describe_postgres
from tests.benchmarks.measures import earns
from tests.benchmarks.night import filled_night, measure_night
from tests.benchmarks.rows import Row, make_console, print_table, summary
from tests.benchmarks.site import KEY_ID, SCHEMA, Site, now

LAST = Path("build/bench-large.json")
_COUNTERS = text(  # of this database, but log and checkpoints are the server's
    "SELECT (SELECT num_done FROM pg_stat_checkpointer) AS checkpoints,"
    " pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0') AS wal_bytes,"
    " (SELECT blks_read FROM pg_stat_database WHERE datname = current_database()) AS blocks_read"
)
_CHECKPOINTS: dict[str, str] = {"checkpoint_timeout": "30s"}
_LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
_BYTES_A_POSTING = 620
"""What a posting takes with its entry, its lot, its idempotency record, and the indexes of all."""

NIGHT_ROWS = (
    Row("night: close, price and net ÷ a bare GROUP BY of the postings", "night_ratio", goal=1.5,
        better="less", beside="night_seconds", beside_form=".2f", beside_unit=" s"),
    Row("night: the same ÷ bare GROUP BYs of postings and entries", "night_ratio_to_both"),
    Row("night: the seal, s", "seal_seconds", ".1f", goal=60, better="less"),
    Row("night: memory of the process, most, MB", "memory_after_seal_mb", ".0f"),
    Row("night: memory ÷ that of a tenth of the postings", "memory_by_tenth", goal=1.1, better="less"),
)  # fmt: skip
LARGE_ROWS = (
    Row("earn latency p50, large ÷ small ledger, across a checkpoint", "p50_ratio", goal=1.3, better="less",
        beside="large_p50_ms", beside_form=".1f", beside_unit=" ms"),
    Row("earn latency p99, large ÷ small ledger, across a checkpoint", "p99_ratio", goal=2, better="less",
        beside="large_p99_ms", beside_form=".1f", beside_unit=" ms"),
    Row("large ledger: bytes of log an earn", "large_wal_bytes", ",.0f"),
    Row("small ledger: bytes of log an earn", "small_wal_bytes", ",.0f"),
    Row("large ledger: blocks read an earn", "large_blocks_read", ".1f"),
)  # fmt: skip


def main() -> int:
    """Run what is asked for, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=("night", "ledger"), help="leave the other out")
    parser.add_argument("--postings", type=int, default=4_000_000, help="of the night")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--members", type=int, default=10_000_000, help="of the large ledger")
    parser.add_argument("--months", type=int, default=10, help="of history: a posting a member and month")
    parser.add_argument("--small", type=int, default=100_000, help="members of the small ledger")
    parser.add_argument("--rate", type=int, default=200, help="earns a second")
    parser.add_argument("--seconds", type=int, default=75, help="of earns in each round and ledger")
    parser.add_argument("--remove", action="store_true", help="remove the large ledger at the end")
    parser.add_argument("--out", type=Path, default=LAST)
    options = parser.parse_args()
    console = make_console()
    report: dict[str, Any] = {
        "measured_at": now().isoformat(timespec="minutes"),
        "machine": describe_machine(load_settings().data_folder),
        "options": {name: str(value) for name, value in vars(options).items()},
    }
    options.out.parent.mkdir(parents=True, exist_ok=True)
    if options.only != "ledger":
        report["night"] = _nights(console, options)
    if options.only != "night":
        report["ledger"] = _ledgers(console, options, report)
    report["rows"] = [
        *summary(NIGHT_ROWS, report.get("night", ())),
        *summary(LARGE_ROWS, report.get("ledger", ())),
    ]
    options.out.write_text(json.dumps(report, indent=2) + "\n")
    _print(console, report)
    console.print(f"written to {options.out}")
    return 0


def print_last(console: Console) -> None:
    """Print what `make bench-large` measured last, if it did."""
    if LAST.exists():
        _print(console, json.loads(LAST.read_text()))
    else:
        console.print("the night of 4,000,000 postings and the large ledger: make bench-large")


def _print(console: Console, report: dict[str, Any]) -> None:
    for name, rows in (("night", NIGHT_ROWS), ("ledger", LARGE_ROWS)):
        rounds = report.get(name, ())
        if rounds:
            print_table(
                console, f"{name}, measured {report['measured_at']}, {_size(rounds[0])}", rows, rounds
            )


def _size(one: dict[str, float]) -> str:
    if "groups" in one:
        return f"{one['postings']:,.0f} postings in {one['groups']:,.0f} groups"
    return f"{one['members']:,.0f} members, {one['postings']:,.0f} postings, against {one['small']:,.0f}"


def _nights(console: Console, options: argparse.Namespace) -> list[dict[str, Any]]:
    settings = load_settings()
    with _server(settings.home, {}) as database:
        console.print(f"a tenth of the night: {options.postings // 10:,} postings …")
        with filled_night(database, options.postings // 10) as filled:
            tenth = measure_night(filled)
        console.print(f"{options.postings:,} postings …")
        measured = []
        with filled_night(database, options.postings) as filled:
            for number in range(1, options.rounds + 1):
                one = measure_night(filled)
                one["memory_by_tenth"] = one["memory_after_seal_mb"] / tenth["memory_after_seal_mb"]
                measured.append(one)
                console.print(
                    f"night {number} of {options.rounds}: close, price and net {one['night_seconds']:.2f} s,"
                    f" a bare GROUP BY {one['bare_seconds']:.2f} s, the seal {one['seal_seconds']:.1f} s"
                )
    return measured


@contextmanager
def _server(home: Path | None, postgres_settings: dict[str, str]) -> Iterator[Engine]:
    """An embedded server of our own, with a database to connect to first."""
    with embedded_server(postgres_home(PROJECT, home), name="large", settings=postgres_settings) as server:
        create_database(server, "tessera")
        engine = make_engine(make_url(server.url("tessera")), schema=SCHEMA)
        try:
            yield engine
        finally:
            engine.dispose()


def _ledgers(console: Console, options: argparse.Namespace, report: dict[str, Any]) -> list[dict[str, Any]]:
    home = postgres_home(PROJECT, load_settings().home)
    home.mkdir(parents=True, exist_ok=True)
    today = now().date()
    large = Ledger(members=options.members, months=options.months, today=today)
    small = Ledger(members=options.small, months=options.months, today=today)
    needed, free = large.postings * _BYTES_A_POSTING, shutil.disk_usage(home).free
    console.print(f"about {needed / 2**30:.0f} GB of disk are needed at most, {free / 2**30:.0f} GB are free")
    measured: list[dict[str, Any]] = []
    with _server(load_settings().home, _CHECKPOINTS) as database:
        report["postgres"] = describe_postgres(database)
        filled = {}
        for name, ledger in (("small", small), ("large", large)):
            console.print(f"the {name} ledger: {ledger.members:,} members, {ledger.postings:,} postings")
            started = time.monotonic()
            filled[name] = _filled(database, ledger, console)
            report[f"{name}_fill_seconds"] = time.monotonic() - started
            report[f"{name}_gb"] = _gigabytes(filled[name])
        for number in range(1, options.rounds + 1):
            one: dict[str, Any] = {
                "members": large.members,
                "postings": large.postings,
                "small": small.members,
            }
            for name, ledger in (("small", small), ("large", large)):
                console.print(f"round {number} of {options.rounds}: earns in the {name} ledger …")
                one |= _latency(filled[name], ledger, f"{name}{number}-{int(time.time())}", options)  # noqa: TID251
            one["p50_ratio"] = one["large_p50_ms"] / one["small_p50_ms"]
            one["p99_ratio"] = one["large_p99_ms"] / one["small_p99_ms"]
            measured.append(one)
            console.print(f"  p50 {one['p50_ratio']:.2f}, p99 {one['p99_ratio']:.2f}")
        for engine in filled.values():
            engine.dispose()
        if options.remove:
            with database.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
                for ledger in (small, large):
                    connection.exec_driver_sql(f"DROP DATABASE {_name(ledger)} WITH (FORCE)")
    return measured


def _name(ledger: Ledger) -> str:
    return f"tessera_bench_{ledger.members}_{ledger.months}"


def _filled(server: Engine, ledger: Ledger, console: Console) -> Engine:
    """The database of a ledger; one that is there with the same sizes is kept."""
    name = _name(ledger)
    said = f"{ledger.members} members, {ledger.months} months before {ledger.today:%Y-%m}"
    with server.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        there = connection.execute(
            text("SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = :name"),
            {"name": name},
        ).scalar_one_or_none()
        if there != said:
            connection.exec_driver_sql(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
            connection.exec_driver_sql(f"CREATE DATABASE {name}")
            connection.exec_driver_sql(f"COMMENT ON DATABASE {name} IS '{said}'")
    database = make_engine(server.url.set(database=name), schema=SCHEMA)
    fill_ledger(database, ledger, SCHEMA, console)
    return database


def _gigabytes(database: Engine) -> float:
    with database.connect() as connection:
        size = connection.execute(text("SELECT pg_database_size(current_database())")).scalar_one()
    return float(size) / 2**30


def _latency(database: Engine, ledger: Ledger, tag: str, options: argparse.Namespace) -> dict[str, float]:
    """Latencies of earns at a fixed rate, each of another member that nobody asked for lately."""
    which = tag.partition("-")[0].rstrip("0123456789")
    key = Ed25519PrivateKey.generate()
    key_id = f"{KEY_ID}-{tag}"
    with database.begin() as connection:
        public = key.public_key().public_bytes_raw()
        add_key(
            connection,
            PartnerKey(key_id=key_id, partner_id=FIRST_PARTNER, public_key=public, not_before=_LONG_AGO),
        )
    environment = {
        "TESSERA_SCHEMA": SCHEMA,
        "TESSERA_DATABASE_URL": database.url.render_as_string(hide_password=False),
        "TESSERA_LOG_LEVEL": "warning",
        "TESSERA_KEY_RATE": "100000",
    }
    log_path = options.out.with_suffix(f".{which}.log")
    with running_server(environment, log_path) as server:
        count = options.rate * options.seconds
        random = Random(tag)
        cards = [card_number(random.randint(1, ledger.members)) for _ in range(count + 500)]
        site = Site(
            database=database,
            key=key,
            key_id=key_id,
            cards=cards,
            currency="EUR",
            authority=server.authority,
            process_id=server.process_id,
        )
        asks = earns(site, tag, count + 500)
        warm, _ = run_open(site.address, asks[count:], rate=options.rate, connections=(32, 256), seconds=10)
        before = _counters(database)
        timed, _ = run_open(
            site.address, asks[:count], rate=options.rate, connections=(32, 256), seconds=options.seconds
        )
        after = _counters(database)
    wrong = [one for one in (*warm, *timed) if one.status != 201]
    if wrong:
        raise RuntimeError(f"{len(wrong)} earns were not accepted, the first with status {wrong[0].status}")
    latencies = sorted(one.seconds for one in timed)
    return {
        f"{which}_p50_ms": percentile(latencies, 0.5) * 1000,
        f"{which}_p99_ms": percentile(latencies, 0.99) * 1000,
        f"{which}_most_ms": latencies[-1] * 1000,
        f"{which}_checkpoints": after["checkpoints"] - before["checkpoints"],
        f"{which}_wal_bytes": (after["wal_bytes"] - before["wal_bytes"]) / count,
        f"{which}_blocks_read": (after["blocks_read"] - before["blocks_read"]) / count,
    }


def _counters(database: Engine) -> dict[str, float]:
    """Checkpoints done, bytes of log written, blocks of this database read that were in no buffer."""
    with database.connect() as connection:
        row = connection.execute(_COUNTERS).one()
    return {name: float(value) for name, value in row._asdict().items()}


if __name__ == "__main__":
    raise SystemExit(main())
