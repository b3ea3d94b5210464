"""The signature profile's fixture, and what tests vary of it."""

from base64 import b64encode, urlsafe_b64decode
from datetime import UTC, datetime

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from partners.model import PartnerKey
from partners.signature import RequestHead, verify_request
from partners.signature_fields import TAG, SignatureRefused, content_digest, signature_base

# test-key-ed25519 of RFC 9421, B.1.4: published there, both halves.
RFC_KEY = Ed25519PrivateKey.from_private_bytes(
    urlsafe_b64decode("n4Ni-HpISpVObnQMW0wOhCKROaIKqKtW_2ZYb2p9KcU=")
)
KEY_ID = "test-key-ed25519"
NOW = datetime(2021, 4, 20, 2, 7, 53, tzinfo=UTC)
CREATED = 1618884473
KEY = PartnerKey(
    key_id=KEY_ID,
    partner_id=11,
    public_key=bytes.fromhex("26b40b8f93fff3d897112f7ebc582b232dbd72517d082fe83cfb30ddce43d1bb"),
    not_before=datetime(2021, 1, 1, tzinfo=UTC),
)
BODY = b'{"card":"6330001234567892","amount":1250,"currency":"EUR"}'
COVERED = '("@method" "@authority" "@path" "@query" "content-type" "content-digest" "idempotency-key")'
PARAMETERS = (
    ';created=1618884473;expires=1618884773;keyid="test-key-ed25519";alg="ed25519"'
    ';nonce="b3k2pp5k7z-50gnwp.yemd";tag="loyalty-v1"'
)
DIGEST = "sha-256=:5t8+FsQ8zx/oTQt9xCwT++oBAY9pL/r/SUlpz0+qjz0=:"
FIELDS = {
    "content-type": "application/json",
    "content-digest": DIGEST,
    "idempotency-key": '"0e9f9f2e-93c5-4c5c-8e5d-6f0d8b7a1f00"',
    "signature-input": "sig1=" + COVERED + PARAMETERS,
    "signature": (
        "sig1=:Bsy5TWmoVEMeieVYGXsPNJUgA8XmjljtZimZ3swB0uwUraVFP9V1ma+4g8XP6WHsWpGYodV7701Pq08SqEsIAQ==:"
    ),
}


def head_of(
    fields: dict[str, str],
    *,
    method: bytes = b"POST",
    authority: bytes = b"api.example.com",
    path: bytes = b"/v1/earn",
    query: bytes = b"",
    has_body: bool = True,
) -> RequestHead:
    """The head of the fixture's request with given fields."""
    headers = [(name.lower().encode(), value.encode()) for name, value in fields.items()]
    return RequestHead(method, authority, path, query, headers, has_body)


def judged(fields: dict[str, str], *, body: bytes = BODY, key: PartnerKey = KEY, now: datetime = NOW) -> str:
    """What the fixture's request comes to with given fields: "verified", or the code of the refusal."""
    result = verify_request(head_of(fields), body, {key.key_id: key}, now)
    return result.code if isinstance(result, SignatureRefused) else "verified"


def signed_fields(digest: str, *, covered: str = COVERED, parameters: str = PARAMETERS) -> dict[str, str]:
    """The fixture's fields with another Content-Digest, signed rightly."""
    fields = {**FIELDS, "content-digest": digest}
    values = {
        "@method": "POST",
        "@authority": "api.example.com",
        "@path": "/v1/earn",
        "@query": "?",
        **fields,
    }
    names = [name.strip('"') for name in covered[1:-1].split()]
    base = signature_base(
        [(name.encode(), values[name].encode()) for name in names], (covered + parameters).encode()
    )
    signature = b64encode(RFC_KEY.sign(base)).decode()
    return {**fields, "signature-input": f"sig1={covered}{parameters}", "signature": f"sig1=:{signature}:"}


INPUT = FIELDS["signature-input"]
SIGNATURE = FIELDS["signature"]


def sign_request(
    private_key: Ed25519PrivateKey,
    key_id: str,
    *,
    method: str,
    authority: str,
    path: str,
    query: str = "",
    body: bytes = b"",
    content_type: str = "application/json",
    idempotency_key: str | None = None,
    content_encoding: str | None = None,
    created: int,
    expires: int | None = None,
    nonce: str | None = None,
    with_alg: bool = False,
) -> dict[str, str]:
    """The header fields of a request that is signed in our profile, with whatever the profile lets be.

    Partners sign with `tessera_client.Signer`; it makes the same fields (tests.unit.test_sdk_exchange).

    Args:
        private_key: The partner's own.
        key_id: Under which its public half is registered.
        method: In upper case.
        authority: Host in lower case, and the port unless it is the scheme's own.
        path: As it will be sent, percent-encoded.
        query: As it will be sent, without the question mark.
        body: The raw bytes; empty for none, and then no field about it is made.
        content_type: Of the body.
        idempotency_key: Value of that header, when it is sent.
        content_encoding: Value of that header, when it is sent: "gzip", with a body that is packed already.
        created: Unix seconds.
        expires: Unix seconds, at most 300 after `created`.
        nonce: Any text without quote and backslash.
        with_alg: Whether to name the algorithm (the key fixes it anyway).
    """
    fields: dict[str, str] = {}
    covered = [
        (b"@method", method.encode()),
        (b"@authority", authority.encode()),
        (b"@path", path.encode()),
        (b"@query", b"?" + query.encode()),
    ]
    if body:
        digest = content_digest(body)
        fields["Content-Type"] = content_type
        fields["Content-Digest"] = digest.decode()
        covered += [(b"content-type", content_type.encode()), (b"content-digest", digest)]
    if content_encoding is not None:
        fields["Content-Encoding"] = content_encoding
        covered.append((b"content-encoding", content_encoding.encode()))
    if idempotency_key is not None:
        fields["Idempotency-Key"] = idempotency_key
        covered.append((b"idempotency-key", idempotency_key.encode()))
    names = b" ".join([b'"%b"' % name for name, _ in covered])
    parameters = b"(%b);created=%d" % (names, created)
    if expires is not None:
        parameters += b";expires=%d" % expires
    parameters += b';keyid="%b"' % key_id.encode()
    if with_alg:
        parameters += b';alg="ed25519"'
    if nonce is not None:
        parameters += b';nonce="%b"' % nonce.encode()
    parameters += b';tag="%b"' % TAG.encode()
    signature = b64encode(private_key.sign(signature_base(covered, parameters)))
    fields["Signature-Input"] = f"sig1={parameters.decode()}"
    fields["Signature"] = f"sig1=:{signature.decode()}:"
    return fields
