"""A request may name a refused one that it tries again: which of them was accepted in its place.

Revision ID: 0015b
Revises: 0015
"""

from alembic import op

from config.roles import grant_to_application

revision = "0015b"
down_revision = "0015"
branch_labels = None
depends_on = None

# Not valid at first: the table is large, and no row has the new column yet.
_COLUMN = """
ALTER TABLE idempotency
    ADD COLUMN retried_by UUID,
    ADD CONSTRAINT idempotency_retried_was_refused
        CHECK (retried_by IS NULL OR refusal IS NOT NULL) NOT VALID;
ALTER TABLE idempotency VALIDATE CONSTRAINT idempotency_retried_was_refused;
"""


def upgrade() -> None:
    """Widen the table of requests."""
    connection = op.get_bind()
    # Without a parameter list: only so does the driver send several statements at once.
    connection.exec_driver_sql(_COLUMN, execution_options={"no_parameters": True})
    schema = str(connection.exec_driver_sql("SELECT current_schema()").scalar_one())
    grant_to_application(connection, schema, {"idempotency": "UPDATE (retried_by)"})
