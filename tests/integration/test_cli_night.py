"""`tessera night` as operators give it: from netted to instructed, and back again."""

import re
from datetime import date, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine
from typer.testing import CliRunner, Result

from api.cli import app
from network.service import set_clock
from settlement.errors import FourEyesNeeded
from settlement.runs import approve_through
from settlement.service import clear, clear_due
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


def test_many_nights_are_approved_as_one(environment: dict[str, str], database: Engine) -> None:
    """Three old nights: one hash, two people, all or none; what was reopened meanwhile is another set."""
    third = START + timedelta(days=3)
    with database.begin() as connection:
        set_clock(connection, third)
    clear_due(database, third, programme_version=1)
    last = "2017-05-03"
    both = tessera(environment, "night", "propose", NIGHT, "--through", last, "--by", "max")
    assert (both.exit_code, tessera(environment, "night", "propose", "--by", "max").exit_code) == (2, 2)
    done(environment, "night", "propose", NIGHT, "--by", "max")
    proposed = done(environment, "night", "propose", "--through", last, "--by", "max")
    assert "3 nights wait" in proposed
    stale = re.findall("--sha256 ([0-9a-f]{64})", proposed)[0]
    done(environment, "night", "reopen", last, "--reason", "a rate", "--by", "max")
    clear_due(database, third, programme_version=1)
    refused = tessera(environment, "night", "approve", "--through", last, "--sha256", stale, "--by", "cleo")
    assert (refused.exit_code, "look at them again" in refused.stderr) == (1, True)
    assert "approved" not in done(environment, "night", "list")
    again = done(environment, "night", "propose", "--through", last, "--by", "max")
    sha256 = re.findall("--sha256 ([0-9a-f]{64})", again)[0]
    with pytest.raises(FourEyesNeeded):
        approve_through(database, date(2017, 5, 3), sha256=bytes.fromhex(sha256), by="max", at=third)
    approved = done(environment, "night", "approve", "--through", last, "--sha256", sha256, "--by", "cleo")
    assert approved.count("is approved") == 3
    instructed = done(environment, "night", "instruct", "--through", last, "--by", "max")
    assert instructed.count("is instructed") == 3
    nothing = done(environment, "night", "instruct", "--through", last, "--by", "max")
    assert nothing == f"no approved night up to {last} waits to be instructed\n"
    late = tessera(environment, "night", "approve", "--through", last, "--sha256", sha256, "--by", "cleo")
    assert (late.exit_code, "no run up to 2017-05-03 is netted" in late.stderr) == (1, True)
    assert faults_of(database) == []


def test_what_is_no_date_is_the_callers_fault(environment: dict[str, str]) -> None:
    """Status 2 for what cannot be read, 1 for a night that is not there."""
    assert tessera(environment, "night", "propose", "yesterday", "--by", "max").exit_code == 2
    assert tessera(environment, "night", "propose", "2001-01-01", "--by", "max").exit_code == 1
