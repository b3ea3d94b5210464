"""`tessera night` as operators give it: from netted to instructed, and back again."""

import re
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine
from typer.testing import CliRunner, Result

from api.cli import app
from network.service import set_clock
from settlement.service import clear
from tests.coalition import START, burn, new_card, run, sale, set_up
from tests.people import faults_of, settle_in

NIGHT = "2017-05-01"


@pytest.fixture
def environment(database: Engine, database_url: str, tmp_path: Path) -> dict[str, str]:
    """A network with one night that is netted; max, a maker, and cleo, a checker, have signed in."""
    live = set_up(database)
    card = new_card(database, live)
    run(database, live, sale(card, 25_000, "s"))
    run(database, live, burn(card, 100, "b"))
    over = START + timedelta(days=1)
    with database.begin() as connection:
        set_clock(connection, over)
    clear(database, START.date(), at=over, programme_version=1)
    settle_in(database, tmp_path, "max", "maker")
    settle_in(database, tmp_path, "cleo", "checker")
    return {"TESSERA_DATABASE_URL": database_url, "TESSERA_SCHEMA": "tessera", "TESSERA_HOME": str(tmp_path)}


def tessera(environment: dict[str, str], *arguments: str) -> Result:
    """Run a command."""
    return CliRunner().invoke(app, arguments, env=environment)


def done(environment: dict[str, str], *arguments: str) -> str:
    """What a command says that succeeds."""
    result = tessera(environment, *arguments)
    assert result.exit_code == 0, result.output
    return result.stdout


def test_a_night_is_approved_by_two_and_instructed(environment: dict[str, str], database: Engine) -> None:
    """Proposed, refused, reopened, done anew, approved by its hash, instructed; then it stands."""
    done(environment, "night", "propose", NIGHT, "--by", "max")
    done(environment, "night", "refuse", NIGHT, "--reason", "look at the bank", "--by", "cleo")
    reopened = done(environment, "night", "reopen", NIGHT, "--reason", "a rate", "--by", "max")
    assert reopened == f"{NIGHT} begins again as revision 2\n"
    clear(database, START.date(), at=START + timedelta(days=1), programme_version=1)
    assert f"{NIGHT}  netted, revision 2" in done(environment, "night", "list")
    proposed = done(environment, "night", "propose", NIGHT, "--by", "max")
    sha256 = re.findall("--sha256 ([0-9a-f]{64})", proposed)[0]
    stale = tessera(environment, "night", "approve", NIGHT, "--sha256", "00" * 32, "--by", "cleo")
    assert (stale.exit_code, "look at it again" in stale.stderr) == (1, True)
    wrong = tessera(environment, "night", "approve", NIGHT, "--sha256", sha256, "--by", "max")
    assert (wrong.exit_code, "max is maker, and this is for checker" in wrong.stderr) == (2, True)
    done(environment, "night", "approve", NIGHT, "--sha256", sha256, "--by", "cleo")
    assert " is instructed: " in done(environment, "night", "instruct", NIGHT, "--by", "max")
    shown = done(environment, "night", "show", NIGHT)
    for piece in ("instructed, revision 2", "proposed by max: approved by cleo", sha256, "booked 0"):
        assert piece in shown
    assert done(environment, "night", "advance", NIGHT, "--by", "max") == f"{NIGHT} is instructed\n"
    late = tessera(environment, "night", "reopen", NIGHT, "--reason", "too late", "--by", "max")
    assert (late.exit_code, "so it stands" in late.stderr) == (1, True)
    assert faults_of(database) == []


def test_what_is_no_date_is_the_callers_fault(environment: dict[str, str]) -> None:
    """Status 2 for what cannot be read, 1 for a night that is not there."""
    assert tessera(environment, "night", "propose", "yesterday", "--by", "max").exit_code == 2
    assert tessera(environment, "night", "propose", "2001-01-01", "--by", "max").exit_code == 1
