"""Laws of signed requests: the signed is taken, whatever is changed is not, and nothing makes us raise."""

from collections.abc import Mapping
from datetime import UTC, datetime

import requests
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from http_message_signatures import HTTPMessageVerifier, MappingKeyResolver
from http_message_signatures.algorithms import ED25519
from hypothesis import assume, given
from hypothesis import strategies as st

from partners.model import PartnerKey
from partners.signature import RequestHead, Verified, verify_request
from partners.signature_fields import SignatureRefused, check_digest
from tests.signing import sign_request

CREATED = 1618884473
NOW = datetime(2021, 4, 20, 2, 7, 53, tzinfo=UTC)
PRIVATE = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
KEY = PartnerKey(
    key_id="petrol-1",
    partner_id=12,
    public_key=PRIVATE.public_key().public_bytes_raw(),
    not_before=datetime(2021, 1, 1, tzinfo=UTC),
)
KEYS = {"petrol-1": KEY}

methods = st.sampled_from(["GET", "POST", "PUT", "DELETE"])
authorities = st.from_regex(r"[a-z][a-z0-9.-]{0,20}(:[1-9][0-9]{3})?", fullmatch=True)
paths = st.from_regex(r"/v1(/([A-Za-z0-9._~-]|%[0-9A-F]{2}){1,12}){0,3}", fullmatch=True)
queries = st.from_regex(
    r"(([a-z]|%[0-9A-F]{2}){1,6}=([A-Za-z0-9_~-]|%[0-9A-F]{2}){0,9}&?){0,3}", fullmatch=True
)
quoted = st.from_regex(r'"[A-Za-z0-9-]{1,40}"', fullmatch=True)
texts = st.text(
    st.characters(codec="ascii", min_codepoint=0x20, exclude_characters='"\\', max_codepoint=0x7E)
)


@st.composite
def signed_requests(draw: st.DrawFn) -> tuple[RequestHead, bytes]:
    """A request as our client signs it, with and without body, idempotency key, expiry, nonce and alg."""
    method, authority, path, query = draw(methods), draw(authorities), draw(paths), draw(queries)
    body = draw(st.binary(max_size=64))
    fields = sign_request(
        PRIVATE,
        "petrol-1",
        method=method,
        authority=authority,
        path=path,
        query=query,
        body=body,
        content_type=draw(st.sampled_from(["application/json", "application/x-ndjson"])),
        idempotency_key=draw(st.none() | quoted),
        created=CREATED,
        expires=draw(st.none() | st.integers(CREATED, CREATED + 300)),
        nonce=draw(st.none() | texts),
        with_alg=draw(st.booleans()),
    )
    headers = [(b"host", b"ignored"), *((name.lower().encode(), v.encode()) for name, v in fields.items())]
    head = RequestHead(
        method.encode(), authority.encode(), path.encode(), query.encode(), headers, body != b""
    )
    return head, body


@given(signed_requests())
def test_what_our_client_signs_is_taken(request: tuple[RequestHead, bytes]) -> None:
    """Signing and verifying agree on every request of the profile."""
    head, body = request
    verified = verify_request(head, body, KEYS, NOW)
    assert isinstance(verified, Verified)
    assert verified.key_id == "petrol-1"


@given(signed_requests(), st.data())
def test_any_changed_byte_of_any_covered_part_is_refused(
    request: tuple[RequestHead, bytes], data: st.DataObject
) -> None:
    """Method, authority, path, query, every covered field, both signature fields, and the body."""
    head, body = request
    parts = {"method": head.method, "authority": head.authority, "path": head.path, "body": body}
    parts |= {"query": head.query} | {
        name.decode(): value for name, value in head.headers if name not in (b"host",)
    }
    name = data.draw(st.sampled_from(sorted(name for name, value in parts.items() if value)))
    part = parts[name]
    place = data.draw(st.integers(0, len(part) - 1))
    changed = part[:place] + bytes([part[place] ^ data.draw(st.integers(1, 255))]) + part[place + 1 :]
    # White space at either end of a field's value is not part of it, so it is no change to add or turn it.
    assume(changed.strip(b" \t") == changed or name in {"method", "authority", "path", "query", "body"})
    parts[name] = changed
    result = verify_request(_head_of(parts, has_body=head.has_body), parts["body"], KEYS, NOW)
    assert isinstance(result, SignatureRefused)


def _head_of(parts: Mapping[str, bytes], *, has_body: bool) -> RequestHead:
    line = ("method", "authority", "path", "query", "body")
    headers = [(name.encode(), value) for name, value in parts.items() if name not in line]
    return RequestHead(parts["method"], parts["authority"], parts["path"], parts["query"], headers, has_body)


PIECES = r'''sig1= ( ) "@method" "@authority" "@path" "@query" ; = " : , \ ?1 - .5 é sha-256=:
created=1618884473 keyid="petrol-1" tag="loyalty-v1"'''.split()  # noqa: SIM905  # thirty quoted quotes could not be read
fragments = st.lists(st.sampled_from([*PIECES, " ", "\n", "\0", "A" * 86 + "=="]), max_size=24).map(
    lambda pieces: "".join(pieces).encode()
)


@given(
    fragments | st.binary(max_size=40), fragments | st.binary(max_size=40), fragments | st.binary(max_size=40)
)
def test_no_header_makes_the_verifier_raise(described: bytes, signature: bytes, digest: bytes) -> None:
    """Whatever the three fields hold, the answer is a refusal."""
    headers = [(b"signature-input", described), (b"signature", signature), (b"content-digest", digest)]
    head = RequestHead(b"GET", b"a.example", b"/v1", b"", headers, has_body=False)
    assert isinstance(verify_request(head, b"", KEYS, NOW), SignatureRefused)


@given(fragments | st.binary(max_size=60))
def test_no_signed_digest_field_makes_the_verifier_raise(digest: bytes) -> None:
    """A partner that signs nonsense as its Content-Digest gets a refusal."""
    assume(b"\n" not in digest)
    assert check_digest(digest, b"{}") is not None


@given(signed_requests())
def test_an_independent_library_verifies_what_we_sign(request: tuple[RequestHead, bytes]) -> None:
    """http-message-signatures builds the same signature base and finds the same digest."""
    head, body = request
    url = f"https://{head.authority.decode()}{head.path.decode()}"
    url += f"?{head.query.decode()}" if head.query else ""
    message = requests.PreparedRequest()
    message.method, message.url = head.method.decode(), url
    message.headers = requests.structures.CaseInsensitiveDict(
        {name.decode(): value.decode() for name, value in head.headers}
    )
    verifier = HTTPMessageVerifier(
        signature_algorithm=ED25519,
        key_resolver=MappingKeyResolver(public_keys={"petrol-1": PRIVATE.public_key()}, private_keys={}),
    )
    # Its clock cannot be set, and our fixture's `expires` is long past.
    assume(b";expires=" not in dict(head.headers)[b"signature-input"])
    results = verifier.verify(message, max_age=None, expect_tag="loyalty-v1", body=body)
    assert [result.parameters["keyid"] for result in results] == ["petrol-1"]
