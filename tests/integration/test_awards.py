"""Segments and occasions on a real ledger: found over all members at once, given once, by consent only."""

from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta

import pytest
from sqlalchemy import Engine, text

from network import facts, sets
from network.award_store import occasion_of
from network.batch import execute
from network.commands import Refer
from network.explaining import explain
from network.morning import begin_day
from network.rules import Rules
from network.segments import find_segments
from network.store import load_entries
from network.triggers import give_due
from tests.between import merge
from tests.coalition import GROCER, START, new_card, run, sale, set_up, undo
from tests.integration.test_programme_sales import HEAD, lawful, rows

SOURCE = (
    HEAD
    + """
[[segment]]
id = "regulars"
says = "x"
when = { sales = { at_least = 2, days = 30 } }
[[segment]]
id = "spenders"
says = "x"
when = { money_minor = { at_least = 5000, days = 30 }, partners = ["grocer"] }
[[segment]]
id = "gone"
says = "x"
when = { seen = { at_least = 20 } }
[[segment]]
id = "families"
says = "x"
when = { facts = { household = ["family", "couple"], lives = ["house"] } }
[[segment]]
id = "of-age"
says = "x"
when = { age = { at_least = 18, at_most = 18 } }
[[trigger]]
id = "birthday"
says = "x"
occasion = "birthday"
points = 150
fund = "grocer"
[[trigger]]
id = "friend"
says = "x"
occasion = "referral"
points = 50
referrer_points = 100
fund = "grocer"
"""
)
TODAY = START.date() + timedelta(days=1)
IN = "SELECT segment, member_id FROM member_segment ORDER BY 1, 2"
GIVEN = "SELECT member_id, award, occasion FROM award ORDER BY 1, 2, 3"


def tell(database: Engine, member_id: int, **said: str) -> None:
    """A member says something of itself."""
    with database.begin() as connection:
        facts.tell(connection, member_id, said, consent="terms 1", by=GROCER, at=START)


def found(database: Engine, live: Rules, on: date = TODAY) -> list[tuple[object, ...]]:
    """Who is in which segment, as of a day."""
    find_segments(database, live.programme.segments, on, live.programme.leap)
    return rows(database, IN)


def test_segments_are_what_members_did_and_consented_to(database: Engine) -> None:
    """Returns do not count, the day itself does not, a merged member's sales are the other's."""
    live = set_up(database, source=SOURCE)
    cards = [new_card(database, live, f"m{number}") for number in range(5)]
    run(database, live, sale(cards[0], 30_00, "a"))
    run(database, live, sale(cards[0], 20_00, "b"))
    run(database, live, sale(cards[1], 60_00, "c"))
    back = run(database, live, sale(cards[1], 60_00, "d"))
    run(database, live, undo(back, "e"))
    run(database, live, sale(cards[2], 1_00, "f"))
    run(database, live, sale(cards[3], 1_00, "g"))
    run(database, live, merge(cards[2], cards[3], "h"))
    tell(database, 1, household="family", lives="house", birthday="1999-05-02")
    tell(database, 2, household="couple", lives="flat", birthday="1999-05-03")
    tell(database, 5, household="single", lives="house", birthday="1998-05-02")
    assert found(database, live) == [
        ("families", 1),
        ("of-age", 1),
        ("regulars", 1),
        ("regulars", 3),
        ("spenders", 1),
        ("spenders", 2),
    ]
    assert found(database, live) == rows(database, IN)
    assert found(database, live, START.date()) == [("families", 1), ("of-age", 5)]
    later = START.date() + timedelta(days=20)
    assert [one for one in found(database, live, later) if one[0] == "gone"] == [
        ("gone", 1),
        ("gone", 2),
        ("gone", 3),
    ]
    lawful(database)


def test_who_withdraws_is_out_at_once_and_stays_out(database: Engine) -> None:
    """A fact that is taken back is gone from the table, and its member from every segment that needs it."""
    live = set_up(database, source=SOURCE)
    new_card(database, live)
    tell(database, 1, household="family", lives="house", birthday="1999-05-02")
    assert found(database, live) == [("families", 1), ("of-age", 1)]
    with database.begin() as connection:
        assert facts.withdraw(connection, 1, ["household", "never"], at=START) == ["household"]
    assert rows(database, IN) == [("of-age", 1)]
    assert rows(database, "SELECT value, consent FROM member_fact WHERE name = 'household'") == [
        (None, "terms 1")
    ]
    assert found(database, live) == [("of-age", 1)]
    with database.connect() as connection:
        assert [one.name for one in facts.facts_of(connection, 1)] == ["birthday", "lives"]
    with pytest.raises(facts.FactUnfit):
        tell(database, 1, birthday="2001-02-29")
    lawful(database)


def test_segments_that_the_file_has_no_more_are_emptied(database: Engine) -> None:
    """And those that somebody else fills are left alone."""
    live = set_up(database, source=SOURCE)
    run(database, live, sale(new_card(database, live), 60_00, "a"))
    with database.begin() as connection:
        connection.execute(text("INSERT INTO member_segment VALUES (1, 'by-hand')"))
    assert found(database, live) == [("by-hand", 1), ("spenders", 1)]
    find_segments(database, (), TODAY, "28-february")
    assert rows(database, IN) == [("by-hand", 1)]


def test_a_night_that_breaks_off_goes_on_and_two_give_nothing_twice(
    database: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Forty birthdays, one transaction done and the next broken; then two nights at once: forty awards."""
    live = set_up(database, source=SOURCE)
    for number in range(1, 41):
        new_card(database, live, f"m{number}")
        tell(database, number, birthday="1980-05-02")
    monkeypatch.setattr(sets, "AT_ONCE", 10)
    done = 0

    def breaks(*given: object) -> list[object]:
        nonlocal done
        done += 1
        if done == 2:
            raise ConnectionError("the night ends here")
        return execute(*given)  # type: ignore[arg-type,return-value]

    with monkeypatch.context() as broken:
        broken.setattr(sets, "execute", breaks)
        with pytest.raises(ConnectionError):
            give_due(database, live, TODAY)
    assert rows(database, "SELECT count(*) FROM award") == [(10,)]
    with ThreadPoolExecutor(2) as pool:
        given = list(pool.map(lambda _: give_due(database, live, TODAY), range(2)))
    assert sum(given) == 30
    assert rows(database, "SELECT count(*), sum(balance) FROM account") == [(40, 40 * 150)]
    assert give_due(database, live, TODAY + timedelta(days=6)) == 0
    lawful(database)


def test_missed_nights_are_caught_up_for_a_week(database: Engine) -> None:
    """A birthday six days ago is given now; one seven days ago is over; next year's is another."""
    live = set_up(database, source=SOURCE)
    for number, born in enumerate(("1980-04-26", "1980-04-25"), start=1):
        new_card(database, live, f"m{number}")
        tell(database, number, birthday=born)
    begin_day(database, TODAY)
    assert rows(database, GIVEN) == [(1, "birthday", "2017")]
    with database.connect() as connection:
        [entry_id] = connection.execute(text("SELECT entry_id FROM award")).scalars()
        recorded = load_entries(connection, [entry_id])[entry_id]
        said = explain(recorded, live, occasion_of(connection, entry_id)).says
    assert said[:2] == ["x.", "Once for the occasion 2017."]


def test_a_referrer_that_was_merged_is_paid_by_its_new_account_once(database: Engine) -> None:
    """And who was merged with whom it referred gets nothing: that was one person."""
    live = set_up(database, source=SOURCE)
    cards = [new_card(database, live, f"m{number}") for number in range(5)]

    def refer(card: int, by: int, reference: str) -> None:
        run(
            database,
            live,
            Refer(
                partner_id=GROCER,
                reference=reference,
                occurred_at=START,
                card_number=card,
                referrer_card_number=by,
            ),
        )

    refer(cards[2], cards[0], "r1")
    refer(cards[4], cards[3], "r2")
    with database.begin() as connection:
        connection.execute(text("UPDATE network SET clock = clock + interval '1 minute'"))
    run(database, live, sale(cards[2], 30_00, "a"))
    run(database, live, sale(cards[4], 30_00, "b"))
    run(database, live, merge(cards[1], cards[0], "join1"))
    run(database, live, merge(cards[3], cards[4], "join2"))
    assert give_due(database, live, TODAY) == 2
    assert rows(database, GIVEN) == [(2, "friend", "3"), (3, "friend", "3")]
    assert give_due(database, live, TODAY + timedelta(days=1)) == 0
    lawful(database)
