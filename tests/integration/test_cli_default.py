"""`tessera default` and `tessera exit`, as operators give them, each under their own session."""

import json
import re
from pathlib import Path

import pytest
from sqlalchemy import Engine, text
from typer.testing import CliRunner, Result

from api.cli import app
from tests.factories import D
from tests.integration.test_defaults import put_down, worked
from tests.people import faults_of, settle_in


@pytest.fixture
def environment(database: Engine, database_url: str, tmp_path: Path) -> dict[str, str]:
    """The worked night, instructed; Max is a maker and Cora a checker, both signed in here."""
    worked(database)
    settle_in(database, tmp_path, "max", "maker")
    settle_in(database, tmp_path, "cora", "checker")
    return {"TESSERA_DATABASE_URL": database_url, "TESSERA_HOME": str(tmp_path), "COLUMNS": "120"}


def tessera(*arguments: str, env: dict[str, str]) -> Result:
    """Run a command."""
    return CliRunner().invoke(app, arguments, env=env)


def found(pattern: str, shown: str) -> str:
    """What a command named, to be given to the next one."""
    match = re.search(pattern, shown)
    assert match is not None, shown
    return match[1]


def test_a_default_from_simulation_to_decision(database: Engine, environment: dict[str, str]) -> None:
    """Looked at without writing, proposed by a maker, approved by a checker by its hash, and on record."""
    asked = ("--date", "2017-05-01", "--debtor", "p14", "--carry", "57.09")
    seen = tessera("default", "simulate", *asked, env=environment)
    assert seen.exit_code == 0, seen.output
    for figure in (
        "557.09",
        "300.00",
        "57.09",
        "its deposit",
        "carried, owed on",
        "loss shared",
        "is suspended",
    ):
        assert figure in seen.stdout, figure
    as_json = json.loads(tessera("default", "simulate", *asked, "--json", env=environment).stdout)
    assert (as_json["missing_minor"], as_json["debtor_id"]) == (55709, D)
    proposed = tessera("default", "propose", *asked, "--reason", "no money", "--by", "max", env=environment)
    assert proposed.exit_code == 0, proposed.output
    case = found(r"tessera default approve (\S+) --sha256", proposed.stdout)
    sha256 = found(r"--sha256 ([0-9a-f]{64})", proposed.stdout)
    assert "1 wait" in tessera("default", "list", "--open", env=environment).stdout
    shown = tessera("default", "show", case, env=environment)
    assert f"sha256 {sha256}" in shown.stdout
    refused = tessera("default", "approve", case, "--sha256", sha256, "--by", "max", env=environment)
    assert refused.exit_code == 2
    assert "max is maker" in refused.stderr
    wrong = tessera("default", "approve", case, "--sha256", "00" * 32, "--by", "cora", env=environment)
    assert wrong.exit_code == 1
    assert "the simulation of case" in wrong.stderr
    approved = tessera("default", "approve", case, "--sha256", sha256, "--by", "cora", env=environment)
    assert approved.exit_code == 0, approved.output
    assert "approved and booked" in approved.stdout
    assert "is suspended" in approved.stdout
    with database.connect() as connection:
        said = connection.execute(text("SELECT action, done_by FROM operator_audit ORDER BY seq")).all()
    actions = [tuple(one) for one in said if one.action.startswith(("default", "partner"))]
    assert actions == [
        ("default.proposed", "max"),
        ("partner.suspended", "cora"),
        ("default.approved", "cora"),
    ]
    assert faults_of(database) == []


def test_what_is_wrong_is_told(database: Engine, environment: dict[str, str]) -> None:
    """No such partner, date, amount, case or hash: status 2; what the rules refuse: status 1."""
    on, who = ("--date", "2017-05-01"), ("--debtor", "p14")
    for arguments, status, why in (
        (("simulate", "--date", "yesterday", *who), 2, "is no date"),
        (("simulate", *on, "--debtor", "nobody"), 2, "no partner has the code"),
        (("simulate", *on, *who, "--carry", "1.234"), 2, "decimals"),
        (("simulate", *on, *who, "--carry", "-1"), 2, "below zero"),
        (("simulate", *on, *who, "--currency", "USD"), 1, "nothing to pay in USD"),
        (("simulate", *on, "--debtor", "p12"), 1, "nothing to pay"),
        (("simulate", "--date", "2017-05-02", *who), 1, "has no run"),
        (("show", "x"), 2, "is no id"),
        (("show", "00000000-0000-0000-0000-000000000000"), 2, "there is no case"),
        (("approve", "00000000-0000-0000-0000-000000000000", "--sha256", "1", "--by", "cora"), 2, "64 hexa"),
        (
            ("approve", "00000000-0000-0000-0000-000000000000", "--sha256", "0" * 64, "--by", "cora"),
            1,
            "there is no case",
        ),
    ):
        told = tessera("default", *arguments, env=environment)
        assert told.exit_code == status, (arguments, told.output)
        assert why in " ".join(told.stderr.replace("│", " ").split()), (arguments, told.stderr)
    put_down(database, D, 1, "guarantee")


def test_an_exit_by_command(database: Engine, environment: dict[str, str]) -> None:
    """Proposed here, approved among the proposals, shown with what is open; too early to leave."""
    days = ("--notice", "2017-05-01", "--last-earn", "2017-05-10", "--last-burn", "2017-05-11", "--run-off")
    asked = ("p14", *days, "2017-05-12", "--reason", "letter", "--by", "max")
    short = tessera("exit", "propose", *asked, env=environment)
    assert short.exit_code == 1
    assert "90 days of notice" in short.stderr
    proposed = tessera("exit", "propose", *asked, "--agreed", "--buy-out", env=environment)
    assert proposed.exit_code == 0, proposed.output
    proposal = found(r"tessera proposal approve (\S+)", proposed.stdout)
    sha256 = found(r"--sha256 ([0-9a-f]{64})", proposed.stdout)
    none = tessera("exit", "show", "p14", env=environment)
    assert (none.exit_code, "does not leave" in none.stderr) == (1, True)
    approved = tessera("proposal", "approve", proposal, "--sha256", sha256, "--by", "cora", env=environment)
    assert approved.exit_code == 0, approved.output
    shown = tessera("exit", "show", "p14", env=environment)
    assert "last day to burn" in shown.stdout
    assert "still open: its points are not bought out" in shown.stdout
    assert json.loads(tessera("exit", "show", "p14", "--json", env=environment).stdout)["code"] == "p14"
    early = tessera("exit", "buy-out", "p14", "--by", "max", env=environment)
    assert early.exit_code == 1
    assert "is bought out after" in early.stderr
    staying = tessera("exit", "leave", "p14", "--by", "max", env=environment)
    assert staying.exit_code == 1
    assert "has not left" in staying.stderr
    assert tessera("exit", "show", "nobody", env=environment).exit_code == 2
    assert faults_of(database) == []
