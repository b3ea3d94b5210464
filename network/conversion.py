"""What the night does with vouchers: a quarter's points become some, and those whose last day is over end.

Both go through the engine, a few hundred members at a time, each under a reference of its own: so they can be
cut off anywhere and gone on with, and nothing happens twice.
"""

from datetime import date
from uuid import UUID

from sqlalchemy import Connection, Engine, text

from network.commands import Convert, LapseVoucher
from network.model import Unit
from network.programme.counters import period_of
from network.service import load_rules, network_now
from network.sets import carry_out_due
from partners.model import OPERATOR_ID

_OVER = text(
    "SELECT member_id, entry_id FROM voucher WHERE ended_by IS NULL AND ends_on < :on"
    " AND entry_id > :after ORDER BY entry_id LIMIT :limit"
)
_DONE = text("SELECT EXISTS (SELECT FROM conversion_run WHERE quarter = :quarter)")
_LIVE_THEN = text(
    "SELECT programme_version FROM programme_version WHERE effective_on <= :on"
    " ORDER BY effective_on DESC, programme_version DESC LIMIT 1"
)
_WITH_POINTS = text(
    "SELECT a.member_id FROM account a"
    " WHERE a.unit = :unit AND a.balance >= :minimum AND a.member_id > :after"
    " AND NOT EXISTS (SELECT FROM conversion_refusal r WHERE r.member_id = a.member_id)"
    " ORDER BY a.member_id LIMIT :limit"
)
_FINISH = text(
    "INSERT INTO conversion_run (quarter, done_at) VALUES (:quarter, :at) ON CONFLICT (quarter) DO NOTHING"
)


def lapse_vouchers(database: Engine, on: date) -> int:
    """End the vouchers whose last day is before a date; how many there were."""

    def over(connection: Connection, last: LapseVoucher | None, limit: int) -> list[LapseVoucher]:
        after = UUID(int=0) if last is None else last.voucher_id
        at = network_now(connection)
        return [
            LapseVoucher(
                partner_id=OPERATOR_ID,
                reference=f"voucher {row.entry_id.hex} over",
                occurred_at=at,
                voucher_id=row.entry_id,
            )
            for row in connection.execute(_OVER, {"on": on, "after": after, "limit": limit})
        ]

    return carry_out_due(database, over)


def reference_of(quarter: date, member_id: int) -> str:
    """The name of what a quarter's end makes of a member's points; `quarter` is the first day of the next."""
    return f"conversion {quarter} {member_id}"


def convert_due(database: Engine, on: date) -> int:
    """Turn members' points into vouchers, once in each quarter; how many vouchers that made.

    The programme that was in force on the quarter's first day says whether and how. Points that die with the
    old quarter are not among those that turn into vouchers.

    Args:
        database: Where the ledger is.
        on: The new business date.
    """
    quarter = period_of("quarter", on)
    with database.connect() as connection:
        if connection.execute(_DONE, {"quarter": quarter}).scalar_one():
            return 0
        version: int | None = connection.execute(_LIVE_THEN, {"on": quarter}).scalar()
        conversion = None if version is None else load_rules(connection).programmes[version].conversion
    made = 0
    if version is not None and conversion is not None:
        made = _convert(database, quarter, version, conversion.minimum)
    with database.begin() as connection:
        connection.execute(_FINISH, {"quarter": quarter, "at": network_now(connection)})
    return made


def _convert(database: Engine, quarter: date, version: int, minimum: int) -> int:
    def due(connection: Connection, last: Convert | None, limit: int) -> list[Convert]:
        after = 0 if last is None else last.member_id
        wanted = {"unit": int(Unit.POINTS), "minimum": minimum, "after": after, "limit": limit}
        at = network_now(connection)
        return [
            Convert(
                partner_id=OPERATOR_ID,
                reference=reference_of(quarter, member_id),
                occurred_at=at,
                member_id=member_id,
                programme_version=version,
            )
            for member_id in connection.execute(_WITH_POINTS, wanted).scalars()
        ]

    return carry_out_due(database, due)
