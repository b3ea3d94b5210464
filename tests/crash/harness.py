"""The run: load from real processes, kills at random, restarts; then the ledger beside every answer."""

import asyncio
import os
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from datetime import time as clock_time
from pathlib import Path
from random import Random
from typing import Any

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import Connection
from sqlalchemy.exc import OperationalError

from api.client import SignedClient
from config.cluster import OWNER
from config.database import ensure_schema, make_engine, migrate
from config.roles import application_role
from network.service import ensure_partitions, set_clock
from network.verify import CHECKS, faults
from partners.model import PartnerKey
from partners.store import add_key
from settlement.verify import problems as problems_of_nights
from tests.coalition import CODES, VALUE, WHOLE, new_card, open_terms, set_up
from tests.crash.client import final_of
from tests.crash.commands import BY_NAME, Command
from tests.crash.compare import ACCEPTED, Told, compare, compare_transfers, same
from tests.crash.journal import Config, State, read_journal, write_state
from tests.crash.ledger import read_rows, read_transfers
from tests.crash.site import DATABASE, Apis, Night, Postgres, await_true, start_child

SCHEMA = "tessera"
FIRST = date(2017, 5, 29)
"""Three nights before a month's end, so that a night with a sweep of dead lots is among the first."""
SHORT_LIVED = WHOLE.replace("months = 3", "months = 0") + VALUE
CARDS = 24
VICTIMS = (
    "api",
    "lane",
    "postmaster",
    "backend",
    "checkpointer",
    "walwriter",
    "background writer",
    "night",
    "everything",
)
"""What is killed. But for the first three and the last two they are children of the postmaster, by title."""
_TITLES = {"backend": f"{OWNER} {DATABASE}"}
_STALLED_SECONDS = 60.0
_IN_FLIGHT_SECONDS = 0.1
"""Answers that were under way at the kill have arrived by then, and the postmaster has noticed."""
_REPLAYED_AT_ONCE, _REPLAYS = 500, 3
_TRY_AGAIN = 503
_LONG_AGO = datetime(2017, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How much of it. `seconds_max` bounds the killing; what comes before and after takes a minute."""

    kills: int
    seconds_max: float
    home: Path
    folder: Path
    seed: int = 0
    servers: int = 2
    tills: int = 6
    kills_per_night: int = 6


@dataclass
class Report:
    """What happened. A run is sound where `wrong` is empty."""

    kills: Counter[str] = field(default_factory=Counter)
    missed: int = 0
    told: list[Told] = field(default_factory=list)
    sent_again: int = 0
    in_files: int = 0
    entries: Counter[str] = field(default_factory=Counter)
    nights: int = 0
    nights_cut_off: int = 0
    replayed: int = 0
    checks: int = 0
    seconds: float = 0.0
    wrong: list[str] = field(default_factory=list)


def run(plan: Plan, progress: Callable[[str, int], None] = lambda what, kills: None) -> Report:
    """Set up, kill, restart, compare.

    Args:
        plan: How much.
        progress: Told what is being done, and how many kills there were.
    Raises:
        TimeoutError: no answers for a minute, a client that did not end, a night that was never done.
    """
    with ExitStack() as stack:
        return _Run(plan, progress, stack).run()


class _Run:
    """One run, its processes and what it has seen."""

    def __init__(self, plan: Plan, progress: Callable[[str, int], None], stack: ExitStack) -> None:
        self._plan = plan
        self._progress = progress
        self._random = Random(plan.seed)
        self._report = Report()
        self._state_path = plan.folder / "state.json"
        self._state = State(addresses=[], occurred_at=_noon(FIRST).isoformat())
        self._clients: list[tuple[Config, subprocess.Popen[bytes]]] = []
        self._night: Night | None = None
        self._next_night = FIRST
        self._postgres = Postgres(plan.home)
        stack.callback(self._postgres.remove)
        self._progress("starting", 0)
        self._postgres.start()
        self._owner = make_engine(self._postgres.url, schema=SCHEMA)
        self._database = make_engine(self._postgres.url, schema=SCHEMA, role=application_role(SCHEMA))
        stack.callback(self._database.dispose)
        environment = {
            "TESSERA_DATABASE_URL": self._postgres.url,
            "TESSERA_SCHEMA": SCHEMA,
            "TESSERA_LOG_LEVEL": "warning",
            "TESSERA_KEY_RATE": "100000",
        }
        self._environment = environment
        self._apis = Apis(plan.folder, environment, self._moved)
        stack.callback(self._apis.stop)
        stack.callback(self._end_clients)

    def run(self) -> Report:
        """All of it, in order."""
        self._set_up()
        started = time.monotonic()
        for victim in self._victims():
            if time.monotonic() - started > self._plan.seconds_max:
                break
            if self._kill(victim):
                self._report.kills[victim] += 1
            else:
                self._report.missed += 1
            self._await_answers()
            self._tend_night()
            self._progress(f"killed: {victim}", self._report.kills.total())
        self._report.seconds = time.monotonic() - started
        self._progress("the last answers", self._report.kills.total())
        self._finish()
        return self._report

    # -- the network and its clients

    def _set_up(self) -> None:
        with self._owner.begin() as connection:
            ensure_schema(connection, SCHEMA)
        migrate(self._owner)
        self._owner.dispose()
        with self._database.begin() as connection:
            ensure_partitions(connection, FIRST, FIRST + timedelta(days=100))
        live = set_up(self._database, _noon(FIRST), SHORT_LIVED, open_terms())
        cards = [str(new_card(self._database, live, f"first-{number}")) for number in range(CARDS)]
        for slot in range(self._plan.servers):
            self._apis.start(slot)
        for partner_id, code in CODES.items():
            self._start_client(partner_id, code, cards)
        self._await_answers()

    def _start_client(self, partner_id: int, code: str, cards: list[str]) -> None:
        key = Ed25519PrivateKey.generate()
        config = Config(
            name=f"client-{code}",
            partner_id=partner_id,
            key=key.private_bytes_raw().hex(),
            key_id=f"{code}-crash",
            cards=cards,
            seed=self._random.getrandbits(32),
            tills=self._plan.tills,
            state=str(self._state_path),
            journal=str(self._plan.folder / f"{code}.journal"),
            abroad=[str(self._plan.folder / f"{other}.journal") for other in CODES.values() if other != code],
        )
        public = key.public_key().public_bytes_raw()
        with self._database.begin() as connection:
            add_key(
                connection,
                PartnerKey(
                    key_id=config.key_id, partner_id=partner_id, public_key=public, not_before=_LONG_AGO
                ),
            )
        with (self._plan.folder / f"{code}.log").open("wb") as log:
            process = start_child("-m", "tests.crash.client", environment={**os.environ}, log=log, piped=True)
        if process.stdin is None:
            raise RuntimeError("the client's standard input was piped")
        process.stdin.write(msgspec.json.encode(config))
        process.stdin.close()
        self._clients.append((config, process))

    def _end_clients(self) -> None:
        for _, process in self._clients:
            process.kill()
            process.wait()

    def _moved(self, addresses: list[str]) -> None:
        self._write(msgspec.structs.replace(self._state, addresses=addresses))

    def _write(self, state: State) -> None:
        self._state = state
        write_state(self._state_path, state)

    def _await_answers(self) -> None:
        """Every client is told something new; then a moment more, so that the next kill may come any time."""
        time.sleep(_IN_FLIGHT_SECONDS)
        before = [_size(config.journal) for config, _ in self._clients]

        def all_moved() -> bool:
            for config, process in self._clients:
                if process.poll() is not None:
                    log = (self._plan.folder / f"{config.name.removeprefix('client-')}.log").read_text()
                    raise TimeoutError(f"{config.name} ended with {process.returncode}: {log[-2000:]}")
            sizes = [_size(config.journal) for config, _ in self._clients]
            return all(now > then for now, then in zip(sizes, before, strict=True))

        await_true(all_moved, _STALLED_SECONDS, "some client was answered nothing for a minute")
        time.sleep(self._random.uniform(0, 0.6))

    # -- kills

    def _victims(self) -> Iterator[str]:
        """Until there were so many kills: every kind once before any comes again, shuffled each time."""
        deck: list[str] = []
        while self._report.kills.total() < self._plan.kills:
            if not deck:
                deck = self._random.sample(VICTIMS, len(VICTIMS))
            yield deck.pop()

    def _kill(self, victim: str) -> bool:
        """Kill, and start again what does not do so by itself; false where the victim had just ended."""
        slot = self._random.choice(self._apis.slots)
        if victim == "api":
            self._apis.kill(slot)
            self._apis.restart(slot)
        elif victim == "lane":
            return self._apis.kill_lane(slot, self._random)
        elif victim == "postmaster":
            self._postgres.kill_postmaster()
            self._restart_postgres()
        elif victim == "everything":
            self._kill_everything()
        elif victim == "night":
            night = self._night or self._begin_night()
            time.sleep(self._random.uniform(0.5, 2.5))
            return night.kill()
        else:
            return self._postgres.kill_child(_TITLES.get(victim, victim), self._random)
        return True

    def _kill_everything(self) -> None:
        """As a power cut would, but for what the operating system has taken and not yet written."""
        slots = self._apis.slots
        self._postgres.kill_postmaster()
        for slot in slots:
            self._apis.kill(slot)
        if self._night is not None:
            self._night.kill()
        self._restart_postgres()
        for slot in slots:
            self._apis.restart(slot)

    def _restart_postgres(self) -> None:
        self._postgres.stop()
        self._database.dispose()
        self._postgres.start()

    # -- nights

    def _tend_night(self) -> None:
        """Begin a night every few kills; when one is done, check the whole ledger."""
        if self._night is None:
            if self._report.kills.total() % self._plan.kills_per_night == self._plan.kills_per_night - 1:
                self._begin_night()
        elif self._night.is_done():
            self._end_night(self._night)

    def _begin_night(self) -> Night:
        """Put the clock past the date's end, and clear it in a process of its own."""
        on = self._next_night
        at = datetime.combine(on + timedelta(days=1), clock_time(), tzinfo=UTC)
        with self._reached() as connection:
            set_clock(connection, at)
            connection.commit()
        self._write(msgspec.structs.replace(self._state, occurred_at=at.isoformat()))
        self._night = Night(on, self._environment, self._plan.folder / "nights.log")
        return self._night

    def _end_night(self, night: Night) -> None:
        self._report.nights += 1
        self._report.nights_cut_off += night.cut_off
        self._next_night = night.on + timedelta(days=1)
        self._night = None
        self._verify(f"after the night of {night.on}")

    def _verify(self, when: str) -> None:
        """What `tessera verify` checks, on one snapshot, while the tills go on."""
        with self._reached() as connection:
            found = [problem for check in CHECKS for problem in faults(connection, check)]
            found += problems_of_nights(connection)
        self._report.checks += 1
        self._report.wrong += [f"verify {when}: {one.check}, {one.where}: {one.detail}" for one in found]

    def _reached(self) -> Connection:
        """A connection that reads one snapshot; waits while the server recovers from what was killed last."""
        deadline = time.monotonic() + _STALLED_SECONDS
        while True:
            self._database.dispose()  # connections that a kill has ended
            try:
                return self._database.connect().execution_options(isolation_level="REPEATABLE READ")
            except OperationalError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)

    # -- the end

    def _finish(self) -> None:
        """Let the clients end, kill once more, clear the last night, then compare, replay and verify."""
        self._write(msgspec.structs.replace(self._state, stop=True))
        deadline = time.monotonic() + 2 * _STALLED_SECONDS
        for config, process in self._clients:
            if process.wait(max(1.0, deadline - time.monotonic())) != 0:
                raise TimeoutError(f"{config.name} ended with {process.returncode}: see its log")
        self._read_journals()
        self._postgres.kill_postmaster()
        self._restart_postgres()
        night = self._night or self._begin_night()
        self._progress("comparing", self._report.kills.total())
        with self._database.connect() as connection:
            self._report.wrong += compare(self._report.told, read_rows(connection))
            self._report.wrong += compare_transfers(self._report.told, read_transfers(connection))
        asyncio.run(self._replay())
        await_true(night.is_done, _STALLED_SECONDS, f"the night of {night.on} was never done")
        self._end_night(night)

    def _read_journals(self) -> None:
        report = self._report
        for config, _ in self._clients:
            for line in read_journal(Path(config.journal)):
                if line.odd:
                    report.wrong.append(f"{config.name}: {line.odd}")
                    continue
                report.told.append(Told(config.partner_id, line.kind, line.fields, line.status, line.answer))
                report.sent_again += line.attempts > 1
                report.in_files += line.in_file
                report.entries[line.kind if line.status == ACCEPTED else f"{line.kind}, refused"] += 1

    async def _replay(self) -> None:
        """Send every command once more; each must be answered as it was the first time."""
        for config, _ in self._clients:
            key = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(config.key))
            told = [one for one in self._report.told if one.partner_id == config.partner_id]
            address = self._state.addresses[0]
            async with SignedClient(address, config.key_id, key, now=_now) as client:
                lines = [one for one in told if BY_NAME[one.kind].in_files]
                for start in range(0, len(lines), _REPLAYED_AT_ONCE):
                    await self._replay_file(client, lines[start : start + _REPLAYED_AT_ONCE])
                for one in told:
                    if not BY_NAME[one.kind].in_files:
                        answer = await client.post(BY_NAME[one.kind].path, dict(one.fields))
                        self._judge(one, answer.status, answer.json())

    async def _replay_file(self, client: SignedClient, told: Sequence[Told]) -> None:
        lines = [Command(one.kind, one.fields).line for one in told]
        for _ in range(_REPLAYS):
            answers = (await client.send_file(lines)).lines()
            if all(said["status"] != _TRY_AGAIN for said in answers):
                break  # else a lane has just found that its connection died with the last server
        for one, said in zip(told, answers, strict=True):
            self._judge(one, said["status"], said["entry"] if said["status"] == ACCEPTED else said)

    def _judge(self, told: Told, status: int, said: dict[str, Any]) -> None:
        self._report.replayed += 1
        difference = same(told, *final_of(status, said))
        if difference is not None:
            self._report.wrong.append(difference)


def _noon(on: date) -> datetime:
    return datetime.combine(on, clock_time(12), tzinfo=UTC)


def _now() -> datetime:
    """Real time, which signatures carry."""
    return datetime.now(UTC)  # noqa: TID251 - a composition root


def _size(path: str) -> int:
    file = Path(path)
    return file.stat().st_size if file.exists() else 0
