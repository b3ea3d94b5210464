"""Tables of the network room: members, cards, accounts, lots, and the append-only ledger.

Member-scoped tables carry `member_id` first in their primary key, which is what a distributed engine
shards by. `entry` and `posting` are partitioned by ranges of `entry_id`: it is a UUIDv7, so its range is a
month of recording, and a public id alone finds partition, member and row (see network.ids).
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Date,
    DateTime,
    Index,
    Integer,
    MetaData,
    Numeric,
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
    Column("mode", Text, nullable=False, server_default="live"),
    Column("caps_basis", Integer, nullable=False, server_default=text("0")),
    Column("ledger_id", Uuid, nullable=False, server_default=text("gen_random_uuid()")),
    CheckConstraint("network_id = 1", name="network_is_one"),
    CheckConstraint("mode IN ('live', 'test')", name="network_mode_known"),
)
"""The one row of the network. `clock` set: business time stands there (demo, tests); NULL: real time.

`caps_basis` goes up with whatever changes how exposure is made; batches under older rules begin again.
`ledger_id` tells this ledger from others of the same name, wherever it is restored.
"""

programme_version = Table(
    "programme_version",
    metadata,
    Column("programme_version", Integer, primary_key=True, autoincrement=False),
    Column("source", Text, nullable=False),
    Column("applied_at", DateTime(timezone=True), nullable=False),
    Column("applied_by", Text, nullable=False),
    Column("effective_on", Date, nullable=False, server_default="1970-01-01"),
)
"""Files that were applied. Of those in force on a day the latest is live: by day, then by version."""

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
    Column("issued_to", BigInteger, nullable=False),
    CheckConstraint("card_number BETWEEN 1000000000000000 AND 9999999999999999", name="card_16_digits"),
    CheckConstraint("status IN ('active', 'blocked', 'locked')", name="card_status_known"),
    Index("card_member", "member_id"),
)
"""`member_id` is whose points the card opens; after a merge not the member it was issued to.

`locked`: its member has locked spending; the card earns and does not spend.
"""

account = Table(
    "account",
    metadata,
    Column("member_id", BigInteger, nullable=False),
    Column("unit", SmallInteger, nullable=False),
    Column("balance", BigInteger, nullable=False),
    Column("pending_until", Date, nullable=False, server_default="1970-01-01"),
    Column("active_until", Date, nullable=False, server_default="1970-01-01"),
    Column("deficit", BigInteger, nullable=False, server_default=text("0")),
    Column("pool_id", Uuid),
    Column("merged_into", BigInteger),
    Column("merge_id", Uuid),
    Column("tier", Text, nullable=False, server_default=""),
    Column("tier_until", Date, nullable=False, server_default="9999-12-31"),
    Column("child_until", Date, nullable=False, server_default="1970-01-01"),
    Column("guardian_id", BigInteger),
    PrimaryKeyConstraint("member_id", "unit"),
    CheckConstraint(
        "(child_until = '1970-01-01') = (guardian_id IS NULL)", name="account_child_has_guardian"
    ),
    CheckConstraint("balance >= 0", name="account_balance_not_negative"),
    CheckConstraint("deficit >= 0", name="account_deficit_not_negative"),
    CheckConstraint("merged_into IS NULL OR balance + deficit = 0", name="account_merged_is_empty"),
    CheckConstraint("merged_into IS NULL OR pool_id IS NULL", name="account_merged_is_in_no_pool"),
    CheckConstraint("(merged_into IS NULL) = (merge_id IS NULL)", name="account_merged_by_an_entry"),
    Index("account_pool", "pool_id", postgresql_where=text("pool_id IS NOT NULL")),
    Index("account_tier_until", "tier_until", postgresql_where=text("tier_until < '9999-12-31'")),
    Index("account_active", "active_until", postgresql_where=text("active_until > '1970-01-01'")),
    postgresql_with={"fillfactor": "70"},
)
"""`balance` is the sum of the lots, pending ones included; before `pending_until` some may be pending.

`active_until`: how long lots live that expire with activity. `tier_until`: the last day in the tier.
`deficit`: points owed, the open deficits' sum.
`child_until`: the day from which a child, which is under the guardian `guardian_id`, acts for itself.
`merged_into`: to whom points, cards and deficits of this member went, by the MERGE entry `merge_id`.
"""

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
    Column("parent_id", Uuid),
    Column("counterpart_id", BigInteger),
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
    Column("contributor_id", BigInteger),
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
    Index("hold_open_of", "member_id", postgresql_where=text("captured + returned < points")),
)
"""How far each hold is: captured from its first draw on, returned from its last."""

pending = Table(
    "pending",
    metadata,
    Column("member_id", BigInteger, nullable=False),
    Column("entry_id", Uuid, nullable=False),
    Column("points", BigInteger, nullable=False),
    Column("released", BigInteger, nullable=False),
    Column("cancelled", BigInteger, nullable=False),
    PrimaryKeyConstraint("member_id", "entry_id"),
    CheckConstraint("points > 0 AND released >= 0 AND cancelled >= 0", name="pending_not_negative"),
    CheckConstraint("released + cancelled <= points", name="pending_not_exceeded"),
)
"""Points of accruals that wait for an event: released by it, or cancelled when the sale is returned."""

deficit = Table(
    "deficit",
    metadata,
    Column("member_id", BigInteger, nullable=False),
    Column("issuer_id", Integer, nullable=False),
    Column("terms_version", Integer, nullable=False),
    Column("entry_id", Uuid, nullable=False),
    Column("points", BigInteger, nullable=False),
    PrimaryKeyConstraint("member_id", "issuer_id", "terms_version"),
    CheckConstraint("points >= 0", name="deficit_not_negative"),
)
"""What a member owes to an issuer: points that returns could not take back; its next credits pay them.

`entry_id` is the entry that opened it, its age.
"""

invitation = Table(
    "invitation",
    metadata,
    Column("member_id", BigInteger, nullable=False),
    Column("entry_id", Uuid, nullable=False),
    Column("pool_id", Uuid, nullable=False),
    Column("joined_by", Uuid),
    PrimaryKeyConstraint("member_id", "entry_id"),
)
"""Into which pool a POOL_INVITATION is, and the POOL_JOIN that took it: it is good for one."""

offline_redemption = Table(
    "offline_redemption",
    metadata,
    Column("member_id", BigInteger, nullable=False),
    Column("entry_id", Uuid, nullable=False),
    Column("points", BigInteger, nullable=False),
    PrimaryKeyConstraint("member_id", "entry_id"),
    CheckConstraint("points > 0", name="offline_redemption_positive"),
)
"""Redemptions that a till accepted without a line, and the points they were for: what is not among the
entry's postings the acceptor bears."""

entry_line = Table(
    "entry_line",
    metadata,
    Column("member_id", BigInteger, nullable=False),
    Column("entry_id", Uuid, nullable=False),
    Column("line", SmallInteger, nullable=False),
    Column("measure", BigInteger, nullable=False),
    Column("returned_by", Uuid),
    PrimaryKeyConstraint("member_id", "entry_id", "line"),
    CheckConstraint("line > 0 AND measure > 0", name="entry_line_positive"),
)
"""Lines of a sale (amounts in minor units) or of a reward (points), and the reversal that returned each."""

adjustment = Table(
    "adjustment",
    metadata,
    Column("member_id", BigInteger, nullable=False),
    Column("adjustment_id", Uuid, nullable=False),
    Column("card_number", BigInteger, nullable=False),
    Column("issuer_id", Integer, nullable=False),
    Column("points", BigInteger, nullable=False),
    Column("reason", Text, nullable=False),
    Column("evidence", Text, nullable=False),
    Column("four_eyes_above", BigInteger, nullable=False),
    Column("prepared_by", Text, nullable=False),
    Column("prepared_at", DateTime(timezone=True), nullable=False),
    Column("decided_by", Text),
    Column("decided_at", DateTime(timezone=True)),
    Column("approved", Boolean),
    PrimaryKeyConstraint("member_id", "adjustment_id"),
    CheckConstraint("points <> 0", name="adjustment_moves"),
    CheckConstraint("length(btrim(reason)) > 0 AND length(btrim(evidence)) > 0", name="adjustment_argued"),
    CheckConstraint("(decided_by IS NULL) = (decided_at IS NULL)", name="adjustment_decided_whole"),
    CheckConstraint("(decided_by IS NULL) = (approved IS NULL)", name="adjustment_decided_so"),
    CheckConstraint(
        "approved IS NOT TRUE OR abs(points) <= four_eyes_above OR decided_by <> prepared_by",
        name="adjustment_four_eyes",
    ),
)
"""What operators propose to give or take, why, on what evidence, and who decided; `issuer_id` funds it."""

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

experiment = Table(
    "experiment",
    metadata,
    Column("name", Text, primary_key=True),
    Column("control_bps", Integer, nullable=False),
    Column("starts_on", Date, nullable=False),
    Column("ends_on", Date),
    CheckConstraint("control_bps BETWEEN 1 AND 9999", name="experiment_leaves_some_out"),
    CheckConstraint("ends_on >= starts_on", name="experiment_ends_after_start"),
)
"""Who is left out of what, by lot (network.experiment): a reference table."""

survey_answer = Table(
    "survey_answer",
    metadata,
    Column("member_id", BigInteger, nullable=False),
    Column("survey", Text, nullable=False),
    Column("score", SmallInteger, nullable=False),
    Column("answered_on", Date, nullable=False),
    PrimaryKeyConstraint("member_id", "survey"),
    CheckConstraint("score BETWEEN 0 AND 10", name="survey_answer_score"),
)
"""How likely a member is to recommend the scheme, 0 to 10; one answer a member and survey."""

idempotency = Table(
    "idempotency",
    metadata,
    Column("request_key", Uuid, primary_key=True),
    Column("content_hash", Uuid, nullable=False),
    Column("entry_id", Uuid, nullable=False),
    Column("recorded_on", Date, nullable=False),
    Column("refusal", Text),
    Column("retried_by", Uuid),
    CheckConstraint("retried_by IS NULL OR refusal IS NOT NULL", name="idempotency_retried_was_refused"),
)
"""What was answered to (partner, mode, reference). `refusal` set: refused, and no entry of that id exists.

`retried_by`: the request that was accepted in the place of one that was refused; there is one at most.
"""

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

exposure = Table(
    "exposure",
    metadata,
    Column("partner_id", Integer, nullable=False),
    Column("currency", Text, nullable=False),
    Column("owed", Numeric, nullable=False, server_default=text("0")),
    Column("held", Numeric, nullable=False, server_default=text("0")),
    Column("points", Numeric, nullable=False, server_default=text("0")),
    Column("deposit", Numeric, nullable=False, server_default=text("0")),
    Column("moved_by_tills", Boolean, nullable=False, server_default="true"),
    PrimaryKeyConstraint("partner_id", "currency"),
    postgresql_with={"fillfactor": "50"},
)
"""What capped partners owe and may come to owe, by currency; what each sum is: network.caps.

Not `moved_by_tills`: another has its place in all that its points cost. A reference table where tables are
sharded: it is small, and every lane moves it.
"""

exposure_move = Table(
    "exposure_move",
    metadata,
    Column("partner_id", Integer, nullable=False),
    Column("number", Integer, nullable=False),
    Column("window_id", Integer, nullable=False),
    Column("level_before", SmallInteger, nullable=False),
    Column("level", SmallInteger, nullable=False),
    Column("amount", Numeric, nullable=False),
    Column("limit_amount", Numeric),
    Column("currency", Text, nullable=False),
    Column("seen_by", Text, nullable=False),
    Column("moved_at", DateTime(timezone=True), nullable=False),
    PrimaryKeyConstraint("partner_id", "number"),
    CheckConstraint("number > 0", name="exposure_move_number"),
    CheckConstraint(
        "level BETWEEN 0 AND 3 AND level_before BETWEEN 0 AND 3 AND level <> level_before",
        name="exposure_move_levels",
    ),
    CheckConstraint("seen_by IN ('commit', 'worker')", name="exposure_move_seen_by"),
    Index("exposure_move_window", "window_id"),
)
"""A partner came past a threshold of its limit, or back; the last says at which level it is. Append-only."""
