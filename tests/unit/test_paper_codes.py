"""Codes on paper by literals: what they name, what typing errors do to them, and what forging comes to."""

from uuid import UUID

import pytest

from network.codes import (
    ALPHABET,
    Pack,
    grouped,
    pack_code,
    pack_codes,
    pack_of,
    plain,
    voucher_code,
    voucher_of,
)

KEY, OTHER_KEY = bytes(32), bytes(31) + b"\1"
VOUCHER = UUID("01595c8e-7c1e-7a3f-9c2b-5d0000000001")
VOUCHER_CODE = "00NJ-Q4EF-GFA7-XRAT-X000-0000-1NXB-2TB1-4N6E-Y3NT"
PACK, PACK_CODE = Pack(7, 4711), "0070-04K7-5VNN-6E14"


def symbols(code: str) -> str:
    """A code without hyphens."""
    return code.replace("-", "")


def test_a_code_is_made_of_what_it_names_and_opens_to_it() -> None:
    """Nothing is kept of a code: the same key makes the same one, and only that key opens it."""
    assert voucher_code(KEY, VOUCHER) == VOUCHER_CODE
    assert pack_code(KEY, PACK) == PACK_CODE
    assert voucher_of(KEY, symbols(VOUCHER_CODE)) == VOUCHER
    assert pack_of(KEY, symbols(PACK_CODE)) == PACK
    assert voucher_of(OTHER_KEY, symbols(VOUCHER_CODE)) is None
    assert pack_of(OTHER_KEY, symbols(PACK_CODE)) is None
    assert voucher_of(KEY, symbols(PACK_CODE)) is None
    assert pack_of(KEY, symbols(VOUCHER_CODE)) is None


@pytest.mark.parametrize("code", [VOUCHER_CODE, PACK_CODE])
def test_every_typing_error_shows(code: str) -> None:
    """Each symbol replaced by each other one, and each two neighbours swapped: none passes."""
    right = symbols(code)
    assert plain(right) == right
    for place, symbol in enumerate(right):
        for wrong in ALPHABET.replace(symbol, ""):
            assert plain(right[:place] + wrong + right[place + 1 :]) is None
    for place in range(len(right) - 1):
        swapped = right[:place] + right[place + 1] + right[place] + right[place + 2 :]
        assert plain(swapped) in (None, right)
        assert (plain(swapped) is None) == (swapped != right)
    assert plain(right[:-1]) is None
    assert plain(right + "0") is None


def test_what_people_type_is_read_as_they_mean_it() -> None:
    """Small letters, spaces, no hyphens; O for 0, I and L for 1; U is no symbol."""
    assert plain("oo7o o4k7 5vnn 6eL4") == symbols(PACK_CODE)
    assert plain("OO7O-O4K7-5VNN-6EI4") == symbols(PACK_CODE)
    assert plain("U070-04K7-5VNN-6E14") is None
    assert grouped(symbols(PACK_CODE)) == PACK_CODE


def test_a_forged_code_of_the_right_form_opens_to_nothing() -> None:
    """Whoever knows an entry's id, or a pack's number, and makes a check symbol has no seal."""
    made = set()
    for code in (VOUCHER_CODE, PACK_CODE):
        body = symbols(code)[:-1]
        for place in range(len(body)):
            changed = body[:place] + ALPHABET[(ALPHABET.index(body[place]) + 1) % 32] + body[place + 1 :]
            [forged] = [found for check in ALPHABET if (found := plain(changed + check))]
            made.add(forged)
            assert voucher_of(KEY, forged) is None
            assert pack_of(KEY, forged) is None
    assert len(made) == 39 + 15


def test_packs_have_codes_of_their_own() -> None:
    """Ten thousand neighbours: no two are alike, and each opens to its number."""
    codes = list(pack_codes(KEY, 7, 0, 10_000))
    assert len(set(codes)) == 10_000
    assert [pack_of(KEY, symbols(codes[number])) for number in (0, 9_999)] == [Pack(7, 0), Pack(7, 9_999)]
