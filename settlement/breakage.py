"""Who receives what the pool held for points that lapsed (pure).

The operator has its part first; the rest goes to the operator too, to the issuer, or to those who accepted
the issuer's points in the calendar month before, in proportion to the points.

    400.00, the operator's part 60 %, the rest over 30,000 / 12,345 / 7,655 points
    operator 240.00, and 96.00 / 39.50 / 24.50
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import Literal

import msgspec

from partners.model import OPERATOR_ID
from settlement.errors import SettlementError
from settlement.money import ZERO, exactly, floor_minor, from_minor

RestTo = Literal["operator", "issuer", "acceptors"]
"""Who has what is not the operator's part."""


class ShareImpossible(SettlementError):
    """Terms of breakage that cannot be carried out: a part that is none, points below zero."""


class BreakageShare(msgspec.Struct, frozen=True):
    """What one recipient gets of an amount that lapsed, and how many of the points that stands for.

    Amounts sum to the amount that lapsed, to the last digit; points to the points.
    """

    recipient_id: int
    points: int
    amount: Decimal


@exactly
def share_breakage(
    amount: Decimal,
    points: int,
    *,
    issuer_id: int,
    rest_to: RestTo,
    operator_share: Decimal = ZERO,
    accepted: Mapping[int, int] | None = None,
    digits: int = 2,
) -> tuple[BreakageShare, ...]:
    """Share what the pool held for lapsed points, by the issuer's terms.

    Acceptors get whole minor units, by largest remainder, ties by their ids. What is below a minor unit of
    the rest stays with the operator, and so does the rest itself where nobody accepted any of the issuer's
    points.

    Args:
        amount: What the pool held, in major units; below zero takes the same shares back.
        points: The points that lapsed, of the sign of the amount.
        issuer_id: Who issued them.
        rest_to: Who has what is not the operator's part.
        operator_share: The operator's part, from 0 to 1.
        accepted: Points of this issuer that each participant accepted in the month before, less those that
            came back; who is at zero or below it has no part.
        digits: Decimal digits of the currency's minor unit.
    Returns:
        One share per recipient, by its id; nobody who gets nothing.
    Raises:
        ShareImpossible: operator_share is not between 0 and 1, or amount and points have different signs.
    """
    if not 0 <= operator_share <= 1:
        raise ShareImpossible(f"the operator's part of breakage is {operator_share}: write 0 to 1")
    if amount * points < 0:
        raise ShareImpossible(f"{points} points lapsed for {amount}: one is below zero and the other is not")
    if amount < 0 or points < 0:
        shares = share_breakage(
            -amount,
            -points,
            issuer_id=issuer_id,
            rest_to=rest_to,
            operator_share=operator_share,
            accepted=accepted,
            digits=digits,
        )
        return tuple(BreakageShare(one.recipient_id, -one.points, -one.amount) for one in shares)
    weights = _weights(issuer_id, rest_to, accepted or {})
    rest = amount * (1 - operator_share) if weights else ZERO
    # The issuer alone needs no rounding; several share whole minor units.
    amounts = {next(iter(weights)): rest} if rest_to == "issuer" else _in_minor(rest, weights, digits)
    rest_points = floor_minor(points * (1 - operator_share), 0) if weights else 0
    counts = _by_largest_remainder(rest_points, weights)
    amounts[OPERATOR_ID] = amounts.get(OPERATOR_ID, ZERO) + amount - sum(amounts.values(), ZERO)
    counts[OPERATOR_ID] = counts.get(OPERATOR_ID, 0) + points - sum(counts.values())
    return tuple(
        BreakageShare(recipient, counts.get(recipient, 0), amounts[recipient])
        for recipient in sorted(amounts)
        if amounts[recipient] or counts.get(recipient, 0)
    )


def _weights(issuer_id: int, rest_to: RestTo, accepted: Mapping[int, int]) -> dict[int, int]:
    """Who shares the rest, and by what; nobody where it stays with the operator."""
    if rest_to == "operator":
        return {}
    if rest_to == "issuer":
        return {issuer_id: 1}
    return {acceptor: points for acceptor, points in sorted(accepted.items()) if points > 0}


def _in_minor(amount: Decimal, weights: Mapping[int, int], digits: int) -> dict[int, Decimal]:
    units = _by_largest_remainder(floor_minor(amount, digits), weights)
    return {party: from_minor(count, digits) for party, count in units.items()}


def _by_largest_remainder(units: int, weights: Mapping[int, int]) -> dict[int, int]:
    """Whole units by weight: all floored, those left to the largest remainders, ties by id."""
    total = sum(weights.values())
    if not total:
        return {}
    shares = {party: units * weight // total for party, weight in weights.items()}
    lost = {party: units * weight % total for party, weight in weights.items()}
    favoured = sorted(weights, key=lambda party: (-lost[party], party))[: units - sum(shares.values())]
    for party in favoured:
        shares[party] += 1
    return shares
