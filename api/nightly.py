"""Statements and the operator's report of each settled night, as files."""

import logging
import os
import secrets
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import SQLAlchemyError

from network.service import date_of_window, read_ledger_id
from settlement.reports.night import NIGHT_REPORT, write_operator_report
from settlement.reports.statements import write_statements

log = logging.getLogger(__name__)

# What a night's files are made of: done again as another revision, or sealed, they are others.
_SETTLED = """
    SELECT r.window_id,
        r.revision || '/' || encode(s.sha256, 'hex') || coalesce('/' || encode(w.root, 'hex'), '') AS mark
    FROM settlement_run r JOIN settlement_step s USING (window_id, revision)
    LEFT JOIN window_seal w USING (window_id)
    WHERE s.step = 'netted' AND r.state NOT IN ('closed', 'priced', 'aborted')
"""
_LATEST = text(f"{_SETTLED} ORDER BY window_id DESC LIMIT :nights")
_ONE = text(f"{_SETTLED} AND r.window_id = :window_id")
_LOOKED_BACK = 400
"""Nights whose files are looked for; older ones are made by asking (`tessera clear --date`)."""
_OWNER = ".ledger"
"""The file that says whose statements a folder has."""
_HEAD = 1_000
"""Bytes of a night's report within which its mark stands."""


def folder_of(database: Engine, wanted: Path) -> Path:
    """The folder of this ledger's statements: the one that is wanted, or one of its own beside it.

    Two databases may have schemas of one name under one home; each has its statements, and sees those that
    are missing. Whoever comes first has the folder.
    """
    with database.connect() as connection:
        ours = str(read_ledger_id(connection))
    try:
        return _claimed(wanted, ours)
    except OSError:
        log.exception("%s cannot be made: no statements are written until it can", wanted)
        return wanted


def _claimed(wanted: Path, ours: str) -> Path:
    wanted.mkdir(parents=True, exist_ok=True)
    claim = wanted / f"{_OWNER}.{os.getpid()}-{secrets.token_hex(4)}"
    try:
        claim.write_text(ours)
        with suppress(FileExistsError):
            os.link(claim, wanted / _OWNER)  # whole, and only one of two
    finally:
        claim.unlink(missing_ok=True)
    if (wanted / _OWNER).read_text() == ours:
        return wanted
    beside = wanted.with_name(f"{wanted.name}-{ours[:8]}")
    beside.mkdir(parents=True, exist_ok=True)
    return beside


def write_night(database: Engine, window_id: int, directory: Path, *, workbooks: bool = True) -> Path:
    """Write a settled night's files; the same night gives the same bytes.

    Args:
        database: Where the night is.
        window_id: Its window.
        directory: Gets a folder for the business date.
        workbooks: Statements as XLSX, too, besides CSV and page.

    Returns:
        The folder of its business date. The operator's report is written last: where it is, all are.
    """
    with database.connect() as connection:
        # First: should the night change meanwhile, its files are seen to be old.
        mark = _mark_of(connection, window_id)
        write_statements(connection, window_id, directory, workbooks=workbooks)
        write_operator_report(connection, window_id, directory, mark=mark)
    return directory / date_of_window(window_id).isoformat()


def write_missing_nights(
    database: Engine, directory: Path, stop: Callable[[], bool] = lambda: False
) -> list[Path]:
    """Write the files of settled nights that have none yet, or old ones, oldest first; whoever settled them.

    A night that was done again or sealed since has others. One that cannot be written is logged and tried
    again at the next call; those after it are written. Nothing is raised.

    Args:
        database: Where the nights are.
        directory: Gets a folder for each business date.
        stop: Asked between nights; true ends the work early.
    Returns:
        The folders written.
    """
    written: list[Path] = []
    for window_id in _missing(database, directory):
        if stop():
            break
        try:
            written.append(write_night(database, window_id, directory))
        except Exception:  # whatever is wrong with one night, it must not keep the others from their readers
            log.exception("the night of window %s was not written", window_id)
    return written


def _missing(database: Engine, directory: Path) -> list[int]:
    """Settled windows whose last file is missing or made of something else; oldest first."""
    try:
        with database.connect() as connection:
            settled = connection.execute(_LATEST, {"nights": _LOOKED_BACK}).all()
        return [row.window_id for row in reversed(settled) if not _is_written(directory, *row)]
    except (SQLAlchemyError, OSError):
        log.exception("settled nights were not looked up, and no statements written")
        return []


def _is_written(directory: Path, window_id: int, mark: str) -> bool:
    try:
        with (directory / date_of_window(window_id).isoformat() / NIGHT_REPORT).open("rb") as report:
            return f'content="{mark}"'.encode() in report.read(_HEAD)
    except (FileNotFoundError, NotADirectoryError):
        return False


def _mark_of(connection: Connection, window_id: int) -> str:
    row = connection.execute(_ONE, {"window_id": window_id}).one_or_none()
    return "" if row is None else str(row.mark)
