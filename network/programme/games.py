"""Who gets what of a match: pure arithmetic on stakes, in which no point comes from nowhere (pure).

A stake is lots of a member, each with its issuer, terms and expiry. What is paid is made of these very lots.
"""

from collections.abc import Mapping, Sequence
from typing import Literal
from uuid import UUID

import msgspec

from network.model import Part
from network.programme.spec_games import GameSpec

Pays = Literal["pool", "odds", "gift"]
HUNDRED = 100
"""Odds are in hundredths: 250 gives two and a half times the stake."""


class Game(msgspec.Struct, frozen=True, kw_only=True):
    """A game; see GameSpec."""

    id: str
    pays: Pays
    partners: tuple[int, ...]
    stake: int
    most_stakes: int
    gift: int
    closes_minutes: int
    funder_id: int | None


class Bet(msgspec.Struct, frozen=True, kw_only=True):
    """A stake as it was made: `parts` are the lots that were drawn for it."""

    stake_id: UUID
    member_id: int
    outcome: str
    parts: tuple[Part, ...]

    @property
    def points(self) -> int:
        """How much was staked."""
        return sum(part.points for part in self.parts)


class Share(msgspec.Struct, frozen=True, kw_only=True):
    """What becomes of a stake. `back`: to its member; `lost`: spent at the funder; `issued`: new points."""

    bet: Bet
    back: tuple[Part, ...] = ()
    lost: tuple[Part, ...] = ()
    issued: int = 0


def games_of(specs: Sequence[GameSpec], partner_ids: Mapping[str, int]) -> dict[str, Game]:
    """The games of a file, by their ids."""
    return {
        spec.id: Game(
            id=spec.id,
            pays=spec.pays,
            partners=tuple(partner_ids[code] for code in spec.partners),
            stake=spec.stake or 0,
            most_stakes=spec.most_stakes,
            gift=spec.gift or 0,
            closes_minutes=spec.closes_minutes,
            funder_id=None if spec.fund is None else partner_ids[spec.fund],
        )
        for spec in specs
    }


def partners_of(specs: Sequence[GameSpec]) -> list[tuple[str, str]]:
    """Fields that name partners, each with the code."""
    return [
        (f"game {spec.id}", code)
        for spec in specs
        for code in (*spec.partners, *([spec.fund] if spec.fund else ()))
    ]


def shares(
    bets: Sequence[Bet], result: str | None, *, pays: Pays, odds: int = HUNDRED, gift: int = 0
) -> list[Share]:
    """What becomes of every stake on a match.

    Args:
        bets: All stakes, in any order.
        result: What came about; None: the match was cancelled.
        pays: How the game pays.
        odds: Of the result, in hundredths, at least 100; for `odds`.
        gift: Points of a gift.
    Returns:
        One share for each stake of which something is to be done, by the stakes' ids: always the same.
        Of a cancelled match, or a pool in which nobody was right, each stake goes back whole.
    """
    ordered = sorted(bets, key=lambda bet: bet.stake_id.bytes)
    right = [bet for bet in ordered if bet.outcome == result]
    if result is None or (pays == "pool" and not right):
        return [Share(bet=bet, back=bet.parts) for bet in ordered if bet.parts]
    if pays == "gift":
        return [Share(bet=bet, issued=gift) for bet in right]
    if pays == "odds":
        won = [
            Share(bet=bet, back=bet.parts, issued=bet.points * odds // HUNDRED - bet.points) for bet in right
        ]
        lost = [Share(bet=bet, lost=bet.parts) for bet in ordered if bet.outcome != result]
        return sorted([*won, *lost], key=lambda share: share.bet.stake_id.bytes)
    return _pool(ordered, right)


def pro_rata(pot: int, staked: Sequence[int]) -> list[int]:
    """A pot shared in proportion to what each has staked, to the last point.

    Each gets its exact share rounded down; of the points that are left, one each goes to those whose shares
    were cut by most, of equals to the first.

    Args:
        pot: Points, at least as many as were staked together.
        staked: Points of each, > 0.
    """
    whole = sum(staked)
    got = [pot * one // whole for one in staked]
    left = pot - sum(got)
    cut = sorted(range(len(staked)), key=lambda place: (-(pot * staked[place] % whole), place))
    for place in cut[:left]:
        got[place] += 1
    return got


def _pool(ordered: Sequence[Bet], right: Sequence[Bet]) -> list[Share]:
    """Who was right keeps its own lots, and is given of the others' what lapses first, one after another."""
    others = sorted(part for bet in ordered if bet not in right for part in bet.parts)
    pot = sum(bet.points for bet in ordered)
    found = []
    for bet, points in zip(right, pro_rata(pot, [bet.points for bet in right]), strict=True):
        taken, others = _taken(others, points - bet.points)
        found.append(Share(bet=bet, back=(*bet.parts, *taken)))
    return found


def _taken(parts: Sequence[Part], points: int) -> tuple[list[Part], list[Part]]:
    """The first points of some lots, and what is left of them."""
    taken, left = [], []
    for part in parts:
        now = min(part.points, points)
        points -= now
        if now:
            taken.append(msgspec.structs.replace(part, points=now))
        if now < part.points:
            left.append(msgspec.structs.replace(part, points=part.points - now))
    return taken, left
