"""Statements and the operator's report of each settled night, as files."""

from pathlib import Path

from sqlalchemy import Engine, text

from network.service import date_of_window
from settlement.reports import NIGHT_REPORT, write_operator_report, write_statements

_SETTLED = text(
    "SELECT window_id FROM settlement_run WHERE state = 'netted' ORDER BY window_id DESC LIMIT :nights"
)
_LOOKED_BACK = 400
"""Nights whose files are looked for; older ones are made by asking (`tessera clear --date`)."""


def write_night(database: Engine, window_id: int, directory: Path) -> Path:
    """Write a settled night's files; the same night gives the same bytes.

    Returns:
        The folder of its business date. The operator's report is written last: where it is, all are.
    """
    with database.connect() as connection:
        write_statements(connection, window_id, directory)
        write_operator_report(connection, window_id, directory)
    return directory / date_of_window(window_id).isoformat()


def write_missing_nights(database: Engine, directory: Path) -> list[Path]:
    """Write the files of settled nights that have none yet, oldest first; whoever settled them."""
    with database.connect() as connection:
        settled = connection.execute(_SETTLED, {"nights": _LOOKED_BACK}).scalars().all()
    return [
        write_night(database, window_id, directory)
        for window_id in reversed(settled)
        if not (directory / date_of_window(window_id).isoformat() / NIGHT_REPORT).exists()
    ]
