"""The record of what operators did: append-only, each row chained to the one before by SHA-256.

A row is written in the transaction of the action itself: neither is there without the other. What stands in
it is canonical JSON of {action, after, at, before, by, seq, subject}, and hash = SHA-256(previous hash ‖
record), so that anybody can check it with no more than that. The first row follows 32 zero bytes.
"""

import json
from collections.abc import Mapping, Sequence
from hashlib import sha256

import msgspec
from sqlalchemy import Connection, text

from partners.people.canonical import canonical, plain
from partners.people.model import AuditRow

CHAIN_HOLDS = "audit_chain_holds"
CHAIN_SAYS = "what operators did is a whole chain: no row of it was changed, removed, added or moved"
_START = bytes(32)
_SHOWN = 20

# Taken last in a transaction, so that who waits for it holds nothing that its holder still wants.
_LOCK = text("SELECT pg_advisory_xact_lock(7265, hashtext(current_schema()))")
_HEAD = text("SELECT seq, hash, clock_timestamp() AS at FROM operator_audit_head")
_COLUMNS = "seq, at, done_by, action, subject, record, previous_hash, hash"
_INSERT = text(
    f"INSERT INTO operator_audit ({_COLUMNS})"
    " VALUES (:seq, :at, :done_by, :action, :subject, :record, :previous_hash, :hash)"
)
_PAGE = text(
    f"SELECT {_COLUMNS} FROM operator_audit WHERE seq < :before"
    " AND (CAST(:subject AS text) IS NULL OR subject = :subject)"
    " AND (CAST(:done_by AS text) IS NULL OR done_by = :done_by)"
    " ORDER BY seq DESC LIMIT :limit"
)
_ALL = text(f"SELECT {_COLUMNS} FROM operator_audit ORDER BY seq")
_OPERATORS = text("SELECT operator_id, role, status FROM operator ORDER BY operator_id")
_DECIDED = text("SELECT proposal_id, decided_by, approved FROM proposal WHERE decided_by IS NOT NULL")

Held = Mapping[str, object] | msgspec.Struct | None


class Fault(msgspec.Struct, frozen=True):
    """Where the chain does not hold, and how that shows."""

    where: str
    detail: str


def audited(
    connection: Connection, *, by: str, action: str, subject: str, before: Held = None, after: Held = None
) -> None:
    """Record what somebody did, in the caller's transaction; call it as its last statement.

    Whoever comes second waits here until the first has committed, so that the chain has one order.

    Args:
        connection: A transaction; read committed.
        by: The operator, as the session proved it; HOST for what the machine's own rights did.
        action: What was done: "contract.activated", "partner.suspended".
        subject: What it was done to: "partner:grocer", "window:20170501".
        before: What it was, None where there was nothing.
        after: What it is now, None where nothing is left.
    Raises:
        RecordUnfit: something in it has no one spelling, such as a float.
    """
    said = {"action": action, "after": plain(after), "before": plain(before), "by": by, "subject": subject}
    connection.execute(_LOCK)
    head = connection.execute(_HEAD).one()
    record = canonical({**said, "seq": head.seq + 1, "at": head.at})
    connection.execute(
        _INSERT,
        {
            "seq": head.seq + 1,
            "at": head.at,
            "done_by": by,
            "action": action,
            "subject": subject,
            "record": record,
            "previous_hash": head.hash,
            "hash": sha256(head.hash + record.encode()).digest(),
        },
    )


def read_page(
    connection: Connection,
    *,
    before: int | None = None,
    limit: int,
    subject: str | None = None,
    done_by: str | None = None,
) -> list[AuditRow]:
    """Rows of the record, the newest first, those before a row's number; of one subject or one operator."""
    wanted = {"before": before or 2**62, "limit": limit, "subject": subject, "done_by": done_by}
    return [AuditRow(**row._asdict()) for row in connection.execute(_PAGE, wanted)]


def head_of(connection: Connection) -> tuple[int, bytes]:
    """Number and hash of the last row: noted elsewhere, they prove that no later hand took rows away."""
    head = connection.execute(_HEAD).one()
    return head.seq, bytes(head.hash)


def chain_faults(connection: Connection, noted: tuple[int, bytes] | None = None) -> list[Fault]:
    """Read the whole chain and say where it does not hold; nothing is a pass.

    Args:
        connection: A snapshot: the head and the rows are compared.
        noted: A row's number and hash as noted earlier, which must still be there.
    """
    faults: list[Fault] = []
    expected, previous, known = 1, _START, noted is None
    latest: dict[str, Mapping[str, object]] = {}
    for found in connection.execute(_ALL, execution_options={"yield_per": 5_000}):
        row = AuditRow(**found._asdict())
        faults.extend(_faults_of(row, expected, previous))
        after = _after(row.record)
        if after is not None:
            latest[row.subject] = after
        known = known or (row.seq, row.hash) == noted
        expected, previous = row.seq + 1, row.hash
    if head_of(connection) != (expected - 1, previous):
        faults.append(
            Fault(f"row {expected}", f"the record ends here, and {head_of(connection)[0]} rows were written")
        )
    if not known and noted is not None:
        faults.append(Fault(f"row {noted[0]}", "is not the row whose hash was noted"))
    faults.extend(_unrecorded(connection, latest))
    more = len(faults) - _SHOWN
    return [*faults[:_SHOWN], *([Fault("and more", f"{more} further faults")] if more > 0 else [])]


def _faults_of(row: AuditRow, expected: int, previous: bytes) -> Sequence[Fault]:
    """What is wrong with one row, told as what must have happened to it."""
    where = f"row {row.seq}"
    faults = []
    if row.seq != expected:
        faults.append(Fault(where, f"row {expected} should come here: rows were removed or moved"))
    elif row.previous_hash != previous:
        faults.append(Fault(where, "does not follow the row before it: rows were removed, added or moved"))
    if sha256(row.previous_hash + row.record.encode()).digest() != row.hash:
        faults.append(Fault(where, "was changed: its hash is not that of what it says"))
    elif not _columns_agree(row):
        faults.append(Fault(where, "was changed: its columns are not what its record says"))
    return faults


def _columns_agree(row: AuditRow) -> bool:
    try:
        said = json.loads(row.record)
    except ValueError:
        return False
    shown = {
        "seq": row.seq,
        "at": row.at,
        "by": row.done_by,
        "action": row.action,
        "subject": row.subject,
    }
    return isinstance(said, dict) and all(said.get(name) == plain(value) for name, value in shown.items())


def _after(record: str) -> Mapping[str, object] | None:
    try:
        after = json.loads(record)["after"]
    except (ValueError, KeyError, TypeError):
        return None
    return after if isinstance(after, dict) else None


def _unrecorded(connection: Connection, latest: Mapping[str, Mapping[str, object]]) -> list[Fault]:
    """Operators and decisions that are not as the record left them: somebody went around it."""
    faults = []
    for row in connection.execute(_OPERATORS):
        after = latest.get(f"operator:{row.operator_id}", {})
        if (after.get("role"), after.get("status")) != (row.role, row.status):
            faults.append(
                Fault(
                    f"operator {row.operator_id}",
                    f"is {row.status} as {row.role}, which the record does not say",
                )
            )
    for row in connection.execute(_DECIDED):
        after = latest.get(f"proposal:{row.proposal_id}", {})
        if (after.get("decided_by"), after.get("approved")) != (row.decided_by, row.approved):
            faults.append(Fault(f"proposal {row.proposal_id}", "was decided, which the record does not say"))
    return faults
