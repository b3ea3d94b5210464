"""What door and lane say to each other: frames of MessagePack, each after its length."""

from collections.abc import Iterator
from typing import Any

import msgspec

FILE = "/v1/batches"
"""The address of an ask that waits for the end of a file, whose id is the body; others are one command's."""
PING = ""
"""The address of an ask that is answered with nothing: whether somebody is there."""
_LENGTH_BYTES = 4


class Ask(msgspec.Struct, frozen=True, array_like=True):
    """A body to be carried out. `number` names it to the door; `address` says what kind of body it is.

    `size` is how many commands it is: 1, or 0 where it waits for a file; `trace` is the traceparent of its
    request, where traces are made.
    """

    number: int
    address: str
    partner_id: int
    request_id: str
    body: bytes
    size: int = 1
    trace: str = ""


class Answer(msgspec.Struct, frozen=True, array_like=True):
    """What an ask came to: the bytes to answer with. `replayed`: they were the answer before."""

    number: int
    status: int
    body: bytes
    replayed: bool = False


class Answered(msgspec.Struct, frozen=True, array_like=True):
    """The answers of one batch, how many commands it had, and the seconds it took."""

    answers: list[Answer]
    size: int
    seconds: float


class Frames:
    """Cuts a stream of bytes into frames."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def fed(self, data: bytes) -> Iterator[bytes]:
        """The frames that are whole with this data."""
        buffer = self._buffer
        buffer += data
        start = 0
        while len(buffer) - start >= _LENGTH_BYTES:
            end = start + _LENGTH_BYTES + int.from_bytes(buffer[start : start + _LENGTH_BYTES], "big")
            if len(buffer) < end:
                break
            yield bytes(buffer[start + _LENGTH_BYTES : end])
            start = end
        del buffer[:start]


def framed(said: Any) -> bytes:
    """A value as a frame."""
    body = msgspec.msgpack.encode(said)
    return len(body).to_bytes(_LENGTH_BYTES, "big") + body
