"""Entries as events: what partners with webhooks are told, written with the entries themselves.

Nothing is sent from here, and no body is made: an event is its entry's id, its partner and a type.
"""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import Connection, text

from network.bulk import Insert, insert_from_arrays
from network.ids import floor_of, milliseconds_of
from network.model import EntryKind
from network.outcomes import Decision, Moment
from network.pipeline import Pipeline
from partners.hooks.tables import webhook_delivery, webhook_event
from partners.model import Hooks

_INSERT_EVENTS = insert_from_arrays(webhook_event, ("member_id", "event_id", "partner_id", "type"))
_INSERT_DELIVERIES = insert_from_arrays(webhook_delivery, ("member_id", "event_id", "endpoint_id"))
TYPE_OF = {kind: f"entry.{kind.name.lower()}" for kind in EntryKind}
"""The type of the event that an entry is."""
EXPIRED = "points.expired"
# The sweep's entries are the operator's, and an event for each issuer whose points were in one.
_LAPSED = text(
    "SELECT DISTINCT p.member_id, p.entry_id, p.issuer_id"
    " FROM posting p JOIN entry e USING (member_id, entry_id)"
    " WHERE e.member_id = ANY(:members) AND e.kind = :kind AND e.entry_id >= :first AND e.entry_id < :beyond"
    " AND p.issuer_id = ANY(:issuers) ORDER BY p.member_id, p.entry_id, p.issuer_id"
)

Event = tuple[int, UUID, int, str]
"""Member, id, partner and type."""


def tell_entries(pipeline: Pipeline, decisions: Sequence[Decision], hooks: Hooks) -> None:
    """Write the events of entries whose partners want them; no statement where nobody does."""
    events = [
        (entry.member_id, entry.entry_id, entry.partner_id, TYPE_OF[entry.kind])
        for entry in [decision.entry for decision in decisions]
        if entry.partner_id in hooks
    ]
    if events:
        _write(pipeline, events, hooks)


def tell_lapsed(connection: Connection, members: Sequence[int], moment: Moment, hooks: Hooks) -> None:
    """Tell issuers whose points have just lapsed, in the sweep's own transaction."""
    issuers = [
        partner_id for partner_id, listening in hooks.items() if any(one.wants(EXPIRED) for one in listening)
    ]
    if not issuers:
        return
    at = floor_of(moment.now)
    wanted = {
        "members": list(members),
        "kind": int(EntryKind.EXPIRY),
        "first": at,
        "beyond": UUID(int=(milliseconds_of(moment.now) + 1) << 80),
        "issuers": issuers,
    }
    lapsed = connection.execute(_LAPSED, wanted).all()
    with Pipeline(connection) as pipeline:
        _write(pipeline, [(row.member_id, row.entry_id, row.issuer_id, EXPIRED) for row in lapsed], hooks)


def _write(pipeline: Pipeline, events: Sequence[Event], hooks: Hooks) -> None:
    wanted = [
        (event, listening)
        for event in events
        if (listening := [one for one in hooks[event[2]] if one.wants(event[3])])
    ]
    if not wanted:
        return
    members, ids, partners, types = zip(*(event for event, _ in wanted), strict=True)
    _insert(
        pipeline,
        _INSERT_EVENTS,
        {"member_id": members, "event_id": ids, "partner_id": partners, "type": types},
    )
    sent = [
        (event[0], event[1], one.endpoint_id)
        for event, listening in wanted
        for one in listening
        if one.active
    ]
    if sent:
        members, ids, endpoints = zip(*sent, strict=True)
        _insert(
            pipeline,
            _INSERT_DELIVERIES,
            {"member_id": members, "event_id": ids, "endpoint_id": endpoints},
        )


def _insert(pipeline: Pipeline, insert: Insert, arrays: dict[str, Sequence[object]]) -> None:
    rows = len(arrays["member_id"])
    pipeline.change(insert.statement, insert.bound(arrays), rows, insert.table.name)
