"""Load and save for the group commit: a fixed number of statements per batch, locks in one order.

Lock order, always: the window (shared advisory), idempotency records (inserted sorted), accounts (ordered
FOR UPDATE); lots only under their account's lock. Sorting an array is not an order (the planner may hash it),
so every locking statement carries ORDER BY.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import Connection, text

from network import tables
from network.bulk import bound_arrays, dates, insert_from_arrays, insert_rows, integers, texts, uuids
from network.errors import InvariantBroken, NotReady
from network.ids import member_of
from network.model import (
    IMMEDIATELY,
    NOT_REVERSED,
    AccountKind,
    CardState,
    Decision,
    Entry,
    EntryKind,
    HoldState,
    Lot,
    MemberState,
    Minted,
    Moment,
    Posting,
    RecordedEntry,
    Reversed,
    Unit,
)
from network.rules import hold_change, lot_change

WINDOW_LOCK = "7263, hashtext(current_schema())"
"""The advisory lock that writers share and the close takes alone; one per schema."""

_SHARE_WINDOW = text(f"SELECT pg_advisory_xact_lock_shared({WINDOW_LOCK})")
_MOMENT = text(
    "SELECT coalesce(n.clock, clock_timestamp()) AS now, w.window_id, w.business_date, w.lapsed_through"
    " FROM network n, clearing_window w WHERE w.closed_at IS NULL"
)
_CARDS = text(
    "SELECT card_number, member_id, status FROM card WHERE card_number = ANY(CAST(:cards AS bigint[]))"
)
_MEMBER_IDS = text("SELECT nextval('member_id_seq') FROM generate_series(1, :count)")
_CLAIM = insert_from_arrays(
    tables.idempotency,
    ("request_key", "content_hash", "entry_id", "recorded_on"),
    "ORDER BY request_key ON CONFLICT (request_key) DO NOTHING RETURNING request_key",
)
_RECALL = text(
    "SELECT request_key, content_hash, entry_id, refusal FROM idempotency"
    " WHERE request_key = ANY(CAST(:keys AS uuid[]))"
)
_REFUSE = text(
    "UPDATE idempotency i SET refusal = u.refusal"
    " FROM unnest(CAST(:keys AS uuid[]), CAST(:refusals AS text[])) AS u (request_key, refusal)"
    " WHERE i.request_key = u.request_key AND i.request_key = ANY(CAST(:keys AS uuid[]))"
)
_FORGET = text("DELETE FROM idempotency WHERE request_key = ANY(CAST(:keys AS uuid[]))")
_LOCK_ACCOUNTS = text(
    "SELECT member_id FROM account WHERE member_id = ANY(CAST(:members AS bigint[])) AND unit = :unit"
    " ORDER BY member_id FOR UPDATE"
)
_BALANCES = text(
    "SELECT a.member_id, a.balance, a.pending_until,"
    " ARRAY(SELECT h.entry_id FROM hold h WHERE h.member_id = a.member_id"
    " AND h.lapses_at <= :now AND h.captured + h.returned < h.points ORDER BY h.entry_id) AS due"
    " FROM account a WHERE a.member_id = ANY(CAST(:members AS bigint[])) AND a.unit = :unit"
)
_LOTS = text(
    "SELECT member_id, issuer_id, terms_version, spendable_on, expires_on, remaining FROM lot"
    " WHERE member_id = ANY(CAST(:members AS bigint[])) AND unit = :unit AND remaining > 0"
)
_ENTRIES = text(
    "SELECT e.* FROM unnest(CAST(:members AS bigint[]), CAST(:entries AS uuid[])) AS u (member_id, entry_id)"
    " JOIN entry e ON e.member_id = u.member_id AND e.entry_id = u.entry_id"
)
_POSTINGS = text(
    "SELECT p.* FROM unnest(CAST(:members AS bigint[]), CAST(:entries AS uuid[])) AS u (member_id, entry_id)"
    " JOIN posting p ON p.member_id = u.member_id AND p.entry_id = u.entry_id ORDER BY p.entry_id, p.line"
)
_REVERSED = text(
    "SELECT r.entry_id, r.points, r.amount_minor FROM"
    " unnest(CAST(:members AS bigint[]), CAST(:entries AS uuid[])) AS u (member_id, entry_id)"
    " JOIN reversed_points r ON r.member_id = u.member_id AND r.entry_id = u.entry_id"
)
_HOLDS = text(
    "SELECT h.entry_id, h.lapses_at, h.captured, h.returned FROM"
    " unnest(CAST(:members AS bigint[]), CAST(:entries AS uuid[])) AS u (member_id, entry_id)"
    " JOIN hold h ON h.member_id = u.member_id AND h.entry_id = u.entry_id"
)
_ENROLLED = text(
    "SELECT DISTINCT ON (m.member_id) m.member_id, m.public_id, c.card_number FROM member m"
    " JOIN card c ON c.member_id = m.member_id WHERE m.member_id = ANY(CAST(:members AS bigint[]))"
    " ORDER BY m.member_id, c.issued_at, c.card_number"
)

_ENTRY_FIELDS = tuple(column.name for column in tables.entry.columns)
_POSTING_FIELDS = tuple(column.name for column in tables.posting.columns if column.name != "unit")
_INSERT_ENTRIES = insert_from_arrays(tables.entry, _ENTRY_FIELDS)
_INSERT_POSTINGS = insert_from_arrays(tables.posting, (*_POSTING_FIELDS, "unit"))
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
_INSERT_CARDS = insert_from_arrays(tables.card, ("card_number", "member_id", "issued_at"))
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
    "UPDATE account a SET balance = a.balance + u.change,"
    " pending_until = greatest(a.pending_until, u.pending_until)"
    " FROM unnest(CAST(:members AS bigint[]), CAST(:changes AS bigint[]), CAST(:pending AS date[]))"
    " AS u (member_id, change, pending_until)"
    " WHERE a.member_id = ANY(CAST(:members AS bigint[])) AND a.member_id = u.member_id AND a.unit = :unit"
)


class Recalled(msgspec.Struct, frozen=True):
    """What a request was answered before."""

    content_hash: UUID
    entry_id: UUID
    refusal: str | None


def begin(connection: Connection) -> Moment:
    """Share the window's lock and read, in a later statement, which window is open and what time it is.

    Raises:
        NotReady: the network is not set up, or no window is open.
    """
    connection.execute(_SHARE_WINDOW)
    row = connection.execute(_MOMENT).one_or_none()
    if row is None:
        raise NotReady("no window is open: set the network up, then open its first window")
    # Milliseconds, because that is what an entry's id can say of when it was recorded.
    now = row.now.astimezone(UTC)
    return Moment(
        now=now.replace(microsecond=now.microsecond // 1000 * 1000),
        window_id=row.window_id,
        business_date=row.business_date,
        lapsed_through=row.lapsed_through,
    )


def load_cards(connection: Connection, numbers: Collection[int]) -> dict[int, CardState]:
    """Whose cards these are; unknown ones are missing."""
    if not numbers:
        return {}
    rows = connection.execute(_CARDS, {"cards": integers(numbers)})
    return {row.card_number: CardState(row.member_id, row.status == "active") for row in rows}


def new_member_ids(connection: Connection, count: int) -> list[int]:
    """Fresh member numbers."""
    return list(connection.execute(_MEMBER_IDS, {"count": count}).scalars()) if count else []


def claim(
    connection: Connection,
    keys: Sequence[UUID],
    content_hashes: Sequence[UUID],
    entry_ids: Sequence[UUID],
    recorded_on: date,
) -> set[UUID]:
    """Record requests under the ids minted for them; a key in flight elsewhere is waited for.

    Returns:
        The keys that were new. The others were answered before (`recall`).
    """
    arrays = {
        "request_key": keys,
        "content_hash": content_hashes,
        "entry_id": entry_ids,
        "recorded_on": [recorded_on] * len(keys),
    }
    return set(connection.execute(_CLAIM.statement, bound_arrays(tables.idempotency, arrays)).scalars())


def recall(connection: Connection, keys: Collection[UUID]) -> dict[UUID, Recalled]:
    """What requests were answered before."""
    if not keys:
        return {}
    rows = connection.execute(_RECALL, {"keys": uuids(keys)})
    return {row.request_key: Recalled(row.content_hash, row.entry_id, row.refusal) for row in rows}


def load_members(
    connection: Connection, members: Collection[int], with_lots: Collection[int], now: datetime, today: date
) -> tuple[dict[int, MemberState], list[UUID]]:
    """Lock accounts in order, then read them, and the lots of those whose points may be taken or pend.

    Returns:
        The members by number, and those of their holds whose time is over and which still hold points.
    """
    if not members:
        return {}, []
    wanted = {"members": integers(members), "unit": int(Unit.POINTS)}
    connection.execute(_LOCK_ACCOUNTS, wanted)
    balances = connection.execute(_BALANCES, {**wanted, "now": now}).all()
    pending = {row.member_id for row in balances if row.pending_until > today}
    lots: dict[int, list[Lot]] = {member_id: [] for member_id in pending.union(with_lots)}
    if lots:
        for row in connection.execute(_LOTS, {"members": integers(lots), "unit": int(Unit.POINTS)}):
            lots[row.member_id].append(Lot(*row[1:]))
    states = {
        row.member_id: MemberState(member_id=row.member_id, balance=row.balance, lots=lots.get(row.member_id))
        for row in balances
    }
    return states, [entry_id for row in balances for entry_id in row.due]


def load_entries(connection: Connection, entry_ids: Collection[UUID]) -> dict[UUID, RecordedEntry]:
    """Earlier entries with their postings; unknown ids are missing. An id carries its member."""
    if not entry_ids:
        return {}
    wanted = {
        "entries": uuids(entry_ids),
        "members": integers([member_of(entry_id) for entry_id in entry_ids]),
    }
    postings: dict[UUID, list[Posting]] = {}
    for row in connection.execute(_POSTINGS, wanted).mappings():
        postings.setdefault(row["entry_id"], []).append(_posting(row))
    undone = {
        row[0]: Reversed(points=row[1], amount_minor=row[2]) for row in connection.execute(_REVERSED, wanted)
    }
    holds = {
        row.entry_id: HoldState(lapses_at=row.lapses_at, captured=row.captured, returned=row.returned)
        for row in connection.execute(_HOLDS, wanted)
    }
    return {
        row["entry_id"]: RecordedEntry(
            entry=read_entry(row),
            postings=tuple(postings.get(row["entry_id"], ())),
            reversed=undone.get(row["entry_id"], NOT_REVERSED),
            hold=holds.get(row["entry_id"]),
        )
        for row in connection.execute(_ENTRIES, wanted).mappings()
    }


def load_enrolled(connection: Connection, entries: Iterable[Entry]) -> dict[UUID, Minted]:
    """What each enrolment among entries made: the member, and its first card."""
    enrolments = {one.member_id: one.entry_id for one in entries if one.kind is EntryKind.ENROLMENT}
    if not enrolments:
        return {}
    rows = connection.execute(_ENROLLED, {"members": integers(enrolments)})
    return {
        enrolments[row.member_id]: Minted(
            entry_id=enrolments[row.member_id],
            member_id=row.member_id,
            public_id=row.public_id,
            card_number=row.card_number,
        )
        for row in rows
    }


def read_entry(row: Mapping[Any, Any]) -> Entry:
    """An entry from a row of table `entry`."""
    values = {name: row[name] for name in _ENTRY_FIELDS}
    values["kind"] = EntryKind(values["kind"])
    return Entry(**values)


def _posting(row: Mapping[Any, Any]) -> Posting:
    values = {name: row[name] for name in _POSTING_FIELDS if name not in {"member_id", "entry_id"}}
    values["debit"] = AccountKind(values["debit"])
    values["credit"] = AccountKind(values["credit"])
    return Posting(**values)


def refuse(connection: Connection, refusals: Mapping[UUID, str]) -> None:
    """Remember refusals beside the requests claimed for them."""
    if refusals:
        arrays = {"keys": uuids(refusals), "refusals": texts(refusals.values())}
        _expect(connection.execute(_REFUSE, arrays).rowcount, len(refusals), "refusals remembered")


def forget(connection: Connection, keys: Collection[UUID]) -> None:
    """Release requests whose refusal is not final."""
    if keys:
        _expect(connection.execute(_FORGET, {"keys": uuids(keys)}).rowcount, len(keys), "requests released")


def save(connection: Connection, decisions: Sequence[Decision]) -> None:
    """Write decisions: entries, postings, lots, balances. Sums are made here, one row per key.

    Raises:
        InvariantBroken: a row that must change did not.
    """
    if not decisions:
        return
    _save_enrolled(connection, [d for d in decisions if d.enrolled is not None])
    entries = [decision.entry for decision in decisions]
    arrays: dict[str, list[Any]] = {name: [getattr(e, name) for e in entries] for name in _ENTRY_FIELDS}
    insert_rows(connection, _INSERT_ENTRIES, arrays)
    moved = [(d.entry, posting) for d in decisions for posting in d.postings]
    if moved:
        arrays = {name: [getattr(p, name) for _, p in moved] for name in _POSTING_FIELDS[2:]}
        arrays["member_id"] = [entry.member_id for entry, _ in moved]
        arrays["entry_id"] = [entry.entry_id for entry, _ in moved]
        arrays["unit"] = [int(Unit.POINTS)] * len(moved)
        insert_rows(connection, _INSERT_POSTINGS, arrays)
        # A capture moves held points on: its member's lots and balance stay as they are.
        own = [(e, p) for e, p in moved if AccountKind.MEMBER in (p.debit, p.credit)]
        if own:
            _save_lots(connection, own)
            _save_balances(connection, own)
    _save_reversed(connection, [entry for entry in entries if entry.reverses is not None])
    _save_holds(connection, decisions)


def _save_reversed(connection: Connection, reversals: Sequence[Entry]) -> None:
    sums: dict[tuple[int, UUID | None], list[int]] = {}
    for entry in reversals:
        total = sums.setdefault((entry.member_id, entry.reverses), [0, 0])
        total[0] += abs(entry.points)
        total[1] += entry.amount_minor
    rows = [(*key, *total) for key, total in sums.items()]
    if rows:
        insert_rows(connection, _ADD_REVERSED, _columns(_REVERSED_COLUMNS, rows))


def _save_holds(connection: Connection, decisions: Sequence[Decision]) -> None:
    made = [
        (d.entry.member_id, d.entry.entry_id, -d.entry.points, 0, 0, d.lapses_at)
        for d in decisions
        if d.lapses_at is not None
    ]
    if made:
        names = ("member_id", "entry_id", "points", "captured", "returned", "lapses_at")
        insert_rows(connection, _INSERT_HOLDS, _columns(names, made))
    sums: dict[tuple[int, UUID], list[int]] = {}
    for decision in decisions:
        if decision.entry.hold_id is not None:
            captured, returned = hold_change(decision)
            total = sums.setdefault((decision.entry.member_id, decision.entry.hold_id), [0, 0])
            total[0] += captured
            total[1] += returned
    if sums:
        arrays = {
            "members": integers(member_id for member_id, _ in sums),
            "holds": uuids(hold_id for _, hold_id in sums),
            "captured": integers(captured for captured, _ in sums.values()),
            "returned": integers(returned for _, returned in sums.values()),
        }
        _expect(connection.execute(_CHANGE_HOLDS, arrays).rowcount, len(sums), "holds changed")


def _save_enrolled(connection: Connection, decisions: Sequence[Decision]) -> None:
    minted = [d.enrolled for d in decisions if d.enrolled is not None]
    members = [one.member_id for one in minted]
    at = [d.entry.recorded_at for d in decisions]
    insert_rows(
        connection,
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
    }
    insert_rows(connection, _INSERT_CARDS, cards)
    accounts: dict[str, list[Any]] = {
        "member_id": members,
        "unit": [int(Unit.POINTS)] * len(minted),
        "balance": [0] * len(minted),
    }
    insert_rows(connection, _INSERT_ACCOUNTS, accounts)


def _save_lots(connection: Connection, moved: Sequence[tuple[Entry, Posting]]) -> None:
    changes: dict[tuple[Any, ...], int] = {}
    for entry, posting in moved:
        key = (
            entry.member_id,
            int(Unit.POINTS),
            posting.issuer_id,
            posting.issuer_terms,
            posting.spendable_on,
            posting.expires_on,
        )
        changes[key] = changes.get(key, 0) + lot_change(posting)
    # A lot that is both fed and drawn in one batch changes by the sum. A zero sum still makes the lot's row,
    # so that each lot of the postings exists.
    fed = [(*key, change) for key, change in changes.items() if change >= 0]
    drawn = [(*key, -change) for key, change in changes.items() if change < 0]
    names = (*_LOT_KEY, "remaining")
    if fed:
        insert_rows(connection, _CREDIT_LOTS, _columns(names, fed))
    if drawn:
        arrays = bound_arrays(tables.lot, _columns(names, drawn))
        _expect(connection.execute(_DEBIT_LOTS, arrays).rowcount, len(drawn), "lots drawn")


def _columns(names: Sequence[str], rows: Sequence[tuple[Any, ...]]) -> dict[str, list[Any]]:
    """Rows as one array a column."""
    return {name: list(column) for name, column in zip(names, zip(*rows, strict=True), strict=True)}


def _save_balances(connection: Connection, moved: Sequence[tuple[Entry, Posting]]) -> None:
    changes: dict[int, int] = {}
    pending: dict[int, date] = {}
    for entry, posting in moved:
        changes[entry.member_id] = changes.get(entry.member_id, 0) + lot_change(posting)
        pending[entry.member_id] = max(pending.get(entry.member_id, IMMEDIATELY), posting.spendable_on)
    arrays = {
        "members": integers(changes),
        "changes": integers(changes.values()),
        "pending": dates(pending.values()),
        "unit": int(Unit.POINTS),
    }
    _expect(connection.execute(_CHANGE_BALANCES, arrays).rowcount, len(changes), "balances changed")


def _expect(written: int, expected: int, what: str) -> None:
    if written != expected:
        raise InvariantBroken(f"{what}: {written} rows, expected {expected}")
