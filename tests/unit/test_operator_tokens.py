"""Access tokens: ours for ten minutes, and nothing that only looks like one."""

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from datetime import timedelta
from typing import Any
from uuid import UUID

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from partners.errors import TokenRefused
from partners.people import tokens
from tests.people import KEYS, NOW

SESSION = UUID(int=7)
CLAIMS = {
    "iss": "tessera",
    "aud": "tessera-operator",
    "sub": "anna",
    "sid": SESSION.hex,
    "jti": "one",
    "iat": int(NOW.timestamp()),
    "exp": int(NOW.timestamp()) + 600,
}
KID = tokens.key_id(KEYS.signing.public_key())
HEADER = {"typ": "tessera-operator+jwt", "kid": KID}
PUBLIC = KEYS.signing.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def signed(claims: dict[str, Any] | None = None, header: dict[str, Any] | None = None) -> str:
    """A token under our key, with some claims and fields of the header changed; None takes one away."""
    payload = {name: value for name, value in {**CLAIMS, **(claims or {})}.items() if value is not None}
    fields = {**HEADER, **(header or {})}
    return jwt.encode(payload, KEYS.signing, algorithm="EdDSA", headers=fields)


def by_hand(header: dict[str, Any], claims: dict[str, Any], signature: bytes = b"") -> str:
    """A token of any header, signed or not by what is given."""
    parts = [json.dumps(header).encode(), json.dumps(claims).encode(), signature]
    return ".".join(urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts)


def test_a_token_of_ours_is_read_for_ten_minutes() -> None:
    """It says who and in which session, until the end of its last second and no longer."""
    made = tokens.mint(KEYS, "anna", SESSION, NOW)
    for at in (NOW, NOW + timedelta(seconds=599)):
        assert tokens.read(KEYS, made, at) == tokens.Claims("anna", SESSION)
    for at in (NOW + timedelta(seconds=600), NOW - timedelta(seconds=6)):
        with pytest.raises(TokenRefused):
            tokens.read(KEYS, made, at)
    assert tokens.read(KEYS, signed(), NOW) == tokens.Claims("anna", SESSION)


@pytest.mark.parametrize("claim", ["iss", "aud", "sub", "sid", "jti", "iat", "exp"])
def test_no_claim_may_be_missing(claim: str) -> None:
    """The library would take a token without any of them."""
    with pytest.raises(TokenRefused):
        tokens.read(KEYS, signed({claim: None}), NOW)


@pytest.mark.parametrize(
    "claims",
    [
        {"iss": "other"},
        {"aud": "tessera-member"},
        {"aud": ["tessera-operator"]},
        {"sub": 7},
        {"sid": "no id"},
        {"sid": 7},
        {"exp": CLAIMS["exp"] + 1},  # type: ignore[operator]  # a number, among texts
        {"exp": float(CLAIMS["exp"])},  # type: ignore[arg-type]  # the same
        {"exp": str(CLAIMS["exp"])},
        {"exp": CLAIMS["iat"]},
        {"iat": True},
        {"nbf": 0},
    ],
)
def test_claims_are_ours_alone(claims: dict[str, Any]) -> None:
    """Signed by our own key, and still not as we make them."""
    with pytest.raises(TokenRefused):
        tokens.read(KEYS, signed(claims), NOW)


@pytest.mark.parametrize(
    "header",
    [
        {"typ": "JWT"},
        {"typ": None},
        {"kid": "other"},
        {"jku": "https://keys.example.com/"},
        {"jwk": {"kty": "OKP"}},
        {"x5u": "https://keys.example.com/"},
        {"x5c": ["MII"]},
        {"cty": "JWT"},
    ],
)
def test_headers_are_ours_alone(header: dict[str, Any]) -> None:
    """No other kind of token, and none that says where its key is to be had."""
    with pytest.raises(TokenRefused):
        tokens.read(KEYS, signed(header=header), NOW)


def test_the_algorithm_is_not_the_tokens_to_choose() -> None:
    """Unsigned, or signed by the public key as if it were a password."""
    stranger = Ed25519PrivateKey.generate()
    forged = [
        by_hand({"alg": "none", **HEADER}, CLAIMS),
        by_hand({"alg": "None", **HEADER}, CLAIMS),
        jwt.encode(CLAIMS, KEYS.signing.public_key().public_bytes_raw(), algorithm="HS256", headers=HEADER),
        jwt.encode(CLAIMS, stranger, algorithm="EdDSA", headers=HEADER),
        by_hand({"alg": "EdDSA", **HEADER}, CLAIMS),
        by_hand({"alg": "EdDSA", **HEADER}, CLAIMS, bytes(64)),
    ]
    for token in forged:
        with pytest.raises(TokenRefused):
            tokens.read(KEYS, token, NOW)


def test_no_byte_of_a_token_can_be_changed() -> None:
    """Another claim under the same signature; and what is no token at all."""
    head, claims, signature = signed().split(".")
    said = json.loads(urlsafe_b64decode(claims + "=="))
    other = urlsafe_b64encode(json.dumps({**said, "sub": "bert"}).encode()).rstrip(b"=").decode()
    for token in (
        f"{head}.{other}.{signature}",
        f"{head}.{claims}.",
        f"{head}.{claims}",
        "",
        "a.b.c",
        "é.é.é",
    ):
        with pytest.raises(TokenRefused):
            tokens.read(KEYS, token, NOW)
    with pytest.raises(TokenRefused, match="too long"):
        tokens.read(KEYS, signed({"sub": "a" * 2_048}), NOW)


def test_keys_of_one_file_are_apart() -> None:
    """What encrypts second factors is not what signs, and follows from it."""
    again = tokens.OperatorKeys.of(KEYS.signing)
    assert again.secrets == KEYS.secrets != KEYS.signing.private_bytes_raw()
    assert len(again.secrets) == 32
    assert PUBLIC not in again.secrets
