"""What waits for somebody, in the operator's report: payments that are due, partners at their cap."""

from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path

from sqlalchemy import Engine, text

from network.caps import Exposure
from settlement import exposure_rows, runs
from settlement.payments import move_cover
from settlement.reports.figures import read_figures
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
    """What petrol owes of two nights, its 20 held points and 30 others, half of them not funded, at .0080.

    Nothing of petrol's is in the window that is open, so that it owes what its nights came to.
    """
    live_through(database)
    with as_owner(database) as connection:
        connection.execute(text("ALTER TABLE contract_terms DISABLE TRIGGER USER"))
        connection.execute(
            text("UPDATE contract_terms SET net_debit_cap = 0.30, deposit = 0.10 WHERE partner_id = 12")
        )
        owed = connection.execute(
            text(
                "SELECT -sum(final_minor) * 0.01 - (array_agg(carried_out ORDER BY window_id DESC))[1]"
                " FROM net_position WHERE participant_id = 12"
            )
        ).scalar_one()
    owed -= Decimal("0.24")  # a voucher over 30 points was used there today
    with database.begin() as connection:
        exposure_rows.rebuild(connection)
        move_cover(
            connection,
            account="deposit",
            participant_id=PETROL,
            currency="USD",
            amount_minor=10,
            reference="petrol's deposit",
            booked_on=SECOND,
            by="cleo",
            at=START,
        )
    with database.connect() as connection:
        span = read_span(connection, FIRST, SECOND)
        [exposure] = read_figures(connection, span, read_outstanding(connection, SECOND)).exposures
        write_operator_pages(connection, SECOND, tmp_path)
    assert exposure == Exposure(
        partner_id=PETROL,
        currency="USD",
        owed=owed,
        held=Decimal("0.08"),
        points=Decimal(15),
        points_cost=Decimal("0.12"),
        deposit=Decimal("0.10"),
        cap=Decimal("0.30"),
        at_cap="refuse",
        warning_bps=8000,
        alarm_bps=9500,
    )
    assert exposure.amount == max(Decimal(0), owed + Decimal("0.08")) + Decimal("0.12")
    assert exposure.limit == Decimal("0.40")
    page = (tmp_path / "_operator-2017-05-02.html").read_text()
    assert "The petrol" in page[page.index("Exposure against caps") :]
    assert "No contract has a net debit cap" not in page
