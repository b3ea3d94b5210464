"""What tills ask members to approve on their phones: asked, answered within minutes, used once.

An approval is of one partner, card and number of points. It is kept: it shows who agreed to what.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Literal
from uuid import UUID

import msgspec
from sqlalchemy import Connection, text

from network import ids
from network.commands import Showing
from network.outcomes import Rejected

ANSWER_WITHIN = timedelta(minutes=5)
USE_WITHIN = timedelta(minutes=10)
MOST_OPEN = 3
"""That a member is asked for at a time by one partner, so that nobody is worn down by questions."""

State = Literal["asked", "approved", "refused", "lapsed", "used"]
UseProblem = Literal["approval_unknown", "approval_not_given", "approval_used"]
_COLUMNS = (
    "member_id, approval_id, partner_id, reference, card_number, outlet_code, points, amount_minor, currency,"
    " asked_at, ends_at, answered_at, approved, used_for"
)
_OF_CARD = text(
    "SELECT c.member_id, c.status, l.member_id IS NOT NULL AS signs_in FROM card c"
    " LEFT JOIN member_login l USING (member_id) WHERE c.card_number = :card"
)
_ASKED = text(
    f"SELECT {_COLUMNS} FROM member_approval"
    " WHERE member_id = :member AND partner_id = :partner AND reference = :reference"
)
_OPEN = text(
    "SELECT count(*) FROM member_approval"
    " WHERE member_id = :member AND partner_id = :partner AND answered_at IS NULL AND ends_at > :now"
)
_ASK = text(
    f"INSERT INTO member_approval ({_COLUMNS}) VALUES (:member_id, :approval_id, :partner_id, :reference,"
    " :card_number, :outlet_code, :points, :amount_minor, :currency, :asked_at, :ends_at, :answered_at,"
    " :approved, NULL) ON CONFLICT DO NOTHING"
)
_ONE = text(f"SELECT {_COLUMNS} FROM member_approval WHERE member_id = :member AND approval_id = :approval")
_WAITING = text(
    f"SELECT {_COLUMNS} FROM member_approval"
    " WHERE member_id = :member AND answered_at IS NULL AND ends_at > :now ORDER BY approval_id"
)
_ANSWER = text(
    "UPDATE member_approval SET answered_at = :now, approved = :approved, ends_at = :ends"
    " WHERE member_id = :member AND approval_id = :approval AND answered_at IS NULL AND ends_at > :now"
    f" RETURNING {_COLUMNS}"
)
_OF_COMMANDS = text(
    f"SELECT {_COLUMNS} FROM member_approval"
    " WHERE member_id = ANY(:members) AND approval_id = ANY(CAST(:approvals AS uuid[]))"
    " ORDER BY member_id, approval_id FOR UPDATE"
)
_USED = text(
    "UPDATE member_approval SET used_for = :key WHERE member_id = :member AND approval_id = :approval"
)


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """What a till wants to have approved."""

    partner_id: int
    reference: str
    card_number: int
    outlet_code: str
    points: int
    amount_minor: int
    currency: str


class Approval(Wish, frozen=True, kw_only=True):
    """A wish as it stands. `ends_at`: until when it may be answered, and once it is, used."""

    member_id: int
    approval_id: UUID
    asked_at: datetime
    ends_at: datetime
    answered_at: datetime | None
    approved: bool | None
    used_for: UUID | None

    def state(self, now: datetime) -> State:
        """How it stands at an instant."""
        if self.used_for is not None:
            return "used"
        if self.approved is False:
            return "refused"
        if now >= self.ends_at:
            return "lapsed"
        return "asked" if self.approved is None else "approved"


def ask(connection: Connection, wish: Wish, now: datetime, *, at_once: bool = False) -> Approval | Rejected:
    """Ask a card's member; the same wish again is the one that was asked before.

    Args:
        at_once: It is approved without anybody's answer: in the test mode.
    Returns:
        How it stands; or why nobody can be asked.
    """
    card = connection.execute(_OF_CARD, {"card": wish.card_number}).one_or_none()
    if card is None:
        return Rejected("card_unknown")
    named = {"member": card.member_id, "partner": wish.partner_id, "reference": wish.reference}
    before = connection.execute(_ASKED, named).one_or_none()
    if before is not None:
        return _same(Approval(**before._asdict()), wish)
    if card.status != "active":
        return Rejected("card_blocked") if card.status == "blocked" else Rejected("spending_locked")
    if not at_once:
        if not card.signs_in:
            return Rejected("approval_unavailable")
        if connection.execute(_OPEN, {**named, "now": now}).scalar_one() >= MOST_OPEN:
            return Rejected("too_many_approvals")
    made = {
        **msgspec.structs.asdict(wish),
        "member_id": card.member_id,
        "approval_id": ids.mint(now, card.member_id),
        "asked_at": now,
        "ends_at": now + (USE_WITHIN if at_once else ANSWER_WITHIN),
        "answered_at": now if at_once else None,
        "approved": True if at_once else None,
    }
    connection.execute(_ASK, made)
    return _same(Approval(**connection.execute(_ASKED, named).one()._asdict()), wish)


def _same(approval: Approval, wish: Wish) -> Approval | Rejected:
    same = all(getattr(approval, name) == value for name, value in msgspec.structs.asdict(wish).items())
    return approval if same else Rejected("reference_reused")


def find(connection: Connection, approval_id: UUID) -> Approval | None:
    """An approval by its id."""
    row = connection.execute(_ONE, _named(approval_id)).one_or_none()
    return None if row is None else Approval(**row._asdict())


def waiting(connection: Connection, member_id: int, now: datetime) -> list[Approval]:
    """What a member is asked for and has not answered, the oldest first."""
    rows = connection.execute(_WAITING, {"member": member_id, "now": now})
    return [Approval(**row._asdict()) for row in rows]


def answer(connection: Connection, approval_id: UUID, *, approved: bool, now: datetime) -> Approval | None:
    """Approve or refuse; None where it is over, or was answered otherwise; the same answer again is one."""
    wanted = {**_named(approval_id), "approved": approved, "now": now, "ends": now + USE_WITHIN}
    row = connection.execute(_ANSWER, wanted).one_or_none()
    if row is not None:
        return Approval(**row._asdict())
    before = find(connection, approval_id)
    return before if before is not None and before.approved is approved else None


def _named(approval_id: UUID) -> dict[str, object]:
    return {"member": ids.member_of(approval_id), "approval": approval_id}


def of_commands(connection: Connection, commands: Sequence[Showing]) -> dict[UUID, Approval]:
    """The approvals that commands name, locked."""
    named = {command.approval for command in commands if command.approval is not None}
    if not named:
        return {}
    wanted = {"members": sorted({ids.member_of(one) for one in named}), "approvals": sorted(named)}
    found = (Approval(**row._asdict()) for row in connection.execute(_OF_COMMANDS, wanted))
    return {one.approval_id: one for one in found}


def refusal(approval: Approval | None, command: Showing, key: UUID, now: datetime) -> UseProblem | None:
    """Why a command cannot be carried out with an approval; None where it can (pure).

    Args:
        approval: What it names, if that is there.
        key: The command's, under which it may come again.
        now: Real time.
    """
    if approval is None or approval.partner_id != command.partner_id:
        return "approval_unknown"
    if approval.used_for is not None:
        return None if approval.used_for == key else "approval_used"
    same = (approval.card_number, approval.points) == (command.card_number, command.points)
    return None if same and approval.state(now) == "approved" else "approval_not_given"


def mark_used(connection: Connection, approval: Approval, key: UUID) -> None:
    """An approval is used for a request, and for no other."""
    connection.execute(_USED, {**_named(approval.approval_id), "key": key})
