"""Webhook endpoints for tests."""

from uuid import UUID

from sqlalchemy import Engine, text

from partners.hooks.events import new_event_id
from tests.people import real_now

URL = "https://hooks.example.com/tessera"


def endpoint(database: Engine, partner_id: int, *, types: tuple[str, ...] = ("*",), url: str = URL) -> UUID:
    """An endpoint as its row alone: it has no secret."""
    endpoint_id = new_event_id(real_now())
    with database.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO webhook_endpoint (endpoint_id, partner_id, reference, url, types, signature,"
                " description, status, made_at, changed_at)"
                " VALUES (:id, :partner, :reference, :url, :types, 'v1', '', 'active', :at, :at)"
            ),
            {
                "id": endpoint_id,
                "partner": partner_id,
                "reference": endpoint_id.hex,
                "url": url,
                "types": list(types),
                "at": real_now(),
            },
        )
    return endpoint_id
