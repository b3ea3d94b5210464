"""Tables of the settlement room: what each night computed, beside windows whose postings never change."""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    DateTime,
    ForeignKeyConstraint,
    Integer,
    LargeBinary,
    MetaData,
    Numeric,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
)

metadata = MetaData()

settlement_run = Table(
    "settlement_run",
    metadata,
    Column("window_id", Integer, nullable=False),
    Column("revision", Integer, nullable=False),
    Column("state", Text, nullable=False),
    PrimaryKeyConstraint("window_id", "revision"),
    CheckConstraint("state IN ('closed', 'priced', 'netted')", name="settlement_run_state_known"),
)

settlement_step = Table(
    "settlement_step",
    metadata,
    Column("window_id", Integer, nullable=False),
    Column("revision", Integer, nullable=False),
    Column("step", Text, nullable=False),
    Column("sha256", LargeBinary, nullable=False),
    Column("done_at", DateTime(timezone=True), nullable=False),
    PrimaryKeyConstraint("window_id", "revision", "step"),
    ForeignKeyConstraint(["window_id", "revision"], ["settlement_run.window_id", "settlement_run.revision"]),
)
"""Each step commits its output with the SHA-256 of it; a night resumes at the first step not here."""

window_total = Table(
    "window_total",
    metadata,
    Column("window_id", Integer, nullable=False),
    Column("debit", SmallInteger, nullable=False),
    Column("credit", SmallInteger, nullable=False),
    Column("issuer_id", Integer, nullable=False),
    Column("issuer_terms", Integer, nullable=False),
    Column("acceptor_id", Integer),
    Column("acceptor_terms", Integer),
    Column("category", SmallInteger, nullable=False),
    Column("reversed_window_id", Integer),
    Column("points", BigInteger, nullable=False),
    Column("postings", BigInteger, nullable=False),
    UniqueConstraint(
        "window_id",
        "debit",
        "credit",
        "issuer_id",
        "issuer_terms",
        "acceptor_id",
        "acceptor_terms",
        "category",
        "reversed_window_id",
        name="window_total_key",
        postgresql_nulls_not_distinct=True,
    ),
)
"""Postings of a closed window summed by what prices them, so that nothing rescans history."""

window_activity = Table(
    "window_activity",
    metadata,
    Column("window_id", Integer, nullable=False),
    Column("partner_id", Integer, nullable=False),
    Column("kind", SmallInteger, nullable=False),
    Column("entries", BigInteger, nullable=False),
    Column("points", BigInteger, nullable=False),
    Column("amount_minor", BigInteger, nullable=False),
    PrimaryKeyConstraint("window_id", "partner_id", "kind"),
)
"""Entries of a closed window by partner and kind, for statements and reports."""

obligation = Table(
    "obligation",
    metadata,
    Column("window_id", Integer, nullable=False),
    Column("revision", Integer, nullable=False),
    Column("flow", Text, nullable=False),
    Column("debtor_id", Integer, nullable=False),
    Column("creditor_id", Integer, nullable=False),
    Column("points", BigInteger, nullable=False),
    Column("amount", Numeric, nullable=False),
    PrimaryKeyConstraint("window_id", "revision", "flow", "debtor_id", "creditor_id"),
)
"""Gross debts, exact Decimals in major units of the currency; negative where reversals outweigh."""

net_position = Table(
    "net_position",
    metadata,
    Column("window_id", Integer, nullable=False),
    Column("revision", Integer, nullable=False),
    Column("participant_id", Integer, nullable=False),
    Column("currency", Text, nullable=False),
    Column("credits", Numeric, nullable=False),
    Column("debits", Numeric, nullable=False),
    Column("fee_minor", BigInteger, nullable=False),
    Column("vat_minor", BigInteger, nullable=False),
    Column("fee_base", Numeric, nullable=False),
    Column("vat_base", Numeric, nullable=False),
    Column("carried_in", Numeric, nullable=False),
    Column("exact", Numeric, nullable=False),
    Column("final_minor", BigInteger, nullable=False),
    Column("carried_out", Numeric, nullable=False),
    PrimaryKeyConstraint("window_id", "revision", "participant_id"),
)
"""What each participant receives (+) or pays (-) tonight, and the fraction of a cent that it carries on.

`fee_base` and `vat_base` are the unrounded fee and VAT of this window; what is charged is the rounded
month to date less what was charged before.
"""
