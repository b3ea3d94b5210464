"""Webhooks: partners say where they want to be told of what, and look up what they were told."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any
from uuid import UUID

import msgspec
from fastapi import APIRouter, Query, Request, Response
from pydantic import AwareDatetime
from sqlalchemy import Connection

from api.bodies import read_body
from api.bodies.webhooks import (
    ENDPOINT,
    EVENT,
    DeliveryPage,
    EndpointsBody,
    EventDetailBody,
    EventPage,
    NewEndpointBody,
    QueuedBody,
    ReplayBody,
    RotatedBody,
    RotationBody,
    State,
    TestedBody,
    WebhookEventBody,
    shared,
    show_attempt,
    show_delivery,
    show_endpoint,
    show_keys,
)
from api.hooks.rendering import bodies_of
from api.openapi import post_docs, read_docs
from api.problems import HOOK_PROBLEMS, FieldError, ProblemError
from api.routes.disputes import Raw
from api.routes.reads import cursor_of, json_response, read_cursor
from api.service import HookSetting, hooks_of, partner_of, service_of
from network import ids
from partners.hooks import endpoints, history
from partners.hooks.addresses import AddressRefused, read_url
from partners.hooks.endpoints import Endpoint, NewEndpoint
from partners.hooks.history import Event
from partners.hooks.signing import Secret

router = APIRouter(prefix="/v1", tags=["Webhooks"])

_NEW = msgspec.json.Decoder(NewEndpointBody)
_ROTATION = msgspec.json.Decoder(RotationBody)
_REPLAY = msgspec.json.Decoder(ReplayBody)
_FIRST, _LAST = UUID(int=0), UUID(int=2**128 - 1)

Limit = Annotated[int, Query(ge=1, le=100)]
Cursor = Annotated[str | None, Query(max_length=100, description="`next_cursor` of the last page.")]


@router.post("/webhook-endpoints", **post_docs("EndpointBody", 201, "NewEndpointBody", own=HOOK_PROBLEMS))
def create(request: Request, raw: Raw) -> Response:
    """Make an endpoint. Its secret is in this answer alone, and not in a repetition's: keep it.

    Within five seconds events of the types you chose are written for it, each with what it tells.
    """
    said, hooks = read_body(raw, _NEW), hooks_of(request)
    read = read_url(said.url, loopback=hooks.loopback)
    if isinstance(read, AddressRefused):
        raise ProblemError("webhook_address", read.detail, [FieldError("/url", "address")])
    new = NewEndpoint(
        partner_id=partner_of(request),
        reference=said.reference,
        url=said.url,
        types=said.events,
        signature=said.signature,
        description=said.description,
    )
    at = hooks.now()
    with service_of(request).database.begin() as connection:
        made, secret = endpoints.create(connection, new, hooks.key, at=at)
        answer = _shown(connection, made, hooks, secret)
    answer.status_code = 201
    if secret is None:
        answer.headers["idempotent-replayed"] = "true"
    return answer


@router.get("/webhook-endpoints", **read_docs("EndpointsBody", own=HOOK_PROBLEMS))
def list_endpoints(request: Request) -> Response:
    """Your endpoints; there are sixteen at most."""
    at = hooks_of(request).now()
    with service_of(request).database.connect() as connection:
        found = endpoints.list_of(connection, partner_of(request))
        data = [
            show_endpoint(one, endpoints.public_keys_of(connection, one.endpoint_id, at)) for one in found
        ]
    return json_response(EndpointsBody(data=data))


@router.get("/webhook-endpoints/{endpoint}", **read_docs("EndpointBody", own=HOOK_PROBLEMS))
def one_endpoint(endpoint: str, request: Request) -> Response:
    """One of your endpoints, and how it does. Another partner's is as if it were not there."""
    with service_of(request).database.connect() as connection:
        one = endpoints.one_of(connection, partner_of(request), _endpoint_id(endpoint))
        return _shown(connection, one, hooks_of(request))


@router.delete("/webhook-endpoints/{endpoint}", **read_docs("EndpointBody", own=HOOK_PROBLEMS))
def delete(endpoint: str, request: Request) -> Response:
    """Delete an endpoint. Nothing more is sent to it, and its secrets are forgotten."""
    whose, endpoint_id = partner_of(request), _endpoint_id(endpoint)
    with service_of(request).database.begin() as connection:
        one = endpoints.one_of(connection, whose, endpoint_id)
        endpoints.remove(connection, whose, endpoint_id, at=hooks_of(request).now())
    return json_response(show_endpoint(msgspec.structs.replace(one, status="deleted"), ()))


@router.post(
    "/webhook-endpoints/{endpoint}/enablement", **post_docs("EndpointBody", 200, "", 404, own=HOOK_PROBLEMS)
)
def enable(endpoint: str, request: Request) -> Response:
    """Let a disabled endpoint be sent to again. What it missed meanwhile is in the log: replay it."""
    hooks = hooks_of(request)
    with service_of(request).database.begin() as connection:
        one = endpoints.enable(connection, partner_of(request), _endpoint_id(endpoint), at=hooks.now())
        return _shown(connection, one, hooks)


@router.post(
    "/webhook-endpoints/{endpoint}/secrets",
    **post_docs("RotatedBody", 201, "RotationBody", 404, own=HOOK_PROBLEMS),
)
def rotate(endpoint: str, request: Request, raw: Raw) -> Response:
    """Make a new secret. Old and new both sign until the overlap ends: no delivery is lost on the way."""
    said, hooks = read_body(raw, _ROTATION), hooks_of(request)
    at, endpoint_id = hooks.now(), _endpoint_id(endpoint)
    with service_of(request).database.begin() as connection:
        secret = endpoints.rotate(
            connection,
            partner_of(request),
            endpoint_id,
            hooks.key,
            reference=said.reference,
            overlap=timedelta(hours=said.overlap_hours),
            at=at,
        )
        keys = endpoints.public_keys_of(connection, endpoint_id, at)
    answer = json_response(RotatedBody(endpoint=endpoint, secret=shared(secret), public_keys=show_keys(keys)))
    answer.status_code = 201
    if secret is None:
        answer.headers["idempotent-replayed"] = "true"
    return answer


@router.post(
    "/webhook-endpoints/{endpoint}/tests", **post_docs("TestedBody", 202, "", 404, 409, own=HOOK_PROBLEMS)
)
def test(endpoint: str, request: Request) -> Response:
    """Send a `webhook.test` event to the endpoint, whatever it asked for."""
    with service_of(request).database.begin() as connection:
        event_id = history.send_test(
            connection, partner_of(request), _endpoint_id(endpoint), at=hooks_of(request).now()
        )
    answer = json_response(TestedBody(event=ids.show(EVENT, event_id)))
    answer.status_code = 202
    return answer


@router.post(
    "/webhook-endpoints/{endpoint}/replays",
    **post_docs("QueuedBody", 202, "ReplayBody", 404, 409, own=HOOK_PROBLEMS),
)
def replay(endpoint: str, request: Request, raw: Raw) -> Response:
    """Send the endpoint again what it asks for of all events from an instant on, in order.

    A hundred thousand at most; then replay from where that ended.
    """
    said = read_body(raw, _REPLAY)
    with service_of(request).database.begin() as connection:
        queued, was_there = history.replay(
            connection,
            partner_of(request),
            _endpoint_id(endpoint),
            reference=said.reference,
            since=_in_calendar(said.since),
            at=hooks_of(request).now(),
        )
    answer = json_response(QueuedBody(queued=queued))
    answer.status_code = 202
    if was_there:
        answer.headers["idempotent-replayed"] = "true"
    return answer


@router.get("/webhook-endpoints/{endpoint}/deliveries", **read_docs("DeliveryPage", own=HOOK_PROBLEMS))
def list_deliveries(
    endpoint: str,
    request: Request,
    state: Annotated[State | None, Query(description="Only those that are so.")] = None,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> Response:
    """What the endpoint was sent and is to be sent, the newest event first."""
    partner_id = partner_of(request)
    with service_of(request).database.connect() as connection:
        found = history.deliveries_to(
            connection,
            partner_id,
            _endpoint_id(endpoint),
            before=_LAST if cursor is None else read_cursor(cursor, partner_id),
            state=state,
            limit=limit + 1,
        )
    more = len(found) > limit
    return json_response(
        DeliveryPage(
            data=[show_delivery(one) for one in found[:limit]],
            has_more=more,
            next_cursor=cursor_of(found[limit - 1].event_id, partner_id) if more else None,
        )
    )


@router.get("/events", **read_docs("EventPage", own=HOOK_PROBLEMS))
def list_events(
    request: Request,
    event_type: Annotated[
        str | None, Query(alias="type", pattern="^[a-z_.]{1,64}$", description="Only those of this type.")
    ] = None,
    since: Annotated[
        AwareDatetime | None, Query(description="Only those from this instant on; RFC 3339 with a zone.")
    ] = None,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> Response:
    """Your events, the oldest first; those of thirty days are kept.

    Events are written while an endpoint of yours wants them. Those that are being written while you page may
    sort before what you have read; deliveries miss none.
    """
    partner_id = partner_of(request)
    with service_of(request).database.connect() as connection:
        found = history.page_of(
            connection,
            partner_id,
            after=_FIRST if cursor is None else read_cursor(cursor, partner_id),
            since=None if since is None else _in_calendar(since),
            event_type=event_type,
            limit=limit + 1,
        )
        data = _rendered(connection, partner_id, found[:limit])
    more = len(found) > limit
    return json_response(
        EventPage(
            data=data,
            has_more=more,
            next_cursor=cursor_of(found[limit - 1].event_id, partner_id) if more else None,
        )
    )


@router.get("/events/{event}", **read_docs("EventDetailBody", own=HOOK_PROBLEMS))
def one_event(event: str, request: Request) -> Response:
    """An event, where it was sent, and what each attempt came to. Another partner's is not there."""
    partner_id = partner_of(request)
    with service_of(request).database.connect() as connection:
        found = history.event_of(connection, partner_id, _event_id(event))
        sent, attempts = history.deliveries_of(connection, found)
        [shown] = _rendered(connection, partner_id, [found])
    return json_response(
        EventDetailBody(
            **msgspec.structs.asdict(shown),
            deliveries=[show_delivery(one) for one in sent],
            attempts=[show_attempt(one) for one in attempts],
        )
    )


@router.post("/events/{event}/resend", **post_docs("QueuedBody", 202, "", 404, own=HOOK_PROBLEMS))
def resend(
    event: str,
    request: Request,
    endpoint: Annotated[
        str | None,
        Query(pattern="^whe_[0-9a-f]{32}$", description="To this endpoint; else to all that want it."),
    ] = None,
) -> Response:
    """Send an event again, under the same id. To an endpoint that it is on its way to it is sent once."""
    with service_of(request).database.begin() as connection:
        queued = history.resend(
            connection,
            partner_of(request),
            _event_id(event),
            at=hooks_of(request).now(),
            endpoint_id=None if endpoint is None else _endpoint_id(endpoint),
        )
    answer = json_response(QueuedBody(queued=queued))
    answer.status_code = 202
    return answer


def _rendered(connection: Connection, partner_id: int, found: Sequence[Event]) -> list[WebhookEventBody]:
    bodies = bodies_of(connection, partner_id, found)
    shown: list[WebhookEventBody] = []
    for one in found:
        said: Any = msgspec.json.decode(bodies[one.event_id], type=_Body)
        shown.append(
            WebhookEventBody(
                id=ids.show(EVENT, one.event_id), type=said.type, timestamp=said.timestamp, data=said.data
            )
        )
    return shown


class _Body(msgspec.Struct):
    """An event's body, read again."""

    type: str
    timestamp: datetime
    data: msgspec.Raw


def _shown(
    connection: Connection, one: Endpoint, hooks: HookSetting, secret: Secret | None = None
) -> Response:
    keys = endpoints.public_keys_of(connection, one.endpoint_id, hooks.now())
    return json_response(show_endpoint(one, keys, secret))


def _endpoint_id(shown: str) -> UUID:
    found = ids.read(ENDPOINT, shown)
    if found is None:
        raise ProblemError("endpoint_unknown")
    return found


def _event_id(shown: str) -> UUID:
    found = ids.read(EVENT, shown)
    if found is None:
        raise ProblemError("event_unknown")
    return found


def _in_calendar(at: datetime) -> datetime:
    """The instant in UTC; of what was before computers, and of the end of time, one that can be computed."""
    if at.year < 1971:
        return datetime(1971, 1, 1, tzinfo=UTC)
    return at if at.year > 9_000 else at.astimezone(UTC)
