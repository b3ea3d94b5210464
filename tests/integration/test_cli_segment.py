"""`tessera segment`: members of segments counted, rules told in words, consent named."""

from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine, text
from typer.testing import CliRunner, Result

from api.cli import app
from network import facts
from network.rules import Rules
from network.segments import find_segments
from tests.coalition import GROCER, START, new_card, run, sale, set_up

SOURCE = """
name = "circle"
[earn.default]
[expiry]
months = 3
[[segment]]
id = "regulars"
says = "Often and much at the grocer"
[segment.when]
partners = ["grocer"]
sales = { at_least = 2, days = 30 }
money_minor = { at_least = 1000, at_most = 500000 }
[[segment]]
id = "families"
says = "Grown-up families"
when = { facts = { household = ["family", "couple"] }, age = { at_least = 18 } }
"""
TODAY = START.date() + timedelta(days=1)


@pytest.fixture
def live(database: Engine) -> Rules:
    """A network with two segments."""
    return set_up(database, source=SOURCE)


@pytest.fixture
def environment(live: Rules, database_url: str, tmp_path: Path) -> dict[str, str]:
    """The variables that lead to the network; nobody has signed in."""
    return {"TESSERA_DATABASE_URL": database_url, "TESSERA_SCHEMA": "tessera", "TESSERA_HOME": str(tmp_path)}


def tessera(environment: dict[str, str], *arguments: str) -> Result:
    """Run a command."""
    result = CliRunner().invoke(app, ["segment", *arguments], env=environment)
    assert result.exit_code in (0, 2), (result.output, result.exception)
    return result


def test_segments_are_counted_as_they_are_now(
    database: Engine, live: Rules, environment: dict[str, str]
) -> None:
    """Before the night nobody; after it who is in it; who takes a fact back is not counted from then on."""
    card = new_card(database, live)
    new_card(database, live, "other")
    for reference in "ab":
        run(database, live, sale(card, 20_00, reference))
    with database.begin() as connection:
        for member_id in (1, 2):
            told = {"household": "family", "birthday": "1980-02-29"}
            facts.tell(connection, member_id, told, consent="terms 1", by=GROCER, at=START)
    assert tessera(environment, "list").stdout.splitlines() == [
        f"families                         0 members  {'-':<10}  Grown-up families",
        f"regulars                         0 members  {'-':<10}  Often and much at the grocer",
    ]
    find_segments(database, live.programme.segments, TODAY, live.programme.leap)
    with database.begin() as connection:
        facts.withdraw(connection, 2, ["household"], at=START)
        connection.execute(text("INSERT INTO member_segment VALUES (1, 'staff')"))
    assert tessera(environment, "list").stdout.splitlines() == [
        f"families                         1 members  {TODAY}  Grown-up families",
        f"regulars                         1 members  {TODAY}  Often and much at the grocer",
        f"staff                            1 members  {'-':<10}  by hand",
    ]


def test_a_segment_is_told_in_words(database: Engine, live: Rules, environment: dict[str, str]) -> None:
    """Each condition is a phrase, with numbers and days; what must be consented to is named, or nothing."""
    assert tessera(environment, "show", "regulars").stdout.splitlines() == [
        "regulars: Often and much at the grocer",
        "not found yet: the next night does it",
        "a member is in it who",
        "  bought at grocer at least 2 times in the last 30 days",
        "  spent at grocer 1,000 to 500,000 minor units in the last 365 days, less what came back",
        "needs no consent",
    ]
    find_segments(database, live.programme.segments, TODAY, live.programme.leap)
    assert tessera(environment, "show", "families").stdout.splitlines() == [
        "families: Grown-up families",
        f"0 members, as of the beginning of {TODAY}",
        "a member is in it who",
        "  has told household: family or couple",
        "  is at least 18 years old",
        "needs consent to: birthday, household",
    ]
    unknown = tessera(environment, "show", "nobody")
    assert unknown.exit_code == 2
    assert unknown.stderr == (
        "tessera segment: the live programme has no segment 'nobody': families, regulars\n"
    )
