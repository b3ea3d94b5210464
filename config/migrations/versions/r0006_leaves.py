"""Seals say which version of leaves they are over: those of today also cover who takes part in a transfer.

Revision ID: 0006
Revises: 0005
"""

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Seals that are there are of the first version."""
    op.execute("ALTER TABLE window_seal ADD COLUMN version smallint DEFAULT 1 NOT NULL")
