"""Writes what was taken for abuse, with the batch that met it: one statement, none where nothing was."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection

from network.abuse_tables import abuse_case
from network.bulk import equal_length, insert_from_arrays
from network.commands import Command
from network.ids import member_of
from network.outcomes import Decision, Minted, Rejected
from network.pipeline import Pipeline

_COLUMNS = (
    "member_id",
    "entry_id",
    "rule_id",
    "partner_id",
    "reference",
    "outcome",
    "reason",
    "recorded_at",
)
_INSERT = insert_from_arrays(abuse_case, _COLUMNS)
_OUTCOMES = {"refuse": "refused", "hold": "held", "flag": "flagged"}


def save_cases(
    connection: Connection,
    judged: Sequence[tuple[Command, Minted]],
    outcomes: Sequence[Decision | Rejected],
    now: datetime,
) -> None:
    """Write what was found of a batch's commands.

    Args:
        judged: Commands with what was minted for them.
        outcomes: What became of each.
        now: The batch's time.
    """
    rows = [
        (
            member_of(minted.entry_id),
            minted.entry_id,
            case.rule,
            command.partner_id,
            command.reference,
            # of several the strictest is done, and the others are noted beside it
            _OUTCOMES[case.then] if isinstance(outcome, Decision) or case.then == "refuse" else "flagged",
            case.reason,
            now,
        )
        for (command, minted), outcome in zip(judged, outcomes, strict=True)
        for case in outcome.cases
    ]
    if rows:
        columns = zip(_COLUMNS, zip(*rows, strict=True), strict=True)
        arrays = {name: list(column) for name, column in columns}
        with Pipeline(connection) as pipeline:
            pipeline.change(_INSERT.statement, _INSERT.bound(arrays), equal_length(arrays), "abuse_case")
