"""Reports over HTTP: what is outstanding, deferred revenue, statements as files, the operator's page.

What draws and counts is loaded when the first report is asked for: a server for tills never needs it.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Lock
from typing import Annotated, Any, Literal

import msgspec
from fastapi import Query, Request, Response
from sqlalchemy import Connection

from api.operator.desk import EVERYBODY, answered, desk_of, guarded, make_router
from api.problems import ProblemError

router = make_router("Reports")
_MEDIA = {
    ".html": "text/html; charset=utf-8",
    ".csv": "text/csv; charset=utf-8",
    ".xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}
_ONE_DRAWS = Lock()
"""Matplotlib's settings are the process's: one request at a time draws."""
_PAGE = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"

_AsOf = Annotated[
    date | None, Query(alias="date", description="The last business date; by default the last.")
]
_Date = Annotated[str | None, Query(alias="date", description="One business date, as 2017-05-31.")]
_Month = Annotated[str | None, Query(description="A month, as 2017-05.")]
_Year = Annotated[str | None, Query(description="A year, as 2017.")]


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


def _a_file(*ends: str) -> dict[str, Any]:
    """Keyword arguments of a route that answers with a file of one of these kinds."""
    route = guarded(*EVERYBODY, answer=LiabilitiesBody)
    held = {_MEDIA[end]: {"schema": {"type": "string", "format": "binary"}} for end in ends}
    return {**route, "responses": {**route["responses"], 200: {"description": "The file.", "content": held}}}


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


@router.get("/reports/operator.{form}", **_a_file(".html", ".xlsx"))
def operator_page(request: Request, form: Literal["html", "xlsx"], on: _AsOf = None) -> Response:
    """The operator's report as of a business date: one page, or its workbook."""
    from settlement.reports.operator import write_operator_pages

    with _reading(request) as connection, TemporaryDirectory() as folder, _ONE_DRAWS:
        files = write_operator_pages(connection, on, Path(folder))
        return _file(next(file for file in files if file.suffix == f".{form}"))


@router.get("/partners/{code}/statement.{form}", **_a_file(*_MEDIA))
def statement(
    request: Request,
    code: str,
    form: Literal["html", "csv", "xlsx"],
    on: _Date = None,
    month: _Month = None,
    year: _Year = None,
) -> Response:
    """A participant's statement of a night, a month or a year, down to each posting up to a month."""
    from settlement.reports.account import PROVED_NIGHTS, write_account
    from settlement.reports.read import read_span
    from settlement.reports.spans import span_of

    with _reading(request) as connection, TemporaryDirectory() as folder:
        asked = span_of(on, month, year)
        span = read_span(connection, asked.first, asked.last)
        postings = span.nights <= PROVED_NIGHTS
        files = write_account(
            connection, span, code, Path(folder), label=asked.label, formats=[form], postings=postings
        )
        return _file(files[0])


@router.get("/partners/{code}/reconciliation.csv", **_a_file(".csv"))
def reconciliation(
    request: Request, code: str, on: _Date = None, month: _Month = None, year: _Year = None
) -> Response:
    """A partner's own entries, a line each."""
    from settlement.reports.read import read_span
    from settlement.reports.reconciliation import write_reconciliation
    from settlement.reports.spans import span_of

    with _reading(request) as connection, TemporaryDirectory() as folder:
        asked = span_of(on, month, year)
        span = read_span(connection, asked.first, asked.last)
        return _file(write_reconciliation(connection, span, code, Path(folder), label=asked.label))


@contextmanager
def _reading(request: Request) -> Iterator[Connection]:
    """One moment of the ledger."""
    from settlement.reports.errors import NothingToReport, SpanUnclear

    try:
        with (
            desk_of(request)
            .database.connect()
            .execution_options(isolation_level="REPEATABLE READ") as connection
        ):
            yield connection
    except NothingToReport as error:
        raise ProblemError("nothing_to_report", str(error)) from error
    except SpanUnclear as error:
        raise ProblemError("span_unclear", str(error)) from error


def _file(path: Path) -> Response:
    """A file as an answer; a page may load nothing and run nothing."""
    headers = {
        "cache-control": "no-store",
        "content-disposition": f'inline; filename="{path.name}"',
        "content-security-policy": _PAGE,
        "x-content-type-options": "nosniff",
    }
    return Response(path.read_bytes(), media_type=_MEDIA[path.suffix], headers=headers)
