"""What waits for a second person: to look at, to approve exactly as it is, to reject."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

import msgspec
from fastapi import Query, Request, Response
from msgspec import Meta

from api.bodies import read_body
from api.deciding import decide_proposal
from api.operator.desk import (
    EVERYBODY,
    Raw,
    answered,
    cursor_of,
    desk_of,
    guarded,
    make_router,
    read_cursor,
    sha256_of,
    uuid_of,
    who_of,
)
from partners.people import approvals
from partners.people.model import Proposal

router = make_router("Four eyes")


class ProposalBody(msgspec.Struct, frozen=True, kw_only=True):
    """A proposal; `sha256` is of `content`, and is what is approved. `approved` is null while it waits."""

    id: str
    kind: str
    subject: str
    content: msgspec.Raw
    sha256: str
    prepared_by: str
    prepared_at: datetime
    decided_by: str | None
    decided_at: datetime | None
    approved: bool | None


class ProposalPage(msgspec.Struct, frozen=True, kw_only=True):
    """A page of proposals, the newest first."""

    data: list[ProposalBody]
    has_more: bool
    next_cursor: str | None


class DecisionBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What you decide on: the hash of the content that you have seen."""

    sha256: Annotated[str, Meta(pattern="^[0-9a-f]{64}(?!\\n)$")]


class DecidedBody(msgspec.Struct, frozen=True, kw_only=True):
    """The proposal, decided; and where an operator is to enrol, your half of the secret, shown this once."""

    proposal: ProposalBody
    second_half: str | None = None


_DECISION = msgspec.json.Decoder(DecisionBody)
TYPES = (ProposalBody, ProposalPage, DecisionBody, DecidedBody)


@router.get("/proposals", **guarded(*EVERYBODY, answer=ProposalPage))
def list_proposals(
    request: Request,
    waiting: Annotated[bool, Query(description="Only those that wait for a decision.")] = False,  # noqa: FBT002
    cursor: Annotated[str | None, Query(max_length=200)] = None,
    limit: Annotated[int, Query(ge=1, le=100)] = 50,
) -> Response:
    """Proposals, the newest first."""
    with desk_of(request).database.connect() as connection:
        before = (
            None if cursor is None else approvals.read(connection, UUID(read_cursor("proposals", cursor)))
        )
        found = approvals.read_page(connection, undecided=waiting, limit=limit + 1, before=before)
    more = len(found) > limit
    return answered(
        ProposalPage(
            data=[show(one) for one in found[:limit]],
            has_more=more,
            next_cursor=cursor_of("proposals", found[limit - 1].proposal_id) if more else None,
        )
    )


@router.get("/proposals/{proposal}", **guarded(*EVERYBODY, answer=ProposalBody))
def one_proposal(proposal: str, request: Request) -> Response:
    """One proposal, with the hash under which it is decided."""
    with desk_of(request).database.connect() as connection:
        return answered(show(approvals.read(connection, uuid_of(proposal, "proposal_unknown"))))


@router.post(
    "/proposals/{proposal}/approve", **guarded("checker", "admin", answer=DecidedBody, body=DecisionBody)
)
def approve(proposal: str, request: Request, raw: Raw) -> Response:
    """Approve what another has prepared; it is carried out at once."""
    return _decide(proposal, request, raw, approved=True)


@router.post(
    "/proposals/{proposal}/reject",
    **guarded("maker", "checker", "admin", answer=DecidedBody, body=DecisionBody),
)
def reject(proposal: str, request: Request, raw: Raw) -> Response:
    """Reject it, or withdraw your own."""
    return _decide(proposal, request, raw, approved=False)


def show(found: Proposal) -> ProposalBody:
    """A proposal as it is answered."""
    return ProposalBody(
        id=str(found.proposal_id),
        kind=found.kind,
        subject=found.subject,
        content=msgspec.Raw(found.content.encode()),
        sha256=found.sha256.hex(),
        prepared_by=found.prepared_by,
        prepared_at=found.prepared_at,
        decided_by=found.decided_by,
        decided_at=found.decided_at,
        approved=found.approved,
    )


def _decide(proposal: str, request: Request, raw: bytes, *, approved: bool) -> Response:
    desk, who = desk_of(request), who_of(request)
    said = read_body(raw, _DECISION)
    with desk.database.begin() as connection:
        decided, half = decide_proposal(
            connection,
            uuid_of(proposal, "proposal_unknown"),
            sha256=sha256_of(said.sha256),
            who=who,
            approve=approved,
            now=desk.now(),
        )
    return answered(DecidedBody(proposal=show(decided), second_half=half))
