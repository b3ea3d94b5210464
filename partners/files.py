"""Files of partners: taken whole, claimed by one process at a time, answered line by line, kept for a month.

Files are opaque here: lines of bytes that somebody carries out. Every function takes a connection and never
commits. What is stored is packed with zlib; a part holds whole lines.
"""

import zlib
from collections.abc import Collection, Iterable, Iterator
from datetime import datetime, timedelta
from hashlib import blake2b
from typing import Literal
from uuid import UUID

import msgspec
from sqlalchemy import Connection, text

from partners.errors import FileMovedOn, FileReused, FilesWaiting
from partners.tables import file_answer, file_part

Format = Literal["ndjson", "csv"]

KEPT = timedelta(days=31)
"""How long the answers to a file's lines are kept after the last of them."""
REMEMBERED = timedelta(days=400)
"""How long a file's name is remembered, as a request's reference is."""
MOST_WAITING = 100
"""Files of one partner that wait to be carried out."""
FILES_ANSWERED = "files_answered"
FILES_SAY = "every line of a file that is done has one answer, until its month is over"
_EXPIRED_AT_ONCE = 20
_LEVEL = 1

_COLUMNS = (
    "partner_id, batch_id, reference, format, columns, content_sha256, lines, answered, refused, received_at,"
    " finished_at, kept_until"
)
_ADD = text(
    "INSERT INTO file_batch (partner_id, batch_id, file_key, reference, format, columns, content_sha256,"
    " lines, received_at)"
    " VALUES (:partner, :batch, :key, :reference, :format, :columns, :sha256, :lines, :at)"
    " ON CONFLICT (partner_id, file_key) DO NOTHING"
)
_BY_KEY = text(f"SELECT {_COLUMNS} FROM file_batch WHERE partner_id = :partner AND file_key = :key")
_BY_ID = text(f"SELECT {_COLUMNS} FROM file_batch WHERE partner_id = :partner AND batch_id = :batch")
_OLDEST = text(
    f"SELECT {_COLUMNS} FROM file_batch WHERE partner_id = :partner AND finished_at IS NULL"
    " ORDER BY batch_id LIMIT 1"
)
_WAITING = text(
    "SELECT DISTINCT ON (partner_id) partner_id, batch_id FROM file_batch WHERE finished_at IS NULL"
    " ORDER BY partner_id, batch_id"
)
_WAITING_OF = text("SELECT count(*) FROM file_batch WHERE partner_id = :partner AND finished_at IS NULL")
_DONE = text(
    "SELECT batch_id FROM file_batch WHERE batch_id = ANY(CAST(:batches AS uuid[]))"
    " AND finished_at IS NOT NULL"
)
_LOCK_KEY = "hashtextextended('files of ' || :partner || ' in ' || current_schema(), 0)"
_LOCK = text(f"SELECT pg_try_advisory_lock({_LOCK_KEY})")
_UNLOCK = text(f"SELECT pg_advisory_unlock({_LOCK_KEY})")
_PART = text(
    "SELECT first_line, content FROM file_part"
    " WHERE partner_id = :partner AND batch_id = :batch AND first_line <= :line"
    " ORDER BY first_line DESC LIMIT 1"
)
_MOVE_ON = text(
    "UPDATE file_batch SET answered = :answered, refused = refused + :refused,"
    " finished_at = CASE WHEN lines = :answered THEN CAST(:at AS timestamptz) END,"
    " kept_until = CASE WHEN lines = :answered THEN CAST(:kept_until AS timestamptz) END"
    " WHERE partner_id = :partner AND batch_id = :batch AND answered = :before"
)
_DROP_PARTS = text("DELETE FROM file_part WHERE partner_id = :partner AND batch_id = :batch")
_ANSWER = text(
    "SELECT last_line, content FROM file_answer"
    " WHERE partner_id = :partner AND batch_id = :batch AND first_line = :line"
)
_OVER = text(
    "SELECT partner_id, batch_id FROM file_batch WHERE kept_until <= :now AND expired_at IS NULL"
    " ORDER BY kept_until LIMIT :most FOR UPDATE SKIP LOCKED"
)
_DROP_ANSWERS = text("DELETE FROM file_answer WHERE partner_id = :partner AND batch_id = :batch")
_EXPIRE = text("UPDATE file_batch SET expired_at = :now WHERE partner_id = :partner AND batch_id = :batch")
_FORGET = text("DELETE FROM file_batch WHERE expired_at <= :before")
_FAULTS = text(
    "SELECT b.partner_id, b.batch_id, b.answered, coalesce(a.lines, 0) AS lines, coalesce(a.last, 0) AS last"
    " FROM file_batch b LEFT JOIN ("
    "  SELECT partner_id, batch_id, sum(last_line - first_line + 1) AS lines, max(last_line) AS last"
    "  FROM file_answer GROUP BY partner_id, batch_id"
    " ) a ON a.partner_id = b.partner_id AND a.batch_id = b.batch_id"
    " WHERE b.expired_at IS NULL"
    " AND (coalesce(a.lines, 0) <> b.answered OR coalesce(a.last, 0) <> b.answered)"
    " ORDER BY b.partner_id, b.batch_id LIMIT 100"
)


class FileBatch(msgspec.Struct, frozen=True, kw_only=True):
    """A file that was received, and how far it is.

    `reference` is empty where its content names it; `columns` are a CSV file's, with commas between them.
    Lines are counted from 1, a CSV file's header not among them; `answered` of them are done, in order.
    """

    partner_id: int
    batch_id: UUID
    reference: str
    format: Format
    columns: str
    content_sha256: bytes
    lines: int
    answered: int
    refused: int
    received_at: datetime
    finished_at: datetime | None
    kept_until: datetime | None


class NewFile(msgspec.Struct, frozen=True, kw_only=True):
    """A file that has been read through; `content_sha256` is of its unpacked bytes."""

    partner_id: int
    batch_id: UUID
    reference: str
    format: Format
    columns: str
    content_sha256: bytes
    lines: int


class Answers(msgspec.Struct, frozen=True, kw_only=True):
    """The answers to lines of a file, those after the first `before`; `refused` of them are refusals."""

    before: int
    lines: int
    refused: int
    content: bytes


def accept(
    connection: Connection, new: NewFile, parts: Iterable[tuple[int, bytes]], at: datetime
) -> tuple[FileBatch, bool]:
    """Take a file; the same one again is the one that was taken before.

    Args:
        new: The file.
        parts: Its lines in parts, each with the number of its first line.
        at: The network's time.
    Returns:
        The file as it stands, and whether it is new.
    Raises:
        FileReused: another file was sent under its reference.
        FilesWaiting: too many of the partner's files wait.
    """
    named = {"partner": new.partner_id, "key": _key(new)}
    fields = {
        "batch": new.batch_id,
        "reference": new.reference,
        "format": new.format,
        "columns": new.columns,
        "sha256": new.content_sha256,
        "lines": new.lines,
        "at": at,
    }
    added = connection.execute(_ADD, {**named, **fields}).rowcount == 1
    known = FileBatch(**connection.execute(_BY_KEY, named).one()._asdict())
    if not added:
        if (known.content_sha256, known.format) != (new.content_sha256, new.format):
            raise FileReused(f"{known.reference!r} names a file of {known.lines} lines that was sent before")
        return known, False
    waiting = connection.execute(_WAITING_OF, {"partner": new.partner_id}).scalar_one()
    if waiting > MOST_WAITING:
        raise FilesWaiting(f"{MOST_WAITING} files of yours wait to be carried out")
    whose = {"partner_id": new.partner_id, "batch_id": new.batch_id}
    for first_line, content in parts:
        packed = {"first_line": first_line, "content": zlib.compress(content, _LEVEL)}
        connection.execute(file_part.insert(), {**whose, **packed})
    return known, True


def _key(new: NewFile) -> UUID:
    """The 16-byte name of a file: of its reference, or without one of its content."""
    name = f"reference {new.reference}" if new.reference else f"content {new.content_sha256.hex()}"
    return UUID(bytes=blake2b(f"{new.partner_id}\0live\0{name}".encode(), digest_size=16).digest())


def find(connection: Connection, partner_id: int, batch_id: UUID) -> FileBatch | None:
    """A partner's file; None where it has none of that id."""
    row = connection.execute(_BY_ID, {"partner": partner_id, "batch": batch_id}).one_or_none()
    return None if row is None else FileBatch(**row._asdict())


def waiting_partners(connection: Connection) -> list[int]:
    """Partners with files that are not finished; whose oldest came first is first."""
    found = connection.execute(_WAITING).all()
    return [partner_id for partner_id, _ in sorted(found, key=lambda row: row.batch_id.int)]


def claim(connection: Connection, partner_id: int) -> bool:
    """Make a partner's files this connection's to carry out, for as long as it lives; whether they are.

    One process has them at a time and takes them in order. An advisory lock of the session: it goes with
    the process, its connection or the server, whatever ends first, and no clock is asked.
    """
    return bool(connection.execute(_LOCK, {"partner": str(partner_id)}).scalar_one())


def release(connection: Connection, partner_id: int) -> None:
    """Let others have a partner's files."""
    connection.execute(_UNLOCK, {"partner": str(partner_id)})


def oldest_waiting(connection: Connection, partner_id: int) -> FileBatch | None:
    """The partner's file that is next; asked under its claim."""
    row = connection.execute(_OLDEST, {"partner": partner_id}).one_or_none()
    return None if row is None else FileBatch(**row._asdict())


def part_with(connection: Connection, batch: FileBatch, line: int) -> tuple[int, bytes]:
    """The part of a file that a line is in, and the number of its first line."""
    asked = {"partner": batch.partner_id, "batch": batch.batch_id, "line": line}
    first_line, content = connection.execute(_PART, asked).one()
    return first_line, zlib.decompress(content)


def move_on(connection: Connection, batch: FileBatch, answers: Answers, at: datetime) -> bool:
    """Note answers to lines that were carried out; whether that finishes the file.

    Args:
        connection: The one that has the claim, so that who lost it cannot write.
        batch: The file.
        answers: To the lines that come next.
        at: The network's time.
    Raises:
        FileMovedOn: somebody else has moved it on.
    """
    answered = answers.before + answers.lines
    whose = {"partner": batch.partner_id, "batch": batch.batch_id}
    moved = connection.execute(
        _MOVE_ON,
        {
            **whose,
            "before": answers.before,
            "answered": answered,
            "refused": answers.refused,
            "at": at,
            "kept_until": at + KEPT,
        },
    )
    if moved.rowcount != 1:
        raise FileMovedOn(f"file {batch.batch_id} is not at line {answers.before} any more")
    connection.execute(
        file_answer.insert(),
        {
            "partner_id": batch.partner_id,
            "batch_id": batch.batch_id,
            "first_line": answers.before + 1,
            "last_line": answered,
            "content": zlib.compress(answers.content, _LEVEL),
        },
    )
    if answered == batch.lines:
        connection.execute(_DROP_PARTS, whose)
    return answered == batch.lines


def finished_among(connection: Connection, batches: Collection[UUID]) -> set[UUID]:
    """Those of some files that are finished, whoever carried them out."""
    return set(connection.execute(_DONE, {"batches": list(batches)}).scalars())


def answers_from(connection: Connection, batch: FileBatch, line: int) -> tuple[int, bytes] | None:
    """The stored answers that begin with a line's, and the last line of them; None where they are gone."""
    asked = {"partner": batch.partner_id, "batch": batch.batch_id, "line": line}
    row = connection.execute(_ANSWER, asked).one_or_none()
    return None if row is None else (row.last_line, zlib.decompress(row.content))


def expire(connection: Connection, now: datetime) -> int:
    """Remove the answers of some files whose month is over, and files nobody need remember; how many expired.

    Args:
        connection: Any.
        now: The network's time.
    """
    over = connection.execute(_OVER, {"now": now, "most": _EXPIRED_AT_ONCE}).all()
    for partner_id, batch_id in over:
        whose = {"partner": partner_id, "batch": batch_id}
        connection.execute(_DROP_ANSWERS, whose)
        connection.execute(_EXPIRE, {**whose, "now": now})
    connection.execute(_FORGET, {"before": now - REMEMBERED + KEPT})
    return len(over)


def faults(connection: Connection) -> Iterator[tuple[str, str]]:
    """Files whose answers are not those of their lines, each once: where, and what is wrong."""
    for row in connection.execute(_FAULTS):
        yield (
            f"partner {row.partner_id} file {row.batch_id}",
            f"{row.answered} lines are answered, and {row.lines} answers are kept, to line {row.last}",
        )
