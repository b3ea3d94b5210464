"""What programmes took for abuse: held, refused or flagged, with the reason.

Revision ID: 0028b
Revises: 0025
"""

from alembic import op
from sqlalchemy import text

from config.roles import grant_to_application

revision = "0028b"
down_revision = "0025"
branch_labels = None
depends_on = None

_TABLES = """
CREATE TABLE abuse_case (
    member_id bigint NOT NULL,
    entry_id uuid NOT NULL,
    rule_id text NOT NULL,
    partner_id integer NOT NULL,
    reference text NOT NULL,
    outcome text NOT NULL,
    reason text NOT NULL,
    recorded_at timestamptz NOT NULL,
    released_by text,
    released_at timestamptz,
    PRIMARY KEY (member_id, entry_id, rule_id)
);
"""
_CHANGES = {"abuse_case": "UPDATE (released_by, released_at)"}


def upgrade() -> None:
    """Make the table, and grant the application what it must change in it."""
    connection = op.get_bind()
    # Without a parameter list: only so does the driver send several statements at once.
    connection.exec_driver_sql(_TABLES, execution_options={"no_parameters": True})
    schema = str(connection.scalar(text("SELECT current_schema()")))
    grant_to_application(connection, schema, _CHANGES)
