"""Many tills at once on the same few members, and nights among them: as if one came after the other."""

import threading
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from random import Random

import pytest
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import OperationalError

from network import batch, store
from network.batch import execute
from network.commands import Command
from network.model import Entry, EntryKind
from network.outcomes import Rejected, Reply
from network.rules import Rules
from network.service import close_window, lapse_expired, set_clock
from network.verify import CHECKS, faults
from settlement import verify as nights
from settlement.service import clear
from tests.between import merge
from tests.coalition import (
    BANK,
    GROCER,
    HOTEL,
    PETROL,
    START,
    burn,
    new_card,
    release,
    reserve,
    run,
    sale,
    set_up,
    take,
    undo,
)
from tests.conftest import as_owner

PARTNERS = (GROCER, PETROL, HOTEL, BANK)
TILLS = 6
Change = tuple[int, int]
"""A balance before and after an entry."""


class Till:
    """Sends batches at random; some of its references and commands are the other tills' too."""

    def __init__(self, database: Engine, live: Rules, cards: Sequence[int], number: int) -> None:
        self._database = database
        self._live = live
        self._cards = cards
        self._random = Random(number)
        self._name = number
        self._count = 0
        self._known: list[Entry] = []
        self.answered: list[tuple[Command, Reply]] = []

    def batch(self) -> None:
        """One batch of up to four commands."""
        commands = [self._command() for _ in range(self._random.randint(1, 4))]
        replies = execute(self._database, commands, self._live)
        self.answered += zip(commands, replies, strict=True)
        self._known += [reply.outcome for reply in replies if isinstance(reply.outcome, Entry)]

    def _command(self) -> Command:
        random, self._count = self._random, self._count + 1
        reference, card = f"t{self._name}-{self._count}", random.choice(self._cards)
        partner_id = random.choice(PARTNERS)
        if random.random() < 0.2:
            # the same from every till: one of them wins, the others are told what it was told
            return sale(self._cards[self._count % len(self._cards)], 700, f"common-{self._count}")
        earlier = [e for e in self._known if e.kind in {EntryKind.ACCRUAL, EntryKind.REDEMPTION}]
        holds = [e for e in self._known if e.kind is EntryKind.HOLD]
        made: list[Callable[[], Command]] = [
            lambda: sale(card, random.randint(1, 4_000), reference, partner_id=partner_id),
            lambda: burn(card, random.randint(1, 30), reference, partner_id=partner_id),
            lambda: reserve(card, random.randint(1, 20), reference, minutes=10_000),
        ]
        if earlier:
            made.append(lambda: undo(random.choice(earlier), reference))
        if holds:
            made.append(lambda: take(random.choice(holds), random.randint(1, 9), reference))
            made.append(lambda: release(random.choice(holds), reference))
        return random.choice(made)()


def assert_whole(database: Engine, *, settled: bool = True) -> None:
    """Every check of the ledger passes, and where the nights are settled every check of theirs."""
    with database.connect() as connection:
        found = [problem for check in CHECKS for problem in faults(connection, check)]
        assert found + (nights.problems(connection) if settled else []) == []


def changes(database: Engine) -> dict[int, list[Change]]:
    """What every entry of each member says that it did to the balance."""
    found: dict[int, list[Change]] = defaultdict(list)
    with database.connect() as connection:
        rows = connection.execute(text("SELECT member_id, points, balance_after FROM entry"))
        for member_id, points, after in rows:
            found[member_id].append((after - points, after))
    return found


def is_one_after_the_other(done: Sequence[Change], first: int, last: int) -> bool:
    """Whether some order of the entries leads from one balance to another, each beginning where one ended.

    That is a walk over all edges of a graph: as many edges leave each balance as reach it, but for the two
    ends, and all hang together.
    """
    degree: Counter[int] = Counter({last: 1})
    degree[first] -= 1
    met = {first}
    for before, after in done:
        degree[before] += 1
        degree[after] -= 1
    left = list(done)
    grown = True
    while grown:
        grown = False
        for change in list(left):
            if met.intersection(change):
                met.update(change)
                left.remove(change)
                grown = True
    return not left and not any(degree.values())


def balances(database: Engine) -> dict[int, int]:
    """What each account holds."""
    with database.connect() as connection:
        rows = connection.execute(text("SELECT member_id, balance FROM account")).all()
    return {row.member_id: row.balance for row in rows}


@pytest.mark.parametrize(
    ("done", "whole"),
    [
        ([(0, 10), (10, 4), (4, 10), (10, 10)], True),
        ([(0, 10), (0, 10)], False),  # two that read the same balance
        ([(0, 10), (20, 30), (30, 20)], False),  # a ring that nothing leads to
    ],
)
def test_the_walk_over_balances(done: list[Change], whole: bool) -> None:
    """Entries that follow one another are told from entries that cannot have."""
    assert is_one_after_the_other(done, 0, 10) is whole


def test_tills_and_nights_at_once_are_as_one_after_the_other(database: Engine) -> None:
    """Six tills on three members while eight nights close and are priced: nothing is lost, doubled or late.

    Each member's entries can be put in an order in which every balance follows from the one before; every
    reference has one outcome; the nights hold every posting of their windows.
    """
    live = set_up(database)
    cards = [new_card(database, live, f"enrol-{n}") for n in range(3)]
    for number, card in enumerate(cards):
        run(database, live, sale(card, 50_00, f"first-{number}"))
    tills = [Till(database, live, cards, number) for number in range(TILLS)]
    over = threading.Event()

    def work(till: Till) -> None:
        while not over.is_set():
            till.batch()

    with ThreadPoolExecutor(TILLS) as pool:
        working = [pool.submit(work, till) for till in tills]
        try:
            for day in range(8):
                on = START.date() + timedelta(days=day)
                at = datetime.combine(on + timedelta(days=1), datetime.min.time(), tzinfo=UTC)
                with database.begin() as connection:
                    set_clock(connection, at)
                clear(database, on, at=at)
        finally:
            over.set()
        for one in working:
            one.result()
    assert sum(len(till.answered) for till in tills) > 50
    last = balances(database)
    for member_id, done in changes(database).items():
        assert is_one_after_the_other(done, 0, last[member_id]), sorted(done)
    assert_answers_agree(tills)
    clear(database, START.date() + timedelta(days=8), at=START + timedelta(days=9))
    assert_whole(database)


def assert_answers_agree(tills: Sequence[Till]) -> None:
    """One outcome for each reference, and exactly one reply that is no replay."""
    replies: dict[tuple[int, str], list[Reply]] = defaultdict(list)
    for till in tills:
        for command, reply in till.answered:
            replies[command.partner_id, command.reference].append(reply)
    for (_, reference), same in replies.items():
        said = {r.outcome.entry_id if isinstance(r.outcome, Entry) else r.outcome.reason for r in same}
        assert len(said) == 1, (reference, said)
        assert [r.replayed for r in same].count(False) == 1, reference


def test_the_sweep_and_the_tills_take_turns(database: Engine) -> None:
    """Points die at midnight; while they are swept, tills earn and spend what lives, and nothing dead."""
    at = START.replace(month=1)
    live = set_up(database, at)
    cards = [new_card(database, live, f"enrol-{n}", at) for n in range(4)]
    for number, card in enumerate(cards):
        run(database, live, sale(card, 40_00, f"dying-{number}", at=at))
    dies = datetime(2017, 5, 1, tzinfo=UTC)
    with database.begin() as connection:
        set_clock(connection, dies)
        for days in range(120):
            close_window(connection, date(2017, 1, 1) + timedelta(days=days), dies)
    together = threading.Barrier(5)

    def till(number: int) -> list[Reply]:
        together.wait()
        replies = []
        for turn in range(12):
            name, card = f"{number}-{turn}", cards[turn % 4]
            commands: list[Command] = [
                sale(card, 3_00, f"s{name}", at=dies),
                burn(card, 2, f"b{name}", at=dies),
            ]
            replies += execute(database, commands, live)
        return replies

    def sweep() -> None:
        together.wait()
        lapse_expired(database, date(2017, 5, 1), 1)

    with ThreadPoolExecutor(5) as pool:
        swept = pool.submit(sweep)
        replies = [reply for one in pool.map(till, range(4)) for reply in one]
        swept.result()
    assert not [reply for reply in replies if isinstance(reply.outcome, Rejected)]
    assert balances(database) == dict.fromkeys(balances(database), 12)
    with database.connect() as connection:
        rows = connection.execute(
            text("SELECT member_id, points, balance_after FROM entry WHERE occurred_at = :at AND kind <> 5"),
            {"at": dies},
        ).all()
    by_member: dict[int, list[Change]] = defaultdict(list)
    for member_id, points, after in rows:
        by_member[member_id].append((after - points, after))
    assert all(is_one_after_the_other(done, 0, 12) for done in by_member.values())
    assert_whole(database, settled=False)


def test_a_close_waits_for_every_writer_of_its_window(database: Engine) -> None:
    """While a writer that has read its window is at work, the window cannot be closed."""
    set_up(database)
    after = START + timedelta(days=1)
    with database.begin() as writer:
        store.begin(writer)
        with database.connect() as closer:
            closer.execute(text("SET lock_timeout = '100ms'"))
            with pytest.raises(OperationalError, match="lock timeout"):
                close_window(closer, START.date(), after)
    with database.begin() as closer:
        assert close_window(closer, START.date(), after) == 20170501


def carry_out(connection: Connection, command: Command, live: Rules) -> None:
    """Do all that a batch of one does, but the commit."""
    [one] = batch._runs([command])
    batch._transact(connection, batch.Known(), one, live)


def wait_until_it_waits(database: Engine, working: threading.Thread) -> None:
    """Return when a connection of this database waits for a lock; the thread must not be through before."""
    waiting = text(
        "SELECT EXISTS (SELECT FROM pg_stat_activity"
        " WHERE datname = current_database() AND wait_event_type = 'Lock')"
    )
    while True:
        with as_owner(database) as connection:  # a new one each time: a transaction sees one state of it
            if connection.execute(waiting).scalar_one():
                return
        working.join(0.01)
        assert working.is_alive(), "it did not wait for the account"


def test_accounts_are_read_after_they_are_locked(database: Engine) -> None:
    """Who waited for an account sees what was done to it meanwhile: balance and lots."""
    live = set_up(database)
    card = new_card(database, live)
    done: list[Reply] = []
    burning = threading.Thread(target=lambda: done.extend(execute(database, [burn(card, 7, "b")], live)))
    with database.begin() as first:
        carry_out(first, sale(card, 7_00, "s"), live)
        burning.start()
        wait_until_it_waits(database, burning)
    burning.join()
    [reply] = done
    assert isinstance(reply.outcome, Entry)
    assert (reply.outcome.points, reply.outcome.balance_after) == (-7, 0)
    assert_whole(database)


def test_a_hold_is_read_after_its_account_is_locked(database: Engine) -> None:
    """Who waited to capture sees what the other capture left."""
    live = set_up(database)
    card = new_card(database, live)
    run(database, live, sale(card, 10_00, "s"))
    held = run(database, live, reserve(card, 10, "h"))
    done: list[Reply] = []
    second = threading.Thread(target=lambda: done.extend(execute(database, [take(held, 6, "c2")], live)))
    with database.begin() as first:
        carry_out(first, take(held, 6, "c1"), live)
        second.start()
        wait_until_it_waits(database, second)
    second.join()
    assert [reply.outcome for reply in done] == [Rejected("more_than_held")]
    assert_whole(database)


def test_a_card_is_read_again_after_the_merge_that_was_waited_for(database: Engine) -> None:
    """Who waited with the cards of both sees that they are one: both sales are of who stays."""
    live = set_up(database)
    staying, merged = new_card(database, live, "stays"), new_card(database, live, "goes")
    run(database, live, sale(merged, 2_00, "before"))
    done: list[Reply] = []
    both = [sale(merged, 3_00, "old card"), sale(staying, 4_00, "own card")]
    second = threading.Thread(target=lambda: done.extend(execute(database, both, live)))
    with database.begin() as first:
        carry_out(first, merge(staying, merged, "m"), live)
        second.start()
        wait_until_it_waits(database, second)
    second.join()
    entries = [reply.outcome for reply in done if isinstance(reply.outcome, Entry)]
    assert len({entry.member_id for entry in entries}) == 1
    assert [entry.balance_after for entry in entries] == [5, 9]
    assert_whole(database)
