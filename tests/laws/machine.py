"""The state machine: commands, batches, clock steps, nights and operators' doings, on a ledger and the model.

The auditor says what each reply must be before it looks at it; after every step both sides must stand alike,
and at checkpoints every entry and posting is compared, the laws are counted, and `verify` has its say.
"""

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, time, timedelta
from typing import ClassVar
from zoneinfo import ZoneInfo

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from tests.laws.asking import Wish
from tests.laws.auditor import Auditor, compare_entries, count_issuers
from tests.laws.book import MEMBER_BITS, Ask, Book, month_end
from tests.laws.kinds import BY_TIME, JUDGES
from tests.laws.ledger import Ledger
from tests.laws.scenes import SCENES, Scene, voucher_made
from tests.laws.wishes import ENROL, JOIN, KINDS, USE, WISHES, ask_for
from tests.laws.words import command_of
from tests.laws.world import (
    HORIZON,
    START,
    STORED,
    VOUCHERS,
    Dated,
    Expiry,
    Paper,
    Stored,
    World,
    partners,
    scheme,
)

ZONES = ("Etc/UTC", "America/New_York", "Pacific/Auckland", "Asia/Kolkata")
CUT_OFFS = (time(0), time(4), time(22, 30))
EXPIRIES = tuple(
    Expiry(*one)
    for one in (("months", 0), ("activity", 0), ("months", 0), ("activity", 1), ("months", 1), ("never",))
)
SILVER = tuple(Expiry(*one) for one in (("activity", 0), ("months", 2), ("activity", 1), ("never",)))
MOST_OWED = (1_000, 40, 10_000, 5)
CHECKPOINT = 24
"""Steps between two checkpoints."""


class LedgerMachine(RuleBasedStateMachine):
    """Judges a ledger that `ledger_on` makes; `tally` counts over all runs."""

    tally: ClassVar[Counter[str]]
    days_a_step: ClassVar[int] = 30
    settled_a_step: ClassVar[int] = 400

    def ledger_on(self, book: Book) -> Ledger:
        """The ledger to judge, set up as the book's world."""
        raise NotImplementedError

    def __init__(self) -> None:
        super().__init__()
        self.ledger: Ledger | None = None
        self.asked: list[Ask] = []
        self.number = 0
        self.steps = 0
        self.failed = False

    @initialize(
        zone=st.sampled_from(ZONES),
        cut_off=st.sampled_from(CUT_OFFS),
        expiry=st.sampled_from(EXPIRIES),
        silver=st.sampled_from(SILVER),
        grace_days=st.sampled_from((0, 1, 30)),
        clawback=st.sampled_from(("deficit", "refuse", "deficit", "within_balance")),
        most_owed=st.sampled_from(MOST_OWED),
        pooled=st.sampled_from((0, 3, 0, 2, 0, 8)),
        stored=st.sampled_from(STORED),
        vouchers=st.sampled_from(VOUCHERS),
    )
    def begin(
        self,
        zone: str,
        cut_off: time,
        expiry: Expiry,
        silver: Expiry,
        grace_days: int,
        clawback: str,
        most_owed: int,
        pooled: int,
        stored: Stored | None,
        vouchers: dict[str, Paper],
    ) -> None:
        """A network with five members, some of them in one pool; or more members, and the pool full."""
        live = scheme(
            1,
            expiry=expiry,
            silver=silver,
            grace_days=grace_days,
            clawback=clawback,
            most_owed=most_owed,
            generous=False,
            stored=stored,
            vouchers=vouchers,
        )
        self.book = Book(World(zone, cut_off, [live], partners()), START, {**JUDGES, **BY_TIME})
        self.ledger = self.ledger_on(self.book)
        self.auditor = Auditor(self.book, self.tally)
        self.send([Wish(ENROL, 0, number, 0, 0, 0) for number in range(max(5, pooled + 1))])
        first, *mates = list(self.book.cards)[:pooled] or [0]
        event = {"partner_id": 11, "occurred_at": START}
        asks = [
            {"kind": "invite", "reference": f"i{mate}", "card_number": first, "to_card_number": mate, **event}
            for mate in mates
        ]
        self.give(asks)
        made = [(i, e["counterpart_id"]) for i, e in self.book.entries.items() if e["counterpart_id"]]
        for (invitation, _), mate in zip(made, mates, strict=True):
            join = {"kind": "join", "reference": f"j{mate}", "card_number": mate, "invitation_id": invitation}
            self.give([{**join, **event}])

    # ---- commands ----

    @rule(wish=WISHES)
    def one(self, wish: Wish) -> None:
        """One command."""
        self.send([wish])

    @rule(wishes=st.lists(WISHES, min_size=2, max_size=7))
    def batch(self, wishes: list[Wish]) -> None:
        """Several commands in one batch."""
        self.send(wishes)

    @rule(wishes=st.lists(WISHES, min_size=2, max_size=4), who=st.integers(0, 2))
    def rush(self, wishes: list[Wish], who: int) -> None:
        """Several commands of one member in one batch."""
        self.send([wish._replace(who=who) for wish in wishes])

    @rule(wish=WISHES, sizes=st.lists(st.integers(0, 2999), min_size=2, max_size=3))
    def same(self, wish: Wish, sizes: list[int]) -> None:
        """The same kind of command to the same thing, several times in one batch: returns, captures."""
        self.send([wish._replace(size=size) for size in sizes])

    @rule(which=st.integers(0, 39), who=st.integers(0, 11))
    def scene(self, which: int, who: int) -> None:
        """One command, mostly; now and then some that make sense together."""
        if which >= len(SCENES) or not self.book.cards:
            self.send([Wish((which + 11 * who) % KINDS, who, who, 211 * who, 5 * who, 79)])
            return
        self._play(SCENES[which](self.book, who))

    def _play(self, scene: Scene) -> None:
        for asks in scene:
            if isinstance(asks, timedelta):
                with _Step(self) as ledger:
                    self._set_clock(ledger, self.book.now + asks)
                continue
            for ask in asks:
                self.number += 1
                named = f"{self.number:032x}"
                ask["reference"] = f"adjustment {named}" if ask["kind"] == "adjust" else named
            self.give([dict(ask) for ask in asks])

    def send(self, wishes: Sequence[Wish]) -> None:
        """Ask what the wishes mean now."""
        asks: list[Ask] = []
        for wish in wishes:
            self.number += 1
            asks.append(ask_for(self.book, wish, self.number, [*self.asked, *asks]))
        self.give(asks)

    def give(self, asks: Sequence[Ask]) -> None:
        """Give a batch of commands to the ledger, and judge the replies in order."""
        with _Step(self) as ledger:
            replies = ledger.execute([command_of(ask) for ask in asks])
            if len(replies) != len(asks):
                raise AssertionError(f"{len(asks)} commands, {len(replies)} replies")
            for ask, reply in zip(asks, replies, strict=True):
                self.auditor.look(ask, reply)
            self.asked += asks

    # ---- time ----

    @rule(way=st.integers(0, 10), much=st.integers(1, 45))
    def clock(self, way: int, much: int) -> None:
        """Time passes: minutes, hours, days, or to an instant at which something turns."""
        at = self._instant(way, much)
        if not self.book.now < at < HORIZON:
            at = self.book.now + timedelta(minutes=1)
        with _Step(self) as ledger:
            self._set_clock(ledger, at)
        if way == 10:
            self.send([Wish(JOIN, 0, 0, 3, much % 4, 79)])

    def _set_clock(self, ledger: Ledger, at: datetime) -> None:
        if self.book.now < at < HORIZON:
            self.book.now = at
            ledger.set_clock()
            self.tally["clock"] += 1

    def _instant(self, way: int, much: int) -> datetime:
        book = self.book
        if way == 0:
            return book.now + timedelta(minutes=2 * much)
        if way == 1:
            return book.now + timedelta(hours=much)
        if way <= 3:
            return book.now + timedelta(days=much % self.days_a_step + 1)
        if way == 4:
            return book.over_at(book.window)
        if way <= 6:
            ends = [h.lapses_at for h in book.holds.values() if h.parts and h.lapses_at > book.now]
            return min(ends, default=book.now) - timedelta(milliseconds=much % 2)
        if way == 10:
            made = [
                e["recorded_at"] + timedelta(days=14)
                for e in book.entries.values()
                if e["kind"] == "POOL_INVITATION" and not book.pool(e["counterpart_id"])
            ]
            last = min((at for at in made if at > book.now), default=book.now)
            return last + timedelta(milliseconds=much % 2)
        days = [
            day
            for member, lots in book.lots.items()
            for lot, points in lots.items()
            if points
            for day in (lot[2], book.lives_until(member, lot))
        ]
        days += [voucher.ends_on for voucher in book.vouchers.values() if not voucher.ended_as]
        ahead = [day for day in days if book.today <= day < HORIZON.date()]
        turns = min(ahead, default=book.today) + timedelta(days=0 if way == 7 else 1)
        midnight = datetime.combine(turns, time(0), tzinfo=ZoneInfo(book.world.zone)).astimezone(UTC)
        return midnight - timedelta(seconds=much % 2)

    @rule(way=st.integers(0, 9))
    def night(self, way: int) -> None:
        """A window is closed and dead lots swept; or only one of the two; or all that is due.

        Every other time the window's end is waited for first, or that of its month.
        """
        with _Step(self) as ledger:
            if way % 2:
                last = month_end(self.book.window, 0) if way in {3, 7, 9} else self.book.window
                self._set_clock(ledger, self.book.over_at(last))
            if way <= 3:
                self._settle(ledger, self.settled_a_step)
            elif way == 4:
                self._sweep(ledger)
            else:
                self._close(ledger, most=1 if way <= 6 else 400, swept=way != 5)

    def _close(self, ledger: Ledger, *, most: int, swept: bool) -> None:
        for _ in range(most):
            if self.book.now < self.book.over_at(self.book.window):
                break
            if self.book.swept < self.book.window:
                self._sweep(ledger)  # a window is not closed before the dead of its own date are swept
            ledger.close()
            self.book.close()
            self.tally["nights"] += 1
            if swept:
                self._sweep(ledger)

    def _sweep(self, ledger: Ledger) -> None:
        on = self.book.window
        expected = self.book.sweep(on)
        given = ledger.sweep(on)
        if expected != given:
            raise AssertionError(f"sweep of {on}: expected {expected} members and points, lapsed {given}")
        self.tally["points lapsed"] += expected[1]

    def _settle(self, ledger: Ledger, nights: int) -> None:
        """Every date that is over and not settled, in order; those that are closed already first."""
        book = self.book
        for _ in range(nights):
            if book.now < book.over_at(book.unsettled):
                break
            ledger.settle(1)
            if book.unsettled == book.window:
                book.close()
                self.tally["nights"] += 1
            book.unsettled += timedelta(days=1)
            self.tally["points lapsed"] += book.sweep(book.unsettled)[1]
            if (
                book.unsettled.replace(day=1, month=(book.unsettled.month - 1) // 3 * 3 + 1)
                not in book.converted
            ):
                made = [one for one in ledger.standing()["vouchers"] if one not in book.vouchers]
                book.convert(book.unsettled, {one.int % 2**MEMBER_BITS: one for one in made})
            self.tally["nights settled"] += 1

    # ---- operators ----

    @rule(what=st.integers(0, 9), much=st.integers(0, 8))
    def operator(self, what: int, much: int) -> None:
        """A card is blocked, a partner suspended, a programme or terms superseded; mostly only a command."""
        if what > 3 or not self.book.cards:
            self.send([Wish(much * 13 % KINDS, much, much, 47 * much, much, 79)])
            return
        if what == 2:
            self._play(voucher_made(self.book, much))
        with _Step(self) as ledger:
            {0: self._card, 1: self._suspend, 2: self._supersede, 3: self._new_terms}[what](ledger, much)
        if what == 2:
            self.send([Wish(USE, much, much, 1, 0, 79)])  # a voucher's rules are those that it was made by

    def _card(self, ledger: Ledger, much: int) -> None:
        card = list(self.book.cards)[much % len(self.book.cards)]
        blocked = card not in self.book.blocked and not self.book.blocked
        (self.book.blocked.add if blocked else self.book.blocked.discard)(card)
        ledger.block(card, blocked=blocked)

    def _suspend(self, ledger: Ledger, much: int) -> None:
        partner = self.book.world.partners[(12, 12, 16)[much % 3]]
        partner.status = "suspended" if partner.status == "active" else "active"
        ledger.world_changed()

    def _supersede(self, ledger: Ledger, much: int) -> None:
        schemes = self.book.world.schemes
        if len(schemes) < 4:
            live = scheme(
                len(schemes) + 1,
                expiry=EXPIRIES[much % len(EXPIRIES)],
                silver=SILVER[much % len(SILVER)],
                grace_days=much,
                clawback=("deficit", "refuse", "within_balance")[much % 3],
                most_owed=MOST_OWED[much % len(MOST_OWED)],
                generous=much < 5,
                stored=STORED[much * 3 % len(STORED)],
                vouchers=VOUCHERS[much % len(VOUCHERS)],
                since=self.book.today,
            )
            schemes.append(live)
            ledger.world_changed()

    def _new_terms(self, ledger: Ledger, much: int) -> None:
        terms = self.book.world.partners[(11, 13, 14, 12, 16)[much % 5]].terms
        since = self.book.today + timedelta(days=much - 4)
        if len(terms) < 5 and since > terms[-1].since:
            may = {
                "returned_elsewhere": much % 2 == 0,
                "takes_returns": much % 3 > 0,
                "accepts_donations": much > 4,
            }
            floor = terms[-1].offline_floor
            terms.append(Dated(terms[-1].version + 1, since, **may, offline_floor=floor))
            ledger.world_changed()

    # ---- looking ----

    def teardown(self) -> None:
        """A last checkpoint, then the end of this ledger."""
        if self.ledger is None:
            return
        try:
            if not self.failed:
                self.checkpoint(self.ledger)
        finally:
            self.ledger.dispose()
            self.tally["runs"] += 1
            self.tally.update({f"event {way}": times for way, times in self.book.ways.items()})

    def checkpoint(self, ledger: Ledger) -> None:
        """Every entry and posting as the model has it, the books of every issuer, and `verify`."""
        entries = ledger.entries()
        compare_entries(self.book, entries)
        count_issuers(entries, ledger.standing())
        problems = ledger.problems()
        if problems:
            raise AssertionError("verify finds:\n" + "\n".join(problems))
        self.tally["checkpoints"] += 1


class _Step:
    """One step: counted, and afterwards both sides stand alike."""

    def __init__(self, machine: LedgerMachine) -> None:
        self._machine = machine

    def __enter__(self) -> Ledger:
        self._machine.failed = True
        if self._machine.ledger is None:
            raise AssertionError("the machine has not begun")
        return self._machine.ledger

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        if error is not None:
            return
        machine = self._machine
        ledger = machine.ledger
        if ledger is None:
            raise AssertionError("the machine has not begun")
        expected, given = machine.book.standing(), ledger.standing()
        for what, values in expected.items():
            if values != given[what]:
                missing = {k: v for k, v in values.items() if given[what].get(k) != v}
                found = {k: v for k, v in given[what].items() if values.get(k) != v}
                raise AssertionError(f"{what}: expected {missing}, found {found}")
        machine.steps += 1
        machine.tally["steps"] += 1
        if machine.steps % CHECKPOINT == 0:
            machine.checkpoint(ledger)
        machine.failed = False
