"""Journals as third parties read them: beancount in this process, hledger where it is installed."""

import csv
import shutil
import subprocess
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from beancount import loader
from beancount.core import data, realization
from beancount.core.amount import Amount
from sqlalchemy import Engine

from network.journal import FORMATS
from network.journal_store import export_journal, span

HLEDGER_SECONDS = 120


def journal_of(database: Engine, form: str, first: str | None = None, last: str | None = None) -> str:
    """The journal of some business dates, or of the whole ledger, as one text."""
    begins, ends = (None if day is None else date.fromisoformat(day) for day in (first, last))
    with database.connect().execution_options(isolation_level="REPEATABLE READ") as connection:
        wanted = span(connection, begins, ends)
        told: list[int] = []
        written = "".join(export_journal(connection, wanted, FORMATS[form], advance=told.append))
    assert sum(told) == wanted.entries
    return written


@dataclass(frozen=True)
class ReadLine:
    """A line of a transaction."""

    account: str
    points: int
    tags: Mapping[str, Any]


@dataclass(frozen=True)
class ReadTransaction:
    """A transaction; `kind` is its narration."""

    on: date
    payee: str | None
    kind: str | None
    links: frozenset[str]
    tags: Mapping[str, Any]
    lines: Sequence[ReadLine]


@dataclass(frozen=True)
class Read:
    """What beancount made of a journal."""

    errors: Sequence[str]
    transactions: Sequence[ReadTransaction]
    real: realization.RealAccount

    def total(self, account: str) -> int:
        """Points of an account and all below it, as beancount sums them."""
        found = realization.get(self.real, account)  # type: ignore[no-untyped-call]  # has no types
        if found is None:
            return 0
        sums = realization.compute_balance(found)  # type: ignore[no-untyped-call]  # has no types
        return whole(sums.get_currency_units("PTS"))

    def accounts(self) -> dict[str, int]:
        """Points of every account that has postings of its own, unless there are none left."""
        named = {line.account for one in self.transactions for line in one.lines}
        return {account: self.total(account) for account in sorted(named) if self.total(account)}

    def by_tag(self, name: str, accounts: str) -> dict[str, int]:
        """Points by a tag of the lines whose account begins so, unless there are none left."""
        sums: defaultdict[str, int] = defaultdict(int)
        for one in self.transactions:
            for line in one.lines:
                if line.account.startswith(accounts):
                    sums[str(line.tags[name])] += line.points
        return {value: points for value, points in sorted(sums.items()) if points}

    def kinds(self) -> Mapping[str | None, int]:
        """How many transactions there are of each kind."""
        return Counter(one.kind for one in self.transactions)


MONEY = ("VALUE", "VALUE-BONUS", "PLAN-FEE")
"""Commodities that are money: they balance by themselves, and are in no total of points."""


def whole(amount: Amount | None) -> int:
    """The points, or minor units, of an amount, which must be whole ones."""
    assert amount is not None
    assert amount.number is not None
    assert amount.currency in {"PTS", *MONEY}
    assert amount.number == int(amount.number)
    return int(amount.number)


def read_beancount(journal: str) -> Read:
    """Let beancount load a journal."""
    entries, errors, _ = loader.load_string(journal)
    return Read(
        errors=[error.message for error in errors],
        transactions=[read_transaction(one) for one in entries if isinstance(one, data.Transaction)],
        real=realization.realize(entries),  # type: ignore[no-untyped-call]  # has no types
    )


def read_transaction(given: data.Transaction) -> ReadTransaction:
    """A transaction of beancount's with the points of its lines."""
    return ReadTransaction(
        on=given.date,
        payee=given.payee,
        kind=given.narration,
        links=given.links,
        tags=given.meta,
        lines=[
            ReadLine(line.account, points, line.meta or {})
            for line in given.postings
            for points in (whole(line.units),)
            if line.units is not None and line.units.currency not in MONEY
        ],
    )


class Hledger:
    """hledger on one journal."""

    def __init__(self, program: str, file: Path) -> None:
        self._command = [program, "--file", str(file)]

    def run(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """Run a command of hledger."""
        return subprocess.run(
            [*self._command, *arguments], capture_output=True, text=True, timeout=HLEDGER_SECONDS, check=False
        )

    def rows(self, *arguments: str) -> list[dict[str, str]]:
        """The rows that a command of hledger writes as CSV."""
        ran = self.run(*arguments, "--output-format=csv")
        assert ran.returncode == 0, ran.stderr
        return list(csv.DictReader(ran.stdout.splitlines()))

    def balances(self, *arguments: str) -> dict[str, int]:
        """Points by account, or by what `--pivot` names, unless there are none left."""
        rows = self.rows("balance", "--flat", "--no-total", *arguments)
        return {row["account"]: int(row["balance"].removesuffix(" PTS")) for row in rows}


def read_hledger(journal: str, folder: Path) -> Hledger:
    """Hand a journal to hledger; where it is not installed, the test is skipped and says so."""
    program = shutil.which("hledger")
    if program is None:
        pytest.skip("hledger is not installed (Debian: apt install hledger); beancount reads the same ledger")
    file = folder / "ledger.journal"
    file.write_text(journal, encoding="utf-8")
    return Hledger(program, file)
