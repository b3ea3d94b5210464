"""Stored value: the safeguarding account, and what nights took of it.

Revision ID: 0026b
Revises: 0027
"""

from alembic import op

revision = "0026b"
down_revision = "0027"
branch_labels = None
depends_on = None

_TABLES = """
ALTER TABLE partner
    DROP CONSTRAINT partner_kind_known,
    ADD CONSTRAINT partner_kind_known
        CHECK (kind IN ('partner', 'operator', 'pool', 'fx', 'safeguard'));

ALTER TABLE money_posting
    DROP CONSTRAINT money_posting_account_known,
    ADD CONSTRAINT money_posting_account_known CHECK (account IN (
        'cash', 'receivable', 'payable', 'carried', 'rounding', 'claim', 'pool', 'fees', 'vat', 'margin',
        'breakage', 'fx', 'safeguarded', 'deposit', 'guarantee', 'suspense', 'loss'
    ));

CREATE TABLE value_total (
    window_id integer NOT NULL,
    unit smallint NOT NULL,
    debit smallint NOT NULL,
    credit smallint NOT NULL,
    issuer_id integer NOT NULL,
    issuer_terms integer NOT NULL,
    acceptor_id integer,
    minor bigint NOT NULL,
    postings bigint NOT NULL,
    CONSTRAINT value_total_key UNIQUE NULLS NOT DISTINCT
        (window_id, unit, debit, credit, issuer_id, issuer_terms, acceptor_id)
);
"""


def upgrade() -> None:
    """Let there be a safeguarding account, and make the table of what nights took."""
    # Without a parameter list: only so does the driver send several statements at once.
    op.get_bind().exec_driver_sql(_TABLES, execution_options={"no_parameters": True})
