"""Enrolments, and what happens at a till, in the model; and what the night lets lapse."""

from datetime import date, timedelta
from uuid import UUID

from tests.laws.book import Answer, Ask, Book, Effect, Refused
from tests.laws.kinds.common import MOST_POINTS, in_force, of_card, take_out, taking_part, timely
from tests.laws.records import ALWAYS, Held, Item, LotKey, Sold, Spent
from tests.laws.world import CATEGORIES, CURRENCY, OPERATOR, OUTLET, Earn
from tests.laws.writing import Writing


def enrol(book: Book, ask: Ask) -> Effect:
    """A member with an empty account; number and card come with the reply."""
    taking_part(book, ask["partner_id"])
    timely(book, ask["occurred_at"])

    def effect(entry_id: UUID) -> Answer:
        member = entry_id.int % 2**40
        book.enrol(member)
        return Writing(book, entry_id, "ENROLMENT", ask, member).finish()

    return effect


def till_terms(book: Book, ask: Ask) -> int:
    """Terms version of the partner on the day, for what happens at a till."""
    timely(book, ask["occurred_at"])
    partner = taking_part(book, ask["partner_id"])
    if ask["outlet_code"] != OUTLET:
        raise Refused("outlet_unknown")
    terms = in_force(partner, book.day(ask["occurred_at"]))
    if terms is None:
        raise Refused("no_contract_terms")
    if ask["currency"] != CURRENCY:
        raise Refused("currency_not_contracted")
    return terms.version


def at_till(book: Book, ask: Ask) -> tuple[int, int]:
    """Terms version of the partner on the day, and the member; for sales and rewards."""
    version = till_terms(book, ask)
    if ask.get("category", "") not in CATEGORIES:
        raise Refused("category_unknown")
    return version, of_card(book, ask["card_number"])


def of_till(book: Book, entry_id: UUID, kind: str, ask: Ask, member: int) -> Writing:
    """An entry of what happened at a till."""
    return Writing(
        book,
        entry_id,
        kind,
        ask,
        member,
        amount_minor=ask["amount_minor"],
        currency=ask["currency"],
        outlet_code=ask["outlet_code"],
    )


def note_items(book: Book, entry_id: UUID, ask: Ask) -> None:
    """Remember the lines of a sale or reward."""
    if ask["lines"]:
        book.items[entry_id] = [Item(measure) for measure in ask["lines"]]


def add_up(ask: Ask, measure: str) -> None:
    """Lines, where there are any, are the whole."""
    if ask["lines"] and (min(ask["lines"]) < 1 or sum(ask["lines"]) != ask[measure]):
        raise Refused("lines_do_not_add_up")


def earned(rule: Earn, amount: int, day: date) -> int:
    """Points of a sale: whole steps only, more at weekends."""
    steps = (amount - amount % rule.step_minor) // rule.step_minor
    weekend = day.strftime("%a") in {"Sat", "Sun"}
    return steps * rule.points_per_step * (rule.weekend_multiplier if weekend else 1)


def accrue(book: Book, ask: Ask) -> Effect:
    """A sale earns points of its own partner, of one lot."""
    version, member = at_till(book, ask)
    add_up(ask, "amount_minor")
    scheme = book.world.schemes[-1]
    rule, day = scheme.earn[ask["partner_id"]], book.day(ask["occurred_at"])
    points = earned(rule, ask["amount_minor"], day)
    if points > MOST_POINTS:
        raise Refused("too_many_points")

    def effect(entry_id: UUID) -> Answer:
        since = book.today + timedelta(days=rule.pending_days) if rule.pending_days else ALWAYS
        lot = (ask["partner_id"], version, since, book.expiry(member))
        sold = Sold(lot, book.window_id, scheme, day, ask["amount_minor"])
        book.sold[entry_id] = sold
        note_items(book, entry_id, ask)
        book.active(member)
        writing = of_till(book, entry_id, "ACCRUAL", ask, member)
        if points and rule.pending_until_event:
            sold.waiting = points
            writing.move("ISSUED", "PENDING", points, lot)
        elif points:
            writing.move("ISSUED", "MEMBER", points, lot)
        return writing.finish()

    return effect


def affordable(book: Book, ask: Ask, member: int) -> None:
    """All in a pool together have the points."""
    if ask["points"] > book.spendable([member, *book.pool(member)]):
        raise Refused("insufficient_points")


def _category(ask: Ask) -> int:
    return CATEGORIES[ask.get("category", "")]


def redeem(book: Book, ask: Ask) -> Effect:
    """Points pay at once, the pool's with them; offline, as many as are there."""
    version, member = at_till(book, ask)
    add_up(ask, "points")
    points = ask["points"]
    if ask.get("offline", False):
        terms = [one for one in book.world.partners[ask["partner_id"]].terms if one.version == version]
        if points > terms[0].offline_floor:
            raise Refused("above_offline_floor")
        points = min(points, book.spendable([member, *book.pool(member)]))
    else:
        affordable(book, ask, member)

    def effect(entry_id: UUID) -> Answer:
        note_items(book, entry_id, ask)
        drawn = book.draw(member, book.pool(member), points, entry_id)
        book.active(member)
        writing = of_till(book, entry_id, "REDEMPTION", ask, member)
        parts = take_out(writing, drawn, "ACCEPTED", ask["partner_id"], version, _category(ask))
        book.spent[entry_id] = Spent(points, ask["amount_minor"], parts)
        return writing.finish()

    return effect


def hold(book: Book, ask: Ask) -> Effect:
    """Points are set aside for some minutes, the pool's with them."""
    version, member = at_till(book, ask)
    still = [one for one in book.holds.values() if one.member == member and one.parts]
    if len(still) >= book.world.most_open_holds:
        raise Refused("too_many_holds")
    affordable(book, ask, member)

    def effect(entry_id: UUID) -> Answer:
        lapses_at = book.now + timedelta(minutes=ask["minutes"])
        held = Held(member, ask["partner_id"], ask["currency"], ask["outlet_code"], ask["points"], lapses_at)
        drawn = book.draw(member, book.pool(member), ask["points"], entry_id)
        writing = of_till(book, entry_id, "HOLD", ask, member)
        held.parts = take_out(writing, drawn, "HELD", ask["partner_id"], version, _category(ask))
        book.holds[entry_id] = held
        return writing.finish()

    return effect


def expire(book: Book, ask: Ask) -> Effect:
    """The night lets a member's dead lots lapse."""

    def effect(_: UUID) -> Answer:
        reference = f"lapse {ask['on']}"
        event = {"partner_id": OPERATOR, "reference": reference}
        writing = Writing(book, (ask["member"], reference), "EXPIRY", event, ask["member"])
        for lot in sorted(ask["dead"], key=_line_of_dead):
            writing.move("MEMBER", "LAPSED", book.lots[ask["member"]][lot], lot)
        return writing.finish()

    return effect


def _line_of_dead(lot: LotKey) -> tuple[date, int, int, date]:
    return (lot[3], lot[0], lot[1], lot[2])
