"""Debts that no posting makes: they fall into the window that is open, as a posting would, and stay in it."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection, text

from network.store import WINDOW_LOCK
from settlement import money_tables
from settlement.errors import FourEyesNeeded
from settlement.exposure_moves import adjusted_by
from settlement.money_model import Adjustment

_OPEN = text("SELECT window_id FROM clearing_window WHERE closed_at IS NULL")
_SHARE = text(f"SELECT pg_advisory_xact_lock_shared({WINDOW_LOCK})")
_NAMES = Adjustment.__struct_fields__
_LOAD = text(
    f"SELECT window_id, {', '.join(_NAMES)} FROM money_adjustment WHERE window_id = ANY(:window_ids)"
    " ORDER BY origin, origin_reference"
)


def add_adjustment(
    connection: Connection, adjustment: Adjustment, *, prepared_by: str, approved_by: str, at: datetime
) -> int:
    """Write a debt into the open window; returns that window.

    Once it is written, the window cannot close before this transaction ends: keep it short.

    Raises:
        FourEyesNeeded: one person prepared and approved it.
        sqlalchemy.exc.IntegrityError: its origin has an adjustment already.
    """
    if prepared_by == approved_by:
        raise FourEyesNeeded(f"{prepared_by} prepared the adjustment: another person must approve it")
    connection.execute(_SHARE)
    window_id: int = connection.execute(
        _OPEN
    ).scalar_one()  # a later statement: it sees the window that is open
    row = {name: getattr(adjustment, name) for name in _NAMES}
    people = {"prepared_by": prepared_by, "approved_by": approved_by, "made_at": at}
    connection.execute(money_tables.money_adjustment.insert(), {**row, **people, "window_id": window_id})
    adjusted_by(connection, window_id, adjustment)
    return window_id


def load_adjustments(connection: Connection, window_ids: Sequence[int]) -> dict[int, list[Adjustment]]:
    """The adjustments of some windows, by their origin."""
    found: dict[int, list[Adjustment]] = {window_id: [] for window_id in window_ids}
    for row in connection.execute(_LOAD, {"window_ids": list(window_ids)}):
        values = row._asdict()
        found[values.pop("window_id")].append(Adjustment(**values))
    return found
