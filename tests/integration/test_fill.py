"""The fillers of the benchmarks make ledgers as the hub would: they hold, and can be priced."""

from collections.abc import Iterator
from datetime import date, timedelta

import pytest
from rich.console import Console
from sqlalchemy import URL, Engine, text

from config.database import make_engine
from network import verify
from network.identity import card_number
from network.service import closes_at, read_network
from settlement.service import clear
from tests.benchmarks.fill import fill_window, make_coalition
from tests.benchmarks.ledger import Ledger, fill_ledger
from tests.conftest import SCHEMA

TODAY = date(2026, 3, 10)
SIZE = Ledger(members=300, months=3, today=TODAY)


@pytest.fixture
def bare(empty_database: URL) -> Iterator[Engine]:
    """A database with nothing in it."""
    engine = make_engine(empty_database, schema=SCHEMA)
    yield engine
    engine.dispose()


def test_a_filled_ledger_is_whole(bare: Engine) -> None:
    """300 members with three months of history: every law of the ledger holds, and cards open accounts."""
    fill_ledger(bare, SIZE, SCHEMA, Console(quiet=True))
    with bare.connect() as connection:
        found = [problem for check in verify.CHECKS for problem in verify.faults(connection, check)]
        assert found == []
        numbers = connection.execute(text("SELECT card_number FROM card ORDER BY member_id")).scalars().all()
    assert list(numbers) == [card_number(member) for member in range(1, 301)]


def test_a_fill_goes_on_where_it_was_stopped(bare: Engine) -> None:
    """Filled again, nothing is added: each step is done once."""
    for _ in range(2):
        fill_ledger(bare, SIZE, SCHEMA, Console(quiet=True))
    with bare.connect() as connection:
        rows = {
            table: connection.execute(text(f"SELECT count(*) FROM {table}")).scalar_one()
            for table in ("member", "card", "account", "lot", "entry", "posting", "idempotency")
        }
    assert rows == {"member": 300, "card": 300, "account": 300} | dict.fromkeys(
        ("lot", "entry", "posting", "idempotency"), 900
    )


def test_a_filled_window_can_be_cleared(owner_database: Engine) -> None:
    """3,240 postings of 3,000 entries are priced and netted, and positions sum to zero."""
    make_coalition(owner_database, TODAY)
    fill_window(owner_database, TODAY, postings=3_240, members=10_000)
    with owner_database.connect() as connection:
        over = closes_at(read_network(connection), TODAY) + timedelta(minutes=1)
        counted = connection.execute(text("SELECT count(*) FROM posting")).scalar_one()
    night = clear(owner_database, TODAY, at=over)
    assert counted == 3_240
    assert sum(position.final_minor for position in night.positions) == 0
    assert night.payment_minor > 0
