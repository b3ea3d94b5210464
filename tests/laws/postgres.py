"""The ledger as it is: `network.batch.execute`, the nights and `verify` on a PostgreSQL of its own."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from datetime import date
from typing import Any
from uuid import UUID

from sqlalchemy import Engine, insert, text

from config.database import make_engine
from network import batch, store, tables
from network.commands import Adjust, Command
from network.conversion import lapse_vouchers
from network.model import Entry
from network.outcomes import Reply
from network.service import (
    Network,
    apply_programme,
    close_window,
    create_network,
    lapse_expired,
    load_rules,
    open_first_window,
    set_clock,
)
from network.verify import CHECKS, faults
from partners.model import Category, Terms
from partners.rates_store import add_category
from partners.store import add_outlets, add_participants, add_terms
from settlement import verify as nights
from settlement.exposure_rows import contracts_changed
from settlement.service import clear_due
from tests.conftest import SCHEMA, Run, database_on
from tests.laws.auditor import Recorded
from tests.laws.book import Book
from tests.laws.words import entry_of, move_of, participants, programme_source, terms
from tests.laws.world import CATEGORIES, CURRENCY, OUTLET, Partner

_STANDING = {
    "lots": (
        5,
        """SELECT member_id, issuer_id, terms_version, spendable_on, expires_on, remaining
        FROM lot WHERE remaining <> 0 AND unit = 1""",
    ),
    "value": (
        6,
        """SELECT member_id, CASE unit WHEN 3 THEN 'VALUE' WHEN 4 THEN 'BONUS' END, issuer_id, terms_version,
        spendable_on, expires_on, remaining FROM lot WHERE remaining <> 0 AND unit <> 1""",
    ),
    "balances": (1, "SELECT member_id, balance FROM account WHERE unit = 1"),
    "holds": (1, "SELECT entry_id, points, captured, returned, lapses_at FROM hold"),
    "pending": (1, "SELECT entry_id, points, released, cancelled FROM pending"),
    "owed": (
        3,
        "SELECT member_id, issuer_id, terms_version, entry_id, points FROM deficit WHERE points <> 0",
    ),
    "accounts": (
        1,
        "SELECT member_id, pool_id, merged_into, merge_id, tier, active_until FROM account WHERE unit = 1",
    ),
    "vouchers": (1, "SELECT entry_id, name, starts_on, ends_on, ended_as FROM voucher"),
    "invitations": (1, "SELECT entry_id, member_id, pool_id, joined_by FROM invitation"),
    "cards": (1, "SELECT card_number, member_id, issued_to FROM card"),
    "items": (2, "SELECT entry_id, line, measure, returned_by FROM entry_line"),
}
"""What stands in the database: how many columns are the key, and the query."""
_PEOPLE = {"prepared_by": "maker", "activated_by": "checker"}


class Postgres:
    """A database of its own, copied from the run's template."""

    def __init__(self, book: Book, run: Run) -> None:
        self._book = book
        self._stack = ExitStack()
        url = self._stack.enter_context(database_on(run, template=run.template))
        self.database: Engine = make_engine(url, schema=SCHEMA)
        self._stack.callback(self.database.dispose)
        world = book.world
        with self.database.begin() as connection:
            network = Network(
                name="laws", time_zone=world.zone, cut_off=world.cut_off, currency=CURRENCY, clock=book.now
            )
            create_network(connection, network)
            add_participants(connection, participants(world))
            add_outlets(connection, [(number, OUTLET, "Main outlet") for number in world.partners])
            for code, number in CATEGORIES.items():
                if code:
                    add_category(connection, Category(category=number, code=code, name=code))
            open_first_window(connection, book.window, book.now)
        self._terms: dict[int, int] = {}
        self._programmes = 0
        self.world_changed()

    # ---- what the operator does ----

    def world_changed(self) -> None:
        """Write what is new of terms, programmes and partners' states, and read the rules."""
        world = self._book.world
        versions = [
            one
            for number, partner in world.partners.items()
            for one in self.versions_of(number, partner)
            if one.terms_version > self._terms.get(number, 0)
        ]
        with self.database.begin() as connection:
            if versions:
                add_terms(connection, versions, **_PEOPLE)
                contracts_changed(connection)
            self._terms.update({one.partner_id: one.terms_version for one in versions})
            for scheme in world.schemes[self._programmes :]:
                source = programme_source(scheme, world)
                apply_programme(connection, source, at=self._book.now, applied_by="checker")
            self._programmes = len(world.schemes)
            for number, partner in world.partners.items():
                connection.execute(
                    text("UPDATE partner SET status = :status WHERE partner_id = :number"),
                    {"status": partner.status, "number": number},
                )
            self._rules = load_rules(connection)

    def versions_of(self, number: int, partner: Partner) -> list[Terms]:
        """A partner's contract."""
        return terms(number, partner)

    def block(self, card: int, *, blocked: bool) -> None:
        """Block a card, or let it be used again."""
        with self.database.begin() as connection:
            connection.execute(
                text("UPDATE card SET status = :status WHERE card_number = :card"),
                {"status": "blocked" if blocked else "active", "card": card},
            )

    def set_clock(self) -> None:
        """Put the clock where the model's is."""
        with self.database.begin() as connection:
            set_clock(connection, self._book.now)

    # ---- batches and nights ----

    def execute(self, commands: Sequence[Command]) -> list[Reply]:
        """Carry out a batch of commands. An adjustment was approved, if it could be made."""
        replies = batch.execute(self.database, commands, self._rules)
        made = [
            {
                "member_id": reply.outcome.member_id,
                "adjustment_id": UUID(command.reference.removeprefix("adjustment ")),
                "card_number": command.card_number,
                "issuer_id": command.issuer_id,
                "points": command.points,
                "reason": "a law",
                "evidence": "a book",
                "four_eyes_above": 1_000,
                "prepared_by": "maker",
                "prepared_at": self._book.now,
                "decided_by": "checker",
                "decided_at": self._book.now,
                "approved": True,
            }
            for command, reply in zip(commands, replies, strict=True)
            if isinstance(command, Adjust) and isinstance(reply.outcome, Entry) and not reply.replayed
        ]
        if made:
            with self.database.begin() as connection:
                connection.execute(insert(tables.adjustment), made)
        return replies

    def close(self) -> None:
        """Close the open window, which the model has not closed yet."""
        with self.database.begin() as connection:
            close_window(connection, self._book.window, self._book.now)

    def sweep(self, on: date) -> tuple[int, int]:
        """Vouchers that are over end, then dead lots lapse, as in a night."""
        lapse_vouchers(self.database, on)
        lapsed = lapse_expired(self.database, on, self._book.world.schemes[-1].version)
        return (lapsed.members, lapsed.points)

    def settle(self, nights: int) -> None:
        """Close, sweep, price and net what is over, at most so many nights."""
        clear_due(self.database, self._book.now, stop=_after(nights))

    # ---- looking ----

    def standing(self) -> dict[str, Any]:
        """How everything stands, as the model says it."""
        with self.database.connect() as connection:
            rows = {what: connection.execute(text(query)).all() for what, (_, query) in _STANDING.items()}
        standing: dict[str, Any] = {}
        for what, (keys, _) in _STANDING.items():
            plain = {tuple(row[:keys]): tuple(row[keys:]) for row in rows[what]}
            standing[what] = {
                key[0] if keys == 1 else key: value[0] if len(value) == 1 else value
                for key, value in plain.items()
            }
        return standing

    def entries(self) -> list[Recorded]:
        """Every entry with its moves, as the database has them."""
        with self.database.connect() as connection:
            rows = connection.execute(text("SELECT * FROM entry")).mappings().all()
            lines = connection.execute(text("SELECT * FROM posting ORDER BY entry_id, line")).mappings().all()
        moves: dict[Any, list[tuple[Any, ...]]] = {}
        for row in lines:
            moves.setdefault(row["entry_id"], []).append(move_of(store.read_posting(row)))
        return [(entry_of(store.read_entry(row)), moves.pop(row["entry_id"], [])) for row in rows]

    def problems(self) -> list[str]:
        """What `tessera verify` would find."""
        with self.database.connect() as connection:
            found = [problem for check in CHECKS for problem in faults(connection, check)]
            closed, settled = connection.execute(
                text(
                    "SELECT (SELECT count(*) FROM clearing_window WHERE closed_at IS NOT NULL),"
                    " (SELECT count(*) FROM settlement_run WHERE state = 'netted')"
                )
            ).one()
            if closed == settled:  # else a night is known to be missing
                found += nights.problems(connection)
        return [f"{problem.check}: {problem.where}: {problem.detail}" for problem in found]

    def dispose(self) -> None:
        """Drop the database."""
        self._stack.close()


def _after(times: int) -> Callable[[], bool]:
    """False so many times, then true."""
    left: Iterator[bool] = iter([False] * times)
    return lambda: next(left, True)
