"""Tables of the bank: whose accounts, which files left, what statements said, and what was done about it.

A four-eyes check compares names in small letters, so that nobody is two people by writing a name twice.
"""

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Date,
    DateTime,
    ForeignKey,
    ForeignKeyConstraint,
    Identity,
    Index,
    Integer,
    LargeBinary,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from settlement.tables import metadata

bank_account = Table(
    "bank_account",
    metadata,
    Column("account_id", BigInteger, Identity(), primary_key=True),
    Column("participant_id", Integer, nullable=False),
    Column("currency", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("iban", Text, nullable=False),
    Column("bic", Text),
    Column("evidence", Text, nullable=False),
    Column("proposed_by", Text, nullable=False),
    Column("proposed_at", DateTime(timezone=True), nullable=False),
    Column("decided_by", Text),
    Column("decided_at", DateTime(timezone=True)),
    Column("approved", Boolean),
    Column("in_use_from", DateTime(timezone=True)),
    Column("withdrawn_by", Text),
    Column("withdrawn_at", DateTime(timezone=True)),
    CheckConstraint("(decided_by IS NULL) = (decided_at IS NULL)", name="bank_account_decided_whole"),
    CheckConstraint("(decided_by IS NULL) = (approved IS NULL)", name="bank_account_decided_so"),
    CheckConstraint("NOT approved OR lower(decided_by) <> lower(proposed_by)", name="bank_account_four_eyes"),
    CheckConstraint(
        "(in_use_from IS NOT NULL) = (approved IS NOT NULL AND approved)",
        name="bank_account_used_if_approved",
    ),
    CheckConstraint("in_use_from > decided_at", name="bank_account_cools_off"),
    CheckConstraint("(withdrawn_by IS NULL) = (withdrawn_at IS NULL)", name="bank_account_withdrawn_whole"),
    CheckConstraint(
        "withdrawn_at IS NULL OR (approved AND withdrawn_at < in_use_from)",
        name="bank_account_withdrawn_early",
    ),
    CheckConstraint("iban ~ '^[A-Z]{2}[0-9]{2}[A-Z0-9]{11,30}$'", name="bank_account_iban"),
    CheckConstraint("length(btrim(name)) > 0 AND length(btrim(evidence)) > 0", name="bank_account_told"),
    Index(
        "bank_account_one_open",
        *("participant_id", "currency"),
        unique=True,
        postgresql_where=text("decided_by IS NULL"),
    ),
)
"""Every account that was ever proposed for a participant (0: the hub itself) and a currency, and who decided.

Which is in use follows from the rows and the time (settlement.bank.accounts); nothing is ever overwritten.
"""

payment_file = Table(
    "payment_file",
    metadata,
    Column("message_id", Text, primary_key=True),
    Column("window_id", Integer),
    Column("revision", Integer),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("sha256", LargeBinary, nullable=False),
    Column("content", LargeBinary, nullable=False),
    Column("made_by", Text, nullable=False),
    Column("made_at", DateTime(timezone=True), nullable=False),
    CheckConstraint("(window_id IS NULL) = (revision IS NULL)", name="payment_file_run_whole"),
    CheckConstraint("sha256 = sha256(content)", name="payment_file_hash"),
)
"""Files of pay-outs as they left, to the byte; without a window: of refunds."""

payment_file_line = Table(
    "payment_file_line",
    metadata,
    Column("end_to_end_id", Text, primary_key=True),
    Column("message_id", Text, ForeignKey("payment_file.message_id"), nullable=False),
    Column("group_id", Text, nullable=False),
    Column("participant_id", Integer, nullable=False),
    Column("currency", Text, nullable=False),
    Column("amount_minor", BigInteger, nullable=False),
    Column("name", Text, nullable=False),
    Column("iban", Text, nullable=False),
    Column("bic", Text),
    CheckConstraint("amount_minor > 0", name="payment_file_line_pays"),
    Index("payment_file_line_of", "message_id"),
)
"""Payments of the files. The key is the payment's own name: no payment is ever in two files."""

bank_statement = Table(
    "bank_statement",
    metadata,
    Column("statement_no", BigInteger, Identity(), primary_key=True),
    Column("iban", Text, nullable=False),
    Column("currency", Text, nullable=False),
    Column("statement_id", Text, nullable=False),
    Column("page", Integer, nullable=False),
    Column("created_at", DateTime(timezone=True)),
    Column("opening_minor", BigInteger, nullable=False),
    Column("opening_on", Date, nullable=False),
    Column("closing_minor", BigInteger, nullable=False),
    Column("closing_on", Date, nullable=False),
    Column("sha256", LargeBinary, nullable=False),
    Column("file_sha256", LargeBinary, nullable=False),
    Column("read_by", Text, nullable=False),
    Column("read_at", DateTime(timezone=True), nullable=False),
    UniqueConstraint("iban", "currency", "statement_id", "page", name="bank_statement_once"),
    CheckConstraint(
        "octet_length(sha256) = 32 AND octet_length(file_sha256) = 32", name="bank_statement_hashes"
    ),
)
"""Statements that were read and booked; `sha256` is of what one says, `file_sha256` of its file."""

bank_transaction = Table(
    "bank_transaction",
    metadata,
    Column("statement_no", BigInteger, ForeignKey("bank_statement.statement_no"), nullable=False),
    Column("entry", Integer, nullable=False),
    Column("detail", Integer, nullable=False),
    Column("amount_minor", BigInteger, nullable=False),
    Column("currency", Text, nullable=False),
    Column("booked_on", Date, nullable=False),
    Column("value_on", Date, nullable=False),
    Column("bank_reference", Text, nullable=False),
    Column("end_to_end_id", Text, nullable=False),
    Column("creditor_references", ARRAY(Text), nullable=False),
    Column("batch_id", Text, nullable=False),
    Column("batch_count", BigInteger, nullable=False),
    Column("other_name", Text, nullable=False),
    Column("other_iban", Text, nullable=False),
    Column("returned", Boolean, nullable=False),
    Column("reason", Text, nullable=False),
    Column("text", Text, nullable=False),
    PrimaryKeyConstraint("statement_no", "entry", "detail"),
    CheckConstraint("amount_minor <> 0", name="bank_transaction_moves"),
)
"""Movements on our accounts as the statements report them; money that came is above zero."""

bank_booking = Table(
    "bank_booking",
    metadata,
    Column("statement_no", BigInteger, nullable=False),
    Column("entry", Integer, nullable=False),
    Column("detail", Integer, nullable=False),
    Column("part", Integer, nullable=False),
    Column("end_to_end_id", Text),
    Column("amount_minor", BigInteger, nullable=False),
    PrimaryKeyConstraint("statement_no", "entry", "detail", "part"),
    ForeignKeyConstraint(
        ["statement_no", "entry", "detail"],
        ["bank_transaction.statement_no", "bank_transaction.entry", "bank_transaction.detail"],
    ),
    CheckConstraint("amount_minor <> 0", name="bank_booking_moves"),
    Index("bank_booking_payment", "end_to_end_id"),
)
"""Where each transaction went: its parts sum to it. Without a payment: into suspense."""

bank_exception = Table(
    "bank_exception",
    metadata,
    Column("exception_id", BigInteger, Identity(), primary_key=True),
    Column("statement_no", BigInteger, nullable=False),
    Column("entry", Integer, nullable=False),
    Column("detail", Integer, nullable=False),
    Column("problem", Text, nullable=False),
    Column("end_to_end_id", Text),
    Column("currency", Text, nullable=False),
    Column("amount_minor", BigInteger, nullable=False),
    Column("why", Text, nullable=False),
    Column("found_at", DateTime(timezone=True), nullable=False),
    ForeignKeyConstraint(
        ["statement_no", "entry", "detail"],
        ["bank_transaction.statement_no", "bank_transaction.entry", "bank_transaction.detail"],
    ),
    UniqueConstraint("statement_no", "entry", "detail", "problem", name="bank_exception_once"),
    CheckConstraint(
        "problem IN ('partial', 'surplus', 'unknown', 'returned')", name="bank_exception_problem_known"
    ),
    CheckConstraint("amount_minor > 0", name="bank_exception_amount"),
    CheckConstraint("(problem = 'unknown') = (end_to_end_id IS NULL)", name="bank_exception_of_a_payment"),
    Index("bank_exception_payment", "end_to_end_id"),
)
"""What somebody must look at; whether it is still open follows from its resolutions and payments."""

bank_resolution = Table(
    "bank_resolution",
    metadata,
    Column("resolution_id", BigInteger, Identity(), primary_key=True),
    Column("exception_id", BigInteger, ForeignKey("bank_exception.exception_id"), nullable=False),
    Column("way", Text, nullable=False),
    Column("amount_minor", BigInteger, nullable=False),
    Column("end_to_end_id", Text),
    Column("name", Text),
    Column("iban", Text),
    Column("bic", Text),
    Column("participant_id", Integer),
    Column("note", Text, nullable=False),
    Column("proposed_by", Text, nullable=False),
    Column("proposed_at", DateTime(timezone=True), nullable=False),
    Column("decided_by", Text),
    Column("decided_at", DateTime(timezone=True)),
    Column("approved", Boolean),
    CheckConstraint(
        "way IN ('chase', 'refund', 'allocate', 'instruct_again', 'deposit', 'guarantee', 'charge')",
        name="bank_resolution_way_known",
    ),
    CheckConstraint(
        "(way IN ('deposit', 'guarantee')) = (participant_id IS NOT NULL)", name="bank_resolution_covers"
    ),
    CheckConstraint("amount_minor > 0", name="bank_resolution_amount"),
    CheckConstraint("(decided_by IS NULL) = (decided_at IS NULL)", name="bank_resolution_decided_whole"),
    CheckConstraint("(decided_by IS NULL) = (approved IS NULL)", name="bank_resolution_decided_so"),
    CheckConstraint(
        "NOT approved OR way = 'chase' OR lower(decided_by) <> lower(proposed_by)",
        name="bank_resolution_four_eyes",
    ),
    CheckConstraint("(way = 'allocate') = (end_to_end_id IS NOT NULL)", name="bank_resolution_allocates"),
    CheckConstraint(
        "(way = 'refund') = (iban IS NOT NULL AND name IS NOT NULL)", name="bank_resolution_refunds"
    ),
    CheckConstraint("length(btrim(note)) > 0", name="bank_resolution_argued"),
    Index(
        "bank_resolution_one_open", "exception_id", unique=True, postgresql_where=text("decided_by IS NULL")
    ),
    Index("bank_resolution_of", "exception_id"),
)
"""Ways out that were proposed for an exception, and who decided; all but `chase` need a second person."""

bank_rejection = Table(
    "bank_rejection",
    metadata,
    Column("rejection_id", BigInteger, Identity(), primary_key=True),
    Column("message_id", Text, ForeignKey("payment_file.message_id"), nullable=False),
    Column("payments", ARRAY(Text), nullable=False),
    Column("note", Text, nullable=False),
    Column("proposed_by", Text, nullable=False),
    Column("proposed_at", DateTime(timezone=True), nullable=False),
    Column("decided_by", Text),
    Column("decided_at", DateTime(timezone=True)),
    Column("approved", Boolean),
    CheckConstraint("cardinality(payments) > 0", name="bank_rejection_of_payments"),
    CheckConstraint("length(btrim(note)) > 0", name="bank_rejection_argued"),
    CheckConstraint("(decided_by IS NULL) = (decided_at IS NULL)", name="bank_rejection_decided_whole"),
    CheckConstraint("(decided_by IS NULL) = (approved IS NULL)", name="bank_rejection_decided_so"),
    CheckConstraint(
        "NOT approved OR lower(decided_by) <> lower(proposed_by)", name="bank_rejection_four_eyes"
    ),
    Index("bank_rejection_one_open", "message_id", unique=True, postgresql_where=text("decided_by IS NULL")),
)
"""Payments of a file, by end-to-end id, that the bank did not carry out; who said so, and who decided."""
