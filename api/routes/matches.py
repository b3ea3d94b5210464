"""Matches on which members may stake points at a partner."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import msgspec
from fastapi import APIRouter, Request, Response

from api.openapi import read_docs
from api.routes.reads import json_response
from api.service import partner_of, service_of
from network import ids
from network.matches import Match, open_matches, staked

router = APIRouter(prefix="/v1", tags=["Look up"])


class MatchBody(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A match. `stake`: points of one stake, none where it is free; `odds` in hundredths, by outcome.

    `staked`: points on each outcome so far.
    """

    id: str
    title: str
    outcomes: Sequence[str]
    pays: str
    begins_at: datetime
    closes_at: datetime
    stake: int = 0
    most_stakes: int = 1
    gift: int = 0
    odds: Mapping[str, int] = {}
    staked: Mapping[str, int] = {}


class MatchesBody(msgspec.Struct, frozen=True, kw_only=True):
    """Matches that are open, by when they begin."""

    data: Sequence[MatchBody]


TYPES = (MatchesBody,)


@router.get("/matches", **read_docs("MatchesBody"))
def read_matches(request: Request) -> Response:
    """Matches on which your members may stake points now, and how much is staked on each outcome."""
    with service_of(request).database.connect() as connection:
        found = open_matches(connection, partner_of(request))
        on = {one.match_id: staked(connection, one.match_id) for one in found}
    return json_response(MatchesBody(data=[_shown(one, on[one.match_id]) for one in found]))


def _shown(match: Match, on: Mapping[str, tuple[int, int]]) -> MatchBody:
    return MatchBody(
        id=ids.show("mat", match.match_id),
        title=match.title,
        outcomes=match.outcomes,
        pays=match.pays,
        begins_at=match.begins_at.astimezone(UTC),
        closes_at=match.closes_at.astimezone(UTC),
        stake=match.stake,
        most_stakes=match.most_stakes,
        gift=match.gift,
        odds=dict(zip(match.outcomes, match.odds, strict=False)),
        staked={outcome: points for outcome, (_, points) in on.items() if points},
    )
