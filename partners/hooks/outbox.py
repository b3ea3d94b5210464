"""Publishing: an event is written in the transaction of what it tells, or not at all.

Entries are published by the batch that records them (network.outbox); everything else by `publish`. Both
write rows and nothing more: the worker delivers them after the commit.
"""

from collections.abc import Collection, Sequence
from datetime import datetime
from uuid import UUID

import msgspec
from sqlalchemy import Connection, text

from partners.hooks.events import EVENT_TYPES, Told, new_event_id
from partners.model import Hooks, Subscription

_SUBSCRIPTIONS = text(
    "SELECT partner_id, endpoint_id, types, status = 'active' AS active FROM webhook_endpoint"
    " WHERE status <> 'deleted' AND (CAST(:partners AS integer[]) IS NULL OR partner_id = ANY(:partners))"
    " ORDER BY endpoint_id"
)
_ADD_EVENTS = text(
    "INSERT INTO webhook_event (member_id, event_id, partner_id, type, body)"
    " SELECT * FROM unnest(CAST(:members AS bigint[]), CAST(:events AS uuid[]), CAST(:partners AS integer[]),"
    " CAST(:types AS text[]), CAST(:bodies AS text[]))"
)
_ADD_DELIVERIES = text(
    "INSERT INTO webhook_delivery (member_id, event_id, endpoint_id)"
    " SELECT * FROM unnest(CAST(:members AS bigint[]), CAST(:events AS uuid[]), CAST(:endpoints AS uuid[]))"
)


def load_subscriptions(connection: Connection, partners: Collection[int] | None = None) -> Hooks:
    """Who wants to hear what: of some partners, or of all."""
    found: dict[int, list[Subscription]] = {}
    wanted = {"partners": None if partners is None else sorted(set(partners))}
    for row in connection.execute(_SUBSCRIPTIONS, wanted):
        one = Subscription(endpoint_id=row.endpoint_id, wanted=frozenset(row.types), active=row.active)
        found.setdefault(row.partner_id, []).append(one)
    return found


def publish(connection: Connection, told: Sequence[Told], *, at: datetime) -> list[UUID]:
    """Write events for partners that want them, in the caller's transaction; the others cost one look.

    Args:
        connection: A transaction; what it does is told if it commits.
        told: Any number of events of any partners.
        at: The network's time.
    Returns:
        The ids of the events that were written.
    Raises:
        ValueError: a type is not in EVENT_TYPES.
    """
    unknown = {one.type for one in told} - EVENT_TYPES.keys()
    if unknown:
        raise ValueError(f"there are no events of type {', '.join(sorted(unknown))}: see EVENT_TYPES")
    hooks = load_subscriptions(connection, {one.partner_id for one in told}) if told else {}
    wanted = [
        (one, one.event_id or new_event_id(at, one.member_id), listening)
        for one in told
        if (listening := [each for each in hooks.get(one.partner_id, ()) if each.wants(one.type)])
    ]
    add_events(connection, [(one, event_id) for one, event_id, _ in wanted])
    add_deliveries(
        connection,
        [
            (one.member_id, event_id, each.endpoint_id)
            for one, event_id, listening in wanted
            for each in listening
            if each.active
        ],
    )
    return [event_id for _, event_id, _ in wanted]


def add_events(connection: Connection, events: Sequence[tuple[Told, UUID]]) -> None:
    """Write events with their bodies, whoever listens."""
    if events:
        connection.execute(
            _ADD_EVENTS,
            {
                "members": [one.member_id for one, _ in events],
                "events": [event_id for _, event_id in events],
                "partners": [one.partner_id for one, _ in events],
                "types": [one.type for one, _ in events],
                "bodies": [msgspec.json.encode(one.data).decode() for one, _ in events],
            },
        )


def add_deliveries(connection: Connection, rows: Sequence[tuple[int, UUID, UUID]]) -> None:
    """Put events, each (member, event, endpoint), on their way."""
    if rows:
        members, events, endpoints = zip(*rows, strict=True)
        connection.execute(
            _ADD_DELIVERIES,
            {"members": list(members), "events": list(events), "endpoints": list(endpoints)},
        )
