"""Paid plans.

Revision ID: 0026c
Revises: 0027b
"""

from alembic import op
from sqlalchemy import text

from config.roles import grant_to_application

revision = "0026c"
down_revision = "0027b"
branch_labels = None
depends_on = None

_TABLE = """
CREATE TABLE plan_membership (
    member_id bigint NOT NULL,
    entry_id uuid NOT NULL,
    plan text NOT NULL,
    starts_on date NOT NULL,
    paid_until date NOT NULL,
    ends_on date NOT NULL,
    ended_by uuid,
    PRIMARY KEY (member_id, entry_id),
    CONSTRAINT plan_membership_days CHECK (starts_on <= paid_until AND ends_on <= paid_until),
    CONSTRAINT plan_membership_ended_by CHECK (ends_on = paid_until OR ended_by IS NOT NULL)
)
"""


def upgrade() -> None:
    """Make the table of memberships, and grant the application what it must change in it."""
    connection = op.get_bind()
    connection.exec_driver_sql(_TABLE)
    schema = str(connection.scalar(text("SELECT current_schema()")))
    grant_to_application(connection, schema, {"plan_membership": "UPDATE (ends_on, ended_by)"})
