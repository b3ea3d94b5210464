"""What operators do over HTTP with what there is: partners, keys, adjustments, tiers, nights, the record."""

from base64 import b64encode
from datetime import timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import Engine, text

from network.rules import Rules
from network.service import set_clock
from partners.keys import possession_statement
from partners.model import PartnerKey
from settlement.payments import record_payment
from settlement.service import clear, clear_due
from tests.api.office import Desk, Office
from tests.coalition import GROCER, START, WHOLE, burn, new_card, open_terms, run, sale, set_up
from tests.people import faults_of


@pytest.fixture
def live(database: Engine) -> Rules:
    """A network where adjustments above 100 points need a second person."""
    return set_up(database, source=WHOLE, contracts=open_terms())


@pytest.fixture
def card(database: Engine, live: Rules) -> str:
    """A member's card."""
    return str(new_card(database, live))


@pytest.fixture
def max_(office: Office) -> Desk:
    """A maker."""
    return office.person("max", "maker")


@pytest.fixture
def cleo(office: Office) -> Desk:
    """A checker."""
    return office.person("cleo", "checker")


def adjustment(card: str, points: int, **changed: str) -> dict[str, Any]:
    """The fields of an adjustment."""
    argued = {"issuer": "grocer", "reason": "till 7 was down", "evidence": "ticket 4711"}
    return {"card": card, "points": points, **argued, **changed}


def refusal(answer: Any) -> tuple[int, str]:
    """Status and code of a problem."""
    return answer.status_code, answer.json()["code"]


def test_points_are_given_by_one_or_by_two(max_: Desk, cleo: Desk, office: Office, card: str) -> None:
    """A small adjustment is done at once; a large one waits for a checker, whom its maker cannot replace."""
    small = max_.post("/adjustments", **adjustment(card, 60))
    assert (small["approved"], small["decided_by"], small["entry"][:4]) == (True, "max", "ent_")
    large = max_.post("/adjustments", **adjustment(card, 500))
    assert (large["approved"], large["entry"]) == (None, None)
    assert [one["id"] for one in cleo.get("/adjustments?waiting=true")["data"]] == [large["id"]]
    done = cleo.send("POST", f"/adjustments/{large['id']}/approve").json()
    assert (done["decided_by"], done["entry"][:4]) == ("cleo", "ent_")
    again = cleo.send("POST", f"/adjustments/{large['id']}/reject")
    assert refusal(again) == (409, "proposal_decided")
    page = max_.get("/adjustments?limit=1")
    rest = max_.get(f"/adjustments?cursor={page['next_cursor']}")
    assert (page["has_more"], rest["has_more"]) == (True, False)
    listed = [one["id"] for one in page["data"] + rest["data"]]
    assert listed == sorted([small["id"], large["id"]])
    assert faults_of(office.database) == []


def test_a_maker_withdraws_only_its_own(max_: Desk, office: Office, card: str) -> None:
    """Another maker's is for a checker to reject."""
    mia = office.person("mia", "maker")
    made = max_.post("/adjustments", **adjustment(card, 500))
    assert refusal(mia.send("POST", f"/adjustments/{made['id']}/reject")) == (403, "not_allowed")
    assert max_.send("POST", f"/adjustments/{made['id']}/reject").json()["approved"] is False


def test_a_checker_who_was_its_maker_does_not_approve(office: Office, max_: Desk, card: str) -> None:
    """Whoever changes the role between: the database has the last word."""
    made = max_.post("/adjustments", **adjustment(card, 500))
    anna, bert = office.person("anna", "admin"), office.person("bert", "admin")
    assert bert.decide(anna.post("/operators/max/role", role="checker")["proposal"]).status_code == 200
    own = max_.send("POST", f"/adjustments/{made['id']}/approve")
    assert refusal(own) == (403, "second_person_needed")


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"issuer": "nobody"}, "adjustment_invalid"),
        ({"card": "6330001234567895"}, "adjustment_invalid"),
        ({"card": "6330001234567890"}, "card_number_invalid"),
        ({"reason": " "}, "adjustment_invalid"),
        ({"card": "1"}, "validation_failed"),
    ],
)
def test_what_cannot_be_adjusted_is_named(max_: Desk, card: str, changed: dict[str, str], code: str) -> None:
    """422 and why; nothing is prepared."""
    assert refusal(max_.try_post("/adjustments", **{**adjustment(card, 5), **changed})) == (422, code)
    assert max_.get("/adjustments")["data"] == []


def test_a_tier_is_set(max_: Desk, card: str) -> None:
    """Into one of the programme's; one that it has not is refused."""
    assert max_.post("/tiers", card=card, tier="gold")["entry"].startswith("ent_")
    assert refusal(max_.try_post("/tiers", card=card, tier="tin")) == (422, "tier_unknown")


def test_a_partner_is_suspended_by_two(max_: Desk, cleo: Desk, office: Office) -> None:
    """Proposed with a reason, approved by its hash; a second proposal waits for the first's decision."""
    made = max_.post("/partners/grocer/suspend", reason="no deposit")["proposal"]
    assert made["content"] == {
        "partner": "grocer",
        "before": "active",
        "after": "suspended",
        "reason": "no deposit",
    }
    assert refusal(max_.try_post("/partners/grocer/suspend", reason="again")) == (409, "proposal_open")
    assert refusal(max_.try_post("/partners/petrol/reactivate", reason="why")) == (409, "not_now")
    assert refusal(max_.try_post("/partners/nobody/suspend", reason="why")) == (404, "partner_not_found")
    assert refusal(cleo.decide({**made, "sha256": "00" * 32})) == (409, "proposal_changed")
    assert refusal(office.person("anna", "admin").decide(made)) == (403, "not_allowed")
    assert cleo.get("/proposals?waiting=true")["data"] == [made]
    decided = cleo.decide(made).json()["proposal"]
    assert (decided["decided_by"], decided["approved"]) == ("cleo", True)
    assert refusal(cleo.decide(made, "reject")) == (409, "proposal_decided")
    status = {one["code"]: one["status"] for one in max_.get("/partners")["data"]}
    assert (status["grocer"], status["petrol"]) == ("suspended", "active")
    assert max_.get(f"/proposals/{made['id']}") == decided
    assert faults_of(office.database) == []


def test_proposals_are_paged(max_: Desk, office: Office) -> None:
    """The newest first; a cursor that was tampered with is refused."""
    for code in ("grocer", "petrol", "hotel"):
        max_.post(f"/partners/{code}/suspend", reason="why")
    first = max_.get("/proposals?limit=2")
    assert [one["subject"] for one in first["data"]] == ["partner:hotel", "partner:petrol"]
    rest = max_.get(f"/proposals?limit=2&cursor={first['next_cursor']}")
    assert [one["subject"] for one in rest["data"]] == ["partner:grocer"]
    for path in ("/proposals", "/audit", "/adjustments", "/nights"):
        answer = max_.send("GET", f"{path}?cursor=A{first['next_cursor'][1:]}")
        assert refusal(answer) == (400, "cursor_invalid")
        if path != "/proposals":
            another = max_.send("GET", f"{path}?cursor={first['next_cursor']}")
            assert refusal(another) == (400, "cursor_invalid")
    withdrawn = max_.decide(rest["data"][0], "reject").json()["proposal"]
    assert (withdrawn["decided_by"], withdrawn["approved"]) == ("max", False)
    mia = office.person("mia", "maker")
    assert refusal(mia.decide(first["data"][0], "reject")) == (403, "not_allowed")


def test_a_key_is_registered_and_revoked(max_: Desk, cleo: Desk, office: Office) -> None:
    """With its owner's proof; a weak point, a false proof and a taken id are refused by name."""
    private = Ed25519PrivateKey.generate()
    key = PartnerKey(
        key_id="grocer-9",
        partner_id=GROCER,
        public_key=private.public_key().public_bytes_raw(),
        not_before=START,
    )
    said = {
        "key_id": key.key_id,
        "public_key": b64encode(key.public_key).decode(),
        "not_before": START.isoformat(),
        "proof": b64encode(private.sign(possession_statement(key))).decode(),
    }
    weak = {**said, "public_key": b64encode(bytes([1]) + bytes(31)).decode()}
    false = {**said, "proof": b64encode(bytes(64)).decode()}
    for wrong in (weak, false):
        assert refusal(max_.try_post("/partners/grocer/keys", **wrong)) == (422, "key_not_accepted")
    no_base64 = {**said, "proof": "?" * 88}
    assert refusal(max_.try_post("/partners/grocer/keys", **no_base64)) == (422, "validation_failed")
    made = max_.post("/partners/grocer/keys", **said)["proposal"]
    assert max_.get("/partners/grocer/keys") == {"data": []}
    cleo.decide(made)
    [held] = max_.get("/partners/grocer/keys")["data"]
    assert (held["key_id"], held["public_key"], held["revoked_at"]) == (
        "grocer-9",
        key.public_key.hex(),
        None,
    )
    cleo.post("/keys/grocer-9/revoke")
    [held] = max_.get("/partners/grocer/keys")["data"]
    assert held["revoked_at"] == office.clock().isoformat().replace("+00:00", "Z")
    assert refusal(cleo.try_post("/keys/grocer-8/revoke")) == (404, "key_not_found")


def test_an_operator_comes_by_two_admins_over_http(office: Office) -> None:
    """Each of the two answers carries one half, and later no answer carries any."""
    anna, bert = office.person("anna", "admin"), office.person("bert", "admin")
    made = anna.post("/operators", operator="mia", role="maker")
    decided = bert.decide(made["proposal"]).json()
    assert len(made["first_half"]) == len(decided["second_half"]) == 20
    shown = anna.send("GET", f"/proposals/{made['proposal']['id']}").text + anna.send("GET", "/audit").text
    assert made["first_half"] not in shown
    assert decided["second_half"] not in shown
    listed = {one["operator"]: one["status"] for one in anna.get("/operators")["data"]}
    assert listed == {"anna": "active", "bert": "active", "mia": "enrolling"}
    assert refusal(anna.try_post("/operators", operator="mia", role="maker")) == (409, "operator_known")
    assert refusal(anna.try_post("/operators/nobody/reset")) == (404, "operator_unknown")
    assert refusal(anna.try_post("/operators/Not a login/reset")) == (422, "name_invalid")
    assert refusal(anna.try_post("/operators/anna/disable")) == (403, "not_allowed")
    assert refusal(anna.try_post("/operators/bert/enable")) == (409, "not_now")


def test_a_night_is_looked_at(office: Office, database: Engine, live: Rules, card: str) -> None:
    """Its state, the hash of each step, gross debts, and positions that sum to zero."""
    vera = office.person("vera", "viewer")
    assert [one["state"] for one in vera.get("/nights")["data"]] == ["open"]
    run(database, live, sale(int(card), 25_000, "s"))
    run(database, live, burn(int(card), 100, "b"))
    over = START + timedelta(days=1)
    with database.begin() as connection:
        set_clock(connection, over)
    night = clear(database, START.date(), at=over, programme_version=1)
    listed = vera.get("/nights")["data"]
    assert [(one["business_date"], one["state"]) for one in listed] == [
        ("2017-05-02", "open"),
        ("2017-05-01", "netted"),
    ]
    page = vera.get("/nights?limit=1")
    assert vera.get(f"/nights?cursor={page['next_cursor']}")["data"] == listed[1:]
    detail = vera.get("/nights/2017-05-01")
    assert {one["step"]: one["sha256"] for one in detail["steps"]} == {
        step: sha256.hex() for step, sha256 in night.hashes.items()
    }
    assert detail["runs"] == [{"revision": 1, "state": "netted"}]
    positions = vera.get("/nights/2017-05-01/positions")["data"]
    assert sum(one["final_minor"] for one in positions) == 0
    assert {one["participant"]: one["final_minor"] for one in positions} == {
        {1: "operator", 2: "pool", 11: "grocer", 12: "petrol", 13: "hotel", 14: "bank"}[one.participant_id]: (
            one.final_minor
        )
        for one in night.positions
    }
    obligations = vera.get("/nights/2017-05-01/obligations")["data"]
    assert len(obligations) == len(night.obligations) > 0
    assert vera.get("/nights/2017-05-02/positions")["data"] == []
    assert refusal(vera.send("GET", "/nights/2001-01-01")) == (404, "night_unknown")
    assert refusal(vera.send("GET", "/nights/yesterday")) == (422, "validation_failed")


def test_a_night_is_approved_instructed_and_paid(
    office: Office, database: Engine, live: Rules, card: str, max_: Desk, cleo: Desk
) -> None:
    """Proposed, refused, reopened, proposed again, approved by its hash, instructed, settled once booked."""
    run(database, live, sale(int(card), 25_000, "s"))
    run(database, live, burn(int(card), 100, "b"))
    over = START + timedelta(days=1)
    with database.begin() as connection:
        set_clock(connection, over)
    night = "/nights/2017-05-01"
    assert refusal(max_.try_post(f"{night}/propose")) == (409, "run_not_ready")
    clear(database, START.date(), at=over, programme_version=1)
    first = max_.post(f"{night}/propose")
    assert refusal(max_.try_post(f"{night}/propose")) == (409, "run_not_ready")
    assert cleo.post(f"{night}/refuse", reason="look at the bank")["approved"] is False
    assert max_.post(f"{night}/reopen", reason="a rate")["state"] == "closed"
    clear(database, START.date(), at=over, programme_version=1)
    again = max_.post(f"{night}/propose")
    assert (again["revision"], again["attempt"]) == (2, 1)
    assert refusal(cleo.try_post(f"{night}/approve", sha256=first["sha256"])) == (409, "proposal_changed")
    assert refusal(max_.try_post(f"{night}/instruct")) == (409, "run_not_ready")
    assert cleo.post(f"{night}/approve", sha256=again["sha256"])["decided_by"] == "cleo"
    made = max_.post(f"{night}/instruct")["data"]
    assert made == cleo.get(f"{night}/instructions")["data"]
    assert sum(one["amount_minor"] * (1 if one["direction"] == "in" else -1) for one in made) == 0
    assert max_.post(f"{night}/advance")["state"] == "instructed"
    for direction, state in (("in", "funded"), ("out", "settled")):
        for one in (one for one in made if one["direction"] == direction):
            with database.begin() as connection:
                record_payment(
                    connection,
                    end_to_end_id=one["end_to_end_id"],
                    amount_minor=one["amount_minor"],
                    payment_reference=f"paid {one['end_to_end_id']}",
                    booked_on=over.date(),
                    by="bank",
                    at=over,
                )
        assert max_.post(f"{night}/advance")["state"] == state
    paid = max_.get(f"{night}/instructions")["data"]
    assert {one["due_minor"] - one["booked_minor"] for one in paid} == {0}
    assert [run["state"] for run in max_.get(night)["runs"]] == ["aborted", "settled"]
    assert refusal(max_.try_post(f"{night}/reopen", reason="too late")) == (409, "run_not_ready")
    assert [one["attempt"] for one in cleo.get(f"{night}/approvals")["data"]] == [1]
    assert faults_of(database) == []


def test_nights_are_approved_as_one_over_http(
    office: Office, database: Engine, live: Rules, card: str, max_: Desk, cleo: Desk
) -> None:
    """Two nights, one hash: another hash approves none of them, the right one both; then both leave."""
    run(database, live, sale(int(card), 25_000, "s"))
    over = START + timedelta(days=2)
    with database.begin() as connection:
        set_clock(connection, over)
    through = "2017-05-02"
    assert refusal(max_.try_post("/nights/propose", through=through)) == (409, "run_not_ready")
    clear_due(database, over, programme_version=1)
    made = max_.post("/nights/propose", through=through)
    assert made["dates"] == ["2017-05-01", "2017-05-02"]
    assert made["sha256"] not in [one["sha256"] for one in made["data"]]
    wrong = cleo.try_post("/nights/approve", through=through, sha256=made["data"][0]["sha256"])
    assert refusal(wrong) == (409, "proposal_changed")
    assert cleo.post("/nights/approve", through=through, sha256=made["sha256"])["dates"] == made["dates"]
    assert max_.post("/nights/instruct", through=through)["dates"] == made["dates"]
    assert {one["state"] for one in max_.get("/nights")["data"]} == {"open", "instructed"}
    assert faults_of(database) == []


def test_the_record_is_read_and_checked(office: Office, max_: Desk) -> None:
    """By pages, by subject, by operator; the chain's end is noted, and what was noted is found again."""
    max_.post("/partners/grocer/suspend", reason="why")
    vera = office.person("vera", "viewer")
    rows = vera.get("/audit")["data"]
    assert [row["seq"] for row in rows] == sorted((row["seq"] for row in rows), reverse=True)
    assert {row["action"] for row in vera.get("/audit?by=max")["data"]} == {
        "proposal.prepared",
        "session.began",
    }
    assert [row["subject"] for row in vera.get("/audit?subject=operator:vera")["data"]] == ["operator:vera"]
    page = vera.get("/audit?limit=2")
    rest = vera.get(f"/audit?limit=100&cursor={page['next_cursor']}")
    assert page["data"] + rest["data"] == rows
    checked = vera.get("/audit/check")
    assert (checked["whole"], checked["rows"], checked["hash"]) == (True, len(rows), rows[0]["hash"])
    noted = vera.get(f"/audit/check?row={rows[1]['seq']}&sha256={rows[1]['hash']}")
    assert noted["whole"] is True
    wrong = vera.get(f"/audit/check?row={rows[1]['seq']}&sha256={rows[0]['hash']}")
    assert (wrong["whole"], wrong["faults"][0]["detail"]) == (False, "is not the row whose hash was noted")
    assert refusal(vera.send("GET", "/audit/check?row=1")) == (422, "validation_failed")


def test_every_law_is_checked_over_http(office: Office, owner_database: Engine) -> None:
    """The same checks as `tessera verify`; a broken one says where."""
    vera = office.person("vera", "viewer")
    whole = vera.get("/verify")
    assert (whole["whole"], len(whole["checks"]) > 20) == (True, True)
    with owner_database.begin() as connection:
        connection.execute(text("INSERT INTO operator VALUES ('max', 'admin', 'active', 'host', now())"))
    broken = [check for check in vera.get("/verify")["checks"] if not check["holds"]]
    assert [check["name"] for check in broken] == ["audit_chain_holds"]
    assert broken[0]["faults"][0]["where"] == "operator max"


def test_statements_and_reports_are_drawn(office: Office, database: Engine, live: Rules, card: str) -> None:
    """As page, CSV, workbook and postings, for a partner; as page and workbook, for the operator."""
    vera = office.person("vera", "viewer")
    run(database, live, sale(int(card), 25_000, "s"))
    over = START + timedelta(days=1)
    span = "first=2017-05-01&last=2017-05-01"
    early = vera.send("GET", f"/partners/grocer/statement/csv?{span}")
    assert refusal(early) == (404, "report_unknown")
    with database.begin() as connection:
        set_clock(connection, over)
    clear(database, START.date(), at=over, programme_version=1)
    begins = {"html": b"<!doctype html>", "xlsx": b"PK", "csv": b"", "postings.csv": b""}
    for part, start in begins.items():
        answer = vera.send("GET", f"/partners/grocer/statement/{part}?{span}")
        assert answer.status_code == 200, answer.text
        assert answer.content.lower().lstrip(b"\xef\xbb\xbf").startswith(start.lower())
        assert answer.headers["content-disposition"].startswith('attachment; filename="grocer-2017-05-01')
        assert "sandbox" in answer.headers["content-security-policy"]
    listed = vera.send("GET", f"/partners/grocer/reconciliation?{span}")
    assert (listed.status_code, "text/csv" in listed.headers["content-type"]) == (200, True)
    for form in ("html", "xlsx"):
        assert vera.send("GET", f"/reports/operator/{form}").status_code == 200
    assert refusal(vera.send("GET", f"/partners/nobody/statement/csv?{span}")) == (404, "partner_not_found")
    assert refusal(vera.send("GET", f"/partners/grocer/statement/pdf?{span}")) == (422, "validation_failed")
    unsealed = vera.send("GET", f"/partners/grocer/statement/proofs.ndjson?{span}")
    assert refusal(unsealed) == (404, "report_unknown")


@pytest.mark.parametrize("text", ["\\u0000", "a\\u0000b", "\\ud800", "\\udc00x"])
def test_what_no_text_can_be_is_refused(max_: Desk, card: str, text: str) -> None:
    """NUL and halves of characters, in bodies as in addresses: never a failure of ours."""
    headers = {"content-type": "application/json"}
    for path, body in (
        (
            "/adjustments",
            f'{{"card":"{card}","points":5,"issuer":"grocer","reason":"{text}","evidence":"e"}}',
        ),
        ("/partners/grocer/suspend", f'{{"reason":"{text}"}}'),
        ("/operators", f'{{"operator":"{text}","role":"maker"}}'),
    ):
        answer = max_.send("POST", path, content=body.encode(), headers=headers)
        assert answer.status_code in {400, 403, 422}, answer.text
    for path in (
        "/audit?subject=%00",
        "/audit?by=a%00",
        "/partners/%00/keys",
        "/nights/%00",
        "/proposals/%00",
    ):
        assert max_.send("GET", path).status_code == 422, path
    for path in ("/audit?subject=%ff", "/partners/%ff/keys"):
        assert max_.send("GET", path).status_code in {200, 404}, path
