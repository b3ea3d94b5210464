"""The state machine: commands, batches, clock steps, nights and operators' doings, on a ledger and the model.

The auditor says what each reply must be before it looks at it; after every step both sides must stand alike,
and at checkpoints every entry and posting is compared, the laws are counted, and `verify` has its say.
"""

from collections import Counter, defaultdict
from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, ClassVar, Protocol
from zoneinfo import ZoneInfo

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from network.model import Command, Reply
from tests.laws.book import Answer, Ask, Book, Prediction
from tests.laws.kinds import JUDGES
from tests.laws.wishes import ENROL, WISHES, Wish, ask_for
from tests.laws.words import answer_of, command_of
from tests.laws.world import HORIZON, START, World, partners, scheme

ZONES = ("Etc/UTC", "America/New_York", "Pacific/Auckland", "Asia/Kolkata")
CUT_OFFS = (time(0), time(4), time(22, 30))
CHECKPOINT = 24
"""Steps between two checkpoints."""


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
        """Lots, sums of lots and holds, as `Book.standing` says them."""

    def entries(self) -> list[tuple[Answer, list[tuple[Any, ...]]]]:
        """Every entry with its moves."""

    def problems(self) -> list[str]:
        """What `verify` finds."""

    def dispose(self) -> None:
        """The end."""


class Auditor:
    """Predicts each reply, then looks at it."""

    def __init__(self, book: Book, tally: Counter[str]) -> None:
        self._book = book
        self._tally = tally

    def look(self, ask: Ask, reply: Reply) -> None:
        """Compare a reply with what it must be; then learn the new entry's id, and the new member's card."""
        expected = self._book.predict(ask)
        given = answer_of(reply)
        if (given.get("refused"), reply.replayed) != (expected.answer.get("refused"), expected.replayed):
            raise AssertionError(_differ(ask, expected, given, replayed=reply.replayed))
        self._count(ask, expected)
        if expected.effect is not None:
            self._book.learn(expected, given["entry_id"])
        if expected.answer != given:
            raise AssertionError(_differ(ask, expected, given, replayed=reply.replayed))
        if "refused" in given:
            return
        if given["entry_id"].int % 2**40 != given["member_id"]:
            raise AssertionError(f"the id of {given} does not carry its member")
        self._look_at_card(ask, expected, reply)

    def _look_at_card(self, ask: Ask, expected: Prediction, reply: Reply) -> None:
        """An enrolment names its new card, a replay of it the same; no other reply names a wrong one."""
        member, enrolled = expected.answer["member_id"], reply.enrolled
        if enrolled is None:
            if ask["kind"] == "enrol":
                raise AssertionError(f"{ask}: the reply names no card")
            return
        if ask["kind"] == "enrol" and expected.effect is not None:
            if enrolled.card_number in self._book.cards or member in self._book.cards.values():
                raise AssertionError(f"{ask}: card or member is not new: {enrolled}")
            self._book.cards[enrolled.card_number] = member
        if self._book.cards.get(enrolled.card_number) != member:
            raise AssertionError(f"{ask}: the card of member {member} is not {enrolled.card_number}")

    def _count(self, ask: Ask, expected: Prediction) -> None:
        refused = expected.answer.get("refused")
        self._tally[f"command {ask['kind']}"] += 1
        outcome = f"accepted {ask['kind']}" if refused is None else f"refused {refused}"
        self._tally[outcome] += 1
        if expected.replayed:
            self._tally["replayed"] += 1


def _differ(ask: Ask, expected: Prediction, given: Answer, *, replayed: bool) -> str:
    fields = {
        name: (expected.answer.get(name), given.get(name))
        for name in {**expected.answer, **given}
        if expected.answer.get(name) != given.get(name)
    }
    return (
        f"{ask}\nexpected (replayed {expected.replayed}): {expected.answer}\n"
        f"answered (replayed {replayed}): {given}\ndifferent (expected, answered): {fields}"
    )


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
        months=st.sampled_from((0, 0, 1, 3)),
        grace_days=st.sampled_from((0, 1, 30)),
        clawback=st.sampled_from(("refuse", "within_balance")),
    )
    def begin(self, zone: str, cut_off: time, months: int, grace_days: int, clawback: str) -> None:
        """A network with three members."""
        live = scheme(1, months=months, grace_days=grace_days, clawback=clawback, generous=False)
        self.book = Book(World(zone, cut_off, [live], partners()), START, JUDGES)
        self.ledger = self.ledger_on(self.book)
        self.auditor = Auditor(self.book, self.tally)
        self.send([Wish(ENROL, 0, number, 0, 0, 0) for number in range(3)])

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

    def send(self, wishes: Sequence[Wish]) -> None:
        """Ask, and judge the replies in order."""
        asks: list[Ask] = []
        for wish in wishes:
            self.number += 1
            asks.append(ask_for(self.book, wish, self.number, [*self.asked, *asks]))
        with _Step(self) as ledger:
            replies = ledger.execute([command_of(ask) for ask in asks])
            if len(replies) != len(asks):
                raise AssertionError(f"{len(asks)} commands, {len(replies)} replies")
            for ask, reply in zip(asks, replies, strict=True):
                self.auditor.look(ask, reply)
            self.asked += asks

    # ---- time ----

    @rule(way=st.integers(0, 9), much=st.integers(1, 45))
    def clock(self, way: int, much: int) -> None:
        """Time passes: minutes, hours, days, or to an instant at which something turns."""
        at = self._instant(way, much)
        if not self.book.now < at < HORIZON:
            at = self.book.now + timedelta(minutes=1)
        with _Step(self) as ledger:
            if at < HORIZON:
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
        days = [day for lots in book.lots.values() for k, n in lots.items() if n for day in (k[2], k[3])]
        ahead = [day for day in days if book.today <= day < HORIZON.date()]
        turns = min(ahead, default=book.today) + timedelta(days=0 if way == 7 else 1)
        midnight = datetime.combine(turns, time(0), tzinfo=ZoneInfo(book.world.zone)).astimezone(UTC)
        return midnight - timedelta(seconds=much % 2)

    @rule(way=st.integers(0, 9))
    def night(self, way: int) -> None:
        """A window is closed and dead lots swept; or only one of the two; or all that is due."""
        with _Step(self) as ledger:
            if way <= 2:
                self._settle(ledger, self.settled_a_step)
            elif way == 3:
                self._sweep(ledger)
            else:
                self._close(ledger, most=1 if way <= 5 else 400, swept=way != 4)

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
            if book.unsettled == book.window:
                book.close()
                self.tally["nights"] += 1
            book.unsettled += timedelta(days=1)
            self.tally["points lapsed"] += book.sweep(book.unsettled)[1]
            self.tally["nights settled"] += 1
        ledger.settle(nights)

    # ---- operators ----

    @rule(what=st.integers(0, 9), much=st.integers(0, 8))
    def operator(self, what: int, much: int) -> None:
        """A card is blocked, a partner suspended, a programme or terms superseded; mostly only a command."""
        if what > 3 or not self.book.cards:
            self.send([Wish(much * 7 % 60, much, much, 47 * much, much, 59)])
            return
        with _Step(self) as ledger:
            {0: self._card, 1: self._suspend, 2: self._supersede, 3: self._new_terms}[what](ledger, much)

    def _card(self, ledger: Ledger, much: int) -> None:
        card = list(self.book.cards)[much % len(self.book.cards)]
        blocked = card not in self.book.blocked and not self.book.blocked
        (self.book.blocked.add if blocked else self.book.blocked.discard)(card)
        ledger.block(card, blocked=blocked)

    def _suspend(self, ledger: Ledger, _much: int) -> None:
        petrol = self.book.world.partners[12]
        petrol.status = "suspended" if petrol.status == "active" else "active"
        ledger.world_changed()

    def _supersede(self, ledger: Ledger, much: int) -> None:
        schemes = self.book.world.schemes
        if len(schemes) < 4:
            clawback = "refuse" if much % 2 else "within_balance"
            version = len(schemes) + 1
            schemes.append(
                scheme(version, months=much // 2, grace_days=much, clawback=clawback, generous=much < 5)
            )
            ledger.world_changed()

    def _new_terms(self, ledger: Ledger, much: int) -> None:
        terms = self.book.world.partners[(11, 13, 14)[much % 3]].terms
        since = self.book.today + timedelta(days=much - 4)
        if len(terms) < 5 and since > terms[-1][1]:
            terms.append((terms[-1][0] + 1, since))
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

    def checkpoint(self, ledger: Ledger) -> None:
        """Every entry and posting as the model has it, the books of every issuer, and `verify`."""
        entries = ledger.entries()
        self._compare_entries(entries)
        _count_issuers(entries, ledger.standing())
        problems = ledger.problems()
        if problems:
            raise AssertionError("verify finds:\n" + "\n".join(problems))
        self.tally["checkpoints"] += 1

    def _compare_entries(self, entries: Sequence[tuple[Answer, list[tuple[Any, ...]]]]) -> None:
        book = self.book
        seen = 0
        for given, moves in entries:
            entry_id = given["entry_id"]
            expected = book.entries.get(entry_id)
            name: Any = entry_id
            if expected is None:
                name = (given["member_id"], given["reference"])
                expected = {**book.unasked.get(name, {}), "entry_id": entry_id}
            if expected != given:
                raise AssertionError(f"entry: expected {expected}\nfound {given}")
            if book.moves.get(name, []) != moves:
                raise AssertionError(f"{given}\nmoves: expected {book.moves.get(name, [])}\nfound {moves}")
            seen += 1
        if seen != len(book.entries) + len(book.unasked):
            raise AssertionError(
                f"{seen} entries, expected {len(book.entries)} and {len(book.unasked)} unasked"
            )


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


def _count_issuers(entries: Sequence[tuple[Answer, list[tuple[Any, ...]]]], standing: dict[str, Any]) -> None:
    """Issued less reversed is accepted less returned, lapsed, held and outstanding, per issuer and terms."""
    books: dict[tuple[int, int], dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for _, moves in entries:
        for _, debit, credit, points, issuer, version, *_ in moves:
            books[issuer, version][debit] -= points
            books[issuer, version][credit] += points
    outstanding: dict[tuple[int, int], int] = defaultdict(int)
    for (_, issuer, version, *_), points in standing["lots"].items():
        outstanding[issuer, version] += points
    for owner, accounts in books.items():
        if sum(accounts.values()) or accounts["MEMBER"] != outstanding[owner]:
            raise AssertionError(f"issuer {owner}: {dict(accounts)}, outstanding {outstanding[owner]}")
    held = sum(points - captured - returned for points, captured, returned, _ in standing["holds"].values())
    if held != sum(accounts["HELD"] for accounts in books.values()):
        raise AssertionError(f"{held} points held, postings say otherwise")
