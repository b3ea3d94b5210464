"""Tables of people: operators, their secrets and sessions, what they proposed, and the record of all."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    text,
)

metadata = MetaData()

operator = Table(
    "operator",
    metadata,
    Column("operator_id", Text, primary_key=True),
    Column("role", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("added_by", Text, nullable=False),
    Column("added_at", DateTime(timezone=True), nullable=False),
    CheckConstraint("operator_id ~ '^[a-z][a-z0-9._-]{0,31}$'", name="operator_id_is_a_login"),
    CheckConstraint("role IN ('viewer', 'maker', 'checker', 'admin')", name="operator_role_known"),
    CheckConstraint("status IN ('enrolling', 'active', 'disabled')", name="operator_status_known"),
    CheckConstraint("added_by <> operator_id", name="operator_added_by_another"),
)

operator_credential = Table(
    "operator_credential",
    metadata,
    Column("operator_id", Text, ForeignKey("operator.operator_id"), primary_key=True),
    Column("password_hash", Text),
    Column("totp_secret", LargeBinary),
    Column("totp_step", BigInteger, nullable=False, server_default=text("0")),
    Column("enrolment_hash", LargeBinary),
    Column("enrolment_ends_at", DateTime(timezone=True)),
)
"""The reader's role does not see it. `totp_secret` is encrypted; `totp_step` is the last one that was used:
a code is good once. `enrolment_hash`: of the secret with which the operator sets both, once."""

sign_in_guard = Table(
    "sign_in_guard",
    metadata,
    Column("guarded", Text, primary_key=True),
    Column("failed", Integer, nullable=False),
    Column("tried_at", DateTime(timezone=True), nullable=False),
    Column("locked_until", DateTime(timezone=True)),
)
"""Tries to sign in, by operator; under names that nobody has, by one of 4,096 shares of all such names."""

operator_session = Table(
    "operator_session",
    metadata,
    Column("session_id", Uuid, primary_key=True),
    Column("operator_id", Text, ForeignKey("operator.operator_id"), nullable=False),
    Column("started_at", DateTime(timezone=True), nullable=False),
    Column("ends_at", DateTime(timezone=True), nullable=False),
    Column("ended_at", DateTime(timezone=True)),
    Column("ended_because", Text),
    CheckConstraint("(ended_at IS NULL) = (ended_because IS NULL)", name="operator_session_ended_whole"),
    Index("operator_session_live", "operator_id", postgresql_where=text("ended_at IS NULL")),
)

operator_refresh = Table(
    "operator_refresh",
    metadata,
    Column("token_hash", LargeBinary, primary_key=True),
    Column("session_id", Uuid, ForeignKey("operator_session.session_id"), nullable=False),
    Column("issued_at", DateTime(timezone=True), nullable=False),
    Column("used_at", DateTime(timezone=True)),
)
"""SHA-256 of every refresh token; one that comes a second time ends its session."""

proposal = Table(
    "proposal",
    metadata,
    Column("proposal_id", Uuid, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("content", Text, nullable=False),
    Column("sha256", LargeBinary, nullable=False),
    Column("prepared_by", Text, nullable=False),
    Column("prepared_at", DateTime(timezone=True), nullable=False),
    Column("decided_by", Text),
    Column("decided_at", DateTime(timezone=True)),
    Column("approved", Boolean),
    CheckConstraint("approved IS NOT TRUE OR decided_by <> prepared_by", name="proposal_four_eyes"),
    CheckConstraint("sha256 = sha256(convert_to(content, 'UTF8'))", name="proposal_hash"),
    CheckConstraint(
        "(decided_by IS NULL) = (decided_at IS NULL) AND (decided_by IS NULL) = (approved IS NULL)",
        name="proposal_decided_whole",
    ),
    Index(
        "proposal_open_once",
        "kind",
        "subject",
        unique=True,
        postgresql_where=text("decided_by IS NULL"),
    ),
)
"""One person proposes exactly this content, another approves exactly this hash."""

operator_audit = Table(
    "operator_audit",
    metadata,
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("at", DateTime(timezone=True), nullable=False),
    Column("done_by", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("record", Text, nullable=False),
    Column("previous_hash", LargeBinary, nullable=False),
    Column("hash", LargeBinary, nullable=False),
    UniqueConstraint("previous_hash", name="operator_audit_one_follows"),
    Index("operator_audit_subject", "subject", "seq"),
)
"""What operators did, each row chained to the one before (a trigger refuses one that is not)."""

operator_audit_head = Table(
    "operator_audit_head",
    metadata,
    Column("head_id", SmallInteger, primary_key=True, autoincrement=False),
    Column("seq", BigInteger, nullable=False),
    Column("hash", LargeBinary, nullable=False),
    CheckConstraint("head_id = 1", name="operator_audit_head_is_one"),
)
"""The chain's last link, moved by that trigger alone: without it the last rows could go unseen."""
