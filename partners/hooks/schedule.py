"""When a delivery is tried, when an endpoint is left in peace, and when it is given up (pure).

Of one member and endpoint the oldest event that is not delivered stands before the others: they wait for it
until it is delivered or given up. Other members' events do not wait for it.
"""

from datetime import datetime, timedelta

from msgspec import Struct

DELAYS = (
    timedelta(0),
    timedelta(seconds=5),
    timedelta(minutes=5),
    timedelta(minutes=30),
    timedelta(hours=2),
    timedelta(hours=5),
    timedelta(hours=10),
    timedelta(hours=14),
    timedelta(hours=20),
    timedelta(hours=24),
)
"""Before each attempt, counted from the one before it: ten attempts in 75 hours and a half."""
MOST_JITTER = 0.1
"""Of a delay, on top of it: an endpoint that comes back is not met by all at once."""
RESTS_AFTER = 5
"""Failures in a row, of whichever events, after which an endpoint is left in peace for a while."""
_FIRST_REST = timedelta(seconds=5)
_LONGEST_REST = timedelta(minutes=5)
KEPT = timedelta(days=30)
"""How long events, deliveries and attempts are kept."""
TIMEOUT_SECONDS = 15.0
"""From the name's resolution to the last byte of the answer that is looked at."""


class Failed(Struct, frozen=True):
    """What follows a failed attempt. `due_at` None: the schedule is used up."""

    due_at: datetime | None


def after_failure(attempts: int, at: datetime, jitter: float) -> Failed:
    """When a delivery is due again.

    Args:
        attempts: How many there were on this schedule, the one that failed included; from 1.
        at: When it failed.
        jitter: 0 to 1, drawn by the caller.
    """
    if attempts >= len(DELAYS):
        return Failed(None)
    return Failed(at + DELAYS[attempts] * (1 + MOST_JITTER * jitter))


def rests_until(failures: int, at: datetime) -> datetime | None:
    """Until when nothing is sent to an endpoint that failed so many times in a row; None: it goes on."""
    if failures < RESTS_AFTER:
        return None
    doubled: int = 1 << min(failures - RESTS_AFTER, 10)
    return at + min(_FIRST_REST * doubled, _LONGEST_REST)


def is_given_up(begun_at: datetime, delivered_at: datetime | None) -> bool:
    """Whether an endpoint is disabled as a delivery's schedule is used up: nothing got through meanwhile."""
    return delivered_at is None or delivered_at < begun_at
