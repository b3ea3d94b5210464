"""Set-based writes: one statement inserts any number of rows from one array per column."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Column, Connection, Table, TextClause, text
from sqlalchemy.dialects import postgresql

from network.errors import InvariantBroken

_DIALECT = postgresql.dialect()  # type: ignore[no-untyped-call]  # SQLAlchemy leaves it unannotated


def array_of(column: Column[Any]) -> str:
    """The SQL of a bound array for a column: `CAST(:name AS BIGINT[])`."""
    return f"CAST(:{column.name} AS {column.type.compile(_DIALECT)}[])"


def insert_from_arrays(table: Table, columns: Sequence[str], tail: str = "") -> TextClause:
    """INSERT … SELECT … FROM unnest(…), built once per use at import.

    Args:
        table: Where to.
        columns: Its columns, each bound as an array under its own name.
        tail: What follows, such as ORDER BY or ON CONFLICT.
    """
    names = ", ".join(columns)
    arrays = ", ".join(array_of(table.c[name]) for name in columns)
    return text(  # the names come from our own table definitions
        f"INSERT INTO {table.name} ({names}) SELECT {names} FROM unnest({arrays}) AS u ({names}) {tail}"
    )


def insert_rows(connection: Connection, statement: TextClause, arrays: Mapping[str, Sequence[Any]]) -> None:
    """Run a statement of `insert_from_arrays` that must insert every row.

    Raises:
        InvariantBroken: the arrays differ in length (unnest would pad with NULL), or rows went missing.
    """
    expected = equal_length(arrays)
    if expected == 0:
        return
    inserted = connection.execute(statement, dict(arrays)).rowcount
    if inserted != expected:
        raise InvariantBroken(f"{inserted} of {expected} rows written by: {statement.text[:60]}…")


def equal_length(arrays: Mapping[str, Sequence[Any]]) -> int:
    """The common length of arrays that go to `unnest` together."""
    lengths = {len(array) for array in arrays.values()}
    if len(lengths) != 1:
        raise InvariantBroken(f"arrays of one statement differ in length: {sorted(lengths)}")
    return lengths.pop()
