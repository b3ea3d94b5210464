"""One sequence of bytes for one set of values, and its SHA-256 (pure).

JSON in the manner of RFC 8785: sorted keys, no spaces. Amounts are texts of fixed scale, instants are UTC to
the microsecond, and rows are sorted by their own text, so that the bytes show neither the order of rows nor
how a number came about.
"""

import json
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from hashlib import sha256
from uuid import UUID

import msgspec

from settlement.model import STEPS, Step
from settlement.money import fixed_scale

SCALE = 20
"""Decimals of an amount: prices have 8, shares and basis points 4 each, a basis point is 4 places down."""
_ENCODER = json.JSONEncoder(ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def digest(step: Step, window_id: int, revision: int, **tables: Iterable[msgspec.Struct]) -> bytes:
    """SHA-256 of what a step of a night put out: its rows, by table."""
    return sha256(canonical(step, window_id, revision, **tables)).digest()


def canonical(step: Step, window_id: int, revision: int, **tables: Iterable[msgspec.Struct]) -> bytes:
    """The bytes that are hashed, UTF-8."""
    head = _text({"step": step, "window_id": window_id, "revision": revision})
    parts = [
        f"{_text(name)}:[{','.join(sorted(_text(_plain(row)) for row in rows))}]"
        for name, rows in sorted(tables.items())
    ]
    return f'{{"run":{head},"tables":{{{",".join(parts)}}}}}'.encode()


def bound(window_id: int, revision: int, hashes: Mapping[Step, bytes]) -> bytes:
    """What an approval binds: SHA-256 over the hashes of a run's steps up to `netted`."""
    steps = {step: hashes[step].hex() for step in STEPS[: STEPS.index("netted") + 1]}
    return sha256(canonical_json({"window_id": window_id, "revision": revision, "steps": steps})).digest()


def canonical_json(value: object) -> bytes:
    """One JSON value as the bytes that are hashed or signed, UTF-8.

    Raises:
        UnicodeEncodeError: a text is half of a character.
    """
    return _text(value).encode()


def instant_text(at: datetime) -> str:
    """An instant as canonical bytes show it: UTC, to the microsecond."""
    return at.astimezone(UTC).isoformat(timespec="microseconds")


def _text(value: object) -> str:
    return _ENCODER.encode(value)


def _plain(row: msgspec.Struct) -> dict[str, object]:
    """A row's fields; one that holds its default is left out: rows from before it was there stay equal."""
    cls = type(row)
    defaults = (msgspec.NODEFAULT,) * (len(cls.__struct_fields__) - len(cls.__struct_defaults__))
    return {
        name: _value(value)
        for name, default in zip(cls.__struct_fields__, (*defaults, *cls.__struct_defaults__), strict=True)
        if (value := getattr(row, name)) != default
    }


def _value(value: object) -> object:
    if isinstance(value, Decimal):
        return fixed_scale(value, SCALE)
    if isinstance(value, datetime):
        return instant_text(value)
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, UUID):
        return str(value)
    return value.hex() if isinstance(value, bytes) else value
