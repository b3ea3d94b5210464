"""Offline redemptions: how many points a till may accept without a line, and what each was for.

Revision ID: 0039
Revises: 0019
"""

from alembic import op
from sqlalchemy import text

revision = "0039"
down_revision = "0019"
branch_labels = None
depends_on = None

_TABLES = """
ALTER TABLE contract_terms
    ADD COLUMN offline_floor_points BIGINT DEFAULT '0' NOT NULL,
    ADD CONSTRAINT contract_terms_offline_floor CHECK (offline_floor_points >= 0);

CREATE TABLE offline_redemption (
    member_id BIGINT NOT NULL,
    entry_id UUID NOT NULL,
    points BIGINT NOT NULL,
    PRIMARY KEY (member_id, entry_id),
    CONSTRAINT offline_redemption_positive CHECK (points > 0)
);
CREATE TRIGGER offline_redemption_never_changes BEFORE UPDATE OR DELETE ON offline_redemption
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
"""


def upgrade() -> None:
    """Widen contracts, and make the table; what is in it never changes."""
    connection = op.get_bind()
    # Without a parameter list: only so does the driver send several statements at once.
    connection.exec_driver_sql(_TABLES, execution_options={"no_parameters": True})
    connection.execute(text("SELECT never_empties('offline_redemption')"))
