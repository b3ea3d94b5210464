"""A till and a member's phone: rotating codes, a PIN, an approval; each tried as a thief would."""

from typing import Any

import pytest
from msgspec import structs
from sqlalchemy import Engine, text

from config.database import make_engine
from network.batch import execute
from network.commands import Command
from network.outcomes import Rejected
from network.presence import judge_each
from network.rules import Rules
from partners.people import codes
from partners.people.tokens import members_keys
from tests.api.conftest import Till, a_sale
from tests.api.test_bad_inputs import counted, require_problem
from tests.api.test_members import EMAIL, Phone, Tills, anna, client, grocer, phone
from tests.between import donate, give
from tests.coalition import BANK, CODES, HOTEL, PROGRAMME, burn, new_card, reserve, run, sale, set_up, terms
from tests.people import KEYS

__all__ = ["anna", "client", "grocer", "phone"]


def reward(till: Till, card: str, reference: str, points: int = 5, **changed: Any) -> Any:
    """A redemption."""
    return till.post("/v1/redemptions", **a_sale(card, points, reference, points=points, **changed))


@pytest.fixture
def card(anna: dict[str, Any], grocer: Till, phone: Phone) -> str:
    """The card of a member with 500 points, who has signed in."""
    number: str = anna["card"]
    assert grocer.post("/v1/accruals", **a_sale(number, 50_000, "s")).status_code == 201
    phone.sign_in()
    return number


def test_an_old_request_is_answered_as_it_was(phone: Phone, card: str, grocer: Till) -> None:
    """A till that lost an answer asks again after other codes were used, and long after its own was over."""
    shown = phone.get("/card").json()["code"]
    first = reward(grocer, card, "r1", code=shown)
    assert first.status_code == 201, first.text
    phone.clock.pass_(minutes=1)
    assert reward(grocer, card, "r2", code=phone.get("/card").json()["code"]).status_code == 201
    phone.clock.pass_(minutes=3)
    again = reward(grocer, card, "r1", code=shown)
    assert (again.status_code, again.content) == (201, first.content)
    require_problem(reward(grocer, card, "r1", points=6, code=shown), 422, "reference_reused")


def test_codes_are_not_found_by_trying(phone: Phone, card: str, grocer: Till, till: Tills) -> None:
    """After five wrong codes none is judged for a minute, then two, whoever asks; a right one ends it."""
    hotel = till(HOTEL)

    def right() -> str:
        code: str = phone.get("/card").json()["code"]
        return code

    def wrong() -> str:
        return f"{(int(right()) + 1) % 10**6:06d}"

    for number in range(5):
        require_problem(reward(grocer, card, f"g{number}", code=wrong()), 422, "code_stale")
    require_problem(reward(grocer, card, "g5", code=right()), 422, "proof_locked")
    require_problem(reward(hotel, card, "h", code=right()), 422, "proof_locked")
    lines = [{"type": "redemption", **a_sale(card, 5, "f", points=5, code=right())}]
    assert grocer.file(lines)[0]["code"] == "proof_locked"
    phone.clock.pass_(seconds=61)
    require_problem(reward(hotel, card, "h", code=wrong()), 422, "code_stale")
    phone.clock.pass_(seconds=61)
    require_problem(reward(hotel, card, "h", code=right()), 422, "proof_locked")
    phone.clock.pass_(seconds=61)
    assert reward(hotel, card, "h", code=right()).status_code == 201
    require_problem(reward(hotel, card, "h2", code=wrong()), 422, "code_stale")


def test_a_pin_is_typed_and_kept_nowhere(phone: Phone, card: str, grocer: Till, database: Engine) -> None:
    """Set by the member, told by mail, wrong ones counted with codes; no hash of a request holds it."""
    require_problem(reward(grocer, card, "p0", pin="4711"), 422, "pin_refused")
    for bad in ("1234", "0000", "471", "123456789", "47a1", 4711):
        require_problem(phone.post("/pin", pin=bad), 422, "validation_failed", bad)
    assert phone.post("/pin", pin="4711").status_code == 202
    assert phone.mails[-1][:2] == (EMAIL, "Your PIN")
    assert reward(grocer, card, "p1", pin="4711").status_code == 201
    replayed = reward(grocer, card, "p1", pin="9999")
    assert replayed.headers["idempotent-replayed"] == "true"
    for number in range(5):
        require_problem(reward(grocer, card, f"w{number}", pin="4712"), 422, "pin_refused")
    require_problem(reward(grocer, card, "w5", pin="4711"), 422, "proof_locked")
    require_problem(reward(grocer, card, "w5", code=phone.get("/card").json()["code"]), 422, "proof_locked")
    assert phone.post("/pin", pin="2580").status_code == 202
    assert reward(grocer, card, "w5", pin="2580").status_code == 201
    line = {"type": "redemption", **a_sale(card, 5, "in-file", points=5, pin="2580")}
    [told] = grocer.file([line])
    assert (told["status"], told["code"], told["errors"][0]["pointer"]) == (422, "validation_failed", "/pin")
    assert phone.post("/pin", pin=None).status_code == 202
    require_problem(reward(grocer, card, "p2", pin="2580"), 422, "pin_refused")
    with database.connect() as connection:
        kept = connection.execute(text("SELECT pin_hash, proof_tries FROM member_login")).one()
    assert tuple(kept) == (None, 1)


def test_one_members_stuck_row_is_no_others(phone: Phone, card: str, grocer: Till, database: Engine) -> None:
    """Somebody holds a member's row: its reward is to be sent again, another's is judged."""
    other = grocer.enrol("other")
    assert grocer.post("/v1/member-logins", member=other["member"], email="b@example.com").status_code == 200
    phone.access = ""
    phone.sign_in("b@example.com")
    right = phone.get("/card").json()["code"]
    commands = [
        structs.replace(burn(int(number), 5, f"r{number}"), code=right) for number in (card, other["card"])
    ]
    impatient = make_engine(database.url, schema="tessera", lock_timeout_ms=300)
    with database.connect() as holding:
        holding.execute(text("SELECT FROM member_login ORDER BY member_id LIMIT 1 FOR UPDATE"))
        told = judge_each(impatient, members_keys(KEYS).secrets, commands, phone.clock())
    impatient.dispose()
    assert told == {0: "unavailable"}


def wish(till: Till, card: str, reference: str, points: int = 50) -> Any:
    """Ask the card's member to approve."""
    fields = {"outlet": "main", "card": card, "points": points, "amount_minor": points, "currency": "USD"}
    return till.post("/v1/approvals", reference=reference, **fields)


def test_an_approval_on_the_phone(phone: Phone, card: str, grocer: Till, till: Tills) -> None:
    """Asked, shown, answered once, used once by who asked, for that card and so many points, in time."""
    hotel = till(HOTEL)
    asked = wish(grocer, card, "a1")
    assert (asked.status_code, asked.json()["state"]) == (201, "asked"), asked.text
    assert wish(grocer, card, "a1").json() == asked.json()
    require_problem(wish(grocer, card, "a1", 51), 422, "reference_reused")
    given = asked.json()["id"]
    require_problem(reward(grocer, card, "r1", 50, approval=given), 422, "approval_not_given")
    [shown] = phone.get("/approvals").json()["data"]
    assert (shown["id"], shown["partner"], shown["points"], shown["card"]) == (given, "The grocer", 50, card)
    assert phone.post(f"/approvals/{given}", approve=True).status_code == 202
    assert phone.post(f"/approvals/{given}", approve=True).status_code == 202
    require_problem(phone.post(f"/approvals/{given}", approve=False), 409, "approval_over")
    assert phone.get("/approvals").json() == {"data": []}
    assert grocer.get(f"/v1/approvals/{given}").json()["state"] == "approved"
    require_problem(hotel.get(f"/v1/approvals/{given}"), 404, "approval_unknown")
    require_problem(reward(hotel, card, "r1", 50, approval=given), 404, "approval_unknown")
    require_problem(reward(grocer, card, "r1", 51, approval=given), 422, "approval_not_given")
    done = reward(grocer, card, "r1", 50, approval=given)
    assert done.status_code == 201, done.text
    assert reward(grocer, card, "r1", 50, approval=given).content == done.content
    require_problem(reward(grocer, card, "r2", 50, approval=given), 409, "approval_used")
    assert grocer.get(f"/v1/approvals/{given}").json()["state"] == "used"
    refused = wish(grocer, card, "a2").json()["id"]
    assert phone.post(f"/approvals/{refused}", approve=False).status_code == 202
    require_problem(reward(grocer, card, "r3", 50, approval=refused), 422, "approval_not_given")
    late = wish(grocer, card, "a3").json()["id"]
    phone.clock.pass_(minutes=5)
    require_problem(phone.post(f"/approvals/{late}", approve=True), 409, "approval_over")
    assert grocer.get(f"/v1/approvals/{late}").json()["state"] == "lapsed"


def test_nobody_is_asked_in_vain_or_worn_down(
    phone: Phone, card: str, grocer: Till, database: Engine
) -> None:
    """Three open questions a partner; none on cards that are locked, unknown, or whose member has no phone;
    no member answers another's."""
    other = grocer.enrol("other")
    before = counted(database)
    require_problem(wish(grocer, other["card"], "n1"), 422, "approval_unavailable")
    require_problem(wish(grocer, "6330001234567895", "n2"), 422, "card_unknown")
    assert counted(database) == before
    ids = [wish(grocer, card, f"q{number}").json()["id"] for number in range(3)]
    require_problem(wish(grocer, card, "q3"), 422, "too_many_approvals")
    assert (
        grocer.post("/v1/member-logins", member=other["member"], email="ben@example.com").status_code == 200
    )
    anna_s = phone.access
    phone.access = ""
    phone.sign_in("ben@example.com")
    for one in (ids[0], "apv_" + "0" * 32, "apv_x"):
        require_problem(phone.post(f"/approvals/{one}", approve=True), 404, "approval_unknown")
    phone.access = anna_s
    assert phone.post(f"/approvals/{ids[0]}", approve=False).status_code == 202
    assert phone.post("/lock", locked=True).status_code == 200
    require_problem(wish(grocer, card, "q4"), 422, "spending_locked")


def test_offline_codes_are_of_their_time(
    phone: Phone, card: str, grocer: Till, database: Engine, live: Rules
) -> None:
    """A till without a line sends later the code that it read then; once, and never an older one."""
    then = phone.clock()
    shown = phone.get("/card").json()["code"]
    phone.clock.pass_(minutes=3)
    stale = reward(grocer, card, "o1", code=shown, occurred_at=then.isoformat())
    require_problem(stale, 422, "code_stale")
    late = reward(grocer, card, "o1", code=shown, occurred_at=then.isoformat(), offline=True)
    # the network's time is years behind the phones' in this test: what the code proved is judged before that
    require_problem(late, 422, "occurred_in_future")
    again = reward(grocer, card, "o2", code=shown, occurred_at=then.isoformat(), offline=True)
    require_problem(again, 409, "code_used")
    assert codes.step_of(phone.clock()) > codes.step_of(then)


def test_thresholds_hold_with_a_line_and_without(database: Engine) -> None:
    """Up to code_above the printed number; then any proof; above approval_above the phone alone. A till that
    says it had no line gets no further, nor who gives the points away: else a picture of a card would do."""
    source = PROGRAMME + "[redeem]\ncode_above = 100\napproval_above = 200\n"
    contracts = [terms(number, accepts_donations=number == BANK) for number in CODES]
    live = set_up(database, source=source, contracts=contracts)
    card, other = new_card(database, live), new_card(database, live, "other")
    run(database, live, sale(card, 200_000, "s"))
    bare: list[Command] = [
        burn(card, 100, "b1"),
        burn(card, 101, "b2"),
        reserve(card, 101, "b3"),
        burn(card, 201, "b4"),
    ]
    shown: list[Command] = [
        *bare,
        structs.replace(burn(card, 101, "c1"), code="123456"),
        structs.replace(burn(card, 101, "c2"), pin="4711"),
        structs.replace(burn(card, 201, "c3"), code="123456", pin="4711"),
        burn(card, 101, "o1", offline=True),
        give(card, other, 100, "g1"),
        give(card, other, 101, "g2"),
        structs.replace(give(card, other, 101, "g3"), pin="4711"),
        structs.replace(give(card, other, 201, "g4"), pin="4711"),
        donate(card, 101, "d1"),
        structs.replace(donate(card, 101, "d2"), code="123456"),
    ]
    told = [reply.outcome for reply in execute(database, shown, live)]
    assert [one.reason if isinstance(one, Rejected) else one.points for one in told] == [
        -100,
        "code_needed",
        "code_needed",
        "approval_needed",
        -101,
        -101,
        "approval_needed",
        "code_needed",
        -100,
        "code_needed",
        -101,
        "approval_needed",
        "code_needed",
        -101,
    ]
