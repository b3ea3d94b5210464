"""The signature profile on literals: RFC 9421's own vector, our fixture, and a case for every refusal."""

import hmac
from base64 import b64decode, b64encode, urlsafe_b64decode
from datetime import timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

from partners.keys import is_signed, public_key
from partners.model import PartnerKey
from partners.signature import RequestHead, Verified, verify_body, verify_head, verify_request
from partners.signature_fields import SignatureRefused, check_digest, content_digest, signature_base
from tests.signing import (
    BODY,
    CREATED,
    DIGEST,
    FIELDS,
    INPUT,
    KEY,
    KEY_ID,
    NOW,
    PARAMETERS,
    RFC_KEY,
    head_of,
    judged,
    sign_request,
    signed_fields,
)


def test_rfc_9421_vector_b_2_6_comes_out_byte_for_byte() -> None:
    """The signature base and the Ed25519 signature are those printed in RFC 9421, B.2.6."""
    parameters = (
        b'("date" "@method" "@path" "@authority" "content-type" "content-length")'
        b';created=1618884473;keyid="test-key-ed25519"'
    )
    base = signature_base(
        [
            (b"date", b"Tue, 20 Apr 2021 02:07:55 GMT"),
            (b"@method", b"POST"),
            (b"@path", b"/foo"),
            (b"@authority", b"example.com"),
            (b"content-type", b"application/json"),
            (b"content-length", b"18"),
        ],
        parameters,
    )
    assert base == (
        b'"date": Tue, 20 Apr 2021 02:07:55 GMT\n'
        b'"@method": POST\n'
        b'"@path": /foo\n'
        b'"@authority": example.com\n'
        b'"content-type": application/json\n'
        b'"content-length": 18\n'
        b'"@signature-params": ("date" "@method" "@path" "@authority" "content-type" "content-length")'
        b';created=1618884473;keyid="test-key-ed25519"'
    )
    assert b64encode(RFC_KEY.sign(base)) == (
        b"wqcAqbmYJ2ji2glfAMaRy4gruYYnx2nEFN2HN6jrnDnQCK1u02Gb04v9EDgwUPiu4A0w6vuQv5lIp5WPpBKRCw=="
    )


RESPONSE_DIGEST = (
    b"sha-512=:mEWXIS7MaLRuGgxOBdODa3xqM1XdEvxoYhvlCFJ41QJgJc4GTsPp29l5oGX69wWdXymyU0rjJuahq4l5aGgfLQ==:"
)


def test_rfc_9421_vector_b_2_4_is_of_our_signature_base() -> None:
    """The ECDSA signature printed in B.2.4 fits the base that we build of the response's components."""
    base = signature_base(
        [
            (b"@status", b"200"),
            (b"content-type", b"application/json"),
            (b"content-digest", RESPONSE_DIGEST),
            (b"content-length", b"23"),
        ],
        b'("@status" "content-type" "content-digest" "content-length")'
        b';created=1618884473;keyid="test-key-ecc-p256"',
    )
    signature = b64decode(
        "wNmSUAhwb5LxtOtOpNa6W5xj067m5hFrj0XQ4fvpaCLx0NKocgPquLgyahnzDnDAUy5eCdlYUEkLIj+32oiasw=="
    )
    x, y = (
        int.from_bytes(urlsafe_b64decode(coordinate + "="))
        for coordinate in (
            "qIVYZVLCrPZHGHjP17CTW0_-D9Lfw0EkjqF7xB4FivA",
            "Mc4nN9LTDOBhfoUeg8Ye9WedFRhnZXZJA12Qp0zZ6F0",
        )
    )
    public = ec.EllipticCurvePublicNumbers(x, y, ec.SECP256R1()).public_key()
    der = encode_dss_signature(int.from_bytes(signature[:32]), int.from_bytes(signature[32:]))
    public.verify(der, base, ec.ECDSA(SHA256()))
    assert check_digest(RESPONSE_DIGEST, b'{"message": "good dog"}') is None


def test_rfc_9421_vector_b_2_5_is_of_our_signature_base() -> None:
    """The HMAC printed in B.2.5 comes out of our base; that we take no shared secrets is the next test's."""
    base = signature_base(
        [
            (b"date", b"Tue, 20 Apr 2021 02:07:55 GMT"),
            (b"@authority", b"example.com"),
            (b"content-type", b"application/json"),
        ],
        b'("date" "@authority" "content-type");created=1618884473;keyid="test-shared-secret"',
    )
    secret = b64decode(
        "uzvJfB4u3N0Jy4T7NZ75MDVcr8zSTInedJtkgcu46YW4XByzNJjxBdtjUkdJPBtbmHhIDi6pcl8jsasjlTMtDQ=="
    )
    assert b64encode(hmac.digest(secret, base, "sha256")) == b"pxcQw6G3AjtMBQjwo8XzkZf/bws5LelbaMk5rGIGtE8="


@pytest.mark.parametrize("alg", ["hmac-sha256", "ecdsa-p256-sha256", "rsa-pss-sha512", "none"])
def test_other_algorithms_are_not_taken(alg: str) -> None:
    """A signature that names another algorithm than Ed25519 is not looked at."""
    fields = {**FIELDS, "signature-input": INPUT.replace('alg="ed25519"', f'alg="{alg}"')}
    assert judged(fields) == "signature_malformed"


def test_rfc_9421_vector_b_4_survives_what_proxies_may_do() -> None:
    """The base of B.4 carries the signature printed there; what must not survive has another base."""
    parameters = b'("@method" "@path" "@authority" "accept");created=1618884473;keyid="test-key-ed25519"'
    signature = b64decode(
        "ZT1kooQsEHpZ0I1IjCqtQppOmIqlJPeo7DHR3SoMn0s5JZ1eRGS0A+vyYP9t/LXlh5QMFFQ6cpLt2m0pmj3NDA=="
    )

    def fits(method: bytes, authority: bytes, accept: bytes) -> bool:
        components = [
            (b"@method", method),
            (b"@path", b"/demo"),
            (b"@authority", authority),
            (b"accept", accept),
        ]
        loaded = public_key(KEY.public_key)
        assert loaded is not None
        return is_signed(loaded, signature_base(components, parameters), signature)

    assert fits(b"GET", b"example.org", b"application/json, */*")
    assert not fits(b"POST", b"example.com", b"application/json, */*")
    assert not fits(b"GET", b"example.org", b"*/*, application/json")


def test_our_fixture_is_signed_byte_for_byte() -> None:
    """Digest, Signature-Input and Signature of the profile's fixture come out as they are published."""
    fields = sign_request(
        RFC_KEY,
        KEY_ID,
        method="POST",
        authority="api.example.com",
        path="/v1/earn",
        body=BODY,
        idempotency_key='"0e9f9f2e-93c5-4c5c-8e5d-6f0d8b7a1f00"',
        created=CREATED,
        expires=1618884773,
        nonce="b3k2pp5k7z-50gnwp.yemd",
        with_alg=True,
    )
    assert {name.lower(): value for name, value in fields.items()} == FIELDS


def test_our_fixture_is_verified() -> None:
    """The fixture is taken, and says who signed, when, and with which nonce."""
    result = verify_request(head_of(FIELDS), BODY, {KEY_ID: KEY}, NOW)
    assert isinstance(result, Verified)
    assert (result.partner_id, result.key_id, result.created, result.nonce) == (
        11,
        "test-key-ed25519",
        1618884473,
        "b3k2pp5k7z-50gnwp.yemd",
    )


def test_a_request_without_a_body_needs_no_digest() -> None:
    """A read is signed over method, authority, path and query alone."""
    fields = sign_request(
        RFC_KEY,
        KEY_ID,
        method="GET",
        authority="api.example.com",
        path="/v1/entries",
        query="limit=5&cursor=a%20b",
        created=CREATED,
    )
    assert set(fields) == {"Signature-Input", "Signature"}
    head = head_of(fields, method=b"GET", path=b"/v1/entries", query=b"limit=5&cursor=a%20b", has_body=False)
    assert isinstance(verify_request(head, b"", {KEY_ID: KEY}, NOW), Verified)


def test_a_body_that_the_head_did_not_announce_is_refused() -> None:
    """Where a body turns up behind a head that covers none, it is not taken as signed."""
    fields = sign_request(
        RFC_KEY, KEY_ID, method="POST", authority="api.example.com", path="/v1/earn", created=CREATED
    )
    verified = verify_head(head_of(fields, has_body=False), {KEY_ID: KEY}, NOW)
    assert isinstance(verified, Verified)
    assert verify_body(verified, b"") is None
    refused = verify_body(verified, BODY)
    assert refused is not None
    assert refused.code == "signature_coverage"


@pytest.mark.parametrize("left_out", ["signature", "signature-input"])
def test_an_unsigned_request_is_refused(left_out: str) -> None:
    """Both fields are needed."""
    fields = {name: value for name, value in FIELDS.items() if name != left_out}
    assert judged(fields) == "signature_missing"


@pytest.mark.parametrize("component", ["@method", "@authority", "@path", "@query"])
def test_what_every_signature_must_cover(component: str) -> None:
    """Each derived component of the profile is required."""
    assert judged({**FIELDS, "signature-input": INPUT.replace(f'"{component}" ', "").replace("( ", "(")}) == (
        "signature_coverage"
    )


@pytest.mark.parametrize(
    "changed",
    [
        {"signature-input": INPUT.replace(' "content-type"', "")},
        {"signature-input": INPUT.replace(' "content-digest"', "")},
        {"signature-input": INPUT.replace(' "idempotency-key"', "")},
        {"signature-input": INPUT.replace("idempotency-key", "x-absent")},
        {"signature-input": INPUT.replace('"@query"', '"@query" "@target-uri"')},
        {"signature-input": "sig1=()" + PARAMETERS},
    ],
    ids=["content type", "digest", "idempotency key", "absent field", "other derived", "nothing"],
)
def test_coverage_beyond_the_request_line(changed: dict[str, str]) -> None:
    """A body's type and digest, a sent Idempotency-Key, and nothing that is not there."""
    assert judged({**FIELDS, **changed}) == "signature_coverage"


def test_a_covered_field_is_sent_once() -> None:
    """Of two equal field names a framework reads one and a signer covers both: neither is taken."""
    for name in ("content-type", "content-digest", "idempotency-key"):
        head = head_of(FIELDS)
        doubled = RequestHead(
            head.method,
            head.authority,
            head.path,
            head.query,
            [*head.headers, (name.encode(), FIELDS[name].encode())],
            head.has_body,
        )
        result = verify_request(doubled, BODY, {KEY_ID: KEY}, NOW)
        assert isinstance(result, SignatureRefused)
        assert result.code == "signature_coverage"


@pytest.mark.parametrize(
    ("seconds", "code"),
    [
        (-61, "signature_time"),
        (-60, "verified"),
        (0, "verified"),
        (300, "verified"),
        (301, "signature_time"),
        (400, "signature_time"),
        (-90, "signature_time"),
    ],
)
def test_created_is_near_to_now(seconds: int, code: str) -> None:
    """Signed at most 300 s ago and at most 60 s ahead, to the second."""
    fields = signed_fields(DIGEST, parameters=';created=1618884473;keyid="test-key-ed25519";tag="loyalty-v1"')
    assert judged(fields, now=NOW + timedelta(seconds=seconds)) == code


@pytest.mark.parametrize(
    ("expires", "after", "code"),
    [
        (CREATED + 300, 300, "verified"),
        (CREATED + 301, 0, "signature_time"),
        (CREATED + 10, 10, "verified"),
        (CREATED + 10, 11, "signature_time"),
    ],
)
def test_expires_is_kept_and_short(expires: int, after: int, code: str) -> None:
    """An expired signature is refused, and so is one that would hold for more than 300 s."""
    fields = signed_fields(DIGEST, parameters=PARAMETERS.replace("1618884773", str(expires)))
    assert judged(fields, now=NOW + timedelta(seconds=after)) == code


def test_a_refusal_for_time_tells_the_servers_time() -> None:
    """A partner can set its clock by the answer."""
    late = NOW + timedelta(hours=1)
    result = verify_request(head_of(FIELDS), BODY, {KEY_ID: KEY}, late)
    assert isinstance(result, SignatureRefused)
    assert (result.code, result.server_time) == ("signature_time", late)
    assert "2021-04-20T03:07:53+00:00" in result.detail


@pytest.mark.parametrize(
    "head",
    [
        head_of(FIELDS, method=b"PUT"),
        head_of(FIELDS, authority=b"api.example.org"),
        head_of(FIELDS, path=b"/v1/burn"),
        head_of(FIELDS, path=b"/v1/%65arn"),
        head_of(FIELDS, query=b"a=1"),
        head_of({**FIELDS, "content-type": "text/plain"}),
        head_of({**FIELDS, "idempotency-key": '"1"'}),
        head_of({**FIELDS, "content-digest": content_digest(b"{}").decode()}),
        head_of({**FIELDS, "signature-input": INPUT.replace("4773", "4772")}),
        head_of(
            {**FIELDS, "signature-input": INPUT.replace('"@method" "@authority"', '"@authority" "@method"')}
        ),
    ],
    ids=["method", "host", "path", "encoding", "query", "type", "key", "digest", "parameter", "order"],
)
def test_what_was_not_signed_is_invalid(head: RequestHead) -> None:
    """Every covered part counts, the digest and the parameters included."""
    result = verify_head(head, {KEY_ID: KEY}, NOW)
    assert isinstance(result, SignatureRefused)
    assert result.code == "signature_invalid"


def test_a_changed_body_does_not_fit_its_digest() -> None:
    """One byte of the body, or the whole of it, is noticed."""
    assert judged(FIELDS, body=BODY.replace(b"1250", b"9250")) == "digest_mismatch"
    assert judged(FIELDS, body=b"") == "digest_mismatch"


def test_the_first_failing_check_answers() -> None:
    """Caps, parse, key, coverage, time, signature, digest: of all that fail, the first answers."""
    fields = {
        **FIELDS,
        "signature-input": INPUT.replace(' "content-digest"', "").replace("keyid=", "x=1;keyid="),
        "x-other": "a" * 8192,
    }
    late = NOW + timedelta(hours=1)
    revoked = PartnerKey(
        key_id=KEY_ID, partner_id=11, public_key=KEY.public_key, not_before=KEY.not_before, revoked_at=NOW
    )
    codes = [judged(fields, body=b"x", key=revoked, now=late)]
    del fields["x-other"]
    codes.append(judged(fields, body=b"x", key=revoked, now=late))
    fields["signature-input"] = INPUT.replace(' "content-digest"', "")
    codes.append(judged(fields, body=b"x", key=revoked, now=late))
    codes.append(judged(fields, body=b"x", now=late))
    fields["signature-input"] = INPUT
    fields["content-type"] = "text/plain"
    codes.append(judged(fields, body=b"x", now=late))
    codes.append(judged(fields, body=b"x"))
    codes.append(judged(FIELDS, body=b"x"))
    assert codes == [
        "header_too_large",
        "signature_malformed",
        "key_revoked",
        "signature_coverage",
        "signature_time",
        "signature_invalid",
        "digest_mismatch",
    ]


def test_white_space_around_values_is_no_part_of_them() -> None:
    """A server may pass on the optional white space around a field's value (RFC 9110, 5.5)."""
    assert judged({name: f" {value}\t" for name, value in FIELDS.items()}) == "verified"


def test_an_empty_path_is_signed_as_a_slash() -> None:
    """RFC 9421, 2.2.6: an empty path is normalised."""
    fields = sign_request(RFC_KEY, KEY_ID, method="GET", authority="a.example", path="/", created=CREATED)
    head = head_of(fields, method=b"GET", authority=b"a.example", path=b"", has_body=False)
    assert isinstance(verify_head(head, {KEY_ID: KEY}, NOW), Verified)


def test_keys_of_the_two_modes_do_not_mix() -> None:
    """A test key is refused by the live network before it is looked for, and a live key by the test mode."""
    named = {**FIELDS, "signature-input": INPUT.replace(KEY_ID, "test_1")}
    assert judged(named) == "key_of_other_mode"
    refused = verify_head(head_of(FIELDS), {KEY_ID: KEY}, NOW, test_mode=True)
    assert isinstance(refused, SignatureRefused)
    assert refused.code == "key_of_other_mode"
