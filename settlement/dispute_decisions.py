"""What the operator says in disputes, by two people: one prepares, another approves.

It decides what was escalated to it, and answers what is disputed with itself: points issued, fees, VAT.
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import Literal
from uuid import UUID

from sqlalchemy import Connection

from network import ids
from network.service import network_now
from partners.errors import SecondPersonNeeded
from partners.model import OPERATOR_ID
from partners.people import approvals
from partners.people.audit import audited
from partners.people.model import Proposal
from settlement.dispute import Mover
from settlement.dispute_store import Case, lock_dispute
from settlement.disputes import case_of, judged, move
from settlement.errors import DisputeRefused
from settlement.money_model import DisputeState

DECIDE, ANSWER = "dispute.decide", "dispute.answer"
KINDS = (DECIDE, ANSWER)
"""Kinds of proposals that `decide` decides."""
_ANSWERS: Mapping[str, DisputeState] = {"accept": "accepted", "reject": "rejected"}


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
    return approvals.propose(connection, kind=DECIDE, subject=f"dispute:{shown}", content=content, by=by)


def propose_answer(
    connection: Connection, dispute_id: UUID, *, answer: Literal["accept", "reject"], reason: str, by: str
) -> Proposal:
    """Prepare the operator's answer to a dispute with itself; another approves it, and then it is given.

    Raises:
        DisputeRefused: it is not with the operator, is not waiting for it, or the time is over.
        ProposalOpen: an answer is proposed already.
    """
    lock_dispute(connection, dispute_id)
    case = _with_operator(case_of(connection, dispute_id))
    judged(connection, case, _ANSWERS[answer], "other", network_now(connection))
    shown = ids.show("dsp", dispute_id)
    content = {
        "dispute": shown,
        "currency": case.dispute.currency,
        "disputed": case.dispute.amount,
        "answer": answer,
        "reason": reason,
    }
    return approvals.propose(connection, kind=ANSWER, subject=f"dispute:{shown}", content=content, by=by)


def decide(connection: Connection, proposal_id: UUID, *, sha256: bytes, by: str, approve: bool) -> Proposal:
    """Approve a proposed decision or answer, which makes it, or reject it; then another can be proposed.

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
    if approvals.read(connection, proposal_id).decided_by is not None:  # while this one waited for the lock
        return approvals.decide(connection, proposal_id, sha256=sha256, by=by, approve=approve, of=KINDS)
    to: DisputeState = "decided"
    mover: Mover = "operator"
    if found.kind == ANSWER:
        to, mover = _ANSWERS[content["answer"]], "other"
        _with_operator(before)
    # The record's lock is taken last: so the debt is written first, and undone where it is not approved.
    event = move(
        connection,
        before,
        to,
        mover,
        at=network_now(connection),
        text=content["reason"],
        people=(found.prepared_by, by),
        awarded=Decimal(content["awarded"]) if found.kind == DECIDE else None,
    )
    decided = approvals.decide(connection, proposal_id, sha256=sha256, by=by, approve=True, of=KINDS)
    audited(
        connection,
        by=by,
        action="dispute.decided" if found.kind == DECIDE else "dispute.answered",
        subject=found.subject,
        before={"state": before.last.state},
        after={"state": event.state, "awarded": event.awarded, "adjustment": event.adjustment_id},
    )
    return decided


def _with_operator(case: Case) -> Case:
    if case.dispute.against_id != OPERATOR_ID:
        raise DisputeRefused("dispute_not_yours", "it is with a partner, who answers for itself")
    return case
