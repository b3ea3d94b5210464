"""What a partner has paid on a line of its statement (pure).

A line between two partners is of points of one, redeemed at the other. All of what the acceptor was credited
is what the issuer paid for it, whether it owed that at the redemption or had paid it into the pool before.
What the pool holds stays as it is, for members' points do. What was paid at issue the operator answers for.
"""

from collections.abc import Iterable
from decimal import Decimal

import msgspec

from settlement.clearing import TermsByVersion, price
from settlement.model import WindowTotal
from settlement.money import ZERO, exactly


class Paid(msgspec.Struct, frozen=True, kw_only=True):
    """What was paid, below zero where it was received, and by whose contract version it was credited.

    `pooled`: the part of it that came through the pool, or, between currencies, from the operator.
    `original_window_id`: where a return was paid, the window of what it returned: its VAT is of that day.
    """

    amount: Decimal
    currency: str
    credited_id: int
    credited_terms: int
    pooled: Decimal = ZERO
    original_window_id: int | None = None


@exactly
def paid_to(totals: Iterable[WindowTotal], terms: TermsByVersion, *, by: int, to: int) -> tuple[Paid, ...]:
    """What a partner paid another in some postings, by the acceptor's contract version; zeros are left out.

    Args:
        totals: Postings that are priced alike, summed: of an entry and its returns, or of a window.
        terms: Every version of every contract.
        by: Who paid: the issuer at a redemption, the acceptor at its return.
        to: Who received.
    """
    sums: dict[tuple[str, int, int], Decimal] = {}
    pooled: dict[tuple[str, int, int], Decimal] = {}
    originals: dict[tuple[str, int, int], int] = {}
    for total in totals:
        if total.acceptor_id is None or total.acceptor_terms is None:
            continue
        if {total.issuer_id, total.acceptor_id} != {by, to}:
            continue
        sign = 1 if total.issuer_id == by else -1
        for line in price([total], terms):
            if line.flow == "redemption" and line.creditor_id == total.acceptor_id:
                key = (line.currency, total.acceptor_id, total.acceptor_terms)
                sums[key] = sums.get(key, ZERO) + sign * line.amount
                if line.debtor_id != total.issuer_id:
                    pooled[key] = pooled.get(key, ZERO) + sign * line.amount
                if total.issuer_id == to and total.reversed_window_id is not None:
                    originals.setdefault(key, total.reversed_window_id)
    return tuple(
        Paid(
            amount=amount,
            currency=key[0],
            credited_id=key[1],
            credited_terms=key[2],
            pooled=pooled.get(key, ZERO),
            original_window_id=originals.get(key),
        )
        for key, amount in sorted(sums.items())
        if amount
    )


@exactly
def issued_by(totals: Iterable[WindowTotal], terms: TermsByVersion, *, by: int) -> tuple[Paid, ...]:
    """What a partner paid into the pool for points it issued, by its own contract version.

    Args:
        totals: Postings of a window without an acceptor, and their reversals.
        terms: Every version of every contract.
        by: The issuer.
    """
    sums: dict[tuple[str, int], Decimal] = {}
    for total in totals:
        for line in price([total], terms) if total.issuer_id == by else ():
            if line.flow == "issue":
                key = (line.currency, total.issuer_terms)
                sums[key] = sums.get(key, ZERO) + line.amount
    return tuple(
        Paid(amount=amount, currency=key[0], credited_id=by, credited_terms=key[1])
        for key, amount in sorted(sums.items())
        if amount
    )
