"""The table of a dispute's moves, cell by cell, and its deadlines."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import product
from typing import get_args

import pytest

from settlement.dispute import (
    MOVES,
    SILENCE,
    WAITS_FOR,
    Move,
    Moved,
    Mover,
    Refused,
    Standing,
    deadline,
    judge,
)
from settlement.money_model import DisputeState

UNTIL = datetime(2017, 6, 1, tzinfo=UTC)
BEFORE = UNTIL - timedelta(microseconds=1)
HUNDRED = Decimal(100)
STATES: tuple[DisputeState, ...] = get_args(DisputeState)
MOVERS: tuple[Mover, ...] = get_args(Mover)


def judged(
    state: DisputeState,
    to: DisputeState,
    mover: Mover,
    *,
    at: datetime | None = None,
    awarded: str | None = None,
    left: str = "100",
) -> Moved | str:
    """A move on a dispute of 100, in time unless said; the reason where it is refused."""
    has_deadline = state in ("raised", "rejected")
    standing = Standing(state=state, answer_until=UNTIL if has_deadline else None, amount=HUNDRED)
    wanted = Move(
        to=to,
        mover=mover,
        at=at or (UNTIL if mover == "clock" else BEFORE),
        awarded=None if awarded is None else Decimal(awarded),
    )
    found = judge(standing, wanted, Decimal(left))
    return found.reason if isinstance(found, Refused) else found


def test_there_are_five_moves_and_six_ways_to_make_them() -> None:
    """Of all states, states and movers exactly these are taken; every other is refused."""
    made = {
        (state, to, mover)
        for state, to, mover in product(STATES, STATES, MOVERS)
        if isinstance(judged(state, to, mover, awarded="40"), Moved)
    }
    assert made == {
        ("raised", "accepted", "other"),
        ("raised", "accepted", "clock"),
        ("raised", "rejected", "other"),
        ("rejected", "escalated", "raiser"),
        ("rejected", "decided", "clock"),
        ("escalated", "decided", "operator"),
    }


@pytest.mark.parametrize(
    ("state", "to", "mover", "awarded"),
    [
        ("raised", "accepted", "other", "100"),
        ("raised", "accepted", "clock", "100"),
        ("raised", "rejected", "other", None),
        ("rejected", "escalated", "raiser", None),
        ("rejected", "decided", "clock", "0"),
        ("escalated", "decided", "operator", "40"),
    ],
)
def test_what_a_move_pays(state: DisputeState, to: DisputeState, mover: Mover, awarded: str | None) -> None:
    """Accepted by word or silence pays all, a rejection that is left nothing, a decision what it says."""
    found = judged(state, to, mover, awarded="40" if mover == "operator" else None)
    assert found == Moved(state=to, awarded=None if awarded is None else Decimal(awarded))


@pytest.mark.parametrize(
    ("state", "to", "mover", "reason"),
    [
        ("accepted", "rejected", "other", "dispute_over"),
        ("decided", "escalated", "raiser", "dispute_over"),
        ("decided", "decided", "operator", "dispute_over"),
        ("raised", "escalated", "raiser", "dispute_not_so"),
        ("raised", "decided", "operator", "dispute_not_so"),
        ("escalated", "accepted", "other", "dispute_not_so"),
        ("raised", "accepted", "raiser", "dispute_not_yours"),
        ("rejected", "escalated", "other", "dispute_not_yours"),
        ("escalated", "decided", "raiser", "dispute_not_yours"),
    ],
)
def test_why_a_move_is_refused(state: DisputeState, to: DisputeState, mover: Mover, reason: str) -> None:
    """Over, no such move from here, or somebody else's."""
    assert judged(state, to, mover, awarded="1") == reason


def test_a_deadline_is_an_instant() -> None:
    """A microsecond before it a partner may still move and the clock not yet; at it the other way round."""
    for state, to, mover in (("raised", "rejected", "other"), ("rejected", "escalated", "raiser")):
        assert isinstance(judged(state, to, mover, at=BEFORE), Moved)  # type: ignore[arg-type]  # of a literal table
        assert judged(state, to, mover, at=UNTIL) == "dispute_too_late"  # type: ignore[arg-type]  # as above
    for state, to in SILENCE.items():
        assert judged(state, to, "clock", at=BEFORE) == "dispute_not_due"
        assert isinstance(judged(state, to, "clock", at=UNTIL), Moved)
    assert judged("escalated", "decided", "clock") == "dispute_not_yours"


@pytest.mark.parametrize(
    ("awarded", "left", "pays"),
    [
        ("0", "100", "0"),
        ("100", "100", "100"),
        ("60", "60", "60"),
        ("60.01", "60", None),
        ("-1", "100", None),
        ("101", "200", None),
        (None, "100", None),
    ],
)
def test_no_more_is_awarded_than_is_disputed_and_left(
    awarded: str | None, left: str, pays: str | None
) -> None:
    """From nothing to what is disputed, and not what has come back by a return meanwhile."""
    found = judged("escalated", "decided", "operator", awarded=awarded, left=left)
    expected = "dispute_award_too_large" if pays is None else Moved(state="decided", awarded=Decimal(pays))
    assert found == expected


@pytest.mark.parametrize(("left", "pays"), [("250", "100"), ("99.5", "99.5"), ("0", "0")])
def test_acceptance_pays_what_is_left(left: str, pays: str) -> None:
    """A return before the answer is not paid a second time."""
    assert judged("raised", "accepted", "clock", left=left) == Moved(state="accepted", awarded=Decimal(pays))


@pytest.mark.parametrize(
    ("start", "days", "zone", "until"),
    [
        ("2017-05-02T00:00:00+00:00", 30, "Etc/UTC", "2017-06-01T00:00:00+00:00"),
        # Vienna's clocks go forward on 26 March 2017: thirty days are an hour shorter.
        ("2017-03-01T23:00:00+00:00", 30, "Europe/Vienna", "2017-03-31T22:00:00+00:00"),
        # 02:30 is skipped on that day: the instant after it, 03:30.
        ("2017-03-25T01:30:00+00:00", 1, "Europe/Vienna", "2017-03-26T01:30:00+00:00"),
        ("2017-10-28T22:30:00+00:00", 1, "Europe/Vienna", "2017-10-29T23:30:00+00:00"),
        ("2017-05-02T00:00:00+00:00", 0, "Etc/UTC", "2017-05-02T00:00:00+00:00"),
    ],
)
def test_deadlines_follow_local_clocks(start: str, days: int, zone: str, until: str) -> None:
    """Days are calendar days in the network's zone, also where one has 23 or 25 hours."""
    assert deadline(datetime.fromisoformat(start), days, zone) == datetime.fromisoformat(until)


def test_every_state_waits_for_somebody_or_is_over() -> None:
    """States with moves wait for one who may make one; those without are over."""
    for state in STATES:
        movers = {mover for (before, _), who in MOVES.items() if before == state for mover in who}
        assert (WAITS_FOR[state] in movers) if movers else WAITS_FOR[state] is None
