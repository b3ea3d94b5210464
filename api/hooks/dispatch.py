"""The dispatcher: takes endpoints on lease, and delivers to each what is due, round after round.

It runs in the worker, as many workers as one likes. Of one member and endpoint the events arrive in order:
one that fails keeps those behind it, until it is delivered or its schedule is used up. Other members' events
go on meanwhile; an endpoint that takes none of them is left in peace between probes, and disabled when a
delivery has used up its schedule and nothing got through since it began.
"""

import asyncio
import contextlib
import logging
import random
import threading
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from uuid import UUID

import httpx
import msgspec
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from api.hooks.rendering import bodies_of
from api.hooks.sending import Attempted, Resolve, attempt, make_client, resolve
from partners.errors import SecretUnreadable
from partners.hooks import deliveries, endpoints
from partners.hooks.deliveries import Due, Health, Result
from partners.hooks.endpoints import Endpoint
from partners.hooks.events import new_event_id
from partners.hooks.schedule import RESTS_AFTER, after_failure, is_given_up, rests_until
from partners.hooks.signing import HookKey, Secret, headers_of

log = logging.getLogger("tessera.hooks")

POLL_SECONDS = 1.0
"""How long what has just been committed waits at most until somebody looks."""
ENDPOINTS_AT_ONCE = 32
DELIVERIES_AT_ONCE = 16
"""To one endpoint, each of another member."""
_TAKEN = 256
_ROUND_SECONDS = 20.0
"""Nothing more is begun in a round that lasts this long: with one attempt on top it ends within the lease."""

Observe = Callable[[str, float], None]
"""Told each attempt's outcome and seconds."""


class _Round(msgspec.Struct):
    """What is to be sent in one go, and how the endpoint does meanwhile."""

    endpoint: Endpoint
    lines: list[list[Due]]
    bodies: dict[UUID, bytes]
    signing: list[Secret]
    failures: int
    ends: float
    delivered_at: datetime | None = None
    failed_at: datetime | None = None
    gone: bool = False
    results: list[Result] = msgspec.field(default_factory=list)


class Dispatcher:
    """Delivers events until it is stopped."""

    def __init__(
        self,
        database: Engine,
        key: HookKey,
        *,
        now: Callable[[], datetime],
        resolve: Resolve = resolve,
        client: Callable[[], httpx.AsyncClient] = make_client,
        loopback: bool = False,
        jitter: Callable[[], float] = random.random,
        observe: Observe = lambda outcome, seconds: None,
    ) -> None:
        self._database = database
        self._key = key
        self._now = now
        self._resolve = resolve
        self._client = client
        self._loopback = loopback
        self._jitter = jitter
        self._observe = observe
        self._worker = new_event_id(now())
        self._serving: dict[UUID, asyncio.Task[None]] = {}

    async def run(self, stopping: asyncio.Event) -> None:
        """Deliver what comes until `stopping` is set; what was begun then is ended and written down."""
        while not stopping.is_set():
            await self._begin(stopping)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stopping.wait(), POLL_SECONDS)
        if self._serving:
            await asyncio.wait(self._serving.values())

    async def run_once(self) -> None:
        """Deliver all that is due now, and come back; for tests and for whoever drives the clock."""
        stopping = asyncio.Event()
        while await self._begin(stopping):
            await asyncio.wait(list(self._serving.values()))

    async def _begin(self, stopping: asyncio.Event) -> int:
        """Take endpoints with work and serve each in a task of its own; how many were taken."""
        free = ENDPOINTS_AT_ONCE - len(self._serving)
        taken: list[UUID] = []
        if free > 0:
            try:
                taken = await asyncio.to_thread(self._lease, free)
            except SQLAlchemyError:
                log.exception("webhooks: what is due cannot be read")
        for endpoint_id in taken:
            task = asyncio.create_task(self._serve(endpoint_id, stopping))
            self._serving[endpoint_id] = task
            task.add_done_callback(lambda _, one=endpoint_id: self._serving.pop(one))  # type: ignore[misc]
        return len(taken)

    def _lease(self, most: int) -> list[UUID]:
        with self._database.begin() as connection:
            return deliveries.lease(connection, self._worker, now=self._now(), most=most)

    async def _serve(self, endpoint_id: UUID, stopping: asyncio.Event) -> None:
        """Round after round, until nothing is due, the endpoint rests, or the work ends."""
        client = self._client()
        try:
            while not stopping.is_set():
                one = await asyncio.to_thread(self._take, endpoint_id)
                if one is None:
                    break
                await self._deliver(client, one, stopping)
                await asyncio.to_thread(self._record, one)
        except SecretUnreadable as error:
            log.error("webhooks: %s", error)  # noqa: TRY400 - it says all
            await asyncio.to_thread(self._rest, endpoint_id)
        except Exception:
            # Whatever it is, the other endpoints are served; this one again when its lease is over.
            log.exception("webhooks: endpoint %s was not served", endpoint_id)
        finally:
            await client.aclose()
            with contextlib.suppress(SQLAlchemyError):  # its lease runs out by itself
                await asyncio.to_thread(self._release, endpoint_id)

    def _take(self, endpoint_id: UUID) -> _Round | None:
        """The next round; None where there is none to be made."""
        while True:
            now = self._now()
            with self._database.begin() as connection:
                endpoint = deliveries.renew(connection, self._worker, endpoint_id, now=now)
                lines = (
                    None if endpoint is None else deliveries.take(connection, endpoint, now=now, most=_TAKEN)
                )
                if endpoint is None or lines is None:
                    return None
                if not lines:
                    continue
                flat = [due for line in lines for due in line]
                return _Round(
                    endpoint=endpoint,
                    lines=lines if endpoint.failures < RESTS_AFTER else [lines[0][:1]],  # a probe
                    bodies=bodies_of(connection, endpoint.partner_id, flat),
                    signing=endpoints.secrets_of(connection, endpoint_id, endpoint.signature, self._key, now),
                    failures=endpoint.failures,
                    ends=time.monotonic() + _ROUND_SECONDS,
                )

    async def _deliver(self, client: httpx.AsyncClient, one: _Round, stopping: asyncio.Event) -> None:
        """Send a round: members side by side, each member's events one after another."""
        waiting = iter(one.lines)

        async def hand() -> None:
            for line in waiting:
                await self._send_line(client, one, line, stopping)

        async with asyncio.TaskGroup() as group:
            for _ in range(min(DELIVERIES_AT_ONCE, len(one.lines))):
                group.create_task(hand())

    async def _send_line(
        self, client: httpx.AsyncClient, one: _Round, line: Sequence[Due], stopping: asyncio.Event
    ) -> None:
        probing = one.endpoint.failures >= RESTS_AFTER
        for due in line:
            if stopping.is_set() or one.gone or time.monotonic() > one.ends:
                return
            if one.failures >= RESTS_AFTER and not probing:
                return  # it began to fail in this very round
            if not await self._send(client, one, due):
                return

    async def _send(self, client: httpx.AsyncClient, one: _Round, due: Due) -> bool:
        """Make one attempt; whether what is behind it may follow."""
        body = one.bodies.get(due.event_id)
        if body is None:
            one.results.append(_result(due, Attempted(outcome="forgotten"), self._now(), None))
            return True
        at = self._now()
        headers = {
            "content-type": "application/json",
            "user-agent": "tessera-webhooks/1",
            **headers_of(f"evt_{due.event_id.hex}", int(at.timestamp()), body, one.signing),
        }
        came = await attempt(
            client, one.endpoint.url, headers, body, resolve=self._resolve, loopback=self._loopback
        )
        self._observe(came.outcome, came.seconds)
        done = self._now()
        if came.delivered:
            one.failures, one.delivered_at = 0, done
            one.results.append(_result(due, came, at, None))
            return True
        one.failures, one.failed_at = one.failures + 1, done
        one.gone = one.gone or came.outcome == "gone"
        follows = after_failure(due.attempts + 1, done, self._jitter())
        one.results.append(_result(due, came, at, follows.due_at))
        log.info(
            "webhooks: evt_%s to endpoint %s: %s %s%s",
            due.event_id.hex,
            one.endpoint.endpoint_id,
            came.outcome,
            came.status or "",
            came.said,
        )
        # One that is given up no longer stands in the way, unless the endpoint is to be disabled for it.
        return False

    def _record(self, one: _Round) -> None:
        now, endpoint_id = self._now(), one.endpoint.endpoint_id
        health = Health(
            failures=one.failures,
            rests_until=rests_until(one.failures, now),
            delivered_at=one.delivered_at,
            failed_at=one.failed_at,
        )
        latest = max((at for at in (one.endpoint.delivered_at, one.delivered_at) if at), default=None)
        given_up = any(
            result.due_at is None
            and not result.delivered
            and result.outcome != "forgotten"
            and is_given_up(result.due.begun_at or result.at, latest)
            for result in one.results
        )
        with self._database.begin() as connection:
            deliveries.record(connection, endpoint_id, one.results, health, now=now)
            if one.gone or given_up:
                because = "it answered 410" if one.gone else "nothing got through on the whole schedule"
                endpoints.set_status(connection, endpoint_id, "disabled", at=now, because=because)
                log.warning("webhooks: endpoint %s is disabled: %s", endpoint_id, because)

    def _rest(self, endpoint_id: UUID) -> None:
        now = self._now()
        health = Health(
            failures=RESTS_AFTER, rests_until=rests_until(99, now), delivered_at=None, failed_at=now
        )
        with self._database.begin() as connection:
            deliveries.record(connection, endpoint_id, [], health, now=now)

    def _release(self, endpoint_id: UUID) -> None:
        with self._database.begin() as connection:
            deliveries.release(connection, self._worker, endpoint_id)


class DispatcherThread:
    """A dispatcher in a thread with a loop of its own, beside the worker's nights."""

    def __init__(self, dispatcher: Dispatcher) -> None:
        self._dispatcher = dispatcher
        self._loop = asyncio.new_event_loop()
        self._stopping = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="webhooks", daemon=True)

    def start(self) -> None:
        """Begin to deliver."""
        self._thread.start()

    def stop(self) -> None:
        """End what was begun, and wait for that: no longer than an attempt may take."""
        self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join()

    def _run(self) -> None:
        with contextlib.closing(self._loop):
            self._loop.run_until_complete(self._dispatcher.run(self._stopping))


def _result(due: Due, came: Attempted, at: datetime, due_at: datetime | None) -> Result:
    return Result(
        due=due,
        at=at,
        outcome=came.outcome,
        status=came.status,
        milliseconds=int(came.seconds * 1000),
        delivered=came.delivered,
        due_at=due_at,
    )
