"""Explanations and quotes over the partner API: exact, one's own, and without effect."""

from collections.abc import Callable

import pytest
from sqlalchemy import Engine, text

from network.rules import Rules
from tests.api.conftest import Till, a_sale
from tests.coalition import GROCER, PETROL, START, set_up

SOURCE = """
name = "reasons"
[earn.default]
[expiry]
months = 3
[[rule]]
id = "cash"
says = "Double points for cash, from the bank"
when = { tenders = ["cash"], nth = 1 }
award = { times = "2" }
fund = { who = "bank" }
"""


@pytest.fixture
def live(database: Engine) -> Rules:
    """A network whose programme has a rule that a sponsor pays for, once a member."""
    return set_up(database, source=SOURCE)


def test_a_quote_is_what_the_sale_then_earns_and_changes_nothing(
    database: Engine, till: Callable[[int], Till]
) -> None:
    """Asked twice it says the same; the sale earns it; then the quote says less, and what can be spent."""
    grocer = till(GROCER)
    card = grocer.enrol()["card"]
    basket = {"outlet": "main", "card": card, "currency": "USD", "occurred_at": START.isoformat()}
    asked = {**basket, "amount_minor": 1000, "tender": "cash"}
    first = grocer.post("/v1/quotes", **asked)
    assert first.status_code == 200, first.text
    assert (first.json()["points"], first.json().get("spendable", 0)) == (20, 0)
    assert grocer.post("/v1/quotes", **asked).json() == first.json()
    with database.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM entry WHERE kind = 2")).scalar_one() == 0
    sold = grocer.post("/v1/accruals", **a_sale(card, 1000, "s", tender="cash")).json()
    assert sold["points"] == 20
    later = grocer.post("/v1/quotes", **asked).json()
    assert (later["points"], later["spendable"]) == (10, 20)
    assert grocer.post("/v1/quotes", **basket).json() == {"points": 0, "spendable": 20}
    refused = grocer.post("/v1/quotes", **{**asked, "outlet": "other"}).json()
    assert (refused["refused"], refused["spending_refused"]) == ("outlet_unknown", "outlet_unknown")


def test_an_explanation_names_rules_reasons_and_who_pays(till: Callable[[int], Till]) -> None:
    """Its own partner's entry; another's is as if it were not there."""
    grocer = till(GROCER)
    card = grocer.enrol()["card"]
    sold = grocer.post("/v1/accruals", **a_sale(card, 1000, "s", tender="cash")).json()
    again = grocer.post("/v1/accruals", **a_sale(card, 1000, "t", tender="cash")).json()
    told = grocer.get(f"/v1/entries/{sold['id']}/explanation").json()
    assert told["payers"] == {"grocer": 10, "bank": 10}
    assert [(one["rule"], one["points"]) for one in told["steps"]] == [("earn.default", 10), ("cash", 10)]
    less = grocer.get(f"/v1/entries/{again['id']}/explanation").json()
    assert [(one["rule"], one.get("reason", "")) for one in less["steps"]] == [
        ("cash", "not_reached"),
        ("earn.default", ""),
    ]
    assert till(PETROL).get(f"/v1/entries/{sold['id']}/explanation").status_code == 404
