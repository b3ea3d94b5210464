"""Signed requests: HTTP Message Signatures with Ed25519 in one strict profile (pure).

Checks run in this order, and the first that fails answers: header caps, parse, key, coverage, time,
signature, and last the digest of the raw body. `verify_head` does all but the last, so that nobody unknown
makes us read a body; `verify_body` does the last.
"""

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime

import msgspec

from partners.keys import TEST_PREFIX, is_signed, problem_at, public_key
from partners.model import PartnerKey
from partners.signature_fields import (
    MAX_HEADER_BYTES,
    SignatureFields,
    SignatureRefused,
    check_digest,
    check_digests,
    malformed,
    parse_signature,
    read_fields,
    signature_base,
)

MAX_AGE_SECONDS = 300
MAX_AHEAD_SECONDS = 60
MAX_LIFETIME_SECONDS = 300

_DERIVED = frozenset({b"@method", b"@authority", b"@path", b"@query"})
_OF_A_BODY = frozenset({b"content-type", b"content-digest"})
_AS_IT_IS = b"identity"
_OF_A_SIGNATURE = frozenset({b"signature-input", b"signature"})


class RequestHead(msgspec.Struct, frozen=True):
    """What came before the body, as raw bytes.

    `authority` is the configured one, never a header's; `path` is as sent, still percent-encoded; `query` has
    no question mark. Names of `headers` are in lower case. `has_body`: the head announces a body.
    """

    method: bytes
    authority: bytes
    path: bytes
    query: bytes
    headers: Iterable[tuple[bytes, bytes]]
    has_body: bool


class Verified(msgspec.Struct, frozen=True):
    """Who signed, and when (Unix seconds). `content_digest` is the covered field, for `verify_body`."""

    key: PartnerKey
    created: int
    nonce: str | None
    content_digest: bytes | None

    @property
    def partner_id(self) -> int:
        """The partner the key belongs to."""
        return self.key.partner_id

    @property
    def key_id(self) -> str:
        """The id of the key that signed."""
        return self.key.key_id


def verify_request(
    head: RequestHead, body: bytes, keys: Mapping[str, PartnerKey], now: datetime
) -> Verified | SignatureRefused:
    """Verify head and body together; see `verify_head` and `verify_body`."""
    verified = verify_head(head, keys, now)
    if isinstance(verified, SignatureRefused):
        return verified
    return verify_body(verified, body) or verified


def verify_head(
    head: RequestHead, keys: Mapping[str, PartnerKey], now: datetime, *, test_mode: bool = False
) -> Verified | SignatureRefused:
    """Verify the signature of a request, up to the digest of its body, which `verify_body` checks.

    Args:
        head: The request's line and header fields.
        keys: Every key by its id, also those that are over, so that the refusal can say so.
        now: Real time, with a zone.
        test_mode: Whether the request came to the address of the test mode, whose keys are others.
    """
    fields, repeated, size = read_fields(head.headers)
    signed = _read_signature(fields, repeated, size)
    if isinstance(signed, SignatureRefused):
        return signed
    if signed.key_id.startswith(TEST_PREFIX) is not test_mode:
        here = "test mode" if test_mode else "live network"
        return SignatureRefused("key_of_other_mode", f"key {signed.key_id!r} does not sign for the {here}")
    key = keys.get(signed.key_id)
    if key is None:
        return SignatureRefused("key_unknown", f"no key {signed.key_id!r} is registered")
    problem = problem_at(key, now)
    if problem is not None:
        return SignatureRefused(problem, f"key {signed.key_id!r} may not sign now: use another key")
    loaded = public_key(key.public_key)
    if loaded is None:
        return SignatureRefused(
            "weak_key", f"key {signed.key_id!r} is no safe public key: register a new one"
        )
    refused = _check_coverage(head, signed, fields, repeated) or _check_time(signed, now)
    if refused is not None:
        return refused
    base = _base_of(head, signed, fields)
    # One line per component, else a value with a line break could pass for another component.
    if base.count(b"\n") != len(signed.components):
        return malformed("a covered value contains a line break")
    if not is_signed(loaded, base, signed.signature):
        return SignatureRefused(
            "signature_invalid",
            "the signature does not fit method, authority, path, query, covered fields and key: compare your "
            "signature base with RFC 9421, section 2.5",
        )
    digest = fields[b"content-digest"].strip(b" \t") if b"content-digest" in signed.components else None
    return Verified(key, signed.created, signed.nonce, digest)


def verify_body(verified: Verified, body: bytes) -> SignatureRefused | None:
    """Compare the raw body with the digests that the signature covers; None when each of them fits."""
    if verified.content_digest is not None:
        return check_digest(verified.content_digest, body)
    if not body:
        return None
    return SignatureRefused("signature_coverage", "with a body, cover content-type and content-digest too")


def verify_digests(
    verified: Verified, size: int, digest_of: Callable[[bytes], bytes]
) -> SignatureRefused | None:
    """`verify_body` for a body that is not in memory.

    Args:
        verified: Who signed its head.
        size: Of the body, in bytes.
        digest_of: Gives the body's hash by an algorithm's name, b"sha-256" or b"sha-512".
    """
    if verified.content_digest is not None:
        return check_digests(verified.content_digest, digest_of)
    return verify_body(verified, b"\0") if size else None


def base_of(head: RequestHead) -> bytes | SignatureRefused:
    """The signature base of a request as it arrived, to show to who looks for a mistake."""
    fields, repeated, size = read_fields(head.headers)
    signed = _read_signature(fields, repeated, size)
    if isinstance(signed, SignatureRefused):
        return signed
    absent = frozenset(signed.components) - _DERIVED - fields.keys()
    if absent:
        return SignatureRefused(
            "signature_coverage", f"the signature covers {_listed(absent)}, which the request does not have"
        )
    return _base_of(head, signed, fields)


def _read_signature(
    fields: Mapping[bytes, bytes], repeated: set[bytes], size: int
) -> SignatureFields | SignatureRefused:
    """The signature among the fields of a request, within the caps."""
    if size > MAX_HEADER_BYTES:
        return SignatureRefused(
            "header_too_large", f"header fields take {size} bytes, at most {MAX_HEADER_BYTES} are read"
        )
    described, signature = fields.get(b"signature-input"), fields.get(b"signature")
    if described is None or signature is None:
        return SignatureRefused(
            "signature_missing", "sign the request: send Signature-Input and Signature (RFC 9421)"
        )
    if repeated and not repeated.isdisjoint(_OF_A_SIGNATURE):
        return malformed("Signature-Input and Signature are each sent once, with one signature")
    return parse_signature(described, signature)


def _check_coverage(
    head: RequestHead, signed: SignatureFields, fields: Mapping[bytes, bytes], repeated: set[bytes]
) -> SignatureRefused | None:
    """Whether what must be covered is, and what is covered is there, once."""
    covered = frozenset(signed.components)
    missing = _DERIVED - covered
    if head.has_body:
        missing |= _OF_A_BODY - covered
    if fields.get(b"content-encoding", _AS_IT_IS) != _AS_IT_IS:
        missing |= {b"content-encoding"} - covered
    if b"idempotency-key" in fields and b"idempotency-key" not in covered:
        missing |= {b"idempotency-key"}
    if missing:
        return SignatureRefused("signature_coverage", f"the signature must cover {_listed(missing)} too")
    others = covered - _DERIVED
    absent = others.difference(fields)
    if absent:
        return SignatureRefused(
            "signature_coverage", f"the signature covers {_listed(absent)}, which the request does not have"
        )
    if repeated and not repeated.isdisjoint(others):
        return SignatureRefused(
            "signature_coverage", f"covered fields are sent once, not so {_listed(repeated & others)}"
        )
    return None


def _listed(names: Iterable[bytes]) -> str:
    return ", ".join(sorted(name.decode() for name in names))


def _check_time(signed: SignatureFields, now: datetime) -> SignatureRefused | None:
    """Whether the signature was made lately and has not expired."""
    seconds = now.timestamp()
    if not seconds - MAX_AGE_SECONDS <= signed.created <= seconds + MAX_AHEAD_SECONDS:
        problem = f"created is more than {MAX_AGE_SECONDS} s ago or more than {MAX_AHEAD_SECONDS} s ahead"
    elif signed.expires is None or seconds <= signed.expires <= signed.created + MAX_LIFETIME_SECONDS:
        return None
    elif signed.expires < seconds:
        problem = "the signature has expired"
    else:
        problem = f"expires is more than {MAX_LIFETIME_SECONDS} s after created"
    return SignatureRefused("signature_time", f"{problem}; server time is {now.isoformat()}", now)


def _base_of(head: RequestHead, signed: SignatureFields, fields: Mapping[bytes, bytes]) -> bytes:
    """The signature base of a request as it arrived."""
    derived = {
        b"@method": head.method,
        b"@authority": head.authority,
        b"@path": head.path or b"/",
        b"@query": b"?" + head.query,
    }
    return signature_base(
        [
            (name, derived[name] if name in derived else fields[name].strip(b" \t"))
            for name in signed.components
        ],
        signed.parameters,
    )
