"""What operators give and take: prepared, decided by whoever may, carried out, and never twice.

A decision is committed first and carried out then, under a reference of its own: whatever breaks in between,
`carry_out_due` does what is left, and what was done is answered from memory. Each decision is on the
operators' record with it, each tier before it is set. See docs/points.md, "By the operator".
"""

import unicodedata
from datetime import datetime, timedelta
from hashlib import sha256
from uuid import UUID

import msgspec
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import IntegrityError

from network import ids, store
from network.batch import execute, request_key
from network.commands import Adjust, SetTier
from network.errors import AdjustmentDecided, AdjustmentInvalid, AdjustmentUnknown, FourEyesNeeded
from network.outcomes import Rejected, Reply
from network.rules import MOST_POINTS, OLDEST, Rules
from network.service import network_now
from partners.model import OPERATOR_ID
from partners.people.audit import audited
from partners.people.canonical import canonical

LONGEST_NAME = 64

_CARD = text("SELECT member_id FROM card WHERE card_number = :card")
_COLUMNS = (
    "member_id, adjustment_id, card_number, issuer_id, points, reason, evidence, four_eyes_above,"
    " prepared_by, prepared_at, decided_by, decided_at, approved"
)
_INSERT = text(
    f"INSERT INTO adjustment ({_COLUMNS}) VALUES (:member_id, :adjustment_id, :card_number, :issuer_id,"
    " :points, :reason, :evidence, :four_eyes_above, :prepared_by, :prepared_at, :decided_by, :decided_at,"
    " :approved)"
)
_ONE = text(
    f"SELECT {_COLUMNS} FROM adjustment WHERE member_id = :member_id AND adjustment_id = :adjustment_id"
    " FOR UPDATE"
)
_DECIDE = text(
    "UPDATE adjustment SET decided_by = :by, decided_at = :at, approved = :approved"
    " WHERE member_id = :member_id AND adjustment_id = :adjustment_id"
)
_FOUND = text(
    f"SELECT {_COLUMNS} FROM adjustment WHERE member_id = :member_id AND adjustment_id = :adjustment_id"
)
_LIST = text(
    f"SELECT {_COLUMNS} FROM adjustment WHERE (decided_by IS NULL OR NOT :undecided)"
    " AND adjustment_id > :after ORDER BY adjustment_id LIMIT :limit"
)
_TIER = text("SELECT tier FROM account WHERE member_id = :member_id AND unit = 1")
_APPROVED = text(
    f"SELECT {_COLUMNS} FROM adjustment WHERE approved AND decided_at >= :since ORDER BY decided_at"
)
# Two who prepare at once for one member take turns: what the first decides alone counts for the second.
_LOCK = text("SELECT FROM account WHERE member_id = :member_id FOR UPDATE")
_ALONE = text(
    "SELECT coalesce(sum(abs(points)), 0)::bigint FROM adjustment WHERE member_id = ANY("
    "ARRAY(SELECT issued_to FROM card WHERE member_id = :member_id) || CAST(:member_id AS bigint))"
    " AND prepared_by = :who AND decided_by = :who AND approved AND prepared_at > :since"
)
COUNTED = timedelta(days=30)
"""What one person decides alone for a member counts together for so long: many small ones are a large one."""
_FOUR_EYES = "adjustment_four_eyes"
_FIRST = UUID(int=0)


class Adjustment(msgspec.Struct, frozen=True, kw_only=True):
    """A proposal and what became of it; `issuer_id` funds it, `approved` is None before it is decided."""

    member_id: int
    adjustment_id: UUID
    card_number: int
    issuer_id: int
    points: int
    reason: str
    evidence: str
    four_eyes_above: int
    prepared_by: str
    prepared_at: datetime
    decided_by: str | None = None
    decided_at: datetime | None = None
    approved: bool | None = None

    @property
    def reference(self) -> str:
        """Under which it is carried out, once."""
        return f"adjustment {self.adjustment_id.hex}"

    @property
    def needs_four_eyes(self) -> bool:
        """Whether another than who prepared it must approve it."""
        return abs(self.points) > self.four_eyes_above


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """An adjustment and how it was answered: the entry it made, or why the rules refused it, or neither."""

    adjustment: Adjustment
    entry_id: UUID | None = None
    refusal: str | None = None


def person(name: str) -> str:
    """Who acts, in one spelling: upper and lower case or a second blank do not make another person.

    Raises:
        AdjustmentInvalid: no name, or one that is too long or cannot be printed.
    """
    known = " ".join(unicodedata.normalize("NFKC", name).split()).casefold()
    # In other alphabets one person could be spelled as two.
    if not known or len(known) > LONGEST_NAME or not (known.isprintable() and known.isascii()):
        raise AdjustmentInvalid(
            f"{name!r} names nobody: give a login of 1 to {LONGEST_NAME} letters, digits and signs of ASCII"
        )
    return known


def prepare(
    database: Engine,
    rules: Rules,
    *,
    card_number: int,
    points: int,
    issuer: str,
    reason: str,
    evidence: str,
    by: str,
) -> Standing:
    """Propose an adjustment; one that needs no second person is decided with it and carried out at once.

    Args:
        database: Where the ledger is.
        rules: The live rules; they say up to which size one person may decide.
        card_number: A card of the member.
        points: What the member is given (> 0), or what is taken from it (< 0).
        issuer: The code of the partner that funds it, or whose points are taken back.
        reason: Why.
        evidence: What shows it: a receipt, a letter, a ticket.
        by: Who prepares it.
    Raises:
        AdjustmentInvalid: there is no such card or partner, or something is missing.
    """
    if not 0 < abs(points) <= MOST_POINTS:
        raise AdjustmentInvalid(f"{points} points: give or take 1 to {MOST_POINTS:,}")
    if not reason.strip() or not evidence.strip():
        raise AdjustmentInvalid(
            "give a reason and the evidence for it: whoever approves, or audits, reads them"
        )
    who, limit = person(by), rules.programme.four_eyes_above
    with database.begin() as connection:
        now = network_now(connection)
        member_id = _member_of_card(connection, card_number)
        connection.execute(_LOCK, {"member_id": member_id})
        alone = connection.execute(
            _ALONE, {"member_id": member_id, "who": who, "since": now - COUNTED}
        ).scalar_one()
        proposed = Adjustment(
            member_id=member_id,
            adjustment_id=ids.mint(now, member_id),
            card_number=card_number,
            issuer_id=_issuer(rules, issuer),
            points=points,
            reason=reason.strip(),
            evidence=evidence.strip(),
            four_eyes_above=max(0, limit - alone),
            prepared_by=who,
            prepared_at=now,
        )
        if not proposed.needs_four_eyes:
            proposed = msgspec.structs.replace(proposed, decided_by=who, decided_at=now, approved=True)
        connection.execute(_INSERT, msgspec.structs.asdict(proposed))
        _record(connection, "adjustment.prepared", None, proposed, by=who)
    return _carried_out(database, rules, proposed)


def decide(database: Engine, rules: Rules, adjustment_id: UUID, *, by: str, approve: bool) -> Standing:
    """Approve or reject a proposal; what is approved is carried out at once.

    Raises:
        FourEyesNeeded: it is above the limit, and who prepared it wants to approve it.
        AdjustmentDecided: it was decided before.
        AdjustmentUnknown: there is no such proposal.
        AdjustmentInvalid: `by` names nobody.
    """
    decided = record_decision(database, adjustment_id, by=by, approve=approve)
    return _carried_out(database, rules, decided)


def record_decision(database: Engine, adjustment_id: UUID, *, by: str, approve: bool) -> Adjustment:
    """The first half of `decide`: who decided what, durably. See there for what it raises."""
    who = person(by)
    key = {"member_id": ids.member_of(adjustment_id), "adjustment_id": adjustment_id}
    try:
        with database.begin() as connection:
            row = connection.execute(_ONE, key).mappings().one_or_none()
            if row is None:
                raise AdjustmentUnknown(f"there is no adjustment {ids.show('adj', adjustment_id)}")
            found = Adjustment(**row)
            if found.decided_by is not None:
                word = "approved" if found.approved else "rejected"
                raise AdjustmentDecided(f"{found.decided_by} {word} it at {found.decided_at}")
            at = network_now(connection)
            connection.execute(_DECIDE, {**key, "by": who, "at": at, "approved": approve})
            decided = msgspec.structs.replace(found, decided_by=who, decided_at=at, approved=approve)
            action = "adjustment.approved" if approve else "adjustment.rejected"
            _record(connection, action, found, decided, by=who)
            return decided
    except IntegrityError as error:
        if getattr(getattr(error.orig, "diag", None), "constraint_name", None) == _FOUR_EYES:
            raise FourEyesNeeded(
                f"{who} prepared it, and it is above {found.four_eyes_above} points: another must approve it"
            ) from error
        raise


def carry_out_due(database: Engine, rules: Rules) -> list[tuple[Adjustment, Reply]]:
    """Carry out what was approved and has no answer yet: usually nothing, after a crash what it left.

    A refusal that time cures (the issuer's terms begin tomorrow) leaves no answer: it is tried again each
    time, for as long as a till's request would be.
    """
    with database.connect() as connection:
        since = network_now(connection) - OLDEST
        approved = [Adjustment(**row) for row in connection.execute(_APPROVED, {"since": since}).mappings()]
        answered = store.recall(connection, [_key(one) for one in approved])
    due = [one for one in approved if _key(one) not in answered]
    return (
        list(zip(due, execute(database, [_command(one) for one in due], rules), strict=True)) if due else []
    )


def find(connection: Connection, adjustment_id: UUID) -> Adjustment:
    """One adjustment.

    Raises:
        AdjustmentUnknown: there is none of that id.
    """
    key = {"member_id": ids.member_of(adjustment_id), "adjustment_id": adjustment_id}
    row = connection.execute(_FOUND, key).mappings().one_or_none()
    if row is None:
        raise AdjustmentUnknown(f"there is no adjustment {ids.show('adj', adjustment_id)}")
    return Adjustment(**row)


def standings(
    database: Engine, *, undecided: bool = False, after: UUID = _FIRST, limit: int | None = None
) -> list[Standing]:
    """Adjustments as they stand, oldest first; all after an id, or those of them that wait for a decision."""
    wanted = {"undecided": undecided, "after": after, "limit": limit}
    with database.connect() as connection:
        found = [Adjustment(**row) for row in connection.execute(_LIST, wanted).mappings()]
        answered = store.recall(connection, [_key(one) for one in found if one.approved])
    return [_standing(one, answered.get(_key(one))) for one in found]


def set_tier(database: Engine, rules: Rules, *, card_number: int, tier: str, by: str) -> Reply:
    """Put a member into a tier of the programme, "" for none; the entry's reference says who did.

    Raises:
        AdjustmentInvalid: there is no such card, or `by` names nobody.
    """
    who = person(by)
    with database.begin() as connection:
        now = network_now(connection)
        member_id = _member_of_card(connection, card_number)
        reference = f"tier {ids.mint(now, member_id).hex} by {who}"
        before = connection.execute(_TIER, {"member_id": member_id}).scalar_one_or_none()
        audited(
            connection,
            by=who,
            action="tier.ordered",
            subject=f"member:{member_id}",
            before={"tier": before},
            after={"tier": tier, "reference": reference},
        )
    command = SetTier(
        partner_id=OPERATOR_ID, reference=reference, occurred_at=now, card_number=card_number, tier=tier
    )
    [reply] = execute(database, [command], rules)
    if isinstance(reply.outcome, Rejected):
        after = {"reference": reference, "refused": reply.outcome.reason}
        with database.begin() as connection:
            audited(connection, by=who, action="tier.refused", subject=f"member:{member_id}", after=after)
    return reply


def _carried_out(database: Engine, rules: Rules, decided: Adjustment) -> Standing:
    """Carry out all that is due, and say how this one stands."""
    if not decided.approved:
        return Standing(adjustment=decided)
    replies = {one.adjustment_id: reply.outcome for one, reply in carry_out_due(database, rules)}
    with database.connect() as connection:
        answered = store.recall(connection, [_key(decided)])
    now_refused = replies.get(decided.adjustment_id)
    if not answered and isinstance(now_refused, Rejected):
        return Standing(adjustment=decided, refusal=now_refused.reason)  # for now: it is tried again
    return _standing(decided, answered.get(_key(decided)))


def _standing(adjustment: Adjustment, answer: store.Recalled | None) -> Standing:
    if answer is None:
        return Standing(adjustment=adjustment)
    if answer.refusal is not None:
        return Standing(adjustment=adjustment, refusal=answer.refusal)
    return Standing(adjustment=adjustment, entry_id=answer.entry_id)


def _record(
    connection: Connection, action: str, before: Adjustment | None, after: Adjustment, *, by: str
) -> None:
    subject = f"adjustment:{ids.show('adj', after.adjustment_id)}"
    shown = None if before is None else _shown(before)
    audited(connection, by=by, action=action, subject=subject, before=shown, after=_shown(after))


def _shown(adjustment: Adjustment) -> dict[str, object]:
    """An adjustment as the record has it: nothing that may have to be erased one day, but its hash."""
    held = msgspec.structs.asdict(adjustment)
    erasable = {name: held.pop(name) for name in ("card_number", "reason", "evidence")}
    return {**held, "erasable_sha256": sha256(canonical(erasable).encode()).digest()}


def _key(adjustment: Adjustment) -> UUID:
    return request_key(OPERATOR_ID, adjustment.reference)


def _command(adjustment: Adjustment) -> Adjust:
    """The command, the same however often it is tried: it happened when it was decided."""
    return Adjust(
        partner_id=OPERATOR_ID,
        reference=adjustment.reference,
        occurred_at=adjustment.decided_at or adjustment.prepared_at,
        card_number=adjustment.card_number,
        issuer_id=adjustment.issuer_id,
        points=adjustment.points,
    )


def _member_of_card(connection: Connection, card_number: int) -> int:
    member_id: int | None = connection.execute(_CARD, {"card": card_number}).scalar_one_or_none()
    if member_id is None:
        raise AdjustmentInvalid(f"there is no card {card_number}")
    return member_id


def _issuer(rules: Rules, code: str) -> int:
    partners = [one for one in rules.directory.participants.values() if one.kind == "partner"]
    for one in partners:
        if one.code == code:
            return one.partner_id
    known = ", ".join(sorted(one.code for one in partners))
    raise AdjustmentInvalid(f"no partner has the code {code!r}: {known}")
