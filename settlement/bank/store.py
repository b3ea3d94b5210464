"""Rows of the bank: accounts, files that left, statements that came, and what was found on them."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from hashlib import sha256
from typing import Any

from sqlalchemy import Connection, RowMapping, insert, text

from network.bulk import insert_from_arrays, insert_rows
from partners.model import HUB_ID
from settlement.bank import tables
from settlement.bank.model import (
    Account,
    AccountVersion,
    BankException,
    Booking,
    Expected,
    Finding,
    Payment,
    PaymentFile,
    ReadStatement,
    Resolution,
    Statement,
    Transaction,
)
from settlement.references import refund_id, refund_reference

_ACCOUNT_COLUMNS = (
    "account_id, participant_id, currency, name, iban, bic, proposed_by, proposed_at, decided_by, decided_at,"
    " approved, in_use_from, withdrawn_by, withdrawn_at"
)
_ACCOUNTS = text(f"SELECT {_ACCOUNT_COLUMNS} FROM bank_account ORDER BY account_id")
_LOCK_ACCOUNT = text(f"SELECT {_ACCOUNT_COLUMNS} FROM bank_account WHERE account_id = :id FOR UPDATE")
_DECIDE_ACCOUNT = text(
    "UPDATE bank_account SET decided_by = :by, decided_at = :at, approved = :approved,"
    " in_use_from = :in_use_from WHERE account_id = :id"
)
_WITHDRAW = text("UPDATE bank_account SET withdrawn_by = :by, withdrawn_at = :at WHERE account_id = :id")
_PARTICIPANTS = text("SELECT partner_id, code, name FROM partner")

# One at a time: two files read at once could both find the same statement new, or write one payment twice.
_LOCK_BANK = text("SELECT pg_advisory_xact_lock(7266, hashtext(current_schema()))")

_LINES = text(
    "SELECT l.end_to_end_id, l.message_id, l.group_id FROM payment_file_line l"
    " WHERE l.end_to_end_id = ANY(:ids)"
)
_FILES = text(
    "SELECT f.message_id, f.content,"
    " (SELECT count(*) FROM payment_file_line l WHERE l.message_id = f.message_id) AS payments"
    " FROM payment_file f WHERE f.window_id IS NOT DISTINCT FROM CAST(:window_id AS integer)"
    " AND f.revision IS NOT DISTINCT FROM CAST(:revision AS integer) ORDER BY f.message_id"
)

_CONTENT = text("SELECT content FROM payment_file WHERE message_id = :id")

_READ = text(
    "SELECT statement_no, statement_id, page, closing_minor, closing_on, sha256 FROM bank_statement"
    " WHERE iban = :iban AND currency = :currency"
)
_STATEMENT_NO = text("SELECT nextval(pg_get_serial_sequence('bank_statement', 'statement_no'))")
_EXCEPTION_NOS = text(
    "SELECT nextval(pg_get_serial_sequence('bank_exception', 'exception_id')) FROM generate_series(1, :count)"
)
_ADD_EXCEPTIONS = insert_from_arrays(tables.bank_exception, BankException.__struct_fields__)
_ADD_BOOKINGS = insert_from_arrays(
    tables.bank_booking, ("statement_no", "entry", "detail", "part", "end_to_end_id", "amount_minor")
)
_NAMED = text(
    "SELECT i.end_to_end_id, i.window_id, i.revision, i.participant_id, i.currency, i.direction, i.reference,"
    " coalesce(l.group_id, '') AS group_id"
    " FROM instruction i LEFT JOIN payment_file_line l USING (end_to_end_id)"
    " WHERE i.end_to_end_id = ANY(:ids) OR i.reference = ANY(:references) OR l.group_id = ANY(:groups)"
    " ORDER BY i.end_to_end_id"
)
_REFUNDS = text(
    "SELECT r.resolution_id, r.amount_minor, r.name, r.iban, r.bic, e.currency, r.decided_at,"
    " coalesce(i.participant_id, 0) AS participant_id,"
    " coalesce(l.group_id, '') AS group_id, l.end_to_end_id IS NOT NULL AS left_us,"
    " EXISTS (SELECT FROM bank_rejection j WHERE j.approved AND j.message_id = l.message_id"
    "  AND l.end_to_end_id = ANY(j.payments)) AS rejected,"
    " coalesce((SELECT -sum(b.amount_minor) FROM bank_booking b"
    "  WHERE b.end_to_end_id = 'REFUND-' || lpad(r.resolution_id::text, 10, '0')), 0)::bigint AS done_minor"
    " FROM bank_resolution r JOIN bank_exception e USING (exception_id)"
    " LEFT JOIN instruction i ON i.end_to_end_id = e.end_to_end_id"
    " LEFT JOIN payment_file_line l ON l.end_to_end_id = 'REFUND-' || lpad(r.resolution_id::text, 10, '0')"
    " WHERE r.way = 'refund' AND r.approved ORDER BY r.resolution_id"
)

_HOLDERS = text(
    "SELECT end_to_end_id, window_id, participant_id FROM instruction WHERE end_to_end_id = ANY(:ids)"
)
_EXCEPTION_COLUMNS = (
    "exception_id, statement_no, entry, detail, problem, end_to_end_id, currency, amount_minor, why, found_at"
)
_EXCEPTIONS = text(f"SELECT {_EXCEPTION_COLUMNS} FROM bank_exception ORDER BY exception_id")
_TRANSACTIONS = text(
    "SELECT t.*, s.iban, s.statement_id FROM bank_transaction t JOIN bank_statement s USING (statement_no)"
    " WHERE (t.statement_no, t.entry, t.detail) IN"
    " (SELECT statement_no, entry, detail FROM bank_exception WHERE exception_id = ANY(:ids))"
)
_RESOLUTION_COLUMNS = (
    "resolution_id, exception_id, way, amount_minor, end_to_end_id, name, iban, bic, participant_id, note,"
    " proposed_by, proposed_at, decided_by, decided_at, approved"
)
_RESOLUTIONS = text(f"SELECT {_RESOLUTION_COLUMNS} FROM bank_resolution ORDER BY resolution_id")
_LOCK_RESOLUTION = text(
    f"SELECT {_RESOLUTION_COLUMNS} FROM bank_resolution WHERE resolution_id = :id FOR UPDATE"
)
_DECIDE_RESOLUTION = text(
    "UPDATE bank_resolution SET decided_by = :by, decided_at = :at, approved = :approved"
    " WHERE resolution_id = :id"
)

_TRANSACTION_FIELDS = frozenset(Transaction.__struct_fields__) - {"references"}


def lock_bank(connection: Connection) -> None:
    """Take turns with whoever else reads statements or writes files, until the transaction ends."""
    connection.execute(_LOCK_BANK)


def load_accounts(connection: Connection) -> list[AccountVersion]:
    """Every account that was ever proposed, in order."""
    return [_account_version(row) for row in connection.execute(_ACCOUNTS).mappings()]


def lock_account(connection: Connection, account_id: int) -> AccountVersion | None:
    """One of them, locked until the transaction ends."""
    row = connection.execute(_LOCK_ACCOUNT, {"id": account_id}).mappings().one_or_none()
    return None if row is None else _account_version(row)


def add_account(
    connection: Connection,
    *,
    participant_id: int,
    currency: str,
    account: Account,
    evidence: str,
    by: str,
    at: datetime,
) -> int:
    """Write a proposal; returns its number."""
    found: int = connection.execute(
        insert(tables.bank_account).returning(tables.bank_account.c.account_id),
        {
            "participant_id": participant_id,
            "currency": currency,
            "name": account.name,
            "iban": account.iban,
            "bic": account.bic,
            "evidence": evidence,
            "proposed_by": by,
            "proposed_at": at,
        },
    ).scalar_one()
    return found


def save_account_decision(
    connection: Connection,
    account_id: int,
    *,
    by: str,
    at: datetime,
    approved: bool,
    in_use_from: datetime | None,
) -> None:
    """Write who decided on a proposal, and from when the account is used."""
    decided = {"by": by, "at": at, "approved": approved, "in_use_from": in_use_from}
    connection.execute(_DECIDE_ACCOUNT, {"id": account_id, **decided})


def save_withdrawal(connection: Connection, account_id: int, *, by: str, at: datetime) -> None:
    """Write who stopped an account."""
    connection.execute(_WITHDRAW, {"id": account_id, "by": by, "at": at})


def load_names(connection: Connection) -> dict[int, tuple[str, str]]:
    """Code and name of each participant, the hub among them."""
    found = {row.partner_id: (row.code, row.name) for row in connection.execute(_PARTICIPANTS)}
    return {HUB_ID: ("hub", "the hub itself"), **found}


def load_files(
    connection: Connection, window_id: int | None, revision: int | None
) -> list[tuple[str, bytes, int]]:
    """Files that left for a window's run, or for refunds: message id, content, payments."""
    rows = connection.execute(_FILES, {"window_id": window_id, "revision": revision})
    return [(row.message_id, bytes(row.content), row.payments) for row in rows]


def load_content(connection: Connection, message_id: str) -> bytes | None:
    """A file as it left; None where there is none of that id."""
    content = connection.execute(_CONTENT, {"id": message_id}).scalar_one_or_none()
    return None if content is None else bytes(content)


def in_files(connection: Connection, ids: Sequence[str]) -> set[str]:
    """Those of the payments that are in a file already."""
    return {row.end_to_end_id for row in connection.execute(_LINES, {"ids": list(ids)})}


def save_file(
    connection: Connection,
    file: PaymentFile,
    content: bytes,
    *,
    run: tuple[int, int] | None,
    by: str,
    at: datetime,
) -> None:
    """Keep a file as it leaves, and which payments are in it."""
    window_id, revision = run or (None, None)
    connection.execute(
        insert(tables.payment_file),
        {
            "message_id": file.message_id,
            "window_id": window_id,
            "revision": revision,
            "created_at": file.created_at,
            "sha256": sha256(content).digest(),
            "content": content,
            "made_by": by,
            "made_at": at,
        },
    )
    lines = [
        {**_line(one), "message_id": file.message_id, "group_id": group.group_id}
        for group in file.groups
        for one in group.payments
    ]
    connection.execute(insert(tables.payment_file_line), lines)


def load_read(connection: Connection, iban: str, currency: str) -> list[ReadStatement]:
    """Statements of an account that were read, in the order in which they were."""
    rows = connection.execute(_READ, {"iban": iban, "currency": currency}).mappings()
    found = [ReadStatement(**{**row, "sha256": bytes(row["sha256"])}) for row in rows]
    return sorted(found, key=lambda one: one.statement_no)


def save_statement(
    connection: Connection, statement: Statement, digest: bytes, file_digest: bytes, *, by: str, at: datetime
) -> int:
    """Keep a statement with its transactions; returns its number."""
    number: int = connection.execute(_STATEMENT_NO).scalar_one()
    kept = {name: getattr(statement, name) for name in Statement.__struct_fields__ if name != "transactions"}
    connection.execute(
        insert(tables.bank_statement),
        {
            **kept,
            "statement_no": number,
            "sha256": digest,
            "file_sha256": file_digest,
            "read_by": by,
            "read_at": at,
        },
    )
    rows = [
        {
            **{name: getattr(one, name) for name in _TRANSACTION_FIELDS},
            "creditor_references": list(one.references),
            "statement_no": number,
        }
        for one in statement.transactions
    ]
    if rows:
        connection.execute(insert(tables.bank_transaction), rows)
    return number


def save_bookings(connection: Connection, statement_no: int, bookings: Sequence[tuple[int, Booking]]) -> None:
    """Keep where each transaction went; the first of each pair counts a transaction's parts from 1."""
    columns: dict[str, list[Any]] = {
        "statement_no": [statement_no] * len(bookings),
        "entry": [one.entry for _, one in bookings],
        "detail": [one.detail for _, one in bookings],
        "part": [part for part, _ in bookings],
        "end_to_end_id": [one.end_to_end_id for _, one in bookings],
        "amount_minor": [one.amount_minor for _, one in bookings],
    }
    insert_rows(connection, _ADD_BOOKINGS, columns)


def save_exceptions(
    connection: Connection, statement_no: int, currency: str, findings: Sequence[Finding], at: datetime
) -> list[BankException]:
    """Keep what somebody must look at."""
    numbers = connection.execute(_EXCEPTION_NOS, {"count": len(findings)}).scalars().all()
    kept = [
        BankException(
            exception_id=number,
            statement_no=statement_no,
            entry=one.entry,
            detail=one.detail,
            problem=one.problem,
            end_to_end_id=one.end_to_end_id,
            currency=currency,
            amount_minor=one.amount_minor,
            why=one.why,
            found_at=at,
        )
        for number, one in zip(numbers, findings, strict=True)
    ]
    columns: dict[str, list[Any]] = {
        name: [getattr(one, name) for one in kept] for name in BankException.__struct_fields__
    }
    insert_rows(connection, _ADD_EXCEPTIONS, columns)
    return kept


def load_named(
    connection: Connection, transactions: Sequence[Transaction]
) -> tuple[list[Mapping[str, Any]], list[Expected]]:
    """The payments that transactions name: rows of instructions, and refunds.

    Of an instruction, what is due and done must still be asked of its run.
    """
    wanted = {
        "ids": [one.end_to_end_id for one in transactions if one.end_to_end_id],
        "references": [reference for one in transactions for reference in one.references],
        "groups": [one.batch_id for one in transactions if one.batch_id],
    }
    rows: list[Mapping[str, Any]] = [dict(row) for row in connection.execute(_NAMED, wanted).mappings()]
    return rows, [expected for expected, _, _, _ in load_refunds(connection)]


def load_refunds(connection: Connection) -> list[tuple[Expected, Account, datetime, bool]]:
    """Money that is to be sent back: where to, since when, and whether it is in a file already.

    Of a refund that the bank rejected nothing more is to go than went.
    """
    return [
        (
            Expected(
                kind="refund",
                participant_id=row.participant_id,
                currency=row.currency,
                amount_minor=row.done_minor if row.rejected else row.amount_minor,
                end_to_end_id=refund_id(row.resolution_id),
                reference=refund_reference(row.resolution_id),
                group_id=row.group_id,
                done_minor=row.done_minor,
            ),
            Account(name=row.name, iban=row.iban, bic=row.bic),
            row.decided_at,
            row.left_us,
        )
        for row in connection.execute(_REFUNDS)
    ]


def load_windows(connection: Connection, ids: Sequence[str]) -> dict[str, int]:
    """The window of each payment."""
    return {row.end_to_end_id: row.window_id for row in connection.execute(_HOLDERS, {"ids": list(ids)})}


def load_holders(connection: Connection, ids: Sequence[str]) -> dict[str, int]:
    """The participant of each payment."""
    return {row.end_to_end_id: row.participant_id for row in connection.execute(_HOLDERS, {"ids": list(ids)})}


def load_exceptions(connection: Connection) -> list[BankException]:
    """Every exception, in order."""
    return [BankException(**row) for row in connection.execute(_EXCEPTIONS).mappings()]


def load_transactions(
    connection: Connection, ids: Sequence[int]
) -> dict[tuple[int, int, int], tuple[Transaction, str, str]]:
    """The transactions of exceptions, with account and statement, by statement number, entry and detail."""
    found = {}
    for row in connection.execute(_TRANSACTIONS, {"ids": list(ids)}).mappings():
        transaction = Transaction(
            **{name: row[name] for name in _TRANSACTION_FIELDS},
            references=tuple(row["creditor_references"]),
        )
        key = (row["statement_no"], row["entry"], row["detail"])
        found[key] = (transaction, row["iban"], row["statement_id"])
    return found


def load_resolutions(connection: Connection) -> list[Resolution]:
    """Every way out that was proposed, in order."""
    return [_resolution(row) for row in connection.execute(_RESOLUTIONS).mappings()]


def lock_resolution(connection: Connection, resolution_id: int) -> Resolution | None:
    """One of them, locked until the transaction ends."""
    row = connection.execute(_LOCK_RESOLUTION, {"id": resolution_id}).mappings().one_or_none()
    return None if row is None else _resolution(row)


def add_resolution(connection: Connection, proposed: Resolution) -> Resolution:
    """Write a proposal; its number is new."""
    account = proposed.account
    number: int = connection.execute(
        insert(tables.bank_resolution).returning(tables.bank_resolution.c.resolution_id),
        {
            **{
                name: getattr(proposed, name)
                for name in Resolution.__struct_fields__
                if name not in {"resolution_id", "account"}
            },
            "name": account.name if account else None,
            "iban": account.iban if account else None,
            "bic": account.bic if account else None,
        },
    ).scalar_one()
    return Resolution(
        **{
            **{name: getattr(proposed, name) for name in Resolution.__struct_fields__},
            "resolution_id": number,
        }
    )


def save_resolution_decision(
    connection: Connection, resolution_id: int, *, by: str, at: datetime, approved: bool
) -> None:
    """Write who decided on a way out."""
    connection.execute(_DECIDE_RESOLUTION, {"id": resolution_id, "by": by, "at": at, "approved": approved})


def _account_version(row: RowMapping) -> AccountVersion:
    plain = {name: value for name, value in row.items() if name not in {"name", "iban", "bic"}}
    return AccountVersion(account=Account(name=row["name"], iban=row["iban"], bic=row["bic"]), **plain)


def _resolution(row: RowMapping) -> Resolution:
    plain = {name: value for name, value in row.items() if name not in {"name", "iban", "bic"}}
    account = Account(name=row["name"], iban=row["iban"], bic=row["bic"]) if row["iban"] else None
    return Resolution(account=account, **plain)


def _line(payment: Payment) -> dict[str, Any]:
    return {
        "end_to_end_id": payment.end_to_end_id,
        "participant_id": payment.participant_id,
        "currency": payment.currency,
        "amount_minor": payment.amount_minor,
        "name": payment.account.name,
        "iban": payment.account.iban,
        "bic": payment.account.bic,
    }
