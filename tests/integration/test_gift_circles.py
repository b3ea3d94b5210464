"""Gifts in circles of three and more: in a batch, across batches, by partners, merged accounts, two tills."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier, local

import pytest
from sqlalchemy import Engine, event

from network import abuse_review
from network.batch import execute
from network.errors import ProgrammeInvalid
from network.outcomes import Rejected, Reply
from network.programme.spec import read_programme
from network.rules import Rules
from network.verify import CHECKS, faults
from tests.between import give, merge
from tests.coalition import GROCER, PETROL, new_card, run, sale, set_up

HEAD = """
name = "watched"
[earn.default]
[expiry]
months = 3
"""


def circles(then: str = "refuse", more: str = "givers = 6") -> str:
    """A programme that watches for circles in a week."""
    watch = '[[abuse]]\nid = "circle"\nsays = "x"\nwatch = "circular_gifts"\nperiod = "week"\n'
    return f'{HEAD}{watch}then = "{then}"\n{more}\n'


def members(database: Engine, live: Rules, many: int) -> list[int]:
    """Cards of new members, each with 100 points."""
    cards = [new_card(database, live, f"m{number}") for number in range(many)]
    for number, card in enumerate(cards):
        run(database, live, sale(card, 100_00, f"s{number}"))
    return cards


def reasons(database: Engine) -> list[tuple[str, str]]:
    """What the operator sees."""
    with database.connect() as connection:
        return [(one.outcome, one.reason) for one in abuse_review.cases(connection)]


def balances(database: Engine, cards: list[int]) -> list[int]:
    """What each can spend; every law of the ledger holds."""
    with database.connect() as connection:
        assert [problem for check in CHECKS for problem in faults(connection, check)] == []
        rows = connection.exec_driver_sql(
            "SELECT c.card_number, a.balance FROM card c JOIN account a USING (member_id) WHERE a.unit = 1"
        )
        found = {number: balance for number, balance in rows}  # noqa: C416 - rows, not pairs
    return [found[card] for card in cards]


def refused(reply: Reply) -> bool:
    """Whether it was taken for abuse."""
    return isinstance(reply.outcome, Rejected) and reply.outcome.reason == "taken_for_abuse"


@pytest.mark.parametrize("givers", [3, 6])
def test_the_gift_that_closes_a_circle_is_refused_and_moves_nothing(database: Engine, givers: int) -> None:
    """Of a ring at two partners the last gift is refused, says why, and leaves every balance as it was."""
    live = set_up(database, source=circles())
    cards = members(database, live, givers)
    ring = list(zip(cards, [*cards[1:], cards[0]], strict=True))
    for number, (one, other) in enumerate(ring[:-1]):
        partner = (GROCER, PETROL)[number % 2]
        run(database, live, give(one, other, 10, f"g{number}", partner_id=partner))
    before = balances(database, cards)
    [last] = execute(database, [give(*ring[-1], 10, "last")], live)
    assert refused(last)
    assert reasons(database) == [("refused", f"closes a circle of {givers} who gave, in the same week")]
    assert balances(database, cards) == before == [90, *[100] * (givers - 2), 110]


def test_one_giver_more_than_the_file_says_is_let_through(database: Engine) -> None:
    """With givers = 3 a ring of four passes; one of three is flagged, and its points move."""
    live = set_up(database, source=circles("flag", "givers = 3"))
    a, b, c, d = members(database, live, 4)
    for number, pair in enumerate([(a, b), (b, c), (c, d), (d, a)]):
        run(database, live, give(*pair, 10, f"g{number}"))
    assert reasons(database) == []
    run(database, live, give(c, a, 5, "short"))
    assert reasons(database) == [("flagged", "closes a circle of 3 who gave, in the same week")]
    assert balances(database, [a, b, c, d]) == [105, 100, 95, 100]


def test_a_file_without_givers_sees_direct_circles_only(database: Engine) -> None:
    """What was applied before means what it meant: a ring of three passes, a gift straight back does not."""
    live = set_up(database, source=circles(more=""))
    a, b, c = members(database, live, 3)
    for number, pair in enumerate([(a, b), (b, c), (c, a)]):
        run(database, live, give(*pair, 10, f"g{number}"))
    assert refused(execute(database, [give(b, a, 5, "back")], live)[0])
    assert reasons(database) == [("refused", "got 10 points of who is given to, in the same week")]


def test_a_batch_sees_the_circle_that_it_closes_itself(database: Engine) -> None:
    """All three gifts in one batch give what three batches give: the last is refused."""
    live = set_up(database, source=circles())
    a, b, c = cards = members(database, live, 3)
    gifts = [give(a, b, 10, "g1"), give(b, c, 10, "g2"), give(c, a, 10, "g3")]
    assert [refused(one) for one in execute(database, gifts, live)] == [False, False, True]
    assert balances(database, cards) == [90, 100, 110]


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_merge_hides_no_ring(database: Engine, when: str) -> None:
    """Who gives and then merges its account into another is found, also as who stands between."""
    live = set_up(database, source=circles())
    a, b, c, other = members(database, live, 4)
    run(database, live, give(a, b, 10, "g1"))
    if when == "before":
        run(database, live, merge(other, b, "merged"))
    run(database, live, give(b, c, 10, "g2"))
    if when == "after":
        run(database, live, merge(other, a, "merged"))
    [last] = execute(database, [give(c, a, 10, "g3")], live)
    assert refused(last)


def test_two_tills_that_each_close_the_circle_let_one_through(database: Engine) -> None:
    """A gave to B. B to C and C to A at once, on two connections: C is locked by both, so one is refused."""
    live = set_up(database, source=circles())
    for turn in range(5):
        cards = [new_card(database, live, f"m{turn}{number}") for number in range(3)]
        for card in cards:
            run(database, live, sale(card, 100_00, f"s{card}"))
        a, b, c = cards
        run(database, live, give(a, b, 10, f"g{turn}"))
        gifts = [give(b, c, 10, f"bc{turn}"), give(c, a, 10, f"ca{turn}")]
        with ThreadPoolExecutor(2) as pool:
            replies = list(pool.map(lambda one: execute(database, [one], live)[0], gifts))
        assert sorted(map(refused, replies)) == [False, True]
    assert len(reasons(database)) == 5


def test_two_gifts_at_once_that_share_nobody_close_no_circle(database: Engine) -> None:
    """A to B and C to D are there. B to C and D to A both look before either is written: one is refused."""
    live = set_up(database, source=circles())
    a, b, c, d = cards = members(database, live, 4)
    run(database, live, give(a, b, 10, "ab"))
    run(database, live, give(c, d, 10, "cd"))
    both, looked = Barrier(2, timeout=20), local()

    def wait(_c: object, _cu: object, statement: str, *_: object) -> None:
        if "FROM member_counter" in statement and "LIMIT" in statement and not hasattr(looked, "once"):
            looked.once = True
            both.wait()

    event.listen(database, "after_cursor_execute", wait)
    gifts = [give(b, c, 10, "bc"), give(d, a, 10, "da")]
    with ThreadPoolExecutor(2) as pool:
        replies = list(pool.map(lambda one: execute(database, [one], live)[0], gifts))
    event.remove(database, "after_cursor_execute", wait)
    assert sorted(map(refused, replies)) == [False, True]
    assert [reason for _, reason in reasons(database)] == ["closes a circle of 4 who gave, in the same week"]
    assert sum(balances(database, cards)) == 400


@pytest.mark.parametrize(("more", "looks"), [("", 1), ("givers = 3", 4)])
def test_a_gift_looks_back_no_further_than_it_must(database: Engine, more: str, looks: int) -> None:
    """None for a sale, one where nobody gave to the giver; a second try for long circles only."""
    live = set_up(database, source=circles(more=more))
    a, b, c = members(database, live, 3)
    asked: list[str] = []

    @event.listens_for(database, "before_cursor_execute")
    def _note(_c: object, _cu: object, statement: str, *_: object) -> None:
        if "FROM member_counter" in statement and "LIMIT" in statement:
            asked.append(statement)

    run(database, live, sale(a, 1_00, "more"))
    assert len(asked) == 0
    run(database, live, give(a, b, 1, "gift"))
    assert len(asked) == 1
    run(database, live, give(b, c, 1, "on"))
    assert len(asked) == 1 + looks


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('watch = "gifts"\nmore_than = 1\ngivers = 3\nthen = "flag"', "givers is for circular_gifts"),
        ('watch = "circular_gifts"\ngivers = 7\nthen = "flag"', "abuse.1.givers"),
        ('watch = "circular_gifts"\ngivers = 1\nthen = "flag"', "abuse.1.givers"),
    ],
)
def test_a_circle_that_cannot_be_is_named(text: str, said: str) -> None:
    """With the field, and what was expected."""
    with pytest.raises(ProgrammeInvalid) as wrong:
        read_programme(f'{HEAD}[[abuse]]\nid = "w"\nsays = "x"\n{text}', "watched.toml")
    assert said in str(wrong.value)
