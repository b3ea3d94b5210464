"""Which nights a report is of, as people ask for them: a date, a month or a year."""

from datetime import date, timedelta

import msgspec

from settlement.reports.errors import SpanUnclear


class Asked(msgspec.Struct, frozen=True):
    """Business dates from one to another, both included, and what files of them are called."""

    first: date
    last: date
    label: str


def span_of(on: str | None, month: str | None, year: str | None) -> Asked:
    """The dates of one of them: 2017-05-31, 2017-05 or 2017.

    Raises:
        SpanUnclear: none or several are given, or what is given is no such date.
    """
    given = [one for one in (on, month, year) if one is not None]
    if len(given) != 1:
        raise SpanUnclear("give one of date, month and year")
    if on is not None:
        day = _date(on, on, "a date as 2017-05-31")
        return Asked(day, day, day.isoformat())
    if month is not None:
        first = _date(f"{month}-01", month, "a month as 2017-05")
        return Asked(first, (first + timedelta(days=31)).replace(day=1) - timedelta(days=1), f"{first:%Y-%m}")
    first = _date(f"{year}-01-01", given[0], "a year as 2017")
    return Asked(first, date(first.year, 12, 31), f"{first:%Y}")


def _date(text: str, given: str, wanted: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise SpanUnclear(f"{given!r}: write {wanted}") from None
