"""Webhook endpoints of all partners, and how each does: who is not told, since when, and why."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated

import msgspec
from fastapi import Query, Request, Response

from api.operator.desk import EVERYBODY, answered, desk_of, guarded, make_router
from network import ids
from partners.hooks.history import Standing, standing_of_all

router = make_router("Webhooks")


class HookBody(msgspec.Struct, frozen=True, kw_only=True):
    """An endpoint. `failures`: in a row; `waiting`: events on their way to it, the oldest due since then.

    The path of its URL is left out: it may hold a token of the partner's.
    """

    id: str
    partner: str
    host: str
    status: str
    because: str
    failures: int
    waiting: int
    oldest_due_at: datetime | None
    last_delivered_at: datetime | None
    last_failed_at: datetime | None


class HooksBody(msgspec.Struct, frozen=True, kw_only=True):
    """Endpoints, those that fail first."""

    data: Sequence[HookBody]


TYPES = (HookBody, HooksBody)


@router.get("/webhooks", **guarded(*EVERYBODY, answer=HooksBody))
def list_webhooks(
    request: Request,
    unwell: Annotated[bool, Query(description="Only those that fail or are disabled.")] = False,  # noqa: FBT002  # a flag of an address
) -> Response:
    """Endpoints of partners, and how each does."""
    with desk_of(request).database.connect() as connection:
        found = standing_of_all(connection)
    return answered(HooksBody(data=[_shown(one) for one in found if one.is_unwell or not unwell]))


def _shown(one: Standing) -> HookBody:
    return HookBody(
        id=ids.show("whe", one.endpoint_id),
        partner=one.partner,
        host=one.host,
        status=one.status,
        because=one.because,
        failures=one.failures,
        waiting=one.waiting,
        oldest_due_at=one.oldest_due_at,
        last_delivered_at=one.delivered_at,
        last_failed_at=one.failed_at,
    )
