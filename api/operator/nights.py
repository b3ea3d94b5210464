"""Nights: how far each is, what it is made of, and who is to pay whom."""

from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, Any

import msgspec
from fastapi import Query, Request, Response
from sqlalchemy import Connection, text

from api.operator.desk import (
    EVERYBODY,
    answered,
    cursor_of,
    desk_of,
    guarded,
    make_router,
    read_cursor,
)
from api.problems import ProblemError
from partners.people.canonical import plain

router = make_router("Nights")

_LIST = text(
    "SELECT w.window_id, w.business_date, w.opened_at, w.closed_at, r.revision, r.state"
    " FROM clearing_window w"
    " LEFT JOIN settlement_run r ON r.window_id = w.window_id AND r.state <> 'aborted'"
    " WHERE w.window_id < :before ORDER BY w.window_id DESC LIMIT :limit"
)
_WINDOW = text(
    "SELECT window_id, business_date, opened_at, closed_at FROM clearing_window WHERE business_date = :on"
)
_RUNS = text("SELECT revision, state FROM settlement_run WHERE window_id = :window ORDER BY revision")
_STEPS = text(
    "SELECT revision, step, sha256, done_at FROM settlement_step WHERE window_id = :window"
    " ORDER BY revision, done_at, step"
)
_LIVE = "(SELECT revision FROM settlement_run WHERE window_id = :window AND state <> 'aborted')"
_POSITIONS = text(
    "SELECT p.code, n.currency, n.credits, n.debits, n.fee_minor, n.vat_minor, n.carried_in, n.exact,"
    " n.final_minor, n.carried_out, n.deferred_in_minor, n.deferred_out_minor"
    f" FROM net_position n JOIN partner p ON p.partner_id = n.participant_id"
    f" WHERE n.window_id = :window AND n.revision = {_LIVE} ORDER BY n.participant_id, n.currency"
)
_OBLIGATIONS = text(
    "SELECT o.flow, d.code AS debtor, c.code AS creditor, o.currency, o.category, o.points, o.amount"
    " FROM obligation o JOIN partner d ON d.partner_id = o.debtor_id"
    " JOIN partner c ON c.partner_id = o.creditor_id"
    f" WHERE o.window_id = :window AND o.revision = {_LIVE}"
    " ORDER BY o.flow, o.debtor_id, o.creditor_id, o.currency, o.category"
)


class NightBody(msgspec.Struct, frozen=True, kw_only=True):
    """A night: its window, and the last step of its run that is done; none while the window is open."""

    business_date: date
    window_id: int
    opened_at: datetime
    closed_at: datetime | None
    revision: int | None
    state: str


class NightPage(msgspec.Struct, frozen=True, kw_only=True):
    """A page of nights, the newest first."""

    data: list[NightBody]
    has_more: bool
    next_cursor: str | None


class StepBody(msgspec.Struct, frozen=True, kw_only=True):
    """A step that is done, with the SHA-256 of what it put out."""

    revision: int
    step: str
    sha256: str
    done_at: datetime


class RunBody(msgspec.Struct, frozen=True, kw_only=True):
    """A run of the night; one that was aborted stays to be seen."""

    revision: int
    state: str


class NightDetailBody(msgspec.Struct, frozen=True, kw_only=True):
    """A night with its runs and their steps."""

    business_date: date
    window_id: int
    opened_at: datetime
    closed_at: datetime | None
    runs: list[RunBody]
    steps: list[StepBody]


class PositionBody(msgspec.Struct, frozen=True, kw_only=True):
    """A participant against the hub: it gets (+) or pays (-) `final_minor`. Exact amounts are texts."""

    participant: str
    currency: str
    credits: str
    debits: str
    fee_minor: int
    vat_minor: int
    carried_in: str
    exact: str
    final_minor: int
    carried_out: str
    payment_minor: int


class PositionsBody(msgspec.Struct, frozen=True, kw_only=True):
    """Positions of a night; `final_minor` sums to zero per currency."""

    business_date: date
    data: list[PositionBody]


class ObligationBody(msgspec.Struct, frozen=True, kw_only=True):
    """A gross debt of one participant to another, an exact amount as text."""

    flow: str
    debtor: str
    creditor: str
    currency: str
    category: int
    points: int
    amount: str


class ObligationsBody(msgspec.Struct, frozen=True, kw_only=True):
    """Gross debts of a night."""

    business_date: date
    data: list[ObligationBody]


TYPES = (
    NightBody,
    NightPage,
    StepBody,
    RunBody,
    NightDetailBody,
    PositionBody,
    PositionsBody,
    ObligationBody,
    ObligationsBody,
)


@router.get("/nights", **guarded(*EVERYBODY, answer=NightPage))
def list_nights(
    request: Request,
    cursor: Annotated[str | None, Query(max_length=100)] = None,
    limit: Annotated[int, Query(ge=1, le=100)] = 50,
) -> Response:
    """Nights, the newest first; the first may be the window that is open."""
    before = None if cursor is None else int(read_cursor("nights", cursor))
    with desk_of(request).database.connect() as connection:
        found = read_nights(connection, limit=limit + 1, before=before)
    more = len(found) > limit
    return answered(
        NightPage(
            data=found[:limit],
            has_more=more,
            next_cursor=cursor_of("nights", found[limit - 1].window_id) if more else None,
        )
    )


@router.get("/nights/{business_date}", **guarded(*EVERYBODY, answer=NightDetailBody))
def one_night(business_date: date, request: Request) -> Response:
    """A night with all its runs, and the hash of each step."""
    with desk_of(request).database.connect() as connection:
        window = window_of(connection, business_date)
        wanted = {"window": window.window_id}
        runs = [RunBody(**row._asdict()) for row in connection.execute(_RUNS, wanted)]
        steps = [
            StepBody(revision=row.revision, step=row.step, sha256=row.sha256.hex(), done_at=row.done_at)
            for row in connection.execute(_STEPS, wanted)
        ]
    return answered(NightDetailBody(**window._asdict(), runs=runs, steps=steps))


@router.get("/nights/{business_date}/positions", **guarded(*EVERYBODY, answer=PositionsBody))
def positions(business_date: date, request: Request) -> Response:
    """What each participant gets or pays; empty before the night is netted."""
    with desk_of(request).database.connect() as connection:
        window = window_of(connection, business_date)
        rows = connection.execute(_POSITIONS, {"window": window.window_id}).all()
    data = [
        PositionBody(
            participant=row.code,
            currency=row.currency,
            credits=_exact(row.credits),
            debits=_exact(row.debits),
            fee_minor=row.fee_minor,
            vat_minor=row.vat_minor,
            carried_in=_exact(row.carried_in),
            exact=_exact(row.exact),
            final_minor=row.final_minor,
            carried_out=_exact(row.carried_out),
            payment_minor=row.deferred_in_minor + row.final_minor - row.deferred_out_minor,
        )
        for row in rows
    ]
    return answered(PositionsBody(business_date=business_date, data=data))


@router.get("/nights/{business_date}/obligations", **guarded(*EVERYBODY, answer=ObligationsBody))
def obligations(business_date: date, request: Request) -> Response:
    """Who owes whom for what, before netting; empty before the night is priced."""
    with desk_of(request).database.connect() as connection:
        window = window_of(connection, business_date)
        rows = connection.execute(_OBLIGATIONS, {"window": window.window_id}).all()
    data = [ObligationBody(**{**row._asdict(), "amount": _exact(row.amount)}) for row in rows]
    return answered(ObligationsBody(business_date=business_date, data=data))


def read_nights(connection: Connection, *, limit: int, before: int | None = None) -> list[NightBody]:
    """Nights, the newest first, those before a window."""
    rows = connection.execute(_LIST, {"before": 10**8 if before is None else before, "limit": limit})
    return [
        NightBody(
            business_date=row.business_date,
            window_id=row.window_id,
            opened_at=row.opened_at,
            closed_at=row.closed_at,
            revision=row.revision,
            state=row.state or ("open" if row.closed_at is None else "closing"),
        )
        for row in rows
    ]


def window_of(connection: Connection, business_date: date) -> Any:
    """The window of a business date.

    Raises:
        ProblemError: night_unknown.
    """
    row = connection.execute(_WINDOW, {"on": business_date}).one_or_none()
    if row is None:
        raise ProblemError("night_unknown")
    return row


def _exact(amount: Decimal) -> str:
    return str(plain(amount))
