"""Tables of games and draws: matches, stakes, what was paid for each; seeds and tickets."""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    DateTime,
    Index,
    Integer,
    LargeBinary,
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

raffle = Table(
    "raffle",
    metadata,
    Column("draw", Text, primary_key=True),
    Column("prizes", Integer, nullable=False),
    Column("commitment", LargeBinary, nullable=False),
    Column("announced_by", Text, nullable=False),
    Column("announced_at", DateTime(timezone=True), nullable=False),
    Column("closed_at", DateTime(timezone=True)),
    Column("tickets_sha256", LargeBinary),
    Column("revealed_at", DateTime(timezone=True)),
    Column("seed", LargeBinary),
    CheckConstraint("(closed_at IS NULL) = (tickets_sha256 IS NULL)", name="raffle_closed_whole"),
    CheckConstraint("(revealed_at IS NULL) = (seed IS NULL)", name="raffle_revealed_whole"),
    CheckConstraint("seed IS NULL OR sha256(seed) = commitment", name="raffle_seed_committed"),
)
"""What is published of draws: the seed's SHA-256, the tickets' hash, then the seed. A reference table."""

raffle_seed = Table(
    "raffle_seed",
    metadata,
    Column("draw", Text, primary_key=True),
    Column("seed", LargeBinary, nullable=False),
)
"""Seeds of draws from the announcement on; the reader's role does not see them."""

raffle_ticket = Table(
    "raffle_ticket",
    metadata,
    Column("member_id", BigInteger, nullable=False),
    Column("draw", Text, nullable=False),
    Column("ticket", Text, nullable=False),
    Column("place", Integer),
    PrimaryKeyConstraint("member_id", "draw"),
    Index("raffle_ticket_draw", "draw", "ticket"),
)
"""Who takes part in a draw by which ticket, a couple by one; `place` of those that won."""
