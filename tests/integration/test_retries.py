"""What was refused is tried again under a new reference that names the old one: taken once, however often."""

import threading

import msgspec
import pytest
from sqlalchemy import Engine, text

from network.batch import content_hash, execute
from network.commands import Accrue, Command
from network.rules import Rules
from network.verify import CHECKS, faults
from tests.coalition import PETROL, START, burn, entry_of, new_card, reserve, sale, set_up
from tests.integration.test_caps import said


@pytest.fixture
def live(database: Engine) -> Rules:
    """A coalition."""
    return set_up(database)


def again(command: Accrue, reference: str, retries: str) -> Accrue:
    """The same sale under a new reference."""
    return msgspec.structs.replace(command, reference=reference, retries=retries)


def refused(database: Engine, live: Rules, card: int, reference: str) -> Accrue:
    """A sale that was refused, as its lines did not add up; and as it should have been."""
    wrong = sale(card, 500, reference, lines=(400,))
    assert said(execute(database, [wrong], live)) == ["lines_do_not_add_up"]
    return msgspec.structs.replace(wrong, lines=(500,))


def test_a_refused_sale_is_taken_once(database: Engine, live: Rules) -> None:
    """By the first request that names it; the second is told, and each replay gets its own answer."""
    card = new_card(database, live)
    right = refused(database, live, card, "old")
    asked = [again(right, "new", "old"), again(right, "newer", "old")]
    first = execute(database, asked, live)
    second = execute(database, asked, live)
    assert said(first) == said(second) == ["accepted", "already_retried"]
    assert [one.replayed for one in second] == [True, True]
    assert entry_of(first[0]) == entry_of(second[0])


def test_what_there_is_nothing_to_try_again_of(database: Engine, live: Rules) -> None:
    """A request that was accepted, another partner's, one that is not known; the last may come later."""
    card = new_card(database, live)
    taken = sale(card, 500, "taken")
    right = refused(database, live, card, "old")
    mine = again(right, "mine", "old")
    others = msgspec.structs.replace(mine, partner_id=PETROL, lines=())
    early = again(right, "early", "late")
    replies = execute(database, [taken, again(taken, "twice", "taken"), others, early], live)
    assert said(replies) == ["accepted", "retried_accepted", "retried_unknown", "retried_unknown"]
    refused(database, live, card, "late")
    assert said(execute(database, [early, mine], live)) == ["accepted", "accepted"]


def test_a_retry_that_is_refused_too_can_be_tried_again(database: Engine, live: Rules) -> None:
    """Naming either of the two; a batch in which both stand is as if they had come one by one."""
    card = new_card(database, live)
    right = refused(database, live, card, "a")
    wrong = msgspec.structs.replace(again(right, "b", "a"), lines=(1,))
    found = execute(database, [wrong, again(right, "c", "b"), again(right, "d", "a")], live)
    assert said(found) == ["lines_do_not_add_up", "accepted", "accepted"]


def test_rewards_and_holds_name_what_they_try_again(database: Engine, live: Rules) -> None:
    """Points were missing when they were asked for."""
    card = new_card(database, live)
    reward, hold = burn(card, 50, "r1"), reserve(card, 50, "h1")
    assert said(execute(database, [reward, hold], live)) == ["insufficient_points"] * 2
    execute(database, [sale(card, 100_00, "s")], live)
    later: list[Command] = [
        msgspec.structs.replace(reward, reference="r2", retries="r1"),
        msgspec.structs.replace(hold, reference="h2", retries="h1"),
    ]
    assert said(execute(database, later, live)) == ["accepted", "accepted"]


def test_of_two_at_once_one_is_taken(database: Engine, live: Rules) -> None:
    """Eight threads try one sale again, each under its own reference."""
    card = new_card(database, live)
    right = refused(database, live, card, "old")
    found: list[str] = []
    threads = [
        threading.Thread(
            target=lambda n=n: found.extend(said(execute(database, [again(right, f"n{n}", "old")], live)))
        )
        for n in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == ["accepted", *["already_retried"] * 7]
    with database.connect() as connection:
        assert [one for check in CHECKS for one in faults(connection, check)] == []
        taken = connection.execute(text("SELECT count(*) FROM idempotency WHERE retried_by IS NOT NULL"))
        assert taken.scalar_one() == 1


def test_requests_that_retry_nothing_have_the_hash_they_always_had() -> None:
    """A till that sends a request again after an upgrade gets its stored answer."""
    plain = sale(6330000000000001, 500, "r", at=START)
    assert content_hash(plain).hex == "f4e0cd504d7260e0ac074697d840edca"
    assert content_hash(msgspec.structs.replace(plain, retries="q")) != content_hash(plain)
