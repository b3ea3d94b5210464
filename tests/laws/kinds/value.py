"""Stored value in the model: money is loaded, spent, paid back, and what was spent or loaded is undone."""

from collections.abc import Collection
from datetime import timedelta
from uuid import UUID

from tests.laws.book import NEVER, Answer, Ask, Book, Effect, Refused
from tests.laws.kinds.common import from_back, give_back, in_force, of_card
from tests.laws.kinds.tills import of_till, till_terms
from tests.laws.records import ALWAYS, Part, ValueKey
from tests.laws.world import OnTop
from tests.laws.writing import Writing


def load(book: Book, ask: Ask) -> Effect:
    """A member pays a till; who took the money issues the value, and somebody gives something on top."""
    version = till_terms(book, ask)
    stored, amount = book.world.schemes[-1].stored, ask["amount_minor"]
    if stored is None:
        raise Refused("stored_value_not_offered")
    _look_where(ask, stored.loads_at)
    if amount < stored.least_minor or amount > stored.most_minor:
        raise Refused("load_out_of_range")
    member = of_card(book, ask["card_number"])
    reached = [one for one in stored.bonuses if one.from_minor <= amount]
    on_top = max(reached, key=lambda one: one.from_minor, default=OnTop(0))
    funder = on_top.funder or ask["partner_id"]
    theirs = version if funder == ask["partner_id"] else _funding(book, ask, funder)
    if theirs is None:
        book.saw("nothing on top: its funder takes no part")
        on_top, theirs = OnTop(0), 0
    if sum(book.value[member].values()) + amount + on_top.value_minor > stored.most_balance_minor:
        raise Refused("stored_value_full")

    def effect(entry_id: UUID) -> Answer:
        writing = of_till(book, entry_id, "LOAD", ask, member)
        paid = (ask["partner_id"], version, book.today, NEVER)
        writing.move("ISSUED", "MEMBER", amount, paid, unit="VALUE")
        if on_top.value_minor:
            given = (funder, theirs, book.today, NEVER)
            writing.move("ISSUED", "MEMBER", on_top.value_minor, given, unit="BONUS")
        if on_top.points:
            book.active(member)
            points = (funder, theirs, ALWAYS, book.expiry(member))
            writing.move("ISSUED", "MEMBER", on_top.points, points)
        book.loaded[entry_id] = False
        return writing.finish()

    return effect


def _look_where(ask: Ask, partners: Collection[int] | None) -> None:
    """Stored value is handled at some partners, or everywhere."""
    if partners is not None and ask["partner_id"] not in partners:
        raise Refused("stored_value_not_here")


def _funding(book: Book, ask: Ask, funder: int) -> int | None:
    """The terms at which somebody else gives something on top; None where it takes no part that day."""
    partner = book.world.partners[funder]
    terms = in_force(partner, book.day(ask["occurred_at"]))
    return terms.version if terms is not None and partner.status == "active" else None


def _of_age(book: Book, member: int) -> list[ValueKey]:
    """A member's stored value, the oldest first: within a day what was paid before what was on top."""
    there = [key for key, minor in book.value[member].items() if minor]
    return sorted(there, key=lambda key: (key[3], key[0] == "BONUS", key[1], key[2]))


def _take(book: Book, member: int, keys: list[ValueKey], minor: int) -> list[tuple[ValueKey, int]] | None:
    """As much of each as is needed, in order; None where all of them are not enough."""
    taken = []
    for key in keys:
        some = min(minor, book.value[member][key])
        minor -= some
        if some:
            taken.append((key, some))
    return None if minor else taken


def spend(book: Book, ask: Ask) -> Effect:
    """Stored value pays at a till."""
    version = till_terms(book, ask)
    stored = book.world.schemes[-1].stored
    _look_where(ask, None if stored is None else stored.spends_at)
    member = of_card(book, ask["card_number"])
    taken = _take(book, member, _of_age(book, member), ask["amount_minor"])
    if taken is None:
        raise Refused("insufficient_value")

    def effect(entry_id: UUID) -> Answer:
        writing = of_till(book, entry_id, "SPEND", ask, member)
        book.paid[entry_id] = _accepted(writing, taken, ask, version)
        return writing.finish()

    return effect


def _accepted(writing: Writing, taken: list[tuple[ValueKey, int]], ask: Ask, version: int) -> list[Part]:
    """Value goes to who honours it, or paid it back."""
    parts = []
    to = (ask["partner_id"], version)
    for (unit, issuer, terms, day, last), minor in taken:
        key = (issuer, terms, day, last)
        part = Part(key, minor, writing.member, *to, writing.book.window_id, unit=unit)
        writing.move("MEMBER", "ACCEPTED", minor, key, part=part, unit=unit)
        parts.append(part)
    return parts


def refund(book: Book, ask: Ask) -> Effect:
    """A till pays a member back, the newest load first; what was on top of it ends."""
    version = till_terms(book, ask)
    stored = book.world.schemes[-1].stored
    _look_where(ask, None if stored is None else stored.loads_at)
    member = of_card(book, ask["card_number"])
    taken = _take(book, member, refundable(book, member), ask["amount_minor"])
    if taken is None:
        raise Refused("not_refundable")

    def effect(entry_id: UUID) -> Answer:
        writing = of_till(book, entry_id, "REFUND", ask, member)
        _accepted(writing, taken, ask, version)
        days = [key[3] for key, _ in taken]
        for key in _of_age(book, member):
            if key[0] == "BONUS" and key[3] in days:
                book.saw("what was on top ends with a refund")
                writing.move("MEMBER", "ISSUED", book.value[member][key], key[1:], unit="BONUS")
        return writing.finish()

    return effect


def refundable(book: Book, member: int) -> list[ValueKey]:
    """What a member is paid back today, the newest first."""
    paid = [key for key in _of_age(book, member) if key[0] == "VALUE"][::-1]
    stored = book.world.schemes[-1].stored
    if stored is None or stored.refund == "always":
        return paid
    if sum(book.value[member][key] for key in paid) < stored.below_minor:
        return paid
    days = stored.days if stored.refund == "within_days" else -1
    return [key for key in paid if (book.today - key[3]) <= timedelta(days=days)]


def _left(book: Book, ask: Ask, left: int) -> int:
    """The amount that comes back of what is left of a load or spend."""
    if ask["points"] is not None or ask["lines"]:
        raise Refused("sales_are_reversed_by_amount")
    if not left:
        raise Refused("entry_already_reversed")
    amount: int = left if ask["amount_minor"] is None else ask["amount_minor"]
    if amount > left:
        raise Refused("more_than_is_left")
    return amount


def _of_reversal(book: Book, entry_id: UUID, ask: Ask, original: Answer, amount: int) -> Writing:
    fields = {name: original[name] for name in ("currency", "outlet_code")}
    more = {"amount_minor": amount, "reverses": ask["entry_id"], **fields}
    return Writing(book, entry_id, "REVERSAL", ask, original["member_id"], **more)


def load_reversed(book: Book, ask: Ask, original: Answer) -> Effect:
    """A load was a mistake: all that it gave goes back, if all of it is there."""
    whole, member = original["amount_minor"], original["member_id"]
    amount = _left(book, ask, 0 if book.loaded[ask["entry_id"]] else whole)
    if ask["partner_id"] != original["partner_id"]:
        raise Refused("entry_unknown")
    if amount != whole:
        raise Refused("loads_are_reversed_whole")
    given = [line for line in book.moves[ask["entry_id"]] if line[1:3] == ("ISSUED", "MEMBER")]
    for line in given:
        lots = book.lots[member] if line[-2] == "POINTS" else book.value[member]
        key = line[4:8] if line[-2] == "POINTS" else (line[-2], *line[4:8])
        if lots.get(key, 0) < line[3]:
            raise Refused("value_already_spent")

    def effect(entry_id: UUID) -> Answer:
        book.loaded[ask["entry_id"]] = True
        writing = _of_reversal(book, entry_id, ask, original, amount)
        for line in given:
            window = line[-4]
            writing.move("MEMBER", "ISSUED", line[3], line[4:8], undone=window, unit=line[-2])
        return writing.finish()

    return effect


def spend_reversed(book: Book, ask: Ask, original: Answer) -> Effect:
    """Goods come back: what was drawn last comes back first."""
    parts = book.paid[ask["entry_id"]]
    amount = _left(book, ask, sum(part.points for part in parts))

    def effect(entry_id: UUID) -> Answer:
        writing = _of_reversal(book, entry_id, ask, original, amount)
        for part, minor in from_back(parts, amount):
            give_back(writing, part, minor, "ACCEPTED", undone=True)
        return writing.finish()

    return effect
