"""Debts that two decide for what was wrong in a night, cover that goes back, and the calendars of banks."""

import json
from datetime import date
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import Engine, text
from typer.testing import CliRunner

from api.cli import app
from partners.errors import ProposalChanged, SecondPersonNeeded
from partners.people.approvals import content_of
from partners.people.model import Proposal
from settlement import corrections, runs
from settlement.errors import CalendarUnknown, CorrectionRefused, PaymentRefused
from settlement.payment_store import next_value_date
from settlement.verify import problems as broken
from tests.factories import B, D
from tests.integration.test_bank import COOLED, Night
from tests.integration.test_night import FIRST, OVER, WORKED_TERMS, clear_first, post, set_up, worked_night
from tests.people import settle_in
from tests.pretend_bank import Entry

DEBT: dict[str, Any] = {
    "debtor": "p11",
    "creditor": "p12",
    "currency": "EUR",
    "amount": Decimal("12.50"),
    "of_night": FIRST,
    "reason": "goods counted twice, mail of 3 May",
}


def propose(database: Engine, **given: Any) -> Proposal:
    """Propose that A owes B 12.50 for the first night, but for what is given."""
    with database.begin() as connection:
        return corrections.propose_correction(connection, **{**DEBT, **given}, by="anna")


def decide(database: Engine, made: Proposal, *, by: str = "bert", sha256: bytes | None = None) -> Proposal:
    """Approve a proposal."""
    with database.begin() as connection:
        return corrections.decide(
            connection, made.proposal_id, sha256=sha256 or made.sha256, by=by, approve=True
        )


def test_a_correction_is_a_debt_of_the_open_window(database: Engine) -> None:
    """Proposed by one and approved by another, it names the night that it corrects; nothing is rewritten."""
    night = Night(database)
    made = propose(database)
    with pytest.raises(SecondPersonNeeded):
        decide(database, made, by="anna")
    with pytest.raises(ProposalChanged):
        decide(database, made, sha256=bytes(32))
    with database.connect() as connection:
        assert corrections.list_adjustments(connection, since=FIRST, limit=9) == []
    decide(database, made)
    with database.connect() as connection:
        [debt] = corrections.list_adjustments(connection, since=FIRST, limit=9)
        recorded = connection.execute(
            text("SELECT action, done_by FROM operator_audit ORDER BY seq DESC LIMIT 3")
        ).all()
        assert broken(connection) == []
    assert (debt["amount"], debt["window_id"], debt["origin_window_id"]) == (
        Decimal("12.50"),
        20170502,
        20170501,
    )
    assert (debt["prepared_by"], debt["approved_by"]) == ("anna", "bert")
    assert [tuple(row) for row in recorded] == [
        ("money.correct.done", "bert"),
        ("proposal.approved", "bert"),
        ("proposal.prepared", "anna"),
    ]
    assert night.advance() == "instructed"


def test_what_cannot_be_owed_is_not_proposed(database: Engine) -> None:
    """Strangers, the pool, oneself, no amount, no reason, another currency: each mistake is named."""
    Night(database)
    for given, said in (
        ({"debtor": "p99"}, "no partner"),
        ({"debtor": "pool"}, "no partner"),
        ({"creditor": "p11"}, "nobody owes itself"),
        ({"amount": Decimal("0.00")}, "above zero"),
        ({"amount": Decimal("NaN")}, "above zero"),
        ({"amount": Decimal("1.005")}, "more decimals"),
        ({"currency": "JPY"}, "nothing here is in"),
        ({"reason": " "}, "what was wrong"),
        ({"of_night": date(2017, 5, 2)}, "not cleared"),
    ):
        with pytest.raises(CorrectionRefused, match=said):
            propose(database, **given)


def test_a_night_that_has_not_left_is_done_again_instead(database: Engine) -> None:
    """Before it is instructed a night can be reopened: a correction of it is refused."""
    set_up(database, WORKED_TERMS)
    post(database, worked_night())
    clear_first(database)
    with pytest.raises(CorrectionRefused, match="night reopen"):
        propose(database)
    proposal = runs.propose_run(database, FIRST, by="anna", at=OVER)
    runs.approve_run(database, FIRST, sha256=proposal.sha256, by="bert", at=OVER)
    with pytest.raises(CorrectionRefused, match="is approved"):
        propose(database)
    runs.instruct(database, FIRST, by="anna", at=OVER)
    assert propose(database).kind == "money.correct"


def test_a_calendar_moves_value_dates(database: Engine) -> None:
    """Two decide whose holidays a currency keeps, and of single days; payments from then on keep them."""
    set_up(database, WORKED_TERMS)

    def value_on() -> date:
        with database.connect() as connection:
            return next_value_date(connection, "EUR", COOLED)  # a Thursday

    assert value_on() == date(2017, 5, 5)
    with database.begin() as connection:
        made = corrections.propose_calendar(
            connection, currency="EUR", calendar="XECB", value_days=2, by="anna"
        )
    decide(database, made)
    assert value_on() == date(2017, 5, 8)
    with database.begin() as connection:
        closed = corrections.propose_day(
            connection, currency="EUR", day=date(2017, 5, 8), is_open=False, reason="strike", by="anna"
        )
    decide(database, closed)
    assert value_on() == date(2017, 5, 9)
    with database.begin() as connection:
        again = corrections.propose_day(
            connection, currency="EUR", day=date(2017, 5, 8), is_open=True, reason="no strike", by="anna"
        )
    decide(database, again)
    assert value_on() == date(2017, 5, 8)
    assert content_of(again)["before"]["is_open"] is False
    with database.connect() as connection:
        with pytest.raises(CalendarUnknown):
            corrections.propose_calendar(connection, currency="EUR", calendar="XXX", value_days=1, by="anna")
        with pytest.raises(CorrectionRefused, match="nothing here is in"):
            corrections.propose_calendar(connection, currency="XXX", calendar="", value_days=1, by="anna")
        calendars, days = corrections.list_calendars(connection)
    assert calendars == [{"currency": "EUR", "calendar": "XECB", "value_days": 2}]
    assert [(one["day"], one["is_open"]) for one in days] == [(date(2017, 5, 8), True)]


def test_cover_that_went_back_is_taken_off(database: Engine) -> None:
    """What the bank paid to a partner that left its cover is explained by two, never more than is held."""
    night = Night(database)
    night.receive(Decimal("300.00"), text="deposit of D")
    night.read()
    night.resolve(night.open()[0], "deposit", participant_id=D)
    assert night.stands_at("deposit") == {("deposit", D): Decimal("-300.00")}
    night.bank.book(Entry(amount=Decimal("-200.00")))
    night.read()
    [went] = night.open()
    with pytest.raises(PaymentRefused, match="holds 0"):
        night.resolve(went, "deposit", participant_id=B)
    night.decide(night.open()[0].resolutions[0], approve=False)
    night.resolve(night.open()[0], "deposit", participant_id=D)
    assert night.stands_at("deposit", "suspense") == {("deposit", D): Decimal("-100.00")}
    with database.connect() as connection:
        record = json.loads(
            connection.execute(
                text("SELECT record FROM operator_audit ORDER BY seq DESC LIMIT 1")
            ).scalar_one()
        )
    both = record["before"]["decided_by"], record["after"]["decided_by"], record["after"]["approved"]
    assert (record["action"], both) == ("bank_exception.resolved", (None, "bert", True))
    assert night.open() == []
    with database.connect() as connection:
        assert broken(connection) == []


def test_corrections_and_calendars_by_commands(database: Engine, database_url: str, tmp_path: Any) -> None:
    """As operators give them: proposed by one, approved with the hash by another, listed."""
    Night(database)
    settle_in(database, tmp_path, "anna", "maker")
    settle_in(database, tmp_path, "bert", "checker")
    environment = {
        "TESSERA_DATABASE_URL": database_url,
        "TESSERA_SCHEMA": "tessera",
        "TESSERA_HOME": str(tmp_path),
    }

    def run(*arguments: str, status: int = 0) -> str:
        result = CliRunner().invoke(app, arguments, env=environment)
        assert result.exit_code == status, result.output
        return result.output

    noted = ("--night", "2017-05-01", "--reason", "counted twice", "--by", "anna")
    assert "nobody owes itself" in run("correction", "propose", "p11", "p11", "1", "EUR", *noted, status=1)
    run("correction", "propose", "p11", "p12", "12.50", "EUR", *noted)
    run("calendar", "set", "EUR", "AT", "--value-days", "2", "--by", "anna")
    run("calendar", "day", "EUR", "2017-12-27", "--closed", "--reason", "bridge", "--by", "anna")
    with database.connect() as connection:
        waiting = connection.execute(
            text("SELECT proposal_id, sha256 FROM proposal ORDER BY prepared_at")
        ).all()
    for row in waiting:
        proposal_id: UUID = row.proposal_id
        run("proposal", "approve", str(proposal_id), "--sha256", bytes(row.sha256).hex(), "--by", "bert")
    said = run("correction", "list")
    assert "2017-05-02  p11 to p12: EUR 12.50, correction, of 2017-05-01" in said
    assert "counted twice; by anna and bert" in said
    said = run("calendar", "list")
    assert "EUR  AT, payments take 2 business days" in said
    assert "EUR  2017-12-27 is closed: bridge" in said
