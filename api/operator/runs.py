"""A night after it is netted: proposed, approved, instructed, paid; or begun again before that."""

from datetime import date, datetime
from typing import Annotated

import msgspec
from fastapi import Request, Response
from msgspec import Meta

from api.bodies import read_body
from api.operator.desk import EVERYBODY, Raw, answered, desk_of, guarded, make_router, sha256_of, who_of
from api.operator.nights import window_of
from network.service import date_of_window, network_now
from partners.service import participants
from settlement import payment_store, runs, store
from settlement.bank.resolving import objections
from settlement.money_model import Instruction, RunApproval
from settlement.payments import due_of

router = make_router("Nights")


class ApprovalBody(msgspec.Struct, frozen=True, kw_only=True):
    """A run as it was proposed: `sha256` binds what was netted. `approved` is null while it waits."""

    revision: int
    attempt: int
    sha256: str
    proposed_by: str
    proposed_at: datetime
    decided_by: str | None
    decided_at: datetime | None
    approved: bool | None
    reason: str


class ApprovalsBody(msgspec.Struct, frozen=True, kw_only=True):
    """Every time the run that lives was proposed."""

    business_date: date
    data: list[ApprovalBody]


class RunDecisionBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The hash of what you have looked at."""

    sha256: Annotated[str, Meta(pattern="^[0-9a-f]{64}(?!\\n)$")]


class WhyBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Why; it stays on the record."""

    reason: Annotated[str, Meta(min_length=1, max_length=1_000)]


class InstructionBody(msgspec.Struct, frozen=True, kw_only=True):
    """A payment into the hub's account or out of it: what is due on it now, and what the bank has booked."""

    end_to_end_id: str
    reference: str
    participant: str
    currency: str
    direction: str
    attempt: int
    amount_minor: int
    due_minor: int
    booked_minor: int
    value_on: date


class InstructionsBody(msgspec.Struct, frozen=True, kw_only=True):
    """The payments of a night; empty before it is instructed."""

    business_date: date
    data: list[InstructionBody]


class StateBody(msgspec.Struct, frozen=True, kw_only=True):
    """How far the night is."""

    business_date: date
    state: str


class ThroughBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All nights up to a business date."""

    through: date


class ThroughDecisionBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All nights proposed up to a business date, and the hash of them all that you have looked at."""

    through: date
    sha256: Annotated[str, Meta(pattern="^[0-9a-f]{64}(?!\\n)$")]


class ThroughBatchBody(msgspec.Struct, frozen=True, kw_only=True):
    """Nights that wait to be approved as one: `sha256` binds all of them."""

    through: date
    sha256: str
    dates: list[date]
    data: list[ApprovalBody]


class ThroughApprovedBody(msgspec.Struct, frozen=True, kw_only=True):
    """The nights that were approved as one."""

    through: date
    dates: list[date]


class ThroughInstructedBody(msgspec.Struct, frozen=True, kw_only=True):
    """The nights that were instructed now, in order; each has its payments under its own address."""

    through: date
    dates: list[date]


_DECISION = msgspec.json.Decoder(RunDecisionBody)
_THROUGH = msgspec.json.Decoder(ThroughBody)
_THROUGH_DECISION = msgspec.json.Decoder(ThroughDecisionBody)
_WHY = msgspec.json.Decoder(WhyBody)
TYPES = (
    ApprovalBody,
    ApprovalsBody,
    RunDecisionBody,
    WhyBody,
    InstructionBody,
    InstructionsBody,
    StateBody,
    ThroughBody,
    ThroughDecisionBody,
    ThroughBatchBody,
    ThroughApprovedBody,
    ThroughInstructedBody,
)


@router.get("/nights/{business_date}/approvals", **guarded(*EVERYBODY, answer=ApprovalsBody))
def approvals(business_date: date, request: Request) -> Response:
    """Who proposed the run that lives, and who decided."""
    with desk_of(request).database.connect() as connection:
        window_id = window_of(connection, business_date).window_id
        found = payment_store.load_approvals(connection, store.live_run(connection, window_id))
    return answered(ApprovalsBody(business_date=business_date, data=[_approval(one) for one in found]))


@router.post("/nights/propose", **guarded("maker", answer=ThroughBatchBody, body=ThroughBody))
def propose_through(request: Request, raw: Raw) -> Response:
    """Propose every netted night up to a date; a checker approves all that wait, by the answer's hash."""
    said = read_body(raw, _THROUGH)
    made = runs.propose_through(
        desk_of(request).database, said.through, by=who_of(request).operator_id, at=_now(request)
    )
    return answered(
        ThroughBatchBody(
            through=said.through,
            sha256=made.sha256.hex(),
            dates=[date_of_window(one.window_id) for one in made.proposals],
            data=[_approval(one) for one in made.proposals],
        )
    )


@router.post("/nights/approve", **guarded("checker", answer=ThroughApprovedBody, body=ThroughDecisionBody))
def approve_through(request: Request, raw: Raw) -> Response:
    """Approve exactly the nights that were proposed up to a date and are there: all of them, or none."""
    said = read_body(raw, _THROUGH_DECISION)
    made = runs.approve_through(
        desk_of(request).database,
        said.through,
        sha256=sha256_of(said.sha256),
        by=who_of(request).operator_id,
        at=_now(request),
    )
    return answered(
        ThroughApprovedBody(through=said.through, dates=[date_of_window(one.window_id) for one in made])
    )


@router.post("/nights/instruct", **guarded("maker", answer=ThroughInstructedBody, body=ThroughBody))
def instruct_through(request: Request, raw: Raw) -> Response:
    """Turn every approved night up to a date into payments, in order."""
    said = read_body(raw, _THROUGH)
    made = runs.instruct_through(
        desk_of(request).database, said.through, by=who_of(request).operator_id, at=_now(request)
    )
    return answered(ThroughInstructedBody(through=said.through, dates=list(made)))


@router.post("/nights/{business_date}/propose", **guarded("maker", answer=ApprovalBody))
def propose(business_date: date, request: Request) -> Response:
    """Propose a netted run; its answer has the hash that a checker approves."""
    desk = desk_of(request)
    made = runs.propose_run(desk.database, business_date, by=who_of(request).operator_id, at=_now(request))
    return answered(_approval(made))


@router.post(
    "/nights/{business_date}/approve", **guarded("checker", answer=ApprovalBody, body=RunDecisionBody)
)
def approve(business_date: date, request: Request, raw: Raw) -> Response:
    """Approve exactly what was proposed and is there."""
    said = read_body(raw, _DECISION)
    made = runs.approve_run(
        desk_of(request).database,
        business_date,
        sha256=sha256_of(said.sha256),
        by=who_of(request).operator_id,
        at=_now(request),
    )
    return answered(_approval(made))


@router.post("/nights/{business_date}/refuse", **guarded("checker", answer=ApprovalBody, body=WhyBody))
def refuse(business_date: date, request: Request, raw: Raw) -> Response:
    """Refuse it; it can be proposed again."""
    said = read_body(raw, _WHY)
    made = runs.refuse_run(
        desk_of(request).database,
        business_date,
        reason=said.reason,
        by=who_of(request).operator_id,
        at=_now(request),
    )
    return answered(_approval(made))


@router.post("/nights/{business_date}/instruct", **guarded("maker", answer=InstructionsBody))
def instruct(business_date: date, request: Request) -> Response:
    """Turn an approved run into payments; after this nothing of it is rewritten."""
    desk = desk_of(request)
    runs.instruct(desk.database, business_date, by=who_of(request).operator_id, at=_now(request))
    return instructions(business_date, request)


@router.get("/nights/{business_date}/instructions", **guarded(*EVERYBODY, answer=InstructionsBody))
def instructions(business_date: date, request: Request) -> Response:
    """The payments of a night, what is due on each now, and what was booked."""
    with desk_of(request).database.connect() as connection:
        window_id = window_of(connection, business_date).window_id
        codes = {one.partner_id: one.code for one in participants(connection)}
        run = store.live_run(connection, window_id)
        known = {one.end_to_end_id: one for one in payment_store.load_instructions(connection, run)}
        booked = {
            one.end_to_end_id: (one.due_minor, one.booked_minor) for one in due_of(connection, window_id)
        }
    data = [_instruction(one, codes, *booked[name]) for name, one in known.items()]
    return answered(InstructionsBody(business_date=business_date, data=data))


@router.post("/nights/{business_date}/advance", **guarded("maker", "checker", answer=StateBody))
def advance(business_date: date, request: Request) -> Response:
    """Take an instructed run as far as what is booked allows: funded, paid, settled."""
    state = runs.advance(desk_of(request).database, business_date, at=_now(request), objections=objections)
    return answered(StateBody(business_date=business_date, state=state))


@router.post("/nights/{business_date}/reopen", **guarded("maker", answer=StateBody, body=WhyBody))
def reopen(business_date: date, request: Request, raw: Raw) -> Response:
    """Abort a netted or approved run and every later one; each begins anew, to be approved again."""
    said = read_body(raw, _WHY)
    begun = runs.reopen(
        desk_of(request).database,
        business_date,
        reason=said.reason,
        by=who_of(request).operator_id,
        at=_now(request),
    )
    return answered(StateBody(business_date=business_date, state=begun[0].state))


def _now(request: Request) -> datetime:
    """The network's time."""
    with desk_of(request).database.connect() as connection:
        return network_now(connection)


def _approval(made: RunApproval) -> ApprovalBody:
    return ApprovalBody(
        revision=made.revision,
        attempt=made.attempt,
        sha256=made.sha256.hex(),
        proposed_by=made.proposed_by,
        proposed_at=made.proposed_at,
        decided_by=made.decided_by,
        decided_at=made.decided_at,
        approved=made.approved,
        reason=made.reason,
    )


def _instruction(one: Instruction, codes: dict[int, str], due: int, booked: int) -> InstructionBody:
    return InstructionBody(
        end_to_end_id=one.end_to_end_id,
        reference=one.reference,
        participant=codes.get(one.participant_id, str(one.participant_id)),
        currency=one.currency,
        direction=one.direction,
        attempt=one.attempt,
        amount_minor=one.amount_minor,
        due_minor=due,
        booked_minor=booked,
        value_on=one.value_on,
    )
