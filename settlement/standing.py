"""What stays from partners that failed or left: debts carried into a night, and who has a leaver's place."""

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal

import msgspec
from sqlalchemy import Connection, text

from settlement.clearing import TermsByVersion
from settlement.model import Position, PricedLine
from settlement.money import ZERO, exactly

_CARRIED_IN = text(
    "SELECT k.window_id, o.participant_id, c.currency, sum(o.amount_minor)::bigint AS minor"
    " FROM default_carry k JOIN default_case c USING (case_id) JOIN default_overlay o USING (case_id)"
    " WHERE o.rung = 'carry' AND k.window_id = ANY(:window_ids) GROUP BY 1, 2, 3"
)
_STAND_INS = text("SELECT partner_id, from_window_id, stand_in_id FROM stand_in ORDER BY partner_id")
_RATES = text("SELECT partner_id, terms_version, rate FROM bought_out ORDER BY partner_id, terms_version")

Carried = Mapping[tuple[int, str], int]
"""What debtors owe on from earlier nights, by participant and currency; minor units above zero."""


class StandIn(msgspec.Struct, frozen=True):
    """Who has a partner's place in all that its points cost, from a window on.

    `rates`: at which points of its versions were bought out, into the pool; none where that was not so.
    """

    partner_id: int
    from_window_id: int
    stand_in_id: int
    rates: tuple[tuple[int, Decimal], ...] = ()


def load_carried(connection: Connection, window_ids: Sequence[int]) -> dict[int, Carried]:
    """What default cases carried into some windows."""
    found: dict[int, dict[tuple[int, str], int]] = {window_id: {} for window_id in window_ids}
    for row in connection.execute(_CARRIED_IN, {"window_ids": list(window_ids)}):
        found[row.window_id][row.participant_id, row.currency] = row.minor
    return dict(found)


def load_stand_ins(connection: Connection) -> list[StandIn]:
    """Everybody who has left, and who stands in."""
    rates: dict[int, list[tuple[int, Decimal]]] = {}
    for row in connection.execute(_RATES):
        rates.setdefault(row.partner_id, []).append((row.terms_version, row.rate))
    return [
        StandIn(row.partner_id, row.from_window_id, row.stand_in_id, tuple(rates.get(row.partner_id, ())))
        for row in connection.execute(_STAND_INS)
    ]


def owing_on(positions: Iterable[Position], carried: Carried) -> tuple[Position, ...]:
    """Positions with what their participants owe on: it is part of what is deferred into the night (pure).

    Whoever owes on in a currency that it settles in no more has a position of that alone.
    """
    known = {(one.participant_id, one.currency): one for one in positions}
    for holder, minor in carried.items():
        one = known.get(holder, _nothing_of(*holder))
        known[holder] = msgspec.structs.replace(one, deferred_in_minor=one.deferred_in_minor - minor)
    return tuple(known[holder] for holder in sorted(known))


def _nothing_of(participant_id: int, currency: str) -> Position:
    return Position(
        participant_id=participant_id,
        currency=currency,
        credits=ZERO,
        debits=ZERO,
        fee_minor=0,
        vat_minor=0,
        fee_base=ZERO,
        vat_base=ZERO,
        carried_in=ZERO,
        exact=ZERO,
        final_minor=0,
        carried_out=ZERO,
    )


@exactly
def in_window(terms: TermsByVersion, window_id: int, stand_ins: Iterable[StandIn]) -> TermsByVersion:
    """Contracts as they price a window: what points cost that were bought out is the pool's to pay (pure).

    Their share turns 1, and their price what the pool then holds for each: issue price x share + rate x
    (1 - share). So its money stays what outstanding points are worth, through whatever becomes of them.
    """
    found = dict(terms)
    for one in stand_ins:
        if one.from_window_id > window_id:
            continue
        for version, rate in one.rates:
            before = terms[one.partner_id, version]
            found[one.partner_id, version] = msgspec.structs.replace(
                before,
                funding_share=Decimal(1),
                issue_price=before.issue_price * before.funding_share + rate * (1 - before.funding_share),
            )
    return found


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
