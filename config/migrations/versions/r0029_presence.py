"""A member is there: a PIN, tries that were wrong, and what it approves on its phone.

Revision ID: 0029
Revises: 0028
"""

from alembic import op
from sqlalchemy import text

from config.roles import grant_to_application

revision = "0029"
down_revision = "0028"
branch_labels = None
depends_on = None

_TABLES = """
ALTER TABLE member_login
    ADD COLUMN pin_hash bytea,
    ADD COLUMN proof_tries integer DEFAULT 0 NOT NULL,
    ADD COLUMN proof_tried_at timestamptz;

CREATE TABLE member_approval (
    member_id bigint NOT NULL,
    approval_id uuid NOT NULL,
    partner_id integer NOT NULL,
    reference text NOT NULL,
    card_number bigint NOT NULL,
    outlet_code text NOT NULL,
    points bigint NOT NULL,
    amount_minor bigint NOT NULL,
    currency text NOT NULL,
    asked_at timestamptz NOT NULL,
    ends_at timestamptz NOT NULL,
    answered_at timestamptz,
    approved boolean,
    used_for uuid,
    PRIMARY KEY (member_id, approval_id),
    CONSTRAINT member_approval_asked_once UNIQUE (member_id, partner_id, reference),
    CONSTRAINT member_approval_points_positive CHECK (points > 0),
    CONSTRAINT member_approval_answered_whole CHECK ((answered_at IS NULL) = (approved IS NULL)),
    CONSTRAINT member_approval_used_if_given CHECK (used_for IS NULL OR approved IS TRUE)
);
"""

_CHANGES = {
    "member_login": "UPDATE (pin_hash, proof_tries, proof_tried_at)",
    "member_approval": "UPDATE (ends_at, answered_at, approved, used_for)",
}


def upgrade() -> None:
    """Widen logins, and make the table of approvals; an answer is given once."""
    connection = op.get_bind()
    schema = str(connection.scalar(text("SELECT current_schema()")))
    # Without a parameter list: only so does the driver send several statements at once.
    connection.exec_driver_sql(_TABLES, execution_options={"no_parameters": True})
    grant_to_application(connection, schema, _CHANGES)
