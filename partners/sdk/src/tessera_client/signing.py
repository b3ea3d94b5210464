"""Signed requests: RFC 9421 with Ed25519 and RFC 9530 digests, in the network's profile (pure).

Covered are `@method @authority @path @query`, with a body also `content-type content-digest`; the parameters
are `created`, `keyid` and `tag`. Nothing here reads a clock: `created` is an argument.
"""

from base64 import b64encode
from hashlib import sha256

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tessera_client.errors import Unusable
from tessera_client.messages import Request

TAG = "loyalty-v1"
_LABEL = "sig1"
_PRINTABLE = frozenset(map(chr, range(0x21, 0x7F)))
_IN_HEADER = _PRINTABLE | {" "}
_UNQUOTED = _PRINTABLE - {'"', "\\"}
MAX_KEY_ID_LENGTH = 128


class Signed(msgspec.Struct, frozen=True):
    """A signature: the text that was signed, and the header fields to send with the request."""

    base: bytes
    headers: dict[str, str]


class Signer(msgspec.Struct, frozen=True):
    """A partner's key, ready to sign.

    Args:
        key_id: Under which the public half is registered.
        private_key: The partner's own; it never leaves this process.
    Raises:
        Unusable: no key can have that id.
    """

    key_id: str
    private_key: Ed25519PrivateKey

    def __post_init__(self) -> None:
        if not 0 < len(self.key_id) <= MAX_KEY_ID_LENGTH or not set(self.key_id) <= _UNQUOTED:
            raise Unusable(
                f"a key id has 1 to {MAX_KEY_ID_LENGTH} printable characters, no space, quote or backslash; "
                f"this is {self.key_id!r}"
            )

    def sign(self, request: Request, *, authority: str, created: int) -> Signed:
        """Sign a request.

        Args:
            request: As it will be sent.
            authority: Host in lower case, and the port unless it is the scheme's own.
            created: Unix seconds.
        Raises:
            Unusable: path, query or content type hold what no request line or header may.
        """
        sent = f"{request.path}?{request.query}"
        fields = request.content_type + request.idempotency_key
        if not _PRINTABLE.issuperset(sent) or not _IN_HEADER.issuperset(fields):
            raise Unusable(f"percent-encode what is no printable ASCII in {sent!r} and {fields!r}")
        covered = [
            ("@method", request.method),
            ("@authority", authority),
            ("@path", request.path),
            ("@query", f"?{request.query}"),
        ]
        headers: dict[str, str] = {}
        if request.body or request.digest:
            digest = request.digest or content_digest(request.body)
            headers = {"Content-Type": request.content_type, "Content-Digest": digest}
            covered += [("content-type", request.content_type), ("content-digest", digest)]
        if request.idempotency_key:
            headers["Idempotency-Key"] = request.idempotency_key
            covered.append(("idempotency-key", request.idempotency_key))
        names = " ".join([f'"{name}"' for name, _ in covered])
        parameters = f'({names});created={created};keyid="{self.key_id}";tag="{TAG}"'
        lines = [f'"{name}": {value}\n' for name, value in covered]
        base = f'{"".join(lines)}"@signature-params": {parameters}'.encode("ascii")
        signature = b64encode(self.private_key.sign(base)).decode()
        headers["Signature-Input"] = f"{_LABEL}={parameters}"
        headers["Signature"] = f"{_LABEL}=:{signature}:"
        return Signed(base, headers)


def content_digest(body: bytes) -> str:
    """The Content-Digest of a body (RFC 9530, SHA-256)."""
    return digest_field(sha256(body).digest())


def digest_field(digest: bytes) -> str:
    """A SHA-256 as the field Content-Digest has it."""
    return f"sha-256=:{b64encode(digest).decode()}:"
