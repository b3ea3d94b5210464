"""Lines of schemes' scenarios about who a member is; see tests.golden.test_programmes.

N enrols MEMBER [born=DATE] [guardian=MEMBER]   who is not enrolled so is at its first line, born in 1980
MEMBER shows at PARTNER         what a quote says at its counter: tier, that of the alliance, benefits
"""

from collections.abc import Mapping
from typing import Protocol

from network import ids
from tests.api.conftest import Till


class Stage(Protocol):
    """What these lines need of the stage."""

    tills: dict[str, Till]
    members: dict[str, tuple[int, str]]

    def member(self, name: str) -> tuple[int, str]:
        """A member's number and card."""

    def at(self) -> str:
        """Now."""


def line(stage: Stage, words: list[str]) -> str | None:
    """Carry a line out; None where it is none of these."""
    match words:
        case [number, "enrols", member, *rest]:
            return enrol(stage, number, member, dict(word.split("=", 1) for word in rest))
        case [member, "shows", "at", partner]:
            return _quote(stage, stage.member(member)[1], partner)
    return None


def enrol(stage: Stage, number: str, name: str, words: Mapping[str, str]) -> str:
    """Enrol a member at the first till."""
    till = next(iter(stage.tills.values()))
    fields = {"born_on": words["born"]} if "born" in words else {}
    if "guardian" in words:
        fields["guardian"] = stage.member(words["guardian"])[1]
    answer = till.post("/v1/members", reference=f"line-{number}", occurred_at=stage.at(), **fields)
    said = answer.json()
    if answer.status_code != 201:
        return str(said["code"])
    entry_id = ids.read("ent", said["id"])
    assert entry_id is not None
    stage.members[name] = (ids.member_of(entry_id), said["card"])
    return "enrolled"


def _quote(stage: Stage, card: str, partner: str) -> str:
    asked = {"occurred_at": stage.at(), "outlet": "main", "card": card, "currency": "USD"}
    said = stage.tills[partner].post("/v1/quotes", **asked).json()
    tier, alliance = said.get("member_tier", "no tier"), said.get("alliance_tier", "none")
    return ", ".join([f"{tier}, alliance {alliance}", *said.get("benefits", ())])
