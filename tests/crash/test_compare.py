"""The comparison itself: each way in which a ledger can differ from what clients were told is named."""

from typing import Any

import pytest

from tests.crash.compare import Row, Told, Transfer, compare, compare_transfers, same

ENTRY = {
    "id": "ent_01",
    "kind": "accrual",
    "reference": "r-1",
    "points": 12,
    "balance": 340,
    "amount_minor": 1250,
    "business_date": "2017-05-29",
}
ACCEPTED = Told(11, "accrual", {"reference": "r-1"}, 201, ENTRY)
REFUSED = Told(11, "redemption", {"reference": "r-2"}, 422, {"code": "insufficient_points"})


def row(**changed: Any) -> Row:
    """The ledger's row of ENTRY, some of it changed."""
    return Row(11, {**ENTRY, **changed})


def test_a_ledger_that_is_as_answered_has_nothing_wrong() -> None:
    """One accepted, one refused, one row."""
    assert compare([ACCEPTED, REFUSED], [row()]) == []


@pytest.mark.parametrize(
    ("rows", "wrong"),
    [
        ([], "acknowledged, but lost"),
        ([row(), row(id="ent_02")], "2 times in the ledger"),
        ([row(points=13)], "points answered 12, is 13"),
        ([row(balance=341)], "balance answered 340, is 341"),
        ([row(id="ent_02")], "id answered ent_01, is ent_02"),
        ([row(business_date="2017-05-30")], "business_date answered 2017-05-29, is 2017-05-30"),
        ([row(), row(reference="r-2", id="ent_02")], "refused .* but in the ledger 1 times"),
        ([row(), row(reference="r-3", id="ent_03")], "r-3 of partner 11: in the ledger, but no client"),
        ([row(), row(reference="r-3")], "entry ent_01: stands for 2 requests"),
    ],
)
def test_each_difference_is_named(rows: list[Row], wrong: str) -> None:
    """Lost, doubled, changed, carried out although refused, carried out in silence, two in one."""
    found = compare([ACCEPTED, REFUSED], rows)
    assert found
    with pytest.raises(AssertionError, match=wrong):
        raise AssertionError("\n".join(found))


def test_a_replay_must_say_the_same() -> None:
    """Status and content; what differs is shown."""
    assert same(ACCEPTED, 201, dict(ENTRY)) is None
    assert "on replay 201 {'id': 'ent_02'" in str(same(ACCEPTED, 201, {**ENTRY, "id": "ent_02"}))
    assert "on replay 201" in str(same(REFUSED, 201, ENTRY))


GIFT = Told(11, "gift", {"reference": "g"}, 201, {"id": "ent_07", "points": -30})
MERGE = Told(11, "merge", {"reference": "m"}, 201, {"id": "ent_08", "points": 60, "cured": 40})
POOLED = Told(11, "redemption", {"reference": "p"}, 201, {"id": "ent_09", "points": -5, "pooled": -70})
TOLD = [GIFT, MERGE, POOLED, ACCEPTED, REFUSED]
TRANSFERS = [
    Transfer(11, "ent_07", 30),
    Transfer(11, "ent_08", -100),
    Transfer(11, "ent_09", -50),
    Transfer(11, "ent_09", -20),
]


def test_transfers_that_are_as_answered_have_nothing_wrong() -> None:
    """A gift, a merge whose points paid a debt, a reward that two others of the pool have paid."""
    assert compare_transfers(TOLD, TRANSFERS) == []


@pytest.mark.parametrize(
    ("transfers", "wrong"),
    [
        (TRANSFERS[1:], "gift g of partner 11: has 0 transfers and not one"),
        ([TRANSFERS[0], *TRANSFERS], "gift g of partner 11: has 2 transfers and not one"),
        ([Transfer(11, "ent_07", 29), *TRANSFERS[1:]], "its transfers move 29 points, and it says 30"),
        ([Transfer(12, "ent_07", 30), *TRANSFERS[1:]], "a transfer of it is another partner's"),
        (TRANSFERS[:3], "redemption p of partner 11: its transfers move -50 points, and it says -70"),
        ([*TRANSFERS, Transfer(11, "ent_01", 1)], "accrual r-1 .* move 1 points, and it says 0"),
        ([*TRANSFERS, Transfer(11, "ent_99", 0)], "transfer of ent_99: belongs to no entry"),
    ],
)
def test_each_difference_of_transfers_is_named(transfers: list[Transfer], wrong: str) -> None:
    """One that is missing, one too many, of another size, of another partner, of nobody."""
    found = compare_transfers(TOLD, transfers)
    assert found
    with pytest.raises(AssertionError, match=wrong):
        raise AssertionError("\n".join(found))
