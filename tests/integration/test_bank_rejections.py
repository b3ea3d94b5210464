"""Payments that the bank did not carry out, and other ends that looked dead: each has its way out."""

from dataclasses import replace
from decimal import Decimal

import pytest
from sqlalchemy import Engine, event, text
from sqlalchemy.exc import IntegrityError, ProgrammingError

from partners.model import HUB_ID
from settlement.bank.errors import ProposalDecided, ProposalUnknown, StatementRefused, WayOutClosed
from settlement.bank.history import files, statements
from settlement.bank.model import Rejection
from settlement.bank.paying import pay_in_requests, refund_files
from settlement.bank.rejecting import decide_rejection, list_rejections, propose_rejection
from settlement.errors import FourEyesNeeded
from settlement.verify import problems as broken
from tests.factories import OPERATOR, A, B, D
from tests.integration.test_bank import (
    COOLED,
    WINDOW,
    Night,
    approve,
    at_time,
    iban,
    name_of,
    problems,
    propose,
)
from tests.pretend_bank import Entry, Part

FILE = f"TESSERA-W{WINDOW:08}-R01-F01"
STRANGER = Part(amount=Decimal("20.00"), text="for you", name="A stranger", iban="DE89370400440532013000")


@pytest.fixture
def night(database: Engine) -> Night:
    """The worked night, instructed."""
    return Night(database)


def say(night: Night, message_id: str = FILE, *only: str, by: str = "anna") -> Rejection:
    """Say that the bank rejected a file."""
    with night.database.begin() as connection:
        return propose_rejection(connection, message_id, note="RJCT, AC04, by letter", by=by, only=only)


def decide(night: Night, number: int, *, by: str = "bert", approve: bool = True) -> Rejection:
    """Decide on what was said."""
    with night.database.begin() as connection:
        return decide_rejection(connection, number, by=by, approve=approve)


def refund(night: Night) -> str:
    """Money of a stranger is to go back, and is in a file; the payment's name."""
    night.bank.book(Entry(amount=Decimal("20.00"), parts=(STRANGER,)))
    night.read()
    [unknown] = night.open()
    night.resolve(unknown, "refund")
    with night.database.begin() as connection:
        refund_files(connection, by="anna")
    return "REFUND-0000000001"


def send_back(night: Night, name: str, amount: str) -> None:
    """The bank pays a part of a refund."""
    part = Part(amount=Decimal(amount), end_to_end_id=name)
    night.bank.book(Entry(amount=-Decimal(amount), parts=(part,)))
    night.read()


def faults(night: Night) -> list[str]:
    """What `tessera verify` finds of the night and the bank."""
    with night.database.connect() as connection:
        return [str(one) for one in broken(connection)]


def test_a_rejected_file_is_paid_anew(night: Night) -> None:
    """Said by one, approved by another: each payment leaves once more, under another name, and it settles."""
    night.pay_in()
    night.read()
    assert night.advance() == "funded"
    first = night.send()
    said = say(night)
    assert said.payments == (name_of(OPERATOR, "out"), name_of(B, "out"))
    with pytest.raises(ProposalDecided, match="waits for a decision"):
        say(night)
    assert night.send() == first
    decide(night, said.rejection_id)
    second = night.send()
    assert second != first
    assert name_of(B, "out", 2).encode() in second
    assert name_of(B, "out").encode() not in second
    night.bank.pay(second)
    night.read()
    assert night.advance() == "settled"
    assert night.open() == []
    assert faults(night) == []


def test_one_payment_of_a_file_goes_to_the_account_of_then(night: Night) -> None:
    """A closed account: that payment alone is rejected, and goes to the new account once it is in use."""
    night.paid()
    night.bank.entries = [one for one in night.bank.entries if one.parts[0].name != f"Account {B}"]
    night.read()
    assert night.advance() == "funded"
    with pytest.raises(WayOutClosed, match="is missing: it was booked"):
        say(night, FILE, name_of(OPERATOR, "out"))
    approve(night.database, propose(night.database, B, 77).account_id)
    said = say(night)
    assert said.payments == (name_of(B, "out"),)
    at_time(night.database, COOLED.replace(day=8))
    decide(night, said.rejection_id)
    night.bank.pay(night.send())
    assert [part.iban for one in night.bank.entries for part in one.parts] == [iban(77)]
    night.read()
    assert night.advance() == "settled"


def test_a_payment_that_was_rejected_and_booked_all_the_same_is_not_lost(night: Night) -> None:
    """What the bank books after it rejected it is too much, and may be said to be the new payment."""
    night.paid()
    late, night.bank.entries = night.bank.entries, []
    decide(night, say(night).rejection_id)
    night.bank.entries = late
    night.read()
    assert [(one.exception.problem, one.kind) for one in night.open()] == [("surplus", "out")] * 2
    for one in night.open():
        night.resolve(one, "allocate", end_to_end_id=f"{(one.exception.end_to_end_id or '')[:-2]}02")
    assert night.advance() == "settled"
    assert faults(night) == []
    with night.database.connect() as connection:
        assert [(one.message_id, one.payments) for one in files(connection, limit=9)] == [(FILE, 2)]


def test_what_is_said_of_a_file_takes_two_and_stays(night: Night, owner_database: Engine) -> None:
    """The same person, a stranger's file or payment, a second decision, and changes are refused."""
    night.paid()
    night.bank.entries = []
    for file, names, error in (
        ("TESSERA-NO", (), ProposalUnknown),
        (FILE, (name_of(A, "in"),), WayOutClosed),
    ):
        with pytest.raises(error):
            say(night, file, *names)
    said = say(night)
    with pytest.raises(FourEyesNeeded):
        decide(night, said.rejection_id, by="ANNA")
    decide(night, said.rejection_id, by="anna", approve=False)
    with pytest.raises(ProposalDecided):
        decide(night, said.rejection_id)
    with pytest.raises(ProposalUnknown):
        decide(night, 99)
    again = say(night)
    with (
        pytest.raises(IntegrityError, match="bank_rejection_four_eyes"),
        night.database.begin() as connection,
    ):
        connection.execute(
            text(
                "UPDATE bank_rejection SET decided_by = 'Anna', decided_at = now(), approved = true"
                " WHERE rejection_id = :id"
            ),
            {"id": again.rejection_id},
        )
    for change in (
        "DELETE FROM bank_rejection",
        "UPDATE bank_rejection SET note = 'other'",
        "TRUNCATE bank_rejection",
    ):
        for engine in (night.database, owner_database):
            with pytest.raises((IntegrityError, ProgrammingError)), engine.begin() as connection:
                connection.execute(text(change))
    with night.database.connect() as connection:
        assert [one.approved for one in list_rejections(connection)] == [False, None]
        actions = connection.execute(
            text("SELECT action FROM operator_audit WHERE subject = :file ORDER BY seq"),
            {"file": f"payment_file:{FILE}"},
        ).scalars()
        assert list(actions) == [
            "bank.pay_outs_written",
            "bank_rejection.proposed",
            "bank_rejection.rejected",
            "bank_rejection.proposed",
        ]


def test_a_refund_that_the_bank_paid_in_two_parts_is_done(night: Night) -> None:
    """Less came than was to go; when the rest has gone, nothing is open, and no window waits for it."""
    name = refund(night)
    send_back(night, name, "15.00")
    assert problems(night.open()) == [("partial", name, 500, "open")]
    send_back(night, name, "5.00")
    assert night.open() == []
    assert night.stands_at("suspense") == {}


def test_a_rejected_refund_is_open_again(night: Night) -> None:
    """What the bank did not send back is still somebody's: its exception has its ways out once more."""
    name = refund(night)
    send_back(night, name, "15.00")
    decide(night, say(night, "TESSERA-REFUNDS-F00001").rejection_id)
    assert problems(night.open()) == [("unknown", None, 500, "open")]
    with pytest.raises(WayOutClosed, match="is missing"):
        say(night, "TESSERA-REFUNDS-F00001")
    night.resolve(night.open()[0], "refund")
    with night.database.begin() as connection:
        assert len(refund_files(connection, by="anna")) == 2
    send_back(night, "REFUND-0000000002", "5.00")
    assert night.open() == []
    assert night.stands_at("suspense") == {}
    assert faults(night) == []


def test_a_return_that_is_listed_before_its_payment_has_a_way_out(night: Night) -> None:
    """Allocated to the payment that it came back of, it leaves that unpaid: it is rejected, and paid anew."""
    night.paid()
    [of_operator, of_b] = sorted(night.bank.entries, key=lambda one: one.parts[0].end_to_end_id)
    back = replace(of_b, amount=-of_b.amount, parts=(replace(of_b.parts[0], returned="AC04"),))
    night.bank.entries = [back, of_b, of_operator]
    night.read()
    [unknown] = night.open()
    night.resolve(unknown, "allocate", end_to_end_id=name_of(B, "out"))
    assert night.open() == []
    assert night.advance() == "funded"
    decide(night, say(night).rejection_id)
    night.bank.pay(night.send())
    night.read()
    assert night.advance() == "settled"
    assert faults(night) == []


def test_a_withdrawn_account_of_ours_is_none(night: Night) -> None:
    """An account that was stopped in its cooling-off time was never the hub's: no statement of it is read."""
    proposed = propose(night.database, HUB_ID, 99)
    approve(night.database, proposed.account_id)
    with night.database.begin() as connection:
        connection.execute(
            text("UPDATE bank_account SET withdrawn_by = 'eve', withdrawn_at = :at WHERE account_id = :id"),
            {"id": proposed.account_id, "at": COOLED},
        )
    night.bank.iban = iban(99)
    night.receive(Decimal("154.32"), end_to_end_id=name_of(A, "in"))
    with pytest.raises(StatementRefused, match="no account of the hub's"):
        night.read()


def test_statements_of_any_length_take_the_same_statements(night: Night) -> None:
    """A hundred lines are booked with as many statements as ten are, whether they are known or not."""

    def sent_for(lines: int, reference: str) -> int:
        for number in range(lines):
            night.receive(Decimal("1.00"), reference, text=f"line {number}")
        sent: list[str] = []

        def note(*given: object) -> None:
            sent.append(str(given[2]))

        event.listen(night.database, "before_cursor_execute", note)
        night.read()
        event.remove(night.database, "before_cursor_execute", note)
        return len(sent)

    with night.database.connect() as connection:
        asked = {one.participant_id: one.reference for one in pay_in_requests(connection, WINDOW)}
    assert sent_for(10, "") == sent_for(100, "")
    assert sent_for(10, asked[D]) == sent_for(100, asked[D])
    assert night.stands_at("suspense", "receivable")["suspense", HUB_ID] == Decimal("-110.00")
    assert night.stands_at("receivable")["receivable", D] == Decimal("447.09")
    assert len(night.open()) == 220
    with night.database.connect() as connection:
        found = statements(connection, limit=2)
        assert [(one.transactions, one.exceptions) for one in found] == [(100, 100), (10, 10)]
        before = statements(connection, limit=9, before=found[1].statement_no)
        assert [one.statement_id for one in before] == ["STMT-2", "STMT-1"]
