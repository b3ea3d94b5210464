"""Exact money: a decimal context in which nothing is ever lost, and each named rounding (pure).

Amounts are Decimals in major units of their currency until they are rounded, on purpose and by name, to
integer minor units.
"""

from collections.abc import Callable
from decimal import (
    ROUND_FLOOR,
    ROUND_HALF_EVEN,
    ROUND_HALF_UP,
    Context,
    Decimal,
    DivisionByZero,
    FloatOperation,
    Inexact,
    InvalidOperation,
    Overflow,
    localcontext,
)
from functools import wraps
from typing import ParamSpec, TypeVar

from partners import currencies

EXACT = Context(prec=100, traps=[Inexact, InvalidOperation, Overflow, DivisionByZero, FloatOperation])
"""Arithmetic that raises where it would round; 100 digits hold any sum of points, prices and shares."""

ZERO = Decimal(0)
ONE_BPS = Decimal("0.0001")
minor_digits = currencies.minor_digits
"""Decimal digits of a currency's minor unit; rules of the network know them, too."""

_P = ParamSpec("_P")
_R = TypeVar("_R")


def minor_unit_sql(column: str) -> str:
    """One minor unit in major ones as SQL, of the currency that a column holds."""
    cases = " ".join(
        f"WHEN '{currency}' THEN 1e-{digits}" for currency, digits in sorted(currencies.MINOR_DIGITS.items())
    )
    return f"(CASE {column} {cases} ELSE 0.01 END)"


def minor_units_sql(column: str) -> str:
    """How many minor units one major one has as SQL, of the currency that a column holds."""
    cases = " ".join(
        f"WHEN '{currency}' THEN {10**digits}" for currency, digits in sorted(currencies.MINOR_DIGITS.items())
    )
    return f"(CASE {column} {cases} ELSE 100 END)"


def exactly(function: Callable[_P, _R]) -> Callable[_P, _R]:
    """Run a function in the exact context.

    Raises:
        decimal.Inexact: from the function, where a result would have been rounded.
    """

    @wraps(function)
    def wrapped(*args: _P.args, **kwargs: _P.kwargs) -> _R:
        with localcontext(EXACT):
            return function(*args, **kwargs)

    return wrapped


@exactly
def floor_minor(amount: Decimal, digits: int) -> int:
    """Minor units, towards minus infinity: -0.001 at 2 digits gives -1."""
    return int(amount.scaleb(digits).to_integral_value(rounding=ROUND_FLOOR))


@exactly
def half_up_minor(amount: Decimal, digits: int) -> int:
    """Minor units, the nearest; a half goes away from zero: 0.005 gives 1, -0.005 gives -1."""
    return int(amount.scaleb(digits).to_integral_value(rounding=ROUND_HALF_UP))


@exactly
def half_even(amount: Decimal, decimals: int) -> Decimal:
    """To so many decimals, the nearest; a half goes to the even digit: 0.125 at 2 gives 0.12."""
    return amount.scaleb(decimals).to_integral_value(rounding=ROUND_HALF_EVEN).scaleb(-decimals)


@exactly
def from_minor(minor: int, digits: int) -> Decimal:
    """Major units from minor ones: 78035 at 2 digits gives 780.35."""
    return Decimal(minor).scaleb(-digits)


@exactly
def fixed_scale(amount: Decimal, scale: int) -> str:
    """An amount with exactly `scale` decimals and no exponent; there is one text for one value.

    Raises:
        decimal.Inexact: the amount has more decimals than that.
    """
    text = f"{amount.quantize(Decimal(1).scaleb(-scale)):f}"
    return text.removeprefix("-") if amount == 0 else text
