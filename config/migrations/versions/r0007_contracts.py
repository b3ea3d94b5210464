"""Contracts in full: every term, categories and VAT codes of a version, drafts, FX fixings, calendars, exits.

Revision ID: 0007
Revises: 0006
"""

from alembic import op
from sqlalchemy import text

from config.roles import grant_to_application

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

_COLUMNS = """
ALTER TABLE partner
    DROP CONSTRAINT partner_kind_known,
    ADD CONSTRAINT partner_kind_known CHECK (kind IN ('partner', 'operator', 'pool', 'fx'));
ALTER TABLE contract_terms
    ADD COLUMN breakage_operator_share numeric(5, 4) DEFAULT '0' NOT NULL,
    ADD COLUMN monthly_minimum numeric(18, 4) DEFAULT '0' NOT NULL,
    ADD COLUMN deposit numeric(18, 4) DEFAULT '0' NOT NULL,
    ADD COLUMN guarantee numeric(18, 4) DEFAULT '0' NOT NULL,
    ADD COLUMN net_debit_cap numeric(18, 4),
    ADD COLUMN at_cap text DEFAULT 'refuse' NOT NULL,
    ADD COLUMN cap_warning_bps integer DEFAULT '8000' NOT NULL,
    ADD COLUMN cap_alarm_bps integer DEFAULT '9500' NOT NULL,
    ADD COLUMN fx_source text DEFAULT '' NOT NULL,
    ADD COLUMN dispute_days integer DEFAULT '30' NOT NULL,
    ADD COLUMN minimum_payment_minor bigint DEFAULT '0' NOT NULL,
    ADD COLUMN notice_days integer DEFAULT '90' NOT NULL,
    ADD COLUMN run_off_days integer DEFAULT '365' NOT NULL,
    ADD COLUMN suspended_cost_to text DEFAULT 'issuer' NOT NULL,
    ADD COLUMN late_days integer DEFAULT '30' NOT NULL,
    DROP CONSTRAINT contract_terms_breakage,
    ADD CONSTRAINT contract_terms_breakage CHECK (breakage_to IN ('operator', 'issuer', 'acceptors')),
    ADD CONSTRAINT contract_terms_breakage_share CHECK (breakage_operator_share BETWEEN 0 AND 1),
    ADD CONSTRAINT contract_terms_limits CHECK (
        monthly_minimum >= 0 AND deposit >= 0 AND guarantee >= 0 AND net_debit_cap >= 0
        AND minimum_payment_minor >= 0
    ),
    ADD CONSTRAINT contract_terms_at_cap CHECK (at_cap IN ('refuse', 'flag')),
    ADD CONSTRAINT contract_terms_warnings CHECK (cap_warning_bps BETWEEN 0 AND cap_alarm_bps),
    ADD CONSTRAINT contract_terms_days CHECK (
        dispute_days >= 0 AND notice_days >= 0 AND run_off_days >= 0 AND late_days >= 0
    ),
    ADD CONSTRAINT contract_terms_suspended CHECK (suspended_cost_to IN ('issuer', 'operator'));
"""
_TABLES = """
CREATE TABLE redemption_category (
    category SMALLINT NOT NULL,
    code TEXT NOT NULL,
    name TEXT NOT NULL,
    PRIMARY KEY (category),
    CONSTRAINT redemption_category_positive CHECK (category > 0),
    UNIQUE (code)
);

CREATE TABLE contract_category (
    partner_id INTEGER NOT NULL,
    terms_version INTEGER NOT NULL,
    category SMALLINT NOT NULL,
    reimbursement_rate NUMERIC(18, 8) NOT NULL,
    PRIMARY KEY (partner_id, terms_version, category),
    FOREIGN KEY(partner_id, terms_version) REFERENCES contract_terms (partner_id, terms_version),
    CONSTRAINT contract_category_rate CHECK (reimbursement_rate >= 0),
    FOREIGN KEY(category) REFERENCES redemption_category (category)
);

CREATE TABLE contract_vat (
    partner_id INTEGER NOT NULL,
    terms_version INTEGER NOT NULL,
    flow TEXT NOT NULL,
    vat_code TEXT NOT NULL,
    PRIMARY KEY (partner_id, terms_version, flow),
    FOREIGN KEY(partner_id, terms_version) REFERENCES contract_terms (partner_id, terms_version),
    CONSTRAINT contract_vat_flow CHECK (flow IN ('fee', 'issue', 'redemption', 'margin', 'lapse'))
);

CREATE TABLE contract_draft (
    draft_id UUID NOT NULL,
    partner_id INTEGER NOT NULL,
    terms_version INTEGER NOT NULL,
    body TEXT NOT NULL,
    sha256 BYTEA NOT NULL,
    prepared_by TEXT NOT NULL,
    prepared_at timestamptz NOT NULL,
    decided_by TEXT,
    decided_at timestamptz,
    activated BOOLEAN,
    PRIMARY KEY (draft_id),
    CONSTRAINT contract_draft_decided_whole CHECK ((decided_by IS NULL) = (decided_at IS NULL)),
    CONSTRAINT contract_draft_decided_so CHECK ((decided_by IS NULL) = (activated IS NULL)),
    CONSTRAINT contract_draft_four_eyes CHECK (activated IS NOT TRUE OR decided_by <> prepared_by),
    CONSTRAINT contract_draft_hash CHECK (octet_length(sha256) = 32),
    FOREIGN KEY(partner_id) REFERENCES partner (partner_id)
);

CREATE TABLE vat_rate (
    vat_code TEXT NOT NULL,
    effective_on DATE NOT NULL,
    rate_bps INTEGER NOT NULL,
    prepared_by TEXT NOT NULL,
    activated_by TEXT NOT NULL,
    PRIMARY KEY (vat_code, effective_on),
    CONSTRAINT vat_rate_range CHECK (rate_bps BETWEEN 0 AND 10000),
    CONSTRAINT vat_rate_four_eyes CHECK (prepared_by <> activated_by)
);

CREATE TABLE fx_rate (
    source TEXT NOT NULL,
    base TEXT NOT NULL,
    quote TEXT NOT NULL,
    fixed_on DATE NOT NULL,
    revision INTEGER NOT NULL,
    rate NUMERIC(24, 10) NOT NULL,
    prepared_by TEXT NOT NULL,
    activated_by TEXT NOT NULL,
    PRIMARY KEY (source, base, quote, fixed_on, revision),
    CONSTRAINT fx_rate_sane CHECK (rate > 0 AND base <> quote AND revision > 0),
    CONSTRAINT fx_rate_four_eyes CHECK (prepared_by <> activated_by)
);

CREATE TABLE partner_exit (
    partner_id INTEGER NOT NULL,
    notice_on DATE NOT NULL,
    last_earn_on DATE NOT NULL,
    last_burn_on DATE NOT NULL,
    run_off_until DATE NOT NULL,
    mode TEXT NOT NULL,
    prepared_by TEXT NOT NULL,
    approved_by TEXT NOT NULL,
    PRIMARY KEY (partner_id),
    CONSTRAINT partner_exit_order CHECK (
        notice_on <= last_earn_on AND last_earn_on <= last_burn_on AND last_burn_on <= run_off_until
    ),
    CONSTRAINT partner_exit_mode CHECK (mode IN ('run_off', 'buy_out')),
    CONSTRAINT partner_exit_four_eyes CHECK (prepared_by <> approved_by),
    FOREIGN KEY(partner_id) REFERENCES partner (partner_id)
);

CREATE TABLE currency_calendar (
    currency TEXT NOT NULL,
    calendar TEXT NOT NULL,
    value_days SMALLINT DEFAULT 1 NOT NULL,
    PRIMARY KEY (currency),
    CONSTRAINT currency_calendar_value_days CHECK (value_days BETWEEN 0 AND 10)
);

CREATE TABLE calendar_exception (
    currency TEXT NOT NULL,
    day DATE NOT NULL,
    is_open BOOLEAN NOT NULL,
    reason TEXT NOT NULL,
    added_by TEXT NOT NULL,
    PRIMARY KEY (currency, day)
);
"""
_NEVER_CHANGE = ("contract_category", "contract_vat", "vat_rate", "fx_rate", "partner_exit")
_CHANGES = {
    "contract_draft": "UPDATE (decided_by, decided_at, activated)",
    "currency_calendar": "UPDATE (calendar, value_days)",
    "calendar_exception": "UPDATE (is_open, reason, added_by), DELETE",
}


def upgrade() -> None:
    """Widen contracts, make the tables around them, and keep what was activated as it is."""
    connection = op.get_bind()
    for script in (_COLUMNS, _TABLES, _guards()):
        # Without a parameter list: only so does the driver send several statements at once.
        connection.exec_driver_sql(script, execution_options={"no_parameters": True})
    for table in (*_NEVER_CHANGE, "contract_draft"):
        connection.execute(text("SELECT never_empties(:table)"), {"table": table})
    schema = str(connection.scalar(text("SELECT current_schema()")))
    grant_to_application(connection, schema, _CHANGES)


def _guards() -> str:
    kept = [
        f"CREATE TRIGGER {table}_never_changes BEFORE UPDATE OR DELETE ON {table}"
        " FOR EACH ROW EXECUTE FUNCTION refuse_change();"
        for table in _NEVER_CHANGE
    ]
    decided = (
        "CREATE TRIGGER contract_draft_decided_for_good BEFORE UPDATE OR DELETE ON contract_draft"
        " FOR EACH ROW WHEN (OLD.decided_by IS NOT NULL) EXECUTE FUNCTION refuse_change();"
    )
    return "\n".join([*kept, decided])
