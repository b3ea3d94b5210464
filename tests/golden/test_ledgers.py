"""Scenarios that read as ledgers: before, apply, after. Each file in scenarios/ is one test.

today 2017-05-10               the network's date
before
  lot PARTNER TERMS EXPIRES POINTS
apply
  accrue PARTNER AMOUNT        a sale, 12.50 as 1250
  redeem PARTNER POINTS
  reverse N                    the N-th line of apply, from 1
  on DATE                      the days go by
after
  N REASON                     a line that was refused
  N DEBIT -> CREDIT POINTS of PARTNER TERMS EXPIRES [at PARTNER TERMS]
  lot PARTNER TERMS EXPIRES POINTS
  balance POINTS
"""

from datetime import UTC, date, datetime, time
from pathlib import Path
from uuid import UUID

import pytest

from network.decide import decide_batch
from network.model import (
    IMMEDIATELY,
    CardState,
    Command,
    Decision,
    LedgerState,
    Lot,
    MemberState,
    Minted,
    Moment,
    Posting,
    Rejected,
)
from network.rules import Folded, lot_change
from tests.coalition import CODES, PENDING, burn, recorded_entries, release, reserve, rules, sale, take, undo

SCENARIOS = sorted((Path(__file__).parent / "scenarios").glob("*.ledger"))
IDS = {code: number for number, code in CODES.items()}
LIVE = rules(source=PENDING)
MEMBER, CARD = 7, 6330001234567895


class Book:
    """A member's lots, kept naively: a dictionary that postings change."""

    def __init__(self) -> None:
        self.lots: dict[tuple[int, int, date, date], int] = {}
        self.decided: list[Decision | Rejected] = []

    def state(self, today: date) -> LedgerState:
        """What a batch of today would load."""
        now = datetime.combine(today, time(12), tzinfo=UTC)
        lots = [Lot(*key, points, key[3]) for key, points in self.lots.items()]
        return LedgerState(
            moment=Moment(
                now=now, window_id=int(f"{today:%Y%m%d}"), business_date=today, lapsed_through=today
            ),
            cards={CARD: CardState(MEMBER, active=True)},
            members={MEMBER: MemberState(member_id=MEMBER, balance=sum(self.lots.values()), lots=lots)},
            recorded=recorded_entries([d for d in self.decided if isinstance(d, Decision)]),
        )

    def command(self, words: list[str], today: date) -> Command:
        """The command a line asks for."""
        at = datetime.combine(today, time(11), tzinfo=UTC)
        reference = f"line-{len(self.decided) + 1}"
        if words[0] == "accrue":
            return sale(CARD, int(words[2]), reference, partner_id=IDS[words[1]], at=at)
        if words[0] == "redeem":
            return burn(CARD, int(words[2]), reference, partner_id=IDS[words[1]], at=at)
        if words[0] == "hold":
            return reserve(CARD, int(words[2]), reference, partner_id=IDS[words[1]], at=at)
        named = self.decided[int(words[1]) - 1]
        assert isinstance(named, Decision)
        if words[0] == "capture":
            return take(named.entry, int(words[2]), reference, at=at)
        if words[0] == "void":
            return release(named.entry, reference, at=at)
        assert words[0] == "reverse"
        part = {words[3]: int(words[2])} if len(words) > 2 else {}
        return undo(named.entry, reference, at=at, **part)

    def apply(self, words: list[str], today: date) -> None:
        """Decide a line and book it."""
        number = len(self.decided) + 1
        minted = Minted(entry_id=UUID(int=number << 40 | MEMBER))
        [outcome] = decide_batch(Folded(self.state(today)), [(self.command(words, today), minted)], LIVE)
        self.decided.append(outcome)
        if isinstance(outcome, Decision):
            for posting in outcome.postings:
                key = (posting.issuer_id, posting.issuer_terms, posting.spendable_on, posting.expires_on)
                self.lots[key] = self.lots.get(key, 0) + lot_change(posting)


def shown(number: int, posting: Posting) -> str:
    """A posting as a line."""
    line = (
        f"{number} {posting.debit.name.lower()} -> {posting.credit.name.lower()} {posting.points}"
        f" of {CODES[posting.issuer_id]} {posting.issuer_terms} {posting.expires_on}"
    )
    at = posting.acceptor_id
    return line if at is None else f"{line} at {CODES[at]} {posting.acceptor_terms}"


def play(text: str) -> tuple[list[str], list[str]]:
    """Play a scenario: what came out, and what the file says should have."""
    book = Book()
    today = date(2017, 5, 1)
    part = ""
    expected: list[str] = []
    for raw in text.splitlines():
        words = raw.partition("#")[0].split()
        match words:
            case []:
                continue
            case ["today" | "on", day]:
                today = date.fromisoformat(day)
            case ["before" | "apply" | "after"]:
                part = words[0]
            case ["lot", code, version, expires, points] if part == "before":
                key = (IDS[code], int(version), IMMEDIATELY, date.fromisoformat(expires))
                book.lots[key] = int(points)
            case _ if part == "apply":
                book.apply(words, today)
            case _:
                expected.append(" ".join(words))
    return written(book, today), expected


def written(book: Book, today: date) -> list[str]:
    """What happened and what is left, as lines."""
    came = []
    for number, outcome in enumerate(book.decided, start=1):
        if isinstance(outcome, Rejected):
            came.append(f"{number} {outcome.reason}")
        else:
            came.extend(shown(number, posting) for posting in outcome.postings)
    for (issuer, terms, _, expires), points in sorted(book.lots.items(), key=lambda item: item[0][::-1]):
        if points:
            came.append(f"lot {CODES[issuer]} {terms} {expires} {points}")
    live = sum(points for key, points in book.lots.items() if key[2] <= today <= key[3])
    return [*came, f"balance {live}"]


def test_there_are_scenarios() -> None:
    """The folder was found: an empty list would pass by saying nothing."""
    assert len(SCENARIOS) >= 5


@pytest.mark.parametrize("path", SCENARIOS, ids=lambda path: path.stem)
def test_scenario(path: Path) -> None:
    """What the rules do to the lots is, line by line, what the file says."""
    came, expected = play(path.read_text())
    assert came == expected
