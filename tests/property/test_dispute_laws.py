"""Laws of disputes: whatever anybody tries, in whatever order, money goes back once at most, and in time."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from settlement.dispute import SILENCE, WAITS_FOR, Move, Moved, Standing, deadline, judge
from settlement.money_model import DisputeState

START = datetime(2017, 5, 2, tzinfo=UTC)
AMOUNT = Decimal("93.75")
STATES: tuple[DisputeState, ...] = ("raised", "accepted", "rejected", "escalated", "decided")

tries = st.lists(
    st.tuples(
        st.sampled_from(STATES),
        st.sampled_from(("raiser", "other", "operator", "clock")),
        st.integers(min_value=0, max_value=20),  # days that pass before it
        st.none() | st.decimals(min_value=-10, max_value=200, places=4),
        st.decimals(min_value=0, max_value=100, places=4),  # what is left of the line then
    ),
    max_size=12,
)


@given(tries=tries, days=st.integers(min_value=0, max_value=40))
def test_no_sequence_of_moves_pays_twice_or_after_the_deadline(
    tries: list[tuple[DisputeState, str, int, Decimal | None, Decimal]], days: int
) -> None:
    """At most one move awards, no more than is disputed and left; people move before, the clock after."""
    now = START
    standing = Standing(state="raised", answer_until=deadline(now, days, "Etc/UTC"), amount=AMOUNT)
    awards: list[Decimal] = []
    for to, mover, passed, awarded, left in tries:
        now += timedelta(days=passed)
        move = Move(to=to, mover=mover, at=now, awarded=awarded)  # type: ignore[arg-type]  # drawn from its literals
        found = judge(standing, move, left)
        if not isinstance(found, Moved):
            continue
        until = standing.answer_until
        assert WAITS_FOR[standing.state] is not None
        if mover == "clock":
            assert until is not None
            assert now >= until
            assert found.state == SILENCE[standing.state]
        else:
            assert mover == WAITS_FOR[standing.state]
            assert until is None or now < until
        if found.awarded is not None:
            awards.append(found.awarded)
            assert 0 <= found.awarded <= min(AMOUNT, left)
        has_deadline = found.state in SILENCE
        standing = Standing(
            state=found.state,
            answer_until=deadline(now, days, "Etc/UTC") if has_deadline else None,
            amount=AMOUNT,
        )
    assert len(awards) == (1 if standing.state in ("accepted", "decided") else 0)


@given(days=st.integers(min_value=1, max_value=40), tries=tries)
def test_silence_ends_every_dispute_that_waits_for_a_partner(
    days: int, tries: list[tuple[DisputeState, str, int, Decimal | None, Decimal]]
) -> None:
    """From wherever moves have led, the clock alone ends it, unless it waits for the operator."""
    now = START
    standing = Standing(state="raised", answer_until=deadline(now, days, "Etc/UTC"), amount=AMOUNT)
    for to, mover, passed, awarded, left in tries:
        now += timedelta(days=passed)
        found = judge(standing, Move(to=to, mover=mover, at=now, awarded=awarded), left)  # type: ignore[arg-type]  # as above
        if isinstance(found, Moved):
            until = deadline(now, days, "Etc/UTC") if found.state in SILENCE else None
            standing = Standing(state=found.state, answer_until=until, amount=AMOUNT)
    if standing.state in SILENCE:
        late = Move(to=SILENCE[standing.state], mover="clock", at=now + timedelta(days=41))
        assert isinstance(judge(standing, late, AMOUNT), Moved)
