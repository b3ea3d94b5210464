"""The body of an event: of an entry as its partner can look it up, or as whoever published it said.

Entries never change, so that the body is the same in every attempt, on every worker.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Protocol
from uuid import UUID

import msgspec
from sqlalchemy import Connection, text

from api.bodies.answers import EntryBody, show_entry
from network import ids
from network.model import AccountKind
from network.outbox import EXPIRED
from network.outcomes import RecordedEntry
from network.service import date_of_window
from network.store import load_entries

_PUBLIC = text("SELECT member_id, public_id FROM member WHERE member_id = ANY(:members)")


class Logged(Protocol):
    """As much of an event as its body needs."""

    @property
    def event_id(self) -> UUID:
        """Its id."""

    @property
    def type(self) -> str | None:
        """Its type."""

    @property
    def body(self) -> str | None:
        """What was said of it; None: it is an entry's."""


class EventData(msgspec.Struct, frozen=True, kw_only=True):
    """An event's body, as Standard Webhooks has it. `timestamp`: when it happened, by the network's time."""

    type: str
    timestamp: datetime
    data: msgspec.Raw


class ExpiredBody(msgspec.Struct, frozen=True, kw_only=True):
    """Points of yours that a member has lost: `points` of them, swept in the window of a business date."""

    member: str | None
    points: int
    business_date: str


def bodies_of(connection: Connection, partner_id: int, events: Sequence[Logged]) -> dict[UUID, bytes]:
    """The bodies of a partner's events, by id; one whose entry is not there is missing."""
    of_entries = [one.event_id for one in events if one.body is None]
    entries = load_entries(connection, of_entries)
    expired = [one.event_id for one in events if one.type == EXPIRED]
    members = _public_ids(connection, expired)
    made: dict[UUID, bytes] = {}
    for one in events:
        data: msgspec.Raw | None = None
        if one.body is not None:
            data = msgspec.Raw(one.body.encode())
        elif one.event_id in entries:
            data = _encoded(one.type, entries[one.event_id], partner_id, members)
        if data is not None and one.type is not None:
            at = ids.recorded_at(one.event_id).astimezone(UTC)
            made[one.event_id] = msgspec.json.encode(EventData(type=one.type, timestamp=at, data=data))
    return made


def _encoded(
    event_type: str | None, recorded: RecordedEntry, partner_id: int, members: Mapping[int, UUID]
) -> msgspec.Raw | None:
    """What a partner is told of an entry: its own whole, and of a sweep what became of its own points."""
    shown: EntryBody | ExpiredBody
    entry = recorded.entry
    if event_type == EXPIRED:
        public_id = members.get(entry.member_id)
        shown = ExpiredBody(
            member=None if public_id is None else ids.show("mbr", public_id),
            points=sum(
                one.points
                for one in recorded.postings
                if one.credit is AccountKind.LAPSED and one.issuer_id == partner_id
            ),
            business_date=date_of_window(entry.window_id).isoformat(),
        )
    elif entry.partner_id == partner_id:
        shown = show_entry(entry, recorded.postings)
    else:
        return None
    return msgspec.Raw(msgspec.json.encode(shown))


def _public_ids(connection: Connection, events: Sequence[UUID]) -> dict[int, UUID]:
    if not events:
        return {}
    rows = connection.execute(_PUBLIC, {"members": [ids.member_of(one) for one in events]})
    return {row.member_id: row.public_id for row in rows}
