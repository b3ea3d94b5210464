"""Exposure against caps over HTTP, as it is now, and the warnings there were."""

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Annotated

import msgspec
from fastapi import Query, Request, Response

from api.operator.desk import EVERYBODY, answered, desk_of, guarded, make_router
from network.caps import Level
from network.exposure_store import read_exposures, read_moves
from network.service import date_of_window, load_rules, network_now, window_id_of

router = make_router("Exposure")
_NAMES = {Level.WITHIN: "within", Level.WARNING: "warning", Level.ALARM: "alarm", Level.OVER: "over"}


class ExposureBody(msgspec.Struct, frozen=True, kw_only=True):
    """What a partner may come to owe, in major units of `currency`: max(0, owed + held) + points_cost.

    `limit` is cap and deposit; null where the contract in force has no cap. `unvalued`: currencies in which
    it owes and that have no fixing: they are not counted.
    """

    partner: str
    currency: str
    exposure: Decimal
    owed: Decimal
    held: Decimal
    points: Decimal
    points_cost: Decimal
    cap: Decimal | None
    deposit: Decimal
    limit: Decimal | None
    at_cap: str
    level: str
    unvalued: tuple[str, ...]


class ExposuresBody(msgspec.Struct, frozen=True, kw_only=True):
    """Every partner that has a cap."""

    data: list[ExposureBody]


class ExposureMoveBody(msgspec.Struct, frozen=True, kw_only=True):
    """A partner passed a threshold, up (`warning`) or back; the n-th (`number`) time it passed any.

    `seen_by`: `commit` of what did it, or `worker`, which looks for what nights, rates and contracts do.
    """

    partner: str
    number: int
    business_date: date
    level_before: str
    level: str
    warning: bool
    exposure: Decimal
    limit: Decimal | None
    currency: str
    seen_by: str
    moved_at: datetime


class ExposureMovesBody(msgspec.Struct, frozen=True, kw_only=True):
    """Moves past thresholds, the latest first."""

    data: list[ExposureMoveBody]


TYPES = (ExposureBody, ExposuresBody, ExposureMoveBody, ExposureMovesBody)


@router.get("/exposure", **guarded(*EVERYBODY, answer=ExposuresBody))
def exposures(request: Request) -> Response:
    """What every partner with a cap may come to owe, as of now."""
    with desk_of(request).database.connect() as connection:
        rules = load_rules(connection)
        found = read_exposures(connection, rules, rules.local_date(network_now(connection)))
    return answered(
        ExposuresBody(
            data=[
                ExposureBody(
                    partner=rules.directory.participants[one.partner_id].code,
                    currency=one.currency,
                    exposure=one.amount,
                    owed=one.owed,
                    held=one.held,
                    points=one.points,
                    points_cost=one.points_cost,
                    cap=one.cap,
                    deposit=one.deposit,
                    limit=one.limit,
                    at_cap=one.at_cap,
                    level=_NAMES[one.level],
                    unvalued=one.unvalued,
                )
                for one in found
            ]
        )
    )


@router.get("/exposure/warnings", **guarded(*EVERYBODY, answer=ExposureMovesBody))
def warnings(
    request: Request,
    on: Annotated[date | None, Query(alias="date", description="Of one business date.")] = None,
    limit: Annotated[int, Query(ge=1, le=100)] = 50,
) -> Response:
    """Who passed which threshold, up or down, the latest first."""
    window_id = None if on is None else window_id_of(on)
    with desk_of(request).database.connect() as connection:
        moves = read_moves(connection, window_id=window_id, limit=limit)
        participants = load_rules(connection).directory.participants
    return answered(
        ExposureMovesBody(
            data=[
                ExposureMoveBody(
                    partner=participants[one.partner_id].code,
                    number=one.number,
                    business_date=date_of_window(one.window_id),
                    level_before=_NAMES[Level(one.level_before)],
                    level=_NAMES[Level(one.level)],
                    warning=one.is_warning,
                    exposure=one.amount,
                    limit=one.limit_amount,
                    currency=one.currency,
                    seen_by=one.seen_by,
                    moved_at=one.moved_at.astimezone(UTC),
                )
                for one in moves
            ]
        )
    )
