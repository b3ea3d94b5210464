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
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from tests.conftest import started_run
from tests.laws.run import DatabaseMachine, PureMachine, machine_on, run_machine

ROOT = Path(__file__).parents[2]
ROOMS = ("network", "partners", "settlement", "config", "api", "tests")
TIME_LIMIT = 240
"""Seconds for one check; what hangs is caught."""


@dataclass(frozen=True)
class Mutant:
    """A bug: in one file, each text is replaced by another, wherever it stands."""

    name: str
    file: str
    changes: tuple[tuple[str, str], ...]

    def plant(self, root: Path) -> None:
        """Write the bug into a copy of the code."""
        path = root / self.file
        source = path.read_text(encoding="utf-8")
        for old, new in self.changes:
            if old not in source:
                raise LookupError(f"{self.name}: {self.file} no longer says {old!r}: plant it anew")
            source = source.replace(old, new)
        compile(source, self.file, "exec")
        path.write_text(source, encoding="utf-8")


_READ_EARLY = """
    holds = {r.command.hold_id for r in requests if isinstance(r.command, Capture | Void)}
    early = store.load_entries(connection, holds)
"""
MUTANTS = (
    Mutant(
        "lock left out: accounts",
        "network/store.py",
        (('" ORDER BY member_id FOR UPDATE"', '" ORDER BY member_id"'),),
    ),
    Mutant("lock left out: window", "network/store.py", (("    connection.execute(_SHARE_WINDOW)\n", ""),)),
    Mutant(
        "stale read: balances before the lock",
        "network/store.py",
        (
            ("    connection.execute(_LOCK_ACCOUNTS, wanted)\n", ""),
            (
                '{**wanted, "now": now}).all()\n',
                '{**wanted, "now": now}).all()\n    connection.execute(_LOCK_ACCOUNTS, wanted)\n',
            ),
        ),
    ),
    Mutant(
        "stale read: holds before the lock",
        "network/batch.py",
        (
            (
                "    members, due = store.load_members(",
                _READ_EARLY + "    members, due = store.load_members(",
            ),
            ("    folded = Folded(", "    recorded |= early\n    folded = Folded("),
        ),
    ),
    Mutant(
        "a sign: a return adds what it takes",
        "network/reversal.py",
        (("today) + undone.spendable", "today) - undone.spendable"),),
    ),
    Mutant(
        "off by one day: a lot's last day is no day",
        "network/draw.py",
        (("<= on <= lot.expires_on", "<= on < lot.expires_on"),),
    ),
    Mutant(
        "off by one day: the sweep comes early",
        "network/service.py",
        (("expires_on < :on", "expires_on <= :on"),),
    ),
    Mutant(
        "off by one day: pending points a day early",
        "network/accrual.py",
        (("today + pending if", "today + pending - timedelta(days=1) if"),),
    ),
    Mutant(
        "<= for <: thirty days are too many",
        "network/rules.py",
        (("occurred_at < now - OLDEST", "occurred_at <= now - OLDEST"),),
    ),
    Mutant(
        ">= for >: the whole hold cannot be captured",
        "network/hold.py",
        (("command.points > left", "command.points >= left"),),
    ),
    Mutant(
        "< for <=: a hold lives a moment longer",
        "network/hold.py",
        (("lapses_at <= moment.now", "lapses_at < moment.now"),),
    ),
    Mutant(
        "wrong issuer: a return takes anybody's lots",
        "network/draw.py",
        (("lot.remaining > 0 and lot.issuer_id == issuer_id", "lot.remaining > 0"),),
    ),
    Mutant(
        "wrong issuer: ties go to the lowest number",
        "network/draw.py",
        (
            (
                'return sha256(entry_id.bytes + issuer_id.to_bytes(8, "big")).digest()',
                'return issuer_id.to_bytes(8, "big")',
            ),
        ),
    ),
    Mutant(
        "a refusal is not remembered",
        "network/batch.py",
        (("    store.forget(connection, passing)", "    store.forget(connection, set(refused))"),),
    ),
    Mutant(
        "replay without a look at the content",
        "network/batch.py",
        (("if content == request.content else", "if content else"),),
    ),
    Mutant(
        "references of all partners are one",
        "network/batch.py",
        (('f"{partner_id}\\0live\\0{reference}"', 'f"live\\0{reference}"'),),
    ),
    Mutant(
        "a hold is captured from the wrong end",
        "network/hold.py",
        (("parts(held.postings, state.captured", "parts(tuple(reversed(held.postings)), state.captured"),),
    ),
    Mutant(
        "rounding: each part of a return by itself",
        "network/reversal.py",
        (
            (
                "original.amount_minor * (back + points) // spent - original.amount_minor * back // spent",
                "original.amount_minor * points // spent",
            ),
        ),
    ),
    Mutant("the sweep misses lots of one point", "network/service.py", (("remaining > 0", "remaining > 1"),)),
    Mutant(
        "window stamped wrong: the hold's on its capture",
        "network/hold.py",
        (("        window_id=window_id,\n", "        window_id=drawn.window_id,\n"),),
    ),
    Mutant(
        "a batch does not see its own commands",
        "network/decide.py",
        (("            folded.apply(outcome)\n", "            pass\n"),),
    ),
    Mutant(
        "two returns in one batch are noted as one",
        "network/store.py",
        (("total[0] += abs(entry.points)", "total[0] = abs(entry.points)"),),
    ),
    Mutant(
        "what a hold gave back is not noted", "network/store.py", (("total[1] += returned", "total[1] += 0"),)
    ),
    Mutant(
        "lots are drawn whatever their terms",
        "network/store.py",
        (('{name}" for name in _LOT_KEY)', '{name}" for name in _LOT_KEY if name != "terms_version")'),),
    ),
    Mutant(
        "more is drawn than there is",
        "network/draw.py",
        (("for lot in candidates) < points:", "for lot in candidates) < 0:"),),
    ),
)
CHECKS = ("pure", "database", "concurrency")


def main() -> int:
    """Plant each, run every check, print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--probe", choices=("pure", "database"), help="run one machine in this copy")
    parser.add_argument("--only", default="", help="bugs whose name has this in it")
    options = parser.parse_args()
    if options.probe:
        return _probe(options.probe)
    missed = []
    with started_run() as run:
        for mutant in MUTANTS:
            if options.only not in mutant.name:
                continue
            caught = {check: _caught(mutant, check, run.url) for check in CHECKS}
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
            command = [sys.executable, "-m", "pytest", "-x", "-q", "tests/integration/test_concurrency.py"]
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
        length, steps = (100, 6_000) if which == "pure" else (50, 450)
        try:
            run_machine(chosen, steps=steps, length=length, first_seed=1, runs_a_round=9, shortest=False)
        except Exception as error:  # whatever a bug does, it was caught
            print(f"VERIFY {', '.join(dict.fromkeys(found))}" if found else "")
            print(f"CAUGHT {type(error).__name__}: {error}")
            return 1
    return 0


_SIGNS = (
    (r"different \(expected, answered\): \{(?:'refused|[^}]*'refused)", "refusal"),
    (r"different \(expected, answered\): \{'(\w+)'", "{}"),
    (r"answered \(replayed", "replayed"),
    (r"\nmoves: expected", "postings"),
    (r"CAUGHT AssertionError: (lots|balances|holds): expected", "{}"),
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
