"""Webhooks by Standard Webhooks: who sent this, and was it just now? No I/O.

Give the raw bytes of the body: parsed and written again they are others. Several secrets are tried, so that a
secret can be rotated without losing an event.
"""

import hmac
import time
from base64 import b64decode, b64encode
from binascii import Error as NotBase64
from collections.abc import Callable, Mapping, Sequence
from hashlib import sha256
from typing import Any

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from tessera_client.errors import Unusable, WebhookInvalid

TOLERANCE_SECONDS = 300
_PREFIX = "whsec_"
_VERSION = "v1"
_PUBLIC_PREFIX, _PUBLIC_VERSION = "whpk_", "v1a"
_FIELDS = ("webhook-id", "webhook-timestamp", "webhook-signature")


class Event(msgspec.Struct, frozen=True):
    """A webhook that was verified. The same event may come more than once: remember `id`."""

    id: str
    timestamp: int
    payload: bytes

    def json(self) -> Any:
        """The payload, read."""
        return msgspec.json.decode(self.payload)


def verify_webhook(
    payload: bytes,
    headers: Mapping[str, str],
    secrets: str | Sequence[str],
    *,
    tolerance_seconds: int = TOLERANCE_SECONDS,
    now: Callable[[], float] = time.time,  # noqa: TID251 - this machine's clock, unless one is given
) -> Event:
    """Verify a webhook that came.

    Args:
        payload: The raw body.
        headers: Its header fields, in any spelling of their names.
        secrets: "whsec_…", or for Ed25519 the public key "whpk_…"; one or several.
        tolerance_seconds: How far its time may be from ours, either way.
        now: The clock, in Unix seconds.
    Raises:
        WebhookInvalid: it is not one of ours, was changed, or is too old or too new.
        Unusable: a secret is none.
    """
    fields = {name.lower(): value for name, value in headers.items()}
    missing = [name for name in _FIELDS if not fields.get(name)]
    if missing:
        raise WebhookInvalid(f"no header {', '.join(missing)}: this is no webhook")
    webhook_id, stamp, given = (fields[name] for name in _FIELDS)
    if not (stamp.isascii() and stamp.isdigit() and len(stamp) <= 12):
        raise WebhookInvalid("webhook-timestamp is no time")
    if abs(now() - int(stamp)) > tolerance_seconds:
        raise WebhookInvalid(
            f"webhook-timestamp is more than {tolerance_seconds} s away: an old one, replayed?"
        )
    signed = _message(payload, webhook_id, int(stamp))
    held = [secrets] if isinstance(secrets, str) else secrets
    # Every pair is compared, in constant time each.
    fits = [_is_signed(one, signed, secret) for one in given.split(" ") for secret in held]
    if not any(fits):
        raise WebhookInvalid("webhook-signature fits none of the secrets: is the payload the raw body?")
    return Event(webhook_id, int(stamp), payload)


def sign_webhook(payload: bytes, webhook_id: str, timestamp: int, secret: str) -> str:
    """The signature of a webhook, as the field has it: "v1,…"; for tests of your own receiver.

    Raises:
        Unusable: the secret is none.
    """
    message = _message(payload, webhook_id, timestamp)
    return f"{_VERSION},{b64encode(hmac.digest(_key_of(secret), message, sha256)).decode()}"


def _message(payload: bytes, webhook_id: str, timestamp: int) -> bytes:
    return b"%b.%d.%b" % (webhook_id.encode(), timestamp, payload)


def _is_signed(signature: str, message: bytes, secret: str) -> bool:
    """Whether one signature of the header is one secret's, or one public key's."""
    if not secret.startswith(_PUBLIC_PREFIX):
        made = b64encode(hmac.digest(_key_of(secret), message, sha256)).decode()
        return hmac.compare_digest(signature.encode(), f"{_VERSION},{made}".encode())
    version, _, given = signature.partition(",")
    try:
        key = Ed25519PublicKey.from_public_bytes(
            b64decode(secret.removeprefix(_PUBLIC_PREFIX), validate=True)
        )
    except (NotBase64, ValueError) as error:
        raise Unusable(f"a webhook's public key is {_PUBLIC_PREFIX} and base64 of 32 bytes") from error
    try:
        key.verify(b64decode(given, validate=True), message)
    except (InvalidSignature, NotBase64, ValueError):
        return False
    return version == _PUBLIC_VERSION


def _key_of(secret: str) -> bytes:
    try:
        key = b64decode(secret.removeprefix(_PREFIX), validate=True)
    except (NotBase64, ValueError) as error:
        raise Unusable(f"a webhook secret is {_PREFIX} and base64") from error
    if not key:
        raise Unusable("the webhook secret is empty: anybody could sign with it")
    return key
