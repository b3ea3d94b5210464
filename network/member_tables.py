"""Tables of members who sign in: what they are reached by, the codes they were sent, their sessions.

The reader's role sees neither addresses nor hashes. Rows that say who a person is can be removed: nothing in
the ledger points at them.
"""

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
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    text,
)

from network.tables import metadata

member_login = Table(
    "member_login",
    metadata,
    Column("member_id", BigInteger, primary_key=True, autoincrement=False),
    Column("email", Text, nullable=False),
    Column("added_by", Integer, nullable=False),
    Column("added_at", DateTime(timezone=True), nullable=False),
    Column("card_secret", LargeBinary, nullable=False),
    Column("card_step", BigInteger, nullable=False, server_default=text("0")),
    Column("card_used_for", LargeBinary),
    Column("pin_hash", LargeBinary),
    Column("proof_tries", Integer, nullable=False, server_default=text("0")),
    Column("proof_tried_at", DateTime(timezone=True)),
    UniqueConstraint("email", name="member_login_email_once"),
    CheckConstraint("email = lower(email) AND length(email) <= 254", name="member_login_email_is_lower"),
)
"""`card_secret`, encrypted, makes the rotating codes of its card; `card_step` is the last one used, and
`card_used_for` the key of the request that used it, which may come again. `proof_tries`: codes and PINs that
were wrong, since one was right."""

member_approval = Table(
    "member_approval",
    metadata,
    Column("member_id", BigInteger, primary_key=True, autoincrement=False),
    Column("approval_id", Uuid, primary_key=True),
    Column("partner_id", Integer, nullable=False),
    Column("reference", Text, nullable=False),
    Column("card_number", BigInteger, nullable=False),
    Column("outlet_code", Text, nullable=False),
    Column("points", BigInteger, nullable=False),
    Column("amount_minor", BigInteger, nullable=False),
    Column("currency", Text, nullable=False),
    Column("asked_at", DateTime(timezone=True), nullable=False),
    Column("ends_at", DateTime(timezone=True), nullable=False),
    Column("answered_at", DateTime(timezone=True)),
    Column("approved", Boolean),
    Column("used_for", Uuid),
    UniqueConstraint("member_id", "partner_id", "reference", name="member_approval_asked_once"),
    CheckConstraint("points > 0", name="member_approval_points_positive"),
    CheckConstraint("(answered_at IS NULL) = (approved IS NULL)", name="member_approval_answered_whole"),
    CheckConstraint("used_for IS NULL OR approved IS TRUE", name="member_approval_used_if_given"),
)
"""What tills ask members to approve on their phones; `ends_at`: until when it may be answered, then used.
`used_for` is the key of the request that it was given with."""

member_code = Table(
    "member_code",
    metadata,
    Column("guarded", Text, primary_key=True),
    Column("code_hash", LargeBinary, nullable=False),
    Column("sent_at", DateTime(timezone=True), nullable=False),
    Column("ends_at", DateTime(timezone=True), nullable=False),
    Column("tries", Integer, nullable=False, server_default=text("0")),
)
"""The code that was mailed last, by member; for addresses that nobody has, by shares of all such."""

member_session = Table(
    "member_session",
    metadata,
    Column("session_id", Uuid, primary_key=True),
    Column("member_id", BigInteger, nullable=False),
    Column("started_at", DateTime(timezone=True), nullable=False),
    Column("ends_at", DateTime(timezone=True), nullable=False),
    Column("ended_at", DateTime(timezone=True)),
    Column("ended_because", Text),
    CheckConstraint("(ended_at IS NULL) = (ended_because IS NULL)", name="member_session_ended_whole"),
    Index("member_session_live", "member_id", postgresql_where=text("ended_at IS NULL")),
)

member_refresh = Table(
    "member_refresh",
    metadata,
    Column("token_hash", LargeBinary, primary_key=True),
    Column("session_id", Uuid, ForeignKey("member_session.session_id"), nullable=False),
    Column("issued_at", DateTime(timezone=True), nullable=False),
    Column("used_at", DateTime(timezone=True)),
)
"""SHA-256 of every refresh token; one that comes a second time ends its session, which is its family."""

member_passkey = Table(
    "member_passkey",
    metadata,
    Column("member_id", BigInteger, primary_key=True, autoincrement=False),
    Column("credential_id", LargeBinary, primary_key=True),
    Column("public_key", LargeBinary, nullable=False),
    Column("sign_count", BigInteger, nullable=False),
    Column("name", Text, nullable=False),
    Column("added_at", DateTime(timezone=True), nullable=False),
    Column("used_at", DateTime(timezone=True)),
)

member_challenge = Table(
    "member_challenge",
    metadata,
    Column("challenge_hash", LargeBinary, primary_key=True),
    Column("member_id", BigInteger),
    Column("ends_at", DateTime(timezone=True), nullable=False),
    Index("member_challenge_ends", "ends_at"),
)
"""Of challenges that nobody has answered: to register a passkey of a member, or to sign in with any."""
