"""Statements that travel together: sent in one piece, and answered in one round trip.

Each is still a statement of its own, with a snapshot of its own: what a lock waited for is seen by the next.
They go to libpq's pipeline directly. SQLAlchemy waits for each answer before it sends the next; the driver's
own pipeline mode sends each by itself, which woke us and the server once a statement (measured: 49 visits to
the socket a batch, half of a small batch's work).
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import lru_cache
from itertools import count
from types import TracebackType
from typing import Any, Self
from uuid import UUID

import msgspec
import psycopg
from psycopg import generators
from psycopg.abc import PQGen
from psycopg.adapt import Transformer
from psycopg.errors import error_from_result
from psycopg.pq import DiagnosticField, ExecStatus, PipelineStatus, TransactionStatus
from psycopg.pq.abc import PGresult
from sqlalchemy import Connection, TextClause
from sqlalchemy.dialects.postgresql import psycopg as dialect
from sqlalchemy.exc import DBAPIError

from network.bulk import expect

_DIALECT = dialect.dialect(paramstyle="numeric_dollar")  # type: ignore[no-untyped-call]  # SQLAlchemy's
_PREPARED = "tessera.prepared"
_STATEMENT_STALE = frozenset({b"26000", b"0A000"})
"""The server does not know it, or a migration has changed the type of what it returns."""
_MANY_ROWS = 64
"""Changes of more rows are planned anew: a plan made for any values, on tables that were never analysed, may
look into every row for every other (measured: 118 ms for 512 balances, and 2 ms planned for them)."""
_PLAN_ANEW = b"SET LOCAL plan_cache_mode = force_custom_plan"
_PLAN_AS_EVER = b"SET LOCAL plan_cache_mode = DEFAULT"
"""Around such changes, because connections of the lanes plan each statement once (config.database)."""
_FAILED = frozenset({ExecStatus.FATAL_ERROR, ExecStatus.BAD_RESPONSE})

Row = tuple[Any, ...]
Observe = Callable[[Sequence[bytes]], AbstractContextManager[None]]
"""Stands around statements that travel together; it gets their texts, which hold no values."""


class _Observed:
    """Whoever looks on; nobody, unless traces are made."""

    by: Observe | None = None


def observe_with(observe: Observe | None) -> None:
    """Have something stand around all statements that this process sends from now on; None: nothing."""
    _Observed.by = observe


class _Sql(msgspec.Struct, frozen=True):
    """A statement with numbered parameters, and what they are called."""

    text: bytes
    names: tuple[str, ...]


class _Prepared:
    """What a connection's server has been taught."""

    def __init__(self) -> None:
        self.names: dict[bytes, bytes] = {}
        self.numbers = count()


class Answer:
    """What a statement of a pipeline will come to. Looking at it sends what was not sent yet, and waits."""

    def __init__(self, pipeline: "Pipeline") -> None:
        self._pipeline = pipeline
        self._result: PGresult | None = None

    def rows(self) -> list[Row]:
        """All rows."""
        result = self._received()
        return self._pipeline.read(result) if result.ntuples else []

    def first(self) -> Row | None:
        """The first row; None without one."""
        return next(iter(self.rows()), None)

    def __iter__(self) -> Iterator[Row]:
        return iter(self.rows())

    def named(self) -> list[dict[str, Any]]:
        """Rows by the names of their columns."""
        result = self._received()
        names = [(result.fname(place) or b"").decode() for place in range(result.nfields)]
        return [dict(zip(names, row, strict=True)) for row in self.rows()]

    @property
    def changed(self) -> int:
        """How many rows it wrote."""
        return self._received().command_tuples or 0

    def receive(self, result: PGresult) -> None:
        """Take what the server said."""
        self._result = result

    def _received(self) -> PGresult:
        if self._result is None:
            self._pipeline.send()
        if self._result is None:
            raise RuntimeError("a statement was sent, and never answered")
        return self._result


class Pipeline:
    """Gathers statements on a connection inside its transaction; they are sent when an answer is looked at.

    At the end of the block all are answered. Errors are SQLAlchemy's, as if it had sent them; InvariantBroken
    where other rows changed than expected. If the block raises, what was not sent is not sent.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        if not connection.in_transaction():
            connection.begin()  # as SQLAlchemy's own statements do, so that it knows what to roll back
        driver = connection.connection.driver_connection
        if not isinstance(driver, psycopg.Connection):
            raise TypeError(f"not a connection of psycopg: {driver!r}")
        self._driver: psycopg.Connection[Row] = driver
        self._reader = Transformer(driver)
        self._gathered: list[_Gathered] = []
        self._expected: list[tuple[Answer, int, str]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.send()
            for answer, rows, what in self._expected:
                expect(answer.changed, rows, what)

    def ask(self, statement: TextClause, parameters: Mapping[str, Any] | None = None) -> Answer:
        """Add a statement."""
        return self._ask(statement, parameters or {})

    def _ask(self, statement: TextClause, given: Mapping[str, Any], *, anew: bool = False) -> Answer:
        sql = _sql(statement)
        answer = Answer(self)
        try:
            values = [_text(given[name]) for name in sql.names]
            self._gathered.append(_Gathered(sql, values, answer, anew))
        except psycopg.Error as error:
            raise self._wrapped(error) from error
        return answer

    def change(self, statement: TextClause, parameters: Mapping[str, Any], rows: int, what: str) -> None:
        """Add a statement that must change so many rows; that is looked at when the block ends."""
        answer = self._ask(statement, parameters, anew=rows > _MANY_ROWS)
        self._expected.append((answer, rows, what))

    def send(self) -> None:
        """Send what was gathered, and receive all of its answers.

        Raises:
            DBAPIError: the first error among them; what came after it was not carried out.
        """
        gathered, self._gathered = self._gathered, []
        if not gathered:
            return
        observe = _Observed.by
        try:
            if observe is None:
                self._converse(gathered)
            else:
                with observe([one.sql.text for one in gathered]):
                    self._converse(gathered)
        except psycopg.Error as error:
            raise self._wrapped(error) from error

    def read(self, result: PGresult) -> list[Row]:
        """The rows of an answer as Python's values."""
        self._reader.set_pgresult(result)
        return self._reader.load_rows(0, result.ntuples, tuple)

    def _converse(self, gathered: list["_Gathered"]) -> None:
        connection = self._driver.pgconn
        prepared: _Prepared = self._connection.info.setdefault(_PREPARED, _Prepared())
        fresh: dict[bytes, bytes] = {}
        connection.enter_pipeline_mode()
        sent = self._give(gathered, prepared, fresh)
        connection.pipeline_sync()
        results: list[PGresult] = self._driver.wait(_conversation(self._driver, len(sent)))
        connection.exit_pipeline_mode()
        for what, result in zip(sent, results, strict=True):
            if result.status in _FAILED:
                if result.error_field(DiagnosticField.SQLSTATE) in _STATEMENT_STALE:
                    prepared.names.clear()  # all, since it was somebody between us and the server, perhaps
                raise error_from_result(result, encoding=self._driver.info.encoding)
            if isinstance(what, Answer):
                what.receive(result)
            elif what is not None:
                prepared.names[what] = fresh[what]  # for good: no rollback forgets it

    def _give(
        self, gathered: Sequence["_Gathered"], prepared: _Prepared, fresh: dict[bytes, bytes]
    ) -> list[Answer | bytes | None]:
        """Hand statements to libpq; for each result that will come its answer, or what was prepared, or None.

        What is prepared now gets its name in `fresh`.
        """
        connection = self._driver.pgconn
        sent: list[Answer | bytes | None] = []

        def simply(statement: bytes) -> None:
            connection.send_query_params(statement, None)
            sent.append(None)

        if connection.transaction_status == TransactionStatus.IDLE:
            simply(b"BEGIN")
        anew = False
        for one in gathered:
            text = one.sql.text
            if one.anew is not anew:
                anew = one.anew
                simply(_PLAN_ANEW if anew else _PLAN_AS_EVER)
            if anew:
                connection.send_query_params(text, one.values)
                sent.append(one.answer)
                continue
            name = prepared.names.get(text) or fresh.get(text)
            if name is None:
                name = fresh[text] = b"tessera_%d" % next(prepared.numbers)
                connection.send_prepare(name, text)
                sent.append(text)
            connection.send_query_prepared(name, one.values)
            sent.append(one.answer)
        if anew:
            simply(_PLAN_AS_EVER)
        return sent

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


class _Gathered(msgspec.Struct, frozen=True):
    """A statement that waits to be sent. `anew`: to be planned for its values, not for any."""

    sql: _Sql
    values: list[bytes | None]
    answer: Answer
    anew: bool


def _conversation(driver: psycopg.Connection[Any], number: int) -> PQGen[list[PGresult]]:
    """Send what libpq holds and receive one result a statement; for the driver's `wait`."""
    connection = driver.pgconn
    yield from generators.send(connection)
    results: list[PGresult] = []
    for _ in range(number):
        results += yield from generators.fetch_many(connection)
    yield from generators.fetch_many(connection)  # the mark of the end, that was sent after them
    return results


@lru_cache(maxsize=256)
def _sql(statement: TextClause) -> _Sql:
    compiled = statement.compile(dialect=_DIALECT)
    return _Sql(str(compiled).encode(), tuple(compiled.positiontup or ()))


def _text(value: Any) -> bytes | None:
    """A parameter as PostgreSQL reads it; its type is what the statement makes of it."""
    if isinstance(value, str):
        if "\0" in value:  # libpq would send what is before it, and say nothing
            raise psycopg.DataError("PostgreSQL text fields cannot contain NUL (0x00) bytes")
        return value.encode()
    if value is None:
        return None
    if isinstance(value, int):
        return int.__repr__(value).encode()
    return str(value if isinstance(value, UUID) else value.isoformat()).encode()
