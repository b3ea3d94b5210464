"""The SDK's files: streamed from a path or from commands, carried out, answered line by line."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine
from tessera_client import (
    Accrual,
    AsyncClient,
    Client,
    Command,
    Enrolment,
    ReferenceReused,
    Unusable,
    new_key,
)
from tessera_client.messages import Request

from network.rules import Rules
from tests.api.served import register, served
from tests.coalition import GROCER, START

HEADER = b"type,reference,occurred_at,outlet,card,amount_minor,currency\n"


def sales(card: str, count: int) -> Iterator[Command]:
    """Sales, and last one on a card that nobody has."""
    for number in range(count):
        yield Accrual(
            reference=f"s-{number}",
            occurred_at=START,
            outlet="main",
            card=card if number < count - 1 else "6330001234567895",
            amount_minor=1250,
            currency="USD",
        )


def test_files_are_sent_and_answered(database: Engine, live: Rules, tmp_path: Path) -> None:
    """2,000 lines from a generator, the same again, CSV from a path, async too: each line has its answer."""
    key = new_key()
    key_id = register(database, GROCER, key)
    with served(database) as address, Client(address, key_id, key) as client:
        described = client.request(Request(method="GET", path="/openapi.json")).body
        if b"/v1/batches/{batch}/result" not in described:
            pytest.skip("this service answers files at once")
        card = str(client.send(Enrolment(reference="m-1", occurred_at=START)).card)
        sent = client.send_file(sales(card, 2_000), reference="day-1")
        assert client.send_file(sales(card, 2_000), reference="day-1").id == sent.id
        with pytest.raises(ReferenceReused):
            client.send_file(sales(card, 3), reference="day-1")
        done = client.finished(sent.id)
        assert (done.state, done.lines, done.accepted, done.refused) == ("done", 2_000, 1_999, 1)
        answers = list(client.answers(sent.id))
        assert [one.line for one in answers] == list(range(1, 2_001))
        assert (answers[-1].status, answers[-1].code) == (422, "card_unknown")
        assert answers[0].entry is not None
        assert answers[0].entry.points == 12
        assert client.batch(sent.id).answered == 2_000

        path = tmp_path / "sales.csv"
        path.write_bytes(HEADER + f"accrual,c-1,2017-05-01T09:00:00Z,main,{card},500,USD\n".encode())
        in_csv = client.finished(client.send_file(path, content_type="text/csv").id)
        assert [one.entry and one.entry.points for one in client.answers(in_csv.id)] == [5]

        async def again() -> list[bool]:
            async with AsyncClient(address, key_id, key) as other:
                same = await other.send_file(sales(card, 5))
                await other.finished(same.id)
                return [one.replayed for one in await other.answers(same.id)]

        assert asyncio.run(again())[:4] == [True] * 4


@pytest.mark.parametrize("source", ["/nowhere/sales.csv", b"", []])
def test_what_is_no_file_is_not_sent(source: str | bytes | list[Command]) -> None:
    """A file that is not there, or empty, is an error here; no server is asked."""
    with Client("http://127.0.0.1:9", "k", new_key()) as client, pytest.raises(Unusable):
        client.send_file(source)
