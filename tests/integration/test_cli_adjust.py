"""`tessera adjust` and `tessera tier` as an operator gives them: words, exit statuses, what they leave."""

import re
from pathlib import Path

import pytest
from sqlalchemy import Engine
from typer.testing import CliRunner, Result

from api.cli import app
from network import adjustments
from network.rules import Rules
from partners.people.model import Role
from tests.coalition import WHOLE, new_card, open_terms, set_up
from tests.people import settle_in

_PEOPLE: dict[str, Role] = {"anna": "maker", "max": "maker", "bert": "checker", "carl": "checker"}
_ARGUED = ("--reason", "till 7 was down", "--evidence", "ticket 4711")


@pytest.fixture
def live(database: Engine) -> Rules:
    """A network where adjustments above 100 points need a second person."""
    return set_up(database, source=WHOLE, contracts=open_terms())


@pytest.fixture
def card(database: Engine, live: Rules) -> str:
    """A member's card."""
    return str(new_card(database, live))


@pytest.fixture
def environment(database: Engine, live: Rules, database_url: str, tmp_path: Path) -> dict[str, str]:
    """The variables that lead to the network; anna and max, makers, and bert and carl, checkers, are in."""
    for name, role in _PEOPLE.items():
        settle_in(database, tmp_path, name, role)
    return {"TESSERA_DATABASE_URL": database_url, "TESSERA_SCHEMA": "tessera", "TESSERA_HOME": str(tmp_path)}


def tessera(environment: dict[str, str], *arguments: str) -> Result:
    """Run a command."""
    return CliRunner().invoke(app, arguments, env=environment)


def prepare(environment: dict[str, str], card: str, points: int, by: str = "anna") -> Result:
    """Prepare an adjustment that the grocer funds."""
    return tessera(
        environment,
        *("adjust", "prepare", "--card", card, "--points", str(points), "--issuer", "grocer"),
        *(*_ARGUED, "--by", by),
    )


def adjustment_in(said: str) -> str:
    """The first adjustment that a text names."""
    found = re.search("adj_[0-9a-f]{32}", said)
    assert found is not None, said
    return found[0]


def test_a_small_one_is_carried_out_at_once(environment: dict[str, str], card: str) -> None:
    """It says that it is done, and which entry it made; the list shows all that was given with it."""
    done = prepare(environment, card, 100)
    assert done.exit_code == 0, done.output
    assert re.search("approved by anna and carried out: ent_[0-9a-f]{32}", done.stdout)
    listed = tessera(environment, "adjust", "list")
    assert listed.exit_code == 0, listed.output
    for piece in (
        "done: ent_",
        "+100 points of grocer",
        card,
        *_ARGUED[1::2],
        "by anna, 2017-05-01 09:00 UTC",
    ):
        assert piece in listed.stdout
    assert tessera(environment, "adjust", "list", "--open").stdout == "0 wait for a second person\n"


def test_a_big_one_waits_for_a_second_person(environment: dict[str, str], card: str) -> None:
    """It says what to run; a maker is turned away with status 2, a checker is not, and no second one."""
    waits = prepare(environment, card, 101)
    assert waits.exit_code == 0, waits.output
    name = adjustment_in(waits.stdout)
    assert f"tessera adjust approve {name}" in waits.stdout
    assert "waits for a second person" in tessera(environment, "adjust", "list", "--open").stdout
    same = tessera(environment, "adjust", "approve", name, "--by", "Anna")
    assert (same.exit_code, same.stdout) == (2, "")
    assert "a checker decides it; who prepared it may withdraw it; anna is maker" in same.stderr
    other = tessera(environment, "adjust", "reject", name, "--by", "max")
    assert (other.exit_code, "max is maker" in other.stderr) == (2, True)
    done = tessera(environment, "adjust", "approve", name, "--by", "bert")
    assert done.exit_code == 0, done.output
    assert "approved by bert and carried out" in done.stdout
    again = tessera(environment, "adjust", "reject", name, "--by", "carl")
    assert (again.exit_code, "bert approved it" in again.stderr) == (2, True)


def test_a_refusal_is_told_with_its_reason(environment: dict[str, str], card: str) -> None:
    """Status 1, the code and what it means; the list goes on showing it."""
    refused = prepare(environment, card, -5)
    assert (refused.exit_code, refused.stdout) == (1, "")
    assert "refused: insufficient_points (The member has not enough points)" in refused.stderr
    assert "refused: insufficient_points" in tessera(environment, "adjust", "list").stdout


def test_run_does_what_was_cut_off(
    environment: dict[str, str], card: str, database: Engine, live: Rules
) -> None:
    """After a crash between decision and entry the list says what to run, and `run` says what it did."""
    name = adjustment_in(prepare(environment, card, 500).stdout)
    [waiting] = adjustments.standings(database)
    adjustments.record_decision(database, waiting.adjustment.adjustment_id, by="bert", approve=True)
    assert "not carried out yet: tessera adjust run" in tessera(environment, "adjust", "list").stdout
    done = tessera(environment, "adjust", "run")
    assert (done.exit_code, done.stdout) == (0, f"{name}  carried out\n1 were left to carry out\n")
    assert tessera(environment, "adjust", "run").stdout == "0 were left to carry out\n"


def test_a_rejected_one_says_by_whom(environment: dict[str, str], card: str) -> None:
    """Status 0: it is what was asked for."""
    name = adjustment_in(prepare(environment, card, 500).stdout)
    rejected = tessera(environment, "adjust", "reject", name, "--by", "bert")
    assert (rejected.exit_code, rejected.stdout) == (0, f"{name}  rejected by bert\n")


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("adjust", "approve", "adj_1", "--by", "bert"), "adj_ and 32 hexadecimal digits"),
        (("adjust", "approve", f"adj_{7:032x}", "--by", "bert"), "there is no adjustment"),
        (("tier", "set", "--card", "1234", "--tier", "gold", "--by", "anna"), "its 16 digits"),
        (("tier", "set", "--card", "6330001234567895", "--tier", "gold", "--by", "anna"), "there is no card"),
    ],
)
def test_what_cannot_be_used_is_the_callers_fault(
    environment: dict[str, str], arguments: tuple[str, ...], complaint: str
) -> None:
    """Status 2, and what was expected."""
    refused = tessera(environment, *arguments)
    assert (refused.exit_code, refused.stdout) == (2, "")
    assert complaint in " ".join(refused.stderr.split())


def test_a_tier_is_set(environment: dict[str, str], card: str) -> None:
    """Into a tier, out of all; one that the programme has not is refused with those that it has."""
    done = tessera(environment, "tier", "set", "--card", card, "--tier", "gold", "--by", "anna")
    assert done.exit_code == 0, done.output
    assert f"card {card} is in tier gold: ent_" in done.stdout
    none = tessera(environment, "tier", "set", "--card", card, "--tier", "", "--by", "anna")
    assert "is in no tier" in none.stdout
    wrong = tessera(environment, "tier", "set", "--card", card, "--tier", "platinum", "--by", "anna")
    assert wrong.exit_code == 1
    assert "tier_unknown (The programme has no such tier); its tiers: gold, silver" in wrong.stderr


def test_a_maker_withdraws_its_own(environment: dict[str, str], card: str) -> None:
    """It needs nobody for that."""
    name = adjustment_in(prepare(environment, card, 500).stdout)
    withdrawn = tessera(environment, "adjust", "reject", name, "--by", "anna")
    assert (withdrawn.exit_code, withdrawn.stdout) == (0, f"{name}  rejected by anna\n")


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("--by", "bert"), "bert is checker, and this is for maker"),
        (("--by", "dora"), "dora has not signed in here: tessera login dora"),
        (("--by", "host"), "'host' is no login"),
        ((), "several have signed in here (anna, bert, carl, max): say who acts with --by"),
    ],
)
def test_nobody_acts_under_a_name_that_is_merely_said(
    environment: dict[str, str], card: str, arguments: tuple[str, ...], complaint: str
) -> None:
    """Status 2, and nothing is prepared: a name is a session that was begun here."""
    refused = tessera(
        environment,
        *("adjust", "prepare", "--card", card, "--points", "5", "--issuer", "grocer"),
        *(*_ARGUED, *arguments),
    )
    assert (refused.exit_code, refused.stdout) == (2, "")
    assert complaint in " ".join(refused.stderr.split())
    assert tessera(environment, "adjust", "list").stdout == "0 adjustments\n"


def test_help_teaches() -> None:
    """What it is for, who may do what, and a whole example to copy."""
    said = " ".join(tessera({}, "adjust", "--help").stdout.split())
    for piece in ("four_eyes_above", "another person must approve it", "--reason 'till 7 was down'"):
        assert piece in said
