"""When points lapse (pure)."""

from calendar import monthrange
from datetime import date, timedelta


def month_end_after(on: date, months: int) -> date:
    """The last day of the month `months` after the month of `on`: 2017-01-15 and 3 give 2017-04-30."""
    month = on.month - 1 + months
    year, month = on.year + month // 12, month % 12 + 1
    return date(year, month, monthrange(year, month)[1])


def expiry_of_returned(today: date, grace_days: int) -> date:
    """The expiry of points that come back after their own has passed."""
    return today + timedelta(days=grace_days)
