"""Tries to sign in: after five wrong ones nobody gets a try under that name for a while, right or wrong.

A try is counted before it is judged, so that many at once are not more than five. Names that nobody has are
counted just so, in shares of all such names, that the table stays small and the answer tells nothing.
"""

from datetime import datetime, timedelta
from hashlib import blake2b

from sqlalchemy import Connection, Engine, text

from partners.errors import NameInvalid, TooManyTries
from partners.people.model import operator_name

FREE_TRIES = 5
FIRST_LOCK = timedelta(seconds=30)
LONGEST_LOCK = timedelta(minutes=15)
FORGOTTEN_AFTER = timedelta(days=1)
_SHARES = 4_096

_KNOWN = text("SELECT EXISTS (SELECT FROM operator WHERE operator_id = :name)")
_COUNT = text(
    """
    INSERT INTO sign_in_guard AS g (guarded, failed, tried_at, locked_until) VALUES (:guarded, 1, :now, NULL)
    ON CONFLICT (guarded) DO UPDATE SET tried_at = :now,
        failed = CASE WHEN g.tried_at < :forgotten THEN 1 ELSE g.failed + 1 END,
        locked_until = CASE WHEN g.tried_at >= :forgotten AND g.failed + 1 >= :free
            THEN CAST(:now AS timestamptz) + interval '1 second'
                * least(:first * power(2, least(g.failed + 1 - :free, 20)), :longest) END
    WHERE g.locked_until IS NULL OR g.locked_until <= :now
    RETURNING failed
    """
)
_LOCKED = text("SELECT locked_until FROM sign_in_guard WHERE guarded = :guarded")
_FORGET = text("UPDATE sign_in_guard SET failed = 0, locked_until = NULL WHERE guarded = :guarded")


def admit(database: Engine, given: str, now: datetime) -> int:
    """Count a try to act as somebody; how many there were in a row.

    Raises:
        TooManyTries: none is to be had before a time.
    """
    with database.begin() as connection:
        guarded = _guarded(connection, given)
        failed = connection.execute(
            _COUNT,
            {
                "guarded": guarded,
                "now": now,
                "forgotten": now - FORGOTTEN_AFTER,
                "free": FREE_TRIES,
                "first": FIRST_LOCK.total_seconds(),
                "longest": LONGEST_LOCK.total_seconds(),
            },
        ).scalar_one_or_none()
        if failed is not None:
            return int(failed)
        until: datetime = connection.execute(_LOCKED, {"guarded": guarded}).scalar_one()
    raise TooManyTries(max(1, int((until - now).total_seconds()) + 1))


def forget_tries(connection: Connection, operator_id: str) -> None:
    """Somebody has shown who it is: wrong tries before do not count."""
    connection.execute(_FORGET, {"guarded": f"operator {operator_id}"})


def _guarded(connection: Connection, given: str) -> str:
    try:
        name = operator_name(given)
    except NameInvalid:
        name = given[:200]
    else:
        if connection.execute(_KNOWN, {"name": name}).scalar_one():
            return f"operator {name}"
    share = int.from_bytes(blake2b(name.encode(errors="replace"), digest_size=4).digest()) % _SHARES
    return f"nobody {share}"
