"""What a record is written as: one text for one value."""

from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from enum import IntEnum
from uuid import UUID

import msgspec
import pytest

from partners.errors import PasswordUnfit, RecordUnfit
from partners.people.canonical import canonical
from partners.people.passwords import hash_password, is_outdated, is_password


class _Kind(IntEnum):
    ONE = 1


class _Row(msgspec.Struct):
    name: str
    rate: Decimal


def test_a_value_has_one_text() -> None:
    """Keys sorted, nothing spaced, amounts exact, instants in UTC, letters as they are."""
    held = {
        "z": [_Row("grün", Decimal("0.0080")), (1, None, True)],
        "a": datetime(2017, 5, 1, 11, 0, tzinfo=timezone(timedelta(hours=2))),
        "on": date(2017, 5, 1),
        "id": UUID(int=1),
        "hash": b"\x00\xff",
        "kind": _Kind.ONE,
        "many": Decimal("1E+3"),
        7: 'a"b\n',
    }
    assert canonical(held) == (
        '{"7":"a\\"b\\n","a":"2017-05-01T09:00:00.000000+00:00","hash":"00ff",'
        '"id":"00000000-0000-0000-0000-000000000001","kind":1,"many":"1000","on":"2017-05-01",'
        '"z":[{"name":"grün","rate":"0.0080"},[1,null,true]]}'
    )
    assert canonical({"b": 1, "a": 2}) == canonical({"a": 2, "b": 1})


@pytest.mark.parametrize(
    "value",
    [0.1, Decimal("NaN"), datetime(2017, 5, 1), {"a": {1, 2}}, "\ud800", {"\ud800": 1}, object()],  # noqa: DTZ001
)
def test_what_has_no_one_text_is_refused(value: object) -> None:
    """Floats, times without a zone, sets, halves of characters."""
    with pytest.raises(RecordUnfit):
        canonical([value])
    assert canonical(datetime(2017, 5, 1, tzinfo=UTC)).startswith('"2017')


def test_passwords_are_kept_as_argon2id() -> None:
    """With 64 MiB, three passes, four lanes; letters may be composed either way; nobody's never fits."""
    stored = hash_password("Käse und Brot im Haus", operator_id="anna")
    assert stored.startswith("$argon2id$v=19$m=65536,t=3,p=4$")
    assert is_password(stored, "Ka\u0308se und Brot im Haus")
    assert not is_password(stored, "Kase und Brot im Haus")
    assert not is_password(None, "a password that nobody has")
    assert not is_password("no hash", "Käse und Brot im Haus")
    assert not is_outdated(stored)
    assert is_outdated(stored.replace("t=3", "t=2"))


@pytest.mark.parametrize(
    "easy", ["eleven char", "x" * 129, "aaaaaaaaaaaaaa", "abababababab", "annaanna1234!!"]
)
def test_easy_passwords_are_refused(easy: str) -> None:
    """Short, endless, a few letters over and over, the login with figures."""
    with pytest.raises(PasswordUnfit):
        hash_password(easy, operator_id="anna")
