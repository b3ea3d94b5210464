"""Debtors that do not pay and partners that leave, over HTTP."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Engine

from network.rules import Rules
from network.service import set_clock
from settlement import runs
from settlement.payments import move_cover
from settlement.service import clear
from tests.api.office import Desk, Office
from tests.coalition import HOTEL, PETROL, START, burn, new_card, run, sale
from tests.people import faults_of

NIGHT = "/nights/2017-05-01/default"


@pytest.fixture
def max_(office: Office, live: Rules, database: Engine) -> Desk:
    """A maker, when the first night is instructed: the hotel is to pay petrol 8.00, and has left 3.00."""
    card = new_card(database, live)
    run(database, live, sale(card, 1000_00, "sale", partner_id=HOTEL))
    run(database, live, burn(card, 1000, "burn", partner_id=PETROL))
    on, over = START.date(), START + timedelta(days=1)
    with database.begin() as connection:
        set_clock(connection, over)
        move_cover(
            connection,
            account="deposit",
            participant_id=HOTEL,
            currency="USD",
            amount_minor=300,
            reference="deposit",
            booked_on=on,
            by="anna",
            at=over,
        )
    clear(database, on, at=over, programme_version=1)
    proposed = runs.propose_run(database, on, by="anna", at=over)
    runs.approve_run(database, on, sha256=proposed.sha256, by="bert", at=over)
    runs.instruct(database, on, by="anna", at=over)
    return office.person("max", "maker")


@pytest.fixture
def cleo(office: Office) -> Desk:
    """A checker."""
    return office.person("cleo", "checker")


def refusal(answer: Any) -> tuple[int, str]:
    """Status and code of a problem."""
    return answer.status_code, answer.json()["code"]


def test_a_default_is_simulated_proposed_and_decided(max_: Desk, cleo: Desk, office: Office) -> None:
    """The same simulation each time; a maker proposes it, a checker approves its hash, once."""
    seen = max_.get(f"{NIGHT}?debtor=hotel&carry_minor=100")
    assert seen["simulation"]["missing_minor"] == 800
    made = max_.post(NIGHT, debtor="hotel", reason="no money", carry_minor=100)
    assert made["simulation"] == seen["simulation"]
    assert {(line["rung"], line["amount_minor"]) for line in made["simulation"]["lines"]} >= {
        ("deposit", 300),
        ("carry", 100),
        ("loss", 400),
    }
    assert [one["id"] for one in cleo.get("/defaults?waiting=true")["data"]] == [made["id"]]
    path = f"/defaults/{made['id']}/approve"
    assert refusal(max_.try_post(path, sha256=made["sha256"])) == (403, "not_allowed")
    assert refusal(cleo.try_post(path, sha256="0" * 64)) == (409, "proposal_changed")
    done = cleo.post(path, sha256=made["sha256"])
    assert (done["case"]["approved"], done["case"]["decided_by"], done["suspended"]) == (True, "cleo", True)
    assert refusal(cleo.try_post(path, sha256=made["sha256"])) == (409, "proposal_changed")
    assert {one["id"]: one["status"] for one in max_.get("/partners")["data"]}[HOTEL] == "suspended"
    assert cleo.get("/defaults?waiting=true")["data"] == []
    assert faults_of(office.database) == []


def test_what_is_no_default_is_named(max_: Desk, cleo: Desk) -> None:
    """Who has nothing to pay, no such partner, night or case, and fields that are none."""
    assert refusal(max_.send("GET", f"{NIGHT}?debtor=petrol")) == (409, "nothing_missing")
    assert refusal(max_.send("GET", f"{NIGHT}?debtor=nobody")) == (404, "partner_not_found")
    assert refusal(max_.send("GET", "/nights/2001-01-01/default?debtor=hotel")) == (404, "night_unknown")
    assert max_.send("GET", f"{NIGHT}?debtor=hotel&way=downhill").status_code in {400, 422}
    assert max_.try_post(NIGHT, debtor="hotel", reason="x", carry_minor=-1).status_code in {400, 422}
    assert max_.try_post(NIGHT, debtor="hotel", reason="").status_code in {400, 422}
    none = "00000000-0000-0000-0000-000000000007"
    assert refusal(cleo.try_post(f"/defaults/{none}/approve", sha256="0" * 64)) == (404, "case_unknown")
    assert refusal(cleo.try_post("/defaults/x/refuse", sha256="0" * 64)) == (404, "case_unknown")
    made = max_.post(NIGHT, debtor="hotel", reason="no money", way="unwind")
    assert made["simulation"]["outside"] == [[HOTEL, PETROL, "8.000000000000"]]
    refused = cleo.post(f"/defaults/{made['id']}/refuse", sha256=made["sha256"])
    assert (refused["case"]["approved"], refused["suspended"]) == (False, False)


def test_an_exit_is_agreed_and_shown(max_: Desk, cleo: Desk, office: Office) -> None:
    """Too little notice is refused; agreed, it waits for a checker; then its statement says what is open."""
    days = {
        "notice_on": "2017-05-01",
        "last_earn_on": "2017-05-10",
        "last_burn_on": "2017-05-11",
        "run_off_until": "2017-05-12",
        "mode": "buy_out",
        "reason": "letter",
    }
    assert refusal(max_.send("GET", "/partners/hotel/exit")) == (409, "exit_refused")
    assert refusal(max_.try_post("/partners/hotel/exit", **days)) == (409, "exit_refused")
    made = max_.post("/partners/hotel/exit", **days, agreed=True)["proposal"]
    assert refusal(max_.try_post("/partners/hotel/exit", **days, agreed=True)) == (409, "proposal_open")
    assert cleo.decide(made).status_code == 200
    shown = max_.get("/partners/hotel/exit")["statement"]
    assert shown["leaving"]["last_burn_on"] == "2017-05-11"
    assert "its points are not bought out" in shown["open"]
    assert refusal(max_.try_post("/partners/hotel/buy-out")) == (409, "exit_refused")
    assert refusal(max_.try_post("/partners/hotel/leave")) == (409, "exit_refused")
    assert faults_of(office.database) == []
