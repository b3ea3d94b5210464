"""`tessera export journal` as an operator types it: files and streams, dates, and what goes wrong."""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import Engine
from typer.testing import CliRunner

from api.cli import app
from tests.coalition import START, new_card, run, sale, set_up
from tests.journal_readers import read_beancount

SECONDS = 60
Exporting = Callable[..., "subprocess.CompletedProcess[bytes]"]


@pytest.fixture
def export(database: Engine, database_url: str, tmp_path: Path) -> Exporting:
    """Run `tessera export journal` on a ledger of one member with twelve points."""
    live = set_up(database)
    run(database, live, sale(new_card(database, live), 1299, "r1", at=START))

    def exporting(*arguments: str) -> "subprocess.CompletedProcess[bytes]":
        return subprocess.run(
            [sys.executable, "-m", "api.cli", "export", "journal", *arguments],
            env={**os.environ, "TESSERA_DATABASE_URL": database_url, "TESSERA_SCHEMA": "tessera"},
            capture_output=True,
            timeout=SECONDS,
            check=False,
        )

    return exporting


def test_beancount_comes_as_a_stream(export: Exporting) -> None:
    """Without --out the journal is on standard output, and nothing else is on either."""
    done = export("--format", "beancount")
    assert (done.returncode, done.stderr) == (0, b"")
    read = read_beancount(done.stdout.decode())
    assert read.errors == []
    assert read.accounts() == {"Expenses:Issued:Grocer": 12, "Liabilities:Members:Grocer:M1": -12}


def test_hledger_comes_as_a_file(export: Exporting, tmp_path: Path) -> None:
    """With --out it is in that file, the same bytes as on the stream, and no part is left beside it."""
    file = tmp_path / "may.journal"
    done = export("--format", "hledger", "--window", "2017-05-01", "--out", str(file))
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    assert [one.name for one in tmp_path.iterdir()] == ["may.journal"]
    written = file.read_bytes()
    assert written.count(b"12 PTS  ; lot:Grocer/1/2017-08-31") == 2
    assert export("--format", "hledger", "--from", "2017-05-01", "--out", "-").stdout == written


def test_what_goes_wrong_is_said_in_a_line(export: Exporting, tmp_path: Path) -> None:
    """A date without a window, a folder that is not there: one line, status 1, and no file."""
    file = tmp_path / "none"
    done = export("--format", "hledger", "--window", "2017-05-02", "--out", str(file))
    assert done.returncode == 1
    assert b"tessera: 2017-05-02 has no window: business dates run from 2017-05-01" in done.stderr
    done = export("--format", "hledger", "--out", str(tmp_path / "no" / "folder"))
    assert done.returncode == 1
    assert re.fullmatch(rb"tessera export journal: cannot write .*: No such file.*\n", done.stderr)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--format", "ledger"], "'ledger' is not one of"),
        (["--format", "hledger", "--window", "1 May"], "write it as 2017-05-31"),
        (["--format", "hledger", "--window", "2017-05-01", "--to", "2017-05-02"], "give one date, or"),
        ([], "Missing option '--format'"),
    ],
)
def test_wrong_arguments_are_refused(arguments: list[str], said: str) -> None:
    """Before any database is opened, with status 2 and what to write instead."""
    answered = CliRunner().invoke(app, ["export", "journal", *arguments])
    assert answered.exit_code == 2
    assert said in answered.output
