"""What a wish is, and what several kinds of wishes ask first."""

from typing import NamedTuple
from uuid import UUID

from tests.laws.book import Ask, Book
from tests.laws.world import CURRENCY, OUTLET


class Wish(NamedTuple):
    """Kind, and five numbers: who, at which partner, how much, which earlier thing, and what is odd."""

    kind: int
    who: int
    partner: int
    size: int
    which: int
    odd: int


def a_card(book: Book, number: int) -> int:
    """One of all cards."""
    return list(book.cards)[number % len(book.cards)]


def card_with_points(book: Book, wish: Wish) -> int:
    """One of those that have points to spend, mostly, and often of those in a pool."""
    rich = [card for card, member in book.cards.items() if book.spendable([member, *book.pool(member)])]
    if wish.which % 2:
        rich = [card for card in rich if book.pool(book.cards[card])] or rich
    return rich[wish.who % len(rich)] if rich and wish.size % 11 else a_card(book, wish.who)


def some_of(left: int, size: int) -> int:
    """Points or cents: all, one too many, half, or few; at least 1."""
    return max(1, (left, left + 1, left // 2, size % 40 + 1, left // 3, size % 7 + 1)[size % 6])


def made_up(wish: Wish) -> UUID:
    """An id of the first member that nothing has."""
    return UUID(int=wish.size << 41 | 1)


def at_till(book: Book, wish: Wish, ask: Ask) -> None:
    """Outlet, card and currency, nothing wrong with any."""
    ask.update(outlet_code=OUTLET, card_number=a_card(book, wish.who), currency=CURRENCY)
