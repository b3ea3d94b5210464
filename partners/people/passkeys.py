"""Passkeys as the relying party sees them: Web Authentication, level 2, without attestation (pure).

A passkey is registered by who has signed in already, so who made the authenticator does not matter; the
browser gives the public key as SubjectPublicKeyInfo (`getPublicKey()`), and nothing here reads CBOR. Both
times the authenticator must have seen and verified its user. Source: w3.org/TR/webauthn-2, 7.1 and 7.2.
"""

import hmac
import json
from base64 import urlsafe_b64encode
from hashlib import sha256
from typing import Any, Literal

import msgspec
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_der_public_key

from partners.errors import SignInRefused

ALGORITHMS = (-7, -8)
"""ES256 and EdDSA, by their COSE numbers: what a browser is asked for."""
CHALLENGE_BYTES = 32
LONGEST_ID = 1_023
_USER_PRESENT, _USER_VERIFIED, _ATTESTED = 0x01, 0x04, 0x40
_HEAD = 37
_AAGUID = 16

Ceremony = Literal["webauthn.create", "webauthn.get"]


class RelyingParty(msgspec.Struct, frozen=True):
    """Who we are to a browser: the host, and the origins of our pages and apps."""

    rp_id: str
    origins: frozenset[str]


class Credential(msgspec.Struct, frozen=True, kw_only=True):
    """A passkey: its id, its public key (SubjectPublicKeyInfo, DER), how often it signed, if it counts."""

    credential_id: bytes
    public_key: bytes
    sign_count: int


def register(
    party: RelyingParty, challenge: bytes, client_data: bytes, authenticator_data: bytes, public_key: bytes
) -> Credential:
    """The passkey that a browser has made for a challenge.

    Raises:
        SignInRefused: what came is not of this challenge, of ours, or of a kind that we take.
    """
    _require_client(party, challenge, client_data, "webauthn.create")
    count = _require_authenticator(party, authenticator_data)
    if not authenticator_data[32] & _ATTESTED or len(authenticator_data) < _HEAD + _AAGUID + 2:
        raise SignInRefused("there is no credential in it")
    rest = authenticator_data[_HEAD + _AAGUID :]
    length = int.from_bytes(rest[:2])
    credential_id = rest[2 : 2 + length]
    if not 0 < length <= LONGEST_ID or len(credential_id) != length:
        raise SignInRefused("the credential's id is cut off")
    _read_key(public_key)
    return Credential(credential_id=credential_id, public_key=public_key, sign_count=count)


def prove(
    party: RelyingParty,
    credential: Credential,
    challenge: bytes,
    client_data: bytes,
    authenticator_data: bytes,
    signature: bytes,
) -> int:
    """How often a passkey has signed, once it has signed a challenge.

    Raises:
        SignInRefused: it has not, or there are two of it.
    """
    _require_client(party, challenge, client_data, "webauthn.get")
    count = _require_authenticator(party, authenticator_data)
    signed = authenticator_data + sha256(client_data).digest()
    key = _read_key(credential.public_key)
    try:
        if isinstance(key, Ed25519PublicKey):
            key.verify(signature, signed)
        else:
            key.verify(signature, signed, ECDSA(SHA256()))
    except InvalidSignature as error:
        raise SignInRefused("the signature is not the passkey's") from error
    if (count or credential.sign_count) and count <= credential.sign_count:
        raise SignInRefused("the passkey counts backwards: there are two of it")
    return count


def _require_client(party: RelyingParty, challenge: bytes, client_data: bytes, ceremony: Ceremony) -> None:
    """What the browser says of the page that asked."""
    try:
        said: Any = json.loads(client_data)
    except (ValueError, RecursionError) as error:
        raise SignInRefused("the client's data are no JSON") from error
    if not isinstance(said, dict):
        raise SignInRefused("the client's data are no object")
    wanted = urlsafe_b64encode(challenge).rstrip(b"=").decode()
    given = said.get("challenge")
    if not isinstance(given, str) or not hmac.compare_digest(given.encode(), wanted.encode()):
        raise SignInRefused("it is of another challenge")
    if said.get("type") != ceremony or said.get("origin") not in party.origins:
        raise SignInRefused("it is of another ceremony or another origin")
    if said.get("crossOrigin") not in (None, False):
        raise SignInRefused("the page was inside of another's")


def _require_authenticator(party: RelyingParty, data: bytes) -> int:
    """What the authenticator says: for us, with its user, whom it has verified. How often it has signed."""
    if len(data) < _HEAD or not hmac.compare_digest(data[:32], sha256(party.rp_id.encode()).digest()):
        raise SignInRefused("it is for another relying party")
    if data[32] & (_USER_PRESENT | _USER_VERIFIED) != _USER_PRESENT | _USER_VERIFIED:
        raise SignInRefused("its user was not verified")
    return int.from_bytes(data[33:_HEAD])


def _read_key(public_key: bytes) -> EllipticCurvePublicKey | Ed25519PublicKey:
    try:
        key = load_der_public_key(public_key)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise SignInRefused("that is no public key") from error
    if isinstance(key, Ed25519PublicKey):
        return key
    if isinstance(key, EllipticCurvePublicKey) and isinstance(key.curve, SECP256R1):
        return key
    raise SignInRefused("a passkey is of ES256 or EdDSA")
