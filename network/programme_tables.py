"""Tables of programmes: what is counted for members, what budgets have given, how sales were judged."""

from sqlalchemy import BigInteger, Column, Date, PrimaryKeyConstraint, Table, Text, Uuid

from network.tables import metadata

member_counter = Table(
    "member_counter",
    metadata,
    Column("member_id", BigInteger, nullable=False),
    Column("name", Text, nullable=False),
    Column("period", Date, nullable=False),
    Column("value", BigInteger, nullable=False),
    PrimaryKeyConstraint("member_id", "name", "period"),
    postgresql_with={"fillfactor": "70"},
)
"""What is counted for a member: for caps, n-th purchases, punch cards, challenges, tiers.

`name` is of a rule or counter of the programme (network.programme.counters), `period` the first day of its
period, 1970-01-01 where it never starts anew. A value may be below zero: what was given for is returned.
"""

rule_budget = Table(
    "rule_budget",
    metadata,
    Column("rule_id", Text, nullable=False),
    Column("period", Date, nullable=False),
    Column("points", BigInteger, nullable=False),
    PrimaryKeyConstraint("rule_id", "period"),
)
"""Points that a rule with a budget has given to all members in a period. Locked last, when it may."""

judgement = Table(
    "judgement",
    metadata,
    Column("member_id", BigInteger, nullable=False),
    Column("entry_id", Uuid, nullable=False),
    Column("judgement", Text, nullable=False),
    PrimaryKeyConstraint("member_id", "entry_id"),
)
"""What rules saw of a sale and what it came to, as JSON (network.judging.Judgement); rows are only added."""

tier_change = Table(
    "tier_change",
    metadata,
    Column("member_id", BigInteger, nullable=False),
    Column("entry_id", Uuid, nullable=False),
    Column("tier", Text, nullable=False),
    Column("tier_until", Date, nullable=False),
    PrimaryKeyConstraint("member_id", "entry_id"),
)
"""Into which tier an entry put its member, and until when; the last one is the account's."""

member_segment = Table(
    "member_segment",
    metadata,
    Column("member_id", BigInteger, nullable=False),
    Column("segment", Text, nullable=False),
    PrimaryKeyConstraint("member_id", "segment"),
)
"""The segments a member is in, for rules that ask (`when.segments`)."""
