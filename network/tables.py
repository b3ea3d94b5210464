"""Tables of the network room: members, cards, accounts, lots, and the append-only ledger.

Member-scoped tables carry `member_id` first in their primary key, which is what a distributed engine
shards by. `entry` and `posting` are partitioned by ranges of `entry_id`: it is a UUIDv7, so its range is a
month of recording, and a public id alone finds partition, member and row (see network.ids).
"""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Date,
    DateTime,
    Index,
    Integer,
    MetaData,
    PrimaryKeyConstraint,
    Sequence,
    SmallInteger,
    Table,
    Text,
    Time,
    Uuid,
    text,
)

metadata = MetaData()

network = Table(
    "network",
    metadata,
    Column("network_id", SmallInteger, primary_key=True, autoincrement=False),
    Column("name", Text, nullable=False),
    Column("time_zone", Text, nullable=False),
    Column("cut_off", Time, nullable=False),
    Column("currency", Text, nullable=False),
    Column("clock", DateTime(timezone=True)),
    CheckConstraint("network_id = 1", name="network_is_one"),
)
"""The one row of the network. `clock` set: business time stands there (demo, tests); NULL: real time."""

programme_version = Table(
    "programme_version",
    metadata,
    Column("programme_version", Integer, primary_key=True, autoincrement=False),
    Column("source", Text, nullable=False),
    Column("applied_at", DateTime(timezone=True), nullable=False),
    Column("applied_by", Text, nullable=False),
)

member_id_sequence = Sequence("member_id_seq", metadata=metadata, data_type=BigInteger)

member = Table(
    "member",
    metadata,
    Column("member_id", BigInteger, primary_key=True, autoincrement=False),
    Column("public_id", Uuid, nullable=False),
    Column("status", Text, nullable=False, server_default="active"),
    Column("enrolled_by", Integer, nullable=False),
    Column("enrolled_at", DateTime(timezone=True), nullable=False),
    CheckConstraint("status IN ('active', 'closed')", name="member_status_known"),
)

card = Table(
    "card",
    metadata,
    Column("card_number", BigInteger, primary_key=True, autoincrement=False),
    Column("member_id", BigInteger, nullable=False),
    Column("status", Text, nullable=False, server_default="active"),
    Column("issued_at", DateTime(timezone=True), nullable=False),
    CheckConstraint("card_number BETWEEN 1000000000000000 AND 9999999999999999", name="card_16_digits"),
    CheckConstraint("status IN ('active', 'blocked')", name="card_status_known"),
    Index("card_member", "member_id"),
)

account = Table(
    "account",
    metadata,
    Column("member_id", BigInteger, nullable=False),
    Column("unit", SmallInteger, nullable=False),
    Column("balance", BigInteger, nullable=False),
    Column("pending_until", Date, nullable=False, server_default="1970-01-01"),
    PrimaryKeyConstraint("member_id", "unit"),
    CheckConstraint("balance >= 0", name="account_balance_not_negative"),
    postgresql_with={"fillfactor": "70"},
)
"""`balance` is the sum of the lots, pending ones included; before `pending_until` some may be pending."""

lot = Table(
    "lot",
    metadata,
    Column("member_id", BigInteger, nullable=False),
    Column("unit", SmallInteger, nullable=False),
    Column("issuer_id", Integer, nullable=False),
    Column("terms_version", Integer, nullable=False),
    Column("spendable_on", Date, nullable=False),
    Column("expires_on", Date, nullable=False),
    Column("remaining", BigInteger, nullable=False),
    PrimaryKeyConstraint("member_id", "unit", "issuer_id", "terms_version", "spendable_on", "expires_on"),
    CheckConstraint("remaining >= 0", name="lot_remaining_not_negative"),
    Index("lot_expiry", "expires_on"),
    postgresql_with={"fillfactor": "70"},
)

entry = Table(
    "entry",
    metadata,
    Column("member_id", BigInteger, nullable=False),
    Column("entry_id", Uuid, nullable=False),
    Column("kind", SmallInteger, nullable=False),
    Column("partner_id", Integer, nullable=False),
    Column("window_id", Integer, nullable=False),
    Column("programme_version", Integer, nullable=False),
    Column("points", BigInteger, nullable=False),
    Column("balance_after", BigInteger, nullable=False),
    Column("amount_minor", BigInteger, nullable=False),
    Column("occurred_at", DateTime(timezone=True), nullable=False),
    Column("recorded_at", DateTime(timezone=True), nullable=False),
    Column("reverses", Uuid),
    Column("currency", Text),
    Column("outlet_code", Text),
    Column("reference", Text, nullable=False),
    Column("hold_id", Uuid),
    PrimaryKeyConstraint("member_id", "entry_id"),
    CheckConstraint("balance_after >= 0", name="entry_balance_not_negative"),
    CheckConstraint("amount_minor >= 0", name="entry_amount_not_negative"),
    Index("entry_partner", "partner_id", "entry_id"),
    Index("entry_window", "window_id"),
    postgresql_partition_by="RANGE (entry_id)",
)
"""One business event. `points` is signed as it changes the member's balance."""

posting = Table(
    "posting",
    metadata,
    Column("member_id", BigInteger, nullable=False),
    Column("entry_id", Uuid, nullable=False),
    Column("line", SmallInteger, nullable=False),
    Column("debit", SmallInteger, nullable=False),
    Column("credit", SmallInteger, nullable=False),
    Column("points", BigInteger, nullable=False),
    Column("issuer_id", Integer, nullable=False),
    Column("issuer_terms", Integer, nullable=False),
    Column("acceptor_id", Integer),
    Column("acceptor_terms", Integer),
    Column("category", SmallInteger, nullable=False, server_default=text("0")),
    Column("unit", SmallInteger, nullable=False),
    Column("window_id", Integer, nullable=False),
    Column("reversed_window_id", Integer),
    Column("spendable_on", Date, nullable=False),
    Column("expires_on", Date, nullable=False),
    PrimaryKeyConstraint("member_id", "entry_id", "line"),
    CheckConstraint("points > 0", name="posting_points_positive"),
    CheckConstraint("debit <> credit", name="posting_moves"),
    CheckConstraint("(acceptor_id IS NULL) = (acceptor_terms IS NULL)", name="posting_acceptor_whole"),
    Index("posting_window", "window_id"),
    postgresql_partition_by="RANGE (entry_id)",
)
"""One movement of points from the debit account to the credit account (network.model.AccountKind).

(issuer_id, issuer_terms, spendable_on, expires_on) is the lot it fed or drew: issuer, price and expiry stay
with a point from birth to burn.
"""

hold = Table(
    "hold",
    metadata,
    Column("member_id", BigInteger, nullable=False),
    Column("entry_id", Uuid, nullable=False),
    Column("points", BigInteger, nullable=False),
    Column("captured", BigInteger, nullable=False),
    Column("returned", BigInteger, nullable=False),
    Column("lapses_at", DateTime(timezone=True), nullable=False),
    PrimaryKeyConstraint("member_id", "entry_id"),
    CheckConstraint("points > 0 AND captured >= 0 AND returned >= 0", name="hold_not_negative"),
    CheckConstraint("captured + returned <= points", name="hold_not_exceeded"),
    Index("hold_open", "lapses_at", postgresql_where=text("captured + returned < points")),
)
"""How far each hold is: captured from its first draw on, returned from its last."""

reversed_points = Table(
    "reversed_points",
    metadata,
    Column("member_id", BigInteger, nullable=False),
    Column("entry_id", Uuid, nullable=False),
    Column("points", BigInteger, nullable=False),
    Column("amount_minor", BigInteger, nullable=False),
    PrimaryKeyConstraint("member_id", "entry_id"),
)
"""How much of an entry has been reversed; a row appears with the first reversal."""

idempotency = Table(
    "idempotency",
    metadata,
    Column("request_key", Uuid, primary_key=True),
    Column("content_hash", Uuid, nullable=False),
    Column("entry_id", Uuid, nullable=False),
    Column("recorded_on", Date, nullable=False),
    Column("refusal", Text),
)
"""What was answered to (partner, mode, reference). `refusal` set: refused, and no entry of that id exists."""

clearing_window = Table(
    "clearing_window",
    metadata,
    Column("window_id", Integer, primary_key=True, autoincrement=False),
    Column("business_date", Date, nullable=False, unique=True),
    Column("opened_at", DateTime(timezone=True), nullable=False),
    Column("closed_at", DateTime(timezone=True)),
    Column("lapsed_through", Date, nullable=False),
    Index(
        "clearing_window_one_open",
        text("(closed_at IS NULL)"),
        unique=True,
        postgresql_where=text("closed_at IS NULL"),
    ),
)
"""Stamped on every posting; exactly one is open. `window_id` is the business date as yyyymmdd.

`lapsed_through`: lots that expired before this date have lapsed.
"""
