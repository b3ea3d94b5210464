"""What a till accepted without a line: up to the contract's floor, as many points as there are, no loan."""

from datetime import date
from uuid import UUID

import msgspec
import pytest

from network.decide import decide_batch
from network.model import NEVER, AccountKind, Lot
from network.outcomes import CardState, Decision, LedgerState, MemberState, Minted, Moment, Rejected
from network.rules import Folded, Rules
from partners.model import Directory
from tests.coalition import GROCER, HOTEL, PETROL, START, burn, rules, terms, undo

CARD, BLOCKED, POOLED = 6330000000000018, 6330000000000026, 6330000000000034


def lot(issuer_id: int, points: int, expires_on: date = NEVER) -> Lot:
    """A lot that can be spent."""
    return Lot(issuer_id, 1, date(1970, 1, 1), expires_on, points, expires_on)


def state() -> LedgerState:
    """A member with 30 points of the grocer and 20 of petrol, and one in a pool of 8 and 4."""
    lots = {1: (lot(GROCER, 30), lot(PETROL, 20)), 2: (lot(GROCER, 8),), 3: (lot(PETROL, 4),)}
    return LedgerState(
        moment=Moment(now=START, window_id=20170115, business_date=START.date(), lapsed_through=START.date()),
        cards={
            CARD: CardState(1, active=True),
            BLOCKED: CardState(1, active=False),
            POOLED: CardState(2, active=True),
        },
        members={
            n: MemberState(
                member_id=n,
                balance=sum(one.remaining for one in has),
                lots=has,
                pool_id=None if n == 1 else UUID(int=9),
            )
            for n, has in lots.items()
        },
        recorded={},
    )


def with_floor(points: int) -> Rules:
    """The coalition's rules; the hotel's tills may accept so many points offline."""
    live = rules()
    hotel = [msgspec.structs.replace(terms(HOTEL), offline_floor_points=points)]
    directory: Directory = msgspec.structs.replace(
        live.directory, terms={**live.directory.terms, HOTEL: hotel}
    )
    return msgspec.structs.replace(live, directory=directory)


def decided(points: int, *, card: int = CARD, floor: int = 60, offline: bool = True) -> Decision | Rejected:
    """What a redemption comes to."""
    minted = Minted(entry_id=UUID(int=7 << 40 | 1))
    command = burn(card, points, "r", offline=offline)
    [outcome] = decide_batch(Folded(state()), [(command, minted)], with_floor(floor))
    return outcome


@pytest.mark.parametrize(("points", "taken", "balance"), [(1, 1, 49), (50, 50, 0), (51, 50, 0), (60, 50, 0)])
def test_it_takes_what_is_there(points: int, taken: int, balance: int) -> None:
    """Up to the floor all that is asked for, or all there is; what is missing is in no posting."""
    outcome = decided(points)
    assert isinstance(outcome, Decision)
    assert sum(one.points for one in outcome.postings) == taken
    assert {(one.debit, one.credit) for one in outcome.postings} == {
        (AccountKind.MEMBER, AccountKind.ACCEPTED)
    }
    assert (outcome.entry.points, outcome.entry.balance_after, outcome.asked) == (-taken, balance, points)
    assert outcome.entry.amount_minor == points


@pytest.mark.parametrize(
    ("how", "refused"),
    [
        ({"points": 61}, "above_offline_floor"),
        ({"points": 1, "floor": 0}, "above_offline_floor"),
        ({"points": 5, "card": BLOCKED}, "card_blocked"),
        ({"points": 5, "card": 6330000000000042}, "card_unknown"),
        ({"points": 51, "offline": False}, "insufficient_points"),
    ],
)
def test_what_is_refused(how: dict[str, int], refused: str) -> None:
    """Above the floor, of a blocked or unknown card: nothing is taken; online all or nothing is."""
    assert decided(**how) == Rejected(refused)  # type: ignore[arg-type]  # the table's own


def test_the_pools_points_are_there_too() -> None:
    """As for any redemption: the pool's points are taken before anything is missing."""
    outcome = decided(20, card=POOLED)
    assert isinstance(outcome, Decision)
    assert sum(one.points for one in outcome.postings) == 12
    assert [one.entry.member_id for one in outcome.linked] == [3]


def test_nothing_there_is_an_entry_without_postings_that_cannot_come_back() -> None:
    """Its whole is missing; a return of it finds nothing to give back, and divides by nothing."""
    folded = Folded(state())
    live = with_floor(60)
    commands = [(burn(CARD, 50, "a"), Minted(entry_id=UUID(int=7 << 40 | 1)))]
    commands.append((burn(CARD, 5, "b", offline=True), Minted(entry_id=UUID(int=8 << 40 | 1))))
    _, empty = decide_batch(folded, commands, live)
    assert isinstance(empty, Decision)
    assert (empty.postings, empty.entry.points, empty.asked) == ((), 0, 5)
    [back] = decide_batch(folded, [(undo(empty.entry, "c"), Minted(entry_id=UUID(int=9 << 40 | 1)))], live)
    assert back == Rejected("entry_already_reversed")


def test_a_return_gives_back_what_was_taken() -> None:
    """60 were asked for and 50 taken: 50 come back, to their issuers, and none is made."""
    folded = Folded(state())
    live = with_floor(60)
    asked = [(burn(CARD, 60, "a", offline=True), Minted(entry_id=UUID(int=7 << 40 | 1)))]
    [taken] = decide_batch(folded, asked, live)
    assert isinstance(taken, Decision)
    [back] = decide_batch(folded, [(undo(taken.entry, "b"), Minted(entry_id=UUID(int=8 << 40 | 1)))], live)
    assert isinstance(back, Decision)
    assert {one.issuer_id: one.points for one in back.postings} == {GROCER: 30, PETROL: 20}
    assert back.entry.balance_after == 50
