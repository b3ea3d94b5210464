"""All commands, batches, clock steps and nights against the naive model: the short form of `make laws`."""

from collections import Counter
from collections.abc import Sequence
from typing import ClassVar

import msgspec
import pytest

from network.commands import Command
from network.model import Entry
from network.outcomes import Reply
from tests.conftest import Run
from tests.laws.book import Book
from tests.laws.kinds import JUDGES
from tests.laws.ledger import Ledger
from tests.laws.machine import LedgerMachine
from tests.laws.pure import Pure
from tests.laws.run import PureMachine, by_word, known_reasons, machine_on, run_machine
from tests.laws.wishes import makers
from tests.laws.words import COMMANDS

SEED = 20_170_501


def test_every_reply_of_the_rules_is_as_predicted() -> None:
    """Three thousand steps in memory: each reply, and after each step each lot, as the model says."""
    tally = run_machine(PureMachine, steps=3_000, length=60, first_seed=SEED)
    assert set(by_word(tally, "accepted")) == set(COMMANDS)
    assert len(by_word(tally, "refused")) > len(known_reasons()) * 3 / 4
    ways = set(by_word(tally, "event"))
    assert {"deficit made by REVERSAL", "deficit paid by ACCRUAL", "deficit added to by MERGE"} <= ways
    assert {"REDEMPTION of several members", "join by a used invitation"} <= ways


def test_every_reply_of_the_database_is_as_predicted(server: Run) -> None:
    """Two hundred steps on PostgreSQL, nights settled among them: the same, and `verify` finds nothing."""
    # What ids decide is not the seed's to say: so it goes on until a night was among the steps.
    tally = run_machine(
        machine_on(server),
        steps=2_000,
        length=40,
        first_seed=SEED,
        runs_a_round=6,
        go_on=lambda so_far: so_far["steps"] < 200 or not so_far["nights settled"],
    )
    assert tally["checkpoints"] > 0
    assert tally["nights settled"] > 0


def test_every_kind_of_command_is_known_to_the_model() -> None:
    """A kind that the network takes has a judge in the model and is asked for by the machine."""
    assert set(COMMANDS) == set(JUDGES) == set(makers)


class Generous(Pure):
    """A ledger that adds one point to what it says, not to what it does, in every fiftieth reply."""

    answered = 0

    def execute(self, commands: Sequence[Command]) -> list[Reply]:
        """Answer, now and then wrongly."""
        replies = super().execute(commands)
        for place, reply in enumerate(replies):
            self.answered += 1
            if self.answered % 50 == 0 and isinstance(reply.outcome, Entry):
                more = msgspec.structs.replace(reply.outcome, balance_after=reply.outcome.balance_after + 1)
                replies[place] = msgspec.structs.replace(reply, outcome=more)
        return replies


def test_one_wrong_point_in_a_reply_is_found() -> None:
    """The auditor fails a ledger whose stored points are right and whose answer is not."""

    class GenerousMachine(LedgerMachine):
        tally: ClassVar[Counter[str]] = Counter()

        def ledger_on(self, book: Book) -> Ledger:
            return Generous(book)

    with pytest.raises(AssertionError, match="balance_after"):
        run_machine(GenerousMachine, steps=2_000, length=60, first_seed=SEED, shortest=False)
