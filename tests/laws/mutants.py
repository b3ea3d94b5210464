"""`make mutants`: plant bugs in a copy of the code, one after another, and show which checks catch each.

A bug that nothing catches fails the run; so does one whose place in the code is no longer there.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import ClassVar

from tests.conftest import started_run
from tests.laws.planted import MUTANTS, Mutant
from tests.laws.run import DatabaseMachine, PureMachine, machine_on, run_machine

ROOT = Path(__file__).parents[2]
ROOMS = ("network", "partners", "settlement", "config", "api", "tests")
CHECKS = ("pure", "database", "concurrency")
AT_ONCE = (
    "tests/integration/test_concurrency.py",
    "tests/integration/test_between_members.py::test_twenty_gifts_of_all_points_at_once",
    "tests/integration/test_between_members.py::test_gifts_in_a_circle_do_not_deadlock",
    "tests/integration/test_between_members.py::test_a_pool_is_drawn_by_all_its_members_at_once",
    "tests/integration/test_between_members.py::test_joining_races_with_spending",
    "tests/integration/test_between_members.py::test_a_sale_that_meets_a_merge_reaches_who_stays",
    "tests/integration/test_between_members.py::test_who_joins_while_another_spends_is_drawn_or_is_not",
)
"""The tests of check `concurrency`."""
TIME_LIMIT = 240
"""Seconds for one check; what hangs is caught."""


def main() -> int:
    """Plant each, run every check, print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--probe", choices=("pure", "database"), help="run one machine in this copy")
    parser.add_argument("--only", default="", help="bugs whose name has this in it")
    parser.add_argument(
        "--first", action="store_true", help="of each, no more checks after one has caught it"
    )
    options = parser.parse_args()
    if options.probe:
        return _probe(options.probe)
    missed = []
    with started_run() as run:
        for mutant in MUTANTS:
            if options.only not in mutant.name:
                continue
            caught: dict[str, str] = {}
            for check in CHECKS:
                looked = not options.first or not any(caught.values())
                caught[check] = _caught(mutant, check, run.url) if looked else ""
            cells = " | ".join(caught[check] or "-" for check in CHECKS)
            print(f"| {mutant.name} | {cells} |", flush=True)
            if not any(caught.values()):
                missed.append(mutant.name)
    for name in missed:
        print(f"MISSED: {name}")
    return 1 if missed else 0


def _caught(mutant: Mutant, check: str, url: str) -> str:
    """How a check sees a bug, in a few words; nothing where it does not."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        for room in ROOMS:
            shutil.copytree(ROOT / room, root / room, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(ROOT / "pyproject.toml", root)
        mutant.plant(root)
        command = [sys.executable, "-m", "tests.laws.mutants", "--probe", check]
        if check == "concurrency":
            command = [sys.executable, "-m", "pytest", "-x", "-q", *AT_ONCE]
        environment = {**os.environ, "PYTHONPATH": str(root), "TESSERA_DATABASE_URL": url}
        try:
            done = subprocess.run(
                command,
                cwd=root,
                env=environment,
                capture_output=True,
                text=True,
                timeout=TIME_LIMIT,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return "hangs"
    return "" if done.returncode == 0 else _in_short(done.stdout + done.stderr)


def _probe(which: str) -> int:
    """Run one machine; where it fails, say how, and on a database also what `verify` finds then."""
    found: list[str] = []
    with started_run() as run:
        machine = machine_on(run)

        class Probe(machine):  # type: ignore[valid-type, misc]  # made for this run
            tally: ClassVar[Counter[str]] = Counter()

            def teardown(self) -> None:
                if self.failed and isinstance(self, DatabaseMachine) and self.ledger is not None:
                    found.extend(sorted({one.partition(":")[0] for one in self.ledger.problems()}))
                super().teardown()

        chosen = PureMachine if which == "pure" else Probe
        length, steps = (100, 6_000) if which == "pure" else (50, 900)
        try:
            run_machine(chosen, steps=steps, length=length, first_seed=1, runs_a_round=9, shortest=False)
        except Exception as error:  # whatever a bug does, it was caught
            while isinstance(error, ExceptionGroup):  # ids are random: a second try may go another way
                error = error.exceptions[0]
            print(f"VERIFY {', '.join(dict.fromkeys(found))}" if found else "")
            print(f"CAUGHT {type(error).__name__}: {error}")
            return 1
    return 0


_SIGNS = (
    (r"different \(expected, answered\): \{(?:'refused|[^}]*'refused)", "refusal"),
    (r"different \(expected, answered\): \{'(\w+)'", "{}"),
    (r"answered \(replayed", "replayed"),
    (r"\nmoves: expected|the reply tells of", "postings"),
    (r"left between members", "transit"),
    (r"CAUGHT AssertionError: (lots|balances|holds|pending|owed|accounts|cards|items): expected", "{}"),
    (r"CAUGHT AssertionError: (sweep) of", "{}"),
    (r"CAUGHT AssertionError: entry: expected", "entries"),
    (r"violates check constraint \"(\w+)\"", "constraint {}"),
    (r"(InvariantBroken: [a-z ]+)", "{}"),
    (r"Problem\(check='(\w+)'", "verify {}"),
    (r"E +AssertionError: (it did not wait)", "{}"),
    (r"DID NOT (RAISE)", "the close did not wait"),
    (r"is_one_after_the_other\(", "the walk over balances"),
    (r"verify finds:\n(\w+)", "verify {} at a checkpoint"),
    (r"CAUGHT (\w+)", "{}"),
    (r"^E +(.{1,40})", "{}"),
)


def _in_short(output: str) -> str:
    verified = re.search(r"^VERIFY (.+)$", output, re.MULTILINE)
    for pattern, said in _SIGNS:
        sign = re.search(pattern, output, re.MULTILINE)
        if sign:
            short = said.format(*sign.groups())
            break
    else:
        short = "fails"
    return f"{short}; verify {verified[1]}" if verified else short


if __name__ == "__main__":
    sys.exit(main())
