"""What the programme took for abuse: the list with reasons, the release of what is held, and who is staff."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

import msgspec
from fastapi import Query, Request, Response
from msgspec import Meta

from api.bodies import read_body
from api.bodies.fields import CardNumber, card_of
from api.operator.desk import (
    EVERYBODY,
    Raw,
    answered,
    cursor_of,
    desk_of,
    guarded,
    make_router,
    read_cursor,
    who_of,
)
from api.problems import ProblemError
from network import abuse_review, ids
from network.outcomes import Rejected

router = make_router("Abuse")


class AbuseCaseBody(msgspec.Struct, frozen=True, kw_only=True):
    """What a rule found. `outcome`: held, refused or flagged; `waiting`: points that are still held.

    Of a request that was refused there is no entry; `entry` then only names the case.
    """

    entry: str
    rule: str
    partner: str
    reference: str
    outcome: str
    reason: str
    recorded_at: datetime
    waiting: int
    released_by: str | None
    released_at: datetime | None


class AbuseCasePage(msgspec.Struct, frozen=True, kw_only=True):
    """A page of cases, oldest first."""

    data: list[AbuseCaseBody]
    has_more: bool
    next_cursor: str | None


class AbuseReleasedBody(msgspec.Struct, frozen=True, kw_only=True):
    """The entry that let the points go, and how many."""

    entry: str
    points: int


class StaffBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A card whose member works for a partner, by its code; or (`works` false) does no more."""

    card: CardNumber
    partner: Annotated[str, Meta(min_length=1, max_length=64)]
    works: bool = True


_STAFF = msgspec.json.Decoder(StaffBody)
TYPES = (AbuseCaseBody, AbuseCasePage, AbuseReleasedBody, StaffBody)


@router.get("/abuse", **guarded(*EVERYBODY, answer=AbuseCasePage))
def list_cases(
    request: Request,
    held: Annotated[bool, Query(description="Only what still waits for an operator.")] = False,  # noqa: FBT002
    rule: Annotated[str, Query(pattern="^([a-z][a-z0-9_-]{0,47})?$", description="Only of this rule.")] = "",
    cursor: Annotated[str | None, Query(max_length=200)] = None,
    limit: Annotated[int, Query(ge=1, le=100)] = 50,
) -> Response:
    """What was held, refused or flagged, and why; oldest first."""
    desk = desk_of(request)
    after = (UUID(int=0), "")
    if cursor is not None:
        entry, _, after_rule = read_cursor("abuse", cursor).partition(" ")
        after = (UUID(entry), after_rule)
    with desk.database.connect() as connection:
        found = abuse_review.cases(connection, held=held, rule=rule, after=after, limit=limit + 1)
    more = len(found) > limit
    last = found[limit - 1] if more else None
    return answered(
        AbuseCasePage(
            data=[_show(one) for one in found[:limit]],
            has_more=more,
            next_cursor=None if last is None else cursor_of("abuse", f"{last.entry_id} {last.rule_id}"),
        )
    )


@router.post("/abuse/{entry}/release", **guarded("maker", "checker", answer=AbuseReleasedBody))
def release(entry: str, request: Request) -> Response:
    """Let go what a sale earned and a rule holds."""
    desk = desk_of(request)
    entry_id = ids.read("ent", entry)
    if entry_id is None:
        raise ProblemError("entry_unknown")
    reply = abuse_review.release_held(desk.database, desk.rules(), entry_id, by=who_of(request).operator_id)
    if isinstance(reply.outcome, Rejected):
        raise ProblemError(reply.outcome.reason)
    return answered(
        AbuseReleasedBody(entry=ids.show("ent", reply.outcome.entry_id), points=reply.outcome.points)
    )


@router.post("/staff", **guarded("maker", answer=StaffBody, body=StaffBody))
def name_staff(request: Request, raw: Raw) -> Response:
    """Say that a card's member works for a partner, whose own till it should not earn at by itself."""
    desk, said = desk_of(request), read_body(raw, _STAFF)
    partner_id = desk.rules().directory.by_code.get(said.partner)
    if partner_id is None:
        raise ProblemError("partner_not_found")
    with desk.database.begin() as connection:
        known = abuse_review.set_staff(
            connection, card_of(said.card), partner_id, on=said.works, by=who_of(request).operator_id
        )
    if not known:
        raise ProblemError("card_unknown")
    return answered(said)


def _show(one: abuse_review.Found) -> AbuseCaseBody:
    return AbuseCaseBody(
        entry=ids.show("ent", one.entry_id),
        rule=one.rule_id,
        partner=one.partner,
        reference=one.reference,
        outcome=one.outcome,
        reason=one.reason,
        recorded_at=one.recorded_at,
        waiting=one.waiting,
        released_by=one.released_by,
        released_at=one.released_at,
    )
