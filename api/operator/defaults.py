"""A debtor that does not pay, and a partner that leaves: simulated, proposed, decided by another."""

from datetime import date
from typing import Annotated
from uuid import UUID

import msgspec
from fastapi import Query, Request, Response
from msgspec import Meta

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
from api.operator.people import ProposedBody
from api.operator.proposals import DecisionBody, show
from network.service import network_now
from partners.service import partner_of
from settlement import defaults, exits
from settlement.default_case import Simulation, Way
from settlement.defaults import KeptCase
from settlement.exit_statement import ExitStatement, statement
from settlement.exits import Mode

router = make_router("Defaults and exits")

Code = Annotated[str, Meta(min_length=1, max_length=64, description="A partner's code.")]
Currency = Annotated[str, Meta(pattern="^[A-Z]{3}(?!\\n)$")]
Text = Annotated[str, Meta(min_length=1, max_length=1_000)]
Minor = Annotated[int, Meta(ge=0, le=2**53 - 1)]


class SimulateBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who does not pay what, and what is to be tried: the ladder, or unwinding as the last resort."""

    debtor: Code
    currency: Currency
    way: Way = "ladder"
    carry_minor: Minor = 0


class NewCaseBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The same, to be done, and why."""

    debtor: Code
    currency: Currency
    way: Way = "ladder"
    carry_minor: Minor = 0
    reason: Text


class CaseBody(msgspec.Struct, frozen=True, kw_only=True):
    """A case: what it would do, under which hash it is decided, and who decided."""

    id: str
    simulation: Simulation
    sha256: str
    reason: str
    proposed_by: str
    decided_by: str | None
    approved: bool | None


class CasesBody(msgspec.Struct, frozen=True, kw_only=True):
    """Cases in the order in which they were proposed."""

    data: list[CaseBody]


class DecidedCaseBody(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a decision: payments that it adds, and whether it suspended the debtor."""

    case: CaseBody
    added: list[str]
    suspended: bool


class ExitBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The days on which a partner leaves, and why."""

    notice_on: date
    last_earn_on: date
    last_burn_on: date
    run_off_until: date
    mode: Mode
    reason: Text
    agreed: bool = False


_SIMULATE = msgspec.json.Decoder(SimulateBody)
_CASE = msgspec.json.Decoder(NewCaseBody)
_DECISION = msgspec.json.Decoder(DecisionBody)
_EXIT = msgspec.json.Decoder(ExitBody)
TYPES = (
    SimulateBody,
    NewCaseBody,
    CaseBody,
    CasesBody,
    DecidedCaseBody,
    ExitBody,
    Simulation,
    ExitStatement,
)


@router.post(
    "/nights/{business_date}/defaults/simulate",
    **guarded(*EVERYBODY, answer=Simulation, body=SimulateBody),
)
def simulate(business_date: date, request: Request, raw: Raw) -> Response:
    """What a case would do now; nothing is written."""
    said = read_body(raw, _SIMULATE)
    with desk_of(request).database.connect() as connection:
        found = defaults.simulate(
            connection,
            business_date,
            partner_of(connection, said.debtor).partner_id,
            currency=said.currency,
            way=said.way,
            carry_minor=said.carry_minor,
        )
    return answered(found)


@router.post("/nights/{business_date}/defaults", **guarded("maker", answer=CaseBody, body=NewCaseBody))
def propose(business_date: date, request: Request, raw: Raw) -> Response:
    """Propose what is to be done about a debtor, with what it would do."""
    database, said = desk_of(request).database, read_body(raw, _CASE)
    with database.connect() as connection:
        debtor_id, at = partner_of(connection, said.debtor).partner_id, network_now(connection)
    kept = defaults.propose(
        database,
        business_date,
        debtor_id,
        currency=said.currency,
        way=said.way,
        carry_minor=said.carry_minor,
        reason=said.reason,
        by=who_of(request).operator_id,
        at=at,
    )
    return answered(_case(kept))


@router.get("/defaults", **guarded(*EVERYBODY, answer=CasesBody))
def list_cases(
    request: Request,
    waiting: Annotated[bool, Query(description="Only those that wait for a decision.")] = False,  # noqa: FBT002
) -> Response:
    """Cases, in the order in which they were proposed."""
    with desk_of(request).database.connect() as connection:
        found = defaults.load_cases(connection, undecided=waiting)
    return answered(CasesBody(data=[_case(one) for one in found]))


@router.post("/defaults/{case}/approve", **guarded("checker", answer=DecidedCaseBody, body=DecisionBody))
def approve(case: str, request: Request, raw: Raw) -> Response:
    """Approve exactly what was simulated; all of it is booked at once."""
    return _decide(uuid_of(case, "proposal_unknown"), request, raw, approved=True)


@router.post("/defaults/{case}/reject", **guarded("checker", answer=DecidedCaseBody, body=DecisionBody))
def reject(case: str, request: Request, raw: Raw) -> Response:
    """Reject a case."""
    return _decide(uuid_of(case, "proposal_unknown"), request, raw, approved=False)


@router.post("/partners/{code}/exit", **guarded("maker", answer=ProposedBody, body=ExitBody))
def propose_exit(code: str, request: Request, raw: Raw) -> Response:
    """Propose the days on which a partner leaves."""
    said = read_body(raw, _EXIT)
    with desk_of(request).database.begin() as connection:
        made = exits.propose_exit(
            connection,
            code,
            notice_on=said.notice_on,
            last_earn_on=said.last_earn_on,
            last_burn_on=said.last_burn_on,
            run_off_until=said.run_off_until,
            mode=said.mode,
            reason=said.reason,
            agreed=said.agreed,
            by=who_of(request).operator_id,
        )
    return answered(ProposedBody(proposal=show(made)))


@router.get("/partners/{code}/exit", **guarded(*EVERYBODY, answer=ExitStatement))
def exit_statement(code: str, request: Request) -> Response:
    """How an exit stands, and what is still to be done before the partner has left."""
    with desk_of(request).database.connect() as connection:
        return answered(statement(connection, code))


@router.post("/partners/{code}/buy-out", **guarded("maker", answer=ProposedBody))
def propose_buy_out(code: str, request: Request) -> Response:
    """Propose that a partner pays for its outstanding points, and the operator stands in for it."""
    with desk_of(request).database.begin() as connection:
        made = exits.propose_buy_out(connection, code, by=who_of(request).operator_id)
    return answered(ProposedBody(proposal=show(made)))


@router.post("/partners/{code}/leave", **guarded("maker", answer=ExitStatement))
def leave(code: str, request: Request) -> Response:
    """Say that a partner has left, once nothing of it is open; the answer is its final statement."""
    with desk_of(request).database.begin() as connection:
        return answered(exits.leave(connection, code, by=who_of(request).operator_id))


def _decide(case_id: UUID, request: Request, raw: bytes, *, approved: bool) -> Response:
    database, said = desk_of(request).database, read_body(raw, _DECISION)
    with database.connect() as connection:
        at = network_now(connection)
    decided = defaults.decide(
        database,
        case_id,
        sha256=sha256_of(said.sha256),
        approve=approved,
        by=who_of(request).operator_id,
        at=at,
    )
    added = [one.end_to_end_id for one in decided.added]
    return answered(DecidedCaseBody(case=_case(decided.kept), added=added, suspended=decided.suspended))


def _case(kept: KeptCase) -> CaseBody:
    return CaseBody(
        id=str(kept.case.case_id),
        simulation=kept.simulation,
        sha256=kept.sha256.hex(),
        reason=kept.case.reason,
        proposed_by=kept.case.proposed_by,
        decided_by=kept.case.decided_by,
        approved=kept.case.approved,
    )
