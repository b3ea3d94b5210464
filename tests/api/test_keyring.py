"""The ring of keys: never older than five seconds, one reader at a time, and no flood of readings."""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Mapping

import pytest

from api.auth import MAX_WAITING, KeyRing, KeysUnavailable
from partners.model import PartnerKey
from tests.signing import KEY, KEY_ID


class Clock:
    """A clock that stands still but for `sleep`."""

    def __init__(self) -> None:
        self.at = 1000.0

    def __call__(self) -> float:
        """Seconds."""
        return self.at

    async def sleep(self, seconds: float) -> None:
        """Let the time pass at once, and others run."""
        until = self.at + seconds
        await asyncio.sleep(0)
        self.at = max(self.at, until)


class Register:
    """Stands for the database: what it holds, how often it was read, and whether it can be."""

    def __init__(self) -> None:
        self.held: dict[str, PartnerKey] = {KEY_ID: KEY}
        self.readings = 0
        self.broken = False
        self.gate = threading.Event()
        self.gate.set()

    def load(self) -> Mapping[str, PartnerKey]:
        """One reading."""
        self.readings += 1
        held = dict(self.held)
        if not self.gate.wait(10) or self.broken:
            raise ConnectionError("no database")
        return held


def run(scenario: Callable[[KeyRing, Register, Clock], Awaitable[None]]) -> None:
    """Play a scenario in an event loop of its own."""

    async def play() -> None:
        clock, register = Clock(), Register()
        try:
            await scenario(KeyRing(register.load, monotonic=clock, sleep=clock.sleep), register, clock)
        finally:
            register.gate.set()

    asyncio.run(play())


async def until(condition: Callable[[], bool]) -> None:
    """Let the reading's thread come to its end."""
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.001)


def test_keys_are_read_once_and_kept() -> None:
    """A thousand requests within four seconds cost one reading."""

    async def scenario(ring: KeyRing, register: Register, clock: Clock) -> None:
        for _ in range(1000):
            assert await ring.keys() == {KEY_ID: KEY}
            clock.at += 0.0039
        assert register.readings == 1

    run(scenario)


def test_requests_that_start_together_share_one_reading() -> None:
    """A cold ring under load asks the database once."""

    async def scenario(ring: KeyRing, register: Register, clock: Clock) -> None:
        found = await asyncio.gather(*(ring.keys() for _ in range(50)))
        assert found == [{KEY_ID: KEY}] * 50
        assert register.readings == 1

    run(scenario)


def test_an_ageing_ring_serves_while_it_is_read_anew() -> None:
    """Between four and five seconds nobody waits for the database."""

    async def scenario(ring: KeyRing, register: Register, clock: Clock) -> None:
        await ring.keys()
        register.gate.clear()
        register.held = {}
        clock.at += 4.5
        assert await ring.keys() == {KEY_ID: KEY}
        register.gate.set()
        await until(lambda: ring._reading is None)
        assert await ring.keys() == {}
        assert register.readings == 2

    run(scenario)


def test_a_revocation_works_within_five_seconds() -> None:
    """From five seconds on a request waits for a new reading, and never sees the old ring."""

    async def scenario(ring: KeyRing, register: Register, clock: Clock) -> None:
        await ring.keys()
        register.held = {}
        clock.at += 5
        assert await ring.keys() == {}

    run(scenario)


def test_the_age_counts_from_the_readings_beginning() -> None:
    """A reading that took three seconds saw the register as it was three seconds ago."""

    async def scenario(ring: KeyRing, register: Register, clock: Clock) -> None:
        register.gate.clear()
        first = asyncio.create_task(_keys(ring))
        await until(lambda: register.readings == 1)
        clock.at += 3
        register.held = {}
        register.gate.set()
        assert await first == {KEY_ID: KEY}
        clock.at += 2
        assert await ring.keys() == {}

    run(scenario)


async def _keys(ring: KeyRing) -> Mapping[str, PartnerKey]:
    return await ring.keys()


def test_without_a_database_old_keys_are_not_trusted(caplog: pytest.LogCaptureFixture) -> None:
    """A failed reading is borne up to five seconds and then refused; retries are spaced; it recovers."""

    async def scenario(ring: KeyRing, register: Register, clock: Clock) -> None:
        await ring.keys()
        register.broken = True
        clock.at += 4.5
        assert await ring.keys() == {KEY_ID: KEY}
        await until(lambda: ring._reading is None)
        clock.at += 0.4
        assert await ring.keys() == {KEY_ID: KEY}
        assert register.readings == 2
        clock.at += 0.2
        for _ in range(20):
            with pytest.raises(KeysUnavailable):
                await ring.keys()
        assert register.readings == 3
        register.broken = False
        clock.at += 0.5
        assert await ring.keys() == {KEY_ID: KEY}

    run(scenario)
    assert "the register of keys cannot be read" in caplog.text


def test_a_new_key_works_at_once() -> None:
    """An unknown key makes the register be read after the request arrived, before it is refused."""

    async def scenario(ring: KeyRing, register: Register, clock: Clock) -> None:
        await ring.keys()
        clock.at += 0.3
        register.held = {**register.held, "new": KEY}
        assert set(await ring.keys_anew(ring.moment())) == {KEY_ID, "new"}
        assert register.readings == 2

    run(scenario)


def test_a_ring_that_was_read_for_this_request_is_new_enough() -> None:
    """The first request under an unknown key is refused without a second reading."""

    async def scenario(ring: KeyRing, register: Register, clock: Clock) -> None:
        asked_at = ring.moment()
        await ring.keys()
        await ring.keys_anew(asked_at)
        assert register.readings == 1

    run(scenario)


def test_unknown_keys_are_no_flood_for_the_database() -> None:
    """However many arrive, there is at most one early reading a second."""

    async def scenario(ring: KeyRing, register: Register, clock: Clock) -> None:
        await ring.keys()
        began = clock.at
        for _ in range(20):
            await asyncio.gather(*(ring.keys_anew(ring.moment()) for _ in range(MAX_WAITING + 50)))
            clock.at += 0.1
        assert register.readings - 1 <= (clock.at - began) + 1

    run(scenario)


def test_only_so_many_wait_for_an_unknown_key() -> None:
    """The others are judged at once by the keys that are here."""

    async def scenario(ring: KeyRing, register: Register, clock: Clock) -> None:
        await ring.keys()
        register.gate.clear()
        clock.at += 2
        waiting = [asyncio.create_task(_anew(ring)) for _ in range(MAX_WAITING)]
        await until(lambda: register.readings == 2)
        assert await ring.keys_anew(ring.moment()) == {KEY_ID: KEY}
        assert not any(task.done() for task in waiting)
        register.gate.set()
        assert await asyncio.gather(*waiting) == [{KEY_ID: KEY}] * MAX_WAITING

    run(scenario)


async def _anew(ring: KeyRing) -> Mapping[str, PartnerKey]:
    return await ring.keys_anew(ring.moment())


def test_an_unreadable_register_is_not_taken_for_an_unknown_key() -> None:
    """Who cannot be looked up is not told that it is unknown."""

    async def scenario(ring: KeyRing, register: Register, clock: Clock) -> None:
        await ring.keys()
        register.broken = True
        clock.at += 2
        with pytest.raises(KeysUnavailable):
            await ring.keys_anew(ring.moment())

    run(scenario)


def test_a_client_that_goes_away_does_not_cancel_the_reading_of_others() -> None:
    """Cancelling one waiting request leaves the shared reading to the rest."""

    async def scenario(ring: KeyRing, register: Register, clock: Clock) -> None:
        register.gate.clear()
        gone, stays = asyncio.create_task(_keys(ring)), asyncio.create_task(_keys(ring))
        await until(lambda: register.readings == 1)
        gone.cancel()
        await asyncio.sleep(0)
        register.gate.set()
        assert await stays == {KEY_ID: KEY}
        assert gone.cancelled()
        assert register.readings == 1

    run(scenario)
