"""The table of paid plans' memberships."""

from sqlalchemy import BigInteger, CheckConstraint, Column, Date, PrimaryKeyConstraint, Table, Text, Uuid

from network.tables import metadata

plan_membership = Table(
    "plan_membership",
    metadata,
    Column("member_id", BigInteger, nullable=False),
    Column("entry_id", Uuid, nullable=False),
    Column("plan", Text, nullable=False),
    Column("starts_on", Date, nullable=False),
    Column("paid_until", Date, nullable=False),
    Column("ends_on", Date, nullable=False),
    Column("ended_by", Uuid),
    PrimaryKeyConstraint("member_id", "entry_id"),
    CheckConstraint("starts_on <= paid_until AND ends_on <= paid_until", name="plan_membership_days"),
    CheckConstraint("ends_on = paid_until OR ended_by IS NOT NULL", name="plan_membership_ended_by"),
)
"""What a PLAN_MEMBERSHIP bought: the days that were paid for, and the last on which it is good.

`ended_by`: the PLAN_REFUND that ended it before its time; where all of the fee was paid back it has no day.
"""
