"""The bank: where participants are paid, files that leave, statements that come, and exceptions to both."""

from base64 import b64encode
from datetime import date
from typing import Annotated, Any

import msgspec
from fastapi import Depends, Query, Request, Response
from msgspec import Meta
from sqlalchemy import Connection

from api.bodies import read_body
from api.operator.desk import EVERYBODY, Raw, answered, desk_of, guarded, make_router, taking, who_of
from api.operator.nights import window_of
from api.problems import ProblemError
from network.service import date_of_window, network_now
from partners.model import HUB_ID
from partners.service import participants
from settlement import runs
from settlement.bank import changing, paying, reading, resolving, store
from settlement.bank.model import (
    Account,
    AccountState,
    AccountVersion,
    PayInRequest,
    Resolution,
    Standing,
    StatementRead,
    WayOut,
    WrittenFile,
)
from settlement.bank.tree import MOST_BYTES
from settlement.errors import NotFinal

router = make_router("Bank")

Participant = Annotated[
    str, Meta(min_length=1, max_length=64, description="A code; `hub` is the account all payments pass.")
]
Text = Annotated[str, Meta(min_length=1, max_length=1_000)]


class NewAccountBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where a participant is to be paid, and what shows that it wants that."""

    participant: Participant
    currency: Annotated[str, Meta(pattern="^[A-Z]{3}(?!\\n)$")]
    name: Annotated[str, Meta(min_length=1, max_length=140)]
    iban: Annotated[str, Meta(min_length=5, max_length=42)]
    bic: Annotated[str, Meta(min_length=8, max_length=11)] | None = None
    evidence: Text


class AccountBody(msgspec.Struct, frozen=True, kw_only=True):
    """An account as it was proposed, and how it stands."""

    state: AccountState
    version: AccountVersion


class AccountsBody(msgspec.Struct, frozen=True, kw_only=True):
    """All accounts that were ever proposed."""

    data: list[AccountBody]


class PayInsBody(msgspec.Struct, frozen=True, kw_only=True):
    """What participants are asked to pay in for a night."""

    data: list[PayInRequest]


class FileBody(msgspec.Struct, frozen=True, kw_only=True):
    """A pain.001 file, base64; asked for again it is the same, byte for byte."""

    message_id: str
    payments: int
    is_new: bool
    content: str


class FilesBody(msgspec.Struct, frozen=True, kw_only=True):
    """Files for the bank."""

    data: list[FileBody]


class StatementsBody(msgspec.Struct, frozen=True, kw_only=True):
    """What came of each statement of the file, and how far the nights are that it paid."""

    data: list[StatementRead]
    nights: dict[str, str]


class ExceptionsBody(msgspec.Struct, frozen=True, kw_only=True):
    """What on statements was not as expected, and the ways out of each."""

    data: list[Standing]


class WayOutBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A way out: of all that is left, or of a part."""

    way: WayOut
    note: Text
    amount_minor: Annotated[int, Meta(ge=1)] | None = None
    end_to_end_id: Annotated[str, Meta(min_length=1, max_length=35)] | None = None
    account: Account | None = None
    participant: Participant | None = None


class ResolutionBody(msgspec.Struct, frozen=True, kw_only=True):
    """A way out that was proposed, and who decided; `nights`: how far those are that it moved."""

    resolution: Resolution
    nights: dict[str, str] = {}


_ACCOUNT = msgspec.json.Decoder(NewAccountBody)
_WAY = msgspec.json.Decoder(WayOutBody)
_Statement = Annotated[bytes, Depends(taking(MOST_BYTES, ("application/xml", "text/xml")))]
TYPES = (
    NewAccountBody,
    AccountBody,
    AccountsBody,
    PayInsBody,
    FileBody,
    FilesBody,
    StatementsBody,
    ExceptionsBody,
    WayOutBody,
    ResolutionBody,
)


@router.get("/bank/accounts", **guarded(*EVERYBODY, answer=AccountsBody))
def list_accounts(request: Request) -> Response:
    """Where everybody is paid: in use, cooling off, waiting, and those of the past."""
    with desk_of(request).database.connect() as connection:
        found = changing.list_accounts(connection)
    return answered(AccountsBody(data=[AccountBody(state=state, version=one) for one, state in found]))


@router.post("/bank/accounts", **guarded("maker", answer=AccountBody, body=NewAccountBody))
def propose_account(request: Request, raw: Raw) -> Response:
    """Propose an account; another must approve it, and it is used after three days."""
    said = read_body(raw, _ACCOUNT)
    with desk_of(request).database.begin() as connection:
        made = changing.propose_account(
            connection,
            participant_id=_participant(connection, said.participant),
            currency=said.currency,
            account=Account(name=said.name, iban=said.iban, bic=said.bic),
            evidence=said.evidence,
            by=who_of(request).operator_id,
        )
        return answered(_account(connection, made))


@router.post("/bank/accounts/{number}/approve", **guarded("checker", answer=AccountBody))
def approve_account(number: int, request: Request) -> Response:
    """Approve an account that another has proposed; its cooling-off time begins."""
    return _decide_account(number, request, approve=True)


@router.post("/bank/accounts/{number}/reject", **guarded("maker", "checker", answer=AccountBody))
def reject_account(number: int, request: Request) -> Response:
    """Reject a proposed account."""
    return _decide_account(number, request, approve=False)


@router.post("/bank/accounts/{number}/withdraw", **guarded("maker", "checker", answer=AccountBody))
def withdraw_account(number: int, request: Request) -> Response:
    """Stop an approved account before it is used; one person is enough."""
    with desk_of(request).database.begin() as connection:
        made = changing.withdraw_account(connection, number, by=who_of(request).operator_id)
        return answered(_account(connection, made))


@router.get("/nights/{business_date}/pay-ins", **guarded(*EVERYBODY, answer=PayInsBody))
def pay_ins(business_date: date, request: Request) -> Response:
    """Who is to pay how much, by when, where to, with which reference."""
    with desk_of(request).database.connect() as connection:
        window_id = window_of(connection, business_date).window_id
        return answered(PayInsBody(data=paying.pay_in_requests(connection, window_id)))


@router.post("/nights/{business_date}/pay-outs", **guarded("maker", answer=FilesBody))
def pay_outs(business_date: date, request: Request) -> Response:
    """A night's pay-outs as files for the bank; asked again, the same files."""
    with desk_of(request).database.begin() as connection:
        window_id = window_of(connection, business_date).window_id
        files = paying.pay_out_files(connection, window_id, by=who_of(request).operator_id)
    return answered(FilesBody(data=[_file(one) for one in files]))


@router.post("/bank/refunds", **guarded("maker", answer=FilesBody))
def refunds(request: Request) -> Response:
    """The refunds that were approved, as files for the bank; asked again, the same files."""
    with desk_of(request).database.begin() as connection:
        files = paying.refund_files(connection, by=who_of(request).operator_id)
    return answered(FilesBody(data=[_file(one) for one in files]))


@router.post("/bank/statements", **guarded("maker", answer=StatementsBody, takes="application/xml"))
def read_statements(request: Request, raw: _Statement) -> Response:
    """Read a camt.053 file: what it books is booked, what it does not explain becomes an exception."""
    with desk_of(request).database.begin() as connection:
        found = reading.read_file(connection, raw, by=who_of(request).operator_id)
    windows = sorted({window_id for one in found for window_id in one.windows})
    return answered(StatementsBody(data=found, nights=_advanced(request, windows)))


@router.get("/bank/exceptions", **guarded(*EVERYBODY, answer=ExceptionsBody))
def exceptions(
    request: Request,
    waiting: Annotated[bool, Query(description="Only those that are open.")] = False,  # noqa: FBT002
) -> Response:
    """What on statements was not as expected, how each stands, and its ways out."""
    with desk_of(request).database.connect() as connection:
        return answered(ExceptionsBody(data=resolving.standings(connection, only_open=waiting)))


@router.post(
    "/bank/exceptions/{number}/resolutions", **guarded("maker", answer=ResolutionBody, body=WayOutBody)
)
def propose_way_out(number: int, request: Request, raw: Raw) -> Response:
    """Propose a way out of an exception; all but chase move money, and another must approve them."""
    said = read_body(raw, _WAY)
    with desk_of(request).database.begin() as connection:
        made = resolving.propose_way_out(
            connection,
            number,
            said.way,
            note=said.note,
            by=who_of(request).operator_id,
            amount_minor=said.amount_minor,
            end_to_end_id=said.end_to_end_id,
            account=said.account,
            participant_id=(None if said.participant is None else _participant(connection, said.participant)),
        )
    return answered(ResolutionBody(resolution=made))


@router.post("/bank/resolutions/{number}/approve", **guarded("checker", answer=ResolutionBody))
def approve_way_out(number: int, request: Request) -> Response:
    """Approve a way out that another has proposed; it is carried out at once."""
    return _decide_way_out(number, request, approve=True)


@router.post("/bank/resolutions/{number}/reject", **guarded("maker", "checker", answer=ResolutionBody))
def reject_way_out(number: int, request: Request) -> Response:
    """Reject a proposed way out."""
    return _decide_way_out(number, request, approve=False)


def _decide_account(number: int, request: Request, *, approve: bool) -> Response:
    with desk_of(request).database.begin() as connection:
        made = changing.decide_account(connection, number, by=who_of(request).operator_id, approve=approve)
        return answered(_account(connection, made))


def _decide_way_out(number: int, request: Request, *, approve: bool) -> Response:
    with desk_of(request).database.begin() as connection:
        made = resolving.decide_way_out(connection, number, by=who_of(request).operator_id, approve=approve)
        windows = store.load_windows(connection, [made.end_to_end_id or ""])
    return answered(ResolutionBody(resolution=made, nights=_advanced(request, sorted(set(windows.values())))))


def _advanced(request: Request, windows: list[int]) -> dict[str, str]:
    """Take nights as far as what is booked allows, and say where each is."""
    database, nights = desk_of(request).database, {}
    with database.connect() as connection:
        at = network_now(connection)
    for on in map(date_of_window, windows):
        try:
            nights[str(on)] = str(runs.advance(database, on, at=at, objections=resolving.objections))
        except NotFinal:
            nights[str(on)] = "paid"
    return nights


def _account(connection: Connection, made: AccountVersion) -> AccountBody:
    states: dict[int, Any] = {one.account_id: state for one, state in changing.list_accounts(connection)}
    return AccountBody(state=states[made.account_id], version=made)


def _file(one: WrittenFile) -> FileBody:
    return FileBody(
        message_id=one.message_id,
        payments=one.payments,
        is_new=one.is_new,
        content=b64encode(one.content).decode(),
    )


def _participant(connection: Connection, code: str) -> int:
    """The number of a participant, or of the hub's account.

    Raises:
        ProblemError: partner_not_found.
    """
    if code == "hub":
        return HUB_ID
    for one in participants(connection):
        if one.code == code:
            return one.partner_id
    raise ProblemError("partner_not_found")
