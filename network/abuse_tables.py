"""The table of what was taken for abuse."""

from sqlalchemy import BigInteger, Column, DateTime, Integer, PrimaryKeyConstraint, Table, Text, Uuid

from network.tables import metadata

abuse_case = Table(
    "abuse_case",
    metadata,
    Column("member_id", BigInteger, nullable=False),
    Column("entry_id", Uuid, nullable=False),
    Column("rule_id", Text, nullable=False),
    Column("partner_id", Integer, nullable=False),
    Column("reference", Text, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("recorded_at", DateTime(timezone=True), nullable=False),
    Column("released_by", Text),
    Column("released_at", DateTime(timezone=True)),
    PrimaryKeyConstraint("member_id", "entry_id", "rule_id"),
)
"""What a rule of the programme found: an entry that was held or flagged, or, where it was refused, the id
that it would have had. `released_by`: the operator who let held points go."""
