"""Hold a partner's own list of its transactions against ours, line by line (pure).

Both are CSV with a header. Lines meet by `reference`, the partner's own; what else both lists have of
`entry`, `points`, `amount` and `currency` is compared, and a cell that is empty says nothing.
"""

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import Literal

import msgspec

from settlement.money import ZERO, exactly

COMPARED = ("entry", "points", "amount", "currency")
"""The columns that are compared where both lists have them."""
MOST_FAULTS = 20
_RISKY = ("=", "+", "-", "@")

What = Literal["only in ours", "only in theirs", "differs", "twice"]


class Faults(msgspec.Struct, frozen=True):
    """Why a list cannot be read: each with its line, the header being line 1."""

    where: str
    faults: Sequence[str]


class Item(msgspec.Struct, frozen=True, kw_only=True):
    """One line of a list; None where it says nothing."""

    line: int
    reference: str
    entry: str | None
    points: int | None
    amount: Decimal | None
    currency: str | None


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """One line that is not the same. `column` of a line that differs; values as they stand in the lists."""

    what: What
    reference: str
    column: str | None = None
    ours: str | None = None
    theirs: str | None = None
    our_line: int | None = None
    their_line: int | None = None


class Side(msgspec.Struct, frozen=True):
    """What a list comes to."""

    lines: int
    points: int
    amount: Decimal


class Reconciled(msgspec.Struct, frozen=True, kw_only=True):
    """What became of it: lines that are the same in both, and what differs, by reference."""

    same: int
    compared: Sequence[str]
    ours: Side
    theirs: Side
    differences: list[Difference]


def read(content: bytes, where: str) -> list[Item] | Faults:
    """Read a list: UTF-8, comma, semicolon or tab between cells, amounts as 1234.50.

    Args:
        content: The file.
        where: What messages call it.
    """
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        return Faults(where, [f"it is not UTF-8: byte {error.start} is {content[error.start]:#04x}"])
    if "\0" in text:
        return Faults(where, [f"line {text[: text.index(chr(0))].count(chr(10)) + 1}: it holds a NUL"])
    first = text.partition("\n")[0]
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=max(",;\t", key=first.count), strict=True)
    try:
        header = [cell.strip().lower() for cell in next(rows, [])]
        if "reference" not in header:
            return Faults(where, [f"line 1: there is no column 'reference' in {header}"])
        for column in header:
            if column in {"reference", *COMPARED} and header.count(column) > 1:
                return Faults(where, [f"line 1: there are two columns {column!r}"])
        return _read_rows(((rows.line_num, row) for row in rows), header, where)
    except csv.Error as error:
        return Faults(where, [f"line {rows.line_num}: {error}"])


def _read_rows(
    rows: Iterator[tuple[int, list[str]]], header: Sequence[str], where: str
) -> list[Item] | Faults:
    items: list[Item] = []
    faults: list[str] = []
    for line, row in rows:
        if not row:
            continue
        item = _item(dict(zip(header, row, strict=False)), line, cells=(len(row), len(header)))
        if isinstance(item, Item):
            items.append(item)
        elif len(faults) < MOST_FAULTS:
            faults.append(item)
    return Faults(where, faults) if faults else items


def _item(row: Mapping[str, str], line: int, *, cells: tuple[int, int]) -> Item | str:
    """A line as an item, or what is wrong with it."""
    if cells[0] != cells[1]:
        return f"line {line}: {cells[0]} cells under {cells[1]} titles"
    reference = _plain(row["reference"])
    if not reference:
        return f"line {line}: the reference is empty"
    numbers: dict[str, Decimal | None] = {}
    for name in ("points", "amount"):
        try:
            numbers[name] = _number(row.get(name, ""))
        except InvalidOperation:
            return f"line {line}: {name} {row[name]!r} is no number: write 1234.50"
    points, amount = numbers["points"], numbers["amount"]
    if points is not None and points != points.to_integral_value():
        return f"line {line}: {points} points are not whole"
    return Item(
        line=line,
        reference=reference,
        entry=row.get("entry", "").strip() or None,
        points=None if points is None else int(points),
        amount=amount,
        currency=row.get("currency", "").strip().upper() or None,
    )


def _plain(cell: str) -> str:
    """A text without the apostrophe that keeps a spreadsheet from running it."""
    cell = cell.strip()
    return cell[1:] if cell.startswith("'") and cell.lstrip("'").startswith(_RISKY) else cell


def _number(cell: str) -> Decimal | None:
    cell = _plain(cell)
    if not cell:
        return None
    number = Decimal(cell)
    if not number.is_finite() or "_" in cell:
        raise InvalidOperation
    return number


@exactly
def reconcile(ours: Sequence[Item], theirs: Sequence[Item]) -> Reconciled:
    """What is the same in both lists, and what is not, in order of references.

    A reference that a list has twice meets the other's once; the second line is told as "twice".
    """
    mine, doubles = _by_reference(ours)
    other, their_doubles = _by_reference(theirs)
    compared = [
        name
        for name in COMPARED
        if any(getattr(one, name) is not None for one in ours)
        and any(getattr(one, name) is not None for one in theirs)
    ]
    same = 0
    differences = []
    for reference in sorted({*mine, *other}):
        left, right = mine.get(reference), other.get(reference)
        if left is None or right is None:
            differences.append(_alone(reference, left, right))
            continue
        found = _compare(left, right)
        differences += found
        same += not found
    for item in doubles:
        differences.append(Difference(what="twice", reference=item.reference, our_line=item.line))
    for item in their_doubles:
        differences.append(Difference(what="twice", reference=item.reference, their_line=item.line))
    return Reconciled(
        same=same, compared=compared, ours=_side(ours), theirs=_side(theirs), differences=differences
    )


def _by_reference(items: Sequence[Item]) -> tuple[dict[str, Item], list[Item]]:
    found: dict[str, Item] = {}
    doubles = []
    for item in items:
        if item.reference in found:
            doubles.append(item)
        else:
            found[item.reference] = item
    return found, doubles


def _alone(reference: str, ours: Item | None, theirs: Item | None) -> Difference:
    return Difference(
        what="only in theirs" if ours is None else "only in ours",
        reference=reference,
        ours=_shown(ours),
        theirs=_shown(theirs),
        our_line=None if ours is None else ours.line,
        their_line=None if theirs is None else theirs.line,
    )


def _shown(item: Item | None) -> str | None:
    if item is None:
        return None
    parts = (f"{item.points} points" if item.points is not None else None, item.amount, item.currency)
    return " ".join(str(part) for part in parts if part is not None) or None


def _compare(ours: Item, theirs: Item) -> list[Difference]:
    found = []
    for column in COMPARED:
        left, right = getattr(ours, column), getattr(theirs, column)
        if left is not None and right is not None and left != right:
            found.append(
                Difference(
                    what="differs",
                    reference=ours.reference,
                    column=column,
                    ours=str(left),
                    theirs=str(right),
                    our_line=ours.line,
                    their_line=theirs.line,
                )
            )
    return found


def _side(items: Sequence[Item]) -> Side:
    return Side(
        len(items),
        sum(one.points or 0 for one in items),
        sum((one.amount for one in items if one.amount is not None), ZERO),
    )
