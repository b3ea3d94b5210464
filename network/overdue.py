"""Holds whose time is over, ended without a command that would do so on its way."""

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

from sqlalchemy import Engine

from network.batch import execute
from network.model import Void
from network.rules import FURTHEST_AHEAD, Rules
from network.service import network_now
from partners.model import OPERATOR_ID

_LATER = FURTHEST_AHEAD + timedelta(days=1)


def end_over_holds(database: Engine, hold_ids: Sequence[UUID], rules: Rules) -> None:
    """Let holds whose time is over lapse, as the next command of their members would.

    Every command first ends the holds of whom it touches. These are voids that say they come from tomorrow:
    each touches its hold's member, is refused (occurred_in_future), not remembered, and leaves nothing else.

    Raises:
        Unavailable: the database cannot be reached, or rows stayed locked.
    """
    if not hold_ids:
        return
    with database.connect() as connection:
        at = network_now(connection) + _LATER
    execute(
        database,
        [
            Void(partner_id=OPERATOR_ID, reference=f"over {one.hex}", occurred_at=at, hold_id=one)
            for one in hold_ids
        ],
        rules,
    )
