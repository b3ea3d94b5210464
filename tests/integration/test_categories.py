"""Categories of redemption, from the till to the night: named, priced apart, returned as what they were."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TypeVar
from uuid import UUID

import msgspec
from sqlalchemy import Engine

from network.batch import content_hash, execute
from network.commands import Hold, Redeem
from network.model import Entry
from network.outcomes import Rejected
from network.rules import Rules
from network.service import load_rules, set_clock
from partners.contracts import add_category
from partners.store import add_terms
from settlement.service import clear
from settlement.verify import problems
from tests.coalition import (
    GROCER,
    HOTEL,
    PETROL,
    START,
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

AT = datetime(2017, 5, 1, 9, tzinfo=UTC)


def test_requests_without_a_category_hash_as_they_always_did() -> None:
    """A till that tries again after the upgrade is answered from memory."""
    redemption, hold = burn(6330000000000012, 60, "r", at=AT), reserve(6330000000000012, 60, "h", at=AT)
    assert content_hash(redemption) == UUID("6561bf22-7fdc-5f5a-d25f-edb5703de6d9")
    assert content_hash(hold) == UUID("3d6322b1-4d18-99fb-1b27-bfb9e1ab39dd")
    assert content_hash(msgspec.structs.replace(redemption, category="flight")) != content_hash(redemption)


def test_a_category_is_priced_at_its_own_rate_and_returned_at_it(database: Engine) -> None:
    """Flights are paid .0120 a point and the rest .0080: sold, held, captured, returned; verify is silent."""
    flights = msgspec.structs.replace(terms(HOTEL), category_rates=((1, Decimal("0.0120")),))
    set_up(database, contracts=[terms(GROCER, funding_share="0"), terms(PETROL)])
    with database.begin() as connection:
        add_category(connection, "flight", "Flights", by="max")
        add_terms(connection, [flights], prepared_by="max", activated_by="cleo")
        live = load_rules(connection)
    assert live.directory.categories == {"flight": 1}
    assert live.directory.terms[HOTEL] == [flights]
    card = new_card(database, live)
    run(database, live, sale(card, 100_000, "s"))
    run(database, live, burn(card, 100, "plain"))
    flown = run(database, live, _flight(burn(card, 200, "flown")))
    run(database, live, undo(flown, "half back", points=50))
    held = run(database, live, _flight(reserve(card, 100, "held")))
    run(database, live, take(held, 30, "taken"))
    over = START + timedelta(days=1)
    with database.begin() as connection:
        set_clock(connection, over)
    night = clear(database, START.date(), at=over, programme_version=1)
    assert [
        (debt.debtor_id, debt.creditor_id, debt.category, debt.points, debt.amount)
        for debt in night.obligations
        if debt.flow == "redemption"
    ] == [
        (GROCER, HOTEL, 0, 100, Decimal("0.800")),
        (GROCER, HOTEL, 1, 180, Decimal("2.160")),
    ]
    with database.connect().execution_options(isolation_level="REPEATABLE READ") as connection:
        assert problems(connection) == []


_Paying = TypeVar("_Paying", Redeem, Hold)


def _flight(command: _Paying) -> _Paying:
    return msgspec.structs.replace(command, category="flight")


def test_a_category_that_is_not_known_is_refused_and_may_be_named_again(database: Engine) -> None:
    """The server may not have read it yet: the refusal is not remembered."""
    live = set_up(database)
    card = new_card(database, live)
    run(database, live, sale(card, 100_000, "s"))
    wanted = _flight(burn(card, 100, "flown"))
    assert _reply(database, live, wanted) == Rejected("category_unknown")
    with database.begin() as connection:
        add_category(connection, "flight", "Flights", by="max")
        live = load_rules(connection)
    assert isinstance(_reply(database, live, wanted), Entry)


def test_a_contract_may_let_its_tills_report_less_late(database: Engine) -> None:
    """With `late_days` of 2 a sale of two days ago is taken, and one of a second more is not."""
    live = set_up(database, contracts=[msgspec.structs.replace(terms(GROCER), late_days=2)])
    card = new_card(database, live)
    two_days = START - timedelta(days=2)
    assert run(database, live, sale(card, 500, "in time", at=two_days)).points == 5
    [reply] = execute(database, [sale(card, 500, "late", at=two_days - timedelta(seconds=1))], live)
    assert reply.outcome == Rejected("occurred_too_long_ago")


def _reply(database: Engine, live: Rules, command: Redeem) -> Entry | Rejected:
    [reply] = execute(database, [command], live)
    return reply.outcome
