"""The ground: tables of partners, network and settlement, and the rows that nobody may change.

Revision ID: 0001
Revises:
"""

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_PARTNERS = """
CREATE TABLE partner (
    partner_id integer NOT NULL,
    code text NOT NULL,
    name text NOT NULL,
    kind text NOT NULL,
    status text DEFAULT 'active' NOT NULL,
    PRIMARY KEY (partner_id),
    CONSTRAINT partner_kind_known CHECK (kind IN ('partner', 'operator', 'pool')),
    CONSTRAINT partner_status_known CHECK (status IN ('active', 'suspended', 'left')),
    UNIQUE (code)
);

CREATE TABLE contract_terms (
    partner_id integer NOT NULL,
    terms_version integer NOT NULL,
    effective_on date NOT NULL,
    currency text NOT NULL,
    funding_share numeric(5, 4) NOT NULL,
    issue_price numeric(18, 8) NOT NULL,
    reimbursement_rate numeric(18, 8) NOT NULL,
    fee_per_issued_point numeric(18, 8) DEFAULT '0' NOT NULL,
    fee_per_transaction numeric(18, 8) DEFAULT '0' NOT NULL,
    fee_bps_of_credits numeric(9, 4) DEFAULT '0' NOT NULL,
    vat_bps integer DEFAULT '0' NOT NULL,
    breakage_to text DEFAULT 'operator' NOT NULL,
    prepared_by text NOT NULL,
    activated_by text NOT NULL,
    PRIMARY KEY (partner_id, terms_version),
    CONSTRAINT contract_terms_one_a_day UNIQUE (partner_id, effective_on),
    CONSTRAINT contract_terms_version_positive CHECK (terms_version > 0),
    CONSTRAINT contract_terms_share CHECK (funding_share BETWEEN 0 AND 1),
    CONSTRAINT contract_terms_prices CHECK (issue_price >= 0 AND reimbursement_rate >= 0),
    CONSTRAINT contract_terms_fees CHECK (
        fee_per_issued_point >= 0 AND fee_per_transaction >= 0 AND fee_bps_of_credits >= 0 AND vat_bps >= 0
    ),
    CONSTRAINT contract_terms_breakage CHECK (breakage_to IN ('operator', 'issuer')),
    CONSTRAINT contract_terms_four_eyes CHECK (prepared_by <> activated_by),
    FOREIGN KEY (partner_id) REFERENCES partner (partner_id)
);

CREATE TABLE outlet (
    partner_id integer NOT NULL,
    outlet_code text NOT NULL,
    name text NOT NULL,
    PRIMARY KEY (partner_id, outlet_code),
    FOREIGN KEY (partner_id) REFERENCES partner (partner_id)
);

CREATE TABLE partner_key (
    key_id text NOT NULL,
    partner_id integer NOT NULL,
    public_key bytea NOT NULL,
    not_before timestamptz NOT NULL,
    not_after timestamptz,
    revoked_at timestamptz,
    PRIMARY KEY (key_id),
    CONSTRAINT partner_key_is_ed25519 CHECK (octet_length(public_key) = 32),
    CONSTRAINT partner_key_interval CHECK (not_after IS NULL OR not_after > not_before),
    FOREIGN KEY (partner_id) REFERENCES partner (partner_id)
);
"""

_NETWORK = """
CREATE SEQUENCE member_id_seq AS bigint;

CREATE TABLE account (
    member_id bigint NOT NULL,
    unit smallint NOT NULL,
    balance bigint NOT NULL,
    PRIMARY KEY (member_id, unit),
    CONSTRAINT account_balance_not_negative CHECK (balance >= 0)
) WITH (fillfactor = 70);

CREATE TABLE card (
    card_number bigint NOT NULL,
    member_id bigint NOT NULL,
    status text DEFAULT 'active' NOT NULL,
    issued_at timestamptz NOT NULL,
    PRIMARY KEY (card_number),
    CONSTRAINT card_16_digits CHECK (card_number BETWEEN 1000000000000000 AND 9999999999999999),
    CONSTRAINT card_status_known CHECK (status IN ('active', 'blocked'))
);
CREATE INDEX card_member ON card (member_id);

CREATE TABLE clearing_window (
    window_id integer NOT NULL,
    business_date date NOT NULL,
    opened_at timestamptz NOT NULL,
    closed_at timestamptz,
    lapsed_through date NOT NULL,
    PRIMARY KEY (window_id),
    UNIQUE (business_date)
);
CREATE UNIQUE INDEX clearing_window_one_open ON clearing_window ((closed_at IS NULL)) WHERE closed_at IS NULL;

CREATE TABLE entry (
    member_id bigint NOT NULL,
    entry_id uuid NOT NULL,
    kind smallint NOT NULL,
    partner_id integer NOT NULL,
    window_id integer NOT NULL,
    programme_version integer NOT NULL,
    points bigint NOT NULL,
    balance_after bigint NOT NULL,
    amount_minor bigint NOT NULL,
    occurred_at timestamptz NOT NULL,
    recorded_at timestamptz NOT NULL,
    reverses uuid,
    currency text,
    outlet_code text,
    reference text NOT NULL,
    PRIMARY KEY (member_id, entry_id),
    CONSTRAINT entry_balance_not_negative CHECK (balance_after >= 0),
    CONSTRAINT entry_amount_not_negative CHECK (amount_minor >= 0)
) PARTITION BY RANGE (entry_id);
CREATE INDEX entry_partner ON entry (partner_id, entry_id);
CREATE INDEX entry_window ON entry (window_id);

CREATE TABLE idempotency (
    request_key uuid NOT NULL,
    content_hash uuid NOT NULL,
    entry_id uuid NOT NULL,
    recorded_on date NOT NULL,
    refusal text,
    PRIMARY KEY (request_key)
);

CREATE TABLE lot (
    member_id bigint NOT NULL,
    unit smallint NOT NULL,
    issuer_id integer NOT NULL,
    terms_version integer NOT NULL,
    spendable_on date NOT NULL,
    expires_on date NOT NULL,
    remaining bigint NOT NULL,
    PRIMARY KEY (member_id, unit, issuer_id, terms_version, spendable_on, expires_on),
    CONSTRAINT lot_remaining_not_negative CHECK (remaining >= 0)
) WITH (fillfactor = 70);
CREATE INDEX lot_expiry ON lot (expires_on);

CREATE TABLE member (
    member_id bigint NOT NULL,
    public_id uuid NOT NULL,
    status text DEFAULT 'active' NOT NULL,
    enrolled_by integer NOT NULL,
    enrolled_at timestamptz NOT NULL,
    PRIMARY KEY (member_id),
    CONSTRAINT member_status_known CHECK (status IN ('active', 'closed'))
);

CREATE TABLE network (
    network_id smallint NOT NULL,
    name text NOT NULL,
    time_zone text NOT NULL,
    cut_off time NOT NULL,
    currency text NOT NULL,
    clock timestamptz,
    PRIMARY KEY (network_id),
    CONSTRAINT network_is_one CHECK (network_id = 1)
);

CREATE TABLE posting (
    member_id bigint NOT NULL,
    entry_id uuid NOT NULL,
    line smallint NOT NULL,
    debit smallint NOT NULL,
    credit smallint NOT NULL,
    points bigint NOT NULL,
    issuer_id integer NOT NULL,
    issuer_terms integer NOT NULL,
    acceptor_id integer,
    acceptor_terms integer,
    category smallint DEFAULT 0 NOT NULL,
    unit smallint NOT NULL,
    window_id integer NOT NULL,
    reversed_window_id integer,
    spendable_on date NOT NULL,
    expires_on date NOT NULL,
    PRIMARY KEY (member_id, entry_id, line),
    CONSTRAINT posting_points_positive CHECK (points > 0),
    CONSTRAINT posting_moves CHECK (debit <> credit),
    CONSTRAINT posting_acceptor_whole CHECK ((acceptor_id IS NULL) = (acceptor_terms IS NULL))
) PARTITION BY RANGE (entry_id);
CREATE INDEX posting_window ON posting (window_id);

CREATE TABLE programme_version (
    programme_version integer NOT NULL,
    source text NOT NULL,
    applied_at timestamptz NOT NULL,
    applied_by text NOT NULL,
    PRIMARY KEY (programme_version)
);

CREATE TABLE reversed_points (
    member_id bigint NOT NULL,
    entry_id uuid NOT NULL,
    points bigint NOT NULL,
    amount_minor bigint NOT NULL,
    PRIMARY KEY (member_id, entry_id)
);
"""

_SETTLEMENT = """
CREATE TABLE net_position (
    window_id integer NOT NULL,
    revision integer NOT NULL,
    participant_id integer NOT NULL,
    currency text NOT NULL,
    credits numeric NOT NULL,
    debits numeric NOT NULL,
    fee_minor bigint NOT NULL,
    vat_minor bigint NOT NULL,
    fee_base numeric NOT NULL,
    vat_base numeric NOT NULL,
    carried_in numeric NOT NULL,
    exact numeric NOT NULL,
    final_minor bigint NOT NULL,
    carried_out numeric NOT NULL,
    PRIMARY KEY (window_id, revision, participant_id)
);

CREATE TABLE obligation (
    window_id integer NOT NULL,
    revision integer NOT NULL,
    flow text NOT NULL,
    debtor_id integer NOT NULL,
    creditor_id integer NOT NULL,
    points bigint NOT NULL,
    amount numeric NOT NULL,
    PRIMARY KEY (window_id, revision, flow, debtor_id, creditor_id)
);

CREATE TABLE settlement_run (
    window_id integer NOT NULL,
    revision integer NOT NULL,
    state text NOT NULL,
    PRIMARY KEY (window_id, revision),
    CONSTRAINT settlement_run_state_known CHECK (state IN ('closed', 'priced', 'netted'))
);

CREATE TABLE window_activity (
    window_id integer NOT NULL,
    partner_id integer NOT NULL,
    kind smallint NOT NULL,
    entries bigint NOT NULL,
    points bigint NOT NULL,
    amount_minor bigint NOT NULL,
    PRIMARY KEY (window_id, partner_id, kind)
);

CREATE TABLE window_total (
    window_id integer NOT NULL,
    debit smallint NOT NULL,
    credit smallint NOT NULL,
    issuer_id integer NOT NULL,
    issuer_terms integer NOT NULL,
    acceptor_id integer,
    acceptor_terms integer,
    category smallint NOT NULL,
    reversed_window_id integer,
    points bigint NOT NULL,
    postings bigint NOT NULL,
    CONSTRAINT window_total_key UNIQUE NULLS NOT DISTINCT (
        window_id, debit, credit, issuer_id, issuer_terms, acceptor_id, acceptor_terms,
        category, reversed_window_id
    )
);

CREATE TABLE settlement_step (
    window_id integer NOT NULL,
    revision integer NOT NULL,
    step text NOT NULL,
    sha256 bytea NOT NULL,
    done_at timestamptz NOT NULL,
    PRIMARY KEY (window_id, revision, step),
    FOREIGN KEY (window_id, revision) REFERENCES settlement_run (window_id, revision)
);
"""

# Postings of a closed window never change, so neither does what they were priced from. Statement triggers
# refuse TRUNCATE of a parent; on a partition itself only privileges can refuse it.
_IMMUTABLE = """
CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% of % is refused: its rows are never changed, only reversed or superseded by new ones',
        TG_OP, TG_TABLE_NAME USING ERRCODE = 'restrict_violation';
END
$$;

CREATE TRIGGER entry_never_changes BEFORE UPDATE OR DELETE ON entry
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER posting_never_changes BEFORE UPDATE OR DELETE ON posting
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER contract_terms_never_change BEFORE UPDATE OR DELETE ON contract_terms
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER clearing_window_closed_for_good BEFORE UPDATE OR DELETE ON clearing_window
    FOR EACH ROW WHEN (OLD.closed_at IS NOT NULL) EXECUTE FUNCTION refuse_change();

CREATE TRIGGER entry_never_empties BEFORE TRUNCATE ON entry EXECUTE FUNCTION refuse_change();
CREATE TRIGGER posting_never_empties BEFORE TRUNCATE ON posting EXECUTE FUNCTION refuse_change();
CREATE TRIGGER contract_terms_never_empty BEFORE TRUNCATE ON contract_terms EXECUTE FUNCTION refuse_change();
CREATE TRIGGER clearing_window_never_empties BEFORE TRUNCATE ON clearing_window
    EXECUTE FUNCTION refuse_change();
"""


def upgrade() -> None:
    """Make everything. Partitions of entry and posting are made month by month, as they are needed."""
    connection = op.get_bind()
    for script in (_PARTNERS, _NETWORK, _SETTLEMENT, _IMMUTABLE):
        # As it stands, without a parameter list: only so does the driver send several statements at once.
        connection.exec_driver_sql(script, execution_options={"no_parameters": True})
