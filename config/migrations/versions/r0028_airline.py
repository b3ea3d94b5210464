"""Children under a guardian; what was held, refused or flagged as abuse.

Revision ID: 0028
Revises: 0026b
"""

from alembic import op
from sqlalchemy import text

from config.roles import grant_to_application

revision = "0028"
down_revision = "0026b"
branch_labels = None
depends_on = None

_TABLES = """
ALTER TABLE account ADD COLUMN child_until date DEFAULT '1970-01-01' NOT NULL;
ALTER TABLE account ADD COLUMN guardian_id bigint;
ALTER TABLE account ADD CONSTRAINT account_child_has_guardian
    CHECK ((child_until = '1970-01-01') = (guardian_id IS NULL));
"""
_CHANGES = {"account": "UPDATE (child_until, guardian_id)"}


def upgrade() -> None:
    """Widen accounts, and grant the application what it must change in them."""
    connection = op.get_bind()
    # Without a parameter list: only so does the driver send several statements at once.
    connection.exec_driver_sql(_TABLES, execution_options={"no_parameters": True})
    schema = str(connection.scalar(text("SELECT current_schema()")))
    grant_to_application(connection, schema, _CHANGES)
