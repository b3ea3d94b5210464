"""Examples of what is answered about webhooks, for the description of the API."""

from collections.abc import Mapping
from typing import Any

_ENDPOINT_ID = "whe_01595c8e7c1e7a3f9c2b5d0000000007"
_EVENT_ID = "evt_01595c8e7c1e7a3f9c2b5d0000000009"
_ENDPOINT: Mapping[str, Any] = {
    "id": _ENDPOINT_ID,
    "url": "https://hooks.example.com/tessera",
    "events": ["entry.*", "statement.ready"],
    "signature": "v1",
    "description": "",
    "status": "active",
    "because": "",
    "created_at": "2017-05-01T09:00:00Z",
    "failures": 0,
    "last_delivered_at": "2017-05-01T10:15:01Z",
    "last_failed_at": None,
    "public_keys": [],
    "secret": None,
}
_DELIVERY: Mapping[str, Any] = {
    "event": _EVENT_ID,
    "endpoint": _ENDPOINT_ID,
    "type": "entry.accrual",
    "state": "delivered",
    "attempts": 1,
    "due_at": None,
    "finished_at": "2017-05-01T10:15:01Z",
}
_EVENT: Mapping[str, Any] = {
    "id": _EVENT_ID,
    "type": "entry.accrual",
    "timestamp": "2017-05-01T10:15:00Z",
    "data": {"id": "ent_01595c8e7c1e7a3f9c2b5d0000000001", "kind": "accrual", "points": 12},
}
HOOK_EXAMPLES: Mapping[str, Any] = {
    "EndpointBody": _ENDPOINT,
    "EndpointsBody": {"data": [_ENDPOINT]},
    "RotatedBody": {"endpoint": _ENDPOINT_ID, "secret": None, "public_keys": []},
    "QueuedBody": {"queued": 3},
    "TestedBody": {"event": _EVENT_ID},
    "DeliveryPage": {"data": [_DELIVERY], "has_more": False, "next_cursor": None},
    "EventPage": {"data": [_EVENT], "has_more": False, "next_cursor": None},
    "EventDetailBody": {
        **_EVENT,
        "deliveries": [_DELIVERY],
        "attempts": [
            {
                "endpoint": _ENDPOINT_ID,
                "attempt": 1,
                "at": "2017-05-01T10:15:01Z",
                "outcome": "delivered",
                "status": 204,
                "milliseconds": 83,
            }
        ],
    },
}
"""By the names of their schemas."""
