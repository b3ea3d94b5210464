"""A run from netted to settled on a real PostgreSQL: approved by two, paid, and final to the cent."""

import threading
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from decimal import Decimal
from random import Random

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import IntegrityError

from config.database import make_engine
from network.verify import faults
from partners.people.audit import chain_faults, read_page
from settlement import store
from settlement.errors import (
    ApprovalStale,
    FourEyesNeeded,
    NightOutOfOrder,
    RunNotReady,
)
from settlement.ledger_store import balances
from settlement.model import NightResult, Step
from settlement.money_model import Account, Instruction
from settlement.payments import (
    due_of,
    record_payment,
)
from settlement.runs import advance, approve_run, instruct, propose_run, refuse_run, reopen
from settlement.service import book_netted_nights, clear, close_step, net_step, price_step
from settlement.verify_money import MONEY_CHECKS
from tests.conftest import SCHEMA, Run, database_on
from tests.factories import OPERATOR, POOL, A, B, C, D, contract
from tests.integration.test_night import (
    FIRST,
    OVER,
    PROGRAMME,
    WORKED_TERMS,
    burn,
    clear_first,
    post,
    sale,
    set_up,
    worked_night,
)

SECOND = FIRST + timedelta(days=1)
LATER = OVER + timedelta(hours=9)
VALUE = date(2017, 5, 3)
"""One business day after the cut-off of 1 May."""
WINDOW = 20170501
WORKED = {OPERATOR: 37583, A: -15432, B: 40452, C: -6894, D: -55709}


@pytest.fixture
def second_database(server: Run) -> Iterator[Engine]:
    """Another database like `database`, to compare with."""
    with database_on(server, template=server.template) as url:
        engine = make_engine(url, schema=SCHEMA)
        yield engine
        engine.dispose()


def worked(database: Engine) -> NightResult:
    """The worked night of four partners, netted."""
    set_up(database, WORKED_TERMS)
    post(database, worked_night())
    return clear_first(database)


def approved(database: Engine, on: date = FIRST) -> None:
    """Two people approve a netted run."""
    proposal = propose_run(database, on, by="anna", at=LATER)
    approve_run(database, on, sha256=proposal.sha256, by="bert", at=LATER)


def instructed(database: Engine, on: date = FIRST) -> dict[tuple[int, str], Instruction]:
    """A run's payments by participant and direction, approved and instructed."""
    approved(database, on)
    return {(one.participant_id, one.direction): one for one in instruct(database, on, by="anna", at=LATER)}


def pay(
    database: Engine, one: Instruction, minor: int | None = None, *, reference: str | None = None
) -> None:
    """The bank books a payment, in full unless said."""
    with database.begin() as connection:
        record_payment(
            connection,
            end_to_end_id=one.end_to_end_id,
            amount_minor=one.amount_minor if minor is None else minor,
            payment_reference=reference or f"paid {one.end_to_end_id}",
            booked_on=VALUE,
            by="bank",
            at=LATER,
        )


def standing(database: Engine, *accounts: Account) -> dict[tuple[str, int], str]:
    """Accounts of the money ledger that are not at zero, as text."""
    with database.connect() as connection:
        found = balances(connection, *accounts)
    return {(account, party): f"{amount.normalize():f}" for (account, party, _), amount in found.items()}


def money_faults(database: Engine) -> list[str]:
    """What `verify` says of the money ledger."""
    with database.connect() as connection:
        return [str(problem) for check in MONEY_CHECKS for problem in faults(connection, check)]


def hashes(database: Engine, window_id: int = WINDOW) -> dict[Step, bytes]:
    """The hash of every step that is done."""
    with database.connect() as connection:
        return store.load_hashes(connection, [window_id])[window_id]


def state(database: Engine, window_id: int = WINDOW) -> tuple[int, str]:
    """Revision and state of the run that lives."""
    with database.connect() as connection:
        run = store.live_run(connection, window_id)
    return run.revision, run.state


def test_the_worked_night_is_paid_to_the_cent(database: Engine) -> None:
    """From netted to settled: 780.35 in, 780.35 out, and the money ledger right after every step."""
    worked(database)
    assert standing(database, "receivable", "payable") == {
        ("receivable", A): "154.32",
        ("receivable", C): "68.94",
        ("receivable", D): "557.09",
        ("payable", B): "-404.52",
        ("payable", OPERATOR): "-375.83",
    }
    assert standing(database, "fees", "vat") == {
        ("fees", A): "-143.17",
        ("fees", B): "-88.84",
        ("fees", C): "-54.04",
        ("fees", D): "-27.14",
        ("vat", A): "-28.63",
        ("vat", B): "-17.77",
        ("vat", C): "-10.81",
        ("vat", D): "-5.43",
    }
    assert standing(database, "rounding", "carried", "claim", "margin") == {
        ("rounding", A): "0.004",
        ("rounding", B): "0.003",
        ("rounding", C): "-0.006",
        ("rounding", D): "-0.001",
        ("claim", OPERATOR): "375.83",
    }
    assert money_faults(database) == []
    payments = instructed(database)
    assert {party: one.amount_minor for (party, way), one in payments.items() if way == "in"} == {
        A: 15432,
        C: 6894,
        D: 55709,
    }
    assert {party: one.amount_minor for (party, way), one in payments.items() if way == "out"} == {
        B: 40452,
        OPERATOR: 37583,
    }
    assert {one.value_on for one in payments.values()} == {VALUE}
    for done, party in enumerate((A, C, D), start=1):
        assert advance(database, FIRST, at=LATER) == "instructed"
        pay(database, payments[party, "in"])
        assert money_faults(database) == []
        assert len(standing(database, "receivable")) == 3 - done
    assert standing(database, "cash") == {("cash", 0): "780.35"}
    assert advance(database, FIRST, at=LATER) == "funded"
    pay(database, payments[B, "out"])
    assert advance(database, FIRST, at=LATER) == "funded"
    pay(database, payments[OPERATOR, "out"])
    assert advance(database, FIRST, at=LATER) == "settled"
    assert advance(database, FIRST, at=LATER) == "settled"
    assert standing(database, "receivable", "payable", "claim", "suspense", "carried") == {}
    assert standing(database, "cash") == {("cash", OPERATOR): "375.83"}
    assert set(hashes(database)) == {
        *("closed", "priced", "netted", "approved", "instructed", "funded", "paid", "settled")
    }
    assert money_faults(database) == []


def test_the_pools_money_is_what_its_points_are_worth(database: Engine) -> None:
    """6,000.08 for 600,008 points go through the hub into the pool's own account."""
    set_up(database, [contract(A, share="1", price="0.0100", rate="0.008"), contract(B)])
    post(database, [sale(A, 600_008)])
    clear_first(database)
    assert standing(database, "pool", "claim") == {("pool", POOL): "-6000.08", ("claim", POOL): "6000.08"}
    payments = instructed(database)
    pay(database, payments[A, "in"])
    advance(database, FIRST, at=LATER)
    pay(database, payments[POOL, "out"])
    assert advance(database, FIRST, at=LATER) == "settled"
    assert standing(database, "pool", "claim", "cash") == {
        ("pool", POOL): "-6000.08",
        ("cash", POOL): "6000.08",
    }
    assert money_faults(database) == []


def through(database: Engine) -> list[Callable[[], object]]:
    """Every step of the first night, one call each, as processes would make them."""

    def book(way: str) -> None:
        with database.connect() as connection:
            due = due_of(connection, WINDOW)
        for one in due:
            if one.direction == way:
                with database.begin() as connection:
                    record_payment(
                        connection,
                        end_to_end_id=one.end_to_end_id,
                        amount_minor=one.due_minor,
                        payment_reference=f"paid {one.end_to_end_id}",
                        booked_on=VALUE,
                        by="bank",
                        at=LATER,
                    )

    return [
        lambda: close_step(database, FIRST, at=OVER),
        lambda: price_step(database, FIRST, at=OVER, programme_version=PROGRAMME),
        lambda: net_step(database, FIRST, at=OVER),
        lambda: approved(database),
        lambda: instruct(database, FIRST, by="anna", at=LATER),
        lambda: book("in"),
        lambda: advance(database, FIRST, at=LATER),
        lambda: book("out"),
        lambda: advance(database, FIRST, at=LATER),
    ]


def test_killed_at_any_step_a_run_goes_on_to_the_same_hashes(
    database: Engine, second_database: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each step dies once at its last statement, leaves nothing, and done again ends as if nothing had been.

    The other database is written in another order, and dies nowhere.
    """
    shuffled = worked_night()
    Random(11).shuffle(shuffled)
    for engine, movements in ((database, worked_night()), (second_database, shuffled)):
        set_up(engine, WORKED_TERMS)
        post(engine, movements)
    finish = store.finish_step
    died: list[str] = []

    def die_first(*arguments: object) -> None:
        step = str(arguments[2])
        if step not in died:
            died.append(step)
            raise KeyboardInterrupt
        finish(*arguments)  # type: ignore[arg-type]  # passed on as they came

    monkeypatch.setattr(store, "finish_step", die_first)
    for step in through(database):
        while True:
            before = counts(database)
            try:
                step()
            except KeyboardInterrupt:
                if died[-1] not in ("approved", "paid", "settled"):  # a step before it in the same call stood
                    assert counts(database) == before
                # what a person did before that stands: somebody else decides it, or it is done again
                if died[-1] == "approved":
                    refuse_run(database, FIRST, reason="the server died", by="bert", at=LATER)
                continue
            break
    monkeypatch.undo()
    for step in through(second_database):
        step()
    assert died == ["closed", "priced", "netted", "approved", "instructed", "funded", "paid", "settled"]
    assert state(database) == state(second_database) == (1, "settled")
    assert hashes(database) == hashes(second_database)
    assert money_faults(database) == money_faults(second_database) == []


def counts(database: Engine) -> dict[str, int]:
    """Rows of what a run writes."""
    with database.connect() as connection:
        return {
            name: connection.execute(text(f"SELECT count(*) FROM {name}")).scalar_one()
            for name in (
                *("settlement_run", "settlement_step", "window_total", "obligation", "net_position"),
                *("money_entry", "money_posting", "instruction", "instruction_payment"),
            )
        }


def test_two_that_race_make_one_run(database: Engine, second_database: Engine) -> None:
    """Two take every step at once: one does it, the other finds it done; no payment is booked twice."""
    for engine in (database, second_database):
        set_up(engine, WORKED_TERMS)
        post(engine, worked_night())
    for number, (ours, theirs) in enumerate(zip(through(database), through(database), strict=True)):
        if number == 3:
            ours()  # two people approve; a second proposal is refused, which another test shows
            continue
        errors: list[BaseException] = []

        def work(step: Callable[[], object], errors: list[BaseException] = errors) -> None:
            try:
                step()
            except BaseException as error:
                errors.append(error)

        threads = [threading.Thread(target=work, args=(step,)) for step in (ours, theirs)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert errors == []
    for step in through(second_database):
        step()
    assert hashes(database) == hashes(second_database)
    assert counts(database) == counts(second_database)
    assert money_faults(database) == []


def test_four_eyes_are_two_people(database: Engine) -> None:
    """Who proposes a run does not decide it: neither the service nor the database lets it happen."""
    worked(database)
    with pytest.raises(RunNotReady, match="not proposed"):
        approve_run(database, FIRST, sha256=bytes(32), by="bert", at=LATER)
    proposal = propose_run(database, FIRST, by="anna", at=LATER)
    with pytest.raises(RunNotReady, match="proposed by anna"):
        propose_run(database, FIRST, by="bert", at=LATER)
    with pytest.raises(FourEyesNeeded, match="another person"):
        approve_run(database, FIRST, sha256=proposal.sha256, by="anna", at=LATER)
    with pytest.raises(IntegrityError, match="run_approval_four_eyes"), database.begin() as connection:
        connection.execute(
            text("UPDATE run_approval SET decided_by = 'anna', decided_at = now(), approved = true")
        )
    with pytest.raises(ApprovalStale, match="look at it again"):
        approve_run(database, FIRST, sha256=bytes(32), by="bert", at=LATER)
    refused = refuse_run(database, FIRST, reason="B's rate looks wrong", by="bert", at=LATER)
    assert (refused.approved, refused.reason) == (False, "B's rate looks wrong")
    again = propose_run(database, FIRST, by="bert", at=LATER)
    assert (again.attempt, again.sha256) == (2, proposal.sha256)
    assert approve_run(database, FIRST, sha256=again.sha256, by="anna", at=LATER).approved
    with pytest.raises(RunNotReady, match="is approved, not netted"):
        propose_run(database, FIRST, by="anna", at=LATER)


def test_an_approval_is_of_what_was_approved(database: Engine, owner_database: Engine) -> None:
    """A hash that changed after the approval stops the instructing."""
    worked(database)
    approved(database)
    with owner_database.begin() as connection:
        connection.execute(text("UPDATE settlement_step SET sha256 = sha256(sha256) WHERE step = 'netted'"))
    with pytest.raises(ApprovalStale, match="not what was approved"):
        instruct(database, FIRST, by="anna", at=LATER)


def test_a_run_that_is_aborted_is_begun_again(database: Engine) -> None:
    """Revision 2 of it and of the night after it: approvals are void, money is taken back, figures stay."""
    first = worked(database)
    post(database, [burn(A, B, 7)], on=SECOND)
    second = clear(database, SECOND, at=OVER + timedelta(days=1), programme_version=PROGRAMME)
    approved(database)
    with pytest.raises(RunNotReady, match="not netted"):
        reopen(database, date(2017, 5, 3), reason="nothing there", by="anna", at=LATER)
    begun = reopen(database, FIRST, reason="the rate of the day was wrong", by="anna", at=LATER)
    assert [(run.window_id, run.revision, run.state) for run in begun] == [
        (20170501, 2, "closed"),
        (20170502, 2, "closed"),
    ]
    assert standing(database, "receivable", "payable", "fees", "vat", "claim", "rounding") == {}
    assert money_faults(database) == []
    again = clear(database, FIRST, at=LATER, programme_version=PROGRAMME)
    assert (again.revision, again.positions, again.obligations) == (2, first.positions, first.obligations)
    assert again.hashes["netted"] != first.hashes["netted"]  # the revision is part of what is hashed
    with pytest.raises(RunNotReady, match="not proposed"):
        approve_run(database, FIRST, sha256=bytes(32), by="bert", at=LATER)
    later = clear(database, SECOND, at=OVER + timedelta(days=1), programme_version=PROGRAMME)
    assert (later.revision, later.positions) == (2, second.positions)
    assert money_faults(database) == []
    instructed(database)
    with pytest.raises(RunNotReady, match="adjustment in a later window"):
        reopen(database, FIRST, reason="too late", by="anna", at=LATER)
    approved(database, SECOND)
    assert [run.revision for run in reopen(database, SECOND, reason="alone", by="anna", at=LATER)] == [3]


def test_a_night_is_not_netted_on_one_that_was_reopened(database: Engine) -> None:
    """The second night is priced when the first is begun again: it waits for what that leaves.

    A worker that looked at the first before would else forget the fractions that it carried.
    """
    worked(database)
    over = OVER + timedelta(days=1)
    close_step(database, SECOND, at=over)
    price_step(database, SECOND, at=over, programme_version=PROGRAMME)
    reopen(database, FIRST, reason="a rate", by="anna", at=LATER)
    with pytest.raises(NightOutOfOrder, match="20170501 is not netted"):
        net_step(database, SECOND, at=over)
    clear_first(database)
    net_step(database, SECOND, at=over)
    with database.connect() as connection:
        carried = {one.participant_id: one.carried_in for one in store.load_positions(connection, 20170502)}
    assert carried[A] == Decimal("-0.004")


def test_nights_are_instructed_in_order(database: Engine) -> None:
    """The second night may be approved, and is instructed after the first."""
    worked(database)
    clear(database, SECOND, at=OVER + timedelta(days=1), programme_version=PROGRAMME)
    approved(database, SECOND)
    with pytest.raises(RunNotReady, match="2017-05-01 is not instructed"):
        instruct(database, SECOND, by="anna", at=LATER)
    instructed(database)
    assert instruct(database, SECOND, by="anna", at=LATER) == ()
    assert advance(database, SECOND, at=LATER) == "settled"


def test_the_database_refuses_money_from_nowhere(database: Engine) -> None:
    """An entry whose lines do not sum to zero in each currency cannot be committed, whoever writes it."""
    insert = (
        "WITH e AS (INSERT INTO money_entry (kind, reference, value_on, booked_at, booked_by)"
        " VALUES ('cover_in', :reference, '2017-05-01', now(), 'x') RETURNING entry_no)"
        " INSERT INTO money_posting SELECT entry_no, line, account, 0, currency, amount"
        " FROM e, (VALUES (1, 'cash', 'EUR', :in), (2, 'suspense', :currency, -5))"
        " v (line, account, currency, amount)"
    )
    for currency, amount in (("EUR", 6), ("USD", 5)):
        with pytest.raises(IntegrityError, match="does not balance"), database.begin() as connection:
            connection.execute(text(insert), {"reference": currency, "in": amount, "currency": currency})
    with database.begin() as connection:
        connection.execute(text(insert), {"reference": "right", "in": 5, "currency": "EUR"})
    assert standing(database, "cash", "suspense") == {("cash", 0): "5", ("suspense", 0): "-5"}


def test_nights_from_before_the_money_ledger_are_booked_once(
    database: Engine, owner_database: Engine
) -> None:
    """What was netted before there was a money ledger is booked by whoever asks first."""
    worked(database)
    with owner_database.begin() as connection:
        connection.execute(text("ALTER TABLE money_posting DISABLE TRIGGER USER"))
        connection.execute(text("ALTER TABLE money_entry DISABLE TRIGGER USER"))
        connection.execute(text("DELETE FROM money_posting"))
        connection.execute(text("DELETE FROM money_entry"))
    assert money_faults(database) != []
    assert book_netted_nights(database, at=LATER) == 1
    assert book_netted_nights(database, at=LATER) == 0
    assert money_faults(database) == []


def test_a_cent_that_moves_in_the_money_ledger_is_told(database: Engine, owner_database: Engine) -> None:
    """`verify` names the checks and the place of a payment that was booked with a cent more."""
    worked(database)
    payments = instructed(database)
    pay(database, payments[A, "in"])
    with owner_database.begin() as connection:
        connection.execute(text("ALTER TABLE money_posting DISABLE TRIGGER USER"))
        connection.execute(
            text(
                "UPDATE money_posting SET amount = amount - 0.01 WHERE account = 'receivable' AND amount < 0"
            )
        )
        connection.execute(text("ALTER TABLE money_posting ENABLE TRIGGER USER"))
    told = " ".join(money_faults(database))
    assert "money_entries_balance" in told
    assert "payments_equal_ledger" in told
    assert f"participant {A}" in told


def test_what_people_do_to_a_run_is_on_the_record(database: Engine) -> None:
    """Who proposed, refused, reopened, approved and instructed it; instructing again adds nothing."""
    worked(database)
    propose_run(database, FIRST, by="anna", at=LATER)
    refuse_run(database, FIRST, reason="look at D", by="bert", at=LATER)
    reopen(database, FIRST, reason="a rate", by="anna", at=LATER)
    clear_first(database)
    instructed(database)
    instruct(database, FIRST, by="carl", at=LATER)
    with database.connect() as connection:
        rows = read_page(connection, limit=20, subject=f"window:{WINDOW}")[::-1]
        assert chain_faults(connection) == []
    assert [(row.action, row.done_by) for row in rows] == [
        ("run.proposed", "anna"),
        ("run.refused", "bert"),
        ("run.reopened", "anna"),
        ("run.proposed", "anna"),
        ("run.approved", "bert"),
        ("run.instructed", "anna"),
    ]
    assert '"reason":"look at D"' in rows[1].record
    assert '"before":{"revision":2,"state":"netted"}' in rows[3].record
