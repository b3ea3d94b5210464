"""Who decides which kind of proposal, and what carries it out in the same transaction."""

from collections.abc import Callable, Mapping
from datetime import date, datetime
from typing import TypedDict
from uuid import UUID

from sqlalchemy import Connection, Engine

from network import adjustments, matches, programmes
from network.adjustments import Standing
from network.rules import Rules
from network.service import open_date
from partners import contracts
from partners import service as partners
from partners.errors import NotAllowed
from partners.people import approvals, operators
from partners.people.model import Proposal, Role, SignedIn
from settlement import corrections, dispute_decisions, exits, exposure_rows


class Decision(TypedDict):
    """Who decides what of which hash."""

    sha256: bytes
    by: str
    approve: bool


Outcome = tuple[Proposal, str | None]
CarryOut = Callable[[Connection, UUID, Decision, datetime], Outcome]
"""Connection, proposal, decision, real time; the second is a secret for who decided, shown once."""


def _of_operators(connection: Connection, proposal_id: UUID, decision: Decision, now: datetime) -> Outcome:
    return operators.decide(connection, proposal_id, **decision, now=now)


def _of_partners(connection: Connection, proposal_id: UUID, decision: Decision, _: datetime) -> Outcome:
    return partners.decide(connection, proposal_id, **decision), None


def _of_contracts(connection: Connection, proposal_id: UUID, decision: Decision, _: datetime) -> Outcome:
    exposure_rows.stop_tills(connection)
    decided = contracts.decide(connection, proposal_id, **decision, open_on=open_date(connection))
    if decision["approve"] and decided.kind == contracts.ADD_VAT:
        effective_on = date.fromisoformat(approvals.content_of(decided)["effective_on"])
        exposure_rows.rates_changed(connection, effective_on)
    return decided, None


def _of_exits(connection: Connection, proposal_id: UUID, decision: Decision, _: datetime) -> Outcome:
    return exits.decide(connection, proposal_id, **decision), None


def _of_disputes(connection: Connection, proposal_id: UUID, decision: Decision, _: datetime) -> Outcome:
    return dispute_decisions.decide(connection, proposal_id, **decision), None


def _of_corrections(connection: Connection, proposal_id: UUID, decision: Decision, _: datetime) -> Outcome:
    return corrections.decide(connection, proposal_id, **decision), None


def _of_programmes(connection: Connection, proposal_id: UUID, decision: Decision, _: datetime) -> Outcome:
    return programmes.decide(connection, proposal_id, **decision), None


def _of_matches(connection: Connection, proposal_id: UUID, decision: Decision, _: datetime) -> Outcome:
    return matches.decide_end(connection, proposal_id, **decision), None


DECIDED_BY: Mapping[str, tuple[Role, CarryOut]] = {
    **dict.fromkeys(operators.KINDS, ("admin", _of_operators)),
    **dict.fromkeys(partners.KINDS, ("checker", _of_partners)),
    **dict.fromkeys(contracts.KINDS, ("checker", _of_contracts)),
    **dict.fromkeys(programmes.KINDS, ("checker", _of_programmes)),
    **dict.fromkeys(matches.KINDS, ("checker", _of_matches)),
    **dict.fromkeys(exits.KINDS, ("checker", _of_exits)),
    **dict.fromkeys(dispute_decisions.KINDS, ("checker", _of_disputes)),
    **dict.fromkeys(corrections.KINDS, ("checker", _of_corrections)),
}
"""Of each kind one role decides; whoever prepared it may withdraw it."""


def decide_proposal(
    connection: Connection, proposal_id: UUID, *, sha256: bytes, who: SignedIn, approve: bool, now: datetime
) -> Outcome:
    """Decide a proposal of any kind, and do what is approved.

    Raises:
        NotAllowed: another role decides this kind.
        PeopleError: see approvals.decide, and what carries the kind out.
    """
    found = approvals.read(connection, proposal_id)
    role, carry_out = DECIDED_BY[found.kind]
    withdrawn = not approve and who.operator_id == found.prepared_by
    if who.role != role and not withdrawn:
        raise NotAllowed(f"{found.kind} is decided by {role}, and {who.operator_id} is {who.role}")
    decision = Decision(sha256=sha256, by=who.operator_id, approve=approve)
    return carry_out(connection, proposal_id, decision, now)


def decide_adjustment(
    database: Engine, rules: Rules, adjustment_id: UUID, *, who: SignedIn, approve: bool
) -> Standing:
    """Approve or reject an adjustment: a checker does, and a maker withdraws its own.

    Raises:
        NotAllowed: another role, or another's.
        AdjustmentError: see adjustments.decide.
    """
    with database.connect() as connection:
        own = adjustments.find(connection, adjustment_id).prepared_by == who.operator_id
    if who.role != "checker" and (approve or who.role != "maker" or not own):
        raise NotAllowed(
            f"a checker decides it; who prepared it may withdraw it; {who.operator_id} is {who.role}"
        )
    return adjustments.decide(database, rules, adjustment_id, by=who.operator_id, approve=approve)
