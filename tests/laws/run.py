"""Run the machines for a number of steps, and say what happened in them."""

import ast
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test

import network
from tests.conftest import Run
from tests.laws.book import Book
from tests.laws.ledger import Ledger
from tests.laws.machine import LedgerMachine
from tests.laws.postgres import Postgres
from tests.laws.pure import Pure

MOST_RUNS = 100_000
"""A machine gives up after so many rounds, whatever it was asked."""


class PureMachine(LedgerMachine):
    """The rules alone, in memory."""

    tally: ClassVar[Counter[str]] = Counter()

    def ledger_on(self, book: Book) -> Ledger:
        """A ledger in dictionaries."""
        return Pure(book)


class DatabaseMachine(LedgerMachine):
    """The ledger on PostgreSQL; a database for each run. Its nights cost more, so days pass more slowly."""

    tally: ClassVar[Counter[str]] = Counter()
    days_a_step: ClassVar[int] = 25
    settled_a_step: ClassVar[int] = 10
    run_of_databases: ClassVar[Run]

    def ledger_on(self, book: Book) -> Ledger:
        """A ledger on a database of its own."""
        return Postgres(book, self.run_of_databases)


def machine_on(run: Run) -> type[DatabaseMachine]:
    """The database machine on a server."""
    return type("DatabaseMachine", (DatabaseMachine,), {"run_of_databases": run, "tally": Counter()})


def run_machine(
    machine: type[LedgerMachine],
    *,
    steps: int,
    length: int,
    first_seed: int,
    go_on: Callable[[Counter[str]], bool] = lambda _: True,
    runs_a_round: int = 20,
    shortest: bool = True,
) -> Counter[str]:
    """Run a machine until it has made so many steps; what was counted.

    Args:
        machine: Which.
        steps: At least so many, in runs of `length`.
        first_seed: Each round of runs has the next seed, so that one number names a whole run.
        go_on: Asked after each round; false ends it early.
        shortest: Look for the shortest way to a fault, which takes minutes.
    Raises:
        AssertionError: the auditor saw something else than it said; hypothesis prints the shortest way there.
    """
    chosen = settings(
        max_examples=runs_a_round,
        stateful_step_count=length,
        deadline=None,
        database=None,
        phases=(Phase.generate, Phase.shrink) if shortest else (Phase.generate,),
        suppress_health_check=list(HealthCheck),
    )
    for number in range(MOST_RUNS):
        seeded = seed(first_seed + number)(machine)
        run_state_machine_as_test(seeded, settings=chosen)
        if machine.tally["steps"] >= steps or not go_on(machine.tally):
            break
    return machine.tally


NEVER_HERE = {
    "programme_not_read": "the machines' ledgers read the rules at once, and so know every version",
    **dict.fromkeys(("account_has_plan", "account_of_child"), "the world has no paid plans, and no children"),
    **dict.fromkeys(("already_retried", "retried_accepted", "retried_unknown"), "nobody tries again by name"),
    **dict.fromkeys(
        ("approval_needed", "code_needed"), "its programme wants no proof that a member is there"
    ),
    **dict.fromkeys(("partner_accepts_no_more", "partner_issues_no_more"), "no partner leaves"),
    "cap_reached": "no partner has a cap",
    "flight_already_credited": "no sale tells of a flight",
    "spending_locked": "no member locks its card",
    "tier_not_over": "only the night asks for it",
}
"""Refusals that no run can see, and why; other tests see each."""
OF_PROGRAMMES = frozenset(
    [
        "abuse",
        "awarding",
        "guardian",
        "member_approvals",
        "paid_plan",
        "pledge",
        "registration",
        "rewards",
        "staking",
    ]
)
"""Modules that judge what a programme's own tables say: the model's world has none (tests.laws.words)."""


def known_reasons() -> set[str]:
    """Every reason for a refusal that stands in the network's rules and that a run can see."""
    reasons = set()
    for path in Path(network.__file__).parent.rglob("*.py"):
        if path.stem in OF_PROGRAMMES:
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Rejected":
                reasons |= {a.value for a in node.args if isinstance(a, ast.Constant)}
    return {str(reason) for reason in reasons} - set(NEVER_HERE)


def by_word(tally: Counter[str], word: str) -> dict[str, int]:
    """What was counted under a first word, by the second, the most frequent first."""
    found = {name.removeprefix(f"{word} "): n for name, n in tally.items() if name.startswith(f"{word} ")}
    return dict(sorted(found.items(), key=lambda one: -one[1]))
