"""Which keys may sign, and when."""

from base64 import b64encode
from datetime import UTC, datetime, timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from msgspec import structs

from partners.keys import (
    LOW_ORDER_KEYS,
    check_new_key,
    check_possession,
    possession_statement,
    problem_at,
    public_key,
)
from partners.model import PartnerKey
from partners.signature import Verified, verify_request
from partners.signature_fields import SignatureRefused
from tests.signing import BODY, CREATED, FIELDS, KEY, KEY_ID, NOW, RFC_KEY, head_of, judged, sign_request


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


def test_a_key_holds_from_its_beginning_up_to_its_end() -> None:
    """not_before is in, not_after and revoked_at are out, and a revocation outweighs the interval."""
    begin, end = datetime(2026, 1, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC)
    second = timedelta(seconds=1)
    key = PartnerKey(key_id="k", partner_id=11, public_key=KEY.public_key, not_before=begin, not_after=end)
    assert problem_at(key, begin - second) == "key_not_yet_valid"
    assert problem_at(key, begin) is None
    assert problem_at(key, end - second) is None
    assert problem_at(key, end) == "key_expired"
    revoked = structs.replace(key, revoked_at=datetime(2026, 6, 1, tzinfo=UTC))
    assert problem_at(revoked, datetime(2026, 5, 31, tzinfo=UTC)) is None
    assert problem_at(revoked, datetime(2026, 6, 1, tzinfo=UTC)) == "key_revoked"
    assert problem_at(revoked, end) == "key_revoked"


def encodings_of_low_order_points() -> set[bytes]:
    """All strings of 32 bytes that decode to a point P with 8·P = 0, worked out from the curve."""
    p, d = 2**255 - 19, -121665 * pow(121666, -1, 2**255 - 19) % (2**255 - 19)

    def add(a: tuple[int, int], b: tuple[int, int]) -> tuple[int, int]:
        cross = d * a[0] * b[0] * a[1] * b[1]
        x = (a[0] * b[1] + b[0] * a[1]) * pow(1 + cross, -1, p) % p
        y = (a[1] * b[1] + a[0] * b[0]) * pow(1 - cross, -1, p) % p
        return x, y

    def of_order_eight() -> tuple[int, int]:
        # Any point times the prime order of the large subgroup leaves what has an order up to 8.
        prime_order = 2**252 + 27742317777372353535851937790883648493
        root_of_minus_one = pow(2, (p - 1) // 4, p)
        for y in range(2, 100):
            square = (y * y - 1) * pow(d * y * y + 1, -1, p) % p
            x = pow(square, (p + 3) // 8, p)
            if x * x % p != square:
                x = x * root_of_minus_one % p
            if x * x % p != square:
                continue
            point, power, left = (0, 1), (x, y), prime_order
            while left:
                point = add(point, power) if left & 1 else point
                power, left = add(power, power), left >> 1
            doubled = add(point, point)
            if add(doubled, doubled) != (0, 1):
                return point
        raise AssertionError("no point of order 8 was found")

    generator = of_order_eight()
    point, found = (0, 1), set()
    for _ in range(8):
        point = add(point, generator)
        for y in filter(lambda y: y < 2**255, (point[1], point[1] + p)):
            signs = (0, 1) if point[0] == 0 else (point[0] & 1,)
            found |= {(y | sign << 255).to_bytes(32, "little") for sign in signs}
    return found


def test_the_block_list_is_every_encoding_of_a_low_order_point() -> None:
    """The fourteen literals are what the curve's arithmetic gives, non-canonical spellings included."""
    assert encodings_of_low_order_points() == LOW_ORDER_KEYS
    assert len(LOW_ORDER_KEYS) == 14


@pytest.mark.parametrize("raw", sorted(LOW_ORDER_KEYS), ids=bytes.hex)
def test_low_order_points_are_no_keys(raw: bytes) -> None:
    """Each is refused as a new key, and makes no key object."""
    refused = check_new_key(structs.replace(KEY, public_key=raw))
    assert refused is not None
    assert refused.code == "weak_key"
    assert public_key(raw) is None


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"public_key": KEY.public_key[:31]}, "key_malformed"),
        ({"public_key": KEY.public_key + b"\0"}, "key_malformed"),
        ({"public_key": (2).to_bytes(32, "little")}, "key_malformed"),
        ({"public_key": (2**255 - 1).to_bytes(32, "little")}, "key_malformed"),
        ({"key_id": ""}, "key_malformed"),
        ({"key_id": "k" * 129}, "key_malformed"),
        ({"key_id": 'a"b'}, "key_malformed"),
        ({"key_id": "a\\b"}, "key_malformed"),
        ({"key_id": "a b"}, "key_malformed"),
        ({"key_id": "clé"}, "key_malformed"),
        ({"not_after": KEY.not_before}, "key_interval"),
        ({"not_before": datetime(2026, 1, 1)}, "key_interval"),  # noqa: DTZ001  # what is refused
    ],
)
def test_what_is_no_new_key(changed: dict[str, object], code: str) -> None:
    """Ids that a header cannot carry, times that make no interval, and bytes that are no point."""
    refused = check_new_key(structs.replace(KEY, **changed))
    assert refused is not None
    assert refused.code == code


def test_a_good_key_is_taken_and_its_object_kept() -> None:
    """The fixture's key passes, and the key object is made once."""
    assert check_new_key(KEY) is None
    assert public_key(KEY.public_key) is public_key(bytes(KEY.public_key))


def test_possession_is_proven_with_the_key_itself() -> None:
    """Its own signature over its id and owner is a proof; another statement's, or another key's, is none."""
    statement = possession_statement(KEY)
    assert statement == (
        b"tessera key registration v1\n11\ntest-key-ed25519\n"
        b"26b40b8f93fff3d897112f7ebc582b232dbd72517d082fe83cfb30ddce43d1bb"
    )
    assert check_possession(KEY, RFC_KEY.sign(statement)) is None
    other = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
    for proof in (other.sign(statement), RFC_KEY.sign(statement + b"\n"), bytes(64), b""):
        refused = check_possession(KEY, proof)
        assert refused is not None
        assert refused.code == "possession_not_proven"
    stolen = structs.replace(KEY, partner_id=12)
    refused = check_possession(stolen, RFC_KEY.sign(statement))
    assert refused is not None
    assert refused.code == "possession_not_proven"
