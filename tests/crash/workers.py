"""Processes that take a night on, and how each is caught in the middle of a step and killed (SIGKILL).

They are forked by a server that has everything imported, so that each costs a few milliseconds.
"""

import multiprocessing
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection as Pipe
from multiprocessing.context import ForkServerProcess

from sqlalchemy import Connection, Engine, text

from tests.crash.steps import Task, work

_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload(["tests.crash.steps"])
_SECONDS = 60.0
_WAITING = text(
    "SELECT a.pid, a.application_name FROM pg_locks l JOIN pg_stat_activity a USING (pid)"
    " WHERE NOT l.granted AND l.relation = to_regclass(:relation) AND a.datname = current_database()"
)
_ALIVE = text(
    "SELECT count(*) FROM pg_stat_activity WHERE application_name = :name AND datname = current_database()"
)


class Worker:
    """A process that takes the night on."""

    def __init__(self, url: str, name: str, through: str) -> None:
        self.name = name
        self._pipe, theirs = _FORKS.Pipe()
        self._process: ForkServerProcess = _FORKS.Process(
            target=work, args=(Task(url, name, through), theirs), daemon=True
        )
        self._process.start()
        theirs.close()

    @property
    def pipe(self) -> Pipe:
        """Says `done`, or what went wrong."""
        return self._pipe

    def said(self) -> str:
        """What it says at last.

        Raises:
            TimeoutError: nothing in a minute.
            EOFError: it ended.
        """
        if not self._pipe.poll(_SECONDS):
            raise TimeoutError(f"{self.name} says nothing")
        return str(self._pipe.recv())

    def kill(self) -> None:
        """SIGKILL, and see it gone."""
        self._process.kill()
        self._process.join(_SECONDS)
        self._pipe.close()
        self._process.close()


@contextmanager
def workers(url: str, through: str, *names: str) -> Iterator[dict[str, Worker]]:
    """Processes for the length of a block; those that are left in the mapping are killed at its end."""
    found = {name: Worker(url, name, through) for name in names}
    try:
        yield found
    finally:
        for one in found.values():
            one.kill()


@contextmanager
def held(owner: Engine, relation: str) -> Iterator[Connection]:
    """Keep everybody from writing into a table, for the length of a block."""
    with owner.connect() as connection, connection.begin():
        connection.execute(text(f"LOCK TABLE {relation} IN SHARE MODE"))
        yield connection


def caught(owner: Engine, relation: str) -> str:
    """The name of the process that has done all of its step but a write into a table that is held.

    Raises:
        TimeoutError: nobody came there in a minute.
    """
    deadline = time.monotonic() + _SECONDS
    with owner.connect() as connection:
        while time.monotonic() < deadline:
            row = connection.execute(_WAITING, {"relation": relation}).first()
            connection.rollback()
            if row is not None:
                return str(row.application_name)
            time.sleep(0.002)
    raise TimeoutError(f"nobody has come to write into {relation}")


def wait_gone(owner: Engine, name: str) -> None:
    """Wait until the server has noticed that a killed process is gone, and undone what it had begun.

    Raises:
        TimeoutError: it has not in a minute.
    """
    deadline = time.monotonic() + _SECONDS
    with owner.connect() as connection:
        while time.monotonic() < deadline:
            left = connection.execute(_ALIVE, {"name": name}).scalar_one()
            connection.rollback()
            if not left:
                return
            time.sleep(0.002)
    raise TimeoutError(f"the connections of {name} are still there")
