"""The nightly review of tiers whose time is over: kept, lower, or none."""

from datetime import date, datetime

from sqlalchemy import Engine, text

from network.batch import execute
from network.commands import ReviewTier
from network.model import Entry, Unit
from network.rules import Rules
from network.service import load_rules
from partners.model import OPERATOR_ID

REVIEWED_AT_ONCE = 500
"""Accounts in one transaction, so that tills never wait long for it."""

_OVER = text(
    "SELECT member_id, tier_until FROM account"
    " WHERE tier_until < :on AND unit = :unit AND member_id > :after ORDER BY member_id LIMIT :limit"
)


def review_tiers(database: Engine, on: date, rules: Rules | None = None, now: datetime | None = None) -> int:
    """Review every member whose tier ended before a date; resumable, and nobody twice.

    Args:
        database: Where the ledger is.
        on: Tiers whose last day is before this date are over.
        rules: The live rules; read where they are needed, if they are not given.
        now: What the reviews' time is said to be; the network's, where it is not given.
    Returns:
        How many were reviewed.
    """
    reviewed = after = 0
    while True:
        wanted = {"on": on, "unit": int(Unit.POINTS), "after": after, "limit": REVIEWED_AT_ONCE}
        with database.connect() as connection:
            over = connection.execute(_OVER, wanted).all()
            at = now or connection.execute(_NOW).scalar_one()
            if not over:
                return reviewed
            live = load_rules(connection) if rules is None else rules
        after = over[-1].member_id
        replies = execute(
            database,
            [
                ReviewTier(
                    partner_id=OPERATOR_ID,
                    reference=f"tier review {row.member_id} {row.tier_until}",
                    occurred_at=at,
                    member_id=row.member_id,
                )
                for row in over
            ],
            live,
        )
        reviewed += sum(isinstance(reply.outcome, Entry) and not reply.replayed for reply in replies)


_NOW = text("SELECT coalesce((SELECT clock FROM network), clock_timestamp())")
