"""Lanes in processes of their own."""

import os
import socket
import subprocess
import sys
from contextlib import suppress

import msgspec
from sqlalchemy import Engine

from api.lanes.lane import Hire, Hired
from api.logs import LogFormat
from config.settings import PROJECT, Settings

_PATIENCE_SECONDS = 20.0


class Setup(msgspec.Struct, frozen=True):
    """What a lane's process is told first: never in its environment or arguments, where others could read."""

    name: str
    database_url: str
    schema: str
    role: str
    lock_timeout_ms: int
    log_level: str
    log_format: LogFormat = "text"
    traces: str | None = None
    card_key: bytes = b""
    """Opens the secrets of members' cards, and makes the key of codes on paper; may be empty."""


class InProcess:
    """Serves a lane in a process of its own (api.lanes.__main__)."""

    def __init__(self, setup: Setup, channel: socket.socket) -> None:
        self._process = subprocess.Popen(  # noqa: S603 - our own program and arguments, no shell
            [sys.executable, "-m", "api.lanes", str(channel.fileno())],
            cwd=PROJECT,
            env={name: value for name, value in os.environ.items() if not name.startswith("TESSERA_")},
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


def in_processes(database: Engine, settings: Settings, role: str, card_key: bytes = b"") -> Hire:
    """Lanes in processes of their own, on the same database under the same role."""

    def hire(name: str, channel: socket.socket) -> Hired:
        setup = Setup(
            name=name,
            database_url=database.url.render_as_string(hide_password=False),
            schema=settings.database_schema,
            role=role,
            lock_timeout_ms=settings.lock_timeout_ms,
            log_level=settings.log_level,
            log_format=settings.log_format,
            traces=settings.traces,
            card_key=card_key,
        )
        return InProcess(setup, channel)

    return hire
