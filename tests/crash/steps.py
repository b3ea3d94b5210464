"""The worked night as processes take it, step by step, from wherever it stands, to be killed at any moment.

A process carries out what is not done, until the night is as far as it was told to go. Several may do so at
once: what one has done the others find done.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from multiprocessing.connection import Connection as Pipe

from sqlalchemy import Engine, event
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.pool import ConnectionPoolEntry

from config.database import make_engine
from config.roles import application_role
from network.service import date_of_window
from settlement import payment_store, store
from settlement.errors import SettlementError
from settlement.model import STEPS, Step
from settlement.payments import due_of, record_payment
from settlement.runs import advance, approve_run, instruct, propose_run
from settlement.service import close_step, net_step, price_step
from tests.conftest import SCHEMA
from tests.integration.test_night import FIRST, OVER, PROGRAMME

WINDOW = 20170501
LATER = OVER + timedelta(hours=9)
BOOKED_IN, BOOKED_OUT = "pay-ins booked", "pay-outs booked"
STOPS: tuple[str, ...] = (*STEPS[:5], BOOKED_IN, "funded", BOOKED_OUT, "paid", "settled")
"""Where a process can be told to stop: every step of a run, and the bank's bookings between them."""
_TRIES = 50


@dataclass(frozen=True)
class Task:
    """What a process is to do: where, under which name, and how far."""

    url: str
    name: str
    through: str


def work(task: Task, pipe: Pipe) -> None:
    """Take the night to where it is to go, say so, and wait to be ended. For a process of its own."""
    engine = make_engine(task.url, schema=SCHEMA, role=application_role(SCHEMA), lock_timeout_ms=60_000)

    def name(connection: DBAPIConnection, _: ConnectionPoolEntry) -> None:
        cursor = connection.cursor()
        cursor.execute("SELECT set_config('application_name', %s, false)", (task.name,))
        cursor.close()
        connection.commit()

    event.listen(engine, "connect", name)
    try:
        go(engine, task.through)
        pipe.send("done")
    except Exception as error:
        pipe.send(repr(error))
    pipe.recv()  # nothing ever comes: whoever started this process kills it


def go(database: Engine, through: str) -> None:
    """Carry out every step that is not done; where another is quicker, go on from what it did.

    Raises:
        SettlementError: nothing goes on any more.
    """
    for done in range(_TRIES):
        try:
            for stop in STOPS[: STOPS.index(through) + 1]:
                if not is_done(database, stop):
                    _DO[stop](database)
        except SettlementError:
            if done == _TRIES - 1:
                raise
        else:
            return


def state(database: Engine) -> Step | None:
    """How far the run is; None before there is one."""
    with database.connect() as connection:
        known = store.runs_from(connection, WINDOW)
        return store.live_run(connection, WINDOW).state if known else None


def is_done(database: Engine, stop: str) -> bool:
    """Whether a stop is reached."""
    now = state(database)
    if stop in STEPS:
        return now is not None and STEPS.index(now) >= STEPS.index(stop)
    way = "in" if stop == BOOKED_IN else "out"
    with database.connect() as connection:
        due = due_of(connection, WINDOW)
    return all(one.booked_minor == one.due_minor for one in due if one.direction == way)


def _approve(database: Engine) -> None:
    """Anna proposes, unless that was done before; bert approves what is there."""
    with database.connect() as connection:
        attempts = payment_store.load_approvals(connection, store.live_run(connection, WINDOW))
    waiting = [one for one in attempts if one.decided_by is None]
    proposal = waiting[0] if waiting else propose_run(database, FIRST, by="anna", at=LATER)
    approve_run(database, FIRST, sha256=proposal.sha256, by="bert", at=LATER)


def _book(way: str) -> Callable[[Engine], None]:
    def book(database: Engine) -> None:
        with database.connect() as connection:
            due = due_of(connection, WINDOW)
        for one in due:
            if one.direction == way:
                with database.begin() as connection:
                    record_payment(
                        connection,
                        end_to_end_id=one.end_to_end_id,
                        amount_minor=one.due_minor,
                        payment_reference=f"paid {one.end_to_end_id}",
                        booked_on=date_of_window(WINDOW),
                        by="bank",
                        at=LATER,
                    )

    return book


def _advance(*, final: bool) -> Callable[[Engine], None]:
    """As far as it goes; where it is not to be final yet, something speaks against that."""

    def go_on(database: Engine) -> None:
        try:
            advance(database, FIRST, at=LATER, objections=lambda *_: () if final else ("not yet",))
        except SettlementError:
            if final or state(database) != "paid":
                raise

    return go_on


_DO: Mapping[str, Callable[[Engine], object]] = {
    "closed": lambda database: close_step(database, FIRST, at=OVER),
    "priced": lambda database: price_step(database, FIRST, at=OVER, programme_version=PROGRAMME),
    "netted": lambda database: net_step(database, FIRST, at=OVER),
    "approved": _approve,
    "instructed": lambda database: instruct(database, FIRST, by="anna", at=LATER),
    BOOKED_IN: _book("in"),
    "funded": _advance(final=False),
    BOOKED_OUT: _book("out"),
    "paid": _advance(final=False),
    "settled": _advance(final=True),
}
