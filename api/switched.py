"""Traces where they are switched on; where they are not, their library is not even imported."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from api.tracing import Tracing


class TracesMissing(Exception):
    """Traces are switched on, and what makes them is not installed."""


@contextmanager
def tracing_of(address: str | None, process: str) -> "Iterator[Tracing | None]":
    """What makes a process's spans, for the length of a block; None where there is no address for them.

    Raises:
        TracesMissing: the extra `traces` is not installed.
    """
    if address is None:
        yield None
        return
    try:
        from api.tracing import Tracing  # noqa: PLC0415 - an extra, for those who want it
    except ImportError as error:
        raise TracesMissing(
            f"TESSERA_TRACES is set, and {error.name} is not installed: pip install 'tessera[traces]'"
        ) from error
    tracing = Tracing.to(address, process)
    try:
        yield tracing
    finally:
        tracing.close()
