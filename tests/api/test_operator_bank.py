"""The bank over HTTP: the same services as the commands', each under its role, problems told apart."""

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import Engine
from starlette.testclient import TestClient

from api.app import create_app
from network.service import apply_programme, set_clock
from settlement import runs
from tests.api.conftest import AUTHORITY
from tests.api.office import Clock, Desk, Office
from tests.integration.test_bank import COOLED, iban, name_of
from tests.integration.test_night import (
    FIRST,
    OPENED,
    OVER,
    WORKED_TERMS,
    clear_first,
    post,
    set_up,
    worked_night,
)
from tests.people import KEYS, NOW
from tests.pretend_bank import Entry, Part, PretendBank, file_text, pain_schema

_PROGRAMME = """
name = "test"
[earn.default]
step_minor = 100
points_per_step = 1
[expiry]
months = 3
grace_days = 30
"""
XML = {"content-type": "application/xml"}


def new_account(**given: Any) -> dict[str, Any]:
    """An account in euros for the first partner, where nothing else is said."""
    return {
        "partner": "p12",
        "currency": "EUR",
        "name": "B",
        "iban": iban(12),
        "evidence": "letter, called back",
        **given,
    }


@pytest.fixture
def bank_office(database: Engine) -> Iterator[Office]:
    """The application over the worked night, which is netted."""
    set_up(database, WORKED_TERMS)
    with database.begin() as connection:
        apply_programme(connection, _PROGRAMME, at=OPENED, applied_by="checker")
    post(database, worked_night())
    clear_first(database)
    clock = Clock(NOW)
    app = create_app(database, authority=AUTHORITY, now=clock, operator_keys=KEYS)
    with TestClient(app, base_url=f"http://{AUTHORITY}", raise_server_exceptions=False) as running:
        yield Office(running, database, clock)


@pytest.fixture
def desks(bank_office: Office) -> tuple[Desk, Desk]:
    """Anna, a maker, and Bert, a checker."""
    return bank_office.person("anna", "maker"), bank_office.person("bert", "checker")


def test_an_account_over_http(desks: tuple[Desk, Desk]) -> None:
    """Proposed, approved by another, stopped; what is wrong is 422, what is decided 409."""
    anna, bert = desks
    made = anna.post("/bank/accounts", **new_account())
    assert (made["id"], made["state"], made["proposed_by"]) == (1, "waits", "anna")
    for given, code in (
        (new_account(iban="DE00"), "bank_account_invalid"),
        (new_account(partner="nobody"), "partner_not_found"),
        (new_account(), "proposal_decided"),
    ):
        assert anna.try_post("/bank/accounts", **given).json()["code"] == code
    assert anna.try_post("/bank/accounts/1/approve").status_code == 403
    approved = bert.post("/bank/accounts/1/approve")
    assert (approved["state"], approved["in_use_from"]) == ("cooling", "2017-05-04T00:00:00Z")
    assert bert.try_post("/bank/accounts/1/approve").json()["code"] == "proposal_decided"
    assert anna.post("/bank/accounts/1/withdraw")["state"] == "withdrawn"
    assert bert.try_post("/bank/accounts/99/reject").json()["code"] == "proposal_unknown"
    assert bert.try_post(f"/bank/accounts/{10**30}/reject").status_code in {400, 422}
    assert [one["state"] for one in anna.get("/bank/accounts")["data"]] == ["withdrawn"]


def test_a_night_over_http(bank_office: Office, desks: tuple[Desk, Desk]) -> None:
    """Asked for, read, a surplus refunded by two, paid out, settled."""
    anna, bert = desks
    for code, number in (("hub", 0), ("operator", 1), ("p12", 12)):
        made = anna.post("/bank/accounts", **new_account(partner=code, iban=iban(number)))
        bert.post(f"/bank/accounts/{made['id']}/approve")
    database = bank_office.database
    proposal = runs.propose_run(database, FIRST, by="anna", at=OVER)
    runs.approve_run(database, FIRST, sha256=proposal.sha256, by="bert", at=OVER)
    assert anna.send("GET", "/nights/2017-05-01/pay-ins").json()["code"] == "not_now"
    runs.instruct(database, FIRST, by="anna", at=OVER)
    with database.begin() as connection:
        set_clock(connection, COOLED)
    asked = anna.get("/nights/2017-05-01/pay-ins")["data"]
    assert [(one["partner"], one["rest_minor"]) for one in asked] == [
        ("p11", 15432),
        ("p13", 6894),
        ("p14", 55709),
    ]
    assert anna.try_post("/nights/2017-05-01/pay-outs").json()["code"] == "not_now"

    bank = PretendBank(iban(0), "EUR")
    for one in asked:
        amount = Decimal(one["rest_minor"]) / 100 + (Decimal("0.10") if one["partner"] == "p11" else 0)
        part = Part(amount=amount, reference=one["reference"], name="Payer", iban=iban(70))
        bank.book(Entry(amount=amount, parts=(part,)))
    data = bank.file()
    read = anna.send("POST", "/bank/statements", content=data, headers=XML).json()
    assert read["nights"] == {"2017-05-01": "funded"}
    assert read["data"][0]["exceptions"] == [1]
    again = anna.send("POST", "/bank/statements", content=data, headers=XML).json()
    assert again["data"][0]["read_before"]

    [found] = anna.get("/bank/exceptions")["data"]
    assert (found["problem"], found["payment"], found["left_minor"]) == ("surplus", name_of(11, "in"), 10)
    assert (
        anna.try_post("/bank/exceptions/1/ways-out", way="charge", note="x").json()["code"]
        == "way_out_closed"
    )
    way = anna.post("/bank/exceptions/1/ways-out", way="refund", note="too much")
    assert anna.try_post(f"/bank/ways-out/{way['id']}/approve").status_code == 403
    assert bert.post(f"/bank/ways-out/{way['id']}/approve")["approved"]
    assert anna.get("/bank/exceptions") == {"data": []}
    assert len(anna.get("/bank/exceptions?open=false")["data"]) == 1

    for path in ("/nights/2017-05-01/pay-outs", "/bank/refunds"):
        [file] = anna.post(path)["data"]
        content = anna.send("GET", f"/bank/files/{file['message_id']}").content
        pain_schema().validate(content.decode())
        said = anna.post("/bank/rejections", message_id=file["message_id"], note="RJCT AC04")
        assert anna.try_post(f"/bank/rejections/{said['id']}/approve").status_code == 403
        assert bert.post(f"/bank/rejections/{said['id']}/reject")["approved"] is False
        bank.pay(content)
        assert [one["is_new"] for one in anna.post(path)["data"]] == [False]
    read = anna.send("POST", "/bank/statements", content=bank.file(), headers=XML).json()
    assert read["nights"] == {"2017-05-01": "settled"}
    assert bank.balance == 0
    history_is_told(anna)


def history_is_told(anna: Desk) -> None:
    """What went and came is listed in pages, the newest first; what is booked cannot be rejected."""
    assert [one["approved"] for one in anna.get("/bank/rejections")["data"]] == [False, False]
    first = anna.get("/bank/files?limit=1")
    then = anna.get(f"/bank/files?limit=1&cursor={first['next_cursor']}")
    files = first["data"] + then["data"]
    assert [(one["business_date"], one["payments"], one["booked"]) for one in files] == [
        ("2017-05-01", 2, 2),
        (None, 1, 1),
    ]
    assert not then["has_more"]
    lost = anna.try_post("/bank/rejections", message_id=files[0]["message_id"], note="RJCT AC04")
    assert (lost.status_code, lost.json()["code"]) == (409, "way_out_closed")
    first = anna.get("/bank/statements?limit=1")
    then = anna.get(f"/bank/statements?limit=1&cursor={first['next_cursor']}")
    assert [(one["statement_id"], one["exceptions"]) for one in first["data"] + then["data"]] == [
        ("STMT-2", 0),
        ("STMT-1", 1),
    ]
    assert anna.send("GET", "/bank/files?cursor=made-up").json()["code"] == "cursor_invalid"


def test_files_that_are_none_are_problems(desks: tuple[Desk, Desk]) -> None:
    """A bomb, a stranger's statement, a file too large, a wrong kind: told, and nothing is booked."""
    anna, _ = desks
    bomb = b'<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>'
    answer = anna.send("POST", "/bank/statements", content=bomb, headers=XML)
    assert (answer.status_code, answer.json()["code"]) == (422, "statement_refused")
    assert "document type" in answer.json()["detail"]
    strangers = file_text(PretendBank(iban(99), "EUR").statement())
    assert anna.send("POST", "/bank/statements", content=strangers, headers=XML).status_code == 422
    large = anna.send("POST", "/bank/statements", content=b" " * (16 * 1024 * 1024 + 1), headers=XML)
    assert (large.status_code, large.json()["code"]) == (413, "body_too_large")
    assert anna.try_post("/bank/statements", file="x").json()["code"] == "media_type_unsupported"
    assert anna.send("GET", "/bank/files/nothing").json()["code"] == "bank_file_unknown"
    assert anna.try_post("/bank/exceptions/1/ways-out", way="hope", note="x").status_code in {400, 422}
