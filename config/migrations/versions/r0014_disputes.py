"""Disputes: the partner's reference, whose credit it was, what is awarded, and bounds of evidence.

Revision ID: 0014
Revises: 0013
"""

from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

# Nobody could raise a dispute before: the tables are empty.
_TABLES = """
ALTER TABLE dispute
    ADD COLUMN reference TEXT NOT NULL,
    ADD COLUMN credited_id INTEGER NOT NULL,
    ADD COLUMN credited_terms INTEGER NOT NULL,
    ADD CONSTRAINT dispute_reference_once UNIQUE (raised_by_id, reference),
    ADD CONSTRAINT dispute_line_once
        UNIQUE NULLS NOT DISTINCT (raised_by_id, against_id, window_id, entry_id),
    ADD CONSTRAINT dispute_credited CHECK (credited_id IN (raised_by_id, against_id));
CREATE INDEX dispute_against ON dispute (against_id, dispute_id);
CREATE INDEX dispute_raised_by ON dispute (raised_by_id, dispute_id);

ALTER TABLE dispute_event
    ADD COLUMN awarded NUMERIC,
    ADD UNIQUE (adjustment_id),
    ADD FOREIGN KEY (adjustment_id) REFERENCES money_adjustment (adjustment_id),
    ADD CONSTRAINT dispute_event_begins CHECK ((sequence = 1) = (state = 'raised')),
    ADD CONSTRAINT dispute_event_deadline CHECK (
        (state IN ('raised', 'rejected')) = (answer_until IS NOT NULL)
    ),
    ADD CONSTRAINT dispute_event_awarded CHECK (
        (state IN ('accepted', 'decided')) = (awarded IS NOT NULL)
    ),
    ADD CONSTRAINT dispute_event_paid CHECK (
        coalesce(awarded, 0) >= 0 AND (coalesce(awarded, 0) > 0) = (adjustment_id IS NOT NULL)
    );
CREATE INDEX dispute_event_due ON dispute_event (answer_until) WHERE answer_until IS NOT NULL;

ALTER TABLE dispute_evidence
    ADD CONSTRAINT dispute_evidence_hash CHECK (sha256 = sha256(content)),
    ADD CONSTRAINT dispute_evidence_size CHECK (octet_length(content) BETWEEN 1 AND 1048576),
    ADD CONSTRAINT dispute_evidence_name CHECK (length(name) BETWEEN 1 AND 100),
    ADD CONSTRAINT dispute_evidence_type CHECK (
        media_type IN ('application/pdf', 'image/jpeg', 'image/png', 'text/csv', 'text/plain')
    );
"""


def upgrade() -> None:
    """Widen the tables of disputes."""
    # Without a parameter list: only so does the driver send several statements at once.
    op.get_bind().exec_driver_sql(_TABLES, execution_options={"no_parameters": True})
