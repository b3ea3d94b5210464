"""A default on a real night: simulated, proposed, decided by another, booked."""

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DBAPIError

from partners.model import FX_ID, FxRate, Participant, Terms
from partners.people.audit import chain_faults
from partners.rates_store import add_fixings
from partners.store import add_participants
from settlement import defaults, runs
from settlement.defaults import KeptCase
from settlement.errors import (
    ApprovalStale,
    CannotUnwind,
    FourEyesNeeded,
    NothingMissing,
    PaymentRefused,
    RunNotReady,
)
from settlement.ledger_store import balances
from settlement.payments import due_of, move_cover, record_payment
from settlement.service import clear
from settlement.verify import problems
from tests.conftest import as_owner
from tests.factories import OPERATOR, POOL, A, B, C, D, contract
from tests.integration.test_night import (
    FIRST,
    OVER,
    PROGRAMME,
    WORKED_TERMS,
    burn,
    post,
    sale,
    set_up,
    worked_night,
)

WINDOW = 20170501
NEXT = date(2017, 5, 2)


def put_down(
    database: Engine, participant_id: int, minor: int, account: str = "deposit", currency: str = "EUR"
) -> None:
    """Cash that a partner leaves as cover."""
    with database.begin() as connection:
        move_cover(
            connection,
            account="deposit" if account == "deposit" else "guarantee",
            participant_id=participant_id,
            currency=currency,
            amount_minor=minor,
            reference=f"{account} {participant_id} {minor}",
            booked_on=FIRST,
            by="anna",
            at=OVER,
        )


def instruct_first(database: Engine) -> None:
    """Settle, approve and instruct the first business date."""
    clear(database, FIRST, at=OVER, programme_version=PROGRAMME)
    proposal = runs.propose_run(database, FIRST, by="anna", at=OVER)
    runs.approve_run(database, FIRST, sha256=proposal.sha256, by="bert", at=OVER)
    runs.instruct(database, FIRST, by="anna", at=OVER)


def worked(database: Engine, terms: list[Terms] | None = None) -> None:
    """The worked night, instructed; D has left a deposit of 300.00."""
    set_up(database, terms or WORKED_TERMS)
    post(database, worked_night())
    put_down(database, D, 30000)
    instruct_first(database)


def propose(database: Engine, debtor_id: int = D, **given: object) -> KeptCase:
    """Anna proposes a case about a debtor of the first night."""
    return defaults.propose(
        database,
        FIRST,
        debtor_id,
        currency="EUR",
        reason="nothing came",
        by="anna",
        at=OVER,
        **given,  # type: ignore[arg-type]  # way and carry
    )


def approve(database: Engine, kept: KeptCase, by: str = "bert") -> defaults.Decided:
    """Another person approves what was simulated."""
    return defaults.decide(database, kept.case.case_id, sha256=kept.sha256, approve=True, by=by, at=OVER)


def lines(kept: KeptCase) -> list[tuple[str, int, int]]:
    """Rung, participant and minor units of a case's lines."""
    return [(one.rung, one.participant_id, one.amount_minor) for one in kept.simulation.lines]


def status(database: Engine, partner_id: int) -> str:
    """How a partner stands."""
    with database.connect() as connection:
        found = connection.execute(
            text("SELECT status FROM partner WHERE partner_id = :id"), {"id": partner_id}
        )
        return str(found.scalar_one())


def dues(database: Engine, window_id: int = WINDOW) -> dict[tuple[int, str], int]:
    """What is due of each participant's payments, by way, minor units."""
    found: dict[tuple[int, str], int] = {}
    with database.connect() as connection:
        for one in due_of(connection, window_id):
            key = (one.participant_id, one.direction)
            found[key] = found.get(key, 0) + one.due_minor
    return {key: minor for key, minor in found.items() if minor}


def pay_all(database: Engine, direction: str, window_id: int = WINDOW) -> None:
    """The bank books all that is due one way."""
    with database.begin() as connection:
        for one in due_of(connection, window_id):
            if one.direction == direction and one.due_minor > one.booked_minor:
                record_payment(
                    connection,
                    end_to_end_id=one.end_to_end_id,
                    amount_minor=one.due_minor - one.booked_minor,
                    payment_reference=f"paid {one.end_to_end_id}",
                    booked_on=NEXT,
                    by="bank",
                    at=OVER,
                )


def sound(database: Engine) -> None:
    """Every check of the nights and of the money ledger holds, and the record of people is a whole chain.

    But for what is outstanding: the postings of these tests have no members.
    """
    with database.connect() as connection:
        assert [one for one in problems(connection) if one.check != "pool_covers_outstanding"] == []
        assert chain_faults(connection) == []


def test_worked_default_on_a_night(database: Engine) -> None:
    """D does not pay: deposit 300.00, then A 29.30, B 54.96, C 172.83; all is paid and the night settles."""
    worked(database)
    kept = propose(database)
    assert kept.simulation.missing_minor == 55709
    assert lines(kept) == [("deposit", D, 30000), ("loss", A, 2930), ("loss", B, 5496), ("loss", C, 17283)]
    assert kept.simulation.after == {OPERATOR: 37583, POOL: 0, A: -18362, B: 34956, C: -24177, D: 0}
    assert [one.gets for one in kept.simulation.vector if one.first] == ["3257/100"]
    decided = approve(database, kept)
    assert decided.suspended
    assert status(database, D) == "suspended"
    assert dues(database) == {
        (OPERATOR, "out"): 37583,
        (A, "in"): 18362,
        (B, "out"): 34956,
        (C, "in"): 24177,
    }
    pay_all(database, "in")
    assert runs.advance(database, FIRST, at=OVER) == "funded"
    pay_all(database, "out")
    assert runs.advance(database, FIRST, at=OVER) == "settled"
    with database.connect() as connection:
        held = balances(connection, "deposit", "receivable", "payable")
    assert held == {}
    sound(database)


def test_who_proposed_does_not_decide_and_the_hash_binds(database: Engine) -> None:
    """Anna cannot approve her own case; another hash is refused; a case is decided once."""
    worked(database)
    kept = propose(database)
    with pytest.raises(FourEyesNeeded):
        approve(database, kept, by="anna")
    with pytest.raises(ApprovalStale, match="the simulation of case"):
        defaults.decide(database, kept.case.case_id, sha256=bytes(32), approve=True, by="bert", at=OVER)
    with pytest.raises(ApprovalStale, match="decide it first"):
        propose(database)
    refused = defaults.decide(
        database, kept.case.case_id, sha256=kept.sha256, approve=False, by="bert", at=OVER
    )
    assert (refused.kept.case.approved, refused.suspended, status(database, D)) == (False, False, "active")
    with pytest.raises(ApprovalStale):
        approve(database, kept)
    again = propose(database)
    assert again.sha256 == kept.sha256
    approve(database, again)
    with pytest.raises(ApprovalStale, match="it was approved"):
        propose(database)
    sound(database)


def test_what_was_simulated_is_kept_and_cannot_be_changed(database: Engine, owner_database: Engine) -> None:
    """The simulation stays as it was seen, even for the owner; the database checks its hash."""
    worked(database)
    kept = propose(database)
    with database.connect() as connection:
        [read] = defaults.load_cases(connection, window_id=WINDOW, undecided=True)
    assert read == kept
    for statement in ("UPDATE default_simulation SET body = '{}'", "DELETE FROM default_simulation"):
        with pytest.raises(DBAPIError), owner_database.begin() as connection:
            connection.execute(text(statement))


def test_a_case_that_would_do_something_else_is_refused(database: Engine) -> None:
    """D pays a part after the simulation: approving it would do what nobody looked at."""
    worked(database)
    kept = propose(database)
    with database.begin() as connection:
        [mine] = [one for one in due_of(connection, WINDOW) if one.participant_id == D]
        record_payment(
            connection,
            end_to_end_id=mine.end_to_end_id,
            amount_minor=10000,
            payment_reference="paid 1",
            booked_on=NEXT,
            by="bank",
            at=OVER,
        )
    with pytest.raises(ApprovalStale, match="would not do now"):
        approve(database, kept)
    defaults.decide(database, kept.case.case_id, sha256=kept.sha256, approve=False, by="bert", at=OVER)
    again = propose(database)
    assert again.simulation.missing_minor == 45709
    assert sum(minor for rung, _, minor in lines(again) if rung == "loss") == 15709
    approve(database, again)
    pay_all(database, "in")
    assert runs.advance(database, FIRST, at=OVER) == "funded"
    sound(database)


def test_the_fund_and_the_carry_come_before_the_creditors(database: Engine) -> None:
    """D's own part of the fund, the others' in proportion, a loan until the next night, then losses."""
    worked(database)
    put_down(database, D, 709, "guarantee")
    put_down(database, A, 10000, "guarantee")
    put_down(database, B, 5000, "guarantee")
    kept = propose(database, carry_minor=4000)
    assert lines(kept)[:5] == [
        *(("deposit", D, 30000), ("guarantee", A, 10000), ("guarantee", B, 5000)),
        *(("guarantee", D, 709), ("carry", D, 4000)),
    ]
    assert sum(minor for rung, _, minor in lines(kept) if rung == "loss") == 55709 - 30000 - 15709 - 4000
    approve(database, kept)
    pay_all(database, "in")
    assert runs.advance(database, FIRST, at=OVER) == "funded"
    pay_all(database, "out")
    assert runs.advance(database, FIRST, at=OVER) == "settled"
    sound(database)


def test_what_is_carried_is_owed_in_the_next_night(database: Engine) -> None:
    """D owes on: the next night's position has it, and nothing of it is lost or doubled."""
    worked(database)
    approve(database, propose(database, carry_minor=25709))
    assert dues(database) == {(OPERATOR, "out"): 37583, (A, "in"): 15432, (B, "out"): 40452, (C, "in"): 6894}
    later = datetime(2017, 5, 3, tzinfo=UTC)
    post(database, [burn(D, A, 1000)], on=NEXT)
    night = clear(database, NEXT, at=later, programme_version=PROGRAMME)
    of_d = next(one for one in night.positions if one.participant_id == D)
    assert of_d.deferred_in_minor == -25709
    assert of_d.payment_minor == of_d.final_minor - 25709
    with database.connect() as connection:
        carried = balances(connection, "carried")
    assert carried == {}
    sound(database)


def test_a_deposit_that_is_enough_suspends_nobody(database: Engine) -> None:
    """The deposit pays it all: D may go on."""
    worked(database)
    put_down(database, D, 99999)
    kept = propose(database)
    assert lines(kept) == [("deposit", D, 55709)]
    assert not approve(database, kept).suspended
    assert status(database, D) == "active"
    sound(database)


def test_unwinding_takes_the_debtor_out(database: Engine) -> None:
    """Without D: what each bears is its net claim on D; fees stay due, and the deposit pays them."""
    worked(database)
    kept = propose(database, way="unwind")
    assert kept.simulation.after[A] == -17313
    assert kept.simulation.after[B] == 34078
    assert kept.simulation.after[C] == -51091
    assert ("deposit", D, 3257) in lines(kept)
    assert sum(minor for _, _, minor in lines(kept)) == 55709
    assert sum(Decimal(amount) for _, _, amount in kept.simulation.outside) == Decimal("880.3430")
    approve(database, kept)
    pay_all(database, "in")
    assert runs.advance(database, FIRST, at=OVER) == "funded"
    pay_all(database, "out")
    assert runs.advance(database, FIRST, at=OVER) == "settled"
    sound(database)


def test_two_debtors_one_after_the_other(database: Engine) -> None:
    """C bears part of D's loss and does not pay either: its own creditors, D not among them, bear it."""
    worked(database)
    approve(database, propose(database))
    kept = propose(database, C)
    assert kept.simulation.missing_minor == 24177
    assert {party for rung, party, _ in lines(kept) if rung == "loss"} <= {A, B, OPERATOR}
    assert sum(minor for _, _, minor in lines(kept)) == 24177
    with pytest.raises(CannotUnwind):
        defaults.propose(database, FIRST, A, currency="EUR", way="unwind", reason="late", by="anna", at=OVER)
    approve(database, kept)
    pay_all(database, "in")
    assert runs.advance(database, FIRST, at=OVER) == "funded"
    pay_all(database, "out")
    assert runs.advance(database, FIRST, at=OVER) == "settled"
    sound(database)


def pay_part(database: Engine, participant_id: int, minor: int) -> None:
    """The bank books a part of what somebody is to pay in."""
    with database.begin() as connection:
        [one] = [
            one
            for one in due_of(connection, WINDOW)
            if (one.participant_id, one.direction) == (participant_id, "in")
        ]
        record_payment(
            connection,
            end_to_end_id=one.end_to_end_id,
            amount_minor=minor,
            payment_reference=f"a part {one.end_to_end_id}",
            booked_on=NEXT,
            by="bank",
            at=OVER,
        )


def settled_after(database: Engine, kept: KeptCase) -> None:
    """A case is approved, all that is due then is paid, and the run is settled."""
    approve(database, kept)
    pay_all(database, "in")
    assert runs.advance(database, FIRST, at=OVER) == "funded"
    pay_all(database, "out")
    assert runs.advance(database, FIRST, at=OVER) == "settled"
    sound(database)


def test_what_an_earlier_debtor_paid_is_not_missing_again(database: Engine) -> None:
    """D paid 100.00 and defaulted with the rest; C's case is of what C misses, and D bears none of it."""
    worked(database)
    pay_part(database, D, 10000)
    approve(database, propose(database))
    kept = propose(database, C)
    assert sum(minor for _, _, minor in lines(kept)) == kept.simulation.missing_minor
    assert {party for _, party, _ in lines(kept)} <= {A, B, OPERATOR}
    settled_after(database, kept)


def test_a_part_that_is_taken_back_after_the_case_is_another_case(database: Engine) -> None:
    """D's case was about 257.09 beside its 300.00; these are taken back, and then covered like the rest."""
    worked(database)
    pay_part(database, D, 30000)
    first = propose(database)
    assert lines(first) == [("deposit", D, 25709)]
    approve(database, first)
    with database.begin() as connection:
        [one] = [one for one in due_of(connection, WINDOW) if one.participant_id == D]
        record_payment(
            connection,
            end_to_end_id=one.end_to_end_id,
            amount_minor=-30000,
            payment_reference="taken back",
            booked_on=NEXT,
            by="bank",
            at=OVER,
        )
    with pytest.raises(CannotUnwind):
        propose(database, way="unwind")
    kept = propose(database)
    assert kept.simulation.missing_minor == 30000
    assert lines(kept)[0] == ("deposit", D, 30000 - 25709)
    with pytest.raises(ApprovalStale, match="decide it first"):
        propose(database)
    settled_after(database, kept)
    assert status(database, D) == "suspended"


def test_what_is_left_of_an_earlier_debtors_deposit_bears_its_loss(database: Engine) -> None:
    """D's deposit paid 557.09 and has 30.00 left: they bear what D loses when C, its debtor, misses, too."""
    worked(database)
    put_down(database, D, 28709)
    approve(database, propose(database))
    assert status(database, D) == "active"
    kept = propose(database, C)
    assert sum(minor for _, _, minor in lines(kept)) == kept.simulation.missing_minor == 6894
    of_d = [(rung, minor) for rung, party, minor in lines(kept) if party == D]
    assert [rung for rung, _ in of_d] == ["deposit"]
    assert 0 < of_d[0][1] <= 3000
    settled_after(database, kept)
    assert status(database, D) == "active"


def test_after_one_was_unwound_another_goes_up_the_ladder(database: Engine) -> None:
    """D's debts and claims went back to their pairs: of what C misses D bears nothing, and gets nothing."""
    worked(database)
    approve(database, propose(database, way="unwind"))
    kept = propose(database, C)
    assert sum(minor for _, _, minor in lines(kept)) == kept.simulation.missing_minor > 0
    assert {party for _, party, _ in lines(kept)} <= {A, B, OPERATOR}
    assert D not in {one.creditor_id for one in kept.simulation.vector}
    settled_after(database, kept)


def test_the_pool_never_loses(database: Engine) -> None:
    """D funds at issue and does not pay the pool: the operator bears it, so that points stay good."""
    terms = [
        contract(A, rate="0.0080", share="1", price="0.0100"),
        contract(B, rate="0.0075"),
        contract(C, rate="0.0085"),
        contract(D, rate="0.0070", share="1", price="0.0100"),
    ]
    set_up(database, terms)
    post(database, [sale(D, 50_000), burn(D, A, 1000)])
    instruct_first(database)
    kept = propose(database)
    assert {(rung, party) for rung, party, _ in lines(kept)} == {("loss", OPERATOR)}
    approve(database, kept)
    pay_all(database, "in")
    assert runs.advance(database, FIRST, at=OVER) == "funded"
    pay_all(database, "out")
    assert runs.advance(database, FIRST, at=OVER) == "settled"
    sound(database)


def test_while_suspended_the_contract_says_who_pays(database: Engine) -> None:
    """With `suspended_cost_to` operator the others bear nothing of what a suspended partner's points cost."""
    terms = [
        one
        if one.partner_id != D
        else contract(
            D,
            rate="0.0070",
            per_point="0.0004",
            per_transaction="0.015",
            bps="125",
            vat_bps=2000,
            suspended_cost_to="operator",
        )
        for one in WORKED_TERMS
    ]
    worked(database, terms)
    approve(database, propose(database))
    assert status(database, D) == "suspended"
    later = datetime(2017, 5, 3, tzinfo=UTC)
    post(database, [burn(D, A, 10_000)], on=NEXT)
    clear(database, NEXT, at=later, programme_version=PROGRAMME)
    proposal = runs.propose_run(database, NEXT, by="anna", at=later)
    runs.approve_run(database, NEXT, sha256=proposal.sha256, by="bert", at=later)
    runs.instruct(database, NEXT, by="anna", at=later)
    kept = defaults.propose(database, NEXT, D, currency="EUR", reason="suspended", by="anna", at=later)
    assert kept.simulation.to_operator
    assert {(rung, party) for rung, party, _ in lines(kept)} == {("loss", OPERATOR)}
    defaults.decide(database, kept.case.case_id, sha256=kept.sha256, approve=True, by="bert", at=later)
    sound(database)


def test_cases_belong_between_instructed_and_paid(database: Engine) -> None:
    """Not before the payments are instructed, not of who has nothing to pay, not when all has been paid."""
    set_up(database, WORKED_TERMS)
    post(database, worked_night())
    clear(database, FIRST, at=OVER, programme_version=PROGRAMME)
    with pytest.raises(RunNotReady, match="is netted"):
        propose(database)
    proposal = runs.propose_run(database, FIRST, by="anna", at=OVER)
    runs.approve_run(database, FIRST, sha256=proposal.sha256, by="bert", at=OVER)
    runs.instruct(database, FIRST, by="anna", at=OVER)
    with pytest.raises(NothingMissing):
        propose(database, B)
    with pytest.raises(NothingMissing, match="reason"):
        defaults.propose(database, FIRST, D, currency="EUR", reason=" ", by="anna", at=OVER)
    pay_all(database, "in")
    runs.advance(database, FIRST, at=OVER)
    with pytest.raises(NothingMissing):
        propose(database)


def test_cover_that_has_gone_is_not_used(database: Engine) -> None:
    """The deposit goes back to D between simulation and decision: the case does not do what was seen."""
    worked(database)
    kept = propose(database)
    put_down(database, D, -10000)
    with pytest.raises((ApprovalStale, PaymentRefused)):
        approve(database, kept)


def test_of_many_who_decide_at_once_one_does(database: Engine) -> None:
    """Eight approve the same case at the same moment: it is booked once, and the others are told."""
    worked(database)
    kept = propose(database)
    start = threading.Barrier(8)

    def decide(number: int) -> bool:
        start.wait()
        try:
            approve(database, kept, by=f"checker{number}")
        except ApprovalStale:
            return False
        return True

    with ThreadPoolExecutor(8) as people:
        assert sum(people.map(decide, range(8))) == 1
    with database.connect() as connection:
        booked = connection.execute(text("SELECT count(*) FROM money_entry WHERE kind = 'overlay'"))
        assert booked.scalar_one() == 1
    sound(database)


def take_back(connection: Connection, reference: str) -> None:
    """D's deposit of 300.00 goes back."""
    move_cover(
        connection,
        account="deposit",
        participant_id=D,
        currency="EUR",
        amount_minor=-30000,
        reference=reference,
        booked_on=FIRST,
        by="anna",
        at=OVER,
    )


def test_cover_goes_back_once(database: Engine) -> None:
    """While one transaction takes the deposit back, another waits, and then finds nothing left."""
    set_up(database, WORKED_TERMS)
    put_down(database, D, 30000)

    def second() -> str:
        try:
            with database.begin() as connection:
                take_back(connection, "second")
        except PaymentRefused as refused:
            return str(refused)
        return "taken twice"

    with ThreadPoolExecutor(1) as other, database.begin() as connection:
        take_back(connection, "first")
        waiting = other.submit(second)
        with pytest.raises(TimeoutError):
            waiting.result(timeout=0.5)
        connection.commit()
        assert "holds 0 EUR" in waiting.result(timeout=20)


def test_between_currencies_the_operator_bears_the_loss(database: Engine) -> None:
    """D settles in dollars and owes A 8.00 euro: the FX account stood between, and that is the operator's.

    What D owes B, in its own currency, B bears; A is paid in euro as if nothing had happened.
    """
    terms = [
        contract(A, rate="0.0080"),
        contract(B, rate="0.0100", currency="USD"),
        contract(C, rate="0.0085"),
        contract(D, rate="0.0070", currency="USD"),
    ]
    set_up(database, terms)
    with database.begin() as connection:
        fx = Participant(partner_id=FX_ID, code="fx", name="FX account", kind="fx")
        add_participants(connection, [fx])
        rate = FxRate(
            source="bank", base="EUR", quote="USD", fixed_on=FIRST, revision=1, rate=Decimal("1.25")
        )
        add_fixings(connection, [rate], prepared_by="anna", activated_by="bert")
    post(database, [burn(D, A, 1000), burn(D, B, 1000)])
    instruct_first(database)
    before = dues(database)
    kept = defaults.propose(database, FIRST, D, currency="USD", reason="nothing", by="anna", at=OVER)
    assert kept.simulation.missing_minor == 2000
    assert lines(kept) == [("loss", OPERATOR, 1000), ("loss", B, 1000)]
    approve(database, kept)
    assert dues(database)[A, "out"] == before[A, "out"] == 800
    for way, state in (("in", "funded"), ("out", "settled")):
        pay_all(database, way)
        assert runs.advance(database, FIRST, at=OVER) == state
    sound(database)


@pytest.mark.parametrize(
    ("statement", "where"),
    [
        ("UPDATE default_overlay SET amount_minor = amount_minor + 1 WHERE line = 1", "its lines"),
        (
            "UPDATE default_overlay SET participant_id = 12 WHERE rung = 'carry'",
            "not those that were simulated",
        ),
        ("DELETE FROM default_carry", "is in no later window"),
        ("UPDATE partner SET status = 'left' WHERE partner_id = 11", "nobody stands in for it"),
        ("INSERT INTO stand_in VALUES (11, 20170501, 1, 'x', now())", "has left, and has a debt"),
        ("INSERT INTO stand_in VALUES (14, 20990101, 12, 'x', now())", "12 stands in for it"),
    ],
)
def test_verify_names_what_was_tampered_with(
    database: Engine, owner_database: Engine, statement: str, where: str
) -> None:
    """Whoever owns the tables can change a case, a carry or a leaver: it is told."""
    worked(database)
    approve(database, propose(database, carry_minor=1000))
    sound(database)
    with as_owner(owner_database) as connection:
        for table in ("default_overlay", "default_carry"):
            connection.execute(text(f"ALTER TABLE {table} DISABLE TRIGGER USER"))
        connection.execute(text(statement))
    with database.connect() as connection:
        found = [one for one in problems(connection) if one.check in _OURS]
    assert any(where in one.detail for one in found), found


_OURS = {"defaults_are_as_simulated", "leavers_are_stood_in_for"}
