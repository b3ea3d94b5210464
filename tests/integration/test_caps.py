"""Caps at the till, on a real database: what fits is taken to the last point, what does not is refused.

Petrol funds on redeem: each of its points may cost .0080, the most that another gets. With a cap of 0.80 it
may have a hundred of them out.
"""

import threading
from collections.abc import Sequence
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from sqlalchemy import Engine, text

from network import adjustments
from network.batch import Known, _runs, _transact, execute
from network.caps import Exposure, Level
from network.commands import Accrue, Command, LoadValue, SpendValue
from network.errors import RulesStale
from network.explaining import explain
from network.exposure_store import Move, read_exposures, read_moves, watch
from network.outcomes import Rejected, Reply
from network.rules import Rules
from network.service import lapse_expired, load_rules, set_clock
from network.store import load_entries
from partners.model import Terms
from partners.store import add_terms
from settlement import exposure_rows, runs
from settlement.payments import move_cover
from settlement.service import clear_due
from settlement.verify import problems
from tests.coalition import (
    BANK,
    GROCER,
    HOTEL,
    OUTLET,
    PETROL,
    PROGRAMME,
    START,
    VALUE,
    burn,
    entry_of,
    new_card,
    reserve,
    run,
    sale,
    set_up,
    take,
    terms,
    undo,
)
from tests.hooks import endpoint

DAY = timedelta(days=1)
CAP = Decimal("0.80")


def with_caps(database: Engine, *changed: Terms, source: str = PROGRAMME, **given: Any) -> Rules:
    """The coalition; petrol may come to owe 0.80, others have no cap."""
    petrol = msgspec.structs.replace(terms(PETROL), **{"net_debit_cap": CAP, **given})
    contracts = {one.partner_id: one for one in (terms(GROCER), petrol, terms(HOTEL), terms(BANK), *changed)}
    set_up(database, contracts=list(contracts.values()), source=source)
    return rebuilt(database)


def rebuilt(database: Engine) -> Rules:
    """Rules after the rows were made anew."""
    with database.begin() as connection:
        exposure_rows.rebuild(connection)
    with database.connect() as connection:
        return load_rules(connection)


def fuel(card: int, points: int, reference: str, **given: Any) -> Accrue:
    """A sale of petrol's that earns so many points, two of a unit each."""
    return sale(card, points * 200, reference, partner_id=PETROL, **given)


def exposure(database: Engine, live: Rules, partner_id: int = PETROL) -> Exposure:
    """How a partner stands, after a recount has found nothing."""
    with database.connect() as connection:
        assert exposure_rows.differences(connection) == []
        return {one.partner_id: one for one in read_exposures(connection, live, START.date())}[partner_id]


def moves(database: Engine) -> list[tuple[int, int, int, str]]:
    """Who came from which level to which, and who saw it; the first first."""
    with database.connect() as connection:
        found = read_moves(connection)
    return [(one.partner_id, one.level_before, one.level, one.seen_by) for one in reversed(found)]


def said(replies: Sequence[Reply]) -> list[str]:
    """Of each reply, why it was refused, or that it was not."""
    return [one.outcome.reason if isinstance(one.outcome, Rejected) else "accepted" for one in replies]


def test_the_last_point_fits_and_one_more_does_not(database: Engine) -> None:
    """Ninety-nine points, two, one: the two are refused, and with the one the cap is reached exactly."""
    live = with_caps(database)
    card = new_card(database, live)
    asked = [fuel(card, points, f"s{points}") for points in (99, 2, 1)]
    assert [said(execute(database, [one], live)) for one in asked] == [
        ["accepted"],
        ["cap_reached"],
        ["accepted"],
    ]
    found = exposure(database, live)
    assert (found.amount, found.limit, found.level) == (CAP, CAP, Level.ALARM)
    assert moves(database) == [(PETROL, 0, 2, "commit")]


SPONSORED = """
[[rule]]
id = "fuel"
says = "Petrol doubles the grocer's points"
when = { partners = ["grocer"] }
award = { points = 1, per = 100 }
fund = { who = "petrol" }
"""


def test_a_sponsor_at_its_cap_gives_nothing_and_the_sale_goes_through(database: Engine) -> None:
    """What petrol pays at the grocer's tills counts for petrol's cap: what does not fit, its rule leaves out.

    In batches of one, and of all; the grocer's own points are given in any case, a return takes back what was
    given, and the record says why there was no more.
    """
    live = with_caps(database, source=PROGRAMME + SPONSORED)
    card = new_card(database, live)
    first = [
        entry_of(execute(database, [sale(card, amount, f"s{amount}")], live)[0]) for amount in (9000, 1100)
    ]
    assert [one.points for one in first] == [180, 11]
    rest = [sale(card, amount, f"s{amount}") for amount in (800, 300, 200, 100)]
    assert [entry_of(one).points for one in execute(database, rest, live)] == [16, 3, 4, 1]
    found = exposure(database, live)
    assert (found.amount, found.level) == (CAP, Level.ALARM)
    with database.connect() as connection:
        recorded = load_entries(connection, [first[1].entry_id])[first[1].entry_id]
    told = explain(recorded, live)
    assert [(one.rule, one.points, one.reason) for one in told.steps] == [
        ("fuel", 0, "funder_cannot_pay"),
        ("earn.default", 11, ""),
    ]
    assert told.payers == {"grocer": 11}
    assert run(database, live, undo(first[1], "r")).points == -11
    assert exposure(database, live).amount == CAP


def test_a_till_at_its_cap_is_refused_whoever_sponsors_it(database: Engine) -> None:
    """Petrol doubles the hotel's points, and the hotel is at its cap: its sale is refused."""
    hotel = msgspec.structs.replace(terms(HOTEL), net_debit_cap=CAP)
    live = with_caps(database, hotel, source=PROGRAMME + SPONSORED.replace("grocer", "hotel"))
    card = new_card(database, live)
    asked = [sale(card, amount, f"s{amount}", partner_id=HOTEL) for amount in (3300, 100)]
    assert said(execute(database, asked, live)) == ["accepted", "cap_reached"]
    assert [exposure(database, live, one).points for one in (PETROL, HOTEL)] == [33, 99]


def test_two_sponsors_of_which_one_is_at_its_cap(database: Engine) -> None:
    """An exclusive rule of petrol's stands before the hotel's: where petrol has no room the hotel's counts.

    The hotel is met only when the batch is judged under locks, and has a cap of its own.
    """
    two = SPONSORED.replace("[[rule]]", "[[rule]]\nexclusive = true", 1).replace("points = 1,", "points = 2,")
    other = SPONSORED.replace('id = "fuel"', 'id = "room"\nexclusive = true').replace('"petrol"', '"hotel"')
    hotel = msgspec.structs.replace(terms(HOTEL), net_debit_cap=CAP)
    live = with_caps(database, hotel, source=PROGRAMME + two + other)
    card = new_card(database, live)
    asked = [sale(card, amount, f"s{amount}") for amount in (5000, 6000, 4100, 4000)]
    assert [entry_of(one).points for one in execute(database, asked, live)] == [150, 120, 41, 80]
    assert [exposure(database, live, one).points for one in (PETROL, HOTEL)] == [100, 100]


def test_a_refusal_is_remembered_and_a_new_reference_is_judged_anew(database: Engine) -> None:
    """The reference that was refused stays so when there is room; a later one is taken."""
    live = with_caps(database)
    card = new_card(database, live)
    run(database, live, fuel(card, 100, "full"))
    [first] = execute(database, [fuel(card, 30, "late")], live)
    run(database, live, burn(card, 40, "spent", partner_id=PETROL))
    [again] = execute(database, [fuel(card, 30, "late")], live)
    assert (first.outcome, again.outcome, again.replayed) == (*[Rejected("cap_reached")] * 2, True)
    [other] = execute(database, [fuel(card, 31, "late")], live)
    assert other.outcome == Rejected("reference_reused")
    assert run(database, live, fuel(card, 30, "later")).points == 30
    assert exposure(database, live).amount == Decimal("0.72")


def test_one_refused_leaves_its_neighbours_alone(database: Engine) -> None:
    """In one batch: what fits, what does not, what fits after it, and other partners'."""
    live = with_caps(database)
    cards = [new_card(database, live, f"enrol {n}") for n in range(3)]
    replies = execute(
        database,
        [
            fuel(cards[0], 60, "a"),
            fuel(cards[1], 41, "b"),
            sale(cards[1], 500_00, "c"),
            fuel(cards[2], 40, "d"),
            fuel(cards[0], 1, "e"),
        ],
        live,
    )
    assert said(replies) == ["accepted", "cap_reached", "accepted", "accepted", "cap_reached"]
    assert exposure(database, live).amount == CAP


def test_a_batch_is_what_batches_of_one_would_be(database: Engine) -> None:
    """A sale that does not fit when its turn comes is refused, though a redemption after it makes room."""
    live = with_caps(database)
    card = new_card(database, live)
    asked: list[Command] = [
        fuel(card, 90, "a"),
        fuel(card, 20, "b"),
        burn(card, 50, "c"),
        fuel(card, 60, "d"),
        fuel(card, 10, "e"),
    ]
    found = said(execute(database, asked, live))
    # 50 points at the hotel cost .40: owed instead of outstanding, so that they make no room.
    assert found == ["accepted", "cap_reached", "accepted", "cap_reached", "accepted"]
    assert exposure(database, live).amount == CAP


def test_what_depended_on_a_refused_sale_is_decided_again(database: Engine) -> None:
    """A reward that would have drawn the refused points is refused itself, and takes nobody else's."""
    live = with_caps(database)
    card = new_card(database, live)
    found = execute(database, [fuel(card, 101, "a"), burn(card, 101, "b"), fuel(card, 100, "c")], live)
    assert said(found) == ["cap_reached", "insufficient_points", "accepted"]
    assert exposure(database, live).points == 100


def test_a_deposit_counts_beside_the_cap(database: Engine) -> None:
    """Cash that was left as cover lets a partner owe more, from the moment it is booked."""
    live = with_caps(database)
    card = new_card(database, live)
    [before] = execute(database, [fuel(card, 150, "a")], live)
    with database.begin() as connection:
        move_cover(
            connection,
            account="deposit",
            participant_id=PETROL,
            currency="USD",
            amount_minor=40,
            reference="d",
            booked_on=START.date(),
            by="cleo",
            at=START,
        )
    after = execute(database, [fuel(card, 150, "b"), fuel(card, 1, "c")], live)
    assert said([before, *after]) == ["cap_reached", "accepted", "cap_reached"]
    assert exposure(database, live).limit == Decimal("1.20")


def test_who_is_flagged_goes_over_and_is_seen(database: Engine) -> None:
    """`flag`: nothing is refused; warning, alarm and excess are on record, each way back too."""
    live = with_caps(database, at_cap="flag")
    card = new_card(database, live)
    for reference, points in (("a", 80), ("b", 15), ("c", 10)):
        run(database, live, fuel(card, points, reference))
    spent = run(database, live, burn(card, 105, "d", partner_id=PETROL))
    assert moves(database) == [
        (PETROL, 0, 1, "commit"),
        (PETROL, 1, 2, "commit"),
        (PETROL, 2, 3, "commit"),
        (PETROL, 3, 0, "commit"),
    ]
    run(database, live, undo(spent, "e"))
    assert moves(database)[4:] == [(PETROL, 0, 3, "commit")]
    assert exposure(database, live).amount == Decimal("0.84")


def test_redemptions_and_returns_are_never_refused(database: Engine) -> None:
    """Over its limit by a return, a partner's points are still spent, held, captured; only sales wait."""
    live = with_caps(database)
    card = new_card(database, live)
    run(database, live, fuel(card, 100, "a"))
    spent = run(database, live, burn(card, 50, "b", partner_id=PETROL))
    run(database, live, fuel(card, 50, "c"))
    run(database, live, undo(spent, "d"))
    assert exposure(database, live).level is Level.OVER
    assert said(execute(database, [fuel(card, 1, "e")], live)) == ["cap_reached"]
    run(database, live, burn(card, 50, "f"))
    held = run(database, live, reserve(card, 50, "g"))
    run(database, live, take(held, 20, "h"))
    assert exposure(database, live).amount == Decimal("1.20")


def test_an_adjustment_that_gives_is_tested_too(database: Engine) -> None:
    """An operator gives what the partner pays for: as a sale; what it takes back is never refused."""
    live = with_caps(database)
    card = new_card(database, live)
    said_of = []
    for points in (100, 1, -1):
        standing = adjustments.prepare(
            database,
            live,
            card_number=card,
            points=points,
            issuer="petrol",
            reason="a reason",
            evidence="a letter",
            by="anna",
        )
        said_of.append((standing.entry_id is not None, standing.refusal))
    assert said_of == [(True, None), (False, "cap_reached"), (True, None)]
    assert exposure(database, live).points == 99


def test_a_lower_cap_at_midnight(database: Engine) -> None:
    """From its day on a version halves the cap: nothing is taken back, no sale fits, the worker sees it."""
    live = with_caps(database)
    card = new_card(database, live)
    run(database, live, fuel(card, 70, "a"))
    lower = msgspec.structs.replace(
        terms(PETROL, version=2, effective_on=date(2017, 5, 2)), net_debit_cap=CAP / 2
    )
    with database.begin() as connection:
        add_terms(connection, [lower], prepared_by="maker", activated_by="checker")
        exposure_rows.contracts_changed(connection)
    with pytest.raises(RulesStale):
        execute(database, [fuel(card, 1, "b")], live)
    with database.connect() as connection:
        live = load_rules(connection)
    assert said(execute(database, [fuel(card, 1, "b")], live)) == ["accepted"]
    assert watch(database, live) == []
    with database.begin() as connection:
        set_clock(connection, START + DAY)
    [seen] = watch(database, live)
    assert (seen.level_before, seen.level, seen.amount, seen.limit_amount) == (
        0,
        3,
        Decimal("0.568"),
        CAP / 2,
    )
    assert watch(database, live) == []
    assert said(execute(database, [fuel(card, 1, "c", at=START + DAY)], live)) == ["cap_reached"]
    assert moves(database) == [(PETROL, 0, 3, "worker")]


def test_a_rate_that_rises_is_seen(database: Engine) -> None:
    """Another's new contract pays more for a point: what is out may cost more, and who is over is known."""
    live = with_caps(database)
    card = new_card(database, live)
    run(database, live, fuel(card, 90, "a"))
    dearer = terms(HOTEL, version=2, effective_on=date(2017, 5, 2), reimbursement_rate="0.0100")
    with database.begin() as connection:
        add_terms(connection, [dearer], prepared_by="maker", activated_by="checker")
        exposure_rows.contracts_changed(connection)
        set_clock(connection, START + DAY)
        live = load_rules(connection)
    assert [(one.level, one.amount) for one in watch(database, live)] == [(3, Decimal("0.9"))]


def test_who_is_suspended_is_refused_for_that(database: Engine) -> None:
    """The refusal says so rather than that a cap is reached, and is remembered."""
    live = with_caps(database)
    card = new_card(database, live)
    run(database, live, fuel(card, 100, "a"))
    with database.begin() as connection:
        connection.execute(text("UPDATE partner SET status = 'suspended' WHERE partner_id = 12"))
        live = load_rules(connection)
    refused = [execute(database, [fuel(card, 1, "b")], live)[0] for _ in range(2)]
    assert [(said([one])[0], one.replayed) for one in refused] == [
        ("partner_not_active", False),
        ("partner_not_active", True),
    ]


def test_what_is_not_committed_has_not_happened(database: Engine, owner_database: Engine) -> None:
    """A connection that dies between decision and commit leaves row, record and reference as they were."""
    live = with_caps(database)
    card = new_card(database, live)
    asked = [fuel(card, 100, "a"), fuel(card, 1, "b")]
    with database.connect() as connection:
        replies = _transact(connection, Known(at_cap={PETROL}), _runs(asked)[0], live)
        assert said(replies) == ["accepted", "cap_reached"]
        process = connection.execute(text("SELECT pg_backend_pid()")).scalar_one()
        with owner_database.begin() as other:
            other.execute(text("SELECT pg_terminate_backend(:pid, 10000)"), {"pid": process})
        connection.invalidate()
    assert exposure(database, live).amount == 0
    assert moves(database) == []
    assert said(execute(database, asked[::-1], live)) == ["accepted", "cap_reached"]


def test_one_row_each_serves_many_processes(database: Engine, migrated_url: Any) -> None:
    """Eight threads with connections of their own fill two partners' caps: to the last point, and not over.

    Each sends batches in which sales of both stand in either order, and redemptions among them.
    """
    hotel = msgspec.structs.replace(terms(HOTEL), net_debit_cap=CAP)
    live = with_caps(database, hotel)
    cards = [new_card(database, live, f"enrol {n}") for n in range(8)]
    found: list[str] = []

    def work(number: int) -> None:
        for turn in range(12):
            batch = [
                fuel(cards[number], 3, f"f {number} {turn}"),
                sale(cards[number], 100, f"h {number} {turn}", partner_id=HOTEL),
            ]
            found.extend(said(execute(database, batch[:: 1 if number % 2 else -1], live)))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 192
    assert set(found) == {"accepted", "cap_reached"}
    assert [exposure(database, live, one).points for one in (PETROL, HOTEL)] == [99, 99]
    assert found.count("accepted") == 33 + 33


def test_nights_move_the_row_and_a_recount_finds_the_same(database: Engine) -> None:
    """Through nights with fees, VAT, a reopened run and expiry: after each step a recount finds nothing."""
    fees = {
        "fee_per_transaction": Decimal("0.015"),
        "fee_bps_of_credits": Decimal(125),
        "vat_bps": 2000,
        "net_debit_cap": Decimal(100),
    }
    hotel, grocer = (msgspec.structs.replace(terms(one), **fees) for one in (HOTEL, GROCER))
    live = with_caps(database, hotel, grocer, net_debit_cap=Decimal(100))
    card = new_card(database, live)
    run(database, live, fuel(card, 500, "a"))
    run(database, live, sale(card, 300_00, "b"))
    run(database, live, burn(card, 250, "c"))
    run(database, live, reserve(card, 100, "d", minutes=40_000))
    for day in (1, 2):
        with database.begin() as connection:
            set_clock(connection, START + day * DAY)
        clear_due(database, START + day * DAY)
        exposure(database, live)
        run(database, live, burn(card, 10, f"e{day}", at=START + day * DAY))
    runs.reopen(database, START.date(), reason="a mistake", by="max", at=START + 2 * DAY)
    exposure(database, live)
    clear_due(database, START + 2 * DAY)
    exposure(database, live)
    with database.connect() as connection:
        assert problems(connection) == []
    lapsed = lapse_expired(database, START.date() + 130 * DAY, 1)
    assert lapsed.points > 0
    assert exposure(database, live).points == 0


def test_verify_names_a_row_that_is_wrong(database: Engine) -> None:
    """A cent too much in a row, a cap without one: `verify` says whose, and a rebuild mends both."""
    live = with_caps(database)
    card = new_card(database, live)
    run(database, live, fuel(card, 10, "a"))
    with database.begin() as connection:
        connection.execute(text("UPDATE exposure SET owed = owed + 0.01, points = points - 1"))
        add_terms(
            connection,
            [msgspec.structs.replace(terms(HOTEL, version=2, effective_on=START.date()), net_debit_cap=CAP)],
            prepared_by="maker",
            activated_by="checker",
        )
    with database.connect() as connection:
        found = [(one.where, one.detail) for one in problems(connection)]
    assert [where for where, _ in found] == ["partner 13", "partner 12 USD"]
    assert "owed 0.01, held 0, points 9" in found[1][1]
    assert "owed 0, held 0, points 10" in found[1][1]
    rebuilt(database)
    with database.connect() as connection:
        assert problems(connection) == []


def test_a_partner_that_listens_is_told_once_a_window(database: Engine) -> None:
    """Of warning and alarm, and not again when it comes back to them; by the batch itself, with figures."""
    live = with_caps(database)
    endpoint(database, PETROL, types=("exposure.warning",))
    with database.connect() as connection:
        live = load_rules(connection)
    card = new_card(database, live)
    for turn in range(2):
        run(database, live, fuel(card, 80, f"a {turn}"))
        run(database, live, fuel(card, 20, f"b {turn}"))
        run(database, live, burn(card, 100, f"c {turn}", partner_id=PETROL))
    with database.connect() as connection:
        bodies = connection.execute(
            text("SELECT body FROM webhook_event WHERE partner_id = 12 ORDER BY event_id")
        ).scalars()
        told = [msgspec.json.decode(body) for body in bodies]
    assert len(moves(database)) == 6
    assert sorted((one["level"], one["exposure"], one["limit"], one["business_date"]) for one in told) == [
        ("alarm", "0.800000000000", "0.8000", "2017-05-01"),
        ("warning", "0.640000000000", "0.8000", "2017-05-01"),
    ]


def test_moves_are_never_changed(database: Engine) -> None:
    """The record of warnings is append-only, whoever asks."""
    live = with_caps(database)
    run(database, live, fuel(new_card(database, live), 100, "a"))
    with pytest.raises(Exception, match="permission denied"), database.begin() as connection:
        connection.execute(text("DELETE FROM exposure_move"))
    with database.connect() as connection:
        assert isinstance(read_moves(connection)[0], Move)


def money(kind: Any, card: int, amount: int, reference: str, partner_id: int = PETROL) -> Command:
    """A load, spend or refund of stored value."""
    command: Command = kind(
        partner_id=partner_id,
        reference=reference,
        occurred_at=START,
        outlet_code=OUTLET,
        card_number=card,
        amount_minor=amount,
        currency="USD",
    )
    return command


def test_money_that_was_loaded_is_owed_at_once(database: Engine) -> None:
    """What petrol takes for stored value it owes, and it takes no more than it may come to owe.

    Who honours it is owed it; a load is refused at the cap like a sale, what is spent or paid back never.
    """
    live = with_caps(database, source=PROGRAMME + VALUE, net_debit_cap=Decimal(30))
    card = new_card(database, live)
    assert said(execute(database, [money(LoadValue, card, 20_00, "a")], live)) == ["accepted"]
    assert (exposure(database, live).amount, exposure(database, live).level) == (Decimal(20), Level.WITHIN)
    batch = [money(LoadValue, card, 11_00, "b"), money(LoadValue, card, 10_00, "c"), fuel(card, 1, "d")]
    assert said(execute(database, batch, live)) == ["cap_reached", "accepted", "cap_reached"]
    assert exposure(database, live).level is Level.ALARM
    run(database, live, money(SpendValue, card, 25_00, "e", PETROL))
    assert exposure(database, live).amount == Decimal(5)
    run(database, live, fuel(card, 100, "f"))
    with database.begin() as connection:
        set_clock(connection, START + DAY)
    clear_due(database, START + DAY)
    assert exposure(database, live).amount == Decimal("5.80")
    runs.reopen(database, START.date(), reason="a mistake", by="max", at=START + DAY)
    assert exposure(database, live).amount == Decimal("5.80")
    clear_due(database, START + DAY)
    with database.connect() as connection:
        assert problems(connection) == []


def test_partners_without_a_cap_have_no_row(database: Engine) -> None:
    """Nothing is locked or written for them, and the figures are of those that have one."""
    live = with_caps(database)
    card = new_card(database, live)
    assert entry_of(execute(database, [sale(card, 900_00, "a")], live)[0]).points == 900
    with database.connect() as connection:
        rows = connection.execute(text("SELECT partner_id, currency FROM exposure")).all()
    assert [tuple(row) for row in rows] == [(PETROL, "USD")]
