"""Load and save for the group commit: a fixed number of statements per batch, locks in one order.

Lock order, always: the window (shared advisory), idempotency records (inserted sorted), accounts (ordered
FOR UPDATE); lots only under their account's lock; capped partners last (network.exposure_store). Sorting an
array is not an order (the planner may hash it), so every locking statement carries ORDER BY.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import Connection, text

from network import plan_store, tables
from network.bulk import insert_from_arrays, integers, texts, uuids
from network.errors import NotReady
from network.ids import member_of
from network.model import STORED, WITH_ACTIVITY, AccountKind, Entry, EntryKind, Lot, Posting, Unit, ValueLot
from network.outcomes import (
    NOT_REVERSED,
    CardState,
    Deficit,
    HoldState,
    InvitationState,
    LineState,
    MemberState,
    Minted,
    Moment,
    RecordedEntry,
    Retried,
    Reversed,
    VoucherState,
)
from network.pipeline import Pipeline
from network.programme_store import NOTHING_ASKED, Asked, Counters, ask, ask_whole

WINDOW_LOCK = "7263, hashtext(current_schema())"
"""The advisory lock that writers share and the close takes alone; one per schema."""

ENTRY_FIELDS = tuple(column.name for column in tables.entry.columns)
POSTING_FIELDS = tuple(column.name for column in tables.posting.columns)

_SHARE_WINDOW = text(f"SELECT pg_advisory_xact_lock_shared({WINDOW_LOCK})")
_MOMENT = text(
    "SELECT coalesce(n.clock, clock_timestamp()) AS now, w.window_id, w.business_date, w.lapsed_through,"
    " n.caps_basis FROM network n, clearing_window w WHERE w.closed_at IS NULL"
)
_CARDS = text(
    "SELECT card_number, member_id, status FROM card WHERE card_number = ANY(CAST(:cards AS bigint[]))"
)
_MEMBER_IDS = text("SELECT nextval('member_id_seq') FROM generate_series(1, :count)")
_CLAIM = insert_from_arrays(
    tables.idempotency,
    ("request_key", "content_hash", "entry_id", "recorded_on"),
    "ORDER BY request_key ON CONFLICT (request_key) DO NOTHING",
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
_RETRIED = text(
    "SELECT request_key, refusal IS NOT NULL, retried_by IS NOT NULL FROM idempotency"
    " WHERE request_key = ANY(CAST(:keys AS uuid[])) ORDER BY request_key FOR UPDATE"
)
_TAKE_RETRIED = text(
    "UPDATE idempotency i SET retried_by = u.taken"
    " FROM unnest(CAST(:keys AS uuid[]), CAST(:taken AS uuid[])) AS u (request_key, taken)"
    " WHERE i.request_key = u.request_key AND i.request_key = ANY(CAST(:keys AS uuid[]))"
    " AND i.retried_by IS NULL"
)
_FORGET = text("DELETE FROM idempotency WHERE request_key = ANY(CAST(:keys AS uuid[]))")
_LOCK_ACCOUNTS = text(
    "SELECT member_id FROM account WHERE member_id = ANY(CAST(:members AS bigint[])) AND unit = :unit"
    " ORDER BY member_id FOR UPDATE"
)
_BALANCES = text(
    "SELECT a.member_id, a.balance, a.pending_until, a.active_until, a.deficit, a.pool_id, a.merged_into,"
    " a.merge_id, a.tier, a.tier_until, a.child_until, a.guardian_id,"
    " ARRAY(SELECT h.entry_id FROM hold h WHERE h.member_id = a.member_id"
    " AND h.lapses_at <= :now AND h.captured + h.returned < h.points ORDER BY h.entry_id) AS due"
    " FROM account a WHERE a.member_id = ANY(CAST(:members AS bigint[])) AND a.unit = :unit"
)
# Two statements: a table that is sharded by member cannot be joined with itself by pool.
_POOLS = text(
    "SELECT DISTINCT pool_id FROM account"
    " WHERE member_id = ANY(CAST(:members AS bigint[])) AND unit = :unit AND pool_id IS NOT NULL"
)
_MATES = text("SELECT member_id FROM account WHERE pool_id = ANY(CAST(:pools AS uuid[])) AND unit = :unit")
_OVER = text(
    "SELECT DISTINCT member_id FROM hold WHERE lapses_at <= :now AND captured + returned < points"
    " LIMIT :limit"
)
_HAVE_MERGED = text(
    "SELECT DISTINCT member_id FROM card WHERE member_id = ANY(CAST(:members AS bigint[]))"
    " AND issued_to <> member_id"
)
_OPEN_HOLDS = text(
    "SELECT member_id, count(*) AS holds FROM hold WHERE member_id = ANY(CAST(:members AS bigint[]))"
    " AND captured + returned < points GROUP BY member_id"
)
_DEFICITS = text(
    "SELECT member_id, entry_id, issuer_id, terms_version, points FROM deficit"
    " WHERE member_id = ANY(CAST(:members AS bigint[])) AND points > 0"
    " ORDER BY entry_id, issuer_id, terms_version"
)
_LOTS = text(
    "SELECT member_id, issuer_id, terms_version, spendable_on, expires_on, remaining FROM lot"
    " WHERE member_id = ANY(CAST(:members AS bigint[])) AND unit = :unit AND remaining > 0"
)
_VALUE = text(
    "SELECT member_id, unit, issuer_id, terms_version, spendable_on, remaining FROM lot"
    " WHERE member_id = ANY(CAST(:members AS bigint[])) AND unit = ANY(CAST(:units AS smallint[]))"
    " AND remaining > 0"
)
_ENTRIES = text(
    f"SELECT {', '.join(f'e.{name}' for name in ENTRY_FIELDS)}"
    " FROM unnest(CAST(:members AS bigint[]), CAST(:entries AS uuid[])) AS u (member_id, entry_id)"
    " JOIN entry e ON e.member_id = u.member_id AND e.entry_id = u.entry_id"
)
_POSTINGS = text(
    f"SELECT {', '.join(f'p.{name}' for name in POSTING_FIELDS)}"
    " FROM unnest(CAST(:members AS bigint[]), CAST(:entries AS uuid[])) AS u (member_id, entry_id)"
    " JOIN posting p ON p.member_id = u.member_id AND p.entry_id = u.entry_id ORDER BY p.entry_id, p.line"
)
_STANDING = text(
    "SELECT u.entry_id, r.points AS reversed_points, r.amount_minor AS reversed_amount,"
    " h.lapses_at, h.captured, h.returned, p.points - p.released - p.cancelled AS pending,"
    " ARRAY(SELECT CASE WHEN l.returned_by IS NULL THEN l.measure ELSE -l.measure END FROM entry_line l"
    " WHERE l.member_id = u.member_id AND l.entry_id = u.entry_id ORDER BY l.line) AS lines,"
    " i.pool_id, i.joined_by, o.points AS asked, j.judgement, v.name AS voucher, v.starts_on, v.ends_on,"
    " v.ended_as"
    " FROM unnest(CAST(:members AS bigint[]), CAST(:entries AS uuid[])) AS u (member_id, entry_id)"
    " LEFT JOIN reversed_points r ON r.member_id = u.member_id AND r.entry_id = u.entry_id"
    " LEFT JOIN hold h ON h.member_id = u.member_id AND h.entry_id = u.entry_id"
    " LEFT JOIN pending p ON p.member_id = u.member_id AND p.entry_id = u.entry_id"
    " LEFT JOIN invitation i ON i.member_id = u.member_id AND i.entry_id = u.entry_id"
    " LEFT JOIN offline_redemption o ON o.member_id = u.member_id AND o.entry_id = u.entry_id"
    " LEFT JOIN judgement j ON j.member_id = u.member_id AND j.entry_id = u.entry_id"
    " LEFT JOIN voucher v ON v.member_id = u.member_id AND v.entry_id = u.entry_id"
)
_ENROLLED = text(
    "SELECT DISTINCT ON (m.member_id) m.member_id, m.public_id, c.card_number FROM member m"
    " JOIN card c ON c.issued_to = m.member_id WHERE m.member_id = ANY(CAST(:members AS bigint[]))"
    " ORDER BY m.member_id, c.issued_at, c.card_number"
)


class CardsMoved(Exception):
    """A card opens another account than before the locks."""


class _Account(msgspec.Struct, frozen=True):
    """A row of _BALANCES."""

    member_id: int
    balance: int
    pending_until: date
    active_until: date
    deficit: int
    pool_id: UUID | None
    merged_into: int | None
    merge_id: UUID | None
    tier: str
    tier_until: date
    child_until: date
    guardian_id: int | None
    due: list[UUID]


class Recalled(msgspec.Struct, frozen=True):
    """What a request was answered before."""

    content_hash: UUID
    entry_id: UUID
    refusal: str | None


def begin(connection: Connection, cards: Collection[int] = ()) -> tuple[Moment, dict[int, CardState]]:
    """Share the window's lock and read, in a later statement, which window is open and what time it is.

    Args:
        cards: Whose these are is read too; unknown ones will be missing.
    Raises:
        NotReady: the network is not set up, or no window is open.
    """
    with Pipeline(connection) as pipeline:
        pipeline.ask(_SHARE_WINDOW)
        asked = pipeline.ask(_MOMENT)
        owners = pipeline.ask(_CARDS, {"cards": integers(cards)}) if cards else None
        row = asked.first()
        known = (
            {}
            if owners is None
            else {n: CardState(whose, status != "blocked", status == "locked") for n, whose, status in owners}
        )
    if row is None:
        raise NotReady("no window is open: set the network up, then open its first window")
    at, window_id, business_date, lapsed_through, caps_basis = row
    # Milliseconds, because that is what an entry's id can say of when it was recorded.
    now = at.astimezone(UTC)
    moment = Moment(
        now=now.replace(microsecond=now.microsecond // 1000 * 1000),
        window_id=window_id,
        business_date=business_date,
        lapsed_through=lapsed_through,
        caps_basis=caps_basis,
    )
    return moment, known


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
    with Pipeline(connection) as pipeline:
        claimed = pipeline.ask(_CLAIM.statement, _CLAIM.bound(arrays))
        if claimed.changed == len(keys):
            return set(keys)
        minted = set(entry_ids)
        recorded = pipeline.ask(_RECALL, {"keys": uuids(keys)})
        return {key for key, _, entry_id, _ in recorded if entry_id in minted}


def recall(connection: Connection, keys: Collection[UUID]) -> dict[UUID, Recalled]:
    """What requests were answered before."""
    if not keys:
        return {}
    with Pipeline(connection) as pipeline:
        return {key: Recalled(*recorded) for key, *recorded in pipeline.ask(_RECALL, {"keys": uuids(keys)})}


def load_members(
    connection: Connection,
    members: Collection[int],
    with_lots: Collection[int],
    cards: Mapping[int, int],
    now: datetime,
    today: date,
    *,
    merging: bool = False,
    whole: bool = False,
    holding: bool = False,
    valued: bool = False,
    plans_since: date | None = None,
    rules_ask: Asked = NOTHING_ASKED,
) -> tuple[dict[int, MemberState], dict[int, list[UUID]], Counters]:
    """Lock accounts in order, then read them, and the lots of those whose points may be taken or pend.

    Args:
        cards: Cards that commands name with the members they opened before the locks.
        merging: Whether it matters who has others merged into it.
        whole: Whether all status points and counters matter.
        holding: Whether it matters how many holds are open.
        valued: Whether it matters what stored value they have.
        plans_since: Up to which day, or later, paid plans that matter were paid for.
        rules_ask: What the rules of the programme ask for.
    Returns:
        The members by number, those of their holds that are over and still hold points, and counters.
    Raises:
        CardsMoved: a merge, or its end, came between.
    """
    if not members:
        return {}, {}, {}
    wanted = {"members": integers(members), "unit": int(Unit.POINTS)}
    with Pipeline(connection) as pipeline:
        pipeline.ask(_LOCK_ACCOUNTS, wanted)
        asked = pipeline.ask(_BALANCES, {**wanted, "now": now})
        owners = pipeline.ask(_CARDS, {"cards": integers(cards)})
        in_whole = ask_whole(pipeline, integers(members)) if whole else None
        merges = pipeline.ask(_HAVE_MERGED, {"members": wanted["members"]}) if merging else ()
        holds = pipeline.ask(_OPEN_HOLDS, {"members": wanted["members"]}) if holding else ()
        plans = () if plans_since is None else plan_store.ask(pipeline, members, plans_since)
        by_rules = None if rules_ask is NOTHING_ASKED else ask(pipeline, rules_ask)
        balances = [_Account(*row) for row in asked]
        if {number: member_id for number, member_id, _ in owners} != cards:
            raise CardsMoved
        merged = {member_id for (member_id,) in merges}
        memberships = plan_store.read(plans)
        held = {member_id: count for member_id, count in holds}  # noqa: C416 - rows, not pairs
        counters, segments, coupons = ({}, {}, {}) if by_rules is None else by_rules.read()
        status, all_counters = ({}, {}) if in_whole is None else in_whole.read()
        counters |= all_counters
    pending = {row.member_id for row in balances if row.pending_until > today}
    active = {row.member_id: row.active_until for row in balances}
    lots: dict[int, list[Lot]] = {member_id: [] for member_id in active if member_id in with_lots}
    lots |= {member_id: [] for member_id in pending}
    deficits: dict[int, list[Deficit]] = {row.member_id: [] for row in balances if row.deficit}
    with Pipeline(connection) as pipeline:
        in_lots = pipeline.ask(_LOTS, {**wanted, "members": integers(lots)}) if lots else ()
        in_value = (
            pipeline.ask(_VALUE, {"members": wanted["members"], "units": integers(STORED)}) if valued else ()
        )
        in_deficits = pipeline.ask(_DEFICITS, {"members": integers(deficits)}) if deficits else ()
        for member_id, issuer_id, version, spendable_on, expires_on, remaining in in_lots:
            until = active[member_id] if expires_on == WITH_ACTIVITY else expires_on
            lots[member_id].append(Lot(issuer_id, version, spendable_on, expires_on, remaining, until))
        for member_id, entry_id, issuer_id, version, points in in_deficits:
            owed = Deficit(entry_id=entry_id, issuer_id=issuer_id, terms_version=version, points=points)
            deficits[member_id].append(owed)
        value: dict[int, list[ValueLot]] = {}
        for member_id, unit, issuer_id, version, loaded_on, remaining in in_value:
            stored = ValueLot(
                unit=Unit(unit),
                issuer_id=issuer_id,
                terms_version=version,
                loaded_on=loaded_on,
                remaining=remaining,
            )
            value.setdefault(member_id, []).append(stored)
    states = {
        row.member_id: MemberState(
            member_id=row.member_id,
            balance=row.balance,
            lots=lots.get(row.member_id),
            pool_id=row.pool_id,
            merged_into=row.merged_into,
            merge_id=row.merge_id,
            open_holds=held.get(row.member_id, 0),
            has_merged=row.member_id in merged,
            tier=row.tier,
            active_until=row.active_until,
            deficits=deficits.get(row.member_id, ()),
            tier_until=row.tier_until,
            child_until=row.child_until,
            guardian_id=row.guardian_id,
            segments=segments.get(row.member_id, frozenset()),
            status=status.get(row.member_id, ()),
            value=value.get(row.member_id, ()),
            memberships=memberships.get(row.member_id, ()),
            coupons=coupons.get(row.member_id, {}),
        )
        for row in balances
    }
    return states, {row.member_id: row.due for row in balances if row.due}, counters


def members_with_over_holds(connection: Connection, now: datetime, limit: int) -> list[int]:
    """Members who have a hold whose time is over and that still holds points."""
    return list(connection.execute(_OVER, {"now": now, "limit": limit}).scalars())


def load_mates(connection: Connection, members: Collection[int]) -> set[int]:
    """Everybody who is in a pool with one of these, read without a lock."""
    unit = int(Unit.POINTS)
    with Pipeline(connection) as pipeline:
        pools = [pool_id for (pool_id,) in pipeline.ask(_POOLS, {"members": integers(members), "unit": unit})]
        if not pools:
            return set()
        return {member_id for (member_id,) in pipeline.ask(_MATES, {"pools": uuids(pools), "unit": unit})}


def load_entries(connection: Connection, entry_ids: Collection[UUID]) -> dict[UUID, RecordedEntry]:
    """Earlier entries with their postings; unknown ids are missing. An id carries its member."""
    if not entry_ids:
        return {}
    wanted = {
        "entries": uuids(entry_ids),
        "members": integers([member_of(entry_id) for entry_id in entry_ids]),
    }
    postings: dict[UUID, list[Posting]] = {}
    with Pipeline(connection) as pipeline:
        lines, standing, entries = (pipeline.ask(one, wanted) for one in (_POSTINGS, _STANDING, _ENTRIES))
        for row in lines.named():
            postings.setdefault(row["entry_id"], []).append(read_posting(row))
        stands = {row["entry_id"]: row for row in standing.named()}
        found = [read_entry(row) for row in entries.named()]
    return {
        entry.entry_id: _recorded(entry, tuple(postings.get(entry.entry_id, ())), stands[entry.entry_id])
        for entry in found
    }


def _recorded(entry: Entry, postings: tuple[Posting, ...], row: Mapping[str, Any]) -> RecordedEntry:
    return RecordedEntry(
        entry=entry,
        postings=postings,
        reversed=NOT_REVERSED
        if row["reversed_points"] is None
        else Reversed(points=row["reversed_points"], amount_minor=row["reversed_amount"]),
        hold=None
        if row["lapses_at"] is None
        else HoldState(lapses_at=row["lapses_at"], captured=row["captured"], returned=row["returned"]),
        pending=row["pending"] or 0,
        lines=tuple(LineState(abs(measure), measure < 0) for measure in row["lines"]),
        invitation=None
        if row["pool_id"] is None
        else InvitationState(row["pool_id"], used=row["joined_by"] is not None),
        asked=row["asked"],
        judgement=row["judgement"],
        voucher=None
        if row["voucher"] is None
        else VoucherState(
            name=row["voucher"],
            starts_on=row["starts_on"],
            ends_on=row["ends_on"],
            ended_as=row["ended_as"],
        ),
    )


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
    values = {name: row[name] for name in ENTRY_FIELDS}
    values["kind"] = EntryKind(values["kind"])
    return Entry(**values)


def read_posting(row: Mapping[Any, Any]) -> Posting:
    """A posting from a row of table `posting`."""
    values = {name: row[name] for name in POSTING_FIELDS if name not in {"member_id", "entry_id"}}
    values["debit"] = AccountKind(values["debit"])
    values["credit"] = AccountKind(values["credit"])
    values["unit"] = Unit(values["unit"])
    return Posting(**values)


def refuse(connection: Connection, refusals: Mapping[UUID, str]) -> None:
    """Remember refusals beside the requests claimed for them."""
    if refusals:
        arrays = {"keys": uuids(refusals), "refusals": texts(refusals.values())}
        with Pipeline(connection) as pipeline:
            pipeline.change(_REFUSE, arrays, len(refusals), "refusals remembered")


def lock_retried(connection: Connection, keys: Collection[UUID]) -> dict[UUID, Retried]:
    """Lock requests that others try again, in order; they were answered before, unless they are unknown."""
    with Pipeline(connection) as pipeline:
        asked = pipeline.ask(_RETRIED, {"keys": uuids(keys)})
        return {key: Retried(refused, taken) for key, refused, taken in asked}


def take_retried(connection: Connection, taken: Mapping[UUID, UUID]) -> None:
    """Note which request was accepted in the place of one that was refused: by the latter's key."""
    if taken:
        arrays = {"keys": uuids(taken), "taken": uuids(taken.values())}
        with Pipeline(connection) as pipeline:
            pipeline.change(_TAKE_RETRIED, arrays, len(taken), "requests tried again")


def forget(connection: Connection, keys: Collection[UUID]) -> None:
    """Release requests whose refusal is not final."""
    if keys:
        with Pipeline(connection) as pipeline:
            pipeline.change(_FORGET, {"keys": uuids(keys)}, len(keys), "requests released")
