"""Which keys may sign, and when."""

from base64 import b64encode
from datetime import timedelta

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from partners.model import PartnerKey
from partners.signature import Verified, sign_request, verify_request
from partners.signature_fields import SignatureRefused
from tests.signing import BODY, CREATED, FIELDS, KEY, KEY_ID, NOW, head_of, judged


def test_the_keys_state_is_named() -> None:
    """An unknown, a revoked, an ended and a future key are told apart."""
    other = PartnerKey(key_id="other", partner_id=11, public_key=KEY.public_key, not_before=KEY.not_before)
    revoked = PartnerKey(
        key_id=KEY_ID, partner_id=11, public_key=KEY.public_key, not_before=KEY.not_before, revoked_at=NOW
    )
    ended = PartnerKey(
        key_id=KEY_ID, partner_id=11, public_key=KEY.public_key, not_before=KEY.not_before, not_after=NOW
    )
    future = PartnerKey(
        key_id=KEY_ID, partner_id=11, public_key=KEY.public_key, not_before=NOW + timedelta(seconds=1)
    )
    codes = [judged(FIELDS, key=key) for key in (other, revoked, ended, future)]
    assert codes == ["key_unknown", "key_revoked", "key_expired", "key_not_yet_valid"]


def test_two_keys_of_a_partner_hold_at_once() -> None:
    """While keys are rotated both sign; after the old one is revoked, only the new one."""
    new = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
    new_key = PartnerKey(
        key_id="new", partner_id=11, public_key=new.public_key().public_bytes_raw(), not_before=NOW
    )
    later = NOW + timedelta(seconds=20)
    old_revoked = PartnerKey(
        key_id=KEY_ID,
        partner_id=11,
        public_key=KEY.public_key,
        not_before=KEY.not_before,
        revoked_at=NOW + timedelta(seconds=10),
    )
    keys = {KEY_ID: old_revoked, "new": new_key}
    by_new = sign_request(
        new, "new", method="POST", authority="api.example.com", path="/v1/earn", body=BODY, created=CREATED
    )
    assert isinstance(verify_request(head_of(FIELDS), BODY, keys, NOW), Verified)
    assert isinstance(verify_request(head_of(by_new), BODY, keys, NOW), Verified)
    assert isinstance(verify_request(head_of(by_new), BODY, keys, later), Verified)
    refused = verify_request(head_of(FIELDS), BODY, keys, later)
    assert isinstance(refused, SignatureRefused)
    assert refused.code == "key_revoked"


def test_anybody_can_sign_under_a_point_of_low_order_so_we_refuse_it() -> None:
    """The library takes the neutral point as a key, and a signature that nobody made; we do not."""
    weak = bytes([1]) + bytes(31)
    forged = weak + bytes(32)
    Ed25519PublicKey.from_public_bytes(weak).verify(forged, b"whatever was not signed")
    fields = {**FIELDS, "signature": f"sig1=:{b64encode(forged).decode()}:"}
    key = PartnerKey(key_id=KEY_ID, partner_id=11, public_key=weak, not_before=KEY.not_before)
    assert judged(fields, key=key) == "weak_key"
