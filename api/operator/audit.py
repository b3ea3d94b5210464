"""The record of what operators did, and whether all laws hold."""

from datetime import datetime
from typing import Annotated

import msgspec
from fastapi import Query, Request, Response

from api.operator.desk import (
    EVERYBODY,
    answered,
    cursor_of,
    desk_of,
    guarded,
    make_router,
    read_cursor,
)
from api.problems import ProblemError
from api.verification import checks_of
from partners.people import audit

router = make_router("Audit")


class AuditRowBody(msgspec.Struct, frozen=True, kw_only=True):
    """One row. hash = SHA-256(previous_hash ‖ record), where the hashes are 32 bytes and record is UTF-8."""

    seq: int
    at: datetime
    by: str
    action: str
    subject: str
    record: str
    previous_hash: str
    hash: str


class AuditPage(msgspec.Struct, frozen=True, kw_only=True):
    """A page of the record, the newest first."""

    data: list[AuditRowBody]
    has_more: bool
    next_cursor: str | None


class FaultBody(msgspec.Struct, frozen=True, kw_only=True):
    """Where something does not hold, and how it shows."""

    where: str
    detail: str


class ChainBody(msgspec.Struct, frozen=True, kw_only=True):
    """Whether the record is whole. Note `rows` and `hash` elsewhere: given back, they must still fit."""

    rows: int
    hash: str
    whole: bool
    faults: list[FaultBody]


class CheckBody(msgspec.Struct, frozen=True, kw_only=True):
    """One law of ledger, nights or record, and where it is broken."""

    name: str
    says: str
    holds: bool
    faults: list[FaultBody]


class VerifyBody(msgspec.Struct, frozen=True, kw_only=True):
    """Every check on one snapshot of the database."""

    whole: bool
    checks: list[CheckBody]


TYPES = (AuditRowBody, AuditPage, FaultBody, ChainBody, CheckBody, VerifyBody)


@router.get("/audit", **guarded(*EVERYBODY, answer=AuditPage))
def list_audit(
    request: Request,
    subject: Annotated[str | None, Query(max_length=200, description="partner:grocer, say.")] = None,
    by: Annotated[str | None, Query(max_length=64, description="One operator's rows.")] = None,
    cursor: Annotated[str | None, Query(max_length=100)] = None,
    limit: Annotated[int, Query(ge=1, le=100)] = 50,
) -> Response:
    """What operators did, the newest first."""
    before = None if cursor is None else int(read_cursor("audit", cursor))
    with desk_of(request).database.connect() as connection:
        found = audit.read_page(connection, before=before, limit=limit + 1, subject=subject, done_by=by)
    more = len(found) > limit
    return answered(
        AuditPage(
            data=[
                AuditRowBody(
                    seq=row.seq,
                    at=row.at,
                    by=row.done_by,
                    action=row.action,
                    subject=row.subject,
                    record=row.record,
                    previous_hash=row.previous_hash.hex(),
                    hash=row.hash.hex(),
                )
                for row in found[:limit]
            ],
            has_more=more,
            next_cursor=cursor_of("audit", found[limit - 1].seq) if more else None,
        )
    )


@router.get("/audit/check", **guarded(*EVERYBODY, answer=ChainBody))
def check_chain(
    request: Request,
    row: Annotated[int | None, Query(ge=1, description="A row's number that was noted before,")] = None,
    sha256: Annotated[str | None, Query(pattern="^[0-9a-f]{64}$", description="and its hash.")] = None,
) -> Response:
    """Read the whole record and say whether it is a chain."""
    if (row is None) != (sha256 is None):
        raise ProblemError("validation_failed", "give row and sha256, or neither")
    noted = None if row is None or sha256 is None else (row, bytes.fromhex(sha256))
    with desk_of(request).database.connect() as plain:
        connection = plain.execution_options(isolation_level="REPEATABLE READ")
        rows, head = audit.head_of(connection)
        faults = audit.chain_faults(connection, noted)
    return answered(
        ChainBody(
            rows=rows,
            hash=head.hex(),
            whole=not faults,
            faults=[FaultBody(where=one.where, detail=one.detail) for one in faults],
        )
    )


@router.get("/verify", **guarded(*EVERYBODY, answer=VerifyBody))
def verify(request: Request) -> Response:
    """Run every check that `tessera verify` runs; one such request at a time: it reads the whole ledger."""
    desk = desk_of(request)
    if not desk.verifying.acquire(blocking=False):
        raise ProblemError("overloaded", "a verification is under way: wait for it")
    try:
        with desk.database.connect() as plain:
            connection = plain.execution_options(isolation_level="REPEATABLE READ")
            checks = []
            for name, says, run in checks_of(connection):
                faults = [FaultBody(where=one.where, detail=one.detail) for one in run(connection)]
                checks.append(CheckBody(name=name, says=says, holds=not faults, faults=faults))
    finally:
        desk.verifying.release()
    return answered(VerifyBody(whole=all(check.holds for check in checks), checks=checks))
