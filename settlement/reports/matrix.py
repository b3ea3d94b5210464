"""Who owes whom, as a square table: gross, and after setting off pair by pair."""

from collections.abc import Mapping, Sequence
from decimal import Decimal

import msgspec

from settlement.model import Obligation
from settlement.money import ZERO, exactly
from settlement.netting import Debt, bilateral_nets, gross, multilateral_positions, to_be_paid


class Matrix(msgspec.Struct, frozen=True, kw_only=True):
    """Amounts by (debtor, creditor); `total` is what would be paid if each cell were paid by itself."""

    cells: Mapping[tuple[int, int], Decimal]
    total: Decimal


class Obligations(msgspec.Struct, frozen=True, kw_only=True):
    """The debts of a window or a period: gross, pair by pair, and what is paid with the hub in between."""

    parties: Sequence[int]
    gross: Matrix
    bilateral: Matrix
    multilateral: Decimal


@exactly
def net_obligations(obligations: Sequence[Obligation], parties: Sequence[int]) -> Obligations:
    """Sum debts over their flows and net them.

    A debt to oneself is shown in the gross table, and counts in no total: nothing is paid for it.
    """
    cells: dict[tuple[int, int], Decimal] = {}
    for one in obligations:
        pair = (one.debtor_id, one.creditor_id)
        cells[pair] = cells.get(pair, ZERO) + one.amount
    debts: list[Debt[int]] = [(debtor, creditor, amount) for (debtor, creditor), amount in cells.items()]
    nets = bilateral_nets(debts)
    return Obligations(
        parties=parties,
        gross=Matrix(cells=cells, total=gross(debts)),
        bilateral=Matrix(cells=nets, total=sum(nets.values(), ZERO)),
        multilateral=to_be_paid(multilateral_positions(debts).values()),
    )
