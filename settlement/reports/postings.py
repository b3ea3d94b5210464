"""The postings behind a partner's statement: each with its money, its entry, and its place under the seal."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any, NamedTuple
from uuid import UUID

import msgspec
from sqlalchemy import Connection, Row, text

from network.model import EntryKind
from settlement import store
from settlement.clearing import TermsByVersion, price
from settlement.leaves import Key
from settlement.model import Obligation, WindowTotal
from settlement.money import ZERO, exactly
from settlement.reports.errors import FiguresDisagree
from settlement.reports.read import EVENTS, MOVEMENTS, Span

_POSTINGS = text(
    """
    SELECT w.business_date, p.window_id, p.member_id, p.entry_id, p.line, p.debit, p.credit, p.points,
        p.issuer_id, p.issuer_terms, p.acceptor_id, p.acceptor_terms, p.category, e.kind, e.partner_id,
        e.reference, e.outlet_code, e.occurred_at, e.amount_minor, e.currency
    FROM posting p JOIN clearing_window w USING (window_id)
    JOIN entry e ON e.member_id = p.member_id AND e.entry_id = p.entry_id AND e.window_id = p.window_id
    WHERE p.unit = 1 AND p.window_id BETWEEN :first_window AND :last_window
        AND e.window_id BETWEEN :first_window AND :last_window
        AND (p.issuer_id = :partner OR p.acceptor_id = :partner)
    ORDER BY p.window_id, p.member_id, p.entry_id, p.line
    """
)
PRICED_ALONE = ("issue", "redemption", "margin")
"""Flows that come from postings alone, so much a point. Lapses may be shared by what others accepted."""


_Debt = tuple[str, int, str]
"""Flow, counterparty, currency."""


class Part(NamedTuple):
    """What one point of a posting brings (+) or costs (-) a partner in one debt."""

    flow: str
    counterparty_id: int
    amount: Decimal
    currency: str


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """A posting on its partner's statement. Reference and outlet are shown to who sent them only.

    `amount`: + to the partner, - from it, exact, in `currency`; 0 where nobody owes anything for it.
    """

    business_date: date
    window_id: int
    key: Key
    event: str
    movement: str
    own: bool
    reference: str | None
    outlet: str | None
    occurred_at: datetime
    counterparty_id: int | None
    terms: int
    points: int
    amount: Decimal
    currency: str
    parts: Sequence[Part]

    @property
    def entry_id(self) -> UUID:
        """The entry it is of."""
        return self.key.entry


def read_lines(connection: Connection, span: Span, partner_id: int) -> Iterator[Line]:
    """A partner's postings of some nights, in order; as issuer, as acceptor, or as both.

    Read through a cursor of the server: a year need not fit into memory.
    """
    terms = store.load_terms(connection)
    known: dict[tuple[int | None, ...], Sequence[Part]] = {}
    options = {"yield_per": 5_000}
    bound = {**span.windows, "partner": partner_id}
    with connection.execute(_POSTINGS, bound, execution_options=options) as rows:
        for row in rows:
            key = (
                *(row.debit, row.credit, row.issuer_id, row.issuer_terms),
                *(row.acceptor_id, row.acceptor_terms, row.category),
            )
            if key not in known:
                known[key] = _parts(row, partner_id, terms)
            yield _line(row, partner_id, known[key], span.currency)


@exactly
def _parts(row: Row[Any], partner_id: int, terms: TermsByVersion) -> Sequence[Part]:
    """What one point of such a posting is to a partner, as the night prices it."""
    total = WindowTotal(
        debit=row.debit,
        credit=row.credit,
        issuer_id=row.issuer_id,
        issuer_terms=row.issuer_terms,
        acceptor_id=row.acceptor_id,
        acceptor_terms=row.acceptor_terms,
        category=row.category,
        reversed_window_id=None,
        points=1,
        postings=1,
    )
    parts = []
    for line in price([total], terms):
        if line.flow in PRICED_ALONE and line.debtor_id != line.creditor_id:
            if line.creditor_id == partner_id:
                parts.append(Part(line.flow, line.debtor_id, line.amount, line.currency))
            elif line.debtor_id == partner_id:
                parts.append(Part(line.flow, line.creditor_id, -line.amount, line.currency))
    return tuple(part for part in parts if part.amount)


@exactly
def _line(row: Row[Any], partner_id: int, parts: Sequence[Part], currency: str) -> Line:
    own = row.partner_id == partner_id
    counterparty = row.acceptor_id if row.issuer_id == partner_id else row.issuer_id
    return Line(
        business_date=row.business_date,
        window_id=row.window_id,
        key=Key(row.member_id, row.entry_id, row.line),
        event=EVENTS[EntryKind(row.kind)],
        movement=MOVEMENTS[row.debit, row.credit],
        own=own,
        reference=row.reference if own else None,
        outlet=row.outlet_code if own else None,
        occurred_at=row.occurred_at,
        counterparty_id=counterparty,
        terms=row.issuer_terms if row.issuer_id == partner_id else row.acceptor_terms,
        points=row.points,
        amount=sum((part.amount for part in parts), ZERO) * row.points,
        currency=parts[0].currency if parts else currency,
        parts=parts,
    )


class Sums:
    """Adds lines up by debt, to hold them against the obligations of the nights."""

    def __init__(self) -> None:
        self.by_debt: dict[_Debt, Decimal] = {}

    @exactly
    def add(self, line: Line) -> None:
        """Count a line in."""
        for part in line.parts:
            key = (part.flow, part.counterparty_id, part.currency)
            self.by_debt[key] = self.by_debt.get(key, ZERO) + part.amount * line.points

    @exactly
    def require_equal(self, obligations: Sequence[Obligation], partner_id: int) -> None:
        """Require that postings and obligations of a partner are the same money, to the last digit.

        Raises:
            FiguresDisagree: they are not, and the message says where.
        """
        owed: dict[_Debt, Decimal] = {}
        for debt in obligations:
            if debt.flow not in PRICED_ALONE or debt.debtor_id == debt.creditor_id:
                continue
            if partner_id in (debt.debtor_id, debt.creditor_id):
                mine = debt.creditor_id == partner_id
                key = (debt.flow, debt.debtor_id if mine else debt.creditor_id, debt.currency)
                owed[key] = owed.get(key, ZERO) + (debt.amount if mine else -debt.amount)
        _require_same(self.by_debt, owed, partner_id)


def _require_same(posted: Mapping[_Debt, Decimal], owed: Mapping[_Debt, Decimal], partner_id: int) -> None:
    for key in sorted({*posted, *owed}):
        if posted.get(key, ZERO) != owed.get(key, ZERO):
            flow, other, currency = key
            raise FiguresDisagree(
                f"{flow} between participants {partner_id} and {other}: postings come to"
                f" {posted.get(key, ZERO)} {currency}, and obligations to {owed.get(key, ZERO)}:"
                " run tessera verify"
            )
