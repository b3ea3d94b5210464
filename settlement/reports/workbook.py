"""XLSX workbooks: numbers and dates are numbers and dates, and no text can become a formula.

A cell holds a double: amounts in minor units are exact in it up to fifteen digits, and the exact Decimals
with more decimals than that are in the CSV beside. The same sheets give the same bytes.
"""

import io
from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Literal

import msgspec
import xlsxwriter  # type: ignore[import-untyped]  # it ships no types

from settlement.reports.read import readable
from settlement.reports.show import RISKY

Kind = Literal["text", "count", "amount", "exact", "date", "instant", "share"]
"""What a column holds: text, whole numbers, money to the cent, exact money, days, instants, parts of one."""
_FORMATS: dict[Kind, str] = {
    "text": "@",
    "count": "#,##0",
    "amount": "#,##0.00",
    "exact": "#,##0.00########",
    "date": "yyyy-mm-dd",
    "instant": "yyyy-mm-dd hh:mm:ss",
    "share": "0.0%",
}
MOST_ROWS = 1_000_000
"""Rows of a sheet; what is more goes on in the next one (the format has room for 1,048,576)."""
Cell = str | int | Decimal | date | datetime | None


class Column(msgspec.Struct, frozen=True):
    """A column: its title, what it holds, and its width in characters."""

    title: str
    kind: Kind = "text"
    width: float = 14


class Sheet(msgspec.Struct, frozen=True):
    """A sheet: rows as wide as its columns; `bold` are the numbers of rows that are sums."""

    name: str
    columns: Sequence[Column]
    rows: Iterable[Sequence[Cell]]
    bold: frozenset[int] = frozenset()


def workbook(title: str, made_at: datetime, sheets: Sequence[Sheet]) -> bytes:
    """Write sheets as one XLSX file.

    Args:
        title: Stands in the file's properties.
        made_at: The instant that the file says it was made at: what it is of, not the clock.
        sheets: In order.
    """
    out = io.BytesIO()
    options = {
        "in_memory": True,
        "strings_to_formulas": False,
        "strings_to_numbers": False,
        "strings_to_urls": False,
        "default_date_format": _FORMATS["date"],
    }
    book = xlsxwriter.Workbook(out, options)
    book.set_properties(
        {
            "title": readable(title),
            "created": made_at.astimezone(UTC).replace(tzinfo=None),
            "author": "Tessera",
        }
    )
    writer = _Writer(book)
    for sheet in sheets:
        writer.write(sheet)
    book.close()
    return out.getvalue()


class _Writer:
    """Writes sheets into a book, with one format per kind of cell."""

    def __init__(self, book: xlsxwriter.Workbook) -> None:
        self._book = book
        self._head = book.add_format(
            {"bold": True, "bg_color": "#f4f6f8", "bottom": 1, "text_wrap": True, "valign": "top"}
        )
        self._formats = {
            (kind, bold): book.add_format({"num_format": shown, "bold": bold, "top": 1 if bold else 0})
            for kind, shown in _FORMATS.items()
            for bold in (False, True)
        }
        # the apostrophe that a spreadsheet keeps: the text stays one when it is edited, too
        self._quoted = {
            bold: book.add_format({"num_format": "@", "bold": bold, "quote_prefix": True})
            for bold in (False, True)
        }

    def write(self, sheet: Sheet) -> None:
        """Write a sheet, and as many more as its rows need."""
        number = 1
        page = self._page(sheet, number)
        at = 0
        for place, row in enumerate(sheet.rows):
            at += 1
            if at > MOST_ROWS:
                number, at = number + 1, 1
                page = self._page(sheet, number)
            bold = place in sheet.bold
            for column, (value, shape) in enumerate(zip(row, sheet.columns, strict=True)):
                self._cell(page, at, column, value, shape.kind, bold=bold)
        if number == 1 and at:
            page.autofilter(0, 0, at, len(sheet.columns) - 1)

    def _page(self, sheet: Sheet, number: int) -> xlsxwriter.worksheet.Worksheet:
        page = self._book.add_worksheet(sheet.name if number == 1 else f"{sheet.name} {number}")
        page.freeze_panes(1, 0)
        for place, column in enumerate(sheet.columns):
            page.set_column(place, place, column.width)
            page.write_string(0, place, column.title, self._head)
        return page

    def _cell(
        self,
        page: xlsxwriter.worksheet.Worksheet,
        row: int,
        column: int,
        value: Cell,
        kind: Kind,
        *,
        bold: bool,
    ) -> None:
        shape = self._formats[kind, bold]
        if value is None:
            if bold:
                page.write_blank(row, column, None, shape)
        elif isinstance(value, datetime):
            page.write_datetime(row, column, value.astimezone(UTC).replace(tzinfo=None), shape)
        elif isinstance(value, date):
            page.write_datetime(row, column, value, shape)
        elif isinstance(value, str):
            shown = readable(value)
            risky = shown.startswith(RISKY)
            page.write_string(
                row, column, shown, self._quoted[bold] if risky else self._formats["text", bold]
            )
        else:
            page.write_number(row, column, value, shape)
