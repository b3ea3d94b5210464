"""How a partner's exit stands: its points, what is outstanding and what that costs, and what is still open.

The last statement, with nothing open, is the partner's final statement.
"""

from collections.abc import Iterable, Mapping
from datetime import date, datetime
from decimal import ROUND_CEILING, Context, Decimal
from typing import Any, Literal
from zoneinfo import ZoneInfo

import msgspec
from sqlalchemy import Connection, text

from network.model import AccountKind
from network.service import date_of_window, network_now, read_network
from partners.model import PartnerExit, Terms
from partners.service import partner_of
from partners.store import load_exits
from settlement import fixings, store
from settlement.dispute import deadline
from settlement.errors import ExitRefused, RateMissing
from settlement.ledger_store import balances
from settlement.model import OUTSTANDING
from settlement.money import ZERO, exactly
from settlement.positions import terms_in_force
from settlement.standing import load_stand_ins

_PRICE = Decimal("0.00000001")
_ROUNDING = Context(prec=100)
_POINTS = text(
    "SELECT issuer_terms, debit, credit, sum(points)::bigint AS points FROM window_total"
    " WHERE issuer_id = :partner_id GROUP BY 1, 2, 3"
)
_OPEN_WINDOW = text("SELECT window_id FROM clearing_window WHERE closed_at IS NULL")
_UNNETTED = text(
    "SELECT count(*) FROM clearing_window w WHERE closed_at IS NOT NULL AND NOT EXISTS ("
    " SELECT FROM settlement_run r WHERE r.window_id = w.window_id"
    " AND r.state NOT IN ('closed', 'priced', 'aborted'))"
)
_UNSETTLED = text(
    "SELECT p.window_id, p.currency,"
    " p.deferred_in_minor + p.final_minor - p.deferred_out_minor AS payment_minor, r.state"
    " FROM net_position p JOIN settlement_run r USING (window_id, revision)"
    " WHERE p.participant_id = :partner_id AND r.state NOT IN ('settled', 'aborted')"
    " AND p.deferred_in_minor + p.final_minor - p.deferred_out_minor <> 0 ORDER BY 1, 2"
)
_DISPUTES = text(
    "SELECT count(*) FROM dispute d WHERE (d.raised_by_id = :partner_id OR d.against_id = :partner_id)"
    " AND (SELECT e.state FROM dispute_event e WHERE e.dispute_id = d.dispute_id"
    " ORDER BY e.sequence DESC LIMIT 1) NOT IN ('accepted', 'decided')"
)
_LAST_LINES = text(
    "SELECT w.window_id, w.closed_at FROM clearing_window w WHERE window_id = ("
    " SELECT max(window_id) FROM window_total WHERE issuer_id <> acceptor_id AND (acceptor_id = :partner_id"
    " OR issuer_id = :partner_id AND (CAST(:gone AS integer) IS NULL OR window_id < :gone)))"
)
_BOUGHT = text(
    "SELECT currency, sum(amount) AS amount FROM money_adjustment"
    " WHERE origin = 'exit' AND debtor_id = :partner_id GROUP BY 1 ORDER BY 1"
)


class OutstandingPoints(msgspec.Struct, frozen=True, kw_only=True):
    """Points of one contract version that are out, and what the partner owes for them when it leaves.

    `share`: the part that the pool holds. `rate`: the highest at which they could be accepted, in the
    version's currency, as `amount` is.
    """

    terms_version: int
    currency: str
    points: int
    share: Decimal
    rate: Decimal
    amount: Decimal


class OpenPosition(msgspec.Struct, frozen=True, kw_only=True):
    """A night's payment of the partner whose run is not settled; minor units, below zero it pays."""

    window_id: int
    currency: str
    payment_minor: int
    state: str


class ExitStatement(msgspec.Struct, frozen=True, kw_only=True):
    """How an exit stands. The last one, with nothing in `open`, is the partner's final statement.

    Points are since the partner joined: issued, less returned sales; redeemed, less returned rewards; lapsed.
    `outstanding` is of each of its versions. `buy_out`: what they come to, by currency. `bought_out`: what it
    was charged for points outstanding, None before that. `cover` is what it has left: (deposit or guarantee,
    currency, amount). `unfixed`: currencies in which its points are accepted and that have no fixing yet.
    `open`: what is still to be done before it has left, in words.
    """

    partner_id: int
    code: str
    status: str
    leaving: PartnerExit
    issued: int
    redeemed: int
    lapsed: int
    outstanding: tuple[OutstandingPoints, ...]
    buy_out: tuple[tuple[str, Decimal], ...]
    bought_out: tuple[tuple[str, Decimal], ...] | None
    unfixed: tuple[str, ...]
    positions: tuple[OpenPosition, ...]
    cover: tuple[tuple[str, str, Decimal], ...]
    open: tuple[str, ...]


@exactly
def statement(connection: Connection, code: str) -> ExitStatement:
    """How a partner's exit stands.

    Raises:
        ExitRefused: it does not leave.
    """
    found = partner_of(connection, code)
    leaving = load_exits(connection).get(found.partner_id)
    if leaving is None:
        raise ExitRefused(f"{code} does not leave: no exit was approved")
    moved = [tuple(row) for row in connection.execute(_POINTS, {"partner_id": found.partner_id})]
    outstanding, unfixed = _outstanding(connection, found.partner_id, moved)
    bought = connection.execute(_BOUGHT, {"partner_id": found.partner_id})
    stands_in = any(one.partner_id == found.partner_id for one in load_stand_ins(connection))
    positions = tuple(
        OpenPosition(**row._asdict())
        for row in connection.execute(_UNSETTLED, {"partner_id": found.partner_id})
    )
    cover = tuple(
        (account, currency, -amount)
        for (account, party, currency), amount in sorted(balances(connection, "deposit", "guarantee").items())
        if party == found.partner_id
    )
    return ExitStatement(
        partner_id=found.partner_id,
        code=code,
        status=found.status,
        leaving=leaving,
        issued=_sum(moved, AccountKind.ISSUED, "debit"),
        redeemed=_sum(moved, AccountKind.ACCEPTED, "credit"),
        lapsed=_sum(moved, AccountKind.LAPSED, "credit"),
        outstanding=outstanding,
        buy_out=_by_currency(outstanding),
        bought_out=tuple((row.currency, row.amount) for row in bought) if stands_in else None,
        unfixed=unfixed,
        positions=positions,
        cover=cover,
        open=tuple(_still_open(connection, found.partner_id, positions, stands_in=stands_in)),
    )


@exactly
def highest_rate(terms: Iterable[Terms], currency: str, fixed: Mapping[str, Decimal]) -> Decimal:
    """The most that anybody gets for a point, of whatever category, in a currency.

    Args:
        terms: Of everybody who may accept it.
        currency: In which.
        fixed: What one unit of another currency is worth in it; one that is missing is left out.
    Returns:
        A price; one that was converted is rounded up to a price's eight decimals.
    """
    rates = [
        (rate * fixed.get(one.currency, ZERO)).quantize(_PRICE, rounding=ROUND_CEILING, context=_ROUNDING)
        if one.currency != currency
        else rate
        for one in terms
        for rate in (one.reimbursement_rate, *(rate for _, rate in one.category_rates))
    ]
    return max(rates, default=ZERO)


def today_of(connection: Connection) -> date:
    """The network's local date."""
    zone = ZoneInfo(read_network(connection).time_zone)
    return network_now(connection).astimezone(zone).date()


def contract_of(connection: Connection, partner_id: int) -> Terms:
    """A partner's terms in force today.

    Raises:
        ExitRefused: it has none.
    """
    terms = terms_in_force(store.load_terms(connection), today_of(connection))
    if partner_id not in terms:
        raise ExitRefused(f"participant {partner_id} has no contract")
    return terms[partner_id]


def open_window(connection: Connection) -> int:
    """The window into which whatever happens now falls."""
    window_id: int = connection.execute(_OPEN_WINDOW).scalar_one()
    return window_id


def any_unnetted(connection: Connection) -> bool:
    """Whether a closed night is not netted, so that its points are not counted yet."""
    return bool(connection.execute(_UNNETTED).scalar_one())


@exactly
def _outstanding(
    connection: Connection, partner_id: int, moved: Iterable[tuple[Any, ...]]
) -> tuple[tuple[OutstandingPoints, ...], tuple[str, ...]]:
    """Points by version, also of versions that have none out; and which fixings are missing to price them."""
    terms = store.load_terms(connection)
    today = today_of(connection)
    in_force = terms_in_force(terms, today)
    others = [one for party, one in in_force.items() if party != partner_id]
    versions = [one for (party, _), one in sorted(terms.items()) if party == partner_id]
    fixing_of = fixings.of_night(connection, today, in_force)
    rates: dict[str, Decimal] = {}
    unfixed: set[str] = set()
    for currency in {one.currency for one in versions if one.funding_share < 1}:
        fixed: dict[str, Decimal] = {}
        for other in sorted({one.currency for one in others} - {currency}):
            try:
                fixed[other] = fixing_of(partner_id, other, currency).rate
            except RateMissing:
                unfixed.add(other)
        rates[currency] = highest_rate(others, currency, fixed)
    points: dict[int, int] = {}
    for version, debit, credit, count in moved:
        change = count * ((credit in OUTSTANDING) - (debit in OUTSTANDING))
        points[version] = points.get(version, 0) + change
    found = tuple(
        OutstandingPoints(
            terms_version=one.terms_version,
            currency=one.currency,
            points=(count := points.get(one.terms_version, 0)),
            share=one.funding_share,
            rate=(rate := rates.get(one.currency, ZERO)),
            amount=count * rate * (1 - one.funding_share),
        )
        for one in versions
    )
    return found, tuple(sorted(unfixed))


@exactly
def _by_currency(outstanding: Iterable[OutstandingPoints]) -> tuple[tuple[str, Decimal], ...]:
    sums: dict[str, Decimal] = {}
    for one in outstanding:
        if one.amount:
            sums[one.currency] = sums.get(one.currency, ZERO) + one.amount
    return tuple(sorted(sums.items()))


def _disputable_until(connection: Connection, partner_id: int) -> datetime | None:
    """When nobody can dispute a redemption with a partner any more: only then its cover can go back."""
    gone = next(
        (one.from_window_id for one in load_stand_ins(connection) if one.partner_id == partner_id), None
    )
    last = connection.execute(_LAST_LINES, {"partner_id": partner_id, "gone": gone}).one_or_none()
    if last is None or last.closed_at is None:
        return None
    in_force = terms_in_force(store.load_terms(connection), date_of_window(last.window_id))
    days = max(one.dispute_days for one in in_force.values())
    return deadline(last.closed_at, days, read_network(connection).time_zone)


def _sum(moved: Iterable[tuple[Any, ...]], account: AccountKind, side: Literal["debit", "credit"]) -> int:
    """Points that an account gave (debit) or took (credit), less what went back."""
    total = 0
    for _, debit, credit, points in moved:
        if debit == credit:
            continue
        if account == debit:
            total += points if side == "debit" else -points
        elif account == credit:
            total += points if side == "credit" else -points
    return total


def _still_open(
    connection: Connection, partner_id: int, positions: Iterable[OpenPosition], *, stands_in: bool
) -> Iterable[str]:
    """What is to be done before a partner has left, in words."""
    if not stands_in:
        yield "its points are not bought out"
    for one in positions:
        paid = f"{one.payment_minor} {one.currency} minor units"
        yield f"window {one.window_id} is {one.state}, with {paid} of it"
    if stands_in and any_unnetted(connection):
        yield "a closed night is not netted"
    else:
        from_window = next(
            (one.from_window_id for one in load_stand_ins(connection) if one.partner_id == partner_id), None
        )
        if from_window is not None and from_window >= open_window(connection):
            yield f"window {from_window}, with its buy-out, is still open"
    carried = [
        f"{amount} {currency}"
        for (_, party, currency), amount in balances(connection, "carried").items()
        if party == partner_id
    ]
    if carried:
        yield f"{', '.join(carried)} are carried on"
    until = _disputable_until(connection, partner_id)
    if until is not None and network_now(connection) < until:
        yield f"lines between it and others can be disputed until {until.isoformat()}"
    disputes = connection.execute(_DISPUTES, {"partner_id": partner_id}).scalar_one()
    if disputes:
        yield f"{disputes} disputes are open"
