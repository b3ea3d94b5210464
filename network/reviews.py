"""The nightly review of tiers whose time is over: kept, lower, or none."""

from datetime import date

from sqlalchemy import Connection, Engine, text

from network.commands import ReviewTier
from network.model import Unit
from network.service import network_now
from network.sets import carry_out_due
from partners.model import OPERATOR_ID

_OVER = text(
    "SELECT member_id, tier_until FROM account"
    " WHERE tier_until < :on AND unit = :unit AND member_id > :after ORDER BY member_id LIMIT :limit"
)


def review_tiers(database: Engine, on: date) -> int:
    """Review every member whose tier ended before a date; resumable, and nobody twice.

    Args:
        database: Where the ledger is.
        on: Tiers whose last day is before this date are over.
    Returns:
        How many were reviewed.
    """

    def over(connection: Connection, last: ReviewTier | None, limit: int) -> list[ReviewTier]:
        after = 0 if last is None else last.member_id
        wanted = {"on": on, "unit": int(Unit.POINTS), "after": after, "limit": limit}
        at = network_now(connection)
        return [
            ReviewTier(
                partner_id=OPERATOR_ID,
                reference=f"tier review {row.member_id} {row.tier_until}",
                occurred_at=at,
                member_id=row.member_id,
            )
            for row in connection.execute(_OVER, wanted)
        ]

    return carry_out_due(database, over)
