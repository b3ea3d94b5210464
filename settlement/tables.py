"""Tables of the settlement room: what each night computed, beside windows whose postings never change."""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Date,
    DateTime,
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

settlement_run = Table(
    "settlement_run",
    metadata,
    Column("window_id", Integer, nullable=False),
    Column("revision", Integer, nullable=False),
    Column("state", Text, nullable=False),
    PrimaryKeyConstraint("window_id", "revision"),
    CheckConstraint(
        "state IN ('closed', 'priced', 'netted', 'approved', 'instructed', 'funded', 'paid', 'settled',"
        " 'aborted')",
        name="settlement_run_state_known",
    ),
    Index("settlement_run_one_live", "window_id", unique=True, postgresql_where=text("state <> 'aborted'")),
)
"""A window's runs: one that lives, and those before it that were aborted. `state`: the last step done."""

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

value_total = Table(
    "value_total",
    metadata,
    Column("window_id", Integer, nullable=False),
    Column("unit", SmallInteger, nullable=False),
    Column("debit", SmallInteger, nullable=False),
    Column("credit", SmallInteger, nullable=False),
    Column("issuer_id", Integer, nullable=False),
    Column("issuer_terms", Integer, nullable=False),
    Column("acceptor_id", Integer),
    Column("minor", BigInteger, nullable=False),
    Column("postings", BigInteger, nullable=False),
    UniqueConstraint(
        *("window_id", "unit", "debit", "credit", "issuer_id", "issuer_terms", "acceptor_id"),
        name="value_total_key",
        postgresql_nulls_not_distinct=True,
    ),
)
"""Postings of a closed window that count money, summed: stored value, and fees of paid plans."""

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
    Column("currency", Text, nullable=False),
    Column("category", SmallInteger, nullable=False, server_default=text("0")),
    Column("vat_base", Numeric, nullable=False, server_default=text("0")),
    PrimaryKeyConstraint("window_id", "revision", "flow", "debtor_id", "creditor_id", "currency", "category"),
)
"""Gross debts, exact Decimals in major units of the currency; negative where reversals outweigh.

`vat_base`: of VAT, tonight's before rounding; its `amount` is the rounded month to date less what was
charged before.
"""

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
    Column("converted", Numeric, nullable=False, server_default=text("0")),
    Column("deferred_in_minor", BigInteger, nullable=False, server_default=text("0")),
    Column("deferred_out_minor", BigInteger, nullable=False, server_default=text("0")),
    PrimaryKeyConstraint("window_id", "revision", "participant_id", "currency"),
)
"""What each participant receives (+) or pays (-) tonight, and the fraction of a cent that it carries on.

`fee_base` and `vat_base` are the unrounded fee and VAT of this window; what is charged is the rounded
month to date less what was charged before. `converted`: what FX brought (+) or took (-). What is paid is
deferred_in_minor + final_minor - deferred_out_minor: see the minimum payment in docs/night.md.
"""

fx_conversion = Table(
    "fx_conversion",
    metadata,
    Column("window_id", Integer, nullable=False),
    Column("revision", Integer, nullable=False),
    Column("participant_id", Integer, nullable=False),
    Column("from_currency", Text, nullable=False),
    Column("to_currency", Text, nullable=False),
    Column("from_amount", Numeric, nullable=False),
    Column("to_amount", Numeric, nullable=False),
    Column("rate", Numeric, nullable=False),
    Column("source", Text, nullable=False),
    Column("fixed_on", Date, nullable=False),
    PrimaryKeyConstraint("window_id", "revision", "participant_id", "from_currency"),
    CheckConstraint("from_currency <> to_currency AND rate > 0", name="fx_conversion_sane"),
)
"""A participant's amount in a currency that it does not settle in, as the hub's FX account took it over."""

network_key = Table(
    "network_key",
    metadata,
    Column("key_id", Text, primary_key=True),
    Column("public_key", LargeBinary, nullable=False),
    Column("added_at", DateTime(timezone=True), nullable=False),
    CheckConstraint("octet_length(public_key) = 32", name="network_key_32_bytes"),
)
"""Public halves of the keys that the network has sealed with; they stay, so that old seals can be checked."""

window_seal = Table(
    "window_seal",
    metadata,
    Column("window_id", Integer, primary_key=True, autoincrement=False),
    Column("tree_size", BigInteger, nullable=False),
    Column("root", LargeBinary, nullable=False),
    Column("previous_hash", LargeBinary, nullable=False),
    Column("seal_hash", LargeBinary, nullable=False),
    Column("signed_at", DateTime(timezone=True), nullable=False),
    Column("key_id", Text, nullable=False),
    Column("signature", LargeBinary, nullable=False),
    Column("version", SmallInteger, nullable=False, server_default=text("1")),
    ForeignKeyConstraint(["key_id"], ["network_key.key_id"]),
    CheckConstraint("tree_size >= 0", name="window_seal_size"),
    CheckConstraint(
        "octet_length(root) = 32 AND octet_length(previous_hash) = 32 AND octet_length(seal_hash) = 32"
        " AND octet_length(signature) = 64",
        name="window_seal_lengths",
    ),
)
"""What the network signed about a closed window: the Merkle root over its postings, and the seal before.

`version`: of the leaves, that is which facts of each posting the root is over.
"""

window_seal_block = Table(
    "window_seal_block",
    metadata,
    Column("window_id", Integer, nullable=False),
    Column("block", Integer, nullable=False),
    Column("first_member", BigInteger, nullable=False),
    Column("first_entry", Uuid, nullable=False),
    Column("first_line", SmallInteger, nullable=False),
    Column("root", LargeBinary, nullable=False),
    Column("marks", LargeBinary, nullable=False),
    PrimaryKeyConstraint("window_id", "block"),
)
"""The seal's tree at the height of blocks (settlement.leaves): where each begins, its root, and of each leaf
hash the first four bytes. A proof reads one block instead of a window, and a changed posting has a name."""
