"""The client for asyncio: as `client.Client`, but calls are awaited, and lists are read with `async for`."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from datetime import date, datetime
from types import TracebackType
from typing import Any, Self, TypeVar

import httpx
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tessera_client import operations
from tessera_client.address import read_address
from tessera_client.answers import Approval, Balance, Batch, Card, Dispute, Entry, LineAnswer, PartnerEvent
from tessera_client.client import LIMITS, TIMEOUT, lost, make_session, response_of
from tessera_client.commands import Command
from tessera_client.exchange import Pause, Policy, accepted
from tessera_client.messages import NDJSON, Lost, Request, Response
from tessera_client.operations import MOST_ON_A_PAGE, Operation
from tessera_client.uploads import Source, Upload, upload_of

T = TypeVar("T")


class AsyncClient:
    """Signed requests under one key, over connections that are kept; of one event loop.

    Use it as an async context manager, or close it. Arguments and errors are those of `Client`.
    """

    def __init__(
        self,
        base_url: str,
        key_id: str,
        private_key: Ed25519PrivateKey,
        *,
        policy: Policy | None = None,
        timeout: float | httpx.Timeout = TIMEOUT,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        address = read_address(base_url)
        self.session = make_session(key_id, private_key, address.authority, policy)
        self._origin = httpx.URL(address.origin)
        self._http = httpx.AsyncClient(
            timeout=timeout, limits=LIMITS, transport=transport, trust_env=not address.is_local
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def send(self, command: Command) -> Entry:
        """Have one command carried out, at most once whatever the network does in between."""
        return await self.do(operations.send(command))

    async def entry(self, entry_id: str) -> Entry:
        """One of your entries."""
        return await self.do(operations.entry(entry_id))

    async def entries(
        self, *, business_date: date | None = None, page_size: int = MOST_ON_A_PAGE
    ) -> AsyncIterator[Entry]:
        """Your entries, oldest first; pages are fetched as you go."""
        cursor: str | None = None
        while True:
            wanted = operations.entries(business_date=business_date, cursor=cursor, limit=page_size)
            page = await self.do(wanted)
            for one in page.data:
                yield one
            if not page.has_more:
                return
            cursor = page.next_cursor

    async def proof(self, entry_id: str) -> bytes:
        """The proof that one of your entries is sealed; keep it as it came."""
        return await self.do(operations.proof(entry_id))

    async def card(self, number: str) -> Card:
        """A card and its member."""
        return await self.do(operations.card(number))

    async def ask_approval(
        self, *, reference: str, outlet: str, card: str, points: int, amount_minor: int, currency: str
    ) -> Approval:
        """Ask a card's member to approve on its phone what a redemption or hold will take."""
        return await self.do(
            operations.ask_approval(
                reference=reference,
                outlet=outlet,
                card=card,
                points=points,
                amount_minor=amount_minor,
                currency=currency,
            )
        )

    async def approval(self, approval_id: str) -> Approval:
        """How it stands; once a second is often enough."""
        return await self.do(operations.approval(approval_id))

    async def balance(self, member: str) -> Balance:
        """What a member has."""
        return await self.do(operations.balance(member))

    async def dispute(self, dispute_id: str) -> Dispute:
        """One dispute of yours or against you."""
        return await self.do(operations.dispute(dispute_id))

    async def disputes(
        self, *, undecided: bool = False, page_size: int = MOST_ON_A_PAGE
    ) -> AsyncIterator[Dispute]:
        """Disputes of yours and against you, the newest first; pages are fetched as you go."""
        cursor: str | None = None
        while True:
            page = await self.do(operations.disputes(undecided=undecided, cursor=cursor, limit=page_size))
            for one in page.data:
                yield one
            if not page.has_more:
                return
            cursor = page.next_cursor

    async def events(
        self, *, since: datetime | None = None, kind: str | None = None, page_size: int = MOST_ON_A_PAGE
    ) -> AsyncIterator[PartnerEvent]:
        """What you are told of, oldest first; pages are fetched as you go."""
        cursor: str | None = None
        while True:
            wanted = operations.events(since=since, kind=kind, cursor=cursor, limit=page_size)
            page = await self.do(wanted)
            for one in page.data:
                yield one
            if not page.has_more:
                return
            cursor = page.next_cursor

    async def send_file(self, source: Source, *, content_type: str = NDJSON, reference: str = "") -> Batch:
        """Send a file of commands: a path, bytes, or lines. It is received, and carried out then.

        `reference` names the file; without one its content does. The same file again is the same batch.
        """
        with upload_of(source) as upload:
            operation = operations.send_file(upload, content_type=content_type, reference=reference)
            return operation.read(accepted(await self.request(operation.request, upload)))

    async def batch(self, batch_id: str) -> Batch:
        """How far a file is."""
        return await self.do(operations.batch(batch_id))

    async def finished(self, batch_id: str) -> Batch:
        """Wait until a file is done, however long that takes; lines that were refused are not raised."""
        while True:
            found = await self.do(operations.batch(batch_id, wait_seconds=20))
            if found.state == "done":
                return found

    async def answers(self, batch_id: str) -> Iterator[LineAnswer]:
        """The answers to the lines of a file that is done, in order."""
        return await self.do(operations.batch_answers(batch_id))

    async def do(self, operation: Operation[T]) -> T:
        """Carry out anything of `tessera_client.operations`."""
        return operation.read(accepted(await self.request(operation.request)))

    async def request(self, request: Request, upload: Upload | None = None) -> Response:
        """Have a request answered; the answer is returned whatever its status."""
        talk = self.session.converse(request)
        step = next(talk)
        while True:
            came: Response | Lost | None
            if isinstance(step, Pause):
                await asyncio.sleep(step.seconds)
                came = None
            else:
                came = await self._attempt(request, step.headers, upload)
            try:
                step = talk.send(came)
            except StopIteration as ended:
                answer: Response = ended.value
                return answer

    async def _attempt(
        self, request: Request, headers: dict[str, str], upload: Upload | None
    ) -> Response | Lost:
        content: Any = request.body or None
        if upload is not None:
            content, headers = _pieces(upload), {**headers, "Content-Length": str(upload.size)}
        url = self._origin.copy_with(raw_path=request.target.encode("ascii"))
        try:
            answer = await self._http.request(request.method, url, content=content, headers=headers)
        except httpx.RequestError as error:
            return lost(error)
        return response_of(answer)


async def _pieces(upload: Upload) -> AsyncIterator[bytes]:
    for chunk in upload.chunks():
        yield chunk
