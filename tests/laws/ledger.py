"""What the machine judges: a ledger, whatever it is made of."""

from collections.abc import Sequence
from datetime import date
from typing import Any, Protocol

from network.commands import Command
from network.outcomes import Reply
from tests.laws.auditor import Recorded


class Ledger(Protocol):
    """What the machine judges."""

    def execute(self, commands: Sequence[Command]) -> list[Reply]:
        """Carry out a batch."""

    def world_changed(self) -> None:
        """Take over what is new in the book's world: partners' states, terms, programmes."""

    def block(self, card: int, *, blocked: bool) -> None:
        """Block a card, or let it be used again."""

    def set_clock(self) -> None:
        """Put the clock where the book's is."""

    def close(self) -> None:
        """Close the open window."""

    def sweep(self, on: date) -> tuple[int, int]:
        """Let lots lapse that are dead on a date; members and points."""

    def settle(self, nights: int) -> None:
        """Settle what is over, at most so many nights."""

    def standing(self) -> dict[str, Any]:
        """How everything stands, as `Book.standing` says it."""

    def entries(self) -> list[Recorded]:
        """Every entry with its moves."""

    def problems(self) -> list[str]:
        """What `verify` finds."""

    def dispose(self) -> None:
        """The end."""
