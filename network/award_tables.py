"""Tables of awards: what members consented to tell, segments, occasions, who referred whom."""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Date,
    DateTime,
    Index,
    Integer,
    PrimaryKeyConstraint,
    Table,
    Text,
    Uuid,
)
from sqlalchemy.dialects.postgresql import ARRAY

from network.tables import metadata

member_fact = Table(
    "member_fact",
    metadata,
    Column("member_id", BigInteger, nullable=False),
    Column("name", Text, nullable=False),
    Column("value", Text),
    Column("consent", Text, nullable=False),
    Column("told_by", Integer, nullable=False),
    Column("consented_at", DateTime(timezone=True), nullable=False),
    Column("withdrawn_at", DateTime(timezone=True)),
    PrimaryKeyConstraint("member_id", "name"),
    CheckConstraint("(value IS NULL) = (withdrawn_at IS NOT NULL)", name="member_fact_gone_when_withdrawn"),
    CheckConstraint("length(consent) BETWEEN 1 AND 200", name="member_fact_consented"),
)
"""What a member has said of itself, and to which words it consented; withdrawn, only that it was is left."""

segment_state = Table(
    "segment_state",
    metadata,
    Column("segment", Text, primary_key=True),
    Column("found_on", Date, nullable=False),
    Column("members", BigInteger, nullable=False),
    Column("needs", ARRAY(Text), nullable=False),
)
"""Segments of the programme as they were last found, and which facts each needs; a reference table."""

award = Table(
    "award",
    metadata,
    Column("member_id", BigInteger, nullable=False),
    Column("entry_id", Uuid, nullable=False),
    Column("award", Text, nullable=False),
    Column("occasion", Text, nullable=False),
    Column("role", Text, nullable=False),
    Column("staff", Text, nullable=False),
    Column("reason", Text, nullable=False),
    PrimaryKeyConstraint("member_id", "entry_id"),
    CheckConstraint("staff = '' OR reason <> ''", name="award_by_staff_is_reasoned"),
    Index("award_once", "member_id", "award", "role", "occasion", unique=True),
    Index("award_occasion", "award", "occasion"),
)
"""For what the points of an AWARD were given, by whose hand and why; rows are only added."""

referral = Table(
    "referral",
    metadata,
    Column("member_id", BigInteger, primary_key=True, autoincrement=False),
    Column("entry_id", Uuid, nullable=False),
    Column("referrer_id", BigInteger, nullable=False),
    CheckConstraint("referrer_id < member_id", name="referral_in_order"),
)
"""Who referred whom: one other, who was a member before, so that there are no rings."""
