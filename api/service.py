"""What the routes share: the database, the lanes that carry commands out, and the live rules."""

import asyncio
from collections.abc import Callable
from datetime import datetime

from sqlalchemy import Engine
from starlette.requests import Request

from api.lanes.lane import Hire, Lane
from api.limits import Limits
from api.rules_cache import RulesCache

FILES_AT_ONCE = 4
"""Chunks of files that are in the lane at a time; other files take turns with theirs."""
MOST_WAITING = {"tills": 8_192, "files": 50_000}
"""Commands that may wait for a lane; beyond it callers are told to come back."""


class Service:
    """Holds what lives as long as the application.

    Two lanes, so that a file of 100,000 lines never stands before a till: `tills` takes single requests,
    `files` takes chunks. Row locks keep them apart where they meet.
    """

    def __init__(
        self,
        database: Engine,
        hire: Hire,
        observe: Callable[[str, int, float], None],
        *,
        now: Callable[[], datetime],
        limits: Limits,
        test_mode: bool = False,
    ) -> None:
        self.database = database
        self.now = now
        self.limits = limits
        self.test_mode = test_mode
        self.file_slots = asyncio.Semaphore(FILES_AT_ONCE)
        self.rules = RulesCache(database)
        self.tills, self.files = (
            Lane(
                name,
                hire,
                most_waiting=MOST_WAITING[name],
                observe=lambda size, seconds, name=name: observe(name, size, seconds),  # type: ignore[misc]
            )
            for name in ("tills", "files")
        )

    async def start(self) -> None:
        """Begin to take commands."""
        await self.tills.start()
        await self.files.start()

    @property
    def alive(self) -> bool:
        """Whether both lanes take commands."""
        return self.tills.alive and self.files.alive

    async def stop(self) -> None:
        """Have what waits carried out, then end."""
        await self.tills.stop()
        await self.files.stop()


def service_of(request: Request) -> Service:
    """The application's service."""
    service: Service = request.app.state.service
    return service


def partner_of(request: Request) -> int:
    """The partner whose signature the request carries."""
    partner_id: int = request.state.partner_id
    return partner_id
