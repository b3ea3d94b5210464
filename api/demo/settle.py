"""Nights of the demo after they are netted: two of the operator's people and a bank do what theirs do."""

from datetime import date, datetime

from rich.console import Console
from sqlalchemy import Connection, Engine, text

from network.service import read_network, window_id_of
from partners.model import HUB_ID, OPERATOR_ID, POOL_ID
from settlement.ledger_store import balances
from settlement.money import ZERO, from_minor, minor_digits
from settlement.money_model import Direction
from settlement.payments import Booking, due_of, record_payments
from settlement.reports.show import money
from settlement.runs import advance, approve_run, instruct, propose_run

_MAKER, _CHECKER, _BANK = "maker", "checker", "bank"
_STATES = text(
    "SELECT count(*) FILTER (WHERE state = 'settled') AS settled, count(*) AS nights FROM settlement_run"
    " WHERE state <> 'aborted'"
)
_PAID = text(
    "SELECT coalesce(sum(p.amount_minor) FILTER (WHERE direction = 'in'), 0)::bigint AS paid_in,"
    " coalesce(sum(p.amount_minor) FILTER (WHERE direction = 'out'), 0)::bigint AS paid_out,"
    " count(*) AS payments"
    " FROM instruction JOIN instruction_payment p USING (end_to_end_id)"
)


def settle_night(database: Engine, on: date, *, at: datetime) -> None:
    """Propose, approve and instruct a netted night, let every payment be booked as asked, and finalise it."""
    proposal = propose_run(database, on, by=_MAKER, at=at)
    approve_run(database, on, sha256=proposal.sha256, by=_CHECKER, at=at)
    instruct(database, on, by=_MAKER, at=at)
    _book(database, on, "in", at)
    advance(database, on, at=at)
    _book(database, on, "out", at)
    advance(database, on, at=at)


def print_money(connection: Connection, console: Console) -> None:
    """What the nights moved, and where it is: on the operator's account and on the pool's."""
    currency = read_network(connection).currency
    digits = minor_digits(currency)
    states, paid = connection.execute(_STATES).one(), connection.execute(_PAID).one()
    cash = balances(connection, "cash")
    held = {
        party: money(cash.get(("cash", party, currency), ZERO)) for party in (HUB_ID, OPERATOR_ID, POOL_ID)
    }
    console.print(
        f"{states.settled:,} of {states.nights:,} nights are settled: {paid.payments:,} payments, "
        f"{money(from_minor(paid.paid_in, digits))} {currency} in and "
        f"{money(from_minor(paid.paid_out, digits))} out\n"
        f"the operator's account has {held[OPERATOR_ID]} {currency}, the pool's {held[POOL_ID]}, "
        f"the hub's {held[HUB_ID]}",
        highlight=False,
    )


def _book(database: Engine, on: date, direction: Direction, at: datetime) -> None:
    with database.begin() as connection:
        bookings = [
            Booking(
                end_to_end_id=one.end_to_end_id,
                amount_minor=one.due_minor - one.booked_minor,
                payment_reference=f"demo {one.end_to_end_id}",
                booked_on=at.date(),
            )
            for one in due_of(connection, window_id_of(on))
            if one.direction == direction and one.due_minor > one.booked_minor
        ]
        record_payments(connection, bookings, by=_BANK, at=at)
