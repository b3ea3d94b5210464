"""What stays from partners that failed or left: debts carried into a night, and who has a leaver's place."""

from collections.abc import Iterable, Mapping, Sequence

import msgspec
from sqlalchemy import Connection, text

from settlement.model import Position, PricedLine

_CARRIED_IN = text(
    "SELECT k.window_id, o.participant_id, c.currency, sum(o.amount_minor)::bigint AS minor"
    " FROM default_carry k JOIN default_case c USING (case_id) JOIN default_overlay o USING (case_id)"
    " WHERE o.rung = 'carry' AND k.window_id = ANY(:window_ids) GROUP BY 1, 2, 3"
)
_STAND_INS = text("SELECT partner_id, from_window_id, stand_in_id FROM stand_in ORDER BY partner_id")

Carried = Mapping[tuple[int, str], int]
"""What debtors owe on from earlier nights, by participant and currency; minor units above zero."""


class StandIn(msgspec.Struct, frozen=True):
    """Who has a partner's place in all that its points cost, from a window on."""

    partner_id: int
    from_window_id: int
    stand_in_id: int


def load_carried(connection: Connection, window_ids: Sequence[int]) -> dict[int, Carried]:
    """What default cases carried into some windows."""
    found: dict[int, dict[tuple[int, str], int]] = {window_id: {} for window_id in window_ids}
    for row in connection.execute(_CARRIED_IN, {"window_ids": list(window_ids)}):
        found[row.window_id][row.participant_id, row.currency] = row.minor
    return dict(found)


def load_stand_ins(connection: Connection) -> list[StandIn]:
    """Everybody who has left, and who stands in."""
    return [StandIn(*row) for row in connection.execute(_STAND_INS)]


def owing_on(positions: Iterable[Position], carried: Carried) -> tuple[Position, ...]:
    """Positions with what their participants owe on: it is part of what is deferred into the night (pure)."""
    return tuple(
        msgspec.structs.replace(
            one,
            deferred_in_minor=one.deferred_in_minor - carried.get((one.participant_id, one.currency), 0),
        )
        for one in positions
    )


def stood_in(lines: Iterable[PricedLine], window_id: int, stand_ins: Iterable[StandIn]) -> list[PricedLine]:
    """Money flows of a window with each leaver's stand-in in its place (pure).

    What the leaver's points still cost is then owed by, and to, who stands in. Prices stay those of the
    leaver's contract. What is left of a flow between the two nets to nothing.
    """
    place = {one.partner_id: one.stand_in_id for one in stand_ins if one.from_window_id <= window_id}
    return [
        msgspec.structs.replace(
            line,
            debtor_id=place.get(line.debtor_id, line.debtor_id),
            creditor_id=place.get(line.creditor_id, line.creditor_id),
        )
        if line.debtor_id in place or line.creditor_id in place
        else line
        for line in lines
    ]
