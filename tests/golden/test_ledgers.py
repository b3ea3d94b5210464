"""Scenarios that read as ledgers: before, apply, after. Each file in scenarios/ is one test.

programme whole                which of the test programmes is live; without the line, `pending`
today 2017-05-10               the network's date
before
  [b:] lot PARTNER TERMS EXPIRES POINTS
apply                          each line is a's, unless another member stands before it
  [b:] accrue PARTNER AMOUNT [LINE ...]      a sale, 12.50 as 1250, and the amounts of its lines
  redeem PARTNER POINTS [LINE ...] | hold PARTNER POINTS | capture N POINTS | void N
  reverse N [AMOUNT amount_minor | POINTS points | lines LINE ...] [at PARTNER]
  event N | give MEMBER POINTS | donate PARTNER POINTS | invite MEMBER | join N | leave
  merge MEMBER | unmerge N | adjust PARTNER POINTS | tier NAME       N: the N-th line of apply, from 1
  on DATE                      the days go by
after
  N REASON                     a line that was refused
  N [b:] DEBIT -> CREDIT POINTS of PARTNER TERMS EXPIRES [at PARTNER TERMS] [from MEMBER]
  [b:] lot PARTNER TERMS EXPIRES POINTS
  [b:] owes PARTNER TERMS POINTS
  [b:] balance POINTS          of b and c only where there is anything
"""

from datetime import date
from pathlib import Path

import msgspec
import pytest

from network.model import IMMEDIATELY, NEVER, WITH_ACTIVITY, Posting
from network.outcomes import Rejected
from network.rules import Rules
from tests.coalition import CODES, PENDING, WHOLE, open_terms, rules
from tests.golden.book import IDS, MEMBERS, NAMES, Book

SCENARIOS = sorted((Path(__file__).parent / "scenarios").glob("*.ledger"))
PROGRAMMES = {"pending": PENDING, "whole": WHOLE}


def open_rules(source: str) -> Rules:
    """Live rules under contracts that let goods be returned elsewhere, and points be donated."""
    live = rules(source=source)
    contracts = {one.partner_id: [one] for one in open_terms()}
    return msgspec.structs.replace(live, directory=msgspec.structs.replace(live.directory, terms=contracts))


def day(expires_on: date) -> str:
    """An expiry as a scenario says it."""
    return {NEVER: "never", WITH_ACTIVITY: "activity"}.get(expires_on, str(expires_on))


def read_day(text: str) -> date:
    """An expiry that a scenario says."""
    named = {"never": NEVER, "activity": WITH_ACTIVITY}
    return named[text] if text in named else date.fromisoformat(text)


def whose(number: int) -> str:
    """How a line of a member begins."""
    return "" if number == MEMBERS["a"] else f"{NAMES[number]}: "


def shown(line: int, number: int, posting: Posting) -> str:
    """A posting as a line."""
    text = (
        f"{line} {whose(number)}{posting.debit.name.lower()} -> {posting.credit.name.lower()}"
        f" {posting.points} of {CODES[posting.issuer_id]} {posting.issuer_terms} {day(posting.expires_on)}"
    )
    if posting.acceptor_id is not None:
        text += f" at {CODES[posting.acceptor_id]} {posting.acceptor_terms}"
    return text if posting.contributor_id is None else f"{text} from {NAMES[posting.contributor_id]}"


def play(text: str) -> tuple[list[str], list[str]]:
    """Play a scenario: what came out, and what the file says should have."""
    lines = [raw.partition("#")[0].split() for raw in text.splitlines()]
    [*named] = [words[1] for words in lines if words[:1] == ["programme"]]
    source = PROGRAMMES[named[0] if named else "pending"]
    book = Book(open_rules(source) if named else rules(source=source))
    today = date(2017, 5, 1)
    part = ""
    expected: list[str] = []
    for words in lines:
        match words:
            case [] | ["programme", _]:
                continue
            case ["today" | "on", given]:
                today = date.fromisoformat(given)
            case ["before" | "apply" | "after"]:
                part = words[0]
            case [*who, "lot", code, version, expires, points] if part == "before":
                number = MEMBERS[who[0].rstrip(":")] if who else MEMBERS["a"]
                key = (IDS[code], int(version), IMMEDIATELY, read_day(expires))
                book.lots[number][key] = int(points)
            case _ if part == "apply":
                book.apply(words, today)
            case _:
                expected.append(" ".join(words))
    return written(book, today), expected


def written(book: Book, today: date) -> list[str]:
    """What happened and what is left, as lines."""
    came = []
    for line, outcome in enumerate(book.decided, start=1):
        if isinstance(outcome, Rejected):
            came.append(f"{line} {outcome.reason}")
            continue
        for one in (outcome, *outcome.linked):
            came.extend(shown(line, one.entry.member_id, posting) for posting in one.postings)
    for number in MEMBERS.values():
        came.extend(_left(book, number, today))
    return came


def _left(book: Book, number: int, today: date) -> list[str]:
    lots = sorted(book.lots[number].items(), key=lambda item: item[0][::-1])
    left = [
        f"{whose(number)}lot {CODES[issuer]} {terms} {day(expires)} {points}"
        for (issuer, terms, _, expires), points in lots
        if points
    ]
    left += [
        f"{whose(number)}owes {CODES[one.issuer_id]} {one.terms_version} {one.points}"
        for one in book.accounts[number].deficits
    ]
    live = sum(points for lot, points in lots if lot[2] <= today <= book.until(number, lot))
    if left or number == MEMBERS["a"]:
        left.append(f"{whose(number)}balance {live}")
    return left


def test_there_are_scenarios() -> None:
    """The folder was found: an empty list would pass by saying nothing."""
    assert len(SCENARIOS) >= 20


@pytest.mark.parametrize("path", SCENARIOS, ids=lambda path: path.stem)
def test_scenario(path: Path) -> None:
    """What the rules do to the lots is, line by line, what the file says."""
    came, expected = play(path.read_text())
    assert came == expected
