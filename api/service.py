"""What the routes share: the database, the lanes that carry commands out, and the live rules."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from uuid import UUID

import msgspec
from sqlalchemy import Engine
from starlette.requests import Request

from api.files.spool import Spool
from api.lanes.hiring import FILES
from api.lanes.lane import Hire, Lane
from api.lanes.wire import FILE, Answer
from api.limits import Limits
from api.rules_cache import RulesCache
from partners.files import FileBatch
from partners.hooks.signing import HookKey

HUNG_SECONDS = 15.0
"""A lane that says nothing for so long, though it was asked, is taken for hung. A batch that waits for locks
may take ten."""
MOST_WAITING = 8_192
"""Commands that may wait for the lane of the tills; beyond it callers are told to come back."""
_FILE_THREADS = 4


class HookSetting(msgspec.Struct, frozen=True):
    """What webhooks' addresses need: the key of their secrets, real time, whether this machine is meant."""

    key: HookKey
    now: Callable[[], datetime]
    loopback: bool = False


class Service:
    """Holds what lives as long as the application.

    Two lanes, so that a file of 100,000 lines never stands before a till: `tills` takes single requests,
    `files` carries out what was received. Row locks keep them apart where they meet.
    """

    def __init__(
        self,
        database: Engine,
        hire: Hire,
        observe: Callable[[str, int, float], None],
        spool: Path,
        *,
        now: Callable[[], datetime],
        limits: Limits,
        test_mode: bool = False,
    ) -> None:
        self.database = database
        self.now = now
        self.limits = limits
        self.test_mode = test_mode
        self.draining = False
        self._threads = ThreadPoolExecutor(_FILE_THREADS, "files")
        self.spool = Spool(spool, self._threads)
        self._watched: dict[UUID, asyncio.Future[Answer]] = {}
        self.rules = RulesCache(database)
        self.tills, self.files = (
            Lane(
                name,
                hire,
                most_waiting=MOST_WAITING,
                resumes=name == FILES,
                observe=lambda size, seconds, name=name: observe(name, size, seconds),  # type: ignore[misc]
            )
            for name in ("tills", FILES)
        )

    async def start(self) -> None:
        """Begin to take commands."""
        await self.tills.start()
        await self.files.start()

    @property
    def alive(self) -> bool:
        """Whether both lanes take commands."""
        return self.tills.alive and self.files.alive

    def drain(self) -> None:
        """Say from now on that nothing new should be sent here."""
        self.draining = True

    async def hung(self) -> str:
        """The name of a lane that does not answer any more; "" where both do."""
        for lane in (self.tills, self.files):
            if await lane.silence(patience=1.0) > HUNG_SECONDS:
                return lane.name
        return ""

    async def stop(self) -> None:
        """Have what waits carried out, then end."""
        await self.tills.stop()
        await self.files.stop()
        self._threads.shutdown()

    def watch(self, batch: FileBatch) -> "asyncio.Future[Answer]":
        """What is done when a file is finished, or when that is not known any more; it is looked for, too."""
        watched = self._watched.get(batch.batch_id)
        if watched is None:
            asked = self.files.ask(FILE, batch.partner_id, "", batch.batch_id.bytes, size=0)
            watched = self._watched[batch.batch_id] = asyncio.ensure_future(asked)
            watched.add_done_callback(lambda done: self._seen(batch.batch_id, done))
        return watched

    def _seen(self, batch_id: UUID, done: "asyncio.Future[Answer]") -> None:
        del self._watched[batch_id]
        if not done.cancelled():
            done.exception()  # who waits looks again for itself, and nobody need wait


def service_of(request: Request) -> Service:
    """The application's service."""
    service: Service = request.app.state.service
    return service


def hooks_of(request: Request) -> HookSetting:
    """What webhooks need."""
    setting: HookSetting = request.app.state.hooks
    return setting


def partner_of(request: Request) -> int:
    """The partner whose signature the request carries."""
    partner_id: int = request.state.partner_id
    return partner_id
