"""Pledges on a real ledger: kept once a night, resumed after a crash, and told in public as they are."""

from datetime import timedelta
from decimal import Decimal

import pytest
from sqlalchemy import Engine, text

from config.database import make_engine
from network.batch import execute
from network.pledges import keep_pledges, raised
from network.service import set_clock
from network.verify import CHECKS, faults
from settlement.service import clear_due
from settlement.verify import problems
from tests.between import give, pledge
from tests.coalition import PROGRAMME, START, new_card, open_terms, run, sale, set_up, undo
from tests.conftest import SCHEMA

OFFER = """
[[pledge]]
id = "good"
says = "x"
causes = ["bank"]
per_cents = [10, 50]
"""
DAY = timedelta(days=1)


def next_day(database: Engine, days: int) -> None:
    """Clear what is over by the start of a day."""
    with database.begin() as connection:
        set_clock(connection, START + days * DAY)
    clear_due(database, START + days * DAY)


def test_every_member_gives_once_and_what_broke_off_goes_on(
    database: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seven members in portions of two; a night that breaks off after the first goes on with the second."""
    monkeypatch.setattr("network.sets.AT_ONCE", 2)
    live = set_up(database, source=PROGRAMME + OFFER, contracts=open_terms())
    cards = [new_card(database, live, f"m{number}") for number in range(7)]
    for number, card in enumerate(cards):
        run(database, live, pledge(card, f"p{number}", per_cent=50))
        run(database, live, sale(card, 1_00 * (number + 10), f"s{number}"))
    # what is no sale does not count
    run(database, live, give(cards[0], cards[1], 3, "g"))
    calls = iter((True, False))
    with monkeypatch.context() as broken:
        broken.setattr("network.sets.execute", lambda *given: execute(*given) if next(calls) else 1 // 0)
        with pytest.raises(ZeroDivisionError):
            next_day(database, 1)
    given = "SELECT given FROM pledge ORDER BY member_id"
    with database.connect() as connection:
        assert connection.scalars(text(given)).all() == [5, 5, 0, 0, 0, 0, 0]
    next_day(database, 1)
    with database.connect() as connection:
        assert connection.scalars(text(given)).all() == [5, 5, 6, 6, 7, 7, 8]
        assert raised(connection)[0].points == 0
    assert keep_pledges(database, 20170501) == 0
    next_day(database, 2)
    with database.connect() as connection:
        [bank] = raised(connection)
        assert (bank.code, bank.points, bank.amounts) == ("bank", 44, {"USD": Decimal("0.352")})
        assert [one for check in CHECKS for one in faults(connection, check)] == []
        assert problems(connection) == []


def test_what_comes_back_is_counted_with_what_is_earned_next(database: Engine) -> None:
    """A sale returned a day later: what was given stays given, and the next points make up for it first."""
    live = set_up(database, source=PROGRAMME + OFFER, contracts=open_terms())
    card = new_card(database, live)
    run(database, live, pledge(card, "p", per_cent=50))
    sold = run(database, live, sale(card, 20_00, "s"))
    run(database, live, sale(card, 40_00, "more"))
    next_day(database, 1)
    run(database, live, undo(sold, "back", at=START + DAY))
    run(database, live, sale(card, 10_00, "s2", at=START + DAY))
    next_day(database, 2)
    run(database, live, sale(card, 30_00, "s3", at=START + 2 * DAY))
    next_day(database, 3)
    with database.connect() as connection:
        row = connection.execute(text("SELECT earned, given FROM pledge")).one()
        donated = connection.scalars(text("SELECT points FROM entry WHERE kind = 13 ORDER BY entry_id")).all()
        assert (tuple(row), donated) == ((80, 40), [-30, -10])
        assert problems(connection) == []


def test_a_total_that_is_not_what_was_given_is_told(database: Engine) -> None:
    """The public figure is held against the postings."""
    live = set_up(database, source=PROGRAMME + OFFER, contracts=open_terms())
    card = new_card(database, live)
    run(database, live, pledge(card, "p", per_cent=50))
    run(database, live, sale(card, 20_00, "s"))
    next_day(database, 1)
    next_day(database, 2)
    owner = make_engine(database.url, schema=SCHEMA)
    with owner.connect() as connection:
        connection.execute(text("UPDATE cause_total SET points = points + 1"))
        assert [one.check for one in problems(connection)] == ["causes_raised"]
    owner.dispose()
