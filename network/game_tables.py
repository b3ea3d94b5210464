"""Tables of games: matches, stakes on them, and what was paid for each stake."""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
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

game_match = Table(
    "game_match",
    metadata,
    Column("match_id", Uuid, primary_key=True),
    Column("game", Text, nullable=False),
    Column("title", Text, nullable=False),
    Column("outcomes", ARRAY(Text), nullable=False),
    Column("odds", ARRAY(Integer), nullable=False),
    Column("pays", Text, nullable=False),
    Column("partners", ARRAY(Integer), nullable=False),
    Column("stake", BigInteger, nullable=False),
    Column("most_stakes", Integer, nullable=False),
    Column("gift", BigInteger, nullable=False),
    Column("funder_id", Integer),
    Column("begins_at", DateTime(timezone=True), nullable=False),
    Column("closes_at", DateTime(timezone=True), nullable=False),
    Column("opened_by", Text, nullable=False),
    Column("opened_at", DateTime(timezone=True), nullable=False),
    Column("state", Text, nullable=False, server_default="open"),
    Column("result", Text),
    Column("decided_at", DateTime(timezone=True)),
    Column("settled_at", DateTime(timezone=True)),
    CheckConstraint("state IN ('open', 'decided', 'cancelled')", name="game_match_state_known"),
    CheckConstraint("(state = 'decided') = (result IS NOT NULL)", name="game_match_result_where_decided"),
    CheckConstraint("(state = 'open') = (decided_at IS NULL)", name="game_match_decided_once"),
    CheckConstraint("result IS NULL OR result = ANY(outcomes)", name="game_match_result_known"),
    CheckConstraint("settled_at IS NULL OR decided_at IS NOT NULL", name="game_match_settled_after"),
    CheckConstraint("closes_at <= begins_at", name="game_match_closes_before"),
)
"""Matches as they were opened: what the game's file said then stays. `odds` in hundredths, by outcome.

A reference table. Once it is decided or cancelled only `settled_at` changes.
"""

stake = Table(
    "stake",
    metadata,
    Column("member_id", BigInteger, nullable=False),
    Column("entry_id", Uuid, nullable=False),
    Column("match_id", Uuid, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("points", BigInteger, nullable=False),
    PrimaryKeyConstraint("member_id", "entry_id"),
    CheckConstraint("points >= 0", name="stake_not_negative"),
    Index("stake_match", "match_id"),
)
"""On which outcome of which match a STAKE is; rows are only added."""

payout = Table(
    "payout",
    metadata,
    Column("member_id", BigInteger, nullable=False),
    Column("entry_id", Uuid, nullable=False),
    Column("match_id", Uuid, nullable=False),
    Column("stake_id", Uuid, nullable=False),
    PrimaryKeyConstraint("member_id", "entry_id"),
    Index("payout_match", "match_id"),
)
"""For which stake a PAYOUT is: one at most; rows are only added."""
