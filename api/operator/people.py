"""Keeping the operators: what gives rights is proposed by one admin and approved by another."""

from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Any

import msgspec
from fastapi import Request, Response
from msgspec import Meta

from api.bodies import read_body
from api.operator.desk import EVERYBODY, Raw, answered, desk_of, guarded, make_router, who_of
from api.operator.proposals import ProposalBody, show
from api.operator.sessions import DoneBody
from partners.people import operators
from partners.people.model import Proposal, Role, Status

router = make_router("Operators")


class OperatorBody(msgspec.Struct, frozen=True, kw_only=True):
    """A person of the operator."""

    operator: str
    role: Role
    status: Status
    added_by: str
    added_at: datetime


class OperatorsBody(msgspec.Struct, frozen=True, kw_only=True):
    """All operators, by name."""

    data: list[OperatorBody]


class NewOperatorBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A login that nobody has had, and what its owner may."""

    operator: Annotated[str, Meta(pattern="^[a-z][a-z0-9._-]{0,31}(?!\\n)$")]
    role: Role


class RoleBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the operator may from then on."""

    role: Role


class ProposedBody(msgspec.Struct, frozen=True, kw_only=True):
    """A proposal; and where an operator is to enrol, your half of its secret, shown this once."""

    proposal: ProposalBody
    first_half: str | None = None


def proposed(request: Request, propose: Callable[..., Proposal], *what: Any, **fields: Any) -> Response:
    """Have who asks propose something, in a transaction of its own, and show it.

    Args:
        propose: Takes a connection, `what`, `fields`, and `by`: who asks.
    """
    with desk_of(request).database.begin() as connection:
        made = propose(connection, *what, **fields, by=who_of(request).operator_id)
    return answered(ProposedBody(proposal=show(made)))


_NEW = msgspec.json.Decoder(NewOperatorBody)
_ROLE = msgspec.json.Decoder(RoleBody)
TYPES = (OperatorBody, OperatorsBody, NewOperatorBody, RoleBody, ProposedBody)


@router.get("/operators", **guarded(*EVERYBODY, answer=OperatorsBody))
def list_operators(request: Request) -> Response:
    """Who there is, and in which role."""
    with desk_of(request).database.connect() as connection:
        found = operators.operators(connection)
    data = [
        OperatorBody(
            operator=one.operator_id,
            role=one.role,
            status=one.status,
            added_by=one.added_by,
            added_at=one.added_at,
        )
        for one in found
    ]
    return answered(OperatorsBody(data=data))


@router.post("/operators", **guarded("admin", answer=ProposedBody, body=NewOperatorBody))
def add(request: Request, raw: Raw) -> Response:
    """Propose an operator. Each of the two admins is shown one half of the secret with which it enrols."""
    said = read_body(raw, _NEW)
    with desk_of(request).database.begin() as connection:
        made, half = operators.propose_add(
            connection, said.operator, said.role, by=who_of(request).operator_id
        )
    return answered(ProposedBody(proposal=show(made), first_half=half))


@router.post("/operators/{operator}/role", **guarded("admin", answer=ProposedBody, body=RoleBody))
def change_role(operator: str, request: Request, raw: Raw) -> Response:
    """Propose another role."""
    said = read_body(raw, _ROLE)
    with desk_of(request).database.begin() as connection:
        made = operators.propose_role(connection, operator, said.role, by=who_of(request).operator_id)
    return answered(ProposedBody(proposal=show(made)))


@router.post("/operators/{operator}/reset", **guarded("admin", answer=ProposedBody))
def reset(operator: str, request: Request) -> Response:
    """Propose that somebody who lost password or phone enrols anew."""
    with desk_of(request).database.begin() as connection:
        made, half = operators.propose_reset(connection, operator, by=who_of(request).operator_id)
    return answered(ProposedBody(proposal=show(made), first_half=half))


@router.post("/operators/{operator}/enable", **guarded("admin", answer=ProposedBody))
def enable(operator: str, request: Request) -> Response:
    """Propose to let a disabled operator come back, by enrolling anew."""
    with desk_of(request).database.begin() as connection:
        made, half = operators.propose_enable(connection, operator, by=who_of(request).operator_id)
    return answered(ProposedBody(proposal=show(made), first_half=half))


@router.post("/operators/{operator}/disable", **guarded("admin", answer=DoneBody))
def disable(operator: str, request: Request) -> Response:
    """Take all rights from an operator, at once; one admin is enough."""
    desk = desk_of(request)
    with desk.database.begin() as connection:
        operators.disable(connection, operator, by=who_of(request).operator_id, now=desk.now())
    return answered(DoneBody())
