"""Who serves a lane: a thread of this process, or a process of its own."""

import socket
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from threading import Thread

import msgspec
from sqlalchemy import Engine

from api.lanes.lane import Hire, Hired
from api.lanes.serving import serve
from api.rules_cache import RulesCache
from config.settings import PROJECT, Settings
from network.engine import Outcome, carry_out
from network.errors import NetworkError
from network.model import Command

MAX_BATCH = {"tills": 512, "files": 2_000}
"""Most commands of one transaction, by lane."""
_PATIENCE_SECONDS = 20.0


class Setup(msgspec.Struct, frozen=True):
    """What a lane's process is told first: never in its environment or arguments, where others could read."""

    name: str
    database_url: str
    schema: str
    role: str
    lock_timeout_ms: int
    log_level: str


def serve_on(database: Engine, name: str, channel: socket.socket) -> None:
    """Serve a lane on a database, under its live rules, until the door closes the socket."""
    rules = RulesCache(database)

    def carry_out_live(callers: Sequence[Sequence[Command]]) -> list[Outcome]:
        try:
            live = rules()
        except NetworkError as error:
            return [error] * len(callers)
        return carry_out(database, callers, live)

    serve(channel, carry_out_live, max_batch=MAX_BATCH[name])


class InThread:
    """Serves a lane in a thread of this process."""

    def __init__(self, database: Engine, name: str, channel: socket.socket) -> None:
        # a socket of its own: the door closes the one it handed over
        arguments = (database, name, channel.dup())
        self._thread = Thread(target=serve_on, args=arguments, name=name, daemon=True)
        self._thread.start()

    def ended(self) -> None:
        """Wait until it has answered all that was asked."""
        self._thread.join()


class InProcess:
    """Serves a lane in a process of its own (api.lanes.__main__)."""

    def __init__(self, setup: Setup, channel: socket.socket) -> None:
        self._process = subprocess.Popen(  # noqa: S603 - our own program and arguments, no shell
            [sys.executable, "-m", "api.lanes", str(channel.fileno())],
            cwd=PROJECT,
            pass_fds=(channel.fileno(),),
            stdin=subprocess.PIPE,
            process_group=0,  # Ctrl-C reaches the door alone, which lets the lane end in order
        )
        pipe = self._process.stdin
        if pipe is not None:
            with suppress(BrokenPipeError), pipe:  # broken: it ended at once, and another will be hired
                pipe.write(msgspec.json.encode(setup))

    def ended(self) -> None:
        """Wait until it has answered all that was asked; end it where it does not."""
        try:
            self._process.wait(_PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def in_threads(database: Engine) -> Hire:
    """Lanes in threads: for tests, and for who embeds the application."""
    return lambda name, channel: InThread(database, name, channel)


def in_processes(database: Engine, settings: Settings, role: str) -> Hire:
    """Lanes in processes of their own, on the same database under the same role."""

    def hire(name: str, channel: socket.socket) -> Hired:
        setup = Setup(
            name=name,
            database_url=database.url.render_as_string(hide_password=False),
            schema=settings.database_schema,
            role=role,
            lock_timeout_ms=settings.lock_timeout_ms,
            log_level=settings.log_level,
        )
        return InProcess(setup, channel)

    return hire
