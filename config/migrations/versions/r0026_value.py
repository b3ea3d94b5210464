"""Pledges to causes, and what causes have raised.

Revision ID: 0026
Revises: 0023
"""

from alembic import op
from sqlalchemy import text

from config.roles import grant_to_application

revision = "0026"
down_revision = "0023"
branch_labels = None
depends_on = None

_TABLES = """
CREATE TABLE pledge (
    member_id bigint NOT NULL,
    entry_id uuid NOT NULL,
    offer text NOT NULL,
    cause_id integer NOT NULL,
    per_cent smallint NOT NULL,
    issuers integer[] NOT NULL,
    from_window integer NOT NULL,
    ended_by uuid,
    ended_window integer,
    through integer DEFAULT 0 NOT NULL,
    earned bigint DEFAULT 0 NOT NULL,
    given bigint DEFAULT 0 NOT NULL,
    PRIMARY KEY (member_id, entry_id),
    CONSTRAINT pledge_share CHECK (per_cent BETWEEN 1 AND 100),
    CONSTRAINT pledge_given_not_negative CHECK (given >= 0),
    CONSTRAINT pledge_ended_whole CHECK ((ended_by IS NULL) = (ended_window IS NULL))
);

CREATE TABLE cause_total (
    cause_id integer NOT NULL,
    window_id integer NOT NULL,
    currency text NOT NULL,
    points bigint NOT NULL,
    amount numeric NOT NULL,
    PRIMARY KEY (cause_id, window_id, currency)
);
"""
_CHANGES = {"pledge": "UPDATE (ended_by, ended_window, through, earned, given)"}


def upgrade() -> None:
    """Make the tables of pledges, and grant the application what it must change in them."""
    connection = op.get_bind()
    # Without a parameter list: only so does the driver send several statements at once.
    connection.exec_driver_sql(_TABLES, execution_options={"no_parameters": True})
    schema = str(connection.scalar(text("SELECT current_schema()")))
    grant_to_application(connection, schema, _CHANGES)
