"""The bytes that a night's hashes are of: one value, one text, in whatever order it came."""

from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal, Inexact

import pytest

from settlement.canonical import canonical, digest
from settlement.model import ClosedWindow, Obligation


def debt(creditor: int, amount: str) -> Obligation:
    """A debt of partner 11."""
    return Obligation(flow="redemption", debtor_id=11, creditor_id=creditor, points=7, amount=Decimal(amount))


def test_canonical_bytes() -> None:
    """Sorted keys and rows, no spaces, amounts as text with twenty decimals, instants in UTC."""
    window = ClosedWindow(
        window_id=20170501,
        business_date=date(2017, 5, 1),
        opened_at=datetime(2017, 5, 1, 3, tzinfo=timezone(timedelta(hours=3))),
        closed_at=datetime(2017, 5, 2, 0, 0, 0, 5, tzinfo=UTC),
        lapsed_through=date(2017, 5, 1),
    )
    assert canonical("closed", 20170501, 1, window=[window]) == (
        b'{"run":{"revision":1,"step":"closed","window_id":20170501},"tables":{"window":['
        b'{"business_date":"2017-05-01","closed_at":"2017-05-02T00:00:00.000005+00:00",'
        b'"lapsed_through":"2017-05-01","opened_at":"2017-05-01T00:00:00.000000+00:00",'
        b'"window_id":20170501}]}}'
    )
    assert canonical("priced", 20170501, 1, obligations=[debt(12, "-0.05")], activity=[]) == (
        b'{"run":{"revision":1,"step":"priced","window_id":20170501},"tables":{"activity":[],"obligations":['
        b'{"amount":"-0.05000000000000000000","creditor_id":12,"debtor_id":11,"flow":"redemption",'
        b'"points":7}]}}'
    )


def test_how_a_value_came_about_does_not_show() -> None:
    """Row order and trailing zeros make no difference; one unit in the last place does."""
    rows = [debt(12, "7.5"), debt(13, "100")]
    same = [debt(13, "1.0E+2"), debt(12, "7.5000000000000000")]
    other = [debt(12, "7.5"), debt(13, "100.00000000000000000001")]
    first, second, third = (digest("priced", 20170501, 1, obligations=some) for some in (rows, same, other))
    assert first == second != third
    assert len(first) == 32


def test_an_amount_that_does_not_fit_is_never_cut() -> None:
    """More decimals than the scale raise, so that two values cannot share a hash."""
    with pytest.raises(Inexact):
        digest("priced", 20170501, 1, obligations=[debt(12, "0.000000000000000000001")])
