"""Nights through every step to `settled` while what takes them on is killed at random, again and again.

Each night is the worked one, in a database of its own. Two processes take it on; SIGKILL ends one, both, one
of the server's processes for them, or the whole server, at any moment. At the end its hashes are those of a
night that nobody disturbed, its rows as many, and every check of the money ledger holds.
"""

import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from random import Random

from sqlalchemy import URL, Engine, make_url, text
from sqlalchemy.exc import OperationalError

from config.cluster import OWNER
from config.database import create_database, ensure_schema, make_engine, migrate
from config.roles import application_role
from network.service import ensure_partitions
from network.verify import faults
from settlement import store
from settlement.model import STEPS, Step
from settlement.verify_money import MONEY_CHECKS
from tests.conftest import SCHEMA
from tests.crash.site import Postgres
from tests.crash.steps import WINDOW, go, state
from tests.crash.workers import workers
from tests.integration.test_night import FIRST, WORKED_TERMS, post, set_up, worked_night

PROCESSES = ("first", "second", "both")
_WRITTEN = ("settlement_step", "obligation", "net_position", "money_posting", "instruction_payment")
_BACK_SECONDS = 60.0
_A_STEP_SECONDS = 0.03
"""About what a step takes: a kill within that time after a step hits the next."""


@dataclass
class Nights:
    """What happened; sound where `wrong` is empty. `steps`: how far nights were when something was killed."""

    kills: Counter[str] = field(default_factory=Counter)
    steps: Counter[str] = field(default_factory=Counter)
    nights: int = 0
    wrong: list[str] = field(default_factory=list)


def migrated(url: URL) -> None:
    """Make the schema with its tables and the partitions of the night."""
    owner = make_engine(url, schema=SCHEMA)
    with owner.begin() as connection:
        ensure_schema(connection, SCHEMA)
    migrate(owner)
    with owner.begin() as connection:
        ensure_partitions(connection, FIRST, FIRST)
    owner.dispose()


def disturb(
    url: URL,
    undisturbed: dict[str, object],
    seen: Nights,
    random: Random,
    *,
    kills: int,
    others: Mapping[str, Callable[[], object]],
) -> None:
    """Take one night to its end under so many kills, and compare it.

    Args:
        url: A migrated database without rows.
        undisturbed: What `outcome` says of a night that nobody disturbed.
        seen: Gets what happened.
        random: Who is killed when.
        kills: How often at most; then it is let alone.
        others: What else can be killed, by name: the server's processes. They come back by themselves.
    """
    database = make_engine(url, schema=SCHEMA, role=application_role(SCHEMA))
    try:
        movements = worked_night()
        random.shuffle(movements)
        set_up(database, WORKED_TERMS)
        post(database, movements)
        address = url.render_as_string(hide_password=False)
        for _ in range(kills):
            if _patiently(database, state) == "settled":
                break
            with workers(address, "settled", "first", "second") as both:
                victim = random.choice((*PROCESSES, *others))
                _await_steps(database, random.randint(0, 2))
                time.sleep(random.uniform(0, _A_STEP_SECONDS))
                if victim in others:
                    others[victim]()
                else:
                    for name in ("first", "second") if victim == "both" else (victim,):
                        both.pop(name).kill()
                seen.kills[victim] += 1
                time.sleep(random.uniform(0, _A_STEP_SECONDS))
            seen.steps[_patiently(database, state) or "open"] += 1
        _patiently(database, state)
        go(database, "settled")
        seen.nights += 1
        found = outcome(database)
        seen.wrong += [
            f"night {seen.nights}: {name} differs" for name in found if found[name] != undisturbed[name]
        ]
    finally:
        database.dispose()


def outcome(database: Engine) -> dict[str, object]:
    """What a settled night comes to: its hashes, how many rows it has, and what is wrong with its money."""
    with database.connect() as connection:
        return {
            "hashes": store.load_hashes(connection, [WINDOW])[WINDOW],
            "rows": {
                name: connection.execute(text(f"SELECT count(*) FROM {name}")).scalar_one()
                for name in _WRITTEN
            },
            "money": [str(one) for check in MONEY_CHECKS for one in faults(connection, check)],
        }


def settled_in_peace(url: URL) -> dict[str, object]:
    """The outcome of a night that nobody disturbs, in a migrated database without rows."""
    database = make_engine(url, schema=SCHEMA, role=application_role(SCHEMA))
    try:
        set_up(database, WORKED_TERMS)
        post(database, worked_night())
        go(database, "settled")
        return outcome(database)
    finally:
        database.dispose()


def _await_steps(database: Engine, more: int) -> None:
    """Wait until the night is so many steps further, or at its end."""
    at = _place(state(database))
    deadline = time.monotonic() + _BACK_SECONDS
    while at + more > (now := _place(state(database))) and now < len(STEPS):
        if time.monotonic() > deadline:
            raise TimeoutError(f"no step was done in {_BACK_SECONDS:.0f} s")
        time.sleep(0.002)


def _place(step: Step | None) -> int:
    return 0 if step is None else STEPS.index(step) + 1


def _patiently(database: Engine, asked: Callable[[Engine], str | None]) -> str | None:
    """Ask a database whose server may just be coming back."""
    deadline = time.monotonic() + _BACK_SECONDS
    while True:
        try:
            return asked(database)
        except OperationalError:
            if time.monotonic() > deadline:
                raise
            database.dispose()
            time.sleep(0.05)


def run_nights(home: Path, random: Random, *, nights: int, kills: int) -> Nights:
    """Nights on a server of their own with durable settings, whose processes are killed too.

    Args:
        home: Where the server's data is while this runs.
        random: Who is killed when.
        nights: How many.
        kills: How often in each, at most.
    """
    seen = Nights()
    postgres = Postgres(home)
    try:
        postgres.start()

        def made(name: str) -> URL:
            create_database(postgres.server, name)
            url = make_url(postgres.server.url(name))
            migrated(url)
            return url

        def restarted() -> None:
            postgres.kill_postmaster()
            postgres.stop()
            postgres.start()

        peace = settled_in_peace(made("in_peace"))
        for number in range(1, nights + 1):
            name = f"night_{number}"
            url = made(name)
            others: dict[str, Callable[[], object]] = {
                "backend": partial(postgres.kill_child, f"{OWNER} {name}", random),
                "postmaster": restarted,
            }
            disturb(url, peace, seen, random, kills=kills, others=others)
    finally:
        postgres.remove()
    return seen
