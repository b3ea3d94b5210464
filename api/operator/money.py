"""Corrections of money, and the calendars of banks, over HTTP: proposed by one, approved by another."""

from datetime import date, datetime
from decimal import Decimal
from typing import Annotated

import msgspec
from fastapi import Query, Request, Response
from msgspec import Meta

from api.bodies import read_body
from api.operator.desk import EVERYBODY, Raw, answered, desk_of, guarded, make_router
from api.operator.people import ProposedBody, proposed
from network.service import date_of_window
from settlement import corrections
from settlement.bank import store

router = make_router("Money and days")

Code = Annotated[str, Meta(min_length=1, max_length=64)]
Currency = Annotated[str, Meta(pattern="^[A-Z]{3}(?!\\n)$")]
Amount = Annotated[str, Meta(pattern="^[0-9]{1,12}(\\.[0-9]{1,4})?(?!\\n)$")]
Why = Annotated[str, Meta(min_length=1, max_length=1_000)]


class NewCorrectionBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who owes whom for what was wrong in a night whose payments have left; `amount` in major units."""

    debtor: Code
    creditor: Code
    currency: Currency
    amount: Amount
    of_night: date
    reason: Why


class MoneyAdjustmentBody(msgspec.Struct, frozen=True, kw_only=True):
    """A debt that no posting makes: of a correction, a dispute, a default or an exit."""

    id: str
    origin: str
    business_date: date
    of_night: date | None
    debtor: str
    creditor: str
    currency: str
    amount: Decimal
    reason: str
    prepared_by: str
    approved_by: str
    made_at: datetime


class MoneyAdjustmentsBody(msgspec.Struct, frozen=True, kw_only=True):
    """Such debts, the newest first."""

    data: list[MoneyAdjustmentBody]


class CalendarBody(msgspec.Struct, frozen=True, kw_only=True):
    """Whose holidays a currency's payments keep, and how many business days they take."""

    currency: Currency
    calendar: Annotated[str, Meta(max_length=32)]
    value_days: Annotated[int, Meta(ge=0, le=10)]


class NewCalendarBody(CalendarBody, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A calendar to be: a country, `AT`, a part of one, `DE-BY`, a market, `XECB`; '' Monday to Friday."""


class CalendarDayBody(msgspec.Struct, frozen=True, kw_only=True):
    """A day on which banks work, or do not, other than the calendar says."""

    currency: Currency
    day: date
    is_open: bool
    reason: Why


class NewCalendarDayBody(CalendarDayBody, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Such a day to be."""


class CalendarsBody(msgspec.Struct, frozen=True, kw_only=True):
    """Calendars, and days that are other than these say."""

    data: list[CalendarBody]
    days: list[CalendarDayBody]


_CORRECTION = msgspec.json.Decoder(NewCorrectionBody)
_CALENDAR = msgspec.json.Decoder(NewCalendarBody)
_DAY = msgspec.json.Decoder(NewCalendarDayBody)
TYPES = (
    *(NewCorrectionBody, MoneyAdjustmentBody, MoneyAdjustmentsBody, CalendarBody, NewCalendarBody),
    *(CalendarDayBody, NewCalendarDayBody, CalendarsBody),
)


@router.get("/corrections", **guarded(*EVERYBODY, answer=MoneyAdjustmentsBody))
def list_adjustments(
    request: Request,
    since: Annotated[date, Query(description="The first business date.")] = date(2000, 1, 1),
    limit: Annotated[int, Query(ge=1, le=100)] = 50,
) -> Response:
    """Debts that no posting made, of whatever origin, the newest first."""
    with desk_of(request).database.connect() as connection:
        codes = {who: code for who, (code, _) in store.load_names(connection).items()}
        found = corrections.list_adjustments(connection, since=since, limit=limit)
    return answered(
        MoneyAdjustmentsBody(
            data=[
                MoneyAdjustmentBody(
                    id=str(one["adjustment_id"]),
                    origin=one["origin"],
                    business_date=date_of_window(one["window_id"]),
                    of_night=None
                    if one["origin_window_id"] is None
                    else date_of_window(one["origin_window_id"]),
                    debtor=codes[one["debtor_id"]],
                    creditor=codes[one["creditor_id"]],
                    **{
                        name: one[name]
                        for name in ("currency", "amount", "reason", "prepared_by", "approved_by", "made_at")
                    },
                )
                for one in found
            ]
        )
    )


@router.post("/corrections", **guarded("maker", answer=ProposedBody, body=NewCorrectionBody))
def propose_correction(request: Request, raw: Raw) -> Response:
    """Propose a debt for what was wrong in a night; approved, it falls into the window that is open then."""
    said = msgspec.structs.asdict(read_body(raw, _CORRECTION))
    return proposed(request, corrections.propose_correction, **{**said, "amount": Decimal(said["amount"])})


@router.get("/calendars", **guarded(*EVERYBODY, answer=CalendarsBody))
def list_calendars(request: Request) -> Response:
    """On which days payments have their value; a currency without one rests at weekends."""
    with desk_of(request).database.connect() as connection:
        calendars, days = corrections.list_calendars(connection)
    return answered(
        CalendarsBody(
            data=[CalendarBody(**one) for one in calendars], days=[CalendarDayBody(**one) for one in days]
        )
    )


@router.post("/calendars", **guarded("maker", answer=ProposedBody, body=NewCalendarBody))
def propose_calendar(request: Request, raw: Raw) -> Response:
    """Propose a currency's calendar; it holds for payments that are instructed from then on."""
    said = read_body(raw, _CALENDAR)
    return proposed(request, corrections.propose_calendar, **msgspec.structs.asdict(said))


@router.post("/calendars/days", **guarded("maker", answer=ProposedBody, body=NewCalendarDayBody))
def propose_day(request: Request, raw: Raw) -> Response:
    """Propose a day that is other than the calendar says."""
    said = read_body(raw, _DAY)
    return proposed(request, corrections.propose_day, **msgspec.structs.asdict(said))
