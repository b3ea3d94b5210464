"""Passkeys: a browser's part is played here; each thing that it could lie about is refused."""

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterator
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from sqlalchemy import Engine, text
from starlette.testclient import TestClient

from api.app import create_app
from api.limits import Rate, Rates
from network.rules import Rules
from tests.api.conftest import AUTHORITY, Till, real_now
from tests.api.office import Clock
from tests.api.test_bad_inputs import counted, require_problem
from tests.api.test_members import EMAIL, Phone, anna, client, grocer
from tests.people import KEYS

__all__ = ["anna", "client", "grocer"]
ORIGIN = f"https://{AUTHORITY}"
VERIFIED = 0x05
"""Flags: the user is there, and was verified."""


def told(raw: bytes) -> str:
    """Base64url as browsers write it."""
    return urlsafe_b64encode(raw).rstrip(b"=").decode()


@dataclass
class Authenticator:
    """A phone's passkey, and the browser that asks it."""

    key: Any = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))
    credential_id: bytes = b"credential-1"
    count: int = 0
    handle: str = ""

    def client_data(self, kind: str, challenge: str, **changed: Any) -> bytes:
        """What the browser says."""
        return json.dumps({"type": kind, "challenge": challenge, "origin": ORIGIN, **changed}).encode()

    def data(self, rp_id: str = AUTHORITY, flags: int = VERIFIED) -> bytes:
        """What the authenticator says."""
        return sha256(rp_id.encode()).digest() + bytes([flags]) + self.count.to_bytes(4)

    def made(
        self, options: dict[str, Any], *, rp_id: str = AUTHORITY, flags: int = VERIFIED, **changed: Any
    ) -> Any:
        """The fields of a registration."""
        self.handle = options["user_id"]
        attested = bytes(16) + len(self.credential_id).to_bytes(2) + self.credential_id + b"\xa5"
        public = self.key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        return {
            "challenge": options["challenge"],
            "client_data": told(self.client_data("webauthn.create", options["challenge"], **changed)),
            "authenticator_data": told(self.data(rp_id, flags | 0x40) + attested),
            "public_key": told(public),
            "name": "phone",
        }

    def signed(
        self,
        challenge: str,
        *,
        rp_id: str = AUTHORITY,
        flags: int = VERIFIED,
        kind: str = "webauthn.get",
        **changed: Any,
    ) -> dict[str, Any]:
        """The fields of a sign-in."""
        said, data = self.client_data(kind, challenge, **changed), self.data(rp_id, flags)
        over = data + sha256(said).digest()
        how = (ec.ECDSA(SHA256()),) if isinstance(self.key, ec.EllipticCurvePrivateKey) else ()
        return {
            "challenge": challenge,
            "id": told(self.credential_id),
            "user_id": self.handle,
            "client_data": told(said),
            "authenticator_data": told(data),
            "signature": told(self.key.sign(over, *how)),
        }


@pytest.fixture
def phone(database: Engine, live: Rules) -> Iterator[Phone]:
    """As in test_members, with room for more tries to sign in than one address has."""
    clock, mails = Clock(real_now()), list[tuple[str, str, str]]()

    def send(to: str, subject: str, said: str) -> None:
        mails.append((to, subject, said))

    app = create_app(
        database,
        authority=AUTHORITY,
        now=clock,
        operator_keys=KEYS,
        send_mail=send,
        rates=Rates(members=Rate(10, 1_000)),
    )
    with TestClient(app, base_url=ORIGIN, raise_server_exceptions=False) as running:
        yield Phone(running, clock, mails)


def registered(phone: Phone, one: Authenticator) -> None:
    """Register a passkey of who is signed in."""
    answer = phone.post("/passkeys", **one.made(phone.post("/passkeys/options").json()))
    assert answer.status_code == 202, answer.text


def challenge(phone: Phone) -> str:
    """A challenge to sign in with."""
    made: str = phone.post("/passkeys/challenges").json()["challenge"]
    return made


def test_a_passkey_is_made_and_signs_in(phone: Phone, anna: dict[str, Any]) -> None:
    """ES256 and EdDSA; told by mail, listed, used without an address; removed it is good for nothing."""
    phone.sign_in()
    options = phone.post("/passkeys/options").json()
    assert (options["rp_id"], options["algorithms"], options["exclude"]) == (AUTHORITY, [-7, -8], [])
    assert urlsafe_b64decode(options["user_id"] + "==").hex() == anna["member"].removeprefix("mbr_")
    ones = [Authenticator(), Authenticator(ed25519.Ed25519PrivateKey.generate(), b"credential-2")]
    for one in ones:
        registered(phone, one)
    assert phone.mails[-1][:2] == (EMAIL, "A passkey")
    listed = phone.get("/passkeys").json()["data"]
    assert [(one["id"], one["name"], one["used_at"]) for one in listed] == [
        (told(b"credential-1"), "phone", None),
        (told(b"credential-2"), "phone", None),
    ]
    phone.access = ""
    for one in ones:
        answer = phone.post("/sessions/passkey", **one.signed(challenge(phone)))
        assert answer.status_code == 200, answer.text
        phone.access = answer.json()["access"]
        assert phone.get("/me").json()["member"] == anna["member"]
    cookie = phone.post("/sessions/passkey", **ones[0].signed(challenge(phone)), cookie=True)
    assert cookie.headers["set-cookie"].startswith("__Host-tessera=rt_")
    gone = phone.client.delete(f"/m/passkeys/{told(b'credential-1')}", headers=phone.bearer())
    assert gone.status_code == 202
    again = phone.client.delete(f"/m/passkeys/{told(b'credential-1')}", headers=phone.bearer())
    require_problem(again, 404, "passkey_unknown")
    require_problem(
        phone.post("/sessions/passkey", **ones[0].signed(challenge(phone))), 401, "passkey_refused"
    )


def test_whatever_a_browser_lies_about(
    phone: Phone, anna: dict[str, Any], grocer: Till, database: Engine
) -> None:
    """Another challenge, origin, ceremony, party, user or key; not verified; used, late or cloned: 401."""
    phone.sign_in()
    one = Authenticator()
    registered(phone, one)
    access, phone.access = phone.access, ""
    before = counted(database, "member_challenge")

    def refused(told_as: str, **fields: Any) -> None:
        require_problem(phone.post("/sessions/passkey", **fields), 401, "passkey_refused", told_as)

    used = one.signed(challenge(phone))
    assert phone.post("/sessions/passkey", **used).status_code == 200
    refused("used", **used)
    refused("ours never", **one.signed(told(bytes(32))))
    refused("another's challenge", **{**one.signed(challenge(phone)), "challenge": challenge(phone)})
    lies: dict[str, dict[str, Any]] = {
        "another origin": {"origin": "https://evil.example.com"},
        "no origin": {"origin": None},
        "inside of another page": {"crossOrigin": True},
        "another ceremony": {"kind": "webauthn.create"},
        "another party": {"rp_id": "evil.example.com"},
        "nobody there": {"flags": 0x00},
        "user not verified": {"flags": 0x01},
    }
    for told_as, changed in lies.items():
        refused(told_as, **one.signed(challenge(phone), **changed))
    refused("another key", **Authenticator(handle=one.handle).signed(challenge(phone)))
    refused("another's handle", **{**one.signed(challenge(phone)), "user_id": told(bytes(16))})
    other = grocer.enrol("other")["member"]
    named = told(bytes.fromhex(other.removeprefix("mbr_")))
    refused("another member", **{**one.signed(challenge(phone)), "user_id": named})
    refused(
        "data changed", **{**one.signed(challenge(phone)), "authenticator_data": told(one.data(flags=0x0D))}
    )
    for raw in (b"[]", b"{", b"\xff", b"1"):
        refused(f"client data {raw!r}", **{**one.signed(challenge(phone)), "client_data": told(raw)})
    late = challenge(phone)
    phone.clock.pass_(minutes=6)
    refused("late", **one.signed(late))
    one.count = 7
    assert phone.post("/sessions/passkey", **one.signed(challenge(phone))).status_code == 200
    refused("a clone", **one.signed(challenge(phone)))
    after = counted(database, "member_challenge")
    changed_tables = {name: after[name] - before[name] for name in before if after[name] != before[name]}
    assert changed_tables == {
        "member_session": 2,
        "member_refresh": 2,
        **dict.fromkeys(("entry", "member", "card", "account", "idempotency"), 1),
    }
    assert access


def test_what_is_no_passkey_is_not_taken(phone: Phone, anna: dict[str, Any], database: Engine) -> None:
    """Registration: another's challenge, a sign-in's, another curve, RSA, cut data; ten at most."""
    phone.sign_in()
    one = Authenticator()

    def refused(told_as: str, fields: dict[str, Any]) -> None:
        require_problem(phone.post("/passkeys", **fields), 401, "passkey_refused", told_as)

    def options() -> Any:
        return phone.post("/passkeys/options").json()

    refused("a challenge to sign in", one.made({**options(), "challenge": challenge(phone)}))
    refused("another origin", one.made(options(), origin="https://evil.example.com"))
    refused("another party", one.made(options(), rp_id="evil.example.com"))
    refused("user not verified", one.made(options(), flags=0x01))
    for key in (ec.generate_private_key(ec.SECP384R1()), rsa.generate_private_key(65537, 2048)):
        refused("another algorithm", Authenticator(key).made(options()))
    refused("no key", {**one.made(options()), "public_key": told(b"x")})
    cut = one.made(options())
    refused("cut", {**cut, "authenticator_data": told(one.data(flags=VERIFIED | 0x40) + bytes(17))})
    with database.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM member_passkey")).scalar_one() == 0
    for number in range(10):
        registered(phone, Authenticator(one.key, b"c%d" % number))
    refused("the eleventh", Authenticator(one.key, b"c10").made(options()))
    phone.access = ""
    require_problem(phone.post("/passkeys/options"), 401, "member_token_missing")


@pytest.mark.parametrize("path", ["/m/passkeys/challenges", "/m/sessions/passkey", "/m/passkeys"])
def test_pages_of_other_sites_are_kept_out(phone: Phone, path: str) -> None:
    """As everywhere under /m."""
    answer = phone.client.post(path, json={}, headers={"Sec-Fetch-Site": "cross-site"})
    require_problem(answer, 403, "cross_site")
