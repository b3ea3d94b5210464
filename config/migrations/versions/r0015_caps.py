"""Caps online: what capped partners owe and may come to owe, and each time that passes a threshold.

Revision ID: 0015
Revises: 0018
"""

from alembic import op
from sqlalchemy import text

from config.roles import grant_to_application

revision = "0015"
down_revision = "0018"
branch_labels = None
depends_on = None

_TABLES = """
ALTER TABLE network ADD COLUMN caps_basis INTEGER DEFAULT 0 NOT NULL;

CREATE TABLE exposure (
    partner_id INTEGER NOT NULL,
    currency TEXT NOT NULL,
    owed NUMERIC DEFAULT 0 NOT NULL,
    held NUMERIC DEFAULT 0 NOT NULL,
    points NUMERIC DEFAULT 0 NOT NULL,
    deposit NUMERIC DEFAULT 0 NOT NULL,
    moved_by_tills BOOLEAN DEFAULT true NOT NULL,
    PRIMARY KEY (partner_id, currency)
) WITH (fillfactor = 50);

CREATE TABLE exposure_move (
    partner_id INTEGER NOT NULL,
    number INTEGER NOT NULL,
    window_id INTEGER NOT NULL,
    level_before SMALLINT NOT NULL,
    level SMALLINT NOT NULL,
    amount NUMERIC NOT NULL,
    limit_amount NUMERIC,
    currency TEXT NOT NULL,
    seen_by TEXT NOT NULL,
    moved_at timestamptz NOT NULL,
    PRIMARY KEY (partner_id, number),
    CONSTRAINT exposure_move_number CHECK (number > 0),
    CONSTRAINT exposure_move_levels CHECK (
        level BETWEEN 0 AND 3 AND level_before BETWEEN 0 AND 3 AND level <> level_before
    ),
    CONSTRAINT exposure_move_seen_by CHECK (seen_by IN ('commit', 'worker'))
);
CREATE INDEX exposure_move_window ON exposure_move (window_id);

CREATE TRIGGER exposure_move_never_changes BEFORE UPDATE OR DELETE ON exposure_move
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
"""
_CHANGES = {
    "exposure": "UPDATE (owed, held, points, deposit, moved_by_tills)",
    "network": "UPDATE (caps_basis)",
}


def upgrade() -> None:
    """Make the tables. Contracts that have caps get their rows when the worker looks, or by a command."""
    connection = op.get_bind()
    # Without a parameter list: only so does the driver send several statements at once.
    connection.exec_driver_sql(_TABLES, execution_options={"no_parameters": True})
    connection.execute(text("SELECT never_empties('exposure_move')"))
    schema = str(connection.scalar(text("SELECT current_schema()")))
    grant_to_application(connection, schema, _CHANGES)
