"""One text for one value, as it is hashed: JSON in the manner of RFC 8785 (pure).

Keys are sorted, nothing is spaced; amounts are texts with the decimals they have, instants UTC to the
microsecond, bytes hexadecimal.
"""

import json
from collections.abc import Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import Enum
from uuid import UUID

import msgspec

from partners.errors import RecordUnfit


def canonical(value: object) -> str:
    """The text of a value: of text, int, bool, None, Decimal, instants, ids, bytes, and what holds them.

    Raises:
        RecordUnfit: it holds a float, a time without a zone, or something else of no one spelling.
    """
    return json.dumps(plain(value), ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def plain(value: object) -> object:
    """The value as JSON's own types; see `canonical`."""
    if isinstance(value, Enum):
        return plain(value.value)
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, str):
        return _encodable(value)
    if isinstance(value, Mapping):
        return {_encodable(str(key)): plain(held) for key, held in value.items()}
    if isinstance(value, msgspec.Struct):
        return {name: plain(getattr(value, name)) for name in value.__struct_fields__}
    if isinstance(value, list | tuple):
        return [plain(held) for held in value]
    return _scalar(value)


def _scalar(value: object) -> str:
    if isinstance(value, Decimal) and value.is_finite():
        return format(value, "f")
    if isinstance(value, datetime) and value.tzinfo is not None:
        return value.astimezone(UTC).isoformat(timespec="microseconds")
    if isinstance(value, date) and not isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, bytes):
        return value.hex()
    raise RecordUnfit(f"a record cannot hold {value!r}: give a text, an int or a Decimal")


def _encodable(given: str) -> str:
    """A text that UTF-8 can hold."""
    try:
        given.encode()
    except UnicodeEncodeError as error:
        raise RecordUnfit("a record cannot hold half of a character") from error
    return given
