"""What causes have raised: for everybody, so not signed; nothing in it is of a member."""

from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from html import escape

import msgspec
from fastapi import APIRouter, Request, Response

from api.openapi import public_docs
from api.problems import ProblemError
from api.routes.reads import json_response
from api.service import service_of
from network.pledges import Raised, raised

router = APIRouter(prefix="/causes", tags=["Causes"])


class CauseBody(msgspec.Struct, frozen=True, kw_only=True):
    """What a cause has raised by donations and pledges, less what came back, through a business date.

    `points`: given by members. `amounts`: what the cause is paid for them, by currency, in major units.
    """

    cause: str
    name: str
    points: int
    amounts: Mapping[str, str]
    through: date | None


def _shown(one: Raised) -> CauseBody:
    amounts = {currency: plain(amount) for currency, amount in one.amounts.items()}
    return CauseBody(cause=one.code, name=one.name, points=one.points, amounts=amounts, through=one.through)


def plain(amount: Decimal) -> str:
    """An exact amount without needless zeros, with two decimals at least."""
    shown = f"{amount:f}"
    whole, _, part = shown.partition(".")
    return f"{whole}.{part.rstrip('0'):0<2}"


@router.get("/{cause}", **public_docs("CauseBody"))
def cause(cause: str, request: Request) -> Response:
    """The total that a cause has raised, through the last closed business date."""
    with service_of(request).database.connect() as connection:
        found = raised(connection, cause) if cause.isprintable() else []
    if not found:
        raise ProblemError("cause_not_found")
    return json_response(_shown(found[0]))


@router.get("", include_in_schema=False)
def page(request: Request) -> Response:
    """All causes, as a page."""
    with service_of(request).database.connect() as connection:
        found = [_shown(one) for one in raised(connection)]
    rows = "".join(
        f"<tr><td>{escape(one.name)}</td><td>{one.points:,}</td><td>"
        + ", ".join(f"{amount} {currency}" for currency, amount in one.amounts.items())
        + f"</td><td>{one.through or ''}</td></tr>"
        for one in found
    )
    head = "<tr><th>Cause</th><th>Points given</th><th>Paid for them</th><th>Through</th></tr>"
    body = (
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>What causes have raised</title>'
        f"<h1>What causes have raised</h1><table>{head}{rows}</table></html>"
    )
    return Response(
        body,
        media_type="text/html; charset=utf-8",
        headers={"content-security-policy": "default-src 'none'", "x-content-type-options": "nosniff"},
    )
