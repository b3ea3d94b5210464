"""Laws of stored value: whatever happens in whatever order, what nights take is what members have."""

from datetime import timedelta
from decimal import Decimal
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from network.commands import Command, LoadValue, RefundValue, SpendValue
from network.decide import decide_batch
from network.model import MONEY, Unit
from network.outcomes import CardState, Decision, LedgerState, MemberState, Minted, Moment
from network.rules import Folded
from partners.model import SAFEGUARD_ID
from settlement.model import ValueTotal
from settlement.values import value_flows
from tests.coalition import BANK, GROCER, HOTEL, OUTLET, PETROL, PROGRAMME, START, VALUE, rules, undo
from tests.coalition import terms as terms_of

LIVE = rules(source=PROGRAMME + VALUE)
TERMS = {(partner_id, 1): terms_of(partner_id) for partner_id in (GROCER, PETROL, HOTEL, BANK)}
CARD, MEMBER = 6330001234567895, 7
KINDS: dict[str, type[LoadValue] | type[SpendValue] | type[RefundValue]] = {
    "load": LoadValue,
    "spend": SpendValue,
    "refund": RefundValue,
}

steps = st.lists(
    st.tuples(
        st.sampled_from(("load", "load", "spend", "spend", "refund", "undo", "next day")),
        st.integers(1, 3_000),
        st.sampled_from((GROCER, PETROL, HOTEL)),
    ),
    max_size=25,
)


class Book:
    """A member's stored value, day after day, and all that was decided."""

    def __init__(self) -> None:
        self.decided: list[Decision] = []
        self.days = 0
        self.folded = self._opened(MemberState(member_id=MEMBER, balance=0, lots=()))

    def _opened(self, member: MemberState) -> Folded:
        now = START + timedelta(days=self.days)
        moment = Moment(
            now=now, window_id=20170501 + self.days, business_date=now.date(), lapsed_through=now.date()
        )
        recorded = {} if not self.days else {one.entry.entry_id: self.kept(one) for one in self.decided}
        return Folded(
            LedgerState(
                moment=moment,
                cards={CARD: CardState(MEMBER, active=True)},
                members={MEMBER: member},
                recorded={key: one for key, one in recorded.items() if one is not None},
            )
        )

    def kept(self, one: Decision):  # type: ignore[no-untyped-def]  # a RecordedEntry
        """How an entry stands."""
        return self.folded.recorded(one.entry.entry_id)

    def next_day(self) -> None:
        """The same member a day later."""
        self.days += 1
        value = self.folded.value(MEMBER)
        self.folded = self._opened(MemberState(member_id=MEMBER, balance=0, lots=(), value=value))

    def step(self, what: str, amount: int, partner_id: int) -> None:
        """Carry out a command; refused or not."""
        at = START + timedelta(days=self.days)
        number = len(self.decided) + 1
        command: Command
        if what == "undo":
            if not self.decided:
                return
            entry = self.decided[amount % len(self.decided)].entry
            part = None if amount % 3 else amount
            command = undo(entry, f"r{number}", at=at, amount_minor=part)
        else:
            command = KINDS[what](
                partner_id=partner_id,
                reference=f"r{number}",
                occurred_at=at,
                outlet_code=OUTLET,
                card_number=CARD,
                amount_minor=amount,
                currency="USD",
            )
        minted = Minted(entry_id=UUID(int=number << 40 | MEMBER))
        [outcome] = decide_batch(self.folded, [(command, minted)], LIVE)
        if isinstance(outcome, Decision):
            self.decided.append(outcome)


def safeguarded(decided: list[Decision]) -> Decimal:
    """What nights bring to the safeguarding account for all that was decided."""
    totals = [
        ValueTotal(
            unit=posting.unit,
            debit=posting.debit,
            credit=posting.credit,
            issuer_id=posting.issuer_id,
            issuer_terms=posting.issuer_terms,
            acceptor_id=posting.acceptor_id,
            minor=posting.points,
            postings=1,
        )
        for one in decided
        for posting in one.postings
        if posting.unit in MONEY
    ]
    flows = value_flows(totals, TERMS)
    into = sum((one.amount for one in flows if one.creditor_id == SAFEGUARD_ID), Decimal(0))
    return into - sum((one.amount for one in flows if one.debtor_id == SAFEGUARD_ID), Decimal(0))


@given(steps)
def test_what_is_safeguarded_is_what_the_member_has(done: list[tuple[str, int, int]]) -> None:
    """After every step, to the cent; no lot is below zero, and no point moves."""
    book = Book()
    for what, amount, partner_id in done:
        if what == "next day":
            book.next_day()
        else:
            book.step(what, amount, partner_id)
        lots = book.folded.value(MEMBER)
        assert all(lot.remaining > 0 for lot in lots)
        assert safeguarded(book.decided) == Decimal(sum(lot.remaining for lot in lots)) / 100
    assert all(one.entry.points == one.entry.balance_after == 0 for one in book.decided)


@given(steps)
def test_nobody_is_paid_out_more_than_it_paid_in(done: list[tuple[str, int, int]]) -> None:
    """Refunds never come to more than what was loaded and not taken back: value on top is never paid out."""
    book = Book()
    for what, amount, partner_id in done:
        if what == "next day":
            book.next_day()
        else:
            book.step(what, amount, partner_id)
    paid = {"ISSUED": 0, "MEMBER": 0}
    refunded = 0
    for one in book.decided:
        for posting in one.postings:
            if posting.unit is Unit.VALUE and "ISSUED" in (posting.debit.name, posting.credit.name):
                paid[posting.debit.name] += posting.points
            if one.entry.kind.name == "REFUND" and posting.acceptor_id is not None:
                assert posting.unit is Unit.VALUE
                refunded += posting.points
    assert refunded <= paid["ISSUED"] - paid["MEMBER"]
