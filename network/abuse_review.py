"""What was taken for abuse, for the operator: the list with reasons, staff, and release of what is held."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import msgspec
from sqlalchemy import Connection, Engine, text

from network.abuse import staff_of
from network.batch import execute
from network.commands import Release
from network.model import Entry
from network.outcomes import Reply
from network.rules import Rules
from network.service import network_now
from partners.model import OPERATOR_ID
from partners.people.audit import audited

_CASES = text(
    "SELECT c.entry_id, c.rule_id, p.code AS partner, c.reference, c.outcome, c.reason, c.recorded_at,"
    " c.released_by, c.released_at, coalesce(n.points - n.released - n.cancelled, 0) AS waiting"
    " FROM abuse_case c JOIN partner p USING (partner_id)"
    " LEFT JOIN pending n ON n.member_id = c.member_id AND n.entry_id = c.entry_id"
    " WHERE (NOT :held OR (c.outcome = 'held' AND c.released_by IS NULL"
    " AND n.points > n.released + n.cancelled))"
    " AND (CAST(:rule AS text) = '' OR c.rule_id = :rule)"
    " AND (c.entry_id, c.rule_id) > (:after, CAST(:after_rule AS text))"
    " ORDER BY c.entry_id, c.rule_id LIMIT :limit"
)
_RELEASED = text(
    "UPDATE abuse_case SET released_by = :by, released_at = :at"
    " WHERE entry_id = :entry AND outcome = 'held' AND released_by IS NULL"
)
_OWNER = text("SELECT member_id FROM card WHERE card_number = :card")
_HIRE = text(
    "INSERT INTO member_segment (member_id, segment) VALUES (:member, :segment) ON CONFLICT DO NOTHING"
)
_LEAVE = text("DELETE FROM member_segment WHERE member_id = :member AND segment = :segment")


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """A case. `waiting`: points that it still holds. Of what was refused, there is no entry of that id."""

    entry_id: UUID
    rule_id: str
    partner: str
    reference: str
    outcome: str
    reason: str
    recorded_at: datetime
    released_by: str | None
    released_at: datetime | None
    waiting: int


def cases(
    connection: Connection,
    *,
    held: bool = False,
    rule: str = "",
    after: tuple[UUID, str] = (UUID(int=0), ""),
    limit: int = 50,
) -> Sequence[Found]:
    """What was found, oldest first.

    Args:
        connection: Only read.
        held: Only what still waits for an operator.
        rule: Only of this rule.
        after: Entry and rule of the last one that was seen.
        limit: At most so many.
    """
    wanted = {"held": held, "rule": rule, "after": after[0], "after_rule": after[1], "limit": limit}
    return [Found(**row) for row in connection.execute(_CASES, wanted).mappings()]


def release_held(database: Engine, rules: Rules, entry_id: UUID, *, by: str) -> Reply:
    """Let go what a sale earned and the programme holds; again changes nothing.

    Args:
        database: Where the ledger is.
        rules: The live rules.
        entry_id: The sale.
        by: The operator.
    Returns:
        What the release was answered: an entry, or why there is nothing to release.
    """
    with database.connect() as connection:
        now = network_now(connection)
    command = Release(
        partner_id=OPERATOR_ID, reference=f"abuse {entry_id.hex}", occurred_at=now, entry_id=entry_id
    )
    [reply] = execute(database, [command], rules)
    if isinstance(reply.outcome, Entry):
        with database.begin() as connection:
            if connection.execute(_RELEASED, {"by": by, "at": now, "entry": entry_id}).rowcount:
                audited(connection, by=by, action="abuse.released", subject=f"entry:{entry_id}")
    return reply


def set_staff(connection: Connection, card_number: int, partner_id: int, *, on: bool, by: str) -> bool:
    """Note that a card's member works for a partner, or (`on` false) does no more.

    Returns:
        Whether there is such a card.
    """
    member_id = connection.execute(_OWNER, {"card": card_number}).scalar()
    if member_id is None:
        return False
    changed = connection.execute(
        _HIRE if on else _LEAVE, {"member": member_id, "segment": staff_of(partner_id)}
    ).rowcount
    if changed:
        audited(
            connection,
            by=by,
            action="abuse.staff_named" if on else "abuse.staff_left",
            subject=f"member:{member_id}",
            after={"partner_id": partner_id},
        )
    return True
