"""Four eyes: a maker proposes exactly this content, a checker approves exactly its hash.

What an approval then does is its kind's service's: it calls `decide` and acts in the same transaction, so
that nothing is approved without being done. Rows that others lock before they keep a record are to be locked
before `decide`, which does. The database refuses who approves what is their own.
"""

import json
from collections.abc import Collection, Mapping
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import Connection, text
from sqlalchemy.exc import IntegrityError

from partners.errors import (
    ProposalChanged,
    ProposalDecided,
    ProposalOpen,
    ProposalUnknown,
    SecondPersonNeeded,
)
from partners.people.audit import audited
from partners.people.canonical import canonical
from partners.people.model import Proposal

_COLUMNS = ", ".join(Proposal.__struct_fields__)
_INSERT = text(
    "INSERT INTO proposal (proposal_id, kind, subject, content, sha256, prepared_by, prepared_at)"
    " VALUES (gen_random_uuid(), :kind, :subject, :content, sha256(convert_to(:content, 'UTF8')), :by, now())"
    f" RETURNING {_COLUMNS}"
)
_ONE = text(f"SELECT {_COLUMNS} FROM proposal WHERE proposal_id = :proposal_id")
_LOCKED = text(f"SELECT {_COLUMNS} FROM proposal WHERE proposal_id = :proposal_id FOR UPDATE")
_DECIDE = text(
    "UPDATE proposal SET decided_by = :by, decided_at = now(), approved = :approved"
    f" WHERE proposal_id = :proposal_id RETURNING {_COLUMNS}"
)
_LIST = text(
    f"SELECT {_COLUMNS} FROM proposal WHERE (decided_by IS NULL OR NOT :undecided)"
    " AND (prepared_at, proposal_id) < (coalesce(CAST(:before AS timestamptz), 'infinity'), :before_id)"
    " ORDER BY prepared_at DESC, proposal_id DESC LIMIT :limit"
)
_LAST_ID = UUID(int=2**128 - 1)


def propose(
    connection: Connection, *, kind: str, subject: str, content: Mapping[str, object], by: str
) -> Proposal:
    """Propose something; another must decide it.

    Args:
        connection: A transaction.
        kind: What is proposed: "partner.suspend".
        subject: Of what: "partner:grocer". Of one kind and subject only one waits at a time.
        content: All that is approved; where something changes, also what it was before.
        by: Who prepares it.
    Raises:
        ProposalOpen: the same is proposed already.
    """
    held = canonical(content)
    nested = connection.begin_nested()
    try:
        row = connection.execute(_INSERT, {"kind": kind, "subject": subject, "content": held, "by": by}).one()
        nested.commit()
    except IntegrityError as error:
        nested.rollback()
        raise ProposalOpen(f"{kind} of {subject} is proposed already, and waits for a decision") from error
    made = _proposal(row)
    audited(
        connection,
        by=by,
        action="proposal.prepared",
        subject=f"proposal:{made.proposal_id}",
        after={"kind": kind, "subject": subject, "content": content, "sha256": made.sha256},
    )
    return made


def decide(
    connection: Connection, proposal_id: UUID, *, sha256: bytes, by: str, approve: bool, of: Collection[str]
) -> Proposal:
    """Approve or reject a proposal; who prepared it may only withdraw it, that is reject it.

    Args:
        connection: A transaction, in which the caller then does what is approved.
        proposal_id: Which.
        sha256: The hash of the content as who decides has seen it.
        by: Who decides.
        approve: Whether it is to be.
        of: The kinds that the caller can do.
    Raises:
        ProposalUnknown: there is no such proposal, or it is of another kind.
        ProposalDecided: it was decided before.
        ProposalChanged: the hash is another.
        SecondPersonNeeded: who prepared it wants to approve it.
    """
    row = connection.execute(_LOCKED, {"proposal_id": proposal_id}).one_or_none()
    if row is None or row.kind not in of:
        raise ProposalUnknown(f"there is no such proposal: {proposal_id}")
    if row.decided_by is not None:
        raise ProposalDecided(f"{row.decided_by} {'approved' if row.approved else 'rejected'} it before")
    if bytes(row.sha256) != sha256:
        raise ProposalChanged("that is the hash of something else: look at the proposal again")
    nested = connection.begin_nested()
    try:
        decided = connection.execute(
            _DECIDE, {"proposal_id": proposal_id, "by": by, "approved": approve}
        ).one()
        nested.commit()
    except IntegrityError as error:
        nested.rollback()
        raise SecondPersonNeeded(f"{by} prepared it: another must approve it") from error
    made = _proposal(decided)
    shown = {"kind": made.kind, "subject": made.subject, "sha256": made.sha256}
    audited(
        connection,
        by=by,
        action="proposal.approved" if approve else "proposal.rejected",
        subject=f"proposal:{proposal_id}",
        before={**shown, "prepared_by": made.prepared_by},
        after={**shown, "decided_by": by, "approved": approve},
    )
    return made


def read(connection: Connection, proposal_id: UUID) -> Proposal:
    """One proposal.

    Raises:
        ProposalUnknown: there is none of that id.
    """
    row = connection.execute(_ONE, {"proposal_id": proposal_id}).one_or_none()
    if row is None:
        raise ProposalUnknown(f"there is no such proposal: {proposal_id}")
    return _proposal(row)


def read_page(
    connection: Connection, *, undecided: bool, limit: int, before: Proposal | None = None
) -> list[Proposal]:
    """Proposals, the newest first; only those that wait, or all."""
    wanted = {
        "undecided": undecided,
        "limit": limit,
        "before": None if before is None else before.prepared_at,
        "before_id": _LAST_ID if before is None else before.proposal_id,
    }
    return [_proposal(row) for row in connection.execute(_LIST, wanted)]


def content_of(made: Proposal) -> dict[str, Any]:
    """What is proposed, as JSON's own types."""
    held: dict[str, Any] = json.loads(made.content)
    return held


def _proposal(row: Any) -> Proposal:
    found = Proposal(**row._asdict())
    return msgspec.structs.replace(found, sha256=bytes(found.sha256))
