"""Public ids: layout, order, and what they carry."""

from datetime import UTC, datetime
from uuid import UUID

import pytest

from network import ids

AT = datetime(2017, 5, 1, 9, 30, 0, 123000, tzinfo=UTC)


def test_the_layout_is_version_7_with_the_member_at_the_end() -> None:
    """Milliseconds, version, variant and member number stand where RFC 9562 and we say."""
    minted = ids.mint(AT, 4711, randbits=lambda bits: (1 << bits) - 1)
    assert minted == UUID("015bc358-5e3b-7fff-bfff-ff0000001267")
    assert (minted.version, ids.member_of(minted), ids.recorded_at(minted)) == (7, 4711, AT)


def test_ids_of_an_instant_lie_between_the_floors_of_it_and_of_the_next() -> None:
    """Partition bounds hold every id of their month, whatever the random bits are."""
    low = ids.mint(AT, 0, randbits=lambda bits: 0)
    high = ids.mint(AT, 2**40 - 1, randbits=lambda bits: (1 << bits) - 1)
    following = AT.replace(microsecond=124000)
    assert ids.floor_of(AT) < low < high < ids.floor_of(following)


def test_a_member_number_that_does_not_fit_is_refused() -> None:
    """Forty bits, and not one more."""
    with pytest.raises(ValueError, match="does not fit 40 bits"):
        ids.mint(AT, 2**40)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "ent_",
        "ent_015bc3585e3b7fffbfffff000000126",
        "mbr_015bc3585e3b7fffbfffff0000001267",
        "ent_" + "G" * 32,
        "ent_015BC3585E3B7FFFBFFFFF0000001267",
        "ent-015bc3585e3b7fffbfffff0000001267",
    ],
)
def test_what_is_no_public_id_is_not_read(text: str) -> None:
    """Another prefix, another length, capitals, other signs: no id."""
    assert ids.read("ent", text) is None


def test_show_and_read_are_inverse() -> None:
    """What is shown is read as the same id."""
    minted = ids.mint(AT, 4711)
    assert ids.read("ent", ids.show("ent", minted)) == minted
