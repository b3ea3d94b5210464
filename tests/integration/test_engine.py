"""The group commit on a real PostgreSQL: exactly once, never below zero, neighbours unharmed."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

from sqlalchemy import Engine, text
from sqlalchemy.exc import DataError

from network.batch import execute
from network.engine import carry_out
from network.model import Entry
from network.outcomes import Rejected, Reply
from network.service import close_window, lapse_expired, set_clock
from network.verify import CHECKS, faults
from tests.coalition import (
    BANK,
    GROCER,
    HOTEL,
    PETROL,
    START,
    burn,
    entry_of,
    new_card,
    run,
    sale,
    set_up,
    undo,
)


def assert_whole(database: Engine) -> None:
    """Every check of the ledger passes."""
    with database.connect() as connection:
        assert [problem for check in CHECKS for problem in faults(connection, check)] == []


def reason(reply: Reply) -> str:
    """Why a command was refused."""
    assert isinstance(reply.outcome, Rejected)
    return reply.outcome.reason


def test_a_sale_is_recorded_with_its_points_lot_and_balance(database: Engine) -> None:
    """An accrual leaves an entry, one posting, one lot and the balance; 12.99 at the grocer earns 12."""
    live = set_up(database)
    card = new_card(database, live)
    entry = run(database, live, sale(card, 1299, "r1"))
    assert (entry.points, entry.balance_after, entry.window_id) == (12, 12, 20170501)
    with database.connect() as connection:
        posting = connection.execute(
            text("SELECT debit, credit, points, issuer_id, issuer_terms, expires_on::text FROM posting")
        ).one()
        assert tuple(posting) == (2, 1, 12, GROCER, 1, "2017-08-31")
        assert connection.execute(text("SELECT remaining FROM lot")).scalar_one() == 12
        assert connection.execute(text("SELECT balance FROM account")).scalar_one() == 12
    assert_whole(database)


def test_a_sale_of_no_points_is_an_entry_without_postings(database: Engine) -> None:
    """An accrual of zero points is recorded, and moves nothing."""
    live = set_up(database)
    card = new_card(database, live)
    assert run(database, live, sale(card, 99, "r1")).points == 0
    with database.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM posting")).scalar_one() == 0
        assert connection.execute(text("SELECT count(*) FROM entry WHERE kind = 2")).scalar_one() == 1
    assert_whole(database)


def test_the_same_reference_fifty_times_in_parallel_is_one_entry(database: Engine) -> None:
    """Fifty equal requests at once: one entry, one answer; all but one say that they are replays."""
    live = set_up(database)
    card = new_card(database, live)
    with ThreadPoolExecutor(10) as pool:
        replies = list(pool.map(lambda _: execute(database, [sale(card, 500, "same")], live)[0], range(50)))
    assert len({entry_of(reply).entry_id for reply in replies}) == 1
    assert sum(not reply.replayed for reply in replies) == 1
    with database.connect() as connection:
        assert connection.execute(text("SELECT balance FROM account")).scalar_one() == 5
    assert_whole(database)


def test_the_same_reference_twice_in_one_batch(database: Engine) -> None:
    """In one batch the second is the replay of the first; other content under the reference is refused."""
    live = set_up(database)
    card = new_card(database, live)
    first, second, other = execute(
        database, [sale(card, 500, "r"), sale(card, 500, "r"), sale(card, 501, "r")], live
    )
    assert entry_of(first) == entry_of(second)
    assert (first.replayed, second.replayed) == (False, True)
    assert reason(other) == "reference_reused"
    assert_whole(database)


def test_the_same_reference_of_another_partner_is_another_request(database: Engine) -> None:
    """References belong to their partner."""
    live = set_up(database)
    card = new_card(database, live)
    replies = execute(database, [sale(card, 500, "r"), sale(card, 500, "r", partner_id=BANK)], live)
    assert [entry_of(reply).balance_after for reply in replies] == [5, 10]


def test_refusals_are_remembered(database: Engine) -> None:
    """A refused redemption stays refused under its reference, even when points have come since."""
    live = set_up(database)
    card = new_card(database, live)
    [refused] = execute(database, [burn(card, 5, "b")], live)
    run(database, live, sale(card, 1000, "s"))
    [again] = execute(database, [burn(card, 5, "b")], live)
    assert (reason(refused), refused.replayed) == ("insufficient_points", False)
    assert (reason(again), again.replayed) == ("insufficient_points", True)
    assert entry_of(execute(database, [burn(card, 5, "b2")], live)[0]).balance_after == 5


def test_a_refusal_that_time_cures_is_not_remembered(database: Engine) -> None:
    """A till whose clock ran ahead may send the same reference again."""
    live = set_up(database)
    card = new_card(database, live)
    ahead = sale(card, 500, "r", at=START + timedelta(minutes=11))
    [refused] = execute(database, [ahead], live)
    assert reason(refused) == "occurred_in_future"
    with database.begin() as connection:
        set_clock(connection, START + timedelta(minutes=5))
    assert entry_of(execute(database, [ahead], live)[0]).points == 5


def test_twenty_redemptions_of_one_whole_balance_at_once(database: Engine) -> None:
    """One wins, nineteen are refused, the balance is zero."""
    live = set_up(database)
    card = new_card(database, live)
    run(database, live, sale(card, 10_000, "s"))
    with ThreadPoolExecutor(20) as pool:
        replies = list(
            pool.map(lambda number: execute(database, [burn(card, 100, f"b{number}")], live)[0], range(20))
        )
    won = [reply for reply in replies if isinstance(reply.outcome, Entry)]
    assert len(won) == 1
    assert entry_of(won[0]).balance_after == 0
    assert_whole(database)


def test_a_refusal_does_not_harm_its_neighbours(database: Engine) -> None:
    """In one batch the commands beside a refused one are carried out, each on what came before it."""
    live = set_up(database)
    card = new_card(database, live)
    replies = execute(
        database,
        [
            sale(card, 1000, "s1"),
            burn(card, 11, "b1"),
            burn(card, 4, "b2"),
            burn(card, 7, "b3"),
            sale(card, 100, "s2"),
            burn(card, 7, "b4"),
        ],
        live,
    )
    seen = [r.outcome.balance_after if isinstance(r.outcome, Entry) else r.outcome.reason for r in replies]
    assert seen == [10, "insufficient_points", 6, "insufficient_points", 7, 0]
    assert_whole(database)


def test_a_redemption_draws_lots_of_every_issuer_and_a_reversal_returns_them(database: Engine) -> None:
    """Three issuers pay for one redemption; its reversal gives each lot back what it gave."""
    live = set_up(database)
    card = new_card(database, live)
    for partner_id in (GROCER, PETROL, BANK):
        run(database, live, sale(card, 2000, f"s{partner_id}", partner_id=partner_id))
    spent = run(database, live, burn(card, 45, "b"))
    with database.connect() as connection:
        drawn = connection.execute(
            text("SELECT count(*), sum(points) FROM posting WHERE credit = 3 AND acceptor_id = :hotel"),
            {"hotel": HOTEL},
        ).one()
        assert tuple(drawn) == (3, 45)
    back = run(database, live, undo(spent, "u"))
    assert (back.points, back.balance_after) == (45, 50)
    [again] = execute(database, [undo(spent, "u2")], live)
    assert reason(again) == "entry_already_reversed"
    with database.connect() as connection:
        lots = {row[0]: row[1] for row in connection.execute(text("SELECT issuer_id, remaining FROM lot"))}
    assert lots == {GROCER: 20, PETROL: 10, BANK: 20}
    assert_whole(database)


def test_a_returned_sale_takes_its_points_back_once(database: Engine) -> None:
    """Its own points go; when they are spent the reversal is refused; another partner does not see it."""
    live = set_up(database)
    card = new_card(database, live)
    first = run(database, live, sale(card, 1000, "s1"))
    second = run(database, live, sale(card, 2000, "s2"))
    [foreign] = execute(database, [undo(first, "x", partner_id=HOTEL)], live)
    assert reason(foreign) == "entry_unknown"
    assert run(database, live, undo(first, "u1")).balance_after == 20
    run(database, live, burn(card, 1, "b"))
    [spent] = execute(database, [undo(second, "u2")], live)
    assert reason(spent) == "points_already_spent"
    assert_whole(database)


def test_the_night_closes_exactly_and_dead_lots_lapse(database: Engine) -> None:
    """Points of May lapse in the night after 31 August, in the window of 1 September, and no sooner."""
    last = datetime(2017, 5, 31, 12, tzinfo=UTC)
    live = set_up(database, last)
    card = new_card(database, live, at=last)
    run(database, live, sale(card, 1000, "s", at=last))
    day = datetime(2017, 6, 1, tzinfo=UTC)
    lapsed = []
    while day <= datetime(2017, 9, 1, tzinfo=UTC):
        with database.begin() as connection:
            set_clock(connection, day)
            close_window(connection, (day - timedelta(days=1)).date(), day)
        result = lapse_expired(database, day.date(), 1)
        if result.points:
            lapsed.append((day.date().isoformat(), result.members, result.points))
        day += timedelta(days=1)
    assert lapsed == [("2017-09-01", 1, 10)]
    with database.connect() as connection:
        posting = connection.execute(
            text("SELECT debit, credit, points, window_id FROM posting WHERE credit = 4")
        )
        assert [tuple(row) for row in posting] == [(1, 4, 10, 20170901)]
    assert lapse_expired(database, datetime(2017, 9, 1).date(), 1).points == 0  # noqa: DTZ001 - a date
    assert_whole(database)


def test_dead_points_cannot_be_spent_before_the_sweep(database: Engine, owner_database: Engine) -> None:
    """After midnight and before the sweep, lots that are dead are neither spent nor shown."""
    last = datetime(2017, 5, 31, 12, tzinfo=UTC)
    live = set_up(database, last)
    card = new_card(database, live, at=last)
    run(database, live, sale(card, 1000, "s", at=last))
    with owner_database.begin() as connection:
        connection.execute(text("UPDATE lot SET expires_on = '2017-05-31'"))
        set_clock(connection, datetime(2017, 6, 1, 0, 1, tzinfo=UTC))
    at = datetime(2017, 6, 1, tzinfo=UTC)
    [refused] = execute(database, [burn(card, 10, "b", at=at)], live)
    assert reason(refused) == "insufficient_points"
    assert run(database, live, sale(card, 300, "s2", at=at)).balance_after == 3


def test_a_broken_command_fails_alone(database: Engine) -> None:
    """Where a command breaks the transaction, its neighbours are carried out without it."""
    live = set_up(database)
    card = new_card(database, live)
    # a NUL, which PostgreSQL cannot store
    callers = [[sale(card, 100, "good")], [sale(card, 100, "bad\0")], [sale(card, 200, "after")]]
    good, bad, after = carry_out(database, callers, live)
    assert isinstance(good, list)
    assert isinstance(after, list)
    assert (entry_of(good[0]).points, entry_of(after[0]).balance_after) == (1, 3)
    assert isinstance(bad, DataError)
    assert "NUL" in str(bad)
