"""Contracts over HTTP: drafted by one, read in plain language, activated by another; rates by two."""

from typing import Any

import pytest

from tests.api.office import Desk, Office
from tests.people import faults_of


@pytest.fixture
def max_(office: Office) -> Desk:
    """A maker."""
    return office.person("max", "maker")


@pytest.fixture
def cleo(office: Office) -> Desk:
    """A checker."""
    return office.person("cleo", "checker")


def refusal(answer: Any) -> tuple[int, str]:
    """Status and code of a problem."""
    return answer.status_code, answer.json()["code"]


def test_a_contract_changes_by_two(max_: Desk, cleo: Desk, office: Office) -> None:
    """What is not said stays as it was; the preview says it in words; the hash is what is activated."""
    [before] = max_.get("/partners/grocer/contract")["data"]
    changes = {"effective_on": "2017-06-01", "reimbursement_rate": "0.0085", "monthly_minimum": "25.00"}
    made = max_.post("/partners/grocer/contract", terms=changes)
    assert made["terms"] == {**made["terms"], "reimbursement_rate": "0.0085", "currency": before["currency"]}
    assert "grocer, version 2, from 2017-06-01" in made["preview"]
    assert [one["id"] for one in cleo.get("/contracts?waiting=true")["data"]] == [made["id"]]
    shown = cleo.get(f"/contracts/{made['id']}?other=petrol&points=500")
    assert (shown["sha256"], "500 points" in shown["preview"]) == (made["sha256"], True)
    own = max_.try_post(f"/contracts/{made['id']}/activate", sha256=made["sha256"])
    assert refusal(own) == (403, "not_allowed")
    other = cleo.try_post(f"/contracts/{made['id']}/activate", sha256="00" * 32)
    assert refusal(other) == (409, "proposal_changed")
    assert cleo.post(f"/contracts/{made['id']}/activate", sha256=made["sha256"])["activated"] is True
    versions = max_.get("/partners/grocer/contract")["data"]
    assert [one["reimbursement_rate"] for one in versions] == [before["reimbursement_rate"], "0.00850000"]
    again = cleo.try_post(f"/contracts/{made['id']}/activate", sha256=made["sha256"])
    assert refusal(again) == (404, "draft_unknown")
    assert faults_of(office.database) == []


@pytest.mark.parametrize(
    "terms",
    [
        {"effective_on": "2017-06-01", "funding_share": "1.5"},
        {"effective_on": "2017-06-01", "no_such_term": 1},
        {"effective_on": "2010-01-01"},
        {"effective_on": "2017-06-01", "vat_codes": {"fee": "NONE"}},
    ],
)
def test_what_no_contract_can_say_is_named(max_: Desk, terms: dict[str, Any]) -> None:
    """422 and every fault in words; nothing is kept."""
    answer = max_.try_post("/partners/grocer/contract", terms=terms)
    assert refusal(answer) == (422, "terms_unfit")
    assert answer.json()["detail"]
    assert max_.get("/contracts")["data"] == []
    assert refusal(max_.try_post("/partners/grocer/contract", terms=[1])) == (422, "validation_failed")
    assert refusal(max_.try_post("/partners/nobody/contract", terms={})) == (404, "partner_not_found")


def test_a_maker_withdraws_only_its_own_draft(max_: Desk, cleo: Desk, office: Office) -> None:
    """A checker declines any."""
    mia = office.person("mia", "maker")
    changes = {"effective_on": "2017-06-01", "issue_price": "0.0200"}
    for who, status in ((mia, 403), (max_, 200)):
        made = max_.post("/partners/grocer/contract", terms=changes)
        assert who.try_post(f"/contracts/{made['id']}/decline").status_code == status
        if status == 403:
            assert cleo.post(f"/contracts/{made['id']}/decline")["activated"] is False


def test_rates_and_categories(max_: Desk, cleo: Desk, office: Office) -> None:
    """A category is there at once and prices nothing; a VAT rate and a fixing come by two."""
    assert max_.post("/categories", code="fuel", name="Fuel")["category"] == 1
    assert refusal(max_.try_post("/categories", code="fuel", name="Fuel")) == (422, "terms_unfit")
    assert [one["code"] for one in cleo.get("/categories")["data"]] == ["fuel"]
    vat = max_.post("/vat-rates", vat_code="standard", effective_on="2017-05-02", rate_bps=2000)["proposal"]
    fixing = {"source": "ECB", "base": "EUR", "quote": "USD", "fixed_on": "2017-05-02", "rate": "1.0915"}
    rate = max_.post("/fx-rates", **fixing)["proposal"]
    assert max_.decide(vat).status_code == 403
    for proposal in (vat, rate):
        assert cleo.decide(proposal).status_code == 200
    assert [one["rate_bps"] for one in max_.get("/vat-rates")["data"]] == [2000]
    [kept] = max_.get("/fx-rates?first=2017-05-01&last=2017-05-31")["data"]
    assert (kept["source"], kept["base"], kept["rate"].rstrip("0")) == ("ECB", "EUR", "1.0915")
    wrong = max_.try_post("/fx-rates", **{**fixing, "quote": "EUR"})
    assert refusal(wrong) == (422, "terms_unfit")
    assert refusal(max_.try_post("/fx-rates", **{**fixing, "rate": "1e3"})) == (422, "validation_failed")
    assert faults_of(office.database) == []
