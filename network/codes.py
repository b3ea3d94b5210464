"""Codes on paper: of vouchers, and on packs. Signed, so that none is kept; typing errors show (pure).

Symbols are Crockford's 32 (no I, L, O, U). The last one is a check symbol: a weighted sum over the field of
32 elements, with weights that differ, so that any one wrong symbol and any two neighbours swapped are found.
Before it stands the seal, the first bits of an HMAC-SHA256 under the network's key over what the code names:

    voucher   25 symbols of the id of the entry that made it, 14 of seal (70 bits), check: 40
    pack       3 symbols of the campaign's number, 5 of the pack's, 7 of seal (35 bits), check: 16

A voucher's id is hard to guess too: the millisecond, the member, 22 random bits. A pack's code is short
enough to be typed; whoever guesses hits one in 34,000 million, and guesses are limited (api.limits).
"""

import hmac
from collections.abc import Iterator
from hashlib import sha256
from typing import NamedTuple
from uuid import UUID

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
VOUCHER_SYMBOLS = 40
PACK_SYMBOLS = 16
MOST_CAMPAIGN = 2**15 - 1
MOST_PACK = 2**25 - 1

_VALUES = {symbol: value for value, symbol in enumerate(ALPHABET)}
_READ_AS = str.maketrans({"O": "0", "I": "1", "L": "1", " ": None, "-": None})
_ID_SYMBOLS, _VOUCHER_SEAL, _PACK_SEAL = 25, 14, 7
_POLYNOMIAL = 0b100101
"""x^5 + x^2 + 1, under which x goes through all 31 elements but zero."""


class Pack(NamedTuple):
    """A pack: the number of its campaign, and its own, from 0."""

    campaign: int
    number: int

    @property
    def key(self) -> int:
        """Both as one number."""
        return self.campaign << 25 | self.number


def plain(typed: str) -> str | None:
    """What somebody typed, as a code's symbols; None where one, their number or the check is wrong."""
    symbols = typed.upper().translate(_READ_AS)
    if len(symbols) not in (VOUCHER_SYMBOLS, PACK_SYMBOLS) or not all(one in _VALUES for one in symbols):
        return None
    return symbols if _check(symbols[:-1]) == symbols[-1] else None


def grouped(symbols: str) -> str:
    """A code as it is printed: four symbols at a time."""
    return "-".join(symbols[start : start + 4] for start in range(0, len(symbols), 4))


def voucher_code(key: bytes, entry_id: UUID) -> str:
    """The code of the voucher that an entry made, as it is printed."""
    body = _symbols(_squeezed(entry_id), _ID_SYMBOLS) + _seal(key, b"voucher", entry_id.bytes, _VOUCHER_SEAL)
    return grouped(body + _check(body))


def voucher_of(key: bytes, symbols: str) -> UUID | None:
    """The id of the entry that made the voucher of a code; None where the code is not ours."""
    if len(symbols) != VOUCHER_SYMBOLS:
        return None
    entry_id = _stretched(_number(symbols[:_ID_SYMBOLS]))
    if entry_id is None:
        return None
    sealed = _seal(key, b"voucher", entry_id.bytes, _VOUCHER_SEAL)
    return entry_id if hmac.compare_digest(sealed, symbols[_ID_SYMBOLS:-1]) else None


def pack_code(key: bytes, pack: Pack) -> str:
    """The code on a pack, as it is printed."""
    body = _symbols(pack.key, 8) + _seal(key, b"pack", pack.key.to_bytes(5, "big"), _PACK_SEAL)
    return grouped(body + _check(body))


def pack_of(key: bytes, symbols: str) -> Pack | None:
    """The pack of a code; None where the code is not ours."""
    if len(symbols) != PACK_SYMBOLS:
        return None
    number = _number(symbols[:8])
    sealed = _seal(key, b"pack", number.to_bytes(5, "big"), _PACK_SEAL)
    return Pack(number >> 25, number & MOST_PACK) if hmac.compare_digest(sealed, symbols[8:-1]) else None


def pack_codes(key: bytes, campaign: int, first: int, count: int) -> Iterator[str]:
    """The codes of a campaign's packs, one after another."""
    for number in range(first, first + count):
        yield pack_code(key, Pack(campaign, number))


def _seal(key: bytes, what: bytes, named: bytes, symbols: int) -> str:
    digest = hmac.digest(key, what + b"\0" + named, sha256)
    return _symbols(int.from_bytes(digest, "big") >> (256 - 5 * symbols), symbols)


def _symbols(number: int, many: int) -> str:
    return "".join(ALPHABET[number >> 5 * place & 31] for place in reversed(range(many)))


def _number(symbols: str) -> int:
    number = 0
    for one in symbols:
        number = number << 5 | _VALUES[one]
    return number


def _check(symbols: str) -> str:
    total, weight = 0, 1
    for one in symbols:
        weight = _times(weight, 2)
        total ^= _times(_VALUES[one], weight)
    return ALPHABET[total]


def _times(one: int, other: int) -> int:
    """The product of two elements of the field of 32."""
    product = 0
    while other:
        if other & 1:
            product ^= one
        one <<= 1
        if one & 32:
            one ^= _POLYNOMIAL
        other >>= 1
    return product


def _squeezed(entry_id: UUID) -> int:
    """A UUIDv7 without the six bits that are the same in all of them."""
    whole = entry_id.int
    return whole >> 80 << 74 | (whole >> 64 & 0xFFF) << 62 | whole & (1 << 62) - 1


def _stretched(squeezed: int) -> UUID | None:
    """A UUIDv7 with them again; None where the number has more bits than there are left."""
    if squeezed >> 122:
        return None
    head, middle, tail = squeezed >> 74, squeezed >> 62 & 0xFFF, squeezed & (1 << 62) - 1
    return UUID(int=head << 80 | 7 << 76 | middle << 64 | 2 << 62 | tail)
