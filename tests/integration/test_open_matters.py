"""What waits for somebody, in the operator's report: payments that are due, partners at their cap."""

from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path

from sqlalchemy import Engine, text

from settlement import runs
from settlement.reports.figures import Exposure, read_figures
from settlement.reports.liability import read_outstanding
from settlement.reports.open_matters import find_open_matters
from settlement.reports.operator import write_operator_pages
from settlement.reports.read import read_participants, read_span
from tests.coalition import GROCER, PETROL, START
from tests.conftest import as_owner
from tests.whole import live_through

FIRST, SECOND = date(2017, 5, 1), date(2017, 5, 2)


def test_payments_that_are_due_are_named(database: Engine) -> None:
    """The first night is instructed and nobody pays: who has not paid, how much, since when."""
    live_through(database)
    at = START + timedelta(days=2)
    proposed = runs.propose_run(database, FIRST, by="max", at=at)
    runs.approve_run(database, FIRST, sha256=proposed.sha256, by="cleo", at=at)
    instructed = runs.instruct(database, FIRST, by="max", at=at)
    due = instructed[0].value_on
    with database.connect() as connection:
        participants = read_participants(connection)
        found = list(find_open_matters(connection, due, participants))
        before = list(find_open_matters(connection, due - timedelta(days=1), participants))
    assert before == []
    said = {(one.where, one.what) for one in found}
    assert len(said) == len(instructed)
    owed = next(one for one in instructed if one.participant_id == GROCER)
    amount = f"{Decimal(owed.amount_minor) / 100:.2f}"
    assert ("grocer", f"has not paid {amount} USD: 1 payments, the first due on {due}") in said


def test_exposure_against_caps(database: Engine, tmp_path: Path) -> None:
    """What petrol has not paid, and its 50 points of which half is not funded, at the highest rate: .0080."""
    live_through(database)
    with as_owner(database) as connection:
        connection.execute(text("ALTER TABLE contract_terms DISABLE TRIGGER USER"))
        connection.execute(
            text("UPDATE contract_terms SET net_debit_cap = 0.30, deposit = 0.10 WHERE partner_id = 12")
        )
        owed = connection.execute(
            text("SELECT -sum(final_minor)::bigint FROM net_position WHERE participant_id = 12")
        ).scalar_one()
    with database.connect() as connection:
        span = read_span(connection, FIRST, SECOND)
        [exposure] = read_figures(connection, span, read_outstanding(connection, SECOND)).exposures
        write_operator_pages(connection, SECOND, tmp_path)
    assert exposure == Exposure(
        partner_id=PETROL,
        currency="USD",
        unpaid=Decimal(owed) / 100,
        points=Decimal("0.2"),
        cap=Decimal("0.30"),
        deposit=Decimal("0.10"),
        at_cap="refuse",
        warning_bps=8000,
    )
    assert exposure.exposure == max(Decimal(0), Decimal(owed) / 100) + Decimal("0.2")
    page = (tmp_path / "_operator-2017-05-02.html").read_text()
    assert exposure.state in page
    assert "No contract has a net debit cap" not in page
