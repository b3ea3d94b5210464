"""Reports of days on which everything happened: movements, deficits and donations by name, to the point."""

import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from sqlalchemy import Engine

from config.database import make_engine
from network.model import EntryKind
from network.service import set_clock
from settlement.clearing import _EVENTS
from settlement.reports.network import write_network_report
from settlement.reports.night import write_operator_report
from settlement.reports.read import EVENTS, MOVEMENTS
from settlement.reports.statements import write_statements
from settlement.service import clear_due
from settlement.window_store import load_transactions
from tests.between import give
from tests.coalition import BANK, GROCER, HOTEL, PETROL, START, new_card, run, sale, set_up
from tests.conftest import SCHEMA, Run, database_on
from tests.whole import live_through

FIRST, SECOND = 20170501, 20170502


@dataclass(frozen=True)
class Reports:
    """The folder with statements and operator's reports of both nights, and the database."""

    database: Engine
    folder: Path

    def statement(self, day: str, code: str, section: str) -> list[tuple[str, str, str]]:
        """A section's lines as (line, counterparty, points)."""
        text = (self.folder / day / f"{code}.csv").read_text()
        rows = csv.DictReader(text.splitlines())
        return [
            (row["line"], row["counterparty"], row["points"]) for row in rows if row["section"] == section
        ]


@pytest.fixture(scope="module")
def reports(server: Run, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reports]:
    """The reports, written once; tests only read."""
    folder = tmp_path_factory.mktemp("reports")
    with database_on(server, template=server.template) as url:
        engine = make_engine(url, schema=SCHEMA)
        try:
            live_through(engine)
            with engine.connect() as connection:
                for window_id in (FIRST, SECOND):
                    write_statements(connection, window_id, folder)
                    write_operator_report(connection, window_id, folder)
            yield Reports(engine, folder)
        finally:
            engine.dispose()


def test_every_movement_and_kind_of_entry_has_its_words() -> None:
    """What can be priced can be named, and no kind of entry is a number on a statement."""
    assert MOVEMENTS.keys() == _EVENTS.keys()
    assert EVENTS.keys() == set(EntryKind)
    assert len(set(EVENTS.values())) == len(EVENTS)


def test_an_issuer_reads_what_became_of_its_points(reports: Reports) -> None:
    """Deficits, cures and donations by name; a deficit that a merge moved was neither made nor cured."""
    assert reports.statement("2017-05-02", "grocer", "points you issued") == [
        ("not taken back: owed as a deficit", "", "140"),
        ("deficit cured", "", "90"),
        ("redeemed to cure a deficit", "grocer", "15"),
        ("donated", "bank", "12"),
        ("donation reversed", "bank", "2"),
        ("passed to another member", "", "145"),
        ("came from another member", "", "145"),
    ]
    assert reports.statement("2017-05-01", "petrol", "points you issued") == [
        ("issued", "", "60"),
        ("redeemed", "hotel", "30"),
        ("held", "hotel", "35"),
        ("hold released", "hotel", "5"),
        ("passed to another member", "", "25"),
        ("came from another member", "", "5"),
    ]
    assert reports.statement("2017-05-02", "hotel", "points you issued") == [
        ("issued, waiting for an event", "", "15"),
        ("released by its event", "", "15"),
        ("issue reversed", "", "30"),
        ("redeemed to cure a deficit", "grocer", "15"),
    ]


def test_who_accepts_reads_why(reports: Reports) -> None:
    """The hotel its rewards, pooled and captured ones too; the cause its donations; the grocer its cures."""
    assert reports.statement("2017-05-01", "hotel", "points you accepted") == [
        ("redeemed", "grocer", "215"),
        ("redeemed", "petrol", "30"),
    ]
    assert reports.statement("2017-05-02", "bank", "points you accepted") == [
        ("donated", "grocer", "12"),
        ("donation reversed", "grocer", "2"),
    ]
    assert reports.statement("2017-05-02", "grocer", "points you accepted") == [
        ("redeemed to cure a deficit", "grocer", "15"),
        ("redeemed to cure a deficit", "petrol", "60"),
        ("redeemed to cure a deficit", "hotel", "15"),
    ]


def test_tills_read_what_they_sent(reports: Reports) -> None:
    """Every kind of entry in plain words, in its order."""
    events = [line for line, _, _ in reports.statement("2017-05-02", "grocer", "at your tills")]
    assert events == [
        "reversals",
        "transfers with another member",
        "donations",
        "accounts merged",
        "merges undone",
    ]


def test_the_operator_sees_uncured_deficits_per_issuer(reports: Reports) -> None:
    """Made, cured and uncured as of the night; a night without any does not mention them."""
    page = (reports.folder / "2017-05-02" / "_night.html").read_text()
    row = re.search(r"<tr><td>The grocer</td>((?:<td[^>]*>(?:<b>)?\d+(?:</b>)?</td>){3})</tr>", page)
    assert row is not None
    assert re.findall(r"\d+", re.sub(r"<[^>]*>", " ", row.group(1))) == ["140", "90", "50"]
    assert "Deficits" not in (reports.folder / "2017-05-01" / "_night.html").read_text()


def test_outstanding_counts_what_is_held_and_what_waits(reports: Reports, tmp_path: Path) -> None:
    """Issued less redeemed is in lots, held and waiting; the pool holds the price of it all."""
    with reports.database.connect() as connection:
        period = write_network_report(connection, date(2017, 5, 1), date(2017, 5, 2), tmp_path / "r.html")
    assert period.points["outstanding"].tolist() == [254, 219]
    assert {one.participant.code: one.outstanding for one in period.partners} == {
        "grocer": 89,
        "petrol": 50,
        "hotel": 30,
        "bank": 50,
    }
    # 89 + 50 points at a cent, 50 at half of one, 30 at a quarter
    assert period.pool_holds == period.pool_must_hold == Decimal("1.715")


def test_a_late_gift_is_one_late_entry(database: Engine, tmp_path: Path) -> None:
    """Reported a day late: the till did that once, and the transfer that follows is nobody's report."""
    live = set_up(database)
    giver, receiver = (new_card(database, live, name) for name in ("giver", "receiver"))
    run(database, live, sale(giver, 10_00, "sale"))
    for day in (1, 2):
        with database.begin() as connection:
            set_clock(connection, START + timedelta(days=day))
        clear_due(database, START + timedelta(days=day), programme_version=1)
        if day == 1:
            run(database, live, give(giver, receiver, 5, "late", at=START))
    with database.connect() as connection:
        page = write_operator_report(connection, SECOND, tmp_path).read_text()
    assert "Grocer: 1 entries reported for earlier days, the earliest of 2017-05-01" in page


def test_what_is_charged_by_the_piece(reports: Reports) -> None:
    """A sale, three rewards (one drawn from two members) and a capture are five; gifts and the like none."""
    with reports.database.connect() as connection:
        counted = load_transactions(connection, [FIRST, SECOND])
    assert {(one.partner_id, one.entries) for one in counted[FIRST]} == {
        *((GROCER, 6), (PETROL, 1), (HOTEL, 5), (BANK, 1)),
    }
    assert {(one.partner_id, one.entries) for one in counted[SECOND]} == {(PETROL, 1), (HOTEL, 1)}
