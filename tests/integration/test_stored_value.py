"""Stored value on a real ledger: it comes back to who has the account now, and every fault of it is told."""

from collections.abc import Iterator
from datetime import timedelta

import pytest
from beancount import loader
from sqlalchemy import Engine, text

from config.database import make_engine
from network.batch import execute
from network.commands import LoadValue, RefundValue, SpendValue
from network.model import Entry
from network.outcomes import Rejected
from network.rules import Rules
from network.service import set_clock
from network.verify import CHECKS, faults
from settlement.payments import record_payment
from settlement.runs import advance, approve_run, instruct, propose_run
from settlement.service import clear_due
from settlement.verify import problems
from tests.between import merge
from tests.coalition import (
    BANK,
    GROCER,
    HOTEL,
    OUTLET,
    PETROL,
    PROGRAMME,
    START,
    VALUE,
    burn,
    entry_of,
    new_card,
    run,
    sale,
    set_up,
    undo,
)
from tests.conftest import SCHEMA, Run, database_on
from tests.journal_readers import journal_of

DAY = timedelta(days=1)
Kind = type[LoadValue] | type[SpendValue] | type[RefundValue]


def money(
    kind: Kind, card: int, amount: int, reference: str, partner_id: int = GROCER, days: int = 0
) -> object:
    """A load, spend or refund."""
    return kind(
        partner_id=partner_id,
        reference=reference,
        occurred_at=START + days * DAY,
        outlet_code=OUTLET,
        card_number=card,
        amount_minor=amount,
        currency="USD",
    )


def next_day(database: Engine, days: int) -> None:
    """Clear what is over by the start of a day."""
    with database.begin() as connection:
        set_clock(connection, START + days * DAY)
    clear_due(database, START + days * DAY)


def refused(database: Engine, live: Rules, command: object) -> str:
    """Why a command is refused."""
    [reply] = execute(database, [command], live)  # type: ignore[list-item]
    assert isinstance(reply.outcome, Rejected)
    return reply.outcome.reason


def done(database: Engine, live: Rules, command: object) -> Entry:
    """The entry of a command that is accepted."""
    return run(database, live, command)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def owner(server: Run) -> Iterator[Engine]:
    """Two days of stored value beside points, settled, and a third that is open."""
    with database_on(server, template=server.template) as url:
        engine = make_engine(url, schema=SCHEMA)
        try:
            live_through(engine)
            yield engine
        finally:
            engine.dispose()


def live_through(database: Engine) -> None:
    """Loads, spends in one batch, a merge after all was spent, and what came back then."""
    live = set_up(database, source=PROGRAMME + VALUE)
    ann, bob = (new_card(database, live, f"m{number}") for number in range(2))
    done(database, live, sale(ann, 50_00, "points"))
    done(database, live, burn(ann, 20, "spent points"))
    # one batch: the second load fills what the first spend empties, and a replay adds nothing
    first = money(LoadValue, ann, 20_00, "load")
    batch = [
        first,
        money(SpendValue, ann, 15_00, "s1", HOTEL),
        money(LoadValue, ann, 6_00, "l2", PETROL),
        first,
    ]
    replies = execute(database, batch, live)  # type: ignore[arg-type]
    assert [reply.replayed for reply in replies] == [False, False, False, True]
    done(database, live, money(LoadValue, bob, 10_00, "bob"))
    assert refused(database, live, merge(ann, bob, "too early")) == "account_has_value"
    spent = done(database, live, money(SpendValue, bob, 10_00, "bob spends", PETROL))
    next_day(database, 1)
    done(database, live, merge(ann, bob, "merge", at=START + DAY))
    done(database, live, undo(spent, "half back", at=START + DAY, amount_minor=4_00))
    done(database, live, money(RefundValue, bob, 4_00, "refund", GROCER, 1))
    done(database, live, undo(entry_of(replies[1]), "back", at=START + DAY, amount_minor=1_00))
    next_day(database, 2)
    done(database, live, money(LoadValue, ann, 7_00, "l3", GROCER, 2))
    done(database, live, money(SpendValue, ann, 9_00, "s2", PETROL, 2))


def test_it_is_whole_and_beside_points(owner: Engine) -> None:
    """Every law holds, with a window open; what is left is what was loaded less what went."""
    with owner.connect() as connection:
        assert [one for check in CHECKS for one in faults(connection, check)] == []
        assert problems(connection) == []
        left = connection.execute(
            text("SELECT unit, sum(remaining)::bigint FROM lot GROUP BY 1 ORDER BY 1")
        ).all()
        # 20.00 - 15.00 + 6.00 + 4.00 - 4.00 + 1.00 + 7.00 - 9.00; 1.00 on top ended with the refund
        assert [tuple(row) for row in left] == [(1, 30), (3, 10_00), (4, 0)]
        night = text(
            "SELECT p.code, n.final_minor FROM net_position n"
            " JOIN partner p ON p.partner_id = n.participant_id"
            " WHERE n.window_id = 20170502 AND n.final_minor <> 0 ORDER BY 1"
        )
        # 4.00 from petrol, paid back by the grocer; 1.00 from the hotel; what was on top back to the bank
        assert [tuple(row) for row in connection.execute(night)] == [
            *(("bank", 1_00), ("grocer", 4_00), ("hotel", -1_00), ("petrol", -4_00)),
        ]


def test_outsiders_find_it_balanced(owner: Engine) -> None:
    """The journal has value in commodities of its own, and beancount finds no error in it."""
    entries, errors, _ = loader.load_string(journal_of(owner, "beancount"))
    assert errors == []
    units = {line.units.currency for one in entries for line in getattr(one, "postings", ())}
    assert units == {"PTS", "VALUE", "VALUE-BONUS"}


FAULTS = {
    "a load that the night did not see": (
        "UPDATE posting SET points = points + 1 WHERE unit = 3 AND issuer_id = 12 AND debit = 2",
        {"values_equal_postings"},
    ),
    "money that a member has and nobody safeguards": (
        "UPDATE lot SET remaining = remaining + 1 WHERE unit = 3 AND remaining > 0",
        {"value_is_safeguarded"},
    ),
    "a total that grew": (
        "UPDATE value_total SET minor = minor + 1 WHERE unit = 4",
        {"values_equal_postings", "hashes_hold", "obligations_follow_terms"},
    ),
    "safeguarded money that is somewhere else": (
        "UPDATE money_posting SET participant_id = 2 WHERE account = 'claim' AND participant_id = 4",
        {"safeguarded_money_is_kept", "pool_money_is_kept"},
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_every_fault_is_told(owner: Engine, fault: str) -> None:
    """By the checks whose law it breaks."""
    sql, told_by = FAULTS[fault]
    with owner.connect() as connection:
        for table in ("posting", "money_posting"):
            connection.execute(text(f"ALTER TABLE {table} DISABLE TRIGGER USER"))
        assert connection.execute(text(sql)).rowcount > 0
        told = {one.check for one in problems(connection)}
        connection.rollback()
    assert told == told_by


def test_nobody_spends_money_twice(database: Engine) -> None:
    """Of ten spends of 3.00 in one batch a member of 20.00 has six; and points pay for none of it."""
    live = set_up(database, source=PROGRAMME + VALUE)
    card = new_card(database, live)
    done(database, live, sale(card, 90_00, "points"))
    done(database, live, money(LoadValue, card, 19_00, "load", BANK))
    spends = [money(SpendValue, card, 3_00, f"s{number}", HOTEL) for number in range(10)]
    replies = execute(database, spends, live)  # type: ignore[arg-type]
    assert [isinstance(reply.outcome, Entry) for reply in replies] == [True] * 6 + [False] * 4
    assert {entry_of(reply).points for reply in replies[:6]} == {0}
    assert {entry_of(reply).balance_after for reply in replies[:6]} == {90}


def settle(database: Engine, days: int) -> dict[str, int]:
    """Take a netted night to settled; what was paid to (+) and by (-) whom."""
    on, at = START.date() + days * DAY, START + (days + 1) * DAY
    proposal = propose_run(database, on, by="ann", at=at)
    approve_run(database, on, sha256=proposal.sha256, by="bob", at=at)
    paid: dict[str, int] = {}
    for way in ("in", "out"):
        for one in [one for one in instruct(database, on, by="ann", at=at) if one.direction == way]:
            with database.begin() as connection:
                record_payment(
                    connection,
                    end_to_end_id=one.end_to_end_id,
                    amount_minor=one.amount_minor,
                    payment_reference=f"paid {one.end_to_end_id}",
                    booked_on=one.value_on,
                    by="bank",
                    at=at,
                )
                code = connection.execute(
                    text("SELECT code FROM partner WHERE partner_id = :party"), {"party": one.participant_id}
                ).scalar_one()
            paid[code] = one.amount_minor if way == "out" else -one.amount_minor
        advance(database, on, at=at)
    assert advance(database, on, at=at) == "settled"
    return paid


def test_its_money_goes_through_banks_and_stays_what_members_have(database: Engine) -> None:
    """Paid in to the safeguarding account one night, out of it the next; its cash is what is left."""
    live = set_up(database, source=PROGRAMME + VALUE)
    card = new_card(database, live)
    done(database, live, money(LoadValue, card, 50_00, "load"))
    done(database, live, money(SpendValue, card, 20_00, "s1", HOTEL))
    next_day(database, 1)
    assert settle(database, 0) == {
        "grocer": -50_00,
        "bank": -1_00,
        "hotel": 20_00,
        "hub-safeguard": 31_00,
    }
    done(database, live, money(SpendValue, card, 31_00, "s2", PETROL, 1))
    next_day(database, 2)
    assert settle(database, 1) == {"hub-safeguard": -31_00, "petrol": 31_00}
    cash = "SELECT sum(amount) FROM money_posting WHERE account = 'cash' AND participant_id = 4"
    with database.connect() as connection:
        assert connection.execute(text(cash)).scalar_one() == 0
        assert problems(connection) == []
