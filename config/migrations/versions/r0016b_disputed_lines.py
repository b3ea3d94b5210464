"""Disputes of what a partner pays the operator; whose VAT goes back with what a dispute awards.

Revision ID: 0016b
Revises: 0020
"""

from alembic import op

revision = "0016b"
down_revision = "0020"
branch_labels = None
depends_on = None

# Adjustments from before stay as they were priced: VAT between their parties, at the rate of their night.
_TABLES = """
ALTER TABLE money_adjustment
    ADD COLUMN taxed_as TEXT NOT NULL DEFAULT '',
    ADD COLUMN pooled_amount NUMERIC NOT NULL DEFAULT 0,
    ADD COLUMN vat_on DATE,
    ADD CONSTRAINT money_adjustment_taxed CHECK (taxed_as IN ('', 'issue', 'fee', 'none')),
    ADD CONSTRAINT money_adjustment_pooled CHECK (pooled_amount BETWEEN 0 AND amount);

ALTER TABLE dispute
    DROP CONSTRAINT dispute_line_once,
    ADD CONSTRAINT dispute_line_once
        UNIQUE NULLS NOT DISTINCT (raised_by_id, against_id, window_id, flow, entry_id),
    ADD CONSTRAINT dispute_flow_known CHECK (flow IN ('redemption', 'issue', 'fee', 'vat'));
"""


def upgrade() -> None:
    """Widen the tables of disputes and adjustments."""
    # Without a parameter list: only so does the driver send several statements at once.
    op.get_bind().exec_driver_sql(_TABLES, execution_options={"no_parameters": True})
