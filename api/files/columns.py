"""Files as CSV: a header names fields of requests as JSON has them; a row becomes a request by the same
rules.

Strict: RFC 4180 with a comma, UTF-8, one row a line (no field may hold a line's end). An empty cell is a
field that is not there. Whole numbers are digits alone; `lines` are numbers with spaces between.
"""

import csv
import re
import types
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, Union, get_args, get_origin, get_type_hints

import msgspec

from api.bodies import COMMANDS, Body
from api.bodies.fields import invalid
from api.problems import FieldError, ProblemError
from network.commands import Command

REQUIRED = ("type", "reference", "occurred_at")
MOST_HEADER_BYTES = 4_096
_NUMBER = re.compile(r"(?:0|[1-9][0-9]{0,18})")
_TYPES = {_type.__struct_config__.tag: _type for _type in COMMANDS}
_QUOTED_ROW = re.compile(r'(?:"(?:[^"]|"")*"|[^",]*)(?:,(?:"(?:[^"]|"")*"|[^",]*))*')
"""A row with quotes in it: a quote stands around a whole cell, and twice inside of it."""


def _kind(hint: Any) -> str:
    """What a field's cell holds: number, numbers, truth or text."""
    parts = [part for part in _flat(hint) if part is not type(None)]
    if any(get_origin(part) is tuple for part in parts):
        return "numbers"
    if bool in parts:
        return "truth"
    return "number" if int in parts else "text"


def _flat(hint: Any) -> Sequence[Any]:
    """The members of a union, without what annotates them."""
    if hasattr(hint, "__metadata__"):
        return _flat(hint.__origin__)
    if get_origin(hint) in (Union, types.UnionType):
        return [part for member in get_args(hint) for part in _flat(member)]
    return [hint]


COLUMNS: Mapping[str, str] = {
    "type": "text",
    **{
        name: _kind(hint)
        for body in COMMANDS
        for name, hint in get_type_hints(body, include_extras=True).items()
        if not name.startswith("__")
    },
}
"""Every column there is: the fields of all requests, and what their cells hold."""


def read_header(raw: bytes) -> list[str]:
    """The columns of a file.

    Raises:
        ProblemError: file_unreadable; a column is unknown, there twice, or missing.
    """
    if len(raw) > MOST_HEADER_BYTES:
        raise ProblemError("file_unreadable", f"the header has more than {MOST_HEADER_BYTES:,} bytes")
    try:
        names = _cells(raw)
    except ProblemError as error:
        raise ProblemError("file_unreadable", f"the header is not CSV: {error.detail}") from error
    faults = [f"{name!r} is no column" for name in names if name not in COLUMNS]
    faults += [f"{name!r} stands twice" for name in sorted({one for one in names if names.count(one) > 1})]
    faults += [f"{name!r} is missing" for name in REQUIRED if name not in names]
    if faults:
        raise ProblemError("file_unreadable", f"the header: {'; '.join(faults[:10])}"[:1_000])
    return names


def read_row(raw: bytes, columns: str, partner_id: int) -> Command:
    """The command that a row asks for.

    Raises:
        ProblemError: malformed_csv (400), validation_failed (422), or what its fields are refused by.
    """
    names = _names(columns)
    cells = _cells(raw)
    if len(cells) != len(names):
        raise ProblemError("malformed_csv", f"{len(cells)} cells in a row, {len(names)} columns")
    fields = {name: _value(name, cell) for name, cell in zip(names, cells, strict=True) if cell}
    body = _TYPES.get(str(fields.pop("type", "")))
    if body is None:
        raise ProblemError("validation_failed", "no such type of line", [FieldError("/type", "invalid")])
    try:
        made: Body = msgspec.convert(fields, body)
    except msgspec.ValidationError as error:
        raise invalid(error) from error
    return made.command(partner_id)


@lru_cache(maxsize=64)
def _names(columns: str) -> Sequence[str]:
    return columns.split(",")


def _cells(raw: bytes) -> list[str]:
    """The cells of a row."""
    try:
        text = raw.removesuffix(b"\n").removesuffix(b"\r").decode()
    except UnicodeDecodeError as error:
        raise ProblemError("malformed_csv", "not UTF-8") from error
    if '"' not in text:
        return text.split(",")
    if "\r" in text or not _QUOTED_ROW.fullmatch(text):
        raise ProblemError("malformed_csv", "a quote stands around a whole cell, and twice inside of it")
    return next(csv.reader([text], strict=True))


def _value(name: str, cell: str) -> object:
    """A cell as JSON would have it. What does not look right stays text, which its field refuses."""
    kind = COLUMNS[name]
    if kind == "number":
        return int(cell) if _NUMBER.fullmatch(cell) else cell
    if kind == "numbers":
        numbers = cell.split(" ")
        return [int(one) if _NUMBER.fullmatch(one) else one for one in numbers]
    if kind == "truth":
        return {"true": True, "false": False}.get(cell, cell)
    return cell
