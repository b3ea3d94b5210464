"""More tables of the settlement room: money, who approved it, how it is paid, what is disputed or missing.

docs/night.md says what each step writes here.
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
    Identity,
    Index,
    Integer,
    LargeBinary,
    Numeric,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    text,
)

from settlement.tables import metadata

run_approval = Table(
    "run_approval",
    metadata,
    Column("window_id", Integer, nullable=False),
    Column("revision", Integer, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("sha256", LargeBinary, nullable=False),
    Column("proposed_by", Text, nullable=False),
    Column("proposed_at", DateTime(timezone=True), nullable=False),
    Column("decided_by", Text),
    Column("decided_at", DateTime(timezone=True)),
    Column("approved", Boolean),
    Column("reason", Text, nullable=False, server_default=""),
    PrimaryKeyConstraint("window_id", "revision", "attempt"),
    ForeignKeyConstraint(["window_id", "revision"], ["settlement_run.window_id", "settlement_run.revision"]),
    CheckConstraint("(decided_by IS NULL) = (decided_at IS NULL)", name="run_approval_decided_whole"),
    CheckConstraint("(decided_by IS NULL) = (approved IS NULL)", name="run_approval_decided_so"),
    CheckConstraint("decided_by <> proposed_by", name="run_approval_four_eyes"),
    CheckConstraint("octet_length(sha256) = 32", name="run_approval_hash"),
    Index(
        "run_approval_one_open",
        *("window_id", "revision"),
        unique=True,
        postgresql_where=text("decided_by IS NULL"),
    ),
)
"""Four eyes on a run: `sha256` binds what was netted, whoever proposed it does not decide."""

instruction = Table(
    "instruction",
    metadata,
    Column("end_to_end_id", Text, primary_key=True),
    Column("window_id", Integer, nullable=False),
    Column("revision", Integer, nullable=False),
    Column("participant_id", Integer, nullable=False),
    Column("currency", Text, nullable=False),
    Column("direction", Text, nullable=False),
    Column("attempt", Integer, nullable=False, server_default=text("1")),
    Column("amount_minor", BigInteger, nullable=False),
    Column("value_on", Date, nullable=False),
    Column("reference", Text, nullable=False, unique=True),
    Column("instructed_by", Text, nullable=False),
    Column("instructed_at", DateTime(timezone=True), nullable=False),
    UniqueConstraint(
        *("window_id", "revision", "participant_id", "currency", "direction", "attempt"),
        name="instruction_one_each",
    ),
    ForeignKeyConstraint(["window_id", "revision"], ["settlement_run.window_id", "settlement_run.revision"]),
    CheckConstraint("direction IN ('in', 'out')", name="instruction_direction_known"),
    CheckConstraint("amount_minor > 0 AND attempt > 0", name="instruction_positive"),
    CheckConstraint("length(end_to_end_id) BETWEEN 1 AND 35", name="instruction_end_to_end_id"),
)
"""A payment that discharges a position: into the hub's account, or out of it."""

instruction_payment = Table(
    "instruction_payment",
    metadata,
    Column("payment_reference", Text, primary_key=True),
    Column("end_to_end_id", Text, ForeignKey("instruction.end_to_end_id"), nullable=False),
    Column("amount_minor", BigInteger, nullable=False),
    Column("booked_on", Date, nullable=False),
    Column("recorded_by", Text, nullable=False),
    Column("recorded_at", DateTime(timezone=True), nullable=False),
    CheckConstraint("amount_minor <> 0", name="instruction_payment_moves"),
    Index("instruction_payment_of", "end_to_end_id"),
)
"""What the bank booked on an instruction; negative where it came back. `payment_reference` counts once."""

money_entry = Table(
    "money_entry",
    metadata,
    Column("entry_no", BigInteger, Identity(), primary_key=True),
    Column("kind", Text, nullable=False),
    Column("reference", Text, nullable=False),
    Column("window_id", Integer),
    Column("revision", Integer),
    Column("value_on", Date, nullable=False),
    Column("booked_at", DateTime(timezone=True), nullable=False),
    Column("booked_by", Text, nullable=False),
    UniqueConstraint("kind", "reference", name="money_entry_once"),
    CheckConstraint("(window_id IS NULL) = (revision IS NULL)", name="money_entry_run_whole"),
    Index("money_entry_run", "window_id", "revision"),
)
"""One event of the money ledger. (kind, reference) names it, so that nothing is booked twice."""

money_posting = Table(
    "money_posting",
    metadata,
    Column("entry_no", BigInteger, ForeignKey("money_entry.entry_no"), nullable=False),
    Column("line", SmallInteger, nullable=False),
    Column("account", Text, nullable=False),
    Column("participant_id", Integer, nullable=False),
    Column("currency", Text, nullable=False),
    Column("amount", Numeric, nullable=False),
    PrimaryKeyConstraint("entry_no", "line"),
    CheckConstraint(
        "account IN ('cash', 'receivable', 'payable', 'carried', 'rounding', 'claim', 'pool', 'fees', 'vat',"
        " 'margin', 'breakage', 'fx', 'safeguarded', 'deposit', 'guarantee', 'suspense', 'loss')",
        name="money_posting_account_known",
    ),
    CheckConstraint("amount <> 0", name="money_posting_moves"),
    Index("money_posting_account", "account", "participant_id", "currency"),
)
"""Lines of the money ledger, exact major units, debits above zero. Per entry and currency they sum to zero:
a trigger refuses the commit of any that do not."""

money_adjustment = Table(
    "money_adjustment",
    metadata,
    Column("adjustment_id", Uuid, primary_key=True),
    Column("window_id", Integer, nullable=False),
    Column("origin", Text, nullable=False),
    Column("origin_reference", Text, nullable=False),
    Column("origin_window_id", Integer),
    Column("debtor_id", Integer, nullable=False),
    Column("creditor_id", Integer, nullable=False),
    Column("currency", Text, nullable=False),
    Column("amount", Numeric, nullable=False),
    Column("credited_id", Integer),
    Column("credited_terms", Integer),
    Column("credited_amount", Numeric, nullable=False, server_default=text("0")),
    Column("reason", Text, nullable=False),
    Column("prepared_by", Text, nullable=False),
    Column("approved_by", Text, nullable=False),
    Column("made_at", DateTime(timezone=True), nullable=False),
    Column("taxed_as", Text, nullable=False, server_default=""),
    Column("pooled_amount", Numeric, nullable=False, server_default=text("0")),
    Column("vat_on", Date),
    UniqueConstraint("origin", "origin_reference", name="money_adjustment_once"),
    CheckConstraint("origin IN ('dispute', 'default', 'exit', 'correction')", name="money_adjustment_origin"),
    CheckConstraint("amount > 0 AND debtor_id <> creditor_id", name="money_adjustment_moves"),
    CheckConstraint("(credited_id IS NULL) = (credited_terms IS NULL)", name="money_adjustment_credited"),
    CheckConstraint("prepared_by <> approved_by", name="money_adjustment_four_eyes"),
    CheckConstraint("taxed_as IN ('', 'issue', 'fee', 'none')", name="money_adjustment_taxed"),
    CheckConstraint("pooled_amount BETWEEN 0 AND amount", name="money_adjustment_pooled"),
    CheckConstraint("length(btrim(reason)) > 0", name="money_adjustment_argued"),
    Index("money_adjustment_window", "window_id"),
)
"""A debt that no posting makes, stamped with the window that was open. It adds `credited_amount` to the
credits of one contract version, for its fees."""

default_case = Table(
    "default_case",
    metadata,
    Column("case_id", Uuid, primary_key=True),
    Column("window_id", Integer, nullable=False),
    Column("revision", Integer, nullable=False),
    Column("debtor_id", Integer, nullable=False),
    Column("currency", Text, nullable=False),
    Column("missing_minor", BigInteger, nullable=False),
    Column("sha256", LargeBinary, nullable=False),
    Column("reason", Text, nullable=False),
    Column("proposed_by", Text, nullable=False),
    Column("proposed_at", DateTime(timezone=True), nullable=False),
    Column("decided_by", Text),
    Column("decided_at", DateTime(timezone=True)),
    Column("approved", Boolean),
    ForeignKeyConstraint(["window_id", "revision"], ["settlement_run.window_id", "settlement_run.revision"]),
    CheckConstraint("missing_minor > 0", name="default_case_missing"),
    CheckConstraint("(decided_by IS NULL) = (decided_at IS NULL)", name="default_case_decided_whole"),
    CheckConstraint("(decided_by IS NULL) = (approved IS NULL)", name="default_case_decided_so"),
    CheckConstraint("decided_by <> proposed_by", name="default_case_four_eyes"),
    CheckConstraint("octet_length(sha256) = 32", name="default_case_hash"),
    Index(
        "default_case_one_live",
        *("window_id", "revision", "debtor_id", "currency"),
        unique=True,
        postgresql_where=text("approved IS NULL"),
    ),
)
"""What is done about a debtor whose pay-in is missing; `sha256` is of its lines. One waits at a time."""

default_overlay = Table(
    "default_overlay",
    metadata,
    Column("case_id", Uuid, ForeignKey("default_case.case_id"), nullable=False),
    Column("line", SmallInteger, nullable=False),
    Column("rung", Text, nullable=False),
    Column("participant_id", Integer, nullable=False),
    Column("amount_minor", BigInteger, nullable=False),
    PrimaryKeyConstraint("case_id", "line"),
    CheckConstraint(
        "rung IN ('deposit', 'guarantee', 'carry', 'loss', 'unwind')", name="default_overlay_rung_known"
    ),
    CheckConstraint("amount_minor <> 0", name="default_overlay_moves"),
)
"""Lines of a default case: how much each participant bears, on which rung of the ladder."""

default_simulation = Table(
    "default_simulation",
    metadata,
    Column("case_id", Uuid, ForeignKey("default_case.case_id"), primary_key=True),
    Column("body", Text, nullable=False),
    Column("sha256", LargeBinary, nullable=False),
    CheckConstraint("sha256 = sha256(convert_to(body, 'UTF8'))", name="default_simulation_hash"),
)
"""What a case was seen to do before it was decided: canonical JSON of settlement.default_case.Simulation."""

default_carry = Table(
    "default_carry",
    metadata,
    Column("case_id", Uuid, ForeignKey("default_case.case_id"), primary_key=True),
    Column("window_id", Integer, nullable=False),
    Index("default_carry_window", "window_id"),
)
"""The window into which an approved case's carried amount goes: the one that was open when it was decided."""

stand_in = Table(
    "stand_in",
    metadata,
    Column("partner_id", Integer, primary_key=True, autoincrement=False),
    Column("from_window_id", Integer, nullable=False),
    Column("stand_in_id", Integer, nullable=False),
    Column("decided_by", Text, nullable=False),
    Column("decided_at", DateTime(timezone=True), nullable=False),
    CheckConstraint("partner_id <> stand_in_id", name="stand_in_another"),
)
"""Who has a partner's place in all that its points still cost, from a window on: it has left."""

bought_out = Table(
    "bought_out",
    metadata,
    Column("partner_id", Integer, ForeignKey("stand_in.partner_id"), nullable=False),
    Column("terms_version", Integer, nullable=False),
    Column("points", BigInteger, nullable=False),
    Column("rate", Numeric(20, 8), nullable=False),
    PrimaryKeyConstraint("partner_id", "terms_version"),
    CheckConstraint("rate >= 0", name="bought_out_rate"),
)
"""At which rate the points of a leaver's contract version were bought out. From its stand-in's window on they
are funded in full: by the pool, with issue price x share + rate x (1 - share) for each."""

dispute = Table(
    "dispute",
    metadata,
    Column("dispute_id", Uuid, primary_key=True),
    Column("raised_by_id", Integer, nullable=False),
    Column("against_id", Integer, nullable=False),
    Column("window_id", Integer, nullable=False),
    Column("member_id", BigInteger),
    Column("entry_id", Uuid),
    Column("flow", Text, nullable=False, server_default=""),
    Column("currency", Text, nullable=False),
    Column("amount", Numeric, nullable=False),
    Column("reason", Text, nullable=False),
    Column("raised_at", DateTime(timezone=True), nullable=False),
    Column("reference", Text, nullable=False),
    Column("credited_id", Integer, nullable=False),
    Column("credited_terms", Integer, nullable=False),
    UniqueConstraint("raised_by_id", "reference", name="dispute_reference_once"),
    UniqueConstraint(
        *("raised_by_id", "against_id", "window_id", "flow", "entry_id"),
        name="dispute_line_once",
        postgresql_nulls_not_distinct=True,
    ),
    CheckConstraint("amount > 0 AND raised_by_id <> against_id", name="dispute_moves"),
    CheckConstraint("(member_id IS NULL) = (entry_id IS NULL)", name="dispute_entry_whole"),
    CheckConstraint("length(btrim(reason)) > 0", name="dispute_argued"),
    CheckConstraint("credited_id IN (raised_by_id, against_id)", name="dispute_credited"),
    CheckConstraint("flow IN ('redemption', 'issue', 'fee', 'vat')", name="dispute_flow_known"),
    Index("dispute_against", "against_id", "dispute_id"),
    Index("dispute_raised_by", "raised_by_id", "dispute_id"),
)
"""A line of a statement that a partner does not accept: an entry, or what flowed in a window."""

dispute_event = Table(
    "dispute_event",
    metadata,
    Column("dispute_id", Uuid, ForeignKey("dispute.dispute_id"), nullable=False),
    Column("sequence", SmallInteger, nullable=False),
    Column("state", Text, nullable=False),
    Column("text", Text, nullable=False),
    Column("answer_until", DateTime(timezone=True)),
    Column("by", Text, nullable=False),
    Column("at", DateTime(timezone=True), nullable=False),
    Column("adjustment_id", Uuid, ForeignKey("money_adjustment.adjustment_id"), unique=True),
    Column("awarded", Numeric),
    PrimaryKeyConstraint("dispute_id", "sequence"),
    CheckConstraint(
        "state IN ('raised', 'accepted', 'rejected', 'escalated', 'decided')",
        name="dispute_event_state_known",
    ),
    CheckConstraint("(sequence = 1) = (state = 'raised')", name="dispute_event_begins"),
    CheckConstraint(
        "(state IN ('raised', 'rejected')) = (answer_until IS NOT NULL)", name="dispute_event_deadline"
    ),
    CheckConstraint(
        "(state IN ('accepted', 'decided')) = (awarded IS NOT NULL)", name="dispute_event_awarded"
    ),
    CheckConstraint(
        "coalesce(awarded, 0) >= 0 AND (coalesce(awarded, 0) > 0) = (adjustment_id IS NOT NULL)",
        name="dispute_event_paid",
    ),
    Index("dispute_event_due", "answer_until", postgresql_where=text("answer_until IS NOT NULL")),
)
"""What became of a dispute, step by step; the last one is where it stands, `answer_until` its deadline."""

dispute_evidence = Table(
    "dispute_evidence",
    metadata,
    Column("dispute_id", Uuid, ForeignKey("dispute.dispute_id"), nullable=False),
    Column("sha256", LargeBinary, nullable=False),
    Column("name", Text, nullable=False),
    Column("media_type", Text, nullable=False),
    Column("content", LargeBinary, nullable=False),
    Column("attached_by", Text, nullable=False),
    Column("attached_at", DateTime(timezone=True), nullable=False),
    PrimaryKeyConstraint("dispute_id", "sha256"),
    CheckConstraint("sha256 = sha256(content)", name="dispute_evidence_hash"),
    CheckConstraint("octet_length(content) BETWEEN 1 AND 1048576", name="dispute_evidence_size"),
    CheckConstraint("length(name) BETWEEN 1 AND 100", name="dispute_evidence_name"),
    CheckConstraint(
        "media_type IN ('application/pdf', 'image/jpeg', 'image/png', 'text/csv', 'text/plain')",
        name="dispute_evidence_type",
    ),
)
"""Files that were attached to a dispute."""

currency_calendar = Table(
    "currency_calendar",
    metadata,
    Column("currency", Text, primary_key=True),
    Column("calendar", Text, nullable=False),
    Column("value_days", SmallInteger, nullable=False, server_default=text("1")),
    CheckConstraint("value_days BETWEEN 0 AND 10", name="currency_calendar_value_days"),
)
"""Whose holidays a currency keeps (a code of the package `holidays`), and how many business days payments
take; a currency without a row rests at weekends and takes one day."""

calendar_exception = Table(
    "calendar_exception",
    metadata,
    Column("currency", Text, nullable=False),
    Column("day", Date, nullable=False),
    Column("is_open", Boolean, nullable=False),
    Column("reason", Text, nullable=False),
    Column("added_by", Text, nullable=False),
    PrimaryKeyConstraint("currency", "day"),
)
"""A day on which a currency's banks work, or do not, other than its calendar says."""
