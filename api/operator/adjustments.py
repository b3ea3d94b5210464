"""Points given and taken by hand, and tiers."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

import msgspec
from fastapi import Query, Request, Response
from msgspec import Meta

from api.bodies import read_body
from api.bodies.fields import MOST, CardNumber, card_of
from api.deciding import decide_adjustment
from api.operator.desk import (
    EVERYBODY,
    Desk,
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
from network import adjustments, ids
from network.adjustments import Standing
from network.outcomes import Rejected

router = make_router("Adjustments")

Reason = Annotated[str, Meta(min_length=1, max_length=1_000)]


class NewAdjustmentBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Points to give (above 0) or to take back (below), whose they are, why, and what shows it."""

    card: CardNumber
    points: Annotated[int, Meta(ge=-MOST, le=MOST)]
    issuer: Annotated[str, Meta(min_length=1, max_length=64, description="A partner's code.")]
    reason: Reason
    evidence: Reason


class AdjustmentBody(msgspec.Struct, frozen=True, kw_only=True):
    """An adjustment and what became of it: `entry` that it made, or why it was refused, or neither yet."""

    id: str
    card: str
    issuer: str
    points: int
    reason: str
    evidence: str
    four_eyes_above: int
    prepared_by: str
    prepared_at: datetime
    decided_by: str | None
    decided_at: datetime | None
    approved: bool | None
    entry: str | None
    refusal: str | None


class AdjustmentPage(msgspec.Struct, frozen=True, kw_only=True):
    """A page of adjustments, oldest first."""

    data: list[AdjustmentBody]
    has_more: bool
    next_cursor: str | None


class TierBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A card of the member, and a tier of the programme; "" for none."""

    card: CardNumber
    tier: Annotated[str, Meta(max_length=64)]


class TierSetBody(msgspec.Struct, frozen=True, kw_only=True):
    """The entry that put the member there."""

    entry: str


_NEW = msgspec.json.Decoder(NewAdjustmentBody)
_TIER = msgspec.json.Decoder(TierBody)
TYPES = (NewAdjustmentBody, AdjustmentBody, AdjustmentPage, TierBody, TierSetBody)


@router.get("/adjustments", **guarded(*EVERYBODY, answer=AdjustmentPage))
def list_adjustments(
    request: Request,
    waiting: Annotated[bool, Query(description="Only those that wait for a second person.")] = False,  # noqa: FBT002
    cursor: Annotated[str | None, Query(max_length=200)] = None,
    limit: Annotated[int, Query(ge=1, le=100)] = 50,
) -> Response:
    """Adjustments, oldest first."""
    desk = desk_of(request)
    after = UUID(int=0) if cursor is None else UUID(read_cursor("adjustments", cursor))
    found = adjustments.standings(desk.database, undecided=waiting, after=after, limit=limit + 1)
    codes = _codes(desk)
    more = len(found) > limit
    return answered(
        AdjustmentPage(
            data=[_show(one, codes) for one in found[:limit]],
            has_more=more,
            next_cursor=cursor_of("adjustments", found[limit - 1].adjustment.adjustment_id) if more else None,
        )
    )


@router.post("/adjustments", **guarded("maker", answer=AdjustmentBody, body=NewAdjustmentBody))
def prepare(request: Request, raw: Raw) -> Response:
    """Propose an adjustment; up to the programme's limit it is carried out at once."""
    desk, said = desk_of(request), read_body(raw, _NEW)
    standing = adjustments.prepare(
        desk.database,
        desk.rules(),
        card_number=card_of(said.card),
        points=said.points,
        issuer=said.issuer,
        reason=said.reason,
        evidence=said.evidence,
        by=who_of(request).operator_id,
    )
    return answered(_show(standing, _codes(desk)))


@router.post("/adjustments/{adjustment}/approve", **guarded("checker", answer=AdjustmentBody))
def approve(adjustment: str, request: Request) -> Response:
    """Approve an adjustment that another has prepared; it is carried out at once."""
    return _decide(adjustment, request, approved=True)


@router.post("/adjustments/{adjustment}/reject", **guarded("maker", "checker", answer=AdjustmentBody))
def reject(adjustment: str, request: Request) -> Response:
    """Reject an adjustment; who prepared it may withdraw it."""
    return _decide(adjustment, request, approved=False)


@router.post("/tiers", **guarded("maker", answer=TierSetBody, body=TierBody))
def set_tier(request: Request, raw: Raw) -> Response:
    """Put a member into a tier; what it earns from now on lives by the tier's rule."""
    desk, said = desk_of(request), read_body(raw, _TIER)
    reply = adjustments.set_tier(
        desk.database,
        desk.rules(),
        card_number=card_of(said.card),
        tier=said.tier,
        by=who_of(request).operator_id,
    )
    if isinstance(reply.outcome, Rejected):
        raise ProblemError(reply.outcome.reason)
    return answered(TierSetBody(entry=ids.show("ent", reply.outcome.entry_id)))


def _decide(adjustment: str, request: Request, *, approved: bool) -> Response:
    desk, who = desk_of(request), who_of(request)
    adjustment_id = ids.read("adj", adjustment)
    if adjustment_id is None:
        raise ProblemError("adjustment_unknown")
    standing = decide_adjustment(desk.database, desk.rules(), adjustment_id, who=who, approve=approved)
    return answered(_show(standing, _codes(desk)))


def _codes(desk: Desk) -> dict[int, str]:
    return {one.partner_id: one.code for one in desk.rules().directory.participants.values()}


def _show(standing: Standing, codes: dict[int, str]) -> AdjustmentBody:
    one = standing.adjustment
    return AdjustmentBody(
        id=ids.show("adj", one.adjustment_id),
        card=str(one.card_number),
        issuer=codes.get(one.issuer_id, str(one.issuer_id)),
        points=one.points,
        reason=one.reason,
        evidence=one.evidence,
        four_eyes_above=one.four_eyes_above,
        prepared_by=one.prepared_by,
        prepared_at=one.prepared_at,
        decided_by=one.decided_by,
        decided_at=one.decided_at,
        approved=one.approved,
        entry=None if standing.entry_id is None else ids.show("ent", standing.entry_id),
        refusal=standing.refusal,
    )
