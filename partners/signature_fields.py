"""The header fields of a signed request, read strictly (pure).

Only what our profile needs of RFC 9421, RFC 9530 and RFC 9651 is understood, and only in its canonical
spelling, because every request passes here: what a signer wrote is compared byte for byte.
"""

import re
from base64 import b64encode
from binascii import a2b_base64
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from hashlib import sha256, sha512
from typing import Literal

import msgspec

from partners.keys import MAX_KEY_ID_LENGTH

TAG = "loyalty-v1"
MAX_HEADER_BYTES = 8192
"""Names and values of all header fields together."""
MAX_COMPONENTS = 16

RefusalCode = Literal[
    "header_too_large",
    "signature_missing",
    "signature_malformed",
    "key_of_other_mode",
    "key_unknown",
    "key_revoked",
    "key_not_yet_valid",
    "key_expired",
    "weak_key",
    "signature_coverage",
    "signature_time",
    "signature_invalid",
    "digest_unsupported",
    "digest_mismatch",
]

# A key of RFC 9651, and a string without escapes: no identifier of this profile needs a quote or a backslash.
_KEY = rb"[a-z*][a-z0-9_.*-]*+"
_STRING = rb'"[ !#-\[\]-~]*+"'
_COMPONENT = rb'"@?[a-z0-9!#$%&\'*+.^_`|~-]++"'
_INPUT = re.compile(
    rb"(" + _KEY + rb")="
    rb"(\((" + _COMPONENT + rb"(?: " + _COMPONENT + rb")*+)?\)"
    rb"((?:;" + _KEY + rb"=(?:[0-9]{1,15}+|" + _STRING + rb"))*+))"
)
_PARAMETER = re.compile(rb";(" + _KEY + rb")=(?:([0-9]++)|\"([^\"]*+)\")")
# 64 bytes in base64, whose last letter can only be one of four: one signature has one spelling.
_SIGNATURE = re.compile(rb"(" + _KEY + rb")=:([A-Za-z0-9+/]{85}[AQgw]==):")
_DIGEST_MEMBER = rb"(" + _KEY + rb")=:([A-Za-z0-9+/]*+={0,2}+):"
_DIGESTS = re.compile(_DIGEST_MEMBER + rb"(?:[ \t]*+,[ \t]*+" + _DIGEST_MEMBER + rb")*+")
_DIGEST = re.compile(_DIGEST_MEMBER)
HASHES = {b"sha-256": sha256, b"sha-512": sha512}
_NUMBERS = frozenset({b"created", b"expires"})
_TEXTS = frozenset({b"keyid", b"alg", b"nonce", b"tag"})


class SignatureRefused(msgspec.Struct, frozen=True):
    """Why a request is not taken as signed. `server_time` goes with `signature_time`, to set clocks by."""

    code: RefusalCode
    detail: str
    server_time: datetime | None = None


class SignatureFields(msgspec.Struct, frozen=True):
    """One parsed signature. `parameters` is the exact text of the last line of the signature base."""

    components: Sequence[bytes]
    parameters: bytes
    key_id: str
    created: int
    expires: int | None
    nonce: str | None
    signature: bytes


def malformed(detail: str) -> SignatureRefused:
    """A refusal of fields that cannot be read."""
    return SignatureRefused("signature_malformed", detail)


def read_fields(headers: Iterable[tuple[bytes, bytes]]) -> tuple[dict[bytes, bytes], set[bytes], int]:
    """Fields by name (the last of repeated ones), the names that came more than once, and the size of all."""
    fields: dict[bytes, bytes] = {}
    repeated: set[bytes] = set()
    size = 0
    for name, value in headers:
        size += len(name) + len(value)
        if name in fields:
            repeated.add(name)
        fields[name] = value
    return fields, repeated, size


def parse_signature(described: bytes, signature: bytes) -> SignatureFields | SignatureRefused:
    """Read the one signature of a request.

    Args:
        described: The field Signature-Input.
        signature: The field Signature.
    """
    shape, sealed = _INPUT.fullmatch(described.strip(b" \t")), _SIGNATURE.fullmatch(signature.strip(b" \t"))
    if shape is None:
        return malformed(
            'Signature-Input holds exactly one signature, label=("@method" …);created=…;keyid="…";tag="…", '
            "in lower case, with single spaces, and with no parameters on components"
        )
    if sealed is None:
        return malformed("Signature holds exactly one signature, label=:<64 bytes in base64, padded>:")
    if shape[1] != sealed[1]:
        return malformed("Signature-Input and Signature have different labels")
    components = shape[3][1:-1].split(b'" "') if shape[3] else []
    if len(components) > MAX_COMPONENTS:
        return SignatureRefused(
            "header_too_large", f"{len(components)} components are covered, at most {MAX_COMPONENTS} are read"
        )
    if len(set(components)) != len(components):
        return malformed("a component is covered twice")
    given = _read_parameters(shape[4])
    if isinstance(given, SignatureRefused):
        return given
    nonce, expires = given.get(b"nonce"), given.get(b"expires")
    return SignatureFields(
        components,
        shape[2],
        given[b"keyid"].decode(),
        int(given[b"created"]),
        None if expires is None else int(expires),
        None if nonce is None else nonce.decode(),
        a2b_base64(sealed[2]),
    )


def _read_parameters(text: bytes) -> Mapping[bytes, bytes] | SignatureRefused:
    """The parameters by name: all known, none twice, the required ones there, of the right type."""
    given: dict[bytes, bytes] = {}
    for name, number, string in _PARAMETER.findall(text):
        if name not in (_NUMBERS if number else _TEXTS):
            return malformed(f"parameter {name.decode()} is not known here, or its value has the wrong type")
        if name in given:
            return malformed(f"parameter {name.decode()} is given twice")
        given[name] = number or string
    if b"created" not in given or not given.get(b"keyid") or given.get(b"tag") != TAG.encode():
        return malformed(f'the parameters created, keyid and tag="{TAG}" are required')
    if len(given[b"keyid"]) > MAX_KEY_ID_LENGTH:
        return malformed(f"keyid is longer than {MAX_KEY_ID_LENGTH} characters")
    if given.get(b"alg", b"ed25519") != b"ed25519":
        return malformed('alg is "ed25519" or left out')
    return given


def content_digest(body: bytes) -> bytes:
    """The Content-Digest field of a body, with SHA-256."""
    return b"sha-256=:%b:" % b64encode(sha256(body).digest())


def check_digest(field: bytes, body: bytes) -> SignatureRefused | None:
    """Compare a body with every digest of its Content-Digest field; None when all fit."""
    if field == content_digest(body):
        return None
    return check_digests(field, lambda name: HASHES[name](body).digest())


def check_digests(field: bytes, digest_of: Callable[[bytes], bytes]) -> SignatureRefused | None:
    """The same for a body that is not in memory: `digest_of` gives its hash by an algorithm's name."""
    if _DIGESTS.fullmatch(field) is None:
        return SignatureRefused(
            "digest_unsupported", "Content-Digest is written sha-256=:<base64>: (RFC 9530)"
        )
    digests = _DIGEST.findall(field)
    names = [name for name, _ in digests]
    if len(set(names)) != len(names):
        return SignatureRefused("digest_unsupported", "Content-Digest names an algorithm twice")
    for name in names:
        if name not in HASHES:
            return SignatureRefused(
                "digest_unsupported", f"Content-Digest uses {name.decode()}: use sha-256 or sha-512, no other"
            )
    for name, digest in digests:
        if digest != b64encode(digest_of(name)):
            return SignatureRefused("digest_mismatch", f"the body's {name.decode()} is not what was signed")
    return None


def signature_base(components: Iterable[tuple[bytes, bytes]], parameters: bytes) -> bytes:
    """The text that is signed: one line per covered component, and the signature's own parameters last.

    Args:
        components: Name and value of each, in the order of `parameters`.
        parameters: `("@method" …);created=…` as it stands in Signature-Input after the label.
    Source: RFC 9421, section 2.5.
    """
    lines = [b'"%b": %b\n' % component for component in components]
    lines.append(b'"@signature-params": ')
    lines.append(parameters)
    return b"".join(lines)
