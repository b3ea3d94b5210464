"""Status points and counters of merged members: they go along, make tiers together, and come back."""

from typing import Any

from sqlalchemy import Engine, text

from network.verify import CHECKS, faults
from tests.between import merge, unmerge
from tests.coalition import new_card, run, sale, set_up, undo

SOURCE = """
name = "merges"
[earn.default]
[expiry]
months = 3
[[rule]]
id = "status"
says = "A status point for each whole 1.00"
kind = "base"
earns = "status"
award = { points = 1, per = 100 }
[[rule]]
id = "extra"
says = "One more for each whole 1.00, at most ten a month"
award = { points = 1, per = 100 }
cap = [{ points = 10, period = "month" }]
[[tier]]
name = "silver"
says = "100 in 12 months"
qualify = [{ measure = "status", at_least = 100 }]
[[tier]]
name = "gold"
says = "200 in 12 months"
qualify = [{ measure = "status", at_least = 200 }]
"""
HAVE = (
    "SELECT a.member_id - (SELECT min(member_id) FROM account) AS member, a.unit, a.balance, a.tier"
    " FROM account a ORDER BY 1, 2"
)
COUNTED = (
    "SELECT member_id - (SELECT min(member_id) FROM account), value FROM member_counter"
    " WHERE name = :name AND period <> '1970-01-01' AND value <> 0 ORDER BY 1"
)


def rows(database: Engine, query: str, **values: Any) -> list[tuple[Any, ...]]:
    """What a query finds."""
    with database.connect() as connection:
        return [tuple(row) for row in connection.execute(text(query), values)]


def lawful(database: Engine) -> None:
    """Every law of the ledger holds."""
    with database.connect() as connection:
        assert [problem for check in CHECKS for problem in faults(connection, check)] == []


def test_status_and_counters_go_along_and_come_back(database: Engine) -> None:
    """70 and 60 make silver together; what the merged one returns is taken where it is; then apart again."""
    live = set_up(database, source=SOURCE)
    one, other = new_card(database, live, "m1"), new_card(database, live, "m2")
    run(database, live, sale(one, 70_00, "a"))
    sold = run(database, live, sale(other, 60_00, "b"))
    merged = run(database, live, merge(one, other, "m"))
    assert rows(database, HAVE) == [(0, 1, 150, "silver"), (0, 2, 130, ""), (1, 1, 0, ""), (1, 2, 0, "")]
    assert rows(database, COUNTED, name="tier:status") == [(0, 130)]
    assert rows(database, COUNTED, name="cap:extra:month") == [(0, 20)]
    lawful(database)
    # the cap is used up for both; its return makes room in the account that is left
    run(database, live, undo(sold, "r", amount_minor=20_00))
    assert rows(database, HAVE)[:2] == [(0, 1, 130, "silver"), (0, 2, 110, "")]
    assert rows(database, COUNTED, name="tier:status") == [(0, 110)]
    assert run(database, live, sale(other, 5_00, "c")).points == 5
    lawful(database)
    run(database, live, unmerge(merged, "u"))
    have = rows(database, HAVE)
    assert [(member, balance) for member, unit, balance, _ in have if unit == 2] == [(0, 55), (1, 60)]
    assert [tier for _, unit, _, tier in have if unit == 1] == ["silver", ""]
    assert rows(database, COUNTED, name="tier:status") == [(0, 55), (1, 60)]
    lawful(database)
    assert run(database, live, sale(other, 40_00, "d")).points == 40
    assert rows(database, HAVE)[2][3] == "silver"
    lawful(database)


def test_the_higher_tier_of_the_two_stays(database: Engine) -> None:
    """Gold comes with the merged account, and lasts as long as it did; apart again, each has what it had."""
    live = set_up(database, source=SOURCE)
    one, other = new_card(database, live, "m1"), new_card(database, live, "m2")
    run(database, live, sale(one, 10_00, "a"))
    run(database, live, sale(other, 250_00, "b"))
    merged = run(database, live, merge(one, other, "m"))
    tiers = "SELECT tier, tier_until::text FROM account WHERE unit = 1 ORDER BY member_id"
    assert rows(database, tiers)[0] == ("gold", "2018-05-31")
    lawful(database)
    run(database, live, unmerge(merged, "u"))
    assert rows(database, tiers) == [("gold", "2018-05-31")] * 2
    assert rows(database, COUNTED, name="tier:status") == [(0, 10), (1, 250)]
    lawful(database)
