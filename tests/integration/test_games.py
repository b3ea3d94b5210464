"""Matches on a real ledger: several issuers, merged members, nights that break off, and four eyes."""

from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import IntegrityError, ProgrammingError

from config.database import make_engine
from config.roles import reader_role
from network import draws, matches, sets
from network.batch import execute
from network.commands import Stake
from network.outcomes import Rejected
from network.programme.raffle import faults_of
from network.rules import Rules
from network.service import set_clock
from partners.errors import SecondPersonNeeded
from settlement.service import clear_due
from settlement.verify import problems
from tests.between import merge
from tests.coalition import GROCER, HOTEL, PETROL, START, new_card, run, sale, set_up
from tests.conftest import SCHEMA
from tests.integration.test_programme_sales import HEAD, lawful, rows
from tests.journal_readers import journal_of, read_beancount

SOURCE = (
    HEAD
    + """
[[game]]
id = "pool"
says = "x"
pays = "pool"
partners = ["hotel"]
stake = 50
most_stakes = 10
closes_minutes = 120
[[game]]
id = "odds"
says = "x"
pays = "odds"
partners = ["hotel"]
stake = 50
most_stakes = 10
fund = "hotel"
"""
)
KICK_OFF = START + timedelta(hours=6)


def opened(database: Engine, live: Rules, game: str = "pool", **odds: int) -> matches.Match:
    """A match of today."""
    with database.begin() as connection:
        return matches.open_match(
            connection,
            live,
            game=game,
            title="Reds against Blues",
            outcomes=odds or {"home": None, "away": None},
            begins_at=KICK_OFF,
            by="anna",
        )


def stake_on(card: int, match: matches.Match, outcome: str, stakes: int, reference: str) -> Stake:
    """A stake at the hotel."""
    return Stake(
        partner_id=HOTEL,
        reference=reference,
        occurred_at=START,
        card_number=card,
        match_id=match.match_id,
        outcome=outcome,
        stakes=stakes,
    )


def end(database: Engine, match: matches.Match, result: str | None, at: datetime = KICK_OFF) -> None:
    """Anna proposes how it ended, and ben approves it."""
    with database.begin() as connection:
        set_clock(connection, at)
        made = matches.propose_end(connection, match.match_id, result=result, why="referee", by="anna")
    with database.begin() as connection:
        matches.decide_end(connection, made.proposal_id, sha256=made.sha256, by="ben", approve=True)


HELD = "SELECT member_id, issuer_id, sum(remaining) FROM lot WHERE remaining > 0 GROUP BY 1, 2 ORDER BY 1, 2"


def test_stakes_of_several_issuers_go_to_who_was_right_and_the_night_balances(database: Engine) -> None:
    """Points of three issuers in one pot; a winner that was merged is paid by its new account."""
    live = set_up(database, source=SOURCE)
    cards = [new_card(database, live, f"m{number}") for number in range(4)]
    for card, partner in zip(cards, (GROCER, PETROL, HOTEL, GROCER), strict=True):
        run(database, live, sale(card, 200_00, f"s{card}", partner_id=partner))
    match = opened(database, live)
    run(database, live, stake_on(cards[0], match, "home", 2, "a"))
    run(database, live, stake_on(cards[1], match, "away", 1, "b"))
    run(database, live, stake_on(cards[2], match, "away", 3, "c"))
    lawful(database)
    pot = read_beancount(journal_of(database, "beancount"))
    assert pot.errors == []
    assert {name: points for name, points in pot.accounts().items() if "Staked" in name} == {
        "Liabilities:Staked:Grocer": -100,
        "Liabilities:Staked:Petrol": -50,
        "Liabilities:Staked:Hotel": -150,
    }
    run(database, live, merge(cards[3], cards[0], "join"))
    end(database, match, "home")
    assert matches.settle(database, live) == 1
    assert rows(database, HELD) == [
        (2, PETROL, 150),
        (3, HOTEL, 50),
        (4, GROCER, 400),
        (4, PETROL, 50),
        (4, HOTEL, 150),
    ]
    assert matches.settle(database, live) == 0
    lawful(database)
    after = read_beancount(journal_of(database, "beancount"))
    assert after.errors == []
    assert not any(points for name, points in after.accounts().items() if "Staked" in name)
    with database.begin() as connection:
        set_clock(connection, START + timedelta(days=1))
    clear_due(database, START + timedelta(days=1))
    with database.connect() as connection:
        assert problems(connection) == []


def test_fixed_odds_bill_the_funder_and_pay_it(database: Engine) -> None:
    """The hotel issues what is won beyond the stake, and is paid by the grocer for the lost stake."""
    live = set_up(database, source=SOURCE)
    cards = [new_card(database, live, f"m{number}") for number in range(2)]
    for card in cards:
        run(database, live, sale(card, 100_00, f"s{card}"))
    match = opened(database, live, "odds", home=300, away=150)
    run(database, live, stake_on(cards[0], match, "home", 1, "a"))
    run(database, live, stake_on(cards[1], match, "away", 2, "b"))
    end(database, match, "home")
    assert matches.settle(database, live) == 2
    assert rows(database, HELD) == [(1, GROCER, 100), (1, HOTEL, 100)]
    moved = (
        "SELECT debit, credit, points, issuer_id, acceptor_id FROM posting WHERE debit = 21 OR issuer_id = 13"
    )
    assert sorted(rows(database, moved), key=str) == [
        (2, 1, 100, HOTEL, None),
        (21, 1, 50, GROCER, None),
        (21, 3, 100, GROCER, HOTEL),
    ]
    lawful(database)


def test_a_payout_that_breaks_off_goes_on_and_two_pay_nothing_twice(
    database: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Twenty stakes called off, one transaction done and the next broken; then two at once: each is back."""
    live = set_up(database, source=SOURCE)
    cards = [new_card(database, live, f"m{number}") for number in range(20)]
    match = opened(database, live)
    for card in cards:
        run(database, live, sale(card, 50_00, f"s{card}"))
        run(database, live, stake_on(card, match, "home", 1, f"t{card}"))
    end(database, match, None, at=START)
    monkeypatch.setattr(sets, "AT_ONCE", 5)
    done = 0

    def breaks(*given: object) -> list[object]:
        nonlocal done
        done += 1
        if done == 2:
            raise ConnectionError("it ends here")
        return execute(*given)  # type: ignore[arg-type,return-value]

    with monkeypatch.context() as broken:
        broken.setattr(sets, "execute", breaks)
        with pytest.raises(ConnectionError):
            matches.settle(database, live)
    assert rows(database, "SELECT count(*) FROM payout") == [(5,)]
    with ThreadPoolExecutor(2) as pool:
        assert sum(pool.map(lambda _: matches.settle(database, live), range(2))) == 15
    assert rows(database, "SELECT count(*), min(balance), max(balance) FROM account") == [(20, 50, 50)]
    lawful(database)


def test_a_match_is_ended_once_by_two_people_and_not_before_it_began(database: Engine) -> None:
    """Nor on what cannot come about; stakes are refused from then on, by the very transaction's view."""
    live = set_up(database, source=SOURCE)
    card = new_card(database, live)
    run(database, live, sale(card, 100_00, "s"))
    match = opened(database, live)
    with database.begin() as connection, pytest.raises(matches.MatchUnfit, match="nobody knows"):
        matches.propose_end(connection, match.match_id, result="home", why="x", by="anna")
    with database.begin() as connection, pytest.raises(matches.MatchUnfit, match="none of its outcomes"):
        matches.propose_end(connection, match.match_id, result="draw", why="x", by="anna")
    with database.begin() as connection:
        made = matches.propose_end(connection, match.match_id, result=None, why="rain", by="anna")
    with database.begin() as connection, pytest.raises(SecondPersonNeeded):
        matches.decide_end(connection, made.proposal_id, sha256=made.sha256, by="anna", approve=True)
    with database.begin() as connection:
        matches.decide_end(connection, made.proposal_id, sha256=made.sha256, by="ben", approve=True)
    [reply] = execute(database, [stake_on(card, match, "home", 1, "late")], live)
    assert reply.outcome == Rejected("match_closed")
    with database.begin() as connection, pytest.raises(matches.MatchUnfit, match="cancelled already"):
        matches.propose_end(connection, match.match_id, result=None, why="x", by="anna")
    with database.begin() as connection, pytest.raises(matches.MatchUnfit, match="the programme has no game"):
        matches.open_match(
            connection, live, game="none", title="x", outcomes={"a": None}, begins_at=KICK_OFF, by="anna"
        )
    assert rows(database, "SELECT count(*) FROM operator_audit WHERE action LIKE 'game.%'") == [(2,)]


def test_staked_points_do_not_lapse_and_come_back_with_their_own_day(database: Engine) -> None:
    """Of a match called off before the points' last day they keep it, and lapse then."""
    live = set_up(database, source=SOURCE)
    card = new_card(database, live)
    run(database, live, sale(card, 50_00, "s"))
    before = rows(database, "SELECT expires_on FROM lot")
    match = opened(database, live)
    run(database, live, stake_on(card, match, "home", 1, "a"))
    with database.begin() as connection:
        assert connection.execute(text("SELECT balance FROM account")).scalar_one() == 0
    end(database, match, None, at=START)
    matches.settle(database, live)
    assert rows(database, "SELECT expires_on, remaining FROM lot") == [(before[0][0], 50)]
    lawful(database)


DRAW = """
[[draw]]
id = "spring"
says = "x"
of = "members"
partners = ["grocer"]
threshold_minor = 5000
first_on = 2017-05-01
last_on = 2017-05-02
winners = 2
prize = "x"
points = 100
fund = "hotel"
"""


def test_a_draw_is_fixed_step_by_step_and_its_seed_is_nothing_for_readers(database: Engine) -> None:
    """Announced once and in time, closed after its days, then revealed; and each winner is paid once."""
    live = set_up(database, source=SOURCE + DRAW)
    seed, today = bytes(range(32)), START.date()
    for number in range(4):
        card = new_card(database, live, f"m{number}")
        run(database, live, sale(card, 60_00 if number else 49_99, f"s{number}"))
    with database.begin() as connection:
        with pytest.raises(draws.DrawUnfit, match="not announced"):
            draws.close(connection, live, "spring", today=today, by="anna")
        late = today + timedelta(days=1)
        with pytest.raises(draws.DrawUnfit, match="began on"):
            draws.announce(connection, live, "spring", seed=seed, today=late, by="anna")
        draws.announce(connection, live, "spring", seed=seed, today=today, by="anna")
        with pytest.raises(draws.DrawUnfit, match="announced before"):
            draws.announce(connection, live, "spring", seed=bytes(32), today=today, by="anna")
        with pytest.raises(draws.DrawUnfit, match="until 2017-05-02"):
            draws.close(connection, live, "spring", today=today, by="anna")
        with pytest.raises(draws.DrawUnfit, match="not closed"):
            draws.reveal(connection, "spring", by="anna")
        closed = draws.close(connection, live, "spring", today=today + timedelta(days=2), by="anna")
        assert (len(closed.tickets), closed.seed, closed.winners) == (3, "", [])
    reader = make_engine(database.url, schema=SCHEMA, role=reader_role(SCHEMA))
    with reader.connect() as connection, pytest.raises(ProgrammingError, match="permission denied"):
        connection.execute(text("SELECT seed FROM raffle_seed"))
    reader.dispose()
    with database.begin() as connection:
        revealed = draws.reveal(connection, "spring", by="anna")
        assert draws.reveal(connection, "spring", by="anna") == revealed
    assert faults_of(revealed) == []
    assert draws.give_prizes(database, live, "spring") == 2
    assert draws.give_prizes(database, live, "spring") == 0
    assert rows(database, "SELECT count(*), sum(points) FROM posting WHERE issuer_id = 13") == [(2, 200)]
    with database.connect() as connection, pytest.raises(IntegrityError, match="raffle_seed_committed"):
        connection.execute(text("UPDATE raffle SET seed = '\\x00'"))
    lawful(database)
