"""Debtors that do not pay, and partners that leave: looked at, proposed, decided by another."""

from datetime import date
from typing import Annotated, Literal

import msgspec
from fastapi import Query, Request, Response
from msgspec import Meta
from sqlalchemy import Connection

from api.bodies import read_body
from api.operator.desk import (
    EVERYBODY,
    Raw,
    answered,
    desk_of,
    guarded,
    make_router,
    sha256_of,
    uuid_of,
    who_of,
)
from api.operator.nights import window_of
from api.operator.people import ProposedBody, proposed
from network.service import network_now, read_network
from partners.people.canonical import canonical
from partners.service import partner_of
from settlement import defaults, exits
from settlement.defaults import KeptCase
from settlement.exit_statement import statement

router = make_router("Defaults and exits")

_Minor = Annotated[int, Meta(ge=0, le=10**15)]
_Currency = Annotated[str, Meta(pattern="^[A-Z]{3}(?!\\n)$")]
_Reason = Annotated[str, Meta(min_length=1, max_length=1_000)]


class CaseAskedBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is to be done about a debtor of a night.

    `currency` is the network's where none is named. `carry_minor`: the most that the hub lends until the next
    night, minor units.
    """

    debtor: str
    reason: _Reason
    currency: _Currency | None = None
    way: Literal["ladder", "unwind"] = "ladder"
    carry_minor: _Minor = 0


class CaseDecisionBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The hash of the simulation that you have looked at."""

    sha256: Annotated[str, Meta(pattern="^[0-9a-f]{64}(?!\\n)$")]


class SimulationBody(msgspec.Struct, frozen=True, kw_only=True):
    """What a case would do now; nothing was written. `simulation` is the text that a proposal hashes."""

    simulation: msgspec.Raw


class CaseBody(msgspec.Struct, frozen=True, kw_only=True):
    """A case; `sha256` is of `simulation`, and is what is approved. `approved` is null while it waits."""

    id: str
    window_id: int
    revision: int
    debtor_id: int
    currency: str
    missing_minor: int
    simulation: msgspec.Raw
    sha256: str
    reason: str
    proposed_by: str
    decided_by: str | None
    approved: bool | None


class CasesBody(msgspec.Struct, frozen=True, kw_only=True):
    """Cases in the order they were proposed."""

    data: list[CaseBody]


class CaseDecidedBody(msgspec.Struct, frozen=True, kw_only=True):
    """What a decision did: payments that it added, and whether it suspended the debtor."""

    case: CaseBody
    added: list[str]
    suspended: bool


class ExitAskedBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The days on which a partner leaves; `agreed`: both sides agreed on less time than the contract has."""

    notice_on: date
    last_earn_on: date
    last_burn_on: date
    run_off_until: date
    mode: Literal["run_off", "buy_out"]
    reason: _Reason
    agreed: bool = False


class ExitBody(msgspec.Struct, frozen=True, kw_only=True):
    """How an exit stands; with nothing in its `open` it is the final statement."""

    statement: msgspec.Raw


_ASKED = msgspec.json.Decoder(CaseAskedBody)
_DECISION = msgspec.json.Decoder(CaseDecisionBody)
_EXIT = msgspec.json.Decoder(ExitAskedBody)
TYPES = (
    CaseAskedBody,
    CaseDecisionBody,
    SimulationBody,
    CaseBody,
    CasesBody,
    CaseDecidedBody,
    ExitAskedBody,
    ExitBody,
)


@router.get("/nights/{business_date}/default", **guarded(*EVERYBODY, answer=SimulationBody))
def simulate(
    business_date: date,
    request: Request,
    *,
    debtor: str = "",
    currency: str | None = None,
    way: Literal["ladder", "unwind"] = "ladder",
    carry_minor: Annotated[int, Query(ge=0, le=10**15)] = 0,
) -> Response:
    """What would be done about a debtor; nothing is written."""
    with desk_of(request).database.connect() as connection:
        window_of(connection, business_date)
        found = defaults.simulate(
            connection,
            business_date,
            partner_of(connection, debtor).partner_id,
            currency=_currency(connection, currency),
            way=way,
            carry_minor=carry_minor,
        )
    return answered(SimulationBody(simulation=msgspec.Raw(canonical(found).encode())))


@router.post("/nights/{business_date}/default", **guarded("maker", answer=CaseBody, body=CaseAskedBody))
def propose(business_date: date, request: Request, raw: Raw) -> Response:
    """Propose what is to be done about a debtor, with its simulation."""
    said = read_body(raw, _ASKED)
    desk = desk_of(request)
    with desk.database.connect() as connection:
        window_of(connection, business_date)
        debtor_id = partner_of(connection, said.debtor).partner_id
        currency, at = _currency(connection, said.currency), network_now(connection)
    kept = defaults.propose(
        desk.database,
        business_date,
        debtor_id,
        currency=currency,
        way=said.way,
        carry_minor=said.carry_minor,
        reason=said.reason,
        by=who_of(request).operator_id,
        at=at,
    )
    return answered(_case(kept))


@router.get("/defaults", **guarded(*EVERYBODY, answer=CasesBody))
def cases(request: Request, *, waiting: bool = False) -> Response:
    """All cases, or those that wait for a second person."""
    with desk_of(request).database.connect() as connection:
        found = defaults.load_cases(connection, undecided=waiting)
    return answered(CasesBody(data=[_case(kept) for kept in found]))


@router.post("/defaults/{case}/approve", **guarded("checker", answer=CaseDecidedBody, body=CaseDecisionBody))
def approve(case: str, request: Request, raw: Raw) -> Response:
    """Approve exactly what was simulated; all its effects are booked at once."""
    return _decide(case, request, raw, approved=True)


@router.post("/defaults/{case}/refuse", **guarded("checker", answer=CaseDecidedBody, body=CaseDecisionBody))
def refuse(case: str, request: Request, raw: Raw) -> Response:
    """Refuse it; the debtor may be proposed again."""
    return _decide(case, request, raw, approved=False)


@router.get("/partners/{code}/exit", **guarded(*EVERYBODY, answer=ExitBody))
def show_exit(code: str, request: Request) -> Response:
    """How a partner's exit stands."""
    with desk_of(request).database.connect() as connection:
        found = statement(connection, code)
    return answered(ExitBody(statement=msgspec.Raw(canonical(found).encode())))


@router.post("/partners/{code}/exit", **guarded("maker", answer=ProposedBody, body=ExitAskedBody))
def propose_exit(code: str, request: Request, raw: Raw) -> Response:
    """Propose the days on which a partner leaves."""
    said = read_body(raw, _EXIT)
    return proposed(request, exits.propose_exit, code, **msgspec.structs.asdict(said))


@router.post("/partners/{code}/buy-out", **guarded("maker", answer=ProposedBody))
def propose_buy_out(code: str, request: Request) -> Response:
    """Propose that it pays for its outstanding points, and that the operator stands in for it."""
    return proposed(request, exits.propose_buy_out, code)


@router.post("/partners/{code}/leave", **guarded("maker", answer=ExitBody))
def leave(code: str, request: Request) -> Response:
    """Say that a partner has left, once nothing of it is open; answers its final statement."""
    with desk_of(request).database.begin() as connection:
        found = exits.leave(connection, code, by=who_of(request).operator_id)
    return answered(ExitBody(statement=msgspec.Raw(canonical(found).encode())))


def _decide(case: str, request: Request, raw: bytes, *, approved: bool) -> Response:
    said = read_body(raw, _DECISION)
    desk = desk_of(request)
    with desk.database.connect() as connection:
        at = network_now(connection)
    done = defaults.decide(
        desk.database,
        uuid_of(case, "case_unknown"),
        sha256=sha256_of(said.sha256),
        approve=approved,
        by=who_of(request).operator_id,
        at=at,
    )
    body = CaseDecidedBody(
        case=_case(done.kept), added=[one.end_to_end_id for one in done.added], suspended=done.suspended
    )
    return answered(body)


def _currency(connection: Connection, given: str | None) -> str:
    return given or read_network(connection).currency


def _case(kept: KeptCase) -> CaseBody:
    case = kept.case
    return CaseBody(
        id=str(case.case_id),
        window_id=case.window_id,
        revision=case.revision,
        debtor_id=case.debtor_id,
        currency=case.currency,
        missing_minor=case.missing_minor,
        simulation=msgspec.Raw(kept.body.encode()),
        sha256=kept.sha256.hex(),
        reason=case.reason,
        proposed_by=case.proposed_by,
        decided_by=case.decided_by,
        approved=case.approved,
    )
