"""`tessera demo`: a network of eleven partners, real purchases, every night settled, and a report."""

import asyncio
import shutil
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path

import msgspec
import uvloop
from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text
from sqlalchemy import Engine
from tessera_client import TesseraError

from api.child import ServerFailed, running_server
from api.demo.dataset import MAY, SPRING, YEAR, Shopping, load_shopping
from api.demo.errors import DemoError
from api.demo.expected import Expected, expect
from api.demo.network_file import NetworkFile, read_network_file
from api.demo.replay import Replay
from api.demo.result import print_controls, print_partners, read_outcome
from api.demo.settle import print_money, settle_night
from api.demo.setup import FOUNDED_AT, SCHEMA, alone, found_network, make_fresh_schema, make_signers
from api.nightly import write_night
from api.verification import verify_ledger
from config.database import acting_as, open_database
from config.network_key import load_or_make_network_key
from config.roles import application_role, reader_role
from config.settings import PROJECT, Settings
from network.programme.spec import read_programme
from network.service import set_clock
from settlement.reports.network import write_network_report
from settlement.reports.show import money
from settlement.seal import Signer
from settlement.sealing import seal_due
from settlement.service import clear

_NETWORK_FILE = PROJECT / "config" / "networks" / "demo.toml"
_PROGRAMME_FILE = PROJECT / "config" / "programmes" / "demo.toml"
_REPORT = "report.html"
_ENROLLED_BY = "supermarket"
# What steps cost beside one line of a file, so that the estimate of the time left stays steady.
_SINGLE_COSTS, _NIGHT_COSTS = 9, 500


class Demo(msgspec.Struct, frozen=True, kw_only=True):
    """One run: what is replayed, and where its papers go."""

    spec: NetworkFile
    shopping: Shopping
    dates: Sequence[date]
    out: Path

    @staticmethod
    def singly(on: date) -> bool:
        """Whether a date's requests are sent one by one; the other dates go as files."""
        return MAY[0] <= on < MAY[1]


def run_demo(settings: Settings, *, year: bool, out: Path) -> int:
    """Run the demo and print what it shows.

    Args:
        settings: Say which database; the demo makes its own schema in it, afresh each time.
        year: All twelve months and 366 nights, else January to May.
        out: Folder for report, statements and the server's log.
    Returns:
        The exit status: 0 if every figure is right.
    """
    console = Console()
    first, end = YEAR if year else (SPRING[0], MAY[1])
    own = settings.model_copy(update={"database_schema": SCHEMA})
    try:
        spec = read_network_file(_NETWORK_FILE)
        shopping = load_shopping(spec.partner_ids)
        print_controls(console, "The purchases", ("published", "counted"), shopping.controls)
        dates = [first + timedelta(days=number) for number in range((end - first).days)]
        with open_database(own) as database:
            demo = Demo(spec=spec, shopping=shopping, dates=dates, out=out)
            return run_on(database, own, demo, console)
    except (DemoError, TesseraError, ServerFailed) as error:
        console.print(f"demo: {error}", style="bold red", markup=False, highlight=False)
        return 1
    except KeyboardInterrupt:
        console.print("stopped; the server is shut down", style="yellow")
        return 130


def run_on(database: Engine, settings: Settings, demo: Demo, console: Console) -> int:
    """Replay, settle, check and print; the exit status.

    Args:
        database: An engine on the demo's schema as its owner; the schema is made afresh.
        settings: The ones that opened it, for the server.
        demo: What to replay.
        console: To print on.
    """
    started = _now()
    signers = make_signers(demo.spec.partner_ids)
    programme = _PROGRAMME_FILE.read_text(encoding="utf-8")
    with alone(database):
        _clean(demo.out)
        make_fresh_schema(database)
        found_network(
            database,
            demo.spec,
            programme,
            demo.shopping.outlets,
            signers,
            first=demo.dates[0],
            now=started,
        )
        application, reader = (role(settings.database_schema) for role in (application_role, reader_role))
        with (
            acting_as(database, application, settings) as own,
            running_server(_environment(settings), demo.out / "server.log") as server,
        ):
            nights = Nights(own, demo.out / "statements", _signer(settings))
            console.print(f"The API server answers at {server.base_url}; replaying {len(demo.dates)} days.")
            keys = {one.partner_id: (one.key_id, one.private_key) for one in signers.values()}
            with (
                Bar(demo, console) as bar,
                asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
            ):
                replay = Replay(server.base_url, keys, demo.spec.currency, now=_now, sent=bar.sent)
                runner.run(_replay(demo, replay, nights, bar))
        expected = expect(demo.shopping, demo.dates, read_programme(programme), demo.spec.partner_ids)
        with acting_as(database, reader, settings) as own:
            status = show_result(demo, own, expected, replay.refusals, console)
    console.print(f"took {(_now() - started).seconds} s", highlight=False)
    return status


def _signer(settings: Settings) -> Signer:
    """The network's key; the demo makes one of its own where none is named."""
    path = settings.network_key or settings.data_folder / "demo-network-key.pem"
    return Signer(load_or_make_network_key(path))


def _environment(settings: Settings) -> dict[str, str]:
    """The settings as the server reads them; an empty variable counts as unset."""
    url = settings.database_url
    return {
        "TESSERA_DATABASE_URL": "" if url is None else url.get_secret_value(),
        "TESSERA_HOME": "" if settings.home is None else str(settings.home.expanduser().absolute()),
        "TESSERA_SCHEMA": settings.database_schema,
        "TESSERA_LOG_LEVEL": "warning",
        "TESSERA_KEY_RATE": "100000",
    }


def _clean(out: Path) -> None:
    """Make the folder; remove an earlier run's report, and its statements, which may be of more nights.

    Only who holds the lock of `alone` may: the papers could be those of a demo that is running.
    """
    out.mkdir(parents=True, exist_ok=True)
    (out / _REPORT).unlink(missing_ok=True)
    for night in (out / "statements").glob("20[0-9][0-9]-[0-9][0-9]-[0-9][0-9]"):
        shutil.rmtree(night)


async def _replay(demo: Demo, replay: Replay, nights: "Nights", bar: "Bar") -> None:
    """Enrol, then send and end every business date."""
    async with replay:
        enroller = demo.spec.partner_ids[_ENROLLED_BY]
        await replay.enrol(enroller, demo.shopping.households, FOUNDED_AT)
        for on in demo.dates:
            bar.day(on, singly=demo.singly(on))
            nights.open(on)
            send = replay.send_singly if demo.singly(on) else replay.send_files
            await send(demo.shopping.days[on])
            nights.end(on)
            bar.night()


def show_result(
    demo: Demo, database: Engine, expected: Expected, told: Counter[str], console: Console
) -> int:
    """Report, check and print.

    Args:
        demo: What was replayed.
        database: The ledger, after its last night.
        expected: What it must have come to.
        told: Refusals as the partners were answered, by code.
        console: To print on.
    Returns:
        The exit status: 0 if every figure is right and every law of the ledger holds.
    """
    report = demo.out / _REPORT
    with database.connect() as connection:
        period = write_network_report(connection, demo.dates[0], demo.dates[-1], report)
        outcome = read_outcome(connection, demo.shopping, demo.dates, expected, told, period)
    problems = verify_ledger(database, console)
    print_controls(console, "The ledger beside the purchases", ("expected", "ledger"), outcome.controls)
    print_partners(console, period)
    if expected.expired_last:
        console.print(
            f"{expected.expired_last:,} points expired in the last night: the next one settles them, and "
            "partners' figures and report have them as outstanding",
            highlight=False,
        )
    for code, count in outcome.refused.items():
        console.print(f"refused as {code}: {count:,}", highlight=False)
    console.print(
        f"the pool holds {money(outcome.pool_holds)} {period.currency}, "
        f"and the outstanding points require {money(outcome.pool_must_hold)}",
        highlight=False,
    )
    with database.connect() as connection:
        print_money(connection, console)
    wrong = outcome.mismatches()
    if problems:
        wrong.append(f"verify found {problems} problems in the ledger")
    for one in wrong:
        console.print(f"WRONG: {one}", style="bold red", markup=False, highlight=False)
    console.print(f"report: {report}\nstatements: {demo.out / 'statements'}", highlight=False)
    console.print(
        f"the ledger stays in the schema {SCHEMA}: TESSERA_SCHEMA={SCHEMA} tessera verify", highlight=False
    )
    return 1 if wrong else 0


class Nights:
    """Ends business dates: sets the clock, clears, settles and seals, and writes the night's papers."""

    def __init__(self, database: Engine, directory: Path, signer: Signer) -> None:
        self._database = database
        self._directory = directory
        self._signer = signer

    def open(self, on: date) -> None:
        """Put the clock at the day's last second: whatever the tills report has happened by then."""
        self._set_clock(datetime.combine(on, time(23, 59, 59), tzinfo=UTC))

    def end(self, on: date) -> None:
        """Put the clock at midnight, clear, settle and seal the date, and write its statements."""
        midnight = datetime.combine(on + timedelta(days=1), time(), tzinfo=UTC)
        self._set_clock(midnight)
        night = clear(self._database, on, at=midnight)
        settle_night(self._database, on, at=midnight)
        seal_due(self._database, self._signer, midnight)
        write_night(self._database, night.window_id, self._directory, workbooks=False)

    def _set_clock(self, at: datetime) -> None:
        with self._database.begin() as connection:
            set_clock(connection, at)


class _Speed(ProgressColumn):
    """Entries a second, since the beginning, the nights included."""

    def render(self, task: Task) -> Text:
        elapsed = task.elapsed or 0.0
        speed = task.fields["entries"] / elapsed if elapsed else 0.0
        return Text(f"{task.fields['entries']:,} entries, {speed:,.0f}/s")


class Bar:
    """The progress bar. Steps are weighed by what they cost; entries are counted beside."""

    def __init__(self, demo: Demo, console: Console) -> None:
        self._progress = Progress(
            TextColumn("{task.description}"), BarColumn(), _Speed(), TimeRemainingColumn(), console=console
        )
        total = sum(
            (len(demo.shopping.days[on].sales) + len(demo.shopping.days[on].coupons))
            * (_SINGLE_COSTS if demo.singly(on) else 1)
            + _NIGHT_COSTS
            for on in demo.dates
        )
        self._task = self._progress.add_task(
            "enrolling members", total=total + len(demo.shopping.households), entries=0
        )
        self._entries = 0
        self._cost = 1

    def __enter__(self) -> "Bar":
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def sent(self, count: int) -> None:
        """Entries were answered."""
        self._entries += count
        self._progress.update(self._task, advance=count * self._cost, entries=self._entries)

    def day(self, on: date, *, singly: bool) -> None:
        """A business date begins."""
        self._cost = _SINGLE_COSTS if singly else 1
        way = "one by one" if singly else "as files"
        self._progress.update(self._task, description=f"{on} {way}")

    def night(self) -> None:
        """A business date has been cleared."""
        self._progress.update(self._task, advance=_NIGHT_COSTS)


def _now() -> datetime:
    """Real time, for signatures and to measure; business time is the network's clock."""
    return datetime.now(UTC)  # noqa: TID251 - a composition root
