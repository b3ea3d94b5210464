"""`tessera programme` as people give it: checked, told, tried, applied by two from a day on; remembered."""

from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine
from typer.testing import CliRunner, Result

from api.cli import app
from network import ids
from network.rules import Rules
from network.service import set_clock
from tests.coalition import START, new_card, run, sale, set_up
from tests.people import faults_of, settle_in

HEAD = """
name = "autumn"
[earn.default]
[expiry]
months = 3
"""
DOUBLE = """
[[rule]]
id = "double"
says = "Double points from 10.00 on, from the bank"
when = { minimum_minor = 1000 }
award = { times = "2" }
fund = { who = "bank" }
"""
TOMORROW = START + timedelta(days=1)


@pytest.fixture
def live(database: Engine) -> Rules:
    """A network with one plain rule."""
    return set_up(database, source=HEAD)


@pytest.fixture
def environment(database: Engine, live: Rules, database_url: str, tmp_path: Path) -> dict[str, str]:
    """The variables that lead to the network; anna, a maker, and bert, a checker, are signed in."""
    settle_in(database, tmp_path, "anna", "maker")
    settle_in(database, tmp_path, "bert", "checker")
    return {"TESSERA_DATABASE_URL": database_url, "TESSERA_SCHEMA": "tessera", "TESSERA_HOME": str(tmp_path)}


def tessera(environment: dict[str, str], *arguments: str) -> Result:
    """Run a command."""
    return CliRunner().invoke(app, arguments, env=environment)


def test_a_file_goes_the_whole_way(
    database: Engine, live: Rules, environment: dict[str, str], tmp_path: Path
) -> None:
    """Checked, told in words, tried on what was sold, proposed by one, approved by another; it judges."""
    card = new_card(database, live)
    before = run(database, live, sale(card, 20_00, "a"))
    run(database, live, sale(card, 9_00, "b"))
    file = tmp_path / "autumn.toml"
    file.write_text(HEAD + DOUBLE)
    checked = tessera(environment, "programme", "check", str(file))
    assert checked.stdout == f"{file}: autumn is well: 1 rules, 0 counters, 0 tiers\n", checked.output
    told = tessera(environment, "programme", "diff", str(file))
    assert told.stdout == "New rule double: Double points from 10.00 on, from the bank\n", told.output
    page = tmp_path / "pages" / "autumn.html"
    day = START.date().isoformat()
    tried = tessera(
        environment, "programme", "simulate", str(file), "--from", day, "--to", day, "--out", str(page)
    )
    assert tried.stdout.splitlines() == [
        f"2 sales of {day} to {day}",
        "points: 29 as it was, 49 under the new file: 20 more",
        "members: 1 gain, 0 lose, 0 stay the same",
        "  The bank: 0 points, then 20; 0.20 USD more at 0.01 a point",
        "  The grocer: 29 points, then 29; 0.00 USD more at 0.01 a point",
        "  no tier: 1 members, then 1",
        f"liability: 0.20 more before breakage, at the issue prices of {day}",
        f"with pictures: {page}",
    ], tried.output
    assert page.read_text().count("<figure>") == 5
    proposed = tessera(
        environment, "programme", "apply", str(file), "--on", f"{TOMORROW:%Y-%m-%d}", "--by", "anna"
    )
    assert proposed.exit_code == 0, proposed.output
    words = proposed.stdout.replace("\\\n", " ").split()
    approve = words[words.index("tessera") + 1 :]
    own = tessera(environment, *approve, "--by", "anna")
    assert own.exit_code != 0
    done = tessera(environment, *approve, "--by", "bert")
    assert done.exit_code == 0, done.output
    live_now = tessera(environment, "programme", "history").stdout.splitlines()
    assert [line[:5] for line in live_now] == ["*   1", "    2"]
    assert f"from {TOMORROW:%Y-%m-%d}  autumn" in live_now[1]
    assert live_now[1].endswith("by bert")
    with database.begin() as connection:
        set_clock(connection, TOMORROW)
    assert [line[:5] for line in tessera(environment, "programme", "history").stdout.splitlines()] == [
        "    1",
        "*   2",
    ]
    assert tessera(environment, "programme", "diff", str(file)).stdout == "Nothing changes.\n"
    why = tessera(environment, "explain", ids.show("ent", before.entry_id))
    assert why.stdout.splitlines()[1] == "  Version 1 of the programme was in force."
    assert faults_of(database) == []


def test_a_faulty_file_is_named_by_line_and_goes_no_further(
    environment: dict[str, str], tmp_path: Path
) -> None:
    """Every command that takes a file says the same, with exit status 2, and changes nothing."""
    file = tmp_path / "faulty.toml"
    file.write_text(HEAD + DOUBLE.replace("minimum_minor", "minimum").replace('"bank"', '"nobody"'))
    wanted = f"{file}:10: rule.1.when.minimum: there is no such field here"
    for command in (
        ("check", str(file)),
        ("check", "--alone", str(file)),
        ("diff", str(file)),
        (
            "simulate",
            str(file),
            "--from",
            "2017-05-01",
            "--to",
            "2017-05-02",
            "--out",
            str(tmp_path / "x.html"),
        ),
    ):
        said = tessera(environment, "programme", *command)
        assert (said.exit_code, wanted in said.output) == (2, True), said.output
    file.write_text(HEAD + DOUBLE.replace('"bank"', '"nobody"'))
    assert tessera(environment, "programme", "check", "--alone", str(file)).exit_code == 0
    apart = tessera(environment, "programme", "check", str(file))
    assert (apart.exit_code, "rule double fund names nobody" in apart.output) == (2, True), apart.output
    refused = tessera(environment, "programme", "apply", str(file), "--on", "2017-06-01", "--by", "anna")
    assert refused.exit_code == 2, refused.output
    past = tmp_path / "past.toml"
    past.write_text(HEAD)
    late = tessera(environment, "programme", "apply", str(past), "--on", "2017-01-01", "--by", "anna")
    assert (late.exit_code, "has passed" in late.output) == (2, True), late.output
    assert len(tessera(environment, "programme", "history").stdout.splitlines()) == 1
    assert not (tmp_path / "x.html").exists()
    assert tessera(environment, "programme", "check", str(tmp_path / "none.toml")).exit_code == 2
