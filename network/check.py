"""A check of a live database: one query that selects faults, so an empty answer is a pass."""

import msgspec
from sqlalchemy import Connection, text

_SHOWN = 20
_ASKED = """
    WITH fault (place, detail) AS MATERIALIZED ({})
    SELECT place, detail, count(*) OVER () AS found FROM fault ORDER BY place, detail LIMIT {}
"""
"""However many faults there are, the database counts them, and only those that are shown come here.

Materialised, because a query asked for a few rows is planned to bring these soon, and all of them slowly.
"""


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
    rows = connection.execute(text(_ASKED.format(check.faults, _SHOWN))).all()
    problems = [Problem(check=check.name, where=row.place, detail=row.detail) for row in rows]
    if rows and rows[0].found > _SHOWN:
        more = f"{rows[0].found - _SHOWN} further faults"
        problems.append(Problem(check=check.name, where="and more", detail=more))
    return problems
