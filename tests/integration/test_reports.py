"""Reports on a real PostgreSQL: statements, the operator's night and the network report, figure by figure."""

import base64
import csv
import re
import threading
from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path

import openpyxl
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from matplotlib.figure import Figure
from sqlalchemy import Engine, text

from network.batch import execute
from network.commands import Command
from network.model import Entry
from network.rules import Rules
from network.service import (
    Network,
    apply_programme,
    create_network,
    load_rules,
    open_first_window,
    set_clock,
    window_id_of,
)
from partners.model import OPERATOR_ID, POOL_ID, Participant, Terms
from partners.store import add_outlets, add_participants, add_terms
from settlement.errors import SettlementError
from settlement.reports import pictures
from settlement.reports.errors import FiguresDisagree, NothingToReport
from settlement.reports.network import write_network_report
from settlement.reports.night import write_operator_report
from settlement.reports.show import cents, csv_bytes, money, plain, write_whole
from settlement.reports.statements import write_statements
from settlement.seal import Signer
from settlement.sealing import seal_due
from settlement.service import clear, clear_due, close_step, price_step
from tests import coalition
from tests.coalition import GROCER, OUTLET, PETROL, burn, enrol, sale, undo
from tests.conftest import as_owner

FIRST, SECOND = date(2017, 5, 1), date(2017, 5, 2)
OPEN_AT = datetime(2017, 5, 1, 9, tzinfo=UTC)
CLOSE_FIRST, NEXT_DAY, CLOSE_SECOND = (
    datetime(2017, 5, 2, tzinfo=UTC),
    datetime(2017, 5, 2, 9, tzinfo=UTC),
    datetime(2017, 5, 3, tzinfo=UTC),
)

PROGRAMME = """
name = "a point a dollar"
[earn.default]
step_minor = 100
[expiry]
months = 3
"""

GROCER_STATEMENT = """\
business_date,participant,section,line,counterparty,terms,entries,points,amount,currency
2017-05-01,grocer,at your tills,enrolments,,,1,0,0.00,USD
2017-05-01,grocer,at your tills,accruals,,,2,300,300.50,USD
2017-05-01,grocer,points you issued,issued,,1,,300,,USD
2017-05-01,grocer,points you issued,redeemed,'=petrol,1,,101,,USD
2017-05-01,grocer,obligations,issue,pool,,,300,-3.00,USD
2017-05-01,grocer,position,carried in from the night before,,,,,0.00,USD
2017-05-01,grocer,position,"obligations, to receive",,,,,0.00,USD
2017-05-01,grocer,position,"obligations, to pay",,,,,-3.00,USD
2017-05-01,grocer,position,fees,,,,,-0.10,USD
2017-05-01,grocer,position,VAT on fees,,,,,-0.02,USD
2017-05-01,grocer,position,exact position,,,,,-3.12,USD
2017-05-01,grocer,position,carried out to the next night (rounding),,,,,0.00,USD
2017-05-01,grocer,position,net tonight,,,,,-3.12,USD
"""
POOL_STATEMENT = """\
business_date,participant,section,line,counterparty,terms,entries,points,amount,currency
2017-05-01,pool,obligations,issue,grocer,,,300,3.00,USD
2017-05-01,pool,obligations,margin,operator,,,101,-0.197253,USD
2017-05-01,pool,obligations,redemption,'=petrol,,,101,-0.812747,USD
2017-05-01,pool,position,carried in from the night before,,,,,0.00,USD
2017-05-01,pool,position,"obligations, to receive",,,,,3.00,USD
2017-05-01,pool,position,"obligations, to pay",,,,,-1.01,USD
2017-05-01,pool,position,fees,,,,,0.00,USD
2017-05-01,pool,position,VAT on fees,,,,,0.00,USD
2017-05-01,pool,position,exact position,,,,,1.99,USD
2017-05-01,pool,position,carried out to the next night (rounding),,,,,0.00,USD
2017-05-01,pool,position,net tonight,,,,,1.99,USD
"""
PETROL_STATEMENT = """\
business_date,participant,section,line,counterparty,terms,entries,points,amount,currency
2017-05-01,'=petrol,at your tills,redemptions,,,1,-101,1.01,USD
2017-05-01,'=petrol,points you accepted,redeemed,grocer,1,,101,,USD
2017-05-01,'=petrol,obligations,redemption,pool,,,101,0.812747,USD
2017-05-01,'=petrol,position,carried in from the night before,,,,,0.00,USD
2017-05-01,'=petrol,position,"obligations, to receive",,,,,0.812747,USD
2017-05-01,'=petrol,position,"obligations, to pay",,,,,0.00,USD
2017-05-01,'=petrol,position,fees,,,,,0.00,USD
2017-05-01,'=petrol,position,VAT on fees,,,,,0.00,USD
2017-05-01,'=petrol,position,exact position,,,,,0.812747,USD
2017-05-01,'=petrol,position,carried out to the next night (rounding),,,,,-0.002747,USD
2017-05-01,'=petrol,position,net tonight,,,,,0.81,USD
"""


def contract(partner_id: int, rate: str, **given: Decimal | int) -> Terms:
    """Terms that fund on issue at a cent a point."""
    return Terms(
        partner_id=partner_id,
        terms_version=1,
        effective_on=date(2016, 1, 1),
        currency="USD",
        funding_share=Decimal(1),
        issue_price=Decimal("0.0100"),
        reimbursement_rate=Decimal(rate),
        **given,  # type: ignore[arg-type]  # the fields that differ, of either type
    )


def set_up(database: Engine) -> None:
    """A grocer and a petrol chain whose code and name try to be more than text."""
    with database.begin() as connection:
        create_network(
            connection,
            Network(name="Test", time_zone="Etc/UTC", cut_off=time(0), currency="USD", clock=OPEN_AT),
        )
        add_participants(
            connection,
            [
                Participant(partner_id=OPERATOR_ID, code="operator", name="Operator", kind="operator"),
                Participant(partner_id=POOL_ID, code="pool", name="Pool", kind="pool"),
                Participant(partner_id=GROCER, code="grocer", name="Grocer"),
                Participant(partner_id=PETROL, code="=petrol", name="<b>Petrol</b>"),
            ],
        )
        add_outlets(connection, [(GROCER, OUTLET, "Main"), (PETROL, OUTLET, "Main")])
        grocer = contract(GROCER, "0.0090", fee_per_transaction=Decimal("0.05"), vat_bps=2000)
        add_terms(
            connection, [grocer, contract(PETROL, "0.008047")], prepared_by="maker", activated_by="checker"
        )
        apply_programme(connection, PROGRAMME, at=OPEN_AT, applied_by="checker")
        open_first_window(connection, FIRST, OPEN_AT)


def send(database: Engine, commands: Sequence[Command]) -> list[Entry]:
    """Carry out commands that must all be accepted."""
    with database.connect() as connection:
        rules = load_rules(connection)
    outcomes = [reply.outcome for reply in execute(database, commands, rules)]
    entries = [outcome for outcome in outcomes if isinstance(outcome, Entry)]
    assert len(entries) == len(commands), outcomes
    return entries


def at(database: Engine, instant: datetime) -> None:
    """Put the network's clock forward."""
    with database.begin() as connection:
        set_clock(connection, instant)


@pytest.fixture
def two_nights(database: Engine) -> Engine:
    """Two cleared nights.

    The first: 250.00 and 50.50 are spent at the grocer, 101 points at the petrol chain. The second: the
    smaller sale is reversed, and a sale of the day before comes in late.
    """
    set_up(database)
    with database.connect() as connection:
        rules = load_rules(connection)
    [reply] = execute(database, [enrol()], rules)
    assert reply.enrolled is not None
    card = reply.enrolled.card_number
    _, small, _ = send(
        database,
        [sale(card, 25_000, "s1"), sale(card, 5_050, "s2"), burn(card, 101, "r1", partner_id=PETROL)],
    )
    at(database, CLOSE_FIRST)
    clear(database, FIRST, at=CLOSE_FIRST, programme_version=1)
    at(database, NEXT_DAY)
    send(database, [undo(small, "u1", at=NEXT_DAY), sale(card, 700, "s3", at=OPEN_AT)])
    at(database, CLOSE_SECOND)
    clear(database, SECOND, at=CLOSE_SECOND, programme_version=1)
    return database


def statements(database: Engine, on: date, directory: Path) -> dict[str, bytes]:
    """A night's statements by file name."""
    with database.connect() as connection:
        paths = write_statements(connection, window_id_of(on), directory)
    return {path.name: path.read_bytes() for path in paths}


def rows(content: bytes) -> list[list[str]]:
    """A CSV file's rows."""
    return list(csv.reader(content.decode().splitlines()))


def test_statements_read_as_ledgers(two_nights: Engine, tmp_path: Path) -> None:
    """Every line of three participants' first night, to the last digit; a code like a formula is quoted."""
    written = statements(two_nights, FIRST, tmp_path)
    assert written["grocer.csv"].decode().replace("\r\n", "\n") == GROCER_STATEMENT
    assert written["pool.csv"].decode().replace("\r\n", "\n") == POOL_STATEMENT
    assert written["participant-12.csv"].decode().replace("\r\n", "\n") == PETROL_STATEMENT


def test_reversals_and_what_was_carried_are_on_the_next_statement(two_nights: Engine, tmp_path: Path) -> None:
    """Points taken back lower the issuer's debt, and the fraction of a cent left over comes in again."""
    written = statements(two_nights, SECOND, tmp_path)
    grocer = [row[2:6] + row[6:9] for row in rows(written["grocer.csv"])]
    assert ["points you issued", "issue reversed", "", "1", "", "50", ""] in grocer
    assert ["obligations", "issue", "pool", "", "", "-43", "0.43"] in grocer
    petrol = {row[3]: row[8] for row in rows(written["participant-12.csv"])}
    assert petrol["carried in from the night before"] == "0.002747"
    assert petrol["net tonight"] == "0.00"
    assert petrol["carried out to the next night (rounding)"] == "-0.002747"


def test_the_same_night_gives_the_same_bytes(two_nights: Engine, tmp_path: Path) -> None:
    """Statements, the operator's report and the network report can be written again and compared."""
    once = statements(two_nights, FIRST, tmp_path / "one")
    again = statements(two_nights, FIRST, tmp_path / "two")
    assert once == again
    assert len(once) == 8
    with two_nights.connect() as connection:
        more = write_statements(connection, window_id_of(FIRST), tmp_path / "one", workbooks=True)
    assert len(more) == 12
    sheet = openpyxl.load_workbook(tmp_path / "one" / "2017-05-01" / "participant-12.xlsx")["Statement"]
    assert [cell.value for cell in sheet[sheet.max_row]][1::5] == ["net tonight", 0.81]
    pages = []
    for folder in ("one", "two"):
        with two_nights.connect() as connection:
            night = write_operator_report(connection, window_id_of(FIRST), tmp_path / folder)
            write_network_report(connection, FIRST, SECOND, tmp_path / folder / "report.html")
        pages.append((night.read_bytes(), (tmp_path / folder / "report.html").read_bytes()))
    assert pages[0] == pages[1]


def test_statements_show_the_seal_and_how_to_get_proofs(two_nights: Engine, tmp_path: Path) -> None:
    """Not sealed yet, then root, size and key of the seal; the CSV files are the same before and after."""
    before = statements(two_nights, FIRST, tmp_path)
    assert "Not sealed yet." in before["grocer.html"].decode()
    signer = Signer(Ed25519PrivateKey.from_private_bytes(bytes(range(32))))
    first, _ = seal_due(two_nights, signer, CLOSE_SECOND)
    after = statements(two_nights, FIRST, tmp_path)
    page = " ".join(after["grocer.html"].decode().split())
    assert "Not sealed yet." not in page
    assert "Sealed: 3 postings of the network under the root" in page
    assert f"<code>{first.root.hex()}</code>, signed with the key {signer.key_id}" in page
    assert "<code>GET /v1/entries/{id}/proof</code>; <code>tessera proof check FILE</code>" in page
    assert {name: text for name, text in before.items() if name.endswith(".csv")} == {
        name: text for name, text in after.items() if name.endswith(".csv")
    }


def test_pages_escape_what_they_show(two_nights: Engine, tmp_path: Path) -> None:
    """A partner's name cannot put markup into a page."""
    written = statements(two_nights, FIRST, tmp_path)
    with two_nights.connect() as connection:
        night = write_operator_report(connection, window_id_of(FIRST), tmp_path)
        write_network_report(connection, FIRST, SECOND, tmp_path / "report.html")
    for page in (written["participant-12.html"], night.read_bytes(), (tmp_path / "report.html").read_bytes()):
        assert b"&lt;b&gt;Petrol&lt;/b&gt;" in page
        assert b"<b>Petrol" not in page


def test_the_operator_sees_positions_and_exceptions(two_nights: Engine, tmp_path: Path) -> None:
    """The second night: debts turned round, points reversed after their window, and a late sale."""
    with two_nights.connect() as connection:
        page = write_operator_report(connection, window_id_of(SECOND), tmp_path).read_text()
    lines = re.findall(r"<li[^>]*>([^<]+)</li>", page)
    assert lines == [
        "Grocer to pool: issue of \N{MINUS SIGN}0.43 USD: reversals outweigh, so the money flows back",
        "Window 20170501: 1 postings of 50 points were reversed after it closed",
        "Grocer: 1 entries reported for earlier days, the earliest of 2017-05-01",
    ]
    total = re.search(r'<tr class="total"><th>Sum</th>(.*)</tr>', page)
    assert total is not None
    assert re.findall(r">([^<]+)</td>", total.group(1))[-2:] == ["0.00", "0.00"]


def test_the_network_report_adds_the_nights_up(two_nights: Engine, tmp_path: Path) -> None:
    """Points, sales, fees, positions and the pool over both nights."""
    with two_nights.connect() as connection:
        period = write_network_report(connection, date(2017, 1, 1), date(2017, 12, 31), tmp_path / "r.html")
    assert (period.first, period.last, period.nights) == (FIRST, SECOND, 2)
    grocer, petrol = period.partners
    assert (grocer.accruals, grocer.sales_minor) == (3, 30_750)
    assert (grocer.issued, grocer.redeemed, grocer.lapsed, grocer.outstanding) == (257, 101, 0, 156)
    assert (grocer.fees_minor, petrol.accepted) == (15, 101)
    assert period.pool_holds == period.pool_must_hold == Decimal("1.56")
    assert period.points["outstanding"].tolist() == [199, 156]
    assert period.nightly.sum(axis="columns").tolist() == [0, 0]
    assert period.nightly.sum().to_dict() == {OPERATOR_ID: 38, POOL_ID: 156, GROCER: -275, PETROL: 81}
    assert period.owed.gross.cells[GROCER, POOL_ID] == Decimal("2.57")
    assert period.owed.bilateral.total == Decimal("3.58")


def test_the_network_report_needs_nothing_else(two_nights: Engine, tmp_path: Path) -> None:
    """Pictures lie inside the page, each with a text in its place; nothing is fetched."""
    path = tmp_path / "report.html"
    with two_nights.connect() as connection:
        write_network_report(connection, FIRST, SECOND, path)
    page = path.read_text()
    pictures = re.findall(r'<img src="data:image/svg\+xml;base64,([^"]+)" alt="([^"]+)">', page)
    assert len(pictures) == 4
    for picture, says in pictures:
        assert b"</svg>" in base64.b64decode(picture)
        assert len(says) > 40
    left = re.sub(r'src="data:[^"]+"', "", page)
    assert not re.search(r"https?:|//|@import|url\(|<script|<link", left)


def test_a_night_not_cleared_has_no_report(database: Engine, tmp_path: Path) -> None:
    """An open window, an unknown one and an empty period are refused by name."""
    set_up(database)
    with database.connect() as connection:
        for window_id in (window_id_of(FIRST), 20010101):
            with pytest.raises(NothingToReport, match=f"window {window_id} has not been cleared"):
                write_statements(connection, window_id, tmp_path)
        with pytest.raises(NothingToReport, match="no night from 2017-05-01"):
            write_network_report(connection, FIRST, SECOND, tmp_path / "r.html")
    assert issubclass(NothingToReport, SettlementError)


def test_a_statement_that_does_not_add_up_is_not_written(
    two_nights: Engine, owner_database: Engine, tmp_path: Path
) -> None:
    """Stored figures that contradict one another are told, instead of printed as a net."""
    with owner_database.begin() as connection:
        connection.execute(
            text(
                "UPDATE net_position SET exact = exact + 1 WHERE window_id = 20170501 AND participant_id = 11"
            )
        )
    with (
        two_nights.connect() as connection,
        pytest.raises(FiguresDisagree, match="net position of participant 11"),
    ):
        write_statements(connection, window_id_of(FIRST), tmp_path)
    assert not list(tmp_path.rglob("*.csv"))


def test_a_code_cannot_lead_out_of_the_folder(
    two_nights: Engine, owner_database: Engine, tmp_path: Path
) -> None:
    """A code with slashes names no file: the participant's number does."""
    with owner_database.begin() as connection:
        connection.execute(text("UPDATE partner SET code = '../../grocer' WHERE partner_id = 11"))
    written = statements(two_nights, FIRST, tmp_path)
    assert sorted(written) == sorted(
        f"{name}.{ending}"
        for name in ("operator", "pool", "participant-11", "participant-12")
        for ending in ("csv", "html")
    )


def test_cells_cannot_become_formulas() -> None:
    """Text that a spreadsheet would run is quoted; negative numbers stay numbers; nothing stays empty."""
    content = csv_bytes(("a",), [("=1+1", "+1", "-1", "@x", "\tx", "plain", Decimal("-1.5"), -3, None)])
    assert content == b"a\r\n'=1+1,'+1,'-1,'@x,'\tx,plain,-1.50,-3,\r\n"


def test_amounts_are_written_exactly() -> None:
    """At least two decimals, never fewer than the amount has, and cents half-up where a table asks."""
    assert [plain(Decimal(one)) for one in ("0", "1E+3", "-1234.50250", "0.1")] == [
        "0.00",
        "1000.00",
        "-1234.5025",
        "0.10",
    ]
    assert money(Decimal("-1234.5")) == "\N{MINUS SIGN}1,234.50"
    assert [cents(Decimal(one)) for one in ("0.125", "1234.564999")] == ["0.13", "1,234.56"]


def write_at_once(path: Path, content: bytes, writers: int) -> list[Exception]:
    """Several threads write one file again and again; what they could not."""
    failures: list[Exception] = []

    def write() -> None:
        for _ in range(30):
            try:
                write_whole(path, content)
                path.unlink(missing_ok=True)
            except OSError as error:
                failures.append(error)

    threads = [threading.Thread(target=write) for _ in range(writers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return failures


def test_two_writers_of_one_file_do_not_meet(tmp_path: Path) -> None:
    """Each has a temporary file of its own: none fails, and no part is left behind."""
    assert write_at_once(tmp_path / "x.html", b"x" * 1_000_000, 3) == []
    write_whole(tmp_path / "x.html", b"whole")
    assert [path.name for path in tmp_path.iterdir()] == ["x.html"]
    assert (tmp_path / "x.html").read_bytes() == b"whole"


@pytest.mark.parametrize("steps", [1, 2])
def test_a_night_under_way_has_no_report(database: Engine, tmp_path: Path, steps: int) -> None:
    """Closed, or priced, and not netted: statements and report are refused, and nothing is written."""
    set_up(database)
    at(database, CLOSE_FIRST)
    close_step(database, FIRST, at=CLOSE_FIRST)
    if steps == 2:
        price_step(database, FIRST, at=CLOSE_FIRST, programme_version=1)
    with database.connect() as connection:
        for write in (write_statements, write_operator_report):
            with pytest.raises(NothingToReport, match=r"is (closed|priced) and not netted"):
                write(connection, window_id_of(FIRST), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_what_is_held_is_not_accepted(database: Engine, tmp_path: Path) -> None:
    """Of holds over 100 and 300 points, 250 are captured: these the hotel accepted, and nothing else."""
    live = coalition.set_up(database)
    card = coalition.new_card(database, live)
    coalition.run(database, live, sale(card, 100_000, "s"))
    given_up = coalition.run(database, live, coalition.reserve(card, 100, "h1"))
    coalition.run(database, live, coalition.release(given_up, "v1"))
    taken = coalition.run(database, live, coalition.reserve(card, 300, "h2"))
    coalition.run(database, live, coalition.take(taken, 250, "c2"))
    spent = coalition.run(database, live, burn(card, 40, "b1"))
    coalition.run(database, live, undo(spent, "u1"))
    at(database, CLOSE_FIRST)
    clear(database, FIRST, at=CLOSE_FIRST, programme_version=1)
    with database.connect() as connection:
        period = write_network_report(connection, FIRST, FIRST, tmp_path / "r.html")
    accepted = {one.participant.code: (one.accepted, one.redeemed) for one in period.partners}
    assert accepted == {"grocer": (0, 250), "petrol": (0, 0), "hotel": (250, 0), "bank": (0, 0)}
    lines = rows(statements(database, FIRST, tmp_path)["hotel.csv"])
    assert [(row[3], row[7]) for row in lines if row[2] == "points you accepted"] == [
        ("redeemed", "290"),
        ("redemption reversed", "40"),
    ]


def test_quiet_nights_have_their_rows(two_nights: Engine, tmp_path: Path) -> None:
    """Two empty nights after two busy ones: a row for each, and what is outstanding goes on."""
    empty = [date(2017, 5, 3), date(2017, 5, 4)]
    for on in empty:
        over = datetime.combine(on + timedelta(days=1), time(), tzinfo=UTC)
        at(two_nights, over)
        clear(two_nights, on, at=over, programme_version=1)
    with two_nights.connect() as connection:
        period = write_network_report(connection, FIRST, empty[-1], tmp_path / "r.html")
        quiet = write_network_report(connection, empty[0], empty[-1], tmp_path / "q.html")
    assert period.points["outstanding"].tolist() == [199, 156, 156, 156]
    assert period.points["issued"].tolist() == [300, -43, 0, 0]
    assert list(period.points.index) == [FIRST, SECOND, *empty]
    assert quiet.points["outstanding"].tolist() == [156, 156]
    assert [one.outstanding for one in quiet.partners] == [156, 0]
    assert (quiet.nights, quiet.partners[0].issued, quiet.owed.gross.total) == (2, 0, Decimal(0))


def test_a_network_without_any_business_has_a_report(database: Engine, tmp_path: Path) -> None:
    """Nights on which nothing ever happened: figures of nothing, and pictures all the same."""
    set_up(database)
    at(database, CLOSE_SECOND)
    for on, over in ((FIRST, CLOSE_FIRST), (SECOND, CLOSE_SECOND)):
        clear(database, on, at=over, programme_version=1)
    with database.connect() as connection:
        period = write_network_report(connection, FIRST, SECOND, tmp_path / "r.html")
    assert period.points["outstanding"].tolist() == [0, 0]
    assert (period.fees_minor, period.vat_minor, period.pool_holds) == (0, 0, Decimal(0))


def test_the_report_of_part_of_a_year_counts_what_was_before(database: Engine, tmp_path: Path) -> None:
    """Points of earlier months: outstanding counts them, the period's own columns do not."""
    live = coalition.set_up(database)
    card = coalition.new_card(database, live)
    for name, partner_id in (("s1", GROCER), ("s2", PETROL)):
        coalition.run(database, live, sale(card, 50_000, name, partner_id=partner_id))
    june = datetime(2017, 6, 1, 9, tzinfo=UTC)
    at(database, june)
    clear_due(database, june, programme_version=1)
    coalition.run(database, live, sale(card, 7_000, "s3", at=june))
    spent = coalition.run(database, live, burn(card, 30, "b1", at=june))
    coalition.run(database, live, undo(spent, "u1", at=june))
    coalition.run(database, live, burn(card, 20, "b2", at=june))
    september = datetime(2017, 9, 2, tzinfo=UTC)
    at(database, september)
    clear_due(database, september, programme_version=1)
    with database.connect() as connection:
        period = write_network_report(connection, june.date(), september.date(), tmp_path / "r.html")
    grocer, petrol = period.partners[:2]
    assert (grocer.issued, petrol.issued) == (70, 0)
    assert grocer.redeemed + petrol.redeemed == 20
    assert (grocer.lapsed + petrol.lapsed, grocer.outstanding, petrol.outstanding) == (730, 70, 0)
    assert period.points["outstanding"].iloc[0] == 800
    assert period.points["outstanding"].iloc[-1] == 70
    assert period.points["lapsed"].sum() == 730


def test_fees_that_are_given_back_are_the_operators_too(database: Engine, tmp_path: Path) -> None:
    """A night on which more is returned than sold: fees below zero count, and those of others beside them."""
    set_up(database)
    with as_owner(database) as connection:
        connection.execute(text("ALTER TABLE contract_terms DISABLE TRIGGER USER"))
        connection.execute(
            text(
                "UPDATE contract_terms SET fee_per_transaction = 0,"
                " fee_per_issued_point = 0.01, vat_bps = 2000"
            )
        )
    [reply] = execute(database, [enrol()], load_live(database))
    assert reply.enrolled is not None
    card = reply.enrolled.card_number
    [sold] = send(database, [sale(card, 10_000, "s1")])
    at(database, CLOSE_FIRST)
    clear(database, FIRST, at=CLOSE_FIRST, programme_version=1)
    at(database, NEXT_DAY)
    send(database, [undo(sold, "u1", at=NEXT_DAY), sale(card, 1_000, "s2", partner_id=PETROL, at=NEXT_DAY)])
    at(database, CLOSE_SECOND)
    clear(database, SECOND, at=CLOSE_SECOND, programme_version=1)
    with database.connect() as connection:
        period = write_network_report(connection, SECOND, SECOND, tmp_path / "r.html")
    assert [one.fees_minor for one in period.partners] == [-100, 10]
    assert (period.fees_minor, period.vat_minor) == (-90, -18)
    below = Figure().subplots()
    below.bar([1, 2], [5, -100])
    pictures.from_zero(below)
    assert below.get_ylim()[0] < -100


def test_a_dollar_sign_in_a_name_is_a_dollar_sign(two_nights: Engine, tmp_path: Path) -> None:
    """Names are text, not formulas: one that would be a broken formula stops no report."""
    with as_owner(two_nights) as connection:
        connection.execute(
            text(r"UPDATE partner SET name = 'Cash $\foo$ Carry', code = 'a$\foo$' WHERE partner_id = 11")
        )
    with two_nights.connect() as connection:
        write_network_report(connection, FIRST, SECOND, tmp_path / "r.html")
    assert r"Cash $\foo$ Carry" in (tmp_path / "r.html").read_text()


def load_live(database: Engine) -> Rules:
    """The rules as they stand."""
    with database.connect() as connection:
        return load_rules(connection)
