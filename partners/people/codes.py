"""Second factors: time-based one-time codes (RFC 6238), six digits, thirty seconds, a step early or late.

Secrets are kept encrypted (AES-256-GCM, bound to their operator) under a key that is not in the database: who
copies the database alone has neither a password nor a second factor. They are shown once, when they are made.
"""

import secrets
from datetime import datetime

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import constant_time
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.twofactor.totp import TOTP

from partners.errors import SecretUnreadable

SECONDS = 30
DIGITS = 6
SECRET_BYTES = 20
_NONCE_BYTES = 12
_ISSUER = "Tessera"


def make_secret() -> bytes:
    """A new secret, 160 bits."""
    return secrets.token_bytes(SECRET_BYTES)


def step_of(at: datetime) -> int:
    """Which step of thirty seconds an instant is in."""
    return int(at.timestamp()) // SECONDS


def code_at(secret: bytes, step: int) -> str:
    """The code of a step."""
    return _totp(secret).generate(step * SECONDS).decode()


def step_of_code(secret: bytes, code: str, at: datetime) -> int | None:
    """The step that a code is of, among the one before, this one and the next; None if of none."""
    given = code.strip().replace(" ", "").encode(errors="replace")
    found = None
    for step in range(step_of(at) - 1, step_of(at) + 2):
        if constant_time.bytes_eq(code_at(secret, step).encode(), given):
            found = step
    return found


def provisioning_uri(secret: bytes, operator_id: str) -> str:
    """What an authenticator reads, usually from a QR code: otpauth://totp/…"""
    return _totp(secret).get_provisioning_uri(operator_id, _ISSUER)


def seal_secret(secret: bytes, key: bytes, operator_id: str) -> bytes:
    """A secret as it is stored: nonce, then ciphertext and tag."""
    nonce = secrets.token_bytes(_NONCE_BYTES)
    return nonce + AESGCM(key).encrypt(nonce, secret, operator_id.encode())


def open_secret(sealed: bytes, key: bytes, operator_id: str) -> bytes:
    """A stored secret.

    Raises:
        SecretUnreadable: it was sealed under another key or for another operator, or changed.
    """
    try:
        return AESGCM(key).decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], operator_id.encode())
    except (InvalidTag, ValueError) as error:
        raise SecretUnreadable(
            f"the second factor of {operator_id} cannot be read: it was made under another operators' key;"
            " put that key's file back, or let admins reset the operator"
        ) from error


def _totp(secret: bytes) -> TOTP:
    # SHA-1 as every authenticator app has it; HMAC does not need what SHA-1 has lost.
    return TOTP(secret, DIGITS, SHA1(), SECONDS)  # noqa: S303
