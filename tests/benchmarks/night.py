"""A night of millions of postings: close, price and net beside a bare GROUP BY of the same keys; the seal.

    python -m tests.benchmarks.night URL DATE        (one night, in a process of its own; prints JSON)

Each round clears a copy of one filled database, so that every round does the same work for the first time.
"""

import argparse
import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import Engine, NullPool, create_engine, text

from config.database import ensure_schema, make_engine, migrate
from config.roles import application_role
from config.settings import PROJECT
from network.service import closes_at, read_network, window_id_of
from settlement.seal import Signer
from settlement.sealing import seal_due
from settlement.service import close_step, net_step, price_step
from tests.benchmarks.fill import fill_window, make_coalition
from tests.benchmarks.site import SCHEMA

BUSINESS_DATE = date(2026, 3, 10)
MEMBERS = 10_000_000
_FILLED = "tessera_bench_night"
_COPY = "tessera_bench_night_copy"
_SECONDS = 1_800
_BARE = text(
    "SELECT debit, credit, issuer_id, issuer_terms, acceptor_id, acceptor_terms, category,"
    " reversed_window_id, sum(points), count(*) FROM posting WHERE window_id = :window_id"
    " GROUP BY 1, 2, 3, 4, 5, 6, 7, 8"
)
_BARE_ENTRIES = text(
    "SELECT partner_id, kind, count(*), sum(points), sum(amount_minor) FROM entry"
    " WHERE window_id = :window_id GROUP BY 1, 2"
)


@contextmanager
def filled_night(database: Engine, postings: int) -> Iterator[Engine]:
    """A database beside the given one with a window of so many postings that is over, for a block."""
    with _admin(database) as run:
        run(f"DROP DATABASE IF EXISTS {_FILLED} WITH (FORCE)")
        run(f"CREATE DATABASE {_FILLED}")
    filled = make_engine(database.url.set(database=_FILLED), schema=SCHEMA)
    try:
        with filled.begin() as connection:
            ensure_schema(connection, SCHEMA)
        migrate(filled)
        make_coalition(filled, BUSINESS_DATE)
        fill_window(filled, BUSINESS_DATE, postings=postings, members=MEMBERS)
        yield filled
    finally:
        filled.dispose()
        with _admin(database) as run:
            run(f"DROP DATABASE IF EXISTS {_FILLED} WITH (FORCE)")


def measure_night(filled: Engine) -> dict[str, Any]:
    """One round: a copy of the filled database, a bare GROUP BY in it, and the night in another process."""
    filled.dispose()
    with _admin(filled, "postgres") as run:
        run(f"DROP DATABASE IF EXISTS {_COPY} WITH (FORCE)")
        run(f"CREATE DATABASE {_COPY} TEMPLATE {_FILLED} STRATEGY FILE_COPY")
    copy = make_engine(
        filled.url.set(database=_COPY), schema=SCHEMA, role=application_role(SCHEMA), lock_timeout_ms=60_000
    )
    try:
        window = {"window_id": window_id_of(BUSINESS_DATE)}
        bare, both = [], []
        with copy.connect() as connection:
            counted = connection.execute(
                text("SELECT count(*) FROM posting WHERE window_id = :window_id"), window
            ).scalar_one()
            for _ in range(2):
                started = time.perf_counter()
                groups = len(connection.execute(_BARE, window).all())
                bare.append(time.perf_counter() - started)
                connection.execute(_BARE_ENTRIES, window).all()
                both.append(time.perf_counter() - started)
        printed = subprocess.run(
            [sys.executable, "-m", __spec__.name, copy.url.render_as_string(hide_password=False)],
            cwd=PROJECT,
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            check=True,
        ).stdout
        measured: dict[str, Any] = json.loads(printed)
        own = sum(measured[step] for step in ("close_seconds", "price_seconds", "net_seconds"))
        return {
            "postings": counted,
            "groups": groups,
            "bare_seconds": min(bare),
            "night_seconds": own,
            "night_ratio": own / min(bare),
            "bare_seconds_of_both": min(both),
            "night_ratio_to_both": own / min(both),
            **measured,
        }
    finally:
        copy.dispose()
        with _admin(filled, "postgres") as run:
            run(f"DROP DATABASE IF EXISTS {_COPY} WITH (FORCE)")


@contextmanager
def _admin(database: Engine, name: str | None = None) -> Iterator[Callable[[str], object]]:
    url = database.url if name is None else database.url.set(database=name)
    admin = create_engine(url, poolclass=NullPool, isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        yield connection.exec_driver_sql


def _night(url: str) -> dict[str, float]:
    """Clear and seal the date; seconds of each step, and the process's memory before and after."""
    database = make_engine(url, schema=SCHEMA, role=application_role(SCHEMA), lock_timeout_ms=60_000)
    measured = {"memory_before_mb": _peak_mb()}
    with database.connect() as connection:
        at = closes_at(read_network(connection), BUSINESS_DATE) + timedelta(minutes=1)
    measured["close_seconds"] = _timed(lambda: close_step(database, BUSINESS_DATE, at=at))
    started = time.perf_counter()
    transactions = price_step(database, BUSINESS_DATE, at=at)
    measured["price_seconds"] = time.perf_counter() - started
    measured["net_seconds"] = _timed(
        lambda: net_step(database, BUSINESS_DATE, at=at, transactions=transactions)
    )
    measured["memory_after_night_mb"] = _peak_mb()
    signer = Signer(Ed25519PrivateKey.generate())
    measured["seal_seconds"] = _timed(lambda: seal_due(database, signer, at))
    measured["memory_after_seal_mb"] = _peak_mb()
    return measured


def _timed(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url")
    sys.stdout.write(json.dumps(_night(parser.parse_args().url)))
