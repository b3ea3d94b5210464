"""Redemption in two phases and returns in parts, on a real PostgreSQL, and what the night makes of them."""

from concurrent.futures import ThreadPoolExecutor
from datetime import date, datetime, timedelta
from decimal import Decimal

import msgspec
from sqlalchemy import Engine, text

from network.batch import execute
from network.model import Entry
from network.outcomes import Rejected, Reply
from network.service import set_clock
from network.verify import CHECKS, faults
from settlement import verify as nights
from settlement.service import clear
from tests.coalition import (
    BANK,
    GROCER,
    HOTEL,
    PENDING,
    START,
    burn,
    entry_of,
    new_card,
    release,
    reserve,
    run,
    sale,
    set_up,
    take,
    undo,
)


def reason(reply: Reply) -> str:
    """Why a command was refused."""
    assert isinstance(reply.outcome, Rejected)
    return reply.outcome.reason


def assert_whole(database: Engine) -> None:
    """Every check of both rooms passes."""
    with database.connect() as connection:
        found = [problem for check in CHECKS for problem in faults(connection, check)]
        assert found + nights.problems(connection) == []


def move_clock(database: Engine, at: datetime) -> None:
    """Put the network clock forward."""
    with database.begin() as connection:
        set_clock(connection, at)


def held(database: Engine) -> tuple[int, ...]:
    """Points, captured and returned of the only hold."""
    with database.connect() as connection:
        return tuple(connection.execute(text("SELECT points, captured, returned FROM hold")).one())


def test_hold_capture_void(database: Engine) -> None:
    """Held points are not spendable; captures and the void change the hold, and balances follow."""
    live = set_up(database)
    card = new_card(database, live)
    run(database, live, sale(card, 100_00, "s"))
    hold = run(database, live, reserve(card, 60, "h"))
    assert (hold.points, hold.balance_after) == (-60, 40)
    assert reason(execute(database, [burn(card, 41, "b")], live)[0]) == "insufficient_points"
    first = run(database, live, take(hold, 25, "c1"))
    assert (first.points, first.balance_after, first.hold_id) == (0, 40, hold.entry_id)
    assert reason(execute(database, [take(hold, 36, "c2")], live)[0]) == "more_than_held"
    back = run(database, live, release(hold, "v"))
    assert (back.points, back.balance_after) == (35, 75)
    assert reason(execute(database, [release(hold, "v2")], live)[0]) == "hold_closed"
    assert held(database) == (60, 25, 35)
    assert_whole(database)


def test_a_hold_lapses_on_time_without_any_sweep(database: Engine) -> None:
    """The first command that touches the member after the hold's time finds the points back."""
    live = set_up(database)
    card = new_card(database, live)
    run(database, live, sale(card, 100_00, "s"))
    hold = run(database, live, reserve(card, 60, "h", minutes=30))
    move_clock(database, START + timedelta(minutes=29))
    assert reason(execute(database, [burn(card, 41, "b1")], live)[0]) == "insufficient_points"
    move_clock(database, START + timedelta(minutes=30))
    late, spent = execute(database, [take(hold, 1, "c"), burn(card, 100, "b2")], live)
    assert reason(late) == "hold_lapsed"
    assert entry_of(spent).balance_after == 0
    assert held(database) == (60, 0, 60)
    with database.connect() as connection:
        kinds = connection.execute(text("SELECT kind, points FROM entry WHERE hold_id IS NOT NULL")).all()
    assert [tuple(row) for row in kinds] == [(9, 60)]
    assert_whole(database)


def test_six_holds_of_a_thousand_against_five_thousand(database: Engine) -> None:
    """At once: five pass, the sixth is refused; then six captures of them all pass in sum."""
    live = set_up(database)
    card = new_card(database, live)
    run(database, live, sale(card, 5_000_00, "s"))
    with ThreadPoolExecutor(6) as pool:
        replies = list(
            pool.map(lambda n: execute(database, [reserve(card, 1_000, f"h{n}")], live)[0], range(6))
        )
    passed = [reply.outcome for reply in replies if isinstance(reply.outcome, Entry)]
    assert len(passed) == 5
    for number, hold in enumerate(passed):
        run(database, live, take(hold, 1_000, f"c{number}"))
    assert_whole(database)


def test_twenty_captures_of_one_hold_at_once(database: Engine) -> None:
    """Each of the whole hold: one wins."""
    live = set_up(database)
    card = new_card(database, live)
    run(database, live, sale(card, 100_00, "s"))
    hold = run(database, live, reserve(card, 100, "h"))
    with ThreadPoolExecutor(20) as pool:
        replies = list(pool.map(lambda n: execute(database, [take(hold, 100, f"c{n}")], live)[0], range(20)))
    assert sum(isinstance(reply.outcome, Entry) for reply in replies) == 1
    assert_whole(database)


def test_only_its_partner_captures_or_voids_a_hold(database: Engine) -> None:
    """Another partner's hold is not there."""
    live = set_up(database)
    card = new_card(database, live)
    run(database, live, sale(card, 100_00, "s"))
    hold = run(database, live, reserve(card, 10, "h"))
    foreign = msgspec.structs.replace(take(hold, 10, "c"), partner_id=GROCER)
    [reply] = execute(database, [foreign], live)
    assert reason(reply) == "hold_unknown"


def test_returns_in_parts_never_exceed_the_sale(database: Engine) -> None:
    """Thirty partial returns of one sale at once: exactly what was sold comes back, and no more."""
    live = set_up(database)
    card = new_card(database, live)
    sold = run(database, live, sale(card, 10_00, "s"))
    with ThreadPoolExecutor(10) as pool:
        replies = list(
            pool.map(
                lambda n: execute(database, [undo(sold, f"u{n}", amount_minor=1_00)], live)[0], range(30)
            )
        )
    assert sum(isinstance(reply.outcome, Entry) for reply in replies) == 10
    with database.connect() as connection:
        assert connection.execute(text("SELECT balance FROM account")).scalar_one() == 0
    assert_whole(database)


def test_two_returns_of_one_sale_in_one_batch(database: Engine) -> None:
    """They add up in one row of what was reversed."""
    live = set_up(database)
    card = new_card(database, live)
    sold = run(database, live, sale(card, 10_00, "s"))
    parts = [undo(sold, f"u{n}", amount_minor=4_00) for n in range(3)]
    replies = execute(database, parts, live)
    assert [isinstance(reply.outcome, Entry) for reply in replies] == [True, True, False]
    assert reason(replies[2]) == "more_than_is_left"
    with database.connect() as connection:
        noted = connection.execute(text("SELECT points, amount_minor FROM reversed_points")).one()
    assert tuple(noted) == (8, 8_00)
    assert_whole(database)


def test_the_night_prices_captures_and_not_holds(database: Engine) -> None:
    """A hold of 60 owes nothing that night; 25 captured the next day are owed at the hold's terms."""
    live = set_up(database)
    card = new_card(database, live)
    run(database, live, sale(card, 100_00, "s"))
    hold = run(database, live, reserve(card, 60, "h", minutes=3 * 24 * 60))
    tuesday = START.replace(day=2, hour=0)
    move_clock(database, tuesday)
    night = clear(database, date(2017, 5, 1), at=tuesday)
    # the grocer funds on issue: 100 points at .0100 go to the pool, and nobody has accepted any
    assert [(o.flow, o.amount) for o in night.obligations] == [("issue", Decimal("1.0000"))]
    assert_whole(database)
    run(database, live, take(hold, 25, "c", at=tuesday))
    wednesday = START.replace(day=3, hour=0)
    move_clock(database, wednesday)
    night = clear(database, date(2017, 5, 2), at=wednesday)
    owed = {(o.flow, o.creditor_id): o.amount for o in night.obligations}
    assert owed == {("redemption", HOTEL): Decimal("0.2000"), ("margin", 1): Decimal("0.0500")}
    assert_whole(database)


def test_pending_points_become_spendable_without_anyone_touching_them(database: Engine) -> None:
    """Of the bank's 100 points none can be spent for 14 days; sales meanwhile answer what can be."""
    live = set_up(database, source=PENDING)
    card = new_card(database, live)
    assert run(database, live, sale(card, 100_00, "s1", partner_id=BANK)).balance_after == 0
    assert run(database, live, sale(card, 7_00, "s2")).balance_after == 7
    assert reason(execute(database, [burn(card, 8, "b1")], live)[0]) == "insufficient_points"
    move_clock(database, START + timedelta(days=14))
    at = START + timedelta(days=14)
    assert run(database, live, sale(card, 1_00, "s3", at=at)).balance_after == 108
    assert run(database, live, burn(card, 108, "b2", at=at)).balance_after == 0
    assert_whole(database)


def test_a_returned_sale_cancels_its_pending_points(database: Engine) -> None:
    """They go, and what could be spent stays what it was."""
    live = set_up(database, source=PENDING)
    card = new_card(database, live)
    pending = run(database, live, sale(card, 100_00, "s1", partner_id=BANK))
    run(database, live, sale(card, 7_00, "s2"))
    back = run(database, live, undo(pending, "u"))
    assert (back.points, back.balance_after) == (-100, 7)
    assert_whole(database)
