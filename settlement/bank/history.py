"""What went to the bank and what came from it: files and statements, the newest first."""

from collections.abc import Mapping
from datetime import date, datetime
from typing import Any

import msgspec
from sqlalchemy import Connection, text

from network.service import date_of_window

_FILES = text(
    """
    SELECT f.message_id, f.window_id, f.revision, f.sha256, f.made_by, f.made_at, count(*) AS payments,
        count(b.minor) FILTER (WHERE b.minor = l.amount_minor) AS booked
    FROM payment_file f JOIN payment_file_line l USING (message_id)
    LEFT JOIN LATERAL (
        SELECT -sum(amount_minor)::bigint AS minor FROM bank_booking WHERE end_to_end_id = l.end_to_end_id
    ) b ON true
    WHERE (f.made_at, f.message_id) < (coalesce(CAST(:made_at AS timestamptz), 'infinity'), :message_id)
    GROUP BY f.message_id ORDER BY f.made_at DESC, f.message_id DESC LIMIT :limit
    """
)
_STATEMENTS = text(
    """
    SELECT statement_no, iban, currency, statement_id, page, opening_minor, opening_on, closing_minor,
        closing_on, file_sha256, read_by, read_at,
        (SELECT count(*) FROM bank_transaction t WHERE t.statement_no = s.statement_no) AS transactions,
        (SELECT count(*) FROM bank_exception e WHERE e.statement_no = s.statement_no) AS exceptions
    FROM bank_statement s WHERE statement_no < :before ORDER BY statement_no DESC LIMIT :limit
    """
)


class LeftFile(msgspec.Struct, frozen=True, kw_only=True):
    """A pay-out file as it left; `booked`: payments of it that the bank has booked in full."""

    message_id: str
    window_id: int | None
    revision: int | None
    sha256: bytes
    made_by: str
    made_at: datetime
    payments: int
    booked: int

    @property
    def business_date(self) -> date | None:
        """Of the night that it pays; None of refunds."""
        return None if self.window_id is None else date_of_window(self.window_id)


class ReadFile(msgspec.Struct, frozen=True, kw_only=True):
    """A statement that was read and booked; `exceptions`: how much on it was not as expected."""

    statement_no: int
    iban: str
    currency: str
    statement_id: str
    page: int
    opening_minor: int
    opening_on: date
    closing_minor: int
    closing_on: date
    file_sha256: bytes
    read_by: str
    read_at: datetime
    transactions: int
    exceptions: int


def files(
    connection: Connection, *, limit: int, before: tuple[datetime, str] | None = None
) -> list[LeftFile]:
    """Pay-out files, the newest first; those that left before one."""
    made_at, message_id = before or (None, "")
    rows = connection.execute(_FILES, {"made_at": made_at, "message_id": message_id, "limit": limit})
    return [LeftFile(**_plain(row._asdict(), "sha256")) for row in rows]


def statements(connection: Connection, *, limit: int, before: int | None = None) -> list[ReadFile]:
    """Statements that were read, the last one first; those before a number."""
    rows = connection.execute(_STATEMENTS, {"before": before or 2**62, "limit": limit})
    return [ReadFile(**_plain(row._asdict(), "file_sha256")) for row in rows]


def _plain(row: Mapping[str, Any], name: str) -> dict[str, Any]:
    """A row whose hash is bytes, whatever the driver made of it."""
    return {**row, name: bytes(row[name])}
