"""A batch of n is n batches of one. All other laws: test_ledger_machine."""

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time
from itertools import pairwise
from uuid import UUID

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, text

from network.batch import execute
from network.commands import Command
from network.decide import decide_batch
from network.model import AccountKind, Entry, Lot, Posting
from network.outcomes import CardState as Card
from network.outcomes import Decision, LedgerState, MemberState, Minted, Moment
from network.rules import Folded
from network.verify import CHECKS, faults
from tests.coalition import (
    BANK,
    GROCER,
    HOTEL,
    PETROL,
    START,
    burn,
    new_card,
    recorded_entries,
    rules,
    sale,
    set_up,
    undo,
)

PARTNERS = st.sampled_from([GROCER, PETROL, HOTEL, BANK])
CARDS = {6330000000000000 + n: n for n in (1, 2, 3)}


@dataclass(frozen=True)
class Step:
    """One thing that happens to a member at a partner; `number` is money, points, or which entry."""

    kind: str
    member: int
    partner_id: int
    number: int


STEPS = st.lists(
    st.one_of(
        st.builds(Step, st.just("sale"), st.integers(1, 3), PARTNERS, st.integers(1, 9_999)),
        st.builds(Step, st.just("burn"), st.integers(1, 3), PARTNERS, st.integers(1, 150)),
        st.builds(Step, st.just("undo"), st.integers(1, 3), PARTNERS, st.integers(0, 30)),
    ),
    min_size=1,
    max_size=40,
)


@dataclass
class Model:
    """The naive ledger: the list of postings is all it knows; everything else is counted anew each time."""

    today: date
    decided: list[Decision] = field(default_factory=list)

    def postings(self, member: int) -> list[Posting]:
        """A member's postings."""
        return [p for d in self.decided if d.entry.member_id == member for p in d.postings]

    def lots(self, member: int) -> dict[tuple[int, int, date, date], int]:
        """A member's lots, replayed."""
        lots: dict[tuple[int, int, date, date], int] = defaultdict(int)
        for p in self.postings(member):
            sign = (p.credit is AccountKind.MEMBER) - (p.debit is AccountKind.MEMBER)
            lots[p.issuer_id, p.issuer_terms, p.spendable_on, p.expires_on] += sign * p.points
        return dict(lots)

    def state(self) -> LedgerState:
        """What the rules would be shown."""
        return LedgerState(
            moment=Moment(
                now=datetime.combine(self.today, time(12), tzinfo=UTC),
                window_id=int(f"{self.today:%Y%m%d}"),
                business_date=self.today,
                lapsed_through=self.today,
            ),
            cards={number: Card(member, active=True) for number, member in CARDS.items()},
            members={
                member: MemberState(
                    member_id=member,
                    balance=sum(self.lots(member).values()),
                    lots=[Lot(*key, points, key[3]) for key, points in self.lots(member).items()],
                )
                for member in CARDS.values()
            },
            recorded=recorded_entries(self.decided),
        )

    def command(self, step: Step, number: int) -> tuple[Command, Minted]:
        """A step as a command, on what has been decided so far."""
        card = next(card for card, member in CARDS.items() if member == step.member)
        minted = Minted(entry_id=UUID(int=(number + 1) << 40 | step.member))
        at = datetime.combine(self.today, time(11), tzinfo=UTC)
        if step.kind == "sale":
            return sale(card, step.number, f"r{number}", partner_id=step.partner_id, at=at), minted
        if step.kind == "burn" or not self.decided:
            return burn(card, step.number + 1, f"r{number}", partner_id=step.partner_id, at=at), minted
        return undo(self.decided[step.number % len(self.decided)].entry, f"r{number}", at=at), minted


@given(first=STEPS, batch=STEPS)
def test_a_batch_of_n_is_n_batches_of_one(first: list[Step], batch: list[Step]) -> None:
    """Folding a batch gives the very decisions that one command at a time gives, refusals included."""
    model = Model(date(2017, 1, 15))
    for number, step in enumerate(first):
        [outcome] = decide_batch(Folded(model.state()), [model.command(step, number)], rules())
        if isinstance(outcome, Decision):
            model.decided.append(outcome)
    asked = [model.command(step, number) for number, step in enumerate(batch, start=100)]
    together = decide_batch(Folded(model.state()), asked, rules())
    one_by_one = []
    for command in asked:
        [outcome] = decide_batch(Folded(model.state()), [command], rules())
        if isinstance(outcome, Decision):
            model.decided.append(outcome)
        one_by_one.append(outcome)
    assert together == one_by_one


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS, cuts=st.sets(st.integers(1, 39)))
def test_on_postgresql_any_cut_into_batches_gives_the_same_ledger(
    database: Engine, steps: list[Step], cuts: set[int]
) -> None:
    """The same commands in one batch, and cut anywhere into several: same answers, same sums, and whole."""
    with database.begin() as connection:
        set_up_once = connection.execute(text("SELECT count(*) FROM network")).scalar_one() == 0
    if set_up_once:
        set_up(database)
    live = rules()
    with database.begin() as connection:
        round_number = connection.execute(text("SELECT count(*) FROM member")).scalar_one()
    answers = []
    for side, edges in (("whole", set[int]()), ("cut", cuts)):
        cards = {
            member: new_card(database, live, f"{side}-{round_number}-{member}") for member in CARDS.values()
        }
        commands: list[Command] = [
            (sale if step.kind == "sale" else burn)(
                cards[step.member],
                step.number + 1,
                f"{side}-{round_number}-{number}",
                partner_id=step.partner_id,
                at=START,
            )
            for number, step in enumerate(steps)
        ]
        bounds = [0, *sorted(edge for edge in edges if edge < len(commands)), len(commands)]
        replies = [
            reply for low, high in pairwise(bounds) for reply in execute(database, commands[low:high], live)
        ]
        answers.append(
            [
                (r.outcome.points, r.outcome.balance_after)
                if isinstance(r.outcome, Entry)
                else r.outcome.reason
                for r in replies
            ]
        )
    assert answers[0] == answers[1]
    with database.connect() as connection:
        assert [problem for check in CHECKS for problem in faults(connection, check)] == []
