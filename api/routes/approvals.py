"""Asking a member to approve a redemption on its phone, and looking what it said."""

import msgspec
from fastapi import APIRouter, Request, Response

from api.bodies import read_body
from api.bodies.approvals import NewApprovalBody, show_approval
from api.magic import MAGIC_CARDS
from api.openapi import post_docs, read_docs
from api.problems import ProblemError
from api.routes.commands import require_no_guessing
from api.routes.disputes import Raw
from api.routes.reads import json_response
from api.service import partner_of, service_of
from network import ids, member_approvals
from network.outcomes import Rejected

router = APIRouter(prefix="/v1", tags=["Approvals"])
_NEW = msgspec.json.Decoder(NewApprovalBody)


@router.post("/approvals", **post_docs("AskedApprovalBody", 201, "NewApprovalBody", 409))
def ask(request: Request, raw: Raw) -> Response:
    """Ask the member behind a card to approve that you take points; it has five minutes to answer.

    Then send the redemption or hold with `approval`, for the same card and as many points, within ten. Look
    how it stands once a second. In the test mode all is approved at once.
    """
    said = read_body(raw, _NEW)
    service, partner_id = service_of(request), partner_of(request)
    wish = said.wish(partner_id)
    require_no_guessing(service, partner_id)
    if service.test_mode and wish.card_number in MAGIC_CARDS:
        raise ProblemError(MAGIC_CARDS[wish.card_number])
    now = service.now()
    with service.database.begin() as connection:
        asked = member_approvals.ask(connection, wish, now, at_once=service.test_mode)
    if isinstance(asked, Rejected):
        if asked.reason == "card_unknown":
            service.limits.cards.spend(partner_id, service.limits.now())
        raise ProblemError(asked.reason)
    answer = json_response(show_approval(asked, now))
    answer.status_code = 201
    return answer


@router.get("/approvals/{approval}", **read_docs("AskedApprovalBody"))
def look(approval: str, request: Request) -> Response:
    """How something stands that you asked a member to approve."""
    service, approval_id = service_of(request), ids.read("apv", approval)
    if approval_id is None:
        raise ProblemError("approval_unknown")
    with service.database.connect() as connection:
        found = member_approvals.find(connection, approval_id)
    if found is None or found.partner_id != partner_of(request):
        raise ProblemError("approval_unknown")
    return json_response(show_approval(found, service.now()))
