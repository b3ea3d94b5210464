"""Ten partners at their cap, two real servers: nobody is taken over it, nobody is refused who fits."""

import http.client
import os
import signal
import threading
import time
from collections.abc import Sequence
from contextlib import ExitStack
from datetime import date
from datetime import time as midnight
from decimal import Decimal
from pathlib import Path

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import Engine

from api.child import Server, running_server
from network.exposure_store import read_exposures, read_moves
from network.service import Network, apply_programme, create_network, load_rules, open_first_window
from network.verify import CHECKS, faults
from partners.model import OPERATOR_ID, POOL_ID, Participant, PartnerKey
from partners.store import add_key, add_outlets, add_participants, add_terms
from settlement import exposure_rows
from settlement.verify import problems
from tests.api.conftest import LONG_AGO, a_sale, real_now
from tests.coalition import OUTLET, START, new_card, terms
from tests.conftest import SCHEMA
from tests.crash.site import children_of
from tests.signing import sign_request

PARTNERS = range(11, 21)
OTHER = 21
"""Accepts at .0080, so that a point of the ten may cost that."""
CAP = Decimal("0.40")
"""Fifty points."""
SALES = 48
"""Of each partner; of one, two and three points in turn: ninety-six in all."""
WORKERS = 6
PROGRAMME = 'name = "caps"\n[earn.default]\nstep_minor = 100\npoints_per_step = 1\n[expiry]\nmonths = 3\n'


class Till:
    """A partner's key; signs its sales."""

    def __init__(self, partner_id: int) -> None:
        self.partner_id = partner_id
        self.key = Ed25519PrivateKey.generate()
        self.key_id = f"key-{partner_id}"

    def ask(self, connection: http.client.HTTPConnection, authority: str, body: bytes) -> tuple[int, str]:
        """Send a sale, signed as it is sent; status, and the code of a problem."""
        headers = sign_request(
            self.key,
            self.key_id,
            method="POST",
            authority=authority,
            path="/v1/accruals",
            query="",
            body=body,
            created=int(real_now().timestamp()),
        )
        connection.request("POST", "/v1/accruals", body, dict(headers))
        answer = connection.getresponse()
        return answer.status, msgspec.json.decode(answer.read()).get("code", "")


def found(database: Engine, tills: Sequence[Till]) -> list[int]:
    """The network: ten partners that fund on redeem and have a cap, one that has none; a card a worker."""
    everybody = [*PARTNERS, OTHER]
    capped = [msgspec.structs.replace(terms(one, funding_share="0"), net_debit_cap=CAP) for one in PARTNERS]
    with database.begin() as connection:
        create_network(
            connection,
            Network(name="caps", time_zone="Etc/UTC", cut_off=midnight(0), currency="USD", clock=START),
        )
        add_participants(
            connection,
            [
                Participant(partner_id=OPERATOR_ID, code="operator", name="Operator", kind="operator"),
                Participant(partner_id=POOL_ID, code="pool", name="Pool", kind="pool"),
                *(Participant(partner_id=one, code=f"p{one}", name=f"Partner {one}") for one in everybody),
            ],
        )
        add_outlets(connection, [(one, OUTLET, "Main outlet") for one in everybody])
        add_terms(connection, [*capped, terms(OTHER)], prepared_by="maker", activated_by="checker")
        apply_programme(connection, PROGRAMME, at=START, applied_by="checker")
        open_first_window(connection, START.date(), START)
        exposure_rows.rebuild(connection)
        for till in tills:
            key = till.key.public_key().public_bytes_raw()
            add_key(
                connection,
                PartnerKey(
                    key_id=till.key_id, partner_id=till.partner_id, public_key=key, not_before=LONG_AGO
                ),
            )
    with database.connect() as connection:
        live = load_rules(connection)
    return [new_card(database, live, f"enrol {one}") for one in range(WORKERS)]


class Load:
    """Workers that share one list of sales, and what each was answered."""

    def __init__(self, servers: Sequence[Server], tills: Sequence[Till], cards: Sequence[int]) -> None:
        self._servers, self._cards = servers, cards
        self._asks = [(till, number) for number in range(SALES) for till in tills]
        self._lock = threading.Lock()
        self._killed = False
        self.answers: dict[tuple[int, int], tuple[int, str]] = {}
        self.errors: list[BaseException] = []

    def work(self, number: int) -> None:
        """Send sales through one of the servers until none is left; what is not answered is sent again."""
        server = self._servers[number % len(self._servers)]
        connection = http.client.HTTPConnection(server.authority, timeout=60)
        try:
            while (ask := self._next(server)) is not None:
                till, sale = ask
                body = msgspec.json.encode(
                    a_sale(str(self._cards[number]), points_of(sale) * 100, f"sale-{sale}")
                )
                status, code = till.ask(connection, server.authority, body)
                for _ in range(600):
                    if status != 503:
                        break
                    time.sleep(0.1)
                    status, code = till.ask(connection, server.authority, body)
                self.answers[till.partner_id, sale] = (status, code)
        except BaseException as error:
            self.errors.append(error)
        finally:
            connection.close()

    def _next(self, server: Server) -> tuple[Till, int] | None:
        with self._lock:
            if not self._killed and len(self._asks) < SALES * len(PARTNERS) // 2:
                self._killed = True
                for process in children_of(server.process_id):  # its lanes, in the middle of what they do
                    os.kill(process, signal.SIGKILL)
            return self._asks.pop(0) if self._asks else None


def points_of(sale: int) -> int:
    """What a sale earns."""
    return sale % 3 + 1


def test_two_servers_and_ten_partners_at_their_cap(
    database: Engine, database_url: str, tmp_path: Path
) -> None:
    """Twice as many points are asked for as fit, through both servers at once, one's lanes killed on the way.

    Of every partner what was accepted is within the cap, and no refused sale would have fitted into what is
    left; each was warned of once; and the ledger, its rows and a recount agree.
    """
    tills = [Till(one) for one in PARTNERS]
    cards = found(database, tills)
    environment = {"TESSERA_DATABASE_URL": database_url, "TESSERA_SCHEMA": SCHEMA}
    with ExitStack() as stack:
        servers = [
            stack.enter_context(running_server(environment, tmp_path / f"server{n}.log")) for n in range(2)
        ]
        load = Load(servers, tills, cards)
        threads = [threading.Thread(target=load.work, args=(number,)) for number in range(WORKERS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert load.errors == []
    assert len(load.answers) == SALES * len(PARTNERS)
    assert set(load.answers.values()) == {(201, ""), (422, "cap_reached")}
    with database.connect() as connection:
        exposures = read_exposures(connection, load_rules(connection), date(2017, 5, 1))
        moves = read_moves(connection, limit=1_000)
        wrong = [one for check in CHECKS for one in faults(connection, check)] + problems(connection)
    assert wrong == []
    assert [one.partner_id for one in exposures] == list(PARTNERS)
    for one in exposures:
        taken = {True: [], False: []}  # type: dict[bool, list[int]]
        for (partner_id, sale), (status, _) in load.answers.items():
            if partner_id == one.partner_id:
                taken[status == 201].append(points_of(sale))
        assert one.points == sum(taken[True]) <= 50
        assert min(taken[False]) > 50 - one.points
        levels = [move.level for move in reversed(moves) if move.partner_id == one.partner_id]
        assert levels in ([1, 2], [2])
