"""Liability and deferred revenue of a ledger counted by hand: a lot that ends, and one after it."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from sqlalchemy import Engine

from config.database import make_engine
from network.rules import Rules
from network.service import set_clock
from settlement.acceptance import load_accepted
from settlement.ifrs15 import Movement
from settlement.reports.cohorts import read_cohorts
from settlement.reports.figures import read_figures
from settlement.reports.finance_pictures import ages, chances, deferred, liabilities
from settlement.reports.liability import ageing, read_outstanding
from settlement.reports.read import read_span
from settlement.reports.rollforward import read_roll_forwards
from settlement.service import clear_due
from tests.coalition import GROCER, HOTEL, PETROL, burn, new_card, run, sale, set_up, terms, undo
from tests.conftest import SCHEMA, Run, database_on

PROGRAMME = """
name = "short"
[earn.default]
step_minor = 100
[expiry]
months = 1
"""
JULY = date(2017, 7, 2)


def at(database: Engine, on: date) -> datetime:
    """Clear all nights before a day, and be there at nine."""
    instant = datetime(on.year, on.month, on.day, 9, tzinfo=UTC)
    with database.begin() as connection:
        set_clock(connection, instant)
    clear_due(database, instant, programme_version=1)
    return instant


def begin(database: Engine) -> Rules:
    """The grocer pays half of a point at its issue; points live to the end of the month after."""
    contracts = [terms(GROCER, funding_share="0.5"), terms(PETROL), terms(HOTEL)]
    return set_up(database, source=PROGRAMME, contracts=contracts)


@pytest.fixture(scope="module")
def summer(server: Run) -> Iterator[Engine]:
    """100 points on 1 May, of which 40 are redeemed on 20 May and 60 lapse on 1 July; 50 more on 2 July.

    Sixty nights are cleared once; tests only read.
    """
    with database_on(server, template=server.template) as url:
        database = make_engine(url, schema=SCHEMA)
        try:
            live = begin(database)
            card = new_card(database, live)
            run(database, live, sale(card, 100_00, "may"))
            run(database, live, burn(card, 40, "spent", at=at(database, date(2017, 5, 20))))
            run(database, live, sale(card, 50_00, "july", at=at(database, JULY)))
            yield database
        finally:
            database.dispose()


def test_expected_redemption_is_that_of_the_lots_before(summer: Engine) -> None:
    """Two in five were redeemed with 41 days left; so twenty of fifty with 60 days left will be."""
    with summer.connect() as connection:
        found = read_outstanding(connection)
    [one] = [one for one in found.liabilities if one.estimate.outstanding]
    assert (found.on, found.is_open) == (JULY, True)
    assert one.estimate.outstanding == 50
    assert one.estimate.expected == 20
    assert one.estimate.unseen == 0
    assert (one.plain, one.of_issuer, one.of_pool) == (Decimal("0.50"), Decimal("0.25"), Decimal("0.25"))
    assert one.expected == Decimal("0.20")
    assert ageing(found) == {(GROCER, "60 days"): 50}


def test_before_a_lot_has_ended_everything_may_be_redeemed(summer: Engine) -> None:
    """As of the end of May no point had come to its last days: the 60 that were out all count."""
    with summer.connect() as connection:
        found = read_outstanding(connection, date(2017, 5, 31)).total("USD")
    assert (found.outstanding, found.expected_points, found.unseen) == (60, Decimal(60), Decimal(60))


def test_deferred_revenue_by_hand(summer: Engine) -> None:
    """Points at a cent each: 100.00 sells goods and a dollar of points, of which 99 cents is theirs.

    May: 40 of 100 expected are redeemed, 40 cents. June: at its end no redemption is expected any more, and
    59 cents lapse. July: 50.00 and twenty cents' worth of points that will be redeemed.
    """
    with summer.connect() as connection:
        lines = read_roll_forwards(connection, read_cohorts(connection, JULY))
    assert [f"{month:%Y-%m}" for month in lines.months] == ["2017-05", "2017-06", "2017-07"]
    [grocer] = lines.issuers
    assert grocer.months == [
        Movement(allocated=99, recognised=40, closing=59),
        Movement(opening=59, lapsed=59),
        Movement(allocated=20, closing=20),
    ]
    assert lines.total("USD").over(0, 2) == Movement(allocated=119, recognised=40, lapsed=59, closing=20)


def test_another_selling_price(summer: Engine) -> None:
    """Points that sell for two cents have twice the part, nearly."""
    with summer.connect() as connection:
        cohorts = read_cohorts(connection, date(2017, 5, 31))
        [grocer] = read_roll_forwards(connection, cohorts, Decimal("0.02")).issuers
    assert grocer.months == [Movement(allocated=196, recognised=78, closing=118)]


def test_returned_sales_take_their_part_back(database: Engine) -> None:
    """Half of a sale comes back: half of its points and of what was allocated to them."""
    live = begin(database)
    card = new_card(database, live)
    bought = run(database, live, sale(card, 100_00, "bought"))
    run(database, live, undo(bought, "back", amount_minor=50_00))
    with database.connect() as connection:
        cohorts = read_cohorts(connection, date(2017, 5, 1))
        [grocer] = read_roll_forwards(connection, cohorts).issuers
        found = read_outstanding(connection)
    assert grocer.months == [Movement(allocated=50, closing=50)]
    assert found.total("USD").outstanding == 50


def test_accepted_in_the_month_before(summer: Engine) -> None:
    """Breakage of June is shared by what was accepted in May, that of July by nobody's."""
    with summer.connect() as connection:
        accepted = {month: load_accepted(connection, date(2017, month, 15)) for month in (5, 6, 7)}
    [(issuer, by_acceptor)] = accepted[6].items()
    assert (issuer, sum(by_acceptor.values())) == (GROCER, 40)
    assert accepted[5] == accepted[7] == {}


def test_figures_to_date(summer: Engine) -> None:
    """Lapses of month and year, the pool's money for them, and nets that sum to zero."""
    last = JULY - timedelta(days=1)
    with summer.connect() as connection:
        span = read_span(connection, date(2017, 1, 1), last)
        figures = read_figures(connection, span, read_outstanding(connection, last))
    [lapsed] = figures.breakage
    assert (lapsed.issuer_id, lapsed.month_points, lapsed.year_points) == (GROCER, 60, 60)
    assert sum(year for _, _, _, year in figures.lapses) == Decimal("0.30")
    for name in ("night_minor", "month_minor", "year_minor"):
        assert figures.total("USD", name) == 0
    assert figures.exposures == []


def test_pictures_of_little(summer: Engine) -> None:
    """A network with one issuer and one redemption has its pictures, too."""
    with summer.connect() as connection:
        found = read_outstanding(connection)
        line = read_roll_forwards(connection, found.cohorts).total("USD")
    drawn = [chances(found), liabilities(found, "USD"), ages(found), deferred(line, ["5", "6", "7"])]
    assert all(one.startswith(b"<?xml") for one in drawn)
