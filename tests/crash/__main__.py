"""`make crash`: so many kills, then a table; exit status 1 if anything was lost, doubled or changed."""

import argparse
import os
import secrets
import shutil
import sys
import tempfile
from pathlib import Path
from random import Random

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from config.cluster import postgres_home
from config.postgres import sweep
from config.settings import PROJECT
from tests.crash.harness import Plan, Report, run
from tests.crash.nights import Nights, run_nights

_SHOWN = 20
_KILLS_A_NIGHT = 12


def main() -> int:
    """Run, print, and say by the exit status whether all held."""
    parser = argparse.ArgumentParser(prog="python -m tests.crash", description=__doc__)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seconds-max", type=float, default=900, help="no further kill after that time")
    parser.add_argument("--seed", type=int, default=None, help="of what is killed when; drawn by default")
    parser.add_argument("--servers", type=int, default=2, help="API processes")
    parser.add_argument("--tills", type=int, default=6, help="of each of the four client processes")
    parser.add_argument("--nights", type=int, default=6, help="to their end under kills of their own")
    options = parser.parse_args()
    seed = secrets.randbelow(10**6) if options.seed is None else options.seed
    given = os.environ.get("TESSERA_HOME")
    home = postgres_home(PROJECT, Path(given) if given else None)
    sweep(home, "tests-*")
    console = Console()
    build = PROJECT / "build"
    build.mkdir(exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="crash-", dir=build))
    bar = Progress(
        TextColumn("{task.description:<26}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
    )
    plan = Plan(
        kills=options.kills,
        seconds_max=options.seconds_max,
        home=home,
        folder=folder,
        seed=seed,
        servers=options.servers,
        tills=options.tills,
    )
    with bar:
        task = bar.add_task("starting", total=options.kills)
        try:
            report = run(plan, lambda what, kills: bar.update(task, description=what, completed=kills))
        except TimeoutError as error:
            console.print(f"crash: {error}\nlogs are in {folder}", style="bold red", markup=False)
            return 1
    _show(console, plan, report)
    console.print("nights to their end, killed at random ...")
    nights = run_nights(home, Random(seed), nights=options.nights, kills=_KILLS_A_NIGHT)
    _show_nights(console, nights)
    if report.wrong or nights.wrong:
        console.print(f"logs are in {folder}", highlight=False)
        return 1
    shutil.rmtree(folder)
    return 0


def _show(console: Console, plan: Plan, report: Report) -> None:
    table = Table("", "", show_header=False)
    table.add_row("kill -9", f"{report.kills.total()} in {report.seconds:.0f} s (seed {plan.seed})")
    for victim, count in sorted(report.kills.items()):
        table.add_row(f"  {victim}", f"{count:,}")
    table.add_row("victims that had just ended", f"{report.missed} (not counted)")
    table.add_row("commands answered", f"{len(report.told):,}")
    for kind, count in sorted(report.entries.items()):
        table.add_row(f"  {kind}", f"{count:,}")
    table.add_row("of them in files", f"{report.in_files:,}")
    table.add_row("asked more than once", f"{report.sent_again:,}")
    table.add_row(
        "nights cleared", f"{report.nights} ({report.nights_cut_off} times cut off and begun again)"
    )
    table.add_row("ledger verified", f"{report.checks} times")
    table.add_row("replayed at the end", f"{report.replayed:,}")
    console.print(table)
    for wrong in report.wrong[:_SHOWN]:
        console.print(f"WRONG: {wrong}", style="bold red", markup=False, highlight=False)
    if len(report.wrong) > _SHOWN:
        console.print(f"… and {len(report.wrong) - _SHOWN} more", style="bold red")
    if report.kills.total() < plan.kills:
        console.print(f"{plan.kills} kills were asked for, and the time allowed {report.kills.total()}")
    if not report.wrong:
        console.print("[green]nothing acknowledged was lost, nothing doubled, every answer stands[/]")


def _show_nights(console: Console, nights: Nights) -> None:
    table = Table("", "", show_header=False)
    table.add_row("kill -9 in nights", f"{nights.kills.total()} in {nights.nights} nights")
    for victim, count in sorted(nights.kills.items()):
        table.add_row(f"  {victim}", f"{count:,}")
    for step, count in sorted(nights.steps.items()):
        table.add_row(f"  the night then was {step}", f"{count:,}")
    console.print(table)
    for wrong in nights.wrong[:_SHOWN]:
        console.print(f"WRONG: {wrong}", style="bold red", markup=False, highlight=False)
    if not nights.wrong:
        console.print("[green]every night has the hashes of one that nobody disturbed[/]")


if __name__ == "__main__":
    sys.exit(main())
