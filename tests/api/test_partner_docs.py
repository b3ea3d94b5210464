"""The partners' pages are true: what they say to type is typed here, and what they show in code is run."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from sqlalchemy import Engine
from sqlalchemy.engine import URL
from tessera_client import Client, Enrolment, new_key, write_key

from api.advice import ADVICE
from api.catalogue import catalogue, problems_of_partners
from api.quickstart import set_up
from config.settings import PROJECT
from tests.api.conftest import real_now
from tests.api.served import served

PAGES = PROJECT / "docs" / "partners"
SNIPPETS = PAGES / "snippets"
BIN = Path(sys.executable).parent
KEY_ID = "supermarket-1"


def test_the_error_catalogue_is_of_today() -> None:
    """docs/partners/errors.md is what the tables say; if this fails: python -m api.catalogue."""
    assert (PAGES / "errors.md").read_text(encoding="utf-8") == catalogue()


def test_every_problem_has_its_place_and_advice() -> None:
    """Each code that a partner can meet is a heading of the catalogue, with a cause and a way on."""
    page = catalogue()
    for code in problems_of_partners():
        assert page.count(f"\n### {code}\n") == 1, code
        assert code in ADVICE, code


def test_links_between_the_pages_lead_somewhere() -> None:
    """No page of the partners' names a file that is not there."""
    for page in PAGES.glob("*.md"):
        for target in re.findall(r"]\(([^)#]+)\)", page.read_text(encoding="utf-8")):
            assert "://" in target or (page.parent / target).exists(), (page.name, target)


def _shell(script: str, folder: Path, environment: Mapping[str, str], *, seconds: int = 240) -> str:
    """Run a script as one types it; what it printed. Whatever it left running ends with it."""
    running = subprocess.Popen(
        ["bash", "-eu", "-o", "pipefail", "-c", script],
        cwd=folder,
        env={**os.environ, **environment, "PATH": f"{BIN}:{os.environ['PATH']}"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
        start_new_session=True,
        text=True,
    )
    try:
        printed, _ = running.communicate(timeout=seconds)
    finally:
        if running.poll() is None:
            os.killpg(running.pid, signal.SIGKILL)
            running.wait()
    assert running.returncode == 0, printed
    return printed


def test_the_pages_to_type_as_they_are_written(tmp_path: Path, empty_database: URL) -> None:
    """Every command of first-earn.md and then of test-mode.md, in a fresh folder and a fresh database."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    pages = "".join((PAGES / name).read_text(encoding="utf-8") for name in ("first-earn.md", "test-mode.md"))
    script = "\n".join(re.findall(r"```sh\n(.*?)```", pages, flags=re.DOTALL)).replace("8080", port)
    environment = {
        "TESSERA_DATABASE_URL": empty_database.render_as_string(hide_password=False),
        "TESSERA_HOME": str(tmp_path / "home"),
        "TESSERA_PORT": port,
        "TESSERA_LOG_LEVEL": "warning",
    }
    printed = _shell(script, tmp_path, environment)
    assert '"points": 12,' in printed
    assert '"balance": 12,' in printed
    assert '"@path": /v1/entries\n"@query": ?limit=5\n' in printed
    assert "insufficient_points" in printed
    assert "refused, as it should be" in printed
    assert re.search(r"^20\d\d-.* (29|30|31) nights are settled$", printed, flags=re.MULTILINE), printed
    assert (tmp_path / "partner" / "grocer-1.pem").stat().st_mode & 0o777 == 0o600


@pytest.fixture
def environment(database: Engine, tmp_path: Path) -> Iterator[Mapping[str, str]]:
    """The small network, served; a key of the supermarket's, and a member's card."""
    key = new_key()
    public = key.public_key().public_bytes_raw()
    assert set_up(database, partner="supermarket", key_id=KEY_ID, public_key=public, now=real_now())
    write_key(tmp_path / "key.pem", key)
    with served(database) as address:
        with Client(address, KEY_ID, key) as client:
            member = client.send(Enrolment(reference="member-1", occurred_at=real_now()))
        yield {
            "TESSERA_URL": address,
            "TESSERA_KEY_ID": KEY_ID,
            "TESSERA_KEY": str(tmp_path / "key.pem"),
            "CARD": str(member.card),
        }


COMMANDS = {
    "earn.py": [sys.executable],
    "earn.sh": ["sh"],
    "earn.mjs": ["node"],
    "Earn.java": ["java"],
    "earn.php": ["php"],
}


def test_the_snippets_earn(environment: Mapping[str, str]) -> None:
    """In every language that is here: a signed sale earns; another language's reference is its own."""
    assert {path.name for path in SNIPPETS.iterdir()} == COMMANDS.keys()
    missing = []
    for number, (name, command) in enumerate(COMMANDS.items()):
        if shutil.which(command[0]) is None:
            missing.append(f"{name}: no {command[0]} here")
            continue
        done = subprocess.run(
            [*command, str(SNIPPETS / name), f"snippet-{number}"],
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, (name, done.stdout, done.stderr)
        assert "201" in done.stdout, (name, done.stdout)
        assert '"points":12' in done.stdout, (name, done.stdout)
    if missing:
        pytest.skip("; ".join(missing) + " (the others earned)")


def test_the_snippets_are_refused_like_anybody(environment: Mapping[str, str]) -> None:
    """The test above can fail: under a key that nobody registered the shell's request is refused."""
    done = subprocess.run(
        ["sh", str(SNIPPETS / "earn.sh"), "snippet"],
        env={**os.environ, **environment, "TESSERA_KEY_ID": "nobody"},
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert '"code":"key_unknown"' in done.stdout
