"""What a batch reads and writes of paid plans. Rows of members change under the lock of their account."""

from collections.abc import Collection, Iterable, Sequence
from datetime import date
from typing import Any

from sqlalchemy import text

from network import plan_tables  # noqa: F401 - so that its table is among the others
from network.bulk import integers
from network.model import EntryKind, Membership
from network.outcomes import Decision
from network.pipeline import Answer, Pipeline

_LOAD = text(
    "SELECT member_id, entry_id, plan, starts_on, paid_until, ends_on, ended_by IS NOT NULL"
    " FROM plan_membership WHERE member_id = ANY(CAST(:members AS bigint[])) AND paid_until >= :since"
    " ORDER BY member_id, entry_id"
)
_MAKE = text(
    "INSERT INTO plan_membership (member_id, entry_id, plan, starts_on, paid_until, ends_on)"
    " VALUES (:member, :entry, :plan, :starts_on, :paid_until, :ends_on)"
)
_END = text(
    "UPDATE plan_membership SET ends_on = :ends_on, ended_by = :by"
    " WHERE member_id = :member AND entry_id = :entry AND ended_by IS NULL"
)


def ask(pipeline: Pipeline, members: Collection[int], since: date) -> Answer:
    """Add the statement that reads memberships which were paid for up to a day or later."""
    return pipeline.ask(_LOAD, {"members": integers(members), "since": since})


def read(rows: Iterable[Any]) -> dict[int, list[Membership]]:
    """What it came to, by member."""
    found: dict[int, list[Membership]] = {}
    for member_id, entry_id, plan, starts_on, paid_until, ends_on, ended in rows:
        found.setdefault(member_id, []).append(
            Membership(
                entry_id=entry_id,
                plan=plan,
                starts_on=starts_on,
                paid_until=paid_until,
                ends_on=ends_on,
                ended=ended,
            )
        )
    return found


def save(pipeline: Pipeline, decisions: Sequence[Decision]) -> None:
    """Write memberships that were bought, and those that were ended; each is rare."""
    for decision in decisions:
        one, entry = decision.membership, decision.entry
        if one is None:
            continue
        row = {"member": entry.member_id, "entry": one.entry_id, "ends_on": one.ends_on}
        if entry.kind is EntryKind.PLAN_MEMBERSHIP:
            paid = {"plan": one.plan, "starts_on": one.starts_on, "paid_until": one.paid_until}
            pipeline.change(_MAKE, {**row, **paid}, 1, "plan bought")
        else:
            pipeline.change(_END, {**row, "by": entry.entry_id}, 1, "plan ended")
