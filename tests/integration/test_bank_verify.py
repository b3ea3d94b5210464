"""Checks of the bank: silent through every kind of night, loud on every planted fault."""

from decimal import Decimal

import pytest
from sqlalchemy import Engine, text

from network.verify import faults
from settlement.bank.paying import refund_files
from settlement.verify import CHECKS
from settlement.verify_bank import BANK_CHECKS
from tests.conftest import as_owner
from tests.factories import A, B, D
from tests.integration.test_bank import Night, iban, name_of
from tests.pretend_bank import Entry


def found(database: Engine) -> list[tuple[str, str, str]]:
    """Check, place and detail of every problem of the bank that the night's checks find."""
    ours = [check for check in CHECKS if check in BANK_CHECKS]
    with database.connect() as connection:
        return [(one.check, one.where, one.detail) for check in ours for one in faults(connection, check)]


@pytest.fixture
def eventful(database: Engine) -> Night:
    """A night with a partial payment, a surplus sent back, a charge, a deposit, and pay-outs that left."""
    night = Night(database)
    night.pay_in(A, D)
    night.receive(Decimal("154.42"), end_to_end_id=name_of(A, "in"), name="A", iban=iban(77))
    night.receive(Decimal("500.00"), end_to_end_id=name_of(D, "in"))
    night.receive(Decimal("250.00"), text="deposit")
    night.bank.book(Entry(amount=Decimal("-3.50")))
    night.read()
    surplus, _, deposit, charge = night.open()
    night.resolve(surplus, "refund")
    night.resolve(deposit, "deposit", participant_id=D)
    night.resolve(charge, "charge")
    night.receive(Decimal("57.09"), end_to_end_id=name_of(D, "in"))
    night.read()
    assert night.advance() == "funded"
    night.bank.pay(night.send())
    with database.begin() as connection:
        night.bank.pay(refund_files(connection, by="anna")[-1].content)
    night.read()
    assert night.advance() == "settled"
    return night


def test_a_sound_bank_has_no_problems(eventful: Night) -> None:
    """Whatever happened, by the rules nothing is wrong."""
    assert found(eventful.database) == []


@pytest.mark.parametrize(
    ("table", "fault", "check", "detail"),
    [
        (
            "bank_statement",
            "UPDATE bank_statement SET closing_minor = closing_minor + 1 WHERE statement_no = 3",
            "statements_add_up",
            "-1 EUR minor units are left over",
        ),
        (
            "bank_statement",
            "UPDATE bank_statement SET (opening_minor, closing_minor) = (0, closing_minor - opening_minor)",
            "statements_add_up",
            "it opens -5709 EUR minor units off the one before",
        ),
        (
            "bank_booking",
            "DELETE FROM bank_booking WHERE statement_no = 2",
            "transactions_are_booked",
            "5709 minor units are not booked",
        ),
        (
            "bank_booking",
            "UPDATE bank_booking SET amount_minor = 5708 WHERE statement_no = 2",
            "transactions_are_booked",
            "57.08 by the statement, 57.09 in the money ledger",
        ),
        (
            "payment_file_line",
            f"UPDATE payment_file_line SET iban = '{iban(666)}' WHERE participant_id = {B}",
            "pay_outs_to_approved_accounts",
            f"{name_of(B, 'out')} was paid to {iban(666)}, which was not in use",
        ),
        (
            "payment_file_line",
            f"UPDATE payment_file_line SET amount_minor = amount_minor + 1 WHERE participant_id = {B}",
            "pay_outs_to_approved_accounts",
            f"{name_of(B, 'out')} was paid as nobody had instructed it",
        ),
        (
            "payment_file_line",
            "UPDATE payment_file_line SET amount_minor = 11 WHERE end_to_end_id LIKE 'REFUND%'",
            "pay_outs_to_approved_accounts",
            "REFUND-0000000001 was sent back as nobody had approved it",
        ),
        (
            "bank_resolution",
            "UPDATE bank_resolution SET amount_minor = 25001 WHERE way = 'deposit'",
            "ways_out_within_exceptions",
            "25001 of 25000 minor units are resolved",
        ),
    ],
)
def test_every_fault_is_named(eventful: Night, table: str, fault: str, check: str, detail: str) -> None:
    """What the owner plants past all triggers is found, by the check that is for it."""
    with as_owner(eventful.database) as connection:
        connection.execute(text(f"ALTER TABLE {table} DISABLE TRIGGER USER"))
        assert connection.execute(text(fault)).rowcount > 0
    assert (check, detail) in {(name, said) for name, _, said in found(eventful.database)}
