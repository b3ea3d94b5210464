"""What a figure was measured on: processor, memory, how long a flush takes, versions, settings."""

import os
import platform
import statistics
import tempfile
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, text

_FLUSHES = 200
_PACKAGES = ("fastapi", "starlette", "uvicorn", "uvloop", "httptools", "msgspec", "psycopg", "cryptography")
_SETTINGS = (
    "server_version",
    "fsync",
    "synchronous_commit",
    "full_page_writes",
    "wal_sync_method",
    "wal_level",
    "commit_delay",
    "data_checksums",
    "shared_buffers",
    "work_mem",
    "max_wal_size",
    "checkpoint_timeout",
    "max_connections",
    "max_parallel_workers_per_gather",
    "jit",
)


def describe_machine(folder: Path) -> dict[str, Any]:
    """The machine and its software; `folder` is on the disk whose flush is timed."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "memory_gb": round(memory / 2**30, 1),
        "kernel": platform.release(),
        "flush_us": round(flush_seconds(folder) * 1e6),
        "load_before": os.getloadavg()[0],
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in _PACKAGES},
    }


def describe_postgres(database: Engine) -> dict[str, str]:
    """The settings that the figures depend on, as the server says them."""
    with database.connect() as connection:
        return {name: str(connection.scalar(text(f"SHOW {name}"))) for name in _SETTINGS}


def flush_seconds(folder: Path) -> float:
    """Median time until 8 KB that were written to a file are on the disk."""
    folder.mkdir(parents=True, exist_ok=True)
    taken = []
    with tempfile.TemporaryFile(dir=folder) as file:
        for _ in range(_FLUSHES):
            file.seek(0)
            file.write(b"x" * 8192)
            file.flush()
            started = time.perf_counter()
            os.fdatasync(file.fileno())
            taken.append(time.perf_counter() - started)
    return statistics.median(taken)


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "none"
