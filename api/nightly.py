"""Statements and the operator's report of each settled night, as files."""

import logging
from collections.abc import Callable, Collection
from pathlib import Path

from sqlalchemy import Engine, text
from sqlalchemy.exc import SQLAlchemyError

from network.service import date_of_window
from settlement.reports.night import NIGHT_REPORT, write_operator_report
from settlement.reports.statements import write_statements

log = logging.getLogger(__name__)

_SETTLED = text(
    "SELECT window_id FROM settlement_run WHERE state NOT IN ('closed', 'priced', 'aborted')"
    " ORDER BY window_id DESC LIMIT :nights"
)
_LOOKED_BACK = 400
"""Nights whose files are looked for; older ones are made by asking (`tessera clear --date`)."""


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
        write_statements(connection, window_id, directory, workbooks=workbooks)
        write_operator_report(connection, window_id, directory)
    return directory / date_of_window(window_id).isoformat()


def write_missing_nights(
    database: Engine,
    directory: Path,
    stop: Callable[[], bool] = lambda: False,
    anew: Collection[int] = (),
) -> list[Path]:
    """Write the files of settled nights that have none yet, oldest first; whoever settled them.

    A night that cannot be written is logged and tried again at the next call; those after it are written.
    Nothing is raised.

    Args:
        database: Where the nights are.
        directory: Gets a folder for each business date.
        stop: Asked between nights; true ends the work early.
        anew: Windows whose files are written again: those sealed just now, for statements show the seal.
    Returns:
        The folders written.
    """
    written: list[Path] = []
    for window_id in _missing(database, directory, anew):
        if stop():
            break
        try:
            written.append(write_night(database, window_id, directory))
        except Exception:  # whatever is wrong with one night, it must not keep the others from their readers
            log.exception("the night of window %s was not written", window_id)
    return written


def _missing(database: Engine, directory: Path, anew: Collection[int]) -> list[int]:
    """Settled windows without the file that is written last, and those to write anew; oldest first."""
    try:
        with database.connect() as connection:
            settled = connection.execute(_SETTLED, {"nights": _LOOKED_BACK}).scalars().all()
        return [
            window_id
            for window_id in reversed(settled)
            if window_id in anew
            or not (directory / date_of_window(window_id).isoformat() / NIGHT_REPORT).exists()
        ]
    except (SQLAlchemyError, OSError):
        log.exception("settled nights were not looked up, and no statements written")
        return []
