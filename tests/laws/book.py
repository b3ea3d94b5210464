"""The naive ledger: dictionaries and lists, its own dates, its own arithmetic, its own draw order.

It shares no code with the ledger it judges. It is told an entry's id by the reply, and nothing else. What
each kind of command does is in `kinds`, how an entry is written in `writing`.
"""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from hashlib import sha256
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from tests.laws.records import (
    Account,
    Debt,
    Held,
    Invited,
    Item,
    LotKey,
    Part,
    Sold,
    Spent,
    ValueKey,
    Voucher,
)
from tests.laws.world import OPERATOR, World

Ask = dict[str, Any]
"""A command as plain values: `kind`, and the fields it has."""
Answer = dict[str, Any]
"""An entry's fields by name, or {"refused": reason}."""
Drawn = tuple[int, LotKey, int]
"""Whose, which lot, how many points."""
Name = UUID | tuple[int, str]
"""How an entry is called: by its id, or, if nobody asked for it, by its member and reference."""

MEMBER_BITS = 40
NEVER = date(9999, 12, 31)
"""Expiry of points that never lapse."""
WITH_ACTIVITY = date(9999, 12, 30)
"""Expiry of points that live as long as their account is active."""
PASSING = {
    "occurred_in_future",
    "partner_unknown",
    "outlet_unknown",
    "no_contract_terms",
    "currency_not_contracted",
    "category_unknown",
    "voucher_not_over",
    "nothing_to_convert",
}
"""Refusals that are not remembered."""


class Refused(Exception):
    """The command is refused; the text is the reason."""


Effect = Callable[[UUID], Answer]
"""Does what an entry does, once its id is known, and says how it is recorded."""


@dataclass
class Prediction:
    """What a command must be answered; where it is accepted, `learn` makes the answer."""

    answer: Answer
    replayed: bool = False
    effect: Effect | None = None


Judge = Callable[["Book", Ask], Effect]


class Book:
    """All the model knows."""

    def __init__(self, world: World, start: datetime, judges: dict[str, Judge]) -> None:
        self.world = world
        self.judges = judges
        self.now = start
        self.window = self.day(start)
        self.swept = self.window
        self.unsettled = self.window
        self.converted: set[date] = set()
        self.cards: dict[int, int] = {}
        self.issued: dict[int, int] = {}
        self.blocked: set[int] = set()
        self.accounts: dict[int, Account] = {}
        self.lots: dict[int, dict[LotKey, int]] = {}
        self.value: dict[int, dict[ValueKey, int]] = {}
        self.owed: dict[int, dict[tuple[int, int], Debt]] = {}
        self.entries: dict[UUID, Answer] = {}
        self.unasked: dict[tuple[int, str], Answer] = {}
        self.sold: dict[UUID, Sold] = {}
        self.spent: dict[UUID, Spent] = {}
        self.paid: dict[UUID, list[Part]] = {}
        self.loaded: dict[UUID, bool] = {}
        self.vouchers: dict[UUID, Voucher] = {}
        self.holds: dict[UUID, Held] = {}
        self.items: dict[UUID, list[Item]] = {}
        self.invited: dict[UUID, Invited] = {}
        self.moves: dict[Name, list[tuple[Any, ...]]] = {}
        self.requests: dict[tuple[int, str], tuple[Ask, Answer]] = {}
        self.ways: Counter[str] = Counter()

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
        self.touch(ask)
        try:
            effect = self.judges[ask["kind"]](self, ask)
        except Refused as refused:
            answer = {"refused": str(refused)}
            if str(refused) not in PASSING:
                self.requests[name] = (ask, answer)
            return Prediction(answer)
        answer = {}
        self.requests[name] = (ask, answer)
        return Prediction(answer, effect=effect)

    def learn(self, prediction: Prediction, entry_id: UUID) -> None:
        """Take the id of a new entry, do what the entry does, and know the answer."""
        if prediction.effect is not None:
            prediction.answer.update(prediction.effect(entry_id))

    def saw(self, way: str, *, when: bool = True) -> None:
        """Count something that a long run must have seen."""
        if when:
            self.ways[way] += 1

    def enrol(self, member: int) -> None:
        """An empty account."""
        self.accounts[member] = Account()
        self.lots[member] = {}
        self.value[member] = {}
        self.owed[member] = {}

    # ---- whom a command touches ----

    def touch(self, ask: Ask) -> None:
        """End the holds whose time is over of all whom a command touches, whatever becomes of it."""
        for member in sorted(self._touched(ask)):
            for hold_id in self._due(member):
                held = self.holds[hold_id]
                self.judges["lapse"](self, {"held": held, "hold_id": hold_id})(hold_id)

    def _due(self, member: int) -> list[UUID]:
        due = [i for i, h in self.holds.items() if h.member == member and h.parts and h.lapses_at <= self.now]
        return sorted(due, key=lambda hold_id: hold_id.bytes)

    def _touched(self, ask: Ask) -> set[int]:
        numbers = [ask.get(name) for name in ("card_number", "to_card_number", "merged_card_number")]
        ids = ("entry_id", "hold_id", "invitation_id", "voucher_id")
        named = [ask[name] for name in ids if ask.get(name) is not None]
        members = {self.cards[number] for number in numbers if number in self.cards}
        members |= {one.int % 2**MEMBER_BITS for one in named} & set(self.accounts)
        if ask["kind"] in {"redeem", "hold", "join"}:
            drawn = named[0].int % 2**MEMBER_BITS if named else self.cards.get(ask["card_number"])
            members |= set(self.pool(drawn))
        for one in named:
            members |= self._contributors(one)
            members |= {self.entries[one]["counterpart_id"] or 0} if one in self.entries else set()
        members |= {ask["member_id"]} & set(self.accounts) if "member_id" in ask else set()
        members.discard(0)
        while True:
            more = {self.accounts[m].merged_into or m for m in members}
            for member in members:
                for hold_id in self._due(member):
                    more |= self._contributors(hold_id)
            if more <= members:
                return members
            members |= more

    def _contributors(self, name: UUID) -> set[int]:
        return {line[-1] for line in self.moves.get(name, []) if line[-1] is not None}

    def pool(self, member: int | None) -> list[int]:
        """Everybody in the pool of a member; nobody if it is in none."""
        account = self.accounts.get(member or 0)
        if account is None or account.pool is None:
            return []
        return [mate for mate, one in self.accounts.items() if one.pool == account.pool]

    # ---- points ----

    @property
    def window_id(self) -> int:
        """The number of the open window."""
        return int(f"{self.window:%Y%m%d}")

    def lives_until(self, member: int, lot: LotKey) -> date:
        """The last day of a lot."""
        return self.accounts[member].active_until if lot[3] == WITH_ACTIVITY else lot[3]

    def alive(self, member: int) -> dict[LotKey, int]:
        """A member's lots that live, pending ones too."""
        lots = self.lots[member].items()
        return {lot: n for lot, n in lots if n and self.lives_until(member, lot) >= self.today}

    def spendable(self, members: Iterable[int]) -> int:
        """What members can spend today, all together."""
        return sum(n for m in set(members) for lot, n in self.alive(m).items() if lot[2] <= self.today)

    def debts(self, member: int) -> list[tuple[UUID, int, int]]:
        """What a member owes, the oldest first: who opened it, issuer and terms."""
        return sorted((debt.opened_by, *key) for key, debt in self.owed[member].items())

    def owner(self, member: int) -> int:
        """Whose a member's points are: its own, or who it was merged into."""
        return self.accounts[member].merged_into or member

    def coming_back(self, part: Part) -> tuple[int, LotKey]:
        """To whom points come back, and to which lot: their own, or if it has died one with days of grace."""
        owner = self.owner(part.owner)
        if self.lives_until(owner, part.lot) >= self.today:
            return owner, part.lot
        grace = timedelta(days=self.world.schemes[-1].grace_days)
        return owner, (*part.lot[:3], self.today + grace)

    def draw(self, member: int, mates: Iterable[int], points: int, entry_id: UUID) -> list[Drawn]:
        """Which points a member would spend: one lot after the other, the first in order each time."""
        left = {
            (m, lot): n for m in {member, *mates} for lot, n in self.alive(m).items() if lot[2] <= self.today
        }
        drawn = []
        while points:
            owner, lot = min(
                left,
                key=lambda one: (
                    self.lives_until(*one),
                    sha256(entry_id.bytes + one[1][0].to_bytes(8, "big")).digest(),
                    one[1][1],
                    one[1][2],
                    one[0] != member,
                    one[0],
                    one[1][3],
                ),
            )
            taken = min(points, left.pop((owner, lot)))
            drawn.append((owner, lot, taken))
            points -= taken
        return drawn

    def take_from(
        self, member: int, issuer: int, points: int, first: LotKey | None = None
    ) -> list[tuple[LotKey, int]]:
        """Which lots of an issuer lose points, as far as they suffice: `first`, then the first to die."""
        left = {lot: n for lot, n in self.alive(member).items() if lot[0] == issuer}
        taken = []
        while points and left:
            lot = min(left, key=lambda k: (k != first, self.lives_until(member, k), k[1], k[2], k[3]))
            taken.append((lot, min(points, left.pop(lot))))
            points -= taken[-1][1]
        return taken

    def active(self, member: int) -> None:
        """A member did something that keeps points alive, where that is the rule of its tier."""
        account = self.accounts[member]
        expiry = self.world.schemes[-1].expiry_of(account.tier)
        if expiry.rule == "activity":
            account.active_until = max(account.active_until, month_end(self.today, expiry.months))

    def expiry(self, member: int) -> date:
        """When points lapse that a member gets today."""
        expiry = self.world.schemes[-1].expiry_of(self.accounts[member].tier)
        if expiry.rule == "months":
            return month_end(self.today, expiry.months)
        return NEVER if expiry.rule == "never" else WITH_ACTIVITY

    # ---- how everything stands ----

    def standing(self) -> dict[str, dict[Any, Any]]:
        """Lots, sums of lots, holds, what is pending, owed and offered, accounts, cards, lines of entries."""
        return {
            "lots": {(m, *lot): n for m, lots in self.lots.items() for lot, n in lots.items() if n},
            "value": {(m, *lot): n for m, lots in self.value.items() for lot, n in lots.items() if n},
            "balances": {member: sum(lots.values()) for member, lots in self.lots.items()},
            "holds": {i: (h.points, h.captured, h.returned, h.lapses_at) for i, h in self.holds.items()},
            "pending": {
                i: (s.waiting + s.released + s.cancelled, s.released, s.cancelled)
                for i, s in self.sold.items()
                if s.waiting + s.released + s.cancelled
            },
            "owed": {
                (m, *key): (debt.opened_by, debt.points)
                for m, owed in self.owed.items()
                for key, debt in owed.items()
            },
            "vouchers": {i: (v.name, v.starts_on, v.ends_on, v.ended_as) for i, v in self.vouchers.items()},
            "invitations": {i: (one.inviter, one.pool, one.joined_by) for i, one in self.invited.items()},
            "accounts": {
                member: (one.pool, one.merged_into, one.merged_by, one.tier, one.active_until)
                for member, one in self.accounts.items()
            },
            "cards": {card: (member, self.issued[card]) for card, member in self.cards.items()},
            "items": {
                (i, place): (item.measure, item.returned_by)
                for i, items in self.items.items()
                for place, item in enumerate(items, start=1)
            },
        }

    # ---- nights ----

    def _end(self, voucher_id: UUID) -> None:
        """The night ends a voucher that is over."""
        ask = {
            "kind": "lapse_voucher",
            "partner_id": OPERATOR,
            "reference": f"voucher {voucher_id.hex} over",
            "occurred_at": self.now,
            "voucher_id": voucher_id,
            "by_night": True,
        }
        prediction = self.predict(ask)
        self.learn(prediction, UUID(int=0))

    def convert(self, on: date, made: dict[int, UUID]) -> None:
        """The first night of a quarter turns points into vouchers.

        Args:
            on: The new business date.
            made: What vouchers the night has made, by their members: their ids.
        """
        quarter = date(on.year, (on.month - 1) // 3 * 3 + 1, 1)
        then = [scheme for scheme in self.world.schemes if scheme.since <= quarter]
        conversion = then[-1].conversion() if then and quarter not in self.converted else None
        self.converted.add(quarter)
        if conversion is None:
            return
        least = conversion[1].converts_from
        for member in sorted(who for who, lots in self.lots.items() if sum(lots.values()) >= least):
            reference = f"conversion {quarter} {member}"
            event = {"partner_id": OPERATOR, "reference": reference, "occurred_at": self.now}
            judge = {"programme_version": then[-1].version}
            prediction = self.predict({"kind": "convert", "member_id": member, **event, **judge})
            if prediction.effect is not None:
                self.saw("a quarter's end makes a voucher")
                self.learn(prediction, made[member])

    def close(self) -> None:
        """Close the open window; the next date opens."""
        self.window += timedelta(days=1)

    def sweep(self, on: date) -> tuple[int, int]:
        """Let lots lapse that are dead on a date; how many members' and how many points."""
        if self.swept >= on:
            return (0, 0)
        for voucher_id, voucher in sorted(self.vouchers.items(), key=lambda one: one[0].bytes):
            if not voucher.ended_as and voucher.ends_on < on:
                self._end(voucher_id)
        self.swept = on
        members = total = 0
        for member, lots in self.lots.items():
            dead = [lot for lot, n in lots.items() if n and self.lives_until(member, lot) < on]
            if dead:
                members += 1
                total += sum(lots[lot] for lot in dead)
                self.judges["expire"](self, {"member": member, "dead": dead, "on": on})(UUID(int=0))
        return (members, total)


def month_end(day: date, months: int) -> date:
    """The last day of the month that many months later."""
    year, month = day.year, day.month
    for _ in range(months + 1):
        year, month = (year + 1, 1) if month == 12 else (year, month + 1)
    return date(year, month, 1) - timedelta(days=1)
