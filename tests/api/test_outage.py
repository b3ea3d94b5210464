"""A database that is away: every answer is a 503 to try again, and afterwards all goes on."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from sqlalchemy import Engine, NullPool, create_engine, text

from network.identity import card_number
from tests.api.conftest import NDJSON, Till, a_sale
from tests.coalition import GROCER
from tests.conftest import Run


@contextmanager
def shut(database: Engine, server: Run) -> Iterator[None]:
    """Let nobody connect to the database, and cut off who is."""
    name = database.url.database
    admin = create_engine(server.url, poolclass=NullPool, isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.execute(text(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS false'))
        connection.execute(
            text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = :name"),
            {"name": name},
        )
        yield
        connection.execute(text(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS true'))


@pytest.mark.parametrize("warm", [False, True])
def test_while_the_database_is_away_tills_are_told_to_come_back(
    database: Engine, server: Run, till: Callable[[int], Till], *, warm: bool
) -> None:
    """Commands, files and reads get 503, whether or not the rules had been read; then all is done."""
    grocer = till(GROCER)
    card = grocer.enrol()["card"] if warm else str(card_number(1))
    assert grocer.get(f"/v1/cards/{card}").status_code == (200 if warm else 422)
    sold = a_sale(card, 500, "sale")
    with shut(database, server):
        for _ in range(2):
            answer = grocer.post("/v1/accruals", **sold)
            assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
            assert answer.headers["retry-after"] == "1"
            assert grocer.get(f"/v1/cards/{card}").json()["code"] == "unavailable"
            file = grocer.send("POST", "/v1/batches", b"{}\n", content_type=NDJSON)
            assert (file.status_code, file.json()["code"]) == (503, "unavailable")
    assert grocer.file([{"type": "void"}])[0]["status"] == 422
    if warm:
        assert grocer.post("/v1/accruals", **sold).json()["points"] == 5
    else:
        assert grocer.enrol()["points"] == 0
