"""`tessera bank` as operators give it: a whole night by commands, and what is said when it differs."""

from decimal import Decimal
from pathlib import Path

import pytest
from sqlalchemy import Engine
from typer.testing import CliRunner, Result

from api.cli import app
from network.service import set_clock
from settlement import runs
from tests.factories import OPERATOR, POOL, A, B, C, D
from tests.integration.test_bank import COOLED, iban, name_of
from tests.integration.test_night import FIRST, OVER, WORKED_TERMS, clear_first, post, set_up, worked_night
from tests.people import settle_in
from tests.pretend_bank import Entry, Part, PretendBank, pain_schema

CODES = {0: "hub", OPERATOR: "operator", POOL: "pool", A: "p11", B: "p12", C: "p13", D: "p14"}


@pytest.fixture
def environment(database: Engine, database_url: str, tmp_path: Path) -> dict[str, str]:
    """The variables that lead to the worked night's network; anna, a maker, and bert, a checker, are in."""
    set_up(database, WORKED_TERMS)
    settle_in(database, tmp_path, "anna", "maker")
    settle_in(database, tmp_path, "bert", "checker")
    return {"TESSERA_DATABASE_URL": database_url, "TESSERA_SCHEMA": "tessera", "TESSERA_HOME": str(tmp_path)}


def bank(environment: dict[str, str], *arguments: str, by: str = "", status: int = 0) -> str:
    """Run a command of `tessera bank`; what it says, errors too."""
    given = ("bank", *arguments, *(("--by", by) if by else ()))
    result: Result = CliRunner().invoke(app, given, env=environment)
    assert result.exit_code == status, result.output
    return result.output


def propose(environment: dict[str, str], code: str, number: str, *, status: int = 0) -> str:
    """Propose an account in euros."""
    return bank(
        environment,
        *("account", "propose", "--partner", code, "--currency", "EUR", "--name", f"Account of {code}"),
        *("--iban", number, "--evidence", "letter, called back"),
        by="anna",
        status=status,
    )


@pytest.fixture
def instructed(database: Engine, environment: dict[str, str]) -> PretendBank:
    """The worked night, instructed, accounts in use; the bank where the hub's is."""
    for number, (participant_id, code) in enumerate(CODES.items(), start=1):
        propose(environment, code, iban(participant_id))
        bank(environment, "account", "approve", str(number), by="bert")
    post(database, worked_night())
    clear_first(database)
    proposal = runs.propose_run(database, FIRST, by="anna", at=OVER)
    runs.approve_run(database, FIRST, sha256=proposal.sha256, by="bert", at=OVER)
    runs.instruct(database, FIRST, by="anna", at=OVER)
    with database.begin() as connection:
        set_clock(connection, COOLED)
    return PretendBank(iban(0), "EUR")


def book(bank_of_ours: PretendBank, amount: str, end_to_end_id: str) -> None:
    """Money that comes in under a name."""
    part = Part(amount=Decimal(amount), end_to_end_id=end_to_end_id, name="Payer", iban=iban(70))
    bank_of_ours.book(Entry(amount=Decimal(amount), parts=(part,)))


def statement(bank_of_ours: PretendBank, folder: Path, name: str) -> str:
    """The bank's next statement as a file; its path."""
    path = folder / name
    path.write_bytes(bank_of_ours.file())
    return str(path)


def test_a_night_by_commands(environment: dict[str, str], instructed: PretendBank, tmp_path: Path) -> None:
    """Requests, statements, an exception with its way out, pay-outs, refund: until the night is settled."""
    asked = bank(environment, "pay-ins", "--window", "2017-05-01", "--out", str(tmp_path / "asked.csv"))
    assert "Partner 11: EUR 154.32 by 2017-05-03" in asked
    assert f"(or end-to-end id {name_of(A, 'in')})" in asked
    assert "3 are to pay in" in asked
    header, first, *_ = (tmp_path / "asked.csv").read_text().splitlines()
    assert header.startswith("participant_id,name,currency,amount,due_on,iban")
    assert first.startswith(f"11,Partner 11,EUR,154.32,2017-05-03,{iban(0)},Account of hub,,RF")
    early = bank(environment, "pay-outs", "--window", "2017-05-01", by="anna", status=2)
    assert "pay-outs leave once all pay-ins are booked" in early

    book(instructed, "154.33", name_of(A, "in"))
    book(instructed, "68.94", name_of(C, "in"))
    book(instructed, "557.09", name_of(D, "in"))
    path = statement(instructed, tmp_path, "1.xml")
    said = bank(environment, "read", path, by="anna", status=1)
    assert "3 transactions, 2 as expected, 1 to be looked at" in said
    assert "2017-05-01 is funded" in said
    assert "was read before: nothing is booked twice" in bank(environment, "read", path, by="anna")

    said = bank(environment, "exceptions")
    assert f"1  surplus {name_of(A, 'in')}: EUR 0.01, open" in said
    assert "only 154.32 EUR were due" in said
    assert "ways: refund, allocate, deposit, guarantee" in said
    said = bank(environment, "resolve", "1", "refund", "--note", "too much", by="anna")
    assert "tessera bank approve 1" in said
    assert "bert is checker" in bank(
        environment, "resolve", "1", "refund", "--note", "x", by="bert", status=2
    )
    assert "anna is maker" in bank(environment, "approve", "1", by="anna", status=2)
    assert "it leaves with: tessera bank pay-outs --refunds" in bank(environment, "approve", "1", by="bert")
    assert "0 exceptions are open" in bank(environment, "exceptions")
    assert "approved by bert" in bank(environment, "exceptions", "--all")

    for arguments in (("--window", "2017-05-01"), ("--refunds",)):
        said = bank(environment, "pay-outs", *arguments, "--out", str(tmp_path), by="anna")
        assert "new, sha256" in said
    content = (tmp_path / "TESSERA-W20170501-R01-F01.xml").read_bytes()
    pain_schema().validate(content.decode())
    again = bank(environment, "pay-outs", "--window", "2017-05-01", "--out", str(tmp_path), by="anna")
    assert "as it left before" in again
    assert (tmp_path / "TESSERA-W20170501-R01-F01.xml").read_bytes() == content
    a_refund_is_said_to_be_rejected(environment)
    instructed.pay(content)
    instructed.pay((tmp_path / "TESSERA-REFUNDS-F00001.xml").read_bytes())
    said = bank(environment, "read", statement(instructed, tmp_path, "2.xml"), by="anna")
    assert "3 transactions, 3 as expected, 0 to be looked at" in said
    assert "2017-05-01 is settled" in said
    assert instructed.balance == 0
    said = bank(environment, "files")
    assert "of 2017-05-01: 2 of 2 payments booked; written by anna" in said
    said = bank(environment, "statements")
    assert "2  STMT-2 of DE" in said
    assert "EUR 780.36 to 0.00, 3 transactions, 0 not as expected; read by anna" in said


def a_refund_is_said_to_be_rejected(environment: dict[str, str]) -> None:
    """Said by one, and another says that it is not so: the file stands."""
    noted = ("--note", "RJCT AC04")
    rejection = ("rejection", "propose", "TESSERA-REFUNDS-F00001", *noted)
    assert "no pay-out file" in bank(environment, "rejection", "propose", "X", *noted, by="anna", status=2)
    assert "rejection 1 of 1 payments" in bank(environment, *rejection, by="anna")
    assert "anna is maker" in bank(environment, "rejection", "approve", "1", by="anna", status=2)
    assert "waits for a second person" in bank(environment, "rejection", "list")
    assert "the file stands" in bank(environment, "rejection", "reject", "1", by="bert")
    assert "rejected by bert" in bank(environment, "rejection", "list")
    assert "refunds: 0 of 1 payments booked" in bank(environment, "files")


def test_an_account_by_commands(environment: dict[str, str]) -> None:
    """Proposed, approved by another, stopped; and what is wrong is said in one line with status 2."""
    assert "is no IBAN" in propose(environment, "p12", "DE00", status=2)
    assert "nobody has the code 'p99'" in propose(environment, "p99", iban(1), status=2)
    assert "tessera bank account approve 1" in propose(environment, "p12", iban(1))
    assert "waits for a second person" in bank(environment, "account", "list")
    assert "anna is maker" in bank(environment, "account", "approve", "1", by="anna", status=2)
    said = bank(environment, "account", "approve", "1", by="bert")
    assert "is used from 2017-05-04 00:00 UTC on" in said
    assert "p12 in EUR: cooling off until 2017-05-04 00:00 UTC" in bank(environment, "account", "list")
    assert "will not be used" in bank(environment, "account", "withdraw", "1", by="anna")
    assert "0 accounts" in bank(environment, "account", "list")
    assert "stopped by anna" in bank(environment, "account", "list", "--all")
    propose(environment, "p12", iban(2))
    assert "is rejected" in bank(environment, "account", "reject", "2", by="anna")
    assert "there is no account 9" in bank(environment, "account", "approve", "9", by="bert", status=2)


def test_what_is_given_wrong_is_said(
    environment: dict[str, str], instructed: PretendBank, tmp_path: Path
) -> None:
    """Files that are none, windows that are not there, ways that there are not: status 2, and the reason."""
    wrong = tmp_path / "wrong.xml"
    wrong.write_bytes(b"<!DOCTYPE a []><a/>")
    assert "document type" in bank(environment, "read", str(wrong), by="anna", status=2)
    wrong.write_bytes(instructed.file()[:-30])
    assert "no whole XML" in bank(environment, "read", str(wrong), by="anna", status=2)
    wrong.write_bytes(PretendBank(iban(55), "EUR").file())
    assert "no account of the hub's" in bank(environment, "read", str(wrong), by="anna", status=2)
    wrong.write_bytes(b" " * (17 * 1024 * 1024))
    assert "are read" in bank(environment, "read", str(wrong), by="anna", status=2)
    bank(environment, "pay-ins", "--window", "2017-05-02", status=2)
    assert "give a window, or --refunds" in bank(environment, "pay-outs", by="anna", status=2)
    noted = ("--note", "x")
    assert "no exception 7" in bank(environment, "resolve", "7", "chase", *noted, by="anna", status=2)
    assert "is none of chase" in bank(environment, "resolve", "7", "hope", *noted, by="anna", status=2)
    assert "there is no way out 7" in bank(environment, "approve", "7", by="bert", status=2)
    assert "0 files" in bank(environment, "pay-outs", "--refunds", by="anna")


def test_money_of_nobody_is_allocated_by_commands(
    environment: dict[str, str], instructed: PretendBank, tmp_path: Path
) -> None:
    """In parts, with amounts as people write them; the window goes on as soon as it may."""
    book(instructed, "223.26", "NOTPROVIDED")
    book(instructed, "557.09", name_of(D, "in"))
    bank(environment, "read", statement(instructed, tmp_path, "1.xml"), by="anna", status=1)
    to_a = ("1", "allocate", "--note", "mail of A", "--payment", name_of(A, "in"))
    assert "no amount" in bank(environment, "resolve", *to_a, "--amount", "1.005", by="anna", status=2)
    bank(environment, "resolve", *to_a, "--amount", "154.32", by="anna")
    assert "is rejected" in bank(environment, "reject", "1", by="anna")
    bank(environment, "resolve", *to_a, "--amount", "154.32", by="anna")
    assert "way out 2: allocate 154.32" in bank(environment, "exceptions")
    assert "2017-05-01 is instructed" in bank(environment, "approve", "2", by="bert")
    bank(environment, "resolve", "1", "allocate", "--note", "C", "--payment", name_of(C, "in"), by="anna")
    assert "2017-05-01 is funded" in bank(environment, "approve", "3", by="bert")
