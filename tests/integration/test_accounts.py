"""Statements of spans, reconciliation and the operator's report on days on which everything happened."""

import csv
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from pathlib import Path

import openpyxl
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import Engine, text
from typer.testing import CliRunner, Result

from api.cli import app
from config.database import make_engine
from network import ids
from settlement import proof
from settlement.money import exactly, from_minor
from settlement.reports.account import write_account
from settlement.reports.errors import FiguresDisagree, NothingToReport
from settlement.reports.liability import read_outstanding
from settlement.reports.operator import write_operator_pages
from settlement.reports.read import read_span
from settlement.reports.reconciliation import write_reconciliation
from settlement.reports.show import money
from settlement.seal import Signer
from settlement.sealing import seal_due
from tests.coalition import BANK, GROCER, HOTEL, PETROL, START
from tests.conftest import SCHEMA, Run, as_owner, database_on
from tests.whole import live_through

FIRST, SECOND = date(2017, 5, 1), date(2017, 5, 2)
SPANS = {"2017-05-01": (FIRST, FIRST), "2017-05-02": (SECOND, SECOND), "2017-05": (FIRST, date(2017, 5, 31))}
CODES = {GROCER: "grocer", PETROL: "petrol", HOTEL: "hotel", BANK: "bank"}
EVERYBODY = ("operator", "pool", *CODES.values())
NAMES = {GROCER: "=1+1", PETROL: "<script>alert(1)</script>", HOTEL: "\u202eletoh", BANK: "'; DROP \x07"}
"""Names that try to be more than text."""
SIGNER = Signer(Ed25519PrivateKey.from_private_bytes(bytes(range(32))))


@dataclass(frozen=True)
class World:
    """The database with two sealed nights, and the statements of everybody for every span."""

    database: Engine
    url: str
    folder: Path

    def table(self, name: str) -> list[dict[str, str]]:
        """A CSV file."""
        return list(csv.DictReader(io.StringIO((self.folder / name).read_text(), newline="")))

    def sheet(self, name: str, title: str) -> list[tuple[object, ...]]:
        """The rows of a sheet, without its titles."""
        page = openpyxl.load_workbook(self.folder / f"{name}.xlsx")[title]
        return [tuple(row) for row in page.iter_rows(min_row=2, values_only=True)]

    def page(self, name: str) -> str:
        """A page."""
        return (self.folder / f"{name}.html").read_text()


@pytest.fixture(scope="module")
def world(server: Run, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """All statements, written once; tests only read."""
    folder = tmp_path_factory.mktemp("accounts")
    with database_on(server, template=server.template) as url:
        engine = make_engine(url, schema=SCHEMA)
        try:
            live_through(engine)
            seal_due(engine, SIGNER, START)
            with as_owner(engine) as connection:
                for partner_id, name in NAMES.items():
                    connection.execute(
                        text("UPDATE partner SET name = :name WHERE partner_id = :partner_id"),
                        {"name": name, "partner_id": partner_id},
                    )
            with engine.connect() as connection:
                for label, (first, last) in SPANS.items():
                    span = read_span(connection, first, last)
                    for code in EVERYBODY:
                        write_account(connection, span, code, folder, label=label)
                        write_reconciliation(connection, span, code, folder, label=label)
                write_operator_pages(connection, SECOND, folder)
            yield World(engine, url.render_as_string(hide_password=False), folder)
        finally:
            engine.dispose()


def positions(world: World, label: str) -> dict[str, Decimal]:
    """What each participant's nights of a span come to, straight from the table."""
    first, last = SPANS[label]
    with world.database.connect() as connection:
        rows = connection.execute(
            text(
                "SELECT code, sum(final_minor)::bigint AS final_minor FROM net_position"
                " JOIN partner ON partner_id = participant_id JOIN clearing_window USING (window_id)"
                " WHERE business_date BETWEEN :first AND :last GROUP BY 1"
            ),
            {"first": first, "last": last},
        )
        return {row.code: from_minor(row.final_minor, 2) for row in rows}


@pytest.mark.parametrize("label", SPANS)
@pytest.mark.parametrize("code", EVERYBODY)
def test_page_csv_and_workbook_agree_with_the_positions(world: World, code: str, label: str) -> None:
    """The net of every participant and span is the sum of its positions, to the cent, in all three files."""
    net = positions(world, label)[code]
    name = f"{code}-{label}"
    [line] = [row for row in world.table(f"{name}.csv") if row["line"] == "net tonight"]
    assert Decimal(line["amount"]) == net
    [cell] = [row[6] for row in world.sheet(name, "Statement") if row[1] == "net tonight"]
    assert isinstance(cell, int | float)
    assert round(Decimal(cell), 2) == net
    nights = world.sheet(name, "Nights")
    assert round(Decimal(str(nights[-1][6])), 2) == net
    assert all(row[0] is not None and row[0].date() in (FIRST, SECOND) for row in nights[:-1])  # type: ignore[attr-defined]  # dates, as cells have them
    row = r'<tr class="total"><td>Net [^<]*</td><td class="n">([^<]*)</td>'
    [shown] = re.findall(row, world.page(name))
    assert shown == money(net)


@pytest.mark.parametrize("label", SPANS)
@pytest.mark.parametrize("code", CODES.values())
@exactly
def test_postings_are_the_obligations(world: World, code: str, label: str) -> None:
    """Each partner's postings sum to its debts to the last digit, and the workbook has the same lines."""
    name = f"{code}-{label}"
    owed = sum(
        Decimal(row["amount"])
        for row in world.table(f"{name}.csv")
        if row["section"] == "obligations" and row["counterparty"] != code
    )
    postings = world.table(f"{name}-postings.csv")
    assert sum(Decimal(row["amount"]) for row in postings) == owed
    cells = world.sheet(name, "Postings")
    assert [row[4] for row in cells] == [row["entry"] for row in postings]
    assert [row[10] for row in cells] == [int(row["points"]) for row in postings]


def test_a_partner_sees_its_own_references_only(world: World) -> None:
    """Of points that others' tills moved: entry, points and money, and nothing that is theirs."""
    rows = world.table("grocer-2017-05-postings.csv")
    own = [row for row in rows if row["your_reference"]]
    others = [row for row in rows if not row["your_reference"]]
    assert own
    assert others
    assert {row["outlet"] for row in others} == {""}
    with world.database.connect() as connection:
        sent = set(connection.execute(text("SELECT reference FROM entry WHERE partner_id = 11")).scalars())
    assert {row["your_reference"] for row in own} <= sent


def test_every_posting_has_its_place_and_own_entries_their_proof(world: World) -> None:
    """Each leaf hash is the one in the proofs, which hold under the network's key; nobody else's is there."""
    lines = (world.folder / "grocer-2017-05-proofs.ndjson").read_bytes().splitlines()
    proven: dict[tuple[str, object], str] = {}
    for line in lines:
        checked = proof.check(line, SIGNER.public_key)
        assert checked.faults == []
        assert checked.proof is not None
        for one in checked.proof.postings:
            assert one.leaf["partner"] == GROCER
            proven[checked.proof.entry, one.leaf["line"]] = one.leaf_hash
    rows = world.table("grocer-2017-05-postings.csv")
    own = {(row["entry"], int(row["posting"])): row["leaf_hash"] for row in rows if row["your_reference"]}
    assert own.items() <= proven.items()
    assert all(len(row["leaf_hash"]) == 64 for row in rows)


def test_names_do_nothing(world: World) -> None:
    """Formulas, markup and marks that turn a line round are text in pages and workbooks."""
    for partner_id, code in CODES.items():
        page = world.page(f"{code}-2017-05")
        title = re.search(r"<h1>Statement of <bdi>(.*)</bdi></h1>", page)
        assert title is not None
        assert (
            title.group(1)
            == {
                GROCER: "=1+1",
                PETROL: "&lt;script&gt;alert(1)&lt;/script&gt;",
                HOTEL: "\ufffdletoh",
                BANK: "&#39;; DROP \ufffd",
            }[partner_id]
        )
    page = world.page("_operator-2017-05-02")
    for name in NAMES.values():
        assert f">{name}<" not in page.replace("<bdi>=1+1</bdi>", "")
    assert "<script" not in page
    assert "\u202e" not in page


def test_figures_that_disagree_are_not_written(world: World, tmp_path: Path) -> None:
    """An obligation that is not its postings' money stops the statement, which says where."""
    with world.database.connect() as connection:
        connection.execute(
            text("UPDATE obligation SET amount = amount + 0.01 WHERE flow = 'issue' AND debtor_id = 11")
        )
        span = read_span(connection, FIRST, SECOND)
        with pytest.raises(FiguresDisagree, match="issue between participants 11 and 2"):
            write_account(connection, span, "grocer", tmp_path, label="x")
        connection.rollback()
    assert list(tmp_path.iterdir()) == []


def test_the_same_nights_give_the_same_bytes(world: World, tmp_path: Path) -> None:
    """Written again, every file is what it was: page, CSV, workbook, proofs, the operator's pages."""
    with world.database.connect() as connection:
        span = read_span(connection, *SPANS["2017-05"])
        files = write_account(connection, span, "hotel", tmp_path, label="2017-05")
        files += write_operator_pages(connection, SECOND, tmp_path)
    assert len(files) == 7
    for file in files:
        assert file.read_bytes() == (world.folder / file.name).read_bytes()


def test_who_takes_no_part_has_no_statement(world: World, tmp_path: Path) -> None:
    """A code that nobody has, and dates without a night, are told."""
    with world.database.connect() as connection:
        span = read_span(connection, FIRST, SECOND)
        with pytest.raises(NothingToReport, match="nobody with the code 'baker'"):
            write_account(connection, span, "baker", tmp_path, label="x")
        with pytest.raises(NothingToReport, match="no night from 2018-01-01"):
            read_span(connection, date(2018, 1, 1), date(2018, 1, 31))


def test_reconciliation_has_each_entry_once(world: World) -> None:
    """Every entry of the partner in the closed windows, under its reference, with points and amount."""
    rows = world.table("grocer-2017-05-reconciliation.csv")
    with world.database.connect() as connection:
        entries = connection.execute(
            text(
                "SELECT reference, entry_id, points, amount_minor"
                " FROM entry JOIN clearing_window USING (window_id)"
                " WHERE partner_id = 11 AND closed_at IS NOT NULL AND kind NOT IN (5, 9, 12)"
            )
        ).all()
    assert {(row["reference"], row["entry"], int(row["points"]), Decimal(row["amount"])) for row in rows} == {
        (one.reference, ids.show("ent", one.entry_id), one.points, from_minor(one.amount_minor, 2))
        for one in entries
    }
    assert len(rows) == len(entries)


def test_what_is_outstanding_is_in_lots_held_waiting_or_on_paper(world: World) -> None:
    """After the second night, and with the third day's postings: per issuer, and what the pool must hold."""
    with world.database.connect() as connection:
        closed = read_outstanding(connection, SECOND)
        now = read_outstanding(connection)
        out = connection.execute(
            text(
                "SELECT (SELECT sum(remaining) FROM lot)"
                " + (SELECT coalesce(sum(points - captured - returned), 0) FROM hold)"
                " + (SELECT coalesce(sum(points - released - cancelled), 0) FROM pending)"
                " + (SELECT coalesce(-sum(e.points), 0) FROM voucher JOIN entry e USING (member_id, entry_id)"
                " WHERE ended_by IS NULL)"
            )
        ).scalar_one()
    assert {CODES[one.issuer_id]: one.estimate.outstanding for one in closed.liabilities} == {
        "grocer": 89,
        "petrol": 50,
        "hotel": 30,
        "bank": 50,
    }
    total = closed.total("USD")
    assert (total.of_pool, total.of_issuers) == (Decimal("1.715"), Decimal("0.475"))
    assert total.plain == Decimal("2.19")
    # two days old, no lot has come to its end: what has one counts as redeemed, and the rest by what was
    assert total.unseen == 180
    assert total.expected < total.plain
    assert now.is_open
    assert now.total("USD").outstanding == out


def test_the_operator_s_workbook_sums_to_zero(world: World) -> None:
    """Positions of night, month and year; liabilities as the page; ageing adds up to what is out."""
    *rows, total = world.sheet("_operator-2017-05-02", "Positions")
    assert [round(cell, 2) for cell in total[2:]] == [0, 0, 0, 0, 0]  # type: ignore[call-overload]  # numbers
    assert {row[0]: round(Decimal(str(row[4])), 2) for row in rows} == positions(world, "2017-05")
    assert {row[0]: round(Decimal(str(row[2])), 2) for row in rows} == positions(world, "2017-05-02")
    assert world.sheet("_operator-2017-05-02", "Liability")[-1][3] == 219
    assert world.sheet("_operator-2017-05-02", "Ageing")[-1][-1] == 219
    page = world.page("_operator-2017-05-02")
    assert "exactly what it must" in page
    assert page.count('<img src="data:image/svg+xml;base64,') == 5


def tessera(world: World, *arguments: str) -> Result:
    """Run a command on the world."""
    environment = {"TESSERA_DATABASE_URL": world.url, "TESSERA_SCHEMA": SCHEMA, "TERMINAL_WIDTH": "200"}
    return CliRunner().invoke(app, arguments, env=environment)


def test_commands(world: World, tmp_path: Path) -> None:
    """Each command writes or shows what it says, as the role that only reads."""
    out = ("--out", str(tmp_path))
    done = tessera(world, "report", "statement", "hotel", "--month", "2017-05", "--format", "csv", *out)
    assert done.exit_code == 0, done.output
    names = ["hotel-2017-05.csv", "hotel-2017-05-postings.csv", "hotel-2017-05-proofs.ndjson"]
    assert [Path(line).name for line in done.stdout.splitlines()] == names
    proofs = tessera(world, "report", "proofs", str(tmp_path / names[2]))
    assert proofs.exit_code == 0
    assert "proofs hold, by the key in the file" in proofs.stdout
    broken = tmp_path / "broken.ndjson"
    broken.write_bytes((tmp_path / names[2]).read_bytes().replace(b'"points":', b'"points":1', 1))
    assert tessera(world, "report", "proofs", str(broken)).exit_code == 1
    assert tessera(world, "report", "operator", "--date", "2017-05-02", *out).exit_code == 0
    shown = tessera(world, "report", "liability", "--date", "2017-05-02")
    assert shown.exit_code == 0
    assert "219" in shown.stdout
    rolled = tessera(world, "report", "roll-forward", "--date", "2017-05-02", "--selling-price", "0.02")
    assert rolled.exit_code == 0
    assert "2017-05" in rolled.stdout
    for wrong in (("--month", "May"), (), ("--date", "2017-05-01", "--year", "2017")):
        assert tessera(world, "report", "statement", "hotel", *wrong).exit_code == 2


def test_reconcile(world: World, tmp_path: Path) -> None:
    """The same list: status 0. One amount changed: status 1, and which. A list that is none: status 2."""
    ours = world.folder / "hotel-2017-05-reconciliation.csv"
    theirs = tmp_path / "theirs.csv"
    theirs.write_bytes(ours.read_bytes())
    same = tessera(world, "reconcile", str(ours), str(theirs))
    assert same.exit_code == 0
    assert "0 differences" in same.stdout
    theirs.write_bytes(ours.read_bytes().replace(b",20.00,", b",20.10,", 1))
    found = tessera(world, "reconcile", str(ours), str(theirs))
    assert found.exit_code == 1
    assert "amount differs" in found.stdout
    assert '"theirs": "20.10"' in tessera(world, "reconcile", str(ours), str(theirs), "--json").stdout
    theirs.write_bytes(b"a,b\n")
    wrong = tessera(world, "reconcile", str(ours), str(theirs))
    assert wrong.exit_code == 2
    assert "no column 'reference'" in wrong.stderr
