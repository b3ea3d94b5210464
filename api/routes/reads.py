"""What partners can look up: cards, and their own entries."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as NotBase64
from datetime import date
from hashlib import blake2b
from typing import Annotated
from uuid import UUID

import msgspec
from fastapi import APIRouter, Query, Request, Response
from sqlalchemy import Connection, text

from api.bodies import EntryBody, show_entry
from api.openapi import read_docs
from api.problems import ProblemError
from api.routes.commands import require_no_guessing
from api.service import partner_of, service_of
from network import ids
from network.identity import is_card_number
from network.outcomes import RecordedEntry
from network.service import window_id_of
from network.store import load_enrolled, load_entries
from settlement.errors import NotSealed
from settlement.sealing import read_proof

router = APIRouter(prefix="/v1", tags=["Look up"])

_PAGE = text(
    "SELECT entry_id FROM entry WHERE partner_id = :partner AND entry_id > :after"
    " AND (CAST(:window AS integer) IS NULL OR window_id = :window)"
    " ORDER BY entry_id LIMIT :limit"
)
_CARD = text(
    "SELECT c.status, m.public_id FROM card c JOIN member m USING (member_id) WHERE card_number = :number"
)


class CardBody(msgspec.Struct, frozen=True, kw_only=True):
    """A card and its member."""

    card: str
    status: str
    member: str


class EntryPage(msgspec.Struct, frozen=True, kw_only=True):
    """A page of entries, oldest first."""

    data: list[EntryBody]
    has_more: bool
    next_cursor: str | None


@router.get("/cards/{number}", **read_docs("CardBody"))
def card(number: str, request: Request) -> Response:
    """Look a card up: whose it is, and whether it may be used."""
    if not (len(number) == 16 and number.isascii() and number.isdigit() and is_card_number(int(number))):
        raise ProblemError("card_number_invalid")
    service, partner_id = service_of(request), partner_of(request)
    require_no_guessing(service, partner_id)
    with service.database.connect() as connection:
        row = connection.execute(_CARD, {"number": int(number)}).one_or_none()
    if row is None:
        service.limits.cards.spend(partner_id, service.limits.now())
        raise ProblemError("card_unknown")
    return json_response(CardBody(card=number, status=row.status, member=ids.show("mbr", row.public_id)))


@router.get("/entries/{entry}", **read_docs("EntryBody"))
def entry(entry: str, request: Request) -> Response:
    """One of your entries. Another partner's is as if it were not there."""
    entry_id = ids.read("ent", entry)
    if entry_id is None:
        raise ProblemError("entry_unknown")
    with service_of(request).database.connect() as connection:
        recorded = load_entries(connection, [entry_id]).get(entry_id)
        if recorded is None or recorded.entry.partner_id != partner_of(request):
            raise ProblemError("entry_unknown")
        return json_response(_shown(connection, [recorded])[0])


@router.get("/entries/{entry}/proof", **read_docs("Proof", 409))
def proof(entry: str, request: Request) -> Response:
    """The proof that one of your entries is under its window's seal; `tessera proof check` reads it."""
    entry_id = ids.read("ent", entry)
    if entry_id is None:
        raise ProblemError("entry_unknown")
    with service_of(request).database.connect() as connection:
        recorded = load_entries(connection, [entry_id]).get(entry_id)
        if recorded is None or recorded.entry.partner_id != partner_of(request):
            raise ProblemError("entry_unknown")
        if not recorded.postings:
            raise ProblemError("entry_moves_no_points")
        try:
            return json_response(read_proof(connection, entry_id))
        except NotSealed as error:
            raise ProblemError("not_sealed_yet", str(error)) from error


@router.get("/entries", **read_docs("EntryPage"))
def entries(
    request: Request,
    business_date: Annotated[date | None, Query(description="Only those in this night's window.")] = None,
    cursor: Annotated[
        str | None, Query(max_length=100, description="`next_cursor` of the last page.")
    ] = None,
    limit: Annotated[int, Query(ge=1, le=100)] = 50,
) -> Response:
    """Your entries, oldest first, by pages.

    A business date that is closed is paged completely; of the open one, entries that are being recorded while
    you page may sort before what you have read.
    """
    partner_id = partner_of(request)
    with service_of(request).database.connect() as connection:
        wanted = {
            "partner": partner_id,
            "after": UUID(int=0) if cursor is None else read_cursor(cursor, partner_id),
            "window": None if business_date is None else window_id_of(business_date),
            "limit": limit + 1,
        }
        found = list(connection.execute(_PAGE, wanted).scalars())
        recorded = load_entries(connection, found[:limit])
        data = _shown(connection, [recorded[entry_id] for entry_id in found[:limit]])
    more = len(found) > limit
    return json_response(
        EntryPage(
            data=data,
            has_more=more,
            next_cursor=cursor_of(found[limit - 1], partner_id) if more else None,
        )
    )


def _shown(connection: Connection, found: list[RecordedEntry]) -> list[EntryBody]:
    """Entries as they were answered; enrolments with the member and the card they made."""
    made = load_enrolled(connection, [one.entry for one in found])
    return [show_entry(one.entry, one.postings, made.get(one.entry.entry_id), one.asked) for one in found]


def cursor_of(entry_id: UUID, partner_id: int) -> str:
    """Where the next page begins, with a check that it came from us for this partner."""
    return urlsafe_b64encode(entry_id.bytes + _check(entry_id.bytes, partner_id)).decode()


def read_cursor(cursor: str, partner_id: int) -> UUID:
    """The position in a cursor.

    Raises:
        ProblemError: cursor_invalid.
    """
    try:
        raw = urlsafe_b64decode(cursor.encode())
    except (NotBase64, ValueError) as error:
        raise ProblemError("cursor_invalid") from error
    if len(raw) != 24 or raw[16:] != _check(raw[:16], partner_id):
        raise ProblemError("cursor_invalid")
    return UUID(bytes=raw[:16])


def _check(position: bytes, partner_id: int) -> bytes:
    # Not a secret: a made-up cursor could only reach the partner's own entries. It finds slips and tampering.
    return blake2b(position, digest_size=8, key=f"cursor {partner_id}".encode()).digest()


def json_response(body: msgspec.Struct) -> Response:
    """An answer of 200."""
    return Response(msgspec.json.encode(body), media_type="application/json")
