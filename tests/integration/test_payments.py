"""Payments that are not as asked, unknown money, and defaults, on a real PostgreSQL."""

from collections.abc import Sequence
from uuid import UUID

import pytest
from sqlalchemy import Engine

from settlement.errors import FourEyesNeeded, NotFinal, PaymentRefused, RunNotReady
from settlement.money_model import DefaultCase, DefaultOverlay
from settlement.overlay import case_hash, decide_case, propose_case
from settlement.payments import Unplaced, instruct_again, move_cover, release_suspense, suspend_payments
from settlement.runs import advance
from tests.factories import OPERATOR, A, B, C, D
from tests.integration.test_night import FIRST
from tests.integration.test_runs import (
    LATER,
    VALUE,
    WINDOW,
    instructed,
    money_faults,
    pay,
    standing,
    state,
    worked,
)


def case(missing: int, lines: Sequence[tuple[str, int, int]]) -> tuple[DefaultCase, list[DefaultOverlay]]:
    """A default case of D with its lines (rung, participant, minor units)."""
    overlays = [
        DefaultOverlay(line=number, rung=rung, participant_id=party, amount_minor=minor)  # type: ignore[arg-type]  # rungs as text
        for number, (rung, party, minor) in enumerate(lines, start=1)
    ]
    return DefaultCase(
        case_id=UUID(int=7),
        window_id=WINDOW,
        revision=1,
        debtor_id=D,
        currency="EUR",
        missing_minor=missing,
        sha256=case_hash(overlays),
        reason="its pay-in did not come",
        proposed_by="anna",
        proposed_at=LATER,
    ), overlays


def test_a_default_is_an_approved_overlay(database: Engine) -> None:
    """D misses 557.09: its deposit pays 300.00, A, B and C bear 29.30, 54.96 and 172.83; it is final."""
    worked(database)
    with database.begin() as connection:
        move_cover(
            connection,
            account="deposit",
            participant_id=D,
            currency="EUR",
            amount_minor=30_000,
            reference="deposit of D",
            booked_on=FIRST,
            by="bank",
            at=LATER,
        )
    payments = instructed(database)
    for party in (A, C):
        pay(database, payments[party, "in"])
    proposed, lines = case(
        55_709, [("deposit", D, 30_000), ("loss", A, 2_930), ("loss", B, 5_496), ("loss", C, 17_283)]
    )
    with database.begin() as connection:
        propose_case(connection, proposed, lines)
    with pytest.raises(FourEyesNeeded), database.begin() as connection:
        decide_case(connection, proposed.case_id, sha256=proposed.sha256, approved=True, by="anna", at=LATER)
    with database.begin() as connection:
        added = decide_case(
            connection, proposed.case_id, sha256=proposed.sha256, approved=True, by="bert", at=LATER
        )
    assert [(one.participant_id, one.direction, one.amount_minor, one.attempt) for one in added] == [
        (A, "in", 2_930, 2),
        (C, "in", 17_283, 2),
    ]
    assert money_faults(database) == []
    assert advance(database, FIRST, at=LATER) == "instructed"
    for one in added:
        pay(database, one)
    assert advance(database, FIRST, at=LATER) == "funded"
    pay(database, payments[B, "out"], 34_956)
    pay(database, payments[OPERATOR, "out"])
    assert advance(database, FIRST, at=LATER) == "settled"
    assert standing(database, "receivable", "payable", "deposit", "suspense") == {}
    assert standing(database, "cash") == {("cash", OPERATOR): "375.83"}
    assert money_faults(database) == []


def test_lines_that_do_not_come_to_what_is_missing_are_refused(database: Engine) -> None:
    """A case is exact, within what the debtor is to pay, and covered by what is there."""
    worked(database)
    instructed(database)
    short, lines = case(55_709, [("loss", A, 55_708)])
    with pytest.raises(PaymentRefused, match="come to 55708"), database.begin() as connection:
        propose_case(connection, short, lines)
    long, lines = case(55_710, [("loss", A, 55_710)])
    with pytest.raises(PaymentRefused, match="is to pay 55709"), database.begin() as connection:
        propose_case(connection, long, lines)
    uncovered, lines = case(55_709, [("deposit", D, 55_709)])
    with database.begin() as connection:
        propose_case(connection, uncovered, lines)
    with pytest.raises(PaymentRefused, match="holds 0"), database.begin() as connection:
        decide_case(
            connection, uncovered.case_id, sha256=uncovered.sha256, approved=True, by="bert", at=LATER
        )
    assert money_faults(database) == []


def test_payments_that_are_not_as_asked(database: Engine) -> None:
    """In parts, too much, twice, returned, out too early: each is booked so; only what is right is final."""
    worked(database)
    payments = instructed(database)
    with pytest.raises(RunNotReady, match="pay-ins come first"):
        pay(database, payments[B, "out"])
    pay(database, payments[A, "in"], 5_432, reference="part 1")
    pay(database, payments[A, "in"], 5_432, reference="part 1")
    with pytest.raises(PaymentRefused, match="another payment"):
        pay(database, payments[A, "in"], 5_433, reference="part 1")
    with pytest.raises(PaymentRefused, match="another payment"):
        pay(database, payments[C, "in"], 5_432, reference="part 1")
    pay(database, payments[A, "in"], 10_500, reference="part 2")
    assert standing(database, "suspense") == {("suspense", A): "-5"}
    pay(database, payments[C, "in"])
    pay(database, payments[C, "in"], -6_894, reference="returned")
    with pytest.raises(PaymentRefused, match="0 were booked"):
        pay(database, payments[C, "in"], -1, reference="returned once more")
    pay(database, payments[D, "in"])
    assert advance(database, FIRST, at=LATER) == "instructed"
    with database.begin() as connection:
        again = instruct_again(connection, payments[C, "in"].end_to_end_id, by="anna", at=LATER)
        with pytest.raises(PaymentRefused, match="nothing came back"):
            instruct_again(connection, payments[D, "in"].end_to_end_id, by="anna", at=LATER)
    assert (again.amount_minor, again.attempt) == (6_894, 2)
    pay(database, again)
    assert advance(database, FIRST, at=LATER) == "funded"
    for party in (B, OPERATOR):
        pay(database, payments[party, "out"])
    with pytest.raises(NotFinal, match="suspense"):
        advance(database, FIRST, at=LATER)
    assert money_faults(database) == []
    with database.begin() as connection:
        release_suspense(
            connection,
            amount_minor=500,
            currency="EUR",
            to="back",
            payment_reference="refund 1",
            booked_on=VALUE,
            by="anna",
            at=LATER,
            participant_id=A,
            run=(WINDOW, 1),
        )
    with pytest.raises(NotFinal, match="a statement is missing"):
        advance(database, FIRST, at=LATER, objections=lambda _, __: ["a statement is missing"])
    assert state(database) == (1, "paid")
    assert advance(database, FIRST, at=LATER) == "settled"
    with pytest.raises(RunNotReady, match="settled"):
        pay(database, payments[C, "in"], -1, reference="too late")
    assert money_faults(database) == []


def test_unknown_money_waits_in_suspense(database: Engine) -> None:
    """Money that nobody expected is booked, found to be for an instruction, or the bank's own charge."""
    worked(database)
    payments = instructed(database)

    def release(minor: int, to: str, reference: str) -> bool:
        with database.begin() as connection:
            return release_suspense(
                connection,
                amount_minor=minor,
                currency="EUR",
                to=to,
                payment_reference=reference,
                booked_on=VALUE,
                by="anna",
                at=LATER,
            )

    for minor, reference in ((15_432, "unknown 1"), (-250, "fees of May"), (15_432, "unknown 1")):
        with database.begin() as connection:
            found = Unplaced(amount_minor=minor, currency="EUR", payment_reference=reference, booked_on=VALUE)
            suspend_payments(connection, [found], by="bank", at=LATER)
    assert standing(database, "suspense", "cash") == {("suspense", 0): "-151.82", ("cash", 0): "151.82"}
    with pytest.raises(PaymentRefused, match="not in suspense"):
        release(15_433, "back", "too much")
    assert release(15_182, payments[A, "in"].end_to_end_id, "found")
    assert not release(15_182, payments[A, "in"].end_to_end_id, "found")
    assert standing(database, "suspense", "cash") == {("cash", 0): "151.82"}
    assert standing(database, "receivable")["receivable", A] == "2.5"
    assert money_faults(database) == []
