"""Counters: what is counted for a member, under which name and from which day on (pure).

One table serves caps, n-th purchases, punch cards, challenges, spend over a threshold and tiers. A counter is
named by the rule or counter of the programme that it serves, so that it goes on when a file changes and keeps
the id; it starts anew with each period, which its first day names.
"""

from datetime import date, timedelta

EVER = date(1970, 1, 1)
"""The period of what never starts anew."""

STATUS, MONEY, VISITS = "tier:status", "tier:money", "tier:visits"
"""What makes tiers, by month and, for lifetimes, ever."""

OF_RULES = ("cap:", "nth:", "given:", "count:", "flown:", "claimed:", "tier:", "abuse:")
"""How names begin of what rules count: it goes along when accounts are merged."""


def period_of(period: str, day: date) -> date:
    """The first day of the period that a day is in."""
    match period:
        case "day":
            return day
        case "week":
            return day - timedelta(days=day.weekday())
        case "month":
            return day.replace(day=1)
        case "quarter":
            return day.replace(month=(day.month - 1) // 3 * 3 + 1, day=1)
        case "year":
            return day.replace(month=1, day=1)
    return EVER


def cap_name(rule_id: str, period: str) -> str:
    """Points that a rule gave a member in a period."""
    return f"cap:{rule_id}:{period}"


def nth_name(rule_id: str) -> str:
    """Sales that met a rule's other conditions."""
    return f"nth:{rule_id}"


def given_name(rule_id: str) -> str:
    """How often a rule has given for its counter, or for the n-th purchase."""
    return f"given:{rule_id}"


def count_name(counter_id: str) -> str:
    """A counter of the file."""
    return f"count:{counter_id}"


def coupon_name(coupon_id: str) -> str:
    """How often a member has used a coupon: it may once."""
    return f"coupon:{coupon_id}"


def flown_name(origin: str, destination: str) -> str:
    """Sectors flown between two airports, by the day; whoever flew them, so that a claim names it in vain."""
    return f"flown:{origin}-{destination}"


def claimed_name(origin: str, destination: str) -> str:
    """Those of them that were claimed later, with evidence."""
    return f"claimed:{origin}-{destination}"


def months_back(day: date, months: int) -> date:
    """The first day of the month so many months before the month of a day."""
    month = day.year * 12 + day.month - 1 - months
    return date(month // 12, month % 12 + 1, 1)
