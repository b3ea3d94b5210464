"""The ledger without a database: the rules of `network.decide` on state in memory. Fast, for volume.

It holds what a batch would load and keeps what a batch would save. That the database does the same is for
`postgres` to show, with fewer steps.
"""

from collections.abc import Iterable, Sequence
from datetime import date, timedelta
from random import Random
from typing import Any
from uuid import UUID

import msgspec
from msgspec import UnsetType

from network import batch, ids
from network.commands import Command, Convert, Enrol, Hold, Join, LapseVoucher, Merge
from network.decide import decide_batch
from network.identity import card_number
from network.model import WITH_ACTIVITY, EntryKind, Lot, Unit, ValueLot
from network.outcomes import (
    NOT_REMEMBERED,
    CardState,
    Decision,
    LedgerState,
    MemberState,
    Minted,
    Moment,
    RecordedEntry,
    Rejected,
    Reply,
    VoucherState,
)
from network.programme.counters import period_of
from network.rules import Folded, held, in_lot, lot_change, pending_change, set_aside
from network.stored_value import VALUED
from network.touch import SPENDING, cards_of, named_by, touched
from tests.laws.auditor import Recorded
from tests.laws.book import Book
from tests.laws.records import LotKey, ValueKey
from tests.laws.words import entry_of, move_of, rules_of
from tests.laws.world import OPERATOR


class Pure:
    """Cards, lots, entries and answered requests in dictionaries."""

    def __init__(self, book: Book) -> None:
        self._book = book
        self._random = Random(7)
        self._numbered = 0
        self._cards: dict[int, int] = {}
        self._issued: dict[int, int] = {}
        self._blocked: set[int] = set()
        self._members: dict[int, MemberState] = {}
        self._lots: dict[int, dict[LotKey, int]] = {}
        self._value: dict[int, dict[ValueKey, int]] = {}
        self._recorded: dict[UUID, RecordedEntry] = {}
        self._holds: dict[int, list[UUID]] = {}
        self._pending: dict[UUID, list[int]] = {}
        self._items: dict[tuple[UUID, int], tuple[int, UUID | None]] = {}
        self._invitations: dict[UUID, tuple[int, UUID, UUID | None]] = {}
        self._answered: dict[UUID, tuple[UUID, Reply]] = {}
        self._decided: list[Decision] = []
        self._converted: set[date] = set()
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
            self._numbered += 1
            member, card = self._numbered, card_number(self._random.randrange(10**11))
        else:
            member = batch._member_of(command, self._card_states(cards_of(command)))
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
        folded = self._load([request.command for request in requests])
        outcomes = decide_batch(folded, [(r.command, r.minted) for r in requests], self._rules)
        for decision in folded.decided:
            for one in (decision, *decision.linked):
                self._save(one, folded)
        return outcomes

    # ---- load ----

    def _card_states(self, numbers: Iterable[int]) -> dict[int, CardState]:
        return {n: CardState(self._cards[n], n not in self._blocked) for n in numbers if n in self._cards}

    def _load(self, commands: Sequence[Command]) -> Folded:
        """What the store would load: nobody who is not touched, and lots only where they matter."""
        cards = self._card_states(number for command in commands for number in cards_of(command))
        drawing = [command for command in commands if isinstance(command, batch._DRAWING)]
        spending = [command for command in drawing if isinstance(command, SPENDING)]
        spenders = batch._named(spending, cards)
        spenders |= {ids.member_of(one.invitation_id) for one in commands if isinstance(one, Join)}
        pools = {self._members[m].pool_id for m in spenders if m in self._members} - {None}
        mates = {m for m, one in self._members.items() if one.pool_id in pools}
        asked, drawn = batch._named(commands, cards) | mates, batch._named(drawing, cards) | mates
        named = {one for one in map(named_by, commands) if one is not None}
        while True:
            folded = self._folded(
                asked, drawn if self._swept >= self._book.today else asked, named, cards, commands
            )
            needed = touched(folded, commands)
            looked_into = touched(folded, drawing)
            if needed <= asked and looked_into <= drawn:
                return folded
            asked, drawn = asked | needed, asked | needed

    def _folded(
        self,
        asked: set[int],
        drawn: set[int],
        named: set[UUID],
        cards: dict[int, CardState],
        commands: Sequence[Command],
    ) -> Folded:
        members = asked & set(self._members)
        due = {
            member: {one: Minted(entry_id=self._mint(member)) for one in sorted(holds)}
            for member in members
            if (holds := [one for one in self._holds.get(member, ()) if self._is_due(one)])
        }
        known = named | {one for holds in due.values() for one in holds}
        state = LedgerState(
            moment=Moment(
                now=self._book.now,
                window_id=int(f"{self._window:%Y%m%d}"),
                business_date=self._window,
                lapsed_through=self._swept,
            ),
            cards=cards,
            members={member: self._loaded(member, member in drawn, commands) for member in members},
            recorded={one: self._recorded[one] for one in known if one in self._recorded},
            due=due,
        )
        return Folded(state, self._book.today)

    def _loaded(self, member: int, drawn: bool, commands: Sequence[Command]) -> MemberState:
        state = self._members[member]
        lots = {lot: points for lot, points in self._lots[member].items() if points}
        matter = drawn or any(lot[2] > self._book.today for lot in lots)
        merging = any(isinstance(one, Merge) for one in commands)
        holding = any(isinstance(one, Hold) for one in commands)
        until = {lot: state.active_until if lot[3] == WITH_ACTIVITY else lot[3] for lot in lots}
        return msgspec.structs.replace(
            state,
            balance=sum(lots.values()),
            lots=[Lot(*lot, points, until[lot]) for lot, points in lots.items()] if matter else None,
            value=self._valued(member) if any(isinstance(one, VALUED) for one in commands) else (),
            has_merged=merging and any(one.merged_into == member for one in self._members.values()),
            open_holds=sum(map(self._is_open, self._holds.get(member, ()))) if holding else 0,
        )

    def _valued(self, member: int) -> list[ValueLot]:
        return [
            ValueLot(
                unit=Unit[unit], issuer_id=issuer, terms_version=version, loaded_on=loaded_on, remaining=minor
            )
            for (unit, issuer, version, loaded_on, _), minor in self._value[member].items()
            if minor
        ]

    def _is_due(self, hold_id: UUID) -> bool:
        hold = self._recorded[hold_id].hold
        return hold is not None and hold.lapses_at <= self._book.now and self._is_open(hold_id)

    def _is_open(self, hold_id: UUID) -> bool:
        recorded = self._recorded[hold_id]
        hold = recorded.hold
        return hold is not None and hold.captured + hold.returned < held(recorded.postings)

    # ---- save ----

    def _save(self, decision: Decision, folded: Folded) -> None:
        entry = decision.entry
        self._decided.append(decision)
        if decision.enrolled is not None:
            self._cards[decision.enrolled.card_number] = entry.member_id
            self._issued[decision.enrolled.card_number] = entry.member_id
            self._members[entry.member_id] = MemberState(member_id=entry.member_id, balance=0)
            self._lots[entry.member_id] = {}
            self._value[entry.member_id] = {}
        lots = self._lots[entry.member_id]
        for posting in decision.postings:
            lot = (posting.issuer_id, posting.issuer_terms, posting.spendable_on, posting.expires_on)
            lots[lot] = lots.get(lot, 0) + lot_change(posting)
            if posting.unit is not Unit.POINTS:
                value, key = self._value[entry.member_id], (posting.unit.name, *lot)
                value[key] = value.get(key, 0) + in_lot(posting)
        if decision.lapses_at is not None:
            self._holds.setdefault(entry.member_id, []).append(entry.entry_id)
        self._recorded[entry.entry_id] = RecordedEntry(entry=entry, postings=decision.postings)
        for changed in (entry.entry_id, entry.reverses, entry.hold_id, entry.parent_id):
            recorded = None if changed is None else folded.recorded(changed)
            if recorded is not None:
                self._recorded[recorded.entry.entry_id] = recorded
        self._save_account(decision, folded)
        self._save_parts(decision)

    def _save_account(self, decision: Decision, folded: Folded) -> None:
        member = self._members[decision.entry.member_id]
        changes = msgspec.structs.asdict(decision.account).items()
        fields = {name: value for name, value in changes if not isinstance(value, UnsetType)}
        owed = folded.owed(member.member_id)
        self._members[member.member_id] = msgspec.structs.replace(member, **fields, deficits=owed)
        if decision.cards is not None:
            for number, issued_to in self._issued.items():
                if (issued_to, self._cards[number]) == (decision.cards.issued_to, decision.cards.before):
                    self._cards[number] = decision.cards.after

    def _save_parts(self, decision: Decision) -> None:
        """Pending points, lines, and invitations."""
        entry = decision.entry
        if decision.invites_to is not None:
            self._invitations[entry.entry_id] = (entry.member_id, decision.invites_to, None)
        if entry.kind is EntryKind.POOL_JOIN and entry.parent_id is not None:
            self._invitations[entry.parent_id] = (*self._invitations[entry.parent_id][:2], entry.entry_id)
        if set_aside(decision):
            self._pending[entry.entry_id] = [set_aside(decision), 0, 0]
        released, cancelled = pending_change(decision)
        accrual = entry.hold_id if released else entry.reverses
        if accrual is not None and released + cancelled:
            self._pending[accrual][1] += released
            self._pending[accrual][2] += cancelled
        for line, measure in enumerate(decision.lines, start=1):
            self._items[entry.entry_id, line] = (measure, None)
        for line in decision.returned_lines:
            if entry.reverses is not None:
                self._items[entry.reverses, line] = (self._items[entry.reverses, line][0], entry.entry_id)

    def _remember(self, request: batch._Request, outcome: Decision | Rejected) -> None:
        if isinstance(outcome, Decision):
            reply = Reply(
                outcome=outcome.entry, replayed=True, enrolled=outcome.enrolled, postings=outcome.postings
            )
            self._answered[request.key] = (request.content, reply)
        elif outcome.reason not in NOT_REMEMBERED:
            self._answered[request.key] = (request.content, Reply(outcome=outcome, replayed=True))

    # ---- nights ----

    def close(self) -> None:
        """Close the open window."""
        self._window += timedelta(days=1)

    def sweep(self, on: date) -> tuple[int, int]:
        """Let dead lots lapse; in the database this is one statement of SQL, which only `postgres` tries."""
        if self._swept >= on:
            return (0, 0)
        self.execute([self._lapse(one) for one, made in self._open_vouchers() if made.ends_on < on])
        self._swept = on
        members = total = 0
        for member, lots in self._lots.items():
            until = self._members[member].active_until
            dead = [
                lot
                for lot, points in lots.items()
                if points and (until if lot[3] == WITH_ACTIVITY else lot[3]) < on
            ]
            members += bool(dead)
            for lot in dead:
                total += lots.pop(lot)
        return (members, total)

    def _open_vouchers(self) -> list[tuple[UUID, VoucherState]]:
        made = ((one, recorded.voucher) for one, recorded in self._recorded.items())
        return sorted((one, voucher) for one, voucher in made if voucher and not voucher.ended_as)

    def _lapse(self, voucher_id: UUID) -> LapseVoucher:
        reference = f"voucher {voucher_id.hex} over"
        return LapseVoucher(
            partner_id=OPERATOR, reference=reference, occurred_at=self._book.now, voucher_id=voucher_id
        )

    def settle(self, nights: int) -> None:
        """Close and sweep what is over, at most so many nights; there is no money here."""
        for _ in range(nights):
            if self._book.now < self._book.over_at(self._unsettled):
                break
            if self._unsettled == self._window:
                self.close()
            self._unsettled += timedelta(days=1)
            self.sweep(self._unsettled)
            self._convert(self._unsettled)

    def _convert(self, on: date) -> None:
        """What `network.conversion` asks for in the first night of a quarter."""
        quarter = period_of("quarter", on)
        then = [one.version for one in self._book.world.schemes if one.since <= quarter]
        conversion = self._rules.programmes[then[-1]].conversion if then else None
        if quarter in self._converted or conversion is None:
            self._converted.add(quarter)
            return
        self._converted.add(quarter)
        asked = [m for m, lots in sorted(self._lots.items()) if sum(lots.values()) >= conversion.minimum]
        now = self._book.now
        named = [(one, f"conversion {quarter} {one}") for one in asked]
        self.execute(
            [
                Convert(
                    partner_id=OPERATOR,
                    reference=reference,
                    occurred_at=now,
                    member_id=one,
                    programme_version=then[-1],
                )
                for one, reference in named
            ]
        )

    # ---- looking ----

    def standing(self) -> dict[str, Any]:
        """How everything stands, as the model says it."""
        holds = {}
        for one in (hold_id for holds in self._holds.values() for hold_id in holds):
            recorded = self._recorded[one]
            if recorded.hold is not None:
                state = recorded.hold
                holds[one] = (held(recorded.postings), state.captured, state.returned, state.lapses_at)
        return {
            "lots": {(m, *lot): n for m, lots in self._lots.items() for lot, n in lots.items() if n},
            "value": {(m, *lot): n for m, lots in self._value.items() for lot, n in lots.items() if n},
            "balances": {member: sum(lots.values()) for member, lots in self._lots.items()},
            "holds": holds,
            "pending": {one: tuple(points) for one, points in self._pending.items()},
            "owed": {
                (member, one.issuer_id, one.terms_version): (one.entry_id, one.points)
                for member, state in self._members.items()
                for one in state.deficits
            },
            "accounts": {
                member: (one.pool_id, one.merged_into, one.merge_id, one.tier, one.active_until)
                for member, one in self._members.items()
            },
            "vouchers": {
                one: msgspec.structs.astuple(recorded.voucher)
                for one, recorded in self._recorded.items()
                if recorded.voucher is not None
            },
            "invitations": self._invitations,
            "cards": {card: (member, self._issued[card]) for card, member in self._cards.items()},
            "items": self._items,
        }

    def entries(self) -> list[Recorded]:
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
