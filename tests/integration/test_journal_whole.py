"""The journal of days on which everything happened: both tools read it, and find nothing left in transit."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, text

from config.database import make_engine
from network.ids import show, sibling
from tests.conftest import SCHEMA, Run, database_on
from tests.journal_readers import journal_of, read_beancount, read_hledger
from tests.whole import Story, live_through

OUTSTANDING = {
    "Assets:Deficit:Grocer:M5": 40,
    "Assets:Deficit:Grocer:M8": 15,
    "Liabilities:Held:Petrol:M2": -20,
    "Liabilities:Members:Bank:M2": -50,
    "Liabilities:Members:Grocer:M1": -40,
    "Liabilities:Members:Grocer:M4": -30,
    "Liabilities:Members:Grocer:M6": -9,
    "Liabilities:Members:Petrol:M2": -30,
    "Liabilities:Pending:Hotel:M1": -30,
    "Liabilities:Vouchers:Grocer:M6": -20,
}
"""What is left in the end, and what is owed."""


@pytest.fixture(scope="module")
def whole(server: Run) -> Iterator[tuple[Engine, Story]]:
    """The ledger, made once; tests only read it."""
    with database_on(server, template=server.template) as url:
        engine = make_engine(url, schema=SCHEMA)
        try:
            yield engine, live_through(engine)
        finally:
            engine.dispose()


def test_beancount_reads_the_whole_ledger(whole: tuple[Engine, Story]) -> None:
    """No errors; what is outstanding, owed and in transit is as we have it, on each date alone too."""
    database, _ = whole
    read = read_beancount(journal_of(database, "beancount"))
    assert read.errors == []
    left = {name: points for name, points in read.accounts().items() if name[0] in "AL"}
    assert left == OUTSTANDING
    with database.connect() as connection:
        lots = connection.execute(text("SELECT sum(remaining) FROM lot")).scalar_one()
    assert read.total("Liabilities:Members") == -lots
    for day in ("2017-05-01", "2017-05-02", "2017-05-03"):
        of_day = read_beancount(journal_of(database, "beancount", day, day))
        assert (of_day.errors, of_day.total("Liabilities:Transit")) == ([], 0)
        assert any(":Transit:" in line.account for one in of_day.transactions for line in one.lines)


def test_hledger_reads_the_whole_ledger(whole: tuple[Engine, Story], tmp_path: Path) -> None:
    """It checks strictly, has the same balances, and totals by contributor and by counterpart."""
    hledger = read_hledger(journal_of(whole[0], "hledger"), tmp_path)
    checked = hledger.run("check", "--strict", "ordereddates")
    assert (checked.returncode, checked.stderr) == (0, "")
    assert hledger.balances("^Assets", "^Liabilities") == OUTSTANDING
    drawn = ("Income:Accepted", "tag:contributor=M2", "tag:kind=redemption")
    assert hledger.balances(*drawn) == {"Income:Accepted:Petrol:Hotel": -20}
    assert hledger.balances("Liabilities:Members", "tag:kind=gift") == {"Liabilities:Members:Grocer:M3": 15}


def test_entries_name_the_others_that_they_are_about(whole: tuple[Engine, Story]) -> None:
    """A transfer links its parent, a release its accrual, a capture its hold; two members name each other."""
    database, story = whole
    read = read_beancount(journal_of(database, "beancount"))
    by_reference = {one.tags["reference"]: one for one in read.transactions}

    def links(*references: str) -> set[str]:
        return {show("ent", story.entries[reference].entry_id) for reference in references}

    gift = story.entries["gift"]
    told = by_reference[f"transfer {gift.entry_id.hex}"]
    assert told.links == links("gift") | {show("ent", sibling(gift.entry_id, 4))}
    assert (told.kind, told.tags["member"], told.tags["counterpart"]) == ("transfer", "M4", "M3")
    assert (by_reference["gift"].tags["member"], by_reference["gift"].tags["counterpart"]) == ("M3", "M4")
    assert by_reference["released"].links == links("released", "later")
    assert by_reference["captured"].links == links("captured", "held")
    shared = by_reference["shared"]
    assert {line.tags["contributor"] for line in shared.lines if "contributor" in line.tags} == {"M2"}
