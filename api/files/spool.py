"""A body of up to 64 MB on its way from the socket to the database: on disk, in a file that has no name."""

import asyncio
import errno
import hashlib
from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from tempfile import SpooledTemporaryFile
from typing import IO, TypeVar

from starlette.types import Receive

from api.problems import ProblemError

MAX_FILE_BYTES = 64 << 20
IN_MEMORY_BYTES = 256 << 10
"""A smaller file never meets the disk; of a larger one so much is written at a time."""
MOST_UPLOADS, MOST_UPLOADS_EACH = 16, 4
"""Files that are on their way here at a time, of all partners and of one: each may be 64 MB of disk."""
STALLED_SECONDS = 30.0
"""Who sends nothing for so long is not waited for."""

Done = TypeVar("Done")


class Disconnected(Exception):
    """The client went away before its body was whole."""


class Spooled:
    """A body that is here whole, as it was sent."""

    def __init__(self, file: IO[bytes]) -> None:
        self.file = file
        self.size = 0
        self._digests: dict[bytes, bytes] = {}

    def digest(self, name: bytes) -> bytes:
        """Its hash, by an algorithm's name in RFC 9530: sha-256 or sha-512."""
        if name not in self._digests:
            self.file.seek(0)
            digest = hashlib.new(name.replace(b"-", b"").decode())
            while piece := self.file.read(IN_MEMORY_BYTES):
                digest.update(piece)
            self._digests[name] = digest.digest()
        return self._digests[name]


class Spool:
    """Takes bodies of files, so many at a time.

    Args:
        folder: Gets the files while they are read through; they have no name, are their owner's alone, and
            are gone with the process, however it ends.
        threads: Where what blocks is done: writing, hashing, and what the route does with the file.
    """

    def __init__(self, folder: Path, threads: Executor) -> None:
        self._folder = folder
        self._threads = threads
        self._uploads: list[int] = []

    @contextmanager
    def place(self, partner_id: int) -> Iterator[None]:
        """A place among the files that are on their way, for the length of a block.

        Raises:
            ProblemError: overloaded.
        """
        mine = self._uploads.count(partner_id)
        if len(self._uploads) >= MOST_UPLOADS or mine >= MOST_UPLOADS_EACH:
            raise ProblemError("overloaded", f"{mine} of {len(self._uploads)} files on their way are yours")
        self._uploads.append(partner_id)
        try:
            yield
        finally:
            self._uploads.remove(partner_id)

    async def take(self, receive: Receive) -> Spooled:
        """The whole body; the caller closes its file.

        Raises:
            ProblemError: it is too large, comes too slowly, or the disk is full.
            Disconnected: it breaks off.
        """
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        # no name: O_TMPFILE where there is one, else unlinked at once; 0600 in either case
        spooled = Spooled(SpooledTemporaryFile(max_size=IN_MEMORY_BYTES, dir=str(self._folder)))  # noqa: SIM115 - its caller closes it
        try:
            await self._fill(spooled, receive)
        except BaseException:
            spooled.file.close()
            raise
        return spooled

    async def _fill(self, spooled: Spooled, receive: Receive) -> None:
        pieces: list[bytes] = []
        gathered = 0
        more = True
        while more:
            try:
                message = await asyncio.wait_for(receive(), STALLED_SECONDS)
            except TimeoutError:
                raise ProblemError("upload_stalled", f"nothing came for {STALLED_SECONDS:.0f} s") from None
            if message["type"] != "http.request":
                raise Disconnected
            piece = message.get("body", b"")
            more = message.get("more_body", False)
            gathered += len(piece)
            if spooled.size + gathered > MAX_FILE_BYTES:
                raise ProblemError(
                    "body_too_large", f"at most {MAX_FILE_BYTES} bytes are taken at this address"
                )
            pieces.append(piece)
            if gathered >= IN_MEMORY_BYTES:
                await self.run(partial(_write, spooled, pieces))
                pieces, gathered = [], 0
        if spooled.size:
            await self.run(partial(_write, spooled, pieces))
        else:
            _write(spooled, pieces)  # it stays in memory

    async def run(self, work: Callable[[], Done]) -> Done:
        """Do what blocks in one of the threads.

        Raises:
            ProblemError: storage_full, where the disk is.
        """
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise ProblemError("storage_full") from error
            raise


def _write(spooled: Spooled, pieces: list[bytes]) -> None:
    for piece in pieces:
        spooled.file.write(piece)
        spooled.size += len(piece)
