"""Files of commands before they are sent: bytes on disk, their digest known, so that they can be signed.

A signature covers the digest of the body, so a file is read once to be hashed and once for each time it is
sent; memory holds a piece of it at a time.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from tempfile import SpooledTemporaryFile
from typing import IO, cast

import msgspec

from tessera_client.commands import Command
from tessera_client.errors import Unusable
from tessera_client.signing import digest_field

CHUNK_BYTES = 1 << 16
_IN_MEMORY_BYTES = 1 << 20
_ENCODER = msgspec.json.Encoder()

Source = str | Path | bytes | Iterable[Command] | Iterable[bytes]
"""A file's path, its bytes, or its lines: commands, or pieces of bytes as they are to be sent."""


class Upload(msgspec.Struct, frozen=True):
    """A body on disk, to be read from its beginning for each time it is sent."""

    file: IO[bytes]
    size: int
    digest: str

    def chunks(self) -> Iterator[bytes]:
        """The body, piece by piece."""
        self.file.seek(0)
        while chunk := self.file.read(CHUNK_BYTES):
            yield chunk


@contextmanager
def upload_of(source: Source) -> Iterator[Upload]:
    """A body to send, for the length of a block.

    Raises:
        Unusable: the file cannot be read, or there is nothing in it.
    """
    if isinstance(source, str | Path):
        try:
            with Path(source).open("rb") as file:
                yield _measured(file, str(source))
        except OSError as error:
            raise Unusable(f"cannot read {source}: {error.strerror}") from error
        return
    with SpooledTemporaryFile(_IN_MEMORY_BYTES) as spooled:
        for piece in [source] if isinstance(source, bytes) else source:
            spooled.write(piece if isinstance(piece, bytes) else _ENCODER.encode(piece) + b"\n")
        yield _measured(cast("IO[bytes]", spooled), "the file")


def _measured(file: IO[bytes], name: str) -> Upload:
    file.seek(0)
    hashed, size = sha256(), 0
    while chunk := file.read(CHUNK_BYTES):
        hashed.update(chunk)
        size += len(chunk)
    if not size:
        raise Unusable(f"{name} is empty")
    return Upload(file, size, digest_field(hashed.digest()))
