"""The naive ledger: dictionaries and lists, its own dates, its own arithmetic, its own draw order.

It shares no code with the ledger it judges. It is told an entry's id by the reply, and nothing else. What
each kind of command does is in `kinds`.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from hashlib import sha256
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from tests.laws.world import OPERATOR, Scheme, World

Ask = dict[str, Any]
"""A command as plain values: `kind`, and the fields it has."""
Answer = dict[str, Any]
"""An entry's fields by name, or {"refused": reason}."""
LotKey = tuple[int, int, date, date]
"""Issuer, terms version, spendable on, expires on."""

MEMBER_BITS = 40
PASSING = {
    "occurred_in_future",
    "partner_unknown",
    "outlet_unknown",
    "no_contract_terms",
    "currency_not_contracted",
}
"""Refusals that are not remembered."""


class Refused(Exception):
    """The command is refused; the text is the reason."""


@dataclass
class Part:
    """Points that left a member's lot and may come back."""

    lot: LotKey
    points: int
    acceptor: int
    acceptor_terms: int
    window: int


@dataclass
class Held:
    """A hold: what it still holds, in the order drawn. Captures take from the front, returns from the end."""

    member: int
    partner: int
    currency: str
    outlet: str
    points: int
    lapses_at: datetime
    parts: list[Part] = field(default_factory=list)
    captured: int = 0
    returned: int = 0


@dataclass
class Spent:
    """A redemption or capture: what has not come back of it, in the order drawn."""

    points: int
    amount: int
    parts: list[Part]
    back: int = 0


@dataclass
class Sold:
    """A sale: its lot, its window, and how much of it has not been returned."""

    lot: LotKey
    window: int
    scheme: Scheme
    day: date
    left: int


@dataclass
class Prediction:
    """What a command must be answered; `effect` is carried out once the entry's id is known."""

    answer: Answer
    replayed: bool = False
    effect: Callable[[UUID], None] | None = None


Judge = Callable[["Book", Ask], tuple[Answer, Callable[[UUID], None]]]
Name = UUID | tuple[int, str]
"""How an entry is called: by its id, or, if nobody asked for it, by its member and reference."""


class Book:
    """All the model knows."""

    def __init__(self, world: World, start: datetime, judges: dict[str, Judge]) -> None:
        self.world = world
        self.judges = judges
        self.now = start
        self.window = self.day(start)
        self.swept = self.window
        self.unsettled = self.window
        self.cards: dict[int, int] = {}
        self.blocked: set[int] = set()
        self.lots: dict[int, dict[LotKey, int]] = {}
        self.entries: dict[UUID, Answer] = {}
        self.unasked: dict[tuple[int, str], Answer] = {}
        self.sold: dict[UUID, Sold] = {}
        self.spent: dict[UUID, Spent] = {}
        self.holds: dict[UUID, Held] = {}
        self.moves: dict[Name, list[tuple[Any, ...]]] = {}
        self.requests: dict[tuple[int, str], tuple[Ask, Answer]] = {}

    # ---- days ----

    def day(self, at: datetime) -> date:
        """The calendar day of an instant where the network is."""
        return at.astimezone(ZoneInfo(self.world.zone)).date()

    @property
    def today(self) -> date:
        """The calendar day it is."""
        return self.day(self.now)

    def over_at(self, on: date) -> datetime:
        """When a business date is over."""
        after = on + timedelta(days=1)
        zone = ZoneInfo(self.world.zone)
        return datetime.combine(after, self.world.cut_off, tzinfo=zone).astimezone(UTC)

    # ---- commands ----

    def predict(self, ask: Ask) -> Prediction:
        """What a command must be answered now."""
        name = (ask["partner_id"], ask["reference"])
        if name in self.requests:
            first, answer = self.requests[name]
            if first != ask:
                return Prediction({"refused": "reference_reused"})
            return Prediction(answer, replayed=True)
        self.touch(self.member_touched(ask))
        try:
            answer, effect = self.judges[ask["kind"]](self, ask)
        except Refused as refused:
            answer = {"refused": str(refused)}
            if str(refused) not in PASSING:
                self.requests[name] = (ask, answer)
            return Prediction(answer)
        self.requests[name] = (ask, answer)
        return Prediction(answer, effect=effect)

    def learn(self, prediction: Prediction, entry_id: UUID) -> None:
        """Take the id of a new entry, and do what the entry does."""
        if prediction.effect is None:
            return
        prediction.answer["entry_id"] = entry_id
        self.entries[entry_id] = prediction.answer
        prediction.effect(entry_id)

    def member_touched(self, ask: Ask) -> int | None:
        """Whose account a command opens, whatever becomes of it: that of its card or of its id."""
        if "card_number" in ask:
            return self.cards.get(ask["card_number"])
        named: UUID | None = ask.get("entry_id") or ask.get("hold_id")
        return None if named is None else named.int % 2**MEMBER_BITS

    def touch(self, member: int | None) -> None:
        """End the holds of a member whose time is over."""
        due = [(hold_id, h) for hold_id, h in self.holds.items() if h.member == member and h.parts]
        for hold_id, held in sorted(due, key=lambda one: one[0].bytes):
            if held.lapses_at <= self.now:
                points = sum(part.points for part in held.parts)
                answer = self.entry("HOLD_LAPSE", {"partner_id": held.partner}, held.member, points=points)
                answer.update(
                    reference=f"lapse {hold_id.hex}",
                    currency=held.currency,
                    outlet_code=held.outlet,
                    hold_id=hold_id,
                )
                self.write_unasked(answer)
                self.give_back(held, (held.member, answer["reference"]))

    def give_back(self, held: Held, name: Name) -> None:
        """Return all that a hold still holds, last drawn first."""
        while held.parts:
            part = held.parts.pop()
            held.returned += part.points
            lot = self.lot_of_returned(part.lot)
            self.move(name, "HELD", "MEMBER", held.member, part.points, lot, part)

    def entry(
        self, kind: str, ask: Ask, member: int, *, points: int, spendable: int | None = None, amount: int = 0
    ) -> Answer:
        """An entry's fields; `spendable` is how the points change what can be spent, if not by all."""
        change = points if spendable is None else spendable
        return {
            "kind": kind,
            "member_id": member,
            "partner_id": ask["partner_id"],
            "reference": ask.get("reference"),
            "window_id": self.window_id,
            "programme_version": self.world.schemes[-1].version,
            "points": points,
            "balance_after": self.spendable(member) + change,
            "amount_minor": amount,
            "currency": ask.get("currency"),
            "outlet_code": ask.get("outlet_code"),
            "occurred_at": ask.get("occurred_at", self.now),
            "recorded_at": self.now,
            "reverses": None,
            "hold_id": None,
        }

    def write_unasked(self, answer: Answer) -> None:
        """Note an entry that nobody asked for."""
        self.unasked[answer["member_id"], answer["reference"]] = answer

    # ---- points ----

    @property
    def window_id(self) -> int:
        """The number of the open window."""
        return int(f"{self.window:%Y%m%d}")

    def spendable(self, member: int) -> int:
        """What a member can spend today."""
        return sum(n for lot, n in self.lots.get(member, {}).items() if lot[2] <= self.today <= lot[3])

    def lot_of_returned(self, lot: LotKey) -> LotKey:
        """The lot to which points come back: their own, or if it has died one with days of grace."""
        if lot[3] >= self.today:
            return lot
        grace = timedelta(days=self.world.schemes[-1].grace_days)
        return (lot[0], lot[1], lot[2], self.today + grace)

    def draw(self, member: int, points: int, entry_id: UUID) -> list[tuple[LotKey, int]]:
        """Take points out of a member's live lots; one lot after the other, the first in order each time."""
        left = {k: n for k, n in self.lots[member].items() if n and k[2] <= self.today <= k[3]}
        drawn = []
        while points:
            first = min(left, key=lambda lot: (lot[3], _chance(entry_id, lot[0]), lot[1], lot[2]))
            taken = min(points, left.pop(first))
            drawn.append((first, taken))
            points -= taken
        return drawn

    def move(
        self,
        name: Name,
        debit: str,
        credit: str,
        member: int,
        points: int,
        lot: LotKey,
        accepted: Part | None = None,
        *,
        reversed_window: int | None = None,
    ) -> None:
        """Move points of a lot from one account to another, and note it as the next line of an entry."""
        lots = self.lots[member]
        if debit == "MEMBER":
            lots[lot] -= points
            if lots[lot] < 0:
                raise ArithmeticError(f"the model took {-lots[lot]} points too many of {lot}")
        if credit == "MEMBER":
            lots[lot] = lots.get(lot, 0) + points
        lines = self.moves.setdefault(name, [])
        acceptor = (None, None) if accepted is None else (accepted.acceptor, accepted.acceptor_terms)
        line = (len(lines) + 1, debit, credit, points, *lot, *acceptor, self.window_id, reversed_window)
        lines.append(line)

    def standing(self) -> dict[str, Any]:
        """How everything stands: lots, sums of lots, holds."""
        return {
            "lots": {(m, *lot): n for m, lots in self.lots.items() for lot, n in lots.items() if n},
            "balances": {member: sum(lots.values()) for member, lots in self.lots.items()},
            "holds": {i: (h.points, h.captured, h.returned, h.lapses_at) for i, h in self.holds.items()},
        }

    # ---- nights ----

    def close(self) -> None:
        """Close the open window; the next date opens."""
        self.window += timedelta(days=1)

    def sweep(self, on: date) -> tuple[int, int]:
        """Let lots lapse that are dead on a date; how many members' and how many points."""
        if self.swept >= on:
            return (0, 0)
        self.swept = on
        members = total = 0
        for member, lots in self.lots.items():
            dead = sorted((k for k, n in lots.items() if n and k[3] < on), key=_line_of_dead)
            points = sum(lots[lot] for lot in dead)
            if not dead:
                continue
            # What is left is counted over all lots: the sweep does not know which of them are pending.
            answer = self.entry("EXPIRY", {"partner_id": OPERATOR}, member, points=-points)
            answer.update(reference=f"lapse {on}", balance_after=sum(lots.values()) - points)
            self.write_unasked(answer)
            for lot in dead:
                self.move((member, answer["reference"]), "MEMBER", "LAPSED", member, lots[lot], lot)
            members += 1
            total += points
        return (members, total)


def _line_of_dead(lot: LotKey) -> tuple[Any, ...]:
    return (lot[3], lot[0], lot[1], lot[2])


def _chance(entry_id: UUID, issuer: int) -> bytes:
    """What decides between lots of one expiry."""
    return sha256(entry_id.bytes + issuer.to_bytes(8, "big")).digest()


def month_end(day: date, months: int) -> date:
    """The last day of the month that many months later."""
    year, month = day.year, day.month
    for _ in range(months + 1):
        year, month = (year + 1, 1) if month == 12 else (year, month + 1)
    return date(year, month, 1) - timedelta(days=1)
