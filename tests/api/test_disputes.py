"""Disputes as partners and operators have them: over signed requests, at a desk, at the command line."""

import re
from collections.abc import Callable
from datetime import timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec
import pytest
from sqlalchemy import Engine
from starlette.testclient import TestClient
from typer.testing import CliRunner

from api.bodies.disputes import AnswerBody, EscalationBody, NewDisputeBody
from api.cli import app
from api.openapi import EXAMPLES
from api.worker import nudge
from network.service import set_clock
from settlement.service import clear_due
from tests.api.conftest import Till, a_sale
from tests.api.office import Office
from tests.coalition import GROCER, HOTEL, PETROL, START
from tests.people import faults_of, settle_in

OVER = START.replace(hour=0) + timedelta(days=1)
PDF = b"%PDF-1.7 a receipt"
Tills = Callable[[int], Till]


def move_on(database: Engine, days: int) -> None:
    """So many days after the cut-off of the first date; nights are settled."""
    now = OVER + timedelta(days=days)
    with database.begin() as connection:
        set_clock(connection, now)
    clear_due(database, now, programme_version=1)


@pytest.fixture
def redeemed(database: Engine, till: Tills) -> tuple[Till, Till, str]:
    """The grocer and the hotel; 200 of the grocer's points were redeemed at the hotel for 1.60, settled."""
    grocer, hotel = till(GROCER), till(HOTEL)
    card = grocer.enrol()["card"]
    grocer.post("/v1/accruals", **a_sale(card, 50_000, "sale-1"))
    spent = hotel.post("/v1/redemptions", **a_sale(card, 200, "spent-1"), points=200).json()
    move_on(database, 1)
    return grocer, hotel, spent["id"]


def raised(grocer: Till, entry: str, /, **changed: Any) -> Any:
    """The answer to a dispute that the grocer raises."""
    fields = {"reference": "claim-1", "against": "hotel", "entry": entry, "reason": "stolen card", **changed}
    return grocer.post("/v1/disputes", **{name: one for name, one in fields.items() if one is not None})


def test_from_raised_to_decided(
    redeemed: tuple[Till, Till, str], till: Tills, office: Office, database: Engine
) -> None:
    """Raised, shown to both alone, rejected, escalated, decided by two, paid in a later window."""
    grocer, hotel, entry = redeemed
    petrol = till(PETROL)
    answer = raised(grocer, entry)
    assert answer.status_code == 201, answer.text
    made = answer.json()
    path = f"/v1/disputes/{made['id']}"
    assert {name: made[name] for name in ("state", "waits_for", "amount", "currency", "answer_until")} == {
        "state": "raised",
        "waits_for": "hotel",
        "amount": "1.6",
        "currency": "USD",
        "answer_until": "2017-06-02T00:00:00Z",
    }
    again = raised(grocer, entry)
    assert (again.json(), again.headers["idempotent-replayed"]) == (made, "true")
    assert hotel.get(path).json() == grocer.get(path).json() == made
    for asked in (
        petrol.get(path),
        petrol.post(f"{path}/answers", answer="accept", text="mine"),
        petrol.post(f"{path}/escalations", text="mine"),
        petrol.send("POST", f"{path}/evidence?name=a.pdf", PDF, content_type="application/pdf"),
        petrol.get(f"{path}/evidence/{sha256(PDF).hexdigest()}"),
        grocer.get("/v1/disputes/dsp_1"),
    ):
        assert (asked.status_code, asked.json()["code"]) == (404, "dispute_unknown")
    assert petrol.get("/v1/disputes").json()["data"] == []
    wrong = grocer.post(f"{path}/answers", answer="reject", text="no")
    assert (wrong.status_code, wrong.json()["code"]) == (409, "dispute_not_yours")

    attached = hotel.send("POST", f"{path}/evidence?name=r%C3%A9cu.pdf", PDF, content_type="application/pdf")
    assert attached.status_code == 200, attached.text
    assert [one["name"] for one in attached.json()["evidence"]] == ["récu.pdf"]
    file = grocer.get(f"{path}/evidence/{sha256(PDF).hexdigest()}")
    assert (file.content, file.headers["content-type"]) == (PDF, "application/pdf")
    assert file.headers["content-disposition"] == "attachment; filename*=UTF-8''r%C3%A9cu.pdf"
    assert file.headers["x-content-type-options"] == "nosniff"

    for _ in range(2):  # the same again is what is there
        rejected = hotel.post(f"{path}/answers", answer="reject", text="signed for").json()
    assert (rejected["state"], rejected["waits_for"], len(rejected["events"])) == ("rejected", "grocer", 2)
    up = grocer.post(f"{path}/escalations", text="not her hand").json()
    assert (up["state"], up["waits_for"], up["answer_until"]) == ("escalated", "operator", None)

    max_, cleo = office.person("max", "maker"), office.person("cleo", "checker")
    assert [one["id"] for one in max_.get("/disputes?open=true")["data"]] == [made["id"]]
    much = max_.try_post(f"/disputes/{made['id']}/decision", awarded="1.61", reason="all and more")
    assert (much.status_code, much.json()["code"]) == (422, "dispute_award_too_large")
    proposal = max_.post(f"/disputes/{made['id']}/decision", awarded="1.2", reason="three quarters")[
        "proposal"
    ]
    assert proposal["content"]["awarded"] == "1.2"
    assert cleo.decide(proposal).status_code == 200
    over = grocer.get(path).json()
    assert {name: over[name] for name in ("state", "awarded", "paid_on", "waits_for")} == {
        "state": "decided",
        "awarded": "1.2",
        "paid_on": "2017-05-03",
        "waits_for": None,
    }
    assert [event["by"] for event in over["events"]] == ["grocer", "hotel", "grocer", "operator"]
    assert max_.get(f"/disputes/{made['id']}")["events"][-1]["by"] == "cleo"
    assert max_.send("GET", f"/disputes/{made['id']}/evidence/{sha256(PDF).hexdigest()}").content == PDF
    assert grocer.get("/v1/disputes?open=true").json()["data"] == []
    assert faults_of(database) == []


def test_what_the_operator_was_paid_is_disputed_with_it(
    redeemed: tuple[Till, Till, str], office: Office, database: Engine
) -> None:
    """500 points were issued into the pool for 5.00: rejected at the desk by two. An entry is none."""
    grocer, hotel, entry = redeemed
    issue = {"entry": None, "business_date": "2017-05-01", "against": "operator", "line": "issue"}
    made = raised(grocer, entry, **issue).json()
    assert {name: made[name] for name in ("against", "line", "amount", "waits_for")} == {
        "against": "operator",
        "line": "issue",
        "amount": "5",
        "waits_for": "operator",
    }
    wrong = raised(grocer, entry, line="fee", reference="claim-2")
    assert (wrong.status_code, wrong.json()["code"]) == (422, "validation_failed")
    other = raised(grocer, entry, **{**issue, "against": "hotel"}, reference="claim-3")
    assert (other.status_code, other.json()["code"]) == (404, "dispute_line_unknown")
    between = raised(grocer, entry, reference="claim-4").json()
    max_, cleo = office.person("max", "maker"), office.person("cleo", "checker")
    path = f"/disputes/{made['id']}/answer"
    meddles = max_.try_post(f"/disputes/{between['id']}/answer", answer="reject", reason="no")
    assert (meddles.status_code, meddles.json()["code"]) == (409, "dispute_not_yours")
    proposal = max_.post(path, answer="reject", reason="they are with members")["proposal"]
    assert proposal["kind"] == "dispute.answer"
    assert cleo.decide(proposal).status_code == 200
    assert hotel.get(f"/v1/disputes/{made['id']}").status_code == 404
    after = grocer.get(f"/v1/disputes/{made['id']}").json()
    assert (after["state"], after["waits_for"]) == ("rejected", "grocer")
    assert [event["by"] for event in after["events"]] == ["grocer", "operator"]
    assert faults_of(database) == []


def test_what_cannot_be_disputed(redeemed: tuple[Till, Till, str], database: Engine) -> None:
    """Bad fields, lines that are not there, more than was paid, too late: each with its code."""
    grocer, hotel, entry = redeemed
    for changed, status, code in (
        ({"against": "nobody"}, 422, "validation_failed"),
        ({"against": "grocer"}, 422, "validation_failed"),
        ({"entry": None}, 422, "validation_failed"),
        ({"business_date": "2017-05-01"}, 422, "validation_failed"),
        ({"amount": "1e3"}, 422, "validation_failed"),
        ({"amount": 1}, 422, "validation_failed"),
        ({"amount": "1.61"}, 422, "dispute_too_much"),
        ({"reason": " "}, 422, "validation_failed"),
        ({"reason": "a\0"}, 422, "validation_failed"),
        ({"evidence": "x"}, 422, "validation_failed"),
        ({"against": "petrol"}, 404, "dispute_line_unknown"),
        ({"entry": f"ent_{7:032x}"}, 404, "dispute_line_unknown"),
        ({"entry": None, "business_date": "2017-05-02"}, 404, "dispute_line_unknown"),
    ):
        answer = raised(grocer, entry, **changed)
        assert (answer.status_code, answer.json()["code"]) == (status, code), changed
    paid = hotel.post("/v1/disputes", reference="r", against="grocer", entry=entry, reason="mine")
    assert (paid.status_code, paid.json()["code"]) == (422, "dispute_nothing_paid")
    assert grocer.send("POST", "/v1/disputes", b"{}", content_type="text/plain").status_code == 415
    assert grocer.send("POST", "/v1/disputes", b"{").status_code == 400
    move_on(database, 31)
    late = raised(grocer, entry)
    assert (late.status_code, late.json()["code"]) == (409, "dispute_too_late")
    assert "until 2017-06-02T00:00:00+00:00" in late.json()["detail"]


def test_evidence_is_judged_before_it_is_kept(redeemed: tuple[Till, Till, str]) -> None:
    """Kinds that are not taken, what is not its kind, and too much of it."""
    grocer, _, entry = redeemed
    path = f"/v1/disputes/{raised(grocer, entry).json()['id']}/evidence"
    for content, media_type, target, status, code in (
        (b"<html>", "text/html", "?name=a.html", 415, "media_type_unsupported"),
        (b"<html>", "application/pdf", "?name=a.pdf", 422, "evidence_unfit"),
        (PDF, "application/pdf", "", 422, "validation_failed"),
        (PDF, "application/pdf", "?name=..%2Fa.pdf", 422, "evidence_unfit"),
        (b"%PDF-" + bytes(1 << 20), "application/pdf", "?name=a.pdf", 413, "body_too_large"),
    ):
        answer = grocer.send("POST", path + target, content, content_type=media_type)
        assert (answer.status_code, answer.json()["code"]) == (status, code), target
    taken = grocer.send(
        "POST", f"{path}?name=list.csv", "a;é\r\n".encode(), content_type="text/csv; charset=utf-8"
    )
    assert taken.json()["evidence"][0]["media_type"] == "text/csv"
    assert grocer.get(f"{path}/00").json()["code"] == "evidence_unknown"


def test_the_worker_lets_deadlines_pass(
    redeemed: tuple[Till, Till, str], database: Engine, tmp_path: Path
) -> None:
    """Nobody answers, the worker nudges, and it is accepted by the clock; a second nudge changes nothing."""
    grocer, _, entry = redeemed
    path = f"/v1/disputes/{raised(grocer, entry).json()['id']}"
    nudge(database, tmp_path)
    assert grocer.get(path).json()["state"] == "raised"
    with database.begin() as connection:
        set_clock(connection, OVER + timedelta(days=31))
    for _ in range(2):
        nudge(database, tmp_path)
    found = grocer.get(path).json()
    assert (found["state"], found["awarded"], len(found["events"])) == ("accepted", "1.6", 2)
    assert found["events"][-1]["by"] == "clock"
    assert faults_of(database) == []


def test_pages_of_disputes(redeemed: tuple[Till, Till, str], till: Tills) -> None:
    """The newest first, one a page, until there is no more; a cursor of something else is refused."""
    grocer, hotel, entry = redeemed
    first = raised(grocer, entry, amount="1").json()["id"]
    second = raised(grocer, "", entry=None, business_date="2017-05-01", reference="claim-2").json()["id"]
    page = hotel.get("/v1/disputes?limit=1").json()
    rest = hotel.get(f"/v1/disputes?limit=1&cursor={page['next_cursor']}").json()
    assert {page["data"][0]["id"], rest["data"][0]["id"]} == {first, second}
    assert (page["has_more"], rest["has_more"], rest["next_cursor"]) == (True, False, None)
    assert hotel.get("/v1/disputes?cursor=ent_1").json()["code"] == "cursor_invalid"


def test_the_command_line_shows_and_decides(
    redeemed: tuple[Till, Till, str], database: Engine, database_url: str, tmp_path: Path
) -> None:
    """`tessera dispute` lists, shows, writes evidence, and proposes what a second person approves."""
    grocer, hotel, entry = redeemed
    dispute = raised(grocer, entry).json()["id"]
    hotel.send("POST", f"/v1/disputes/{dispute}/evidence?name=a.pdf", PDF, content_type="application/pdf")
    settle_in(database, tmp_path, "max", "maker")
    settle_in(database, tmp_path, "cleo", "checker")
    environment = {
        "TESSERA_DATABASE_URL": database_url,
        "TESSERA_SCHEMA": "tessera",
        "TESSERA_HOME": str(tmp_path),
    }

    def tessera(*arguments: str) -> Any:
        return CliRunner().invoke(app, arguments, env=environment)

    early = tessera("dispute", "decide", dispute, "--award", "1", "--reason", "x", "--by", "max")
    assert (early.exit_code, "waits for the other partner" in early.stderr) == (1, True)
    hotel.post(f"/v1/disputes/{dispute}/answers", answer="reject", text="signed for")
    grocer.post(f"/v1/disputes/{dispute}/escalations", text="not her hand")
    listed = tessera("dispute", "list", "--open").stdout
    assert f"{dispute}  2017-05-01  grocer against hotel  1.6 USD  escalated, waits for operator" in listed
    assert listed.endswith("1 open\n")
    shown = tessera("dispute", "show", dispute).stdout
    for piece in ("rejected by hotel: signed for", "a.pdf  application/pdf, 18 bytes, by hotel", entry):
        assert piece in shown
    out = tmp_path / "evidence.pdf"
    digest = sha256(PDF).hexdigest()
    assert tessera("dispute", "evidence", dispute, digest, "--out", str(out)).exit_code == 0
    assert out.read_bytes() == PDF
    assert tessera("dispute", "evidence", dispute, digest, "--out", str(out)).exit_code == 1
    not_his = tessera("dispute", "decide", dispute, "--award", "1", "--reason", "x", "--by", "cleo")
    assert not_his.exit_code == 2
    proposed = tessera(
        "dispute", "decide", dispute, "--award", "1.60", "--reason", "no receipt", "--by", "max"
    )
    assert proposed.exit_code == 0, proposed.output
    [(proposal, sha)] = re.findall("tessera proposal approve (\\S+) --sha256 (\\S+)", proposed.stdout)
    approved = tessera("proposal", "approve", proposal, "--sha256", sha, "--by", "cleo")
    assert approved.exit_code == 0, approved.output
    assert "decided: 1.6 USD paid back on 2017-05-03" in tessera("dispute", "list").stdout
    issue = {"entry": None, "business_date": "2017-05-01", "against": "operator", "line": "issue"}
    mine = raised(grocer, entry, **issue, reference="issue").json()["id"]
    assert "points that grocer issued" in tessera("dispute", "show", mine).stdout
    answered = tessera("dispute", "answer", mine, "--accept", "--reason", "a test", "--by", "max")
    assert answered.exit_code == 0, answered.output
    [(proposal, sha)] = re.findall("tessera proposal approve (\\S+) --sha256 (\\S+)", answered.stdout)
    assert tessera("proposal", "approve", proposal, "--sha256", sha, "--by", "cleo").exit_code == 0
    assert "accepted: 5 USD paid back on 2017-05-03" in tessera("dispute", "list").stdout
    assert tessera("dispute", "answer", mine, "--reason", "x", "--by", "max").exit_code == 2
    assert tessera("dispute", "show", "dsp_1").exit_code == 2
    assert tessera("dispute", "show", f"dsp_{7:032x}").exit_code == 2
    assert tessera("dispute", "decide", dispute, "--award", "NaN", "--reason", "x").exit_code == 2


def test_disputes_are_described_by_examples_that_can_be_read(client: TestClient) -> None:
    """The description has each body's schema, and its example is one that our reader takes."""
    described = client.get("/openapi.json").json()
    for body in (NewDisputeBody, AnswerBody, EscalationBody):
        example = EXAMPLES[body.__name__]
        msgspec.convert(example, body)
        assert set(described["components"]["schemas"][body.__name__]["required"]) <= example.keys()
    post = described["paths"]["/v1/disputes"]["post"]
    assert post["security"] == [{"httpSignature": []}]
    assert "dispute_too_late" in post["responses"]["409"]["description"]
