"""The lane's side of its socket: take what waits, answer it, take what came meanwhile."""

import socket
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress

import msgspec

from api.lanes.wire import Answered, Ask, Frames, framed
from api.lanes.work import CarryOut, answers

_MOST_BYTES = 1 << 20
_ASKS = msgspec.msgpack.Decoder(list[Ask])


Watch = Callable[[Sequence[Ask]], AbstractContextManager[None]]
"""Stands around a batch: for traces."""


def serve(channel: socket.socket, carry_out: CarryOut, *, max_batch: int, watch: Watch | None = None) -> None:
    """Answer what the door asks, until it closes the socket; what it asked before that is done.

    The batch forms while the last one commits, in the socket's buffer: there is no timer, and a lone request
    does not wait.

    Args:
        channel: To the door; closed at the end.
        carry_out: Carries a batch out.
        max_batch: Most commands of one transaction, unless a single ask has more.
        watch: Stands around each batch.
    """
    frames = Frames()
    waiting: deque[Ask] = deque()
    listening = True
    with channel, suppress(ConnectionError):
        while listening or waiting:
            if listening:
                listening = _receive(channel, frames, waiting)
            taken = _take(waiting, max_batch)
            if taken:
                started = time.perf_counter()
                with nullcontext() if watch is None else watch(taken):
                    answered = answers(taken, carry_out)
                size = sum(ask.size for ask in taken)
                channel.sendall(framed(Answered(answered, size, time.perf_counter() - started)))


def _receive(channel: socket.socket, frames: Frames, waiting: deque[Ask]) -> bool:
    """Take all that is there, and wait only where nothing is; False where nothing will come any more."""
    while True:
        try:
            data = channel.recv(_MOST_BYTES, socket.MSG_DONTWAIT if waiting else 0)
        except BlockingIOError:
            return True
        if not data:
            return False
        for frame in frames.fed(data):
            waiting += _ASKS.decode(frame)


def _take(waiting: deque[Ask], most: int) -> list[Ask]:
    taken: list[Ask] = []
    size = 0
    while waiting and (not taken or size + waiting[0].size <= most):
        taken.append(waiting.popleft())
        size += taken[-1].size
    return taken
