"""Which lots a redemption or a clawback takes (pure)."""

from collections.abc import Iterable, Sequence
from datetime import date
from hashlib import sha256
from uuid import UUID

import msgspec

from network.model import Lot, Posting


class Draw(msgspec.Struct, frozen=True):
    """The part of a lot that is taken, and whose it is."""

    member_id: int
    lot: Lot
    points: int


def live(lots: Iterable[Lot], on: date) -> list[Lot]:
    """The lots that can be spent on a day."""
    return [lot for lot in lots if lot.remaining > 0 and lot.spendable_on <= on <= lot.lives_until]


def draw_lots(
    purses: Sequence[tuple[int, Iterable[Lot]]], points: int, *, on: date, entry_id: UUID
) -> tuple[Draw, ...] | None:
    """Choose the lots a redemption takes, earliest expiry first, whoever's they are.

    Ties go by SHA-256(entry id ‖ issuer id), then terms version, so that no issuer always pays first and
    nobody can choose who does: the hub mints the entry id. Of equal lots the member's own goes first.

    Args:
        purses: Members with their lots, any order: who spends, then the others of its pool by number.
        points: Points to take, > 0.
        on: Network-local date; a lot is dead when lives_until < on.
        entry_id: The entry that takes them.
    Returns:
        Draws that sum to exactly `points`, or None where the live lots do not suffice.
    """
    candidates = [(place, lot) for place, (_, lots) in enumerate(purses) for lot in live(lots, on)]
    if sum(lot.remaining for _, lot in candidates) < points:
        return None
    candidates.sort(
        key=lambda candidate: (
            candidate[1].lives_until,
            _tie_break(entry_id, candidate[1].issuer_id),
            candidate[1].terms_version,
            candidate[1].spendable_on,
            candidate[0],
            candidate[1].expires_on,
        )
    )
    return _take(((purses[place][0], lot) for place, lot in candidates), points)


def returnable(lots: Iterable[Lot], issuer_id: int, on: date) -> list[Lot]:
    """One issuer's lots that a return can take from on a day, pending ones too."""
    return [lot for lot in lots if lot.remaining > 0 and lot.issuer_id == issuer_id and lot.lives_until >= on]


def draw_clawback(
    member_id: int, lots: Iterable[Lot], issuer_id: int, points: int, *, on: date, own: Lot | None = None
) -> tuple[Draw, ...]:
    """Choose the lots a returned sale takes back: its own first, then its issuer's by earliest expiry.

    Never another issuer's: that issuer would lose points it never sold.

    Args:
        member_id: Whose lots they are.
        points: At most what `returnable` lots hold; 0 takes nothing.
        own: The lot that the sale fed.
    """
    candidates = returnable(lots, issuer_id, on)
    candidates.sort(
        key=lambda lot: (
            own is None or not same_lot(lot, own),
            lot.lives_until,
            lot.terms_version,
            lot.spendable_on,
            lot.expires_on,
        )
    )
    return _take(((member_id, lot) for lot in candidates), points)


def parts(postings: Sequence[Posting], skip: int, points: int) -> list[tuple[Posting, int]]:
    """Cut `points` out of what postings moved, one after another, after the first `skip` of them."""
    taken: list[tuple[Posting, int]] = []
    for posting in postings:
        passed = min(skip, posting.points)
        skip -= passed
        part = min(posting.points - passed, points)
        if part > 0:
            taken.append((posting, part))
            points -= part
    return taken


def same_lot(one: Lot, other: Lot) -> bool:
    """Whether two values are the same lot, whatever remains in it."""
    return lot_key(one) == lot_key(other)


def lot_key(lot: Lot) -> tuple[int, int, date, date]:
    """What makes a lot of an account one lot."""
    return (lot.issuer_id, lot.terms_version, lot.spendable_on, lot.expires_on)


def _take(ordered: Iterable[tuple[int, Lot]], points: int) -> tuple[Draw, ...]:
    draws: list[Draw] = []
    for member_id, lot in ordered:
        if points == 0:
            break
        taken = min(lot.remaining, points)
        draws.append(Draw(member_id, lot, taken))
        points -= taken
    return tuple(draws)


def _tie_break(entry_id: UUID, issuer_id: int) -> bytes:
    return sha256(entry_id.bytes + issuer_id.to_bytes(8, "big")).digest()
