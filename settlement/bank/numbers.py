"""Account numbers and bank codes, checked by their check digits (pure)."""

import re

import stdnum.bic
import stdnum.iban
from stdnum.exceptions import ValidationError

from settlement.bank.errors import AccountInvalid

_IBAN = re.compile(r"[A-Z]{2}[0-9]{2}[A-Z0-9]{11,30}")


def read_iban(text: str) -> str:
    """An IBAN as banks write it in files: no blanks, upper case.

    Raises:
        AccountInvalid: its check digits, its length or its parts are not those of an IBAN of its country.
    Source: ISO 13616, with the registry that python-stdnum carries.
    """
    shown = text if len(text) <= 64 else f"{text[:64]}..."
    try:
        number = str(stdnum.iban.validate(text)) if len(text) <= 64 else ""
    except (ValidationError, ValueError) as error:
        raise AccountInvalid(f"{shown!r} is no IBAN: {_why(error)}; copy it from the bank's paper") from error
    if not _IBAN.fullmatch(number):
        raise AccountInvalid(f"{shown!r} is no IBAN: two letters, two digits, then letters and digits")
    return number


def show_iban(iban: str) -> str:
    """An IBAN as people read it, in fours."""
    return " ".join(iban[at : at + 4] for at in range(0, len(iban), 4))


def read_bic(text: str) -> str:
    """A bank's identifier code, upper case, 8 or 11 characters.

    Raises:
        AccountInvalid: it is none.
    """
    try:
        return str(stdnum.bic.validate(text[:64]))
    except (ValidationError, ValueError) as error:
        raise AccountInvalid(f"{text[:64]!r} is no BIC: 8 or 11 characters, as DEUTDEFF") from error


def _why(error: Exception) -> str:
    return str(error).rstrip(".").lower() or type(error).__name__
