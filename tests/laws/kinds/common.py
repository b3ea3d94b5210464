"""What several kinds of commands ask first, in the model."""

from datetime import date, datetime, timedelta

from tests.laws.book import Ask, Book, Drawn, Refused
from tests.laws.records import Part
from tests.laws.world import OPERATOR, POOL, Dated, Partner
from tests.laws.writing import Writing

MOST_POINTS = 1_000_000_000_000
"""Of one sale, or adjustment."""


def timely(book: Book, at: datetime) -> None:
    """Ten minutes ahead and thirty days back, both inclusive."""
    if at - book.now > timedelta(minutes=10):
        raise Refused("occurred_in_future")
    if book.now - at > timedelta(days=30):
        raise Refused("occurred_too_long_ago")


def taking_part(book: Book, number: int) -> Partner:
    """A participant, if the network knows it and it is active."""
    if number in {OPERATOR, POOL}:
        return Partner("", "", [])
    if number not in book.world.partners:
        raise Refused("partner_unknown")
    partner = book.world.partners[number]
    if partner.status != "active":
        raise Refused("partner_not_active")
    return partner


def in_force(partner: Partner, day: date) -> Dated | None:
    """A partner's terms on a day."""
    versions = [one for one in partner.terms if one.since <= day]
    return max(versions, key=lambda one: one.version, default=None)


def of_card(book: Book, card: int, *, whose: str = "card") -> int:
    """Whom a card opens, if it may be used."""
    if card not in book.cards:
        raise Refused(f"{whose}_unknown")
    if card in book.blocked:
        raise Refused(f"{whose}_blocked")
    return book.cards[card]


def between(book: Book, ask: Ask) -> None:
    """What commands between members, away from any till, ask first."""
    timely(book, ask["occurred_at"])
    taking_part(book, ask["partner_id"])


def take_out(
    writing: Writing, drawn: list[Drawn], credit: str, to: int | None, terms: int | None, category: int = 0
) -> list[Part]:
    """Move drawn points to an account; the parts they came in."""
    parts = []
    for owner, lot, points in drawn:
        part = Part(lot, points, owner, to, terms, writing.book.window_id, category)
        writing.move("MEMBER", credit, points, lot, of=owner, part=part)
        parts.append(part)
    return parts


def give_back(writing: Writing, part: Part, points: int, debit: str, *, undone: bool = False) -> None:
    """Move points of a part to whom they come back."""
    owner, lot = writing.book.coming_back(part)
    window = part.window if undone else None
    writing.move(debit, "MEMBER", points, lot, of=owner, part=part, undone=window, unit=part.unit)


def from_front(parts: list[Part], points: int) -> list[tuple[Part, int]]:
    """Take points out of the first parts; what was taken of each."""
    taken = []
    while points:
        some = min(points, parts[0].points)
        taken.append((parts[0], some))
        parts[0].points -= some
        points -= some
        if not parts[0].points:
            parts.pop(0)
    return taken


def from_back(parts: list[Part], points: int) -> list[tuple[Part, int]]:
    """Take points out of the last parts; what was taken of each."""
    parts.reverse()
    taken = from_front(parts, points)
    parts.reverse()
    return taken
