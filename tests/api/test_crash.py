"""A server killed with -9 under load, and its clients' retries: nothing lost, nothing doubled."""

import asyncio
import itertools
from pathlib import Path
from typing import Any

import aiohttp
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import Engine, text

from api.child import Server, running_server
from api.client import sign_headers
from network.verify import CHECKS, faults
from partners.model import PartnerKey
from partners.store import add_key
from tests.api.conftest import LONG_AGO, real_now
from tests.coalition import GROCER, START, new_card, set_up

TILLS = 16
SALES = 25
KILLED_AFTER = (40, 90, 150)


class Tills:
    """Sixteen tills that send their sales in order, and send again what was not answered."""

    def __init__(self, key: Ed25519PrivateKey, cards: list[int]) -> None:
        self.key = key
        self.left = {till: [sale(cards, till, number) for number in range(SALES)] for till in range(TILLS)}
        self.answered: dict[str, dict[str, Any]] = {}
        self.unanswered: set[str] = set()
        self.retried = 0

    async def run(self, server: Server, kill_after: int | None) -> None:
        """Send until all is answered, or the server is gone."""
        async with aiohttp.ClientSession() as session:
            jobs = [asyncio.create_task(self._till(session, server, till)) for till in self.left]
            if kill_after is not None:
                while len(self.answered) < kill_after:
                    await asyncio.sleep(0.002)
                await asyncio.to_thread(server.kill)
            await asyncio.gather(*jobs)

    async def _till(self, session: aiohttp.ClientSession, server: Server, till: int) -> None:
        while self.left[till]:
            fields = self.left[till][0]
            body = str(fields).replace("'", '"').encode()
            headers = sign_headers(
                self.key,
                "till",
                method="POST",
                authority=server.authority,
                path="/v1/accruals",
                body=body,
                at=real_now(),
            )
            reference = fields["reference"]
            self.retried += reference in self.unanswered
            self.unanswered.add(reference)
            try:
                async with session.post(
                    f"{server.base_url}/v1/accruals", data=body, headers=headers
                ) as response:
                    answer = await response.json()
                    assert response.status == 201, answer
            except (aiohttp.ClientError, ConnectionError):
                return  # the server is gone: the next one will be asked again
            self.unanswered.discard(reference)
            self.answered[reference] = answer
            self.left[till].pop(0)


def sale(cards: list[int], till: int, number: int) -> dict[str, Any]:
    """A sale of a till: 1.00 more each time."""
    return {
        "reference": f"t{till}-{number}",
        "occurred_at": START.isoformat(),
        "outlet": "main",
        "card": str(cards[(till + number) % len(cards)]),
        "amount_minor": 100 * (number + 1),
        "currency": "USD",
    }


def test_a_server_killed_under_load_loses_and_doubles_nothing(
    database: Engine, database_url: str, tmp_path: Path
) -> None:
    """Three kills in mid-load; after the retries each sale stands once, as it was answered."""
    live = set_up(database)
    cards = [new_card(database, live, f"member-{number}") for number in range(5)]
    key = Ed25519PrivateKey.generate()
    public = key.public_key().public_bytes_raw()
    with database.begin() as connection:
        add_key(
            connection, PartnerKey(key_id="till", partner_id=GROCER, public_key=public, not_before=LONG_AGO)
        )
    tills = Tills(key, cards)
    for run, kill_after in enumerate((*KILLED_AFTER, None)):
        with running_server({"TESSERA_DATABASE_URL": database_url}, tmp_path / f"{run}.log") as server:
            asyncio.run(tills.run(server, kill_after))
    assert len(tills.answered) == TILLS * SALES
    assert tills.retried > 0, "no request was cut off: the kill proves nothing"
    with database.connect() as connection:
        stored = {
            row.reference: (row.points, row.balance_after)
            for row in connection.execute(
                text("SELECT reference, points, balance_after FROM entry WHERE kind = 2")
            )
        }
        count = connection.execute(text("SELECT count(*) FROM entry WHERE kind = 2")).scalar_one()
        problems = list(itertools.chain.from_iterable(faults(connection, check) for check in CHECKS))
    assert count == TILLS * SALES
    assert stored == {name: (said["points"], said["balance"]) for name, said in tills.answered.items()}
    assert problems == []
