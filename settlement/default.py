"""A debtor does not pay: who bears what is missing, rung by rung (pure).

Its deposit pays first, then the guarantee fund (its own part of it before the others', theirs in proportion),
then what the hub is ready to carry into the next night; the rest is a loss of its creditors. Claims count
gross: what others owe the debtor is its own means, as its deposit is. Fees and VAT rank first, all other
claims are equal, and what each creditor gets is the greatest Eisenberg-Noe clearing vector.

Rungs are in minor units, on top of positions that are rounded already and stand; the vector is exact. They
differ by the rounding alone. Several debtors are settled together, because one's loss may be another's need.

Unwinding is another way out, not a rung above: the night is netted again without the debtors, whose debts and
claims go back to the pairs that made them. Their fees stay due.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from decimal import Decimal
from fractions import Fraction
from typing import Generic

import msgspec

from settlement.clearing_vector import Payment, greatest_clearing
from settlement.errors import PositionsNotZero
from settlement.money import exactly, from_minor
from settlement.netting import Party, multilateral_positions, round_positions

FEES, CLAIMS = 0, 1
"""Ranks of a debt: the operator's fees and their VAT, and everything else."""

Claim = tuple[Party, Party, Decimal, int]
"""Debtor, creditor, amount (not below zero), FEES or CLAIMS."""


class Cover(msgspec.Struct, Generic[Party], frozen=True, kw_only=True):
    """What stands behind debtors, minor units not below zero.

    `deposits`: each participant's own. `guarantee`: the fund, by who put it in. `carry_minor`: the most that
    the hub lends until the next night. `paid`: what debtors have paid of their debts; positions say the rest.
    """

    deposits: Mapping[Party, int] = {}
    guarantee: Mapping[Party, int] = {}
    carry_minor: int = 0
    paid: Mapping[Party, int] = {}


class Ladder(msgspec.Struct, Generic[Party], frozen=True, kw_only=True):
    """How what debtors do not pay is covered, in minor units; only amounts above zero are in the mappings.

    `missing_minor` is what they were to pay in. `deposits`, `lent` and `carried` are by debtor (`lent`: by
    the guarantee fund), `guarantee` by contributor, `losses` by creditor. `finals` are all positions after
    that; they sum to deposits + guarantee + carried, which pay the difference. `payments` is the vector.
    """

    debtors: tuple[Party, ...]
    missing_minor: int
    deposits: Mapping[Party, int]
    lent: Mapping[Party, int]
    guarantee: Mapping[Party, int]
    carried: Mapping[Party, int]
    losses: Mapping[Party, int]
    finals: Mapping[Party, int]
    payments: tuple[Payment[Party], ...]


class Unwound(msgspec.Struct, Generic[Party], frozen=True, kw_only=True):
    """The night without the debtors: `positions` exact and before fees, and what is paid with fees.

    `outside` is what goes back to the pairs: the debts from and to the debtors, fees excepted.
    """

    positions: Mapping[Party, Decimal]
    finals: Mapping[Party, int]
    ladder: Ladder[Party]
    outside: tuple[tuple[Party, Party, Decimal], ...]


@exactly
def climb(
    finals: Mapping[Party, int],
    debts: Sequence[Claim[Party]],
    debtors: Collection[Party],
    cover: Cover[Party],
    digits: int,
) -> Ladder[Party]:
    """Cover what debtors do not pay; who is no debtor pays all it owes.

    Args:
        finals: Every participant's rounded position; they sum to zero.
        debts: The gross debts they were made of, none below zero, with FEES or CLAIMS as rank.
        debtors: Who does not pay.
        cover: What stands behind them.
        digits: Decimal digits of the currency's minor unit.
    Raises:
        DebtBelowZero: a debt is below zero.
        PositionsNotZero: positions do not sum to zero.
    """
    named = tuple(sorted(debtors))
    held = {debtor: cover.deposits.get(debtor, 0) for debtor in named}
    open_minor = {debtor: max(0, -finals.get(debtor, 0) - held[debtor]) for debtor in named}
    lent, guarantee = _from_the_fund(open_minor, cover.guarantee)
    open_minor = {debtor: open_minor[debtor] - lent[debtor] for debtor in named}
    carried = share_out(min(cover.carry_minor, sum(open_minor.values())), open_minor)
    means = {debtor: held[debtor] + lent[debtor] + carried[debtor] for debtor in named}
    payments = greatest_clearing(
        debts,
        {debtor: from_minor(amount + cover.paid.get(debtor, 0), digits) for debtor, amount in means.items()},
    )
    failing, losses = _losses(finals, payments, means)
    after = {party: final - losses.get(party, 0) for party, final in finals.items()}
    used = {
        debtor: held[debtor]
        if debtor in failing
        else max(0, -after.get(debtor, 0) - lent[debtor] - carried[debtor])
        for debtor in named
    }
    after |= {debtor: max(0, after.get(debtor, 0)) if debtor not in failing else 0 for debtor in named}
    _require_covered(after.values(), (used, guarantee, carried))
    return Ladder(
        debtors=named,
        missing_minor=sum(max(0, -finals.get(debtor, 0)) for debtor in named),
        deposits=_above_zero(used),
        lent=_above_zero(lent),
        guarantee=_above_zero(guarantee),
        carried=_above_zero(carried),
        losses=_above_zero(losses),
        finals=dict(sorted(after.items())),
        payments=payments,
    )


@exactly
def unwind(
    debts: Sequence[Claim[Party]],
    debtors: Collection[Party],
    cover: Cover[Party],
    digits: int,
    carried_in: Mapping[Party, Decimal] | None = None,
) -> Unwound[Party]:
    """Net the night without the debtors; their fees stay due, and are all that their cover is for.

    Args:
        debts, debtors, cover, digits: As for climb; nothing is carried.
        carried_in: Fractions that the last night left, for the rounding.
    """
    outside = [
        (debtor, creditor, amount)
        for debtor, creditor, amount, rank in debts
        if rank != FEES and (debtor in debtors or creditor in debtors)
    ]
    left = [
        (debtor, creditor, amount, rank)
        for debtor, creditor, amount, rank in debts
        if rank == FEES or not (debtor in debtors or creditor in debtors)
    ]
    everybody = {party: Decimal(0) for debt in debts for party in debt[:2]}
    claims = [(debtor, creditor, amount) for debtor, creditor, amount, rank in left if rank != FEES]
    exact = everybody | multilateral_positions(
        (debtor, creditor, amount) for debtor, creditor, amount, _ in left
    )
    carry = carried_in or {}
    rounded = round_positions(dict.fromkeys(carry, Decimal(0)) | exact, digits, carry)
    finals = {party: one.final_minor for party, one in rounded.items()}
    cover = msgspec.structs.replace(cover, carry_minor=0)
    return Unwound(
        positions={
            party: amount
            for party, amount in sorted((everybody | multilateral_positions(claims)).items())
            if party not in debtors
        },
        finals=finals,
        ladder=climb(finals, left, debtors, cover, digits),
        outside=tuple(sorted(outside)),
    )


def share_out(total: int, weights: Mapping[Party, Fraction | int]) -> dict[Party, int]:
    """Share a whole amount in proportion, by largest remainder, ties by participant; the parts sum to it.

    Nobody's part is above its weight where the total is not above the weights and those are whole.

    Raises:
        PositionsNotZero: there is an amount and nobody to bear it.
    """
    whole = sum(weights.values(), Fraction(0))
    if not whole:
        if total:
            raise PositionsNotZero(f"{total} minor units are to be shared, and nobody has a share")
        return dict.fromkeys(weights, 0)
    exact = {party: total * weight / whole for party, weight in sorted(weights.items())}
    parts = {party: int(amount) for party, amount in exact.items()}
    favoured = sorted(exact, key=lambda party: (parts[party] - exact[party], party))
    for party in favoured[: total - sum(parts.values())]:
        parts[party] += 1
    return parts


def _from_the_fund(
    open_minor: Mapping[Party, int], fund: Mapping[Party, int]
) -> tuple[dict[Party, int], dict[Party, int]]:
    """What the fund gives each debtor, and what each contributor gives: debtors' own parts first."""
    own = {debtor: min(fund.get(debtor, 0), amount) for debtor, amount in open_minor.items()}
    needs = {debtor: amount - own[debtor] for debtor, amount in open_minor.items()}
    rest = {party: amount - own.get(party, 0) for party, amount in fund.items()}
    given = min(sum(rest.values()), sum(needs.values()))
    shared, others = share_out(given, needs), share_out(given, rest)
    return (
        {debtor: own[debtor] + shared[debtor] for debtor in open_minor},
        {party: own.get(party, 0) + others[party] for party in fund},
    )


def _losses(
    finals: Mapping[Party, int], payments: Iterable[Payment[Party]], means: Mapping[Party, int]
) -> tuple[set[Party], dict[Party, int]]:
    """Who cannot pay all, and what others lose by that: in proportion to what the vector leaves unpaid."""
    unpaid = [(one.debtor, one.creditor, one.owed - one.paid, one.owed) for one in payments]
    failing = {debtor for debtor, amount in means.items() if -finals.get(debtor, 0) > amount}
    while True:
        weights: dict[Party, Fraction] = {}
        claims: dict[Party, Fraction] = {}
        for debtor, creditor, lost, claim in unpaid:
            if debtor in means and creditor not in failing:
                weights[creditor] = weights.get(creditor, Fraction(0)) + lost
            if debtor in failing and creditor not in failing:
                claims[creditor] = claims.get(creditor, Fraction(0)) + claim
        missing = sum(-finals.get(debtor, 0) - means[debtor] for debtor in failing)
        # By a fraction of a cent a debtor may fail after rounding and not before: then claims decide, and
        # where there are none, what others are to receive: among those is who won the fraction.
        receive = {party: max(0, final) for party, final in finals.items() if party not in failing}
        bear = next((one for one in (weights, claims) if any(one.values())), receive)
        losses = share_out(missing, bear)
        found = {
            debtor
            for debtor, amount in means.items()
            if losses.get(debtor, 0) - finals.get(debtor, 0) > amount
        }
        if found <= failing:
            return failing, losses
        failing |= found


def _require_covered(finals: Iterable[int], covers: Iterable[Mapping[Party, int]]) -> None:
    paid = sum(sum(cover.values()) for cover in covers)
    if sum(finals) != paid:
        raise PositionsNotZero(f"positions after a default sum to {sum(finals)}, and {paid} cover them")


def _above_zero(amounts: Mapping[Party, int]) -> dict[Party, int]:
    return {party: amount for party, amount in sorted(amounts.items()) if amount}
