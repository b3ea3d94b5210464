"""Which lots a redemption or a clawback takes (pure)."""

from collections.abc import Iterable, Sequence
from datetime import date
from hashlib import sha256
from uuid import UUID

import msgspec

from network.model import Lot, Posting


class Draw(msgspec.Struct, frozen=True):
    """The part of a lot that is taken."""

    lot: Lot
    points: int


def live(lots: Iterable[Lot], on: date) -> list[Lot]:
    """The lots that can be spent on a day."""
    return [lot for lot in lots if lot.remaining > 0 and lot.spendable_on <= on <= lot.expires_on]


def spendable_points(lots: Iterable[Lot], on: date) -> int:
    """Points a member can spend on a day."""
    return sum(lot.remaining for lot in live(lots, on))


def draw_lots(lots: Sequence[Lot], points: int, *, on: date, entry_id: UUID) -> tuple[Draw, ...] | None:
    """Choose the lots a redemption takes, earliest expiry first.

    Ties go by SHA-256(entry id ‖ issuer id), then terms version, so that no issuer always pays first and
    nobody can choose who does: the hub mints the entry id.

    Args:
        lots: One account's lots, any order; not mutated.
        points: Points to take, > 0.
        on: Network-local date; a lot is dead when expires_on < on.
        entry_id: The entry that takes them.
    Returns:
        Draws that sum to exactly `points`, or None where the live lots do not suffice.
    """
    candidates = live(lots, on)
    if sum(lot.remaining for lot in candidates) < points:
        return None
    candidates.sort(
        key=lambda lot: (
            lot.expires_on,
            _tie_break(entry_id, lot.issuer_id),
            lot.terms_version,
            lot.spendable_on,
        )
    )
    return _take(candidates, points)


def returnable(lots: Iterable[Lot], issuer_id: int, on: date) -> list[Lot]:
    """One issuer's lots that a return can take from on a day, pending ones too."""
    return [lot for lot in lots if lot.remaining > 0 and lot.issuer_id == issuer_id and lot.expires_on >= on]


def draw_clawback(lots: Sequence[Lot], own: Lot, points: int, *, on: date) -> tuple[Draw, ...]:
    """Choose the lots a returned sale takes back: its own first, then its issuer's by earliest expiry.

    Never another issuer's: that issuer would lose points it never sold.

    Args:
        points: At most what `returnable` lots hold; 0 takes nothing.
    """
    candidates = returnable(lots, own.issuer_id, on)
    candidates.sort(
        key=lambda lot: (not same_lot(lot, own), lot.expires_on, lot.terms_version, lot.spendable_on)
    )
    return _take(candidates, points)


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


def _take(ordered: Iterable[Lot], points: int) -> tuple[Draw, ...]:
    draws: list[Draw] = []
    for lot in ordered:
        if points == 0:
            break
        taken = min(lot.remaining, points)
        draws.append(Draw(lot, taken))
        points -= taken
    return tuple(draws)


def _tie_break(entry_id: UUID, issuer_id: int) -> bytes:
    return sha256(entry_id.bytes + issuer_id.to_bytes(8, "big")).digest()
