"""What partners can look up: cards, balances, and their own entries."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as NotBase64
from datetime import date, datetime
from hashlib import blake2b
from typing import Annotated
from uuid import UUID

import msgspec
from fastapi import APIRouter, Query, Request, Response
from sqlalchemy import Connection, text

from api.bodies import EntryBody, show_entry
from api.openapi import read_docs
from api.problems import ProblemError
from api.service import partner_of, service_of
from network import ids
from network.identity import is_card_number
from network.model import Entry
from network.service import network_now, window_id_of
from network.store import load_enrolled, load_entries, read_entry
from settlement.errors import NotSealed
from settlement.sealing import read_proof

router = APIRouter(prefix="/v1", tags=["Look up"])

_PAGE = text(
    "SELECT * FROM entry WHERE partner_id = :partner AND entry_id > :after"
    " AND (CAST(:window AS integer) IS NULL OR window_id = :window)"
    " ORDER BY entry_id LIMIT :limit"
)
_CARD = text(
    "SELECT c.status, m.public_id FROM card c JOIN member m USING (member_id) WHERE card_number = :number"
)
_MEMBER = text("SELECT public_id FROM member WHERE member_id = :member")
_LOTS = text(
    "SELECT expires_on, greatest(spendable_on, :today) AS spendable_on, sum(remaining)::bigint AS points"
    " FROM lot"
    " WHERE member_id = :member AND unit = 1 AND remaining > 0 AND expires_on >= :today"
    " GROUP BY 1, 2 ORDER BY 1, 2"
)


class CardBody(msgspec.Struct, frozen=True, kw_only=True):
    """A card and its member."""

    card: str
    status: str
    member: str


class ExpiringBody(msgspec.Struct, frozen=True, kw_only=True):
    """Points that lapse after a day."""

    expires_on: date
    points: int


class PendingBody(msgspec.Struct, frozen=True, kw_only=True):
    """Points that can be spent from a day on."""

    spendable_on: date
    expires_on: date
    points: int


class BalanceBody(msgspec.Struct, frozen=True, kw_only=True):
    """What a member can spend now, when which part of it lapses, and what is still pending."""

    member: str
    points: int
    as_of: datetime
    expiring: list[ExpiringBody]
    pending: list[PendingBody]


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
    with service_of(request).database.connect() as connection:
        row = connection.execute(_CARD, {"number": int(number)}).one_or_none()
    if row is None:
        raise ProblemError("card_unknown")
    return _json(CardBody(card=number, status=row.status, member=ids.show("mbr", row.public_id)))


@router.get("/members/{member}/balance", **read_docs("BalanceBody"))
def balance(member: str, request: Request) -> Response:
    """A member's spendable points, and what of them lapses when."""
    public_id = ids.read("mbr", member)
    if public_id is None:
        raise ProblemError("member_unknown")
    number = ids.member_of(public_id)
    # Before a connection is taken: reading the rules may take one too.
    rules = service_of(request).rules()
    with service_of(request).database.connect() as connection:
        if connection.execute(_MEMBER, {"member": number}).scalar_one_or_none() != public_id:
            raise ProblemError("member_unknown")
        now = network_now(connection)
        today = rules.local_date(now)
        lots = connection.execute(_LOTS, {"member": number, "today": today}).all()
    expiring = [
        ExpiringBody(expires_on=lot.expires_on, points=lot.points)
        for lot in lots
        if lot.spendable_on == today
    ]
    pending = [
        PendingBody(spendable_on=lot.spendable_on, expires_on=lot.expires_on, points=lot.points)
        for lot in lots
        if lot.spendable_on > today
    ]
    return _json(
        BalanceBody(
            member=member,
            points=sum(lot.points for lot in expiring),
            as_of=now,
            expiring=expiring,
            pending=pending,
        )
    )


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
        return _json(_shown(connection, [recorded.entry])[0])


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
            return _json(read_proof(connection, entry_id))
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
        rows = connection.execute(
            _PAGE,
            {
                "partner": partner_id,
                "after": UUID(int=0) if cursor is None else _read_cursor(cursor, partner_id),
                "window": None if business_date is None else window_id_of(business_date),
                "limit": limit + 1,
            },
        ).mappings()
        found = [read_entry(row) for row in rows]
        data = _shown(connection, found[:limit])
    more = len(found) > limit
    return _json(
        EntryPage(
            data=data,
            has_more=more,
            next_cursor=_cursor(found[limit - 1].entry_id, partner_id) if more else None,
        )
    )


def _shown(connection: Connection, found: list[Entry]) -> list[EntryBody]:
    """Entries in public form; enrolments with the member and the card they made."""
    made = load_enrolled(connection, found)
    return [show_entry(one, made.get(one.entry_id)) for one in found]


def _cursor(entry_id: UUID, partner_id: int) -> str:
    """Where the next page begins, with a check that it came from us for this partner."""
    return urlsafe_b64encode(entry_id.bytes + _check(entry_id.bytes, partner_id)).decode()


def _read_cursor(cursor: str, partner_id: int) -> UUID:
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


def _json(body: msgspec.Struct) -> Response:
    return Response(msgspec.json.encode(body), media_type="application/json")
