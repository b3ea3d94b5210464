"""The worker: settles every night at the network's cut-off, delivers webhooks, keeps partitions ahead.

The scheduler only nudges; the database decides what is due, so that workers may be many, late or killed.
"""

import logging
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from queue import SimpleQueue
from types import FrameType
from zoneinfo import ZoneInfo

from apscheduler.schedulers.background import BackgroundScheduler  # type: ignore[import-untyped]  # has no types
from apscheduler.triggers.combining import OrTrigger  # type: ignore[import-untyped]  # has no types
from apscheduler.triggers.cron import CronTrigger  # type: ignore[import-untyped]  # has no types
from apscheduler.triggers.interval import IntervalTrigger  # type: ignore[import-untyped]  # has no types
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from api.hooks.dispatch import Dispatcher, DispatcherThread
from api.nightly import write_missing_nights
from api.worker_metrics import WorkerMetrics
from network.batch import end_over_holds
from network.errors import InvariantBroken, NetworkError, Unavailable
from network.exposure_store import watch
from network.rules import Rules
from network.service import Network, load_rules, make_partitions_ahead, network_now, read_network
from network.store import members_with_over_holds
from partners import files
from partners.hooks.history import prune
from settlement import exposure_rows
from settlement.bank.resolving import objections as bank_objections
from settlement.disputes import carry_on_due
from settlement.errors import NotFinal, SettlementError
from settlement.runs import Objections, advance_due
from settlement.seal import Signer
from settlement.sealing import seal_due
from settlement.service import Timed, book_netted_nights, clear_due

log = logging.getLogger(__name__)

NUDGE_SECONDS = 60
"""A cut-off that was missed is noticed within this time."""
WATCH_SECONDS = 5
"""So soon it is on record that a night, a rate or a contract took a partner past a threshold of its cap."""
HOLDS_AT_A_TIME = 500
"""Members whose lapsed holds are ended in one transaction."""

FindSigner = Callable[[], Signer | None]
"""Reads the network's key anew at each nudge, so that it can be replaced; None where there is none to use."""
Stop = SimpleQueue[None]
"""Whatever is put here ends the worker. A queue, because a signal handler may put to it at any moment."""


def no_signer() -> Signer | None:
    """No network key: nights are settled, and not sealed."""
    return None


def run_worker(
    database: Engine,
    statements: Path,
    *,
    stop: Stop | None = None,
    find_signer: FindSigner = no_signer,
    objections: Objections = bank_objections,
    dispatchers: Sequence[Dispatcher] = (),
    metrics: WorkerMetrics | None = None,
) -> None:
    """Work until SIGTERM or SIGINT, or until something is put on `stop`; the night under way is finished.

    Args:
        database: Where the ledger is.
        statements: Folder that gets each night's statements and the operator's report.
        stop: Ends the work, for tests.
        find_signer: Gives the network's key.
        objections: What else speaks against finalising a run.
        dispatchers: Deliver webhooks meanwhile, each those of a database; none: nobody does here.
        metrics: What is counted.

    Raises:
        NotReady: the database holds no network.
    """
    stop = SimpleQueue() if stop is None else stop
    with database.connect() as connection:
        network = read_network(connection)
    ending = threading.Event()
    scheduler = BackgroundScheduler(timezone=UTC)
    scheduler.add_job(
        nudge,
        _trigger(network),
        args=(database, statements, ending.is_set, find_signer, objections, metrics),
        next_run_time=datetime.now(UTC),  # noqa: TID251  # a composition root; the scheduler's own clock
        coalesce=True,
        max_instances=1,
        misfire_grace_time=None,
    )
    scheduler.add_job(
        watch_caps,
        IntervalTrigger(seconds=WATCH_SECONDS, timezone=UTC),
        args=(database,),
        coalesce=True,
        max_instances=1,
        misfire_grace_time=None,
    )
    logging.getLogger("apscheduler").setLevel(logging.WARNING)
    with _signals(stop):
        scheduler.start()
        hooks = [DispatcherThread(dispatcher) for dispatcher in dispatchers]
        for each in hooks:
            each.start()
        log.info("settling nights of %s at %s %s", network.name, network.cut_off, network.time_zone)
        try:
            stop.get()
        finally:
            ending.set()
            for each in hooks:
                each.stop()
            scheduler.shutdown(wait=True)
    log.info("the worker has ended")


def nudge(
    database: Engine,
    statements: Path,
    stop: Callable[[], bool] = lambda: False,
    find_signer: FindSigner = no_signer,
    objections: Objections = bank_objections,
    metrics: WorkerMetrics | None = None,
) -> None:
    """Make the partitions to come, settle and seal what is due, write files; what fails is tried again."""
    counted = WorkerMetrics() if metrics is None else metrics
    with counted.step("partitions"):
        _make_partitions(database)
    with counted.step("events"):
        _prune_events(database)
    with counted.step("holds"):
        _end_holds(database, stop)
    with counted.step("disputes"):
        _carry_on_disputes(database, stop)
    with counted.step("expired files"):
        _expire_files(database, stop)
    with counted.step("settle"):
        _settle(database, stop, counted.night_step)
    with counted.step("advance"):
        _advance(database, objections)
    with counted.step("seal"):
        _seal(database, stop, find_signer)
    with counted.step("files"):
        for folder in write_missing_nights(database, statements, stop):
            log.info("statements written: %s", folder)
    counted.nudged()


def _make_partitions(database: Engine) -> None:
    try:
        make_partitions_ahead(database)
    except (NetworkError, SQLAlchemyError):
        log.exception("partitions were not made; the next try is in %s seconds", NUDGE_SECONDS)


def watch_caps(database: Engine) -> None:
    """Make rows where a contract with a cap has none, and record who has passed a threshold unseen."""
    try:
        with database.begin() as connection:
            made = exposure_rows.ensure(connection)
        with database.connect() as connection:
            rules = load_rules(connection)
        moves = watch(database, rules) if rules.caps.partners else []
    except (NetworkError, SettlementError, SQLAlchemyError):
        log.exception("caps were not watched; the next try is in %s seconds", WATCH_SECONDS)
        return
    if made:
        log.info("rows of partners with a cap were made")
    for move in moves:
        log.warning(
            "partner %s went from level %s to %s of its cap: %s %s",
            *(move.partner_id, move.level_before, move.level, move.amount, move.currency),
        )


def _seal(database: Engine, stop: Callable[[], bool], find_signer: FindSigner) -> None:
    """Seal what is settled; statements show it. A night never waits for this."""
    signer = find_signer()
    if signer is None:
        return
    try:
        with database.connect() as connection:
            now = network_now(connection)
        seals = seal_due(database, signer, now, stop=stop)
    except (NetworkError, SettlementError, SQLAlchemyError):
        log.exception("a window was not sealed; the next try is in %s seconds", NUDGE_SECONDS)
        return
    for seal in seals:
        log.info("sealed window %s: %s postings, root %s", seal.window_id, seal.tree_size, seal.root.hex())


def _end_holds(database: Engine, stop: Callable[[], bool]) -> None:
    """Give back what holds still hold whose time is over; a command of their member would do it too."""
    ended = 0
    try:
        with database.connect() as connection:
            rules, now = load_rules(connection), network_now(connection)
        while not stop():
            with database.connect() as connection:
                members = members_with_over_holds(connection, now, HOLDS_AT_A_TIME)
            if not members:
                break
            ended += _end_of(database, members, rules)
    except (NetworkError, SQLAlchemyError):
        log.exception("holds that are over were not ended; the next try is in %s seconds", NUDGE_SECONDS)
    if ended:
        log.info("%s holds lapsed", ended)


def _end_of(database: Engine, members: Sequence[int], rules: Rules) -> int:
    """End the holds of members together; where that breaks one by one, so that only the broken one waits."""
    try:
        return end_over_holds(database, members, rules)
    except Unavailable:
        raise
    except (NetworkError, SQLAlchemyError):
        if len(members) == 1:
            raise
    ended = broken = 0
    for member_id in members:
        try:
            ended += end_over_holds(database, [member_id], rules)
        except (NetworkError, SQLAlchemyError):
            log.exception("holds of member %s that are over were not ended", member_id)
            broken += 1
    if broken == len(members):
        raise InvariantBroken(f"none of {len(members)} members' holds could be ended")
    return ended


def _prune_events(database: Engine) -> None:
    """Forget what partners were told more than thirty days ago."""
    try:
        with database.connect() as connection:
            now = network_now(connection)
        pruned = prune(database, now)
    except (NetworkError, SQLAlchemyError):
        log.exception("old events were not forgotten; the next try is in %s seconds", NUDGE_SECONDS)
        return
    if pruned:
        log.info("%s events are older than thirty days and forgotten", pruned)


def _carry_on_disputes(database: Engine, stop: Callable[[], bool]) -> None:
    """Disputes whose deadline has passed go where silence takes them."""
    try:
        while not stop() and (moved := carry_on_due(database)):
            for event in moved:
                log.info("dispute %s is %s: nobody answered in time", event.dispute_id, event.state)
    except (NetworkError, SettlementError, SQLAlchemyError):
        log.exception("disputes were not carried on; the next try is in %s seconds", NUDGE_SECONDS)


def _expire_files(database: Engine, stop: Callable[[], bool]) -> None:
    """Remove the answers to files whose month is over."""
    try:
        while not stop():
            with database.begin() as connection:
                if not files.expire(connection, network_now(connection)):
                    break
    except (NetworkError, SQLAlchemyError):
        log.exception("files were not removed; the next try is in %s seconds", NUDGE_SECONDS)


def _settle(database: Engine, stop: Callable[[], bool], timed: Timed) -> None:
    try:
        with database.connect() as connection:
            now = network_now(connection)
        nights = clear_due(database, now, stop=stop, timed=timed)
        book_netted_nights(database, at=now)
    except (NetworkError, SettlementError, SQLAlchemyError):
        log.exception("a night was not settled; the next try is in %s seconds", NUDGE_SECONDS)
        return
    for night in nights:
        log.info(
            "settled %s: %s minor units of %s paid in and out, hash %s",
            night.business_date,
            night.payment_minor,
            night.currency,
            night.hashes["netted"].hex(),
        )


def _advance(database: Engine, objections: Objections) -> None:
    """Note what banks have booked: runs become funded, paid, settled. What is paid and not final is told."""
    try:
        with database.connect() as connection:
            now = network_now(connection)
        runs = advance_due(database, at=now, objections=objections)
    except (NetworkError, SettlementError, SQLAlchemyError):
        log.exception("runs were not advanced; the next try is in %s seconds", NUDGE_SECONDS)
        return
    for on, state in runs.items():
        if isinstance(state, NotFinal):
            log.warning("%s is paid and not final: %s", on, state)


def next_nudges(network: Network, after: datetime, count: int) -> list[datetime]:
    """When a worker that nudged at an instant does so next: every minute, and at the local cut-off."""
    trigger = _trigger(network)
    nudges = [after]
    for _ in range(count):
        nudges.append(trigger.get_next_fire_time(nudges[-1], nudges[-1]))
    return nudges[1:]


def _trigger(network: Network) -> OrTrigger:
    """At the cut-off in the network's own time zone, and every minute."""
    cut_off = network.cut_off
    return OrTrigger(
        [
            CronTrigger(
                hour=cut_off.hour,
                minute=cut_off.minute,
                second=cut_off.second,
                timezone=ZoneInfo(network.time_zone),
            ),
            IntervalTrigger(seconds=NUDGE_SECONDS, timezone=UTC),
        ]
    )


@contextmanager
def _signals(stop: Stop) -> Iterator[None]:
    """Let SIGTERM and SIGINT end the worker; only a process's main thread can be told."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def end(number: int, frame: FrameType | None) -> None:
        del number, frame
        stop.put(None)

    before = {number: signal.signal(number, end) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
