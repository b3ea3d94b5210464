"""Points on paper in the model: vouchers are made, used, given back, and end."""

from datetime import timedelta
from typing import Any
from uuid import UUID

from tests.laws.book import Answer, Ask, Book, Effect, Name, Refused, month_end
from tests.laws.kinds.common import between, give_back, of_card, take_out
from tests.laws.kinds.tills import till_terms
from tests.laws.records import Part, Spent, Voucher
from tests.laws.world import Paper
from tests.laws.writing import Writing


def issue_voucher(book: Book, ask: Ask) -> Effect:
    """A member turns points of its own into a voucher."""
    between(book, ask)
    paper = book.world.schemes[-1].vouchers.get(ask["voucher"])
    if paper is None:
        raise Refused("voucher_kind_unknown")
    member, points = of_card(book, ask["card_number"]), ask["points"]
    if points % paper.points:
        raise Refused("not_in_whole_steps")
    if points > book.spendable([member]):
        raise Refused("insufficient_points")
    return _made(book, ask, member, ask["voucher"], paper, points)


def convert(book: Book, ask: Ask) -> Effect:
    """A quarter's end turns all that a member can spend into a voucher, in whole steps."""
    version, member = ask.get("programme_version"), ask["member_id"]
    scheme = next((one for one in book.world.schemes if one.version == version), book.world.schemes[-1])
    conversion = scheme.conversion()
    if conversion is None or member not in book.accounts:
        raise Refused("nothing_to_convert")
    name, paper = conversion
    there = book.spendable([member])
    if there < paper.converts_from or there < paper.points:
        raise Refused("nothing_to_convert")
    return _made(book, ask, member, name, paper, there - there % paper.points, scheme.version)


def _made(
    book: Book, ask: Ask, member: int, name: str, paper: Paper, points: int, version: int | None = None
) -> Effect:
    def effect(entry_id: UUID) -> Answer:
        worth = points // paper.points * paper.worth_minor
        more: dict[str, Any] = {"amount_minor": worth, "currency": paper.currency}
        if version is not None:
            more["programme_version"] = version
        writing = Writing(book, entry_id, "VOUCHER", ask, member, **more)
        parts = take_out(writing, book.draw(member, [], points, entry_id), "VOUCHER", None, None)
        first, last = (
            book.today + timedelta(days=paper.starts_in_days),
            month_end(book.today, paper.valid_months),
        )
        book.vouchers[entry_id] = Voucher(member, name, paper, parts, worth, first, last)
        return writing.finish()

    return effect


def _open(book: Book, ask: Ask) -> Voucher:
    """The voucher that is meant, if it has not ended."""
    voucher = book.vouchers.get(ask["voucher_id"])
    if voucher is None:
        raise Refused("voucher_unknown")
    if voucher.ended_as:
        raise Refused(f"voucher_{voucher.ended_as}")
    if book.today > voucher.ends_on:
        book.saw("a voucher is over that the night has not come to")
        raise Refused("voucher_lapsed")
    return voucher


def use_voucher(book: Book, ask: Ask) -> Effect:
    """A voucher pays for part of a basket, all of it and once."""
    version = till_terms(book, ask)
    voucher = _open(book, ask)
    if voucher.starts_on > book.today:
        raise Refused("voucher_not_yet")
    if voucher.paper.partners is not None and ask["partner_id"] not in voucher.paper.partners:
        raise Refused("voucher_not_taken_here")
    if ask["currency"] != voucher.paper.currency:
        raise Refused("voucher_in_another_currency")
    if ask["amount_minor"] < voucher.worth or ask["amount_minor"] < voucher.paper.basket_minor:
        raise Refused("basket_too_small")

    def effect(entry_id: UUID) -> Answer:
        voucher.ended_as = "used"
        book.active(voucher.member)
        more = {"currency": ask["currency"], "outlet_code": ask["outlet_code"], "hold_id": ask["voucher_id"]}
        writing = Writing(
            book, entry_id, "REDEMPTION", ask, voucher.member, amount_minor=voucher.worth, **more
        )
        paid = []
        for part in voucher.parts:
            to = (ask["partner_id"], version)
            paid.append(Part(part.lot, part.points, part.owner, *to, book.window_id))
            writing.move("VOUCHER", "ACCEPTED", part.points, part.lot, part=paid[-1])
        book.spent[entry_id] = Spent(sum(part.points for part in paid), voucher.worth, paid)
        return writing.finish()

    return effect


def _ended(book: Book, name: Name, ask: Ask, voucher: Voucher, way: str) -> Answer:
    """A voucher is over, or given back."""
    more = {"amount_minor": voucher.worth, "currency": voucher.paper.currency, "hold_id": ask["voucher_id"]}
    writing = Writing(book, name, "VOUCHER_END", ask, voucher.member, **more)
    voucher.ended_as = way
    if way == "lapsed" and not voucher.paper.comes_back:
        for part in voucher.parts:
            writing.move("VOUCHER", "LAPSED", part.points, part.lot)
    else:
        for part in voucher.parts[::-1]:
            book.saw("points of a voucher come back late", when=book.coming_back(part)[1] != part.lot)
            give_back(writing, part, part.points, "VOUCHER")
    return writing.finish()


def return_voucher(book: Book, ask: Ask) -> Effect:
    """A voucher is given back unused."""
    between(book, ask)
    voucher = _open(book, ask)
    return lambda entry_id: _ended(book, entry_id, ask, voucher, "returned")


def lapse_voucher(book: Book, ask: Ask) -> Effect:
    """A voucher's last day is over."""
    voucher = book.vouchers[ask["voucher_id"]]
    if voucher.ended_as or book.today <= voucher.ends_on:
        raise Refused("voucher_not_over")

    def effect(entry_id: UUID) -> Answer:
        name: Name = (voucher.member, ask["reference"]) if "by_night" in ask else entry_id
        return _ended(book, name, ask, voucher, "lapsed")

    return effect
