"""Tables of the partners room: who takes part, on which terms, with which keys.

They are small and read by every node, so on a distributed engine they are reference tables; no other table
points at them with a foreign key (measured: five such keys cut inserts to a third, and lock partner rows).
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Date,
    DateTime,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Numeric,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    text,
)

metadata = MetaData()

partner = Table(
    "partner",
    metadata,
    Column("partner_id", Integer, primary_key=True, autoincrement=False),
    Column("code", Text, nullable=False, unique=True),
    Column("name", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("status", Text, nullable=False, server_default="active"),
    CheckConstraint("kind IN ('partner', 'operator', 'pool', 'fx', 'safeguard')", name="partner_kind_known"),
    CheckConstraint("status IN ('active', 'suspended', 'left')", name="partner_status_known"),
)
"""Every participant of clearing; the operator (1) and the pool (2) are participants like any partner."""

outlet = Table(
    "outlet",
    metadata,
    Column("partner_id", Integer, ForeignKey("partner.partner_id"), nullable=False),
    Column("outlet_code", Text, nullable=False),
    Column("name", Text, nullable=False),
    PrimaryKeyConstraint("partner_id", "outlet_code"),
)

partner_key = Table(
    "partner_key",
    metadata,
    Column("key_id", Text, primary_key=True),
    Column("partner_id", Integer, ForeignKey("partner.partner_id"), nullable=False),
    Column("public_key", LargeBinary, nullable=False),
    Column("not_before", DateTime(timezone=True), nullable=False),
    Column("not_after", DateTime(timezone=True)),
    Column("revoked_at", DateTime(timezone=True)),
    CheckConstraint("octet_length(public_key) = 32", name="partner_key_is_ed25519"),
    CheckConstraint("not_after IS NULL OR not_after > not_before", name="partner_key_interval"),
)

contract_terms = Table(
    "contract_terms",
    metadata,
    Column("partner_id", Integer, ForeignKey("partner.partner_id"), nullable=False),
    Column("terms_version", Integer, nullable=False),
    Column("effective_on", Date, nullable=False),
    Column("currency", Text, nullable=False),
    Column("funding_share", Numeric(5, 4), nullable=False),
    Column("issue_price", Numeric(18, 8), nullable=False),
    Column("reimbursement_rate", Numeric(18, 8), nullable=False),
    Column("fee_per_issued_point", Numeric(18, 8), nullable=False, server_default="0"),
    Column("fee_per_transaction", Numeric(18, 8), nullable=False, server_default="0"),
    Column("fee_bps_of_credits", Numeric(9, 4), nullable=False, server_default="0"),
    Column("vat_bps", Integer, nullable=False, server_default="0"),
    Column("breakage_to", Text, nullable=False, server_default="operator"),
    Column("prepared_by", Text, nullable=False),
    Column("activated_by", Text, nullable=False),
    Column("returned_elsewhere", Boolean, nullable=False, server_default="false"),
    Column("takes_returns", Boolean, nullable=False, server_default="false"),
    Column("accepts_donations", Boolean, nullable=False, server_default="false"),
    Column("breakage_operator_share", Numeric(5, 4), nullable=False, server_default="0"),
    Column("monthly_minimum", Numeric(18, 4), nullable=False, server_default="0"),
    Column("deposit", Numeric(18, 4), nullable=False, server_default="0"),
    Column("guarantee", Numeric(18, 4), nullable=False, server_default="0"),
    Column("net_debit_cap", Numeric(18, 4)),
    Column("at_cap", Text, nullable=False, server_default="refuse"),
    Column("cap_warning_bps", Integer, nullable=False, server_default="8000"),
    Column("cap_alarm_bps", Integer, nullable=False, server_default="9500"),
    Column("fx_source", Text, nullable=False, server_default=""),
    Column("dispute_days", Integer, nullable=False, server_default="30"),
    Column("minimum_payment_minor", BigInteger, nullable=False, server_default="0"),
    Column("notice_days", Integer, nullable=False, server_default="90"),
    Column("run_off_days", Integer, nullable=False, server_default="365"),
    Column("suspended_cost_to", Text, nullable=False, server_default="issuer"),
    Column("late_days", Integer, nullable=False, server_default="30"),
    Column("offline_floor_points", BigInteger, nullable=False, server_default="0"),
    PrimaryKeyConstraint("partner_id", "terms_version"),
    UniqueConstraint("partner_id", "effective_on", name="contract_terms_one_a_day"),
    CheckConstraint("terms_version > 0", name="contract_terms_version_positive"),
    CheckConstraint("funding_share BETWEEN 0 AND 1", name="contract_terms_share"),
    CheckConstraint("issue_price >= 0 AND reimbursement_rate >= 0", name="contract_terms_prices"),
    CheckConstraint(
        "fee_per_issued_point >= 0 AND fee_per_transaction >= 0 AND fee_bps_of_credits >= 0 AND vat_bps >= 0",
        name="contract_terms_fees",
    ),
    CheckConstraint("breakage_to IN ('operator', 'issuer', 'acceptors')", name="contract_terms_breakage"),
    CheckConstraint("prepared_by <> activated_by", name="contract_terms_four_eyes"),
    CheckConstraint("breakage_operator_share BETWEEN 0 AND 1", name="contract_terms_breakage_share"),
    CheckConstraint(
        "monthly_minimum >= 0 AND deposit >= 0 AND guarantee >= 0 AND net_debit_cap >= 0"
        " AND minimum_payment_minor >= 0",
        name="contract_terms_limits",
    ),
    CheckConstraint("at_cap IN ('refuse', 'flag')", name="contract_terms_at_cap"),
    CheckConstraint("cap_warning_bps BETWEEN 0 AND cap_alarm_bps", name="contract_terms_warnings"),
    CheckConstraint(
        "dispute_days >= 0 AND notice_days >= 0 AND run_off_days >= 0 AND late_days >= 0",
        name="contract_terms_days",
    ),
    CheckConstraint("offline_floor_points >= 0", name="contract_terms_offline_floor"),
    CheckConstraint("suspended_cost_to IN ('issuer', 'operator')", name="contract_terms_suspended"),
)
"""Dated terms: never edited, only superseded (a trigger refuses updates and deletes)."""

contract_category = Table(
    "contract_category",
    metadata,
    Column("partner_id", Integer, nullable=False),
    Column("terms_version", Integer, nullable=False),
    Column("category", SmallInteger, ForeignKey("redemption_category.category"), nullable=False),
    Column("reimbursement_rate", Numeric(18, 8), nullable=False),
    PrimaryKeyConstraint("partner_id", "terms_version", "category"),
    ForeignKeyConstraint(
        ["partner_id", "terms_version"], ["contract_terms.partner_id", "contract_terms.terms_version"]
    ),
    CheckConstraint("reimbursement_rate >= 0", name="contract_category_rate"),
)
"""Rates of a version for categories of redemption; as immutable as the version."""

contract_vat = Table(
    "contract_vat",
    metadata,
    Column("partner_id", Integer, nullable=False),
    Column("terms_version", Integer, nullable=False),
    Column("flow", Text, nullable=False),
    Column("vat_code", Text, nullable=False),
    PrimaryKeyConstraint("partner_id", "terms_version", "flow"),
    ForeignKeyConstraint(
        ["partner_id", "terms_version"], ["contract_terms.partner_id", "contract_terms.terms_version"]
    ),
    CheckConstraint("flow IN ('fee', 'issue', 'redemption', 'margin', 'lapse')", name="contract_vat_flow"),
)
"""VAT codes of a version, by flow; as immutable as the version."""

contract_draft = Table(
    "contract_draft",
    metadata,
    Column("draft_id", Uuid, primary_key=True),
    Column("partner_id", Integer, ForeignKey("partner.partner_id"), nullable=False),
    Column("terms_version", Integer, nullable=False),
    Column("body", Text, nullable=False),
    Column("sha256", LargeBinary, nullable=False),
    Column("prepared_by", Text, nullable=False),
    Column("prepared_at", DateTime(timezone=True), nullable=False),
    Column("decided_by", Text),
    Column("decided_at", DateTime(timezone=True)),
    Column("activated", Boolean),
    CheckConstraint("(decided_by IS NULL) = (decided_at IS NULL)", name="contract_draft_decided_whole"),
    CheckConstraint("(decided_by IS NULL) = (activated IS NULL)", name="contract_draft_decided_so"),
    CheckConstraint("activated IS NOT TRUE OR decided_by <> prepared_by", name="contract_draft_four_eyes"),
    CheckConstraint("octet_length(sha256) = 32", name="contract_draft_hash"),
)
"""Versions that were prepared: `body` is the whole version. Who prepared one may withdraw it alone."""

redemption_category = Table(
    "redemption_category",
    metadata,
    Column("category", SmallInteger, primary_key=True, autoincrement=False),
    Column("code", Text, nullable=False, unique=True),
    Column("name", Text, nullable=False),
    CheckConstraint("category > 0", name="redemption_category_positive"),
)
"""Kinds of redemption that contracts may price apart; 0 on a posting is none of them."""

vat_rate = Table(
    "vat_rate",
    metadata,
    Column("vat_code", Text, nullable=False),
    Column("effective_on", Date, nullable=False),
    Column("rate_bps", Integer, nullable=False),
    Column("prepared_by", Text, nullable=False),
    Column("activated_by", Text, nullable=False),
    PrimaryKeyConstraint("vat_code", "effective_on"),
    CheckConstraint("rate_bps BETWEEN 0 AND 10000", name="vat_rate_range"),
    CheckConstraint("prepared_by <> activated_by", name="vat_rate_four_eyes"),
)

fx_rate = Table(
    "fx_rate",
    metadata,
    Column("source", Text, nullable=False),
    Column("base", Text, nullable=False),
    Column("quote", Text, nullable=False),
    Column("fixed_on", Date, nullable=False),
    Column("revision", Integer, nullable=False),
    Column("rate", Numeric(24, 10), nullable=False),
    Column("prepared_by", Text, nullable=False),
    Column("activated_by", Text, nullable=False),
    PrimaryKeyConstraint("source", "base", "quote", "fixed_on", "revision"),
    CheckConstraint("rate > 0 AND base <> quote AND revision > 0", name="fx_rate_sane"),
    CheckConstraint("prepared_by <> activated_by", name="fx_rate_four_eyes"),
)
"""Fixings: one unit of `base` is `rate` units of `quote`; one that was wrong is followed by a revision."""

partner_exit = Table(
    "partner_exit",
    metadata,
    Column("partner_id", Integer, ForeignKey("partner.partner_id"), nullable=False),
    Column("notice_on", Date, nullable=False),
    Column("last_earn_on", Date, nullable=False),
    Column("last_burn_on", Date, nullable=False),
    Column("run_off_until", Date, nullable=False),
    Column("mode", Text, nullable=False),
    Column("prepared_by", Text, nullable=False),
    Column("approved_by", Text, nullable=False),
    PrimaryKeyConstraint("partner_id"),
    CheckConstraint(
        "notice_on <= last_earn_on AND last_earn_on <= last_burn_on AND last_burn_on <= run_off_until",
        name="partner_exit_order",
    ),
    CheckConstraint("mode IN ('run_off', 'buy_out')", name="partner_exit_mode"),
    CheckConstraint("prepared_by <> approved_by", name="partner_exit_four_eyes"),
)
"""A partner that leaves: when it stops to issue, to accept, and until when its points run off."""

file_batch = Table(
    "file_batch",
    metadata,
    Column("partner_id", Integer, nullable=False),
    Column("batch_id", Uuid, nullable=False),
    Column("file_key", Uuid, nullable=False),
    Column("reference", Text, nullable=False),
    Column("format", Text, nullable=False),
    Column("columns", Text, nullable=False),
    Column("content_sha256", LargeBinary, nullable=False),
    Column("lines", Integer, nullable=False),
    Column("answered", Integer, nullable=False, server_default="0"),
    Column("refused", Integer, nullable=False, server_default="0"),
    Column("received_at", DateTime(timezone=True), nullable=False),
    Column("finished_at", DateTime(timezone=True)),
    Column("kept_until", DateTime(timezone=True)),
    Column("expired_at", DateTime(timezone=True)),
    PrimaryKeyConstraint("partner_id", "batch_id"),
    UniqueConstraint("partner_id", "file_key", name="file_batch_key_once"),
    CheckConstraint("format IN ('ndjson', 'csv')", name="file_batch_format"),
    CheckConstraint("(format = 'csv') = (columns <> '')", name="file_batch_columns"),
    CheckConstraint("octet_length(content_sha256) = 32", name="file_batch_hash"),
    CheckConstraint("lines BETWEEN 1 AND 100000", name="file_batch_lines"),
    CheckConstraint("refused BETWEEN 0 AND answered AND answered <= lines", name="file_batch_answered"),
    CheckConstraint("(finished_at IS NOT NULL) = (answered = lines)", name="file_batch_finished"),
    CheckConstraint("(kept_until IS NOT NULL) = (finished_at IS NOT NULL)", name="file_batch_kept"),
    CheckConstraint("expired_at >= kept_until", name="file_batch_expired"),
)
"""A file that was received whole; sharded by its partner on a distributed engine. The partner names it by a
reference, or its content does: `file_key` is a hash of either. The first `answered` lines are done."""

Index(
    "file_batch_waiting",
    file_batch.c.partner_id,
    file_batch.c.batch_id,
    postgresql_where=text("finished_at IS NULL"),
)
Index(
    "file_batch_over",
    file_batch.c.kept_until,
    postgresql_where=text("expired_at IS NULL AND kept_until IS NOT NULL"),
)

file_part = Table(
    "file_part",
    metadata,
    Column("partner_id", Integer, nullable=False),
    Column("batch_id", Uuid, nullable=False),
    Column("first_line", Integer, nullable=False),
    Column("content", LargeBinary, nullable=False),
    PrimaryKeyConstraint("partner_id", "batch_id", "first_line"),
)
"""Whole lines of a file, packed (zlib); removed once all of it is carried out."""

file_answer = Table(
    "file_answer",
    metadata,
    Column("partner_id", Integer, nullable=False),
    Column("batch_id", Uuid, nullable=False),
    Column("first_line", Integer, nullable=False),
    Column("last_line", Integer, nullable=False),
    Column("content", LargeBinary, nullable=False),
    PrimaryKeyConstraint("partner_id", "batch_id", "first_line"),
    CheckConstraint("first_line BETWEEN 1 AND last_line", name="file_answer_lines"),
)
"""The answers to lines of a file, one a line (NDJSON, packed); removed when the file's month is over."""
