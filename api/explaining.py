"""What we make of a request's signature, line by line: POST /v1/debug/signature of the test mode (pure).

A signature base cannot travel in the body that it covers by a digest, so the client sends its own in the
header `Signature-Base`, in base64. Where it sends none, ours is shown.
"""

from base64 import b64decode
from binascii import Error as NotBase64
from collections.abc import Mapping
from itertools import zip_longest

import msgspec

from partners.signature import RequestHead, base_of
from partners.signature_fields import SignatureRefused

PATH = "/v1/debug/signature"


class DifferenceBody(msgspec.Struct, frozen=True, kw_only=True):
    """The first line that is not the same, counted from 1; null where one of the two has ended."""

    line: int
    ours: str | None
    yours: str | None


class ExplanationBody(msgspec.Struct, frozen=True, kw_only=True):
    """What came of the signature of this very request.

    `code` and `detail` are those of the refusal, null where it is taken. `signature_base` is what we build of
    the request as it arrived, null where its fields cannot be read. `first_difference` is between it and what
    you sent in Signature-Base, null where they are the same; `compared` says whether you sent one.
    """

    verified: bool
    code: str | None
    detail: str | None
    signature_base: str | None
    compared: bool
    first_difference: DifferenceBody | None


TYPES = (DifferenceBody, ExplanationBody)


def explain(
    head: RequestHead, refused: SignatureRefused | None, fields: Mapping[bytes, bytes]
) -> ExplanationBody:
    """What to tell of a request.

    Args:
        head: As it arrived.
        refused: Why it would not be taken, None where it would be.
        fields: Its header fields by name.
    """
    base = base_of(head)
    ours = None if isinstance(base, SignatureRefused) else base.decode(errors="backslashreplace")
    yours = _sent(fields.get(b"signature-base"))
    return ExplanationBody(
        verified=refused is None,
        code=None if refused is None else refused.code,
        detail=None if refused is None else refused.detail,
        signature_base=ours,
        compared=yours is not None,
        first_difference=None if ours is None or yours is None else _first_difference(ours, yours),
    )


def _sent(field: bytes | None) -> str | None:
    """The client's base; with or without the colons of a structured field."""
    if field is None:
        return None
    try:
        return b64decode(field.strip(b" \t:"), validate=True).decode(errors="backslashreplace")
    except (NotBase64, ValueError):
        return ""


def _first_difference(ours: str, yours: str) -> DifferenceBody | None:
    for number, (one, other) in enumerate(zip_longest(ours.split("\n"), yours.split("\n")), start=1):
        if one != other:
            return DifferenceBody(line=number, ours=one, yours=other)
    return None
