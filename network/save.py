"""Save for the group commit: what a batch decided, a fixed number of statements, set by set.

Every row that changes is under the lock of its member's account (see network.store).
"""

from collections.abc import Callable, Mapping, Sequence
from operator import attrgetter
from types import MappingProxyType
from typing import Any
from uuid import UUID

import msgspec
from msgspec import UnsetType
from sqlalchemy import Connection, text

from network import code_store, exposure_store, plan_store, pledge_store, programme_store, tables
from network.bulk import Insert, dates, equal_length, insert_from_arrays, integers, uuids
from network.caps import Holding
from network.exposure import Holder
from network.exposure_store import Standing
from network.model import IMMEDIATELY, AccountKind, Entry, EntryKind, Posting, Unit
from network.outbox import tell_entries
from network.outcomes import UNCHANGED, Decision, Deficit
from network.pipeline import Pipeline
from network.rules import held, hold_change, in_lot, lot_change, pending_change, set_aside, undone
from network.store import ENTRY_FIELDS, POSTING_FIELDS
from partners.model import Hooks

_ENTRY = attrgetter(*ENTRY_FIELDS)
_POSTING = attrgetter(*POSTING_FIELDS[2:])
_INSERT_ENTRIES = insert_from_arrays(tables.entry, ENTRY_FIELDS)
_INSERT_POSTINGS = insert_from_arrays(tables.posting, POSTING_FIELDS)
_REVERSED_COLUMNS = ("member_id", "entry_id", "points", "amount_minor")
_ADD_REVERSED = insert_from_arrays(
    tables.reversed_points,
    _REVERSED_COLUMNS,
    "ON CONFLICT (member_id, entry_id) DO UPDATE SET points = reversed_points.points + excluded.points,"
    " amount_minor = reversed_points.amount_minor + excluded.amount_minor",
)
_INSERT_HOLDS = insert_from_arrays(
    tables.hold, ("member_id", "entry_id", "points", "captured", "returned", "lapses_at")
)
_CHANGE_HOLDS = text(
    "UPDATE hold h SET captured = h.captured + u.captured, returned = h.returned + u.returned"
    " FROM unnest(CAST(:members AS bigint[]), CAST(:holds AS uuid[]), CAST(:captured AS bigint[]),"
    " CAST(:returned AS bigint[])) AS u (member_id, entry_id, captured, returned)"
    " WHERE h.member_id = ANY(CAST(:members AS bigint[])) AND h.member_id = u.member_id"
    " AND h.entry_id = u.entry_id"
)
_INSERT_MEMBERS = insert_from_arrays(tables.member, ("member_id", "public_id", "enrolled_by", "enrolled_at"))
_INSERT_CARDS = insert_from_arrays(tables.card, ("card_number", "member_id", "issued_at", "issued_to"))
_BONDS = {
    name: text(f"UPDATE account SET {name} = :value WHERE member_id = :member AND unit = :unit")
    for name in ("pool_id", "tier", "tier_until")
}
_MERGE = text(
    "UPDATE account SET merged_into = :into, merge_id = :merge WHERE member_id = :member AND unit = :unit"
)
_WARD = text(
    "UPDATE account SET guardian_id = :guardian, child_until = :until"
    " WHERE member_id = :member AND unit = :unit"
)
_MOVE_CARDS = text("UPDATE card SET member_id = :after WHERE member_id = :before AND issued_to = :issued_to")
_INSERT_ACCOUNTS = insert_from_arrays(tables.account, ("member_id", "unit", "balance"))
_LOT_KEY = ("member_id", "unit", "issuer_id", "terms_version", "spendable_on", "expires_on")
_CREDIT_LOTS = insert_from_arrays(
    tables.lot,
    (*_LOT_KEY, "remaining"),
    f"ON CONFLICT ({', '.join(_LOT_KEY)}) DO UPDATE SET remaining = lot.remaining + excluded.remaining",
)
_LOT_ARRAYS = (
    "unnest(CAST(:member_id AS bigint[]), CAST(:unit AS smallint[]), CAST(:issuer_id AS integer[]),"
    " CAST(:terms_version AS integer[]), CAST(:spendable_on AS date[]), CAST(:expires_on AS date[]),"
    " CAST(:remaining AS bigint[]))"
)
_DEBIT_LOTS = text(
    f"UPDATE lot SET remaining = lot.remaining - u.remaining FROM {_LOT_ARRAYS}"
    f" AS u ({', '.join(_LOT_KEY)}, remaining)"
    " WHERE lot.member_id = ANY(CAST(:member_id AS bigint[])) AND "
    + " AND ".join(f"lot.{name} = u.{name}" for name in _LOT_KEY)
)
_CHANGE_BALANCES = text(
    "UPDATE account a SET balance = a.balance + u.change, deficit = a.deficit + u.deficit,"
    " pending_until = greatest(a.pending_until, u.pending_until),"
    " active_until = greatest(a.active_until, u.active_until)"
    " FROM unnest(CAST(:members AS bigint[]), CAST(:changes AS bigint[]), CAST(:deficits AS bigint[]),"
    " CAST(:pending AS date[]), CAST(:active AS date[]))"
    " AS u (member_id, change, deficit, pending_until, active_until)"
    " WHERE a.member_id = ANY(CAST(:members AS bigint[])) AND a.member_id = u.member_id AND a.unit = :unit"
)

_INSERT_PENDING = insert_from_arrays(
    tables.pending, ("member_id", "entry_id", "points", "released", "cancelled")
)
_CHANGE_PENDING = text(
    "UPDATE pending p SET released = p.released + u.released, cancelled = p.cancelled + u.cancelled"
    " FROM unnest(CAST(:members AS bigint[]), CAST(:entries AS uuid[]), CAST(:released AS bigint[]),"
    " CAST(:cancelled AS bigint[])) AS u (member_id, entry_id, released, cancelled)"
    " WHERE p.member_id = ANY(CAST(:members AS bigint[])) AND p.member_id = u.member_id"
    " AND p.entry_id = u.entry_id"
)
_DEFICIT_COLUMNS = ("member_id", "issuer_id", "terms_version", "entry_id", "points")
_SET_DEFICITS = insert_from_arrays(
    tables.deficit,
    _DEFICIT_COLUMNS,
    "ON CONFLICT (member_id, issuer_id, terms_version) DO UPDATE SET entry_id = excluded.entry_id,"
    " points = excluded.points",
)
_INSERT_INVITATIONS = insert_from_arrays(tables.invitation, ("member_id", "entry_id", "pool_id"))
_USE_INVITATION = text(
    "UPDATE invitation SET joined_by = :entry WHERE member_id = :member AND entry_id = :invitation"
    " AND joined_by IS NULL"
)
_OFFLINE_COLUMNS = ("member_id", "entry_id", "points")
_INSERT_OFFLINE = insert_from_arrays(tables.offline_redemption, _OFFLINE_COLUMNS)
_INSERT_LINES = insert_from_arrays(tables.entry_line, ("member_id", "entry_id", "line", "measure"))
_RETURN_LINES = text(
    "UPDATE entry_line l SET returned_by = u.returned_by"
    " FROM unnest(CAST(:members AS bigint[]), CAST(:entries AS uuid[]), CAST(:lines AS smallint[]),"
    " CAST(:returns AS uuid[])) AS u (member_id, entry_id, line, returned_by)"
    " WHERE l.member_id = ANY(CAST(:members AS bigint[])) AND l.member_id = u.member_id"
    " AND l.entry_id = u.entry_id AND l.line = u.line AND l.returned_by IS NULL"
)


def save(
    connection: Connection,
    decided: Sequence[Decision],
    owed: Callable[[int], Sequence[Deficit]],
    hooks: Hooks,
    exposed: Mapping[Holder, Holding] = MappingProxyType({}),
) -> dict[int, Standing]:
    """Write decisions: entries, postings, lots, balances. Sums are made here, one row per key.

    Args:
        decided: In the order in which they were decided.
        owed: The deficits of a member that are open after them.
        hooks: Who is told of entries.
        exposed: What they add to the sums of capped partners, whose rows are locked and changed last.
    Returns:
        How these partners stood before.
    Raises:
        InvariantBroken: a row that must change did not.
    """
    if not decided:
        return {}
    decisions = [one for decision in decided for one in (decision, *decision.linked)]
    with Pipeline(connection) as pipeline:
        _save_enrolled(pipeline, [d for d in decisions if d.enrolled is not None])
        _save_entries(pipeline, decisions)
        # A merged account is empty (a CHECK): it opens before points come back, and closes after they left.
        bonds = [d for d in decisions if d.account is not UNCHANGED]
        _save_bonds(pipeline, [d for d in bonds if d.account.merged_into is None])
        _save_balances(pipeline, decisions)
        _save_bonds(pipeline, [d for d in bonds if d.account.merged_into is not None])
        _save_reversed(pipeline, [decision for decision in decisions if decision.entry.reverses is not None])
        _save_holds(pipeline, decisions)
        _save_pending(pipeline, decisions)
        _save_deficits(pipeline, decisions, owed)
        _save_invitations(pipeline, decisions)
        _save_lines(pipeline, decisions)
        _save_offline(pipeline, decisions)
        programme_store.save(pipeline, decisions)
        pledge_store.save(pipeline, decisions)
        plan_store.save(pipeline, decisions)
        code_store.save(pipeline, decisions)
        for decision in decisions:
            if decision.cards is not None:
                pipeline.ask(_MOVE_CARDS, msgspec.structs.asdict(decision.cards))
        if hooks:
            tell_entries(pipeline, decisions, hooks)
        return exposure_store.add(pipeline, exposed) if exposed else {}


def _save_entries(pipeline: Pipeline, decisions: Sequence[Decision]) -> None:
    rows = [_ENTRY(decision.entry) for decision in decisions]
    _insert(pipeline, _INSERT_ENTRIES, _columns(ENTRY_FIELDS, rows))
    moved = [(d.entry, posting) for d in decisions for posting in d.postings]
    if not moved:
        return
    arrays = _columns(POSTING_FIELDS[2:], [_POSTING(posting) for _, posting in moved])
    arrays["member_id"] = [entry.member_id for entry, _ in moved]
    arrays["entry_id"] = [entry.entry_id for entry, _ in moved]
    _insert(pipeline, _INSERT_POSTINGS, arrays)
    # A capture moves held points on: its member's lots stay as they are.
    own = [(e, p) for e, p in moved if AccountKind.MEMBER in (p.debit, p.credit)]
    if own:
        _save_lots(pipeline, own)


def _insert(pipeline: Pipeline, insert: Insert, arrays: Mapping[str, Sequence[Any]]) -> None:
    rows = equal_length(arrays)
    if rows:
        pipeline.change(insert.statement, insert.bound(arrays), rows, insert.table.name)


def _save_bonds(pipeline: Pipeline, decisions: Sequence[Decision]) -> None:
    """Pool, merge and tier of accounts: a batch of its own, or an operator's doing, so row by row will do."""
    for decision in decisions:
        for name, statement in _BONDS.items():
            value = getattr(decision.account, name)
            if not isinstance(value, UnsetType):
                whose = {"member": decision.entry.member_id, "unit": int(Unit.POINTS), "value": value}
                pipeline.change(statement, whose, 1, f"{name} changed")
        if not isinstance(decision.account.guardian_id, UnsetType):
            ward = {
                "member": decision.entry.member_id,
                "unit": int(Unit.POINTS),
                "guardian": decision.account.guardian_id,
                "until": decision.account.child_until,
            }
            pipeline.change(_WARD, ward, 1, "guardian set")
        if not isinstance(decision.account.merged_into, UnsetType):
            merge = {
                "member": decision.entry.member_id,
                "unit": int(Unit.POINTS),
                "into": decision.account.merged_into,
                "merge": decision.account.merge_id,
            }
            pipeline.change(_MERGE, merge, 1, "account merged")


def _save_reversed(pipeline: Pipeline, reversals: Sequence[Decision]) -> None:
    sums: dict[tuple[int, UUID | None], list[int]] = {}
    for decision in reversals:
        entry = decision.entry
        total = sums.setdefault((entry.member_id, entry.reverses), [0, 0])
        total[0] += undone(decision)
        total[1] += entry.amount_minor
    rows = [(*key, *total) for key, total in sums.items()]
    if rows:
        _insert(pipeline, _ADD_REVERSED, _columns(_REVERSED_COLUMNS, rows))


def _save_holds(pipeline: Pipeline, decisions: Sequence[Decision]) -> None:
    made = [
        (d.entry.member_id, d.entry.entry_id, held(d.postings), 0, 0, d.lapses_at)
        for d in decisions
        if d.lapses_at is not None
    ]
    if made:
        names = ("member_id", "entry_id", "points", "captured", "returned", "lapses_at")
        _insert(pipeline, _INSERT_HOLDS, _columns(names, made))
    sums: dict[tuple[int, UUID], list[int]] = {}
    for decision in decisions:
        entry = decision.entry
        if entry.hold_id is None or decision.voucher is not None:
            continue
        if entry.kind is not EntryKind.RELEASE:
            captured, returned = hold_change(decision)
            total = sums.setdefault((entry.member_id, entry.hold_id), [0, 0])
            total[0] += captured
            total[1] += returned
    if sums:
        arrays = {
            "members": integers(member_id for member_id, _ in sums),
            "holds": uuids(hold_id for _, hold_id in sums),
            "captured": integers(captured for captured, _ in sums.values()),
            "returned": integers(returned for _, returned in sums.values()),
        }
        pipeline.change(_CHANGE_HOLDS, arrays, len(sums), "holds changed")


def _save_enrolled(pipeline: Pipeline, decisions: Sequence[Decision]) -> None:
    minted = [d.enrolled for d in decisions if d.enrolled is not None]
    members = [one.member_id for one in minted]
    at = [d.entry.recorded_at for d in decisions]
    _insert(
        pipeline,
        _INSERT_MEMBERS,
        {
            "member_id": members,
            "public_id": [one.public_id for one in minted],
            "enrolled_by": [d.entry.partner_id for d in decisions],
            "enrolled_at": at,
        },
    )
    cards: dict[str, list[Any]] = {
        "card_number": [one.card_number for one in minted],
        "member_id": members,
        "issued_at": at,
        "issued_to": members,
    }
    _insert(pipeline, _INSERT_CARDS, cards)
    accounts: dict[str, list[Any]] = {
        "member_id": members,
        "unit": [int(Unit.POINTS)] * len(minted),
        "balance": [0] * len(minted),
    }
    _insert(pipeline, _INSERT_ACCOUNTS, accounts)


def _save_lots(pipeline: Pipeline, moved: Sequence[tuple[Entry, Posting]]) -> None:
    changes: dict[tuple[Any, ...], int] = {}
    for entry, posting in moved:
        key = (
            entry.member_id,
            int(posting.unit),
            posting.issuer_id,
            posting.issuer_terms,
            posting.spendable_on,
            posting.expires_on,
        )
        changes[key] = changes.get(key, 0) + in_lot(posting)
    # A lot that is both fed and drawn in one batch changes by the sum. A zero sum still makes the lot's row,
    # so that each lot of the postings exists.
    fed = [(*key, change) for key, change in changes.items() if change >= 0]
    drawn = [(*key, -change) for key, change in changes.items() if change < 0]
    names = (*_LOT_KEY, "remaining")
    if fed:
        _insert(pipeline, _CREDIT_LOTS, _columns(names, fed))
    if drawn:
        arrays = _CREDIT_LOTS.bound(_columns(names, drawn))
        pipeline.change(_DEBIT_LOTS, arrays, len(drawn), "lots drawn")


def _columns(names: Sequence[str], rows: Sequence[tuple[Any, ...]]) -> dict[str, list[Any]]:
    """Rows as one array a column."""
    return {name: list(column) for name, column in zip(names, zip(*rows, strict=True), strict=True)}


def _save_balances(pipeline: Pipeline, decisions: Sequence[Decision]) -> None:
    changes: dict[int, list[Any]] = {}
    for decision in decisions:
        active = decision.account.active_until
        owed = sum(d.points for d in decision.deficits) - sum(d.points for d in decision.cured)
        lots = [
            p
            for p in decision.postings
            if AccountKind.MEMBER in (p.debit, p.credit) and p.unit is Unit.POINTS
        ]
        if not lots and not owed and isinstance(active, UnsetType):
            continue
        change = changes.setdefault(decision.entry.member_id, [0, 0, IMMEDIATELY, IMMEDIATELY])
        change[0] += sum(map(lot_change, lots))
        change[1] += owed
        change[2] = max([change[2], *(p.spendable_on for p in lots)])
        change[3] = change[3] if isinstance(active, UnsetType) else max(change[3], active)
    if not changes:
        return
    points, deficits, pending, actives = zip(*changes.values(), strict=True)
    arrays = {
        "members": integers(changes),
        "changes": integers(points),
        "deficits": integers(deficits),
        "pending": dates(pending),
        "active": dates(actives),
        "unit": int(Unit.POINTS),
    }
    pipeline.change(_CHANGE_BALANCES, arrays, len(changes), "balances changed")


def _save_pending(pipeline: Pipeline, decisions: Sequence[Decision]) -> None:
    made = [
        (d.entry.member_id, d.entry.entry_id, points, 0, 0) for d in decisions if (points := set_aside(d)) > 0
    ]
    if made:
        names = ("member_id", "entry_id", "points", "released", "cancelled")
        _insert(pipeline, _INSERT_PENDING, _columns(names, made))
    sums: dict[tuple[int, UUID], list[int]] = {}
    for decision in decisions:
        released, cancelled = pending_change(decision)
        accrual = decision.entry.hold_id if released else decision.entry.reverses
        if released + cancelled and accrual is not None:
            total = sums.setdefault((decision.entry.member_id, accrual), [0, 0])
            total[0] += released
            total[1] += cancelled
    if sums:
        arrays = {
            "members": integers(member_id for member_id, _ in sums),
            "entries": uuids(entry_id for _, entry_id in sums),
            "released": integers(released for released, _ in sums.values()),
            "cancelled": integers(cancelled for _, cancelled in sums.values()),
        }
        pipeline.change(_CHANGE_PENDING, arrays, len(sums), "pending points changed")


def _save_deficits(
    pipeline: Pipeline, decisions: Sequence[Decision], owed: Callable[[int], Sequence[Deficit]]
) -> None:
    """What is owed after all decisions; a row that was paid stays, at zero."""
    changed = {
        (d.entry.member_id, one.issuer_id, one.terms_version): (one.entry_id, 0)
        for d in decisions
        for one in (*d.deficits, *d.cured)
    }
    for member_id in {member_id for member_id, _, _ in changed}:
        for one in owed(member_id):
            changed[member_id, one.issuer_id, one.terms_version] = (one.entry_id, one.points)
    if changed:
        rows = [(*key, *value) for key, value in changed.items()]
        _insert(pipeline, _SET_DEFICITS, _columns(_DEFICIT_COLUMNS, rows))


def _save_invitations(pipeline: Pipeline, decisions: Sequence[Decision]) -> None:
    made = [
        (d.entry.member_id, d.entry.entry_id, d.invites_to) for d in decisions if d.invites_to is not None
    ]
    if made:
        _insert(pipeline, _INSERT_INVITATIONS, _columns(("member_id", "entry_id", "pool_id"), made))
    for decision in decisions:
        entry = decision.entry
        if entry.kind is EntryKind.POOL_JOIN:
            used = {"member": entry.counterpart_id, "invitation": entry.parent_id, "entry": entry.entry_id}
            pipeline.change(_USE_INVITATION, used, 1, "invitation used")


def _save_lines(pipeline: Pipeline, decisions: Sequence[Decision]) -> None:
    made = [
        (d.entry.member_id, d.entry.entry_id, line, measure)
        for d in decisions
        for line, measure in enumerate(d.lines, start=1)
    ]
    if made:
        names = ("member_id", "entry_id", "line", "measure")
        _insert(pipeline, _INSERT_LINES, _columns(names, made))
    returned = [
        (d.entry.member_id, d.entry.reverses, line, d.entry.entry_id)
        for d in decisions
        for line in d.returned_lines
    ]
    if returned:
        members, entries, lines, returns = zip(*returned, strict=True)
        arrays = {
            "members": integers(members),
            "entries": uuids(entries),
            "lines": integers(lines),
            "returns": uuids(returns),
        }
        pipeline.change(_RETURN_LINES, arrays, len(returned), "lines returned")


def _save_offline(pipeline: Pipeline, decisions: Sequence[Decision]) -> None:
    """What tills have accepted offline, with the points that were asked for."""
    made = [(d.entry.member_id, d.entry.entry_id, d.asked) for d in decisions if d.asked is not None]
    if made:
        _insert(pipeline, _INSERT_OFFLINE, _columns(_OFFLINE_COLUMNS, made))
