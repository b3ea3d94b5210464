"""Turns for what costs 64 MiB and a moment of a processor: to judge passwords."""

import asyncio
from collections.abc import Callable
from typing import TypeVar

from api.problems import ProblemError

AT_ONCE = 2
MOST_WAITING = 16

Made = TypeVar("Made")


class Hashing:
    """Two at a time, and a short queue: a flood of passwords holds up nobody's other requests."""

    def __init__(self) -> None:
        self._turns = asyncio.Semaphore(AT_ONCE)
        self._waiting = 0

    async def run(self, work: Callable[[], Made]) -> Made:
        """Do it in a thread when it is its turn.

        Raises:
            ProblemError: overloaded; too many wait.
        """
        if self._waiting >= MOST_WAITING:
            raise ProblemError("overloaded")
        self._waiting += 1
        try:
            async with self._turns:
                return await asyncio.to_thread(work)
        finally:
            self._waiting -= 1
