"""Reports over HTTP: the figures of the ledger, files that agree with them, and who may have them."""

import io

import openpyxl
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


def test_files(viewer: Desk) -> None:
    """Each file as what it is; a page may run and load nothing, whatever stands in it."""
    page, table = "text/html; charset=utf-8", "text/csv; charset=utf-8"
    for path, media in {
        "/partners/grocer/statement.html?month=2017-05": page,
        "/partners/grocer/statement.csv?date=2017-05-01": table,
        "/partners/grocer/reconciliation.csv?year=2017": table,
        "/reports/operator.html?date=2017-05-02": page,
    }.items():
        answer = viewer.send("GET", path)
        assert answer.status_code == 200, answer.text
        assert answer.headers["content-type"] == media
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"] == "no-store"
        assert len(answer.content) > 500


def test_workbooks(viewer: Desk) -> None:
    """Both workbooks open, with the sheets that they promise."""
    sheets = {
        "/partners/hotel/statement.xlsx?month=2017-05": ["Statement", "Nights", "Postings"],
        "/reports/operator.xlsx": ["Positions", "Liability", "Ageing", "Deferred revenue", "Obligations"],
    }
    for path, names in sheets.items():
        answer = viewer.send("GET", path)
        assert answer.status_code == 200, answer.text
        assert openpyxl.load_workbook(io.BytesIO(answer.content)).sheetnames == names


def test_what_there_is_no_report_of(viewer: Desk) -> None:
    """A problem that says what was asked for."""
    for path, status, code in (
        ("/partners/baker/statement.html?month=2017-05", 404, "nothing_to_report"),
        ("/partners/grocer/statement.html?month=2018-05", 404, "nothing_to_report"),
        ("/partners/grocer/statement.html?month=May", 422, "span_unclear"),
        ("/partners/grocer/statement.html", 422, "span_unclear"),
        ("/partners/grocer/statement.html?month=2017-05&year=2017", 422, "span_unclear"),
        ("/reports/liability?date=2016-01-01", 404, "nothing_to_report"),
    ):
        answer = viewer.send("GET", path)
        assert (answer.status_code, answer.json()["code"]) == (status, code)


def test_nobody_without_a_session(office: Office) -> None:
    """What partners owe is for the operator's people."""
    for path in ("/reports/liability", "/reports/operator.html", "/partners/grocer/statement.csv?year=2017"):
        assert office.client.get(f"/operator{path}").status_code == 401
