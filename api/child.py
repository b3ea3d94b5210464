"""The API server as a child process on a free port of the loopback, ended by whoever started it."""

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from config.settings import PROJECT

HOST = "127.0.0.1"
_LAUNCHER = PROJECT / "config" / "launch.py"
_READY_SECONDS = 60.0
_STOP_SECONDS = 20.0
_POLL_SECONDS = 0.05


class ServerFailed(Exception):
    """The server did not become ready, or ended by itself."""


class Server:
    """A running `tessera serve`."""

    def __init__(self, process: "subprocess.Popen[bytes]", base_url: str) -> None:
        self._process = process
        self.base_url = base_url

    @property
    def process_id(self) -> int:
        """Of the server's process."""
        return self._process.pid

    @property
    def authority(self) -> str:
        """Host and port, as requests sign them."""
        return self.base_url.partition("://")[2]

    def kill(self) -> None:
        """End it without a chance to say goodbye (SIGKILL)."""
        self._process.kill()
        self._process.wait()

    def stop(self) -> None:
        """Let it carry out what waits, then end it; kill it if it does not end."""
        self._process.terminate()
        try:
            self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()


@contextmanager
def running_server(environment: Mapping[str, str], log_path: Path) -> Iterator[Server]:
    """Run `tessera serve` for the length of a block.

    However the block ends, the server is told to stop, and killed if it does not. Should this very process
    be killed, the launcher has the kernel stop the server (Linux).

    Args:
        environment: TESSERA_* variables beside the process's own; host and port are set here.
        log_path: Gets what the server says.
    Yields:
        The server, once it is ready.
    Raises:
        ServerFailed: it ended or did not become ready; the error shows the end of its log.
    """
    port = _free_port()
    own = {"TESSERA_HOST": HOST, "TESSERA_PORT": str(port), "TESSERA_AUTHORITY": "", "PYTHONUNBUFFERED": "1"}
    launched_by = (str(_LAUNCHER), str(os.getpid()), "-1", "-1")
    program = (sys.executable, "-m", "api.cli", "serve")
    with log_path.open("wb") as log:
        # a session of its own: Ctrl-C reaches this process alone, which then ends the server in order
        process = subprocess.Popen(  # noqa: S603 - our own program and arguments, no shell
            [sys.executable, "-I", "-S", *launched_by, *program],
            cwd=PROJECT,
            env={**os.environ, **environment, **own},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    server = Server(process, f"http://{HOST}:{port}")
    try:
        _await_ready(process, server.base_url, log_path)
        yield server
    finally:
        server.stop()


def _free_port() -> int:
    """A port that is free now; the server takes it a moment later."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def _await_ready(process: "subprocess.Popen[bytes]", base_url: str, log_path: Path) -> None:
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    deadline = time.monotonic() + _READY_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        try:
            with direct.open(f"{base_url}/health/ready", timeout=2):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(_POLL_SECONDS)
    state = "is not ready" if process.poll() is None else f"ended with status {process.returncode}"
    tail = log_path.read_text(errors="replace").strip().splitlines()[-15:]
    raise ServerFailed("\n".join([f"the API server {state}; its log {log_path} ends with:", *tail]))
