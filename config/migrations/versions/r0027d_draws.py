"""Draws: seeds, what is published of them, tickets.

Revision ID: 0027d
Revises: 0027c
"""

from alembic import op
from sqlalchemy import text

from config.roles import grant_to_application, reader_role

revision = "0027d"
down_revision = "0027c"
branch_labels = None
depends_on = None

_TABLES = """
CREATE TABLE raffle (
    draw text PRIMARY KEY,
    prizes integer NOT NULL,
    commitment bytea NOT NULL,
    announced_by text NOT NULL,
    announced_at timestamptz NOT NULL,
    closed_at timestamptz,
    tickets_sha256 bytea,
    revealed_at timestamptz,
    seed bytea,
    CONSTRAINT raffle_closed_whole CHECK ((closed_at IS NULL) = (tickets_sha256 IS NULL)),
    CONSTRAINT raffle_revealed_whole CHECK ((revealed_at IS NULL) = (seed IS NULL)),
    CONSTRAINT raffle_seed_committed CHECK (seed IS NULL OR sha256(seed) = commitment)
);

CREATE TABLE raffle_seed (
    draw text PRIMARY KEY,
    seed bytea NOT NULL
);

CREATE TABLE raffle_ticket (
    member_id bigint NOT NULL,
    draw text NOT NULL,
    ticket text NOT NULL,
    place integer,
    PRIMARY KEY (member_id, draw)
);
CREATE INDEX raffle_ticket_draw ON raffle_ticket (draw, ticket);
"""
_CHANGES = {
    "raffle": "UPDATE (closed_at, tickets_sha256, revealed_at, seed)",
    "raffle_ticket": "UPDATE (place)",
}


def upgrade() -> None:
    """Make the tables of draws; a seed that is not revealed is nothing for readers."""
    connection = op.get_bind()
    # Without a parameter list: only so does the driver send several statements at once.
    connection.exec_driver_sql(_TABLES, execution_options={"no_parameters": True})
    schema = str(connection.scalar(text("SELECT current_schema()")))
    grant_to_application(connection, schema, _CHANGES)
    connection.exec_driver_sql(f'REVOKE SELECT ON raffle_seed FROM "{reader_role(schema)}"')
