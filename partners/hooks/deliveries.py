"""Deliveries: what is due to an endpoint and in which order, and what became of it.

Who holds an endpoint's lease delivers to it, alone, and so keeps the order of each member's events. A worker
that is killed has its lease run out, and what it had not recorded is sent again: at least once, under the
same id. Functions take a connection and never commit; times are arguments, real time.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import groupby
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import Connection, text

from partners.hooks.endpoints import COLUMNS, Endpoint

LEASE = timedelta(seconds=60)
"""Longer than a round of deliveries can take, so that nobody else begins one meanwhile."""
_OF_A_MEMBER = 8
"""Events of one member that a round takes."""


class Due(msgspec.Struct, frozen=True, kw_only=True):
    """A delivery to be tried now. `type` None: its event is not kept any more."""

    member_id: int
    event_id: UUID
    place: int
    attempts: int
    tries: int
    begun_at: datetime | None
    type: str | None
    body: str | None


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """What an attempt came to. `due_at`: when it is tried again; None where it is over."""

    due: Due
    at: datetime
    outcome: str
    status: int | None
    milliseconds: int
    delivered: bool
    due_at: datetime | None


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """How an endpoint is after a round."""

    failures: int
    rests_until: datetime | None
    delivered_at: datetime | None
    failed_at: datetime | None


_WITH_WORK = text(
    "SELECT p.endpoint_id FROM webhook_endpoint p WHERE p.status = 'active'"
    " AND (p.leased_until IS NULL OR p.leased_until <= :now)"
    " AND (p.rests_until IS NULL OR p.rests_until <= :now)"
    " AND EXISTS (SELECT FROM webhook_delivery d WHERE d.endpoint_id = p.endpoint_id AND d.state = 'waiting'"
    " AND d.due_at <= :now) ORDER BY p.leased_until NULLS FIRST, p.endpoint_id LIMIT :most"
)
_LEASE_THEM = text(
    "UPDATE webhook_endpoint SET leased_by = :worker, leased_until = :until WHERE endpoint_id IN ("
    " SELECT endpoint_id FROM webhook_endpoint WHERE endpoint_id = ANY(:endpoints) AND status = 'active'"
    " AND (leased_until IS NULL OR leased_until <= :now) FOR UPDATE SKIP LOCKED)"
    " RETURNING endpoint_id"
)
_RENEW = text(
    "UPDATE webhook_endpoint SET leased_until = :until WHERE endpoint_id = :endpoint AND leased_by = :worker"
    f" AND status = 'active' AND (rests_until IS NULL OR rests_until <= :now) RETURNING {COLUMNS}"
)
_RELEASE = text(
    "UPDATE webhook_endpoint SET leased_by = NULL, leased_until = NULL"
    " WHERE endpoint_id = :endpoint AND leased_by = :worker"
)
# Members who have something due, and of each the first of all that waits, due or not: what stands behind one
# that is not due may not be sent.
_LINES = text(
    """
    WITH due AS (
        SELECT member_id FROM webhook_delivery
        WHERE endpoint_id = :endpoint AND state = 'waiting' AND due_at <= :now
        ORDER BY due_at, place LIMIT :most
    )
    SELECT l.*, e.type, e.body FROM (SELECT DISTINCT member_id FROM due) m
    CROSS JOIN LATERAL (
        SELECT member_id, event_id, place, attempts, tries, begun_at, due_at FROM webhook_delivery
        WHERE endpoint_id = :endpoint AND member_id = m.member_id AND state = 'waiting'
        ORDER BY place LIMIT :of_a_member
    ) l LEFT JOIN webhook_event e
        ON e.member_id = l.member_id AND e.event_id = l.event_id AND e.partner_id = :partner
    ORDER BY l.member_id, l.place
    """
)
_PARK = text(
    "UPDATE webhook_delivery d SET due_at = u.due_at FROM unnest(CAST(:members AS bigint[]),"
    " CAST(:places AS bigint[]), CAST(:dues AS timestamptz[])) AS u (member_id, place, due_at)"
    " WHERE d.endpoint_id = :endpoint AND d.member_id = ANY(:members) AND d.member_id = u.member_id"
    " AND d.state = 'waiting' AND d.place > u.place AND d.due_at < u.due_at"
)
_WAKE = text(
    "UPDATE webhook_delivery SET due_at = :now WHERE endpoint_id = :endpoint AND member_id = ANY(:members)"
    " AND state = 'waiting' AND attempts = 0 AND due_at > :now"
)
_LOG = text(
    "INSERT INTO webhook_attempt"
    " (member_id, event_id, endpoint_id, attempt, at, outcome, status, milliseconds)"
    " SELECT u.member_id, u.event_id, :endpoint, u.attempt, u.at, u.outcome, u.status, u.milliseconds"
    " FROM unnest(CAST(:members AS bigint[]), CAST(:events AS uuid[]), CAST(:attempts AS integer[]),"
    " CAST(:ats AS timestamptz[]), CAST(:outcomes AS text[]), CAST(:statuses AS smallint[]),"
    " CAST(:milliseconds AS integer[]))"
    " AS u (member_id, event_id, attempt, at, outcome, status, milliseconds) ON CONFLICT DO NOTHING"
)
_RECORD = text(
    "UPDATE webhook_delivery d SET state = u.state, attempts = u.attempts,"
    " tries = greatest(d.tries, u.tries), due_at = coalesce(u.due_at, d.due_at),"
    " begun_at = coalesce(d.begun_at, u.at),"
    " finished_at = CASE u.state WHEN 'waiting' THEN NULL ELSE u.at END"
    " FROM unnest(CAST(:members AS bigint[]), CAST(:events AS uuid[]), CAST(:states AS text[]),"
    " CAST(:attempts AS smallint[]), CAST(:tries AS integer[]), CAST(:dues AS timestamptz[]),"
    " CAST(:ats AS timestamptz[])) AS u (member_id, event_id, state, attempts, tries, due_at, at)"
    " WHERE d.endpoint_id = :endpoint AND d.member_id = ANY(:members) AND d.member_id = u.member_id"
    " AND d.event_id = u.event_id AND d.state = 'waiting'"
)
_SET_HEALTH = text(
    "UPDATE webhook_endpoint SET failures = :failures, rests_until = :rests_until,"
    " delivered_at = greatest(delivered_at, CAST(:delivered_at AS timestamptz)),"
    " failed_at = greatest(failed_at, CAST(:failed_at AS timestamptz)) WHERE endpoint_id = :endpoint"
)


def lease(connection: Connection, worker: UUID, *, now: datetime, most: int) -> list[UUID]:
    """Take endpoints that have something due and that nobody serves; of several workers each gets others."""
    waiting = connection.execute(_WITH_WORK, {"now": now, "most": most}).scalars().all()
    if not waiting:
        return []
    wanted = {"worker": worker, "now": now, "until": now + LEASE, "endpoints": list(waiting)}
    return list(connection.execute(_LEASE_THEM, wanted).scalars())


def renew(connection: Connection, worker: UUID, endpoint_id: UUID, *, now: datetime) -> Endpoint | None:
    """Keep an endpoint for another round; None where it is lost, disabled, deleted, or rests."""
    wanted = {"worker": worker, "endpoint": endpoint_id, "now": now, "until": now + LEASE}
    row = connection.execute(_RENEW, wanted).one_or_none()
    return None if row is None else Endpoint(**row._asdict())


def release(connection: Connection, worker: UUID, endpoint_id: UUID) -> None:
    """Give an endpoint back."""
    connection.execute(_RELEASE, {"worker": worker, "endpoint": endpoint_id})


def take(connection: Connection, endpoint: Endpoint, *, now: datetime, most: int) -> list[list[Due]] | None:
    """What is to be tried now, a list for each member, in the order in which it must arrive.

    What stands behind an event that waits for its next attempt is put off until then.

    Returns:
        None where nothing is due; an empty list where all that was due had to be put off.
    """
    wanted = {
        "endpoint": endpoint.endpoint_id,
        "partner": endpoint.partner_id,
        "now": now,
        "most": most,
        "of_a_member": _OF_A_MEMBER,
    }
    rows = connection.execute(_LINES, wanted).all()
    if not rows:
        return None
    lines: list[list[Due]] = []
    behind: list[tuple[int, int, datetime]] = []
    for _, group in groupby(rows, lambda row: row.member_id):
        line: list[Due] = []
        for row in group:
            if row.due_at > now:
                behind.append((row.member_id, row.place, row.due_at))
                break
            line.append(_due(row))
        if line:
            lines.append(line)
    _park(connection, endpoint.endpoint_id, behind)
    return lines


def record(
    connection: Connection, endpoint_id: UUID, results: Sequence[Result], health: Health, *, now: datetime
) -> None:
    """Write down what a round came to, each attempt in the log; who stood behind moves up, or is put off."""
    if results:
        _write(connection, endpoint_id, results)
        latest = {result.due.member_id: result for result in results}
        retried = [
            (result.due.member_id, result.due.place, result.due_at)
            for result in latest.values()
            if result.due_at is not None
        ]
        _park(connection, endpoint_id, retried)
        over = [member_id for member_id, result in latest.items() if result.due_at is None]
        if over:
            connection.execute(_WAKE, {"endpoint": endpoint_id, "members": over, "now": now})
    connection.execute(_SET_HEALTH, {**msgspec.structs.asdict(health), "endpoint": endpoint_id})


def _write(connection: Connection, endpoint_id: UUID, results: Sequence[Result]) -> None:
    columns = {
        "endpoint": endpoint_id,
        "members": [one.due.member_id for one in results],
        "events": [one.due.event_id for one in results],
        "ats": [one.at for one in results],
    }
    tries = [one.due.tries + 1 for one in results]
    connection.execute(
        _LOG,
        {
            **columns,
            "attempts": tries,
            "outcomes": [one.outcome for one in results],
            "statuses": [one.status for one in results],
            "milliseconds": [one.milliseconds for one in results],
        },
    )
    connection.execute(
        _RECORD,
        {
            **columns,
            "states": [_state(one) for one in results],
            "attempts": [one.due.attempts + 1 for one in results],
            "tries": tries,
            "dues": [one.due_at for one in results],
        },
    )


def _state(result: Result) -> str:
    if result.delivered:
        return "delivered"
    return "failed" if result.due_at is None else "waiting"


def _park(connection: Connection, endpoint_id: UUID, behind: Sequence[tuple[int, int, datetime]]) -> None:
    if behind:
        members, places, dues = zip(*behind, strict=True)
        connection.execute(
            _PARK,
            {"endpoint": endpoint_id, "members": list(members), "places": list(places), "dues": list(dues)},
        )


def _due(row: Any) -> Due:
    return Due(**{name: getattr(row, name) for name in Due.__struct_fields__})
