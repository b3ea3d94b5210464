"""Wishes for what a programme's own tables say: stored value and points on paper."""

from tests.laws.asking import Wish, at_till, card_with_points, made_up, some_of
from tests.laws.book import Ask, Book
from tests.laws.kinds.value import refundable
from tests.laws.world import CURRENCY, OPERATOR, OUTLET

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


# ---- points on paper ----


def issue_voucher(book: Book, wish: Wish, ask: Ask) -> None:
    """All that there is in whole steps, or one step more; or a point more, or a few steps."""
    ask["card_number"] = card_with_points(book, wish)
    names = ("note", "late", "note", "euro", "note", "late", "gold")
    ask["voucher"] = names[wish.which % len(names)]
    paper = book.world.schemes[-1].vouchers.get(ask["voucher"])
    step = 1 if paper is None else paper.points
    steps = book.spendable([book.cards[ask["card_number"]]]) // step
    ask["points"] = step * (steps, steps + 1, wish.size % 5, steps // 2)[wish.size % 4] or step
    ask["points"] += wish.size % 13 == 5


def _choose_voucher(book: Book, wish: Wish, ask: Ask) -> int:
    """One that is open, mostly; what it is worth."""
    ids = list(book.vouchers)
    if wish.size % 5:
        ids = [one for one in ids if not book.vouchers[one].ended_as] or ids
    if wish.size % 3 == 0:
        ids = [one for one in ids if book.vouchers[one].ends_on < book.today] or ids
    ask["voucher_id"] = ids[-1 - wish.which % min(len(ids), 6)] if ids else made_up(wish)
    if not wish.size % 17:
        ask["voucher_id"] = None if wish.size % 2 else made_up(wish)
    made = book.vouchers.get(ask["voucher_id"])
    return 1 if made is None else made.worth


def use_voucher(book: Book, wish: Wish, ask: Ask) -> None:
    """In a basket of just its worth, or of one less, or of the least, or of one less."""
    if not book.vouchers and wish.size % 4:
        ask["kind"] = "issue_voucher"
        issue_voucher(book, wish, ask)
        return
    worth = _choose_voucher(book, wish, ask)
    made = book.vouchers.get(ask["voucher_id"])
    least = 1 if made is None else made.paper.basket_minor
    basket = max(worth, least) if wish.size % 4 else (worth, least)[wish.which % 2]
    ask.update(code="x", outlet_code=OUTLET, currency=CURRENCY)
    ask["amount_minor"] = max(1, basket + (0, 0, 0, 1, -1)[wish.size % 5])
    if made is not None and made.paper.partners and wish.size % 7:
        ask["partner_id"] = made.paper.partners[wish.partner % len(made.paper.partners)]


def return_voucher(book: Book, wish: Wish, ask: Ask) -> None:
    """One that may be given back, mostly."""
    _choose_voucher(book, wish, ask)
    ask["code"] = "x"


def lapse_voucher(book: Book, wish: Wish, ask: Ask) -> None:
    """One that is over, if there is any; nobody asks for one that never was."""
    if not book.vouchers:
        ask["kind"] = "return_voucher"
        return_voucher(book, wish, ask)
        return
    _choose_voucher(book, wish._replace(size=3 * wish.size + 3), ask)
    if ask["voucher_id"] not in book.vouchers:
        ask["voucher_id"] = next(reversed(book.vouchers))
    ask["partner_id"] = OPERATOR


def convert(book: Book, wish: Wish, ask: Ask) -> None:
    """Of anybody, merged or not, now and then of nobody."""
    members = [who for who in book.accounts if book.spendable([who]) > 2 or not wish.size % 4]
    members = members if members and wish.size % 9 else [10**9]
    member = members[wish.who % len(members)]
    ask.update(partner_id=OPERATOR, member_id=member, programme_version=None)
