"""Who gets the pool's money for lapsed points: the published case, and what rounding leaves."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from partners.model import OPERATOR_ID
from settlement.breakage import BreakageShare, RestTo, ShareImpossible, share_breakage

A, B, C, D = 11, 12, 13, 14
LAST_MONTH = {B: 30_000, C: 12_345, D: 7_655}


def amounts(shares: tuple[BreakageShare, ...]) -> dict[int, Decimal]:
    """Amounts by recipient."""
    return {one.recipient_id: one.amount for one in shares}


def test_the_published_case() -> None:
    """400.00 for 50,000 points at .0080: the operator 60 %, 160.00 to acceptors by largest remainder."""
    shares = share_breakage(
        50_000 * Decimal("0.0080"),
        50_000,
        issuer_id=A,
        rest_to="acceptors",
        operator_share=Decimal("0.6"),
        accepted=LAST_MONTH,
    )
    assert amounts(shares) == {
        OPERATOR_ID: Decimal("240.00"),
        B: Decimal("96.00"),
        C: Decimal("39.50"),
        D: Decimal("24.50"),
    }
    assert {one.recipient_id: one.points for one in shares} == {
        OPERATOR_ID: 30_000,
        B: 12_000,
        C: 4_938,
        D: 3_062,
    }


def test_what_is_below_a_cent_stays_with_the_operator() -> None:
    """Of 0.0161 there is one whole cent to share: the lower id of two equal claims has it."""
    shares = share_breakage(
        Decimal("0.0161"), 2, issuer_id=A, rest_to="acceptors", accepted={D: 5, C: 5, B: 2}
    )
    assert amounts(shares) == {OPERATOR_ID: Decimal("0.0061"), C: Decimal("0.01"), D: Decimal("0.00")}


@pytest.mark.parametrize(
    ("rest_to", "operator_share", "accepted", "expected"),
    [
        ("operator", "0", {}, {OPERATOR_ID: "4.0001"}),
        ("operator", "0.25", {}, {OPERATOR_ID: "4.0001"}),
        ("issuer", "0", {}, {A: "4.0001"}),
        ("issuer", "0.5", {}, {OPERATOR_ID: "2.00005", A: "2.00005"}),
        ("acceptors", "0.5", {}, {OPERATOR_ID: "4.0001"}),
        ("acceptors", "0", {B: 0, C: -7}, {OPERATOR_ID: "4.0001"}),
        ("acceptors", "0", {A: 1}, {OPERATOR_ID: "0.0001", A: "4.00"}),
        ("acceptors", "1", {B: 3}, {OPERATOR_ID: "4.0001"}),
    ],
)
def test_terms_of_breakage(
    rest_to: RestTo, operator_share: str, accepted: dict[int, int], expected: dict[int, str]
) -> None:
    """Each recipient by contract; who accepted nothing gets nothing, and then the operator has it all."""
    shares = share_breakage(
        Decimal("4.0001"),
        400,
        issuer_id=A,
        rest_to=rest_to,
        operator_share=Decimal(operator_share),
        accepted=accepted,
    )
    assert amounts(shares) == {party: Decimal(amount) for party, amount in expected.items()}


def test_minor_units_of_the_currency() -> None:
    """Yen have no decimals, and dinars three."""
    given_out = [
        amounts(
            share_breakage(
                Decimal("100.5"), 100, issuer_id=A, rest_to="acceptors", accepted={B: 2, C: 1}, digits=digits
            )
        )
        for digits in (0, 3)
    ]
    assert given_out == [
        {OPERATOR_ID: Decimal("0.5"), B: Decimal(67), C: Decimal(33)},
        {B: Decimal("67.000"), C: Decimal("33.500")},
    ]


@pytest.mark.parametrize(
    ("amount", "points", "share"), [("1", 1, "1.1"), ("1", 1, "-0.1"), ("-1", 1, "0"), ("1", -1, "0")]
)
def test_terms_that_cannot_be(amount: str, points: int, share: str) -> None:
    """A part above one or below zero, and points against their money, are refused."""
    with pytest.raises(ShareImpossible):
        share_breakage(
            Decimal(amount), points, issuer_id=A, rest_to="operator", operator_share=Decimal(share)
        )


@given(
    amount=st.decimals("0", "1000000", places=8),
    points=st.integers(0, 10**9),
    share=st.decimals("0", "1", places=4),
    rest_to=st.sampled_from(["operator", "issuer", "acceptors"]),
    accepted=st.dictionaries(st.integers(11, 20), st.integers(-5, 10**6), max_size=6),
)
def test_laws(
    amount: Decimal, points: int, share: Decimal, rest_to: RestTo, accepted: dict[int, int]
) -> None:
    """Nothing is lost or made, to the last digit; nobody pays; taking back gives the same with a sign."""
    there = share_breakage(
        amount, points, issuer_id=A, rest_to=rest_to, operator_share=share, accepted=accepted
    )
    assert sum((one.amount for one in there), Decimal(0)) == amount
    assert sum(one.points for one in there) == points
    assert all(one.amount >= 0 and one.points >= 0 for one in there)
    back = share_breakage(
        -amount, -points, issuer_id=A, rest_to=rest_to, operator_share=share, accepted=accepted
    )
    assert [(one.recipient_id, -one.points, -one.amount) for one in back] == [
        (one.recipient_id, one.points, one.amount) for one in there
    ]
    if rest_to == "acceptors":
        for one in there:
            exact = (amount - amount * share) * accepted.get(one.recipient_id, 0)
            total = sum(count for count in accepted.values() if count > 0)
            if one.recipient_id != OPERATOR_ID:
                assert abs(one.amount - exact / total) <= Decimal("0.01") + Decimal("1e-9")
