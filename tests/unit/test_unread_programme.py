"""A return of a sale that was judged by a version of the programme which this process has not read yet."""

from datetime import date, time
from uuid import UUID

import msgspec

from network.commands import Reverse
from network.decide import decide_batch
from network.model import NEVER, AccountKind, Entry, EntryKind, Lot, Posting
from network.outcomes import (
    NOT_REMEMBERED,
    Decision,
    LedgerState,
    MemberState,
    Minted,
    Moment,
    RecordedEntry,
    Rejected,
)
from network.rules import Folded, Rules
from tests.laws.words import rules_of
from tests.laws.world import START, Expiry, World, partners, scheme

NEVER_LAPSES = Expiry("never")
SALE = Entry(
    entry_id=UUID(int=1 << 40 | 1),
    member_id=1,
    kind=EntryKind.ACCRUAL,
    partner_id=11,
    reference="sale",
    window_id=20170111,
    programme_version=1,
    points=10,
    balance_after=10,
    amount_minor=1_000,
    currency="USD",
    outlet_code="main",
    occurred_at=START,
    recorded_at=START,
)
EARNED = Posting(
    line=1,
    debit=AccountKind.ISSUED,
    credit=AccountKind.MEMBER,
    points=10,
    issuer_id=11,
    issuer_terms=2,
    spendable_on=date(1970, 1, 1),
    expires_on=NEVER,
    window_id=20170111,
)


def live_rules() -> Rules:
    """Rules with version 1 of a programme: a point for each dollar at partner 11."""
    live = scheme(
        1,
        expiry=NEVER_LAPSES,
        silver=NEVER_LAPSES,
        grace_days=0,
        clawback="refuse",
        most_owed=0,
        generous=False,
    )
    return rules_of(World("Etc/UTC", time(0), [live], partners()))


def returned(rules: Rules, amount_minor: int) -> Decision | Rejected:
    """What becomes of a return of part of the sale."""
    moment = Moment(now=START, window_id=20170111, business_date=START.date(), lapsed_through=START.date())
    lot = Lot(11, 2, EARNED.spendable_on, NEVER, 10, NEVER)
    state = LedgerState(
        moment=moment,
        cards={},
        members={1: MemberState(member_id=1, balance=10, lots=[lot])},
        recorded={SALE.entry_id: RecordedEntry(entry=SALE, postings=(EARNED,))},
    )
    command = Reverse(
        partner_id=11,
        reference="return",
        occurred_at=START,
        entry_id=SALE.entry_id,
        amount_minor=amount_minor,
    )
    minted = Minted(entry_id=UUID(int=2 << 40 | 1))
    [outcome] = decide_batch(Folded(state, START.date()), [(command, minted)], rules)
    return outcome


def test_a_sale_whose_rules_are_not_read_cannot_be_judged_yet() -> None:
    """The refusal passes: it is not remembered. With the rules there, the points are taken back."""
    unread = msgspec.structs.replace(live_rules(), programmes={})
    assert returned(unread, 300) == Rejected("programme_not_read")
    assert "programme_not_read" in NOT_REMEMBERED
    outcome = returned(live_rules(), 300)
    assert isinstance(outcome, Decision)
    assert [(p.debit.name, p.credit.name, p.points) for p in outcome.postings] == [("MEMBER", "ISSUED", 3)]


def test_what_is_wrong_with_the_return_itself_is_said_first() -> None:
    """More than is left of the sale is refused for good, whatever rules were read."""
    unread = msgspec.structs.replace(live_rules(), programmes={})
    assert returned(unread, 1_001) == Rejected("more_than_is_left")
