"""A dispute as a machine: which moves there are, whose they are, until when, and what they come to (pure).

    raised ── other accepts, or is silent ──→ accepted      all of it is paid back
       └──── other rejects ──→ rejected
                                 ├── raiser escalates ──→ escalated ── operator ──→ decided    as it decides
                                 └── raiser is silent ──→ decided                              nothing

Who raised it paid on a line, and wants that back from the other partner. A deadline is an instant: before it
somebody may move, from it on only the clock does. What the operator is to decide waits without a deadline.
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Literal
from zoneinfo import ZoneInfo

import msgspec

from settlement.money import ZERO
from settlement.money_model import DisputeState

Mover = Literal["raiser", "other", "operator", "clock"]

MOVES: Mapping[tuple[DisputeState, DisputeState], frozenset[Mover]] = {
    ("raised", "accepted"): frozenset({"other", "clock"}),
    ("raised", "rejected"): frozenset({"other"}),
    ("rejected", "escalated"): frozenset({"raiser"}),
    ("rejected", "decided"): frozenset({"clock"}),
    ("escalated", "decided"): frozenset({"operator"}),
}
"""Every move from a state to a state, and who may make it."""
WAITS_FOR: Mapping[DisputeState, Mover | None] = {
    "raised": "other",
    "accepted": None,
    "rejected": "raiser",
    "escalated": "operator",
    "decided": None,
}
"""Whose move is next; None where it is over."""
SILENCE: Mapping[DisputeState, DisputeState] = {"raised": "accepted", "rejected": "decided"}
"""Where a dispute goes by itself when a deadline passes."""

Refusal = Literal[
    "dispute_over",
    "dispute_not_so",
    "dispute_not_yours",
    "dispute_too_late",
    "dispute_not_due",
    "dispute_award_too_large",
]


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """Where a dispute stands: its state, the deadline of that state, and what is disputed."""

    state: DisputeState
    answer_until: datetime | None
    amount: Decimal


class Move(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody's wish to take a dispute to a state. `awarded` is the operator's to say."""

    to: DisputeState
    mover: Mover
    at: datetime
    awarded: Decimal | None = None


class Moved(msgspec.Struct, frozen=True, kw_only=True):
    """A move that is made; `awarded` is what it pays back, None as long as the dispute goes on."""

    state: DisputeState
    awarded: Decimal | None = None


class Refused(msgspec.Struct, frozen=True):
    """A move that may not be made, and why."""

    reason: Refusal
    detail: str


def judge(standing: Standing, move: Move, left: Decimal) -> Moved | Refused:
    """Whether a move may be made, and what it then pays.

    Args:
        standing: Where the dispute stands.
        move: What somebody wants.
        left: What is still paid on the line now, returns since then taken off; at least 0.
    """
    waits_for = WAITS_FOR[standing.state]
    if waits_for is None:
        return Refused("dispute_over", f"it is {standing.state}")
    movers = MOVES.get((standing.state, move.to))
    if movers is None:
        return Refused("dispute_not_so", f"it is {standing.state}, and waits for the {_NAMES[waits_for]}")
    if move.mover not in movers:
        return Refused("dispute_not_yours", f"it is {standing.state}, and waits for the {_NAMES[waits_for]}")
    until = standing.answer_until
    if move.mover == "clock" and (until is None or move.at < until):
        return Refused("dispute_not_due", f"there is time until {until}")
    if move.mover != "clock" and until is not None and move.at >= until:
        return Refused("dispute_too_late", f"there was time until {until:%Y-%m-%dT%H:%M:%S%z}")
    return _paid(standing, move, min(standing.amount, left))


def deadline(start: datetime, days: int, time_zone: str) -> datetime:
    """The same time of day some days on, as clocks in the zone show it; UTC.

    A time that a clock skips on that day is the instant after it, as far on as the clock goes forward.
    """
    local = start.astimezone(ZoneInfo(time_zone)) + timedelta(days=days)
    return local.astimezone(UTC)


_NAMES: Mapping[Mover, str] = {
    "raiser": "partner that raised it",
    "other": "other partner",
    "operator": "operator",
    "clock": "clock",
}


def _paid(standing: Standing, move: Move, most: Decimal) -> Moved | Refused:
    if move.to == "accepted":
        return Moved(state="accepted", awarded=most)
    if move.to != "decided":
        return Moved(state=move.to)
    if move.mover == "clock":
        return Moved(state="decided", awarded=ZERO)
    if move.awarded is None or not ZERO <= move.awarded <= most:
        return Refused(
            "dispute_award_too_large",
            f"{move.awarded} is awarded, of {standing.amount} disputed and {most} that is left of it",
        )
    return Moved(state="decided", awarded=move.awarded)
