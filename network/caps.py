"""What a partner may come to owe, and its cap: values, and how they are valued on a day (pure).

    exposure = max(0, owed + held) + points * the highest live rate

`owed`: payables less receivables of all windows that are not settled, the open one too, with accrued fees
and VAT. `held`: what open holds will cost when they are captured. `points`: those that are outstanding,
pending ones too and held ones not (they are in `held`, at their price), each for the part that is not funded
at issue.

These sums are raw: they do not depend on rates, fixings or caps, so that a night, a new contract or a fixing
changes how they are valued and never what they are.
"""

from collections.abc import Mapping, Sequence
from datetime import date
from decimal import (
    Context,
    Decimal,
    DivisionByZero,
    FloatOperation,
    Inexact,
    InvalidOperation,
    Overflow,
    localcontext,
)
from enum import IntEnum
from typing import Literal

import msgspec

from partners.model import Directory, FxRate, Terms
from partners.rates import VatRates, latest_fixing
from partners.terms import terms_on

EXACT = Context(prec=100, traps=[Inexact, InvalidOperation, Overflow, DivisionByZero, FloatOperation])
"""Arithmetic that raises where it would round: sums of many batches must be what one sum would be."""
ZERO = Decimal(0)


class Level(IntEnum):
    """How near a partner is to what it may owe at most."""

    WITHIN = 0
    WARNING = 1
    ALARM = 2
    OVER = 3


class Holding(msgspec.Struct, frozen=True):
    """A partner's sums in one currency: major units, `points` in points. `deposit`: cash it left as cover."""

    owed: Decimal = ZERO
    held: Decimal = ZERO
    points: Decimal = ZERO
    deposit: Decimal = ZERO

    def plus(self, other: "Holding") -> "Holding":
        """Both together; exact in the context EXACT."""
        return Holding(
            self.owed + other.owed,
            self.held + other.held,
            self.points + other.points,
            self.deposit + other.deposit,
        )


Holdings = Mapping[str, Holding]
"""A partner's sums by currency."""
NOTHING = Holding()


class Worth(msgspec.Struct, frozen=True, kw_only=True):
    """How a partner's sums are valued on a day: its contract in force, and the rates of all others.

    `rate`: the most that another gets for a point. `fixings`: what one unit of another currency is worth in
    `currency`; one that is not there has no fixing yet, and its amounts count for nothing.
    """

    partner_id: int
    currency: str
    cap: Decimal | None
    at_cap: Literal["refuse", "flag"]
    warning_bps: int
    alarm_bps: int
    rate: Decimal
    fixings: Mapping[str, Decimal]


class Exposure(msgspec.Struct, frozen=True, kw_only=True):
    """What a partner may come to owe, in major units of its contract's currency, and how much it may.

    `owed`, `held` and `points_cost` are its parts. `cap`: None where the contract in force has none.
    `unvalued`: currencies that have no fixing.
    """

    partner_id: int
    currency: str
    owed: Decimal
    held: Decimal
    points: Decimal
    points_cost: Decimal
    deposit: Decimal
    cap: Decimal | None
    at_cap: Literal["refuse", "flag"]
    warning_bps: int
    alarm_bps: int
    unvalued: tuple[str, ...] = ()

    @property
    def amount(self) -> Decimal:
        """What it may come to owe."""
        with localcontext(EXACT):
            return max(ZERO, self.owed + self.held) + self.points_cost

    @property
    def limit(self) -> Decimal | None:
        """What it may come to owe at most: cap and deposit; None where there is no cap."""
        with localcontext(EXACT):
            return None if self.cap is None else self.cap + self.deposit

    @property
    def level(self) -> Level:
        """How near it is to the most it may owe. At exactly that, it is not over it."""
        amount, limit = self.amount, self.limit
        if limit is None or amount == 0:
            return Level.WITHIN
        with localcontext(EXACT):
            if amount > limit:
                return Level.OVER
            if amount * 10_000 >= limit * self.alarm_bps:
                return Level.ALARM
            return Level.WARNING if amount * 10_000 >= limit * self.warning_bps else Level.WITHIN


class Caps(msgspec.Struct, frozen=True, kw_only=True):
    """What the rules know of caps, as one snapshot.

    `basis`: counts what changes how exposure is made, such as who has a cap; a batch under an older one would
    leave something out, and is begun again. `partners`: whose exposure tills move. `fixings`: by source.
    """

    basis: int = 0
    partners: frozenset[int] = frozenset()
    vat: VatRates = {}
    fixings: Mapping[str, Sequence[FxRate]] = {}
    worths: dict[tuple[int, date], Worth | None] = msgspec.field(default_factory=dict)
    """What `worth` has found: kept, because every batch of a day asks for the same."""


def worth(caps: Caps, directory: Directory, partner_id: int, on: date) -> Worth | None:
    """How a partner's sums are valued on a local day; None before its first contract."""
    key = (partner_id, on)
    if key not in caps.worths:
        caps.worths[key] = _worth(caps, directory, partner_id, on)
    return caps.worths[key]


def _worth(caps: Caps, directory: Directory, partner_id: int, on: date) -> Worth | None:
    own = terms_on(directory.terms.get(partner_id, ()), on)
    if own is None:
        return None
    source = own.fx_source or min(caps.fixings, default="")
    fixings = {own.currency: Decimal(1)}
    for currency in {one.currency for versions in directory.terms.values() for one in versions}:
        if currency != own.currency:
            found = latest_fixing(caps.fixings.get(source, ()), currency, own.currency, on)
            if found is not None:
                fixings[currency] = found.rate
    return Worth(
        partner_id=partner_id,
        currency=own.currency,
        cap=own.net_debit_cap,
        at_cap=own.at_cap,
        warning_bps=own.cap_warning_bps,
        alarm_bps=own.cap_alarm_bps,
        rate=_highest_rate(directory, partner_id, fixings, on),
        fixings=fixings,
    )


def _highest_rate(directory: Directory, partner_id: int, fixings: Mapping[str, Decimal], on: date) -> Decimal:
    """The most that another partner gets for a point on a day, of whatever category.

    Its own rate is left out: where it accepts its own points it owes nobody.
    """
    rates = [ZERO]
    for other in directory.participants.values():
        leaving = directory.exits.get(other.partner_id)
        gone = other.status == "left" or (leaving is not None and on > leaving.last_burn_on)
        terms = terms_on(directory.terms.get(other.partner_id, ()), on)
        if other.partner_id == partner_id or gone or terms is None or terms.currency not in fixings:
            continue
        with localcontext(EXACT):
            rates.append(_best(terms) * fixings[terms.currency])
    return max(rates)


def _best(terms: Terms) -> Decimal:
    return max(terms.reimbursement_rate, *(rate for _, rate in terms.category_rates), ZERO)


def exposure_of(holdings: Holdings, valued: Worth) -> Exposure:
    """A partner's exposure from its sums, as they are valued on a day."""
    owed = held = deposit = points = ZERO
    with localcontext(EXACT):
        for currency, holding in holdings.items():
            points += holding.points
            fixing = valued.fixings.get(currency, ZERO)
            owed += holding.owed * fixing
            held += holding.held * fixing
            deposit += holding.deposit * fixing
        cost = points * valued.rate
    return Exposure(
        partner_id=valued.partner_id,
        currency=valued.currency,
        owed=owed,
        held=held,
        points=points,
        points_cost=cost,
        deposit=deposit,
        cap=valued.cap,
        at_cap=valued.at_cap,
        warning_bps=valued.warning_bps,
        alarm_bps=valued.alarm_bps,
        unvalued=tuple(
            sorted(
                currency
                for currency, holding in holdings.items()
                if currency not in valued.fixings and (holding.owed or holding.held or holding.deposit)
            )
        ),
    )
