"""The files through which the harness and its client processes talk.

The harness writes one state file (where the servers are, what time it is, whether to stop); each client
appends to a journal of its own, one JSON object a line, as soon as it has been told something.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

_GLANCE = 1 << 20


class State(msgspec.Struct, frozen=True, kw_only=True):
    """What the clients need to know now. `occurred_at`: RFC 3339, the network's time."""

    addresses: list[str]
    occurred_at: str
    stop: bool = False


class Line(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What happened to one command, the first time it was answered for good; or something odd.

    Attributes:
        attempts: How often it had been sent by then.
        odd: What should not happen: a status we do not know, or a second answer that differs from the first.
    """

    kind: str = ""
    fields: dict[str, Any] = {}
    status: int = 0
    answer: dict[str, Any] = {}
    attempts: int = 0
    in_file: bool = False
    odd: str = ""


class Config(msgspec.Struct, frozen=True, kw_only=True):
    """One client process: whose requests it signs, with which cards, how much at once.

    `abroad` are the journals of the others: what was sold there may be returned here.
    """

    name: str
    partner_id: int
    key: str
    key_id: str
    cards: list[str]
    seed: int
    tills: int
    state: str
    journal: str
    abroad: list[str]


def write_state(path: Path, state: State) -> None:
    """Replace the state, whole."""
    new = path.with_suffix(".new")
    new.write_bytes(msgspec.json.encode(state))
    new.replace(path)


def read_state(path: Path) -> State:
    """The state as it stands."""
    return msgspec.json.decode(path.read_bytes(), type=State)


class Tail:
    """Reads on in a journal that grows, whole lines only."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._read = 0

    def news(self) -> list[Line]:
        """What has been added since the last look."""
        if not self._path.exists():
            return []
        with self._path.open("rb") as file:
            file.seek(self._read)
            whole, end, _ = file.read(_GLANCE).rpartition(b"\n")
        self._read += len(whole) + len(end)
        return [msgspec.json.decode(raw, type=Line) for raw in whole.splitlines()]


def read_journal(path: Path) -> Iterator[Line]:
    """Every line of a client's journal; call it when the client has ended."""
    decoder = msgspec.json.Decoder(Line)
    with path.open("rb") as file:
        for raw in file:
            yield decoder.decode(raw)
