"""Disputes that partners raise; those escalated, and those with the operator itself, are its, by two."""

from decimal import Decimal
from typing import Annotated
from uuid import UUID

import msgspec
from fastapi import Query, Request, Response

from api.bodies import read_body
from api.bodies.disputes import (
    DisputeAnswerBody,
    DisputeBody,
    DisputeDecisionBody,
    DisputePage,
    file_answer,
    hash_of,
    show_case,
)
from api.operator.desk import (
    EVERYBODY,
    Desk,
    Raw,
    answered,
    cursor_of,
    desk_of,
    guarded,
    make_router,
    read_cursor,
)
from api.operator.people import ProposedBody, proposed
from api.problems import ProblemError
from network import ids
from settlement import dispute_decisions, dispute_store, disputes

router = make_router("Disputes")

_DECISION = msgspec.json.Decoder(DisputeDecisionBody)
_ANSWER = msgspec.json.Decoder(DisputeAnswerBody)


TYPES = (DisputeBody, DisputePage, DisputeDecisionBody, DisputeAnswerBody)


@router.get("/disputes", **guarded(*EVERYBODY, answer=DisputePage))
def list_disputes(
    request: Request,
    waiting: Annotated[bool, Query(alias="open", description="Only those that are not over.")] = False,  # noqa: FBT002
    cursor: Annotated[str | None, Query(max_length=200)] = None,
    limit: Annotated[int, Query(ge=1, le=100)] = 50,
) -> Response:
    """All disputes, the newest first, with their texts and what is attached."""
    desk = desk_of(request)
    before = None if cursor is None else UUID(read_cursor("disputes", cursor))
    with desk.database.connect() as connection:
        found = dispute_store.page_of(
            connection, party=None, undecided=waiting, limit=limit + 1, before=before
        )
        cases = dispute_store.load_cases(connection, found[:limit])
    codes = _codes(desk)
    more = len(found) > limit
    return answered(
        DisputePage(
            data=[show_case(cases[each], codes, names=True) for each in found[:limit]],
            has_more=more,
            next_cursor=cursor_of("disputes", found[limit - 1]) if more else None,
        )
    )


@router.get("/disputes/{dispute}", **guarded(*EVERYBODY, answer=DisputeBody))
def one_dispute(dispute: str, request: Request) -> Response:
    """One dispute."""
    desk = desk_of(request)
    with desk.database.connect() as connection:
        case = disputes.case_of(connection, _id(dispute))
    return answered(show_case(case, _codes(desk), names=True))


@router.get("/disputes/{dispute}/evidence/{sha256}", **guarded(*EVERYBODY, answer=DisputeBody))
def read_evidence(dispute: str, sha256: str, request: Request) -> Response:
    """A file that a partner attached, as a download."""
    with desk_of(request).database.connect() as connection:
        return file_answer(dispute_store.load_content(connection, _id(dispute), hash_of(sha256)))


@router.post(
    "/disputes/{dispute}/decision", **guarded("maker", answer=ProposedBody, body=DisputeDecisionBody)
)
def propose(dispute: str, request: Request, raw: Raw) -> Response:
    """Prepare what is decided of an escalated dispute; a checker approves the proposal, and it is made."""
    said = read_body(raw, _DECISION)
    awarded = Decimal(said.awarded)
    decide = dispute_decisions.propose_decision
    return proposed(request, decide, _id(dispute), awarded=awarded, reason=said.reason)


@router.post("/disputes/{dispute}/answer", **guarded("maker", answer=ProposedBody, body=DisputeAnswerBody))
def propose_answer(dispute: str, request: Request, raw: Raw) -> Response:
    """Prepare the answer to a dispute with the operator; a checker approves it. Silence accepts it."""
    said = read_body(raw, _ANSWER)
    respond = dispute_decisions.propose_answer
    return proposed(request, respond, _id(dispute), answer=said.answer, reason=said.reason)


def _id(shown: str) -> UUID:
    dispute_id = ids.read("dsp", shown)
    if dispute_id is None:
        raise ProblemError("dispute_unknown")
    return dispute_id


def _codes(desk: Desk) -> dict[int, str]:
    return {one.partner_id: one.code for one in desk.rules().directory.participants.values()}
