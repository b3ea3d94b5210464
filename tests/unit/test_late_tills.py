"""How late a till may report is what its contract says, and never more than thirty days."""

from datetime import UTC, date, datetime, timedelta
from typing import cast
from zoneinfo import ZoneInfo

import msgspec
import pytest

from network.outcomes import Rejected
from network.programme.compiled import Programme
from network.rules import Rules
from partners.model import Directory, Participant
from tests.factories import A, contract

NOW = datetime(2017, 5, 31, 12, tzinfo=UTC)


def rules_with(late_days: int) -> Rules:
    """A network of one partner with one outlet."""
    terms = msgspec.structs.replace(contract(A, effective_on=date(2016, 1, 1)), late_days=late_days)
    directory = Directory(
        participants={A: Participant(partner_id=A, code="a", name="A")},
        outlets=frozenset({(A, "1")}),
        terms={A: [terms]},
    )
    return Rules(
        directory=directory,
        programme=cast("Programme", None),  # no rule of it is asked
        programmes={},
        time_zone=ZoneInfo("Etc/UTC"),
    )


@pytest.mark.parametrize(
    ("late_days", "days_ago", "refused"),
    [
        (30, 30, False),
        (30, 31, True),
        (3, 3, False),
        (3, 4, True),
        (0, 0, False),
        (0, 1, True),
        (99, 31, True),
    ],
)
def test_a_contract_says_how_late_a_till_may_be(late_days: int, days_ago: int, *, refused: bool) -> None:
    """Just as late as it says is taken, a second later is not."""
    at = NOW - timedelta(days=days_ago)
    answer = rules_with(late_days).terms_at_sale(A, "1", "EUR", at, NOW)
    assert (answer == Rejected("occurred_too_long_ago")) is refused
    if not refused:
        second_later = rules_with(late_days).terms_at_sale(A, "1", "EUR", at - timedelta(seconds=1), NOW)
        assert second_later == Rejected("occurred_too_long_ago")
