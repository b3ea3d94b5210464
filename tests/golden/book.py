"""The book behind a scenario: members' lots as dictionaries that postings change, and lines as commands."""

from datetime import UTC, date, datetime, time
from uuid import UUID

import msgspec
from msgspec import UnsetType

from network.commands import Command
from network.decide import decide_batch
from network.model import WITH_ACTIVITY, Entry, Lot
from network.outcomes import CardState, Decision, Deficit, LedgerState, MemberState, Minted, Moment, Rejected
from network.rules import Folded, Rules, lot_change
from tests import between
from tests.coalition import CODES, burn, recorded_entries, release, reserve, sale, take, undo

IDS = {code: number for number, code in CODES.items()}
MEMBERS = {"a": 7, "b": 8, "c": 9}
CARDS = {name: 6330001234567000 + number for name, number in MEMBERS.items()}
NAMES = {number: name for name, number in MEMBERS.items()}
LotKey = tuple[int, int, date, date]


class Book:
    """What the members have, and what was decided."""

    def __init__(self, rules: Rules) -> None:
        self.rules = rules
        self.accounts = {number: MemberState(member_id=number, balance=0) for number in NAMES}
        self.lots: dict[int, dict[LotKey, int]] = {number: {} for number in NAMES}
        self.cards = {CARDS[name]: number for name, number in MEMBERS.items()}
        self.decided: list[Decision | Rejected] = []

    def decisions(self) -> list[Decision]:
        """What was accepted, in order."""
        return [one for one in self.decided if isinstance(one, Decision)]

    def until(self, number: int, lot: LotKey) -> date:
        """The last day of a lot."""
        return self.accounts[number].active_until if lot[3] == WITH_ACTIVITY else lot[3]

    def state(self, today: date) -> LedgerState:
        """What a batch of today would load."""
        members = {
            number: msgspec.structs.replace(
                account,
                balance=sum(self.lots[number].values()),
                lots=[Lot(*key, n, self.until(number, key)) for key, n in self.lots[number].items()],
                has_merged=any(one.merged_into == number for one in self.accounts.values()),
            )
            for number, account in self.accounts.items()
        }
        return LedgerState(
            moment=Moment(
                now=datetime.combine(today, time(12), tzinfo=UTC),
                window_id=int(f"{today:%Y%m%d}"),
                business_date=today,
                lapsed_through=today,
            ),
            cards={card: CardState(number, active=True) for card, number in self.cards.items()},
            members=members,
            recorded=recorded_entries(self.decisions()),
        )

    def apply(self, words: list[str], today: date) -> None:
        """Decide a line and book it; a first word `b:` is who acts, else it is a."""
        actor = "a"
        if words[0].endswith(":"):
            actor, *words = (words[0].rstrip(":"), *words[1:])
        line = len(self.decided) + 1
        command = self._command(actor, words, f"line-{line}", datetime.combine(today, time(11), tzinfo=UTC))
        member = self._member(command)
        minted = Minted(entry_id=UUID(int=line << 40 | member))
        folded = Folded(self.state(today))
        [outcome] = decide_batch(folded, [(command, minted)], self.rules)
        self.decided.append(outcome)
        if isinstance(outcome, Decision):
            for one in (outcome, *outcome.linked):
                self._book(one)
            if outcome.cards is not None:
                self.cards[CARDS[NAMES[outcome.cards.issued_to]]] = outcome.cards.after

    def _member(self, command: Command) -> int:
        if hasattr(command, "card_number"):
            return self.cards[command.card_number]
        named: UUID = command.entry_id if hasattr(command, "entry_id") else command.hold_id  # type: ignore[union-attr]
        return named.int % 2**40

    def _book(self, decision: Decision) -> None:
        number = decision.entry.member_id
        for posting in decision.postings:
            change = lot_change(posting)
            key = (posting.issuer_id, posting.issuer_terms, posting.spendable_on, posting.expires_on)
            if change:
                self.lots[number][key] = self.lots[number].get(key, 0) + change
        changed = {
            name: value
            for name, value in msgspec.structs.asdict(decision.account).items()
            if not isinstance(value, UnsetType)
        }
        account = msgspec.structs.replace(self.accounts[number], **changed)
        owed: dict[tuple[int, int], Deficit] = {}
        for one, sign in [
            *((deficit, 1) for deficit in (*account.deficits, *decision.deficits)),
            *((deficit, -1) for deficit in decision.cured),
        ]:
            owes = (one.issuer_id, one.terms_version)
            before = owed.get(owes, msgspec.structs.replace(one, points=0))
            owed[owes] = msgspec.structs.replace(before, points=before.points + sign * one.points)
        deficits = tuple(one for one in owed.values() if one.points)
        self.accounts[number] = msgspec.structs.replace(account, deficits=deficits)

    def _entry(self, line: str) -> Entry:
        decision = self.decided[int(line) - 1]
        assert isinstance(decision, Decision)
        return decision.entry

    def _command(self, actor: str, words: list[str], reference: str, at: datetime) -> Command:
        """The command a line asks for."""
        card = CARDS[actor]
        match words:
            case ["accrue", code, amount, *lines]:
                parts = tuple(int(one) for one in lines)
                return sale(card, int(amount), reference, partner_id=IDS[code], at=at, lines=parts)
            case ["redeem", code, points, *lines]:
                parts = tuple(int(one) for one in lines)
                return burn(card, int(points), reference, partner_id=IDS[code], at=at, lines=parts)
            case ["hold", code, points]:
                return reserve(card, int(points), reference, partner_id=IDS[code], at=at)
            case ["capture", line, points]:
                return take(self._entry(line), int(points), reference, at=at)
            case ["void", line]:
                return release(self._entry(line), reference, at=at)
            case ["reverse", line, *rest]:
                return self._return(line, rest, reference, at)
            case ["event", line]:
                return between.come_about(self._entry(line), reference, at=at)
            case ["adjust", code, points]:
                return between.adjust(card, int(points), reference, issuer_id=IDS[code], at=at)
            case ["tier", tier]:
                return between.set_tier(card, "" if tier == "none" else tier, reference, at=at)
        return self._between(card, words, reference, at)

    def _return(self, line: str, rest: list[str], reference: str, at: datetime) -> Command:
        returner = None
        if rest[-2:-1] == ["at"]:
            returner, rest = IDS[rest[-1]], rest[:-2]
        part = {rest[1]: int(rest[0])} if rest and rest[0] != "lines" else {}
        return undo(
            self._entry(line),
            reference,
            partner_id=returner,
            at=at,
            amount_minor=part.get("amount_minor"),
            points=part.get("points"),
            lines=tuple(int(one) for one in rest[1:]) if rest[:1] == ["lines"] else (),
        )

    def _between(self, card: int, words: list[str], reference: str, at: datetime) -> Command:
        match words:
            case ["give", other, points]:
                return between.give(card, CARDS[other], int(points), reference, at=at)
            case ["donate", cause, points]:
                return between.donate(card, int(points), reference, cause=cause, at=at)
            case ["invite", other]:
                return between.invite(card, CARDS[other], reference, at=at)
            case ["join", line]:
                return between.join(card, self._entry(line), reference, at=at)
            case ["leave"]:
                return between.leave(card, reference, at=at)
            case ["merge", other]:
                return between.merge(card, CARDS[other], reference, at=at)
        assert words[0] == "unmerge"
        return between.unmerge(self._entry(words[1]), reference, at=at)
