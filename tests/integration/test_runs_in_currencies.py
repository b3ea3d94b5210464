"""Runs of several currencies, and runs that defer small amounts, on a real PostgreSQL."""

from datetime import date, timedelta
from decimal import Decimal

import msgspec
from sqlalchemy import Engine, text

from network.service import window_id_of
from partners.model import FX_ID, Participant
from partners.store import add_participants
from settlement.model import NightResult
from settlement.payments import Booking, due_of, record_payments
from settlement.runs import advance, instruct, reopen
from settlement.service import clear
from settlement.verify import problems
from tests.factories import A, B, C, contract
from tests.integration.test_night import FIRST, OVER, PROGRAMME, burn, clear_first, post, set_up
from tests.integration.test_runs import LATER, VALUE, approved, instructed, money_faults, standing, state

FIXING = text(
    "INSERT INTO fx_rate (source, base, quote, fixed_on, revision, rate, prepared_by, activated_by)"
    " VALUES ('ECB', 'EUR', :quote, :on, :revision, :rate, 'anna', 'bert')"
)


def fix(database: Engine, quote: str, rate: str, *, on: date = FIRST, revision: int = 1) -> None:
    """A fixing of the euro that two people have put down."""
    with database.begin() as connection:
        connection.execute(FIXING, {"quote": quote, "on": on, "revision": revision, "rate": Decimal(rate)})


def of_three_currencies(database: Engine) -> NightResult:
    """A settles in euros, B in yen, C in dinars; 1,000 of A's points at B, 5,000 of C's at A."""
    set_up(
        database,
        [
            contract(A, rate="0.0080"),
            contract(B, currency="JPY", price="1", rate="1.2"),
            contract(C, currency="KWD", price="0.003", rate="0.003"),
        ],
    )
    with database.begin() as connection:
        add_participants(connection, [Participant(partner_id=FX_ID, code="fx", name="FX", kind="fx")])
    fix(database, "JPY", "120", on=date(2017, 4, 28))
    fix(database, "KWD", "0.3350", on=date(2017, 4, 28))
    fix(database, "KWD", "0.9999", on=date(2017, 5, 2))  # after the business date: not for this night
    post(database, [burn(A, B, 1_000), burn(C, A, 5_000)])
    return clear_first(database)


def finals(night: NightResult) -> dict[tuple[int, str], int]:
    """Final positions that are not zero, in minor units."""
    return {(one.participant_id, one.currency): one.final_minor for one in night.positions if one.final_minor}


def settle(database: Engine, on: date) -> None:
    """The bank books what is due, in and out, and the run is taken as far as that goes."""
    for way in ("in", "out"):
        with database.begin() as connection:
            bookings = [
                Booking(
                    end_to_end_id=one.end_to_end_id,
                    amount_minor=one.due_minor,
                    payment_reference=f"paid {one.end_to_end_id}",
                    booked_on=VALUE,
                )
                for one in due_of(connection, window_id_of(on))
                if one.direction == way
            ]
            record_payments(connection, bookings, by="bank", at=LATER)
        assert money_faults(database) == []
        advance(database, on, at=LATER)


def test_a_corrected_fixing_is_another_revision(database: Engine) -> None:
    """1,200 yen are 10.00 euros, and 9.60 at the fixing that is put right; dinars have three digits."""
    first = of_three_currencies(database)
    # B +1,200 yen, from A at 120 to the euro; A +40.00 euros, from C at .3350 dinars
    assert finals(first) == {
        (A, "EUR"): 3_000,
        (B, "JPY"): 1_200,
        (C, "KWD"): -13_400,
        (FX_ID, "EUR"): -3_000,
        (FX_ID, "JPY"): -1_200,
        (FX_ID, "KWD"): 13_400,
    }
    assert money_faults(database) == []
    fix(database, "JPY", "125", on=date(2017, 4, 28), revision=2)
    reopen(database, FIRST, reason="the fixing of the yen was wrong", by="anna", at=LATER)
    again = clear_first(database)
    assert again.revision == 2
    assert again.obligations == first.obligations
    assert {key: minor for key, minor in finals(again).items() if key[1] == "EUR"} == {
        (A, "EUR"): 3_040,
        (FX_ID, "EUR"): -3_040,
    }
    assert money_faults(database) == []
    with database.connect() as connection:
        assert problems(connection) == []


def test_three_currencies_are_paid_and_final(database: Engine) -> None:
    """Each currency comes in and goes out by itself; the FX account pays euros and yen, and gets dinars."""
    of_three_currencies(database)
    approved(database)
    payments = instruct(database, FIRST, by="anna", at=LATER)
    assert {(one.participant_id, one.direction, one.currency, one.amount_minor) for one in payments} == {
        (A, "out", "EUR", 3_000),
        (B, "out", "JPY", 1_200),
        (C, "in", "KWD", 13_400),
        (FX_ID, "out", "KWD", 13_400),
        (FX_ID, "in", "EUR", 3_000),
        (FX_ID, "in", "JPY", 1_200),
    }
    settle(database, FIRST)
    assert state(database) == (1, "settled")
    assert standing(database, "receivable", "payable", "suspense") == {}
    with database.connect() as connection:
        hub = text(
            "SELECT currency, sum(amount) FROM money_posting WHERE account = 'cash' AND participant_id = 0"
            " GROUP BY 1 HAVING sum(amount) <> 0"
        )
        assert connection.execute(hub).all() == []
        assert problems(connection) == []


def test_small_amounts_are_carried_until_they_are_worth_a_payment(database: Engine) -> None:
    """A owes 0.40, below its 5.00, and pays 6.40 a night later; the hub's own money bridges one night."""
    careful = msgspec.structs.replace(contract(A), minimum_payment_minor=500)
    set_up(database, [careful, contract(B)])
    second = FIRST + timedelta(days=1)
    post(database, [burn(A, B, 50)])
    clear_first(database)
    assert standing(database, "carried", "payable", "receivable") == {
        ("carried", A): "0.4",
        ("payable", B): "-0.4",
    }
    instructed(database)
    settle(database, FIRST)
    assert state(database) == (1, "settled")
    assert standing(database, "cash", "carried") == {("cash", 0): "-0.4", ("carried", A): "0.4"}
    post(database, [burn(A, B, 750)], on=second)
    clear(database, second, at=OVER + timedelta(days=1), programme_version=PROGRAMME)
    assert standing(database, "carried", "receivable") == {("receivable", A): "6.4"}
    instructed(database, second)
    settle(database, second)
    assert state(database, 20170502) == (1, "settled")
    assert standing(database, "cash", "carried", "receivable", "payable") == {}
    with database.connect() as connection:
        assert problems(connection) == []
