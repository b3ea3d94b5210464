"""`make laws`: a long run of both machines, with a progress line, and what happened in it."""

import argparse
import secrets
import sys
import time
from collections import Counter
from collections.abc import Callable

from tests.conftest import started_run
from tests.laws.machine import LedgerMachine
from tests.laws.run import PureMachine, by_word, known_reasons, machine_on, run_machine
from tests.laws.words import COMMANDS

EVENTS = (
    *(f"deficit made by {kind}" for kind in ("REVERSAL", "MERGE", "TRANSFER")),
    *(f"deficit paid by {kind}" for kind in ("ACCRUAL", "RELEASE", "REVERSAL", "VOID", "TRANSFER", "MERGE")),
    *(f"{kind} of several members" for kind in ("REDEMPTION", "HOLD", "CAPTURE", "VOID", "REVERSAL")),
    *(f"deficit added to by {kind}" for kind in ("REVERSAL", "MERGE")),
    *("what was on top ends with a refund", "nothing on top: its funder takes no part"),
    *("points of a voucher come back late", "a voucher is over that the night has not come to"),
    "a quarter's end makes a voucher",
    *("deficit cut by its ceiling", "no deficit above the ceiling", "deficit moved by UNMERGE"),
    *("unmerge by an older merge", "join by a used invitation", "join to an inviter in another pool"),
    *(f"{kind} of one merged" for kind in ("REVERSAL", "CAPTURE", "VOID", "HOLD_LAPSE", "RELEASE")),
)
"""Ways of points that a long run must have seen."""


def main() -> int:
    """Run, print, and fail where a kind of command, a refusal or a way of points never came up."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=100_000, help="in memory, at least")
    parser.add_argument("--database-steps", type=int, default=3_000, help="on PostgreSQL, at least")
    parser.add_argument("--minutes", type=float, default=30, help="the longest it may take")
    parser.add_argument("--seed", type=int, default=secrets.randbelow(10**9), help="repeats a run")
    options = parser.parse_args()
    print(f"the laws of the ledger, seed {options.seed}")
    end = time.monotonic() + 60 * options.minutes
    pure = _run("in memory", PureMachine, options.steps, 100, options.seed, end)
    with started_run() as run:
        database = _run("on PostgreSQL", machine_on(run), options.database_steps, 60, options.seed, end)
    both = pure + database
    _print("commands", by_word(both, "command"))
    _print("refusals", by_word(both, "refused"))
    _print("ways of points", by_word(both, "event"))
    faults = [f"no command of kind {kind}" for kind in sorted(set(COMMANDS) - set(by_word(both, "accepted")))]
    faults += [f"no refusal {why}" for why in sorted(known_reasons() - set(by_word(both, "refused")))]
    faults += [f"no {event}" for event in EVENTS if event not in by_word(both, "event")]
    if pure["steps"] < options.steps or database["steps"] < options.database_steps:
        faults.append(f"fewer steps than asked for within {options.minutes:g} minutes")
    for fault in faults:
        print(f"FAILED: {fault}")
    if not faults:
        print("every reply was as predicted; every kind of command, refusal and way of points came up")
    return 1 if faults else 0


def _run(
    where: str, machine: type[LedgerMachine], steps: int, length: int, seed: int, end: float
) -> Counter[str]:
    begun = time.monotonic()
    runs = 40 if machine is PureMachine else 12
    tally = run_machine(
        machine,
        steps=steps,
        length=length,
        first_seed=seed,
        go_on=_progress(where, steps, begun, end),
        runs_a_round=runs,
    )
    took = f"{time.monotonic() - begun:.0f} s"
    print(
        f"\r{where}: {tally['steps']:,} steps in {tally['runs']:,} runs, {took}: "
        f"{sum(by_word(tally, 'command').values()):,} commands, {tally['replayed']:,} of them replayed, "
        f"{tally['nights']:,} nights, {tally['nights settled']:,} settled, "
        f"{tally['points lapsed']:,} points lapsed, {tally['checkpoints']:,} checkpoints"
    )
    return tally


def _progress(where: str, steps: int, begun: float, end: float) -> Callable[[Counter[str]], bool]:
    """Print how far it is: one line that changes on a terminal, else one every quarter of a minute."""
    printed = [begun]

    def go_on(tally: Counter[str]) -> bool:
        now = time.monotonic()
        line = (
            f"{where}: {tally['steps']:,} of {steps:,} steps, {tally['nights']:,} nights, {now - begun:.0f} s"
        )
        if sys.stdout.isatty():
            print(f"\r{line} ", end="", flush=True)
        elif now - printed[0] >= 15:
            print(line, flush=True)
            printed[0] = now
        return now < end

    return go_on


def _print(what: str, counted: dict[str, int]) -> None:
    print(f"{what}:")
    for name, number in counted.items():
        print(f"  {name:<36}{number:>9,}")


if __name__ == "__main__":
    sys.exit(main())
