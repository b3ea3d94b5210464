"""Wishes for what a programme's own tables say: stored value."""

from tests.laws.asking import Wish, at_till, some_of
from tests.laws.book import Ask, Book
from tests.laws.kinds.value import refundable

# ---- stored value ----


def load(book: Book, wish: Wish, ask: Ask) -> None:
    """As much as there may be, or one more; what something on top begins at, or one less."""
    at_till(book, wish, ask)
    taking = None if (stored := book.world.schemes[-1].stored) is None else stored.loads_at
    if taking and wish.size % 7:
        ask["partner_id"] = taking[wish.partner % len(taking)]
    there = sum(book.value[book.cards[ask["card_number"]]].values())
    steps = [500] if stored is None else [one.from_minor for one in stored.bonuses]
    most = (
        [] if stored is None else [stored.most_balance_minor - there, stored.most_minor, stored.least_minor]
    )
    turns = [*steps, *steps, *most]
    ask["amount_minor"] = max(1, turns[wish.which % len(turns)] + (0, 0, 1, -1, wish.size)[wish.size % 5])


def _with_value(book: Book, wish: Wish, ask: Ask) -> int:
    """A card with stored value, mostly; its member."""
    at_till(book, wish, ask)
    rich = [card for card, member in book.cards.items() if any(book.value[member].values())]
    if rich and wish.size % 11:
        ask["card_number"] = rich[wish.who % len(rich)]
    return book.cards[ask["card_number"]]


def spend(book: Book, wish: Wish, ask: Ask) -> None:
    """All that is stored, or one more, or what was paid of it without what is on top."""
    value = book.value[_with_value(book, wish, ask)]
    stored = book.world.schemes[-1].stored
    if stored and stored.spends_at and wish.size % 7:
        ask["partner_id"] = stored.spends_at[wish.partner % len(stored.spends_at)]
    paid = sum(minor for key, minor in value.items() if key[0] == "VALUE" or wish.which % 2)
    ask["amount_minor"] = some_of(paid, wish.size)


def refund(book: Book, wish: Wish, ask: Ask) -> None:
    """All that is paid back, or one more."""
    member = _with_value(book, wish, ask)
    can = refundable(book, member)
    taking = None if (stored := book.world.schemes[-1].stored) is None else stored.loads_at
    if taking and wish.size % 7:
        ask["partner_id"] = taking[wish.partner % len(taking)]
    there = sum(book.value[member][key] for key in can) or sum(book.value[member].values())
    ask["amount_minor"] = some_of(there, wish.size)
