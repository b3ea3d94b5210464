"""Commands drawn at random, steered by the model to where rules turn: all that is left, and one more.

A wish is a tuple of small numbers. What it means depends on how the model stands, so that any wish makes
sense at any time and a failing run can be shrunk.
"""

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import NamedTuple
from uuid import UUID

from hypothesis import strategies as st

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


WISHES = st.builds(
    Wish,
    st.integers(0, 59),
    st.integers(0, 5),
    st.integers(0, 9),
    st.integers(0, 2999),
    st.integers(0, 63),
    st.integers(0, 59),
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
    partner = (11, 11, 12, 13, 13, 14, 14, 15, 11, 13)[wish.partner]
    ask: Ask = {
        "kind": kind,
        "partner_id": partner,
        "reference": f"r{number}",
        "occurred_at": book.now - _LAGS[wish.which % len(_LAGS)],
    }
    makers[kind](book, wish, ask)
    return ask


def _other(book: Book, earlier: Ask, wish: Wish) -> Ask:
    """Other content under the reference of an earlier command."""
    if wish.size % 2:
        return {**earlier, "occurred_at": earlier["occurred_at"] - timedelta(seconds=1)}
    made = _make("accrue", book, wish, 0)
    return {**made, "partner_id": earlier["partner_id"], "reference": earlier["reference"]}


def _member(book: Book, wish: Wish) -> int:
    return list(book.cards)[wish.who % len(book.cards)]


def _some(left: int, size: int) -> int:
    """Points or cents: all, one too many, half, or few; at least 1."""
    return max(1, (left, left + 1, left // 2, size % 40 + 1, left // 3, size % 7 + 1)[size % 6])


def _at_till(book: Book, wish: Wish, ask: Ask) -> None:
    ask.update(outlet_code=OUTLET, card_number=_member(book, wish), currency=CURRENCY)


def _enrol(book: Book, wish: Wish, ask: Ask) -> None:
    pass


def _accrue(book: Book, wish: Wish, ask: Ask) -> None:
    _at_till(book, wish, ask)
    ask["amount_minor"] = (100 * (wish.size % 90 + 1), wish.size + 1, 10 * wish.size + 99)[wish.size % 3]


def _redeem(book: Book, wish: Wish, ask: Ask) -> None:
    _at_till(book, wish, ask)
    there = book.spendable(book.cards[ask["card_number"]])
    ask["points"] = _some(there, wish.size)
    ask["amount_minor"] = 3 * ask["points"] + wish.size % 3


def _hold(book: Book, wish: Wish, ask: Ask) -> None:
    _redeem(book, wish, ask)
    ask["minutes"] = _MINUTES[wish.which % len(_MINUTES)]


def _choose_hold(book: Book, wish: Wish, ask: Ask) -> int:
    """An open hold if there is one, mostly, or one that ends this instant; what is left in it."""
    holds = list(book.holds.items())
    if wish.size % 5:
        holds = [(i, h) for i, h in holds if h.parts and h.lapses_at >= book.now] or holds
    if not holds:
        ask["hold_id"] = UUID(int=wish.size << 41 | 1)
        return 1
    hold_id, held = holds[-1 - wish.which % min(len(holds), 5)]
    ask.update(hold_id=hold_id, partner_id=held.partner)
    return sum(part.points for part in held.parts)


def _capture(book: Book, wish: Wish, ask: Ask) -> None:
    ask["points"] = _some(_choose_hold(book, wish, ask), wish.size)
    ask["amount_minor"] = 2 * ask["points"] + wish.size % 2


def _void(book: Book, wish: Wish, ask: Ask) -> None:
    _choose_hold(book, wish, ask)


def _reverse(book: Book, wish: Wish, ask: Ask) -> None:
    """Of an entry that can be returned, mostly; whole, or in the measure that it has."""
    ids = [i for i in book.entries if i in book.sold or i in book.spent]
    if not wish.which % 11 or not ids:
        ids = list(book.entries)
    entry_id = ids[-1 - wish.which % min(len(ids), 7 if wish.which < 48 else 64)]
    ask.update(entry_id=entry_id, partner_id=book.entries[entry_id]["partner_id"])
    ask.update(amount_minor=None, points=None)
    if wish.size % 3 == 0:
        return
    if entry_id in book.spent:
        spent = book.spent[entry_id]
        ask["points"] = _some(spent.points - spent.back, wish.size // 3)
    elif entry_id in book.sold:
        ask["amount_minor"] = _some(book.sold[entry_id].left, wish.size // 3)


makers: dict[str, Callable[[Book, Wish, Ask], None]] = {
    "enrol": _enrol,
    "accrue": _accrue,
    "redeem": _redeem,
    "hold": _hold,
    "capture": _capture,
    "void": _void,
    "reverse": _reverse,
}
_WEIGHTS = {
    "accrue": 17,
    "redeem": 8,
    "reverse": 12,
    "hold": 8,
    "capture": 7,
    "void": 2,
    "again": 3,
    "other": 2,
    "enrol": 1,
}
_SORTED = [kind for kind, weight in _WEIGHTS.items() for _ in range(weight)]
_KINDS = [_SORTED[17 * number % 60] for number in range(60)]
"""Mixed, because the ends of a range are drawn more often."""
ENROL = _KINDS.index("enrol")
"""The kind number of an enrolment."""


# ---- what is odd about a command, now and then ----

Twist = Callable[[Book, Ask, Sequence[Ask]], None]


def _wrong_outlet(_book: Book, ask: Ask, _asked: Sequence[Ask]) -> None:
    if "outlet_code" in ask:
        ask["outlet_code"] = "elsewhere"


def _wrong_currency(_book: Book, ask: Ask, _asked: Sequence[Ask]) -> None:
    if "currency" in ask:
        ask["currency"] = "EUR"


def _unknown_card(_book: Book, ask: Ask, _asked: Sequence[Ask]) -> None:
    if "card_number" in ask:
        ask["card_number"] = 6330999999999999


def _occurred(difference: timedelta) -> Twist:
    def twist(book: Book, ask: Ask, _asked: Sequence[Ask]) -> None:
        ask["occurred_at"] = book.now + difference

    return twist


def _foreign(_book: Book, ask: Ask, _asked: Sequence[Ask]) -> None:
    ask["partner_id"] = 12 if ask["partner_id"] != 12 else 13


def _unknown_id(_book: Book, ask: Ask, _asked: Sequence[Ask]) -> None:
    """Another id of the same member."""
    for field in ("entry_id", "hold_id"):
        if field in ask:
            ask[field] = UUID(int=ask[field].int ^ 1 << 45)


def _other_measure(_book: Book, ask: Ask, _asked: Sequence[Ask]) -> None:
    if ask["kind"] == "reverse":
        ask["amount_minor"], ask["points"] = ask["points"], ask["amount_minor"]


def _unknown_partner(_book: Book, ask: Ask, _asked: Sequence[Ask]) -> None:
    ask["partner_id"] = 99


def _as_much_as_can_be(_book: Book, ask: Ask, _asked: Sequence[Ask]) -> None:
    """A sale of the most points that one may earn, or of one step more."""
    if ask["kind"] == "accrue":
        step, points = {11: (100, 1), 12: (200, 1), 13: (100, 3), 14: (50, 1), 15: (100, 1)}[
            ask["partner_id"]
        ]
        ask["amount_minor"] = step * (10**12 // points + ask["amount_minor"] % 2)


def _anothers_reference(_book: Book, ask: Ask, asked: Sequence[Ask]) -> None:
    if asked and asked[-1]["partner_id"] != ask["partner_id"]:
        ask["reference"] = asked[-1]["reference"]


ODD: dict[int, Twist] = {
    1: _wrong_outlet,
    2: _wrong_currency,
    3: _unknown_card,
    4: _occurred(timedelta(minutes=10)),
    5: _occurred(timedelta(minutes=10, seconds=1)),
    6: _occurred(timedelta(days=-30)),
    7: _occurred(timedelta(days=-30, seconds=-1)),
    8: _foreign,
    9: _unknown_id,
    10: _other_measure,
    11: _anothers_reference,
    12: _other_measure,
    13: _unknown_partner,
    14: _as_much_as_can_be,
}
