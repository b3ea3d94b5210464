"""The ledger without a database: the rules of `network.decide` on state in memory. Fast, for volume.

It holds what a batch would load and keeps what a batch would save. That the database does the same is for
`postgres` to show, with fewer steps.
"""

from collections.abc import Sequence
from datetime import date, timedelta
from random import Random
from typing import Any
from uuid import UUID

from network import batch, ids
from network.decide import decide_batch, lapse_due
from network.identity import card_number
from network.model import (
    NOT_REMEMBERED,
    Capture,
    CardState,
    Command,
    Decision,
    Enrol,
    Hold,
    LedgerState,
    Lot,
    MemberState,
    Minted,
    Moment,
    RecordedEntry,
    Redeem,
    Rejected,
    Reply,
    Reverse,
    Void,
)
from network.rules import Folded, lot_change
from tests.laws.book import Answer, Book, LotKey
from tests.laws.words import entry_of, move_of, rules_of


class Pure:
    """Cards, lots, entries and answered requests in dictionaries."""

    def __init__(self, book: Book) -> None:
        self._book = book
        self._random = Random(7)
        self._members = 0
        self._cards: dict[int, int] = {}
        self._blocked: set[int] = set()
        self._lots: dict[int, dict[LotKey, int]] = {}
        self._recorded: dict[UUID, RecordedEntry] = {}
        self._holds: dict[int, list[UUID]] = {}
        self._answered: dict[UUID, tuple[UUID, Reply]] = {}
        self._decided: list[Decision] = []
        self._window = self._swept = self._unsettled = book.window
        self.world_changed()

    # ---- what the operator does ----

    def world_changed(self) -> None:
        """Read the rules anew."""
        self._rules = rules_of(self._book.world)

    def block(self, card: int, *, blocked: bool) -> None:
        """Block a card, or let it be used again."""
        (self._blocked.add if blocked else self._blocked.discard)(card)

    def set_clock(self) -> None:
        """The clock is the model's."""

    # ---- batches ----

    def execute(self, commands: Sequence[Command]) -> list[Reply]:
        """Answer a batch of commands, as `network.batch.execute` does."""
        return [reply for run in batch._runs(commands) for reply in self._execute_run(run)]

    def _execute_run(self, run: Sequence[tuple[Command, UUID]]) -> list[Reply]:
        requests = [self._request(command, key, place) for place, (command, key) in enumerate(run)]
        fresh = [request for request in requests if request.key not in self._answered]
        outcomes = dict(zip((r.key for r in fresh), self._decide(fresh), strict=True))
        replies = []
        for request in requests:
            if request.key in outcomes:
                replies.append(batch._decided(outcomes[request.key]))
                self._remember(request, outcomes[request.key])
            else:
                replies.append(batch._remembered(request, *self._answered[request.key]))
        return replies

    def _request(self, command: Command, key: UUID, place: int) -> batch._Request:
        card = 0
        if isinstance(command, Enrol):
            self._members += 1
            member, card = self._members, card_number(self._random.randrange(10**11))
        elif isinstance(command, Reverse):
            member = ids.member_of(command.entry_id)
        elif isinstance(command, Capture | Void):
            member = ids.member_of(command.hold_id)
        else:
            member = self._cards.get(command.card_number, 0)
        return batch._Request(
            command=command,
            key=key,
            content=batch.content_hash(command),
            minted=Minted(
                entry_id=self._mint(member, place),
                member_id=member if card else 0,
                public_id=self._mint(member) if card else None,
                card_number=card,
            ),
        )

    def _mint(self, member: int, place: int | None = None) -> UUID:
        return ids.mint(self._book.now, member, place, self._random.getrandbits)

    def _decide(self, requests: Sequence[batch._Request]) -> list[Decision | Rejected]:
        members = {ids.member_of(r.minted.entry_id) for r in requests if not isinstance(r.command, Enrol)}
        folded = Folded(self._load(members, requests), self._book.today)
        due = [
            one
            for member in members
            for one in sorted(self._holds.get(member, ()))
            if _is_due(self._recorded[one], self._book)
        ]
        ended = lapse_due(
            folded,
            [(self._recorded[one], Minted(entry_id=self._mint(ids.member_of(one)))) for one in due],
            self._rules,
        )
        outcomes = decide_batch(folded, [(r.command, r.minted) for r in requests], self._rules)
        for decision in [*ended, *(outcome for outcome in outcomes if isinstance(outcome, Decision))]:
            self._save(decision, folded)
        return outcomes

    def _load(self, members: set[int], requests: Sequence[batch._Request]) -> LedgerState:
        """What the store would load: lots only of those members whose lots matter."""
        today = self._book.today
        drawn = {
            ids.member_of(r.minted.entry_id)
            for r in requests
            if self._swept < today or isinstance(r.command, Redeem | Hold | Reverse)
        }
        states = {}
        for member in members & set(self._lots):
            lots = {lot: points for lot, points in self._lots[member].items() if points}
            matter = member in drawn or any(lot[2] > today for lot in lots)
            states[member] = MemberState(
                member_id=member,
                balance=sum(lots.values()),
                lots=[Lot(*lot, points) for lot, points in lots.items()] if matter else None,
            )
        return LedgerState(
            moment=Moment(
                now=self._book.now,
                window_id=int(f"{self._window:%Y%m%d}"),
                business_date=self._window,
                lapsed_through=self._swept,
            ),
            cards={n: CardState(m, active=n not in self._blocked) for n, m in self._cards.items()},
            members=states,
            recorded=self._recorded,
        )

    def _save(self, decision: Decision, folded: Folded) -> None:
        entry = decision.entry
        self._decided.append(decision)
        if decision.enrolled is not None:
            self._cards[decision.enrolled.card_number] = entry.member_id
            self._lots[entry.member_id] = {}
        if decision.lapses_at is not None:
            self._holds.setdefault(entry.member_id, []).append(entry.entry_id)
        for posting in decision.postings:
            lot = (posting.issuer_id, posting.issuer_terms, posting.spendable_on, posting.expires_on)
            lots = self._lots[entry.member_id]
            lots[lot] = lots.get(lot, 0) + lot_change(posting)
        for changed in (entry.entry_id, entry.reverses, entry.hold_id):
            recorded = None if changed is None else folded.recorded(changed)
            if recorded is not None:
                self._recorded[recorded.entry.entry_id] = recorded

    def _remember(self, request: batch._Request, outcome: Decision | Rejected) -> None:
        if isinstance(outcome, Rejected):
            if outcome.reason not in NOT_REMEMBERED:
                self._answered[request.key] = (request.content, Reply(outcome=outcome, replayed=True))
            return
        card = next(n for n, member in self._cards.items() if member == outcome.entry.member_id)
        minted = Minted(entry_id=outcome.entry.entry_id, member_id=outcome.entry.member_id, card_number=card)
        reply = Reply(outcome=outcome.entry, replayed=True, enrolled=minted)
        self._answered[request.key] = (request.content, reply)

    # ---- nights ----

    def close(self) -> None:
        """Close the open window."""
        self._window += timedelta(days=1)

    def sweep(self, on: date) -> tuple[int, int]:
        """Let dead lots lapse; in the database this is one statement of SQL, which only `postgres` tries."""
        if self._swept >= on:
            return (0, 0)
        self._swept = on
        members = total = 0
        for lots in self._lots.values():
            dead = [lot for lot, points in lots.items() if points and lot[3] < on]
            members += bool(dead)
            for lot in dead:
                total += lots.pop(lot)
        return (members, total)

    def settle(self, nights: int) -> None:
        """Close and sweep what is over, at most so many nights; there is no money here."""
        for _ in range(nights):
            if self._book.now < self._book.over_at(self._unsettled):
                break
            if self._unsettled == self._window:
                self.close()
            self._unsettled += timedelta(days=1)
            self.sweep(self._unsettled)

    # ---- looking ----

    def standing(self) -> dict[str, Any]:
        """How everything stands, as the model says it."""
        holds = {}
        for one in (hold_id for holds in self._holds.values() for hold_id in holds):
            recorded = self._recorded[one]
            if recorded.hold is not None:
                state = recorded.hold
                holds[one] = (-recorded.entry.points, state.captured, state.returned, state.lapses_at)
        return {
            "lots": {(m, *lot): n for m, lots in self._lots.items() for lot, n in lots.items() if n},
            "balances": {member: sum(lots.values()) for member, lots in self._lots.items()},
            "holds": holds,
        }

    def entries(self) -> list[tuple[Answer, list[tuple[Any, ...]]]]:
        """Every entry with its moves; those of the sweep are the model's, as there is no rule to judge."""
        swept = [
            ({**answer, "entry_id": None}, self._book.moves[name])
            for name, answer in self._book.unasked.items()
            if answer["kind"] == "EXPIRY"
        ]
        return [*swept, *((entry_of(d.entry), [move_of(p) for p in d.postings]) for d in self._decided)]

    def problems(self) -> list[str]:
        """Nothing beside the model to check with."""
        return []

    def dispose(self) -> None:
        """Nothing to end."""


def _is_due(recorded: RecordedEntry, book: Book) -> bool:
    hold = recorded.hold
    return (
        hold is not None
        and hold.lapses_at <= book.now
        and hold.captured + hold.returned < -recorded.entry.points
    )
