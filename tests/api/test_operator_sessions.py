"""Coming in at /operator, and what is kept out."""

import base64
import json
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import Engine
from starlette.testclient import TestClient

from api.app import create_app
from partners.people import tokens
from partners.people.operators import add_from_host
from tests.api.conftest import AUTHORITY, Till, real_now
from tests.api.office import Desk, Office
from tests.coalition import GROCER
from tests.people import KEYS, NOW, PASSWORD, Person, join
from tests.signing import sign_request


def post(office: Office, path: str, **fields: Any) -> Any:
    """A POST without a token."""
    return office.client.post(f"/operator{path}", json=fields)


def sign_in(office: Office, person: Person, **changed: str) -> Any:
    """The answer to signing in."""
    right = {"operator": person.name, "password": PASSWORD, "code": person.code(office.clock())}
    return post(office, "/login", **{**right, **changed})


def me(office: Office, token: str) -> Any:
    """The answer to the question who one is."""
    return office.client.get("/operator/me", headers={"authorization": f"Bearer {token}"})


def test_from_the_first_secret_to_signing_out(office: Office) -> None:
    """The whole way of an operator over HTTP; nothing on it is cached."""
    with office.database.begin() as connection:
        secret = add_from_host(connection, "anna", "admin", NOW)
    enrolled = post(office, "/enrolment", operator="anna", secret=secret, password=PASSWORD)
    [shown] = parse_qs(urlsplit(enrolled.json()["provisioning_uri"]).query)["secret"]
    anna = Person("anna", base64.b32decode(shown))
    code = anna.code(office.clock())
    assert post(office, "/enrolment/confirm", operator="anna", secret=secret, code=code).status_code == 200
    office.clock.pass_(minutes=1)
    answer = sign_in(office, anna)
    assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-store")
    assert "set-cookie" not in answer.headers
    given = answer.json()
    assert (given["operator"], given["expires_in"]) == ("anna", 600)
    assert me(office, given["access"]).json() == {"operator": "anna", "role": "admin"}
    office.clock.pass_(minutes=10)
    over = me(office, given["access"])
    assert (over.status_code, over.json()["code"]) == (401, "token_refused")
    carried = post(office, "/refresh", refresh=given["refresh"]).json()
    assert me(office, carried["access"]).status_code == 200
    bearer = {"authorization": f"Bearer {carried['access']}"}
    assert office.client.post("/operator/logout", headers=bearer).status_code == 200
    assert me(office, carried["access"]).status_code == 401
    assert post(office, "/refresh", refresh=carried["refresh"]).status_code == 401


def test_a_stolen_refresh_token_ends_the_session(office: Office) -> None:
    """Used by the thief and by its owner: both are out."""
    given = sign_in(office, join(office.database, "anna", "viewer")).json()
    thief = post(office, "/refresh", refresh=given["refresh"]).json()
    again = post(office, "/refresh", refresh=given["refresh"])
    assert (again.status_code, again.json()["code"]) == (401, "token_refused")
    assert me(office, thief["access"]).status_code == 401
    assert me(office, given["access"]).status_code == 401


def test_too_many_tries_tell_nothing(office: Office) -> None:
    """The sixth try is answered 429 with a time, be there such an operator or not, be it right or wrong."""
    anna = join(office.database, "anna", "viewer")
    nobody = Person("nobody", anna.secret)
    told: dict[str, list[Any]] = {"anna": [], "nobody": []}
    for person in (anna, nobody):
        for _ in range(5):
            told[person.name].append(sign_in(office, person, password="wrong"))  # noqa: S106 - wrong on purpose
        told[person.name] += [sign_in(office, person, password="wrong"), sign_in(office, person)]  # noqa: S106
    for answers in told.values():
        assert [answer.status_code for answer in answers] == [401] * 5 + [429] * 2
        assert [answer.headers.get("retry-after") for answer in answers] == [None] * 5 + ["31"] * 2

    def bare(answer: Any) -> dict[str, Any]:
        said: dict[str, Any] = answer.json()
        return {name: value for name, value in said.items() if name != "request_id"}

    assert [bare(answer) for answer in told["anna"]] == [bare(answer) for answer in told["nobody"]]
    office.clock.pass_(seconds=31)
    assert sign_in(office, anna).status_code == 200


def forged() -> dict[str, str]:
    """Tokens that are not ours, by what is wrong with them."""
    issued = int(NOW.timestamp())
    claims: dict[str, Any] = {
        "iss": "tessera",
        "aud": "tessera-operator",
        "sub": "anna",
        "sid": "0" * 32,
        "jti": "1",
        "iat": issued,
        "exp": issued + 600,
    }
    header = {"typ": tokens.TYPE, "kid": tokens.key_id(KEYS.signing.public_key())}
    public = KEYS.signing.public_key().public_bytes_raw()

    def ours(changed: dict[str, Any], **fields: Any) -> str:
        said = {name: value for name, value in {**claims, **changed}.items() if value is not None}
        return jwt.encode(said, KEYS.signing, algorithm="EdDSA", headers={**header, **fields})

    def part(said: Any) -> str:
        return base64.urlsafe_b64encode(json.dumps(said).encode()).rstrip(b"=").decode()

    return {
        "none": f"{part({'alg': 'none', **header})}.{part(claims)}.",
        "HS256": jwt.encode(claims, public, algorithm="HS256", headers=header),
        "another key": jwt.encode(claims, Ed25519PrivateKey.generate(), algorithm="EdDSA", headers=header),
        "aud": ours({"aud": "tessera-member"}),
        "typ": ours({}, typ="JWT"),
        "no exp": ours({"exp": None}),
        "a year": ours({"exp": issued + 31_536_000}),
        "over": ours({"iat": issued - 700, "exp": issued - 100}),
        "jku": ours({}, jku="https://keys.example.com/set.json"),
        "no such session": ours({}),
        "nothing": "x",
    }


@pytest.mark.parametrize("kind", list(forged()))
def test_tokens_that_are_not_ours_are_refused(office: Office, kind: str) -> None:
    """401 and one and the same answer; also where the session is real and the token is not."""
    anna = office.person("anna", "admin")
    answer = me(office, forged()[kind])
    assert (answer.status_code, answer.json()["code"]) == (401, "token_refused")
    assert "detail" not in answer.json()
    assert answer.headers["www-authenticate"] == "Bearer"
    sid = jwt.decode(anna.token, options={"verify_signature": False})["sid"]
    if kind not in {"no such session", "nothing"}:
        said = jwt.decode(forged()[kind], options={"verify_signature": False})
        assert me(office, forged()[kind]).status_code == 401
        assert said["sid"] != sid


def test_a_real_session_does_not_make_a_forged_token_good(office: Office) -> None:
    """The same claims as in anna's own token, unsigned or under another algorithm or kind."""
    anna = office.person("anna", "admin")
    claims = jwt.decode(anna.token, options={"verify_signature": False})
    header = {"typ": tokens.TYPE, "kid": tokens.key_id(KEYS.signing.public_key())}
    assert me(office, anna.token).status_code == 200
    again = jwt.encode(claims, KEYS.signing, algorithm="EdDSA", headers=header)
    assert me(office, again).status_code == 200
    public = KEYS.signing.public_key().public_bytes_raw()
    head, body, signature = anna.token.split(".")
    for wrong in (
        jwt.encode(claims, public, algorithm="HS256", headers=header),
        jwt.encode(claims, KEYS.signing, algorithm="EdDSA", headers={**header, "typ": "JWT"}),
        jwt.encode({**claims, "aud": "other"}, KEYS.signing, algorithm="EdDSA", headers=header),
        jwt.encode({**claims, "sub": "bert"}, KEYS.signing, algorithm="EdDSA", headers=header),
        f"{head}.{body}.",
        f"{head}.{body}.{signature[:-4]}AAAA",
    ):
        assert me(office, wrong).status_code == 401


@pytest.mark.parametrize(
    "authorization", ["", "Bearer", "Bearer ", "Basic YW5uYTphbm5h", "Token x", "Bearer " + "x" * 5_000]
)
def test_without_a_token_nobody_comes_in(office: Office, authorization: str) -> None:
    """401, and what to send."""
    answer = office.client.get("/operator/me", headers={"authorization": authorization})
    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")


def test_partners_and_operators_keep_to_their_own_doors(office: Office, till: Callable[[int], Till]) -> None:
    """A partner's signature under /operator is 403, also beside a token; that token under /v1 is 401."""
    partner = till(GROCER)
    anna = office.person("anna", "admin")
    signed = sign_request(
        partner.private_key,
        partner.key_id,
        method="GET",
        authority=AUTHORITY,
        path="/operator/me",
        query="",
        body=b"",
        created=int(real_now().timestamp()),
    )
    for headers in (signed, {**signed, "authorization": f"Bearer {anna.token}"}):
        answer = office.client.get("/operator/me", headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (403, "operators_only")
    bearer = {"authorization": f"Bearer {anna.token}"}
    for method, path in (
        ("GET", "/v1/entries"),
        ("POST", "/v1/accruals"),
        ("GET", "/v1/cards/6330001234567895"),
    ):
        answer = office.client.request(method, path, headers=bearer)
        assert (answer.status_code, answer.json()["code"]) == (401, "signature_missing")


@pytest.mark.parametrize("site", ["cross-site", "same-site", "anything"])
def test_another_sites_page_does_nothing(office: Office, site: str) -> None:
    """403 to what would change something, though without a cookie it could not be in anybody's name."""
    anna = office.person("anna", "admin")
    answer = anna.send("POST", "/logout", headers={"sec-fetch-site": site})
    assert (answer.status_code, answer.json()["code"]) == (403, "cross_site")
    assert anna.send("GET", "/me", headers={"sec-fetch-site": site}).status_code == 200
    assert anna.send("POST", "/logout", headers={"sec-fetch-site": "same-origin"}).status_code == 200


@pytest.mark.parametrize(
    ("content", "media_type", "status"),
    [
        (b"{", "application/json", 400),
        (b'{"role":"maker","role":"admin","operator":"max"}', "application/json", 400),
        (b'{"role":"maker"}', "application/json", 422),
        (b'{"role":"king","operator":"max"}', "application/json", 422),
        (b'{"role":"maker","operator":"max","more":1}', "application/json", 422),
        (b'{"role":"maker","operator":"Max "}', "application/json", 422),
        (b'{"role":"maker","operator":"max\\n"}', "application/json", 422),
        (b"[" * 60_000, "application/json", 400),
        (b'"\xff"', "application/json", 400),
        (b" " * 70_000, "application/json", 413),
        (b"{}", "text/plain", 415),
        (b"{}", "", 415),
    ],
)
def test_bodies_are_read_strictly(office: Office, content: bytes, media_type: str, status: int) -> None:
    """As everywhere: one pass, one meaning, nothing unknown, nothing endless."""
    anna = office.person("anna", "admin")
    answer = anna.send("POST", "/operators", content=content, headers={"content-type": media_type})
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"


def test_a_password_is_changed_over_http(office: Office) -> None:
    """With the old one and a code; an unfit one is told why, a wrong one is told nothing."""
    anna = Desk(office, join(office.database, "anna", "viewer"))
    code = anna.person.code(office.clock())
    new = "eleven grey herons, standing"
    unfit = anna.try_post("/password", old=PASSWORD, new="short", code=code)
    assert (unfit.status_code, unfit.json()["code"]) == (422, "password_unfit")
    wrong = anna.try_post("/password", old="wrong", new=new, code=code)
    assert (wrong.status_code, wrong.json()["code"]) == (401, "sign_in_refused")
    anna.post("/password", old=PASSWORD, new=new, code=code)
    office.clock.pass_(minutes=1)
    assert sign_in(office, anna.person).status_code == 401
    assert sign_in(office, anna.person, password=new).status_code == 200


@pytest.mark.usefixtures("live")
def test_without_operators_keys_there_is_no_such_door(database: Engine) -> None:
    """A server that has none serves nothing under /operator."""
    app = create_app(database, authority=AUTHORITY, now=real_now)
    with TestClient(app, base_url=f"http://{AUTHORITY}", raise_server_exceptions=False) as running:
        assert running.get("/operator/me").status_code == 404
        assert not [path for path in running.get("/openapi.json").json()["paths"] if "operator" in path]
