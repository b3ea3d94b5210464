"""What the routes share: the database, two lanes of group commit, and the live rules."""

import asyncio
from collections.abc import Callable, Sequence

from sqlalchemy import Engine
from starlette.requests import Request

from api.problems import ProblemError
from api.rules_cache import RulesCache
from network.engine import GroupCommit
from network.errors import NotReady, Overloaded, Unavailable
from network.model import Command, Reply

FILES_AT_ONCE = 4
"""Files that are carried out at a time; the others wait with their bodies unread where the server allows."""


class Service:
    """Holds what lives as long as the application.

    Two lanes, so that a file of 100,000 lines never stands before a till: `tills` takes single requests,
    `files` takes chunks. Row locks keep them apart where they meet.
    """

    def __init__(self, database: Engine, observe: Callable[[str, int, float], None]) -> None:
        self.database = database
        self.file_slots = asyncio.Semaphore(FILES_AT_ONCE)
        self.rules = RulesCache(database)
        self.tills = GroupCommit(
            database, self.rules, name="tills", observe=lambda size, seconds: observe("tills", size, seconds)
        )
        self.files = GroupCommit(
            database,
            self.rules,
            name="files",
            max_waiting=50_000,
            max_batch=2_000,
            observe=lambda size, seconds: observe("files", size, seconds),
        )

    def start(self) -> None:
        """Begin to take commands."""
        self.tills.start()
        self.files.start()

    @property
    def alive(self) -> bool:
        """Whether both lanes take commands."""
        return self.tills.alive and self.files.alive

    def stop(self) -> None:
        """Carry out what waits, then end."""
        self.tills.stop()
        self.files.stop()


def service_of(request: Request) -> Service:
    """The application's service."""
    service: Service = request.app.state.service
    return service


def partner_of(request: Request) -> int:
    """The partner whose signature the request carries."""
    partner_id: int = request.state.partner_id
    return partner_id


async def carry_out(lane: GroupCommit, commands: Sequence[Command]) -> list[Reply]:
    """Queue commands and wait for their durable answers.

    Raises:
        ProblemError: overloaded or unavailable; nothing is known to have happened, and a retry is safe.
    """
    try:
        return await lane.carry_out(commands)
    except Overloaded as error:
        raise ProblemError("overloaded", str(error)) from error
    except (Unavailable, NotReady) as error:
        raise ProblemError("unavailable", str(error)) from error
