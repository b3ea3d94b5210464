"""Signatures of deliveries as Standard Webhooks has them: `v1` by a shared secret, `v1a` by Ed25519 (pure).

What is signed is `id.timestamp.body`. Each endpoint has secrets of its own, so that what was signed for one
partner is of no use at another's. They are kept encrypted (AES-256-GCM, bound to their endpoint) under a key
that is not in the database. Source: github.com/standard-webhooks/standard-webhooks, specification 1.0.
"""

import hmac
import secrets
from base64 import b64decode, b64encode
from binascii import Error as NotBase64
from collections.abc import Callable, Sequence
from typing import Literal
from uuid import UUID

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from partners.errors import SecretUnreadable

Signature = Literal["v1", "v1a"]

SECRET_BYTES = 32
_NONCE_BYTES = 12
_PREFIXES = {"v1": "whsec_", "v1a": "whsk_"}
_PUBLIC_PREFIX = "whpk_"


class HookKey(msgspec.Struct, frozen=True):
    """What secrets of endpoints are encrypted under."""

    secrets: bytes

    @classmethod
    def of(cls, private: Ed25519PrivateKey) -> "HookKey":
        """The key that is derived of a private key, which is used for nothing else."""
        derived = HKDF(SHA256(), 32, salt=None, info=b"tessera webhooks' secrets, version 1")
        return cls(derived.derive(private.private_bytes_raw()))


class Secret(msgspec.Struct, frozen=True):
    """32 bytes: of HMAC-SHA256 (`v1`), or the seed of an Ed25519 key (`v1a`)."""

    signature: Signature
    raw: bytes

    @property
    def shown(self) -> str:
        """As libraries take it: whsec_… or whsk_…"""
        return _PREFIXES[self.signature] + b64encode(self.raw).decode()

    @property
    def public_key(self) -> bytes | None:
        """What verifies `v1a`, 32 raw bytes."""
        if self.signature == "v1":
            return None
        return Ed25519PrivateKey.from_private_bytes(self.raw).public_key().public_bytes_raw()


def show_public_key(raw: bytes) -> str:
    """A public key as libraries take it: whpk_…"""
    return _PUBLIC_PREFIX + b64encode(raw).decode()


def new_secret(signature: Signature, token_bytes: Callable[[int], bytes] = secrets.token_bytes) -> Secret:
    """A new secret."""
    return Secret(signature, token_bytes(SECRET_BYTES))


def read_secret(shown: str) -> Secret | None:
    """The secret behind whsec_… or whsk_…; None where it is none."""
    known: tuple[Signature, ...] = ("v1", "v1a")
    for signature in known:
        prefix = _PREFIXES[signature]
        if shown.startswith(prefix):
            try:
                raw = b64decode(shown.removeprefix(prefix), validate=True)
            except (NotBase64, ValueError):
                return None
            return Secret(signature, raw) if len(raw) == SECRET_BYTES else None
    return None


def headers_of(webhook_id: str, timestamp: int, body: bytes, signing: Sequence[Secret]) -> dict[str, str]:
    """The three headers of a delivery; while a secret is rotated the old one signs beside the new.

    Args:
        webhook_id: Of the event: the same in each attempt.
        timestamp: Of the attempt, seconds since 1970.
        body: The bytes that are sent.
        signing: Secrets of the endpoint, the newest first.
    """
    said = f"{webhook_id}.{timestamp}.".encode() + body
    return {
        "webhook-id": webhook_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": " ".join(f"{one.signature},{_sign(one, said)}" for one in signing),
    }


def _sign(secret: Secret, said: bytes) -> str:
    if secret.signature == "v1":
        return b64encode(hmac.digest(secret.raw, said, "sha256")).decode()
    return b64encode(Ed25519PrivateKey.from_private_bytes(secret.raw).sign(said)).decode()


def seal(secret: Secret, key: HookKey, endpoint_id: UUID) -> bytes:
    """A secret as it is stored: nonce, then ciphertext and tag."""
    nonce = secrets.token_bytes(_NONCE_BYTES)
    return nonce + AESGCM(key.secrets).encrypt(nonce, secret.raw, _bound(secret.signature, endpoint_id))


def unseal(sealed: bytes, signature: Signature, key: HookKey, endpoint_id: UUID) -> Secret:
    """A stored secret.

    Raises:
        SecretUnreadable: it was sealed under another key or for another endpoint, or changed.
    """
    try:
        bound = _bound(signature, endpoint_id)
        return Secret(
            signature, AESGCM(key.secrets).decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], bound)
        )
    except (InvalidTag, ValueError) as error:
        raise SecretUnreadable(
            f"the secret of webhook endpoint {endpoint_id} cannot be read: it was made under another key of"
            " webhooks; put that key's file back (TESSERA_WEBHOOK_KEY), or let the partner rotate the secret"
        ) from error


def _bound(signature: str, endpoint_id: UUID) -> bytes:
    return f"{signature} {endpoint_id}".encode()
