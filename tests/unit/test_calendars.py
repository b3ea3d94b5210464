"""Business days and value dates, and nights on which clocks turn."""

from datetime import date, datetime, time, timedelta

import pytest

from network.service import Network, closes_at
from settlement.calendars import business_days, require_calendar, value_date
from settlement.errors import CalendarUnknown
from settlement.money_model import CurrencyCalendar


@pytest.mark.parametrize(
    ("calendar", "start", "days", "expected"),
    [
        ("", date(2017, 5, 5), 1, date(2017, 5, 8)),  # a Friday
        ("", date(2017, 5, 6), 0, date(2017, 5, 8)),
        ("", date(2017, 5, 6), 1, date(2017, 5, 8)),
        ("", date(2017, 5, 8), 0, date(2017, 5, 8)),
        ("AT", date(2017, 4, 28), 1, date(2017, 5, 2)),  # the first of May
        ("XECB", date(2017, 4, 13), 1, date(2017, 4, 18)),  # Easter: Good Friday to Monday
        ("XECB", date(2017, 4, 13), 2, date(2017, 4, 19)),
        ("DE-BY", date(2017, 1, 5), 1, date(2017, 1, 9)),  # Epiphany, in Bavaria
        ("DE-BE", date(2017, 1, 5), 1, date(2017, 1, 6)),
        ("US", date(2017, 7, 3), 1, date(2017, 7, 5)),
        ("IL", date(2023, 5, 4), 1, date(2023, 5, 7)),  # works on Sundays
    ],
)
def test_value_dates(calendar: str, start: date, days: int, expected: date) -> None:
    """Weekends and holidays are passed over, by the calendar that is named."""
    assert value_date(start, days, business_days(calendar)) == expected


def test_exceptions_come_before_the_calendar() -> None:
    """A day that the operator closed is none, and a holiday that it opened is one."""
    works = business_days("AT", {date(2017, 5, 2): False, date(2017, 5, 6): True})
    assert value_date(date(2017, 4, 28), 1, works) == date(2017, 5, 3)
    assert value_date(date(2017, 5, 5), 1, works) == date(2017, 5, 6)


def test_a_calendar_that_is_not_there_is_refused() -> None:
    """Before it is written down, and where it is asked."""
    with pytest.raises(CalendarUnknown, match="no calendar 'XX'"):
        require_calendar(CurrencyCalendar(currency="EUR", calendar="XX"))
    with pytest.raises(CalendarUnknown, match="no business day"):
        value_date(date(2017, 5, 1), 1, lambda _: False)


def closing(zone: str, cut_off: time, on: date) -> datetime:
    """When a business date ends, in UTC."""
    return closes_at(Network(name="n", time_zone=zone, cut_off=cut_off, currency="EUR"), on)


@pytest.mark.parametrize(
    ("zone", "cut_off", "on", "ends", "hours"),
    [
        ("Europe/Vienna", time(3, 30), date(2017, 3, 24), (2017, 3, 25, 2, 30), 24),
        ("Europe/Vienna", time(3, 30), date(2017, 3, 25), (2017, 3, 26, 1, 30), 23),
        ("Europe/Vienna", time(3, 30), date(2017, 10, 28), (2017, 10, 29, 2, 30), 25),
        # 02:30 is skipped: as long after the jump as it would have been before it
        ("Europe/Vienna", time(2, 30), date(2017, 3, 25), (2017, 3, 26, 1, 30), 24),
        ("Europe/Vienna", time(2, 30), date(2017, 3, 26), (2017, 3, 27, 0, 30), 23),
        # 02:30 comes twice: the first
        ("Europe/Vienna", time(2, 30), date(2017, 10, 28), (2017, 10, 29, 0, 30), 24),
        ("Europe/Vienna", time(2, 30), date(2017, 10, 29), (2017, 10, 30, 1, 30), 25),
        ("America/Sao_Paulo", time(), date(2017, 10, 14), (2017, 10, 15, 3), 24),
        ("Australia/Lord_Howe", time(4), date(2017, 9, 30), (2017, 9, 30, 17), 23.5),
    ],
)
def test_nights_on_which_clocks_turn(
    zone: str, cut_off: time, on: date, ends: tuple[int, ...], hours: float
) -> None:
    """A date ends at its local cut-off, once: it has 23, 24 or 25 hours, or 23 and a half."""
    end = closing(zone, cut_off, on)
    assert end.timetuple()[: len(ends)] == ends
    assert end - closing(zone, cut_off, on - timedelta(days=1)) == timedelta(hours=hours)
