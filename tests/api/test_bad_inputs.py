"""Every line of "bad inputs and what they get": exactly its status and code, nothing stored, never a 500.

Lines that need more than one request have tests of their own below, or elsewhere: crashes and two servers in
test_keys; bodies without an end in test_signature_clients; overload in test_overload.
"""

import gzip
import hashlib
from base64 import b64encode
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import Engine, text
from starlette.testclient import TestClient

from api.app import create_app
from api.limits import Rate, Rates
from network.rules import Rules
from partners.model import PartnerKey
from partners.signature_fields import signature_base
from partners.store import add_key
from tests.api.conftest import AUTHORITY, LONG_AGO, Till, a_sale, real_now
from tests.coalition import GROCER, HOTEL, PETROL, START, new_card, run, sale
from tests.people import KEYS, join, session
from tests.signing import sign_request

Tills = Callable[[int], Till]
PRIVATE = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
PATH = "/v1/accruals"
JSON = "application/json"
GOOD = "6330001234567895"


@pytest.fixture
def client(database: Engine, live: Rules) -> Iterator[TestClient]:
    """The application with operators' addresses too."""
    app = create_app(database, authority=AUTHORITY, now=real_now, operator_keys=KEYS)
    with TestClient(app, base_url=f"http://{AUTHORITY}", raise_server_exceptions=False) as running:
        yield running


def add(database: Engine, key_id: str, **changed: Any) -> None:
    """Register PRIVATE under an id, for the grocer."""
    given = {"partner_id": GROCER, "not_before": LONG_AGO, **changed}
    raw = PRIVATE.public_key().public_bytes_raw()
    with database.begin() as connection:
        add_key(connection, PartnerKey(key_id=key_id, public_key=raw, **given))


def now_seconds() -> int:
    """Real time, in Unix seconds."""
    return int(real_now().timestamp())


def fields_of(body: bytes, key_id: str = "k", **changed: Any) -> dict[str, str]:
    """The fields of a rightly signed sale."""
    given = {"method": "POST", "authority": AUTHORITY, "path": PATH, "created": now_seconds(), **changed}
    return sign_request(PRIVATE, key_id, body=body, **given)


def signed_by_hand(
    body: bytes, digest: str, *, without: str = "", parameters: str = "", label: str = "sig1"
) -> dict[str, str]:
    """The same, with any digest, any component left out, parameters added."""
    values = {
        "@method": "POST",
        "@authority": AUTHORITY,
        "@path": PATH,
        "@query": "?",
        "content-type": JSON,
        "content-digest": digest,
    }
    values.pop(without, None)
    covered = " ".join(f'"{name}"' for name in values)
    said = f'({covered});created={now_seconds()};keyid="k";tag="loyalty-v1"{parameters}'
    base = signature_base([(n.encode(), v.encode()) for n, v in values.items()], said.encode())
    return {
        "Content-Type": JSON,
        "Content-Digest": digest,
        "Signature-Input": f"{label}={said}",
        "Signature": f"{label}=:{b64encode(PRIVATE.sign(base)).decode()}:",
    }


def digest_of(algorithm: str, name: str, body: bytes) -> str:
    """A member of Content-Digest."""
    return f"{name}=:{b64encode(hashlib.new(algorithm, body).digest()).decode()}:"


def counted(database: Engine, *but: str) -> dict[str, int]:
    """How many rows each table has."""
    with database.connect() as connection:
        tables = connection.execute(
            text(
                "SELECT relname FROM pg_class WHERE relnamespace = CAST(current_schema() AS regnamespace)"
                " AND relkind IN ('r', 'p') AND NOT relispartition AND has_table_privilege(oid, 'SELECT')"
            )
        ).scalars()
        names = [name for name in tables if name not in but]
        counts = " UNION ALL ".join(f"SELECT '{name}', count(*) FROM \"{name}\"" for name in names)
        return {row[0]: row[1] for row in connection.execute(text(counts))}


def require_problem(answer: Any, status: int, code: str, told: object = "") -> None:
    """The answer is this problem, whole."""
    assert answer.status_code == status, (told, answer.text)
    assert answer.headers["content-type"] == "application/problem+json", told
    said = answer.json()
    assert (said["status"], said["code"]) == (status, code), (told, said)
    assert said["type"] == f"urn:tessera:problem:{code}"
    assert said["title"]
    assert said["request_id"] == answer.headers["request-id"]


Case = tuple[str, int, str, Callable[[TestClient], Any]]


def door_cases(body: bytes) -> Iterator[Case]:
    """What the door refuses: the line, status, code, and how to send it."""

    def post(fields: dict[str, str], content: Any = body, target: str = PATH) -> Callable[[TestClient], Any]:
        return lambda client: client.post(target, content=content, headers=fields)

    yield "no signature", 401, "signature_missing", post({"Content-Type": JSON})
    yield "unknown key", 401, "key_unknown", post(fields_of(body, "nobody"))
    yield "revoked key", 401, "key_revoked", post(fields_of(body, "revoked"))
    yield "expired key", 401, "key_expired", post(fields_of(body, "expired"))
    yield "key that begins later", 401, "key_not_yet_valid", post(fields_of(body, "later"))
    yield "test key on live", 401, "key_of_other_mode", post(fields_of(body, "test_k"))
    changed = body.replace(b"1250", b"9250")
    yield "a body byte changed", 401, "digest_mismatch", post(fields_of(body), changed)
    recomputed = {**fields_of(body), "Content-Digest": fields_of(changed)["Content-Digest"]}
    yield "digest recomputed", 401, "signature_invalid", post(recomputed, changed)
    sha = digest_of("sha256", "sha-256", body)
    for digest in (
        digest_of("md5", "md5", body),
        digest_of("sha1", "sha", body),
        f"{sha}, {sha}",
        f"{sha}, {digest_of('md5', 'md5', body)}",
    ):
        yield f"digest {digest}", 401, "digest_unsupported", post(signed_by_hand(body, digest))
    good = fields_of(body)
    yield "method changed", 401, "signature_invalid", lambda c: c.put(PATH, content=body, headers=good)
    yield "path changed", 401, "signature_invalid", post(good, target="/v1/redemptions")
    yield "query changed", 401, "signature_invalid", post(good, target=f"{PATH}?a=1")
    yield "host changed", 401, "signature_invalid", post({**good, "Host": "evil.example.com"})
    forged = fields_of(body, authority="evil.example.com")
    for name in ("X-Forwarded-Host", "Forwarded", "Host"):
        value = "host=evil.example.com" if name == "Forwarded" else "evil.example.com"
        yield f"signed for another host, {name}", 401, "signature_invalid", post({**forged, name: value})
    for name in ("@method", "@authority", "@path", "@query", "content-type", "content-digest"):
        fields = signed_by_hand(body, sha, without=name)
        yield f"{name} not covered", 401, "signature_coverage", post(fields)
    yield "key sent, not covered", 401, "signature_coverage", post({**good, "Idempotency-Key": '"a"'})
    twice = {name: f"{good[name]}, {good[name]}" for name in ("Signature-Input", "Signature")}
    yield "label twice", 401, "signature_malformed", post({**good, **twice})
    second = {name: f"{good[name]}, {good[name].replace('sig1', 'sig2', 1)}" for name in twice}
    yield "two signatures", 401, "signature_malformed", post({**good, **second})
    for parameters in (";created=1", ';keyid="k"', ';tag="loyalty-v1"', ';evil="x"', ';alg="hmac-sha256"'):
        fields = signed_by_hand(body, sha, parameters=parameters)
        yield f"parameter {parameters}", 401, "signature_malformed", post(fields)
    for seconds in (-400, 90):
        fields = fields_of(body, created=now_seconds() + seconds)
        yield f"created {seconds} s", 401, "signature_time", post(fields)
    lasting = fields_of(body, expires=now_seconds() + 400)
    yield "expires too late", 401, "signature_time", post(lasting)
    huge = {**good, "Signature-Input": "sig1=(" + '"a" ' * 15_000 + ")"}
    yield "60 KB Signature-Input", 431, "header_too_large", post(huge)
    many = {**good, "Signature-Input": "sig1=(" + " ".join(f'"h{n}"' for n in range(17)) + ');keyid="k"'}
    yield "17 components", 431, "header_too_large", post(many)
    long = b" " * (1 << 20) + b"1"
    yield "more than 1 MB", 413, "body_too_large", post(fields_of(long), long)
    pieces = {**fields_of(long), "Transfer-Encoding": "chunked"}
    yield "more than 1 MB, chunked", 413, "body_too_large", post(pieces, iter([long[:9], long[9:]]))
    text_plain = fields_of(body, content_type="text/plain")
    yield "text/plain", 415, "media_type_unsupported", post(text_plain)
    packed = gzip.compress(body)
    yield (
        "gzip",
        415,
        "media_type_unsupported",
        post({**fields_of(packed), "Content-Encoding": "gzip"}, packed),
    )


def body_cases(card: str) -> Iterator[tuple[str, int, str, bytes]]:
    """Bodies that nothing can be made of: the line, status, code, and the bytes, rightly signed."""
    fields = a_sale(card, 1250, "bad")
    whole = msgspec.json.encode(fields)
    for raw in (b"true", b'"1250"', b"12.0", b"1e3", b"0", b"-1", b"9223372036854775808", b"null", b"[1]"):
        yield f"amount {raw!r}", 422, "validation_failed", whole.replace(b"1250", raw)
    yield "an extra field", 422, "validation_failed", msgspec.json.encode({**fields, "extra": 1})
    for name in ("reference", "outlet", "currency", "card"):
        yield f"NUL in {name}", 422, "validation_failed", msgspec.json.encode({**fields, name: "a\0b"})
    yield (
        "no zone",
        422,
        "validation_failed",
        msgspec.json.encode({**fields, "occurred_at": "2017-05-01T09:00:00"}),
    )
    doubled = whole[:-1] + b',"amount_minor":1}'
    yield "a name twice", 400, "malformed_json", doubled
    yield "brackets", 400, "malformed_json", b"[" * 100_000
    yield "an integer of 5000 digits", 400, "malformed_json", whole.replace(b"1250", b"9" * 5_000)
    yield "bad UTF-8", 400, "malformed_json", whole.replace(b"bad", b"\xff")
    yield "half a document", 400, "malformed_json", whole[:20]
    yield "no body that is JSON", 400, "malformed_json", b"x"
    yield "bad Luhn", 422, "card_number_invalid", whole.replace(card.encode(), b"6330001234567891")


def test_what_the_door_and_the_reader_refuse(client: TestClient, database: Engine, live: Rules) -> None:
    """One after the other on one server: exactly that answer, and not a row more in any table."""
    card = str(new_card(database, live))
    hour = timedelta(hours=1)
    add(database, "k")
    add(database, "revoked", revoked_at=real_now() - hour)
    add(database, "expired", not_after=real_now() - hour)
    add(database, "later", not_before=real_now() + hour)
    body = msgspec.json.encode(a_sale(card, 1250, "bad"))
    before = counted(database)
    for told, status, code, send in door_cases(body):
        answer = send(client)
        require_problem(answer, status, code, told)
        assert ("server_time" in answer.json()) is (code == "signature_time"), told
        if code == "signature_time":
            assert abs(answer.json()["server_time"] - now_seconds()) <= 60
    for told, status, code, raw in body_cases(card):
        require_problem(client.post(PATH, content=raw, headers=fields_of(raw)), status, code, told)
    assert counted(database) == before
    forwarded = {**fields_of(body), "X-Forwarded-Host": "evil.example.com"}
    assert client.post(PATH, content=body, headers=forwarded).status_code == 201


def test_what_the_other_addresses_refuse(client: TestClient, database: Engine, till: Tills) -> None:
    """NUL in addresses and texts, tampered cursors, operators' addresses and tokens: each its problem."""
    grocer = till(GROCER)
    for number in range(3):
        grocer.enrol(f"m-{number}")
    cursor = grocer.get("/v1/entries?limit=1").json()["next_cursor"]
    join(database, "max", "maker")
    token = session(database, "max", real_now()).access
    before = counted(database)
    tampered = ("B" if cursor[0] == "A" else "A") + cursor[1:]
    for target, status, code in (
        (f"/v1/entries?cursor={tampered}", 400, "cursor_invalid"),
        ("/v1/entries?cursor=%00", 422, "validation_failed"),
        ("/v1/entries?cursor=%C3%A9", 400, "cursor_invalid"),
        ("/v1/entries?limit=101", 422, "validation_failed"),
        ("/v1/entries?limit=0", 422, "validation_failed"),
        ("/v1/entries?limit=1e1", 422, "validation_failed"),
        ("/v1/entries?business_date=%00", 422, "validation_failed"),
        ("/v1/disputes?cursor=dsp_x", 400, "cursor_invalid"),
        ("/v1/entries/ent_%00", 404, "entry_unknown"),
        ("/v1/entries/ent_zz/proof", 404, "entry_unknown"),
        ("/v1/cards/633000123456789%00", 422, "card_number_invalid"),
        ("/v1/cards/%D9%A36330001234567895", 422, "card_number_invalid"),
        ("/v1/members/mbr_%00/balance", 404, "member_unknown"),
        ("/v1/disputes/dsp_%00", 404, "dispute_unknown"),
        ("/v1/%00", 404, "not_found"),
    ):
        require_problem(grocer.get(target), status, code, target)
    evidence = grocer.send(
        "POST", "/v1/disputes/dsp_0/evidence?name=%00", b"%PDF-1.4", content_type="application/pdf"
    )
    require_problem(evidence, 422, "validation_failed")
    dispute = {"reference": "d", "against": "hotel", "business_date": "2017-05-01", "reason": "a\0b"}
    require_problem(grocer.post("/v1/disputes", **dispute), 422, "validation_failed")
    require_problem(grocer.get("/operator/partners"), 403, "operators_only")
    bearer = {"Authorization": f"Bearer {token}"}
    require_problem(client.get("/v1/entries", headers=bearer), 401, "signature_missing")
    cross = client.post("/operator/refresh", json={"refresh": "x"}, headers={"Sec-Fetch-Site": "cross-site"})
    require_problem(cross, 403, "cross_site")
    assert counted(database) == before


def test_one_reference(client: TestClient, till: Tills, database: Engine, live: Rules) -> None:
    """Fifty equal requests at once are one entry; other content is refused; another partner's is its own."""
    grocer, petrol = till(GROCER), till(PETROL)
    card = str(new_card(database, live))
    with ThreadPoolExecutor(50) as pool:
        answers = list(pool.map(lambda _: grocer.post(PATH, **a_sale(card, 500, "r")), range(50)))
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.content for answer in answers}) == 1
    assert sum("idempotent-replayed" not in answer.headers for answer in answers) == 1
    before = counted(database)
    require_problem(grocer.post(PATH, **a_sale(card, 501, "r")), 422, "reference_reused")
    assert counted(database) == before
    assert petrol.post(PATH, **a_sale(card, 501, "r")).status_code == 201
    mine = answers[0].json()["id"]
    before = counted(database, "idempotency")
    require_problem(petrol.get(f"/v1/entries/{mine}"), 404, "entry_unknown")
    undo = petrol.post("/v1/reversals", reference="u", occurred_at=START.isoformat(), entry=mine)
    require_problem(undo, 404, "entry_unknown")
    none = petrol.get("/v1/entries/ent_" + "0" * 32).json()
    assert {**none, "request_id": ""} == {**petrol.get(f"/v1/entries/{mine}").json(), "request_id": ""}
    assert counted(database, "idempotency") == before


def test_a_hundred_burns_of_the_whole_balance(till: Tills, database: Engine, live: Rules) -> None:
    """At once, under a hundred references: one wins, the others are told that there is nothing left."""
    hotel = till(HOTEL)
    number = new_card(database, live)
    run(database, live, sale(number, 50_000, "fill"))
    with ThreadPoolExecutor(50) as pool:
        answers = list(
            pool.map(
                lambda n: hotel.post("/v1/redemptions", **a_sale(str(number), 500, f"b-{n}", points=500)),
                range(100),
            )
        )
    assert sorted(answer.status_code for answer in answers) == [201, *[422] * 99]
    assert {answer.json()["code"] for answer in answers if answer.status_code == 422} == {
        "insufficient_points"
    }
    with database.connect() as connection:
        assert connection.execute(text("SELECT sum(remaining) FROM lot")).scalar_one() == 0


@pytest.fixture
def narrow(database: Engine, live: Rules) -> Iterator[TestClient]:
    """The application with limits that three requests meet, and that nothing lifts while a test runs."""
    rate = Rate(0.0001, 3)
    app = create_app(
        database,
        authority=AUTHORITY,
        now=real_now,
        rates=Rates(keys=Rate(0.0001, 30), refused=rate, cards=rate),
    )
    with TestClient(app, base_url=f"http://{AUTHORITY}", raise_server_exceptions=False) as running:
        yield running


def test_who_guesses_cards_is_told_nothing(narrow: TestClient, database: Engine, live: Rules) -> None:
    """After three unknown cards every card of that partner's is answered alike, those that exist included."""
    card = str(new_card(database, live))
    add(database, "k")
    grocer = Till(narrow, "k", PRIVATE)
    for target in ("6330001234567895", "6330001234567903", "6330001234567911"):
        require_problem(grocer.get(f"/v1/cards/{target}"), 422, "card_unknown")
    before = counted(database)
    told = []
    for answer in (
        grocer.get(f"/v1/cards/{card}"),
        grocer.get("/v1/cards/6330001234567929"),
        grocer.post(PATH, **a_sale(card, 500, "g1")),
        grocer.post("/v1/redemptions", **a_sale("6330001234567929", 5, "g2", points=5)),
    ):
        require_problem(answer, 429, "cards_limited")
        assert int(answer.headers["retry-after"]) > 0
        assert answer.headers["ratelimit"].startswith('"cards";r=0;t=')
        told.append({**answer.json(), "request_id": ""})
    assert all(each == told[0] for each in told)
    assert counted(database) == before
    assert grocer.post("/v1/members", reference="m", occurred_at=START.isoformat()).status_code == 201


def test_commands_that_name_unknown_cards_count_as_guesses(
    narrow: TestClient, database: Engine, live: Rules
) -> None:
    """Three sales on cards that do not exist, and the look-up of one that exists is refused too."""
    card = str(new_card(database, live))
    add(database, "k")
    grocer = Till(narrow, "k", PRIVATE)
    for number, unknown in enumerate(("6330001234567895", "6330001234567903", "6330001234567911")):
        require_problem(grocer.post(PATH, **a_sale(unknown, 500, f"s{number}")), 422, "card_unknown")
    require_problem(grocer.get(f"/v1/cards/{card}"), 429, "cards_limited")


def test_no_address_tells_who_guesses(narrow: TestClient, database: Engine, live: Rules) -> None:
    """Quotes count as guesses; then each address whose body names a card, whatever else it is for, says no
    more than that. The description knows all of them."""
    add(database, "k")
    grocer = Till(narrow, "k", PRIVATE)
    for unknown in ("6330001234567895", "6330001234567903", "6330001234567911"):
        asked = {"occurred_at": START.isoformat(), "outlet": "main", "card": unknown, "currency": "USD"}
        assert grocer.post("/v1/quotes", **asked, amount_minor=500).json()["refused"] == "card_unknown"
    described = narrow.get("/openapi.json").json()
    schemas = described["components"]["schemas"]
    addresses = []
    for path, methods in described["paths"].items():
        content = (
            methods.get("post", {}).get("requestBody", {}).get("content", {}).get("application/json", {})
        )
        name = content.get("schema", {}).get("$ref", "").rpartition("/")[2]
        if path.startswith("/v1/") and "card" in schemas.get(name, {}).get("properties", {}):
            addresses.append(path)
            require_problem(grocer.post(path, **content["example"]), 429, "cards_limited", path)
    assert len(addresses) > 12
    assert {"/v1/quotes", "/v1/approvals", "/v1/redemptions"} <= set(addresses)


def test_files_are_no_way_to_guess(narrow: TestClient, database: Engine, live: Rules) -> None:
    """After a file that named unknown cards the lines of the next are answered alike, whether a card exists
    or not; what names none is carried out, and nothing is remembered of what was not."""
    card = str(new_card(database, live))
    add(database, "k")
    grocer = Till(narrow, "k", PRIVATE)
    unknown = ("6330001234567895", "6330001234567903", "6330001234567911", "6330001234567929")

    def sale_of(number: str, reference: str) -> dict[str, Any]:
        return {"type": "accrual", **a_sale(number, 500, reference)}

    told = grocer.file([sale_of(number, f"u{place}") for place, number in enumerate(unknown)])
    assert [line["code"] for line in told] == ["card_unknown"] * 4
    enrolment = {"type": "enrolment", "reference": "m", "occurred_at": START.isoformat()}
    before = counted(database, "file_batch", "file_answer", "file_part")
    told = grocer.file(
        [sale_of(card, "s1"), sale_of("6330001234567937", "s2"), {**enrolment, "reference": ""}]
    )
    assert [(line["status"], line["code"]) for line in told] == [
        (429, "cards_limited"),
        (429, "cards_limited"),
        (422, "validation_failed"),
    ]
    assert counted(database, "file_batch", "file_answer", "file_part") == before
    assert [line["status"] for line in grocer.file([sale_of(card, "s1"), enrolment])] == [429, 201]
    add(database, "p", partner_id=PETROL)
    assert [line["status"] for line in Till(narrow, "p", PRIVATE).file([sale_of(card, "s1")])] == [201]


def test_requests_have_limits(narrow: TestClient, database: Engine) -> None:
    """Per key 429 with its headers, other keys unharmed; per address what is refused becomes 429 after three,
    and who signs rightly from there is served all the same."""
    add(database, "k")
    add(database, "l")
    one, other = Till(narrow, "k", PRIVATE), Till(narrow, "l", PRIVATE)
    for _ in range(30):
        assert one.get("/v1/keys").status_code == 200
    before = counted(database)
    limited = one.get("/v1/keys")
    require_problem(limited, 429, "rate_limited")
    assert int(limited.headers["retry-after"]) > 0
    assert limited.headers["ratelimit-policy"].startswith('"key";q=30;w=')
    codes = [narrow.get("/v1/keys").json()["code"] for _ in range(5)]
    assert codes == [*["signature_missing"] * 3, *["rate_limited"] * 2]
    require_problem(narrow.get("/v1/keys"), 429, "rate_limited")
    assert other.get("/v1/keys").status_code == 200
    assert counted(database) == before
