"""Which nights a report is of."""

from datetime import date

import pytest

from settlement.reports.errors import SpanUnclear
from settlement.reports.spans import Asked, span_of


@pytest.mark.parametrize(
    ("given", "asked"),
    [
        (("2017-05-31", None, None), Asked(date(2017, 5, 31), date(2017, 5, 31), "2017-05-31")),
        ((None, "2017-02", None), Asked(date(2017, 2, 1), date(2017, 2, 28), "2017-02")),
        ((None, "2016-12", None), Asked(date(2016, 12, 1), date(2016, 12, 31), "2016-12")),
        ((None, None, "2017"), Asked(date(2017, 1, 1), date(2017, 12, 31), "2017")),
    ],
)
def test_dates_of_a_span(given: tuple[str | None, str | None, str | None], asked: Asked) -> None:
    """A day, a month of any length, a year; and what files are called."""
    assert span_of(*given) == asked


@pytest.mark.parametrize(
    "given",
    [
        (None, None, None),
        ("2017-05-01", "2017-05", None),
        ("May", None, None),
        (None, "2017-13", None),
        (None, "2017", None),
        (None, None, "17"),
        (None, None, "20170"),
    ],
)
def test_what_is_no_span(given: tuple[str | None, str | None, str | None]) -> None:
    """None, several, or no such date: nothing is guessed."""
    with pytest.raises(SpanUnclear):
        span_of(*given)
