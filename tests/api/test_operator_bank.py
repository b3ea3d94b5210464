"""A whole night over HTTP: accounts, approval, payments, statements, exceptions; a debtor that fails."""

from base64 import b64decode
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import Engine

from network.service import set_clock
from tests.api.office import Desk, Office
from tests.factories import OPERATOR, POOL, A, B, C, D
from tests.integration.test_bank import COOLED, iban, name_of
from tests.integration.test_night import WORKED_TERMS, clear_first, post, set_up, worked_night
from tests.people import faults_of
from tests.pretend_bank import Entry, Part, PretendBank, pain_schema

CODES = {0: "hub", OPERATOR: "operator", POOL: "pool", A: "p11", B: "p12", C: "p13", D: "p14"}
NIGHT = "/nights/2017-05-01"


@pytest.fixture
def live(database: Engine) -> None:
    """The network of the worked night."""
    set_up(database, WORKED_TERMS)


@pytest.fixture
def max_(office: Office) -> Desk:
    """A maker."""
    return office.person("max", "maker")


@pytest.fixture
def cleo(office: Office) -> Desk:
    """A checker."""
    return office.person("cleo", "checker")


def account(code: str, number: str, **changed: str) -> dict[str, str]:
    """The fields of an account in euros."""
    return {
        "participant": code,
        "currency": "EUR",
        "name": f"Account of {code}",
        "iban": number,
        "evidence": "letter, called back",
        **changed,
    }


@pytest.fixture
def instructed(database: Engine, max_: Desk, cleo: Desk) -> PretendBank:
    """The worked night, approved and instructed over HTTP, with accounts in use; the bank of the hub."""
    for participant_id, code in CODES.items():
        made = max_.post("/bank/accounts", **account(code, iban(participant_id)))
        cleo.post(f"/bank/accounts/{made['version']['account_id']}/approve")
    post(database, worked_night())
    clear_first(database)
    cleo.post(f"{NIGHT}/approve", sha256=max_.post(f"{NIGHT}/propose")["sha256"])
    max_.post(f"{NIGHT}/instruct")
    with database.begin() as connection:
        set_clock(connection, COOLED)
    return PretendBank(iban(0), "EUR")


def book(bank: PretendBank, amount: str, end_to_end_id: str) -> None:
    """Money that comes in under a name."""
    part = Part(amount=Decimal(amount), end_to_end_id=end_to_end_id, name="Payer", iban=iban(70))
    bank.book(Entry(amount=Decimal(amount), parts=(part,)))


def read(desk: Desk, content: bytes) -> Any:
    """The answer to a statement of the bank."""
    return desk.send("POST", "/bank/statements", content=content, headers={"content-type": "application/xml"})


def test_a_night_is_paid(database: Engine, instructed: PretendBank, max_: Desk, cleo: Desk) -> None:
    """Asked for, booked, one surplus sent back by two, paid out in valid files, settled; all on record."""
    asked = {one["participant_id"]: one["rest_minor"] for one in max_.get(f"{NIGHT}/pay-ins")["data"]}
    assert asked == {A: 15432, C: 6894, D: 55709}
    early = max_.try_post(f"{NIGHT}/pay-outs")
    assert (early.status_code, early.json()["code"]) == (409, "run_not_ready")
    book(instructed, "154.33", name_of(A, "in"))
    book(instructed, "68.94", name_of(C, "in"))
    book(instructed, "557.09", name_of(D, "in"))
    content = instructed.file()
    answer = read(max_, content).json()
    assert answer["nights"] == {"2017-05-01": "funded"}
    assert (answer["data"][0]["matched"], len(answer["data"][0]["exceptions"])) == (2, 1)
    assert read(max_, content).json()["data"][0]["read_before"] is True
    [standing] = max_.get("/bank/exceptions?waiting=true")["data"]
    number = standing["exception"]["exception_id"]
    assert (standing["exception"]["problem"], standing["left_minor"]) == ("surplus", 1)
    made = max_.post(f"/bank/exceptions/{number}/resolutions", way="refund", note="too much")["resolution"]
    decided = cleo.post(f"/bank/resolutions/{made['resolution_id']}/approve")["resolution"]
    assert (decided["decided_by"], decided["approved"]) == ("cleo", True)
    again = cleo.try_post(f"/bank/resolutions/{made['resolution_id']}/reject")
    assert (again.status_code, again.json()["code"]) == (409, "proposal_decided")
    files = max_.post(f"{NIGHT}/pay-outs")["data"] + max_.post("/bank/refunds")["data"]
    assert [one["is_new"] for one in files] == [True, True]
    assert [one["content"] for one in max_.post(f"{NIGHT}/pay-outs")["data"]] == [files[0]["content"]]
    for one in files:
        pain = b64decode(one["content"])
        pain_schema().validate(pain.decode())
        instructed.pay(pain)
    assert read(max_, instructed.file()).json()["nights"] == {"2017-05-01": "settled"}
    assert instructed.balance == 0
    assert max_.get(NIGHT)["runs"] == [{"revision": 1, "state": "settled"}]
    assert faults_of(database) == []
    actions = {row["action"] for row in cleo.get("/audit?limit=100")["data"]}
    assert {"run.proposed", "run.approved", "run.instructed", "session.began"} <= actions


def test_what_the_bank_sends_is_looked_at_first(instructed: PretendBank, max_: Desk) -> None:
    """No XML, another kind of it, an account that is not ours: 422 and why, and nothing is booked."""
    book(instructed, "154.32", name_of(A, "in"))
    good = instructed.file()
    for wrong in (
        b"",
        b"<a/>",
        b"<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>",
        good.replace(b"154.32", b"154.33", 1),
    ):
        answer = read(max_, wrong)
        assert (answer.status_code, answer.json()["code"]) == (422, "statement_refused"), wrong[:40]
    assert max_.get("/bank/exceptions")["data"] == []
    assert max_.send("POST", "/bank/statements", json={}).status_code == 415


def test_an_account_is_changed_by_two(max_: Desk, cleo: Desk) -> None:
    """Its number is checked; a maker does not approve it; before it is used one person stops it."""
    bad = max_.try_post("/bank/accounts", **account("p12", "DE00123456781234567890"))
    assert (bad.status_code, bad.json()["code"]) == (422, "account_invalid")
    unknown = max_.try_post("/bank/accounts", **account("p99", iban(1)))
    assert (unknown.status_code, unknown.json()["code"]) == (404, "partner_not_found")
    made = max_.post("/bank/accounts", **account("p12", iban(1)))
    assert made["state"] == "waits"
    number = made["version"]["account_id"]
    assert cleo.post(f"/bank/accounts/{number}/approve")["state"] == "cooling"
    assert max_.post(f"/bank/accounts/{number}/withdraw")["state"] == "withdrawn"
    assert [one["state"] for one in cleo.get("/bank/accounts")["data"]] == ["withdrawn"]
    gone = cleo.try_post("/bank/accounts/99/approve")
    assert (gone.status_code, gone.json()["code"]) == (404, "proposal_unknown")


def test_a_debtor_that_fails_is_decided_by_two(
    database: Engine, instructed: PretendBank, max_: Desk, cleo: Desk
) -> None:
    """Simulated, proposed with its simulation, approved by its hash; nothing is missing of who has paid."""
    fields = {"debtor": "p14", "currency": "EUR"}
    simulated = max_.post(f"{NIGHT}/defaults/simulate", **fields)
    assert simulated["missing_minor"] == 55709
    nobody = max_.try_post(f"{NIGHT}/defaults/simulate", debtor="p12", currency="EUR")
    assert (nobody.status_code, nobody.json()["code"]) == (409, "not_now")
    case = max_.post(f"{NIGHT}/defaults", **fields, reason="insolvent")
    assert case["simulation"] == simulated
    assert [one["id"] for one in cleo.get("/defaults?waiting=true")["data"]] == [case["id"]]
    wrong = cleo.try_post(f"/defaults/{case['id']}/approve", sha256="00" * 32)
    assert (wrong.status_code, wrong.json()["code"]) == (409, "proposal_changed")
    decided = cleo.post(f"/defaults/{case['id']}/approve", sha256=case["sha256"])
    assert (decided["case"]["decided_by"], decided["case"]["approved"]) == ("cleo", True)
    assert decided["suspended"] is True
    status = {one["code"]: one["status"] for one in max_.get("/partners")["data"]}
    assert status["p14"] == "suspended"
    assert instructed.balance == 0
    assert faults_of(database) == []


def test_a_partner_leaves_by_two(max_: Desk, cleo: Desk) -> None:
    """Proposed with its days and approved like any proposal; days out of order are refused."""
    days = {
        "notice_on": "2017-05-01",
        "last_earn_on": "2017-08-31",
        "last_burn_on": "2017-12-31",
        "run_off_until": "2018-12-31",
        "mode": "run_off",
        "reason": "its letter",
        "agreed": True,
    }
    wrong = max_.try_post("/partners/p14/exit", **{**days, "last_burn_on": "2017-05-02"})
    assert (wrong.status_code, wrong.json()["code"]) == (409, "not_now")
    made = max_.post("/partners/p14/exit", **days)["proposal"]
    assert cleo.decide(made).status_code == 200
    assert cleo.get("/partners/p14/exit")["code"] == "p14"
    early = max_.try_post("/partners/p14/leave")
    assert (early.status_code, early.json()["code"]) == (409, "not_now")
