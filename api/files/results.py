"""The answers to a file's lines as CSV; they are kept as NDJSON."""

import csv
import io
from collections.abc import Iterator
from typing import Any

import msgspec

from api.bodies import EntryBody
from api.files.lines import LineAnswer
from settlement.reports.show import safe_cell

_ENTRY = EntryBody.__struct_fields__
_NAMED = ("voucher_code" if name == "code" else name for name in _ENTRY)
HEADER = ("line", "status", "code", "detail", "errors", "replayed", *_NAMED)
"""A line's `code` is its problem's; that of a voucher, inside of the entry in JSON, has another name here."""
_ANSWERS = msgspec.json.Decoder(LineAnswer)


def as_csv(answers: bytes) -> bytes:
    """NDJSON of answers as rows of CSV; no cell of them is a formula to a spreadsheet."""
    sheet = io.StringIO(newline="")
    csv.writer(sheet, lineterminator="\n").writerows(_row(one) for one in _ANSWERS.decode_lines(answers))
    return sheet.getvalue().encode()


def header() -> bytes:
    """The first row."""
    return (",".join(HEADER) + "\n").encode()


def _row(one: LineAnswer) -> Iterator[Any]:
    yield from (one.line, one.status, one.code, safe_cell(one.detail))
    yield " ".join(f"{fault.pointer}:{fault.code}" for fault in one.errors)
    yield "true" if one.replayed else "false"
    entry = None if one.entry is None else msgspec.to_builtins(one.entry)
    yield from (None if entry is None else safe_cell(entry.get(name, _ZERO.get(name))) for name in _ENTRY)


_ZERO = {"pooled": 0, "pending": 0, "cured": 0, "owed": 0, "shortfall": 0}
"""What NDJSON leaves out where it is zero."""
