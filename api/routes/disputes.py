"""What partners do about lines of their statements that they do not accept."""

from decimal import Decimal
from typing import Annotated
from uuid import UUID

import msgspec
from fastapi import APIRouter, Depends, Query, Request, Response

from api.bodies import read_body
from api.bodies.disputes import (
    AnswerBody,
    DisputePage,
    EscalationBody,
    NewDisputeBody,
    file_answer,
    hash_of,
    show_case,
)
from api.bodies.fields import entry_id_of
from api.openapi import file_docs, post_docs, read_docs
from api.problems import FieldError, ProblemError
from api.routes.reads import json_response
from api.service import partner_of, service_of
from network import ids
from network.service import network_now, window_id_of
from settlement import dispute_store, disputes, evidence
from settlement.dispute_store import Case

router = APIRouter(prefix="/v1", tags=["Disputes"])

_NEW = msgspec.json.Decoder(NewDisputeBody)
_ANSWER = msgspec.json.Decoder(AnswerBody)
_ESCALATION = msgspec.json.Decoder(EscalationBody)


async def _body(request: Request) -> bytes:
    """The bytes that were signed; no more than a megabyte came this far."""
    return await request.body()


async def _json(request: Request) -> bytes:
    if _media_type(request) != "application/json":
        raise ProblemError("media_type_unsupported", "send application/json")
    return await request.body()


Raw = Annotated[bytes, Depends(_json)]


@router.post("/disputes", **post_docs("DisputeBody", 201, "NewDisputeBody", 404, 409))
def raise_dispute(request: Request, raw: Raw) -> Response:
    """Dispute a line of your statement: you paid on it, and want that back from partner or operator."""
    said = read_body(raw, _NEW)
    parties = service_of(request).rules().directory.participants.values()
    may_be = {one.code: one.partner_id for one in parties if one.kind in ("partner", "operator")}
    against = may_be.get(said.against)
    if against is None or against == partner_of(request):
        raise ProblemError("validation_failed", errors=[FieldError("/against", "partner")])
    if (said.entry is None) == (said.business_date is None):
        raise ProblemError(
            "validation_failed", "name an entry, or a business date", [FieldError("/entry", "one_of")]
        )
    if said.entry is not None and said.line != "redemption":
        raise ProblemError(
            "validation_failed", "an entry is a redemption", [FieldError("/line", "redemption")]
        )
    wish = disputes.Wish(
        reference=said.reference,
        raised_by_id=partner_of(request),
        against_id=against,
        entry_id=None if said.entry is None else entry_id_of(said.entry, "/entry"),
        window_id=None if said.business_date is None else window_id_of(said.business_date),
        flow=said.line,
        amount=None if said.amount is None else Decimal(said.amount),
        reason=said.reason,
    )
    with service_of(request).database.begin() as connection:
        case, was_there = disputes.raise_dispute(connection, wish, at=network_now(connection))
    answer = _shown(request, case)
    answer.status_code = 201
    if was_there:
        answer.headers["idempotent-replayed"] = "true"
    return answer


@router.get("/disputes", **read_docs("DisputePage", dispute=True))
def list_disputes(
    request: Request,
    waiting: Annotated[bool, Query(alias="open", description="Only those that are not over.")] = False,  # noqa: FBT002  # a flag of an address
    cursor: Annotated[
        str | None, Query(max_length=100, description="`next_cursor` of the last page.")
    ] = None,
    limit: Annotated[int, Query(ge=1, le=100)] = 50,
) -> Response:
    """Disputes that you raised, and those against you, the newest first."""
    before = None if cursor is None else ids.read("dsp", cursor)
    if cursor is not None and before is None:
        raise ProblemError("cursor_invalid")
    codes = _codes(request)
    with service_of(request).database.connect() as connection:
        found = dispute_store.page_of(
            connection, party=partner_of(request), undecided=waiting, limit=limit + 1, before=before
        )
        cases = dispute_store.load_cases(connection, found[:limit])
    more = len(found) > limit
    return json_response(
        DisputePage(
            data=[show_case(cases[each], codes) for each in found[:limit]],
            has_more=more,
            next_cursor=ids.show("dsp", found[limit - 1]) if more else None,
        )
    )


@router.get("/disputes/{dispute}", **read_docs("DisputeBody", dispute=True))
def one_dispute(dispute: str, request: Request) -> Response:
    """One dispute. One between others is as if it were not there."""
    with service_of(request).database.connect() as connection:
        case = disputes.case_of(connection, _id(dispute), partner_of(request))
    return _shown(request, case)


@router.post("/disputes/{dispute}/answers", **post_docs("DisputeBody", 200, "AnswerBody", 404, 409))
def answer(dispute: str, request: Request, raw: Raw) -> Response:
    """Accept a dispute against you, or reject it; without an answer in time it counts as accepted."""
    said = read_body(raw, _ANSWER)
    with service_of(request).database.begin() as connection:
        case = disputes.answer(
            connection,
            _id(dispute),
            partner_id=partner_of(request),
            to="accepted" if said.answer == "accept" else "rejected",
            text=said.text,
            at=network_now(connection),
        )
    return _shown(request, case)


@router.post("/disputes/{dispute}/escalations", **post_docs("DisputeBody", 200, "EscalationBody", 404, 409))
def escalate(dispute: str, request: Request, raw: Raw) -> Response:
    """Ask the operator to decide a dispute of yours that was rejected; in time, or it is over."""
    said = read_body(raw, _ESCALATION)
    with service_of(request).database.begin() as connection:
        case = disputes.escalate(
            connection,
            _id(dispute),
            partner_id=partner_of(request),
            text=said.text,
            at=network_now(connection),
        )
    return _shown(request, case)


@router.post(
    "/disputes/{dispute}/evidence", **post_docs("DisputeBody", 200, evidence.MEDIA_TYPES, 404, 409, 413, 415)
)
def attach(
    dispute: str,
    request: Request,
    content: Annotated[bytes, Depends(_body)],
    name: Annotated[str, Query(min_length=1, max_length=100, description="The file's name.")],
) -> Response:
    """Attach a file, its bytes as the body and its kind as the content type; both of you can read it."""
    media_type = _media_type(request)
    if media_type not in evidence.MEDIA_TYPES:
        raise ProblemError("media_type_unsupported", f"send one of {', '.join(evidence.MEDIA_TYPES)}")
    with service_of(request).database.begin() as connection:
        case = disputes.attach(
            connection,
            _id(dispute),
            partner_id=partner_of(request),
            name=name,
            media_type=media_type,
            content=content,
            at=network_now(connection),
        )
    return _shown(request, case)


@router.get("/disputes/{dispute}/evidence/{sha256}", **file_docs(evidence.MEDIA_TYPES))
def read_evidence(dispute: str, sha256: str, request: Request) -> Response:
    """A file of a dispute, its bytes as they came; always as a download."""
    with service_of(request).database.connect() as connection:
        case = disputes.case_of(connection, _id(dispute), partner_of(request))
        return file_answer(dispute_store.load_content(connection, case.dispute.dispute_id, hash_of(sha256)))


def _shown(request: Request, case: Case) -> Response:
    return json_response(show_case(case, _codes(request)))


def _codes(request: Request) -> dict[int, str]:
    directory = service_of(request).rules().directory
    return {one.partner_id: one.code for one in directory.participants.values()}


def _id(shown: str) -> UUID:
    dispute_id = ids.read("dsp", shown)
    if dispute_id is None:
        raise ProblemError("dispute_unknown")
    return dispute_id


def _media_type(request: Request) -> str:
    return str(request.headers.get("content-type", "")).partition(";")[0].strip().lower()
