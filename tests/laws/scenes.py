"""Short scenes that chance would hardly ever play: a few batches each that make sense together.

A scene yields batches of asks without references, or time that passes, and sees what became of one before it
makes the next.
Whatever they meet in the model's state, each reply is judged as any other.
"""

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any
from uuid import UUID

from tests.laws.book import Ask, Book
from tests.laws.world import CURRENCY, OPERATOR, OUTLET, Paper

Scene = Iterator[list[Ask] | timedelta]


def _ask(book: Book, kind: str, partner: int = 11, **fields: Any) -> Ask:
    return {"kind": kind, "partner_id": partner, "occurred_at": book.now, **fields}


def _at_till(book: Book, kind: str, card: int, amount: int, **fields: Any) -> Ask:
    till: dict[str, Any] = {
        "outlet_code": OUTLET,
        "currency": CURRENCY,
        "card_number": card,
        "amount_minor": amount,
    }
    return _ask(book, kind, **till, **fields)


def _latest(book: Book, kind: str, member: int) -> UUID:
    """A member's latest entry of a kind; an id of nothing where it has none."""
    named = (i for i, e in reversed(book.entries.items()) if (e["kind"], e["member_id"]) == (kind, member))
    return next(named, UUID(int=1 << 45 | member))


def _cards(book: Book, who: int, many: int = 3) -> list[int]:
    """A card of each of some members who are not merged; some twice, where there are not so many."""
    own = list({member: card for card, member in book.cards.items()}.values())
    return [own[(who + place) % len(own)] for place in range(many)]


def holds_once_too_often(book: Book, who: int) -> Scene:
    """The operator gives points, and there are as many holds of one as may be, and one more.

    There is room again once one is voided, in the same batch even, and once their time is over.
    """
    card = _cards(book, who)[0]
    member = book.cards[card]
    still = sum(held.member == member and bool(held.parts) for held in book.holds.values())
    many = book.world.most_open_holds + 1 - still
    given = _ask(book, "adjust", OPERATOR, card_number=card, issuer_id=11, points=many)
    one = _at_till(book, "hold", card, 3, points=1, minutes=30)
    yield [given, *(dict(one) for _ in range(many))]
    void = _ask(book, "void", hold_id=_latest(book, "HOLD", member))
    yield [void, one, dict(one)] if who % 2 else timedelta(minutes=30)
    later = _at_till(book, "hold", card, 3, points=1, minutes=30)
    yield [later]


def both_owe(book: Book, who: int) -> Scene:
    """Two owe the same issuer, become one, pay a little, and part; then the old merge undoes no new one."""
    one, two, three = _cards(book, who)
    members = [book.cards[card] for card in (one, two)]
    yield [_at_till(book, "accrue", card, 700 + 100 * who, lines=()) for card in (one, two)]
    sales = [_latest(book, "ACCRUAL", member) for member in members]
    yield [
        _ask(book, "gift", card_number=card, to_card_number=three, points=max(1, book.spendable([member])))
        for card, member in zip((one, two), members, strict=True)
    ]
    part: dict[str, Any] = {"amount_minor": 500, "points": None, "lines": ()}
    yield [_ask(book, "reverse", entry_id=sale, **part) for sale in sales]
    merge = _ask(book, "merge", card_number=one, merged_card_number=two)
    yield [merge]
    first = _latest(book, "MERGE", members[0])
    yield [_at_till(book, "accrue", one, 100 * (who % 8), lines=())]
    unmerge = _ask(book, "unmerge", entry_id=first)
    yield [unmerge]
    if who % 2:
        yield [merge]
        yield [unmerge]
        yield [_ask(book, "unmerge", entry_id=_latest(book, "MERGE", members[0]))]


def inviter_goes(book: Book, who: int) -> Scene:
    """Who invited is in another pool, or in none, when the other consents; or the other consents twice."""
    one, two, three = _cards(book, who)
    asked = {"card_number": one, "to_card_number": two}
    yield [_ask(book, "leave", card_number=two)]
    yield [_ask(book, "invite", **asked)]
    join = _ask(
        book, "join", card_number=two, invitation_id=_latest(book, "POOL_INVITATION", book.cards[one])
    )
    if who % 3 == 0:
        yield [join]
        yield [_ask(book, "leave", card_number=two)]
    else:
        yield [_ask(book, "leave", card_number=one)]
        yield [_ask(book, "invite", card_number=one, to_card_number=three)]
    yield [join]


def pool_overflows(book: Book, who: int) -> Scene:
    """Nine consent to be in the pool of a tenth."""
    yield [_ask(book, "enrol") for _ in range(10 - len(set(book.cards.values())))]
    host, *others = _cards(book, who, 10)
    yield [_ask(book, "leave", card_number=card) for card in (host, *others)]
    yield [_ask(book, "invite", card_number=host, to_card_number=card) for card in others]
    invited = {e["counterpart_id"]: i for i, e in book.entries.items() if i in book.invited}
    yield [
        _ask(book, "join", card_number=card, invitation_id=invited[book.cards[card]])
        for card in others
        if book.cards[card] in invited
    ]


def returned_twice_at_once(book: Book, who: int) -> Scene:
    """Two parts of a reward come back in one batch, and then what is left, which counts both."""
    card = _cards(book, who)[0]
    yield [_at_till(book, "accrue", card, 2_000, lines=())]
    yield [_at_till(book, "redeem", card, 7, points=7, lines=())]
    reward: dict[str, Any] = {
        "entry_id": _latest(book, "REDEMPTION", book.cards[card]),
        "amount_minor": None,
        "lines": (),
    }
    yield [_ask(book, "reverse", points=1, **reward), _ask(book, "reverse", points=2, **reward)]
    yield [_ask(book, "reverse", points=None, **reward)]


def stored_and_back(book: Book, who: int) -> Scene:
    """Money is loaded twice, spent into the second load, comes back in parts; what is left is paid back."""
    card = _cards(book, who)[0]
    member = book.cards[card]
    first, second = 1_000 + 100 * who, 4_000
    yield [_at_till(book, "load", card, first), _at_till(book, "load", card, second)]
    if who % 3 == 0:
        yield timedelta(days=who + 1)
        yield [_at_till(book, "load", card, 1_000)]
    yield [_at_till(book, "spend", card, max(1, sum(book.value[member].values()) - 600 * (who % 2)))]
    spent: dict[str, Any] = {"entry_id": _latest(book, "SPEND", member), "points": None, "lines": ()}
    yield [_ask(book, "reverse", amount_minor=minor, **spent) for minor in (700, 800)]
    refund = _at_till(book, "refund", card, 500)
    undone = _ask(
        book, "reverse", **{**spent, "entry_id": _latest(book, "LOAD", member), "amount_minor": None}
    )
    yield [refund, undone] if who % 2 else [undone, refund]
    yield [_ask(book, "reverse", amount_minor=None, **spent)]
    yield [undone, refund]


def spent_then_merged(book: Book, who: int) -> Scene:
    """Who spent all that was stored is merged; what comes back comes to who stayed."""
    one, two, _ = _cards(book, who)
    yield [_at_till(book, "load", two, 1_500 + who), _at_till(book, "load", one, 1_000)]
    yield [_at_till(book, "spend", two, sum(book.value[book.cards[two]].values()) or 1)]
    merge = _ask(book, "merge", card_number=one, merged_card_number=two)
    spent: dict[str, Any] = {"entry_id": _latest(book, "SPEND", book.cards[two]), "points": None, "lines": ()}
    yield [_ask(book, "leave", card_number=two), merge]
    yield [_ask(book, "reverse", amount_minor=minor, **spent) for minor in (400, None)]
    yield [_at_till(book, "spend", one, 1_800)]


def _voucher(book: Book, card: int, *, least: int = 0, late: bool = False) -> Ask:
    """Points turn into the first kind of voucher that there is, and a few more steps where they are there."""
    kinds = book.world.schemes[-1].vouchers or {"gone": Paper(1, 1)}
    name = "late" if "late" in kinds and (late or "note" not in kinds) else max(kinds)
    steps = max(least, min(9, book.spendable([book.cards[card]]) // kinds[name].points))
    return _ask(
        book, "issue_voucher", card_number=card, voucher=name, points=kinds[name].points * max(1, steps)
    )


def _used(book: Book, voucher_id: UUID, amount: int = 900) -> Ask:
    """A voucher at a till that takes it."""
    made = book.vouchers.get(voucher_id)
    partner = 11 if made is None or made.paper.partners is None else made.paper.partners[-1]
    till: dict[str, Any] = {"outlet_code": OUTLET, "currency": CURRENCY, "amount_minor": amount}
    return _ask(book, "use_voucher", partner, code="x", voucher_id=voucher_id, **till)


def voucher_made(book: Book, who: int) -> Scene:
    """A sale, and some of its points on paper."""
    card = _cards(book, who)[0]
    yield [_at_till(book, "accrue", card, 6_000, lines=())]
    yield [_voucher(book, card)]


def voucher_twice(book: Book, who: int) -> Scene:
    """A voucher at a wrong partner, and twice at once; is not given back; what it paid for is, in parts."""
    card = _cards(book, who)[0]
    yield [_at_till(book, "accrue", card, 9_000, lines=()), _at_till(book, "accrue", card, 700, lines=())]
    converted = _ask(book, "convert", OPERATOR, member_id=book.cards[card], programme_version=None)
    yield [converted, _voucher(book, card, least=2, late=who % 2 == 1)][who % 3 == 0 :]
    voucher_id = _latest(book, "VOUCHER", book.cards[card])
    made = book.vouchers.get(voucher_id)
    if made is not None and made.starts_on > book.today:
        yield [_used(book, voucher_id)]
        yield timedelta(days=(made.starts_on - book.today).days)
    wrong = {**_used(book, voucher_id), "partner_id": 14 - who % 4}
    yield [{**_used(book, voucher_id), "amount_minor": 3}, wrong]
    yield [_used(book, voucher_id), _used(book, voucher_id)]
    yield [_ask(book, "return_voucher", code="x", voucher_id=voucher_id)]
    paid: dict[str, Any] = {"entry_id": _latest(book, "REDEMPTION", book.cards[card]), "amount_minor": None}
    seller = book.entries.get(paid["entry_id"], {"partner_id": 11})["partner_id"]
    yield [_ask(book, "reverse", seller, points=1 + who % 5, lines=(), **paid)]
    yield [_ask(book, "reverse", seller, points=None, lines=(), **paid)]


def voucher_over(book: Book, who: int) -> Scene:
    """A voucher on its last day and after it, before the night comes to it; one of who is merged."""
    one, two, _ = _cards(book, who)
    yield [_at_till(book, "accrue", card, 5_000 + 700 * who, lines=()) for card in (one, two)]
    yield [_voucher(book, one, late=who % 2 == 1), _voucher(book, two), _voucher(book, two)]
    mine, theirs = (_latest(book, "VOUCHER", book.cards[card]) for card in (one, two))
    yield [_ask(book, "leave", card_number=two)]
    yield [_ask(book, "merge", card_number=one, merged_card_number=two)]
    made = book.vouchers.get(mine)
    if made is None:
        return
    back = _ask(book, "return_voucher", code="x", voucher_id=theirs)
    yield [back] if who % 3 == 0 else [_ask(book, "release", entry_id=mine)]
    over = book.over_at(made.ends_on) - book.now + timedelta(hours=26)
    yield over - timedelta(days=3 if who % 4 == 0 else 0)
    lapse = _ask(book, "lapse_voucher", OPERATOR, voucher_id=mine)
    yield [_used(book, mine), _ask(book, "return_voucher", code="x", voucher_id=theirs), lapse]
    yield [_ask(book, "lapse_voucher", OPERATOR, voucher_id=mine), _used(book, mine)]
    yield [_ask(book, "lapse_voucher", OPERATOR, voucher_id=theirs)] if theirs in book.vouchers else []


SCENES: tuple[Callable[[Book, int], Scene], ...] = (
    holds_once_too_often,
    both_owe,
    both_owe,
    both_owe,
    inviter_goes,
    inviter_goes,
    returned_twice_at_once,
    returned_twice_at_once,
    stored_and_back,
    stored_and_back,
    spent_then_merged,
    voucher_twice,
    voucher_twice,
    voucher_over,
    voucher_over,
    pool_overflows,
)
"""Those that are long come most seldom."""
