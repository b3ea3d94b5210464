"""Fees and VAT of the operator, month to date; literals in, literals out."""

from datetime import date
from decimal import Decimal

import pytest

from settlement.errors import TermsMissing
from settlement.fees import charge, unrounded_fee
from settlement.model import Before, Charge, FeeBasis
from settlement.money import fixed_scale, floor_minor, from_minor, half_up_minor, minor_digits
from settlement.positions import charges, terms_in_force
from tests.factories import A, B, by_version, contract

ON = date(2017, 3, 5)


def test_a_fee_has_three_parts() -> None:
    """Per issued point, per transaction, and basis points of credits: .0004, .015 and 1.25 %."""
    terms = contract(A, per_point="0.0004", per_transaction="0.015", bps="125")
    basis = FeeBasis(issued_points=300_000, transactions=412, credits=Decimal("1359.0640"))
    assert unrounded_fee(basis, terms) == Decimal("143.1683")


def test_a_night_of_returns_gives_fees_back() -> None:
    """More reversed than issued: the fee is below zero, and so is its VAT."""
    basis = FeeBasis(issued_points=-1000, credits=Decimal("-20.00"))
    fee = unrounded_fee(basis, contract(A, per_point="0.0004", bps="125"))
    assert fee == Decimal("-0.65")
    assert charge([fee], 2000, Charge(), 2) == Charge(
        fee_base=Decimal("-0.65"), vat_base=Decimal("-0.130"), fee_minor=-65, vat_minor=-13
    )


def test_two_versions_in_one_window_are_charged_together() -> None:
    """Half a cent under each of two versions is one cent, rounded once."""
    assert charge([Decimal("0.005"), Decimal("0.005")], 0, Charge(), 2).fee_minor == 1


def test_small_fees_add_up_over_the_month() -> None:
    """A fee of .02 a night is VAT of .004: never a cent by itself, 12 cents over thirty nights."""
    before = Charge()
    vat = []
    for _ in range(30):
        tonight = charge([Decimal("0.02")], 2000, before, 2)
        vat.append(tonight.vat_minor)
        before = Charge(
            fee_base=before.fee_base + tonight.fee_base,
            vat_base=before.vat_base + tonight.vat_base,
            fee_minor=before.fee_minor + tonight.fee_minor,
            vat_minor=before.vat_minor + tonight.vat_minor,
        )
    assert vat[:6] == [0, 1, 0, 1, 0, 0]
    assert (before.fee_minor, before.vat_minor, sum(vat)) == (60, 12, 12)


def test_what_was_charged_too_much_is_given_back() -> None:
    """Rounding half-up charged a cent for half a cent; the next half cent costs nothing."""
    first = charge([Decimal("0.005")], 0, Charge(), 2)
    second = charge([Decimal("0.005")], 0, first, 2)
    assert (first.fee_minor, second.fee_minor) == (1, 0)


def test_vat_is_the_rate_on_the_fee_as_charged() -> None:
    """A fee of .025 is charged as .03: VAT is 20 % of that, .006, and rounds to a cent."""
    tonight = charge([Decimal("0.025")], 2000, Charge(), 2)
    assert (tonight.fee_minor, tonight.vat_base, tonight.vat_minor) == (3, Decimal("0.006"), 1)


def test_a_new_month_starts_at_nothing() -> None:
    """Without earlier windows of the month the fee is rounded alone."""
    month = Before(month_to_date=Charge(fee_base=Decimal("0.004")))
    terms = by_version(contract(A, per_transaction="0.001"))
    basis = {(A, 1): FeeBasis(transactions=4)}
    in_force = {A: terms[A, 1]}
    assert charges(basis, terms, in_force, {(A, "EUR"): month}, ON)[A, "EUR"].fee_minor == 1
    assert charges(basis, terms, in_force, {}, ON)[A, "EUR"].fee_minor == 0


def test_everybody_with_terms_is_charged_by_versions_and_todays_vat() -> None:
    """An old version is corrected at its old fee; VAT goes by the date; who did nothing pays nothing."""
    terms = by_version(
        contract(A, version=1, effective_on=date(2017, 1, 1), per_point="0.0010", vat_bps=1900),
        contract(A, version=2, effective_on=date(2017, 3, 1), per_point="0.0020", vat_bps=2000),
        contract(B),
    )
    in_force = terms_in_force(terms, date(2017, 3, 5))
    basis = {(A, 1): FeeBasis(issued_points=-1000), (A, 2): FeeBasis(issued_points=3000)}
    assert charges(basis, terms, in_force, {}, ON) == {
        (A, "EUR"): Charge(fee_base=Decimal("5.00"), vat_base=Decimal("1.00"), fee_minor=500, vat_minor=100),
        (B, "EUR"): Charge(),
    }
    with pytest.raises(TermsMissing, match="partner 11 is to be charged by terms 9"):
        charges({(A, 9): FeeBasis(transactions=1)}, terms, in_force, {}, ON)


def test_terms_in_force_go_by_the_date() -> None:
    """The latest version that has begun; before the first begins, the first."""
    terms = by_version(
        contract(A, version=1, effective_on=date(2017, 1, 1)),
        contract(A, version=2, effective_on=date(2017, 3, 1)),
    )
    found = {
        on: terms_in_force(terms, on)[A].terms_version
        for on in (date(2016, 12, 31), date(2017, 2, 28), date(2017, 3, 1))
    }
    assert list(found.values()) == [1, 1, 2]


@pytest.mark.parametrize(
    ("amount", "floored", "nearest"),
    [
        ("0.005", 0, 1),
        ("0.0049999999", 0, 0),
        ("-0.005", -1, -1),
        ("-0.0049999999", -1, 0),
        ("-0.001", -1, 0),
        ("12345678901234567890.995", 1234567890123456789099, 1234567890123456789100),
    ],
)
def test_roundings(amount: str, floored: int, nearest: int) -> None:
    """Floor goes towards minus infinity; half-up sends a half away from zero on both sides."""
    assert floor_minor(Decimal(amount), 2) == floored
    assert half_up_minor(Decimal(amount), 2) == nearest


def test_minor_units() -> None:
    """Currencies have their own number of decimals."""
    assert [minor_digits(currency) for currency in ("EUR", "JPY", "KWD", "CLF")] == [2, 0, 3, 4]
    assert [from_minor(78035, digits) for digits in (2, 0, 3)] == [
        Decimal("780.35"),
        Decimal(78035),
        Decimal("78.035"),
    ]


def test_one_value_has_one_text() -> None:
    """Canonical amounts have a fixed scale, no exponent and no negative zero, whatever made them."""
    assert [fixed_scale(Decimal(text), 4) for text in ("1E+2", "100.00000", "-0.00", "-1.5")] == [
        "100.0000",
        "100.0000",
        "0.0000",
        "-1.5000",
    ]
