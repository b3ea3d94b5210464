"""What went to the bank and came from it, over HTTP; and files that the bank did not carry out, by two."""

from datetime import date, datetime
from typing import Annotated

import msgspec
from fastapi import Path, Query, Request, Response
from msgspec import Meta

from api.bodies import read_body
from api.operator.desk import (
    EVERYBODY,
    Raw,
    answered,
    cursor_of,
    desk_of,
    guarded,
    make_router,
    read_cursor,
    who_of,
)
from settlement.bank import history, rejecting
from settlement.bank.model import Rejection

router = make_router("Bank")

Number = Annotated[int, Path(ge=1, le=2**53)]
Cursor = Annotated[str | None, Query(max_length=200)]
Limit = Annotated[int, Query(ge=1, le=100)]
Name = Annotated[str, Meta(min_length=1, max_length=64)]


class LeftFileBody(msgspec.Struct, frozen=True, kw_only=True):
    """A pay-out file that left; `booked` of its `payments` the bank has booked in full."""

    message_id: str
    business_date: date | None
    payments: int
    booked: int
    sha256: str
    made_by: str
    made_at: datetime


class LeftFilePage(msgspec.Struct, frozen=True, kw_only=True):
    """Files, the newest first."""

    data: list[LeftFileBody]
    has_more: bool
    next_cursor: str | None


class ReadStatementBody(msgspec.Struct, frozen=True, kw_only=True):
    """A statement that was read; `file_sha256` is of the file that it was in."""

    statement_no: int
    iban: str
    currency: str
    statement_id: str
    page: int
    opening_minor: int
    opening_on: date
    closing_minor: int
    closing_on: date
    transactions: int
    exceptions: int
    file_sha256: str
    read_by: str
    read_at: datetime


class ReadStatementPage(msgspec.Struct, frozen=True, kw_only=True):
    """Statements, the last one first."""

    data: list[ReadStatementBody]
    has_more: bool
    next_cursor: str | None


class RejectionBody(msgspec.Struct, frozen=True, kw_only=True):
    """Payments of a file that the bank did not carry out; approved, they are paid anew."""

    id: int
    message_id: str
    payments: list[str]
    note: str
    proposed_by: str
    proposed_at: datetime
    decided_by: str | None
    decided_at: datetime | None
    approved: bool | None


class RejectionsBody(msgspec.Struct, frozen=True, kw_only=True):
    """Every rejection that was said."""

    data: list[RejectionBody]


class NewRejectionBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the bank said of a file; `payments`: end-to-end ids, by default all that were not booked."""

    message_id: Name
    note: Annotated[str, Meta(min_length=1, max_length=1_000)]
    payments: Annotated[list[Name], Meta(max_length=10_000)] = []


_NEW = msgspec.json.Decoder(NewRejectionBody)
TYPES = (
    *(LeftFileBody, LeftFilePage, ReadStatementBody, ReadStatementPage),
    *(RejectionBody, RejectionsBody, NewRejectionBody),
)


@router.get("/bank/files", **guarded(*EVERYBODY, answer=LeftFilePage))
def list_files(request: Request, cursor: Cursor = None, limit: Limit = 50) -> Response:
    """Pay-out files that left, and how much of each the bank has booked."""
    before = None
    if cursor is not None:
        made_at, _, message_id = read_cursor("bank files", cursor).partition("|")
        before = (datetime.fromisoformat(made_at), message_id)
    with desk_of(request).database.connect() as connection:
        found = history.files(connection, limit=limit + 1, before=before)
    more, last = len(found) > limit, found[limit - 1] if len(found) > limit else None
    return answered(
        LeftFilePage(
            data=[
                LeftFileBody(
                    message_id=one.message_id,
                    business_date=one.business_date,
                    payments=one.payments,
                    booked=one.booked,
                    sha256=one.sha256.hex(),
                    made_by=one.made_by,
                    made_at=one.made_at,
                )
                for one in found[:limit]
            ],
            has_more=more,
            next_cursor=cursor_of("bank files", f"{last.made_at.isoformat()}|{last.message_id}")
            if last
            else None,
        )
    )


@router.get("/bank/statements", **guarded(*EVERYBODY, answer=ReadStatementPage))
def list_statements(request: Request, cursor: Cursor = None, limit: Limit = 50) -> Response:
    """Statements that were read and booked."""
    before = None if cursor is None else int(read_cursor("bank statements", cursor))
    with desk_of(request).database.connect() as connection:
        found = history.statements(connection, limit=limit + 1, before=before)
    more = len(found) > limit
    names = [name for name in ReadStatementBody.__struct_fields__ if name != "file_sha256"]
    return answered(
        ReadStatementPage(
            data=[
                ReadStatementBody(
                    **{name: getattr(one, name) for name in names}, file_sha256=one.file_sha256.hex()
                )
                for one in found[:limit]
            ],
            has_more=more,
            next_cursor=cursor_of("bank statements", found[limit - 1].statement_no) if more else None,
        )
    )


@router.get("/bank/rejections", **guarded(*EVERYBODY, answer=RejectionsBody))
def list_rejections(request: Request) -> Response:
    """Files, or payments of them, of which somebody said that the bank did not carry them out."""
    with desk_of(request).database.connect() as connection:
        found = rejecting.list_rejections(connection)
    return answered(RejectionsBody(data=[_rejection(one) for one in found]))


@router.post("/bank/rejections", **guarded("maker", answer=RejectionBody, body=NewRejectionBody))
def propose_rejection(request: Request, raw: Raw) -> Response:
    """Say that the bank did not carry out a file, or payments of it; another must approve it."""
    body = read_body(raw, _NEW)
    with desk_of(request).database.begin() as connection:
        found = rejecting.propose_rejection(
            connection,
            body.message_id,
            note=body.note,
            by=who_of(request).operator_id,
            only=body.payments,
        )
    return answered(_rejection(found))


@router.post("/bank/rejections/{rejection}/approve", **guarded("checker", answer=RejectionBody))
def approve_rejection(rejection: Number, request: Request) -> Response:
    """Approve what another has said: pay-outs are instructed once more, refunds' exceptions open again."""
    return _decide(rejection, request, approve=True)


@router.post("/bank/rejections/{rejection}/reject", **guarded("maker", "checker", answer=RejectionBody))
def reject_rejection(rejection: Number, request: Request) -> Response:
    """Reject what was said; who said it may do so too."""
    return _decide(rejection, request, approve=False)


def _decide(rejection: int, request: Request, *, approve: bool) -> Response:
    with desk_of(request).database.begin() as connection:
        found = rejecting.decide_rejection(
            connection, rejection, by=who_of(request).operator_id, approve=approve
        )
    return answered(_rejection(found))


def _rejection(one: Rejection) -> RejectionBody:
    return RejectionBody(
        id=one.rejection_id,
        message_id=one.message_id,
        payments=list(one.payments),
        note=one.note,
        proposed_by=one.proposed_by,
        proposed_at=one.proposed_at,
        decided_by=one.decided_by,
        decided_at=one.decided_at,
        approved=one.approved,
    )
