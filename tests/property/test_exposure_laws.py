"""Caps against naive counting: whatever happens, in whatever batches, with nights between."""

from collections import Counter
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import ClassVar

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text

from network.caps import Caps, Holding, Holdings, exposure_of, worth
from network.commands import Accrue, Command
from network.decide import decide_batch
from network.exposure import Guard, Pricing, might_exceed
from network.model import EntryKind
from network.outcomes import Decision, Minted, Moment, Rejected
from network.rules import Folded, Rules
from partners.model import Terms
from settlement import exposure_rows
from settlement.exposure import Accruals, Ground, accrued, standing_points, together
from settlement.model import Transactions, WindowTotal
from tests.coalition import BANK, GROCER, HOTEL, PETROL, rules, terms
from tests.conftest import Run
from tests.laws.book import Book
from tests.laws.ledger import Ledger
from tests.laws.postgres import Postgres
from tests.laws.run import DatabaseMachine, run_machine
from tests.laws.world import Partner
from tests.property.test_ledger_laws import STEPS, Model, Step

TODAY = date(2017, 1, 15)
WINDOW = 20170115
FEES = {
    "fee_per_issued_point": Decimal("0.0004"),
    "fee_per_transaction": Decimal("0.015"),
    "fee_bps_of_credits": Decimal(125),
    "vat_bps": 2000,
}
CAPPED = frozenset({GROCER, PETROL, HOTEL})


def with_caps(cap: Decimal) -> Rules:
    """Three partners that refuse at a cap: funded on redeem, in part, and on issue; the bank has none."""
    live = rules()
    known = {
        GROCER: msgspec.structs.replace(terms(GROCER), net_debit_cap=cap, **FEES),
        PETROL: msgspec.structs.replace(terms(PETROL), net_debit_cap=cap),
        HOTEL: msgspec.structs.replace(terms(HOTEL, funding_share="0.25"), net_debit_cap=cap, **FEES),
        BANK: terms(BANK, reimbursement_rate="0.0095"),
    }
    directory = msgspec.structs.replace(live.directory, terms={n: [one] for n, one in known.items()})
    return msgspec.structs.replace(live, directory=directory, caps=Caps(partners=CAPPED))


def counted(model: Model, live: Rules, more: Decision | None = None) -> dict[int, Holdings]:
    """The sums of capped partners from a list of decisions alone, priced by the night's own rules."""
    totals: Counter[tuple[int | None, ...]] = Counter()
    pieces: Counter[int] = Counter()
    decided = [*model.decided, *([more] if more else [])]
    for decision in decided:
        if decision.entry.kind in (EntryKind.ACCRUAL, EntryKind.REDEMPTION):
            pieces[decision.entry.partner_id] += 1
        for p in decision.postings:
            parties = (p.debit, p.credit, p.issuer_id, p.issuer_terms, p.acceptor_id, p.acceptor_terms)
            totals[(*parties, p.category, p.reversed_window_id)] += p.points
    versions: dict[tuple[int, int], Terms] = {
        (one.partner_id, one.terms_version): one for known in live.directory.terms.values() for one in known
    }
    names = WindowTotal.__struct_fields__[:8]
    of = [
        WindowTotal(**dict(zip(names, key, strict=True)), points=points, postings=1)  # type: ignore[arg-type]
        for key, points in totals.items()
    ]
    ground = Ground(terms=versions, vat={})
    window = Accruals(
        window_id=WINDOW,
        on=TODAY,
        prices=versions,
        totals=of,
        transactions=[
            Transactions(partner_id=partner_id, occurred_on=TODAY, entries=entries)
            for partner_id, entries in pieces.items()
        ],
    )
    sums = together(accrued(window, ground), standing_points(of, ground))
    found: dict[int, dict[str, Holding]] = {partner_id: {} for partner_id in CAPPED}
    for (partner_id, currency), holding in sums.items():
        if partner_id in CAPPED:
            found[partner_id][currency] = holding
    return dict(found)


def amount(live: Rules, partner_id: int, holdings: Holdings) -> tuple[Decimal, Decimal]:
    """A partner's exposure, and the most it may be."""
    valued = worth(live.caps, live.directory, partner_id, TODAY)
    assert valued is not None
    found = exposure_of(holdings, valued)
    assert found.limit is not None
    return found.amount, found.limit


def naively(model: Model, live: Rules, command: Command, minted: Minted) -> Decision | Rejected:
    """A command judged alone: counted before and after, from nothing."""
    [outcome] = decide_batch(Folded(model.state()), [(command, minted)], live)
    if isinstance(outcome, Decision) and isinstance(command, Accrue) and command.partner_id in CAPPED:
        before, limit = amount(live, command.partner_id, counted(model, live)[command.partner_id])
        after, _ = amount(live, command.partner_id, counted(model, live, outcome)[command.partner_id])
        if after > limit and after > before:
            return Rejected("cap_reached")
    return outcome


@given(first=STEPS, batch=STEPS, cap=st.sampled_from(["0.10", "0.45", "1.20"]))
def test_a_batch_at_the_cap_is_what_naive_counting_says(
    first: list[Step], batch: list[Step], cap: str
) -> None:
    """Under locks: of a batch, just those accruals are refused that do not fit when their turn comes.

    Without a look before: where the bound says that all fits, none of them would have been refused.
    """
    live = with_caps(Decimal(cap))
    model = Model(TODAY)
    for number, step in enumerate(first):
        outcome = naively(model, live, *model.command(step, number))
        if isinstance(outcome, Decision):
            model.decided.append(outcome)
    asked = [model.command(step, number) for number, step in enumerate(batch, start=100)]
    moment = Moment(
        now=datetime.combine(TODAY, time(12), tzinfo=UTC),
        window_id=WINDOW,
        business_date=TODAY,
        lapsed_through=TODAY,
    )
    before = counted(model, live)
    unguarded = Folded(model.state())
    decide_batch(unguarded, asked, live)
    change = Pricing(live, TODAY).change(unguarded, unguarded.decided)
    fits = not might_exceed(change, before, CAPPED, live, TODAY)
    together_ = decide_batch(Folded(model.state()), asked, live, Guard(live, moment, TODAY, dict(before)))
    one_by_one = []
    for command, minted in asked:
        outcome = naively(model, live, command, minted)
        if isinstance(outcome, Decision):
            model.decided.append(outcome)
        one_by_one.append(outcome)
    assert together_ == one_by_one
    assert not (fits and Rejected("cap_reached") in one_by_one)
    after = counted(model, live)
    for partner_id in CAPPED:
        issued = any(isinstance(c, Accrue) and c.partner_id == partner_id for c, _ in asked)
        if fits and issued:
            reached, limit = amount(live, partner_id, after[partner_id])
            assert reached <= limit


class CappedPostgres(Postgres):
    """The ledger on PostgreSQL, where everybody has a cap that is always passed, and is flagged."""

    def versions_of(self, number: int, partner: Partner) -> list[Terms]:
        """With a small cap, and fees on everything."""
        return [
            msgspec.structs.replace(one, net_debit_cap=Decimal("0.05"), at_cap="flag", **FEES)
            for one in super().versions_of(number, partner)
        ]

    def problems(self) -> list[str]:
        """What `verify` would find, and rows that are not what a recount makes of them, also amid a night."""
        with self.database.connect() as connection:
            wrong = [str(one) for one in exposure_rows.differences(connection)]
            rows = connection.execute(text("SELECT count(*) FROM exposure")).scalar_one()
        assert rows == len(self._book.world.partners)
        return wrong + super().problems()


class CappedMachine(DatabaseMachine):
    """All commands, batches, clock steps and nights; `verify` now and then."""

    tally: ClassVar[Counter[str]] = Counter()

    def ledger_on(self, book: Book) -> Ledger:
        """A ledger on a database of its own."""
        return CappedPostgres(book, self.run_of_databases)


def test_rows_are_what_a_recount_makes_of_them(server: Run) -> None:
    """A hundred and twenty steps of every kind of command on PostgreSQL, nights settled among them.

    Replies are as the model predicts, that knows no caps; and the rows are what is counted from nothing.
    """
    machine = type("Machine", (CappedMachine,), {"run_of_databases": server, "tally": Counter()})
    tally = run_machine(
        machine,
        steps=1_000,
        length=40,
        first_seed=20_170_601,
        runs_a_round=3,
        go_on=lambda so_far: so_far["steps"] < 120 or not so_far["nights settled"],
        shortest=False,
    )
    assert tally["checkpoints"] > 0
    assert tally["nights settled"] > 0


def test_a_row_that_drifts_is_found(server: Run) -> None:
    """The same machine on a ledger whose redemptions leave the rows alone: it fails."""

    class Forgetful(CappedPostgres):
        def problems(self) -> list[str]:
            with self.database.begin() as connection:
                connection.execute(text("UPDATE exposure SET points = points + 1 WHERE partner_id = 12"))
            return super().problems()

    class ForgetfulMachine(CappedMachine):
        run_of_databases = server
        tally: ClassVar[Counter[str]] = Counter()

        def ledger_on(self, book: Book) -> Ledger:
            return Forgetful(book, self.run_of_databases)

    with pytest.raises(AssertionError, match="USD"):
        run_machine(ForgetfulMachine, steps=40, length=20, first_seed=7, runs_a_round=1, shortest=False)
