"""What the operator does to a member's account, in the model."""

from uuid import UUID

from tests.laws.book import Answer, Ask, Book, Effect, Refused
from tests.laws.kinds.common import MOST_POINTS, in_force, of_card, taking_part, timely
from tests.laws.records import ALWAYS
from tests.laws.writing import Writing


def adjust(book: Book, ask: Ask) -> Effect:
    """Points of an issuer are given, or taken back."""
    timely(book, ask["occurred_at"])
    member = of_card(book, ask["card_number"])
    issuer, points = ask["issuer_id"], ask["points"]
    terms = in_force(taking_part(book, issuer), book.day(ask["occurred_at"]))
    if terms is None:
        raise Refused("no_contract_terms")
    if abs(points) > MOST_POINTS:
        raise Refused("too_many_points")
    takes = book.take_from(member, issuer, max(0, -points))
    if sum(some for _, some in takes) < -points:
        raise Refused("insufficient_points")

    def effect(entry_id: UUID) -> Answer:
        if points > 0:
            book.active(member)
        writing = Writing(book, entry_id, "ADJUSTMENT", ask, member)
        if points > 0:
            lot = (issuer, terms.version, ALWAYS, book.expiry(member))
            writing.move("ISSUED", "MEMBER", points, lot)
        for lot, some in takes:
            writing.move("MEMBER", "ISSUED", some, lot)
        return writing.finish()

    return effect


def set_tier(book: Book, ask: Ask) -> Effect:
    """A member comes into a tier, or into none."""
    timely(book, ask["occurred_at"])
    member = of_card(book, ask["card_number"])
    if ask["tier"] and ask["tier"] not in book.world.schemes[-1].tiers:
        raise Refused("tier_unknown")

    def effect(entry_id: UUID) -> Answer:
        book.accounts[member].tier = ask["tier"]
        return Writing(book, entry_id, "TIER", ask, member).finish()

    return effect
