"""A contract as it is drafted: whole from its changes, checked, one text for one version."""

from datetime import date
from decimal import Decimal

import msgspec
import pytest

from partners.drafts import body_of, first_day, hash_of, read_body, terms_of
from partners.errors import DraftUnfit
from partners.model import Category, Terms
from tests.factories import A, contract

FIRST = {
    "effective_on": date(2017, 6, 1),
    "currency": "EUR",
    "funding": "on_redeem",
    "issue_price": "0.0100",
    "reimbursement_rate": "0.0080",
}
FLIGHT = Category(category=7, code="flight", name="Flights")


def test_a_first_contract_is_read_from_texts() -> None:
    """Amounts are texts, funding has a name, categories their codes; what is not said has its default."""
    terms = terms_of(
        {**FIRST, "category_rates": {"flight": "0.0120"}, "vat_codes": {"redemption": "STD", "fee": "STD"}},
        partner_id=A,
        before=None,
        categories=[FLIGHT],
    )
    assert terms == msgspec.structs.replace(
        contract(A, effective_on=date(2017, 6, 1)),
        category_rates=((7, Decimal("0.0120")),),
        vat_codes=(("fee", "STD"), ("redemption", "STD")),
    )


def test_a_later_version_is_the_one_before_with_changes() -> None:
    """Only what is said changes; the number goes up by one."""
    before = msgspec.structs.replace(contract(A, vat_bps=2000), category_rates=((7, Decimal("0.0120")),))
    after = terms_of({"effective_on": date(2017, 7, 1), "monthly_minimum": "50"}, partner_id=A, before=before)
    assert after == msgspec.structs.replace(
        before, terms_version=2, effective_on=date(2017, 7, 1), monthly_minimum=Decimal(50)
    )


@pytest.mark.parametrize(
    ("given", "share"),
    [
        ({"funding": "on_redeem"}, "0"),
        ({"funding": "on_issue"}, "1"),
        ({"funding": "split", "funding_share": "0.25"}, "0.25"),
    ],
)
def test_funding_has_three_names(given: dict[str, object], share: str) -> None:
    """On redeem, on issue, split: each is a share."""
    terms = terms_of({**FIRST, **given}, partner_id=A, before=None)
    assert terms.funding_share == Decimal(share)


@pytest.mark.parametrize(
    ("given", "fault"),
    [
        ({"currency": "eur"}, "currency: 'eur' is no code"),
        ({"funding": "split"}, "split needs its funding_share"),
        ({"funding": "on_issue", "funding_share": "1"}, "leave funding_share out"),
        ({"funding": "later"}, "none of on_redeem, on_issue, split"),
        ({"issue_price": "-0.01"}, "issue_price: -0.01 is not from 0"),
        ({"issue_price": "0.123456789"}, "issue_price: 0.123456789 is not from 0 with at most 8 decimals"),
        ({"issue_price": "NaN"}, "issue_price"),
        ({"vat_bps": 10_001}, "vat_bps: 10001 is not from 0 to 10000"),
        ({"breakage_operator_share": "1.1"}, "breakage_operator_share: 1.1 is not from 0 to 1"),
        ({"breakage_to": "nobody"}, "breakage_to"),
        ({"cap_warning_bps": 9600}, "the warning is above the alarm"),
        ({"late_days": 31}, "late_days: 31 is not from 0 to 30"),
        ({"category_rates": {"spa": "0.01"}}, "the network has no category 'spa'"),
        ({"terms_version": 9}, "terms_version: no contract has that term"),
        ({"discount": "0.1"}, "discount: no contract has that term"),
    ],
)
def test_what_no_contract_can_say_is_named(given: dict[str, object], fault: str) -> None:
    """Each fault has its term and what it should be."""
    with pytest.raises(DraftUnfit) as refused:
        terms_of({**FIRST, **given}, partner_id=A, before=None, categories=[FLIGHT])
    assert fault in str(refused.value)


def test_all_faults_are_named_at_once() -> None:
    """Who drafts corrects everything in one go."""
    with pytest.raises(DraftUnfit, match=r"discount.*currency.*vat_bps"):
        terms_of({**FIRST, "discount": 1, "currency": "x", "vat_bps": -1}, partner_id=A, before=None)


def test_a_version_has_one_text() -> None:
    """What is hashed reads back as the same version, decimals and all."""
    terms: Terms = msgspec.structs.replace(
        contract(A, share="0.2500", price="1E-7"),
        category_rates=((7, Decimal("0.0120")),),
        vat_codes=(("fee", "STD"),),
        net_debit_cap=Decimal("1000"),
    )
    body = body_of(terms)
    assert read_body(body) == terms
    assert body_of(read_body(body)) == body
    assert '"issue_price":"0.0000001"' in body
    assert len(hash_of(body)) == 32


def test_a_version_begins_on_a_day_that_nobody_has_begun_with() -> None:
    """A first contract may begin today; a later one tomorrow, or after the date that is open."""
    today, ahead = date(2017, 6, 10), date(2017, 6, 12)
    assert first_day(today, today, None) == today
    assert first_day(today, today, contract(A)) == date(2017, 6, 11)
    assert first_day(today, ahead, contract(A)) == date(2017, 6, 13)
