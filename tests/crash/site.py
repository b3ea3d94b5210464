"""What is killed: PostgreSQL with durable settings, API servers, the night; and how each is started again.

Linux only: server processes are found in /proc.
"""

import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from datetime import date
from pathlib import Path
from random import Random
from typing import IO

from api.child import Server as ApiServer
from api.child import ServerFailed, running_server
from config.cluster import remove_tree
from config.database import create_database
from config.postgres import Server, embedded_server
from config.settings import PROJECT

DATABASE = "tessera"
# Small buffers and frequent checkpoints, so that every process of the server has work to be killed at. fsync
# and synchronous_commit are on by default and stay on.
_SETTINGS = {
    "shared_buffers": "16MB",
    "checkpoint_timeout": "30s",
    "max_wal_size": "64MB",
    "wal_writer_delay": "10ms",
}
_LAUNCHER = PROJECT / "config" / "launch.py"
_ENDED_SECONDS = 20.0
_GLIMPSES = 500
_STARTS = 5


class Postgres:
    """One cluster of our own, which survives its server's deaths."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._name = f"tests-crash-{os.getpid()}-{secrets.token_hex(3)}"
        self._stack = ExitStack()
        self.server: Server

    def start(self) -> None:
        """Start it; after a kill it first recovers from its log."""
        self._stack = ExitStack()
        self.server = self._stack.enter_context(
            embedded_server(self._home, name=self._name, settings=_SETTINGS)
        )
        create_database(self.server, DATABASE)

    def stop(self) -> None:
        """End it in order, or what a kill left of it: no process of the cluster is there afterwards.

        Orphans of a killed postmaster leave as soon as they look up, which is when their statement is done.
        Until then its shared memory is in use, and a new postmaster would refuse to start.
        """
        self._stack.close()

    def remove(self) -> None:
        """Stop it, and remove its data."""
        self.stop()
        remove_tree(self._home.resolve() / self._name)

    @property
    def url(self) -> str:
        """Of the ledger's database; the same after a restart."""
        return self.server.url(DATABASE)

    def kill_postmaster(self) -> None:
        """SIGKILL to the server's first process."""
        os.kill(self.server.pid, signal.SIGKILL)

    def kill_child(self, title: str, random: Random) -> bool:
        """SIGKILL to one of its processes whose title begins so; the postmaster then restarts all others.

        A backend is rather hit while it works than while it waits for its client, and every other time
        while it commits: that is when an answer that was given too early would be lost.
        """
        wanted = random.choice(("COMMIT", ""))
        victim = 0
        for _ in range(_GLIMPSES):
            for pid, said in self._children(title):
                if said.endswith(wanted) and not said.endswith("idle"):
                    os.kill(pid, signal.SIGKILL)
                    return True
                victim = pid
        if not victim:
            return False
        os.kill(victim, signal.SIGKILL)
        return True

    def _children(self, title: str) -> list[tuple[int, str]]:
        """Processes of the server by pid and title: "postgres: tessera tessera [local] COMMIT"."""
        found = []
        for pid in children_of(self.server.pid):
            try:
                said = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").strip("\0 ")
            except OSError:
                continue  # it has just ended
            if said.startswith(f"postgres: {title}"):
                found.append((pid, said))
        return found


class Night:
    """`tessera clear` as a process of its own, run again until it has succeeded."""

    def __init__(self, on: date, environment: dict[str, str], log: Path) -> None:
        self.on = on
        self.cut_off = 0
        self._environment = {**os.environ, **environment}
        self._log = log
        self._process = self._begin()

    def is_done(self) -> bool:
        """Whether it has succeeded; one that was killed, or lost its database, is begun again."""
        if self._process.poll() is None:
            return False
        if self._process.returncode == 0:
            return True
        self.cut_off += 1
        self._process = self._begin()
        return False

    def kill(self) -> bool:
        """SIGKILL; false where it had ended before."""
        was_running = self._process.poll() is None
        self._process.kill()
        self._process.wait(_ENDED_SECONDS)
        return was_running

    def _begin(self) -> "subprocess.Popen[bytes]":
        with self._log.open("ab") as log:
            return start_child(
                "-m",
                "api.cli",
                "clear",
                "--date",
                self.on.isoformat(),
                environment=self._environment,
                log=log,
            )


def children_of(process_id: int) -> list[int]:
    """The processes that a process has started and that have not ended."""
    children = Path(f"/proc/{process_id}/task/{process_id}/children").read_text(encoding="ascii")
    return [int(pid) for pid in children.split()]


def start_child(
    *arguments: str, environment: dict[str, str], log: IO[bytes], piped: bool = False
) -> "subprocess.Popen[bytes]":
    """A Python process that ends when this one does, however this one ends."""
    launched_by = (str(_LAUNCHER), str(os.getpid()), "-1", "-1")
    return subprocess.Popen(
        [sys.executable, "-I", "-S", *launched_by, sys.executable, *arguments],
        cwd=PROJECT,
        env=environment,
        stdin=subprocess.PIPE if piped else subprocess.DEVNULL,
        stdout=log,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )


class Apis:
    """The API servers, each on a port of its own that changes with every start."""

    def __init__(self, folder: Path, environment: dict[str, str], moved: Callable[[list[str]], None]) -> None:
        self._folder = folder
        self._environment = environment
        self._moved = moved
        self._stacks: dict[int, ExitStack] = {}
        self._servers: dict[int, ApiServer] = {}
        self._starts = 0

    def start(self, slot: int) -> None:
        """Start a server, and tell the clients where it is."""
        self._starts += 1
        stack = ExitStack()
        log = self._folder / f"api-{self._starts:03}.log"
        self._servers[slot] = stack.enter_context(running_server(self._environment, log))
        self._stacks[slot] = stack
        self._moved([server.base_url for server in self._servers.values()])

    def kill(self, slot: int) -> None:
        """SIGKILL; the clients go on asking at its address until the next start."""
        self._servers[slot].kill()
        self._stacks.pop(slot).close()

    def kill_lane(self, slot: int, random: Random) -> bool:
        """SIGKILL to a process that serves one of its lanes; the server starts another."""
        lanes = children_of(self._servers[slot].process_id)
        if lanes:
            os.kill(random.choice(lanes), signal.SIGKILL)
        return bool(lanes)

    def restart(self, slot: int) -> None:
        """Start it again where it was killed, as a supervisor would: until it finds its database."""
        self._servers.pop(slot)
        for left in reversed(range(_STARTS)):
            try:
                return self.start(slot)
            except ServerFailed:
                if not left:
                    raise
        return None

    def stop(self) -> None:
        """End all in order."""
        while self._stacks:
            self._stacks.popitem()[1].close()

    @property
    def slots(self) -> list[int]:
        """The servers' numbers."""
        return sorted(self._stacks)


def await_true(what: Callable[[], bool], seconds: float, complaint: str) -> None:
    """Look until something is so.

    Raises:
        TimeoutError: it was not so all that time.
    """
    deadline = time.monotonic() + seconds
    while not what():
        if time.monotonic() > deadline:
            raise TimeoutError(complaint)
        time.sleep(0.02)
