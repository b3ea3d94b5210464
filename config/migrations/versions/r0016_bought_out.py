"""What a leaver's points were bought out at: from then on the pool holds all that they cost.

Revision ID: 0016
Revises: 0014
"""

from alembic import op
from sqlalchemy import text

revision = "0016"
down_revision = "0014"
branch_labels = None
depends_on = None

# Who left before has no row here: its points stay priced as they were, with the operator in its place.
_TABLES = """
CREATE TABLE bought_out (
    partner_id INTEGER NOT NULL,
    terms_version INTEGER NOT NULL,
    points BIGINT NOT NULL,
    rate NUMERIC(20, 8) NOT NULL,
    PRIMARY KEY (partner_id, terms_version),
    FOREIGN KEY(partner_id) REFERENCES stand_in (partner_id),
    CONSTRAINT bought_out_rate CHECK (rate >= 0)
);
CREATE TRIGGER bought_out_never_changes BEFORE UPDATE OR DELETE ON bought_out
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
"""


def upgrade() -> None:
    """Make the table; what is in it never changes."""
    connection = op.get_bind()
    # Without a parameter list: only so does the driver send several statements at once.
    connection.exec_driver_sql(_TABLES, execution_options={"no_parameters": True})
    connection.execute(text("SELECT never_empties(:table)"), {"table": "bought_out"})
