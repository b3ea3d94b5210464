"""What was paid on a line of a statement that is disputed, and what of it can be disputed, or is still paid.

A line is between two partners (points of one that were redeemed at the other, an entry's or a day's; VAT on
them), or between a partner and the operator: what it paid in a night for points issued, as its fee, as VAT.
"""

from decimal import Decimal
from fractions import Fraction
from typing import Protocol
from uuid import UUID

import msgspec
from sqlalchemy import Connection

from network.service import date_of_window
from partners.model import OPERATOR_ID
from settlement import dispute_store as store
from settlement import standing
from settlement.clearing import TermsByVersion, version_on, versions_by_partner
from settlement.disputed_lines import Paid, issued_by, paid_to
from settlement.errors import DisputeRefused
from settlement.model import NETTED_STATES, WindowTotal
from settlement.money import ZERO, exactly
from settlement.money_model import DisputedFlow

POOLED_DECIMALS = 8
"""Of the part of an award that came through the pool; it only says whose the VAT is."""


class Named(Protocol):
    """How a partner names a line: an entry, or what flowed in a window; one of both."""

    @property
    def raised_by_id(self) -> int: ...  # noqa: D102

    @property
    def against_id(self) -> int: ...  # noqa: D102

    @property
    def flow(self) -> DisputedFlow: ...  # noqa: D102

    @property
    def entry_id(self) -> UUID | None: ...  # noqa: D102

    @property
    def window_id(self) -> int | None: ...  # noqa: D102


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """A line that is there: between whom, what flowed, in which window; of one entry, or of all."""

    raised_by_id: int
    against_id: int
    flow: DisputedFlow
    window_id: int
    entry_id: UUID | None = None


def find_line(connection: Connection, named: Named) -> Line:
    """The line that a partner names.

    Raises:
        DisputeRefused: dispute_line_unknown.
    """
    window_id = named.window_id
    if named.entry_id is not None:
        window_id, totals = store.entry_totals(connection, named.entry_id)
        parties = {named.raised_by_id, named.against_id}
        known = named.flow == "redemption" and any(
            {one.issuer_id, one.acceptor_id} == parties for one in totals
        )
    elif named.flow == "redemption":
        known = window_id is not None and bool(_of_window(connection, named, window_id))
    else:
        with_operator = named.flow == "vat" or named.against_id == OPERATOR_ID
        known = window_id is not None and with_operator and store.is_window(connection, window_id)
    if window_id is None or not known:
        raise DisputeRefused("dispute_line_unknown", "")
    return Line(
        raised_by_id=named.raised_by_id,
        against_id=named.against_id,
        flow=named.flow,
        window_id=window_id,
        entry_id=named.entry_id,
    )


def require_netted(connection: Connection, line: Line) -> None:
    """Make sure that a line is on a statement.

    Raises:
        DisputeRefused: dispute_not_yet.
    """
    found = store.window_state(connection, line.window_id)
    if found is None or found[1] not in NETTED_STATES:
        raise DisputeRefused(
            "dispute_not_yet", f"the night of {date_of_window(line.window_id)} is not on a statement yet"
        )


def paid_on(connection: Connection, line: Line, terms: TermsByVersion) -> tuple[Paid, ...]:
    """What was paid on a line, and not been returned since, by the contract version that priced it."""
    by, to = line.raised_by_id, line.against_id
    if line.flow == "redemption":
        if line.entry_id is None:
            totals = _of_window(connection, line, line.window_id)
        else:
            totals = store.entry_totals(connection, line.entry_id)[1]
        return paid_to(_of_who_was_there(connection, line, totals), terms, by=by, to=to)
    if line.flow == "issue":
        totals = store.issue_totals(connection, line.window_id, by=by)
        return issued_by(_of_who_was_there(connection, line, totals), terms, by=by)
    charged = store.charged(connection, line.window_id, line.flow, by=by, to=to)
    version = version_on(versions_by_partner(terms)[by], date_of_window(line.window_id)).terms_version
    return tuple(
        Paid(amount=amount, currency=currency, credited_id=by, credited_terms=version)
        for currency, amount in charged
    )


def only_paid(paid: tuple[Paid, ...]) -> Paid:
    """The one version by which a line was paid.

    Raises:
        DisputeRefused: dispute_nothing_paid, dispute_line_mixed.
    """
    due = [one for one in paid if one.amount > 0]
    if not due:
        raise DisputeRefused("dispute_nothing_paid", "")
    if len(paid) > 1:
        raise DisputeRefused("dispute_line_mixed", "")
    return due[0]


@exactly
def left_to_dispute(connection: Connection, line: Line, paid: Paid, terms: TermsByVersion) -> Decimal:
    """What of a line can be disputed: what is paid, less what was disputed of its window before."""
    before = store.disputed_so_far(connection, line, credited_id=paid.credited_id)
    if line.entry_id is None:
        return (paid.amount - before).normalize()
    if paid.credited_id == line.raised_by_id:  # it took back a redemption, which is a line by itself
        return paid.amount.normalize()
    day = msgspec.structs.replace(line, entry_id=None)
    of_window = sum((each.amount for each in paid_on(connection, day, terms)), ZERO)
    return min(paid.amount, of_window - before).normalize()


@exactly
def left_now(connection: Connection, line: Line, paid: tuple[Paid, ...], credited_id: int) -> Decimal:
    """What is still paid on a disputed line, entries of it that are disputed by themselves left out."""
    others = ZERO
    if line.entry_id is None and line.flow == "redemption":
        others = store.disputed_so_far(connection, line, credited_id=credited_id, entries_only=True)
    return max(ZERO, sum((each.amount for each in paid), ZERO) - others)


def pooled_part(award: Decimal, paid: tuple[Paid, ...]) -> Decimal:
    """The part of an award that came through the pool, in proportion to the line; half-even."""
    amount = sum((Fraction(each.amount) for each in paid), Fraction())
    pooled = sum((Fraction(each.pooled) for each in paid), Fraction())
    if not amount or not pooled:
        return ZERO
    part = round(Fraction(award) * pooled / amount * 10**POOLED_DECIMALS)
    return min(award, Decimal(part).scaleb(-POOLED_DECIMALS))


def _of_window(connection: Connection, line: Named, window_id: int) -> list[WindowTotal]:
    return store.window_totals(connection, window_id, by=line.raised_by_id, to=line.against_id)


def _of_who_was_there(connection: Connection, line: Line, totals: list[WindowTotal]) -> list[WindowTotal]:
    """Without points of leavers that were bought out before: others pay for those, and nobody pays them."""
    gone = {
        one.partner_id for one in standing.load_stand_ins(connection) if one.from_window_id <= line.window_id
    }
    return [one for one in totals if one.issuer_id not in gone]
