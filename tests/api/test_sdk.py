"""The SDK against the application on a real ledger, over real sockets: sync and async alike."""

import asyncio
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from sqlalchemy import Engine
from tessera_client import (
    Accrual,
    AsyncClient,
    Client,
    Conflict,
    Enrolment,
    Entry,
    Invalid,
    NotAuthenticated,
    NotFound,
    Redemption,
    ReferenceReused,
    Refused,
    Unusable,
    new_key,
    operations,
)
from tessera_client.answers import (
    Approval,
    Balance,
    Card,
    Deficit,
    Dispute,
    Expiring,
    Key,
    Keys,
    Pending,
    PendingEvent,
    Pool,
)
from tessera_client.commands import COMMANDS
from tessera_client.messages import Request

from network.rules import Rules
from tests.api.served import register, served
from tests.coalition import GROCER, PETROL, START


@pytest.fixture
def address(database: Engine, live: Rules) -> Iterator[str]:
    """Where the application is served."""
    with served(database) as url:
        yield url


@pytest.fixture
def grocer(database: Engine, address: str) -> Iterator[Client]:
    """A client of the grocer's."""
    key = new_key()
    with Client(address, register(database, GROCER, key), key) as client:
        yield client


def a_sale(card: str, reference: str, amount_minor: int = 1250) -> Accrual:
    """A sale at the grocer's."""
    return Accrual(
        reference=reference,
        occurred_at=START,
        outlet="main",
        card=card,
        amount_minor=amount_minor,
        currency="USD",
    )


def a_reward(card: str, points: int) -> Redemption:
    """A reward at the grocer's."""
    return Redemption(
        reference=f"reward-{points}",
        occurred_at=START,
        outlet="main",
        card=card,
        points=points,
        amount_minor=points,
        currency="USD",
    )


def card_of(entry: Entry) -> str:
    """The card that an enrolment made."""
    assert entry.card is not None
    return entry.card


def test_a_partners_day(grocer: Client) -> None:
    """Enrol, earn, the same again, another content, burn too much, burn, look up, list by pages."""
    enrolled = grocer.send(Enrolment(reference="m-1", occurred_at=START))
    card = card_of(enrolled)
    first = grocer.send(a_sale(card, "s-1"))
    assert (first.points, first.balance, first.replayed) == (12, 12, False)
    again = grocer.send(a_sale(card, "s-1"))
    assert (again.replayed, msgspec.structs.replace(again, replayed=False)) == (True, first)
    with pytest.raises(ReferenceReused):
        grocer.send(a_sale(card, "s-1", amount_minor=1))
    with pytest.raises(Refused) as refused:
        grocer.send(a_reward(card, 500))
    assert (refused.value.code, refused.value.request_id[:4]) == ("insufficient_points", "req_")
    spent = grocer.send(a_reward(card, 2))
    assert (spent.points, spent.balance) == (-2, 10)
    with pytest.raises(Invalid) as invalid:
        grocer.send(a_sale(card, "s-2", amount_minor=-5))
    assert [one.pointer for one in invalid.value.errors] == ["/amount_minor"]

    assert grocer.entry(first.id) == first
    assert grocer.card(card) == Card(card=card, status="active", member=str(enrolled.member))
    assert grocer.balance(str(enrolled.member)).points == 10
    listed = [entry.id for entry in grocer.entries(page_size=2)]
    assert sorted(listed) == sorted([enrolled.id, first.id, spent.id])
    assert [entry.id for entry in grocer.entries(business_date=first.business_date, page_size=1)] == listed
    assert list(grocer.disputes()) == []
    with pytest.raises(Conflict, match="not_sealed_yet"):
        grocer.proof(first.id)
    with pytest.raises(Refused, match="approval_unavailable"):
        grocer.ask_approval(**asked_of(card))
    with pytest.raises(NotFound, match="approval_unknown"):
        grocer.approval("apv_" + "0" * 32)


def asked_of(card: str) -> dict[str, Any]:
    """What a member is asked to approve."""
    wish = {"outlet": "main", "points": 5, "amount_minor": 5, "currency": "USD"}
    return {"reference": "ask-1", "card": card, **wish}


def test_the_same_with_asyncio(database: Engine, address: str) -> None:
    """Sixty sales at once, replays among them; then the list; the async client does what the other does."""
    key = new_key()
    key_id = register(database, GROCER, key, "async")

    async def day() -> tuple[list[Entry], list[Entry], Balance]:
        async with AsyncClient(address, key_id, key) as client:
            enrolled = await client.send(Enrolment(reference="m-1", occurred_at=START))
            sales = [client.send(a_sale(card_of(enrolled), f"s-{number % 50}")) for number in range(60)]
            done = await asyncio.gather(*sales)
            with pytest.raises(Refused):
                await client.send(a_reward(card_of(enrolled), 5000))
            assert (await client.entry(done[0].id)).reference == "s-0"
            assert (await client.card(card_of(enrolled))).status == "active"
            assert [one async for one in client.disputes()] == []
            with pytest.raises(Conflict):
                await client.proof(done[0].id)
            with pytest.raises(Refused, match="approval_unavailable"):
                await client.ask_approval(**asked_of(card_of(enrolled)))
            with pytest.raises(NotFound):
                await client.dispute("dsp_0")
            listed = [entry async for entry in client.entries(page_size=7)]
            return done, listed, await client.balance(str(enrolled.member))

    done, listed, balance = asyncio.run(day())
    assert sum(entry.replayed for entry in done) == 10
    assert {entry.id for entry in done} == {entry.id for entry in listed if entry.kind == "accrual"}
    assert (len(listed), balance.points) == (51, 600)


def test_a_wrong_clock_does_not_matter(grocer: Client) -> None:
    """A client whose clock is an hour off is told, and heard, at once; later requests are right at first."""
    grocer.session.skew_seconds = -3600
    assert list(grocer.entries()) == []
    assert abs(grocer.session.skew_seconds) <= 2


def test_another_partners_entry_is_not_found(database: Engine, address: str, grocer: Client) -> None:
    """What is not ours, or no id at all, whatever characters it is made of, is NotFound."""
    card = card_of(grocer.send(Enrolment(reference="m-1", occurred_at=START)))
    entry = grocer.send(a_sale(card, "s-1"))
    key = new_key()
    with Client(address, register(database, PETROL, key), key) as petrol:
        for name in (entry.id, "a/../b", "ü ?#", "%2e%2e/x", "a'(b)!*~;=:@&+$,"):
            with pytest.raises(NotFound):
                petrol.entry(name)


def test_queries_are_signed_as_they_are_sent(grocer: Client) -> None:
    """Characters that libraries like to encode anew are signed as they go out: never `signature_invalid`."""
    for query in ("a='&b=%27", "a=%2f%2F&b=~", "x[]=1&y={z}", "a=b?c/d"):
        answer = grocer.request(Request(method="GET", path="/v1/entries", query=query))
        assert answer.status == 200, (query, answer.body)


def test_an_unknown_key_says_so(address: str) -> None:
    """Who is not registered is told in the error's type and code."""
    with Client(address, "nobody", new_key()) as client, pytest.raises(NotAuthenticated, match="key_unknown"):
        client.card("6330001234567895")


@pytest.mark.parametrize("query", ["é=1", "a b", "a=1\r\nX: y"])
def test_what_no_request_line_may_hold_is_refused_here(grocer: Client, query: str) -> None:
    """A query that was not encoded is an error of the caller's, before anything is sent."""
    with pytest.raises(Unusable, match="percent-encode"):
        grocer.request(Request(method="GET", path="/v1/entries", query=query))


def _schema(described: dict[str, Any], name: str) -> dict[str, Any]:
    schema: dict[str, Any] = described["components"]["schemas"][name]
    return schema


def test_commands_and_answers_are_the_descriptions(address: str, grocer: Client) -> None:
    """Every command of the API is a type of the SDK with the same fields; so is every answer it reads."""
    described = msgspec.json.decode(grocer.request(Request(method="GET", path="/openapi.json")).body)
    posts = {
        path: operation["post"]["requestBody"]["content"]["application/json"]["schema"]["$ref"]
        for path, operation in described["paths"].items()
        if path.startswith("/v1/") and operation.get("post", {}).get("tags") == ["Entries"]
    }
    assert posts.keys() == {kind.path for kind in COMMANDS}
    kinds: tuple[Any, ...] = COMMANDS
    for kind in kinds:
        schema = _schema(described, posts[kind.path].rpartition("/")[2])
        fields = msgspec.structs.fields(kind)
        assert {"type", *(one.name for one in fields)} == schema["properties"].keys(), kind
        assert {one.name for one in fields if one.required} == set(schema["required"]), kind
    read: dict[str, Any] = {
        "EntryBody": Entry,
        "CardBody": Card,
        "AskedApprovalBody": Approval,
        "BalanceBody": Balance,
        "DisputeBody": Dispute,
        "ExpiringBody": Expiring,
        "PendingBody": Pending,
        "PendingEventBody": PendingEvent,
        "DeficitBody": Deficit,
        "PoolBody": Pool,
        "OwnKeyBody": Key,
        "OwnKeysBody": Keys,
    }
    for name, answer in read.items():
        names = {one.name for one in msgspec.structs.fields(answer)} - {"replayed"}
        assert names == _schema(described, name)["properties"].keys(), name
    assert operations.MOST_ON_A_PAGE == 100
