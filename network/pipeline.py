"""Statements that travel together: sent one after another, and answered in one round trip.

Each is still a statement of its own, with a snapshot of its own: what a lock waited for is seen by the next.
They go to the driver directly, because SQLAlchemy waits for each answer before it sends the next.
"""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from functools import lru_cache
from types import TracebackType
from typing import Any, Self

import psycopg
from psycopg.pq import PipelineStatus
from psycopg.rows import TupleRow
from sqlalchemy import Connection, TextClause
from sqlalchemy.dialects.postgresql import psycopg as dialect
from sqlalchemy.exc import DBAPIError

from network.bulk import expect

_DIALECT = dialect.dialect()  # type: ignore[no-untyped-call]  # SQLAlchemy leaves it unannotated


class Pipeline:
    """Sends statements on a connection inside its transaction; at the end of the block all are answered.

    Errors are SQLAlchemy's, as if it had sent them; InvariantBroken where other rows changed than expected.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        if not connection.in_transaction():
            connection.begin()  # as SQLAlchemy's own statements do, so that it knows what to roll back
        driver = connection.connection.driver_connection
        if not isinstance(driver, psycopg.Connection):
            raise TypeError(f"not a connection of psycopg: {driver!r}")
        self._driver: psycopg.Connection[TupleRow] = driver
        self._pipeline: AbstractContextManager[Any] = driver.pipeline()
        self._expected: list[tuple[psycopg.Cursor[TupleRow], int, str]] = []

    def __enter__(self) -> Self:
        try:
            self._pipeline.__enter__()
        except psycopg.Error as error:
            raise self._wrapped(error) from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._pipeline.__exit__(kind, error, trace)
        except psycopg.Error as own:
            raise self._wrapped(own) from own
        if isinstance(error, psycopg.Error):
            raise self._wrapped(error) from error
        if error is None:
            for cursor, rows, what in self._expected:
                expect(cursor.rowcount, rows, what)

    def ask(
        self, statement: TextClause, parameters: Mapping[str, Any] | None = None
    ) -> psycopg.Cursor[TupleRow]:
        """Send a statement; fetching its rows waits for it and for those before it."""
        cursor = self._driver.cursor()
        cursor.execute(_sql(statement), parameters)
        return cursor

    def change(self, statement: TextClause, parameters: Mapping[str, Any], rows: int, what: str) -> None:
        """Send a statement that must change so many rows; that is looked at when the block ends."""
        self._expected.append((self.ask(statement, parameters), rows, what))

    def _wrapped(self, error: psycopg.Error) -> BaseException:
        # A server that ended in the middle may leave a connection that is not closed, and of no more use.
        useless = self._driver.closed or self._driver.pgconn.pipeline_status != PipelineStatus.OFF
        if useless and not self._connection.invalidated:
            self._connection.invalidate(error)
            # The others were lost with it, most likely: each would fail a batch of its own.
            self._connection.engine.dispose()
        return DBAPIError.instance(
            None, None, error, psycopg.Error, connection_invalidated=self._connection.invalidated
        )


@lru_cache(maxsize=256)
def _sql(statement: TextClause) -> bytes:
    return str(statement.compile(dialect=_DIALECT)).encode()
