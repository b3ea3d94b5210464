"""`tessera verify`: every check of both rooms on one snapshot of a live database, with a progress bar."""

from collections.abc import Callable, Sequence

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from sqlalchemy import Connection, Engine

from network import verify as ledger
from partners import files
from partners.people import audit
from settlement import verify as nights
from settlement import verify_nights, verify_seals
from settlement.sealing import unsealed_windows

Run = Callable[[Connection], Sequence[ledger.Problem]]


def checks_of(connection: Connection) -> list[tuple[str, str, Run]]:
    """Name, law and how to run it, for every check of all rooms."""
    asked = [(check.name, check.says, _runner(check)) for check in (*ledger.CHECKS, *nights.CHECKS)]
    return [
        *asked,
        (
            verify_nights.OBLIGATIONS_FOLLOW_TERMS,
            verify_nights.RECOMPUTED_SAY,
            lambda connection: list(verify_nights.recomputed(connection)),
        ),
        (
            verify_seals.SEALS_HOLD,
            verify_seals.SEALS_SAY,
            lambda connection: list(verify_seals.seal_problems(connection)),
        ),
        (audit.CHAIN_HOLDS, audit.CHAIN_SAYS, _chain_problems),
        (files.FILES_ANSWERED, files.FILES_SAY, _file_problems),
    ]


def verify_ledger(database: Engine, console: Console) -> int:
    """Run all checks and print what they find.

    They read one repeatable-read snapshot, so that tills may go on meanwhile.

    Returns:
        The number of problems.
    """
    problems = 0
    bar = Progress(
        TextColumn("{task.description:<28}"),
        BarColumn(),
        TextColumn("{task.completed}/{task.total}"),
        TimeElapsedColumn(),
        console=console,
        transient=True,
    )
    with database.connect().execution_options(isolation_level="REPEATABLE READ") as connection, bar:
        checks = checks_of(connection)
        task = bar.add_task("verify", total=len(checks))
        for name, says, run in checks:
            bar.update(task, description=name)
            found = run(connection)
            console.print(f"[green]ok[/]     {says}" if not found else f"[bold red]BROKEN[/] {says}")
            for problem in found:
                console.print(f"       {problem.where}: {problem.detail}", markup=False, highlight=False)
            problems += len(found)
            bar.advance(task)
        unsealed = unsealed_windows(connection)
        rows, head = audit.head_of(connection)
    if unsealed:
        console.print(f"[yellow]note[/]   {_unsealed(unsealed)}", highlight=False)
    if rows:
        console.print(f"the operators' record: {rows} rows, the last {head.hex()}", highlight=False)
    verdict = "[green]the ledger is whole[/]" if not problems else f"[bold red]{problems} problems[/]"
    console.print(f"{len(checks)} checks: {verdict}")
    return problems


def _chain_problems(connection: Connection) -> list[ledger.Problem]:
    return [
        ledger.Problem(check=audit.CHAIN_HOLDS, where=fault.where, detail=fault.detail)
        for fault in audit.chain_faults(connection)
    ]


def _file_problems(connection: Connection) -> list[ledger.Problem]:
    return [
        ledger.Problem(check=files.FILES_ANSWERED, where=where, detail=detail)
        for where, detail in files.faults(connection)
    ]


def _unsealed(windows: Sequence[int]) -> str:
    """What is not under any seal. It is no fault: a night may go on without the network's key."""
    which = f"window {windows[0]}" if len(windows) == 1 else f"windows {windows[0]} to {windows[-1]}"
    return f"{len(windows)} closed without a seal: {which}; set TESSERA_NETWORK_KEY and run `tessera seal`"


def _runner(check: ledger.Check) -> Run:
    return lambda connection: ledger.faults(connection, check)
