"""What the what-if files come to, per currency: netting, circles struck out, a default (pure).

Gross, bilateral and multilateral are of the claims; fees and VAT are added to the positions after that, as in
a night. Only what is paid is rounded, by largest remainder.
"""

from collections.abc import Collection, Mapping, Sequence
from decimal import Decimal

import msgspec

from settlement.default import CLAIMS, FEES, Claim, Cover, Ladder, Unwound, climb, unwind
from settlement.money import ZERO, exactly, from_minor, minor_digits
from settlement.net_file import DebtLine, DepositLine
from settlement.netting import (
    bilateral_nets,
    gross,
    multilateral_positions,
    payments,
    round_positions,
    to_be_paid,
)
from settlement.set_off import SetOff, directed, set_off


class NetPosition(msgspec.Struct, frozen=True, kw_only=True):
    """A participant against the hub: of claims, with fees, and as it is paid (+ receives, - pays)."""

    participant: str
    claims: Decimal
    exact: Decimal
    final: Decimal


class CurrencyNet(msgspec.Struct, frozen=True, kw_only=True):
    """The debts of one currency, netted. Amounts are in major units; all but `final` and payments are exact.

    `pairs`: how many debtors owe how many creditors, each pair and direction once. `pay_in` and `pay_out` are
    the payments to and from the hub, the fewest that can be: one for each position; each side sums to `paid`.
    `scale`: decimals with which exact amounts are shown, the most that any line had.
    """

    currency: str
    minor_digits: int
    scale: int
    lines: int
    pairs: int
    gross: Decimal
    bilateral: Decimal
    multilateral: Decimal
    fees: Decimal
    nets: tuple[tuple[str, str, Decimal], ...]
    positions: tuple[NetPosition, ...]
    pay_in: tuple[tuple[str, Decimal], ...]
    pay_out: tuple[tuple[str, Decimal], ...]
    paid: Decimal
    set_off: SetOff[str] | None


class DefaultNet(msgspec.Struct, frozen=True, kw_only=True):
    """Debtors of one currency that do not pay: the rungs, and the night without them.

    `before` are the rounded positions. `cover` is what the file says stands behind them.
    """

    currency: str
    minor_digits: int
    scale: int
    before: Mapping[str, int]
    cover: Cover[str]
    ladder: Ladder[str]
    unwound: Unwound[str]


@exactly
def report(debts: Sequence[DebtLine], *, circles: bool = False) -> tuple[CurrencyNet, ...]:
    """Net debts, each currency by itself, sorted by currency; with `circles`, also set them off."""
    return tuple(_net(currency, lines, circles=circles) for currency, lines in _by_currency(debts).items())


@exactly
def default_report(
    debts: Sequence[DebtLine], debtors: Collection[str], deposits: Sequence[DepositLine]
) -> tuple[DefaultNet, ...]:
    """Let debtors not pay, in each currency in which one of them takes part, sorted by currency."""
    found = []
    for currency, lines in _by_currency(debts).items():
        parties = {party for line in lines for party in (line.debtor, line.creditor)}
        here = sorted(parties & set(debtors))
        if here:
            found.append(
                _default(currency, lines, here, [one for one in deposits if one.currency == currency])
            )
    return tuple(found)


def _by_currency(debts: Sequence[DebtLine]) -> dict[str, list[DebtLine]]:
    by_currency: dict[str, list[DebtLine]] = {}
    for debt in debts:
        by_currency.setdefault(debt.currency, []).append(debt)
    return dict(sorted(by_currency.items()))


def _net(currency: str, lines: Sequence[DebtLine], *, circles: bool) -> CurrencyNet:
    digits = minor_digits(currency)
    debts = [(line.debtor, line.creditor, line.amount) for line in lines]
    claims = [(line.debtor, line.creditor, line.amount) for line in lines if line.kind == "claim"]
    nets = bilateral_nets(claims)
    exact = multilateral_positions(debts)
    of_claims = dict.fromkeys(exact, ZERO) | multilateral_positions(claims)
    finals = {party: one.final_minor for party, one in round_positions(exact, digits).items()}
    pay_in, pay_out = (
        tuple((party, from_minor(minor, digits)) for party, minor in side.items())
        for side in payments(finals)
    )
    return CurrencyNet(
        currency=currency,
        minor_digits=digits,
        scale=_scale(digits, lines),
        lines=len(lines),
        pairs=len(directed(claims)),
        gross=gross(claims),
        bilateral=to_be_paid(nets.values()),
        multilateral=to_be_paid(of_claims.values()),
        fees=sum((line.amount for line in lines if line.kind != "claim"), ZERO),
        nets=tuple((debtor, creditor, amount) for (debtor, creditor), amount in nets.items()),
        positions=tuple(
            NetPosition(
                participant=party,
                claims=of_claims[party],
                exact=amount,
                final=from_minor(finals[party], digits),
            )
            for party, amount in exact.items()
        ),
        pay_in=pay_in,
        pay_out=pay_out,
        paid=to_be_paid(amount for _, amount in pay_in),
        set_off=set_off(claims) if circles else None,
    )


def _default(
    currency: str, lines: Sequence[DebtLine], debtors: Sequence[str], deposits: Sequence[DepositLine]
) -> DefaultNet:
    digits = minor_digits(currency)
    debts: list[Claim[str]] = [
        (line.debtor, line.creditor, line.amount, CLAIMS if line.kind == "claim" else FEES) for line in lines
    ]
    exact = multilateral_positions((line.debtor, line.creditor, line.amount) for line in lines)
    finals = {party: one.final_minor for party, one in round_positions(exact, digits).items()}
    in_minor = {
        kind: {one.participant: int(one.amount.scaleb(digits)) for one in deposits if one.kind == kind}
        for kind in ("deposit", "guarantee", "carry")
    }
    cover = Cover(
        deposits=in_minor["deposit"],
        guarantee=in_minor["guarantee"],
        carry_minor=sum(in_minor["carry"].values()),
    )
    return DefaultNet(
        currency=currency,
        minor_digits=digits,
        scale=_scale(digits, lines),
        before=finals,
        cover=cover,
        ladder=climb(finals, debts, debtors, cover, digits),
        unwound=unwind(debts, debtors, cover, digits),
    )


def _scale(digits: int, lines: Sequence[DebtLine]) -> int:
    return max(digits, *(_decimals(line.amount) for line in lines))


def _decimals(amount: Decimal) -> int:
    exponent = amount.as_tuple().exponent
    return max(0, -exponent) if isinstance(exponent, int) else 0
