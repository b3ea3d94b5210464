"""What the operator decides in a dispute that was escalated to it: one person prepares, another approves."""

from decimal import Decimal
from uuid import UUID

from sqlalchemy import Connection

from network import ids
from network.service import network_now
from partners.errors import SecondPersonNeeded
from partners.people import approvals
from partners.people.audit import audited
from partners.people.model import Proposal
from settlement.dispute_store import lock_dispute
from settlement.disputes import case_of, judged, move
from settlement.errors import DisputeRefused

KINDS = ("dispute.decide",)
"""Kinds of proposals that `decide` decides."""


def propose_decision(
    connection: Connection, dispute_id: UUID, *, awarded: Decimal, reason: str, by: str
) -> Proposal:
    """Prepare the operator's decision; another person approves it, and then it is made.

    Args:
        awarded: What is to be paid back, 0 for nothing, in major units.
    Raises:
        DisputeRefused: it waits for somebody else, or too much is awarded.
        ProposalOpen: a decision is proposed already.
    """
    lock_dispute(connection, dispute_id)
    case = case_of(connection, dispute_id)
    judged(connection, case, "decided", "operator", network_now(connection), awarded)
    shown = ids.show("dsp", dispute_id)
    content = {
        "dispute": shown,
        "currency": case.dispute.currency,
        "disputed": case.dispute.amount,
        "awarded": awarded,
        "reason": reason,
    }
    return approvals.propose(connection, kind=KINDS[0], subject=f"dispute:{shown}", content=content, by=by)


def decide(connection: Connection, proposal_id: UUID, *, sha256: bytes, by: str, approve: bool) -> Proposal:
    """Approve a proposed decision, which makes it, or reject the proposal; then another can be made.

    Raises:
        PeopleError: see approvals.decide.
        DisputeRefused: since it was proposed too much of the line has come back.
    """
    found = approvals.read(connection, proposal_id)
    if not approve or found.kind not in KINDS or found.decided_by is not None:
        return approvals.decide(connection, proposal_id, sha256=sha256, by=by, approve=approve, of=KINDS)
    if found.prepared_by == by:
        raise SecondPersonNeeded(f"{by} prepared it: another must approve it")
    content = approvals.content_of(found)
    dispute_id = ids.read("dsp", content["dispute"])
    if dispute_id is None:
        raise DisputeRefused("dispute_unknown", f"{content['dispute']} is no dispute")
    lock_dispute(connection, dispute_id)
    before = case_of(connection, dispute_id)
    if before.last.state == "decided":  # another approved it while this one waited for the lock
        return approvals.decide(connection, proposal_id, sha256=sha256, by=by, approve=approve, of=KINDS)
    # The record's lock is taken last: so the debt is written first, and undone where it is not approved.
    event = move(
        connection,
        before,
        "decided",
        "operator",
        at=network_now(connection),
        text=content["reason"],
        people=(found.prepared_by, by),
        awarded=Decimal(content["awarded"]),
    )
    decided = approvals.decide(connection, proposal_id, sha256=sha256, by=by, approve=True, of=KINDS)
    audited(
        connection,
        by=by,
        action="dispute.decided",
        subject=found.subject,
        before={"state": before.last.state},
        after={"state": event.state, "awarded": event.awarded, "adjustment": event.adjustment_id},
    )
    return decided
