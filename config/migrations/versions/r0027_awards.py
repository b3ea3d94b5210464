"""Awards: facts of members with their consent, segments as they are found, occasions, referrals.

Revision ID: 0027
Revises: 0026
"""

from alembic import op
from sqlalchemy import text

from config.roles import grant_to_application

revision = "0027"
down_revision = "0026"
branch_labels = None
depends_on = None

_TABLES = """
CREATE TABLE member_fact (
    member_id bigint NOT NULL,
    name text NOT NULL,
    value text,
    consent text NOT NULL,
    told_by integer NOT NULL,
    consented_at timestamptz NOT NULL,
    withdrawn_at timestamptz,
    PRIMARY KEY (member_id, name),
    CONSTRAINT member_fact_gone_when_withdrawn CHECK ((value IS NULL) = (withdrawn_at IS NOT NULL)),
    CONSTRAINT member_fact_consented CHECK (length(consent) BETWEEN 1 AND 200)
);

CREATE TABLE segment_state (
    segment text PRIMARY KEY,
    found_on date NOT NULL,
    members bigint NOT NULL,
    needs text[] NOT NULL
);

CREATE TABLE award (
    member_id bigint NOT NULL,
    entry_id uuid NOT NULL,
    award text NOT NULL,
    occasion text NOT NULL,
    role text NOT NULL,
    staff text NOT NULL,
    reason text NOT NULL,
    PRIMARY KEY (member_id, entry_id),
    CONSTRAINT award_by_staff_is_reasoned CHECK (staff = '' OR reason <> '')
);
CREATE UNIQUE INDEX award_once ON award (member_id, award, role, occasion);
CREATE INDEX award_occasion ON award (award, occasion);

CREATE TABLE referral (
    member_id bigint PRIMARY KEY,
    entry_id uuid NOT NULL,
    referrer_id bigint NOT NULL,
    CONSTRAINT referral_in_order CHECK (referrer_id < member_id)
);
"""
_CHANGES = {
    "member_fact": "UPDATE (value, consent, told_by, consented_at, withdrawn_at)",
    "member_segment": "DELETE",
    "segment_state": "UPDATE (found_on, members, needs), DELETE",
}


def upgrade() -> None:
    """Make the tables of awards, and let the application find segments anew and facts be withdrawn."""
    connection = op.get_bind()
    # Without a parameter list: only so does the driver send several statements at once.
    connection.exec_driver_sql(_TABLES, execution_options={"no_parameters": True})
    schema = str(connection.scalar(text("SELECT current_schema()")))
    grant_to_application(connection, schema, _CHANGES)
