"""Public ids: a prefix and a UUIDv7 that carries the member's number, so that an id finds its row.

Layout (RFC 9562 version 7): 48 bits of Unix milliseconds, 12 bits of place in the batch, 22 random bits,
40 bits of member number.
With entries partitioned by ranges of entry_id and keyed by (member_id, entry_id), a bare public id names the
partition, the shard and the row; no index on entry_id alone is kept.
"""

import secrets
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from uuid import UUID

MEMBER_BITS = 40
_MEMBER_MASK = (1 << MEMBER_BITS) - 1
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_VERSION = 7 << 76
_VARIANT = 0b10 << 62


def milliseconds_of(at: datetime) -> int:
    """Whole milliseconds since 1970, exactly: a float would lose one here and there."""
    return (at - _EPOCH) // timedelta(milliseconds=1)


def mint(
    at: datetime,
    member_id: int,
    place: int | None = None,
    randbits: Callable[[int], int] = secrets.randbits,
) -> UUID:
    """A new UUIDv7 at an instant, carrying `member_id` (0 where there is none yet).

    `place` in a batch stands in the 12 bits after the milliseconds, so that the ids of a batch sort in its
    order; without one these bits are random too.

    Raises:
        ValueError: the member number does not fit 40 bits.
    """
    if not 0 <= member_id <= _MEMBER_MASK:
        raise ValueError(f"member number {member_id} does not fit {MEMBER_BITS} bits")
    noise = randbits(34)
    early = noise >> 22 if place is None else place & 0xFFF
    return UUID(
        int=milliseconds_of(at) << 80
        | _VERSION
        | early << 64
        | _VARIANT
        | (noise & 0x3FFFFF) << MEMBER_BITS
        | member_id
    )


def member_of(public: UUID) -> int:
    """The member number an id carries."""
    return public.int & _MEMBER_MASK


def sibling(public: UUID, member_id: int) -> UUID:
    """The id of another member's entry that belongs to an entry: the same but for the member it carries."""
    if not 0 <= member_id <= _MEMBER_MASK:
        raise ValueError(f"member number {member_id} does not fit {MEMBER_BITS} bits")
    return UUID(int=public.int & ~_MEMBER_MASK | member_id)


def floor_of(at: datetime) -> UUID:
    """The smallest id of an instant: the bound of a partition."""
    return UUID(int=milliseconds_of(at) << 80)


def recorded_at(public: UUID) -> datetime:
    """The instant an id was minted, to the millisecond."""
    return _EPOCH + timedelta(milliseconds=public.int >> 80)


def show(prefix: str, public: UUID) -> str:
    """The public form, `ent_0190…`."""
    return f"{prefix}_{public.hex}"


def read(prefix: str, text: str) -> UUID | None:
    """The id behind a public form, or None where the text is no such id."""
    head, separator, digits = text.partition("_")
    if head != prefix or separator != "_" or len(digits) != 32 or not set(digits) <= set("0123456789abcdef"):
        return None
    return UUID(hex=digits)
