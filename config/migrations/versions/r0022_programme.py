"""Programmes: counters of members, budgets of rules, how sales were judged, tiers that end, segments.

Revision ID: 0022
Revises: 0039
"""

from alembic import op
from sqlalchemy import text

from config.roles import grant_to_application

revision = "0022"
down_revision = "0039"
branch_labels = None
depends_on = None

_TABLES = """
ALTER TABLE account ADD COLUMN tier_until date DEFAULT '9999-12-31' NOT NULL;
CREATE INDEX account_tier_until ON account (tier_until) WHERE tier_until < '9999-12-31';

CREATE TABLE member_counter (
    member_id bigint NOT NULL,
    name text NOT NULL,
    period date NOT NULL,
    value bigint NOT NULL,
    PRIMARY KEY (member_id, name, period)
) WITH (fillfactor = 70);

CREATE TABLE rule_budget (
    rule_id text NOT NULL,
    period date NOT NULL,
    points bigint NOT NULL,
    PRIMARY KEY (rule_id, period)
);

CREATE TABLE judgement (
    member_id bigint NOT NULL,
    entry_id uuid NOT NULL,
    judgement text NOT NULL,
    PRIMARY KEY (member_id, entry_id)
);

CREATE TABLE tier_change (
    member_id bigint NOT NULL,
    entry_id uuid NOT NULL,
    tier text NOT NULL,
    tier_until date NOT NULL,
    PRIMARY KEY (member_id, entry_id)
);
INSERT INTO tier_change (member_id, entry_id, tier, tier_until)
    SELECT DISTINCT ON (a.member_id) a.member_id, e.entry_id, a.tier, '9999-12-31'
    FROM account a JOIN entry e ON e.member_id = a.member_id AND e.kind = 20
    WHERE a.unit = 1 ORDER BY a.member_id, e.entry_id DESC;

CREATE TABLE member_segment (
    member_id bigint NOT NULL,
    segment text NOT NULL,
    PRIMARY KEY (member_id, segment)
);
"""
_CHANGES = {
    "account": "UPDATE (tier_until)",
    "member_counter": "UPDATE (value)",
    "rule_budget": "UPDATE (points)",
}


def upgrade() -> None:
    """Make the tables of programmes, and grant the application what it must change in them."""
    connection = op.get_bind()
    # Without a parameter list: only so does the driver send several statements at once.
    connection.exec_driver_sql(_TABLES, execution_options={"no_parameters": True})
    schema = str(connection.scalar(text("SELECT current_schema()")))
    grant_to_application(connection, schema, _CHANGES)
