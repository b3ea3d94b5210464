"""Lines of schemes' scenarios about matches; see tests.golden.test_programmes.

match NAME of GAME on DATE at HH:MM for OUTCOME[=ODDS] ...    the operator opens it
N MEMBER stakes OUTCOME [TIMES] on NAME at PARTNER
matches at PARTNER              on which members may stake there, and what is staked
N MEMBER links OTHER at PARTNER               in one pool, as couples do
announce DRAW | close DRAW | reveal DRAW      a draw's life; what is published is computed again
NAME ends OUTCOME | NAME is called off          proposed by one, approved by another, and paid out to whom
"""

from datetime import datetime
from typing import Any, Protocol
from uuid import UUID

from sqlalchemy import Engine, text

from api.cli_game import _outcome as outcome_of
from network import draws, ids, matches
from network.programme.raffle import faults_of
from network.service import load_rules
from tests.golden.giving import Stage as Sender

_PAID = text(
    "SELECT y.member_id, p.debit, p.credit, p.points, o.code FROM payout y"
    " LEFT JOIN posting p USING (member_id, entry_id) LEFT JOIN partner o ON o.partner_id = p.issuer_id"
    " WHERE y.match_id = :match ORDER BY y.member_id, p.points DESC"
)


class Stage(Sender, Protocol):
    """What these lines need of the stage."""

    database: Engine
    day: Any
    tills: Any
    members: dict[str, tuple[int, str]]
    matches: dict[str, UUID]


def line(stage: Stage, words: list[str]) -> str | None:
    """Carry a line out; None where it is none of these."""
    match words:
        case ["match", name, "of", game, "on", day, "at", clock, "for", *outcomes]:
            return _opened(stage, name, game, f"{day}T{clock}+00:00", outcomes)
        case [number, member, "stakes", outcome, *times, "on", name, "at", partner]:
            fields = {
                "card": stage.member(member)[1],
                "match": ids.show("mat", stage.matches[name]),
                "outcome": outcome,
                "stakes": int(times[0]) if times else 1,
            }
            return stage.post(number, partner, "/v1/stakes", occurred_at=stage.at(), **fields)
        case ["matches", "at", partner]:
            told = stage.tills[partner].get("/v1/matches").json()["data"]
            return ", ".join(_shown(one) for one in told) or "none"
        case [number, member, "links", other, "at", partner]:
            return _linked(stage, number, member, other, partner)
        case ["announce" | "close" | "reveal" as verb, draw]:
            return _drawn(stage, verb, draw)
        case [name, "ends", outcome]:
            return _ended(stage, name, outcome)
        case [name, "is", "called", "off"]:
            return _ended(stage, name, None)
    return None


def _linked(stage: Stage, number: str, member: str, other: str, partner: str) -> str:
    card, to_card = stage.member(member)[1], stage.member(other)[1]
    fields = {"occurred_at": stage.at(), "card": card, "to_card": to_card}
    till = stage.tills[partner]
    asked = till.post("/v1/pool-invitations", reference=f"link-{number}", **fields).json()
    joined = {"occurred_at": stage.at(), "card": to_card, "invitation": asked["id"]}
    return stage.post(number, partner, "/v1/pool-joins", **joined)


def _drawn(stage: Stage, verb: str, draw: str) -> str:
    with stage.database.begin() as connection:
        rules = load_rules(connection)
        if verb == "announce":
            seed = bytes(range(draws.SEED_BYTES))
            told = draws.announce(connection, rules, draw, seed=seed, today=stage.day, by="anna")
            return f"seed {told[:8]}"
        if verb == "close":
            closed = draws.close(connection, rules, draw, today=stage.day, by="anna")
            return f"{len(closed.tickets)} tickets"
        revealed = draws.reveal(connection, draw, by="anna")
    assert faults_of(revealed) == []
    given = draws.give_prizes(stage.database, rules, draw)
    return f"{len(revealed.winners)} of {len(revealed.tickets)} tickets win, {given} members get points"


def _opened(stage: Stage, name: str, game: str, begins: str, outcomes: list[str]) -> str:
    with stage.database.begin() as connection:
        made = matches.open_match(
            connection,
            load_rules(connection),
            game=game,
            title=name,
            outcomes=dict(map(outcome_of, outcomes)),
            begins_at=datetime.fromisoformat(begins),
            by="anna",
        )
    stage.matches[name] = made.match_id
    return f"open until {made.closes_at:%H:%M}"


def _ended(stage: Stage, name: str, result: str | None) -> str:
    match_id = stage.matches[name]
    with stage.database.begin() as connection:
        made = matches.propose_end(connection, match_id, result=result, why="the referee", by="anna")
    with stage.database.begin() as connection:
        matches.decide_end(connection, made.proposal_id, sha256=made.sha256, by="ben", approve=True)
        rules = load_rules(connection)
    matches.settle(stage.database, rules)
    names = {number: member for member, (number, _) in stage.members.items()}
    with stage.database.connect() as connection:
        rows = connection.execute(_PAID, {"match": match_id}).all()
    return ", ".join(_moved(names[row.member_id], row) for row in rows) or "nothing"


def _moved(member: str, row: Any) -> str:
    if row.credit == 3:
        return f"{member} lost {row.points} {row.code}"
    return f"{member} +{row.points}{' new' if row.debit == 2 else ''} {row.code}"


def _shown(told: dict[str, Any]) -> str:
    on = " ".join(f"{name} {points}" for name, points in told.get("staked", {}).items())
    return f"{told['title']} ({on or 'nothing yet'})"
