"""Members under /m: codes by mail, sessions that a thief ends, locked cards, rotating codes."""

import hashlib
import hmac
import json
import time
from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from msgspec import structs
from sqlalchemy import Engine, text
from starlette.testclient import TestClient

from api.app import create_app
from api.child import running_server
from api.limits import Rate, Rates
from api.mail import to_file
from network.batch import execute
from network.commands import Command
from network.outcomes import Rejected
from network.rules import Rules
from partners.people import codes
from partners.people.tokens import MEMBER, key_id, members_keys
from partners.store import add_key
from tests.api.conftest import AUTHORITY, Till, a_sale, real_now
from tests.api.office import Clock
from tests.api.test_bad_inputs import counted, require_problem
from tests.api.test_keys import PRIVATE, Wire, old_key
from tests.coalition import (
    GROCER,
    HOTEL,
    PROGRAMME,
    START,
    burn,
    new_card,
    reserve,
    run,
    sale,
    set_up,
)
from tests.people import KEYS, session

Tills = Callable[[int], Till]
EMAIL = "anna@example.com"
OWN = members_keys(KEYS)


@dataclass
class Phone:
    """A member's phone: the application, its clock, and the mails that came."""

    client: TestClient
    clock: Clock
    mails: list[tuple[str, str, str]] = field(default_factory=list)
    access: str = ""
    refresh_token: str = ""

    def post(self, path: str, /, **fields: Any) -> Any:
        """Post JSON under /m, with the access token if there is one."""
        return self.client.post(f"/m{path}", json=fields, headers=self.bearer())

    def get(self, path: str) -> Any:
        """Get an address under /m."""
        return self.client.get(f"/m{path}", headers=self.bearer())

    def bearer(self) -> dict[str, str]:
        """The header of the access token."""
        return {"Authorization": f"Bearer {self.access}"} if self.access else {}

    def mailed_code(self, email: str = EMAIL) -> str:
        """Ask for a code; what was mailed."""
        assert self.post("/codes", email=email).status_code == 202
        return self.mails[-1][2][:8]

    def sign_in(self, email: str = EMAIL) -> None:
        """Sign in by a mailed code."""
        answer = self.post("/sessions", email=email, code=self.mailed_code(email))
        assert answer.status_code == 200, answer.text
        self.access, self.refresh_token = answer.json()["access"], answer.json()["refresh"]


@pytest.fixture
def phone(database: Engine, live: Rules) -> Iterator[Phone]:
    """The application on a clock of its own; what it mails comes here."""
    clock, mails = Clock(real_now()), list[tuple[str, str, str]]()

    def send(to: str, subject: str, said: str) -> None:
        mails.append((to, subject, said))

    app = create_app(database, authority=AUTHORITY, now=clock, operator_keys=KEYS, send_mail=send)
    with TestClient(app, base_url=f"https://{AUTHORITY}", raise_server_exceptions=False) as running:
        yield Phone(running, clock, mails)


@pytest.fixture
def client(phone: Phone) -> TestClient:
    """What the tills of this module speak to."""
    return phone.client


@pytest.fixture
def grocer(till: Tills) -> Till:
    """A till of the grocer's."""
    return till(GROCER)


@pytest.fixture
def anna(phone: Phone, grocer: Till) -> dict[str, Any]:
    """A member of the grocer's that signs in by EMAIL."""
    made = grocer.enrol()
    answer = grocer.post("/v1/member-logins", member=made["member"], email=EMAIL.title())
    assert answer.status_code == 200, answer.text
    return made


def test_a_code_by_mail_begins_a_session(phone: Phone, anna: dict[str, Any], database: Engine) -> None:
    """Eight digits, good once and for ten minutes; nobody is told who is a member; five tries, then none."""
    unknown = phone.post("/codes", email="nobody@example.com")
    assert phone.mails == []
    code = phone.mailed_code()
    known = phone.post("/codes", email=EMAIL)
    assert (unknown.status_code, unknown.content) == (known.status_code, known.content) == (202, b"")
    assert len(phone.mails) == 1, "one a minute"
    assert phone.mails[0][0] == EMAIL
    wrong = f"{(int(code) + 1) % 10**8:08d}"
    for email, given in ((EMAIL, wrong), ("nobody@example.com", code)):
        require_problem(phone.post("/sessions", email=email, code=given), 401, "code_refused")
    answer = phone.post("/sessions", email=EMAIL.upper(), code=code)
    assert answer.status_code == 200, answer.text
    phone.access = answer.json()["access"]
    me = phone.get("/me").json()
    assert me == {"member": anna["member"], "cards": [{"card": anna["card"], "status": "active"}]}
    phone.access = ""
    require_problem(phone.post("/sessions", email=EMAIL, code=code), 401, "code_refused")
    phone.clock.pass_(minutes=2)
    code = phone.mailed_code()
    for _ in range(5):
        require_problem(phone.post("/sessions", email=EMAIL, code=wrong), 401, "code_refused")
    require_problem(phone.post("/sessions", email=EMAIL, code=code), 401, "code_refused")
    phone.clock.pass_(minutes=2)
    code = phone.mailed_code()
    phone.clock.pass_(minutes=11)
    require_problem(phone.post("/sessions", email=EMAIL, code=code), 401, "code_refused")
    with database.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM member_session")).scalar_one() == 1


def test_a_refresh_token_that_comes_twice_ends_the_family(phone: Phone, anna: dict[str, Any]) -> None:
    """Each is good once; reused, all tokens of the session are of no more use, access tokens too."""
    phone.sign_in()
    first = phone.refresh_token
    second = phone.post("/sessions/refresh", refresh=first).json()
    phone.access = second["access"]
    assert phone.get("/me").status_code == 200
    require_problem(phone.post("/sessions/refresh", refresh=first), 401, "member_token_refused")
    require_problem(phone.post("/sessions/refresh", refresh=second["refresh"]), 401, "member_token_refused")
    require_problem(phone.get("/me"), 401, "member_token_refused")
    phone.clock.pass_(minutes=2)
    phone.access = ""
    phone.sign_in()
    assert phone.get("/me").status_code == 200
    phone.clock.pass_(minutes=11)
    require_problem(phone.get("/me"), 401, "member_token_refused")
    phone.access = phone.post("/sessions/refresh", refresh=phone.refresh_token).json()["access"]
    assert phone.post("/sign-out").status_code == 202
    require_problem(phone.get("/me"), 401, "member_token_refused")


def segment(said: dict[str, Any]) -> str:
    """A part of a JWT."""
    return urlsafe_b64encode(json.dumps(said).encode()).rstrip(b"=").decode()


def test_forged_tokens_are_refused(phone: Phone, anna: dict[str, Any], till: Tills, database: Engine) -> None:
    """none, HS256, another audience, typ or key, no exp, jku, an operator's: 401; a member's on /v1: 401."""
    phone.sign_in()
    header = jwt.get_unverified_header(phone.access)
    claims = jwt.decode(phone.access, options={"verify_signature": False})
    assert (header["typ"], claims["aud"]) == ("tessera-member+jwt", "tessera-member")
    assert claims["exp"] - claims["iat"] == 600

    def minted(*, key: Any = OWN.signing, without: str = "", **changed: Any) -> str:
        said = {name: value for name, value in {**claims, **changed}.items() if name != without}
        head = {name: value for name, value in header.items() if name != "alg"}
        return jwt.encode(said, key, algorithm="EdDSA", headers=head)

    def headed(**changed: Any) -> str:
        return jwt.encode(claims, OWN.signing, algorithm="EdDSA", headers={**header, **changed})

    public = OWN.signing.public_key().public_bytes_raw()
    unsigned = f"{segment({**header, 'alg': 'HS256'})}.{segment(claims)}"
    mac = urlsafe_b64encode(hmac.digest(public, unsigned.encode(), hashlib.sha256)).rstrip(b"=").decode()
    forged = {
        "none": f"{segment({**header, 'alg': 'none'})}.{segment(claims)}.",
        "HS256": f"{unsigned}.{mac}",
        "another audience": minted(aud="tessera-operator"),
        "audiences": minted(aud=[MEMBER.audience, "x"]),
        "another issuer": minted(iss="x"),
        "another typ": headed(typ="JWT"),
        "no exp": minted(without="exp"),
        "no jti": minted(without="jti"),
        "exp far away": minted(exp=claims["iat"] + 601),
        "exp as text": minted(exp=str(claims["exp"])),
        "jku": headed(jku="https://evil.example.com/keys"),
        "jwk": headed(jwk={"kty": "OKP"}),
        "another key": minted(key=Ed25519PrivateKey.generate()),
        "the operators' key": minted(key=KEYS.signing),
        "another member": minted(sub="mbr_" + "0" * 32),
        "an operator's": session_of_an_operator(database, phone),
        "nonsense": "a.b.c",
        "long": "a" * 5_000,
    }
    assert header["kid"] == key_id(OWN.signing.public_key())
    right = phone.access
    before = counted(database)
    for told, token in forged.items():
        phone.access = token
        code = "member_token_missing" if told == "long" else "member_token_refused"
        require_problem(phone.get("/me"), 401, code, told)
    phone.access = ""
    require_problem(phone.get("/me"), 401, "member_token_missing")
    phone.access = right
    on_v1 = phone.client.get("/v1/entries", headers=phone.bearer())
    require_problem(on_v1, 401, "signature_missing")
    on_desk = phone.client.get("/operator/partners", headers=phone.bearer())
    require_problem(on_desk, 401, "token_refused")
    require_problem(till(HOTEL).get("/m/me"), 403, "operators_only")
    assert counted(database, "partner_key") == {k: v for k, v in before.items() if k != "partner_key"}


def session_of_an_operator(database: Engine, phone: Phone) -> str:
    """An operator's access token."""
    with database.begin() as connection:
        connection.execute(text("INSERT INTO operator VALUES ('max', 'maker', 'active', 'host', now())"))
    return session(database, "max", phone.clock()).access


def test_pages_of_other_sites_do_nothing(phone: Phone, anna: dict[str, Any], database: Engine) -> None:
    """The cookie is __Host-, Secure, HttpOnly, Strict; a POST that another site caused is 403."""
    answer = phone.post("/sessions", email=EMAIL, code=phone.mailed_code(), cookie=True)
    assert answer.json()["refresh"] is None
    cookie = answer.headers["set-cookie"]
    assert cookie.startswith("__Host-tessera=rt_")
    for part in ("Path=/", "Secure", "HttpOnly", "SameSite=strict"):
        assert part in cookie
    assert "Domain" not in cookie
    before = counted(database)
    for headers in (
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "https://evil.example.com"},
        {"Origin": "null"},
    ):
        for path in ("/m/sessions/refresh", "/m/codes", "/m/sessions", "/m/lock", "/m/sign-out"):
            require_problem(phone.client.post(path, json={}, headers=headers), 403, "cross_site", path)
    assert counted(database) == before
    same = {"Origin": f"https://{AUTHORITY}", "Sec-Fetch-Site": "same-origin"}
    renewed = phone.client.post("/m/sessions/refresh", json={}, headers=same)
    assert renewed.status_code == 200, renewed.text
    assert renewed.headers["set-cookie"] != cookie


def test_a_locked_card_earns_and_does_not_spend(phone: Phone, anna: dict[str, Any], grocer: Till) -> None:
    """Locked at once: rewards, holds and gifts are refused by name, sales earn; unlocked it spends again."""
    card = anna["card"]
    grocer.post("/v1/accruals", **a_sale(card, 50_000, "s"))
    phone.sign_in()
    assert phone.post("/lock", locked=True).json()["cards"] == [{"card": card, "status": "locked"}]
    assert grocer.post("/v1/accruals", **a_sale(card, 500, "s2")).status_code == 201
    other = grocer.enrol("other")["card"]
    for path, fields in (
        ("/v1/redemptions", a_sale(card, 5, "b1", points=5)),
        ("/v1/holds", a_sale(card, 5, "b2", points=5)),
        (
            "/v1/gifts",
            {
                "reference": "b3",
                "occurred_at": START.isoformat(),
                "card": card,
                "to_card": other,
                "points": 5,
            },
        ),
    ):
        require_problem(grocer.post(path, **fields), 422, "spending_locked")
    assert phone.post("/lock", locked=False).json()["cards"] == [{"card": card, "status": "active"}]
    assert grocer.post("/v1/redemptions", **a_sale(card, 5, "b4", points=5)).status_code == 201


def test_a_rotating_code_is_good_once(
    phone: Phone, anna: dict[str, Any], grocer: Till, database: Engine
) -> None:
    """The QR's code burns once; used twice 409, stale or another card's 422; the same request passes."""
    card = anna["card"]
    grocer.post("/v1/accruals", **a_sale(card, 50_000, "s"))
    phone.sign_in()
    shown = phone.get("/card").json()
    assert shown["qr"] == f"{card}.{shown['code']}"
    assert shown["changes_at"] % codes.SECONDS == 0

    def reward(reference: str, code: str, **changed: Any) -> Any:
        return grocer.post(
            "/v1/redemptions", **{**a_sale(card, 5, reference, points=5, code=code), **changed}
        )

    first = reward("r1", shown["code"])
    assert first.status_code == 201, first.text
    again = reward("r1", shown["code"])
    assert (again.status_code, again.content, again.headers["idempotent-replayed"]) == (
        201,
        first.content,
        "true",
    )
    before = counted(database)
    require_problem(reward("r2", shown["code"]), 409, "code_used")
    phone.clock.pass_(minutes=2)
    require_problem(reward("r3", shown["code"]), 422, "code_stale")
    other = grocer.enrol("other")["card"]
    fresh = phone.get("/card").json()["code"]
    require_problem(reward("r4", fresh, card=other), 422, "code_stale")
    require_problem(reward("r5", "12345"), 422, "validation_failed")
    after = counted(database)
    assert {name: after[name] - before[name] for name in before if after[name] != before[name]} == {
        "entry": 1,
        "member": 1,
        "card": 1,
        "account": 1,
        "idempotency": 1,
    }
    lines = [
        {"type": "redemption", **a_sale(card, 5, "f1", points=5, code=fresh)},
        {"type": "accrual", **a_sale(card, 500, "f2")},
        {"type": "redemption", **a_sale(card, 5, "f3", points=5, code=fresh)},
        {"type": "redemption", **a_sale(card, 5, "f4", points=5)},
    ]
    answers = grocer.file(lines)
    assert [(line["status"], line.get("code")) for line in answers] == [
        (201, None),
        (201, None),
        (409, "code_used"),
        (201, None),
    ]


def test_a_programme_asks_for_the_code(database: Engine) -> None:
    """Above so many points a reward and a hold need one; up to them the printed number is enough."""
    live = set_up(database, source=PROGRAMME + "[redeem]\ncode_above = 100\n")
    card = new_card(database, live)
    run(database, live, sale(card, 100_000, "s"))
    coded = structs.replace(burn(card, 101, "r3"), code="123456")
    commands: list[Command] = [burn(card, 100, "r1"), burn(card, 101, "r2"), coded, reserve(card, 101, "r4")]
    told = [reply.outcome for reply in execute(database, commands, live)]
    assert [one.reason if isinstance(one, Rejected) else one.points for one in told] == [
        -100,
        "code_needed",
        -101,
        "code_needed",
    ]


def test_who_vouches_for_an_address(phone: Phone, anna: dict[str, Any], grocer: Till, till: Tills) -> None:
    """Only who enrolled the member; an address that another has is not given; only its owner is told."""
    hotel = till(HOTEL)
    for member in (anna["member"], "mbr_" + "0" * 32, "mbr_x"):
        refused = hotel.post("/v1/member-logins", member=member, email="h@example.com")
        require_problem(refused, 404, "member_unknown")
    other = grocer.enrol("other")["member"]
    taken = grocer.post("/v1/member-logins", member=other, email=EMAIL)
    assert (taken.status_code, taken.json()) == (200, {"member": other})
    assert [mail[:2] for mail in phone.mails] == [(EMAIL, "Your address")]
    phone.sign_in()
    assert phone.get("/me").json()["member"] == anna["member"]
    for email in (
        "a b@example.com",
        "a@b\n",
        "a\0@example.com",
        "@example.com",
        "é@example.com",
        "a" * 65 + "@b",
    ):
        refused = grocer.post("/v1/member-logins", member=other, email=email)
        require_problem(refused, 422, "validation_failed", email)


def test_tries_to_sign_in_have_a_limit(database: Engine, live: Rules) -> None:
    """By address: after so many, 429 with its headers, whoever is asked for."""
    app = create_app(
        database, authority=AUTHORITY, now=real_now, operator_keys=KEYS, rates=Rates(members=Rate(0.0001, 3))
    )
    with TestClient(app, base_url=f"http://{AUTHORITY}") as client:
        given = [client.post("/m/codes", json={"email": f"a{n}@example.com"}) for n in range(5)]
    assert [answer.status_code for answer in given] == [202, 202, 202, 429, 429]
    require_problem(given[-1], 429, "rate_limited")
    assert given[-1].headers["ratelimit"].startswith('"members"')


def test_a_real_server(database: Engine, database_url: str, live: Rules, tmp_path: Path) -> None:
    """`tessera serve`: the code is in the file of mails, and a lane's process judges the rotating one."""
    with database.begin() as connection:
        add_key(connection, old_key("grocer"))
    environment = {"TESSERA_DATABASE_URL": database_url, "TESSERA_HOME": str(tmp_path)}
    with (
        running_server(environment, tmp_path / "server.log") as server,
        closing(Wire(server, "grocer", PRIVATE)) as till,
    ):
        when = START.isoformat()
        made = till.json("/v1/members", reference="m", occurred_at=when)
        till.json("/v1/member-logins", member=made["member"], email=EMAIL)
        till.json("/v1/accruals", **a_sale(made["card"], 50_000, "s"))
        assert till.client.post("/m/codes", json={"email": EMAIL}).status_code == 202
        mailed = tmp_path / "mail" / "tessera.ndjson"
        deadline = time.monotonic() + 30
        while not (mailed.exists() and mailed.read_text().endswith("\n")) and time.monotonic() < deadline:
            time.sleep(0.05)
        code = json.loads(mailed.read_text())["text"][:8]
        given = till.client.post("/m/sessions", json={"email": EMAIL, "code": code}).json()
        bearer = {"Authorization": f"Bearer {given['access']}"}
        shown = till.client.get("/m/card", headers=bearer).json()["code"]
        burned = till.json("/v1/redemptions", **a_sale(made["card"], 5, "b1", points=5, code=shown))
        assert burned["points"] == -5
        again = till.json("/v1/redemptions", **a_sale(made["card"], 5, "b2", points=5, code=shown))
        assert again["code"] == "code_used"


def test_mails_into_a_file(tmp_path: Path) -> None:
    """A line of JSON each, for the owner's eyes alone."""
    path = tmp_path / "mail" / "tessera.ndjson"
    send = to_file(path)
    send(EMAIL, "Your code", "12345678")
    send(EMAIL, "Your code", "é")
    assert [json.loads(line)["text"] for line in path.read_text().splitlines()] == ["12345678", "é"]
    assert path.stat().st_mode & 0o777 == 0o600
