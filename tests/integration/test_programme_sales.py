"""Sales under rules, on a real ledger: who is billed, what is counted, what goes back, which tier follows."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import msgspec
from sqlalchemy import Engine, text

from network.basket import Details, Item
from network.batch import execute
from network.commands import Accrue
from network.outcomes import Rejected
from network.reviews import review_tiers
from network.service import set_clock
from network.verify import CHECKS, faults
from settlement.service import clear_due
from tests.between import come_about, set_tier
from tests.coalition import (
    BANK,
    GROCER,
    HOTEL,
    START,
    burn,
    entry_of,
    new_card,
    run,
    sale,
    set_up,
    undo,
)

HEAD = """
name = "sales"
[earn.default]
[expiry]
months = 3
"""


def rule(text: str, name: str = "extra", award: str = "points = 1, per = 100") -> str:
    """A promotion."""
    return f'[[rule]]\nid = "{name}"\nsays = "x"\naward = {{ {award} }}\n{text}\n'


def with_details(command: Accrue, **details: Any) -> Accrue:
    """A sale that says more."""
    return msgspec.structs.replace(command, details=Details(**details))


def rows(database: Engine, query: str) -> list[tuple[Any, ...]]:
    """What a query finds."""
    with database.connect() as connection:
        return [tuple(row) for row in connection.execute(text(query))]


def lawful(database: Engine) -> None:
    """Every law of the ledger holds."""
    with database.connect() as connection:
        assert [problem for check in CHECKS for problem in faults(connection, check)] == []


COUNTERS = "SELECT name, value FROM member_counter ORDER BY 1"


def test_a_sponsor_is_the_issuer_of_what_it_pays(database: Engine) -> None:
    """Shares of a promotion are postings of their own; the return takes each funder's part back."""
    shares = "fund = { shares = [{ who = 'bank', per_cent = 60 }], remainder = 'issuer' }"
    live = set_up(database, source=HEAD + rule(shares))
    card = new_card(database, live)
    sold = run(database, live, sale(card, 5_50, "s"))
    paid = "SELECT debit, credit, points, issuer_id FROM posting ORDER BY debit DESC, line"
    assert rows(database, paid) == [(2, 1, 7, GROCER), (2, 1, 3, BANK)]
    run(database, live, undo(sold, "r", amount_minor=2_00))
    assert rows(database, paid)[2:] == [(1, 2, 2, GROCER), (1, 2, 2, BANK)]
    lawful(database)


def test_caps_and_counters_go_back_with_a_return(database: Engine) -> None:
    """Ten a month: a return makes room again, in the same batch too."""
    cap = '[[rule.cap]]\npoints = 10\nperiod = "month"\n'
    live = set_up(database, source=HEAD + rule(cap))
    card = new_card(database, live)
    first = run(database, live, sale(card, 8_00, "a"))
    second, third = execute(database, [sale(card, 8_00, "b"), sale(card, 8_00, "c")], live)
    assert (first.points, entry_of(second).points, entry_of(third).points) == (16, 10, 8)
    run(database, live, undo(first, "r"))
    assert rows(database, COUNTERS) == [("cap:extra:month", 2)]
    assert run(database, live, sale(card, 20_00, "d")).points == 28
    lawful(database)


def test_a_budget_holds_between_lanes_that_race(database: Engine) -> None:
    """Forty sales of ten on two connections: the hundred points of the budget are given, not one more."""
    live = set_up(database, source=HEAD + rule("budget = { points = 100 }", award="points = 10"))
    cards = [new_card(database, live, f"m{number}") for number in range(40)]

    def sell(half: int) -> int:
        mine = cards[half::2]
        batches = [mine[start : start + 4] for start in range(0, len(mine), 4)]
        got = 0
        for batch in batches:
            replies = execute(database, [sale(one, 1, f"s{one}") for one in batch], live)
            got += sum(entry_of(reply).points for reply in replies)
        return got

    with ThreadPoolExecutor(2) as pool:
        assert sum(pool.map(sell, (0, 1))) == 100
    assert rows(database, "SELECT rule_id, points FROM rule_budget") == [("extra", 100)]
    lawful(database)


def test_returned_budget_points_may_be_given_again(database: Engine) -> None:
    """What a return takes back, the budget has again."""
    live = set_up(database, source=HEAD + rule("budget = { points = 15 }"))
    card = new_card(database, live)
    first = run(database, live, sale(card, 10_00, "a"))
    assert run(database, live, sale(card, 10_00, "b")).points == 15
    run(database, live, undo(first, "r"))
    assert run(database, live, sale(card, 12_00, "c")).points == 22
    lawful(database)


def test_the_record_outlives_a_new_version(database: Engine) -> None:
    """A sale is returned by what its rules saw, whatever the live ones say."""
    live = set_up(database, source=HEAD + rule("when = { tenders = ['cash'] }", award='times = "3"'))
    card = new_card(database, live)
    sold = run(database, live, with_details(sale(card, 9_99, "s"), tender="cash"))
    assert sold.points == 27
    part = run(database, live, undo(sold, "r", amount_minor=5_00))
    assert part.points == -15
    lawful(database)


def test_what_waits_for_an_event_keeps_its_funders(database: Engine) -> None:
    """A sponsor's bonus waits with the stay's points; part of it is cancelled, the rest released."""
    base = HEAD + "[earn.partner.hotel]\npending_until_event = true\n"
    bonus = rule("pending_until_event = true\nfund = { who = 'bank' }\nwhen = { partners = ['hotel'] }")
    live = set_up(database, source=base + bonus)
    card = new_card(database, live)
    stay = run(database, live, sale(card, 10_00, "s", partner_id=HOTEL))
    run(database, live, undo(stay, "r", amount_minor=4_00))
    released = run(database, live, come_about(stay, "e"))
    assert released.points == 12
    lots = "SELECT issuer_id, remaining FROM lot WHERE remaining > 0 ORDER BY 1"
    assert rows(database, lots) == [(HOTEL, 6), (BANK, 6)]
    run(database, live, undo(stay, "r2"))
    assert rows(database, lots) == []
    lawful(database)


def test_two_funders_of_one_return_may_both_be_owed(database: Engine) -> None:
    """Points were spent: each funder is owed its own."""
    source = HEAD + "[returns]\nclawback = 'deficit'\n" + rule("fund = { who = 'bank' }")
    live = set_up(database, source=source)
    card = new_card(database, live)
    sold = run(database, live, sale(card, 10_00, "s"))
    run(database, live, burn(card, 20, "b"))
    run(database, live, undo(sold, "r"))
    owed = "SELECT issuer_id, points FROM deficit ORDER BY 1"
    assert rows(database, owed) == [(GROCER, 10), (BANK, 10)]
    lawful(database)


TIERS = """
[[rule]]
id = "status"
says = "A status point for each whole 1.00"
kind = "base"
earns = "status"
award = { points = 1, per = 100 }
[[tier]]
name = "silver"
says = "100 in 12 months"
qualify = [{ measure = "status", at_least = 100 }]
keep = [{ measure = "status", at_least = 50 }]
bonus_per_cent = 25
[[tier]]
name = "gold"
says = "500 in 12 months, or three visits"
qualify = [{ measure = "status", at_least = 500 }, { measure = "visits", at_least = 3 }]
soft_landing = true
lasts_months = 2
"""
TIER = "SELECT tier, tier_until::text FROM account WHERE unit = 1"


def test_status_makes_tiers_and_costs_nobody(database: Engine) -> None:
    """The sale that reaches a tier raises it; the next earns its bonus; the night prices points only."""
    live = set_up(database, source=HEAD + TIERS)
    card = new_card(database, live)
    assert run(database, live, sale(card, 100_00, "a")).points == 100
    assert rows(database, TIER) == [("silver", "2018-05-31")]
    assert run(database, live, sale(card, 10_00, "b")).points == 12
    assert rows(database, "SELECT unit, balance FROM account ORDER BY 1") == [(1, 112), (2, 110)]
    back = run(database, live, undo(run(database, live, sale(card, 4_00, "c")), "r"))
    assert back.points == -5
    assert rows(database, TIER) == [("gold", "2017-07-31")]
    with database.begin() as connection:
        set_clock(connection, START + timedelta(days=1))
    clear_due(database, START + timedelta(days=1), programme_version=1)
    issued = "SELECT sum(points) FROM window_total WHERE debit = 2"
    assert rows(database, issued) == [(117,)]
    lawful(database)


def test_a_tier_that_is_over_is_reviewed_once(database: Engine) -> None:
    """Gold lands softly on silver; silver is then lost. A review is not repeated, and changes no points."""
    live = set_up(database, source=HEAD + TIERS)
    card = new_card(database, live)
    run(database, live, set_tier(card, "gold", "t"))
    run(database, live, sale(card, 60_00, "a"))
    assert review_tiers(database, START.date()) == 0
    year = START + timedelta(days=95)
    with database.begin() as connection:
        set_clock(connection, year)
    assert review_tiers(database, year.date()) == 1
    assert rows(database, TIER) == [("silver", "2018-08-31")]
    assert review_tiers(database, year.date()) == 0
    lawful(database)


def test_old_requests_keep_their_hash_and_details_make_another(database: Engine) -> None:
    """The same reference with a tender is other content."""
    live = set_up(database, source=HEAD)
    card = new_card(database, live)
    plain = sale(card, 1_00, "s")
    run(database, live, plain)
    [again] = execute(database, [with_details(plain, tender="cash")], live)
    assert again.outcome == Rejected("reference_reused")
    assert rows(database, "SELECT count(*) FROM judgement") == [(0,)]
    run(database, live, with_details(sale(card, 1_00, "t"), items=(Item(1_00, "food"),)))
    assert rows(database, "SELECT count(*) FROM judgement") == [(1,)]
