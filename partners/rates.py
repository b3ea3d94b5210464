"""Dated rates: VAT by code, and exchange rates by the fixings of a named source (pure)."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date
from decimal import Decimal
from fractions import Fraction

import msgspec

from partners.model import FxRate, VatRate

RATE_DECIMALS = 10
"""Of an exchange rate: one that is turned round or crossed is rounded half-even to so many."""

VatRates = Mapping[str, Sequence[VatRate]]
"""Rates by VAT code, each code's by their days."""


class Fixing(msgspec.Struct, frozen=True):
    """What one unit of a currency is worth in another: whose rate, and of which day."""

    rate: Decimal
    source: str
    fixed_on: date


def vat_bps(rates: VatRates, code: str, on: date) -> int | None:
    """The rate of a VAT code on a day, basis points; None before its first, or where it has none."""
    found = None
    for rate in rates.get(code, ()):
        if rate.effective_on <= on:
            found = rate.rate_bps
    return found


def latest_fixing(rates: Iterable[FxRate], base: str, quote: str, on: date) -> Fixing | None:
    """The last fixing between two currencies on or before a day, or None.

    Of a day the highest revision counts; direct before turned round before crossed.

    Args:
        rates: Fixings of one source.
        base: What one unit is of.
        quote: What it is worth.
        on: The business date.
    """
    days: dict[date, dict[tuple[str, str], FxRate]] = {}
    for rate in rates:
        if rate.fixed_on <= on:
            day = days.setdefault(rate.fixed_on, {})
            pair = (rate.base, rate.quote)
            if pair not in day or day[pair].revision < rate.revision:
                day[pair] = rate
    for fixed_on in sorted(days, reverse=True):
        day_rates = list(days[fixed_on].values())
        found = next(rates_between(day_rates, base, quote), None)
        if found is not None:
            return Fixing(found, day_rates[0].source, fixed_on)
    return None


def rates_between(rates: Sequence[FxRate], base: str, quote: str) -> Iterator[Decimal]:
    """All that one day's fixings of one source make of a pair, the preferred first."""
    for leg in _legs(rates, base, quote):
        yield _rounded(leg)
    between = {one.base for one in rates} | {one.quote for one in rates}
    for middle in sorted(between - {base, quote}):
        for first in _legs(rates, base, middle):
            for second in _legs(rates, middle, quote):
                yield _rounded(first * second)


def _legs(rates: Sequence[FxRate], base: str, quote: str) -> Iterator[Fraction]:
    """A pair's rates of one day: direct, then turned round."""
    for rate in rates:
        if (rate.base, rate.quote) == (base, quote):
            yield Fraction(rate.rate)
    for rate in rates:
        if (rate.base, rate.quote) == (quote, base):
            yield 1 / Fraction(rate.rate)


def _rounded(rate: Fraction) -> Decimal:
    return Decimal(round(rate * 10**RATE_DECIMALS)).scaleb(-RATE_DECIMALS)
