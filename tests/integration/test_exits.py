"""A partner that leaves, and one that is suspended: what tills are told, and who pays for the points."""

from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal

import msgspec
import pytest
from sqlalchemy import Connection, Engine, text

from network.batch import execute
from network.commands import Command
from network.outcomes import Rejected
from network.rules import Rules
from network.service import load_rules, set_clock
from partners.errors import ProposalOpen, SecondPersonNeeded
from partners.model import OPERATOR_ID, POOL_ID, FxRate, Terms
from partners.people.audit import chain_faults
from partners.people.model import Proposal
from partners.rates_store import add_fixings
from settlement import defaults, exits, runs
from settlement.disputes import Wish, raise_dispute
from settlement.errors import DisputeRefused, ExitRefused
from settlement.exit_statement import statement
from settlement.ledger_store import balances
from settlement.payments import Cover, due_of, move_cover, record_payment
from settlement.reports.period import read_period
from settlement.service import clear_due
from settlement.verify import problems
from tests.coalition import (
    BANK,
    GROCER,
    HOTEL,
    PETROL,
    burn,
    new_card,
    reserve,
    run,
    sale,
    set_up,
    take,
    terms,
    undo,
)

DAY = date(2017, 5, 1)


def at(day: int, hour: int = 9) -> datetime:
    """An hour of a day of May 2017, or after it."""
    return datetime.combine(DAY, time(hour), tzinfo=UTC) + timedelta(days=day - 1)


def told(database: Engine, live: Rules, command: Command) -> str:
    """What a till is told: the reason of a refusal, or `taken`."""
    [reply] = execute(database, [command], live)
    return reply.outcome.reason if isinstance(reply.outcome, Rejected) else "taken"


def moved_to(database: Engine, when: datetime) -> Rules:
    """The network at an instant: every night that is over is netted; the live rules."""
    with database.begin() as connection:
        set_clock(connection, when)
    clear_due(database, when)
    with database.connect() as connection:
        return load_rules(connection)


def settle_all(database: Engine, when: datetime) -> None:
    """Approve, instruct and pay every netted night."""
    with database.connect() as connection:
        rows = connection.execute(
            text("SELECT window_id FROM settlement_run WHERE state = 'netted' ORDER BY 1")
        )
        dates = [datetime.strptime(str(one), "%Y%m%d").replace(tzinfo=UTC).date() for one in rows.scalars()]
    for on in dates:
        proposal = runs.propose_run(database, on, by="anna", at=when)
        runs.approve_run(database, on, sha256=proposal.sha256, by="bert", at=when)
        runs.instruct(database, on, by="anna", at=when)
        for way in ("in", "out"):
            pay(database, on, way, when)
            runs.advance(database, on, at=when)


def pay(database: Engine, on: date, way: str, when: datetime) -> None:
    """The bank books all that is due one way."""
    with database.begin() as connection:
        for one in due_of(connection, int(f"{on:%Y%m%d}")):
            if one.direction == way and one.due_minor > one.booked_minor:
                record_payment(
                    connection,
                    end_to_end_id=one.end_to_end_id,
                    amount_minor=one.due_minor - one.booked_minor,
                    payment_reference=f"paid {one.end_to_end_id}",
                    booked_on=on,
                    by="bank",
                    at=when,
                )


def propose(connection: Connection, **given: object) -> Proposal:
    """The hotel is to leave: earns until 2 May, burns until 3 May, unless said otherwise."""
    days = {
        "notice_on": DAY,
        "last_earn_on": date(2017, 5, 2),
        "last_burn_on": date(2017, 5, 3),
        "run_off_until": date(2017, 5, 10),
        "mode": "buy_out",
        "reason": "letter of 1 May",
        "agreed": True,
    }
    return exits.propose_exit(connection, "hotel", by="anna", **(days | given))  # type: ignore[arg-type]  # as named


def agree(database: Engine, **given: object) -> None:
    """Two people agree on the hotel's exit."""
    with database.begin() as connection:
        made = propose(connection, **given)
    with database.begin() as connection:
        exits.decide_exit(connection, made.proposal_id, sha256=made.sha256, by="bert", approve=True)


def sound(database: Engine) -> None:
    """Every check of the nights, the money ledger and the record of people holds."""
    with database.connect() as connection:
        assert problems(connection) == []
        assert chain_faults(connection) == []


def test_tills_are_refused_after_the_last_days(database: Engine) -> None:
    """Until its days it earns and burns, after them not, with reasons; a late till of before is taken."""
    live = set_up(database)
    card = new_card(database, live)
    run(database, live, sale(card, 100_00, "before", partner_id=HOTEL))
    agree(database)
    live = moved_to(database, at(2))
    assert told(database, live, sale(card, 100_00, "last day", partner_id=HOTEL, at=at(2))) == "taken"
    live = moved_to(database, at(3))
    assert (
        told(database, live, sale(card, 100_00, "after", partner_id=HOTEL, at=at(3)))
        == "partner_issues_no_more"
    )
    assert told(database, live, sale(card, 100_00, "late", partner_id=HOTEL, at=at(2))) == "taken"
    assert told(database, live, burn(card, 10, "last burn", partner_id=HOTEL, at=at(3))) == "taken"
    held = run(database, live, reserve(card, 10, "held", partner_id=HOTEL, at=at(3), minutes=24 * 60))
    live = moved_to(database, at(4, 1))
    reasons = [
        told(database, live, command)
        for command in (
            burn(card, 10, "too late", partner_id=HOTEL, at=at(4, 1)),
            reserve(card, 10, "no hold", partner_id=HOTEL, at=at(4, 1)),
            take(held, 10, "captured", at=at(4, 1)),
            burn(card, 10, "elsewhere", partner_id=PETROL, at=at(4, 1)),
        )
    ]
    assert reasons == ["partner_accepts_no_more", "partner_accepts_no_more", "taken", "taken"]


def test_an_exit_needs_order_time_and_two_people(database: Engine) -> None:
    """Days in order, the contract's notice and run-off unless both agree, a reason, another who approves."""
    set_up(database)
    with database.begin() as connection:
        for given, why in (
            ({"agreed": False}, "90 days of notice"),
            (
                {
                    "agreed": False,
                    "last_earn_on": date(2017, 8, 1),
                    "last_burn_on": date(2017, 8, 1),
                    "run_off_until": date(2017, 8, 2),
                    "mode": "run_off",
                },
                "365 days of run-off",
            ),
            ({"last_burn_on": DAY}, "not in order"),
            ({"notice_on": date(2017, 4, 1), "last_earn_on": date(2017, 4, 30)}, "is over"),
            ({"reason": " "}, "reason"),
        ):
            with pytest.raises(ExitRefused, match=why):
                propose(connection, **given)
        with pytest.raises(ExitRefused, match="does not leave"):
            statement(connection, "hotel")
        made = propose(connection)
        with pytest.raises(ProposalOpen):
            propose(connection)
    with pytest.raises(SecondPersonNeeded), database.begin() as connection:
        exits.decide_exit(connection, made.proposal_id, sha256=made.sha256, by="anna", approve=True)
    with database.begin() as connection:
        exits.decide_exit(connection, made.proposal_id, sha256=made.sha256, by="bert", approve=True)
        with pytest.raises(ExitRefused, match="leaves already"):
            propose(connection)


def test_buy_out_and_what_the_points_cost_after_it(database: Engine) -> None:
    """The hotel pays the pool for what is outstanding, the pool pays what is redeemed; then it has left."""
    contracts = [msgspec.structs.replace(terms(one), dispute_days=2) for one in (GROCER, PETROL, HOTEL, BANK)]
    live = set_up(database, contracts=contracts)
    card = new_card(database, live)
    run(database, live, sale(card, 1000_00, "hotel sale", partner_id=HOTEL))
    with database.connect() as connection:
        issued = connection.execute(text("SELECT sum(points) FROM posting")).scalar_one()
    agree(database)
    live = moved_to(database, at(4))
    run(database, live, burn(card, 100, "at petrol", partner_id=PETROL, at=at(4)))
    with database.begin() as connection, pytest.raises(ExitRefused, match="is bought out after 2017-06-01"):
        exits.propose_buy_out(connection, "hotel", by="anna")
    live = moved_to(database, at(33))
    with database.begin() as connection:
        made = exits.propose_buy_out(connection, "hotel", by="anna")
    with pytest.raises(SecondPersonNeeded), database.begin() as connection:
        exits.decide_buy_out(
            connection, made.proposal_id, sha256=made.sha256, by="anna", approve=True, at=at(33)
        )
    with database.begin() as connection:
        exits.decide_buy_out(
            connection, made.proposal_id, sha256=made.sha256, by="bert", approve=True, at=at(33)
        )
        with pytest.raises(ExitRefused, match="was bought out"):
            exits.propose_buy_out(connection, "hotel", by="anna")
    run(database, live, burn(card, 50, "after", partner_id=PETROL, at=at(33)))
    moved_to(database, at(34))
    with database.connect() as connection:
        now = statement(connection, "hotel")
        debts = connection.execute(
            text(
                "SELECT flow, debtor_id, creditor_id, points, amount FROM obligation"
                " WHERE window_id = 20170602 AND flow IN ('redemption', 'adjustment') ORDER BY 1"
            )
        ).all()
    assert now.bought_out == (("USD", Decimal("0.0080") * (issued - 100)),)
    assert [tuple(one) for one in debts] == [
        ("adjustment", HOTEL, POOL_ID, 0, now.bought_out[0][1]),
        ("redemption", POOL_ID, PETROL, 50, Decimal("0.4")),
    ]
    assert (now.issued, now.redeemed, now.lapsed) == (issued, 150, 0)
    with pytest.raises(ExitRefused, match="window 20170504 is netted"), database.begin() as connection:
        exits.leave(connection, "hotel", by="anna")
    settle_all(database, at(34))
    with pytest.raises(ExitRefused, match="can be disputed until 2017-06-04T09:00"), database.begin() as them:
        exits.leave(them, "hotel", by="anna")  # what was redeemed on 4 May was closed on 2 June
    moved_to(database, at(35))
    with database.begin() as connection:
        final = exits.leave(connection, "hotel", by="anna")
        assert exits.leave(connection, "hotel", by="anna") == final
    assert (final.status, final.open) == ("left", ())
    live = moved_to(database, at(36))
    assert told(database, live, sale(card, 100, "gone", partner_id=HOTEL, at=at(36))) == "partner_not_active"
    assert told(database, live, burn(card, 10, "still good", partner_id=PETROL, at=at(36))) == "taken"
    sound(database)


def flows_of(database: Engine, window_id: int) -> list[tuple[str, int, int, int, str]]:
    """A window's debts but those of nothing: flow, debtor, creditor, points, amount."""
    with database.connect() as connection:
        rows = connection.execute(
            text(
                "SELECT flow, debtor_id, creditor_id, points, amount FROM obligation"
                " WHERE window_id = :window_id AND amount <> 0 ORDER BY 1, 2, 3, 4"
            ),
            {"window_id": window_id},
        )
        return [(*row[:4], f"{row.amount.normalize():f}") for row in rows]


def soon(contract: Terms) -> Terms:
    """A contract whose tills report at once: its partner can be bought out the day after its last."""
    return msgspec.structs.replace(contract, late_days=0)


def bought_out(database: Engine, when: datetime) -> None:
    """Two people have the hotel bought out."""
    with database.begin() as connection:
        made = exits.propose_buy_out(connection, "hotel", by="anna")
        exits.decide_buy_out(
            connection, made.proposal_id, sha256=made.sha256, by="bert", approve=True, at=when
        )


def test_points_that_are_bought_out_are_the_pools_to_pay(database: Engine) -> None:
    """A quarter was paid at issue, the rest at the highest rate: redeemed, returned, lapsed, all of it exact.

    2,600 points are out. The pool holds .0025 for each, and gets 2600 x .0090 x .75 = 17.55: .00925 for each.
    """
    live = set_up(
        database,
        contracts=[
            terms(GROCER),
            terms(PETROL),
            soon(terms(HOTEL, funding_share="0.25")),
            terms(BANK, reimbursement_rate="0.0090"),
        ],
    )
    card = new_card(database, live)
    run(database, live, sale(card, 1000_00, "hotel sale", partner_id=HOTEL))
    reward = run(database, live, burn(card, 400, "before", partner_id=PETROL))
    agree(database)
    live = moved_to(database, at(4))
    bought_out(database, at(4))
    run(database, live, burn(card, 1000, "at petrol", partner_id=PETROL, at=at(4)))
    run(database, live, burn(card, 200, "at the bank", partner_id=BANK, at=at(4)))
    run(database, live, undo(reward, "returned", at=at(4)))
    moved_to(database, at(5))
    assert flows_of(database, 20170504) == [
        ("adjustment", HOTEL, POOL_ID, 0, "17.55"),
        ("margin", POOL_ID, OPERATOR_ID, 800, "0.8"),  # 1.25 + .05, less .50 for what came back
        ("redemption", POOL_ID, PETROL, 600, "4.8"),
        ("redemption", POOL_ID, BANK, 200, "1.8"),
    ]
    sound(database)
    with database.connect() as connection:
        before, after = (read_period(connection, DAY, date(2017, 5, day)) for day in (3, 4))
    wish = Wish(
        reference="mine", raised_by_id=HOTEL, against_id=PETROL, window_id=20170504, reason="not ours"
    )
    with pytest.raises(DisputeRefused) as refused, database.begin() as connection:
        raise_dispute(connection, wish, at=at(5))  # the pool paid: it was bought out before
    assert refused.value.code == "dispute_nothing_paid"
    assert before.pool_holds == before.pool_must_hold == Decimal("6.50")
    assert after.pool_holds == after.pool_must_hold == Decimal("16.65")


def test_a_buy_out_that_is_not_paid_falls_on_cover_and_operator(database: Engine) -> None:
    """Of 24.00 the deposit pays 5.00, the fund 2.00, the operator the rest: the pool has all of it."""
    live = set_up(database, contracts=[*map(terms, (GROCER, PETROL, BANK)), soon(terms(HOTEL))])
    card = new_card(database, live)
    run(database, live, sale(card, 1000_00, "hotel sale", partner_id=HOTEL))
    agree(database)
    moved_to(database, at(4))
    settle_all(database, at(4))
    with database.begin() as connection:
        covers: list[tuple[Cover, int, int]] = [("deposit", HOTEL, 500), ("guarantee", PETROL, 200)]
        for account, partner_id, minor in covers:
            move_cover(
                connection,
                account=account,
                participant_id=partner_id,
                currency="USD",
                amount_minor=minor,
                reference=f"cover {partner_id}",
                booked_on=DAY,
                by="anna",
                at=at(4),
            )
    bought_out(database, at(4))
    moved_to(database, at(5))
    on, when = date(2017, 5, 4), at(5)
    proposal = runs.propose_run(database, on, by="anna", at=when)
    runs.approve_run(database, on, sha256=proposal.sha256, by="bert", at=when)
    runs.instruct(database, on, by="anna", at=when)
    kept = defaults.propose(database, on, HOTEL, currency="USD", reason="gone", by="anna", at=when)
    assert [(one.rung, one.participant_id, one.amount_minor) for one in kept.simulation.lines] == [
        ("deposit", HOTEL, 500),
        ("guarantee", PETROL, 200),
        ("loss", OPERATOR_ID, 1700),
    ]
    defaults.decide(database, kept.case.case_id, sha256=kept.sha256, approve=True, by="bert", at=when)
    for way in ("in", "out"):
        pay(database, on, way, when)
        runs.advance(database, on, at=when)
    with database.begin() as connection:
        assert balances(connection, "cash")["cash", POOL_ID, "USD"] == 24
        assert exits.leave(connection, "hotel", by="anna").open == ()
    sound(database)


def test_the_highest_rate_may_be_in_another_currency(database: Engine) -> None:
    """The bank is paid .0100 euros, at 1.2 dollars each: without a fixing nobody knows what that is."""
    live = set_up(
        database,
        contracts=[
            *(terms(one) for one in (GROCER, PETROL)),
            soon(terms(HOTEL)),
            msgspec.structs.replace(terms(BANK, reimbursement_rate="0.0100"), currency="EUR"),
        ],
    )
    card = new_card(database, live)
    run(database, live, sale(card, 1000_00, "hotel sale", partner_id=HOTEL))
    agree(database)
    moved_to(database, at(4))
    with (
        database.begin() as connection,
        pytest.raises(ExitRefused, match="accepted in EUR, and there is no fixing"),
    ):
        exits.propose_buy_out(connection, "hotel", by="anna")
    rate = FxRate(source="ECB", base="EUR", quote="USD", fixed_on=DAY, revision=1, rate=Decimal("1.2"))
    with database.begin() as connection:
        add_fixings(connection, [rate], prepared_by="anna", activated_by="bert")
        assert statement(connection, "hotel").buy_out == (("USD", Decimal("36")),)


def test_a_buy_out_that_has_changed_is_proposed_again(database: Engine) -> None:
    """Points are redeemed and a night is netted after the proposal: the amount is another."""
    live = set_up(database)
    card = new_card(database, live)
    run(database, live, sale(card, 1000_00, "hotel sale", partner_id=HOTEL))
    agree(database)
    live = moved_to(database, at(33))
    with database.begin() as connection:
        made = exits.propose_buy_out(connection, "hotel", by="anna")
    run(database, live, burn(card, 100, "at petrol", partner_id=PETROL, at=at(33)))
    moved_to(database, at(34))
    with pytest.raises(ExitRefused, match="not what was proposed"), database.begin() as connection:
        exits.decide_buy_out(
            connection, made.proposal_id, sha256=made.sha256, by="bert", approve=True, at=at(34)
        )
    with database.begin() as connection:
        exits.decide_buy_out(
            connection, made.proposal_id, sha256=made.sha256, by="bert", approve=False, at=at(34)
        )
        again = exits.propose_buy_out(connection, "hotel", by="anna")
        exits.decide_buy_out(
            connection, again.proposal_id, sha256=again.sha256, by="bert", approve=True, at=at(34)
        )


def test_a_partner_that_funded_all_of_its_points_owes_nothing_for_them(database: Engine) -> None:
    """The grocer paid at issue: the pool has the money, and nothing is to be bought out."""
    live = set_up(database)
    card = new_card(database, live)
    run(database, live, sale(card, 1000_00, "groceries", partner_id=GROCER))
    with database.begin() as connection:
        made = exits.propose_exit(
            connection,
            "grocer",
            notice_on=DAY,
            last_earn_on=DAY,
            last_burn_on=DAY,
            run_off_until=DAY,
            mode="run_off",
            reason="closes",
            by="anna",
            agreed=True,
        )
        exits.decide_exit(connection, made.proposal_id, sha256=made.sha256, by="bert", approve=True)
    moved_to(database, at(33))
    with database.begin() as connection:
        made = exits.propose_buy_out(connection, "grocer", by="anna")
        exits.decide_buy_out(
            connection, made.proposal_id, sha256=made.sha256, by="bert", approve=True, at=at(33)
        )
        now = statement(connection, "grocer")
    assert now.buy_out == now.bought_out == ()
    assert now.outstanding[0].points == now.issued
    live = moved_to(database, at(34))
    run(database, live, burn(card, 50, "at petrol", partner_id=PETROL, at=at(34)))
    moved_to(database, at(35))
    sound(database)


def test_a_suspended_partner_at_the_till(database: Engine) -> None:
    """No sale and no reward there; an open hold is captured, and its points are good elsewhere."""
    live = set_up(database)
    card = new_card(database, live)
    run(database, live, sale(card, 1000_00, "hotel sale", partner_id=HOTEL))
    run(database, live, burn(card, 100, "at petrol", partner_id=PETROL))
    live = moved_to(database, at(2))
    held = run(database, live, reserve(card, 20, "held", partner_id=HOTEL, at=at(2), minutes=600))
    proposal = runs.propose_run(database, DAY, by="anna", at=at(2))
    runs.approve_run(database, DAY, sha256=proposal.sha256, by="bert", at=at(2))
    runs.instruct(database, DAY, by="anna", at=at(2))
    kept = defaults.propose(database, DAY, HOTEL, currency="USD", reason="nothing came", by="anna", at=at(2))
    assert [(one.rung, one.participant_id) for one in kept.simulation.lines] == [("loss", PETROL)]
    decided = defaults.decide(
        database, kept.case.case_id, sha256=kept.sha256, approve=True, by="bert", at=at(2)
    )
    assert decided.suspended
    live = moved_to(database, at(2, 10))
    reasons = [
        told(database, live, command)
        for command in (
            sale(card, 100_00, "no sale", partner_id=HOTEL, at=at(2, 10)),
            burn(card, 10, "no reward", partner_id=HOTEL, at=at(2, 10)),
            reserve(card, 10, "no hold", partner_id=HOTEL, at=at(2, 10)),
            take(held, 20, "captured", at=at(2, 10)),
            burn(card, 10, "elsewhere", partner_id=PETROL, at=at(2, 10)),
        )
    ]
    assert reasons == ["partner_not_active"] * 3 + ["taken", "taken"]
    moved_to(database, at(3))
    sound(database)
