"""Array literals: what PostgreSQL reads is what was written, hostile text included."""

from datetime import UTC, date, datetime
from decimal import Decimal
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, text

from network import tables
from network.bulk import (
    dates,
    decimals,
    insert_from_arrays,
    insert_rows,
    integers,
    texts,
    uuids,
)
from network.errors import InvariantBroken
from network.model import EntryKind


def read(database: Engine, kind: str, literal: str) -> list[object]:
    """An array literal as PostgreSQL understands it."""
    with database.connect() as connection:
        return list(connection.execute(text(f"SELECT CAST(:it AS {kind}[])"), {"it": literal}).scalar_one())


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    values=st.lists(
        st.none()
        | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
        | st.sampled_from(["NULL", "", '"', "\\", "{}", "a,b", "';--", "\n\t", '\\"', " lead"])
    )
)
def test_any_text_survives(database: Engine, values: list[str | None]) -> None:
    """Quotes, backslashes, commas, braces, the word NULL and the empty text stay what they are."""
    assert read(database, "text", texts(values)) == values


def test_numbers_ids_and_dates_survive(database: Engine) -> None:
    """Negative and large numbers, enumerations, NULL, UUIDs, dates, instants with microseconds."""
    assert read(database, "bigint", integers([-1, None, 2**63 - 1, EntryKind.EXPIRY])) == [
        -1,
        None,
        2**63 - 1,
        5,
    ]
    one = UUID("015bc358-5e3b-7fff-bfff-ff0000001267")
    assert read(database, "uuid", uuids([one, None])) == [one, None]
    assert read(database, "date", dates([date(2017, 5, 1), None])) == [date(2017, 5, 1), None]
    exact = [Decimal("0.00000001"), Decimal("1E+3"), Decimal("-12345678901234567890.5"), None]
    assert read(database, "numeric", decimals(exact)) == exact
    at = datetime(2017, 5, 1, 9, 30, 0, 123456, tzinfo=UTC)
    assert read(database, "timestamptz", dates([at])) == [at]


def test_arrays_of_different_length_are_refused() -> None:
    """unnest would pad the shorter with NULL; we say so instead."""
    with pytest.raises(InvariantBroken, match=r"differ in length: \[1, 2\]"):
        insert_from_arrays(tables.account, ("member_id", "unit")).bound({"member_id": [1, 2], "unit": [1]})


def test_rows_that_go_missing_are_an_error(database: Engine) -> None:
    """A statement that must insert every row and does not is rolled back with its name."""
    columns = ("member_id", "unit", "balance")
    statement = insert_from_arrays(tables.account, columns, "ON CONFLICT DO NOTHING")
    arrays = {"member_id": [1, 1], "unit": [1, 1], "balance": [0, 0]}
    with database.begin() as connection, pytest.raises(InvariantBroken, match="account: 1 rows, expected 2"):
        insert_rows(connection, statement, arrays)
