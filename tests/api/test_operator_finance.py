"""Figures of finance over HTTP: what is outstanding, deferred revenue, and who may see them."""

import pytest
from sqlalchemy import Engine

from network.rules import Rules
from tests.api.office import Desk, Office
from tests.whole import live_through


@pytest.fixture
def live(database: Engine) -> Rules:
    """A network with two settled nights."""
    return live_through(database).live


@pytest.fixture
def viewer(office: Office) -> Desk:
    """A viewer of it."""
    return office.person("vera", "viewer")


def test_liability_and_deferred_revenue(viewer: Desk) -> None:
    """Points by issuer and terms, the two parts of what they cost, and months that add up."""
    found = viewer.get("/reports/liability?date=2017-05-02")
    assert (found["business_date"], found["open"]) == ("2017-05-02", False)
    assert {one["issuer"]: one["points"] for one in found["data"]} == {
        "grocer": 89,
        "petrol": 50,
        "hotel": 30,
        "bank": 50,
    }
    petrol = next(one for one in found["data"] if one["issuer"] == "petrol")
    assert (float(petrol["plain"]), float(petrol["issuers"]), float(petrol["pools"])) == (0.5, 0.25, 0.25)
    [all_of_them] = viewer.get("/reports/roll-forward?date=2017-05-02")["data"]
    [grocer] = viewer.get("/reports/roll-forward?date=2017-05-02&partner=grocer")["data"]
    assert (all_of_them["issuer"], grocer["issuer"]) == (None, "grocer")
    for one in (*all_of_them["data"], *grocer["data"]):
        left = one["opening"] + one["allocated"] - one["recognised"] - one["catch_up"] - one["lapsed"]
        assert left == one["closing"]


def test_what_there_is_no_report_of(viewer: Desk) -> None:
    """A problem that says what was asked for."""
    for path in ("/reports/liability?date=2016-01-01", "/reports/roll-forward?partner=baker"):
        answer = viewer.send("GET", path)
        assert (answer.status_code, answer.json()["code"]) == (404, "report_unknown")


def test_nobody_without_a_session(office: Office) -> None:
    """What partners owe is for the operator's people."""
    for path in ("/reports/liability", "/reports/roll-forward"):
        assert office.client.get(f"/operator{path}").status_code == 401
