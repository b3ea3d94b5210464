"""The life of a match: opened, closed by the clock, decided by two people or called off by two, paid out."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import Connection, Engine, text

from network import game_store, ids
from network.commands import PayOut
from network.errors import NetworkError
from network.programme.games import HUNDRED, Pays, Share, shares
from network.rules import Rules
from network.service import network_now
from network.sets import carry_out
from partners.model import OPERATOR_ID
from partners.people import approvals
from partners.people.approvals import content_of
from partners.people.audit import audited
from partners.people.model import Proposal

RESULT = "game.result"
CANCEL = "game.cancel"
KINDS = (RESULT, CANCEL)
_LONGEST = 120

_COLUMNS = (
    "match_id, game, title, outcomes, odds, pays, partners, stake, most_stakes, gift, funder_id, begins_at,"
    " closes_at, opened_by, opened_at, state, result, decided_at, settled_at"
)
_INSERT = text(
    "INSERT INTO game_match (match_id, game, title, outcomes, odds, pays, partners, stake, most_stakes, gift,"
    " funder_id, begins_at, closes_at, opened_by, opened_at) VALUES (:match_id, :game, :title, :outcomes,"
    " :odds, :pays, :partners, :stake, :most_stakes, :gift, :funder_id, :begins_at, :closes_at, :opened_by,"
    " :opened_at)"
)
_ONE = text(f"SELECT {_COLUMNS} FROM game_match WHERE match_id = :match FOR UPDATE")
_ALL = text(f"SELECT {_COLUMNS} FROM game_match ORDER BY begins_at, match_id")
_OPEN = text(
    f"SELECT {_COLUMNS} FROM game_match WHERE state = 'open' AND closes_at > :now"
    " AND :partner = ANY(partners) ORDER BY begins_at, match_id"
)
_END = text(
    "UPDATE game_match SET state = :state, result = :result, decided_at = :at WHERE match_id = :match"
)
_DUE = text(
    f"SELECT {_COLUMNS} FROM game_match WHERE decided_at IS NOT NULL AND settled_at IS NULL"
    " ORDER BY decided_at, match_id"
)
_SETTLED = text("UPDATE game_match SET settled_at = :at WHERE match_id = :match AND settled_at IS NULL")
_STAKED = text(
    "SELECT outcome, count(*) AS stakes, sum(points)::bigint AS points FROM stake WHERE match_id = :match"
    " GROUP BY outcome ORDER BY outcome"
)


class MatchUnfit(NetworkError):
    """A match that cannot be opened, decided or called off so."""


class Match(msgspec.Struct, frozen=True, kw_only=True):
    """A match with what its game said when it was opened; see table game_match."""

    match_id: UUID
    game: str
    title: str
    outcomes: Sequence[str]
    odds: Sequence[int]
    pays: Pays
    partners: Sequence[int]
    stake: int
    most_stakes: int
    gift: int
    funder_id: int | None
    begins_at: datetime
    closes_at: datetime
    opened_by: str
    opened_at: datetime
    state: str = "open"
    result: str | None = None
    decided_at: datetime | None = None
    settled_at: datetime | None = None

    def shared(self, bets: Sequence[Any]) -> list[Share]:
        """What becomes of the stakes on it."""
        odds = HUNDRED
        if self.result is not None and self.pays == "odds":
            odds = self.odds[list(self.outcomes).index(self.result)]
        return shares(bets, self.result, pays=self.pays, odds=odds, gift=self.gift)


def open_match(
    connection: Connection,
    rules: Rules,
    *,
    game: str,
    title: str,
    outcomes: Mapping[str, int | None],
    begins_at: datetime,
    by: str,
) -> Match:
    """Open a match of a game of the live programme for stakes.

    Args:
        connection: A transaction.
        rules: The live rules.
        game: The game's id.
        title: What members read.
        outcomes: What may come about, two or more; with odds in hundredths where the game pays by odds.
        begins_at: When it begins; stakes are taken until the game's minutes before.
        by: Who opens it.
    Raises:
        MatchUnfit: there is no such game, it has begun, or outcomes or odds do not fit.
    """
    found = rules.programme.games.get(game)
    if found is None:
        known = ", ".join(sorted(rules.programme.games)) or "none"
        raise MatchUnfit(f"the programme has no game {game!r}; it has: {known}")
    odds = [one for one in outcomes.values() if one is not None]
    if len(outcomes) < 2 or not all(name.isascii() and 0 < len(name) <= 32 for name in outcomes):
        raise MatchUnfit("give two outcomes or more, each by a short name")
    if len(odds) != (len(outcomes) if found.pays == "odds" else 0):
        raise MatchUnfit("each outcome has odds where the game pays by odds, and else none has")
    if any(not HUNDRED <= one <= 100_000 for one in odds):
        raise MatchUnfit("odds are in hundredths, from 100 (the stake itself) to 100000")
    if not title.strip() or len(title) > _LONGEST:
        raise MatchUnfit(f"give a title of 1 to {_LONGEST} letters")
    now = network_now(connection)
    closes_at = begins_at - timedelta(minutes=found.closes_minutes)
    if closes_at <= now:
        raise MatchUnfit(f"stakes would close at {closes_at}, and it is {now}")
    made = Match(
        match_id=ids.mint(now, 0),
        game=game,
        title=title.strip(),
        outcomes=list(outcomes),
        odds=odds,
        pays=found.pays,
        partners=list(found.partners),
        stake=found.stake,
        most_stakes=found.most_stakes,
        gift=found.gift,
        funder_id=found.funder_id,
        begins_at=begins_at,
        closes_at=closes_at,
        opened_by=by,
        opened_at=now,
    )
    connection.execute(_INSERT, msgspec.structs.asdict(made))
    after = {"title": made.title, "begins_at": begins_at.isoformat(), "outcomes": made.outcomes}
    audited(connection, by=by, action="game.opened", subject=_subject(made.match_id), after=after)
    return made


def matches(connection: Connection) -> list[Match]:
    """All matches, by when they begin."""
    return [Match(**row) for row in connection.execute(_ALL).mappings()]


def open_matches(connection: Connection, partner_id: int) -> list[Match]:
    """Matches on which members may stake at a partner now."""
    wanted = {"now": network_now(connection), "partner": partner_id}
    return [Match(**row) for row in connection.execute(_OPEN, wanted).mappings()]


def staked(connection: Connection, match_id: UUID) -> dict[str, tuple[int, int]]:
    """Entries and points on each outcome of a match, as far as there are any."""
    rows = connection.execute(_STAKED, {"match": match_id})
    return {row.outcome: (row.stakes, row.points) for row in rows}


def propose_end(connection: Connection, match_id: UUID, *, result: str | None, why: str, by: str) -> Proposal:
    """Propose how a match ended, or (no result) that it is called off; another approves it.

    Args:
        connection: A transaction.
        match_id: Which.
        result: One of its outcomes.
        why: Where that is known from, or why it is called off.
        by: Who proposes it.
    Raises:
        MatchUnfit: it has ended, it has not begun, there is no such outcome, or nothing says why.
        ProposalOpen: one is proposed already.
    """
    match = _standing(connection, match_id, result)
    if not why.strip():
        raise MatchUnfit("say where the result is known from, or why the match is called off")
    content = {"match": match_id.hex, "title": match.title, "result": result, "why": why.strip()}
    kind = CANCEL if result is None else RESULT
    return approvals.propose(connection, kind=kind, subject=_subject(match_id), content=content, by=by)


def decide_end(
    connection: Connection, proposal_id: UUID, *, sha256: bytes, by: str, approve: bool
) -> Proposal:
    """Approve a proposed result, or that a match is called off; or reject it. `settle` then pays.

    Raises:
        MatchUnfit: the match has ended otherwise meanwhile.
        ProposalUnknown, ProposalDecided, ProposalChanged, SecondPersonNeeded: see approvals.decide.
    """
    content = content_of(approvals.read(connection, proposal_id))
    match_id, result = UUID(hex=content["match"]), content["result"]
    if approve:
        _standing(connection, match_id, result)
    decided = approvals.decide(connection, proposal_id, sha256=sha256, by=by, approve=approve, of=KINDS)
    if approve:
        state = "cancelled" if result is None else "decided"
        at = network_now(connection)
        connection.execute(_END, {"state": state, "result": result, "at": at, "match": match_id})
        after = {"state": state, "result": result}
        audited(connection, by=by, action=f"game.{state}", subject=_subject(match_id), after=after)
    return decided


def _standing(connection: Connection, match_id: UUID, result: str | None) -> Match:
    """A match that may still be ended so; it is locked, and stakes under way are done."""
    row = connection.execute(_ONE, {"match": match_id}).mappings().one_or_none()
    if row is None:
        raise MatchUnfit(f"there is no match {ids.show('mat', match_id)}")
    match = Match(**row)
    if match.state != "open":
        raise MatchUnfit(f"the match is {match.state} already")
    if result is not None and result not in match.outcomes:
        raise MatchUnfit(f"{result!r} is none of its outcomes: {', '.join(match.outcomes)}")
    if result is not None and network_now(connection) < match.begins_at:
        raise MatchUnfit(f"the match begins at {match.begins_at}: nobody knows how it ends")
    return match


def settle(database: Engine, rules: Rules) -> int:
    """Pay out the matches that have ended; resumable, no stake twice. How many stakes something was done for.

    What each stake gets is worked out anew from all stakes on its match, which no longer change.
    """
    paid = 0
    with database.connect() as connection:
        ended = [Match(**row) for row in connection.execute(_DUE).mappings()]
    for match in ended:
        with database.connect() as connection:
            bets = game_store.read_bets(connection, match.match_id)
            done = game_store.read_paid(connection, match.match_id)
        left = [share for share in match.shared(bets) if share.bet.stake_id not in done]
        carried = carry_out(database, [_command(match, share) for share in left], rules)
        paid += carried.done
        if not carried.refused:
            with database.begin() as connection:
                connection.execute(_SETTLED, {"at": network_now(connection), "match": match.match_id})
    return paid


def _command(match: Match, share: Share) -> PayOut:
    return PayOut(
        partner_id=OPERATOR_ID,
        reference=f"payout {share.bet.stake_id.hex}",
        occurred_at=match.decided_at or match.begins_at,
        member_id=share.bet.member_id,
        match_id=match.match_id,
        stake_id=share.bet.stake_id,
        back=share.back,
        lost=share.lost,
        issued=share.issued,
        funder_id=match.funder_id,
    )


def _subject(match_id: UUID) -> str:
    return f"match:{ids.show('mat', match_id)}"
