"""Bodies that are read the short way are read as by the long one: what it takes, what it refuses, and why."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.bodies import LINE, AccrualBody, fields, read_body
from api.problems import ProblemError

SALE = (
    b'{"type":"accrual","reference":"r-1","occurred_at":"2017-05-01T10:15:00Z","outlet":"330",'
    b'"card":"6330001234567895","amount_minor":1250,"currency":"USD"}'
)
PIECES = [
    b'"amount_minor":1',
    b'"amount_minor" :1',
    b'"lines":[1]',
    b'"category":""',
    b'"x":1',
    b'"\\u0063ard":"1"',
    b'":',
    b"\\",
    b"\xff",
    b"\xed\xa0\x80",
    b"\x00",
    b"{",
    b"}",
    b" ",
    b",",
    b"\n",
]


def come_to(raw: bytes, decoder: msgspec.json.Decoder[Any]) -> Any:
    """What a body is read as, or refused by."""
    try:
        return read_body(raw, decoder)
    except ProblemError as error:
        return error.code, error.detail, list(error.errors)


@given(
    st.lists(
        st.tuples(st.integers(0, len(SALE)), st.integers(0, 12), st.sampled_from([*PIECES, b""])), max_size=3
    ),
    st.booleans(),
)
def test_the_short_way_is_the_long_one(changes: list[tuple[int, int, bytes]], single: bool) -> None:
    """Bytes of a sale cut out and put in anywhere: the same command, or the same refusal, either way."""
    raw = SALE
    for at, cut, put in changes:
        raw = raw[:at] + put + raw[at + cut :]
    decoder: Any = msgspec.json.Decoder(AccrualBody) if single else LINE
    short = come_to(raw, decoder)
    with pytest.MonkeyPatch.context() as changed:
        changed.setattr(fields, "_read_plain", lambda raw, decoder: None)
        assert short == come_to(raw, decoder)


def test_a_sale_goes_the_short_way() -> None:
    """As tills send it; one with a name twice, wherever, does not."""
    assert fields._read_plain(SALE, LINE) is not None
    for twice in (b',"card":"6330001234567895"}', b',"card" :"6330001234567895"}', b',"\\u0063ard":"1"}'):
        assert fields._read_plain(SALE[:-1] + twice, LINE) is None
        with pytest.raises(ProblemError, match="malformed_json"):
            read_body(SALE[:-1] + twice, LINE)
