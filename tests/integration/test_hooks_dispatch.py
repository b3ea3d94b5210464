"""Deliveries over real sockets from a real outbox: order, retries, what ends them, and several workers."""

import asyncio
import logging
import ssl
import threading
from base64 import b64decode
from collections.abc import Iterator
from datetime import timedelta
from ipaddress import ip_address
from typing import Any
from uuid import UUID

import httpx
import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from sqlalchemy import Engine, text
from standardwebhooks import Webhook, WebhookVerificationError

from api.hooks.dispatch import Dispatcher
from api.hooks.sending import Address, Attempted, attempt, make_client
from network.batch import execute
from network.rules import Rules
from network.service import load_rules
from partners.hooks import deliveries as queue
from partners.hooks import endpoints, history
from partners.hooks.events import Told, new_event_id
from partners.hooks.outbox import publish
from partners.hooks.schedule import DELAYS, KEPT, RESTS_AFTER
from partners.hooks.signing import HookKey
from tests.coalition import GROCER, HOTEL, START, entry_of, new_card, run, sale, set_up
from tests.hooks import (
    HOOK_KEY,
    Delivered,
    Passing,
    Receiver,
    deliver,
    deliveries,
    endpoint,
    endpoint_row,
    receiving,
    signed_endpoint,
)
from tests.people import real_now

ACCRUALS = ("entry.accrual",)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """A partner's server."""
    with receiving() as running:
        yield running


def fresh(database: Engine) -> Rules:
    """The rules with endpoints that were made just now."""
    with database.connect() as connection:
        return load_rules(connection)


def sell(database: Engine, live: Rules, card: int, *references: str) -> list[str]:
    """Sales in one batch; the ids of their events."""
    replies = execute(database, [sale(card, 500, one) for one in references], live)
    return [f"evt_{entry_of(reply).entry_id.hex}" for reply in replies]


def test_a_delivery_is_verified_by_the_official_library(database: Engine, receiver: Receiver) -> None:
    """The entry as its partner can look it up, signed; changed in any part it is refused."""
    set_up(database)
    _, secret = signed_endpoint(database, GROCER, types=ACCRUALS, url=receiver.url)
    live = fresh(database)
    [event_id] = sell(database, live, new_card(database, live), "s1")
    deliver(database)
    [one] = receiver.got
    said: Any = Webhook(secret.shown).verify(one.body, one.headers)
    assert (said["type"], said["data"]["reference"], said["data"]["points"]) == ("entry.accrual", "s1", 5)
    assert (one.event, said["timestamp"]) == (event_id, "2017-05-01T09:00:00Z")
    assert "card" not in said["data"]
    assert one.headers["content-type"] == "application/json"
    for name, changed in (
        ("webhook-id", "evt_0"),
        ("webhook-timestamp", str(int(one.headers["webhook-timestamp"]) + 1)),
    ):
        with pytest.raises(WebhookVerificationError):
            Webhook(secret.shown).verify(one.body, {**one.headers, name: changed})
    with pytest.raises(WebhookVerificationError):
        Webhook(secret.shown).verify(one.body.replace(b"s1", b"s2"), one.headers)
    assert deliveries(database) == [("delivered", 1)]


def test_ed25519_is_verified_by_the_public_key_that_is_shown(database: Engine, receiver: Receiver) -> None:
    """`v1a` alone, over id, timestamp and body."""
    set_up(database)
    endpoint_id, _ = signed_endpoint(database, GROCER, types=ACCRUALS, url=receiver.url, signature="v1a")
    live = fresh(database)
    sell(database, live, new_card(database, live), "s1")
    deliver(database)
    [one] = receiver.got
    with database.connect() as connection:
        [shown] = endpoints.public_keys_of(connection, endpoint_id, real_now())
    version, _, value = one.headers["webhook-signature"].partition(",")
    key = Ed25519PublicKey.from_public_bytes(b64decode(shown.shown.removeprefix("whpk_")))
    key.verify(b64decode(value), f"{one.event}.{one.headers['webhook-timestamp']}.".encode() + one.body)
    assert version == "v1a"


def test_while_a_secret_is_rotated_both_sign(database: Engine, receiver: Receiver) -> None:
    """Until the overlap ends; then the new one alone, and at once where there is no overlap."""
    set_up(database)
    endpoint_id, old = signed_endpoint(database, GROCER, types=ACCRUALS, url=receiver.url)
    live, clock = fresh(database), Passing()
    card = new_card(database, live)
    with database.begin() as connection:
        new = endpoints.rotate(
            connection,
            GROCER,
            endpoint_id,
            HOOK_KEY,
            reference="r1",
            overlap=timedelta(minutes=2),
            at=real_now(),
        )
    assert new is not None
    sell(database, live, card, "s1")
    deliver(database, clock)
    clock.pass_(minutes=3)
    sell(database, live, card, "s2")
    deliver(database, clock)
    both, alone = receiver.got
    for secret in (old, new):
        Webhook(secret.shown).verify(both.body, both.headers)
    Webhook(new.shown).verify(alone.body, alone.headers)
    assert (
        len(both.headers["webhook-signature"].split()),
        len(alone.headers["webhook-signature"].split()),
    ) == (
        2,
        1,
    )
    with database.begin() as connection:
        for reference in ("r2", "r3"):
            endpoints.rotate(
                connection,
                GROCER,
                endpoint_id,
                HOOK_KEY,
                reference=reference,
                overlap=timedelta(hours=24),
                at=clock(),
            )
        assert len(endpoints.secrets_of(connection, endpoint_id, "v1", HOOK_KEY, clock())) == 2


def test_the_whole_schedule_then_the_endpoint_is_disabled(
    database: Engine, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    """Ten attempts under one id, never sooner than the schedule says; then no more is sent."""
    receiver.answers = lambda one: 500
    set_up(database)
    endpoint_id = endpoint(database, GROCER, types=ACCRUALS, url=receiver.url)
    live, clock = fresh(database), Passing()
    card = new_card(database, live)
    sell(database, live, card, "s1")
    for number, delay in enumerate(DELAYS):
        clock.pass_(seconds=delay.total_seconds() - 2)
        deliver(database, clock)
        assert len(receiver.got) == number
        clock.pass_(seconds=8)
        deliver(database, clock)
        assert len(receiver.got) == number + 1
    assert len(set(receiver.events)) == 1
    assert deliveries(database) == [("failed", 10)]
    row = endpoint_row(database, endpoint_id)
    assert (row.status, row.because) == ("disabled", "nothing got through on the whole schedule")
    assert f"endpoint {endpoint_id} is disabled" in caplog.text
    sell(database, fresh(database), card, "s2")
    clock.pass_(hours=48)
    deliver(database, clock)
    assert len(receiver.got) == 10
    with database.begin() as connection:
        endpoints.enable(connection, GROCER, endpoint_id, at=clock())
        assert history.replay(
            connection, GROCER, endpoint_id, reference="p", since=START - timedelta(days=1), at=clock()
        ) == (2, False)
    receiver.answers = lambda one: 200
    deliver(database, clock)
    assert deliveries(database) == [("delivered", 11), ("delivered", 1)]


def test_a_failing_event_keeps_its_members_later_ones_and_nobody_elses(
    database: Engine, receiver: Receiver
) -> None:
    """Of one member nothing overtakes; another member's events go on; afterwards all arrive in order."""
    set_up(database)
    endpoint(database, GROCER, types=ACCRUALS, url=receiver.url)
    live, clock = fresh(database), Passing()
    first, second = new_card(database, live, "a"), new_card(database, live, "b")
    mine = sell(database, live, first, "a1", "a2", "a3")
    others = sell(database, live, second, "b1", "b2")
    receiver.answers = lambda one: 503 if one.event == mine[0] else 200
    deliver(database, clock)
    assert receiver.events.count(mine[0]) == 1
    assert [one for one in receiver.events if one != mine[0]] == others
    mine += sell(database, live, first, "a4")
    deliver(database, clock)
    assert len(receiver.got) == 3
    receiver.answers = lambda one: 200
    clock.pass_(seconds=6)
    deliver(database, clock)
    assert receiver.events[3:] == mine
    assert {state for state, _ in deliveries(database)} == {"delivered"}


def test_one_poisoned_event_is_given_up_alone(database: Engine, receiver: Receiver) -> None:
    """Others got through meanwhile: the endpoint stays, and what stood behind it is delivered."""
    set_up(database)
    endpoint_id = endpoint(database, GROCER, types=ACCRUALS, url=receiver.url)
    live, clock = fresh(database), Passing()
    first, second = new_card(database, live, "a"), new_card(database, live, "b")
    bad, behind = sell(database, live, first, "a1", "a2")
    receiver.answers = lambda one: 400 if one.event == bad else 200
    for number in range(10):
        sell(database, live, second, f"b{number}")
        deliver(database, clock)
        clock.pass_(hours=25)
    deliver(database, clock)
    assert receiver.events.count(bad) == 10
    assert receiver.events.count(behind) == 1
    assert endpoint_row(database, endpoint_id).status == "active"
    assert deliveries(database)[:2] == [("failed", 10), ("delivered", 1)]


def test_410_disables(database: Engine, receiver: Receiver) -> None:
    """At once, whatever waits; nothing more is sent."""
    receiver.answers = lambda one: 410
    set_up(database)
    endpoint_id = endpoint(database, GROCER, types=ACCRUALS, url=receiver.url)
    live, clock = fresh(database), Passing()
    sell(database, live, new_card(database, live), "s1", "s2")
    deliver(database, clock)
    clock.pass_(hours=1)
    deliver(database, clock)
    assert len(receiver.got) == 1
    assert endpoint_row(database, endpoint_id).because == "it answered 410"


def test_a_redirect_is_a_failure_and_not_followed(database: Engine, receiver: Receiver) -> None:
    """Nobody is asked where it leads to."""
    with receiving() as other:
        receiver.answers = lambda one: 307
        receiver.headers = {"location": other.url}
        set_up(database)
        endpoint(database, GROCER, types=ACCRUALS, url=receiver.url)
        live = fresh(database)
        sell(database, live, new_card(database, live), "s1")
        deliver(database)
        assert (len(receiver.got), other.got) == (1, [])
    with database.connect() as connection:
        row = connection.execute(text("SELECT outcome, status FROM webhook_attempt")).one()
    assert tuple(row) == ("redirect", 307)
    assert deliveries(database) == [("waiting", 1)]


def test_an_endpoint_that_takes_nothing_is_left_in_peace(database: Engine, receiver: Receiver) -> None:
    """Five failures, and of forty members' events only probes are sent; one that gets through opens it."""
    receiver.answers = lambda one: 500
    set_up(database)
    endpoint(database, GROCER, types=ACCRUALS, url=receiver.url)
    live, clock = fresh(database), Passing()
    for number in range(40):
        sell(database, live, new_card(database, live, f"m{number}"), f"s{number}")
    deliver(database, clock)
    first = len(receiver.got)
    assert RESTS_AFTER <= first < RESTS_AFTER + 16
    deliver(database, clock)
    assert len(receiver.got) == first
    clock.pass_(minutes=6)
    deliver(database, clock)
    assert len(receiver.got) == first + 1
    receiver.answers = lambda one: 200
    clock.pass_(minutes=6)
    deliver(database, clock)
    assert {state for state, _ in deliveries(database)} == {"delivered"}


def test_several_workers_share_the_work_and_keep_the_order(database: Engine, receiver: Receiver) -> None:
    """Each event once, each member's in order, though three workers deliver to two endpoints at once."""
    set_up(database)
    for partner_id in (GROCER, HOTEL):
        endpoint(database, partner_id, types=ACCRUALS, url=receiver.url)
    live = fresh(database)
    cards = [new_card(database, live, f"m{number}") for number in range(6)]
    told: list[list[str]] = []
    for card in cards:
        told.append(sell(database, live, card, *(f"{card}/{number}" for number in range(10))))
        for number in range(3):
            run(database, live, sale(card, 500, f"h{card}/{number}", partner_id=HOTEL))
    workers = [threading.Thread(target=deliver, args=(database,)) for _ in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    deliver(database)
    assert len(receiver.got) == len(set(receiver.events)) == 6 * 13
    for events in told:
        assert [one for one in receiver.events if one in events] == events


def test_what_a_dead_worker_held_is_sent_by_another(database: Engine, receiver: Receiver) -> None:
    """Its lease runs out; until then nobody else delivers to that endpoint."""
    set_up(database)
    endpoint_id = endpoint(database, GROCER, types=ACCRUALS, url=receiver.url)
    live, clock = fresh(database), Passing()
    sell(database, live, new_card(database, live), "s1")
    with database.begin() as connection:
        dead = UUID(int=7)
        assert queue.lease(connection, dead, now=clock(), most=9) == [endpoint_id]
        assert queue.lease(connection, UUID(int=8), now=clock(), most=9) == []
    deliver(database, clock)
    assert receiver.got == []
    clock.pass_(seconds=61)
    deliver(database, clock)
    assert len(receiver.got) == 1
    with database.begin() as connection:
        assert queue.renew(connection, dead, endpoint_id, now=clock()) is None


def test_a_secret_that_cannot_be_opened_is_told_and_nothing_is_sent(
    database: Engine, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    """A worker with another key's file: its log says so, once in a while."""
    set_up(database)
    endpoint(database, GROCER, types=ACCRUALS, url=receiver.url)
    live = fresh(database)
    sell(database, live, new_card(database, live), "s1")
    other = HookKey.of(Ed25519PrivateKey.from_private_bytes(bytes(32)))
    worker = Dispatcher(database, other, now=Passing(), loopback=True)
    asyncio.run(worker.run_once())
    assert receiver.got == []
    assert caplog.text.count("TESSERA_WEBHOOK_KEY") == 1
    assert deliveries(database) == [("waiting", 0)]


def test_old_events_are_forgotten(database: Engine) -> None:
    """After thirty days of the network's time, with deliveries and attempts; younger ones stay."""
    set_up(database)
    endpoint_id = endpoint(database, GROCER)
    with database.begin() as connection:
        for at in (START - KEPT - timedelta(seconds=1), START - KEPT + timedelta(seconds=1)):
            publish(connection, [Told(partner_id=GROCER, type="key.revoked", data={})], at=at)
        history.send_test(connection, GROCER, endpoint_id, at=START)
    assert history.prune(database, START) == 1
    assert history.prune(database, START) == 0
    assert len(deliveries(database)) == 2
    with database.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM webhook_event")).scalar_one() == 2


class Wire(httpx.AsyncBaseTransport):
    """Keeps what would be sent and where to, and connects nowhere."""

    def __init__(self) -> None:
        self.sent: list[httpx.Request] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Note a request; the answer is 204."""
        self.sent.append(request)
        return httpx.Response(204, stream=httpx.ByteStream(b""))


def tried(url: str, *answers: list[str]) -> tuple[Attempted, list[httpx.Request], int]:
    """An attempt whose resolver answers so, one answer a call; what was sent, and how often it was asked."""
    wire, asked = Wire(), 0

    async def resolve(host: str, port: int) -> list[Address]:
        nonlocal asked
        asked += 1
        return [ip_address(one) for one in answers[min(asked, len(answers)) - 1]]

    async def send() -> Attempted:
        async with httpx.AsyncClient(transport=wire) as client:
            return await attempt(client, url, {"webhook-id": "evt_1"}, b"{}", resolve=resolve)

    return asyncio.run(send()), wire.sent, asked


@pytest.mark.parametrize(
    "address",
    [
        *("127.0.0.1", "10.0.0.1", "169.254.169.254", "224.0.0.1", "::", "::1", "::ffff:127.0.0.1"),
        *("64:ff9b::a00:1", "2002:7f00:1::", "fc00::1", "fe80::1"),
    ],
)
def test_a_name_that_leads_inside_is_not_connected_to(address: str) -> None:
    """Alone, or among public addresses wherever it stands: no connection is attempted."""
    for answer in ([address], ["8.8.8.8", address], [address, "8.8.8.8"]):
        came, sent, _ = tried("https://hooks.example.com/x", answer)
        assert (came.outcome, sent) == ("address_refused", [])


@pytest.mark.parametrize(
    "url",
    [
        "https://127.1/",
        "https://2130706433/",
        "https://[::ffff:127.0.0.1]/",
        "https://169.254.169.254/",
        "https://224.0.0.1/",
        "https://0x7f.1/",
        "https://[64:ff9b::7f00:1]/",
        "https://[2002:7f00:1::]/",
        "https://user@hooks.example.com/",
        "https://hooks.example.com:25/",
        "http://hooks.example.com/",
    ],
)
def test_an_address_that_is_refused_is_not_even_resolved(url: str) -> None:
    """Also one that came into the table past the check: nobody is asked, and nothing is connected to."""
    came, sent, asked = tried(url, ["8.8.8.8"])
    assert (came.outcome, sent, asked) == ("address_refused", [], 0)


def test_a_name_is_resolved_once_and_its_address_pinned() -> None:
    """A second answer that leads inside is never asked for; TLS and Host keep the name."""
    came, [request], asked = tried("https://hooks.example.com/x?y=1", ["8.8.8.8"], ["127.0.0.1"])
    assert (came.outcome, asked) == ("delivered", 1)
    assert (request.url.host, request.url.port, request.url.raw_path) == ("8.8.8.8", None, b"/x?y=1")
    assert request.headers["host"] == "hooks.example.com"
    assert request.extensions["sni_hostname"] == "hooks.example.com"
    came, [request], _ = tried("https://hooks.example.com:8443/", ["2606:4700::1111"])
    assert (str(request.url), request.headers["host"]) == (
        "https://[2606:4700::1111]:8443/",
        "hooks.example.com:8443",
    )


def test_the_certificate_is_the_names_and_not_the_addresss(tmp_path: Any, receiver: Receiver) -> None:
    """Over TLS to a pinned address the server must be who the name says: nobody else is told anything."""
    # The receiver speaks no TLS at all: the handshake fails before a byte of the event is sent.
    url = receiver.url.replace("http://127.0.0.1", "https://localhost")
    came = asyncio.run(_attempt_here(url, receiver))
    assert (came.outcome, receiver.got) == ("unreachable", [])
    assert ssl.create_default_context().check_hostname
    del tmp_path


async def _attempt_here(url: str, receiver: Receiver, **given: Any) -> Attempted:
    async def here(host: str, port: int) -> list[Address]:
        return [ip_address("127.0.0.1")]

    async with make_client() as client:
        return await attempt(client, url, {"webhook-id": "e"}, b"{}", resolve=here, loopback=True, **given)


def test_an_endless_answer_is_hung_up_on(receiver: Receiver) -> None:
    """Its status counts; of its body no more than 16 KB are read."""
    receiver.answers, receiver.body = (lambda one: 200), b"x" * 3_000_000
    assert asyncio.run(_attempt_here(receiver.url, receiver)).outcome == "delivered"


def test_who_does_not_answer_in_time_has_failed() -> None:
    """However slowly it says something: the time is for the whole attempt."""
    with receiving() as receiver:
        silence = threading.Event()

        def hang(one: Delivered) -> int:
            silence.wait(30)
            return 200

        receiver.answers = hang
        came = asyncio.run(_attempt_here(receiver.url, receiver, seconds=0.3))
        silence.set()
    assert (came.outcome, came.status) == ("timeout", None)


def test_nobody_there_is_unreachable() -> None:
    """A name without addresses, and a port where nobody listens."""
    assert tried("https://hooks.example.com/", [])[0].outcome == "unreachable"
    with receiving() as receiver:
        url = receiver.url
    assert asyncio.run(_attempt_here(url, receiver)).outcome == "unreachable"


def test_a_resent_event_comes_again_under_its_id(database: Engine, receiver: Receiver) -> None:
    """To those who want it, once however often it was asked for while it waits; every attempt is logged."""
    set_up(database)
    endpoint(database, GROCER, types=ACCRUALS, url=receiver.url)
    live = fresh(database)
    [event_id] = sell(database, live, new_card(database, live), "s1")
    deliver(database)
    with database.begin() as connection:
        for _ in range(2):
            assert history.resend(connection, GROCER, UUID(event_id[4:]), at=real_now()) == 1
    deliver(database)
    assert receiver.events == [event_id, event_id]
    assert deliveries(database) == [("delivered", 2)]
    with database.connect() as connection:
        event = history.event_of(connection, GROCER, UUID(event_id[4:]))
        _, attempts = history.deliveries_of(connection, event)
    assert [(one.attempt, one.outcome, one.status) for one in attempts] == [
        (1, "delivered", 204),
        (2, "delivered", 204),
    ]


def test_no_card_number_and_no_url_is_logged(
    database: Engine, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    """A failing delivery is told by the ids of event and endpoint; the URL may hold a partner's token."""
    caplog.set_level(logging.DEBUG)
    receiver.answers = lambda one: 500
    set_up(database)
    endpoint(database, GROCER, url=receiver.url + "&token=hush")
    live = fresh(database)
    card = new_card(database, live)
    sell(database, live, card, "s1")
    deliver(database)
    assert "refused 500" in caplog.text
    assert str(card) not in caplog.text
    ours = [one for one in caplog.records if one.name.startswith("tessera")]
    assert all("hush" not in one.getMessage() for one in ours)


def test_the_backlog_is_counted(database: Engine) -> None:
    """What waits, since when, and how many endpoints fail or are disabled."""
    set_up(database)
    first, second = endpoint(database, GROCER), endpoint(database, HOTEL)
    with database.begin() as connection:
        for endpoint_id, partner_id in ((first, GROCER), (second, HOTEL)):
            history.send_test(connection, partner_id, endpoint_id, at=START)
        endpoints.set_status(connection, second, "disabled", at=START)
        connection.execute(
            text("UPDATE webhook_endpoint SET failures = 1 WHERE endpoint_id = :one"), {"one": first}
        )
    with database.connect() as connection:
        found = history.backlog(connection, Passing()())
    assert (found.due, found.waiting, found.failing, found.disabled) == (1, 1, 1, 1)
    assert found.oldest_due_at is not None
    assert new_event_id(START).version == 7
    assert msgspec.structs.asdict(found)
