"""Second factors: RFC 6238's own figures, which steps are taken, and how secrets are kept."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from partners.errors import SecretUnreadable
from partners.people.codes import (
    code_at,
    make_secret,
    open_secret,
    provisioning_uri,
    seal_secret,
    step_of,
    step_of_code,
)

RFC_SECRET = b"12345678901234567890"


@pytest.mark.parametrize(
    ("seconds", "code"),
    [
        (59, "94287082"),
        (1111111109, "07081804"),
        (1111111111, "14050471"),
        (1234567890, "89005924"),
        (2000000000, "69279037"),
        (20000000000, "65353130"),
    ],
)
def test_codes_are_those_of_the_standard(seconds: int, code: str) -> None:
    """RFC 6238, appendix B, SHA-1; ours are its last six digits."""
    assert code_at(RFC_SECRET, step_of(datetime.fromtimestamp(seconds, UTC))) == code[-6:]


def test_a_step_early_or_late_is_taken() -> None:
    """Phones are late; two steps are not a phone."""
    at = datetime(2017, 5, 1, 9, 0, 15, tzinfo=UTC)
    now = step_of(at)
    found = [step_of_code(RFC_SECRET, code_at(RFC_SECRET, now + away), at) for away in range(-2, 3)]
    assert found == [None, now - 1, now, now + 1, None]
    shown = code_at(RFC_SECRET, now)
    assert step_of_code(RFC_SECRET, f" {shown[:3]} {shown[3:]}", at) == now
    for wrong in ("", "12345", shown + "0", "é23456", "\ud800"):
        assert step_of_code(RFC_SECRET, wrong, at) is None


@given(st.binary(min_size=16, max_size=32), st.text(min_size=1, max_size=10))
def test_a_sealed_secret_opens_for_its_operator_alone(secret: bytes, name: str) -> None:
    """Not under another key, not as another's, not with a bit changed; and twice sealed looks different."""
    name = name.encode(errors="replace").decode()
    key, other = bytes(32), bytes(31) + b"\x01"
    sealed = seal_secret(secret, key, name)
    assert open_secret(sealed, key, name) == secret
    assert secret not in sealed
    assert sealed != seal_secret(secret, key, name)
    changed = sealed[:-1] + bytes([sealed[-1] ^ 1])
    for what, under, whose in ((sealed, other, name), (sealed, key, name + "x"), (changed, key, name)):
        with pytest.raises(SecretUnreadable):
            open_secret(what, under, whose)
    with pytest.raises(SecretUnreadable):
        open_secret(b"", key, name)


def test_an_authenticator_is_told_all_it_needs() -> None:
    """Kind, name, issuer, digits, period, and the secret in base 32."""
    uri = provisioning_uri(RFC_SECRET, "anna")
    assert uri.startswith("otpauth://totp/Tessera:anna?")
    for piece in ("digits=6", "period=30", "issuer=Tessera", "secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"):
        assert piece in uri
    assert len({make_secret() for _ in range(20)}) == 20
