"""Keys of a partner as requests and answers say them."""

from base64 import b64decode
from binascii import Error as NotBase64
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated

import msgspec
from msgspec import Meta

from api.problems import FieldError, ProblemError
from partners.model import PartnerKey

_KeyId = Annotated[
    str,
    Meta(
        pattern=r"^[!#-\[\]-~]{1,128}(?!\n)$",
        description="Yours to choose, unique in the network: printable ASCII, no space, quote, backslash.",
    ),
]
_Instant = Annotated[datetime, Meta(tz=True)]


class RegistrationBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The partner's next key, with the proof that it holds the private half.

    `public_key` is the 32 raw bytes, `proof` the 64 of the new key's own signature of four lines, the last
    without a line feed: `tessera key registration v1`, your number (`partner_id` of GET /v1/keys), the key's
    id, the public key in hexadecimal. Both in base64.
    """

    key_id: _KeyId
    public_key: Annotated[str, Meta(max_length=100, description="Base64 of 32 bytes.")]
    proof: Annotated[str, Meta(max_length=200, description="Base64 of 64 bytes.")]
    not_before: _Instant | None = None
    not_after: _Instant | None = None


class RevocationBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A key that shall sign no more."""

    key_id: _KeyId


class OwnKeyBody(msgspec.Struct, frozen=True, kw_only=True):
    """A key of yours. It may sign from `not_before` until before `not_after`, unless it was revoked."""

    key_id: str
    public_key: str
    not_before: datetime
    not_after: datetime | None
    revoked_at: datetime | None


class OwnKeysBody(msgspec.Struct, frozen=True, kw_only=True):
    """All keys that you ever had, the oldest first; and your number, which possession statements name."""

    partner_id: int
    data: Sequence[OwnKeyBody]


KEY_BODIES = (RegistrationBody, RevocationBody, OwnKeyBody, OwnKeysBody)


def show_key(key: PartnerKey) -> OwnKeyBody:
    """A key as it is answered, its bytes in hexadecimal."""
    return OwnKeyBody(
        key_id=key.key_id,
        public_key=key.public_key.hex(),
        not_before=key.not_before,
        not_after=key.not_after,
        revoked_at=key.revoked_at,
    )


def bytes_of(given: str, pointer: str) -> bytes:
    """The bytes of a field in base64.

    Raises:
        ProblemError: validation_failed.
    """
    try:
        return b64decode(given, validate=True)
    except (NotBase64, ValueError) as error:
        raise ProblemError("validation_failed", "not base64", [FieldError(pointer, "base64")]) from error


def instant_of(given: datetime | None, pointer: str) -> datetime | None:
    """An instant in UTC.

    Raises:
        ProblemError: validation_failed, where it is outside the calendar.
    """
    try:
        return None if given is None else given.astimezone(UTC)
    except OverflowError as error:
        raise ProblemError(
            "validation_failed", "outside the calendar", [FieldError(pointer, "range")]
        ) from error
