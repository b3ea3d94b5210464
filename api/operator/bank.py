"""The bank over HTTP: accounts by two, pay-ins, pay-out files, statements, exceptions and their ways out."""

from datetime import date, datetime
from hashlib import sha256
from typing import Annotated, Literal

import msgspec
from fastapi import Depends, Path, Query, Request, Response
from msgspec import Meta
from sqlalchemy import Connection

from api.bodies import read_body
from api.operator.desk import EVERYBODY, Raw, answered, desk_of, guarded, make_router, taking, who_of
from api.operator.nights import window_of
from api.problems import ProblemError
from settlement.bank import changing, paying, reading, resolving, store
from settlement.bank.finishing import advance_windows
from settlement.bank.model import Account, Resolution, Standing, WayOut, WrittenFile
from settlement.bank.tree import MOST_BYTES

router = make_router("Bank")

Text = Annotated[str, Meta(min_length=1, max_length=1_000)]
Code = Annotated[str, Meta(min_length=1, max_length=64)]
Number = Annotated[int, Path(ge=1, le=2**53)]
Currency = Annotated[str, Meta(pattern="^[A-Z]{3}(?!\\n)$")]


class NewAccountBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where a participant is to be paid; `partner` is its code, `hub` the account that all payments pass."""

    partner: Code
    currency: Currency
    name: Code
    iban: Code
    bic: Code | None = None
    evidence: Text


class AccountBody(msgspec.Struct, frozen=True, kw_only=True):
    """An account that was proposed; it is used from `in_use_from` on, if it is not stopped before."""

    id: int
    partner: str
    currency: str
    name: str
    iban: str
    bic: str | None
    state: str
    proposed_by: str
    proposed_at: datetime
    decided_by: str | None
    decided_at: datetime | None
    in_use_from: datetime | None


class AccountsBody(msgspec.Struct, frozen=True, kw_only=True):
    """Every account that was ever proposed."""

    data: list[AccountBody]


class PayInBody(msgspec.Struct, frozen=True, kw_only=True):
    """What a participant is to pay in: `rest_minor` of `amount_minor` is missing."""

    partner: str
    currency: str
    amount_minor: int
    rest_minor: int
    due_on: date
    iban: str
    account_name: str
    reference: str
    end_to_end_id: str


class PayInsBody(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be paid in for a night."""

    business_date: date
    data: list[PayInBody]


class FileBody(msgspec.Struct, frozen=True, kw_only=True):
    """A pay-out file; fetch it at /operator/bank/files/{message_id}."""

    message_id: str
    payments: int
    is_new: bool
    sha256: str


class FilesBody(msgspec.Struct, frozen=True, kw_only=True):
    """Pay-out files."""

    data: list[FileBody]


class ReadBody(msgspec.Struct, frozen=True, kw_only=True):
    """What came of one statement; nothing is booked of one that was read before."""

    statement_id: str
    iban: str
    currency: str
    read_before: bool
    transactions: int
    matched: int
    exceptions: list[int]


class StatementsBody(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a file, and how far its nights are now."""

    data: list[ReadBody]
    nights: dict[str, str]


class WayOutBody(msgspec.Struct, frozen=True, kw_only=True):
    """A way out that was proposed for an exception."""

    id: int
    way: str
    amount_minor: int
    payment: str | None
    iban: str | None
    note: str
    proposed_by: str
    decided_by: str | None
    approved: bool | None


class ExceptionBody(msgspec.Struct, frozen=True, kw_only=True):
    """Something on a statement that is not as expected; `left_minor` is still to be decided on."""

    id: int
    problem: str
    payment: str | None
    currency: str
    amount_minor: int
    left_minor: int
    state: str
    why: str
    ways: list[str]
    statement_id: str
    booked_on: date
    moved_minor: int
    other_name: str
    other_iban: str
    text: str
    ways_out: list[WayOutBody]


class ExceptionsBody(msgspec.Struct, frozen=True, kw_only=True):
    """Exceptions, in order."""

    data: list[ExceptionBody]


class NewWayOutBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to do: `payment` to allocate to, name and IBAN to refund to, `partner` whose cover it is."""

    way: Literal["chase", "refund", "allocate", "instruct_again", "deposit", "guarantee", "charge"]
    note: Text
    amount_minor: Annotated[int, Meta(ge=1, le=10**15)] | None = None
    payment: Code | None = None
    name: Code | None = None
    iban: Code | None = None
    bic: Code | None = None
    partner: Code | None = None


_NEW_ACCOUNT = msgspec.json.Decoder(NewAccountBody)
_NEW_WAY_OUT = msgspec.json.Decoder(NewWayOutBody)
TYPES = (
    *(NewAccountBody, AccountBody, AccountsBody, PayInBody, PayInsBody, FileBody, FilesBody, ReadBody),
    *(StatementsBody, WayOutBody, ExceptionBody, ExceptionsBody, NewWayOutBody),
)
_File = Annotated[bytes, Depends(taking(MOST_BYTES, ("application/xml", "text/xml")))]


@router.get("/bank/accounts", **guarded(*EVERYBODY, answer=AccountsBody))
def list_accounts(request: Request) -> Response:
    """Where participants are paid: in use, cooling off, waiting, and those of the past."""
    with desk_of(request).database.connect() as connection:
        return answered(AccountsBody(data=_accounts(connection)))


@router.post("/bank/accounts", **guarded("maker", answer=AccountBody, body=NewAccountBody))
def propose_account(request: Request, raw: Raw) -> Response:
    """Propose where a participant is to be paid; another must approve it."""
    body = read_body(raw, _NEW_ACCOUNT)
    with desk_of(request).database.begin() as connection:
        found = changing.propose_account(
            connection,
            participant_id=_participant(connection, body.partner),
            currency=body.currency,
            account=Account(name=body.name, iban=body.iban, bic=body.bic),
            evidence=body.evidence,
            by=who_of(request).operator_id,
        )
        return answered(_account(connection, found.account_id))


@router.post("/bank/accounts/{account}/approve", **guarded("checker", answer=AccountBody))
def approve_account(account: Number, request: Request) -> Response:
    """Approve an account that another has proposed; its cooling-off time begins."""
    return _decide_account(account, request, approve=True)


@router.post("/bank/accounts/{account}/reject", **guarded("maker", "checker", answer=AccountBody))
def reject_account(account: Number, request: Request) -> Response:
    """Reject a proposed account; who has proposed it may do so too."""
    return _decide_account(account, request, approve=False)


@router.post("/bank/accounts/{account}/withdraw", **guarded("maker", "checker", answer=AccountBody))
def withdraw_account(account: Number, request: Request) -> Response:
    """Stop an approved account before it is used; one person is enough."""
    with desk_of(request).database.begin() as connection:
        changing.withdraw_account(connection, account, by=who_of(request).operator_id)
        return answered(_account(connection, account))


@router.get("/nights/{business_date}/pay-ins", **guarded(*EVERYBODY, answer=PayInsBody))
def pay_ins(business_date: date, request: Request) -> Response:
    """What participants are to pay in for a night, to which account, with which reference."""
    with desk_of(request).database.connect() as connection:
        window = window_of(connection, business_date)
        names = store.load_names(connection)
        data = [
            PayInBody(
                partner=names[one.participant_id][0],
                currency=one.currency,
                amount_minor=one.amount_minor,
                rest_minor=one.rest_minor,
                due_on=one.due_on,
                iban=one.to.iban,
                account_name=one.to.name,
                reference=one.reference,
                end_to_end_id=one.end_to_end_id,
            )
            for one in paying.pay_in_requests(connection, window.window_id)
        ]
    return answered(PayInsBody(business_date=business_date, data=data))


@router.post("/nights/{business_date}/pay-outs", **guarded("maker", answer=FilesBody))
def pay_outs(business_date: date, request: Request) -> Response:
    """Write a night's pay-outs into files; asking again finds the same files."""
    with desk_of(request).database.begin() as connection:
        window = window_of(connection, business_date)
        files = paying.pay_out_files(connection, window.window_id, by=who_of(request).operator_id)
    return answered(FilesBody(data=[_file(one) for one in files]))


@router.post("/bank/refunds", **guarded("maker", answer=FilesBody))
def refunds(request: Request) -> Response:
    """Write refunds that were approved into a file; those of before are found again."""
    with desk_of(request).database.begin() as connection:
        files = paying.refund_files(connection, by=who_of(request).operator_id)
    return answered(FilesBody(data=[_file(one) for one in files]))


@router.get("/bank/files/{message}", **guarded("maker", "checker", gives=("application/xml",)))
def one_file(message: str, request: Request) -> Response:
    """A pay-out file, pain.001.001.09, to the byte."""
    with desk_of(request).database.connect() as connection:
        content = store.load_content(connection, message)
    if content is None:
        raise ProblemError("bank_file_unknown")
    return Response(content, media_type="application/xml", headers={"cache-control": "no-store"})


@router.post("/bank/statements", **guarded("maker", answer=StatementsBody, takes="application/xml"))
def read_statements(request: Request, data: _File) -> Response:
    """Read a camt.053.001.08 file: all of it is booked, or nothing; what was read before is booked once."""
    desk = desk_of(request)
    with desk.database.begin() as connection:
        results = reading.read_file(connection, data, by=who_of(request).operator_id)
    advanced = advance_windows(desk.database, [one for result in results for one in result.windows])
    return answered(
        StatementsBody(
            data=[
                ReadBody(
                    statement_id=one.statement_id,
                    iban=one.iban,
                    currency=one.currency,
                    read_before=one.read_before,
                    transactions=one.transactions,
                    matched=one.matched,
                    exceptions=[found.exception_id for found in one.exceptions],
                )
                for one in results
            ],
            nights={str(one.business_date): one.objection or one.state for one in advanced},
        )
    )


@router.get("/bank/exceptions", **guarded(*EVERYBODY, answer=ExceptionsBody))
def exceptions(request: Request, *, only_open: Annotated[bool, Query(alias="open")] = True) -> Response:
    """What on the statements is not as expected; `open=false`: those that are resolved too."""
    with desk_of(request).database.connect() as connection:
        found = resolving.standings(connection, only_open=only_open)
    return answered(ExceptionsBody(data=[_exception(one) for one in found]))


@router.post(
    "/bank/exceptions/{exception}/ways-out", **guarded("maker", answer=WayOutBody, body=NewWayOutBody)
)
def propose_way_out(exception: Number, request: Request, raw: Raw) -> Response:
    """Propose a way out. All but chase move money: another must approve them."""
    body = read_body(raw, _NEW_WAY_OUT)
    if (body.name is None) is not (body.iban is None):
        raise ProblemError("way_out_closed", "give both, name and IBAN, or neither")
    way: WayOut = body.way
    account = Account(name=body.name, iban=body.iban, bic=body.bic) if body.name and body.iban else None
    with desk_of(request).database.begin() as connection:
        found = resolving.propose_way_out(
            connection,
            exception,
            way,
            note=body.note,
            by=who_of(request).operator_id,
            amount_minor=body.amount_minor,
            end_to_end_id=body.payment,
            account=account,
            participant_id=None if body.partner is None else _participant(connection, body.partner),
        )
    return answered(_way_out(found))


@router.post("/bank/ways-out/{way_out}/approve", **guarded("checker", answer=WayOutBody))
def approve_way_out(way_out: Number, request: Request) -> Response:
    """Approve a way out that another has proposed; it is carried out at once."""
    return _decide_way_out(way_out, request, approve=True)


@router.post("/bank/ways-out/{way_out}/reject", **guarded("maker", "checker", answer=WayOutBody))
def reject_way_out(way_out: Number, request: Request) -> Response:
    """Reject a proposed way out; who has proposed it may do so too."""
    return _decide_way_out(way_out, request, approve=False)


def _decide_account(account: Number, request: Request, *, approve: bool) -> Response:
    with desk_of(request).database.begin() as connection:
        changing.decide_account(connection, account, by=who_of(request).operator_id, approve=approve)
        return answered(_account(connection, account))


def _decide_way_out(way_out: Number, request: Request, *, approve: bool) -> Response:
    desk = desk_of(request)
    with desk.database.begin() as connection:
        who = who_of(request).operator_id
        found = resolving.decide_way_out(connection, way_out, by=who, approve=approve)
        windows = store.load_windows(connection, [found.end_to_end_id or ""])
    advance_windows(desk.database, windows.values())
    return answered(_way_out(found))


def _participant(connection: Connection, code: str) -> int:
    for participant_id, (known, _) in store.load_names(connection).items():
        if known == code:
            return participant_id
    raise ProblemError("partner_not_found")


def _accounts(connection: Connection) -> list[AccountBody]:
    names = store.load_names(connection)
    return [
        AccountBody(
            id=one.account_id,
            partner=names[one.participant_id][0],
            currency=one.currency,
            name=one.account.name,
            iban=one.account.iban,
            bic=one.account.bic,
            state=state,
            proposed_by=one.proposed_by,
            proposed_at=one.proposed_at,
            decided_by=one.decided_by,
            decided_at=one.decided_at,
            in_use_from=one.in_use_from,
        )
        for one, state in changing.list_accounts(connection)
    ]


def _account(connection: Connection, account_id: int) -> AccountBody:
    return next(one for one in _accounts(connection) if one.id == account_id)


def _file(one: WrittenFile) -> FileBody:
    return FileBody(
        message_id=one.message_id,
        payments=one.payments,
        is_new=one.is_new,
        sha256=sha256(one.content).hexdigest(),
    )


def _exception(one: Standing) -> ExceptionBody:
    return ExceptionBody(
        id=one.exception.exception_id,
        problem=one.exception.problem,
        payment=one.exception.end_to_end_id,
        currency=one.exception.currency,
        amount_minor=one.exception.amount_minor,
        left_minor=one.left_minor,
        state=one.state,
        why=one.exception.why,
        ways=list(one.ways),
        statement_id=one.statement_id,
        booked_on=one.transaction.booked_on,
        moved_minor=one.transaction.amount_minor,
        other_name=one.transaction.other_name,
        other_iban=one.transaction.other_iban,
        text=one.transaction.text,
        ways_out=[_way_out(way) for way in one.resolutions],
    )


def _way_out(one: Resolution) -> WayOutBody:
    return WayOutBody(
        id=one.resolution_id,
        way=one.way,
        amount_minor=one.amount_minor,
        payment=one.end_to_end_id,
        iban=one.account.iban if one.account else None,
        note=one.note,
        proposed_by=one.proposed_by,
        decided_by=one.decided_by,
        approved=one.approved,
    )
