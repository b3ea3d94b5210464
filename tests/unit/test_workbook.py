"""Files that spreadsheets open: numbers are numbers, dates are dates, and no text does anything."""

import io
import zipfile
from collections.abc import Sequence
from datetime import UTC, date, datetime
from decimal import Decimal

import openpyxl
import pytest
from openpyxl.worksheet.worksheet import Worksheet

from settlement.reports import workbook as module
from settlement.reports.read import readable
from settlement.reports.show import csv_bytes
from settlement.reports.workbook import Column, Sheet, workbook

MADE_AT = datetime(2017, 5, 2, tzinfo=UTC)
HOSTILE = [
    "=1+1",
    "+1",
    "-1+1",
    "@SUM(A1)",
    "\t=1",
    '=HYPERLINK("x","y")',
    "<script>alert(1)</script>",
    "\u202egpj.exe",
    "mailto:a",
    "'quoted",
    "{=1}",
]


def sheet(rows: Sequence[tuple[object, ...]], columns: list[Column]) -> Sheet:
    """A sheet of a few rows."""
    return Sheet("Sheet", columns, rows)  # type: ignore[arg-type]  # any cell will do


def opened(content: bytes) -> Worksheet:
    """The first sheet as another program reads it."""
    page = openpyxl.load_workbook(io.BytesIO(content)).worksheets[0]
    assert isinstance(page, Worksheet)
    return page


def test_cells_are_of_their_kind() -> None:
    """Amounts, counts, days and instants are no texts, and are shown as what they are."""
    columns = [
        Column("Amount", "amount"),
        Column("Exact", "exact"),
        Column("Points", "count"),
        Column("Day", "date"),
        Column("At", "instant"),
        Column("Name"),
    ]
    row = (Decimal("-1902.96"), Decimal("0.002747"), 218_931, date(2017, 5, 31), MADE_AT, "grocer")
    page = opened(workbook("Test", MADE_AT, [sheet([row], columns)]))
    cells = list(page[2])
    assert [cell.data_type for cell in cells] == ["n", "n", "n", "d", "d", "s"]
    assert [cell.value for cell in cells] == [
        -1902.96,
        0.002747,
        218_931,
        datetime(2017, 5, 31),  # noqa: DTZ001 - a cell has no zone
        datetime(2017, 5, 2),  # noqa: DTZ001 - as above
        "grocer",
    ]
    assert [cell.number_format for cell in cells] == [
        "#,##0.00",
        "#,##0.00########",
        "#,##0",
        "yyyy-mm-dd",
        "yyyy-mm-dd hh:mm:ss",
        "@",
    ]


@pytest.mark.parametrize("text", HOSTILE)
def test_text_stays_text(text: str) -> None:
    """No formula and no link, whoever chose the name; what looks like a formula is marked as quoted."""
    content = workbook("=1+1", MADE_AT, [sheet([(text,)], [Column("Name")])])
    cell = opened(content)["A2"]
    assert cell.data_type in {"s", "inlineStr"}
    assert cell.value == readable(text)
    assert cell.hyperlink is None
    assert cell.quotePrefix is readable(text).startswith(("=", "+", "-", "@"))
    with zipfile.ZipFile(io.BytesIO(content)) as book:
        assert b"<f>" not in book.read("xl/worksheets/sheet1.xml")


def test_what_cannot_be_seen_is_shown_as_a_mark() -> None:
    """NUL, other controls and marks that turn a line round; letters of every script stay."""
    assert readable("A\0B\x1b[31m\u202eC\u200f\ud800") == "A\ufffdB\ufffd[31m\ufffdC\ufffd\ufffd"
    for name in ("Käse & Brot", "שלום", "مرحبا", "東京", "O'Neill", "naïve “x”"):
        assert readable(name) == name
    page = opened(workbook("x", MADE_AT, [sheet([("a\0b\x07",)], [Column("Name")])]))
    assert page["A2"].value == "a\ufffdb\ufffd"


@pytest.mark.parametrize("text", [one for one in HOSTILE if one.startswith(("=", "+", "-", "@", "\t"))])
def test_csv_cells_are_quoted_too(text: str) -> None:
    """An apostrophe before what a spreadsheet would run; negative numbers stay numbers."""
    head, line, _ = csv_bytes(("name", "amount"), [(text, Decimal("-1.5"))]).decode().split("\r\n")
    assert head == "name,amount"
    assert line.lstrip('"').startswith("'" + text[:1])
    assert line.endswith(",-1.50")


def test_the_same_sheets_give_the_same_bytes() -> None:
    """A statement that is written again is the same file."""
    rows = [("x", 1), ("y", 2)]
    columns = [Column("Name"), Column("Points", "count")]
    assert workbook("a", MADE_AT, [sheet(rows, columns)]) == workbook("a", MADE_AT, [sheet(rows, columns)])


def test_more_rows_than_a_sheet_holds_go_on_in_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    """With room for three rows, seven are on three sheets, each under its titles."""
    monkeypatch.setattr(module, "MOST_ROWS", 3)
    rows: list[tuple[object, ...]] = [(number,) for number in range(7)]
    book = openpyxl.load_workbook(
        io.BytesIO(workbook("x", MADE_AT, [sheet(rows, [Column("Points", "count")])]))
    )
    assert book.sheetnames == ["Sheet", "Sheet 2", "Sheet 3"]
    found = [[row[0] for row in page.iter_rows(values_only=True)] for page in book.worksheets]
    assert found == [["Points", 0, 1, 2], ["Points", 3, 4, 5], ["Points", 6]]
