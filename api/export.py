"""`tessera export journal`: the ledger as a file or a stream, whole or not there, with a progress bar."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import BinaryIO

from rich.console import Console
from sqlalchemy import Engine

from api.progress import progress_bar
from network.journal import FORMATS
from network.journal_store import export_journal, span

STANDARD_OUTPUT = Path("-")


def write_journal(
    database: Engine, form: str, first: date | None, last: date | None, *, out: Path, console: Console
) -> None:
    """Write the journal of some business dates, as one snapshot has them.

    Args:
        database: The ledger; tills may go on meanwhile.
        form: A name of network.journal.FORMATS.
        first: The first business date; None is the ledger's first.
        last: The last business date; None is the ledger's last, whose window may be open still.
        out: A file, which appears when it is whole, or STANDARD_OUTPUT.
        console: Gets the progress bar, where it is a terminal that does not show the journal itself.
    Raises:
        NoSuchWindow: a date has no window.
    """
    on_screen = out == STANDARD_OUTPUT and sys.stdout.isatty()
    with database.connect().execution_options(isolation_level="REPEATABLE READ") as connection:
        wanted = span(connection, first, last)
        bar = progress_bar("journal", wanted.entries, "entries", console, hidden=on_screen)
        with bar as advance, _opened(out) as file:
            for piece in export_journal(connection, wanted, FORMATS[form], advance=advance):
                file.write(piece.encode())


@contextmanager
def _opened(out: Path) -> Iterator[BinaryIO]:
    """Where to write. A file gets its name when it is whole: half a journal would balance as well."""
    if out == STANDARD_OUTPUT:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    part = out.with_name(f"{out.name}.part")
    try:
        with part.open("wb") as file:
            yield file
        part.replace(out)
    finally:
        part.unlink(missing_ok=True)
