"""What shows at a till that a member is there, as the member itself sees to it: its PIN, its approvals."""

import msgspec
from fastapi import APIRouter, Depends, Request, Response
from starlette.background import BackgroundTask

from api.bodies import read_body
from api.bodies.approvals import (
    MemberAnswerBody,
    PinBody,
    WaitingApprovalsBody,
    show_waiting,
)
from api.problems import FieldError, ProblemError
from api.routes.disputes import Raw
from api.routes.member_app import Who, desk_of, keep_out, mail, member_docs, private
from api.service import service_of
from network import ids, member_approvals, member_cards

router = APIRouter(prefix="/m", tags=["Members"], dependencies=[Depends(keep_out)])
_PIN = msgspec.json.Decoder(PinBody)
_ANSWER = msgspec.json.Decoder(MemberAnswerBody)
_PIN_MAIL = (
    "The PIN of your card was changed. If that was not you, lock your card where you sign in, and tell the"
    " shop that enrolled you.\n"
)


@router.post("/pin", **member_docs(body="PinBody"))
def set_pin(request: Request, raw: Raw, who: Who) -> Response:
    """Set the PIN that tills may ask for, or take it away; the member is told by mail."""
    desk, said = desk_of(request), read_body(raw, _PIN)
    if said.pin is not None and member_cards.is_easy(said.pin):
        raise ProblemError("validation_failed", "that PIN is tried first", [FieldError("/pin", "easy")])
    with desk.database.begin() as connection:
        email = member_cards.set_pin(connection, desk.keys.secrets, who.member_id, said.pin)
    return Response(
        status_code=202,
        headers={"cache-control": "no-store"},
        background=BackgroundTask(mail, desk.send, email, "Your PIN", _PIN_MAIL),
    )


@router.get("/approvals", **member_docs("WaitingApprovalsBody"))
def waiting(request: Request, who: Who) -> Response:
    """What partners ask to have approved, and has no answer yet."""
    desk = desk_of(request)
    with desk.database.connect() as connection:
        found = member_approvals.waiting(connection, who.member_id, desk.now())
    partners = service_of(request).rules().directory.participants
    return private(
        WaitingApprovalsBody(data=[show_waiting(one, partners[one.partner_id].name) for one in found])
    )


@router.post("/approvals/{approval}", **member_docs(body="MemberAnswerBody"))
def answer(approval: str, request: Request, raw: Raw, who: Who) -> Response:
    """Approve it, or refuse: once, and in time."""
    desk, said, approval_id = desk_of(request), read_body(raw, _ANSWER), ids.read("apv", approval)
    if approval_id is None or ids.member_of(approval_id) != who.member_id:
        raise ProblemError("approval_unknown")
    with desk.database.begin() as connection:
        if member_approvals.find(connection, approval_id) is None:
            raise ProblemError("approval_unknown")
        if member_approvals.answer(connection, approval_id, approved=said.approve, now=desk.now()) is None:
            raise ProblemError("approval_over")
    return Response(status_code=202, headers={"cache-control": "no-store"})
