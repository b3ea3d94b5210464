"""What becomes of holds, in the model."""

from uuid import UUID

from tests.laws.book import Answer, Ask, Book, Effect, Name, Refused
from tests.laws.kinds.common import from_back, from_front, give_back, timely
from tests.laws.records import Held, Part, Spent
from tests.laws.writing import Writing


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


def of_hold(book: Book, name: Name, kind: str, ask: Ask, held: Held, hold_id: UUID, **more: int) -> Writing:
    """An entry of a hold's member."""
    fields = {"currency": held.currency, "outlet_code": held.outlet, "hold_id": hold_id}
    return Writing(book, name, kind, ask, held.member, **fields, **more)


def capture(book: Book, ask: Ask) -> Effect:
    """Held points pay, from the first that was drawn on."""
    held = open_hold(book, ask)
    if ask["points"] > sum(part.points for part in held.parts):
        raise Refused("more_than_held")

    def effect(entry_id: UUID) -> Answer:
        book.active(held.member)
        writing = of_hold(
            book, entry_id, "CAPTURE", ask, held, ask["hold_id"], amount_minor=ask["amount_minor"]
        )
        parts = []
        for front, points in from_front(held.parts, ask["points"]):
            whose = None if front.owner == held.member else front.owner
            writing.move("HELD", "ACCEPTED", points, front.lot, part=front, contributor=whose)
            parts.append(
                Part(
                    *(front.lot, points, front.owner, front.acceptor, front.acceptor_terms),
                    *(book.window_id, front.category),
                )
            )
        held.captured += ask["points"]
        book.spent[entry_id] = Spent(ask["points"], ask["amount_minor"], parts)
        return writing.finish()

    return effect


def _return_all(writing: Writing, held: Held) -> None:
    points = sum(part.points for part in held.parts)
    for part, some in from_back(held.parts, points):
        give_back(writing, part, some, "HELD")
    held.returned += points


def void(book: Book, ask: Ask) -> Effect:
    """What a hold still holds comes back."""
    held = open_hold(book, ask)

    def effect(entry_id: UUID) -> Answer:
        writing = of_hold(book, entry_id, "VOID", ask, held, ask["hold_id"])
        _return_all(writing, held)
        return writing.finish()

    return effect


def lapse(book: Book, ask: Ask) -> Effect:
    """The time of a hold is over, and what it still holds comes back."""
    held: Held = ask["held"]

    def effect(hold_id: UUID) -> Answer:
        reference = f"lapse {hold_id.hex}"
        event = {"partner_id": held.partner, "reference": reference}
        writing = of_hold(book, (held.member, reference), "HOLD_LAPSE", event, held, hold_id)
        _return_all(writing, held)
        return writing.finish()

    return effect
