"""What partners owe of windows that are not netted, and what is outstanding of them, from totals (pure).

The night's own prices and fees on a window's totals, exact and not rounded: what rounding, minimum payments,
currencies and defaults make of a window is in the money ledger once it is netted. What the pool pays for
lapsed points counts from then on: who gets it is known at night, and until then it would only be hoped for. A
month's minimum of fees counts when it is charged.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from decimal import Decimal

import msgspec

from network.caps import NOTHING, Holding
from network.model import AccountKind
from partners.rates import VatRates
from settlement.clearing import (
    Night,
    TermsByVersion,
    adjusted,
    fee_bases,
    fee_vat_bps,
    price,
    rate_of,
    version_on,
    versions_by_partner,
)
from settlement.fees import unrounded_fee
from settlement.model import OUTSTANDING, PricedLine, Transactions, ValueTotal, WindowTotal
from settlement.money import ONE_BPS, ZERO, exactly
from settlement.money_model import Adjustment
from settlement.positions import Holder
from settlement.values import value_flows

Sums = dict[Holder, Holding]
"""What partners owe, hold and have outstanding, by partner and currency."""
_OUT = tuple(kind for kind in OUTSTANDING if kind is not AccountKind.HELD)


class Accruals(msgspec.Struct, frozen=True, kw_only=True):
    """All that happened in a window that is not netted. `prices`: contracts as they price this window."""

    window_id: int
    on: date
    prices: TermsByVersion
    totals: Sequence[WindowTotal] = ()
    transactions: Sequence[Transactions] = ()
    values: Sequence[ValueTotal] = ()
    adjustments: Sequence[Adjustment] = ()


class Ground(msgspec.Struct, frozen=True, kw_only=True):
    """What prices windows. `replaced`: who has the place of partners that left, by partner: (window, who)."""

    terms: TermsByVersion
    vat: VatRates
    replaced: Mapping[int, tuple[int, int]] = {}

    def place(self, partner_id: int, window_id: int) -> int:
        """Who owes what a partner's points cost in a window."""
        since, other = self.replaced.get(partner_id, (window_id + 1, partner_id))
        return other if since <= window_id else partner_id


@exactly
def accrued(window: Accruals, ground: Ground) -> Sums:
    """What each participant owes of a window, less what it is owed; in `owed`."""
    night = Night(on=window.on, vat=ground.vat)
    totals = [one for one in window.totals if one.credit != AccountKind.LAPSED]
    owed: dict[Holder, Decimal] = {}
    flows = [
        msgspec.structs.replace(
            line,
            debtor_id=ground.place(line.debtor_id, window.window_id),
            creditor_id=ground.place(line.creditor_id, window.window_id),
        )
        for line in [*price(totals, window.prices, night), *value_flows(window.values, ground.terms)]
    ]
    for line in [*flows, *adjusted(window.adjustments, ground.terms, night)]:
        _owes(owed, line)
    lines = price(totals, ground.terms, night)
    bases = fee_bases(totals, lines, window.transactions, ground.terms, window.adjustments)
    versions = versions_by_partner(ground.terms)
    for (party, version), basis in bases.items():
        if ground.place(party, window.window_id) != party:
            continue
        terms = ground.terms[party, version]
        vat = fee_vat_bps(version_on(versions[party], window.on), window.on, ground.vat) * ONE_BPS
        key = (party, terms.currency)
        owed[key] = owed.get(key, ZERO) + unrounded_fee(basis, terms) * (1 + vat)
    return {key: Holding(owed=amount) for key, amount in owed.items()}


def _owes(owed: dict[Holder, Decimal], line: PricedLine) -> None:
    if line.debtor_id != line.creditor_id:
        for party, amount in ((line.debtor_id, line.amount), (line.creditor_id, -line.amount)):
            key = (party, line.currency)
            owed[key] = owed.get(key, ZERO) + amount


@exactly
def standing_points(totals: Iterable[WindowTotal], ground: Ground) -> Sums:
    """Points outstanding and the price of open holds, from the totals of all windows; `points` and `held`.

    A partner that has been replaced has neither any more.
    """
    sums: Sums = {}
    for total in totals:
        if total.issuer_id in ground.replaced:
            continue
        issuer = ground.terms[total.issuer_id, total.issuer_terms]
        rest = 1 - issuer.funding_share
        out = total.points * ((total.credit in _OUT) - (total.debit in _OUT))
        _add(sums, (total.issuer_id, issuer.currency), Holding(points=out * rest))
        held = total.points * ((total.credit == AccountKind.HELD) - (total.debit == AccountKind.HELD))
        if held and total.acceptor_id is not None and total.acceptor_terms is not None:
            acceptor = ground.terms[total.acceptor_id, total.acceptor_terms]
            if total.acceptor_id != total.issuer_id:
                cost = held * rate_of(acceptor, total.category) * rest
                _add(sums, (total.issuer_id, acceptor.currency), Holding(held=cost))
    return sums


@exactly
def together(*parts: Sums) -> Sums:
    """Sums added up."""
    sums: Sums = {}
    for part in parts:
        for key, holding in part.items():
            _add(sums, key, holding)
    return sums


@exactly
def turned(sums: Sums) -> Sums:
    """The same, taken away."""
    return {key: Holding(-one.owed, -one.held, -one.points, -one.deposit) for key, one in sums.items()}


def _add(sums: Sums, key: Holder, holding: Holding) -> None:
    sums[key] = sums.get(key, NOTHING).plus(holding)
