"""Figures of finance over HTTP: what is outstanding and will be redeemed, and deferred revenue.

What counts is loaded when the first report is asked for: a server for tills never needs it.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from decimal import Decimal
from typing import Annotated

import msgspec
from fastapi import Query, Request, Response
from sqlalchemy import Connection

from api.operator.desk import EVERYBODY, answered, desk_of, guarded, make_router
from api.problems import ProblemError

router = make_router("Finance")
_WAIT_SECONDS = 20.0
_AsOf = Annotated[
    date | None, Query(alias="date", description="The last business date; by default the last.")
]


class LiabilityBody(msgspec.Struct, frozen=True, kw_only=True):
    """Points of one issuer and terms version: how many, what they cost, how many will be redeemed.

    Amounts are exact decimals. `issuers` and `pools` are the two parts of `plain`. `error` is one standard
    error of `expected_points`.
    """

    issuer: str
    terms: int
    currency: str
    price: Decimal
    points: int
    plain: Decimal
    issuers: Decimal
    pools: Decimal
    expected_points: int
    error: int
    unseen_points: int
    own_history: bool


class LiabilitiesBody(msgspec.Struct, frozen=True, kw_only=True):
    """What is outstanding after a business date; `forecasts_missed` by, as a part of what they expected."""

    business_date: date
    open: bool
    forecasts_missed: str
    data: list[LiabilityBody]


class MovementBody(msgspec.Struct, frozen=True, kw_only=True):
    """A month: closing = opening + allocated - recognised - catch_up - lapsed, in minor units."""

    month: str
    opening: int
    allocated: int
    recognised: int
    catch_up: int
    lapsed: int
    closing: int


class RollForwardBody(msgspec.Struct, frozen=True, kw_only=True):
    """Deferred revenue of an issuer, or of all together, in one currency."""

    issuer: str | None
    currency: str
    data: list[MovementBody]


class RollForwardsBody(msgspec.Struct, frozen=True, kw_only=True):
    """Deferred revenue up to a business date."""

    business_date: date
    data: list[RollForwardBody]


TYPES = (LiabilityBody, LiabilitiesBody, MovementBody, RollForwardBody, RollForwardsBody)


@router.get("/reports/liability", **guarded(*EVERYBODY, answer=LiabilitiesBody))
def liability(request: Request, on: _AsOf = None) -> Response:
    """What points that are out cost: plainly, and as far as they are expected to be redeemed."""
    from settlement.reports.liability import read_outstanding

    with _reading(request) as connection:
        found = read_outstanding(connection, on)
    return answered(
        LiabilitiesBody(
            business_date=found.on,
            open=found.is_open,
            forecasts_missed=f"{found.missed:.4f}",
            data=[
                LiabilityBody(
                    issuer=found.participants[one.issuer_id].code,
                    terms=one.terms_version,
                    currency=one.currency,
                    price=one.price,
                    points=one.estimate.outstanding,
                    plain=one.plain,
                    issuers=one.of_issuer,
                    pools=one.of_pool,
                    expected_points=round(one.estimate.expected),
                    error=round(one.estimate.clustered),
                    unseen_points=round(one.estimate.unseen),
                    own_history=one.by_own_history,
                )
                for one in found.liabilities
            ],
        )
    )


@router.get("/reports/roll-forward", **guarded(*EVERYBODY, answer=RollForwardsBody))
def roll_forward(request: Request, on: _AsOf = None, partner: str | None = None) -> Response:
    """Deferred revenue month by month (IFRS 15): of one issuer, or of all together."""
    from settlement.reports.cohorts import read_cohorts
    from settlement.reports.liability import as_of
    from settlement.reports.rollforward import read_roll_forwards
    from settlement.reports.tables import chosen

    with _reading(request) as connection:
        day = as_of(connection, on)
        lines = read_roll_forwards(connection, read_cohorts(connection, day))
        found = chosen(lines, partner)
    return answered(
        RollForwardsBody(
            business_date=day,
            data=[
                RollForwardBody(
                    issuer=lines.participants[one.issuer_id].code if one.issuer_id else None,
                    currency=one.currency,
                    data=[
                        MovementBody(month=f"{month:%Y-%m}", **msgspec.structs.asdict(movement))
                        for month, movement in zip(lines.months, one.months, strict=True)
                    ],
                )
                for one in found
            ],
        )
    )


@contextmanager
def _reading(request: Request) -> Iterator[Connection]:
    """One moment of the ledger; one request at a time reads all of it.

    Raises:
        ProblemError: overloaded, where another takes long.
    """
    desk = desk_of(request)
    if not desk.drawing.acquire(timeout=_WAIT_SECONDS):
        raise ProblemError("overloaded", "another report is being drawn")
    try:
        with desk.database.connect().execution_options(isolation_level="REPEATABLE READ") as connection:
            yield connection
    finally:
        desk.drawing.release()
