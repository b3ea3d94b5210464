"""Lines of schemes' scenarios about abuse; see tests.golden.test_programmes.

N MEMBER gives POINTS to OTHER at PARTNER
MEMBER works at PARTNER         the operator names it as staff
N operator releases LINE        what is held of a sale
cases | held                    what was found, by line; what still waits for the operator
"""

from typing import Protocol
from uuid import UUID

from sqlalchemy import Engine

from network import abuse_review, ids
from network.outcomes import Rejected
from network.service import load_rules
from tests.golden.giving import Stage as Sender


class Stage(Sender, Protocol):
    """What these lines need of the stage."""

    database: Engine
    entries: dict[str, dict[str, str]]


def line(stage: Stage, words: list[str]) -> str | None:
    """Carry a line out; None where it is none of these."""
    match words:
        case [number, giver, "gives", points, "to", other, "at", partner]:
            cards = {"card": stage.member(giver)[1], "to_card": stage.member(other)[1]}
            at = stage.at()
            return stage.post(number, partner, "/v1/gifts", occurred_at=at, points=int(points), **cards)
        case [member, "works", "at", partner]:
            return _works(stage, stage.member(member)[1], partner)
        case [_, "operator", "releases", of]:
            with stage.database.connect() as connection:
                rules = load_rules(connection)
            reply = abuse_review.release_held(stage.database, rules, _entry(stage, of), by="max")
            outcome = reply.outcome
            return outcome.reason if isinstance(outcome, Rejected) else f"{outcome.points} released"
        case ["cases" | "held" as which]:
            with stage.database.connect() as connection:
                found = abuse_review.cases(connection, held=which == "held")
            shown = [(int(one.reference.removeprefix("line-")), one) for one in found]
            shown.sort(key=lambda each: (each[0], each[1].rule_id))
            return "; ".join(f"{n} {one.outcome} by {one.rule_id}" for n, one in shown) or "none"
    return None


def _works(stage: Stage, card: str, partner: str) -> str:
    with stage.database.begin() as connection:
        partner_id = load_rules(connection).directory.by_code[partner]
        return (
            "known"
            if abuse_review.set_staff(connection, int(card), partner_id, on=True, by="max")
            else "no such card"
        )


def _entry(stage: Stage, of: str) -> UUID:
    entry_id = ids.read("ent", stage.entries[of]["id"])
    assert entry_id is not None
    return entry_id
