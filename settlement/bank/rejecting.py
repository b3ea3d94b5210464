"""Payments that left in a file and that the bank did not carry out: said by one, decided by another.

What a bank rejects it never books, so that no statement shows it. Approved, a pay-out is instructed once
more, to the account that is in use then; a refund's exception is open again. Should the bank book the
rejected payment all the same, that is too much of it: a surplus, which two may allocate to the new one.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, insert, text

from network.service import network_now
from partners.people.audit import audited
from settlement import payments
from settlement.bank import store, tables
from settlement.bank.errors import ProposalDecided, ProposalUnknown, WayOutClosed
from settlement.bank.model import Rejection
from settlement.errors import FourEyesNeeded

_COLUMNS = ", ".join(Rejection.__struct_fields__)
_ALL = text(f"SELECT {_COLUMNS} FROM bank_rejection ORDER BY rejection_id")
_LOCK = text(f"SELECT {_COLUMNS} FROM bank_rejection WHERE rejection_id = :id FOR UPDATE")
_DECIDE = text(
    "UPDATE bank_rejection SET decided_by = :by, decided_at = :at, approved = :approved"
    f" WHERE rejection_id = :id RETURNING {_COLUMNS}"
)
_LINES = text("SELECT end_to_end_id FROM payment_file_line WHERE message_id = :id ORDER BY 1")
_CAME_BACK = text(
    "SELECT end_to_end_id FROM bank_exception WHERE problem = 'returned' AND end_to_end_id = ANY(:ids)"
)


def list_rejections(connection: Connection) -> list[Rejection]:
    """Every rejection that was ever said, in order."""
    return [_rejection(row) for row in connection.execute(_ALL)]


def propose_rejection(
    connection: Connection, message_id: str, *, note: str, by: str, only: Collection[str] = ()
) -> Rejection:
    """Say that the bank did not carry out a file, or some payments of it.

    Args:
        connection: A transaction; the caller commits it.
        message_id: The file's.
        note: What the bank said, its code for the reason included, and when.
        by: Who says so.
        only: End-to-end ids of the file's payments; by default all that were not booked.
    Raises:
        ProposalUnknown: there is no such file.
        ProposalDecided: another rejection of the file waits for a decision.
        WayOutClosed: a payment is not in the file, or nothing of it is missing, or it came back.
    """
    store.lock_bank(connection)
    held = connection.execute(_LINES, {"id": message_id}).scalars().all()
    if not held:
        raise ProposalUnknown(f"no pay-out file has the message id {message_id!r}")
    strangers = sorted(set(only) - set(held))
    if strangers:
        raise WayOutClosed(f"{strangers[0]!r} is no payment of {message_id}")
    if not note.strip():
        raise WayOutClosed("say what the bank said: who approves, or audits, reads it")
    waiting = [
        one for one in list_rejections(connection) if one.message_id == message_id and one.approved is None
    ]
    if waiting:
        raise ProposalDecided(
            f"rejection {waiting[0].rejection_id} of {message_id} waits for a decision: decide it first"
        )
    missing = _missing(connection, held)
    chosen = sorted(set(only) or {name for name in held if missing.get(name, 0) > 0})
    _require_missing(message_id, chosen, missing)
    number = connection.execute(
        insert(tables.bank_rejection).returning(tables.bank_rejection.c.rejection_id),
        {
            "message_id": message_id,
            "payments": chosen,
            "note": note.strip(),
            "proposed_by": by,
            "proposed_at": network_now(connection),
        },
    ).scalar_one()
    found = _locked(connection, number)
    _audit(connection, found, "bank_rejection.proposed", before=None, by=by)
    return found


def decide_rejection(connection: Connection, rejection_id: int, *, by: str, approve: bool) -> Rejection:
    """Approve or reject what was said; approved, its pay-outs are instructed once more at once.

    Raises:
        FourEyesNeeded: who said it wants to approve it.
        ProposalDecided: it was decided before.
        ProposalUnknown: there is none.
        WayOutClosed: one of the payments was booked, or came back, meanwhile; nothing was done.
    """
    store.lock_bank(connection)
    said = _locked(connection, rejection_id)
    if said.decided_by is not None:
        word = "approved" if said.approved else "rejected"
        raise ProposalDecided(f"{said.decided_by} {word} it at {said.decided_at}")
    if approve and by.lower() == said.proposed_by.lower():
        raise FourEyesNeeded(f"{by} said that {said.message_id} was rejected: another must approve it")
    at = network_now(connection)
    if approve:
        _carry_out(connection, said, by=by, at=at)
    row = connection.execute(_DECIDE, {"id": rejection_id, "by": by, "at": at, "approved": approve}).one()
    decided = _rejection(row)
    word = "approved" if approve else "rejected"
    _audit(connection, decided, f"bank_rejection.{word}", before=said, by=by)
    return decided


def _carry_out(connection: Connection, said: Rejection, *, by: str, at: datetime) -> None:
    windows = payments.lock_windows(connection, said.payments)
    _require_missing(said.message_id, said.payments, _missing(connection, said.payments))
    for name in said.payments:
        if name in windows:
            payments.instruct_again(connection, name, by=by, at=at, rejected=True)


def _missing(connection: Connection, names: Sequence[str]) -> dict[str, int]:
    """What was not booked of each payment that could be rejected, minor units."""
    windows = store.load_windows(connection, names)
    due = [one for window in sorted(set(windows.values())) for one in payments.due_of(connection, window)]
    found = {one.end_to_end_id: one.due_minor - one.booked_minor for one in due if one.direction == "out"}
    # What came back of a refund is money of an exception of its own, which has its ways out.
    back = set(connection.execute(_CAME_BACK, {"ids": list(names)}).scalars())
    for one, *_ in store.load_refunds(connection):
        found[one.end_to_end_id] = 0 if one.end_to_end_id in back else one.rest_minor
    return {name: found.get(name, 0) for name in names}


def _require_missing(message_id: str, chosen: Sequence[str], missing: Mapping[str, int]) -> None:
    done = [name for name in chosen if missing[name] <= 0]
    if done or not chosen:
        what = done[0] if done else f"what {message_id} pays"
        raise WayOutClosed(f"nothing of {what} is missing: it was booked, came back, or was paid anew")


def _locked(connection: Connection, rejection_id: int) -> Rejection:
    row = connection.execute(_LOCK, {"id": rejection_id}).one_or_none()
    if row is None:
        raise ProposalUnknown(f"there is no rejection {rejection_id}")
    return _rejection(row)


def _rejection(row: Row[Any]) -> Rejection:
    return Rejection(**{**row._asdict(), "payments": tuple(row.payments)})


def _audit(connection: Connection, one: Rejection, action: str, *, before: Rejection | None, by: str) -> None:
    audited(
        connection,
        by=by,
        action=action,
        subject=f"payment_file:{one.message_id}",
        before=before,
        after=one,
    )
