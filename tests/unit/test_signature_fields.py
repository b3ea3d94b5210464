"""Which signature fields and digests are read, and which are refused."""

from base64 import b64encode
from hashlib import md5, sha512

import pytest

from partners.signature import RequestHead, verify_request
from partners.signature_fields import SignatureRefused
from tests.signing import (
    BODY,
    COVERED,
    DIGEST,
    FIELDS,
    INPUT,
    KEY,
    KEY_ID,
    NOW,
    PARAMETERS,
    SIGNATURE,
    head_of,
    judged,
    signed_fields,
)

SEVENTEEN = "(" + " ".join(f'"x-{number}"' for number in range(17)) + ")"

MALFORMED_INPUTS = {
    "two labels": INPUT + ", sig2=" + COVERED + PARAMETERS,
    "same label twice": INPUT + ", " + INPUT,
    "another label than the signature's": INPUT.replace("sig1", "sig2"),
    "not a dictionary": COVERED + PARAMETERS,
    "empty": "",
    "upper case label": INPUT.replace("sig1", "Sig1"),
    "upper case component": INPUT.replace("content-type", "Content-Type"),
    "two spaces": INPUT.replace('"@method" ', '"@method"  '),
    "space before a parameter": INPUT.replace(";tag", "; tag"),
    "component with a parameter": INPUT.replace('"@query"', '"@query";req'),
    "component twice": INPUT.replace('"@query"', '"@query" "@query"'),
    "unknown parameter": INPUT + ";purpose=1",
    "parameter without a value": INPUT + ";purpose",
    "parameter twice": INPUT + ';tag="loyalty-v1"',
    "created twice": INPUT.replace(";expires", ";created=1618884473;expires"),
    "created as text": INPUT.replace("created=1618884473", 'created="1618884473"'),
    "created negative": INPUT.replace("created=", "created=-"),
    "created with a fraction": INPUT.replace("created=1618884473", "created=1618884473.0"),
    "created too long": INPUT.replace("created=1618884473", "created=1618884473000000"),
    "keyid as a number": INPUT.replace('keyid="test-key-ed25519"', "keyid=7"),
    "keyid as a token": INPUT.replace('keyid="test-key-ed25519"', "keyid=test-key-ed25519"),
    "keyid empty": INPUT.replace("test-key-ed25519", ""),
    "keyid too long": INPUT.replace("test-key-ed25519", "k" * 129),
    "keyid with an escape": INPUT.replace("test-key", 'test\\"key'),
    "no created": INPUT.replace(";created=1618884473", ""),
    "no keyid": INPUT.replace(';keyid="test-key-ed25519"', ""),
    "no tag": INPUT.replace(';tag="loyalty-v1"', ""),
    "another tag": INPUT.replace("loyalty-v1", "loyalty-v2"),
    "another algorithm": INPUT.replace('alg="ed25519"', 'alg="hmac-sha256"'),
    "something behind": INPUT + ",",
}


@pytest.mark.parametrize("field", MALFORMED_INPUTS.values(), ids=MALFORMED_INPUTS.keys())
def test_what_cannot_be_read_is_malformed(field: str) -> None:
    """Anything but one signature with known parameters, each once and of its type, is refused."""
    assert judged({**FIELDS, "signature-input": field}) == "signature_malformed"


@pytest.mark.parametrize(
    "field",
    [
        SIGNATURE + ", " + SIGNATURE.replace("sig1", "sig2"),
        SIGNATURE.replace("==:", "=:"),
        SIGNATURE.replace("==:", ":"),
        SIGNATURE.replace("==:", "==:;a"),
        SIGNATURE.replace("sIAQ==", "sIAR=="),
        SIGNATURE.replace("Bsy5", "Bs-_"),
        "sig1=:" + "A" * 84 + ":",
        "sig1=()",
        "",
    ],
    ids=["two", "one pad", "no pad", "parameter", "loose bits", "url alphabet", "63 bytes", "list", "empty"],
)
def test_a_signature_has_one_spelling(field: str) -> None:
    """Only one label with 64 bytes in padded canonical base64 is read."""
    assert judged({**FIELDS, "signature": field}) == "signature_malformed"


def test_a_line_break_in_a_covered_value_is_malformed() -> None:
    """A value cannot pass for the lines of other components."""
    assert judged({**FIELDS, "content-type": 'a\n"x": b'}) == "signature_malformed"


def test_header_caps() -> None:
    """More than 8 KB of header fields, or more than 16 components, are not looked at."""
    assert judged({**FIELDS, "signature-input": "sig1=(" + '"a" ' * 15_000 + ")"}) == "header_too_large"
    assert judged({**FIELDS, "x-other": "a" * 8192}) == "header_too_large"
    assert judged({**FIELDS, "signature-input": "sig1=" + SEVENTEEN + PARAMETERS}) == "header_too_large"


def test_a_signature_field_is_sent_once() -> None:
    """A second Signature or Signature-Input line is refused, whatever it says."""
    for name in ("signature", "signature-input"):
        head = head_of(FIELDS)
        doubled = RequestHead(
            b"POST",
            b"api.example.com",
            b"/v1/earn",
            b"",
            [(name.encode(), b""), *head.headers],
            has_body=True,
        )
        result = verify_request(doubled, BODY, {KEY_ID: KEY}, NOW)
        assert isinstance(result, SignatureRefused)
        assert result.code == "signature_malformed"


SHA_512 = f"sha-512=:{b64encode(sha512(BODY).digest()).decode()}:"
MD5 = f"md5=:{b64encode(md5(BODY, usedforsecurity=False).digest()).decode()}:"


@pytest.mark.parametrize(
    ("digest", "code"),
    [
        (SHA_512, "verified"),
        (DIGEST + ", " + SHA_512, "verified"),
        (SHA_512 + "," + DIGEST, "verified"),
        (DIGEST + ", " + SHA_512.replace("sha-512=:", "sha-512=:AA"), "digest_mismatch"),
        (MD5, "digest_unsupported"),
        (DIGEST + ", " + MD5, "digest_unsupported"),
        ("sha=:" + "A" * 27 + "=:", "digest_unsupported"),
        ("sha-1=:" + "A" * 27 + "=:", "digest_unsupported"),
        (DIGEST + ", " + DIGEST, "digest_unsupported"),
        (DIGEST.replace(":", ""), "digest_unsupported"),
        (DIGEST + ";a=1", "digest_unsupported"),
        ("", "digest_unsupported"),
    ],
)
def test_which_digests_are_taken(digest: str, code: str) -> None:
    """SHA-256 and SHA-512, or both, when all fit; nothing else, nothing twice."""
    assert judged(signed_fields(digest)) == code
