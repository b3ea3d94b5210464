"""Sends the purchases as the partners' systems would: a file per partner and date, or one request a sale.

A card's requests are always sent in the same order, coupons before sales, so that every run has the same
coupons refused.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from datetime import datetime
from types import TracebackType
from typing import Any, Self, TypeVar

import aiohttp
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from api.bodies import AccrualBody, EnrolmentBody, RedemptionBody
from api.client import Answer, SignedClient, open_session
from api.demo.dataset import COUPON_MINOR, COUPON_POINTS, Coupon, Day, Sale, enrolment_reference
from api.demo.errors import AnswerUnexpected

TILLS = 64
"""Requests under way at once when sales are sent one by one."""
_ACCEPTED, _REFUSED = 201, 422
_Row = TypeVar("_Row", Sale, Coupon)


class Replay:
    """Signed clients of all partners over one set of connections; an async context manager.

    Args:
        base_url: Of the API server.
        keys: Key id and private key by partner id.
        currency: Of every amount.
        now: Real time, which signatures carry.
        sent: Called with the number of entries answered, as they are.
    """

    def __init__(
        self,
        base_url: str,
        keys: Mapping[int, tuple[str, Ed25519PrivateKey]],
        currency: str,
        *,
        now: Callable[[], datetime],
        sent: Callable[[int], None],
    ) -> None:
        self._base_url = base_url
        self._keys = keys
        self._currency = currency
        self._now = now
        self._sent = sent
        self._cards: dict[int, str] = {}
        self._clients: dict[int, SignedClient] = {}
        self._session: aiohttp.ClientSession | None = None
        self.refusals: Counter[str] = Counter()
        """Refusals by code, as they were answered."""

    async def __aenter__(self) -> Self:
        self._session = open_session(TILLS)
        self._clients = {
            partner_id: SignedClient(
                self._base_url, key_id, private_key, now=self._now, session=self._session
            )
            for partner_id, (key_id, private_key) in self._keys.items()
        }
        for client in self._clients.values():
            await client.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()

    async def enrol(self, partner_id: int, households: Sequence[int], at: datetime) -> None:
        """Enrol every household through one partner, as a file; remembers the card each was given."""
        lines = [
            EnrolmentBody(reference=enrolment_reference(number), occurred_at=at) for number in households
        ]
        entries = await self._file(partner_id, lines)
        self._cards = {
            household: entry["card"] for household, entry in zip(households, entries, strict=True) if entry
        }
        if len(self._cards) != len(households):
            raise AnswerUnexpected(f"of {len(households)} households {len(self._cards)} were enrolled")

    async def send_files(self, day: Day) -> None:
        """A day as files: the coupons, partner after partner; then the sales, all partners at once."""
        for partner_id, coupons in _by_partner(day.coupons).items():
            await self._file(partner_id, [self._redemption(coupon) for coupon in coupons])
        await _together(
            self._file(partner_id, [self._accrual(sale) for sale in sales])
            for partner_id, sales in _by_partner(day.sales).items()
        )

    async def send_singly(self, day: Day) -> None:
        """A day request by request: many tills at once, each serving its own cards in order."""
        tills: list[list[Coupon | Sale]] = [[] for _ in range(TILLS)]
        ordered: list[Coupon | Sale] = [*day.coupons, *day.sales]
        for one in ordered:
            tills[one.household % TILLS].append(one)
        await _together(self._serve(queue) for queue in tills if queue)

    async def _serve(self, queue: Iterable[Coupon | Sale]) -> None:
        for one in queue:
            client = self._clients[one.partner_id]
            if isinstance(one, Coupon):
                answer = await client.post("/v1/redemptions", self._redemption(one))
            else:
                answer = await client.post("/v1/accruals", self._accrual(one))
            if answer.status != _ACCEPTED:
                self._count_refusal(answer.status, _code(answer), one.reference)
            self._sent(1)

    async def _file(self, partner_id: int, lines: Sequence[Any]) -> list[dict[str, Any] | None]:
        """Send a file; the entry of each line, None where it was refused.

        Raises:
            AnswerUnexpected: the file was not taken, or a line has no answer, or not one that a rule gives.
        """
        answer = await self._clients[partner_id].send_file(lines)
        if answer.status != 200:
            raise AnswerUnexpected(f"a file of partner {partner_id}: {answer.status} {_code(answer)}")
        answers = answer.lines()
        if len(answers) != len(lines):
            raise AnswerUnexpected(
                f"a file of partner {partner_id}: {len(lines)} lines, {len(answers)} answers"
            )
        for line, one in zip(lines, answers, strict=True):
            if one["status"] != _ACCEPTED:
                self._count_refusal(one["status"], one["code"], line.reference)
        self._sent(len(lines))
        return [one.get("entry") for one in answers]

    def _count_refusal(self, status: int, code: str, reference: str) -> None:
        if status != _REFUSED:
            raise AnswerUnexpected(
                f"request {reference}: answered {status} {code}, which is no refusal of a rule"
            )
        self.refusals[code] += 1

    def _accrual(self, sale: Sale) -> AccrualBody:
        return AccrualBody(
            reference=sale.reference,
            occurred_at=sale.occurred_at,
            outlet=sale.outlet,
            card=self._cards[sale.household],
            amount_minor=sale.amount_minor,
            currency=self._currency,
        )

    def _redemption(self, coupon: Coupon) -> RedemptionBody:
        return RedemptionBody(
            reference=coupon.reference,
            occurred_at=coupon.occurred_at,
            outlet=coupon.outlet,
            card=self._cards[coupon.household],
            points=COUPON_POINTS,
            amount_minor=COUPON_MINOR,
            currency=self._currency,
        )


async def _together(work: Iterable[Coroutine[Any, Any, object]]) -> None:
    """Do all at once. What breaks first ends the others, and is raised as itself."""
    try:
        async with asyncio.TaskGroup() as group:
            for one in work:
                group.create_task(one)
    except ExceptionGroup as group_error:
        raise group_error.exceptions[0] from None


def _by_partner(rows: Iterable[_Row]) -> dict[int, list[_Row]]:
    """Rows by partner id, ascending, each in the order given."""
    found: dict[int, list[_Row]] = {}
    for row in rows:
        found.setdefault(row.partner_id, []).append(row)
    return dict(sorted(found.items()))


def _code(answer: Answer) -> str:
    try:
        return str(answer.json().get("code", ""))
    except ValueError:
        return repr(answer.body[:200])
