"""A check of a live database: one query that selects faults, so an empty answer is a pass."""

import msgspec
from sqlalchemy import Connection, text

_SHOWN = 20


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """One law: `faults` is SQL whose rows are (where, detail)."""

    name: str
    says: str
    faults: str


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """A broken law, where, and how."""

    check: str
    where: str
    detail: str


def faults(connection: Connection, check: Check) -> list[Problem]:
    """Run one check; at most a screenful of problems, the last saying how many more there are."""
    rows = connection.execute(text(check.faults)).all()
    problems = [Problem(check=check.name, where=row[0], detail=row[1]) for row in rows[:_SHOWN]]
    if len(rows) > _SHOWN:
        problems.append(
            Problem(check=check.name, where="and more", detail=f"{len(rows) - _SHOWN} further faults")
        )
    return problems
