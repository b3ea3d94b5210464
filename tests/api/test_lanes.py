"""Lanes: what waits is carried out together; nobody is harmed by who goes away, or by a lane that ends."""

import asyncio
import os
import signal
import socket
import time
from collections.abc import Callable
from pathlib import Path
from threading import Thread, Timer
from typing import Any

import httpx
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine

from api.child import running_server
from api.lanes.hiring import in_threads
from api.lanes.lane import Lane
from api.lanes.serving import serve
from api.lanes.wire import Answered, Ask, Frames, framed
from network.engine import Outcome
from network.errors import Overloaded, Unavailable
from network.identity import card_number
from network.outcomes import Rejected, Reply
from network.rules import Rules
from tests.api.conftest import Till, a_sale, real_now
from tests.coalition import GROCER, new_card, set_up
from tests.crash.site import children_of
from tests.integration.test_engine import assert_whole

Tills = Callable[[int], Till]


def refuse(callers: Any) -> list[Outcome]:
    """Carries out nothing: every command is refused."""
    return [[Reply(outcome=Rejected("card_unknown")) for _ in asked] for asked in callers]


def body_of(card: str, reference: str) -> bytes:
    """A sale as a till sends it."""
    return msgspec.json.encode(a_sale(card, 500, reference))


@given(st.lists(st.binary(max_size=40), max_size=8), st.lists(st.integers(0, 60), max_size=12))
def test_frames_survive_any_cut(bodies: list[bytes], cuts: list[int]) -> None:
    """However the stream of bytes is cut, the same frames come out of it, in order."""
    stream = b"".join(framed(body) for body in bodies)
    frames, start = Frames(), 0
    found: list[bytes] = []
    for end in [*sorted(cuts), len(stream)]:
        found += frames.fed(stream[start:end])
        start = max(start, end)
    assert [msgspec.msgpack.decode(frame) for frame in found] == bodies


def test_what_waits_is_one_batch_and_the_bound_holds() -> None:
    """Five commands that wait are batches of at most three; one that cannot be read is answered."""
    sizes: list[list[int]] = []

    def counted(callers: Any) -> list[Outcome]:
        sizes.append([len(asked) for asked in callers])
        return refuse(callers)

    ours, theirs = socket.socketpair()
    card = str(card_number(1))
    asks = [Ask(n, "/v1/accruals", GROCER, "req", body_of(card, f"r{n}")) for n in range(4)]
    asks.append(Ask(4, "/v1/voids", GROCER, "req", b"{"))
    ours.sendall(framed(asks[:1]) + framed(asks[1:]))
    ours.shutdown(socket.SHUT_WR)
    serve(theirs, counted, max_batch=3)
    received = b"".join(iter(lambda: ours.recv(1 << 16), b""))
    ours.close()
    answered = [msgspec.msgpack.decode(frame, type=Answered) for frame in Frames().fed(received)]
    assert [batch.size for batch in answered] == [3, 2]
    assert sizes == [[1, 1, 1], [1]]
    statuses = [(answer.number, answer.status) for batch in answered for answer in batch.answers]
    assert statuses == [(0, 422), (1, 422), (2, 422), (3, 422), (4, 400)]


def test_a_full_lane_says_so_and_a_caller_may_go_away(database: Engine) -> None:
    """Beyond its bound a lane refuses; who is cancelled harms nobody; after the stop nothing is taken."""
    card = str(new_card(database, set_up(database)))

    async def use() -> list[int]:
        lane = Lane("tills", in_threads(database), most_waiting=2)
        await lane.start()
        gone = asyncio.create_task(lane.ask("/v1/accruals", GROCER, "q1", body_of(card, "s1")))
        here = asyncio.create_task(lane.ask("/v1/accruals", GROCER, "q2", body_of(card, "s2")))
        await asyncio.sleep(0)
        with pytest.raises(Overloaded, match="2 commands are waiting"):
            await lane.ask("/v1/accruals", GROCER, "q3", body_of(card, "s3"))
        gone.cancel()
        statuses = [(await here).status]
        statuses.append((await lane.ask("/v1/accruals", GROCER, "q4", body_of(card, "s4"))).status)
        assert lane.waiting == 0
        await lane.stop()
        with pytest.raises(Overloaded, match="stopping"):
            await lane.ask("/v1/accruals", GROCER, "q5", body_of(card, "s5"))
        return statuses

    assert asyncio.run(use()) == [201, 201]
    assert_whole(database)


def test_who_waits_for_a_lane_that_ends_is_told_and_another_is_hired() -> None:
    """Nothing is known of what was asked, which is safe to ask again; the next is answered."""
    hired: list[socket.socket] = []

    class Thread_:  # noqa: N801 - what is hired, by hand
        def __init__(self, channel: socket.socket) -> None:
            self.thread = Thread(target=serve, args=(channel, refuse), kwargs={"max_batch": 9})
            if len(hired) > 1:
                self.thread.start()

        def ended(self) -> None:
            if self.thread.is_alive():
                self.thread.join()

    def hire(name: str, channel: socket.socket) -> Thread_:
        hired.append(channel.dup())
        return Thread_(channel.dup() if len(hired) > 1 else hired[0])

    async def use() -> int:
        lane = Lane("tills", hire, most_waiting=9)
        await lane.start()
        waiting = asyncio.create_task(lane.ask("/v1/voids", GROCER, "q1", b"{}"))
        await asyncio.sleep(0.01)
        hired[0].shutdown(socket.SHUT_RDWR)  # the process was killed
        with pytest.raises(Unavailable, match="ended before it answered"):
            await waiting
        while not lane.alive:
            await asyncio.sleep(0.01)
        status = (await lane.ask("/v1/voids", GROCER, "q2", b"{}")).status
        await lane.stop()
        return status

    assert asyncio.run(use()) == 422
    for channel in hired:
        channel.close()


def test_a_lane_that_ends_while_it_is_hired_again_is_hired_once() -> None:
    """Two at it would each hire one, and the first would be forgotten: not stopped, and lost for another."""
    hired: list[socket.socket] = []

    class Slow:
        def ended(self) -> None:
            time.sleep(0.05)

    def hire(name: str, channel: socket.socket) -> Slow:
        hired.append(channel.dup())
        if len(hired) < 3:
            Timer(0.08 * (len(hired) - 1), hired[-1].shutdown, (socket.SHUT_RDWR,)).start()
        return Slow()

    async def use() -> None:
        lane = Lane("tills", hire, most_waiting=9)
        await lane.start()
        await asyncio.sleep(0.8)
        assert lane.alive
        await lane.stop()

    asyncio.run(use())
    assert len(hired) == 3
    for channel in hired:
        channel.close()


def test_what_waits_has_a_bound_in_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Clients that go away leave their commands here, each as large as a body may be; not any number."""
    monkeypatch.setattr("api.lanes.lane.MOST_WAITING_BYTES", 2_000)
    theirs: list[socket.socket] = []

    class Idle:
        def ended(self) -> None:
            theirs[0].close()

    def hire(name: str, channel: socket.socket) -> Idle:
        theirs.append(channel.dup())
        return Idle()

    async def use() -> None:
        lane = Lane("tills", hire, most_waiting=99)
        await lane.start()
        gone = [asyncio.create_task(lane.ask("/v1/voids", GROCER, "q", b"x" * 900)) for _ in range(2)]
        await asyncio.sleep(0)
        for task in gone:
            task.cancel()
        await asyncio.sleep(0)
        with pytest.raises(Overloaded, match="1800 bytes"):
            await lane.ask("/v1/voids", GROCER, "q", b"x" * 900)
        theirs[0].shutdown(socket.SHUT_RDWR)
        while lane.waiting:
            await asyncio.sleep(0.01)
        await lane.stop()

    asyncio.run(use())
    for channel in theirs:
        channel.close()


def test_lanes_of_the_server_are_processes_that_may_be_killed(
    database: Engine, database_url: str, live: Rules, tmp_path: Path, till: Tills
) -> None:
    """SIGKILL to both: the server answers again by itself, and none of them outlives it."""
    grocer = till(GROCER)
    card = grocer.enrol()["card"]
    environment = {"TESSERA_DATABASE_URL": database_url, "TESSERA_SCHEMA": "tessera"}
    with running_server(environment, tmp_path / "api.log") as server:
        lanes = children_of(server.process_id)
        assert len(lanes) == 2
        for lane in lanes:
            assert b"TESSERA_DATABASE_URL" not in Path(f"/proc/{lane}/environ").read_bytes()
        for lane in lanes:
            os.kill(lane, signal.SIGKILL)
        statuses = set()
        deadline = time.monotonic() + 60
        while 201 not in statuses and time.monotonic() < deadline:
            statuses.add(_sell(server.authority, grocer, card))
        assert statuses <= {201, 503}
        assert 201 in statuses
        later = children_of(server.process_id)
    assert not [pid for pid in {*lanes, *later} if Path(f"/proc/{pid}/fd").exists() and _runs(pid)]
    del live


def _runs(pid: int) -> bool:
    try:
        return "api.lanes" in Path(f"/proc/{pid}/cmdline").read_text(encoding="utf-8")
    except OSError:
        return False


def _sell(authority: str, grocer: Till, card: str) -> int:
    from tests.signing import sign_request  # noqa: PLC0415 - beside its only use

    body = body_of(card, "killed")
    headers = sign_request(
        grocer.private_key,
        grocer.key_id,
        method="POST",
        authority=authority,
        path="/v1/accruals",
        body=body,
        created=int(real_now().timestamp()),
    )
    return httpx.post(
        f"http://{authority}/v1/accruals", content=body, headers=headers, timeout=30
    ).status_code
