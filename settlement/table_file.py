"""CSV files that people write: read strictly, with every fault named by line and field (pure).

A byte order mark, CRLF, columns in any order and case, quoted commas, blank rows and spaces round a field are
taken; nothing is guessed. What is shown of a file is short and holds nothing that a terminal would obey.
"""

import csv
import io
import re
import unicodedata
from collections.abc import Collection, Iterator, Mapping, Sequence

import msgspec

LONGEST_NAME = 200
_AMOUNT = re.compile(r"[0-9]{1,18}(?:\.([0-9]+))?")
_CURRENCY = re.compile(r"[A-Z]{3}")


class Fault(msgspec.Struct, frozen=True):
    """What is wrong with a line, counted as an editor counts them, from 1; and with which field of it."""

    line: int
    problem: str
    field: str | None = None

    def __str__(self) -> str:
        return f"line {self.line}: {self.problem}"


class Faults(msgspec.Struct, frozen=True):
    """A file that cannot be used, with every reason; for the exit status 2."""

    faults: tuple[Fault, ...]


class Record(msgspec.Struct, frozen=True):
    """A line of the file by the names of its columns; a field that is not there is empty."""

    line: int
    fields: Mapping[str, str]


class _Row(msgspec.Struct, frozen=True):
    line: int
    fields: Sequence[str]


def records(
    content: str | bytes, required: Sequence[str], optional: Sequence[str] = (), *, of: str = "lines"
) -> list[Record | Fault] | Faults:
    """The lines of a file, each as it is or with what is wrong with it; Faults if its head is wrong.

    `of`: what the lines are, for the message that there are none.
    """
    if isinstance(content, bytes):
        decoded = _decode(content)
        if isinstance(decoded, Fault):
            return Faults((decoded,))
        content = decoded
    wanted = ",".join(required)
    rows = _rows(content.removeprefix("\ufeff"))
    header = next(rows, None)
    if header is None:
        return Faults((Fault(1, f"the file is empty; its first line must be {wanted}"),))
    columns = _columns(header, required, optional)
    if isinstance(columns, Faults):
        return columns
    found = [row if isinstance(row, Fault) else _record(row, columns, required, optional) for row in rows]
    return found or Faults((Fault(header.line + 1, f"the file has a header and no {of}"),))


def missing(record: Record, required: Sequence[str]) -> list[Fault]:
    """A fault for each field that must be there and is not."""
    return [Fault(record.line, f"{name} is missing", name) for name in required if not record.fields[name]]


def name_fault(column: str, name: str) -> str | None:
    """What is wrong with somebody's name."""
    if len(name) > LONGEST_NAME:
        return f"{column} has {len(name)} characters; at most {LONGEST_NAME} are taken"
    if not name.isprintable():
        return f"{column} {shown(name)} has characters that cannot be printed"
    return None


def amount_fault(column: str, amount: str, *, decimals: int, zero: str | None, below: str) -> str | None:
    """What is wrong with an amount.

    Args:
        column: Its name in the file.
        amount: What stands there.
        decimals: The most that are taken.
        zero, below: What to do instead of an amount of nothing, or of less; without `zero`, nothing is fine.
    """
    number = _AMOUNT.fullmatch(amount)
    if number is None:
        return f"{column} {shown(amount)} {_not_a_number(amount, below)}"
    if len(number[1] or "") > decimals:
        return f"{column} {shown(amount)} has {len(number[1])} decimals; at most {decimals} are taken"
    if zero is not None and not amount.strip("0."):
        return f"{column} is zero: {zero}"
    return None


def currency_fault(column: str, currency: str) -> str | None:
    """What is wrong with a currency's code."""
    if _CURRENCY.fullmatch(currency):
        return None
    return f"{column} {shown(currency)} is no ISO 4217 code: three capital letters, such as EUR"


def word_fault(column: str, word: str, words: Collection[str]) -> str | None:
    """What is wrong with a field that takes one of a few words."""
    return None if word in words else f"{column} {shown(word)} is unknown: write {', '.join(words)}"


def shown(text: str) -> str:
    """Text from the file as it can be printed: short, and with nothing that a terminal would obey."""
    return ascii(text if len(text) <= 40 else text[:39] + "…")


def _decode(content: bytes) -> str | Fault:
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        return Fault(1, "the file is UTF-16; save it as CSV in UTF-8")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        return Fault(line, "the file is not UTF-8 from here on; save it as CSV in UTF-8")


def _rows(text: str) -> Iterator[_Row | Fault]:
    """Rows with the line they begin on; blank ones are passed over, broken quoting is told."""
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    while True:
        line = reader.line_num + 1
        try:
            fields = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            unclosed = "unexpected end" in str(error)
            yield Fault(line, "a quote is opened here and never closed" if unclosed else f"not CSV: {error}")
            continue
        stripped = [unicodedata.normalize("NFC", field.strip()) for field in fields]
        if any(stripped):
            yield _Row(line, stripped)


def _columns(
    header: _Row | Fault, required: Sequence[str], optional: Sequence[str]
) -> tuple[str, ...] | Faults:
    """Names of the columns as they stand, or what is wrong with the header."""
    if isinstance(header, Fault):
        return Faults((header,))
    wanted, known = ",".join(required), (*required, *optional)
    all_of_them = wanted + "".join(f", and {name} if you like" for name in optional)
    names = tuple(field.lower() for field in header.fields)
    problems = [
        Fault(header.line, f"column {shown(name)} is unknown; the columns are {all_of_them}", name)
        for name in names
        if name not in known
    ]
    problems += [
        Fault(header.line, f"column {name} is missing", name) for name in required if name not in names
    ]
    problems += [
        Fault(header.line, f"column {name} stands there {names.count(name)} times", name)
        for name in known
        if names.count(name) > 1
    ]
    if len(names) == 1 and any(separator in names[0] for separator in ";\t|"):
        problems = [Fault(header.line, f"columns must be separated by commas: {wanted}")]
    elif not set(names) & set(known):
        problems = [Fault(header.line, f"the first line must be a header: {wanted}")]
    return Faults(tuple(problems)) if problems else names


def _record(
    row: _Row, columns: Sequence[str], required: Sequence[str], optional: Sequence[str]
) -> Record | Fault:
    if len(row.fields) > len(columns):
        return Fault(
            row.line,
            f"{len(row.fields)} fields, and the header has {len(columns)}; "
            "a name with a comma needs quotes, an amount has none: 1234.50",
        )
    empty = dict.fromkeys((*required, *optional), "")
    return Record(row.line, empty | dict(zip(columns, row.fields, strict=False)))


def _not_a_number(amount: str, below: str) -> str:
    plain = amount.replace(",", "").replace(" ", "").replace("\u00a0", "")
    if amount.startswith("-") and _AMOUNT.fullmatch(amount[1:]):
        return f"is below zero: {below}"
    if plain != amount and _AMOUNT.fullmatch(plain):
        return f"is not a number: write {plain}, if that is meant: no separators"
    return "is not a number: write digits with a point, such as 1234.50"
