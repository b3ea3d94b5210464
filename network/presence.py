"""Whether the member is there when its points are spent: by rotating code, PIN, or approval on the phone.

Judged before a command comes to the ledger, in a transaction of its own, committed first: a code is used up,
and a wrong try counted, even where the command is then refused. A request that the ledger knows is not judged
again: its answer is the stored one, however old the code is by then.
"""

import hmac
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Literal
from uuid import UUID

import msgspec
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import OperationalError

from network.batch import LOCK_TIMEOUT, request_key
from network.commands import Redeem, Showing
from network.member_approvals import Approval, UseProblem, mark_used, of_commands, refusal
from network.member_cards import hash_of_pin
from partners.errors import SecretUnreadable
from partners.people import codes

Problem = Literal["code_stale", "code_used", "pin_refused", "proof_locked"] | UseProblem
FREE_TRIES = 5
LONGEST_PAUSE = timedelta(days=1)
_OF_CARDS = text(
    "SELECT c.card_number, l.member_id, l.card_secret, l.card_step, l.card_used_for, l.pin_hash,"
    " l.proof_tries, l.proof_tried_at FROM card c"
    " JOIN member_login l USING (member_id) WHERE c.card_number = ANY(:cards)"
    " ORDER BY l.member_id FOR UPDATE OF l"
)
_KNOWN = text("SELECT request_key FROM idempotency WHERE request_key = ANY(CAST(:keys AS uuid[]))")
_KEEP = text(
    "UPDATE member_login SET card_step = :step, card_used_for = :used_for, proof_tries = :tries,"
    " proof_tried_at = :tried_at WHERE member_id = :member"
)


def pause_after(tries: int) -> timedelta:
    """How long nothing is judged after so many wrong tries in a row: none after four, then 1, 2, 4 … minutes.

    So a code of six digits or a PIN of four is not found by trying, whoever tries and under how many keys.
    """
    if tries < FREE_TRIES:
        return timedelta(0)
    return min(timedelta(minutes=1) * (1 << min(tries - FREE_TRIES, 20)), LONGEST_PAUSE)


class _Standing(msgspec.Struct, kw_only=True):
    """How a member's code and PIN stand, locked; changed as commands are judged."""

    member_id: int
    secret: bytes
    pin_hash: bytes | None
    step: int
    used_for: bytes | None
    tries: int
    tried_at: datetime | None
    changed: bool = False

    def waits(self, now: datetime) -> bool:
        """Whether so many tries were wrong that nothing is judged now."""
        return self.tried_at is not None and now < self.tried_at + pause_after(self.tries)

    def tried(self, *, right: bool, now: datetime) -> None:
        """Count a try; one that is right ends the count."""
        self.tries, self.tried_at = (0, None) if right else (self.tries + 1, now)
        self.changed = True


def judge_each(
    database: Engine, card_key: bytes, commands: Sequence[Showing], now: datetime
) -> Mapping[int, str]:
    """As `judge`; where a member's rows stay locked, `unavailable` for its commands alone."""
    try:
        return judge(database, card_key, commands, now)
    except OperationalError as error:
        if getattr(error.orig, "sqlstate", None) != LOCK_TIMEOUT:
            raise
        if len(commands) == 1:
            return {0: "unavailable"}
    alone = [judge_each(database, card_key, [command], now) for command in commands]
    return {place: found[0] for place, found in enumerate(alone) if found}


def judge(
    database: Engine, card_key: bytes, commands: Sequence[Showing], now: datetime
) -> Mapping[int, Problem]:
    """Use what commands show of their member, in their order; what is wrong with it, by place.

    Args:
        card_key: Opens the secrets of cards.
        commands: Those that carry a code, a PIN or an approval.
        now: Real time.
    """
    found: dict[int, Problem] = {}
    keys = [request_key(command.partner_id, command.reference) for command in commands]
    with database.begin() as connection:
        standings = _standings(connection, commands)
        approvals = of_commands(connection, commands)
        known = set(connection.execute(_KNOWN, {"keys": keys}).scalars())
        for place, (command, key) in enumerate(zip(commands, keys, strict=True)):
            if key in known:
                continue
            problem = _of_approval(connection, approvals, command, key, now)
            if problem is None and (command.code or command.pin):
                problem = _of_digits(standings.get(command.card_number), card_key, command, key, now)
            if problem is not None:
                found[place] = problem
        _keep(connection, standings)
    return found


def _standings(connection: Connection, commands: Sequence[Showing]) -> dict[int, _Standing]:
    """By card; several cards of a member share one."""
    cards = sorted({command.card_number for command in commands if command.code or command.pin})
    by_member: dict[int, _Standing] = {}
    found: dict[int, _Standing] = {}
    for row in connection.execute(_OF_CARDS, {"cards": cards}):
        standing = _Standing(
            member_id=row.member_id,
            secret=bytes(row.card_secret),
            pin_hash=None if row.pin_hash is None else bytes(row.pin_hash),
            step=row.card_step,
            used_for=None if row.card_used_for is None else bytes(row.card_used_for),
            tries=row.proof_tries,
            tried_at=row.proof_tried_at,
        )
        found[row.card_number] = by_member.setdefault(row.member_id, standing)
    return found


def _keep(connection: Connection, standings: Mapping[int, _Standing]) -> None:
    changed = {one.member_id: one for one in standings.values() if one.changed}
    wanted: list[dict[str, Any]] = [
        {
            "member": member_id,
            "step": one.step,
            "used_for": one.used_for,
            "tries": one.tries,
            "tried_at": one.tried_at,
        }
        for member_id, one in sorted(changed.items())
    ]
    if wanted:
        connection.execute(_KEEP, wanted)


def _of_approval(
    connection: Connection,
    approvals: dict[UUID, Approval],
    command: Showing,
    key: UUID,
    now: datetime,
) -> Problem | None:
    if command.approval is None:
        return None
    approval = approvals.get(command.approval)
    problem = refusal(approval, command, key, now)
    if problem is None and approval is not None and approval.used_for is None:
        mark_used(connection, approval, key)
        approvals[command.approval] = msgspec.structs.replace(approval, used_for=key)
    return problem


def _of_digits(
    standing: _Standing | None,
    card_key: bytes,
    command: Showing,
    key: UUID,
    now: datetime,
) -> Problem | None:
    """Judge PIN and code. A card of nobody who signs in is answered like a wrong try."""
    if standing is None:
        return "pin_refused" if command.pin else "code_stale"
    if standing.used_for == key.bytes:  # twice at once, or the lane ended in between
        return None
    if standing.waits(now):
        return "proof_locked"
    if command.pin:
        given = hash_of_pin(card_key, standing.member_id, command.pin)
        right = standing.pin_hash is not None and hmac.compare_digest(given, standing.pin_hash)
        standing.tried(right=right, now=now)
        if not right:
            return "pin_refused"
    return _of_code(standing, card_key, command, key, now) if command.code else None


def _of_code(
    standing: _Standing, card_key: bytes, command: Showing, key: UUID, now: datetime
) -> Problem | None:
    """Judge the rotating code: by now, or, of a till that had no line, by when that says it was."""
    offline = isinstance(command, Redeem) and command.offline
    step = _step_of(standing, card_key, command.code, command.occurred_at if offline else now)
    if step is not None and step <= standing.step:
        return "code_used"
    standing.tried(right=step is not None, now=now)
    if step is None:
        return "code_stale"
    standing.step, standing.used_for = step, key.bytes
    return None


def _step_of(standing: _Standing, card_key: bytes, code: str, at: datetime) -> int | None:
    try:
        secret = codes.open_secret(standing.secret, card_key, f"member {standing.member_id}")
    except SecretUnreadable:
        return None
    return codes.step_of_code(secret, code, at)
