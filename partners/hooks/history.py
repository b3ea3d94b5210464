"""The log of events: looked up by their partner, sent again, and forgotten when their time is over.

Functions take a connection and never commit, but for `prune`, which goes in portions.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

import msgspec
from sqlalchemy import Connection, Engine, text

from partners.errors import HookRefused
from partners.hooks.endpoints import one_of
from partners.hooks.events import EVERYTHING, Told, family_of, new_event_id
from partners.hooks.outbox import add_deliveries, add_events
from partners.hooks.schedule import KEPT

TEST = "webhook.test"
MOST_REPLAYED = 100_000
"""Events that one replay sends again; a later `since` goes on from there."""
_PRUNED_AT_A_TIME = 2_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """An event of the log. `body` None: it is the entry's of the same id."""

    member_id: int
    event_id: UUID
    partner_id: int
    type: str
    body: str | None


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """How far an event has come on its way to an endpoint; `due_at`: its next attempt, while it waits."""

    event_id: UUID
    endpoint_id: UUID
    type: str
    state: str
    tries: int
    due_at: datetime
    finished_at: datetime | None


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """What an attempt came to; `status` is the answer's, where there was one."""

    endpoint_id: UUID
    attempt: int
    at: datetime
    outcome: str
    status: int | None
    milliseconds: int


class Backlog(msgspec.Struct, frozen=True, kw_only=True):
    """What waits to be delivered to active endpoints: how much is due, and since when the oldest is."""

    due: int
    waiting: int
    oldest_due_at: datetime | None
    failing: int
    disabled: int


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """How an endpoint does, for the operator; of its URL the host alone, for it may hold a token."""

    endpoint_id: UUID
    partner: str
    host: str
    status: str
    because: str
    failures: int
    delivered_at: datetime | None
    failed_at: datetime | None
    waiting: int
    oldest_due_at: datetime | None

    @property
    def is_unwell(self) -> bool:
        """Whether something does not get through."""
        return self.failures > 0 or self.status == "disabled"


_COLUMNS = ", ".join(Event.__struct_fields__)
_PAGE = text(
    f"SELECT {_COLUMNS} FROM webhook_event WHERE partner_id = :partner AND event_id > :after"
    " AND event_id >= :since AND (CAST(:type AS text) IS NULL OR type = :type) ORDER BY event_id LIMIT :limit"
)
_ONE = text(
    f"SELECT {_COLUMNS} FROM webhook_event WHERE member_id = :member AND event_id = :event"
    " AND partner_id = :partner"
)
_OWN = "endpoint_id IN (SELECT endpoint_id FROM webhook_endpoint WHERE partner_id = :partner)"
_DELIVERIES_OF = text(
    "SELECT d.event_id, d.endpoint_id, e.type, d.state, d.tries, d.due_at, d.finished_at"
    " FROM webhook_delivery d JOIN webhook_event e ON e.member_id = d.member_id AND e.event_id = d.event_id"
    " AND e.partner_id = :partner"
    f" WHERE d.member_id = :member AND d.event_id = :event AND d.{_OWN} ORDER BY d.endpoint_id"
)
_ATTEMPTS_OF = text(
    "SELECT endpoint_id, attempt, at, outcome, status, milliseconds FROM webhook_attempt"
    f" WHERE member_id = :member AND event_id = :event AND {_OWN} ORDER BY endpoint_id, attempt"
)
_DELIVERIES_TO = text(
    "SELECT d.event_id, d.endpoint_id, e.type, d.state, d.tries, d.due_at, d.finished_at"
    " FROM webhook_delivery d JOIN webhook_event e ON e.member_id = d.member_id AND e.event_id = d.event_id"
    " AND e.partner_id = :partner"
    " WHERE d.endpoint_id = :endpoint AND d.event_id < :before"
    " AND (CAST(:state AS text) IS NULL OR d.state = :state) ORDER BY d.event_id DESC LIMIT :limit"
)
_ANEW = (
    " ON CONFLICT (member_id, event_id, endpoint_id) DO UPDATE SET state = 'waiting',"
    " due_at = excluded.due_at, attempts = 0, begun_at = NULL, finished_at = NULL"
)
_RESEND = text(
    "INSERT INTO webhook_delivery (member_id, event_id, endpoint_id, due_at)"
    " SELECT :member, :event, endpoint_id, :at FROM webhook_endpoint"
    " WHERE partner_id = :partner AND status = 'active'"
    " AND (endpoint_id = CAST(:endpoint AS uuid)"
    " OR CAST(:endpoint AS uuid) IS NULL AND types && CAST(:wanted AS text[]))" + _ANEW
)
_REPLAY = text(
    "INSERT INTO webhook_delivery (member_id, event_id, endpoint_id, due_at)"
    " SELECT member_id, event_id, :endpoint, :at FROM webhook_event WHERE partner_id = :partner"
    " AND event_id >= :since AND (type = ANY(:types) OR split_part(type, '.', 1) || '.*' = ANY(:types)"
    f" OR '{EVERYTHING}' = ANY(:types)) ORDER BY event_id LIMIT :most" + _ANEW
)
_ADD_REPLAY = text(
    "INSERT INTO webhook_replay (endpoint_id, reference, since, queued, asked_at)"
    " VALUES (:endpoint, :reference, :since, :queued, :at)"
)
_REPLAYED = text(
    "SELECT since, queued FROM webhook_replay WHERE endpoint_id = :endpoint AND reference = :reference"
)
_LOCK = text("SELECT pg_advisory_xact_lock(7269, hashtext(current_schema() || :partner))")
_PARTNERS = text("SELECT DISTINCT partner_id FROM webhook_endpoint ORDER BY partner_id")
_OLD = text(
    "SELECT member_id, event_id FROM webhook_event WHERE partner_id = :partner AND event_id < :before"
    " ORDER BY event_id LIMIT :limit"
)
_THESE = (
    "(member_id, event_id) IN (SELECT * FROM unnest(CAST(:members AS bigint[]), CAST(:events AS uuid[])))"
)
_FORGET = (
    text(f"DELETE FROM webhook_attempt WHERE {_THESE} AND {_OWN}"),
    text(f"DELETE FROM webhook_delivery WHERE {_THESE} AND {_OWN}"),
    text(f"DELETE FROM webhook_event WHERE {_THESE} AND partner_id = :partner"),
)
_FORGET_SECRETS = text("DELETE FROM webhook_secret WHERE ends_at < now()")  # they end by real time
_BACKLOG = text(
    "SELECT count(*) FILTER (WHERE d.due_at <= :now) AS due, count(*) AS waiting, min(d.due_at) AS oldest"
    " FROM webhook_delivery d JOIN webhook_endpoint p USING (endpoint_id)"
    " WHERE d.state = 'waiting' AND p.status = 'active'"
)
_STANDING = text(
    "SELECT e.endpoint_id, p.code AS partner, split_part(split_part(e.url, '?', 1), '/', 3) AS host,"
    " e.status, e.because, e.failures, e.delivered_at, e.failed_at, count(d.event_id) AS waiting,"
    " min(d.due_at) AS oldest_due_at FROM webhook_endpoint e JOIN partner p USING (partner_id)"
    " LEFT JOIN webhook_delivery d ON d.endpoint_id = e.endpoint_id AND d.state = 'waiting'"
    " WHERE e.status <> 'deleted' GROUP BY e.endpoint_id, p.code"
    " ORDER BY e.status = 'active', e.failures DESC, p.code, e.endpoint_id"
)
_UNWELL = text(
    "SELECT count(*) FILTER (WHERE status = 'active' AND failures > 0) AS failing,"
    " count(*) FILTER (WHERE status = 'disabled') AS disabled FROM webhook_endpoint"
)


def floor_of(at: datetime) -> UUID:
    """The smallest id of an instant."""
    return UUID(int=(at - _EPOCH) // timedelta(milliseconds=1) << 80)


def member_of(event_id: UUID) -> int:
    """The member an event is about, by its id; 0: none."""
    return event_id.int & (1 << 40) - 1


def page_of(
    connection: Connection,
    partner_id: int,
    *,
    after: UUID,
    since: datetime | None = None,
    event_type: str | None = None,
    limit: int,
) -> list[Event]:
    """A partner's events, the oldest first."""
    wanted = {
        "partner": partner_id,
        "after": after,
        "since": UUID(int=0) if since is None else floor_of(since),
        "type": event_type,
        "limit": limit,
    }
    return [Event(**row._asdict()) for row in connection.execute(_PAGE, wanted)]


def event_of(connection: Connection, partner_id: int, event_id: UUID) -> Event:
    """One event.

    Raises:
        HookRefused: event_unknown, also where it is another's.
    """
    wanted = {"partner": partner_id, "member": member_of(event_id), "event": event_id}
    row = connection.execute(_ONE, wanted).one_or_none()
    if row is None:
        raise HookRefused("event_unknown", "")
    return Event(**row._asdict())


def deliveries_of(connection: Connection, event: Event) -> tuple[list[Delivery], list[Attempt]]:
    """Where an event was sent, and each attempt."""
    wanted = {"member": event.member_id, "event": event.event_id, "partner": event.partner_id}
    return (
        [Delivery(**row._asdict()) for row in connection.execute(_DELIVERIES_OF, wanted)],
        [Attempt(**row._asdict()) for row in connection.execute(_ATTEMPTS_OF, wanted)],
    )


def deliveries_to(
    connection: Connection,
    partner_id: int,
    endpoint_id: UUID,
    *,
    before: UUID,
    state: str | None,
    limit: int,
) -> list[Delivery]:
    """What an endpoint was sent or is to be sent, the newest event first.

    Raises:
        HookRefused: endpoint_unknown.
    """
    one_of(connection, partner_id, endpoint_id)
    wanted = {
        "partner": partner_id,
        "endpoint": endpoint_id,
        "before": before,
        "state": state,
        "limit": limit,
    }
    return [Delivery(**row._asdict()) for row in connection.execute(_DELIVERIES_TO, wanted)]


def resend(
    connection: Connection, partner_id: int, event_id: UUID, *, at: datetime, endpoint_id: UUID | None = None
) -> int:
    """Send an event again, to one endpoint or to all that want it; how many that are.

    Raises:
        HookRefused: event_unknown, endpoint_unknown.
    """
    event = event_of(connection, partner_id, event_id)
    if endpoint_id is not None:
        one_of(connection, partner_id, endpoint_id)
    wanted = {
        "member": event.member_id,
        "event": event_id,
        "partner": partner_id,
        "endpoint": endpoint_id,
        "wanted": [event.type, family_of(event.type), EVERYTHING],
        "at": at,
    }
    return connection.execute(_RESEND, wanted).rowcount


def replay(
    connection: Connection,
    partner_id: int,
    endpoint_id: UUID,
    *,
    reference: str,
    since: datetime,
    at: datetime,
) -> tuple[int, bool]:
    """Send an endpoint again what it wants of all events from an instant on, in order.

    Returns:
        How many events that are; and whether this was done before under the same reference.
    Raises:
        HookRefused: endpoint_unknown, endpoint_disabled, reference_reused.
    """
    connection.execute(_LOCK, {"partner": str(partner_id)})
    endpoint = one_of(connection, partner_id, endpoint_id)
    asked = {"endpoint": endpoint_id, "reference": reference}
    before = connection.execute(_REPLAYED, asked).one_or_none()
    if before is not None:
        if before.since != since:
            raise HookRefused("reference_reused", "")
        return before.queued, True
    if endpoint.status != "active":
        raise HookRefused("endpoint_disabled", "")
    wanted = {
        "endpoint": endpoint_id,
        "partner": partner_id,
        "since": floor_of(since),
        "types": list(endpoint.types),
        "most": MOST_REPLAYED,
        "at": at,
    }
    queued = connection.execute(_REPLAY, wanted).rowcount
    connection.execute(_ADD_REPLAY, {**asked, "since": since, "queued": queued, "at": at})
    return queued, False


def send_test(connection: Connection, partner_id: int, endpoint_id: UUID, *, at: datetime) -> UUID:
    """Send an endpoint an event that says nothing, whatever it asked for; its id.

    Raises:
        HookRefused: endpoint_unknown, endpoint_disabled.
    """
    if one_of(connection, partner_id, endpoint_id).status != "active":
        raise HookRefused("endpoint_disabled", "")
    event_id = new_event_id(at)
    told = Told(partner_id=partner_id, type=TEST, data={"endpoint": f"whe_{endpoint_id.hex}"})
    add_events(connection, [(told, event_id)])
    add_deliveries(connection, [(0, event_id, endpoint_id)])
    return event_id


def prune(database: Engine, now: datetime) -> int:
    """Forget events older than thirty days with all that was sent of them; how many.

    Args:
        database: Where they are; each portion is a transaction of its own.
        now: The network's time, by which events are dated.
    """
    pruned = 0
    with database.begin() as connection:
        partners = list(connection.execute(_PARTNERS).scalars())
        connection.execute(_FORGET_SECRETS)
    for partner_id in partners:
        wanted = {"partner": partner_id, "before": floor_of(now - KEPT), "limit": _PRUNED_AT_A_TIME}
        while True:
            with database.begin() as connection:
                old: Sequence[tuple[int, UUID]] = [
                    (row.member_id, row.event_id) for row in connection.execute(_OLD, wanted)
                ]
                if not old:
                    break
                members, events = zip(*old, strict=True)
                these = {"partner": partner_id, "members": list(members), "events": list(events)}
                for statement in _FORGET:
                    connection.execute(statement, these)
                pruned += len(old)
    return pruned


def standing_of_all(connection: Connection) -> list[Standing]:
    """All endpoints, those first that are disabled or fail."""
    return [Standing(**row._asdict()) for row in connection.execute(_STANDING)]


def backlog(connection: Connection, now: datetime) -> Backlog:
    """How far behind deliveries are."""
    row = connection.execute(_BACKLOG, {"now": now}).one()
    unwell = connection.execute(_UNWELL).one()
    return Backlog(
        due=row.due,
        waiting=row.waiting,
        oldest_due_at=row.oldest if row.due else None,
        failing=unwell.failing,
        disabled=unwell.disabled,
    )
