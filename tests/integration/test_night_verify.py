"""Checks of the nights: silent on a sound database through sales, returns and lapses, loud on every fault."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from sqlalchemy import Engine, text

from network.rules import Rules
from network.service import load_rules, set_clock
from network.verify import Problem
from partners.model import Participant
from partners.store import add_participants, add_terms
from settlement import store
from settlement.canonical import digest
from settlement.service import clear, clear_due, close_step
from settlement.verify import problems
from tests.coalition import BANK, GROCER, HOTEL, PETROL, START, burn, new_card, run, sale, set_up, terms, undo
from tests.conftest import as_owner

PROGRAMME = 1
NEXT_DAY = START + timedelta(days=1)


def found(database: Engine) -> list[Problem]:
    """Every problem, read in one snapshot."""
    with database.connect().execution_options(isolation_level="REPEATABLE READ") as connection:
        return problems(connection)


def go_to(database: Engine, at: datetime) -> None:
    """Put the network clock forward."""
    with database.begin() as connection:
        set_clock(connection, at)


def shop(database: Engine, live: Rules, day: int = 0) -> None:
    """A day's business of one new member: sales at four partners, points spent and returned."""
    at = START + timedelta(days=day)
    card = new_card(database, live, f"enrol {day}", at)
    first = run(database, live, sale(card, 12_345, f"sale 1 {day}", at=at))
    run(database, live, sale(card, 5_050, f"sale 2 {day}", partner_id=PETROL, at=at))
    run(database, live, sale(card, 9_999, f"sale 3 {day}", partner_id=BANK, at=at))
    last = run(database, live, sale(card, 777, f"sale 4 {day}", partner_id=HOTEL, at=at))
    run(database, live, undo(last, f"undo 1 {day}", at=at))
    run(database, live, burn(card, 61, f"burn 1 {day}", at=at))
    spent = run(database, live, burn(card, 17, f"burn 2 {day}", partner_id=GROCER, at=at))
    run(database, live, undo(spent, f"undo 2 {day}", at=at))
    assert first.points == 123


def settled(database: Engine) -> None:
    """Three days of business, two of them settled."""
    live = set_up(database)
    for day in range(3):
        shop(database, live, day)
        go_to(database, START + timedelta(days=day + 1))
        if day < 2:
            clear_due(database, START + timedelta(days=day + 1), programme_version=PROGRAMME)


def test_a_sound_database_has_no_problems(database: Engine) -> None:
    """Sales, redemptions across issuers, returns, an open window: every law holds, also before any night."""
    live = set_up(database)
    assert found(database) == []
    shop(database, live)
    assert found(database) == []
    go_to(database, NEXT_DAY)
    clear(database, START.date(), at=NEXT_DAY, programme_version=PROGRAMME)
    assert found(database) == []
    shop(database, live, 1)
    assert found(database) == []


def test_the_pool_is_whole_through_new_terms_and_lapses(database: Engine) -> None:
    """Dearer points beside cheap ones, then 124 nights until all have lapsed: cash is worth what is out."""
    live = set_up(database)
    shop(database, live)
    go_to(database, NEXT_DAY)
    dearer = terms(GROCER, 2, NEXT_DAY.date(), issue_price="0.012345", funding_share="0.3")
    with database.begin() as connection:
        add_terms(connection, [dearer], prepared_by="maker", activated_by="checker")
        live = load_rules(connection)
    shop(database, live, 1)
    go_to(database, datetime(2017, 9, 2, tzinfo=UTC))
    nights = clear_due(database, datetime(2017, 9, 2, tzinfo=UTC), programme_version=PROGRAMME)
    assert len(nights) == 124
    assert [night.business_date.isoformat() for night in nights if night.obligations] == [
        "2017-05-01",
        "2017-09-01",
    ]
    assert {one.flow for one in nights[-1].obligations} == {"lapse"}
    assert found(database) == []
    with database.connect() as connection:
        assert connection.execute(text("SELECT sum(balance) FROM account")).scalar_one() == 0
        paid = "SELECT sum(final_minor) FROM net_position WHERE participant_id = 2"
        assert connection.execute(text(paid)).scalar_one() == 0


def test_a_night_under_way_is_told_as_not_settled(database: Engine) -> None:
    """Closed and no further: one problem that says what to do, and the pool is judged without that window."""
    shop(database, set_up(database))
    go_to(database, NEXT_DAY)
    close_step(database, START.date(), at=NEXT_DAY)
    assert found(database) == [
        Problem(
            check="closed_windows_settled",
            where="window 20170501",
            detail="closed, but its night is closed: clear its date",
        )
    ]


SQL = {
    "a total changed": "UPDATE window_total SET points = points + 1 WHERE issuer_id = 11 AND debit = 2",
    "a posting that came late": """
        INSERT INTO posting SELECT member_id, entry_id, 9, debit, credit, points, issuer_id, issuer_terms,
            acceptor_id, acceptor_terms, category, unit, window_id, reversed_window_id, spendable_on,
            expires_on
        FROM posting WHERE window_id = 20170501 LIMIT 1
    """,
    "an entry that came late": """
        INSERT INTO entry SELECT member_id + 1, entry_id, kind, partner_id, window_id, programme_version,
            points, balance_after, amount_minor, occurred_at, recorded_at, reverses, currency, outlet_code,
            reference
        FROM entry WHERE window_id = 20170501 LIMIT 1
    """,
    "an obligation paid away": "DELETE FROM obligation WHERE debtor_id = 11 AND window_id = 20170501",
    "a cent taken": """
        UPDATE net_position SET final_minor = final_minor + 1
        WHERE window_id = 20170502 AND participant_id = 11
    """,
    "a cent moved from the pool": """
        UPDATE net_position SET final_minor = final_minor + CASE participant_id WHEN 2 THEN -1 ELSE 1 END
        WHERE window_id = 20170502 AND participant_id IN (2, 11)
    """,
    "a fraction lost": """
        UPDATE net_position SET carried_out = carried_out + 0.001, exact = exact + 0.001,
            credits = credits + 0.001
        WHERE window_id = 20170501 AND participant_id = 11
    """,
    "a fee charged twice": """
        UPDATE net_position SET fee_minor = fee_minor + CASE participant_id WHEN 1 THEN -1 ELSE 1 END,
            credits = credits + CASE participant_id WHEN 1 THEN -0.01 ELSE 0.01 END
        WHERE window_id = 20170501 AND participant_id IN (1, 11)
    """,
    "a lot that grew": "UPDATE lot SET remaining = remaining + 5 WHERE issuer_id = 11 AND remaining > 0",
    "a hash rewritten": """
        UPDATE settlement_step SET sha256 = sha256(sha256) WHERE step = 'closed' AND window_id = 20170501
    """,
    "a sweep that did not run": """
        UPDATE clearing_window SET lapsed_through = lapsed_through - 1 WHERE closed_at IS NULL
    """,
    "a lot of the past": """
        UPDATE lot SET expires_on = '2017-05-01' WHERE ctid = (
            SELECT ctid FROM lot WHERE issuer_id = 11 AND remaining > 0 LIMIT 1)
    """,
    "a step forgotten": "DELETE FROM settlement_step WHERE step = 'priced' AND window_id = 20170501",
    "a run of an open window": "INSERT INTO settlement_run VALUES (20170503, 1, 'netted')",
}
TOLD_BY = {
    "a total changed": {"totals_equal_postings", "hashes_hold", "obligations_follow_terms"},
    "a posting that came late": {"totals_equal_postings"},
    "an entry that came late": {"activity_equals_entries"},
    "an obligation paid away": {
        *("positions_equal_obligations", "hashes_hold", "obligations_follow_terms", "positions_follow_terms"),
    },
    "a cent taken": {
        *("positions_sum_to_zero", "positions_add_up", "hashes_hold", "positions_follow_terms"),
        "payments_equal_ledger",
    },
    "a cent moved from the pool": {
        *("positions_add_up", "pool_covers_outstanding", "hashes_hold", "positions_follow_terms"),
        "payments_equal_ledger",
    },
    "a fraction lost": {
        *("positions_sum_to_zero", "fractions_go_on", "positions_equal_obligations", "hashes_hold"),
        *("positions_follow_terms", "positions_equal_ledger"),
    },
    "a fee charged twice": {
        *(
            "fees_rounded_on_the_month",
            "positions_equal_obligations",
            "hashes_hold",
            "positions_equal_ledger",
        ),
        "positions_follow_terms",
    },
    "a lot that grew": {"pool_covers_outstanding"},
    "a hash rewritten": {"hashes_hold"},
    "a sweep that did not run": {"expired_points_lapsed"},
    "a lot of the past": {"expired_points_lapsed"},
    "a step forgotten": {"closed_windows_settled"},
    "a run of an open window": {
        *("closed_windows_settled", "pool_covers_outstanding"),
        *("totals_equal_postings", "activity_equals_entries", "nights_are_booked"),
    },
}


@pytest.mark.parametrize("fault", SQL)
def test_every_fault_is_found_and_named(database: Engine, owner_database: Engine, fault: str) -> None:
    """Each fault is told by exactly the checks whose law it breaks, and says where."""
    settled(database)
    assert found(database) == []
    with owner_database.begin() as connection:
        assert connection.execute(text(SQL[fault])).rowcount > 0
    told = found(database)
    assert {problem.check for problem in told} == TOLD_BY[fault]
    assert all(problem.where and problem.detail for problem in told)


FEES = "fee_per_transaction = 0.25, fee_per_issued_point = 0.0123, fee_bps_of_credits = 125, vat_bps = 2000"


def renegotiate(database: Engine, figures: str) -> Rules:
    """Rewrite contract terms where they stand, which nobody can who is not the database's owner."""
    with as_owner(database) as connection:
        connection.execute(text("ALTER TABLE contract_terms DISABLE TRIGGER USER"))
        connection.execute(text(f"UPDATE contract_terms SET {figures}"))
        connection.execute(text("ALTER TABLE contract_terms ENABLE TRIGGER USER"))
        return load_rules(connection)


@pytest.mark.parametrize(
    "figures",
    ["fee_per_transaction = 0", "fee_per_issued_point = 0.0124", "fee_bps_of_credits = 0", "vat_bps = 500"],
)
def test_a_night_charged_by_other_terms_is_told(database: Engine, figures: str) -> None:
    """A fee or a VAT that nobody agreed, charged before hashes were made: the terms contradict each."""
    set_up(database)
    shop(database, renegotiate(database, FEES))
    go_to(database, NEXT_DAY)
    renegotiate(database, figures)
    clear(database, START.date(), at=NEXT_DAY, programme_version=PROGRAMME)
    renegotiate(database, FEES)
    told = found(database)
    assert {problem.check for problem in told} == {"positions_follow_terms"}
    assert told[0].where == "window 20170501, participant 1"


def test_fees_of_two_months_with_fractions_are_worked_out_again(database: Engine) -> None:
    """Month to date and carried fractions fold over the nights, and begin anew with a month."""
    live = set_up(database)
    live = renegotiate(database, FEES + ", reimbursement_rate = 0.00834")
    for day in range(34):
        if day % 3 == 0:
            shop(database, live, day)
        go_to(database, START + timedelta(days=day + 1))
        clear_due(database, START + timedelta(days=day + 1), programme_version=PROGRAMME)
    assert found(database) == []


def test_a_cent_given_to_another_is_told(database: Engine) -> None:
    """Rounded up for somebody whose fraction was smaller, hash and all: only working it out again tells."""
    live = set_up(database)
    live = renegotiate(database, "reimbursement_rate = 0.00834")
    shop(database, live)
    go_to(database, NEXT_DAY)
    night = clear(database, START.date(), at=NEXT_DAY, programme_version=PROGRAMME)
    won = next(one.participant_id for one in night.positions if one.carried_out < 0)
    lost = next(one.participant_id for one in night.positions if one.carried_out > 0)
    with as_owner(database) as connection:
        for participant_id, cents in ((won, -1), (lost, 1)):
            connection.execute(
                text(
                    "UPDATE net_position SET final_minor = final_minor + :cents,"
                    " carried_out = carried_out - :fraction WHERE participant_id = :participant_id"
                ),
                {"cents": cents, "fraction": Decimal(cents) / 100, "participant_id": participant_id},
            )
        [output] = store.load_outputs(connection, [night.window_id]).values()
        connection.execute(
            text("UPDATE settlement_step SET sha256 = :sha256 WHERE step = 'netted'"),
            {"sha256": digest("netted", night.window_id, 1, positions=output.positions)},
        )
    told = found(database)
    assert {problem.check for problem in told} == {
        *("positions_follow_terms", "payments_equal_ledger", "positions_equal_ledger"),
    }
    assert {problem.where.rpartition(" ")[2] for problem in told} == {str(won), str(lost)}


def test_who_joins_later_had_no_part_in_earlier_nights(database: Engine) -> None:
    """A partner with terms of its own, added after nights were settled, changes none of them."""
    settled(database)
    with database.begin() as connection:
        add_participants(connection, [Participant(partner_id=15, code="late", name="Late")])
        add_terms(connection, [terms(15)], prepared_by="maker", activated_by="checker")
    assert found(database) == []


def test_a_sweep_half_done_is_no_fault_while_its_night_is_under_way(database: Engine) -> None:
    """Between close and pricing the sweep may stand anywhere: only the night itself is told."""
    live = set_up(database)
    shop(database, live)
    at = datetime(2017, 9, 1, tzinfo=UTC)
    go_to(database, at)
    clear_due(database, at - timedelta(days=1), programme_version=PROGRAMME)
    close_step(database, datetime(2017, 8, 31, tzinfo=UTC).date(), at=at)
    assert [problem.check for problem in found(database)] == ["closed_windows_settled"]
