"""Programmes take effect on a day.

Revision ID: 0023
Revises: 0022
"""

from alembic import op

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Give every version its first day; those that were applied had it at once."""
    op.get_bind().exec_driver_sql(
        "ALTER TABLE programme_version ADD COLUMN effective_on date DEFAULT '1970-01-01' NOT NULL"
    )
