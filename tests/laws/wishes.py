"""Commands drawn at random, steered by the model to where rules turn: all that is left, and one more.

A wish is a tuple of small numbers. What it means depends on how the model stands, so that any wish makes
sense at any time and a failing run can be shrunk. What is odd about it is in `odd`.
"""

from collections.abc import Callable, Sequence
from datetime import timedelta
from uuid import UUID

from hypothesis import strategies as st

from tests.laws.asking import Wish, a_card, at_till, card_with_points, made_up, some_of
from tests.laws.book import Ask, Book
from tests.laws.odd import ODD
from tests.laws.programme_wishes import (
    convert,
    issue_voucher,
    lapse_voucher,
    load,
    refund,
    return_voucher,
    spend,
    use_voucher,
)
from tests.laws.records import Part, Sold
from tests.laws.world import OPERATOR

KINDS = 151
WISHES = st.builds(
    Wish,
    st.integers(0, KINDS - 1),
    st.integers(0, 11),
    st.integers(0, 11),
    st.integers(0, 2999),
    st.integers(0, 63),
    st.integers(0, 79),
)
_LAGS = [timedelta(0)] * 4 + [
    timedelta(seconds=50),
    timedelta(hours=5),
    timedelta(days=1),
    timedelta(days=3),
    timedelta(days=12),
    timedelta(days=29, hours=23),
]
_MINUTES = (1, 30, 30, 90, 24 * 60, 3 * 24 * 60, 7 * 24 * 60)
_PARTNERS = (11, 11, 12, 13, 13, 14, 14, 15, 11, 13, 16, 12)


def ask_for(book: Book, wish: Wish, number: int, asked: Sequence[Ask]) -> Ask:
    """The command that a wish means now.

    Args:
        number: Makes the reference.
        asked: Everything that was asked so far, this batch included.
    """
    kind = _KINDS[wish.kind] if book.cards else "enrol"
    if kind in {"again", "other"}:
        if not asked:
            return _make("enrol", book, wish, number)
        earlier = asked[-1 - wish.which % min(len(asked), 8 if wish.size % 3 else 64)]
        return dict(earlier) if kind == "again" else _other(book, earlier, wish)
    ask = _make(kind, book, wish, number)
    twist = ODD.get(wish.odd)
    if twist is not None:
        twist(book, ask, asked)
    return ask


def _make(kind: str, book: Book, wish: Wish, number: int) -> Ask:
    ask: Ask = {
        "kind": kind,
        "partner_id": _PARTNERS[wish.partner],
        "reference": f"r{number}",
        "occurred_at": book.now - _LAGS[wish.which % len(_LAGS)],
    }
    makers[kind](book, wish, ask)
    return ask


def _other(book: Book, earlier: Ask, wish: Wish) -> Ask:
    """Other content under the reference of an earlier command."""
    if wish.size % 2 or earlier["partner_id"] == OPERATOR:
        return {**earlier, "occurred_at": earlier["occurred_at"] - timedelta(seconds=1)}
    made = _make("accrue", book, wish, 0)
    return {**made, "partner_id": earlier["partner_id"], "reference": earlier["reference"]}


def _of_several(book: Book, entry_id: UUID, parts: Sequence[Part]) -> bool:
    """Something is to come back to others than the entry's member."""
    member = entry_id.int % 2**40
    return any(book.owner(part.owner) != member for part in parts)


# ---- at a till ----


def _split(whole: int, wish: Wish) -> tuple[int, ...]:
    """None, mostly; or lines that add up."""
    many = min(whole, (0, 0, 0, 2, 3, 1)[wish.which % 6])
    return (*(whole // many for _ in range(many - 1)), whole - whole // many * (many - 1)) if many else ()


def _enrol(book: Book, wish: Wish, ask: Ask) -> None:
    pass


def _accrue(book: Book, wish: Wish, ask: Ask) -> None:
    at_till(book, wish, ask)
    ask["amount_minor"] = (100 * (wish.size % 90 + 1), wish.size + 1, 10 * wish.size + 99)[wish.size % 3]
    ask["lines"] = _split(ask["amount_minor"], wish)


def _pay(book: Book, wish: Wish, ask: Ask) -> None:
    """Points of the member's, or of its whole pool."""
    at_till(book, wish, ask)
    ask["card_number"] = card_with_points(book, wish)
    member = book.cards[ask["card_number"]]
    there = book.spendable([member, *(book.pool(member) if wish.which % 3 else [])])
    ask["points"] = some_of(there, wish.size)
    ask["amount_minor"] = 3 * ask["points"] + wish.size % 3
    ask["category"] = "spa" if wish.size % 61 == 7 else ("", "", "flight", "voucher")[wish.size // 3 % 4]


def _redeem(book: Book, wish: Wish, ask: Ask) -> None:
    _pay(book, wish, ask)
    ask["lines"] = _split(ask["points"], wish)
    if wish.size % 7 == 3:
        ask.update(offline=True, lines=())
        ask["points"] += (0, 1, 60, 500)[wish.which % 4]


def _hold(book: Book, wish: Wish, ask: Ask) -> None:
    _pay(book, wish, ask)
    ask["minutes"] = _MINUTES[wish.which % len(_MINUTES)]


def _choose_hold(book: Book, wish: Wish, ask: Ask) -> int:
    """An open hold if there is one, mostly, or one that ends this instant; what is left in it."""
    holds = list(book.holds.items())
    if wish.size % 5:
        holds = [(i, h) for i, h in holds if h.parts and h.lapses_at >= book.now] or holds
    if wish.size % 4 == 0:
        holds = [(i, h) for i, h in holds if _of_several(book, i, h.parts)] or holds
    if not holds:
        ask["hold_id"] = made_up(wish)
        return 1
    hold_id, held = holds[-1 - wish.which % min(len(holds), 5)]
    ask.update(hold_id=hold_id, partner_id=held.partner)
    return sum(part.points for part in held.parts)


def _capture(book: Book, wish: Wish, ask: Ask) -> None:
    ask["points"] = some_of(_choose_hold(book, wish, ask), wish.size)
    ask["amount_minor"] = 2 * ask["points"] + wish.size % 2


def _void(book: Book, wish: Wish, ask: Ask) -> None:
    _choose_hold(book, wish, ask)


# ---- returns ----


def _returnable(book: Book, wish: Wish) -> UUID:
    """An entry that can be returned, mostly: of points that others put in, or spent, or of who owes."""
    ids = [i for i in book.entries if i in book.sold or i in book.spent]
    if wish.size % 8 == 5:
        ids = [i for i in book.entries if i in book.loaded or i in book.paid] or ids
    if wish.size % 4 == 1:
        ids = [i for i in ids if i in book.spent and _of_several(book, i, book.spent[i].parts)] or ids
    elif wish.size % 4 == 2:
        ids = [i for i in ids if i in book.sold and _is_spent(book, i, book.sold[i])] or ids
    elif wish.size % 4 == 3:
        ids = [i for i in ids if i in book.sold and book.owed[book.owner(i.int % 2**40)]] or ids
    if not wish.which % 11 or not ids:
        ids = list(book.entries)
    return ids[-1 - wish.which % min(len(ids), 9 if wish.which < 48 else 64)]


def _reverse(book: Book, wish: Wish, ask: Ask) -> None:
    """Of an entry that can be returned, mostly; whole, by its lines, or in the measure that it has."""
    entry_id = _returnable(book, wish)
    seller = book.entries[entry_id]["partner_id"]
    elsewhere = {12: 11, 13: 15}.get(wish.size % 16, 12)
    ask.update(entry_id=entry_id, partner_id=elsewhere if wish.size % 16 > 11 else seller)
    ask.update(amount_minor=None, points=None, lines=())
    if wish.size % 3 == 0:
        return
    items = book.items.get(entry_id, [])
    if items and wish.size % 13:
        back = [n for n, item in enumerate(items, start=1) if item.returned_by is None or not wish.size % 7]
        ask["lines"] = tuple(back[: wish.size // 3 % 3 + 1])
    elif entry_id in book.loaded:
        ask["amount_minor"] = book.entries[entry_id]["amount_minor"] - (wish.size % 3 == 1)
    elif entry_id in book.paid:
        ask["amount_minor"] = some_of(sum(part.points for part in book.paid[entry_id]), wish.size // 3)
    elif entry_id in book.spent:
        spent = book.spent[entry_id]
        ask["points"] = some_of(spent.points - spent.back, wish.size // 3)
    elif entry_id in book.sold:
        ask["amount_minor"] = some_of(book.sold[entry_id].left, wish.size // 3)


def _is_spent(book: Book, entry_id: UUID, sold: Sold) -> bool:
    """Points of a sale that nobody has returned are not all there, or are another's now."""
    member = entry_id.int % 2**40
    there = sum(points for _, points in book.take_from(book.owner(member), sold.lot[0], sold.left))
    return sold.left > 0 and (there * 100 < sold.left or book.owner(member) != member)


def _release(book: Book, wish: Wish, ask: Ask) -> None:
    """Of a sale with points that wait, mostly."""
    ids = [i for i, sold in book.sold.items() if sold.waiting or not wish.size % 6] or list(book.entries)
    ask["entry_id"] = ids[-1 - wish.which % min(len(ids), 6)]
    ask["partner_id"] = book.entries[ask["entry_id"]]["partner_id"]


# ---- between members ----


def _two(book: Book, wish: Wish, ask: Ask, second: str) -> None:
    """Two cards, mostly of two members."""
    ask["card_number"] = card_with_points(book, wish)
    others = [card for card, member in book.cards.items() if member != book.cards[ask["card_number"]]]
    ask[second] = others[wish.which % len(others)] if others else ask["card_number"]


def _gift(book: Book, wish: Wish, ask: Ask) -> None:
    _two(book, wish, ask, "to_card_number")
    ask["points"] = some_of(book.spendable([book.cards[ask["card_number"]]]), wish.size)


def _donate(book: Book, wish: Wish, ask: Ask) -> None:
    ask["card_number"] = card_with_points(book, wish)
    ask["cause"] = ("cause", "petrol", "cause", "cause", "petrol", "hotel", "nobody")[wish.which % 7]
    ask["points"] = some_of(book.spendable([book.cards[ask["card_number"]]]), wish.size)


def _invite(book: Book, wish: Wish, ask: Ask) -> None:
    _two(book, wish, ask, "to_card_number")


def _join(book: Book, wish: Wish, ask: Ask) -> None:
    """By an invitation of who is in no pool, mostly, and by who was invited; or by one that ends now."""
    found = [(i, e["counterpart_id"]) for i, e in book.entries.items() if e["kind"] == "POOL_INVITATION"]
    if wish.size % 5:
        found = [(i, m) for i, m in found if not book.pool(m)] or found
    if wish.size % 3 == 0:
        limit = timedelta(days=14)
        found = [(i, m) for i, m in found if book.now - book.entries[i]["recorded_at"] >= limit] or found
    if not found:
        ask.update(card_number=a_card(book, wish.who), invitation_id=made_up(wish))
        return
    ask["invitation_id"], member = found[-1 - wish.which % min(len(found), 4)]
    own = [card for card, whose in book.cards.items() if whose == member]
    ask["card_number"] = own[wish.who % len(own)] if own else a_card(book, wish.who)


def _leave(book: Book, wish: Wish, ask: Ask) -> None:
    mates = [card for card, member in book.cards.items() if book.pool(member)]
    ask["card_number"] = mates[wish.who % len(mates)] if mates and wish.size % 4 else a_card(book, wish.who)


def _merge(book: Book, wish: Wish, ask: Ask) -> None:
    """Of one that owes, sometimes, or that has something set aside."""
    _two(book, wish, ask, "merged_card_number")
    apart = [card for card, member in book.cards.items() if not book.pool(member)]
    held = {hold.member for hold in book.holds.values() if hold.parts}
    bound = [card for card in apart if book.owed[book.cards[card]] or book.cards[card] in held]
    wanted = bound if wish.size % 3 else apart
    if wanted and wish.size % 7:
        ask["merged_card_number"] = wanted[wish.which % len(wanted)]


def _unmerge(book: Book, wish: Wish, ask: Ask) -> None:
    """Of a merge, mostly."""
    ids = [i for i, e in book.entries.items() if e["kind"] == "MERGE" or not wish.size % 9]
    ask["entry_id"] = ids[-1 - wish.which % min(len(ids), 4)] if ids else made_up(wish)
    if ids:
        ask["partner_id"] = book.entries[ask["entry_id"]]["partner_id"]


# ---- by the operator ----


def _adjust(book: Book, wish: Wish, ask: Ask) -> None:
    ask.update(card_number=a_card(book, wish.who), partner_id=OPERATOR, issuer_id=_PARTNERS[wish.partner])
    ask["reference"] = f"adjustment {int(ask['reference'][1:]):032x}"
    alive = book.alive(book.cards[ask["card_number"]])
    if alive and wish.size % 7:
        ask["issuer_id"] = max(alive)[0]
    there = sum(points for lot, points in alive.items() if lot[0] == ask["issuer_id"])
    ask["points"] = wish.size % 300 + 1 if wish.size % 2 else -some_of(there, wish.size // 2)


def _set_tier(book: Book, wish: Wish, ask: Ask) -> None:
    tier = ("silver", "gold", "", "silver", "plain", "silver", "gold", "bronze")[wish.which % 8]
    ask.update(card_number=a_card(book, wish.who), partner_id=OPERATOR, tier=tier)


makers: dict[str, Callable[[Book, Wish, Ask], None]] = {
    "enrol": _enrol,
    "accrue": _accrue,
    "redeem": _redeem,
    "hold": _hold,
    "capture": _capture,
    "void": _void,
    "reverse": _reverse,
    "release": _release,
    "gift": _gift,
    "donate": _donate,
    "invite": _invite,
    "join": _join,
    "leave": _leave,
    "merge": _merge,
    "unmerge": _unmerge,
    "adjust": _adjust,
    "set_tier": _set_tier,
    "load": load,
    "spend": spend,
    "refund": refund,
    "issue_voucher": issue_voucher,
    "use_voucher": use_voucher,
    "convert": convert,
    "return_voucher": return_voucher,
    "lapse_voucher": lapse_voucher,
}
_WEIGHTS = {
    "accrue": 19,
    "redeem": 14,
    "reverse": 23,
    "hold": 10,
    "capture": 7,
    "void": 3,
    "release": 4,
    "gift": 6,
    "donate": 3,
    "invite": 3,
    "join": 5,
    "leave": 2,
    "merge": 3,
    "unmerge": 3,
    "adjust": 4,
    "set_tier": 3,
    "load": 5,
    "spend": 5,
    "refund": 3,
    "issue_voucher": 6,
    "use_voucher": 6,
    "convert": 2,
    "return_voucher": 2,
    "lapse_voucher": 2,
    "again": 4,
    "other": 3,
    "enrol": 1,
}
_SORTED = [kind for kind, weight in _WEIGHTS.items() for _ in range(weight)]
_KINDS = [_SORTED[17 * number % KINDS] for number in range(KINDS)]
"""Mixed, because the ends of a range are drawn more often."""
ENROL = _KINDS.index("enrol")
"""The kind number of an enrolment."""
JOIN = _KINDS.index("join")
"""The kind number of a consent."""
USE = _KINDS.index("use_voucher")
"""The kind number of a payment by voucher."""
