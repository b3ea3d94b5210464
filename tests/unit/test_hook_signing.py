"""Signatures, secrets and schedule of webhooks, by the specification's own example and by hand."""

from base64 import b64decode
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from partners.errors import SecretUnreadable
from partners.hooks.schedule import DELAYS, after_failure, is_given_up, rests_until
from partners.hooks.signing import (
    HookKey,
    Secret,
    headers_of,
    new_secret,
    read_secret,
    seal,
    show_public_key,
    unseal,
)

AT = datetime(2017, 5, 1, 9, 0, tzinfo=UTC)
ENDPOINT, OTHER = UUID(int=7), UUID(int=8)
KEY = HookKey.of(Ed25519PrivateKey.from_private_bytes(bytes(32)))


def test_the_specifications_example() -> None:
    """Secret, id, timestamp and body of the reference implementations' tests give their signature."""
    secret = Secret("v1", b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"))
    headers = headers_of("msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}', [secret])
    assert headers["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
    assert headers["webhook-timestamp"] == "1614265330"


def test_two_secrets_both_sign() -> None:
    """While one is rotated; `v1a` verifies under the public key that is shown, and for this body alone."""
    old, new = new_secret("v1a"), new_secret("v1a")
    said = headers_of("evt_1", 17, b"{}", [new, old])["webhook-signature"].split(" ")
    assert len(said) == 2
    for signature, secret in zip(said, (new, old), strict=True):
        version, _, value = signature.partition(",")
        shown = show_public_key(secret.public_key or b"")
        key = Ed25519PublicKey.from_public_bytes(b64decode(shown.removeprefix("whpk_")))
        key.verify(b64decode(value), b"evt_1.17.{}")
        with pytest.raises(InvalidSignature):
            key.verify(b64decode(value), b"evt_1.17.[]")
        assert version == "v1a"


def test_a_secret_is_read_as_it_is_shown() -> None:
    """whsec_ and whsk_, 32 bytes; nothing else is one."""
    for one in (new_secret("v1"), new_secret("v1a")):
        assert read_secret(one.shown) == one
    for bad in ("", "whsec_", "whsec_AAAA", "whsec_!!", "whpk_" + "A" * 44, new_secret("v1").shown[:-1]):
        assert read_secret(bad) is None


def test_a_sealed_secret_is_its_endpoints_alone() -> None:
    """Another endpoint's, another kind's, another key's or a changed one does not open."""
    secret = new_secret("v1")
    sealed = seal(secret, KEY, ENDPOINT)
    assert secret.raw not in sealed
    assert unseal(sealed, "v1", KEY, ENDPOINT) == secret
    another = HookKey.of(Ed25519PrivateKey.from_private_bytes(bytes(31) + b"\1"))
    for sealed_so, kind, key, endpoint_id in (
        (sealed, "v1", KEY, OTHER),
        (sealed, "v1a", KEY, ENDPOINT),
        (sealed, "v1", another, ENDPOINT),
        (sealed[:-1] + bytes([sealed[-1] ^ 1]), "v1", KEY, ENDPOINT),
        (b"", "v1", KEY, ENDPOINT),
    ):
        with pytest.raises(SecretUnreadable, match="TESSERA_WEBHOOK_KEY"):
            unseal(sealed_so, kind, key, endpoint_id)  # type: ignore[arg-type]  # of the two


def test_the_schedule() -> None:
    """0 s, 5 s, 5 m, 30 m, 2 h, 5 h, 10 h, 14 h, 20 h, 24 h; a tenth more at most, never less; then none."""
    minutes = [0, 5 / 60, 5, 30, 120, 300, 600, 840, 1200, 1440]
    assert [delay / timedelta(minutes=1) for delay in DELAYS] == pytest.approx(minutes)
    for attempts in range(1, 10):
        soonest, latest = (after_failure(attempts, AT, jitter).due_at for jitter in (0.0, 1.0))
        assert soonest == AT + DELAYS[attempts]
        assert latest == AT + DELAYS[attempts] * 1.1
    assert after_failure(10, AT, 0.5).due_at is None


def test_an_endpoint_that_fails_and_fails_is_left_in_peace() -> None:
    """Four failures are met by the schedules alone; then it rests 5 s, and longer up to five minutes."""
    rests = [rests_until(failures, AT) for failures in (0, 4, 5, 6, 10, 11, 1_000)]
    seconds = [None if one is None else (one - AT).total_seconds() for one in rests]
    assert seconds == [None, None, 5, 10, 160, 300, 300]


def test_when_an_endpoint_is_given_up() -> None:
    """Where nothing got through since a delivery that used up its schedule began; else that one alone is."""
    assert is_given_up(AT, None)
    assert is_given_up(AT, AT - timedelta(days=1))
    assert not is_given_up(AT, AT + timedelta(seconds=1))
