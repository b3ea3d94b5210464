"""The points ledger in full: pending until an event, deficits, transfers, pools, merges, tiers, adjustments.

Revision ID: 0005
Revises: 0004
"""

from alembic import op
from sqlalchemy import text

from config.roles import grant_to_application

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_COLUMNS = """
ALTER TABLE contract_terms
    ADD COLUMN returned_elsewhere boolean DEFAULT 'false' NOT NULL,
    ADD COLUMN takes_returns boolean DEFAULT 'false' NOT NULL,
    ADD COLUMN accepts_donations boolean DEFAULT 'false' NOT NULL;
ALTER TABLE card ADD COLUMN issued_to bigint;
UPDATE card SET issued_to = member_id;
ALTER TABLE card ALTER COLUMN issued_to SET NOT NULL;
ALTER TABLE account
    ADD COLUMN active_until date DEFAULT '1970-01-01' NOT NULL,
    ADD COLUMN deficit bigint DEFAULT 0 NOT NULL,
    ADD COLUMN pool_id uuid,
    ADD COLUMN merged_into bigint,
    ADD COLUMN merge_id uuid,
    ADD COLUMN tier text DEFAULT '' NOT NULL,
    ADD CONSTRAINT account_deficit_not_negative CHECK (deficit >= 0),
    ADD CONSTRAINT account_merged_is_empty CHECK (merged_into IS NULL OR balance + deficit = 0),
    ADD CONSTRAINT account_merged_is_in_no_pool CHECK (merged_into IS NULL OR pool_id IS NULL),
    ADD CONSTRAINT account_merged_by_an_entry CHECK ((merged_into IS NULL) = (merge_id IS NULL));
CREATE INDEX hold_open_of ON hold (member_id) WHERE captured + returned < points;
CREATE INDEX account_pool ON account (pool_id) WHERE pool_id IS NOT NULL;
CREATE INDEX account_active ON account (active_until) WHERE active_until > '1970-01-01';
ALTER TABLE entry ADD COLUMN parent_id uuid, ADD COLUMN counterpart_id bigint;
ALTER TABLE posting ADD COLUMN contributor_id bigint;
"""
_TABLES = """
CREATE TABLE pending (
    member_id bigint NOT NULL,
    entry_id uuid NOT NULL,
    points bigint NOT NULL,
    released bigint NOT NULL,
    cancelled bigint NOT NULL,
    PRIMARY KEY (member_id, entry_id),
    CONSTRAINT pending_not_negative CHECK (points > 0 AND released >= 0 AND cancelled >= 0),
    CONSTRAINT pending_not_exceeded CHECK (released + cancelled <= points)
);

CREATE TABLE deficit (
    member_id bigint NOT NULL,
    issuer_id integer NOT NULL,
    terms_version integer NOT NULL,
    entry_id uuid NOT NULL,
    points bigint NOT NULL,
    PRIMARY KEY (member_id, issuer_id, terms_version),
    CONSTRAINT deficit_not_negative CHECK (points >= 0)
);

CREATE TABLE invitation (
    member_id bigint NOT NULL,
    entry_id uuid NOT NULL,
    pool_id uuid NOT NULL,
    joined_by uuid,
    PRIMARY KEY (member_id, entry_id)
);

CREATE TABLE entry_line (
    member_id bigint NOT NULL,
    entry_id uuid NOT NULL,
    line smallint NOT NULL,
    measure bigint NOT NULL,
    returned_by uuid,
    PRIMARY KEY (member_id, entry_id, line),
    CONSTRAINT entry_line_positive CHECK (line > 0 AND measure > 0)
);

CREATE TABLE adjustment (
    member_id bigint NOT NULL,
    adjustment_id uuid NOT NULL,
    card_number bigint NOT NULL,
    issuer_id integer NOT NULL,
    points bigint NOT NULL,
    reason text NOT NULL,
    evidence text NOT NULL,
    four_eyes_above bigint NOT NULL,
    prepared_by text NOT NULL,
    prepared_at timestamptz NOT NULL,
    decided_by text,
    decided_at timestamptz,
    approved boolean,
    PRIMARY KEY (member_id, adjustment_id),
    CONSTRAINT adjustment_moves CHECK (points <> 0),
    CONSTRAINT adjustment_argued CHECK (length(btrim(reason)) > 0 AND length(btrim(evidence)) > 0),
    CONSTRAINT adjustment_decided_whole CHECK ((decided_by IS NULL) = (decided_at IS NULL)),
    CONSTRAINT adjustment_decided_so CHECK ((decided_by IS NULL) = (approved IS NULL)),
    CONSTRAINT adjustment_four_eyes CHECK (
        approved IS NOT TRUE OR abs(points) <= four_eyes_above OR decided_by <> prepared_by
    )
);
"""
_DECIDED = """
CREATE TRIGGER adjustment_decided_for_good BEFORE UPDATE OR DELETE ON adjustment
    FOR EACH ROW WHEN (OLD.decided_by IS NOT NULL) EXECUTE FUNCTION refuse_change();
CREATE TRIGGER adjustment_never_empties BEFORE TRUNCATE ON adjustment EXECUTE FUNCTION refuse_change();
"""
_CHANGES = {
    "account": "UPDATE (active_until, deficit, pool_id, merged_into, merge_id, tier)",
    "adjustment": "UPDATE (decided_by, decided_at, approved)",
    "card": "UPDATE (member_id)",
    "deficit": "UPDATE (entry_id, points)",
    "entry_line": "UPDATE (returned_by)",
    "invitation": "UPDATE (joined_by)",
    "pending": "UPDATE (released, cancelled)",
}


def upgrade() -> None:
    """Widen what is there, make the new tables, and grant the application what it must change in them."""
    connection = op.get_bind()
    for script in (_COLUMNS, _TABLES, _DECIDED):
        # Without a parameter list: only so does the driver send several statements at once.
        connection.exec_driver_sql(script, execution_options={"no_parameters": True})
    schema = str(connection.scalar(text("SELECT current_schema()")))
    grant_to_application(connection, schema, _CHANGES)
