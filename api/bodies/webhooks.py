"""Webhooks as partners ask for them and read them."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from api.bodies.fields import Reference
from network import ids
from partners.hooks.endpoints import Endpoint, PublicKey
from partners.hooks.history import Attempt, Delivery
from partners.hooks.signing import Secret, Signature

ENDPOINT, EVENT = "whe", "evt"

EventType = Annotated[
    str,
    Meta(
        pattern="^[a-z_.*]{1,64}(?!\\n)$",
        description="A type (`entry.accrual`), a family of types (`entry.*`), or `*`.",
    ),
]


class NewEndpointBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where you want to be told, and of what.

    `signature`: how we sign. `v1` is HMAC-SHA256 by a secret that we share; `v1a` is Ed25519, whose public
    key is yours to keep and whose private one only we have.
    """

    reference: Reference
    url: Annotated[
        str, Meta(min_length=1, max_length=2_000, description="https alone, a public name, port 443 or 8443.")
    ]
    events: Annotated[tuple[EventType, ...], Meta(min_length=1, max_length=50)]
    signature: Signature = "v1"
    description: Annotated[
        str,
        Meta(max_length=200, pattern="^[^\\x00-\\x1f\\x7f]*(?!\\n)$", description="For people to read."),
    ] = ""


class RotationBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A new secret. The old one signs beside it for so many hours; 0 where it has leaked."""

    reference: Reference
    overlap_hours: Annotated[int, Meta(ge=0, le=168)] = 24


class ReplayBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """From when on events are to be sent again; thirty days are kept."""

    reference: Reference
    since: Annotated[datetime, Meta(tz=True, description="RFC 3339 with a zone.")]


class PublicKeyBody(msgspec.Struct, frozen=True, kw_only=True):
    """What verifies `v1a`: whpk_ and the key in base64. `ends_at`: while it is rotated."""

    key: str
    ends_at: datetime | None


class EndpointBody(msgspec.Struct, frozen=True, kw_only=True):
    """An endpoint as it stands. `failures`: in a row. `because`: why it is disabled.

    `secret` is there in the answer that made it, and never again: keep it.
    """

    id: str
    url: str
    events: Sequence[str]
    signature: str
    description: str
    status: str
    because: str
    created_at: datetime
    failures: int
    last_delivered_at: datetime | None
    last_failed_at: datetime | None
    public_keys: Sequence[PublicKeyBody] = ()
    secret: str | None = None


class EndpointsBody(msgspec.Struct, frozen=True, kw_only=True):
    """All your endpoints, the oldest first."""

    data: Sequence[EndpointBody]


class RotatedBody(msgspec.Struct, frozen=True, kw_only=True):
    """A new secret, shown this once; None where it was shown before under the same reference."""

    endpoint: str
    secret: str | None
    public_keys: Sequence[PublicKeyBody] = ()


class QueuedBody(msgspec.Struct, frozen=True, kw_only=True):
    """How many deliveries are on their way."""

    queued: int


class TestedBody(msgspec.Struct, frozen=True, kw_only=True):
    """The event that is on its way to the endpoint."""

    event: str


class AttemptBody(msgspec.Struct, frozen=True, kw_only=True):
    """An attempt: delivered, refused, redirect, gone, timeout, unreachable or address_refused."""

    endpoint: str
    attempt: int
    at: datetime
    outcome: str
    status: int | None
    milliseconds: int


class DeliveryBody(msgspec.Struct, frozen=True, kw_only=True):
    """How far an event has come: waiting, delivered or failed. `due_at`: its next attempt, while it waits."""

    event: str
    endpoint: str
    type: str
    state: str
    attempts: int
    due_at: datetime | None
    finished_at: datetime | None


class DeliveryPage(msgspec.Struct, frozen=True, kw_only=True):
    """A page of deliveries, the newest event first."""

    data: Sequence[DeliveryBody]
    has_more: bool
    next_cursor: str | None


class WebhookEventBody(msgspec.Struct, frozen=True, kw_only=True):
    """An event as it is sent, with its id. `timestamp`: when it happened, by the network's time."""

    id: str
    type: str
    timestamp: datetime
    data: msgspec.Raw


class EventPage(msgspec.Struct, frozen=True, kw_only=True):
    """A page of events, the oldest first."""

    data: Sequence[WebhookEventBody]
    has_more: bool
    next_cursor: str | None


class EventDetailBody(msgspec.Struct, frozen=True, kw_only=True):
    """An event, where it was sent, and each attempt."""

    id: str
    type: str
    timestamp: datetime
    data: msgspec.Raw
    deliveries: Sequence[DeliveryBody]
    attempts: Sequence[AttemptBody]


State = Literal["waiting", "delivered", "failed"]

HOOK_BODIES = (
    NewEndpointBody,
    RotationBody,
    ReplayBody,
    EndpointBody,
    EndpointsBody,
    RotatedBody,
    QueuedBody,
    TestedBody,
    DeliveryPage,
    EventPage,
    EventDetailBody,
)
"""The types of requests and answers, for the description."""


def show_endpoint(one: Endpoint, keys: Sequence[PublicKey], secret: Secret | None = None) -> EndpointBody:
    """An endpoint's public form; of a shared secret only the answer that made it speaks."""
    return EndpointBody(
        id=ids.show(ENDPOINT, one.endpoint_id),
        url=one.url,
        events=one.types,
        signature=one.signature,
        description=one.description,
        status=one.status,
        because=one.because,
        created_at=one.made_at,
        failures=one.failures,
        last_delivered_at=one.delivered_at,
        last_failed_at=one.failed_at,
        public_keys=show_keys(keys),
        secret=shared(secret),
    )


def shared(secret: Secret | None) -> str | None:
    """A secret that its owner has to know; who verifies Ed25519 needs none."""
    return secret.shown if secret is not None and secret.signature == "v1" else None


def show_keys(keys: Sequence[PublicKey]) -> list[PublicKeyBody]:
    """Public keys, the newest first."""
    return [PublicKeyBody(key=one.shown, ends_at=one.ends_at) for one in keys]


def show_delivery(one: Delivery) -> DeliveryBody:
    """A delivery's public form."""
    return DeliveryBody(
        event=ids.show(EVENT, one.event_id),
        endpoint=ids.show(ENDPOINT, one.endpoint_id),
        type=one.type,
        state=one.state,
        attempts=one.tries,
        due_at=one.due_at if one.state == "waiting" else None,
        finished_at=one.finished_at,
    )


def show_attempt(one: Attempt) -> AttemptBody:
    """An attempt's public form."""
    return AttemptBody(
        endpoint=ids.show(ENDPOINT, one.endpoint_id),
        attempt=one.attempt,
        at=one.at,
        outcome=one.outcome,
        status=one.status,
        milliseconds=one.milliseconds,
    )
