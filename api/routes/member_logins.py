"""By which address a member signs in: said by the partner that enrolled it, at whose desk it stands."""

import msgspec
from fastapi import APIRouter, Request, Response
from sqlalchemy import text
from starlette.background import BackgroundTask

from api.bodies import read_body
from api.openapi import post_docs
from api.problems import ProblemError
from api.routes.disputes import Raw
from api.routes.member_app import Email, desk_of, mail
from api.service import partner_of, service_of
from network import ids, member_sessions

router = APIRouter(prefix="/v1", tags=["Members"])

_ENROLLED = text("SELECT public_id FROM member WHERE member_id = :member AND enrolled_by = :partner")


class MemberLoginBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A member that you enrolled, and the address that it signs in by."""

    member: str
    email: Email


class MemberLoginDoneBody(msgspec.Struct, frozen=True, kw_only=True):
    """The member may now ask for a code at /m/codes."""

    member: str


TYPES = (MemberLoginBody, MemberLoginDoneBody)
_WARNING = "Somebody named your address for another member's card. Nothing was changed.\n"
_SAID = msgspec.json.Decoder(MemberLoginBody)


@router.post("/member-logins", **post_docs("MemberLoginDoneBody", 200, "MemberLoginBody", 404))
def add_login(request: Request, raw: Raw) -> Response:
    """Say by which address a member of yours signs in, or by which from now on.

    Where another member has the address nothing is changed, and the answer is the same: nobody is told who is
    a member. Its owner gets a mail about it.
    """
    said = read_body(raw, _SAID)
    public_id = ids.read("mbr", said.member)
    if public_id is None:
        raise ProblemError("member_unknown")
    desk, partner_id = desk_of(request), partner_of(request)
    member_id = ids.member_of(public_id)
    with service_of(request).database.begin() as connection:
        found = connection.execute(
            _ENROLLED, {"member": member_id, "partner": partner_id}
        ).scalar_one_or_none()
        if found != public_id:
            raise ProblemError("member_unknown")
        added = member_sessions.add_login(
            connection, desk.keys, member_id=member_id, email=said.email, by=partner_id, now=desk.now()
        )
    answer = msgspec.json.encode(MemberLoginDoneBody(member=said.member))
    warning = None if added else BackgroundTask(mail, desk.send, said.email, "Your address", _WARNING)
    return Response(answer, media_type="application/json", background=warning)
