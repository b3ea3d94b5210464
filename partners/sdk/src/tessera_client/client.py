"""The client for programs that wait for each answer."""

import time
from collections.abc import Iterator
from datetime import date, datetime
from random import SystemRandom
from types import TracebackType
from typing import Any, Self, TypeVar

import httpx
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tessera_client import operations
from tessera_client.address import read_address
from tessera_client.answers import Approval, Balance, Batch, Card, Dispute, Entry, LineAnswer, PartnerEvent
from tessera_client.commands import Command
from tessera_client.exchange import Pause, Policy, Session, accepted
from tessera_client.messages import NDJSON, Lost, Request, Response
from tessera_client.operations import MOST_ON_A_PAGE, Operation
from tessera_client.signing import Signer
from tessera_client.uploads import Source, Upload, upload_of

T = TypeVar("T")
TIMEOUT = httpx.Timeout(60.0, connect=10.0)
# All are kept, or a crowd of requests would connect anew each time; and for less long than servers keep idle
# ones (5 s is common), or we would write into those that they just closed.
LIMITS = httpx.Limits(max_connections=100, max_keepalive_connections=100, keepalive_expiry=4.0)
NEVER_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)


class Client:
    """Signed requests under one key, over connections that are kept; may be shared between threads.

    Use it as a context manager, or close it.

    Args:
        base_url: Scheme, host and port: "https://api.example.com".
        key_id: Under which the key is registered.
        private_key: Yours; `tessera_client.load_key` reads it from a file.
        policy: How often and how long to try; by default six times, a minute of pauses in all.
        timeout: In seconds or as httpx says it; by default 10 s to connect, 60 s without any byte.
        transport: How httpx reaches the service, where it is not by TCP from here.
    Raises:
        Unusable: address or key id are none.
    """

    def __init__(
        self,
        base_url: str,
        key_id: str,
        private_key: Ed25519PrivateKey,
        *,
        policy: Policy | None = None,
        timeout: float | httpx.Timeout = TIMEOUT,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        address = read_address(base_url)
        self.session = make_session(key_id, private_key, address.authority, policy)
        self._origin = httpx.URL(address.origin)
        self._http = httpx.Client(
            timeout=timeout,
            limits=LIMITS,
            transport=transport,
            trust_env=not address.is_local,  # a proxy for the world does not lead to this machine
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def send(self, command: Command) -> Entry:
        """Have one command carried out, at most once whatever the network does in between.

        Raises:
            Refused: the rules say no; `code` says why.
            ReferenceReused: the reference was used for other content.
            Unreachable, Unavailable: not known; send the same again later.
            ApiError: any other refusal.
        """
        return self.do(operations.send(command))

    def entry(self, entry_id: str) -> Entry:
        """One of your entries."""
        return self.do(operations.entry(entry_id))

    def entries(
        self, *, business_date: date | None = None, page_size: int = MOST_ON_A_PAGE
    ) -> Iterator[Entry]:
        """Your entries, oldest first; pages are fetched as you go."""
        cursor: str | None = None
        while True:
            page = self.do(operations.entries(business_date=business_date, cursor=cursor, limit=page_size))
            yield from page.data
            if not page.has_more:
                return
            cursor = page.next_cursor

    def proof(self, entry_id: str) -> bytes:
        """The proof that one of your entries is sealed; keep it as it came."""
        return self.do(operations.proof(entry_id))

    def card(self, number: str) -> Card:
        """A card and its member."""
        return self.do(operations.card(number))

    def ask_approval(
        self, *, reference: str, outlet: str, card: str, points: int, amount_minor: int, currency: str
    ) -> Approval:
        """Ask a card's member to approve on its phone what a redemption or hold will take."""
        return self.do(
            operations.ask_approval(
                reference=reference,
                outlet=outlet,
                card=card,
                points=points,
                amount_minor=amount_minor,
                currency=currency,
            )
        )

    def approval(self, approval_id: str) -> Approval:
        """How it stands; once a second is often enough."""
        return self.do(operations.approval(approval_id))

    def balance(self, member: str) -> Balance:
        """What a member has."""
        return self.do(operations.balance(member))

    def dispute(self, dispute_id: str) -> Dispute:
        """One dispute of yours or against you."""
        return self.do(operations.dispute(dispute_id))

    def disputes(self, *, undecided: bool = False, page_size: int = MOST_ON_A_PAGE) -> Iterator[Dispute]:
        """Disputes of yours and against you, the newest first; pages are fetched as you go."""
        cursor: str | None = None
        while True:
            page = self.do(operations.disputes(undecided=undecided, cursor=cursor, limit=page_size))
            yield from page.data
            if not page.has_more:
                return
            cursor = page.next_cursor

    def events(
        self, *, since: datetime | None = None, kind: str | None = None, page_size: int = MOST_ON_A_PAGE
    ) -> Iterator[PartnerEvent]:
        """What you are told of, oldest first; pages are fetched as you go."""
        cursor: str | None = None
        while True:
            wanted = operations.events(since=since, kind=kind, cursor=cursor, limit=page_size)
            page = self.do(wanted)
            yield from page.data
            if not page.has_more:
                return
            cursor = page.next_cursor

    def send_file(self, source: Source, *, content_type: str = NDJSON, reference: str = "") -> Batch:
        """Send a file of commands: a path, bytes, or lines. It is received, and carried out then.

        `reference` names the file; without one its content does. The same file again is the same batch.
        """
        with upload_of(source) as upload:
            operation = operations.send_file(upload, content_type=content_type, reference=reference)
            return operation.read(accepted(self.request(operation.request, upload)))

    def batch(self, batch_id: str) -> Batch:
        """How far a file is."""
        return self.do(operations.batch(batch_id))

    def finished(self, batch_id: str) -> Batch:
        """Wait until a file is done, however long that takes; lines that were refused are not raised."""
        while True:
            found = self.do(operations.batch(batch_id, wait_seconds=20))
            if found.state == "done":
                return found

    def answers(self, batch_id: str) -> Iterator[LineAnswer]:
        """The answers to the lines of a file that is done, in order."""
        return self.do(operations.batch_answers(batch_id))

    def do(self, operation: Operation[T]) -> T:
        """Carry out anything of `tessera_client.operations`.

        Raises:
            ApiError, Unreachable, AnswerUnreadable.
        """
        return operation.read(accepted(self.request(operation.request)))

    def request(self, request: Request, upload: Upload | None = None) -> Response:
        """Have a request answered; the answer is returned whatever its status.

        Raises:
            Unreachable: there was none.
        """
        talk = self.session.converse(request)
        step = next(talk)
        while True:
            came: Response | Lost | None
            if isinstance(step, Pause):
                time.sleep(step.seconds)
                came = None
            else:
                came = self._attempt(request, step.headers, upload)
            try:
                step = talk.send(came)
            except StopIteration as ended:
                answer: Response = ended.value
                return answer

    def _attempt(self, request: Request, headers: dict[str, str], upload: Upload | None) -> Response | Lost:
        content: Any = request.body or None
        if upload is not None:
            content, headers = upload.chunks(), {**headers, "Content-Length": str(upload.size)}
        url = self._origin.copy_with(raw_path=request.target.encode("ascii"))
        try:
            answer = self._http.request(request.method, url, content=content, headers=headers)
        except httpx.RequestError as error:
            return lost(error)
        return response_of(answer)


def make_session(
    key_id: str, private_key: Ed25519PrivateKey, authority: str, policy: Policy | None
) -> Session:
    """What a client's requests share, on this machine's clock."""
    return Session(
        Signer(key_id, private_key),
        authority,
        now=time.time,  # noqa: TID251 - signatures carry real time
        spread=SystemRandom().random,
        policy=policy,
    )


def lost(error: httpx.RequestError) -> Lost:
    """An attempt that found no answer."""
    return Lost(f"{type(error).__name__}: {error}", sent=not isinstance(error, NEVER_SENT))


def response_of(answer: httpx.Response) -> Response:
    """An answer of httpx as ours."""
    return Response(
        answer.status_code, {name.lower(): value for name, value in answer.headers.items()}, answer.content
    )
