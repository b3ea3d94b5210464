"""What each kind of command does, in the model. A new kind: one function here, its line in `JUDGES`, and one
in `wishes`.

A judge returns the entry it predicts and what to do once the entry's id is known, or raises Refused.
"""

from collections.abc import Callable
from datetime import date, datetime, timedelta
from uuid import UUID

from tests.laws.book import Answer, Ask, Book, Held, Judge, LotKey, Part, Refused, Sold, Spent, month_end
from tests.laws.world import CURRENCY, OUTLET, Earn, Partner

Judged = tuple[Answer, Callable[[UUID], None]]
MOST_POINTS = 1_000_000_000_000
"""Of one sale."""
ALWAYS = date(1970, 1, 1)
"""`spendable_on` of points that never were pending."""


def timely(book: Book, at: datetime) -> None:
    """Ten minutes ahead and thirty days back, both inclusive."""
    if at - book.now > timedelta(minutes=10):
        raise Refused("occurred_in_future")
    if book.now - at > timedelta(days=30):
        raise Refused("occurred_too_long_ago")


def taking_part(book: Book, ask: Ask) -> Partner:
    """The partner, if the network knows it and it is active."""
    if ask["partner_id"] not in book.world.partners:
        raise Refused("partner_unknown")
    partner = book.world.partners[ask["partner_id"]]
    if partner.status != "active":
        raise Refused("partner_not_active")
    return partner


def at_till(book: Book, ask: Ask) -> tuple[int, int]:
    """Terms version of the partner on the day, and the member; for what happens at a till."""
    timely(book, ask["occurred_at"])
    partner = taking_part(book, ask)
    if ask["outlet_code"] != OUTLET:
        raise Refused("outlet_unknown")
    versions = [version for version, since in partner.terms if since <= book.day(ask["occurred_at"])]
    if not versions:
        raise Refused("no_contract_terms")
    if ask["currency"] != CURRENCY:
        raise Refused("currency_not_contracted")
    card = ask["card_number"]
    if card not in book.cards:
        raise Refused("card_unknown")
    if card in book.blocked:
        raise Refused("card_blocked")
    return max(versions), book.cards[card]


def earned(rule: Earn, amount: int, day: date) -> int:
    """Points of a sale: whole steps only, more at weekends."""
    steps = (amount - amount % rule.step_minor) // rule.step_minor
    weekend = day.strftime("%a") in {"Sat", "Sun"}
    return steps * rule.points_per_step * (rule.weekend_multiplier if weekend else 1)


def enrol(book: Book, ask: Ask) -> Judged:
    """A member with an empty account; number and card come with the reply."""
    taking_part(book, ask)
    timely(book, ask["occurred_at"])
    answer = book.entry("ENROLMENT", ask, 0, points=0)

    def effect(entry_id: UUID) -> None:
        answer["member_id"] = entry_id.int % 2**40
        book.lots[answer["member_id"]] = {}

    return answer, effect


def accrue(book: Book, ask: Ask) -> Judged:
    """A sale earns points of its own partner, of one lot."""
    version, member = at_till(book, ask)
    scheme = book.world.schemes[-1]
    rule, day = scheme.earn[ask["partner_id"]], book.day(ask["occurred_at"])
    points = earned(rule, ask["amount_minor"], day)
    if points > MOST_POINTS:
        raise Refused("too_many_points")
    since = book.today + timedelta(days=rule.pending_days) if rule.pending_days else ALWAYS
    lot = (ask["partner_id"], version, since, month_end(book.today, scheme.months))
    now = points if since <= book.today else 0
    answer = book.entry("ACCRUAL", ask, member, points=points, spendable=now, amount=ask["amount_minor"])

    def effect(entry_id: UUID) -> None:
        book.sold[entry_id] = Sold(lot, book.window_id, scheme, day, ask["amount_minor"])
        if points:
            book.move(entry_id, "ISSUED", "MEMBER", member, points, lot)

    return answer, effect


def take_out(book: Book, ask: Ask, member: int, version: int, entry_id: UUID, credit: str) -> list[Part]:
    """Draw points to an account; the parts they came in."""
    parts = []
    for lot, points in book.draw(member, ask["points"], entry_id):
        part = Part(lot, points, ask["partner_id"], version, book.window_id)
        book.move(entry_id, "MEMBER", credit, member, points, lot, part)
        parts.append(part)
    return parts


def redeem(book: Book, ask: Ask) -> Judged:
    """Points pay at once."""
    version, member = at_till(book, ask)
    if ask["points"] > book.spendable(member):
        raise Refused("insufficient_points")
    answer = book.entry("REDEMPTION", ask, member, points=-ask["points"], amount=ask["amount_minor"])

    def effect(entry_id: UUID) -> None:
        parts = take_out(book, ask, member, version, entry_id, "ACCEPTED")
        book.spent[entry_id] = Spent(ask["points"], ask["amount_minor"], parts)

    return answer, effect


def hold(book: Book, ask: Ask) -> Judged:
    """Points are set aside for some minutes."""
    version, member = at_till(book, ask)
    if ask["points"] > book.spendable(member):
        raise Refused("insufficient_points")
    answer = book.entry("HOLD", ask, member, points=-ask["points"], amount=ask["amount_minor"])

    def effect(entry_id: UUID) -> None:
        lapses_at = book.now + timedelta(minutes=ask["minutes"])
        held = Held(member, ask["partner_id"], ask["currency"], ask["outlet_code"], ask["points"], lapses_at)
        held.parts = take_out(book, ask, member, version, entry_id, "HELD")
        book.holds[entry_id] = held

    return answer, effect


def open_hold(book: Book, ask: Ask) -> Held:
    """The hold that is meant, if it is this partner's and still holds something."""
    timely(book, ask["occurred_at"])
    held = book.holds.get(ask["hold_id"])
    if held is None or held.partner != ask["partner_id"]:
        raise Refused("hold_unknown")
    if book.now >= held.lapses_at:
        raise Refused("hold_lapsed")
    if not held.parts:
        raise Refused("hold_closed")
    return held


def of_hold(book: Book, ask: Ask, held: Held, kind: str, points: int, amount: int) -> Answer:
    """The entry of a capture or void."""
    answer = book.entry(kind, ask, held.member, points=points, amount=amount)
    answer.update(currency=held.currency, outlet_code=held.outlet, hold_id=ask["hold_id"])
    return answer


def capture(book: Book, ask: Ask) -> Judged:
    """Held points pay, from the first that was drawn on."""
    held = open_hold(book, ask)
    if ask["points"] > sum(part.points for part in held.parts):
        raise Refused("more_than_held")
    answer = of_hold(book, ask, held, "CAPTURE", 0, ask["amount_minor"])

    def effect(entry_id: UUID) -> None:
        wanted, parts = ask["points"], []
        while wanted:
            front = held.parts[0]
            points = min(wanted, front.points)
            front.points -= points
            wanted -= points
            if not front.points:
                held.parts.pop(0)
            part = Part(front.lot, points, front.acceptor, front.acceptor_terms, book.window_id)
            book.move(entry_id, "HELD", "ACCEPTED", held.member, points, part.lot, part)
            parts.append(part)
        held.captured += ask["points"]
        book.spent[entry_id] = Spent(ask["points"], ask["amount_minor"], parts)

    return answer, effect


def void(book: Book, ask: Ask) -> Judged:
    """What a hold still holds comes back."""
    held = open_hold(book, ask)
    answer = of_hold(book, ask, held, "VOID", sum(part.points for part in held.parts), 0)
    return answer, lambda entry_id: book.give_back(held, entry_id)


def reverse(book: Book, ask: Ask) -> Judged:
    """A sale or a reward is returned, whole or in part."""
    timely(book, ask["occurred_at"])
    original = book.entries.get(ask["entry_id"])
    if original is None or original["partner_id"] != ask["partner_id"]:
        raise Refused("entry_unknown")
    if ask["entry_id"] in book.sold:
        return _sale_returned(book, ask, original, book.sold[ask["entry_id"]])
    if ask["entry_id"] in book.spent:
        return _reward_returned(book, ask, original, book.spent[ask["entry_id"]])
    raise Refused("entry_not_reversible")


def _of_return(
    book: Book, ask: Ask, original: Answer, points: int, amount: int, spendable: int | None = None
) -> Answer:
    answer = book.entry(
        "REVERSAL", ask, original["member_id"], points=points, amount=amount, spendable=spendable
    )
    answer.update(
        currency=original["currency"], outlet_code=original["outlet_code"], reverses=ask["entry_id"]
    )
    return answer


def _sale_returned(book: Book, ask: Ask, original: Answer, sold: Sold) -> Judged:
    if ask["points"] is not None:
        raise Refused("sales_are_reversed_by_amount")
    amount = ask["amount_minor"] if ask["amount_minor"] is not None else sold.left
    if sold.left == 0:
        raise Refused("entry_already_reversed")
    if amount > sold.left:
        raise Refused("more_than_is_left")
    member = original["member_id"]
    rule = sold.scheme.earn[ask["partner_id"]]
    wanted = earned(rule, sold.left, sold.day) - earned(rule, sold.left - amount, sold.day)
    takes: list[tuple[LotKey, int]] = []
    lots = {k: n for k, n in book.lots[member].items() if n and k[0] == sold.lot[0] and k[3] >= book.today}
    if wanted > sum(lots.values()):
        if book.world.schemes[-1].clawback == "refuse":
            raise Refused("points_already_spent")
        wanted = sum(lots.values())
    while sum(points for _, points in takes) < wanted:
        own = sold.lot if sold.lot in lots else None
        lot = own or min(lots, key=lambda k: (k[3], k[1], k[2]))
        takes.append((lot, min(lots.pop(lot), wanted - sum(points for _, points in takes))))
    free = sum(points for lot, points in takes if lot[2] <= book.today)
    answer = _of_return(book, ask, original, -wanted, amount, -free)

    def effect(entry_id: UUID) -> None:
        sold.left -= amount
        for lot, points in takes:
            book.move(entry_id, "MEMBER", "ISSUED", member, points, lot, reversed_window=sold.window)

    return answer, effect


def _reward_returned(book: Book, ask: Ask, original: Answer, spent: Spent) -> Judged:
    if ask["amount_minor"] is not None:
        raise Refused("rewards_are_reversed_by_points")
    left = spent.points - spent.back
    points = ask["points"] if ask["points"] is not None else left
    if left == 0:
        raise Refused("entry_already_reversed")
    if points > left:
        raise Refused("more_than_is_left")
    # After each part, the amount that came back so far is its share rounded down.
    so_far = spent.amount * spent.back // spent.points
    amount = spent.amount * (spent.back + points) // spent.points - so_far
    answer = _of_return(book, ask, original, points, amount)

    def effect(entry_id: UUID) -> None:
        wanted = points
        spent.back += points
        while wanted:
            last = spent.parts[-1]
            some = min(wanted, last.points)
            last.points -= some
            wanted -= some
            if not last.points:
                spent.parts.pop()
            lot, member = book.lot_of_returned(last.lot), original["member_id"]
            book.move(entry_id, "ACCEPTED", "MEMBER", member, some, lot, last, reversed_window=last.window)

    return answer, effect


JUDGES: dict[str, Judge] = {
    "enrol": enrol,
    "accrue": accrue,
    "redeem": redeem,
    "reverse": reverse,
    "hold": hold,
    "capture": capture,
    "void": void,
}
