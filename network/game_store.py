"""Matches as batches see them, and stakes and payouts as they are written and read."""

from collections.abc import Collection, Mapping, Sequence
from itertools import groupby
from uuid import UUID

from sqlalchemy import Connection, text

from network.bulk import insert_from_arrays, uuids
from network.game_tables import payout, stake
from network.model import AccountKind, Part
from network.outcomes import Decision, MatchState
from network.pipeline import Pipeline
from network.programme.games import Bet

# Shared, so that stakes do not wait for one another; who decides a match waits for those under way.
_LOCK = text(
    "SELECT match_id, partners, outcomes, state, closes_at, stake, most_stakes FROM game_match"
    " WHERE match_id = ANY(CAST(:matches AS uuid[])) ORDER BY match_id FOR SHARE"
)
_STAKES = insert_from_arrays(stake, ("member_id", "entry_id", "match_id", "outcome", "points"))
_PAYOUTS = insert_from_arrays(payout, ("member_id", "entry_id", "match_id", "stake_id"))
_BETS = text(
    "SELECT s.entry_id, coalesce(a.merged_into, s.member_id) AS member_id, s.outcome, p.points, p.issuer_id,"
    " p.issuer_terms, p.spendable_on, p.expires_on FROM stake s"
    " JOIN account a ON a.member_id = s.member_id AND a.unit = 1"
    " LEFT JOIN posting p ON p.member_id = s.member_id AND p.entry_id = s.entry_id"
    f" AND p.credit = {int(AccountKind.STAKED)}"
    " WHERE s.match_id = :match ORDER BY s.entry_id, p.line"
)
_PAID = text("SELECT stake_id FROM payout WHERE match_id = :match")


def lock_matches(connection: Connection, matches: Collection[UUID]) -> dict[UUID, MatchState]:
    """How matches stand, and they stay so until the transaction ends; unknown ones are missing."""
    if not matches:
        return {}
    with Pipeline(connection) as pipeline:
        rows = pipeline.ask(_LOCK, {"matches": uuids(matches)})
        return {match_id: MatchState(*rest) for match_id, *rest in rows}


def save(pipeline: Pipeline, decisions: Sequence[Decision]) -> None:
    """Write on what stakes are, and for which stakes payouts are; no statement where there are none."""
    staked = [(one.entry, one.staked) for one in decisions if one.staked is not None]
    if staked:
        arrays: Mapping[str, Sequence[object]] = {
            "member_id": [entry.member_id for entry, _ in staked],
            "entry_id": [entry.entry_id for entry, _ in staked],
            "match_id": [on.match_id for _, on in staked],
            "outcome": [on.outcome for _, on in staked],
            "points": [on.points for _, on in staked],
        }
        pipeline.change(_STAKES.statement, _STAKES.bound(arrays), len(staked), "stakes")
    paid = [(one.entry, one.paid_for) for one in decisions if one.paid_for is not None]
    if paid:
        arrays = {
            "member_id": [entry.member_id for entry, _ in paid],
            "entry_id": [entry.entry_id for entry, _ in paid],
            "match_id": [of.match_id for _, of in paid],
            "stake_id": [of.stake_id for _, of in paid],
        }
        pipeline.change(_PAYOUTS.statement, _PAYOUTS.bound(arrays), len(paid), "payouts")


def read_bets(connection: Connection, match_id: UUID) -> list[Bet]:
    """All stakes on a match; each is its member's, or whose that one was merged into."""
    rows = connection.execute(_BETS, {"match": match_id}).all()
    found = []
    for stake_id, group in groupby(rows, key=lambda row: row.entry_id):
        lines = list(group)
        parts = tuple(
            Part(row.expires_on, row.issuer_id, row.issuer_terms, row.spendable_on, row.points)
            for row in lines
            if row.points is not None
        )
        found.append(
            Bet(stake_id=stake_id, member_id=lines[0].member_id, outcome=lines[0].outcome, parts=parts)
        )
    return found


def read_paid(connection: Connection, match_id: UUID) -> set[UUID]:
    """The stakes of a match for which something was paid."""
    return set(connection.execute(_PAID, {"match": match_id}).scalars())
