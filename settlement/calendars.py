"""On which days banks work, and when a payment has its value (pure; holidays are those of a package)."""

from collections.abc import Callable, Mapping
from datetime import date, timedelta

import holidays

from settlement.errors import CalendarUnknown
from settlement.money_model import CurrencyCalendar

FARTHEST = 60
"""Days that are looked at for the next business day: a calendar that is closed for longer is wrong."""

BusinessDay = Callable[[date], bool]


def business_days(calendar: str, exceptions: Mapping[date, bool] = {}) -> BusinessDay:
    """Whether banks work on a day.

    Args:
        calendar: A country (`AT`), a part of one (`DE-BY`) or a market (`XECB`) that the package `holidays`
            knows; '' for Monday to Friday.
        exceptions: Days that are other than the calendar says; true: banks work.
    Raises:
        CalendarUnknown: there is no such calendar.
    """
    working = _working(calendar)

    def works(day: date) -> bool:
        known = exceptions.get(day)
        return working(day) if known is None else known

    return works


def value_date(start: date, days: int, works: BusinessDay) -> date:
    """The business day that is so many business days after a day; with 0 that day, or the next that is one.

    Raises:
        CalendarUnknown: none is found within two months of the last.
    """
    day, left = start, days
    idle = 0
    while not (works(day) and left <= 0):
        day += timedelta(days=1)
        if works(day):
            left -= 1
            idle = 0
        idle += 1
        if idle > FARTHEST:
            raise CalendarUnknown(
                f"no business day within {FARTHEST} days before {day}: look at the calendar"
            )
    return day


def require_calendar(row: CurrencyCalendar) -> None:
    """Make sure that a currency's calendar exists before it is written down.

    Raises:
        CalendarUnknown: it does not.
    """
    _working(row.calendar)


def _working(calendar: str) -> BusinessDay:
    if not calendar:
        return lambda day: day.weekday() < 5
    try:
        if calendar in holidays.list_supported_financial(include_aliases=True):
            found: holidays.HolidayBase = holidays.financial_holidays(calendar)
        else:
            country, _, part = calendar.partition("-")
            found = holidays.country_holidays(country, subdiv=part or None)
    except (NotImplementedError, ValueError) as error:
        raise CalendarUnknown(
            f"there is no calendar {calendar!r} ({error}): name a country (AT, DE-BY) or a market (XECB)"
        ) from error
    return found.is_working_day
