"""The partner API beyond the till: events, lines, returns elsewhere, gifts, causes, pools, merges, debts."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import msgspec
import pytest
from sqlalchemy import Engine, text
from starlette.testclient import TestClient

from api.bodies import COMMANDS, LINE
from api.openapi import EXAMPLES
from network.rules import Rules
from network.service import set_clock
from tests.api.conftest import Till, a_sale
from tests.between import set_tier
from tests.coalition import BANK, GROCER, HOTEL, PETROL, START, WHOLE, open_terms, run, set_up

Tills = Callable[[int], Till]
AT = START.isoformat()


@pytest.fixture
def live(database: Engine) -> Rules:
    """A network whose programme and contracts use everything."""
    return set_up(database, source=WHOLE, contracts=open_terms())


class Desk:
    """One partner's till, short to write: each answer must have the expected status and is its JSON."""

    def __init__(self, till: Till) -> None:
        self.till = till
        self.asked = 0

    def post(self, path: str, refused: str = "", **fields: Any) -> dict[str, Any]:
        """Post under a new reference; `refused` is the code that is expected, "" where it is accepted."""
        self.asked += 1
        sent = {"reference": f"{self.till.key_id}-{self.asked}", "occurred_at": AT, **fields}
        answer = self.till.post(path, **sent)
        said: dict[str, Any] = answer.json()
        assert said.get("code", "") == refused, said
        if not refused:
            assert answer.status_code == 201
            again = self.till.post(path, **sent)
            assert (again.content, again.headers["idempotent-replayed"]) == (answer.content, "true")
            assert self.till.get(f"/v1/entries/{said['id']}").json() == said
        return said

    def earn(self, card: str, points: int, **more: Any) -> dict[str, Any]:
        """A sale of so many dollars."""
        self.asked += 1
        return self.post("/v1/accruals", **{**a_sale(card, points * 100, f"e{self.asked}"), **more})

    def burn(self, card: str, points: int, refused: str = "", **more: Any) -> dict[str, Any]:
        """A reward of so many points."""
        self.asked += 1
        sent = {**a_sale(card, points, f"b{self.asked}"), "points": points, **more}
        return self.post("/v1/redemptions", refused, **sent)

    def balance(self, member: dict[str, Any]) -> dict[str, Any]:
        """The balance of a member by its enrolment."""
        found: dict[str, Any] = self.till.get(f"/v1/members/{member['member']}/balance").json()
        return found


Desks = Callable[[int], Desk]


@pytest.fixture
def desk(till: Tills) -> Desks:
    """Makes a partner's desk."""
    return lambda partner_id: Desk(till(partner_id))


def test_points_wait_for_their_event(desk: Desks) -> None:
    """A stay earns nothing yet; its partner's release, and nobody else's, lets the points be spent, once."""
    grocer, hotel = desk(GROCER), desk(HOTEL)
    member = grocer.till.enrol()
    stay = hotel.earn(member["card"], 10)
    assert (stay["points"], stay["pending"], stay["balance"]) == (0, 30, 0)
    balance = hotel.balance(member)
    assert (balance["points"], balance["pending_events"]) == (0, [{"entry": stay["id"], "points": 30}])
    grocer.post("/v1/releases", "entry_unknown", accrual=stay["id"])
    came = hotel.post("/v1/releases", accrual=stay["id"])
    assert (came["kind"], came["accrual"], came["points"], came["pending"], came["balance"]) == (
        "release",
        stay["id"],
        30,
        -30,
        30,
    )
    assert "hold" not in came
    hotel.post("/v1/releases", "nothing_pending", accrual=stay["id"])
    assert (hotel.balance(member)["points"], hotel.balance(member)["pending_events"]) == (30, [])


def test_a_sale_and_a_reward_come_back_by_their_lines(desk: Desks) -> None:
    """Each line once, by its number; an entry with lines by nothing else, one without by no line."""
    grocer = desk(GROCER)
    card = grocer.till.enrol()["card"]
    sold = grocer.earn(card, 12, amount_minor=12_50, lines=[10_00, 2_50])
    back = grocer.post("/v1/reversals", entry=sold["id"], lines=[2])
    assert (back["points"], back["amount_minor"], back["reverses"]) == (-2, 2_50, sold["id"])
    grocer.post("/v1/reversals", "line_already_returned", entry=sold["id"], lines=[1, 2])
    grocer.post("/v1/reversals", "line_unknown", entry=sold["id"], lines=[3])
    grocer.post("/v1/reversals", "returned_by_lines", entry=sold["id"], amount_minor=100)
    grocer.post("/v1/reversals", "one_measure_only", entry=sold["id"], lines=[1], amount_minor=1_000)
    reward = grocer.burn(card, 10, lines=[7, 3])
    assert grocer.post("/v1/reversals", entry=reward["id"], lines=[1])["points"] == 7
    plain = grocer.earn(card, 5)
    grocer.post("/v1/reversals", "entry_has_no_lines", entry=plain["id"], lines=[1])
    wrong = {**a_sale(card, 10_00, "wrong"), "lines": [5_00, 4_99]}
    grocer.post("/v1/accruals", "lines_do_not_add_up", **wrong)


@pytest.mark.parametrize(
    ("path", "lines", "pointer"),
    [
        ("/v1/accruals", [], "/lines"),
        ("/v1/accruals", [0], "/lines/0"),
        ("/v1/accruals", [1] * 501, "/lines"),
        ("/v1/reversals", [1, 1], "/lines"),
        ("/v1/reversals", [1, 0], "/lines/1"),
        ("/v1/reversals", [501], "/lines/0"),
        ("/v1/reversals", [1.0], "/lines/0"),
    ],
)
def test_lines_have_a_form(till: Tills, path: str, lines: list[object], pointer: str) -> None:
    """Between 1 and 500 lines, each at least 1; numbers of lines stand once. The fault is pointed at."""
    grocer = till(GROCER)
    card = grocer.enrol()["card"]
    entry = {"reference": "r", "occurred_at": AT, "entry": "ent_" + "0" * 32}
    answer = grocer.post(path, **(a_sale(card, 500, "s") if path == "/v1/accruals" else entry), lines=lines)
    assert (answer.status_code, answer.json()["code"]) == (422, "validation_failed")
    assert answer.json()["errors"][0]["pointer"] == pointer


def test_what_was_sold_here_comes_back_there(desk: Desks) -> None:
    """Where both contracts let it; to all others the entry is as if it were not there."""
    grocer, petrol, bank = desk(GROCER), desk(PETROL), desk(BANK)
    card = grocer.till.enrol()["card"]
    sold = grocer.earn(card, 20)
    bank.post("/v1/reversals", "entry_unknown", entry=sold["id"])
    back = petrol.post("/v1/reversals", entry=sold["id"], amount_minor=5_00)
    assert (back["points"], back["amount_minor"], back["reverses"]) == (-5, 5_00, sold["id"])
    assert petrol.till.get(f"/v1/entries/{sold['id']}").status_code == 404
    assert grocer.till.get(f"/v1/entries/{back['id']}").status_code == 404


def test_the_member_sees_what_it_owes_and_why(desk: Desks) -> None:
    """A returned sale whose points are spent leaves a debt; the next credit pays it and says so."""
    grocer = desk(GROCER)
    member = grocer.till.enrol()
    card = member["card"]
    sold = grocer.earn(card, 100)
    grocer.burn(card, 90)
    back = grocer.post("/v1/reversals", entry=sold["id"])
    assert (back["points"], back["owed"], back["balance"]) == (-10, 90, 0)
    assert grocer.balance(member)["deficits"] == [{"entry": back["id"], "issuer": "grocer", "points": 90}]
    paid = grocer.earn(card, 30)
    assert (paid["points"], paid["cured"], paid["balance"]) == (0, 30, 0)
    assert grocer.balance(member)["deficits"] == [{"entry": back["id"], "issuer": "grocer", "points": 60}]
    rest = grocer.earn(card, 70)
    assert (rest["points"], rest["cured"], rest["balance"]) == (10, 60, 10)
    assert grocer.balance(member)["deficits"] == []


def test_a_gift_and_its_transfer(desk: Desks) -> None:
    """Who gives and who is given have an entry each; both are the partner's, and neither names the other."""
    grocer = desk(GROCER)
    giver, taker = grocer.till.enrol("m1"), grocer.till.enrol("m2")
    grocer.earn(giver["card"], 50)
    pair = {"card": giver["card"], "to_card": taker["card"]}
    given = grocer.post("/v1/gifts", **pair, points=20)
    assert (given["kind"], given["points"], given["balance"]) == ("gift", -20, 30)
    assert not {"pooled", "pending", "cured", "owed", "parent", "amount_minor", "outlet"} & given.keys()
    listed = grocer.till.get("/v1/entries").json()["data"]
    [transfer] = [entry for entry in listed if entry["kind"] == "transfer"]
    assert (transfer["parent"], transfer["points"], transfer["balance"]) == (given["id"], 20, 20)
    assert grocer.till.get(f"/v1/entries/{transfer['id']}").json() == transfer
    assert grocer.balance(taker)["expiring"] == [{"expires_on": "2017-08-31", "points": 20}]
    assert grocer.balance(giver)["expiring"] == [{"expires_on": "2017-08-31", "points": 30}]
    grocer.post("/v1/gifts", "insufficient_points", **pair, points=31)
    grocer.post("/v1/gifts", "same_member", card=giver["card"], to_card=giver["card"], points=1)
    grocer.post("/v1/gifts", "recipient_unknown", card=giver["card"], to_card="6330001234567895", points=1)
    wrong = grocer.post("/v1/gifts", "card_number_invalid", card=giver["card"], to_card="1" * 16, points=1)
    assert wrong["errors"][0]["pointer"] == "/to_card"


def test_a_donation_goes_to_a_cause(desk: Desks) -> None:
    """A partner whose contract takes donations; no other, and nobody at all, is a cause."""
    grocer = desk(GROCER)
    card = grocer.till.enrol()["card"]
    grocer.earn(card, 50)
    given = grocer.post("/v1/donations", card=card, cause="bank", points=20)
    assert (given["kind"], given["points"], given["balance"]) == ("donation", -20, 30)
    grocer.post("/v1/donations", "cause_unknown", card=card, cause="petrol", points=1)
    grocer.post("/v1/donations", "cause_unknown", card=card, cause="nobody", points=1)
    grocer.post("/v1/donations", "insufficient_points", card=card, cause="bank", points=31)
    assert grocer.post("/v1/reversals", entry=given["id"], points=5)["points"] == 5


def test_a_pool_is_joined_by_consent_and_spent_by_each(desk: Desks) -> None:
    """Who was invited joins, no other; a reward takes from all and tells each; who leaves keeps its own."""
    grocer, petrol = desk(GROCER), desk(PETROL)
    ann, bob, eve = (grocer.till.enrol(f"m{number}") for number in range(3))
    grocer.earn(ann["card"], 50)
    grocer.earn(bob["card"], 30)
    desk(BANK).earn(ann["card"], 9)  # pending: the pool cannot spend them yet
    asked = grocer.post("/v1/pool-invitations", card=ann["card"], to_card=bob["card"])
    petrol.burn(bob["card"], 31, "insufficient_points")
    grocer.post("/v1/pool-joins", "invitation_unknown", card=eve["card"], invitation=asked["id"])
    grocer.post("/v1/pool-joins", card=bob["card"], invitation=asked["id"])
    grocer.post("/v1/pool-joins", "invitation_lapsed", card=bob["card"], invitation=asked["id"])
    assert grocer.balance(ann)["pool"] == grocer.balance(bob)["pool"] == {"members": 2, "points": 80}
    assert (grocer.balance(bob)["points"], grocer.balance(eve)["pool"]) == (30, None)
    spent = petrol.burn(bob["card"], 70)
    assert (spent["points"], spent["pooled"], spent["balance"]) == (-30, -40, 0)
    [told] = [one for one in petrol.till.get("/v1/entries").json()["data"] if one["kind"] == "transfer"]
    assert (told["parent"], told["points"], told["balance"]) == (spent["id"], -40, 10)
    back = petrol.post("/v1/reversals", entry=spent["id"], points=50)
    assert (back["points"], back["pooled"]) == (10, 40)
    assert grocer.balance(ann)["pool"] == {"members": 2, "points": 60}
    grocer.post("/v1/pool-leaves", card=bob["card"])
    grocer.post("/v1/pool-leaves", "not_in_pool", card=bob["card"])
    assert (grocer.balance(bob)["pool"], grocer.balance(ann)["pool"]["members"]) == (None, 1)


def test_a_hold_is_shown_as_held_until_it_is_over(desk: Desks) -> None:
    """What a hold sets aside is not in the balance but beside it; a capture takes it from there."""
    grocer = desk(GROCER)
    member = grocer.till.enrol()
    grocer.earn(member["card"], 50)
    hold = grocer.post("/v1/holds", **{**a_sale(member["card"], 20, "h"), "points": 20})
    assert (grocer.balance(member)["points"], grocer.balance(member)["held"]) == (30, 20)
    grocer.post("/v1/captures", hold=hold["id"], points=15, amount_minor=15)
    assert (grocer.balance(member)["points"], grocer.balance(member)["held"]) == (30, 5)


def test_a_hold_that_is_over_is_back_in_the_balance(desk: Desks, database: Engine) -> None:
    """Nobody has touched the account since: the look itself finds the points where the next reward would."""
    grocer = desk(GROCER)
    ann, bob = grocer.till.enrol("m1"), grocer.till.enrol("m2")
    grocer.earn(ann["card"], 30)
    grocer.earn(bob["card"], 30)
    asked = grocer.post("/v1/pool-invitations", card=ann["card"], to_card=bob["card"])
    grocer.post("/v1/pool-joins", card=bob["card"], invitation=asked["id"])
    grocer.post("/v1/holds", **{**a_sale(bob["card"], 50, "h"), "points": 50, "minutes": 30})
    during = grocer.balance(ann)
    assert (during["points"], during["pool"]["points"], grocer.balance(bob)["held"]) == (10, 10, 50)
    with database.begin() as connection:
        set_clock(connection, START + timedelta(minutes=30))
        asked_before = connection.execute(text("SELECT count(*) FROM idempotency")).scalar_one()
    after = grocer.balance(ann)
    assert (after["points"], after["pool"]["points"], grocer.balance(bob)["held"]) == (30, 60, 0)
    assert grocer.balance(bob)["points"] == 30
    with database.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM idempotency")).scalar_one() == asked_before


def test_two_accounts_become_one_and_two_again(desk: Desks) -> None:
    """Cards and points go over and come back; what the merged one had set aside is seen where it will go."""
    grocer, hotel = desk(GROCER), desk(HOTEL)
    stays, goes = grocer.till.enrol("m1"), grocer.till.enrol("m2")
    grocer.earn(stays["card"], 10)
    grocer.earn(goes["card"], 40)
    hotel.earn(goes["card"], 10)
    merged = grocer.post("/v1/merges", card=stays["card"], merged_card=goes["card"])
    assert (merged["kind"], merged["points"], merged["balance"]) == ("merge", 40, 50)
    assert grocer.till.get(f"/v1/cards/{goes['card']}").json()["member"] == stays["member"]
    gone = grocer.balance(goes)
    assert (gone["points"], gone["expiring"], gone["merged_into"]) == (0, [], stays["member"])
    left = grocer.balance(stays)
    assert (left["points"], left["merged_into"], left["pending_events"][0]["points"]) == (50, None, 30)
    assert grocer.burn(goes["card"], 20)["balance"] == 30
    grocer.post("/v1/merges", "same_member", card=stays["card"], merged_card=goes["card"])
    hotel.post("/v1/unmerges", "entry_unknown", merge=merged["id"])
    apart = grocer.post("/v1/unmerges", merge=merged["id"])
    # what came shares its lot with what was there: of that lot 30 are left
    assert (apart["points"], apart["balance"]) == (-30, 0)
    grocer.post("/v1/unmerges", "already_unmerged", merge=merged["id"])
    grocer.post("/v1/unmerges", "not_a_merge", merge=apart["id"])
    assert grocer.till.get(f"/v1/cards/{goes['card']}").json()["member"] == goes["member"]
    assert grocer.balance(goes)["merged_into"] is None
    assert (grocer.balance(stays)["points"], grocer.balance(goes)["points"]) == (0, 30)
    again = grocer.till.post("/v1/members", reference="m2", occurred_at=AT).json()
    assert again["card"] == goes["card"]


def test_debts_go_over_with_a_merge(desk: Desks) -> None:
    """Who stays owes what the merged one owed, since the merge; what came with it pays first."""
    grocer = desk(GROCER)
    stays, goes = grocer.till.enrol("m1"), grocer.till.enrol("m2")
    grocer.earn(stays["card"], 50)
    sold = grocer.earn(goes["card"], 100)
    grocer.burn(goes["card"], 100)
    grocer.post("/v1/reversals", entry=sold["id"])
    merged = grocer.post("/v1/merges", card=stays["card"], merged_card=goes["card"])
    assert (merged["points"], merged["owed"], merged["balance"]) == (0, 100, 50)
    assert grocer.balance(stays)["deficits"] == [{"entry": merged["id"], "issuer": "grocer", "points": 100}]
    assert grocer.balance(goes)["deficits"] == []
    listed = grocer.till.get("/v1/entries").json()["data"]
    [transfer] = [entry for entry in listed if entry["kind"] == "transfer"]
    assert (transfer["parent"], transfer["points"], transfer["cured"]) == (merged["id"], 0, 100)
    assert grocer.earn(goes["card"], 120)["cured"] == 100


def test_the_forecast_goes_by_how_points_live(desk: Desks, database: Engine, live: Rules) -> None:
    """By months, with activity until the account's last day, never: the last have no line in the forecast."""
    grocer, bank = desk(GROCER), desk(BANK)
    member = grocer.till.enrol()
    card = member["card"]
    grocer.earn(card, 10)
    for tier in ("silver", "gold"):
        run(database, live, set_tier(int(card), tier, f"to {tier}"))
        grocer.earn(card, 20)
    bank.earn(card, 5)
    balance = grocer.balance(member)
    assert (balance["points"], balance["tier"]) == (50, "gold")
    assert balance["expiring"] == [
        {"expires_on": "2017-07-31", "points": 20},
        {"expires_on": "2017-08-31", "points": 10},
    ]
    assert balance["pending"] == [{"spendable_on": "2017-05-15", "expires_on": None, "points": 5}]


def test_a_file_holds_any_command(desk: Desks) -> None:
    """Each new kind is a line by its own `type`, done in order, and answered as its address would."""
    grocer = desk(GROCER)
    ann, bob = grocer.till.enrol("m1")["card"], grocer.till.enrol("m2")["card"]
    grocer.earn(ann, 50)
    asked = grocer.post("/v1/pool-invitations", card=bob, to_card=ann)
    lines: list[dict[str, Any]] = [
        {"type": "gift", "card": ann, "to_card": bob, "points": 5},
        {"type": "donation", "card": ann, "cause": "bank", "points": 5},
        {"type": "pool_join", "card": ann, "invitation": asked["id"]},
        {"type": "pool_invitation", "card": ann, "to_card": bob},
        {"type": "pool_leave", "card": ann},
        {"type": "pool_leave", "card": bob},
        {"type": "merge", "card": ann, "merged_card": bob},
        {"type": "unmerge", "merge": asked["id"]},
        {"type": "release", "accrual": asked["id"]},
        {"type": "accrual", **a_sale(ann, 3_00, "x"), "lines": [1_00, 2_00]},
    ]
    sent = [{"occurred_at": AT, **line, "reference": f"f{number}"} for number, line in enumerate(lines)]
    answers = grocer.till.file(sent)
    assert [(one["status"], one.get("code")) for one in answers] == [
        (201, None),
        (201, None),
        (201, None),
        (422, "already_in_pool"),
        (201, None),
        (201, None),
        (201, None),
        (422, "not_a_merge"),
        (422, "nothing_pending"),
        (201, None),
    ]
    again = grocer.till.file(sent)
    assert [one.get("entry") for one in again] == [one.get("entry") for one in answers]
    for one in answers:
        if "entry" in one:
            assert grocer.till.get(f"/v1/entries/{one['entry']['id']}").json() == one["entry"]


def test_what_only_the_operator_may_has_no_address(till: Tills) -> None:
    """Neither adjustments nor tiers: not as a request, not as a line of a file."""
    grocer = till(GROCER)
    for path in ("/v1/adjustments", "/v1/adjusts", "/v1/tiers"):
        assert grocer.post(path, reference="r", occurred_at=AT).status_code == 404
    answers = grocer.file([{"type": kind, "reference": "r"} for kind in ("adjust", "adjustment", "set_tier")])
    assert {one["code"] for one in answers} == {"validation_failed"}


def test_every_command_is_described_by_an_example_that_can_be_read(client: TestClient) -> None:
    """The description shows each body's schema, and an example that our own reader takes, also in a file."""
    described = client.get("/openapi.json").json()
    for body in COMMANDS:
        name = body.__name__
        example = EXAMPLES[name]
        msgspec.convert(example, body)
        kind = msgspec.inspect.type_info(body).tag  # type: ignore[attr-defined]  # bodies are tagged structs
        assert isinstance(LINE.decode(msgspec.json.encode({"type": kind, **example})), body)
        schema = described["components"]["schemas"][name]
        assert set(schema["required"]) <= example.keys() <= schema["properties"].keys()
