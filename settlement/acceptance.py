"""Whose points participants accepted in a month: what breakage is shared by."""

from datetime import date, timedelta

from sqlalchemy import Connection, text

from network.model import AccountKind
from network.service import window_id_of
from settlement.model import OUTSTANDING

_OUT = ", ".join(str(int(kind)) for kind in OUTSTANDING)
_ACCEPTED = int(AccountKind.ACCEPTED)
_POINTS = text(
    f"""
    SELECT issuer_id, acceptor_id,
        sum(CASE WHEN credit = {_ACCEPTED} THEN points ELSE -points END)::bigint AS points
    FROM window_total
    WHERE window_id BETWEEN :first AND :last AND acceptor_id IS NOT NULL
        AND (credit = {_ACCEPTED} AND debit IN ({_OUT}) OR debit = {_ACCEPTED} AND credit IN ({_OUT}))
    GROUP BY 1, 2 ORDER BY 1, 2
    """
)


def load_accepted(connection: Connection, business_date: date) -> dict[int, dict[int, int]]:
    """Points accepted in the calendar month before a date's, by issuer and acceptor, returned ones taken off.

    A month is of business dates: what its windows summed when they were priced.
    """
    last = business_date.replace(day=1) - timedelta(days=1)
    wanted = {"first": window_id_of(last.replace(day=1)), "last": window_id_of(last)}
    accepted: dict[int, dict[int, int]] = {}
    for row in connection.execute(_POINTS, wanted):
        accepted.setdefault(row.issuer_id, {})[row.acceptor_id] = row.points
    return accepted
