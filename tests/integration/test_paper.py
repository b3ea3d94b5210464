"""Vouchers and codes on packs on a real ledger: once, whoever else is at it; cut off and gone on with."""

import multiprocessing
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from datetime import date, timedelta
from functools import partial
from typing import Any

import pytest
from sqlalchemy import URL, Engine, text
from sqlalchemy.exc import DBAPIError

from config.database import make_engine
from network.basket import Details
from network.batch import execute
from network.codes import Pack
from network.commands import Accrue, Command
from network.conversion import convert_due, lapse_vouchers
from network.model import Entry, EntryKind
from network.outcomes import Rejected
from network.programme.codes import event_of
from network.rules import Rules
from network.service import apply_programme, load_rules, set_clock
from network.verify import CHECKS, faults
from tests.between import by_paper, merge, off_paper, turn
from tests.coalition import GROCER, OUTLET, PETROL, START, enrol, new_card, run, sale, set_up, undo
from tests.conftest import SCHEMA, Run, as_owner, database_on

SOURCE = """
name = "paper"
[earn.default]
[expiry]
months = 3
grace_days = 30
[[voucher]]
id = "paper"
says = "1.00 for 10 points"
points = 10
worth_minor = 100
currency = "USD"
valid_months = 1
when_over = "return"
[[packs]]
id = "spring"
says = "Packs of spring"
number = 3
packs = 1000
first_on = 2017-05-01
last_on = 2017-05-31
[[rule]]
id = "pack"
says = "5 points a pack"
when = { packs = ["spring"] }
basis = { of = "visit" }
award = { points = 5 }
[conversion]
voucher = "paper"
minimum = 20
"""
MANY = 24


@pytest.fixture
def live(database: Engine) -> Rules:
    """The coalition under the programme above."""
    return set_up(database, source=SOURCE)


def whole(database: Engine) -> list[str]:
    """Names of the checks that find faults."""
    with database.connect() as connection:
        return [check.name for check in CHECKS if faults(connection, check)]


def registration(card: int, number: int, reference: str, *, partner_id: int = GROCER) -> Accrue:
    """The code on a pack, opened."""
    return Accrue(
        partner_id=partner_id,
        reference=reference,
        occurred_at=START,
        outlet_code=OUTLET,
        card_number=card,
        amount_minor=0,
        currency="USD",
        details=Details(event=event_of(3), pack=Pack(3, number).key),
        code="opened",
    )


def outcomes(url: URL, commands: list[Command]) -> list[str]:
    """In a process of its own: what each command comes to, one transaction each."""
    engine = make_engine(url, schema=SCHEMA)
    try:
        with engine.connect() as connection:
            live = load_rules(connection)
        replies = [execute(engine, [command], live)[0].outcome for command in commands]
    finally:
        engine.dispose()
    return [one.reason if isinstance(one, Rejected) else "accepted" for one in replies]


@pytest.fixture
def two_tills() -> Iterator[ProcessPoolExecutor]:
    """Two processes."""
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as pool:
        yield pool


def test_two_tills_at_once_spend_a_voucher_and_register_a_pack_once(
    server: Run, two_tills: ProcessPoolExecutor
) -> None:
    """Two processes take the same vouchers and packs in the same order: each goes to one of them."""
    with database_on(server, template=server.template) as url:
        engine = make_engine(url, schema=SCHEMA)
        live = set_up(engine, source=SOURCE)
        card, other = new_card(engine, live, "one"), new_card(engine, live, "two")
        run(engine, live, sale(card, MANY * 10_00, "much"))
        vouchers = [run(engine, live, turn(card, 10, f"v{number}")) for number in range(MANY)]
        asked: list[list[Command]] = [
            [
                *(by_paper(one, f"{name}-v{place}", partner_id=who) for place, one in enumerate(vouchers)),
                *(registration(card, number, f"{name}-p{number}", partner_id=who) for number in range(MANY)),
            ]
            for name, who, card in (("left", GROCER, card), ("right", PETROL, other))
        ]
        left, right = two_tills.map(partial(outcomes, url), asked)
        pairs = Counter(map(lambda *both: tuple(sorted(both)), left, right))
        assert pairs == {("accepted", "voucher_used"): MANY, ("accepted", "pack_used"): MANY}
        assert whole(engine) == []
        engine.dispose()


def test_a_voucher_comes_back_to_whom_its_member_was_merged_into(database: Engine, live: Rules) -> None:
    """Used, returned as goods or given back: the points go where the account went, in time or with grace."""
    card, other = new_card(database, live, "one"), new_card(database, live, "two")
    run(database, live, sale(card, 60_00, "sale"))
    used, given, kept = (run(database, live, turn(card, 20, name)) for name in ("used", "given", "kept"))
    run(database, live, merge(other, card, "merge"))
    spent = run(database, live, by_paper(used, "spent", basket=2_00))
    assert (spent.kind, spent.points, spent.amount_minor) == (EntryKind.REDEMPTION, 0, 2_00)
    run(database, live, off_paper(given, "given back"))
    run(database, live, undo(spent, "goods back", partner_id=PETROL))
    balance = text("SELECT balance FROM account a JOIN card c USING (member_id) WHERE c.card_number = :card")
    with database.connect() as connection:
        assert connection.execute(balance, {"card": other}).scalar_one() == 40
    late = START.replace(month=7, day=1)
    with database.begin() as connection:
        set_clock(connection, late)
    again = execute(database, [off_paper(kept, "too late", at=late)], live)[0].outcome
    assert again == Rejected("voucher_lapsed")
    assert lapse_vouchers(database, late.date() + timedelta(days=1)) == 1
    assert lapse_vouchers(database, late.date() + timedelta(days=1)) == 0
    with database.connect() as connection:
        assert connection.execute(balance, {"card": other}).scalar_one() == 60
    assert whole(database) == []


def test_a_conversion_that_is_cut_off_goes_on_and_makes_each_voucher_once(
    database: Engine, live: Rules
) -> None:
    """The second portion breaks, tills go on, the run begins again: one voucher a member, no point more."""
    enrolled = execute(database, [enrol(f"m{number}") for number in range(1_100)], live)
    cards = [reply.enrolled.card_number for reply in enrolled if reply.enrolled is not None]
    sales = [sale(card, (number % 40) * 1_00 + 10_00, f"s{number}") for number, card in enumerate(cards)]
    execute(database, sales, live)
    at = START.replace(month=7, day=1)
    with database.begin() as connection:
        set_clock(connection, at)
    members = [reply.outcome.member_id for reply in enrolled if isinstance(reply.outcome, Entry)]
    with as_owner(database) as connection:
        connection.exec_driver_sql(
            "CREATE FUNCTION cut_off() RETURNS trigger LANGUAGE plpgsql AS"
            f" $$ BEGIN IF NEW.member_id = {members[-1]} THEN RAISE 'cut off'; END IF; RETURN NEW; END $$;"
            " CREATE TRIGGER cut_off BEFORE INSERT ON voucher FOR EACH ROW EXECUTE FUNCTION cut_off()"
        )
    with pytest.raises(DBAPIError, match="cut off"):
        convert_due(database, date(2017, 7, 1))
    made = text("SELECT count(*), count(DISTINCT member_id) FROM voucher")
    with database.connect() as connection:
        before = connection.execute(made).one()
    # who was converted already earns on: that is for the next quarter
    execute(database, [sale(cards[10], 100_00, "meanwhile", at=at)], live)
    with as_owner(database) as connection:
        connection.exec_driver_sql("DROP TRIGGER cut_off ON voucher")
    after = convert_due(database, date(2017, 7, 1))
    assert convert_due(database, date(2017, 7, 2)) == 0
    # 10 to 49 points a member: those of 20 or more, in steps of ten; the first 10 had too few before
    points = [number % 40 + 10 for number in range(1_100)]
    converted = [many // 10 * 10 for many in points if many >= 20]
    with database.connect() as connection:
        total = connection.execute(made).one()
        escrow = text("SELECT sum(points) FROM posting WHERE credit = 9")
        assert connection.execute(escrow).scalar_one() == sum(converted)
    assert 0 < before[0] < len(converted)
    assert tuple(total) == (len(converted), len(converted))
    assert before[0] + after == total[0]
    assert whole(database) == []


@pytest.mark.parametrize("then", ["", '[conversion]\nvoucher = "paper"\nminimum = 50\n'])
def test_a_late_night_converts_by_the_programme_of_the_quarters_first_day(
    database: Engine, live: Rules, then: str
) -> None:
    """A day later another version is live, with no conversion or a higher minimum: it does not matter."""
    card = new_card(database, live)
    run(database, live, sale(card, 45_00, "s"))
    late = START.replace(month=7, day=2)
    with database.begin() as connection:
        set_clock(connection, late)
        source = SOURCE[: SOURCE.index("[conversion]")] + then
        apply_programme(connection, source, at=late, applied_by="checker")
    assert convert_due(database, late.date()) == 1
    made = text("SELECT programme_version, amount_minor FROM voucher JOIN entry USING (member_id, entry_id)")
    with database.connect() as connection:
        assert connection.execute(made).one() == (1, 400)
    assert convert_due(database, late.date()) == 0
    assert whole(database) == []


def test_a_code_that_earns_nothing_is_not_used_up(database: Engine, live: Rules) -> None:
    """A refused registration leaves the pack to the next, in one batch too; a replay is no second use."""
    card = new_card(database, live)
    wrong = registration(card, 7, "wrong outlet")
    commands: list[Any] = [
        Accrue(**{**{n: getattr(wrong, n) for n in wrong.__struct_fields__}, "outlet_code": "none"}),
        registration(card, 7, "right"),
        registration(card, 7, "twice"),
        registration(card, 7, "right"),
        registration(card, 1_000, "beyond"),
    ]
    replies = execute(database, commands, live)
    said = [one.outcome.reason if isinstance(one.outcome, Rejected) else "" for one in replies]
    assert said == ["outlet_unknown", "", "pack_used", "", "pack_unknown"]
    assert [one.replayed for one in replies] == [False, False, False, True, False]
    assert whole(database) == []
