"""Exposure against caps for the operator's people: over HTTP and by command, the same figures."""

import os
import subprocess
import sys
from decimal import Decimal

import msgspec
import pytest
from sqlalchemy import Engine

from config.settings import PROJECT
from network.batch import execute
from network.rules import Rules
from network.service import load_rules
from settlement import exposure_rows
from tests.api.office import Office
from tests.coalition import BANK, CODES, GROCER, HOTEL, PETROL, new_card, run, sale, set_up, terms
from tests.conftest import SCHEMA, as_owner
from tests.integration.test_caps import said


@pytest.fixture
def live(database: Engine) -> Rules:
    """Petrol may owe 0.80, a hundred points of .0080; 85 are out, and 16 more were refused."""
    petrol = msgspec.structs.replace(terms(PETROL), net_debit_cap=Decimal("0.80"))
    set_up(database, contracts=[terms(GROCER), petrol, terms(HOTEL), terms(BANK)])
    with database.begin() as connection:
        exposure_rows.rebuild(connection)
        rules = load_rules(connection)
    card = new_card(database, rules)
    run(database, rules, sale(card, 170_00, "a", partner_id=PETROL))
    assert said(execute(database, [sale(card, 32_00, "b", partner_id=PETROL)], rules)) == ["cap_reached"]
    return rules


def test_figures_and_warnings(office: Office) -> None:
    """Whoever has a session sees how near its cap who is, and when it passed what, as metrics do."""
    page = office.client.get("/metrics").text
    assert f'tessera_exposure_share{{partner="{CODES[PETROL]}"}} 0.85\n' in page
    assert page.count("tessera_exposure_share{") == 1
    viewer = office.person("vera", "viewer")
    [one] = viewer.get("/exposure")["data"]
    figures = {name: Decimal(one[name]) for name in ("exposure", "owed", "held", "points", "limit")}
    assert figures == {
        "exposure": Decimal("0.68"),
        "owed": 0,
        "held": 0,
        "points": 85,
        "limit": Decimal("0.80"),
    }
    assert (one["partner"], one["at_cap"], one["level"], one["unvalued"]) == (
        CODES[PETROL],
        "refuse",
        "warning",
        [],
    )
    [move] = viewer.get("/exposure/warnings?date=2017-05-01")["data"]
    assert (move["level_before"], move["level"], move["warning"], move["seen_by"]) == (
        "within",
        "warning",
        True,
        "commit",
    )
    assert viewer.get("/exposure/warnings?date=2017-05-02")["data"] == []
    assert office.client.get("/operator/exposure").status_code == 401


def tessera(database_url: str, *arguments: str) -> tuple[int, str]:
    """Run a command; its exit status and output."""
    done = subprocess.run(
        [sys.executable, "-m", "api.cli", "exposure", *arguments],
        cwd=PROJECT,
        env={**os.environ, "TESSERA_DATABASE_URL": database_url, "TESSERA_SCHEMA": SCHEMA},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


@pytest.mark.usefixtures("live")
def test_the_commands(database: Engine, database_url: str) -> None:
    """`list` and `warnings` say it in a line each; `check` counts again, and fails where a row is wrong."""
    status, shown = tessera(database_url, "list")
    assert (status, shown.splitlines()) == (
        0,
        [
            "petrol  0.68 USD  limit 0.8 (refuse)  warning  (owed 0, holds 0, points 0.68)",
            "1 partners have a cap",
        ],
    )
    status, shown = tessera(database_url, "warnings")
    assert (status, "petrol  within -> warning  0.68 USD, limit 0.8, seen by commit" in shown) == (0, True)
    assert tessera(database_url, "check") == (0, "every row is what a recount makes of it\n")
    with as_owner(database) as connection:
        connection.exec_driver_sql("UPDATE exposure SET points = points + 1")
    status, shown = tessera(database_url, "check")
    assert status == 1
    assert "partner 12 USD: the row is owed 0, held 0, points 86" in shown
