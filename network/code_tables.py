"""Tables of codes: vouchers, packs that were registered, coupons, and which quarters were converted."""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Date,
    DateTime,
    Index,
    PrimaryKeyConstraint,
    Table,
    Text,
    Uuid,
    text,
)

from network.tables import metadata

voucher = Table(
    "voucher",
    metadata,
    Column("member_id", BigInteger, nullable=False),
    Column("entry_id", Uuid, nullable=False),
    Column("name", Text, nullable=False),
    Column("starts_on", Date, nullable=False),
    Column("ends_on", Date, nullable=False),
    Column("ended_as", Text, nullable=False, server_default=""),
    Column("ended_by", Uuid),
    PrimaryKeyConstraint("member_id", "entry_id"),
    CheckConstraint("ended_as IN ('', 'used', 'returned', 'lapsed')", name="voucher_ended_known"),
    CheckConstraint("(ended_as = '') = (ended_by IS NULL)", name="voucher_ended_by_an_entry"),
    Index("voucher_open", "ends_on", postgresql_where=text("ended_by IS NULL")),
)
"""Points on paper, by the entry that made it: its name in the programme, its days, which entry ended it.

No code is kept: it is made of the entry's id, and opens to it (network.codes).
"""

pack_use = Table(
    "pack_use",
    metadata,
    Column("pack", BigInteger, primary_key=True, autoincrement=False),
    Column("member_id", BigInteger, nullable=False),
    Column("entry_id", Uuid, nullable=False),
)
"""Packs whose codes were registered (network.codes.Pack.key), and by which entry. Sharded by pack."""

coupon = Table(
    "coupon",
    metadata,
    Column("member_id", BigInteger, nullable=False),
    Column("coupon", Text, nullable=False),
    Column("first_on", Date, nullable=False),
    Column("last_on", Date, nullable=False),
    Column("given_at", DateTime(timezone=True), nullable=False),
    PrimaryKeyConstraint("member_id", "coupon"),
    CheckConstraint("first_on <= last_on", name="coupon_days"),
)
"""Coupons that members were given, each once; whether it was used, a counter says (`coupon:<id>`)."""

conversion_run = Table(
    "conversion_run",
    metadata,
    Column("quarter", Date, primary_key=True),
    Column("done_at", DateTime(timezone=True), nullable=False),
)
"""Quarters, by the first day of the next, whose points have all become vouchers."""

conversion_refusal = Table(
    "conversion_refusal",
    metadata,
    Column("member_id", BigInteger, primary_key=True, autoincrement=False),
    Column("refused_at", DateTime(timezone=True), nullable=False),
)
"""Members who keep their points when a quarter ends."""
