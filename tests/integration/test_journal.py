"""The ledger as outsiders read it: beancount and hledger find it balanced, and their totals are ours."""

import random
import re
import shlex
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from urllib.parse import unquote

import pytest
from sqlalchemy import Engine, text

from config.database import make_engine
from config.settings import PROJECT
from network.batch import execute
from network.commands import Command
from network.errors import InvariantBroken, NoSuchWindow
from network.ids import show
from network.model import Entry, EntryKind
from network.service import close_window, lapse_expired, load_rules, set_clock
from tests.coalition import (
    BANK,
    CODES,
    PETROL,
    burn,
    new_card,
    release,
    reserve,
    run,
    sale,
    set_up,
    take,
    undo,
)
from tests.conftest import SCHEMA, Run, database_on
from tests.journal_readers import journal_of, read_beancount, read_hledger

MAY_31 = datetime(2017, 5, 31, 12, tzinfo=UTC)
JUNE_1, JUNE_2 = datetime(2017, 6, 1, tzinfo=UTC), datetime(2017, 6, 2, tzinfo=UTC)
AWKWARD = 'a"b\\c;d|e,f(g)[h]%20:i\\'
"""A reference with all that either language gives a meaning to."""

SMALL = {
    "Expenses:Issued:Bank": 20,
    "Expenses:Issued:Grocer": 15,
    "Expenses:Issued:Petrol": 10,
    "Income:Accepted:Grocer:Hotel": -3,
    "Income:Lapsed:Bank": -20,
    "Income:Lapsed:Grocer": -10,
    "Income:Lapsed:Petrol": -10,
    "Liabilities:Held:Grocer:M2": -1,
    "Liabilities:Members:Grocer:M2": -1,
}
"""Points of the small ledger by account, those that are at zero left out."""

SMALL_KINDS = {
    "enrolment": 2,
    "accrual": 6,
    "redemption": 2,
    "reversal": 2,
    "hold": 1,
    "capture": 1,
    "expiry": 1,
}

FIRST_OF_JUNE = {
    "Expenses:Issued:Grocer": 5,
    "Income:Accepted:Bank:Hotel": 20,
    "Income:Accepted:Grocer:Hotel": 7,
    "Income:Accepted:Petrol:Hotel": 10,
    "Liabilities:Held:Grocer:M2": -1,
    "Liabilities:Members:Bank:M1": -20,
    "Liabilities:Members:Grocer:M1": -10,
    "Liabilities:Members:Grocer:M2": -1,
    "Liabilities:Members:Petrol:M1": -10,
}
"""What its business date of 1 June alone moves."""


def nights_until(database: Engine, day: date) -> None:
    """End business dates until a day is open, as nights do: clock, close, sweep."""
    with database.connect() as connection:
        open_date = connection.execute(
            text("SELECT business_date FROM clearing_window WHERE closed_at IS NULL")
        ).scalar_one()
    while open_date < day:
        midnight = datetime(open_date.year, open_date.month, open_date.day, tzinfo=UTC) + timedelta(days=1)
        with database.begin() as connection:
            set_clock(connection, midnight)
            close_window(connection, open_date, midnight)
        open_date += timedelta(days=1)
        lapse_expired(database, open_date, 1)


@dataclass(frozen=True)
class Small:
    """A database with the small ledger in it, which tests only read, and an entry of it."""

    database: Engine
    given_back: Entry


@pytest.fixture(scope="module")
def small(server: Run) -> Iterator[Small]:
    """The small ledger, made once: it is ninety-four nights long."""
    with database_on(server, template=server.template) as url:
        engine = make_engine(url, schema=SCHEMA)
        try:
            yield Small(engine, small_ledger(engine))
        finally:
            engine.dispose()


def small_ledger(database: Engine, until: date = date(2017, 9, 2)) -> Entry:
    """Accruals at three issuers, a redemption of them all that comes back, a returned sale, and a lapse.

    What the first member has of May lapses on 1 September; the second keeps a point of June and has one held.

    Returns:
        The entry of the redemption that came back.
    """
    live = set_up(database, MAY_31)
    first, second = (new_card(database, live, name, at=MAY_31) for name in ("e1", "e2"))
    run(database, live, sale(first, 1000, AWKWARD, at=MAY_31))
    run(database, live, sale(first, 2000, "s2", partner_id=PETROL, at=MAY_31))
    run(database, live, sale(first, 2000, "s3", partner_id=BANK, at=MAY_31))
    run(database, live, sale(first, 99, "s4", at=MAY_31))
    spent = run(database, live, burn(first, 40, "b1", at=MAY_31))
    nights_until(database, JUNE_1.date())
    run(database, live, undo(spent, "u1", at=JUNE_1))
    returned = run(database, live, sale(second, 700, "s5", at=JUNE_1))
    run(database, live, undo(returned, "u2", at=JUNE_1))
    run(database, live, sale(second, 500, "s6", at=JUNE_1))
    run(database, live, burn(second, 2, "b2", at=JUNE_1))
    held = run(database, live, reserve(second, 2, "h1", at=JUNE_1))
    run(database, live, take(held, 1, "t1", at=JUNE_1))
    nights_until(database, until)
    return spent


def test_beancount_finds_every_account_as_we_have_it(small: Small) -> None:
    """No errors, every entry there, and beancount's totals per account, issuer, kind and lot are right."""
    read = read_beancount(journal_of(small.database, "beancount"))
    assert read.errors == []
    assert read.kinds() == SMALL_KINDS
    assert read.accounts() == SMALL
    assert read.total("Liabilities:Members:Grocer") == -1
    assert read.total("Expenses:Issued") == 45
    assert read.total("Income:Lapsed") == -40
    assert read.by_tag("lot", "Liabilities") == {"Grocer/1/2017-09-30": -2}
    assert read.by_tag("lot", "Expenses") == {
        "Bank/1/2017-08-31": 20,
        "Grocer/1/2017-08-31": 10,
        "Grocer/1/2017-09-30": 5,
        "Petrol/1/2017-08-31": 10,
    }
    assert read.by_tag("expires", "Income:Lapsed") == {"2017-08-31": -40}


def test_nothing_of_an_entry_is_lost(small: Small) -> None:
    """A reference comes back as it was, an entry without points is there, a reversal names what it undid."""
    spent = small.given_back
    read = read_beancount(journal_of(small.database, "beancount"))
    by_reference = {one.tags["reference"]: one for one in read.transactions}
    assert AWKWARD in by_reference
    without = by_reference["s4"]
    assert (without.lines, without.payee, without.tags["amount-minor"]) == ([], "grocer", 99)
    lines = [line.points for line in by_reference["b1"].lines]
    assert len(lines) == 6
    assert lines[1::2] == [-points for points in lines[::2]]
    undone = by_reference["u1"]
    assert show("ent", spent.entry_id) in undone.links
    assert by_reference["b1"].links < undone.links
    assert by_reference["h1"].links < by_reference["t1"].links
    assert {line.tags["reversed-window"] for line in undone.lines} == {20170531}
    assert by_reference["lapse 2017-09-01"].on == date(2017, 9, 1)


def test_hledger_finds_every_account_as_we_have_it(small: Small, tmp_path: Path) -> None:
    """`hledger check --strict` passes; its balances, also per lot and kind of event, are right."""
    spent = small.given_back
    hledger = read_hledger(journal_of(small.database, "hledger"), tmp_path)
    checked = hledger.run("check", "--strict", "ordereddates")
    assert (checked.returncode, checked.stderr) == (0, "")
    assert hledger.balances() == SMALL
    assert hledger.balances("Liabilities", "--pivot=lot") == {"Grocer/1/2017-09-30": -2}
    assert hledger.balances("Income:Lapsed", "--pivot=expires") == {"2017-08-31": -40}
    assert hledger.balances("Expenses", "tag:kind=reversal") == {"Expenses:Issued:Grocer": -7}
    rows = hledger.rows("print")
    assert AWKWARD in {unquote(row["code"]) for row in rows}
    assert f"reverses:{show('ent', spent.entry_id)}" in next(
        row["comment"] for row in rows if row["code"] == "u1"
    )
    # CSV has no row for a transaction without postings; as text it is there
    assert "(s4) grocer | accrual" in hledger.run("print").stdout


def test_a_window_alone_balances(small: Small) -> None:
    """One business date holds its own movements and no others; an empty one is a journal as well."""
    read = read_beancount(journal_of(small.database, "beancount", "2017-06-01", "2017-06-01"))
    assert (read.errors, read.accounts()) == ([], FIRST_OF_JUNE)
    empty = read_beancount(journal_of(small.database, "beancount", "2017-07-01", "2017-07-01"))
    assert (empty.errors, empty.accounts(), empty.transactions) == ([], {}, [])


def test_a_window_alone_balances_for_hledger(small: Small, tmp_path: Path) -> None:
    """The same as hledger reads it."""
    hledger = read_hledger(journal_of(small.database, "hledger", "2017-06-01", "2017-06-01"), tmp_path)
    assert hledger.run("check", "--strict").returncode == 0
    assert hledger.balances() == FIRST_OF_JUNE
    hledger = read_hledger(journal_of(small.database, "hledger", "2017-07-01", "2017-07-01"), tmp_path)
    assert hledger.run("check", "--strict").returncode == 0


def test_several_windows_are_the_sum_of_each(small: Small) -> None:
    """May's last day and June's first, together; from the beginning to the end is the whole."""
    read = read_beancount(journal_of(small.database, "beancount", None, "2017-06-01"))
    assert read.errors == []
    assert read.accounts() == {
        "Expenses:Issued:Bank": 20,
        "Expenses:Issued:Grocer": 15,
        "Expenses:Issued:Petrol": 10,
        "Income:Accepted:Grocer:Hotel": -3,
        "Liabilities:Held:Grocer:M2": -1,
        "Liabilities:Members:Bank:M1": -20,
        "Liabilities:Members:Grocer:M1": -10,
        "Liabilities:Members:Grocer:M2": -1,
        "Liabilities:Members:Petrol:M1": -10,
    }
    for form in ("beancount", "hledger"):
        assert journal_of(small.database, form, "2017-05-31", "2017-09-02") == journal_of(
            small.database, form
        )


@pytest.mark.parametrize("form", ["beancount", "hledger"])
def test_closed_windows_give_the_same_bytes(database: Engine, form: str) -> None:
    """Again, and after the open window has got more entries, byte for byte."""
    small_ledger(database, until=JUNE_2.date())
    closed = ("2017-05-31", "2017-06-01")
    before = journal_of(database, form, *closed)
    with database.connect() as connection:
        live = load_rules(connection)
    card = new_card(database, live, "e3", at=JUNE_2)
    run(database, live, sale(card, 1000, "late", at=JUNE_2))
    assert journal_of(database, form, *closed) == before
    assert "late" in journal_of(database, form)


def test_entries_are_in_order(small: Small) -> None:
    """By window, then member, then entry: the order in which a window's postings are sealed."""
    read = read_beancount(journal_of(small.database, "beancount"))
    order = [(one.on, one.tags["member"], one.tags["recorded"]) for one in read.transactions]
    assert order == sorted(order)
    assert len(order) == 15


@pytest.mark.parametrize(
    ("first", "last"), [("2017-05-30", None), (None, "2017-09-03"), ("2017-07-02", "2017-07-01")]
)
def test_dates_without_a_window_are_refused(small: Small, first: str | None, last: str | None) -> None:
    """Dates before the first window, after the open one, or in the wrong order."""
    with pytest.raises(NoSuchWindow, match=r"run from 2017-05-31 to 2017-09-02|the first date comes"):
        journal_of(small.database, "hledger", first, last)


def test_a_posting_without_its_entry_is_not_passed_over(database: Engine) -> None:
    """A posting stamped with another window than its entry stops the export, which names it."""
    small_ledger(database, until=JUNE_2.date())
    with database.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO posting SELECT member_id, entry_id, 9, debit, credit, points, issuer_id,"
                " issuer_terms, acceptor_id, acceptor_terms, category, unit, 20170601, reversed_window_id,"
                " spendable_on, expires_on FROM posting WHERE window_id = 20170531 AND line = 3"
            )
        )
    with pytest.raises(InvariantBroken, match="window 20170601 has postings of entry"):
        journal_of(database, "beancount")


SPOILT = {
    "one line's points": (r"(Expenses:Issued:Grocer  )10 ", r"\g<1>11 "),
    "both lines' points": (r"(?s)(Expenses:Issued:Grocer  )10 (.*?M1  )-10 ", r"\g<1>11 \g<2>-11 "),
    "another issuer": (r"Expenses:Issued:Grocer  10 ", "Expenses:Issued:Petrol  10 "),
    "a missing transaction": (r"(?s)\n\n2017-06-01 [^\n]*reversal.*?\n\n", "\n\n"),
}


def spoil(journal: str, fault: str) -> str:
    """A journal with one fault in it."""
    pattern, put = SPOILT[fault]
    spoilt, changes = re.subn(pattern, put, journal, count=1)
    assert changes == 1
    return spoilt


@pytest.mark.parametrize("fault", SPOILT)
def test_beancount_finds_out_a_spoilt_journal(small: Small, fault: str) -> None:
    """The totals stated at the end are summed by the database: what balances, but is not ours, shows too."""
    journal = journal_of(small.database, "beancount")
    assert read_beancount(spoil(journal, fault)).errors != []


@pytest.mark.parametrize("fault", SPOILT)
def test_hledger_finds_out_a_spoilt_journal(small: Small, tmp_path: Path, fault: str) -> None:
    """The same by hledger's assertions."""
    journal = journal_of(small.database, "hledger")
    assert read_hledger(spoil(journal, fault), tmp_path).run("check").returncode == 1


@pytest.fixture(scope="module")
def busy(server: Run) -> Iterator[Engine]:
    """The busy ledger, made once; tests only read it."""
    with database_on(server, template=server.template) as url:
        engine = make_engine(url, schema=SCHEMA)
        try:
            busy_ledger(engine)
            yield engine
        finally:
            engine.dispose()


def busy_ledger(database: Engine) -> None:
    """Thirty members at four partners over five days: 1,500 random sales, redemptions, holds, returns."""
    chance = random.Random(20170531)
    live = set_up(database, MAY_31)
    cards = [new_card(database, live, f"e{number}", at=MAY_31) for number in range(30)]
    entries: list[Entry] = []
    holds: list[Entry] = []
    for day in range(5):
        at = JUNE_1 + timedelta(days=day - 1) if day else MAY_31
        nights_until(database, at.date())
        for batch in range(3):
            commands: list[Command] = []
            for number in range(100):
                card, partner_id = chance.choice(cards), chance.choice(list(CODES))
                name = f"{day}-{batch}-{number}"
                kind = chance.random()
                if kind < 0.65 or not entries:
                    sold = chance.randint(1, 9000)
                    commands.append(sale(card, sold, name, partner_id=partner_id, at=at))
                elif kind < 0.8:
                    commands.append(burn(card, chance.randint(1, 150), name, partner_id=partner_id, at=at))
                elif kind < 0.9:
                    commands.append(undo(chance.choice(entries), name, at=at))
                elif kind < 0.95 or not holds:
                    commands.append(reserve(card, chance.randint(1, 90), name, partner_id=partner_id, at=at))
                elif kind < 0.98:
                    commands.append(take(chance.choice(holds), chance.randint(1, 30), name, at=at))
                else:
                    commands.append(release(chance.choice(holds), name, at=at))
            replies = execute(database, commands, live)
            entries += [reply.outcome for reply in replies if isinstance(reply.outcome, Entry)]
            holds = [entry for entry in entries if entry.kind is EntryKind.HOLD]


NAMED = {
    2: "Expenses:Issued:{0}",
    3: "Income:Accepted:{0}:{1}",
    4: "Income:Lapsed:{0}",
    5: "Liabilities:Held:{0}:M{2}",
}
"""Accounts that are sums over postings, by their number in the database: issuer, acceptor, member."""


def our_totals(database: Engine) -> dict[str, int]:
    """The ledger's accounts by SQL of this test's own: lots, and sums over postings."""
    totals: Counter[str] = Counter()
    with database.connect() as connection:
        sums = connection.execute(
            text(
                """
                SELECT side.kind, initcap(i.code), initcap(a.code), member_id, sum(side.points)
                FROM (
                    SELECT debit AS kind, member_id, issuer_id, acceptor_id, points FROM posting
                    UNION ALL SELECT credit, member_id, issuer_id, acceptor_id, -points FROM posting
                ) side JOIN partner i ON i.partner_id = issuer_id
                LEFT JOIN partner a ON a.partner_id = acceptor_id
                WHERE side.kind <> 1 GROUP BY 1, 2, 3, 4
                """
            )
        )
        for kind, issuer, acceptor, member, points in sums:
            totals[NAMED[kind].format(issuer, acceptor, member)] += int(points)
        lots = connection.execute(
            text("SELECT initcap(code), member_id, remaining FROM lot JOIN partner ON partner_id = issuer_id")
        )
        for issuer, member, points in lots:
            totals[f"Liabilities:Members:{issuer}:M{member}"] -= points
    return {account: points for account, points in totals.items() if points}


def our_lots(database: Engine) -> dict[str, int]:
    """What is outstanding by issuer, terms and expiry."""
    with database.connect() as connection:
        rows = connection.execute(
            text(
                "SELECT initcap(code) || '/' || terms_version || '/' || expires_on, -sum(remaining) FROM lot"
                " JOIN partner ON partner_id = issuer_id GROUP BY 1 HAVING sum(remaining) > 0 ORDER BY 1"
            )
        )
        return {lot: int(points) for lot, points in rows}


def test_a_busy_ledger_is_ours_to_the_point(busy: Engine) -> None:
    """Over 1,000 random entries: beancount has every account and lot as the database has it."""
    read = read_beancount(journal_of(busy, "beancount"))
    assert read.errors == []
    assert len(read.transactions) > 1000
    ours = our_totals(busy)
    assert len(ours) > 100
    assert read.accounts() == ours
    assert read.by_tag("lot", "Liabilities:Members") == our_lots(busy)


def test_a_busy_ledger_is_ours_for_hledger(busy: Engine, tmp_path: Path) -> None:
    """The same as hledger reads it."""
    hledger = read_hledger(journal_of(busy, "hledger"), tmp_path)
    checked = hledger.run("check", "--strict", "ordereddates")
    assert (checked.returncode, checked.stderr) == (0, "")
    assert hledger.balances() == our_totals(busy)
    assert hledger.balances("Liabilities:Members", "--pivot=lot") == our_lots(busy)


def test_what_the_page_says_can_be_done(busy: Engine, tmp_path: Path) -> None:
    """Every hledger command of docs/journal.md works; one issuer's books come to zero by themselves."""
    hledger = read_hledger(journal_of(busy, "hledger"), tmp_path)
    page = (PROJECT / "docs" / "journal.md").read_text(encoding="utf-8").splitlines()
    begin = "hledger -f all.journal "
    commands = [shlex.split(line, comments=True)[3:] for line in page if line.startswith(begin)]
    assert len(commands) == 8
    assert [hledger.run(*command).stderr for command in commands] == [""] * 8
    of_one_issuer = next(command for command in commands if command[-1] == "3" and "Butcher" in command[1])
    pattern = of_one_issuer[1].replace("Butcher", "Hotel")
    issued = hledger.balances(pattern)
    assert len(issued) > 20
    assert sum(issued.values()) == 0
