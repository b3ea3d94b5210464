"""Set-based statements: one array per column carries any number of rows.

Arrays travel as PostgreSQL's own array literals, made here: the driver looks at every element of a list
several times, and that was the largest part of a batch's work in Python.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Connection,
    Date,
    DateTime,
    Integer,
    LargeBinary,
    Numeric,
    SmallInteger,
    Table,
    Text,
    TextClause,
    Uuid,
    text,
)
from sqlalchemy.dialects import postgresql

from network.errors import InvariantBroken

Literal = Callable[[Iterable[Any]], str]
"""Writes an array of one type as PostgreSQL reads it."""

_DIALECT = postgresql.dialect()  # type: ignore[no-untyped-call]  # SQLAlchemy leaves it unannotated


def array_of(column: Column[Any]) -> str:
    """The SQL of a bound array for a column: `CAST(:name AS BIGINT[])`."""
    return f"CAST(:{column.name} AS {column.type.compile(_DIALECT)}[])"


class Insert(NamedTuple):
    """A statement of `insert_from_arrays`: where it inserts, and how each column's array is written."""

    table: Table
    statement: TextClause
    literals: Mapping[str, Literal]

    def bound(self, arrays: Mapping[str, Sequence[Any]]) -> dict[str, str]:
        """Columns of rows as its parameters.

        Raises:
            InvariantBroken: the arrays differ in length (unnest would pad with NULL).
        """
        equal_length(arrays)
        return {name: self.literals[name](values) for name, values in arrays.items()}


def insert_from_arrays(table: Table, columns: Sequence[str], tail: str = "") -> Insert:
    """INSERT … SELECT … FROM unnest(…), built once per use at import.

    Args:
        table: Where to.
        columns: Its columns, each bound as an array under its own name.
        tail: What follows, such as ORDER BY or ON CONFLICT.
    """
    names = ", ".join(columns)
    arrays = ", ".join(array_of(table.c[name]) for name in columns)
    sql = f"INSERT INTO {table.name} ({names}) SELECT {names} FROM unnest({arrays}) AS u ({names}) {tail}"
    return Insert(table, text(sql), literals_of(table, columns))


def literals_of(table: Table, columns: Sequence[str]) -> dict[str, Literal]:
    """How the arrays of some columns are written."""
    return {name: _LITERALS[type(table.c[name].type)] for name in columns}


def _literal(values: Iterable[Any], shown: Callable[[Any], str]) -> str:
    """An array literal, NULL where there is nothing."""
    return "{" + ",".join(["NULL" if value is None else shown(value) for value in values]) + "}"


def _often_the_same(values: Iterable[Any], shown: Callable[[Any], str]) -> str:
    """The same, for columns whose rows tend to hold one value: it is shown once."""
    values = list(values)
    if not values or values.count(values[0]) != len(values):
        return _literal(values, shown)
    return "{" + ",".join([_literal(values[:1], shown)[1:-1]] * len(values)) + "}"


def integers(values: Iterable[int | None]) -> str:
    """An array literal of whole numbers, enumerations included."""
    values = list(values)
    try:
        return "{" + ",".join(map(_integer, values)) + "}"
    except TypeError:
        return _often_the_same(values, _integer)


def uuids(values: Iterable[UUID | None]) -> str:
    """An array literal of UUIDs."""
    return _literal(values, _hexadecimal)


def dates(values: Iterable[date | None]) -> str:
    """An array literal of dates or instants."""
    # quoted: an instant in ISO 8601 has no comma or brace, but a reader should not have to know that
    return _often_the_same(values, lambda value: f'"{value.isoformat()}"')


def decimals(values: Iterable[Decimal | None]) -> str:
    """An array literal of exact decimals."""
    return _literal(values, str)


def texts(values: Iterable[str | None]) -> str:
    """An array literal of texts, each quoted."""
    return _often_the_same(values, _quoted)


def binaries(values: Iterable[bytes | None]) -> str:
    """An array literal of bytes."""
    return _literal(values, lambda value: f'"\\\\x{value.hex()}"')


_integer = int.__repr__
_hexadecimal = UUID.hex.fget  # type: ignore[attr-defined]  # a property, whose function is what we map


def _quoted(value: str) -> str:
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


_LITERALS: Mapping[type, Literal] = {
    BigInteger: integers,
    Integer: integers,
    SmallInteger: integers,
    Uuid: uuids,
    Boolean: lambda values: _literal(values, str),
    Date: dates,
    DateTime: dates,
    Numeric: decimals,
    Text: texts,
    LargeBinary: binaries,
}


def insert_rows(connection: Connection, insert: Insert, arrays: Mapping[str, Sequence[Any]]) -> None:
    """Insert rows, all of them.

    Raises:
        InvariantBroken: the arrays differ in length, or rows went missing.
    """
    expected = equal_length(arrays)
    if expected:
        written = connection.execute(insert.statement, insert.bound(arrays)).rowcount
        expect(written, expected, insert.table.name)


def equal_length(arrays: Mapping[str, Collection[Any]]) -> int:
    """The common length of arrays that go to `unnest` together."""
    lengths = {len(array) for array in arrays.values()}
    if len(lengths) != 1:
        raise InvariantBroken(f"arrays of one statement differ in length: {sorted(lengths)}")
    return lengths.pop()


def expect(written: int, expected: int, what: str) -> None:
    """Make sure that a statement changed as many rows as it had to.

    Raises:
        InvariantBroken: it did not.
    """
    if written != expected:
        raise InvariantBroken(f"{what}: {written} rows, expected {expected}")
