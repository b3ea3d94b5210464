"""Lines of schemes' scenarios about segments, occasions and referrals; see tests.golden.test_programmes.

N MEMBER tells NAME=VALUE ... at PARTNER      with consent; NAME= takes it back
N MEMBER names OTHER at PARTNER               as who referred it
N MEMBER gets AWARD at PARTNER WORD=VALUE ... case; or points, staff and reason (with _ for blanks)
given                           what nights gave for occasions since this was asked last
morning                         what a night does for members before its day begins, and what that gave
segment NAME                    who is in it
"""

from typing import Any, Protocol

from sqlalchemy import Engine, text

from network.morning import begin_day
from partners.model import OPERATOR_ID
from tests.golden.giving import Stage as Sender

_GIVEN = text(
    "SELECT w.entry_id, w.member_id, w.award, w.role, o.code, p.points FROM award w"
    " JOIN posting p USING (member_id, entry_id) JOIN partner o ON o.partner_id = p.issuer_id"
    " JOIN entry e USING (member_id, entry_id) WHERE e.partner_id = :operator"
    " ORDER BY w.member_id, w.award, w.role"
)
_IN = text("SELECT member_id FROM member_segment WHERE segment = :name ORDER BY member_id")


class Stage(Sender, Protocol):
    """What these lines need of the stage."""

    database: Engine
    day: Any
    tills: Any
    members: dict[str, tuple[int, str]]
    told: set[Any]


def line(stage: Stage, words: list[str]) -> str | None:
    """Carry a line out; None where it is none of these."""
    match words:
        case ["morning"]:
            begin_day(stage.database, stage.day)
            return _given(stage)
        case ["given"]:
            return _given(stage)
        case ["segment", name]:
            with stage.database.connect() as connection:
                found = connection.execute(_IN, {"name": name}).scalars().all()
            return ", ".join(_names(stage)[number] for number in found) or "nobody"
        case [_, member, "tells", *said, "at", partner]:
            return _tells(stage, stage.member(member)[1], said, partner)
        case [number, member, "names", other, "at", partner]:
            fields: dict[str, Any] = {"referrer_card": stage.member(other)[1]}
            path = "/v1/referrals"
        case [number, member, "gets", award, "at", partner, *rest]:
            given = dict(word.split("=", 1) for word in rest)
            fields = {"award": award, **{name: one.replace("_", " ") for name, one in given.items()}}
            if "points" in given:
                fields["points"] = int(given["points"])
            path = "/v1/awards"
        case _:
            return None
    card = stage.member(member)[1]
    return stage.post(number, partner, path, occurred_at=stage.at(), card=card, **fields)


def _tells(stage: Stage, card: str, said: list[str], partner: str) -> str:
    facts = {name: value or None for name, _, value in (word.partition("=") for word in said)}
    answer = stage.tills[partner].post("/v1/member-facts", card=card, facts=facts, consent="terms 1")
    done: dict[str, Any] = answer.json()
    if answer.status_code != 200:
        return str(done["code"])
    return ", ".join([*done["told"], *(f"no {name}" for name in done["withdrawn"])]) or "nothing"


def _given(stage: Stage) -> str:
    names = _names(stage)
    with stage.database.connect() as connection:
        rows = connection.execute(_GIVEN, {"operator": OPERATOR_ID}).all()
    new = [row for row in rows if row.entry_id not in stage.told]
    stage.told |= {row.entry_id for row in new}
    return ", ".join(_said(names, row) for row in new) or "nothing"


def _said(names: dict[int, str], row: Any) -> str:
    return f"{names[row.member_id]} +{row.points} {row.code} {row.award} {row.role}".rstrip()


def _names(stage: Stage) -> dict[int, str]:
    return {number: name for name, (number, _) in stage.members.items()}
