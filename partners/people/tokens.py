"""Access tokens: JSON Web Tokens signed with Ed25519, good for ten minutes.

The library accepts a token of any `typ` and one without `exp`, and looks at the clock itself; here the header
has exactly three fields, every claim is required, and the time is an argument.
"""

import hashlib
import secrets
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import jwt
import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from partners.errors import TokenRefused

ISSUER = "tessera"
AUDIENCE = "tessera-operator"
TYPE = "tessera-operator+jwt"
LIVES = timedelta(minutes=10)
LONGEST = 2_048
_ALGORITHM = "EdDSA"
_HEADER = {"alg", "typ", "kid"}
_CLAIMS = ["iss", "aud", "sub", "sid", "jti", "iat", "exp"]
_SLACK = 5
"""Seconds by which another process's clock may be ahead of ours."""


class OperatorKeys(msgspec.Struct, frozen=True):
    """The keys of operators' sessions and secrets, both of one file."""

    signing: Ed25519PrivateKey
    secrets: bytes

    @classmethod
    def of(cls, private: Ed25519PrivateKey) -> "OperatorKeys":
        """The keys that a private key makes: it signs, and what is derived of it encrypts."""
        derived = HKDF(SHA256(), 32, salt=None, info=b"tessera operators' second factors, version 1")
        return cls(private, derived.derive(private.private_bytes_raw()))


def members_keys(operators: OperatorKeys) -> OperatorKeys:
    """The keys of members' sessions and cards: derived of the operators', and of no use in their place."""
    derived = HKDF(SHA256(), 32, salt=None, info=b"tessera members' sessions and cards, version 1")
    seed = derived.derive(operators.signing.private_bytes_raw())
    return OperatorKeys.of(Ed25519PrivateKey.from_private_bytes(seed))


class Kind(msgspec.Struct, frozen=True):
    """Whom tokens are for: audience and `typ` keep those of operators and of members apart."""

    audience: str
    type: str


OPERATOR = Kind(AUDIENCE, TYPE)
MEMBER = Kind("tessera-member", "tessera-member+jwt")


class Claims(msgspec.Struct, frozen=True):
    """Who a token speaks of, and in which session."""

    operator_id: str
    session_id: UUID


def mint(keys: OperatorKeys, subject: str, session_id: UUID, now: datetime, kind: Kind = OPERATOR) -> str:
    """An access token."""
    issued = int(now.timestamp())
    claims = {
        "iss": ISSUER,
        "aud": kind.audience,
        "sub": subject,
        "sid": session_id.hex,
        "jti": secrets.token_hex(12),
        "iat": issued,
        "exp": issued + int(LIVES.total_seconds()),
    }
    header = {"typ": kind.type, "kid": key_id(keys.signing.public_key())}
    return jwt.encode(claims, keys.signing, algorithm=_ALGORITHM, headers=header)


def read(keys: OperatorKeys, token: str, now: datetime, kind: Kind = OPERATOR) -> Claims:
    """What a token says, if it is ours and its time is now.

    Raises:
        TokenRefused: it is not, for whatever reason.
    """
    try:
        if len(token) > LONGEST:
            raise TokenRefused("the token is too long")
        header = jwt.get_unverified_header(token)
        public = keys.signing.public_key()
        if set(header) != _HEADER or header["typ"] != kind.type or header["kid"] != key_id(public):
            raise TokenRefused("the token's header is not one of ours")
        claims = jwt.decode(
            token,
            public,
            algorithms=[_ALGORITHM],
            audience=kind.audience,
            issuer=ISSUER,
            options={
                "require": _CLAIMS,
                "strict_aud": True,
                "verify_exp": False,  # by the given time, below
                "verify_iat": False,
                "verify_nbf": False,
            },
        )
        _require_time(claims, now)
        return Claims(str(claims["sub"]), UUID(hex=claims["sid"]))
    except (jwt.PyJWTError, ValueError, TypeError, AttributeError, RecursionError) as error:
        raise TokenRefused("the token is not one of ours") from error


def key_id(public: Ed25519PublicKey) -> str:
    """The name of a key: the first bytes of the hash of its public half."""
    return hashlib.sha256(public.public_bytes_raw()).hexdigest()[:16]


def _require_time(claims: dict[str, Any], now: datetime) -> None:
    issued, ends = claims["iat"], claims["exp"]
    if type(issued) is not int or type(ends) is not int or "nbf" in claims:
        raise TokenRefused("the token's times are not ours")
    if not 0 < ends - issued <= LIVES.total_seconds():
        raise TokenRefused("the token lives longer than ours do")
    if issued > now.timestamp() + _SLACK:
        raise TokenRefused("the token is of the future")
    if ends <= now.timestamp():
        raise TokenRefused("the token's time is over")
