"""Defaults and exits: the simulation a case was decided by, what it carries where, who stands in for leavers.

Revision ID: 0012
Revises: 0010
"""

from alembic import op
from sqlalchemy import text

from config.roles import grant_to_application

revision = "0012"
down_revision = "0010"
branch_labels = None
depends_on = None

_TABLES = """
CREATE TABLE default_simulation (
    case_id UUID NOT NULL,
    body TEXT NOT NULL,
    sha256 BYTEA NOT NULL,
    PRIMARY KEY (case_id),
    FOREIGN KEY(case_id) REFERENCES default_case (case_id),
    CONSTRAINT default_simulation_hash CHECK (sha256 = sha256(convert_to(body, 'UTF8')))
);

CREATE TABLE default_carry (
    case_id UUID NOT NULL,
    window_id INTEGER NOT NULL,
    PRIMARY KEY (case_id),
    FOREIGN KEY(case_id) REFERENCES default_case (case_id)
);
CREATE INDEX default_carry_window ON default_carry (window_id);

CREATE TABLE stand_in (
    partner_id INTEGER NOT NULL,
    from_window_id INTEGER NOT NULL,
    stand_in_id INTEGER NOT NULL,
    decided_by TEXT NOT NULL,
    decided_at timestamptz NOT NULL,
    PRIMARY KEY (partner_id),
    CONSTRAINT stand_in_another CHECK (partner_id <> stand_in_id)
);
"""
_NEVER_CHANGE = ("default_simulation", "default_carry", "stand_in")


def upgrade() -> None:
    """Make the tables; what is in them never changes."""
    connection = op.get_bind()
    guards = "\n".join(
        f"CREATE TRIGGER {table}_never_changes BEFORE UPDATE OR DELETE ON {table}"
        " FOR EACH ROW EXECUTE FUNCTION refuse_change();"
        for table in _NEVER_CHANGE
    )
    for script in (_TABLES, guards):
        # Without a parameter list: only so does the driver send several statements at once.
        connection.exec_driver_sql(script, execution_options={"no_parameters": True})
    for table in _NEVER_CHANGE:
        connection.execute(text("SELECT never_empties(:table)"), {"table": table})
    schema = str(connection.scalar(text("SELECT current_schema()")))
    grant_to_application(connection, schema, {"partner": "UPDATE (status)"})
