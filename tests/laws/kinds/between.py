"""What members do with one another, in the model: gifts, donations, pools."""

from datetime import timedelta
from uuid import UUID

from tests.laws.book import WITH_ACTIVITY, Answer, Ask, Book, Effect, Refused
from tests.laws.kinds.common import between, in_force, of_card, take_out
from tests.laws.records import Invited, LotKey, Spent
from tests.laws.writing import Writing

MOST_IN_POOL = 8
INVITED_FOR = timedelta(days=14)


def dated(book: Book, giver: int, lot: LotKey) -> LotKey:
    """The lot another member gets: one that lived with the giver's activity has a day of its own then."""
    return (*lot[:3], book.accounts[giver].active_until) if lot[3] == WITH_ACTIVITY else lot


def two(book: Book, ask: Ask) -> tuple[int, int]:
    """Two members by their cards."""
    between(book, ask)
    member = of_card(book, ask["card_number"])
    other = of_card(book, ask["to_card_number"], whose="recipient")
    if member == other:
        raise Refused("same_member")
    return member, other


def gift(book: Book, ask: Ask) -> Effect:
    """A member gives its own points to another."""
    giver, recipient = two(book, ask)
    if ask["points"] > book.spendable([giver]):
        raise Refused("insufficient_points")

    def effect(entry_id: UUID) -> Answer:
        writing = Writing(book, entry_id, "GIFT", ask, giver, counterpart_id=recipient)
        for _, lot, points in book.draw(giver, [], ask["points"], entry_id):
            writing.across(giver, lot, recipient, dated(book, giver, lot), points)
        return writing.finish()

    return effect


def donate(book: Book, ask: Ask) -> Effect:
    """A member gives its own points to a cause."""
    between(book, ask)
    day = book.day(ask["occurred_at"])
    causes = {
        number: terms.version
        for number, partner in book.world.partners.items()
        if partner.code == ask["cause"] and (terms := in_force(partner, day)) and terms.accepts_donations
    }
    if not causes:
        raise Refused("cause_unknown")
    ((cause, version),) = causes.items()
    if book.world.partners[cause].status != "active":
        raise Refused("cause_not_active")
    member = of_card(book, ask["card_number"])
    if ask["points"] > book.spendable([member]):
        raise Refused("insufficient_points")

    def effect(entry_id: UUID) -> Answer:
        writing = Writing(book, entry_id, "DONATION", ask, member)
        drawn = book.draw(member, [], ask["points"], entry_id)
        book.spent[entry_id] = Spent(ask["points"], 0, take_out(writing, drawn, "ACCEPTED", cause, version))
        return writing.finish()

    return effect


def invite(book: Book, ask: Ask) -> Effect:
    """A member asks another into its pool; without one, it founds one."""
    member, invited = two(book, ask)
    if invited in book.pool(member):
        raise Refused("already_in_pool")

    def effect(entry_id: UUID) -> Answer:
        pool = book.accounts[member].pool = book.accounts[member].pool or entry_id
        book.invited[entry_id] = Invited(member, pool)
        return Writing(book, entry_id, "POOL_INVITATION", ask, member, counterpart_id=invited).finish()

    return effect


def join(book: Book, ask: Ask) -> Effect:
    """Who was invited consents."""
    between(book, ask)
    member = of_card(book, ask["card_number"])
    invited = book.invited.get(ask["invitation_id"])
    if invited is None or book.entries[ask["invitation_id"]]["counterpart_id"] != member:
        raise Refused("invitation_unknown")
    if book.now - book.entries[ask["invitation_id"]]["recorded_at"] > INVITED_FOR:
        raise Refused("invitation_lapsed")
    if invited.joined_by is not None:
        book.saw("join by a used invitation", when=not book.pool(member))
        raise Refused("invitation_lapsed")
    if book.pool(member):
        raise Refused("already_in_pool")
    if book.accounts[invited.inviter].pool != invited.pool:
        book.saw("join to an inviter in another pool", when=bool(book.pool(invited.inviter)))
        raise Refused("invitation_lapsed")
    if len(book.pool(invited.inviter)) >= MOST_IN_POOL:
        raise Refused("pool_full")

    def effect(entry_id: UUID) -> Answer:
        book.accounts[member].pool = invited.pool
        invited.joined_by = entry_id
        named = {"counterpart_id": invited.inviter, "parent_id": ask["invitation_id"]}
        return Writing(book, entry_id, "POOL_JOIN", ask, member, **named).finish()

    return effect


def leave(book: Book, ask: Ask) -> Effect:
    """A member leaves its pool; its points were its own all along."""
    between(book, ask)
    member = of_card(book, ask["card_number"])
    if not book.pool(member):
        raise Refused("not_in_pool")

    def effect(entry_id: UUID) -> Answer:
        book.accounts[member].pool = None
        return Writing(book, entry_id, "POOL_LEAVE", ask, member).finish()

    return effect
