"""Returns of sales and rewards, and the release of points that wait for an event, in the model."""

from uuid import UUID

from tests.laws.book import Answer, Ask, Book, Effect, Refused
from tests.laws.kinds.common import from_back, give_back, in_force, taking_part, timely
from tests.laws.kinds.tills import earned
from tests.laws.kinds.value import load_reversed, spend_reversed
from tests.laws.records import Item, Part, Sold, Spent
from tests.laws.world import OPERATOR, POOL, Partner
from tests.laws.writing import Writing


def reverse(book: Book, ask: Ask) -> Effect:
    """A sale or a reward is returned, whole or in part."""
    timely(book, ask["occurred_at"])
    entry_id, here = ask["entry_id"], ask["partner_id"]
    if here not in {OPERATOR, POOL} and here not in book.world.partners:
        raise Refused("partner_unknown")
    original = book.entries.get(entry_id)
    if original is None:
        raise Refused("entry_unknown")
    if original["partner_id"] != here:
        if not _elsewhere(book, ask, original["partner_id"]):
            raise Refused("entry_unknown")
        taking_part(book, here)
    if entry_id in book.sold:
        return _sale_returned(book, ask, original, book.sold[entry_id])
    if entry_id in book.loaded:
        return load_reversed(book, ask, original)
    if entry_id in book.paid:
        return spend_reversed(book, ask, original)
    if entry_id in book.spent:
        return _reward_returned(book, ask, original, book.spent[entry_id])
    raise Refused("entry_not_reversible")


def _elsewhere(book: Book, ask: Ask, seller: int) -> bool:
    """Both contracts let what one sold be returned at the other."""
    day = book.day(ask["occurred_at"])
    nobody = Partner("", "", [])
    sells = in_force(book.world.partners.get(seller, nobody), day)
    takes = in_force(book.world.partners.get(ask["partner_id"], nobody), day)
    return sells is not None and takes is not None and sells.returned_elsewhere and takes.takes_returns


def _how_much(book: Book, ask: Ask, left: int, sale: bool) -> tuple[int, list[int]]:
    """How much comes back in the entry's own measure, and which of its lines."""
    own, other = ("amount_minor", "points") if sale else ("points", "amount_minor")
    given = [bool(ask["lines"]), ask["amount_minor"] is not None, ask["points"] is not None]
    if sum(given) > 1:
        raise Refused("one_measure_only")
    if ask[other] is not None:
        raise Refused("sales_are_reversed_by_amount" if sale else "rewards_are_reversed_by_points")
    if not left:
        raise Refused("entry_already_reversed")
    items = book.items.get(ask["entry_id"], [])
    there = [place for place, item in enumerate(items, start=1) if item.returned_by is None]
    if ask["lines"]:
        return _of_lines(items, there, ask["lines"])
    if not any(given):
        return left, there
    if items:
        raise Refused("returned_by_lines")
    if ask[own] > left:
        raise Refused("more_than_is_left")
    return ask[own], []


def _of_lines(items: list[Item], there: list[int], wanted: tuple[int, ...]) -> tuple[int, list[int]]:
    if not items:
        raise Refused("entry_has_no_lines")
    if any(not 1 <= place <= len(items) for place in wanted):
        raise Refused("line_unknown")
    if any(place not in there for place in wanted) or len(set(wanted)) < len(wanted):
        raise Refused("line_already_returned")
    return sum(items[place - 1].measure for place in wanted), list(wanted)


def _of_return(
    book: Book, entry_id: UUID, ask: Ask, original: Answer, amount: int, back: list[int]
) -> Writing:
    for place in back:
        book.items[ask["entry_id"]][place - 1].returned_by = entry_id
    return Writing(
        book,
        entry_id,
        "REVERSAL",
        ask,
        original["member_id"],
        amount_minor=amount,
        currency=original["currency"],
        outlet_code=original["outlet_code"],
        reverses=ask["entry_id"],
    )


def _sale_returned(book: Book, ask: Ask, original: Answer, sold: Sold) -> Effect:
    amount, lines = _how_much(book, ask, sold.left, sale=True)
    member = original["member_id"]
    owner = book.owner(member)
    rule = sold.scheme.earn[original["partner_id"]]
    wanted = earned(rule, sold.left, sold.day) - earned(rule, sold.left - amount, sold.day)
    waiting = min(wanted, sold.waiting)
    takes = book.take_from(owner, sold.lot[0], wanted - waiting, first=sold.lot)
    missing = wanted - waiting - sum(points for _, points in takes)
    live = book.world.schemes[-1]
    if missing and live.clawback == "refuse":
        raise Refused("points_already_spent")
    room = max(0, live.most_owed - sum(debt.points for debt in book.owed[owner].values()))
    owing = min(missing, room) if live.clawback == "deficit" else 0

    def effect(entry_id: UUID) -> Answer:
        writing = _of_return(book, entry_id, ask, original, amount, lines)
        sold.left -= amount
        sold.waiting -= waiting
        sold.cancelled += waiting
        if waiting:
            writing.move("PENDING", "ISSUED", waiting, sold.lot, undone=sold.window)
        for lot, points in takes:
            writing.move("MEMBER", "ISSUED", points, lot, of=owner, undone=sold.window)
        if live.clawback == "deficit" and owing < missing:
            book.saw("deficit cut by its ceiling" if owing else "no deficit above the ceiling")
        if owing:
            undone = sold.window if owner == member else None
            place = writing.line + 1
            writing.write(owner, place, "DEFICIT", "ISSUED", owing, sold.lot, undone=undone)
            writing.owe(owner, sold.lot[0], sold.lot[1], owing)
        return writing.finish()

    return effect


def _reward_returned(book: Book, ask: Ask, original: Answer, spent: Spent) -> Effect:
    points, lines = _how_much(book, ask, spent.points - spent.back, sale=False)
    # After each part, the amount that came back so far is its share rounded down.
    so_far = spent.amount * spent.back // spent.points
    amount = spent.amount * (spent.back + points) // spent.points - so_far

    def effect(entry_id: UUID) -> Answer:
        writing = _of_return(book, entry_id, ask, original, amount, lines)
        spent.back += points
        for part, some in from_back(spent.parts, points):
            give_back(writing, part, some, "ACCEPTED", undone=True)
        return writing.finish()

    return effect


def release(book: Book, ask: Ask) -> Effect:
    """The event has come that a sale's points were pending for."""
    timely(book, ask["occurred_at"])
    original = book.entries.get(ask["entry_id"])
    if original is None or original["partner_id"] != ask["partner_id"]:
        raise Refused("entry_unknown")
    sold = book.sold.get(ask["entry_id"])
    if sold is None or not sold.waiting:
        raise Refused("nothing_pending")

    def effect(entry_id: UUID) -> Answer:
        member = original["member_id"]
        fields = {"currency": original["currency"], "outlet_code": original["outlet_code"]}
        writing = Writing(book, entry_id, "RELEASE", ask, member, hold_id=ask["entry_id"], **fields)
        points, sold.waiting = sold.waiting, 0
        sold.released += points
        give_back(writing, Part(sold.lot, points, member, None, None, sold.window), points, "PENDING")
        return writing.finish()

    return effect
