"""The life of a programme on a real network: two people, a day, what it would do, and why it did."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from sqlalchemy import Engine

from network import programmes
from network.basket import Details, Item
from network.errors import ProgrammeInvalid
from network.explaining import explain
from network.programme.compiled import compile_programme
from network.programme.spec import read_programme
from network.programme.telling import differences
from network.service import load_rules, set_clock
from network.store import load_entries
from network.trials import simulate
from partners.errors import ProposalChanged, SecondPersonNeeded
from settlement.reports.trial import summary, write_trial
from tests.coalition import BANK, GROCER, START, new_card, run, sale, set_up, undo

HEAD = """
name = "life"
[earn.default]
[expiry]
months = 3
"""
DOUBLE = """
[[rule]]
id = "double"
says = "Double points for cash, from the bank"
when = { tenders = ["cash"] }
award = { times = "2" }
fund = { who = "bank" }
[[rule.cap]]
points = 15
period = "month"
"""
DAY = timedelta(days=1)


def with_cash(command: Any) -> Any:
    """A sale that is paid in cash."""
    return msgspec.structs.replace(command, details=Details(tender="cash"))


def test_a_file_is_applied_by_two_and_judges_from_its_day(database: Engine) -> None:
    """Who proposed cannot approve; the old file judges until the day, in one process too; counters go on."""
    live = set_up(database, source=HEAD)
    card = new_card(database, live)
    day = START.date() + DAY
    with database.begin() as connection:
        made = programmes.propose(connection, HEAD + DOUBLE, effective_on=day, by="anna")
    with database.begin() as connection, pytest.raises(SecondPersonNeeded):
        programmes.decide(connection, made.proposal_id, sha256=made.sha256, by="anna", approve=True)
    with database.begin() as connection:
        programmes.decide(connection, made.proposal_id, sha256=made.sha256, by="ben", approve=True)
        rules = load_rules(connection)
        assert [(one.programme_version, one.live) for one in programmes.history(connection)] == [
            (1, True),
            (2, False),
        ]
    before = run(database, rules, with_cash(sale(card, 10_00, "a")))
    assert (before.points, before.programme_version) == (10, 1)
    with database.begin() as connection:
        set_clock(connection, START + DAY)
    after = run(database, rules, with_cash(sale(card, 10_00, "b", at=START + DAY)))
    assert (after.points, after.programme_version) == (20, 2)
    with database.connect() as connection:
        assert load_rules(connection).programme.version == 2
    assert run(database, rules, undo(before, "r", at=START + DAY)).points == -10


def test_what_was_approved_must_still_be_what_is_live(database: Engine) -> None:
    """Another version came between, or the day has passed: it is proposed anew."""
    set_up(database, source=HEAD)
    with database.begin() as connection, pytest.raises(ProgrammeInvalid, match="has passed"):
        programmes.propose(connection, HEAD, effective_on=START.date() - DAY, by="anna")
    with database.begin() as connection:
        made = programmes.propose(connection, HEAD + DOUBLE, effective_on=START.date(), by="anna")
        set_clock(connection, START + DAY)
    with database.begin() as connection, pytest.raises(ProposalChanged, match="has passed"):
        programmes.decide(connection, made.proposal_id, sha256=made.sha256, by="ben", approve=True)


def test_the_difference_is_told_in_words() -> None:
    """New rules with what they say, changed fields with both values, and nothing where nothing changes."""
    old, new = read_programme(HEAD), read_programme((HEAD + DOUBLE).replace("months = 3", "months = 6"))
    assert differences(old, new) == [
        "New rule double: Double points for cash, from the bank",
        "Expiry.months was 3 and is now 6",
    ]
    assert differences(new, new) == []
    more = read_programme((HEAD + DOUBLE).replace("points = 15", "points = 20"))
    assert differences(read_programme(HEAD + DOUBLE), more) == [
        "Rule double: cap was points 15, period month and is now points 20, period month"
    ]


def test_a_simulation_says_who_gains_and_what_it_costs(database: Engine, tmp_path: Path) -> None:
    """Two members, one pays cash: 15 of 20 points more, by its cap, and 0.15 more for the bank."""
    live = set_up(database, source=HEAD)
    cash, card = new_card(database, live, "m1"), new_card(database, live, "m2")
    for number in (1, 2):
        run(database, live, with_cash(sale(cash, 10_00, f"c{number}")))
        run(database, live, sale(card, 10_00, f"d{number}"))
    codes = {one.code: number for number, one in live.directory.participants.items()}
    programme = compile_programme(read_programme(HEAD + DOUBLE), 0, codes)
    with database.connect() as connection:
        trial = simulate(connection, live, programme, START.date(), START.date())
    assert (trial.sales, sorted(trial.changes), trial.members) == (4, [0, 15], (1, 0, 1))
    assert dict(trial.payers_before) == {GROCER: 40}
    assert dict(trial.payers_after) == {GROCER: 40, BANK: 15}
    said = list(summary(trial, live.directory))
    assert said[1:4] == [
        "points: 40 as it was, 55 under the new file: 15 more",
        "members: 1 gain, 0 lose, 1 stay the same",
        "  The bank: 0 points, then 15; 0.15 USD more at 0.01 a point",
    ]
    page = write_trial(trial, live.directory, "life", tmp_path / "trial.html").read_text()
    assert page.count("data:image/svg+xml;base64,") == 5


TIER = """
[[tier]]
name = "silver"
says = "20.00 in 12 months"
qualify = [{ measure = "money", at_least = 2000 }]
bonus_per_cent = 50
"""


def test_a_simulation_takes_returns_back_on_both_sides(database: Engine) -> None:
    """Part of a plain sale, and two lines of one under rules: what is left is what the rest earns."""
    live = set_up(database, source=HEAD)
    card = new_card(database, live)
    plain = run(database, live, sale(card, 10_00, "a"))
    basket = Details(items=(Item(5_00, "food"), Item(4_00, "food"), Item(3_00, "drink")))
    bought = sale(card, 12_00, "b", lines=(5_00, 4_00, 3_00))
    lines = run(database, live, msgspec.structs.replace(bought, details=basket))
    run(database, live, undo(plain, "r1", amount_minor=4_50))
    run(database, live, undo(lines, "r2", lines=(1, 2)))
    left = run(database, live, sale(card, 1_00, "c"))
    assert left.balance_after == 5 + 3 + 1
    codes = {one.code: number for number, one in live.directory.participants.items()}
    food = DOUBLE.replace('tenders = ["cash"]', 'categories = ["food"]')
    programme = compile_programme(read_programme(HEAD + food + TIER), 0, codes)
    with database.connect() as connection:
        trial = simulate(connection, live, programme, START.date(), START.date())
    assert (trial.sales, trial.returns) == (3, 2)
    assert dict(trial.payers_before) == {GROCER: 9}
    assert dict(trial.payers_after) == {GROCER: 9, BANK: 0}
    assert dict(trial.moves) == {("", "silver"): 1}
    assert trial.rules_after["double"] == 0
    assert sum(trial.funded_after.values()) == 9


def test_an_old_entry_is_explained_as_it_was_judged(database: Engine) -> None:
    """A new version later: the cap's count, the tender that failed and who pays are as on the day."""
    live = set_up(database, source=HEAD + DOUBLE)
    card = new_card(database, live)
    first = run(database, live, with_cash(sale(card, 10_00, "a")))
    second = run(database, live, with_cash(sale(card, 10_00, "b")))
    third = run(database, live, sale(card, 10_00, "c"))
    with database.begin() as connection:
        made = programmes.propose(connection, HEAD, effective_on=START.date(), by="anna")
        programmes.decide(connection, made.proposal_id, sha256=made.sha256, by="ben", approve=True)
        rules = load_rules(connection)
        recorded = load_entries(connection, [one.entry_id for one in (first, second, third)])
    told = [explain(recorded[one.entry_id], rules) for one in (first, second, third)]
    assert [one.points for one in told] == [20, 15, 10]
    assert [sum(step.points for step in one.steps) for one in told] == [20, 15, 10]
    assert told[1].payers == {"grocer": 10, "bank": 5}
    assert "Double points for cash, from the bank: 5 points on 10, cut from 10 by its cap or budget." in (
        told[1].says
    )
    assert [step.reason for step in told[2].steps] == ["other_tender", ""]
