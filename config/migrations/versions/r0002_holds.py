"""Holds: redemption in two phases. Pending points.

Revision ID: 0002
Revises: 0001
"""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_HOLDS = """
CREATE TABLE hold (
    member_id bigint NOT NULL,
    entry_id uuid NOT NULL,
    points bigint NOT NULL,
    captured bigint NOT NULL,
    returned bigint NOT NULL,
    lapses_at timestamp with time zone NOT NULL,
    PRIMARY KEY (member_id, entry_id),
    CONSTRAINT hold_not_negative CHECK (points > 0 AND captured >= 0 AND returned >= 0),
    CONSTRAINT hold_not_exceeded CHECK (captured + returned <= points)
);
CREATE INDEX hold_open ON hold (lapses_at) WHERE captured + returned < points;
ALTER TABLE entry ADD COLUMN hold_id uuid;
ALTER TABLE account ADD COLUMN pending_until date DEFAULT '1970-01-01' NOT NULL;
"""


def upgrade() -> None:
    """Make the table, and let entries name their hold."""
    op.execute(_HOLDS)
