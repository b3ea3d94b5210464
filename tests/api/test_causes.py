"""What causes have raised is there for everybody, and nothing else is."""

from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest
from sqlalchemy import Engine, text
from starlette.testclient import TestClient
from typer.testing import CliRunner

from api.app import create_app
from api.cli import app as command_line
from network.rules import Rules
from network.service import set_clock
from settlement.service import clear_due
from tests.api.conftest import AUTHORITY, Till, a_sale, real_now
from tests.coalition import GROCER, START, WHOLE, open_terms, set_up

AT = START.isoformat()


@pytest.fixture
def live(database: Engine) -> Rules:
    """A network whose bank is a cause."""
    return set_up(database, source=WHOLE, contracts=open_terms())


@pytest.fixture
def client(database: Engine, live: Rules) -> Iterator[TestClient]:
    """Its application."""
    app = create_app(database, authority=AUTHORITY, now=real_now)
    with TestClient(app, base_url=f"http://{AUTHORITY}", raise_server_exceptions=False) as running:
        yield running


def test_everybody_sees_the_total_and_nobody_who_gave(
    database: Engine, client: TestClient, till: Callable[[int], Till]
) -> None:
    """Without a signature: points, money, and through when; a page too. Of members nothing."""
    grocer = till(GROCER)
    made = grocer.post("/v1/members", reference="m", occurred_at=AT).json()
    pledged = grocer.post(
        "/v1/pledges",
        reference="p",
        occurred_at=AT,
        card=made["card"],
        pledge="good",
        per_cent=10,
        cause="bank",
    )
    assert pledged.status_code == 201
    assert grocer.post("/v1/accruals", **a_sale(made["card"], 125_00, "s")).status_code == 201
    nothing = {"cause": "bank", "name": "The bank", "points": 0, "amounts": {}, "through": None}
    assert client.get("/causes/bank").json() == nothing
    for days in (1, 2):
        with database.begin() as connection:
            set_clock(connection, START + days * timedelta(days=1))
        clear_due(database, START + days * timedelta(days=1), programme_version=1)
    raised = {**nothing, "points": 12, "amounts": {"USD": "0.096"}, "through": "2017-05-02"}
    answer = client.get("/causes/bank")
    assert answer.json() == raised
    page = client.get("/causes")
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert "<td>The bank</td><td>12</td><td>0.096 USD</td><td>2017-05-02</td>" in page.text
    for secret in (made["card"], made["member"], made["id"]):
        assert secret not in page.text + answer.text


@pytest.mark.parametrize("code", ["petrol", "nobody", "%00", "a%2Fb", "%E2%80%AE"])
def test_what_is_no_cause_is_not_there(client: TestClient, code: str) -> None:
    """Partners that take no donations, and texts that are no code."""
    assert client.get(f"/causes/{code}").status_code == 404


def test_a_name_is_shown_and_not_obeyed(owner_database: Engine, client: TestClient) -> None:
    """Whatever a cause is called, the page is ours."""
    with owner_database.begin() as connection:
        connection.execute(text("UPDATE partner SET name = '<script>x</script>' WHERE code = 'bank'"))
    page = client.get("/causes")
    assert "&lt;script&gt;x&lt;/script&gt;" in page.text
    assert "<script>" not in page.text
    assert page.headers["content-security-policy"] == "default-src 'none'"


def test_each_cause_has_its_line_on_the_command_line(
    database: Engine, database_url: str, live: Rules
) -> None:
    """`tessera causes` says the same."""
    environment = {"TESSERA_DATABASE_URL": database_url, "TESSERA_SCHEMA": "tessera"}
    told = CliRunner().invoke(command_line, ["causes"], env=environment)
    assert told.exit_code == 0
    assert [line.split() for line in told.output.splitlines()] == [
        ["bank", "0", "points", "nothing", "through", "no", "day", "yet"],
        ["1", "causes"],
    ]
