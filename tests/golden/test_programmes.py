"""Schemes of the world that read as ledgers: each file in programmes/ is one test, by the API and the engine.

programme airline               the file of config/programmes that is live
partners air star hotel         who takes part, in this order; all are paid 0.0080 and bill 0.0100 a point
on 2017-05-02                   the network's clock goes to noon of a day
N MEMBER buys AMOUNT at PARTNER [WORD=VALUE ...] [lines CATEGORY*QUANTITY=AMOUNT ...]
  of any line: guardian=MEMBER, whose card is shown too; of a sale: times=N, of which the last is told
  words: tender, channel, offer, coupon, evidence, alliance_tier, choice; at=DATE (reported late);
  flight=PEK-SHA/business/CA; nights=3 or any other unit
N MEMBER does EVENT at PARTNER
N MEMBER redeems POINTS at PARTNER [amount=MONEY] [reward=ID] [cash=MONEY] [flight=PEK-SHA/business]
N returns LINE [AMOUNT | lines NUMBER ...] | event LINE
reviews                         the night's review of tiers whose time is over
night                           the business date is closed and cleared; every law is checked
MEMBER has                      what it can spend, its status points and its tier
More lines: tests/golden/flying.py, giving.py, joining.py, on_paper.py, playing.py, watching.py.
What comes of a line stands behind `=>`: points by issuer, `waiting` for an event, status points, a new tier;
or a refusal; or who is paid (+) and who pays (-) at night.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from rich.console import Console
from sqlalchemy import Engine, text
from starlette.testclient import TestClient

from api.app import create_app
from api.verification import verify_ledger
from config.settings import PROJECT
from network import ids
from network.programme.spec import read_programme
from network.reviews import review_tiers
from network.service import (
    Network,
    apply_programme,
    create_network,
    make_partitions_ahead,
    open_date,
    open_first_window,
    set_clock,
)
from partners.model import OPERATOR_ID, POOL_ID, Participant, PartnerKey
from partners.store import add_key, add_outlets, add_participants, add_terms
from settlement.service import clear
from tests.api.conftest import AUTHORITY, LONG_AGO, Till, real_now
from tests.coalition import terms
from tests.golden import flying, giving, joining, on_paper, playing, watching
from tests.people import CARD_KEY

SCENARIOS = sorted((Path(__file__).parent / "programmes").glob("*.ledger"))
FIRST = 11
_POSTINGS = text(
    "SELECT p.debit, p.credit, p.points, p.unit, o.code FROM posting p"
    " JOIN partner o ON o.partner_id = p.issuer_id WHERE p.entry_id = :entry ORDER BY p.line"
)
_TIER = text("SELECT tier FROM tier_change WHERE entry_id = :entry")
_NIGHT = text(
    "SELECT o.code, n.final_minor FROM net_position n JOIN partner o ON o.partner_id = n.participant_id"
    " WHERE n.window_id = :window AND n.final_minor <> 0 ORDER BY n.participant_id"
)
_HAS = text(
    "SELECT a.balance, a.tier, coalesce(s.balance, 0) AS status FROM account a LEFT JOIN account s"
    " ON s.member_id = a.member_id AND s.unit = 2 WHERE a.member_id = :member AND a.unit = 1"
)
_DRAWING = ("/v1/redemptions", "/v1/stakes", "/v1/vouchers", "/v1/voucher-uses")
_MEMBER, _ISSUED, _ACCEPTED, _PENDING = 1, 2, 3, 6


def noon(day: date) -> datetime:
    """When a day's lines happen."""
    return datetime.combine(day, time(12), tzinfo=UTC)


class Stage:
    """A network, its tills, and what came of each line."""

    def __init__(self, database: Engine, client: TestClient, tills: dict[str, Till], day: date) -> None:
        self.database, self.client, self.tills, self.day = database, client, tills, day
        self.members: dict[str, tuple[int, str]] = {}
        self.entries: dict[str, dict[str, Any]] = {}
        self.sellers: dict[str, str] = {}
        self.told: set[Any] = set()
        self.codes: dict[str, str] = {}
        self.matches: dict[str, UUID] = {}

    def line(self, words: list[str]) -> str | None:
        """Carry a line out; what came of it, or None where nothing is to be said."""
        tellers = (giving.line, joining.line, playing.line, flying.line, on_paper.line, watching.line)
        for known in tellers:
            if (said := known(self, words)) is not None:
                return said
        match words:
            case ["on", day]:
                self.day = date.fromisoformat(day)
                with self.database.begin() as connection:
                    set_clock(connection, noon(self.day))
                make_partitions_ahead(self.database)
            case ["reviews"]:
                return f"{review_tiers(self.database, self.day)} reviewed"
            case ["night"]:
                return self._night()
            case [member, "has"]:
                with self.database.connect() as connection:
                    has = connection.execute(_HAS, {"member": self.member(member)[0]}).one()
                return f"{has.balance} points, {has.status} status, {has.tier or 'no tier'}"
            case [number, "returns" | "event" as verb, line, *rest]:
                return self._about(number, verb, line, rest)
            case [number, member, verb, what, "at", partner, *rest]:
                return self._at_till(number, self.member(member)[1], verb, what, partner, rest)
            case _:
                raise AssertionError(words)
        return None

    def member(self, name: str) -> tuple[int, str]:
        """A member's number and card; who is new is enrolled."""
        if name not in self.members:
            assert flying.enrol(self, f"member-{name}", name, {"born": "1980-05-01"}) == "enrolled"
        return self.members[name]

    def at(self, day: date | None = None) -> str:
        """When a line of a day happens."""
        return noon(day or self.day).isoformat()

    def _at_till(self, number: str, card: str, verb: str, what: str, partner: str, rest: list[str]) -> str:
        fields: dict[str, Any] = {"outlet": "main", "card": card, "currency": "USD"}
        words = dict(word.split("=", 1) for word in rest if "*" not in word and "=" in word)
        day = date.fromisoformat(words.pop("at")) if "at" in words else None
        times = int(words.pop("times", "1"))
        if "guardian" in words:
            fields["guardian"] = self.member(words.pop("guardian"))[1]
        if verb == "redeems":
            fields |= {"points": int(what), "amount_minor": _minor(words.pop("amount", what))}
            fields |= {"cash_minor": _minor(words.pop("cash"))} if "cash" in words else {}
            fields |= _details(words)
        elif verb == "does":
            fields |= {"event": what}
        else:
            fields |= {"amount_minor": _minor(what), **_details(words)}
            lines = [word for word in rest if "*" in word]
            if lines:
                fields["lines"] = [_line(word) for word in lines]
        path = {"redeems": "/v1/redemptions", "does": "/v1/member-events", "buys": "/v1/accruals"}[verb]
        self.sellers[number] = partner
        for one in range(1, times):
            self.post(f"{number}.{one}", partner, path, occurred_at=self.at(day), **fields)
        return self.post(number, partner, path, occurred_at=self.at(day), **fields)

    def _about(self, number: str, verb: str, line: str, rest: list[str]) -> str:
        fields: dict[str, Any] = {}
        if rest[:1] == ["lines"]:
            fields["lines"] = [int(one) for one in rest[1:]]
        elif rest:
            fields["amount_minor"] = _minor(rest[0])
        named = "entry" if verb == "returns" else "accrual"
        path = "/v1/reversals" if verb == "returns" else "/v1/releases"
        seller = self.sellers[line]
        self.sellers[number] = seller
        return self.post(
            number, seller, path, occurred_at=self.at(), **{named: self.entries[line]["id"]}, **fields
        )

    def post(self, number: str, partner: str, path: str, **fields: Any) -> str:
        """Send a line's command; what came of it."""
        answer = self.tills[partner].post(path, reference=f"line-{number}", **fields)
        said: dict[str, Any] = answer.json()
        if answer.status_code != 201:
            return str(said["code"])
        self.entries[number] = said
        with self.database.connect() as connection:
            wanted = {"entry": ids.read("ent", said["id"])}
            moved = [_moved(row) for row in connection.execute(_POSTINGS, wanted)]
            tier = connection.execute(_TIER, wanted).scalar()
        # Of lots that end on one day the entry's id says which is drawn first.
        came = sorted(moved) if path in _DRAWING or any(" back " in one for one in moved) else moved
        if "discount_minor" in said:
            came.append(f"{said['discount_minor'] / 100:.2f} off")
        if tier is not None:
            came.append(f"now {tier}")
        return ", ".join(came) or "nothing"

    def _night(self) -> str:
        with self.database.connect() as connection:
            business_date = open_date(connection)
        at = noon(max(self.day, business_date + timedelta(days=1)))
        with self.database.begin() as connection:
            set_clock(connection, at)
        night = clear(self.database, business_date, at=at)
        console = Console(record=True, quiet=False, width=200)
        problems = verify_ledger(self.database, console)
        assert problems == 0, console.export_text()
        with self.database.connect() as connection:
            rows = connection.execute(_NIGHT, {"window": night.window_id}).all()
        assert sum(row.final_minor for row in rows) == 0
        return ", ".join(f"{row.code} {row.final_minor / 100:+.2f}" for row in rows) or "nothing to pay"


_MOVES = {
    (1, 8): "-{} given",
    (2, 1): "+{}",
    (2, 6): "+{} waiting",
    (1, 2): "-{}",
    (6, 2): "-{} waiting",
    (6, 1): "+{} released",
    (1, 3): "-{} spent",
    (3, 1): "+{} back",
    (8, 3): "-{} of the other's",
    (1, 21): "-{} staked",
    (1, 9): "-{} on paper",
    (9, 3): "{} spent by voucher",
    (9, 1): "+{} off paper",
}
"""Postings by their accounts, as a line says them."""


def _moved(row: Any) -> str:
    """A posting as a line says it."""
    if row.unit > 2:
        return giving.moved(row)
    unit = "status" if row.unit == 2 else row.code
    said = _MOVES.get((row.debit, row.credit))
    if said is None:
        return f"{row.debit} -> {row.credit} {row.points} {unit}"
    return f"{said.format(row.points)} {unit}"


def _line(word: str) -> dict[str, Any]:
    kind, _, amount = word.partition("=")
    category, _, quantity = kind.partition("*")
    return {"category": category, "quantity": int(quantity), "amount_minor": _minor(amount)}


def _minor(shown: str) -> int:
    return int(shown.replace(".", ""))


def _details(words: dict[str, str]) -> dict[str, Any]:
    details: dict[str, Any] = {}
    for name, value in words.items():
        if name == "flight":
            route, cabin, *carrier = value.split("/")
            origin, destination = route.split("-")
            details["flight"] = {"origin": origin, "destination": destination, "cabin": cabin}
            if carrier:
                details["flight"]["carrier"] = carrier[0]
        elif name == "coupon":
            details["coupons"] = value.split(",")
        elif value.isdigit() and name != "evidence":
            details.setdefault("units", {})[name] = int(value)
        else:
            details[name] = value
    return details


@contextmanager
def on_stage(database: Engine, programme: str, codes: list[str], day: date) -> Iterator[Stage]:
    """A network of some partners under a programme of config/programmes, and a till at each."""
    numbers = {code: FIRST + place for place, code in enumerate(codes)}
    source = (PROJECT / "config" / "programmes" / f"{programme}.toml").read_text()
    with database.begin() as connection:
        create_network(
            connection,
            Network(name="stage", time_zone="Etc/UTC", cut_off=time(0), currency="USD", clock=noon(day)),
        )
        add_participants(
            connection,
            [
                Participant(partner_id=OPERATOR_ID, code="operator", name="Operator", kind="operator"),
                Participant(partner_id=POOL_ID, code="pool", name="Pool", kind="pool"),
                *(Participant(partner_id=number, code=code, name=code) for code, number in numbers.items()),
            ],
        )
        add_outlets(connection, [(number, "main", "Main") for number in numbers.values()])
        causes = {code for one in read_programme(source).pledge for code in one.causes}
        contracts = [
            terms(number, funding_share="0", accepts_donations=code in causes)
            for code, number in numbers.items()
        ]
        add_terms(connection, contracts, prepared_by="maker", activated_by="checker")
        apply_programme(connection, source, at=noon(day), applied_by="checker")
        open_first_window(connection, day, noon(day))
    app = create_app(database, authority=AUTHORITY, now=real_now, card_key=CARD_KEY)
    with TestClient(app, base_url=f"http://{AUTHORITY}", raise_server_exceptions=False) as client:
        tills = {code: _till(database, client, code, number) for code, number in numbers.items()}
        yield Stage(database, client, tills, day)


def _till(database: Engine, client: TestClient, code: str, number: int) -> Till:
    key = Ed25519PrivateKey.generate()
    public = key.public_key().public_bytes_raw()
    with database.begin() as connection:
        made = PartnerKey(key_id=f"{code}-1", partner_id=number, public_key=public, not_before=LONG_AGO)
        add_key(connection, made)
    return Till(client, f"{code}-1", key)


def test_there_are_scenarios() -> None:
    """The folder was found, and each has its programme."""
    assert len(SCENARIOS) >= 8


@pytest.mark.parametrize("path", SCENARIOS, ids=lambda path: path.stem)
def test_scheme(path: Path, database: Engine) -> None:
    """What the API answers and the ledger holds is, line by line, what the file says."""
    lines = [raw.partition("#")[0].rstrip() for raw in path.read_text().splitlines()]
    told = [line for line in lines if line.strip()]
    head = {line.split()[0]: line.split()[1:] for line in told[:3]}
    came = told[:2]
    day = date.fromisoformat(head["on"][0])
    with on_stage(database, head["programme"][0], head["partners"], day) as stage:
        for line in told[2:]:
            asked = line.partition("=>")[0].rstrip()
            outcome = stage.line(asked.split())
            came.append(asked if outcome is None else f"{asked:<66} => {outcome}".rstrip())
    assert came == told
