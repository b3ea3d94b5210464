"""What is odd about a command, now and then."""

from collections.abc import Callable, Sequence
from datetime import timedelta
from uuid import UUID

from tests.laws.book import Ask, Book
from tests.laws.world import OPERATOR

Twist = Callable[[Book, Ask, Sequence[Ask]], None]
_CARDS = ("card_number", "to_card_number", "merged_card_number")
_IDS = ("entry_id", "hold_id", "invitation_id")
_MOST = 10**12


def _wrong_outlet(_book: Book, ask: Ask, _asked: Sequence[Ask]) -> None:
    if "outlet_code" in ask:
        ask["outlet_code"] = "elsewhere"


def _wrong_currency(_book: Book, ask: Ask, _asked: Sequence[Ask]) -> None:
    if "currency" in ask:
        ask["currency"] = "EUR"


def _unknown_card(*names: str) -> Twist:
    def twist(_book: Book, ask: Ask, _asked: Sequence[Ask]) -> None:
        for name in names:
            if name in ask:
                ask[name] = 6330999999999999

    return twist


def _blocked_card(book: Book, ask: Ask, _asked: Sequence[Ask]) -> None:
    """The second card is the blocked one, else the first."""
    named = [name for name in _CARDS if name in ask]
    if named and book.blocked:
        ask[named[-1]] = min(book.blocked)


def _same_card(_book: Book, ask: Ask, _asked: Sequence[Ask]) -> None:
    for name in _CARDS[1:]:
        if name in ask:
            ask[name] = ask["card_number"]


def _another_joins(book: Book, ask: Ask, _asked: Sequence[Ask]) -> None:
    if ask["kind"] == "join":
        ask["card_number"] = next(iter(book.cards))


def _occurred(difference: timedelta) -> Twist:
    def twist(book: Book, ask: Ask, _asked: Sequence[Ask]) -> None:
        ask["occurred_at"] = book.now + difference

    return twist


def _foreign(_book: Book, ask: Ask, _asked: Sequence[Ask]) -> None:
    if ask["partner_id"] != OPERATOR:
        ask["partner_id"] = 12 if ask["partner_id"] != 12 else 13


def _unknown_id(_book: Book, ask: Ask, _asked: Sequence[Ask]) -> None:
    """Another id of the same member."""
    for name in _IDS:
        if name in ask:
            ask[name] = UUID(int=ask[name].int ^ 1 << 45)


def _id_of_anything(book: Book, ask: Ask, _asked: Sequence[Ask]) -> None:
    """An entry of another kind, a TRANSFER perhaps."""
    for name in _IDS:
        if name in ask and book.entries:
            entries = list(book.entries)
            ask[name] = entries[ask[name].int // 2**41 % len(entries)]
            if name != "invitation_id":
                ask["partner_id"] = book.entries[ask[name]]["partner_id"]


def _other_measure(_book: Book, ask: Ask, _asked: Sequence[Ask]) -> None:
    if ask["kind"] == "reverse":
        ask["amount_minor"], ask["points"] = ask["points"], ask["amount_minor"]


def _two_measures(_book: Book, ask: Ask, _asked: Sequence[Ask]) -> None:
    if ask["kind"] == "reverse":
        ask["points" if ask["lines"] or ask["amount_minor"] else "amount_minor"] = 1
        ask["lines"] = ask["lines"] or (1,)


def _wrong_lines(change: Callable[[tuple[int, ...]], tuple[int, ...]]) -> Twist:
    def twist(_book: Book, ask: Ask, _asked: Sequence[Ask]) -> None:
        if ask["kind"] == "reverse":
            ask.update(amount_minor=None, points=None)
        if "lines" in ask:
            ask["lines"] = change(ask["lines"])

    return twist


def _by_amount(_book: Book, ask: Ask, _asked: Sequence[Ask]) -> None:
    if ask["kind"] == "reverse":
        ask.update(lines=(), amount_minor=ask["amount_minor"] or (None if ask["points"] else 1))


def _unknown_partner(_book: Book, ask: Ask, _asked: Sequence[Ask]) -> None:
    if ask["kind"] == "adjust":
        ask["issuer_id"] = 99
    elif ask["partner_id"] != OPERATOR:
        ask["partner_id"] = 99


def _issued_by_operator(_book: Book, ask: Ask, _asked: Sequence[Ask]) -> None:
    if ask["kind"] == "adjust":
        ask["issuer_id"] = OPERATOR


def _as_much_as_can_be(_book: Book, ask: Ask, _asked: Sequence[Ask]) -> None:
    """A sale or adjustment of the most points that there may be, or of one step more."""
    if ask["kind"] == "accrue":
        step, points = {11: (100, 1), 12: (200, 1), 13: (100, 3), 14: (50, 1)}.get(
            ask["partner_id"], (100, 1)
        )
        ask["amount_minor"] = step * (_MOST // points + ask["amount_minor"] % 2)
        ask["lines"] = ()
    if ask["kind"] == "adjust":
        more = _MOST + abs(ask["points"]) % 2
        ask["points"] = more if ask["points"] > 0 else -more


def _anothers_reference(_book: Book, ask: Ask, asked: Sequence[Ask]) -> None:
    if asked and asked[-1]["partner_id"] != ask["partner_id"] and ask["kind"] != "adjust":
        ask["reference"] = asked[-1]["reference"]


ODD: dict[int, Twist] = dict(
    enumerate(
        (
            _wrong_outlet,
            _wrong_currency,
            _unknown_card("card_number"),
            _unknown_card(*_CARDS[1:]),
            _blocked_card,
            _blocked_card,
            _same_card,
            _another_joins,
            _occurred(timedelta(minutes=10)),
            _occurred(timedelta(minutes=10, seconds=1)),
            _occurred(timedelta(days=-30)),
            _occurred(timedelta(days=-30, seconds=-1)),
            _foreign,
            _foreign,
            _unknown_id,
            _id_of_anything,
            _other_measure,
            _other_measure,
            _two_measures,
            _wrong_lines(lambda lines: (*lines, 1)),
            _wrong_lines(lambda lines: (*lines[1:], 4)),
            _wrong_lines(lambda lines: (0, *lines)),
            _by_amount,
            _unknown_partner,
            _issued_by_operator,
            _as_much_as_can_be,
            _anothers_reference,
        ),
        start=1,
    )
)
"""By its number; the numbers above are of commands with nothing odd."""
