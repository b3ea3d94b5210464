"""The bank on a real PostgreSQL: files that leave, statements that come, and how these may differ."""

import threading
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import IntegrityError, ProgrammingError

from network.service import set_clock, window_id_of
from partners.model import HUB_ID
from settlement import runs
from settlement.bank.changing import decide_account, list_accounts, propose_account, withdraw_account
from settlement.bank.errors import (
    AccountInvalid,
    NotPayable,
    ProposalDecided,
    ProposalUnknown,
    StatementRefused,
    WayOutClosed,
)
from settlement.bank.model import Account, AccountVersion, Resolution, Standing, StatementRead, WayOut
from settlement.bank.paying import pay_in_requests, pay_out_files, refund_files
from settlement.bank.reading import read_file
from settlement.bank.resolving import decide_way_out, objections, propose_way_out, standings
from settlement.errors import FourEyesNeeded, NotFinal
from settlement.ledger_store import balances
from settlement.references import end_to_end_id
from tests.factories import OPERATOR, POOL, A, B, C, D
from tests.integration.test_night import FIRST, OVER, WORKED_TERMS, clear_first, post, set_up, worked_night
from tests.pretend_bank import Entry, Part, PretendBank, camt_schema, file_text, pain_schema

WINDOW = window_id_of(FIRST)
COOLED = datetime(2017, 5, 4, 12, tzinfo=UTC)
"""When the accounts that were approved on the first day are in use."""


def iban(number: int) -> str:
    """A German account number with right check digits, made from any number."""
    body = f"{number:018}"
    return f"DE{98 - int(body + '131400') % 97:02}{body}"


def name_of(participant_id: int, direction: str, attempt: int = 1) -> str:
    """The end-to-end id of a payment of the worked night."""
    return end_to_end_id(
        window_id=WINDOW,
        revision=1,
        participant_id=participant_id,
        currency="EUR",
        direction="in" if direction == "in" else "out",
        attempt=attempt,
    )


def propose(database: Engine, participant_id: int, number: int, *, by: str = "anna") -> AccountVersion:
    """Propose an account in euros."""
    with database.begin() as connection:
        return propose_account(
            connection,
            participant_id=participant_id,
            currency="EUR",
            account=Account(name=f"Account {number}", iban=iban(number)),
            evidence="letter of 1 May, called back",
            by=by,
        )


def approve(database: Engine, account_id: int, *, by: str = "bert") -> AccountVersion:
    """Approve an account."""
    with database.begin() as connection:
        return decide_account(connection, account_id, by=by, approve=True)


def at_time(database: Engine, at: datetime) -> None:
    """Put the network's clock forward."""
    with database.begin() as connection:
        set_clock(connection, at)


class Night:
    """The worked night, instructed: A, C and D are to pay in, B and the operator are paid."""

    def __init__(self, database: Engine, *, without: int | None = None) -> None:
        self.database = database
        set_up(database, WORKED_TERMS)
        for participant_id in (HUB_ID, OPERATOR, POOL, A, B, C, D):
            if participant_id != without:
                approve(database, propose(database, participant_id, participant_id).account_id)
        post(database, worked_night())
        clear_first(database)
        proposal = runs.propose_run(database, FIRST, by="anna", at=OVER)
        runs.approve_run(database, FIRST, sha256=proposal.sha256, by="bert", at=OVER)
        runs.instruct(database, FIRST, by="anna", at=OVER)
        at_time(database, COOLED)
        self.bank = PretendBank(iban(HUB_ID), "EUR", Decimal("1000.00"))

    def read(self, data: bytes | None = None) -> list[StatementRead]:
        """Read a file; the bank's next statement where none is given."""
        data = self.bank.file() if data is None else data
        camt_schema().validate(data.decode())
        with self.database.begin() as connection:
            return read_file(connection, data, by="anna")

    def pay_in(self, *but: int) -> None:
        """Each participant pays what it is asked for, but for some."""
        with self.database.connect() as connection:
            for one in pay_in_requests(connection, WINDOW):
                if one.participant_id not in but:
                    self.receive(Decimal(one.rest_minor) / 100, one.reference)

    def receive(self, amount: Decimal, reference: str = "", **part: Any) -> None:
        """Money comes to our account."""
        self.bank.book(Entry(amount=amount, parts=(Part(amount=amount, reference=reference, **part),)))

    def send(self) -> bytes:
        """The newest pay-out file."""
        with self.database.begin() as connection:
            return pay_out_files(connection, WINDOW, by="anna")[-1].content

    def advance(self) -> str:
        """Take the run as far as it goes."""
        return runs.advance(self.database, FIRST, at=COOLED, objections=objections)

    def paid(self) -> None:
        """Take the night to where all is paid out but the statement that says so is not read."""
        self.pay_in()
        self.read()
        assert self.advance() == "funded"
        self.bank.pay(self.send())

    def open(self) -> list[Standing]:
        """What is open."""
        with self.database.connect() as connection:
            return standings(connection, only_open=True)

    def propose(self, standing: Standing, way: WayOut, *, by: str = "anna", **given: Any) -> Resolution:
        """Propose a way out."""
        with self.database.begin() as connection:
            return propose_way_out(
                connection, standing.exception.exception_id, way, note="as the bank says", by=by, **given
            )

    def decide(self, resolution: Resolution, *, by: str = "bert", approve: bool = True) -> None:
        """Decide on a way out."""
        with self.database.begin() as connection:
            decide_way_out(connection, resolution.resolution_id, by=by, approve=approve)

    def resolve(self, standing: Standing, way: WayOut, **given: Any) -> None:
        """Propose a way out and approve it."""
        self.decide(self.propose(standing, way, **given))

    def stands_at(self, *accounts: Any) -> dict[tuple[str, int], Decimal]:
        """Accounts of the money ledger that are not at zero."""
        with self.database.connect() as connection:
            return {(name, who): amount for (name, who, _), amount in balances(connection, *accounts).items()}


@pytest.fixture
def night(database: Engine) -> Night:
    """The worked night, instructed."""
    return Night(database)


def problems(found: Sequence[Standing]) -> list[tuple[str, str | None, int, str]]:
    """Problem, payment, what is left and state of exceptions."""
    return [(one.exception.problem, one.exception.end_to_end_id, one.left_minor, one.state) for one in found]


def test_a_night_is_asked_for_paid_in_paid_out_and_settled(night: Night) -> None:
    """Requests, pay-ins by reference, one file of pay-outs, and books that are even at the end."""
    with night.database.connect() as connection:
        requests = pay_in_requests(connection, WINDOW)
        with pytest.raises(NotPayable, match="is instructed: pay-outs leave once all pay-ins are booked"):
            pay_out_files(connection, WINDOW, by="anna")
    assert [(one.participant_id, one.rest_minor, one.to.iban) for one in requests] == [
        (A, 15432, iban(HUB_ID)),
        (C, 6894, iban(HUB_ID)),
        (D, 55709, iban(HUB_ID)),
    ]
    night.pay_in()
    [read] = night.read()
    assert (read.transactions, read.matched, read.exceptions) == (3, 3, ())
    assert night.stands_at("cash") == {("cash", HUB_ID): Decimal("780.35")}
    assert night.advance() == "funded"
    content = night.send()
    pain_schema().validate(content.decode())
    assert content == night.send()
    night.bank.pay(content)
    [read] = night.read()
    assert (read.transactions, read.matched) == (2, 2)
    assert night.advance() == "settled"
    assert night.bank.balance == Decimal("1000.00")
    assert night.stands_at("receivable", "payable", "suspense") == {}
    assert night.stands_at("cash") == {("cash", OPERATOR): Decimal("375.83")}
    with night.database.connect() as connection:
        assert [file.is_new for file in pay_out_files(connection, WINDOW, by="anna")] == [False]
        assert pay_in_requests(connection, WINDOW) == []


def test_a_statement_read_twice_books_nothing_twice(night: Night) -> None:
    """The same file, or the same statement in another file, is known again; other content is refused."""
    night.pay_in()
    text_of = night.bank.statement()
    night.read(file_text(text_of))
    before = night.stands_at("cash", "receivable", "suspense")
    [again] = night.read(file_text(text_of))
    [copied] = night.read(file_text(text_of.replace("T04:00:00Z", "T23:00:00Z")))
    assert again.read_before
    assert copied.read_before
    assert night.stands_at("cash", "receivable", "suspense") == before
    changed = text_of.replace("154.32", "154.33").replace("1780.35", "1780.36").replace("780.35", "780.36")
    assert changed != text_of
    with pytest.raises(StatementRefused, match="said something else then"):
        night.read(file_text(changed))
    with night.database.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM bank_statement")).scalar_one() == 1


def test_a_statement_must_follow_on_the_last_one(night: Night) -> None:
    """A missing statement is named; read in order, both are taken, in one file too."""
    night.pay_in()
    first = night.bank.statement()
    night.receive(Decimal("5.00"))
    second = night.bank.statement()
    night.receive(Decimal("6.00"))
    third = night.bank.statement()
    night.read(file_text(first))
    with pytest.raises(StatementRefused, match=r"STMT-3 opens with 1785.35 EUR, but STMT-1, read"):
        night.read(file_text(third))
    assert [one.read_before for one in night.read(file_text(first, second, third))] == [True, False, False]


def test_a_file_is_booked_whole_or_not_at_all(night: Night) -> None:
    """One statement of a stranger's account or another currency, and nothing of its file is booked."""
    night.pay_in()
    good = night.bank.statement()
    strangers = PretendBank(iban(99), "EUR").statement()
    dollars = PretendBank(iban(HUB_ID), "USD").statement()
    with pytest.raises(StatementRefused, match="no account of the hub's"):
        night.read(file_text(good, strangers))
    with pytest.raises(StatementRefused, match="that account of ours is held in EUR"):
        night.read(file_text(good, dollars))
    assert night.stands_at("cash") == {}
    night.read(file_text(good))
    assert night.stands_at("cash") == {("cash", HUB_ID): Decimal("780.35")}


def test_two_who_read_one_file_book_it_once(night: Night) -> None:
    """Readers take turns: the second finds it read."""
    night.pay_in()
    data = night.bank.file()
    found: list[StatementRead] = []
    readers = [threading.Thread(target=lambda: found.extend(night.read(data))) for _ in range(4)]
    for one in readers:
        one.start()
    for one in readers:
        one.join(timeout=60)
    assert sorted(one.read_before for one in found) == [False, True, True, True]
    assert night.stands_at("cash") == {("cash", HUB_ID): Decimal("780.35")}


def test_a_partial_payment_is_accepted_and_the_rest_chased(night: Night) -> None:
    """What came counts, the rest is asked for again, and its arrival closes the exception by itself."""
    night.pay_in(D)
    night.receive(Decimal("500.00"), end_to_end_id=name_of(D, "in"))
    [read] = night.read()
    assert (read.transactions, read.matched) == (3, 2)
    [partial] = night.open()
    assert problems([partial]) == [("partial", name_of(D, "in"), 5709, "open")]
    assert partial.ways == ("chase",)
    assert night.advance() == "instructed"
    chased = night.propose(partial, "chase")
    assert (chased.approved, chased.decided_by) == (True, "anna")
    assert problems(night.open()) == [("partial", name_of(D, "in"), 5709, "chased")]
    with night.database.connect() as connection:
        [request] = pay_in_requests(connection, WINDOW)
    assert (request.participant_id, request.amount_minor, request.rest_minor) == (D, 55709, 5709)
    night.receive(Decimal("57.09"), request.reference)
    night.read()
    assert night.open() == []
    assert night.advance() == "funded"


def test_a_surplus_is_refunded_by_two(night: Night) -> None:
    """What is too much waits in the partner's suspense, and goes back where it came from, exactly once."""
    night.pay_in(A)
    night.receive(Decimal("154.42"), end_to_end_id=name_of(A, "in"), name="A", iban=iban(77))
    night.read()
    [surplus] = night.open()
    assert problems([surplus]) == [("surplus", name_of(A, "in"), 10, "open")]
    assert night.stands_at("suspense") == {("suspense", A): Decimal("-0.10")}
    assert night.advance() == "funded"
    night.bank.pay(night.send())
    night.read()
    with pytest.raises(NotFinal, match="exception 1 is open: surplus W20170501-R01-P00011-EUR-I-01, 0"):
        night.advance()
    proposal = night.propose(surplus, "refund")
    assert proposal.account == Account(name="A", iban=iban(77))
    with pytest.raises(FourEyesNeeded):
        night.decide(proposal, by="Anna")
    with pytest.raises(ProposalDecided, match="waits for a decision"):
        night.propose(surplus, "refund")
    with night.database.begin() as connection:
        assert refund_files(connection, by="anna") == []
    night.decide(proposal)
    with pytest.raises(ProposalDecided):
        night.decide(proposal, by="cora")
    with night.database.begin() as connection:
        [file] = refund_files(connection, by="anna")
    with night.database.begin() as connection:
        [again] = refund_files(connection, by="anna")
    assert (file.is_new, again.is_new, again.content) == (True, False, file.content)
    pain_schema().validate(file.content.decode())
    night.bank.pay(file.content)
    [read] = night.read()
    assert (read.matched, read.exceptions) == (1, ())
    assert night.stands_at("suspense") == {}
    assert night.advance() == "settled"
    assert night.bank.balance == Decimal("1000.00")


def test_money_of_nobody_is_allocated_by_two(night: Night) -> None:
    """The right amount alone books nothing; people say whose it is, within what that one owes."""
    night.pay_in(A, C)
    night.receive(Decimal("223.26"), text="May")
    night.receive(Decimal("68.94"), text="RF18 5390 0754 7035")
    night.read()
    both, exact = night.open()
    assert problems([both, exact]) == [("unknown", None, 22326, "open"), ("unknown", None, 6894, "open")]
    assert night.stands_at("suspense") == {("suspense", HUB_ID): Decimal("-292.20")}
    for given, said in (
        ({"end_to_end_id": "NOBODY"}, "there is no payment 'NOBODY'"),
        ({"end_to_end_id": name_of(C, "in")}, "68.94 EUR are missing of"),
        ({"end_to_end_id": name_of(B, "out"), "amount_minor": 1}, "0.00 EUR were paid of"),
        ({"end_to_end_id": name_of(A, "in"), "amount_minor": 0}, "cannot be resolved"),
        ({"end_to_end_id": name_of(A, "in"), "amount_minor": 22327}, "cannot be resolved"),
        ({}, "name the payment"),
    ):
        with pytest.raises(WayOutClosed, match=said):
            night.propose(both, "allocate", **given)
    with pytest.raises(WayOutClosed, match="has not the way instruct_again"):
        night.propose(both, "instruct_again")
    night.resolve(both, "allocate", end_to_end_id=name_of(A, "in"), amount_minor=15432)
    night.resolve(night.open()[0], "allocate", end_to_end_id=name_of(C, "in"))
    assert night.advance() == "funded"
    with pytest.raises(WayOutClosed, match="where the money came from"):
        night.propose(exact, "refund")
    night.resolve(exact, "refund", account=Account(name="Stranger", iban=iban(78)))
    assert night.open() == []
    assert night.stands_at("suspense") == {("suspense", HUB_ID): Decimal("-68.94")}
    with night.database.begin() as connection:
        [file] = refund_files(connection, by="anna")
    night.bank.pay(file.content)
    night.bank.pay(night.send())
    night.read()
    assert night.advance() == "settled"
    assert night.stands_at("suspense") == {}


def test_a_deposit_that_is_paid_in_is_kept_as_one(night: Night) -> None:
    """Cover arrives like any money that names no payment; two say whose deposit it is."""
    night.receive(Decimal("300.00"), text="deposit of D")
    night.read()
    [found] = night.open()
    with pytest.raises(WayOutClosed, match="say whose deposit"):
        night.propose(found, "deposit")
    with pytest.raises(WayOutClosed, match="no participant 77"):
        night.propose(found, "deposit", participant_id=77)
    night.resolve(found, "deposit", participant_id=D, amount_minor=25000)
    night.resolve(night.open()[0], "guarantee", participant_id=D)
    assert night.open() == []
    assert night.stands_at("deposit", "guarantee", "suspense", "cash") == {
        ("cash", HUB_ID): Decimal(300),
        ("deposit", D): Decimal(-250),
        ("guarantee", D): Decimal(-50),
    }


def test_the_bank_s_own_charge_is_the_operator_s(night: Night) -> None:
    """Money that the bank took is explained by two, and cannot be sent back."""
    night.bank.book(Entry(amount=Decimal("-3.50")))
    night.read()
    [charge] = night.open()
    with pytest.raises(WayOutClosed, match="money that left"):
        night.propose(charge, "refund", account=Account(name="Bank", iban=iban(5)))
    night.resolve(charge, "charge")
    assert night.open() == []
    assert night.stands_at("suspense", "loss") == {("loss", OPERATOR): Decimal("3.50")}


def test_a_returned_pay_out_goes_to_the_new_account(night: Night) -> None:
    """It came back, the account is changed and cools off, it is instructed again, and all adds up."""
    night.paid()
    night.read()
    assert night.stands_at("payable") == {}
    night.bank.book(
        Entry(
            amount=Decimal("404.52"),
            reversal=True,
            parts=(Part(amount=Decimal("404.52"), end_to_end_id=name_of(B, "out"), returned="AC04"),),
        )
    )
    night.read()
    [returned] = night.open()
    assert problems([returned]) == [("returned", name_of(B, "out"), 40452, "open")]
    assert returned.exception.why == "the bank's reason: AC04"
    assert night.advance() == "funded"
    assert night.send() == night.send()
    approve(night.database, propose(night.database, B, 500).account_id)
    night.resolve(returned, "instruct_again")
    at_time(night.database, COOLED + timedelta(hours=72))
    second = night.send()
    pain_schema().validate(second.decode())
    assert iban(500) in second.decode()
    assert name_of(B, "out", 2) in second.decode()
    assert night.advance() == "funded"
    night.bank.pay(second)
    night.read()
    assert night.open() == []
    assert night.advance() == "settled"
    assert night.bank.balance == Decimal("1000.00")


def test_a_pay_in_that_is_taken_back_is_missing_again(night: Night) -> None:
    """Its exception closes when it is paid once more."""
    night.pay_in()
    night.read()
    night.bank.book(
        Entry(
            amount=Decimal("-68.94"),
            reversal=True,
            parts=(Part(amount=Decimal("68.94"), end_to_end_id=name_of(C, "in")),),
        )
    )
    night.read()
    assert problems(night.open()) == [("returned", name_of(C, "in"), 6894, "open")]
    assert night.advance() == "instructed"
    night.propose(night.open()[0], "chase")
    night.pay_in()
    night.read()
    assert night.open() == []
    assert night.advance() == "funded"


def test_what_comes_back_of_a_settled_window_goes_to_people(night: Night) -> None:
    """The window stands; the money is in suspense, and is sent to the partner's account of then."""
    night.paid()
    night.read()
    assert night.advance() == "settled"
    night.receive(Decimal("404.52"), end_to_end_id=name_of(B, "out"), returned="AC04")
    night.read()
    [late] = night.open()
    assert problems([late]) == [("unknown", None, 40452, "open")]
    assert late.exception.why == f"it names {name_of(B, 'out')}, but its window is settled"
    night.resolve(late, "refund", account=Account(name="B anew", iban=iban(501)))
    with night.database.begin() as connection:
        [file] = refund_files(connection, by="anna")
    night.bank.pay(file.content)
    night.read()
    assert night.stands_at("suspense") == {}
    # A refund that comes back too is in suspense again, and has its way out again.
    night.receive(Decimal("404.52"), end_to_end_id="REFUND-0000000001", returned="AC01")
    night.read()
    assert problems(night.open()) == [("returned", "REFUND-0000000001", 40452, "open")]
    night.resolve(night.open()[0], "refund", account=Account(name="B once more", iban=iban(502)))
    with night.database.begin() as connection:
        night.bank.pay(refund_files(connection, by="anna")[-1].content)
    night.read()
    assert night.open() == []
    assert night.stands_at("suspense") == {}


def test_a_surplus_may_pay_another_debt(night: Night) -> None:
    """Who paid twice by one reference may have meant another of its payments."""
    night.pay_in(A, C)
    night.receive(Decimal("223.26"), end_to_end_id=name_of(A, "in"))
    night.read()
    [surplus] = night.open()
    night.resolve(surplus, "allocate", end_to_end_id=name_of(C, "in"))
    assert night.open() == []
    assert night.stands_at("suspense") == {}
    assert night.advance() == "funded"


def test_who_has_no_account_is_named_before_a_file_is_written(database: Engine) -> None:
    """No account in use yet: nothing is written, and the text says whose is missing."""
    night = Night(database, without=B)
    night.pay_in()
    night.read()
    night.advance()
    with pytest.raises(NotPayable, match=r"no account is in use of p12 \(EUR\)"):
        night.send()
    approve(database, propose(database, B, 900).account_id)
    with pytest.raises(NotPayable, match="cooling-off"):
        night.send()
    at_time(database, COOLED + timedelta(hours=72))
    assert iban(900) in night.send().decode()


def test_the_old_account_is_paid_while_the_new_one_cools_off(night: Night) -> None:
    """An account that was changed yesterday is not in tonight's file."""
    night.pay_in()
    night.read()
    night.advance()
    approve(night.database, propose(night.database, B, 900).account_id)
    at_time(night.database, COOLED + timedelta(hours=71))
    content = night.send().decode()
    assert iban(B) in content
    assert iban(900) not in content


def test_an_account_changes_only_by_two_and_after_its_time(database: Engine) -> None:
    """Proposed, approved by another, cooling off, in use: each step on record, the old one kept."""
    set_up(database, WORKED_TERMS)
    first = propose(database, B, 1)
    with pytest.raises(ProposalDecided, match="waits for a decision"):
        propose(database, B, 2)
    with pytest.raises(FourEyesNeeded):
        approve(database, first.account_id, by="ANNA")
    approve(database, first.account_id)
    with pytest.raises(ProposalDecided):
        approve(database, first.account_id, by="cora")
    with pytest.raises(ProposalUnknown):
        approve(database, 99)
    at_time(database, COOLED)
    with pytest.raises(AccountInvalid, match="in use already"):
        propose(database, B, 1)
    second, typo = propose(database, B, 2), None
    approve(database, second.account_id)
    at_time(database, COOLED + timedelta(hours=71))
    with database.connect() as connection:
        assert [state for _, state in list_accounts(connection)] == ["in_use", "cooling"]
    at_time(database, COOLED + timedelta(hours=72))
    typo = propose(database, B, 3)
    with database.begin() as connection:
        decide_account(connection, typo.account_id, by="anna", approve=False)
    stopped = propose(database, B, 4)
    approve(database, stopped.account_id)
    with database.begin() as connection:
        withdraw_account(connection, stopped.account_id, by="anna")
    at_time(database, COOLED + timedelta(days=100))
    with database.connect() as connection:
        assert [(one.account.iban, state) for one, state in list_accounts(connection)] == [
            (iban(1), "superseded"),
            (iban(2), "in_use"),
            (iban(3), "rejected"),
            (iban(4), "withdrawn"),
        ]
        said = connection.execute(
            text("SELECT done_by, action FROM operator_audit WHERE action LIKE 'bank_account.%' ORDER BY seq")
        ).all()
    assert [tuple(one) for one in said] == [
        ("anna", "bank_account.proposed"),
        ("bert", "bank_account.approved"),
        ("anna", "bank_account.proposed"),
        ("bert", "bank_account.approved"),
        ("anna", "bank_account.proposed"),
        ("anna", "bank_account.rejected"),
        ("anna", "bank_account.proposed"),
        ("bert", "bank_account.approved"),
        ("anna", "bank_account.withdrawn"),
    ]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"participant_id": 99}, "no participant 99"),
        ({"currency": "eur"}, "no currency"),
        ({"evidence": " "}, "say what shows"),
        ({"account": Account(name="///", iban=iban(1))}, "no letter"),
        ({"account": Account(name="B", iban="DE00")}, "no IBAN"),
        ({"account": Account(name="B", iban=iban(1), bic="X")}, "no BIC"),
    ],
)
def test_an_account_that_cannot_be_is_not_proposed(
    database: Engine, given: dict[str, Any], said: str
) -> None:
    """Each mistake is named."""
    set_up(database, WORKED_TERMS)
    proposal: dict[str, Any] = {
        "participant_id": B,
        "currency": "EUR",
        "account": Account(name="B", iban=iban(1)),
        "evidence": "letter",
        "by": "anna",
        **given,
    }
    with database.begin() as connection, pytest.raises(AccountInvalid, match=said):
        propose_account(connection, **proposal)


@pytest.mark.parametrize(
    ("change", "constraint"),
    [
        ("decided_by = 'ANNA', approved = true, in_use_from = now() + interval '1 day'", "four_eyes"),
        ("decided_by = 'bert', approved = true, in_use_from = now()", "cools_off"),
        ("decided_by = 'bert', approved = true", "used_if_approved"),
        ("decided_by = 'bert', approved = false, in_use_from = now() + interval '1 day'", "used_if_approved"),
        ("approved = true, in_use_from = now() + interval '1 day'", "decided_(so|whole)"),
    ],
)
def test_the_database_itself_wants_two(database: Engine, change: str, constraint: str) -> None:
    """Past every service: one person in two spellings, no cooling-off time, half a decision are refused."""
    set_up(database, WORKED_TERMS)
    propose(database, B, 1)
    with pytest.raises(IntegrityError, match=f"bank_account_{constraint}"), database.begin() as connection:
        connection.execute(text(f"UPDATE bank_account SET decided_at = now(), {change}"))


def test_what_was_decided_about_an_account_stays(database: Engine, owner_database: Engine) -> None:
    """Neither the application nor the owner changes a decision or a number, or takes a row away."""
    set_up(database, WORKED_TERMS)
    approve(database, propose(database, B, 1).account_id)
    with pytest.raises(ProgrammingError), database.begin() as connection:
        connection.execute(text("UPDATE bank_account SET iban = 'x'"))
    for statement in (
        f"UPDATE bank_account SET iban = '{iban(2)}'",
        "UPDATE bank_account SET in_use_from = in_use_from - interval '2 days'",
        "UPDATE bank_account SET approved = false, in_use_from = NULL",
        "DELETE FROM bank_account",
        "TRUNCATE bank_account",
    ):
        with pytest.raises(IntegrityError, match="never changed"), owner_database.begin() as connection:
            connection.execute(text(statement))


def test_a_payment_is_never_in_two_files(night: Night) -> None:
    """The database refuses a second line for one payment, whatever the service does."""
    night.pay_in()
    night.read()
    night.advance()
    night.send()
    with pytest.raises(IntegrityError, match="payment_file_line_pkey"), night.database.begin() as connection:
        connection.execute(text("INSERT INTO payment_file_line SELECT * FROM payment_file_line LIMIT 1"))


def test_a_window_that_was_not_instructed_asks_for_nothing(database: Engine) -> None:
    """Requests come with the instructions, not before."""
    set_up(database, WORKED_TERMS)
    post(database, worked_night())
    clear_first(database)
    with database.connect() as connection, pytest.raises(NotPayable, match="is netted"):
        pay_in_requests(connection, WINDOW)
    assert date(2017, 5, 1) == FIRST
