"""The embedded PostgreSQL runs as anybody, keeps what it acknowledged, and leaves nothing behind."""

import os
import pwd
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import NullPool, create_engine, text

from config import throwaway
from config.cluster import claim, postgres_home, prepare, run
from config.database import create_database
from config.errors import PostgresError
from config.postgres import Server, embedded_server, remove, sweep
from config.settings import PROJECT
from config.throwaway import memory_home, throwaway_home

IS_ROOT = os.geteuid() == 0
STARTER = """
import sys
from pathlib import Path
from config.postgres import embedded_server
with embedded_server(Path(sys.argv[1])) as server:
    print(server.pid, flush=True)
    sys.stdin.read()
"""


def modes(folder: Path) -> dict[Path, tuple[int, int, int]]:
    """Mode, owner and group of a folder and of all above it."""
    return {
        step: (stat.S_IMODE(found.st_mode), found.st_uid, found.st_gid)
        for step in (folder, *folder.parents)
        for found in [step.stat()]
    }


def connect(server: Server, database: str = "postgres") -> psycopg.Connection:
    """A connection as our commands make one, committing each statement."""
    return psycopg.connect(
        host=str(server.socket_dir),
        user="tessera",
        password=server.password,
        dbname=database,
        autocommit=True,
    )


def ask(server: Server, query: str, database: str = "postgres") -> object:
    """The one value that a query returns."""
    with connect(server, database) as connection:
        row = connection.execute(query.encode()).fetchone()
    assert row is not None
    return row[0]


def is_alive(pid: int) -> bool:
    """Whether a process runs (one that ended and waits for its parent does not)."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return False
    return status.rpartition(")")[2].split()[0] != "Z"


def wait_until_gone(pid: int) -> None:
    """Wait, half a minute at most, until a process has ended."""
    for _ in range(600):
        if not is_alive(pid):
            return
        time.sleep(0.05)
    pytest.fail(f"process {pid} still runs")


def launch(home: Path) -> "subprocess.Popen[str]":
    """A command that runs the server until its input is closed."""
    command = [sys.executable, "-c", STARTER, str(home)]
    return subprocess.Popen(
        command, cwd=PROJECT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def said_pid(process: "subprocess.Popen[str]") -> int:
    """The server's pid, which a command says once the server is ready."""
    assert process.stdout is not None
    return int(process.stdout.readline())


@pytest.fixture(scope="module")
def home() -> Iterator[Path]:
    """A folder that the server's user can reach, with a space in its name."""
    folder = Path(tempfile.mkdtemp(prefix="tessera test ", dir="/tmp"))
    if IS_ROOT:
        folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


def test_it_is_real_private_and_durable(home: Path) -> None:
    """PostgreSQL 18, durable, with checksums, no network address, and an owner that is no superuser."""
    with embedded_server(home) as server:
        assert int(str(ask(server, "SHOW server_version_num"))) // 10_000 == 18
        assert ask(server, "SHOW fsync") == "on"
        assert ask(server, "SHOW synchronous_commit") == "on"
        assert ask(server, "SHOW full_page_writes") == "on"
        assert ask(server, "SHOW data_checksums") == "on"
        assert ask(server, "SHOW listen_addresses") == ""
        assert ask(server, "SELECT rolsuper FROM pg_roles WHERE rolname = current_user") is False
        assert ask(server, "SHOW server_encoding") == "UTF8"
        assert ask(server, "SELECT datcollate FROM pg_database WHERE datname = 'postgres'") == "C"
        assert stat.S_IMODE(server.socket_dir.stat().st_mode) == 0o700
        assert stat.S_IMODE((home / "postgres" / "data").stat().st_mode) == 0o700
        assert stat.S_IMODE((home / "postgres" / "password").stat().st_mode) == 0o600
    assert not is_alive(server.pid)


def test_a_wrong_password_is_refused(home: Path) -> None:
    """Whoever reaches the socket still needs the password."""
    with embedded_server(home) as server, pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(host=str(server.socket_dir), user="tessera", password="guess", dbname="postgres")  # noqa: S106


def test_its_url_and_its_tools_connect(home: Path) -> None:
    """SQLAlchemy with `url`, and psql with `environment`, reach the server although its path has a space."""
    with embedded_server(home) as server:
        engine = create_engine(server.url("postgres"), poolclass=NullPool)
        with engine.connect() as connection:
            assert connection.scalar(text("SELECT current_user")) == "tessera"
        psql = [str(server.bin_dir / "psql"), "-Atc", "SELECT current_user"]
        shown = subprocess.run(
            psql, env=server.environment("postgres"), capture_output=True, text=True, check=True
        )
        assert shown.stdout == "tessera\n"


def test_who_comes_second_joins_and_leaves_it_running(home: Path) -> None:
    """A second user of the data folder gets the same server, which ends with the first one only."""
    with embedded_server(home) as first:
        with embedded_server(home) as second:
            assert second.pid == first.pid
            assert second.url() == first.url()
        assert ask(first, "SELECT 1") == 1
    assert not is_alive(first.pid)


def test_two_starters_at_once_share_one_server(home: Path) -> None:
    """Two commands start together where nothing is there yet: one makes it all, the other joins it."""
    fresh = home / "fresh"
    processes = [launch(fresh) for _ in range(2)]
    pids = [said_pid(process) for process in processes]
    for process in processes:
        process.communicate(timeout=60)
    assert [process.returncode for process in processes] == [0, 0]
    assert pids[0] == pids[1]
    assert not is_alive(pids[0])
    shutil.rmtree(fresh)


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGINT, 1)]
)
def test_a_signal_to_the_command_ends_the_server_first(home: Path, number: int, code: int) -> None:
    """SIGTERM, a closed terminal and Ctrl-C: when the command has ended, so has its server."""
    process = launch(home)
    pid = said_pid(process)
    process.send_signal(number)
    process.communicate(timeout=60)
    assert process.returncode in {code, -number}
    assert not is_alive(pid)
    assert not (home / "postgres" / "data" / "postmaster.pid").exists()


def test_kill_9_of_the_command_ends_the_server_too(home: Path) -> None:
    """The kernel tells the server to shut down when its starter dies somehow; the next start is clean."""
    process = launch(home)
    pid = said_pid(process)
    process.kill()
    process.communicate(timeout=60)
    wait_until_gone(pid)
    with embedded_server(home) as server:
        assert server.pid != pid


def test_kill_9_of_the_server_loses_nothing_acknowledged(home: Path) -> None:
    """Rows whose commit was answered are there after the server was killed and started again."""
    with embedded_server(home) as server:
        create_database(server, "kept")
        with connect(server, "kept") as connection:
            connection.execute("CREATE TABLE kept (n int)")
            connection.execute("INSERT INTO kept VALUES (41), (42)")
        os.kill(server.pid, signal.SIGKILL)
    with embedded_server(home) as server:
        assert ask(server, "SELECT array_agg(n ORDER BY n)::text FROM kept", "kept") == "{41,42}"


def test_an_owner_of_older_data_may_make_roles_from_the_next_start_on(home: Path) -> None:
    """Data made when the owner could not make roles: it is given the right once, before the server starts."""
    name = "tests-older"
    with embedded_server(home, name=name):
        pass
    cluster = prepare(home, name, os.environ)
    (cluster.folder / "owner_makes_roles").unlink()
    command = ("postgres", "--single", "-D", str(cluster.data), "postgres")
    run(cluster, *command, text="ALTER ROLE tessera NOCREATEROLE\n")
    with embedded_server(home, name=name) as server:
        assert ask(server, "SELECT rolcreaterole FROM pg_roles WHERE rolname = current_user") is True
    shutil.rmtree(home / name)


def test_a_pid_file_left_by_a_crash_does_not_stop_the_start(home: Path) -> None:
    """After a power cut the pid in postmaster.pid may be any other process's by now."""
    with embedded_server(home) as server:
        pid_file = home / "postgres" / "data" / "postmaster.pid"
        lines = pid_file.read_text(encoding="utf-8").splitlines()
        owner = pid_file.stat()
    other = subprocess.Popen(["sleep", "60"], user=owner.st_uid if IS_ROOT else None)
    try:
        pid_file.write_text("\n".join([str(other.pid), *lines[1:]]) + "\n", encoding="utf-8")
        os.chown(pid_file, owner.st_uid, owner.st_gid)
        with embedded_server(home) as server:
            assert ask(server, "SELECT 1") == 1
        assert other.poll() is None
    finally:
        other.kill()
        other.wait()


def test_an_initdb_that_was_cut_short_is_done_again(home: Path) -> None:
    """A data folder under its working name is no data folder: it is made anew."""
    torn = home / "tests-torn"
    claim(torn, 0o711)
    (torn / "data.new" / "base").mkdir(parents=True)
    with embedded_server(home, name="tests-torn", throwaway=True) as server:
        assert ask(server, "SELECT 1") == 1
        assert not (torn / "data.new").exists()


def test_it_outlives_the_thread_that_started_it(home: Path) -> None:
    """The parent-death signal is tied to a thread, so a server must not end with the thread of its caller."""
    stack = ExitStack()
    with ThreadPoolExecutor(1) as pool:
        server = pool.submit(stack.enter_context, embedded_server(home)).result()
    time.sleep(0.3)  # a shutdown would have begun
    assert ask(server, "SELECT 1") == 1
    stack.close()
    assert not is_alive(server.pid)


def test_a_long_path_keeps_its_socket_in_a_short_folder(home: Path) -> None:
    """A path too long for a socket: it lies in a private folder in /tmp, which goes with the server."""
    name = "tests-" + "long" * 30
    with embedded_server(home, name=name, throwaway=True) as server:
        assert server.socket_dir.parent == Path("/tmp")  # noqa: S108  # compared, not used
        assert stat.S_IMODE(server.socket_dir.stat().st_mode) == 0o700
        assert ask(server, "SELECT 1") == 1
    assert not server.socket_dir.exists()
    assert not (home / name).exists()


def test_a_start_that_fails_shows_why_and_what_to_do(home: Path) -> None:
    """The error carries the server's own words and a way out, and no process is left."""
    with (
        pytest.raises(PostgresError) as caught,
        embedded_server(home, settings={"shared_buffers": "plenty"}),
    ):
        pass
    assert 'invalid value for parameter "shared_buffers": "plenty"' in str(caught.value)
    assert "TESSERA_DATABASE_URL" in str(caught.value)
    with embedded_server(home) as server:
        assert ask(server, "SELECT 1") == 1


def test_data_of_another_major_version_is_refused(home: Path) -> None:
    """The error names both versions; nothing is touched."""
    old = home / "tests-old"
    with embedded_server(home, name=old.name):
        pass
    version = old / "data" / "PG_VERSION"
    version.write_text("14\n", encoding="ascii")
    with (
        pytest.raises(PostgresError, match=r"made by PostgreSQL 14, .* PostgreSQL 18"),
        embedded_server(home, name=old.name),
    ):
        pass
    shutil.rmtree(old)


def test_modes_above_stay_as_they_are(home: Path) -> None:
    """In a home of mode 700 an ordinary user's server runs; root's is refused there, with the reason.

    Either way no folder on the path changes its mode or owner.
    """
    shut = home / "shut"
    shut.mkdir(mode=0o700)
    before = modes(shut)
    try:
        if IS_ROOT:
            with (
                pytest.raises(PostgresError, match=r"'nobody'.*cannot enter .*/shut; .*TESSERA_HOME"),
                embedded_server(shut / "clone", environ={}),
            ):
                pass
        else:
            with embedded_server(shut / "clone", throwaway=True) as server:
                assert ask(server, "SELECT 1") == 1
        assert modes(shut) == before
    finally:
        for folder, (mode, *_) in before.items():
            if stat.S_IMODE(folder.stat().st_mode) != mode:
                folder.chmod(mode)  # a launcher that fails this test must not leave /tmp changed
        shutil.rmtree(shut)


@pytest.mark.parametrize(("name", "message"), [("nobody-at-all", "there is no user"), ("root", "is root")])
def test_only_root_needs_another_account_and_it_must_be_usable(home: Path, name: str, message: str) -> None:
    """TESSERA_POSTGRES_USER must name an unprivileged user that exists; an ordinary user needs none."""
    server = embedded_server(home, environ={"TESSERA_POSTGRES_USER": name})
    if IS_ROOT:
        with pytest.raises(PostgresError, match=message), server:
            pass
    else:
        with server as running:
            assert ask(running, "SELECT 1") == 1


def test_it_never_runs_as_root(home: Path) -> None:
    """For root it runs as nobody, without groups, from binaries that stay root's; else as the caller."""
    with embedded_server(home, environ={}) as server:
        runs_as = Path(f"/proc/{server.pid}").stat().st_uid
        status = Path(f"/proc/{server.pid}/status").read_text(encoding="utf-8")
        if IS_ROOT:
            assert runs_as == pwd.getpwnam("nobody").pw_uid
            assert [line.split()[1:] for line in status.splitlines() if line.startswith("Groups:")] == [[]]
            assert server.bin_dir.is_relative_to(home)
            assert [path.stat().st_uid for path in (server.bin_dir / "postgres", home / "postgres")] == [0, 0]
        else:
            assert runs_as == os.geteuid()
            assert not server.bin_dir.is_relative_to(home)


def test_the_default_home_follows_who_runs_it(tmp_path: Path) -> None:
    """The folder given; else an ordinary user's in the project, root's in /var/lib by the project's path."""
    assert postgres_home(tmp_path, tmp_path / "given") == tmp_path / "given"
    home = postgres_home(tmp_path, None)
    if IS_ROOT:
        assert home.parent == Path("/var/lib/tessera")
        assert home.name.startswith(f"{tmp_path.name}-")
        assert home != postgres_home(tmp_path.parent, None)
    else:
        assert home == tmp_path / ".tessera"


def test_what_killed_runs_left_is_swept_and_what_runs_is_not(home: Path) -> None:
    """Folders of throwaway clusters without a process go; a running server's stays, and so does a new one."""
    for name in ("tests-dead", "tests-new"):
        claim(home / name, 0o711)
    (home / "tests-dead" / "data").mkdir()
    (home / "tests-of-a-thesis").mkdir()
    os.utime(home / "tests-of-a-thesis", (0, 0))
    with embedded_server(home, name="tests-live", throwaway=True) as server:
        for name in ("tests-dead", "tests-live"):
            os.utime(home / name, (0, 0))
        sweep(home, "tests-*")
        assert not (home / "tests-dead").exists()
        assert (home / "tests-new").exists()
        assert (home / "tests-of-a-thesis").exists()
        assert ask(server, "SELECT 1") == 1


def test_what_is_not_ours_is_neither_used_nor_changed_nor_removed(home: Path) -> None:
    """A folder or a link of somebody else under one of our names stays what it is, its target too."""
    own = home / "shared"
    other = home / "other"
    other.mkdir(mode=0o700)
    own.mkdir(mode=0o755)
    (own / "postgres").symlink_to(other)
    (own / "postgresql-99").mkdir(mode=0o700)
    before = modes(other)
    for name in ("postgres", "postgresql-99"):
        with (
            pytest.raises(PostgresError, match="was not made by Tessera"),
            embedded_server(own, name=name),
        ):
            pass
    remove(own)
    assert (own / "postgres").is_symlink()
    assert stat.S_IMODE((own / "postgresql-99").stat().st_mode) == 0o700
    assert modes(other) == before
    shutil.rmtree(own)


@pytest.mark.skipif(not IS_ROOT, reason="an ordinary user has nobody to be misled by")
def test_root_keeps_no_database_where_others_may_change_things(home: Path) -> None:
    """A home that somebody else owns, or that everybody may write to, is refused for root."""
    for name, owner, mode in (("foreign", 65534, 0o755), ("open", 0, 0o777)):
        folder = home / name
        folder.mkdir()
        folder.chmod(mode)
        os.chown(folder, owner, -1)
        with pytest.raises(PostgresError, match="can be changed by others"), embedded_server(folder):
            pass
        folder.rmdir()


def test_remove_refuses_while_a_server_runs_and_then_removes_all(home: Path) -> None:
    """`make clean` takes nothing from under a running server, and leaves nothing of ours afterwards."""
    own = home / "to remove"
    with embedded_server(own) as server:
        with pytest.raises(PostgresError, match=f"process {server.pid}"):
            remove(own)
        assert ask(server, "SELECT 1") == 1
    remove(own)
    assert not own.exists()


def test_clusters_of_tests_lie_in_memory_where_there_is_plenty(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a folder of ours, which `remove` takes away; not where memory is short or it is another's."""
    monkeypatch.setattr(throwaway, "_IN_MEMORY", tmp_path)
    monkeypatch.setattr(throwaway, "_LEAST_BYTES", 0)
    project = tmp_path / "project"
    assert throwaway_home(project, tmp_path / "given") == tmp_path / "given"
    home = throwaway_home(project, None)
    assert home == throwaway_home(project, None) == memory_home(project)
    assert home.parent == tmp_path
    (home / "another's").touch()
    remove(home)
    assert home.is_dir()
    (home / "another's").unlink()
    remove(home)
    assert not home.exists()
    home.mkdir()  # without our mark
    assert throwaway_home(project, None) == postgres_home(project, None)
    home.rmdir()
    monkeypatch.setattr(throwaway, "_LEAST_BYTES", 1 << 60)
    assert throwaway_home(project, None) == postgres_home(project, None)
