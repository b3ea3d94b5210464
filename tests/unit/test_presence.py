"""What shows that a member is there: when nothing is judged, what an approval is good for, thresholds."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import msgspec
import pytest

from network.batch import content_hash
from network.errors import ProgrammeInvalid
from network.member_approvals import Approval, refusal
from network.member_cards import is_easy
from network.presence import pause_after
from network.programme.spec import read_programme
from tests.coalition import GROCER, HOTEL, PROGRAMME, burn

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
CARD = 6330000000000018
ID, KEY = UUID(int=7), UUID(int=8)


@pytest.mark.parametrize(
    ("tries", "minutes"), [(0, 0), (4, 0), (5, 1), (6, 2), (9, 16), (15, 1_024), (16, 1_440), (900, 1_440)]
)
def test_the_pause_doubles_up_to_a_day(tries: int, minutes: int) -> None:
    """Four wrong tries are free; each one more doubles the pause, so guessing comes to one try a day."""
    assert pause_after(tries) == timedelta(minutes=minutes)


@pytest.mark.parametrize(
    ("pin", "easy"),
    [("0000", True), ("1234", True), ("98765", True), ("7890", True), ("1357", False), ("4711", False)],
)
def test_what_is_tried_first_is_no_pin(pin: str, *, easy: bool) -> None:
    """All alike, or in a row."""
    assert is_easy(pin) is easy


def approval(**changed: object) -> Approval:
    """Of 50 points of CARD for the hotel, approved a minute ago."""
    given = {
        "partner_id": HOTEL,
        "reference": "ask",
        "card_number": CARD,
        "outlet_code": "main",
        "points": 50,
        "amount_minor": 50,
        "currency": "USD",
        "member_id": 1,
        "approval_id": ID,
        "asked_at": NOW - timedelta(minutes=2),
        "ends_at": NOW + timedelta(minutes=9),
        "answered_at": NOW - timedelta(minutes=1),
        "approved": True,
        "used_for": None,
        **changed,
    }
    return msgspec.convert(given, Approval)


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({}, None),
        ({"partner_id": GROCER}, "approval_unknown"),
        ({"points": 51}, "approval_not_given"),
        ({"points": 49}, "approval_not_given"),
        ({"card_number": CARD + 8}, "approval_not_given"),
        ({"approved": False}, "approval_not_given"),
        ({"approved": None, "answered_at": None}, "approval_not_given"),
        ({"ends_at": NOW}, "approval_not_given"),
        ({"used_for": UUID(int=9)}, "approval_used"),
        ({"used_for": KEY}, None),
        ({"used_for": KEY, "ends_at": NOW}, None),
    ],
)
def test_an_approval_is_of_one_partner_card_and_number(changed: dict[str, object], told: str | None) -> None:
    """Anything else, or later, is refused; the very request that used it may come again."""
    assert refusal(approval(**changed), burn(CARD, 50, "r"), KEY, NOW) == told


def test_a_pin_is_in_no_hash_of_content() -> None:
    """The same request with another PIN has the same content; without one it has other content."""
    bare = burn(CARD, 50, "r")
    one, other = (msgspec.structs.replace(bare, pin=pin) for pin in ("4711", "4712"))
    assert content_hash(one) == content_hash(other) != content_hash(bare)


def test_thresholds_stand_in_order() -> None:
    """An approval is asked for above the code's threshold, or that would ask for nothing."""
    read_programme(PROGRAMME + "[redeem]\ncode_above = 100\napproval_above = 500\n")
    with pytest.raises(ProgrammeInvalid, match="approval_above must be more than code_above"):
        read_programme(PROGRAMME + "[redeem]\ncode_above = 100\napproval_above = 100\n")
