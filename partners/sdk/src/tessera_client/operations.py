"""Every address of the API as a request and how its answer is read; no I/O.

Both clients have a method for each; `client.do(operation)` is what they come to.
"""

from collections.abc import Callable, Iterator
from datetime import date, datetime
from typing import Any, Generic, TypeVar

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tessera_client.answers import (
    Approval,
    Balance,
    Batch,
    Card,
    Dispute,
    Entry,
    Key,
    Keys,
    LineAnswer,
    Page,
    PartnerEvent,
    Queued,
)
from tessera_client.commands import Command
from tessera_client.errors import TesseraError
from tessera_client.keys import possession_proof, public_text
from tessera_client.messages import JSON, NDJSON, Request, Response, path_of, query_of
from tessera_client.uploads import Upload

T = TypeVar("T")
_ENCODER = msgspec.json.Encoder()
MOST_ON_A_PAGE = 100


class AnswerUnreadable(TesseraError):
    """The service accepted, and answered what this version of the client cannot read: update it."""


class Operation(msgspec.Struct, Generic[T], frozen=True):
    """A request, and what its accepted answer means."""

    request: Request
    read: Callable[[Response], T]


def _reader(kind: Any) -> Callable[[Response], Any]:
    decoder = msgspec.json.Decoder(kind)

    def read(response: Response) -> Any:
        try:
            return decoder.decode(response.body)
        except msgspec.DecodeError as error:
            raise AnswerUnreadable(f"{response.status}: {error}") from error

    return read


_ENTRY, _CARD, _BALANCE, _DISPUTE = (_reader(kind) for kind in (Entry, Card, Balance, Dispute))
_KEY, _KEYS, _QUEUED, _BATCH = (_reader(kind) for kind in (Key, Keys, Queued, Batch))
_APPROVAL = _reader(Approval)
_LINE = msgspec.json.Decoder(LineAnswer)
_ENTRIES, _DISPUTES, _EVENTS = (_reader(Page[kind]) for kind in (Entry, Dispute, PartnerEvent))  # type: ignore[valid-type]  # at run time


def send(command: Command) -> Operation[Entry]:
    """Have one command carried out."""
    return Operation(
        Request(method="POST", path=command.path, body=_ENCODER.encode(command), content_type=JSON),
        _entry,
    )


def entry(entry_id: str) -> Operation[Entry]:
    """One of your entries."""
    return _get(_ENTRY, "entries", entry_id)


def entries(
    *, business_date: date | None = None, cursor: str | None = None, limit: int = MOST_ON_A_PAGE
) -> Operation[Page[Entry]]:
    """A page of your entries, oldest first."""
    on = None if business_date is None else business_date.isoformat()
    return _get(_ENTRIES, "entries", query=query_of(business_date=on, cursor=cursor, limit=limit))


def proof(entry_id: str) -> Operation[bytes]:
    """The proof that an entry is under its window's seal, as it came; `check_proof` reads it."""
    return _get(_raw, "entries", entry_id, "proof")


def card(number: str) -> Operation[Card]:
    """A card and its member."""
    return _get(_CARD, "cards", number)


def ask_approval(
    *, reference: str, outlet: str, card: str, points: int, amount_minor: int, currency: str
) -> Operation[Approval]:
    """Ask a card's member to approve on its phone what a redemption or hold will take."""
    said = {
        "reference": reference,
        "outlet": outlet,
        "card": card,
        "points": points,
        "amount_minor": amount_minor,
        "currency": currency,
    }
    request = Request(method="POST", path=path_of("approvals"), body=_ENCODER.encode(said), content_type=JSON)
    return Operation(request, _APPROVAL)


def approval(approval_id: str) -> Operation[Approval]:
    """How something stands that you asked to have approved."""
    return _get(_APPROVAL, "approvals", approval_id)


def balance(member: str) -> Operation[Balance]:
    """What a member has."""
    return _get(_BALANCE, "members", member, "balance")


def dispute(dispute_id: str) -> Operation[Dispute]:
    """One dispute of yours or against you."""
    return _get(_DISPUTE, "disputes", dispute_id)


def disputes(
    *, undecided: bool = False, cursor: str | None = None, limit: int = MOST_ON_A_PAGE
) -> Operation[Page[Dispute]]:
    """A page of disputes, the newest first."""
    wanted = query_of(open=undecided or None, cursor=cursor, limit=limit)
    return _get(_DISPUTES, "disputes", query=wanted)


def raise_dispute(
    *,
    reference: str,
    against: str,
    reason: str,
    entry: str | None = None,
    business_date: date | None = None,
    line: str | None = None,
    amount: str | None = None,
) -> Operation[Dispute]:
    """Dispute a line of your statement: an entry, or a line of a business date; `amount` in major units."""
    given = {
        "reference": reference,
        "against": against,
        "reason": reason,
        "entry": entry,
        "business_date": business_date,
        "line": line,
        "amount": amount,
    }
    said = {name: value for name, value in given.items() if value is not None}
    return _post(said, "disputes", repeatable=True)


def answer_dispute(dispute_id: str, *, accept: bool, text: str) -> Operation[Dispute]:
    """Accept a dispute against you, or reject it."""
    said = {"answer": "accept" if accept else "reject", "text": text}
    return _post(said, "disputes", dispute_id, "answers", repeatable=False)


def escalate_dispute(dispute_id: str, *, text: str) -> Operation[Dispute]:
    """Ask the operator to decide a dispute of yours that was rejected."""
    return _post({"text": text}, "disputes", dispute_id, "escalations", repeatable=False)


def attach_evidence(dispute_id: str, *, name: str, content: bytes, media_type: str) -> Operation[Dispute]:
    """Attach a file to a dispute."""
    request = Request(
        method="POST",
        path=path_of("disputes", dispute_id, "evidence"),
        query=query_of(name=name),
        body=content,
        content_type=media_type,
        repeatable=False,
    )
    return Operation(request, _DISPUTE)


def read_evidence(dispute_id: str, sha256: str) -> Operation[bytes]:
    """A file of a dispute."""
    return _get(_raw, "disputes", dispute_id, "evidence", sha256)


def keys() -> Operation[Keys]:
    """Your signing keys."""
    return _get(_KEYS, "keys")


def register_key(key: Ed25519PrivateKey, *, partner_id: int, key_id: str) -> Operation[Key]:
    """Register a new key of yours, with the proof that you hold it; `keys()` tells your number."""
    said = {
        "key_id": key_id,
        "public_key": public_text(key),
        "proof": possession_proof(key, partner_id, key_id),
    }
    request = Request(method="POST", path=path_of("keys"), body=_ENCODER.encode(said), content_type=JSON)
    return Operation(request, _KEY)


def revoke_key(key_id: str) -> Operation[Key]:
    """Revoke a key of yours, at once; again changes nothing."""
    body = _ENCODER.encode({"key_id": key_id})
    request = Request(method="POST", path=path_of("key-revocations"), body=body, content_type=JSON)
    return Operation(request, _KEY)


def send_file(upload: Upload, *, content_type: str = NDJSON, reference: str = "") -> Operation[Batch]:
    """Send a file of commands; sent again it is the same file."""
    request = Request(
        method="POST",
        path=path_of("batches"),
        content_type=content_type,
        digest=upload.digest,
        size=upload.size,
        idempotency_key=reference,
    )
    return Operation(request, _BATCH)


def batch(batch_id: str, *, wait_seconds: int = 0) -> Operation[Batch]:
    """How far a file is; with a wait (30 at most) the answer comes when it is done, or then."""
    return _get(_BATCH, "batches", batch_id, query=query_of(wait=wait_seconds or None))


def batch_answers(batch_id: str) -> Operation[Iterator[LineAnswer]]:
    """The answers to a file's lines, in order; each is read when it is asked for."""
    return _get(_lines, "batches", batch_id, "result", query=query_of(format="ndjson"))


def events(
    *,
    since: datetime | None = None,
    kind: str | None = None,
    cursor: str | None = None,
    limit: int = MOST_ON_A_PAGE,
) -> Operation[Page[PartnerEvent]]:
    """A page of your events, oldest first; those of thirty days are kept. `kind`: only of this type."""
    begin = None if since is None else since.isoformat()
    wanted = query_of(since=begin, type=kind, cursor=cursor, limit=limit)
    return _get(_EVENTS, "events", query=wanted)


def resend_event(event_id: str, *, endpoint: str | None = None) -> Operation[Queued]:
    """Send an event again; to an endpoint that it is on its way to it is sent once."""
    path = path_of("events", event_id, "resend")
    return Operation(Request(method="POST", path=path, query=query_of(endpoint=endpoint)), _QUEUED)


def _get(read: Callable[[Response], T], *parts: str, query: str = "") -> Operation[T]:
    return Operation(Request(method="GET", path=path_of(*parts), query=query), read)


def _post(said: Any, *parts: str, repeatable: bool) -> Operation[Dispute]:
    request = Request(
        method="POST",
        path=path_of(*parts),
        body=_ENCODER.encode(said),
        content_type=JSON,
        repeatable=repeatable,
    )
    return Operation(request, _DISPUTE)


def _entry(response: Response) -> Entry:
    made: Entry = _ENTRY(response)
    return msgspec.structs.replace(made, replayed=True) if response.replayed else made


def _lines(response: Response) -> Iterator[LineAnswer]:
    start = 0
    while start < len(response.body):
        end = response.body.find(b"\n", start)
        end = len(response.body) if end < 0 else end
        try:
            yield _LINE.decode(memoryview(response.body)[start:end])
        except msgspec.DecodeError as error:
            raise AnswerUnreadable(f"{response.status}: {error}") from error
        start = end + 1


def _raw(response: Response) -> bytes:
    return response.body
