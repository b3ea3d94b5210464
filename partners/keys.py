"""Signing keys: which public keys we accept, and whether one may sign at an instant (pure).

A key holds for [not_before, not_after) unless it was revoked; several keys of a partner may hold at once,
which is how a partner rotates them.
"""

from datetime import datetime
from functools import lru_cache
from typing import Literal

import msgspec
from nacl.exceptions import BadSignatureError
from nacl.signing import VerifyKey

from partners.model import PartnerKey

KeyProblem = Literal["key_revoked", "key_not_yet_valid", "key_expired"]
NewKeyProblem = Literal[
    "weak_key", "key_malformed", "key_interval", "possession_not_proven", "key_id_taken", "too_many_keys"
]

MAX_KEY_ID_LENGTH = 128
TEST_PREFIX = "test_"
"""Begins the ids of all keys of the test mode, and of no others. So a key of the other mode is named as that
before it is looked for, and the proof of possession, which names the id, is good for one mode."""
_FIELD_PRIME = 2**255 - 19
_CURVE_D = -121665 * pow(121666, -1, _FIELD_PRIME) % _FIELD_PRIME
_Y_MASK = 2**255 - 1
_UNQUOTED = frozenset(map(chr, range(0x21, 0x7F))) - {'"', "\\"}

LOW_ORDER_KEYS = frozenset(
    bytes.fromhex(encoding)
    for encoding in (
        # y = 1, the neutral point; then with the sign bit of x = 0 set, and both as y = p + 1
        "0100000000000000000000000000000000000000000000000000000000000000",
        "0100000000000000000000000000000000000000000000000000000000000080",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
        # y = -1, order 2; then with the sign bit set
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
        # y = 0, order 4, both signs; then both as y = p
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0000000000000000000000000000000000000000000000000000000000000080",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
        # order 8: two values of y, both signs each
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
    )
)
"""Every encoding, canonical or not, of the eight points of low order: under them signatures can be forged."""


class KeyRefused(msgspec.Struct, frozen=True):
    """Why a key is not taken into the register. `code` is a fact, `detail` says what to do."""

    code: NewKeyProblem
    detail: str


def is_of_test_mode(key_id: str) -> bool:
    """Whether an id is one of the test mode's keys."""
    return key_id.startswith(TEST_PREFIX)


def problem_at(key: PartnerKey, at: datetime) -> KeyProblem | None:
    """What keeps a key from signing at an instant, or None. Revocation outweighs the interval."""
    if key.revoked_at is not None and key.revoked_at <= at:
        return "key_revoked"
    if at < key.not_before:
        return "key_not_yet_valid"
    if key.not_after is not None and at >= key.not_after:
        return "key_expired"
    return None


def check_public_key(raw: bytes) -> KeyRefused | None:
    """Whether 32 bytes are the canonical encoding of a curve point that is not of low order.

    Source: RFC 8032, 5.1.3 (decoding); the `cryptography` library tests none of this.
    """
    if len(raw) != 32:
        return KeyRefused("key_malformed", f"an Ed25519 public key has 32 bytes, this one has {len(raw)}")
    if raw in LOW_ORDER_KEYS:
        return KeyRefused("weak_key", "a point of low order, for which anybody can sign: make new keys")
    y = int.from_bytes(raw, "little") & _Y_MASK
    if y >= _FIELD_PRIME or not _is_on_curve(y):
        return KeyRefused("key_malformed", "these bytes are no point of the curve: send the raw public key")
    return None


def _is_on_curve(y: int) -> bool:
    """Whether x² = (y² - 1) / (d·y² + 1) has a root (Euler's criterion)."""
    y_squared = y * y
    x_squared = (y_squared - 1) * pow(_CURVE_D * y_squared + 1, -1, _FIELD_PRIME) % _FIELD_PRIME
    return pow(x_squared, (_FIELD_PRIME - 1) // 2, _FIELD_PRIME) in (0, 1)


@lru_cache(maxsize=4096)
def public_key(raw: bytes) -> VerifyKey | None:
    """The key object of accepted bytes, made once and kept; None where they are not accepted."""
    return None if check_public_key(raw) else VerifyKey(raw)


def is_signed(key: VerifyKey, message: bytes, signature: bytes) -> bool:
    """Whether 64 bytes are the key's signature of a message.

    Every request passes here. libsodium answers in half of OpenSSL's time (61 and 122 µs where we measured),
    refuses low-order points by itself too, and lets other threads run meanwhile.
    """
    try:
        key.verify(message, signature)
    except (BadSignatureError, ValueError):  # ValueError: not 64 bytes
        return False
    return True


def possession_statement(key: PartnerKey) -> bytes:
    """What the owner of a new key signs with it, so that nobody registers the key of another."""
    return b"tessera key registration v1\n%d\n%s\n%s" % (
        key.partner_id,
        key.key_id.encode(),
        key.public_key.hex().encode(),
    )


def check_new_key(key: PartnerKey) -> KeyRefused | None:
    """Whether a key may enter the register: its id, its interval and its point. Ids taken are the store's."""
    if not 0 < len(key.key_id) <= MAX_KEY_ID_LENGTH or not set(key.key_id) <= _UNQUOTED:
        return KeyRefused(
            "key_malformed",
            f"a key id has 1 to {MAX_KEY_ID_LENGTH} printable ASCII characters, no space, quote or backslash",
        )
    instants = [key.not_before, *filter(None, (key.not_after, key.revoked_at))]
    if any(instant.tzinfo is None for instant in instants):
        return KeyRefused("key_interval", "the instants of a key carry a zone: send RFC 3339 with an offset")
    if key.not_after is not None and key.not_after <= key.not_before:
        return KeyRefused("key_interval", "not_after must come after not_before")
    return check_public_key(key.public_key)


def check_possession(key: PartnerKey, proof: bytes) -> KeyRefused | None:
    """Whether `proof` (64 bytes) is the new key's own signature of its `possession_statement`."""
    loaded = public_key(key.public_key)
    if loaded is None:
        return check_public_key(key.public_key)
    if not is_signed(loaded, possession_statement(key), proof):
        return KeyRefused("possession_not_proven", "sign the possession statement with the new key itself")
    return None
