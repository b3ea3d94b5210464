"""Rewards and children on a real ledger: a stock that lanes race for, and what only a guardian may do."""

from concurrent.futures import ThreadPoolExecutor
from datetime import date
from typing import Any

import msgspec
from sqlalchemy import Engine, text

from network.basket import Wanted
from network.batch import execute
from network.commands import Accrue, Command, Enrol
from network.explaining import explain
from network.model import Entry
from network.outcomes import Rejected
from network.rules import Rules
from network.store import load_entries
from network.verify import CHECKS, faults
from tests.between import give, invite, join, leave, merge
from tests.coalition import GROCER, START, burn, entry_of, new_card, reserve, run, sale, set_up, undo

SOURCE = """
name = "rewards"
[earn.default]
[expiry]
months = 3
[[reward]]
id = "kettle"
says = "A kettle"
prices = [{ points = 10 }]
stock = 5
"""
AGES = """
[ages]
minimum = 12
with_guardian_from = 2
"""


def rows(database: Engine, query: str) -> list[tuple[Any, ...]]:
    """What a query finds."""
    with database.connect() as connection:
        return [tuple(row) for row in connection.execute(text(query))]


def lawful(database: Engine) -> None:
    """Every law of the ledger holds."""
    with database.connect() as connection:
        assert [problem for check in CHECKS for problem in faults(connection, check)] == []


def kettle(card: int, reference: str) -> Command:
    """A kettle for ten points."""
    return msgspec.structs.replace(burn(card, 10, reference), reward=Wanted(id="kettle"))


def test_a_stock_holds_between_lanes_that_race(database: Engine) -> None:
    """Twenty ask on two connections, and five get one; returned by parts it is there again with the last."""
    live = set_up(database, source=SOURCE)
    cards = [new_card(database, live, f"m{number}") for number in range(20)]
    for card in cards:
        run(database, live, sale(card, 10_00, f"s{card}"))

    def ask(half: int) -> list[Entry]:
        replies = [execute(database, [kettle(card, f"k{card}")], live)[0] for card in cards[half::2]]
        return [one.outcome for one in replies if isinstance(one.outcome, Entry)]

    with ThreadPoolExecutor(2) as pool:
        got = [entry for half in pool.map(ask, (0, 1)) for entry in half]
    assert len(got) == 5
    late = cards[0]
    run(database, live, sale(late, 20_00, "more"))
    assert execute(database, [kettle(late, "k1")], live)[0].outcome == Rejected("reward_sold_out")
    run(database, live, undo(got[0], "r1", points=4))
    assert execute(database, [kettle(late, "k2")], live)[0].outcome == Rejected("reward_sold_out")
    run(database, live, undo(got[0], "r2"))
    taken = run(database, live, kettle(late, "k3"))
    with database.connect() as connection:
        told = explain(load_entries(connection, [taken.entry_id])[taken.entry_id], live)
    assert told.says[0] == "It was for the reward kettle: A kettle."
    assert rows(database, "SELECT rule_id, points FROM rule_budget") == [("reward:kettle", 5)]
    lawful(database)


def refused(database: Engine, live: Rules, command: Command) -> str:
    """Why a command was refused."""
    [reply] = execute(database, [command], live)
    assert isinstance(reply.outcome, Rejected), reply.outcome
    return reply.outcome.reason


def enrolled(database: Engine, live: Rules, born_on: str, guardian: int = 0) -> int:
    """The card of a new member."""
    command = Enrol(
        partner_id=GROCER,
        reference=f"{born_on} {guardian}",
        occurred_at=START,
        born_on=date.fromisoformat(born_on),
        guardian_card=guardian,
    )
    [reply] = execute(database, [command], live)
    assert reply.enrolled is not None, reply.outcome
    return reply.enrolled.card_number


def test_a_guardian_acts_for_a_child_and_nobody_else_does(database: Engine) -> None:
    """What a child's card alone is refused: rewards, holds, gifts, pools. A merged guardian still is it."""
    live = set_up(database, source=SOURCE + AGES)
    mother, other = enrolled(database, live, "1980-01-01"), enrolled(database, live, "1981-01-01")
    child = enrolled(database, live, "2010-01-01", mother)
    run(database, live, sale(child, 100_00, "s"))
    run(database, live, sale(mother, 100_00, "m"))
    invited = run(database, live, invite(other, child, "i"))
    acts: list[Any] = [
        burn(child, 10, "a1"),
        reserve(child, 10, "a2"),
        give(child, other, 10, "a3"),
        join(child, invited, "a4"),
    ]
    for act in acts:
        assert refused(database, live, act) == "guardian_needed"
        again = f"{act.reference} again"
        wrong = msgspec.structs.replace(act, reference=again, guardian_card=other)
        assert refused(database, live, wrong) == "guardian_unfit"
        itself = msgspec.structs.replace(act, reference=again + "!", guardian_card=child)
        assert refused(database, live, itself) == "guardian_unfit"
    assert refused(database, live, merge(other, child, "x")) == "account_of_child"
    run(database, live, merge(other, mother, "y"))
    for act in acts:
        run(
            database,
            live,
            msgspec.structs.replace(act, reference=act.reference + " well", guardian_card=mother),
        )
    # who is in the child's pool spends from it: to that the guardian consented
    run(database, live, burn(mother, 150, "b"))
    assert refused(database, live, leave(child, "l")) == "guardian_needed"
    kept = rows(database, "SELECT child_until::text, guardian_id FROM account WHERE guardian_id IS NOT NULL")
    assert kept == [("2022-01-01", rows(database, "SELECT min(member_id) FROM account")[0][0])]
    lawful(database)


def test_a_sale_may_be_told_what_it_takes_off(database: Engine) -> None:
    """The discount is in the answer, again when it is asked again, and in no posting."""
    rule = '[[rule]]\nid = "off"\nsays = "x"\nkind = "base"\naward = { points = 5, per = 100 }\n'
    rule += 'earns = "discount"\n'
    live = set_up(database, source=SOURCE + rule)
    command: Accrue = sale(new_card(database, live), 10_99, "s")
    first, second = (execute(database, [command], live)[0] for _ in range(2))
    assert (first.discount_minor, entry_of(first).points, first.replayed) == (50, 10, False)
    assert (second.discount_minor, entry_of(second).points, second.replayed) == (50, 10, True)
    assert rows(database, "SELECT points, unit FROM posting") == [(10, 1)]


def test_a_discount_is_never_more_than_the_sale(database: Engine) -> None:
    """Ten off each visit, of a sale of five: nothing is paid out at the till."""
    rule = '[[rule]]\nid = "off"\nsays = "x"\naward = { points = 1000 }\nbasis = { of = "visit" }\n'
    live = set_up(database, source=SOURCE + rule + 'earns = "discount"\n')
    [reply] = execute(database, [sale(new_card(database, live), 5_00, "s")], live)
    assert reply.discount_minor == 500
