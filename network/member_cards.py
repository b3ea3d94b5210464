"""A member's own cards: locked and unlocked, and the rotating code that shows that the member is there.

The code is a TOTP (RFC 6238) of thirty seconds, one step early or late, in the QR after the card's number. It
is good once: the step that was used last is kept, with the hash of the request that used it, so that a till
which lost the answer may send the very same request again.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from hashlib import sha256
from typing import Literal

import msgspec
from sqlalchemy import Connection, Engine, text

from network.model import Hold, IssueVoucher, Redeem
from partners.errors import SecretUnreadable
from partners.people import codes
from partners.people.tokens import OperatorKeys

CodeProblem = Literal["code_stale", "code_used"]
_SECRET = text("SELECT card_secret FROM member_login WHERE member_id = :member")
_LOCK = text(
    "UPDATE card SET status = :locked WHERE member_id = :member AND status IN ('active', 'locked')"
    " RETURNING card_number"
)
_CARDS = text(
    "SELECT card_number, status FROM card WHERE member_id = :member ORDER BY issued_at, card_number"
)
_OF_CARDS = text(
    "SELECT c.card_number, l.member_id, l.card_secret, l.card_step, l.card_used_for FROM card c"
    " JOIN member_login l USING (member_id) WHERE c.card_number = ANY(:cards)"
    " ORDER BY l.member_id FOR UPDATE OF l"
)
_USE = text("UPDATE member_login SET card_step = :step, card_used_for = :for WHERE member_id = :member")


class ShownCard(msgspec.Struct, frozen=True, kw_only=True):
    """What the member's phone shows: the code of a card and until when it is shown."""

    card_number: int
    code: str
    changes_at: int


def lock_cards(connection: Connection, member_id: int, *, locked: bool) -> bool:
    """Lock a member's cards, so that they earn and do not spend, or unlock them; whether there is one."""
    wanted = {"member": member_id, "locked": "locked" if locked else "active"}
    return bool(connection.execute(_LOCK, wanted).all())


def cards_of(connection: Connection, member_id: int) -> list[tuple[int, str]]:
    """A member's cards with their status."""
    return [(row.card_number, row.status) for row in connection.execute(_CARDS, {"member": member_id})]


def show_code(
    connection: Connection, keys: OperatorKeys, member_id: int, card_number: int, now: datetime
) -> ShownCard:
    """The code that a card shows now."""
    sealed = connection.execute(_SECRET, {"member": member_id}).scalar_one()
    secret = codes.open_secret(bytes(sealed), keys.secrets, f"member {member_id}")
    step = codes.step_of(now)
    code = codes.code_at(secret, step)
    return ShownCard(card_number=card_number, code=code, changes_at=(step + 1) * codes.SECONDS)


def use_codes(
    database: Engine, card_key: bytes, commands: Sequence[Redeem | Hold | IssueVoucher], now: datetime
) -> Mapping[int, CodeProblem]:
    """Use the codes of commands, in their order; what is wrong with them, by place.

    One transaction, committed before the commands are carried out: a code is used up even where its command
    is then refused. The same request again (partner and reference) passes; its answer is the stored one.
    """
    found: dict[int, CodeProblem] = {}
    with database.begin() as connection:
        wanted = {"cards": sorted({command.card_number for command in commands})}
        rows = {row.card_number: row for row in connection.execute(_OF_CARDS, wanted)}
        last = {row.member_id: (row.card_step, row.card_used_for) for row in rows.values()}
        for place, command in enumerate(commands):
            row = rows.get(command.card_number)
            step = (
                None if row is None else _step_of(row.card_secret, row.member_id, card_key, command.code, now)
            )
            used_for = sha256(f"{command.partner_id}\n{command.reference}".encode()).digest()
            if row is None:
                found[place] = "code_stale"
                continue
            used, before = last[row.member_id]
            if before is not None and bytes(before) == used_for:
                continue
            if step is None:
                found[place] = "code_stale"
            elif step <= used:
                found[place] = "code_used"
            else:
                last[row.member_id] = (step, used_for)
                connection.execute(_USE, {"member": row.member_id, "step": step, "for": used_for})
    return found


def _step_of(sealed: bytes, member_id: int, card_key: bytes, code: str, now: datetime) -> int | None:
    try:
        secret = codes.open_secret(bytes(sealed), card_key, f"member {member_id}")
    except SecretUnreadable:
        return None
    return codes.step_of_code(secret, code, now)
