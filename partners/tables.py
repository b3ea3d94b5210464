"""Tables of the partners room: who takes part, on which terms, with which keys.

They are small and read by every node, so on a distributed engine they are reference tables; no other table
points at them with a foreign key (measured: five such keys cut inserts to a third, and lock partner rows).
"""

from sqlalchemy import (
    Boolean,
    CheckConstraint,
    Column,
    Date,
    DateTime,
    ForeignKey,
    Integer,
    LargeBinary,
    MetaData,
    Numeric,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
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
    CheckConstraint("kind IN ('partner', 'operator', 'pool')", name="partner_kind_known"),
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
    PrimaryKeyConstraint("partner_id", "terms_version"),
    UniqueConstraint("partner_id", "effective_on", name="contract_terms_one_a_day"),
    CheckConstraint("terms_version > 0", name="contract_terms_version_positive"),
    CheckConstraint("funding_share BETWEEN 0 AND 1", name="contract_terms_share"),
    CheckConstraint("issue_price >= 0 AND reimbursement_rate >= 0", name="contract_terms_prices"),
    CheckConstraint(
        "fee_per_issued_point >= 0 AND fee_per_transaction >= 0 AND fee_bps_of_credits >= 0 AND vat_bps >= 0",
        name="contract_terms_fees",
    ),
    CheckConstraint("breakage_to IN ('operator', 'issuer')", name="contract_terms_breakage"),
    CheckConstraint("prepared_by <> activated_by", name="contract_terms_four_eyes"),
)
"""Dated terms: never edited, only superseded (a trigger refuses updates and deletes)."""
