"""Where clusters of the embedded PostgreSQL lie that end with their run: in memory, where there is plenty.

A test makes and drops a database of a thousand small files; on a disk that is most of its time. Standard
library only.
"""

import hashlib
import os
from contextlib import suppress
from pathlib import Path

from config.cluster import claim, postgres_home
from config.errors import PostgresError

_IN_MEMORY = Path("/dev/shm")  # noqa: S108  # anybody may write there, so our folder is claimed
_LEAST_BYTES = 6 << 30
"""What must be free; a run of tests takes less than one."""


def memory_home(project: Path) -> Path:
    """The folder in memory of a user's runs of a project; it may not be there."""
    digest = hashlib.sha256(os.fsencode(project.resolve())).hexdigest()[:10]
    return _IN_MEMORY / f"tessera-{os.geteuid()}-{digest}"


def throwaway_home(project: Path, given: Path | None) -> Path:
    """The home of clusters that end with their run: as given; or in memory; or as that of any other."""
    if given is None and _free_bytes() >= _LEAST_BYTES:
        home = memory_home(project)
        with suppress(PostgresError, OSError):  # it is somebody else's, or cannot be written
            claim(home, 0o711 if os.geteuid() == 0 else 0o700)
            return home
    return postgres_home(project, given)


def _free_bytes() -> int:
    """What the file system in memory has room for and the machine has to spare; 0 where nobody says."""
    try:
        there = os.statvfs(_IN_MEMORY)
        memory = dict(
            line.split(":", 1) for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        )
        available = int(memory["MemAvailable"].split()[0]) << 10
    except (OSError, ValueError, KeyError):
        return 0
    return min(there.f_bavail * there.f_frsize, available)
