"""Two accounts become one, and two again, in the model."""

from uuid import UUID

from tests.laws.book import NEVER, Answer, Ask, Book, Effect, Refused
from tests.laws.kinds.between import dated
from tests.laws.kinds.common import between, of_card
from tests.laws.records import ALWAYS
from tests.laws.writing import Writing


def _mergeable(book: Book, ask: Ask) -> tuple[int, int]:
    """Who stays, and who is merged into it."""
    between(book, ask)
    member = of_card(book, ask["card_number"])
    if ask["merged_card_number"] not in book.cards:
        raise Refused("recipient_unknown")
    merged = book.cards[ask["merged_card_number"]]
    if merged == member:
        raise Refused("same_member")
    if book.pool(merged):
        raise Refused("account_in_pool")
    if any(one.merged_into == merged for one in book.accounts.values()):
        raise Refused("account_has_merged")
    if any(book.value[merged].values()):
        raise Refused("account_has_value")
    return member, merged


def merge(book: Book, ask: Ask) -> Effect:
    """Points, debts and cards of the merged one go to who stays."""
    member, merged = _mergeable(book, ask)

    def effect(entry_id: UUID) -> Answer:
        writing = Writing(book, entry_id, "MERGE", ask, member, counterpart_id=merged)
        writing.lines[merged] = []
        for lot, points in sorted(book.lots[merged].items()):
            if points:
                writing.across(merged, lot, member, dated(book, merged, lot), points)
        for _, issuer, terms in book.debts(merged):
            _debt_moves(writing, merged, member, issuer, terms, book.owed[merged][issuer, terms].points)
        book.accounts[merged].merged_into = member
        book.accounts[merged].merged_by = entry_id
        for card, whose in book.cards.items():
            if whose == merged:
                book.cards[card] = member
        return writing.finish()

    return effect


def _debt_moves(writing: Writing, old: int, new: int, issuer: int, terms: int, points: int) -> None:
    """One no longer owes points; the other does. One of the two is the entry's member."""
    lot = (issuer, terms, ALWAYS, NEVER)
    writing.line += 1
    writing.write(old, writing.line, "ISSUED", "DEFICIT", points, lot)
    writing.write(new, writing.line, "DEFICIT", "ISSUED", points, lot)
    writing.pay(old, issuer, terms, points)
    writing.owe(new, issuer, terms, points)


def unmerge(book: Book, ask: Ask) -> Effect:
    """They were two people after all: cards go back, and what is left of the points."""
    between(book, ask)
    original = book.entries.get(ask["entry_id"])
    if original is None or original["partner_id"] != ask["partner_id"]:
        raise Refused("entry_unknown")
    if original["kind"] != "MERGE":
        raise Refused("not_a_merge")
    member, other = original["member_id"], original["counterpart_id"]
    if book.accounts[other].merged_by != ask["entry_id"]:
        book.saw("unmerge by an older merge", when=book.accounts[other].merged_into == member)
        raise Refused("already_unmerged")

    def effect(entry_id: UUID) -> Answer:
        writing = Writing(book, entry_id, "UNMERGE", ask, member, counterpart_id=other)
        writing.lines[other] = []
        came = book.moves[ask["entry_id"]]
        for line in came:
            lot = line[4:8]
            points = min(line[3], book.lots[member].get(lot, 0)) if line[2] == "MEMBER" else 0
            if points:
                writing.across(member, lot, other, lot, points)
        for line in came:
            if line[1] == "DEFICIT" and line[4:6] in book.owed[member]:
                book.saw("deficit moved by UNMERGE")
                points = min(line[3], book.owed[member][line[4:6]].points)
                _debt_moves(writing, member, other, line[4], line[5], points)
        book.accounts[other].merged_into = None
        book.accounts[other].merged_by = None
        book.cards.update({card: other for card, issued_to in book.issued.items() if issued_to == other})
        return writing.finish()

    return effect
