"""The plain language of a contract, to the letter: what two parties sign is what they have read."""

from datetime import date
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest

from partners.model import Category, Terms, VatRate
from partners.rates import Fixing
from settlement.preview import Around, Side, preview
from tests.factories import A, B, contract

TEXTS = Path(__file__).parent / "previews"
ON = date(2017, 6, 1)
STANDARD = {"STD": [VatRate(vat_code="STD", effective_on=date(2017, 1, 1), rate_bps=2000)]}
FLIGHT = Category(category=1, code="flight", name="Flights")
HOTEL = Side(code="hotel", terms=contract(B, rate="0.0090"))
RYOKAN = Side(code="ryokan", terms=contract(B, currency="JPY", rate="1.2", price="1.5"))


def _split() -> Terms:
    """A contract with a term of everything."""
    plain = contract(
        A,
        effective_on=ON,
        share="0.25",
        price="0.0100",
        rate="0.0080",
        per_point="0.0004",
        per_transaction="0.015",
        bps="125",
    )
    return msgspec.structs.replace(
        plain,
        vat_codes=(("fee", "STD"), ("issue", "STD"), ("redemption", "STD")),
        monthly_minimum=Decimal(50),
        net_debit_cap=Decimal(10_000),
        deposit=Decimal(2_000),
        guarantee=Decimal(500),
        minimum_payment_minor=500,
        breakage_to="acceptors",
        breakage_operator_share=Decimal("0.6"),
        category_rates=((1, Decimal("0.0120")),),
    )


CASES = {
    "on_redeem": (contract(A, effective_on=ON, per_transaction="0.015", vat_bps=2000), HOTEL, None),
    "on_issue": (contract(A, effective_on=ON, share="1", breakage_to="issuer"), HOTEL, None),
    "split": (_split(), HOTEL, None),
    "yen": (contract(A, effective_on=ON), RYOKAN, Fixing(Decimal("0.00625"), "ECB", date(2017, 5, 31))),
    "yen_unfixed": (contract(A, effective_on=ON), RYOKAN, None),
    "dinar": (
        contract(A, effective_on=ON, currency="KWD", rate="0.0025", per_transaction="0.001"),
        None,
        None,
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_a_contract_says_what_it_does(case: str) -> None:
    """Each way of funding, several currencies, every term: the text that was agreed on."""
    terms, other, fixing = CASES[case]
    around = Around(on=ON, vat=STANDARD, categories=[FLIGHT], fixing=fixing)
    said = preview(Side(code="grocer", terms=terms), other, around)
    assert said == (TEXTS / f"{case}.txt").read_text(encoding="utf-8")
