"""What is taken for abuse: between lanes that race, over HTTP and by command; who may let it go."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import Engine
from typer.testing import CliRunner

from api.cli import app
from network import abuse_review, ids
from network.abuse_review import set_staff
from network.batch import execute
from network.errors import ProgrammeInvalid
from network.outcomes import Rejected, Reply
from network.programme.spec import read_programme
from network.verify import CHECKS, faults
from partners.people.model import HOST
from tests.between import come_about, give
from tests.coalition import GROCER, PETROL, entry_of, new_card, run, sale, set_up, undo
from tests.people import settle_in

HEAD = """
name = "watched"
[earn.default]
[expiry]
months = 3
"""
MANY = '[[abuse]]\nid = "many"\nsays = "x"\nwatch = "sales"\nmore_than = 5\nthen = "hold"\n'
STAFF = '[[abuse]]\nid = "own"\nsays = "x"\nwatch = "own_till"\nthen = "refuse"\n'
CIRCLE = '[[abuse]]\nid = "circle"\nsays = "x"\nwatch = "circular_gifts"\nperiod = "week"\nthen = "refuse"\n'


def lawful(database: Engine) -> None:
    """Every law of the ledger holds."""
    with database.connect() as connection:
        assert [problem for check in CHECKS for problem in faults(connection, check)] == []


def refusal(reply: Reply) -> str:
    """Why a command was refused."""
    assert isinstance(reply.outcome, Rejected), reply.outcome
    return reply.outcome.reason


def test_it_holds_between_lanes_and_within_a_batch(
    database: Engine, tmp_path: Path, database_url: str
) -> None:
    """Twelve sales of one card on two connections: five earn, seven wait, and an operator lets one go."""
    live = set_up(database, source=HEAD + MANY + STAFF)
    card = new_card(database, live)

    def sell(half: int) -> list[int]:
        replies = execute(database, [sale(card, 10_00, f"s{half}{n}") for n in range(6)], live)
        return [entry_of(reply).points for reply in replies]

    with ThreadPoolExecutor(2) as pool:
        earned = [points for half in pool.map(sell, (0, 1)) for points in half]
    assert sorted(earned) == [0] * 7 + [10] * 5
    with database.connect() as connection:
        found = abuse_review.cases(connection, held=True)
    assert [(one.rule_id, one.waiting) for one in found] == [("many", 10)] * 7
    assert {one.reason for one in found} == {f"{n} sales in a day" for n in range(6, 13)}
    # nobody but an operator: not the partner's event, and no command without a session
    settle_in(database, tmp_path, "anna", "maker")
    home = {"TESSERA_DATABASE_URL": database_url, "TESSERA_SCHEMA": "tessera", "TESSERA_HOME": str(tmp_path)}
    shown = ids.show("ent", found[0].entry_id)
    released = CliRunner().invoke(app, ["abuse", "release", shown], env=home)
    assert released.stdout == "released: 10 points\n", released.output
    listed = CliRunner().invoke(app, ["abuse", "list"], env=home).stdout.splitlines()
    assert listed[-1] == "7 cases"
    assert listed[0].startswith(f"{shown}  2017-05-0")
    assert listed[0].endswith(", released by anna")
    assert (
        CliRunner()
        .invoke(app, ["abuse", "list", "--held"], env=home)
        .stdout.endswith("6 wait for an operator\n")
    )
    again = CliRunner().invoke(app, ["abuse", "release", shown], env=home)
    assert (again.exit_code, again.stdout) == (0, "released: 10 points\n")
    assert CliRunner().invoke(app, ["abuse", "release", "ent_1"], env=home).exit_code == 2
    hired = CliRunner().invoke(app, ["abuse", "staff", "--card", str(card), "--partner", "grocer"], env=home)
    assert hired.stdout == "noted\n", hired.output
    assert refusal(execute(database, [sale(card, 10_00, "own")], live)[0]) == "taken_for_abuse"
    assert entry_of(execute(database, [sale(card, 10_00, "other", partner_id=PETROL)], live)[0]).points == 0
    lawful(database)


def test_what_is_refused_leaves_no_count_and_what_is_held_comes_back_whole(database: Engine) -> None:
    """A refused gift is not counted and is refused again; a held sale that is returned holds nothing."""
    live = set_up(database, source=HEAD + MANY + STAFF + CIRCLE)
    one, other = new_card(database, live, "m1"), new_card(database, live, "m2")
    with database.begin() as connection:
        assert set_staff(connection, other, PETROL, on=True, by=HOST)
        assert not set_staff(connection, 6330009999999999, PETROL, on=True, by=HOST)
    run(database, live, sale(one, 50_00, "a"))
    run(database, live, give(one, other, 20, "g1"))
    back = give(other, one, 5, "g2")
    [refused] = execute(database, [back], live)
    assert refusal(refused) == "taken_for_abuse"
    [again] = execute(database, [back], live)
    assert (again.replayed, refusal(again)) == (True, "taken_for_abuse")
    run(database, live, give(one, other, 5, "g3"))
    with database.connect() as connection:
        [case] = abuse_review.cases(connection)
    assert (case.outcome, case.reason) == ("refused", "got 20 points of who is given to, in the same week")
    sold = [run(database, live, sale(one, 10_00, f"s{number}")) for number in range(6)]
    assert [entry.points for entry in sold] == [10, 10, 10, 10, 0, 0]
    [early] = execute(database, [come_about(sold[5], "e")], live)
    assert refusal(early) == "held_for_review"
    run(database, live, undo(sold[5], "r"))
    with database.connect() as connection:
        assert [entry.waiting for entry in abuse_review.cases(connection, held=True)] == [10]
    reply = abuse_review.release_held(database, live, sold[5].entry_id, by=HOST)
    assert refusal(reply) == "nothing_pending"
    assert run(database, live, sale(one, 1_00, "t", partner_id=GROCER)).points == 0
    lawful(database)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('watch = "sales"\nthen = "flag"', "more_than is for sales, returns and gifts, which need it"),
        ('watch = "own_till"\nmore_than = 2\nthen = "flag"', "more_than is for sales, returns and gifts"),
        ('watch = "gifts"\nmore_than = 2\nthen = "hold"', "a gift cannot be held"),
        ('watch = "gifts"\nmore_than = 2\nthen = "block"', "watched.toml:11: abuse.1.then:"),
    ],
)
def test_a_watch_that_cannot_be_is_named(text: str, said: str) -> None:
    """With the line and the field, and what was expected."""
    with pytest.raises(ProgrammeInvalid) as refused:
        read_programme(f'{HEAD}[[abuse]]\nid = "w"\nsays = "x"\n{text}', "watched.toml")
    assert said in str(refused.value)
