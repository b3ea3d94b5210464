"""A bar for work that takes a while, on a terminal alone: files and pipes get results only."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn


@contextmanager
def progress_bar(
    what: str, total: int, unit: str, console: Console | None = None, *, hidden: bool = False
) -> Iterator[Callable[[int], None]]:
    """Show how far work has come, and how long it will take; gone when it is done.

    Args:
        what: Words before the bar.
        total: How much there is to do.
        unit: Of what.
        console: Where; by default the terminal's error stream.
        hidden: Show nothing.
    Yields:
        To be told how much more was done.
    """
    console = console or Console(stderr=True)
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed:,.0f}/{task.total:,.0f} " + unit),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=hidden or not console.is_terminal,
    )
    with bar:
        task = bar.add_task(what, total=total)
        yield lambda done: bar.advance(task, done)
