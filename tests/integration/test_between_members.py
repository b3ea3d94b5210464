"""Gifts, pools, merges, deficits and events on the real database: what is stored, and what races do to it."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial
from random import Random

import msgspec
import pytest
from sqlalchemy import Engine, text

from network import batch
from network.batch import end_over_holds, execute
from network.commands import Command
from network.engine import carry_out
from network.errors import NotRead
from network.model import AccountKind, Entry, EntryKind
from network.outcomes import Rejected, Reply
from network.rules import Rules
from network.service import lapse_expired, set_clock
from network.store import members_with_over_holds
from network.verify import CHECKS, faults
from tests.between import come_about, donate, give, invite, join, leave, merge, set_tier, unmerge
from tests.coalition import (
    BANK,
    GROCER,
    HOTEL,
    PETROL,
    START,
    WHOLE,
    burn,
    entry_of,
    new_card,
    open_terms,
    release,
    reserve,
    run,
    sale,
    set_up,
    take,
    undo,
)
from tests.integration.test_concurrency import wait_until_it_waits


@pytest.fixture
def live(database: Engine) -> Rules:
    """A coalition whose programme and contracts allow everything."""
    return set_up(database, source=WHOLE, contracts=open_terms())


def cards(database: Engine, live: Rules, count: int) -> list[int]:
    """New members' cards."""
    return [new_card(database, live, f"member {number}") for number in range(count)]


def refusal(database: Engine, live: Rules, command: Command) -> str:
    """The reason for which a command is refused."""
    [reply] = execute(database, [command], live)
    assert isinstance(reply.outcome, Rejected), reply.outcome
    return reply.outcome.reason


def assert_whole(database: Engine) -> None:
    """Every check of the ledger passes."""
    with database.connect() as connection:
        assert [problem for check in CHECKS for problem in faults(connection, check)] == []


def balances(database: Engine) -> list[tuple[int, int]]:
    """Balance and deficit of every account, by member."""
    with database.connect() as connection:
        rows = connection.execute(text("SELECT balance, deficit FROM account ORDER BY member_id"))
        return [(row.balance, row.deficit) for row in rows]


def together(*jobs: Callable[[], object]) -> None:
    """Do things at once."""
    with ThreadPoolExecutor(len(jobs)) as pool:
        for done in [pool.submit(job) for job in jobs]:
            done.result(60)


def at_once(job: Callable[[int], object], times: int) -> None:
    """Do one thing so many times at once; it is told which it is."""
    together(*(partial(job, number) for number in range(times)))


def test_twenty_gifts_of_all_points_at_once(database: Engine, live: Rules) -> None:
    """One wins; the points are there once, and both accounts say so."""
    giver, receiver = cards(database, live, 2)
    run(database, live, sale(giver, 100_00, "s"))
    replies: list[Reply] = []

    def gift(number: int) -> None:
        replies.extend(execute(database, [give(giver, receiver, 100, f"g{number}")], live))

    at_once(gift, 20)
    assert sum(isinstance(reply.outcome, Entry) for reply in replies) == 1
    assert balances(database) == [(0, 0), (100, 0)]
    assert_whole(database)


def test_gifts_in_a_circle_do_not_deadlock(database: Engine, live: Rules) -> None:
    """Everybody gives to the next, in batches, at once: all are answered, and no point is made or lost."""
    circle = cards(database, live, 4)
    for card in circle:
        run(database, live, sale(card, 50_00, f"s{card}"))

    def gives(till: int) -> None:
        random = Random(till)
        for number in range(6):
            pairs = [random.sample(circle, 2) for _ in range(3)]
            commands = [give(a, b, 7, f"t{till} n{number} p{n}") for n, (a, b) in enumerate(pairs)]
            execute(database, commands, live)

    at_once(gives, 4)
    assert sum(balance for balance, _ in balances(database)) == 200
    assert_whole(database)


def test_a_pool_is_drawn_by_all_its_members_at_once(database: Engine, live: Rules) -> None:
    """Three spend common points: no more than there are, and each contributor is told of each draw."""
    trio = cards(database, live, 3)
    for card, partner in zip(trio, (GROCER, PETROL, GROCER), strict=True):
        run(database, live, sale(card, 40_00, f"s{card}", partner_id=partner))
    for number in (1, 2):
        invitation = run(database, live, invite(trio[0], trio[number], f"i{number}"))
        run(database, live, join(trio[number], invitation, f"j{number}"))
    replies: list[Reply] = []

    def burns(till: int) -> None:
        for number in range(8):
            replies.extend(execute(database, [burn(trio[till], 11, f"b{till} {number}")], live))

    at_once(burns, 3)
    accepted = sum(isinstance(reply.outcome, Entry) for reply in replies)
    assert accepted == 120 // 11
    assert sum(balance for balance, _ in balances(database)) == 120 - 11 * accepted
    with database.connect() as connection:
        told = connection.execute(
            text("SELECT count(*) FROM entry WHERE kind = :kind AND points < 0"), {"kind": EntryKind.TRANSFER}
        ).scalar_one()
    drawn_elsewhere = {
        (reply.outcome.entry_id, posting.contributor_id)
        for reply in replies
        if isinstance(reply.outcome, Entry)
        for posting in reply.postings
        if posting.contributor_id is not None
    }
    assert told == len(drawn_elsewhere) > 0
    assert_whole(database)


def test_joining_races_with_spending(database: Engine, live: Rules) -> None:
    """A member joins and leaves while others spend: nothing is spent twice, whoever saw which pool."""
    trio = cards(database, live, 3)
    for card in trio:
        run(database, live, sale(card, 30_00, f"s{card}"))
    for number in (1, 2):
        run(
            database,
            live,
            join(
                trio[number], run(database, live, invite(trio[0], trio[number], f"i{number}")), f"j{number}"
            ),
        )

    def wavers() -> None:
        for number in range(8):
            execute(database, [leave(trio[2], f"l{number}")], live)
            [asked] = execute(database, [invite(trio[0], trio[2], f"again {number}")], live)
            execute(database, [join(trio[2], entry_of(asked), f"back {number}")], live)

    def burns(till: int) -> None:
        for number in range(12):
            execute(database, [burn(trio[till], 5, f"b{till} {number}")], live)

    together(wavers, *(partial(burns, till) for till in range(3)))
    assert_whole(database)


def test_a_sale_that_meets_a_merge_reaches_who_stays(database: Engine, live: Rules) -> None:
    """Whichever comes first, the merged account is empty and every point is with who stays."""
    for number in range(6):
        staying, merged = (new_card(database, live, f"{number} {name}") for name in ("stays", "goes"))
        commands: list[Command] = [
            sale(merged, 9_00, f"sale {number}"),
            merge(staying, merged, f"merge {number}"),
            burn(merged, 3, f"burn {number}"),
        ]
        together(*(partial(execute, database, [command], live) for command in commands))
        run(database, live, sale(merged, 1_00, f"after {number}"))
    with database.connect() as connection:
        merged_points = connection.execute(
            text("SELECT coalesce(sum(balance), 0) FROM account WHERE merged_into IS NOT NULL")
        ).scalar_one()
        assert merged_points == 0
        assert (
            connection.execute(text("SELECT count(*) FROM card WHERE member_id <> issued_to")).scalar_one()
            == 6
        )
    assert_whole(database)


def test_a_merge_is_undone(database: Engine, live: Rules) -> None:
    """Points, cards and later returns go to who stays; with the unmerge what is left goes back, cards too."""
    staying, merged = cards(database, live, 2)
    bought = run(database, live, sale(merged, 20_00, "bought"))
    held = run(database, live, reserve(merged, 5, "held"))
    joined = run(database, live, merge(staying, merged, "merge"))
    assert (joined.points, balances(database)) == (15, [(15, 0), (0, 0)])
    assert refusal(database, live, merge(merged, staying, "again")) == "same_member"
    assert run(database, live, release(held, "void")).points == 0
    assert balances(database) == [(20, 0), (0, 0)]
    run(database, live, undo(bought, "back", amount_minor=4_00))
    assert balances(database) == [(16, 0), (0, 0)]
    run(database, live, unmerge(joined, "unmerge"))
    assert balances(database) == [(1, 0), (15, 0)]
    assert run(database, live, burn(merged, 15, "burn")).balance_after == 0
    assert_whole(database)


def test_a_return_of_who_was_merged_beside_a_sale_of_who_stays(database: Engine, live: Rules) -> None:
    """In one batch: the account is opened for the sale, and its lots are read for the return."""
    staying, merged = cards(database, live, 2)
    bought = run(database, live, sale(merged, 20_00, "bought"))
    run(database, live, merge(staying, merged, "merge"))
    replies = execute(database, [sale(staying, 5_00, "s"), undo(bought, "r", amount_minor=8_00)], live)
    assert all(isinstance(reply.outcome, Entry) for reply in replies)
    assert balances(database) == [(17, 0), (0, 0)]
    assert_whole(database)


def test_what_is_owed_is_paid_by_the_next_credits(database: Engine, live: Rules) -> None:
    """A deficit stands in the account, and sales and gifts pay it before anything is left."""
    debtor, friend = cards(database, live, 2)
    bought = run(database, live, sale(debtor, 100_00, "bought"))
    run(database, live, burn(debtor, 70, "spent"))
    run(database, live, undo(bought, "returned"))
    assert balances(database) == [(0, 70), (0, 0)]
    paid = execute(database, [sale(debtor, 20_00, "more", partner_id=PETROL)], live)[0]
    assert entry_of(paid).points == 0
    assert [p.points for p in paid.postings if p.credit is AccountKind.DEFICIT] == [20]
    run(database, live, sale(debtor, 10_00, "and more", partner_id=PETROL))
    run(database, live, sale(friend, 50_00, "friend"))
    assert run(database, live, give(friend, debtor, 45, "gift")).points == -45
    assert balances(database) == [(5, 0), (5, 0)]
    assert_whole(database)


def test_what_is_owed_to_a_partner_that_is_not_read_yet_waits(database: Engine, live: Rules) -> None:
    """A server that has not read who is owed does nothing, the rest of its batch goes on; then it pays."""
    [debtor, other] = cards(database, live, 2)
    bought = run(database, live, sale(debtor, 100_00, "bought"))
    run(database, live, burn(debtor, 70, "spent"))
    run(database, live, undo(bought, "returned"))
    terms = {party: known for party, known in live.directory.terms.items() if party != GROCER}
    stale = msgspec.structs.replace(live, directory=msgspec.structs.replace(live.directory, terms=terms))
    asked = [[sale(one, 20_00, name, partner_id=PETROL)] for one, name in ((debtor, "pays"), (other, "o"))]
    waits, goes_on = carry_out(database, asked, stale)
    assert isinstance(waits, NotRead)
    assert not isinstance(goes_on, Exception)
    assert balances(database) == [(0, 70), (20, 0)]
    run(database, live, sale(debtor, 20_00, "pays", partner_id=PETROL))
    assert balances(database) == [(0, 50), (20, 0)]
    assert_whole(database)


def test_a_stay_is_released_once(database: Engine, live: Rules) -> None:
    """Twenty tills say that the stay has come about: one is told so, the points are spendable once."""
    [card] = cards(database, live, 1)
    stay = run(database, live, sale(card, 10_00, "stay", partner_id=HOTEL))
    assert (stay.points, balances(database)) == (0, [(0, 0)])
    replies: list[Reply] = []
    at_once(lambda n: replies.extend(execute(database, [come_about(stay, f"e{n}")], live)), 20)
    outcomes = [reply.outcome for reply in replies]
    assert sum(isinstance(outcome, Entry) for outcome in outcomes) == 1
    assert {o.reason for o in outcomes if isinstance(o, Rejected)} == {"nothing_pending"}
    assert balances(database) == [(30, 0)]
    assert_whole(database)


def test_a_line_comes_back_once(database: Engine, live: Rules) -> None:
    """Ten tills return the same line, at two partners that may: one of them does."""
    [card] = cards(database, live, 1)
    bought = run(database, live, sale(card, 10_00, "bought", lines=(7_00, 3_00)))
    replies: list[Reply] = []

    def returns(number: int) -> None:
        partner = GROCER if number % 2 else PETROL
        command = undo(bought, f"r{number}", partner_id=partner, lines=(2,))
        replies.extend(execute(database, [command], live))

    at_once(returns, 10)
    assert sum(isinstance(reply.outcome, Entry) for reply in replies) == 1
    assert balances(database) == [(7, 0)]
    assert_whole(database)


def test_holds_that_nobody_touches_lapse_on_time(database: Engine, live: Rules) -> None:
    """Members with a hold that is over are found, and what it held of a pool goes back to whose it was."""
    holder, mate = cards(database, live, 2)
    run(database, live, sale(mate, 9_00, "s"))
    run(database, live, join(mate, run(database, live, invite(holder, mate, "i")), "j"))
    run(database, live, reserve(holder, 9, "h", minutes=30))
    run(database, live, leave(mate, "l"))
    over = START + timedelta(minutes=30)
    with database.begin() as connection:
        assert members_with_over_holds(connection, over - timedelta(milliseconds=1), 10) == []
        set_clock(connection, over)
        members = members_with_over_holds(connection, over, 10)
    assert members == [1]
    assert end_over_holds(database, members, live) == 1
    assert end_over_holds(database, members, live) == 0
    assert balances(database) == [(0, 0), (9, 0)]
    assert_whole(database)


def test_points_die_with_the_activity_of_their_account(database: Engine, live: Rules) -> None:
    """The sweep takes what lives with activity when the account has been idle, and nothing of the others."""
    idle, gold, plain = cards(database, live, 3)
    run(database, live, set_tier(idle, "silver", "t1"))
    run(database, live, set_tier(gold, "gold", "t2"))
    for card in (idle, gold, plain):
        run(database, live, sale(card, 5_00, f"s{card}"))
    assert lapse_expired(database, START.date().replace(month=7, day=31), 1).points == 0
    assert lapse_expired(database, START.date().replace(month=8, day=1), 1).points == 5
    assert balances(database) == [(0, 0), (5, 0), (5, 0)]
    assert lapse_expired(database, START.date().replace(month=9, day=1), 1).points == 5
    assert balances(database) == [(0, 0), (5, 0), (0, 0)]
    assert_whole(database)


def test_many_who_join_at_once_are_no_more_than_a_pool_holds(database: Engine, live: Rules) -> None:
    """Twelve invited members join at once: eight are in the pool, the others are told that it is full."""
    host, *guests = cards(database, live, 13)
    asked = [run(database, live, invite(host, guest, f"i{guest}")) for guest in guests]
    replies: list[Reply] = []
    at_once(lambda n: replies.extend(execute(database, [join(guests[n], asked[n], f"j{n}")], live)), 12)
    refused = [reply.outcome.reason for reply in replies if isinstance(reply.outcome, Rejected)]
    assert refused == ["pool_full"] * 5
    assert_whole(database)


def test_who_joins_while_another_spends_is_drawn_or_is_not(database: Engine, live: Rules) -> None:
    """A member joins a pool while its host waits to spend: under the locks the host sees who is in it."""
    host, mate, late = cards(database, live, 3)
    run(database, live, join(mate, run(database, live, invite(host, mate, "i1")), "j1"))
    run(database, live, sale(late, 30_00, "s"))
    asked = run(database, live, invite(host, late, "i2"))
    done: list[Reply] = []
    spends = threading.Thread(target=lambda: done.extend(execute(database, [burn(host, 30, "b")], live)))
    with database.begin() as first:
        batch._transact(first, batch.Known(), batch._runs([join(late, asked, "j2")])[0], live)
        spends.start()
        wait_until_it_waits(database, spends)
    spends.join(60)
    assert isinstance(done[0].outcome, Entry)
    assert_whole(database)


def test_an_invitation_is_good_for_one_pool_and_once(database: Engine, live: Rules) -> None:
    """Who has joined by it and left does not come back by it, nor into a pool that its inviter moved to."""
    host, guest, other = cards(database, live, 3)
    asked = run(database, live, invite(host, guest, "i"))
    again = run(database, live, invite(host, guest, "i again"))
    run(database, live, join(guest, asked, "j"))
    run(database, live, leave(guest, "l"))
    assert refusal(database, live, join(guest, asked, "j2")) == "invitation_lapsed"
    run(database, live, leave(host, "l2"))
    run(database, live, join(host, run(database, live, invite(other, host, "i2")), "j3"))
    assert refusal(database, live, join(guest, again, "j4")) == "invitation_lapsed"
    assert_whole(database)


def test_an_old_merge_does_not_undo_a_new_one(database: Engine, live: Rules) -> None:
    """A merge is undone by its own id alone, and moves nothing that came by another."""
    staying, merged = cards(database, live, 2)
    run(database, live, sale(merged, 10_00, "s"))
    first = run(database, live, merge(staying, merged, "m1"))
    run(database, live, unmerge(first, "u1"))
    second = run(database, live, merge(staying, merged, "m2", partner_id=PETROL))
    assert refusal(database, live, unmerge(first, "u2")) == "already_unmerged"
    run(database, live, unmerge(second, "u3"))
    assert balances(database) == [(0, 0), (10, 0)]
    assert_whole(database)


def test_a_reward_that_waits_for_an_unmerge_is_of_whose_the_card_is(database: Engine, live: Rules) -> None:
    """The card changes its account while the command waits: it spends what is in the new one."""
    staying, merged = cards(database, live, 2)
    run(database, live, sale(merged, 40_00, "s"))
    run(database, live, sale(staying, 60_00, "s2", partner_id=PETROL))
    joined = run(database, live, merge(staying, merged, "m"))
    done: list[Reply] = []
    spends = threading.Thread(target=lambda: done.extend(execute(database, [burn(merged, 40, "b")], live)))
    with database.begin() as first:
        batch._transact(first, batch.Known(members={1, 2}), batch._runs([unmerge(joined, "u")])[0], live)
        spends.start()
        wait_until_it_waits(database, spends)
    spends.join(60)
    assert isinstance(done[0].outcome, Entry)
    assert balances(database) == [(60, 0), (0, 0)]
    assert_whole(database)


def test_a_debt_is_one_however_often_it_grows(database: Engine, live: Rules) -> None:
    """A thousand returns of a point each are one debt, paid by the next credits in two lines; and limited."""
    [debtor] = cards(database, live, 1)
    bought = run(database, live, sale(debtor, 20_000_00, "bought"))
    run(database, live, burn(debtor, 20_000, "spent"))
    execute(database, [undo(bought, f"r{n}", amount_minor=1_00) for n in range(1_000)], live)
    paid = execute(database, [sale(debtor, 5_00, "more", partner_id=PETROL)], live)[0]
    assert len(paid.postings) == 3
    assert balances(database) == [(0, 995)]
    run(database, live, undo(bought, "all of it"))
    assert balances(database) == [(0, 10_000)]
    assert_whole(database)


def test_what_is_owed_does_not_stay_behind_in_an_unmerge(database: Engine, live: Rules) -> None:
    """Merge and unmerge leave every debt with whose it was."""
    straw, debtor = cards(database, live, 2)
    bought = run(database, live, sale(debtor, 50_00, "bought"))
    run(database, live, burn(debtor, 50, "spent"))
    run(database, live, undo(bought, "returned"))
    joined = run(database, live, merge(straw, debtor, "m"))
    assert balances(database) == [(0, 50), (0, 0)]
    run(database, live, sale(straw, 20_00, "s", partner_id=PETROL))
    run(database, live, unmerge(joined, "u"))
    assert balances(database) == [(0, 0), (0, 30)]
    assert_whole(database)


def test_a_hundred_holds_are_enough(database: Engine, live: Rules) -> None:
    """One more is refused, also in one batch; when one has ended there is room again."""
    [card] = cards(database, live, 1)
    run(database, live, sale(card, 200_00, "s"))
    replies = execute(database, [reserve(card, 1, f"h{n}") for n in range(101)], live)
    assert [r.outcome.reason for r in replies if isinstance(r.outcome, Rejected)] == ["too_many_holds"]
    assert refusal(database, live, reserve(card, 1, "more")) == "too_many_holds"
    freed = execute(database, [release(entry_of(replies[0]), "v"), reserve(card, 1, "again")], live)
    assert entry_of(freed[1]).points == -1
    with database.begin() as connection:
        set_clock(connection, START + timedelta(minutes=30))
    assert run(database, live, reserve(card, 1, "later", at=START + timedelta(minutes=30))).points == -1


def test_a_sale_judged_by_rules_that_are_not_read_yet_waits(database: Engine, live: Rules) -> None:
    """Its return is refused for now, is not remembered, and is taken when the rules are there."""
    [card] = cards(database, live, 1)
    bought = run(database, live, sale(card, 10_00, "s"))
    older = msgspec.structs.replace(live, programmes={})
    assert refusal(database, older, undo(bought, "r")) == "programme_not_read"
    assert run(database, live, undo(bought, "r")).points == -10


def test_a_donation_reaches_the_cause(database: Engine, live: Rules) -> None:
    """Its posting names the cause as acceptor, with the terms of the day."""
    [card] = cards(database, live, 1)
    run(database, live, sale(card, 5_00, "s"))
    [reply] = execute(database, [donate(card, 5, "d")], live)
    assert [(p.credit, p.acceptor_id, p.acceptor_terms) for p in reply.postings] == [
        (AccountKind.ACCEPTED, BANK, 1)
    ]
    [again] = execute(database, [donate(card, 5, "d")], live)
    assert again.replayed
    assert again.postings == reply.postings
    assert_whole(database)


def test_a_hold_of_a_pool_is_captured_and_returned(database: Engine, live: Rules) -> None:
    """Of a capture that drew from another, what is returned goes back to that other."""
    holder, mate = cards(database, live, 2)
    run(database, live, sale(mate, 9_00, "s"))
    run(database, live, join(mate, run(database, live, invite(holder, mate, "i")), "j"))
    held = run(database, live, reserve(holder, 9, "h"))
    taken = run(database, live, take(held, 6, "c"))
    assert run(database, live, undo(taken, "r", points=4)).points == 0
    assert balances(database) == [(0, 0), (4, 0)]
    assert refusal(database, live, take(held, 4, "c2")) == "more_than_held"
    assert_whole(database)
