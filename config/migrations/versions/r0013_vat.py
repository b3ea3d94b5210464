"""VAT on flows: its month to date.

Revision ID: 0013
Revises: 0012
"""

from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Obligations of VAT keep what they were before rounding. A default does it without touching a row."""
    op.execute("ALTER TABLE obligation ADD COLUMN vat_base numeric DEFAULT 0 NOT NULL")
