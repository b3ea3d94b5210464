"""Games: matches, stakes, and what was paid for them.

Revision ID: 0027b
Revises: 0029b
"""

from alembic import op
from sqlalchemy import text

from config.roles import grant_to_application

revision = "0027b"
down_revision = "0029b"
branch_labels = None
depends_on = None

_TABLES = """
CREATE TABLE game_match (
    match_id uuid PRIMARY KEY,
    game text NOT NULL,
    title text NOT NULL,
    outcomes text[] NOT NULL,
    odds integer[] NOT NULL,
    pays text NOT NULL,
    partners integer[] NOT NULL,
    stake bigint NOT NULL,
    most_stakes integer NOT NULL,
    gift bigint NOT NULL,
    funder_id integer,
    begins_at timestamptz NOT NULL,
    closes_at timestamptz NOT NULL,
    opened_by text NOT NULL,
    opened_at timestamptz NOT NULL,
    state text DEFAULT 'open' NOT NULL,
    result text,
    decided_at timestamptz,
    settled_at timestamptz,
    CONSTRAINT game_match_state_known CHECK (state IN ('open', 'decided', 'cancelled')),
    CONSTRAINT game_match_result_where_decided CHECK ((state = 'decided') = (result IS NOT NULL)),
    CONSTRAINT game_match_decided_once CHECK ((state = 'open') = (decided_at IS NULL)),
    CONSTRAINT game_match_result_known CHECK (result IS NULL OR result = ANY(outcomes)),
    CONSTRAINT game_match_settled_after CHECK (settled_at IS NULL OR decided_at IS NOT NULL),
    CONSTRAINT game_match_closes_before CHECK (closes_at <= begins_at)
);

CREATE TABLE stake (
    member_id bigint NOT NULL,
    entry_id uuid NOT NULL,
    match_id uuid NOT NULL,
    outcome text NOT NULL,
    points bigint NOT NULL,
    PRIMARY KEY (member_id, entry_id),
    CONSTRAINT stake_not_negative CHECK (points >= 0)
);
CREATE INDEX stake_match ON stake (match_id);

CREATE TABLE payout (
    member_id bigint NOT NULL,
    entry_id uuid NOT NULL,
    match_id uuid NOT NULL,
    stake_id uuid NOT NULL,
    PRIMARY KEY (member_id, entry_id)
);
CREATE INDEX payout_match ON payout (match_id);
"""
_CHANGES = {"game_match": "UPDATE (state, result, decided_at, settled_at)"}


def upgrade() -> None:
    """Make the tables of games; of a match only how it ended changes."""
    connection = op.get_bind()
    # Without a parameter list: only so does the driver send several statements at once.
    connection.exec_driver_sql(_TABLES, execution_options={"no_parameters": True})
    schema = str(connection.scalar(text("SELECT current_schema()")))
    grant_to_application(connection, schema, _CHANGES)
