"""What a payment is called at banks, and the reference its payer writes (pure)."""

import re
from typing import Literal

import stdnum.iso11649
from stdnum.iso7064 import mod_97_10

from settlement.errors import ReferenceInvalid

Direction = Literal["in", "out"]
"""Which way a payment goes, seen from the hub."""

_LETTERS: dict[Direction, str] = {"in": "I", "out": "O"}
_REFERENCE = re.compile(r"RF[0-9]{2}[A-Z0-9]{1,21}")
_REFERENCE_IN_TEXT = re.compile(r"(?<![A-Z0-9])RF[0-9]{2}(?: ?[A-Z0-9]){1,21}(?![A-Z0-9])")
_CURRENCY = re.compile(r"[A-Z]{3}")
_MOST = {"window": 10**8, "revision": 10**2, "participant": 10**5, "attempt": 10**2}
_REFUNDS = 10**10


def end_to_end_id(
    *,
    window_id: int,
    revision: int,
    participant_id: int,
    currency: str,
    direction: Direction,
    attempt: int = 1,
) -> str:
    """The name of one payment through all banks, at most 35 characters; the same payment, the same name.

    Args:
        window_id: The window whose position it settles.
        revision: The run's revision.
        participant_id: Who pays or is paid.
        currency: ISO 4217.
        direction: Asked of the participant, or sent to it.
        attempt: 1, and one more each time that the payment is sent again.
    Raises:
        ReferenceInvalid: a figure has more digits than its place.
    """
    window, run, who, often = _figures(window_id, revision, participant_id, attempt)
    return f"W{window}-R{run}-P{who}-{_currency(currency)}-{_LETTERS[direction]}-{often}"


def creditor_reference(
    *,
    window_id: int,
    revision: int,
    participant_id: int,
    currency: str,
    direction: Direction,
    attempt: int = 1,
) -> str:
    """The same payment's structured creditor reference: RF, two check digits, 21 characters (ISO 11649).

    Payers put it into their transfer; a typing error in it is noticed by its check digits.

    Raises:
        ReferenceInvalid: a figure has more digits than its place.
    """
    window, run, who, often = _figures(window_id, revision, participant_id, attempt)
    body = f"{window}{run}{who}{_currency(currency)}{_LETTERS[direction]}{often}"
    return _with_check_digits(body)


def refund_id(number: int) -> str:
    """The end-to-end id of money that is sent back, by its number."""
    return f"REFUND-{_refund(number)}"


def refund_reference(number: int) -> str:
    """Its structured reference."""
    return _with_check_digits(f"REFUND{_refund(number)}")


def read_reference(text: str) -> str | None:
    """A structured creditor reference without blanks, or None where it is none or its check digits differ."""
    number = text.replace(" ", "").upper()
    if not (number.isascii() and _REFERENCE.fullmatch(number)):
        return None
    return number if stdnum.iso11649.is_valid(number) else None


def references_in(text: str) -> tuple[str, ...]:
    """The structured references within free text, each once, in order of appearance.

    Payers whose forms have no field of its own for a reference type it into the text.
    """
    found: dict[str, None] = {}
    for match in _REFERENCE_IN_TEXT.finditer(text.upper()):
        words = match.group().split(" ")
        # What follows the reference may look like more of it: the longest run of words that is one counts.
        for end in range(len(words), 0, -1):
            reference = read_reference("".join(words[:end]))
            if reference:
                found[reference] = None
                break
    return tuple(found)


def _with_check_digits(body: str) -> str:
    return f"RF{mod_97_10.calc_check_digits(f'{body}RF')}{body}"


def _refund(number: int) -> str:
    if not 0 < number < _REFUNDS:
        raise ReferenceInvalid(f"refund {number} has no place in a reference: below {_REFUNDS}")
    return f"{number:010}"


def _figures(window_id: int, revision: int, participant_id: int, attempt: int) -> tuple[str, str, str, str]:
    given = {"window": window_id, "revision": revision, "participant": participant_id, "attempt": attempt}
    for name, figure in given.items():
        if not 0 <= figure < _MOST[name]:
            raise ReferenceInvalid(f"{name} {figure} has no place in a reference: below {_MOST[name]}")
    return f"{window_id:08}", f"{revision:02}", f"{participant_id:05}", f"{attempt:02}"


def _currency(code: str) -> str:
    if not _CURRENCY.fullmatch(code):
        raise ReferenceInvalid(f"{code!r} is no currency: three letters of ISO 4217")
    return code
