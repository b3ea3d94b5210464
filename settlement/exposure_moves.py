"""What the night does to the rows of capped partners.

Tills move the rows batch by batch (network.exposure_store). The money ledger moves them with every entry. A
window that is netted leaves what it accrued, because the ledger has it from then on; one that is reopened
comes back. Debts that no posting makes move them when they are written.
"""

from collections.abc import Iterable, Sequence

from sqlalchemy import Connection, text

from network import exposure_store
from network.caps import Holding
from network.service import date_of_window
from network.store import WINDOW_LOCK
from partners.rates_store import load_vat_rates
from partners.store import load_terms
from settlement.clearing import TermsByVersion
from settlement.exposure import Accruals, Ground, accrued, turned
from settlement.model import Transactions, ValueTotal, WindowTotal
from settlement.money_model import Adjustment, MoneyLine
from settlement.standing import in_window, load_stand_ins

OWING = ("receivable", "payable", "carried", "rounding")
"""Accounts of the money ledger that say what a participant owes (debit) or is owed of netted windows."""

SHARE = text(f"SELECT pg_advisory_xact_lock_shared({WINDOW_LOCK})")
ANY = text("SELECT EXISTS (SELECT FROM exposure)")


def money_moved(connection: Connection, lines: Iterable[MoneyLine]) -> None:
    """Move rows by an entry of the money ledger, in its transaction.

    The window's lock is shared, so that no recount goes on meanwhile; call it late in the transaction.
    """
    moved = [one for one in lines if one.account in OWING or one.account == "deposit"]
    if not moved:
        return
    connection.execute(SHARE)
    if not connection.execute(ANY).scalar_one():
        return
    exposure_store.add_all(
        connection,
        exposure_store.summed(
            (
                (one.participant_id, one.currency),
                Holding(deposit=-one.amount) if one.account == "deposit" else Holding(owed=one.amount),
            )
            for one in moved
        ),
    )


def window_netted(
    connection: Connection,
    window_id: int,
    totals: Sequence[WindowTotal],
    transactions: Sequence[Transactions],
    adjustments: Sequence[Adjustment],
    values: Sequence[ValueTotal],
) -> None:
    """Take from rows what a window accrued: its positions are in the money ledger from now on."""
    connection.execute(SHARE)
    if connection.execute(ANY).scalar_one():
        ground = load_ground(connection)
        window = Accruals(
            window_id=window_id,
            on=date_of_window(window_id),
            prices=prices_of(connection, ground, window_id),
            totals=totals,
            transactions=transactions,
            adjustments=adjustments,
            values=values,
        )
        exposure_store.add_all(connection, turned(accrued(window, ground)))


def adjusted_by(connection: Connection, window_id: int, adjustment: Adjustment) -> None:
    """Move rows by a debt that no posting makes, in its transaction, which shares the window's lock."""
    if connection.execute(ANY).scalar_one():
        ground = load_ground(connection)
        window = Accruals(
            window_id=window_id,
            on=date_of_window(window_id),
            prices=ground.terms,
            adjustments=[adjustment],
        )
        exposure_store.add_all(connection, accrued(window, ground))


def load_ground(connection: Connection) -> Ground:
    """What prices windows, as it is."""
    return Ground(
        terms={
            (one.partner_id, one.terms_version): one
            for versions in load_terms(connection).values()
            for one in versions
        },
        vat=load_vat_rates(connection),
        replaced={
            one.partner_id: (one.from_window_id, one.stand_in_id) for one in load_stand_ins(connection)
        },
    )


def prices_of(connection: Connection, ground: Ground, window_id: int) -> TermsByVersion:
    """Contracts as they price a window: what was bought out is the pool's to pay."""
    return in_window(ground.terms, window_id, load_stand_ins(connection))
