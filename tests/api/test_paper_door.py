"""Codes on paper at the door: told once and again, guessed in vain, refused without a key."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from sqlalchemy import Engine
from starlette.testclient import TestClient

from api.app import create_app
from api.lanes.coding import code_key
from api.limits import Rate, Rates
from network.codes import Pack, pack_code, voucher_code
from network.ids import read
from network.model import Entry
from tests.api.conftest import AUTHORITY, Till, real_now, till_of
from tests.coalition import GROCER, PETROL, START, new_card, run, sale, set_up
from tests.integration.test_paper import SOURCE
from tests.people import CARD_KEY

AT = START.isoformat()
FORGED = "00NJ-Q4EF-GFA7-XRAT-X000-0000-1NXB-2TB1-4N6E-Y3NT"
TILL = {"outlet": "main", "currency": "USD"}


@contextmanager
def served(database: Engine, card_key: bytes = CARD_KEY) -> Iterator[dict[int, Till]]:
    """Tills of the grocer and of petrol, at a door where three guesses are too many."""
    rates = Rates(cards=Rate(0.001, 3))
    app = create_app(database, authority=AUTHORITY, now=real_now, card_key=card_key, rates=rates)
    with TestClient(app, base_url=f"http://{AUTHORITY}", raise_server_exceptions=False) as client:
        yield {partner_id: till_of(database, client, partner_id) for partner_id in (GROCER, PETROL)}


@pytest.fixture
def card(database: Engine) -> str:
    """The card of a member with 500 points."""
    live = set_up(database, source=SOURCE + "[redeem]\ncode_above = 100\n")
    number = new_card(database, live)
    assert isinstance(run(database, live, sale(number, 500_00, "much")), Entry)
    return str(number)


def test_a_voucher_is_told_to_whom_made_it_and_pays_once(database: Engine, card: str) -> None:
    """The code comes again with a replay, and nowhere else; it is read however it was typed."""
    with served(database) as tills:
        asked = {"reference": "v-1", "occurred_at": AT, "card": card, "voucher": "paper", "points": 30}
        made, again = (tills[GROCER].post("/v1/vouchers", **asked) for _ in range(2))
        told = made.json()
        assert (made.status_code, again.json()) == (201, told)
        assert again.headers["idempotent-replayed"] == "true"
        assert (told["kind"], told["points"], told["amount_minor"]) == ("voucher", -30, 300)
        assert (told["valid_from"], told["valid_until"]) == ("2017-05-01", "2017-06-30")
        entry_id = read("ent", told["id"])
        assert entry_id is not None
        assert told["code"] == voucher_code(code_key(CARD_KEY), entry_id)
        assert told["code"] not in tills[GROCER].get("/v1/entries").text
        use = {"occurred_at": AT, "amount_minor": 2_000, **TILL}
        typed = told["code"].replace("-", "").lower()
        used = tills[PETROL].post("/v1/voucher-uses", reference="u-1", code=typed, **use)
        assert (used.status_code, used.json()["amount_minor"]) == (201, 300)
        assert told["code"] not in used.text
        assert "hold" not in used.json()
        twice = tills[GROCER].post("/v1/voucher-uses", reference="u-1", code=told["code"], **use)
        assert (twice.status_code, twice.json()["code"]) == (422, "voucher_used")
        more = {**asked, "reference": "v-2", "points": 110}
        assert tills[GROCER].post("/v1/vouchers", **more).json()["code"] == "code_needed"


def test_guesses_are_limited_and_typing_errors_are_not(database: Engine, card: str) -> None:
    """Forged codes are counted with unknown cards; then even a right one is not looked at, here alone."""
    right = pack_code(code_key(CARD_KEY), Pack(3, 5))
    forged_pack = pack_code(bytes(32), Pack(3, 5))
    with served(database) as tills:

        def registered(code: str, reference: str, partner_id: int = GROCER) -> tuple[int, str]:
            fields = {"reference": reference, "occurred_at": AT, "card": card, "code": code, **TILL}
            answer = tills[partner_id].post("/v1/serial-codes", **fields)
            return answer.status_code, answer.json().get("code", "")

        for number in range(5):
            assert registered(right[:-1] + "0", f"typo-{number}") == (422, "code_mistyped")
        assert registered(forged_pack, "g-1") == (404, "pack_unknown")
        use = {"occurred_at": AT, "amount_minor": 2_000, "code": FORGED, **TILL}
        assert (
            tills[GROCER].post("/v1/voucher-uses", reference="g-2", **use).json()["code"] == "voucher_unknown"
        )
        given = {"reference": "g-3", "occurred_at": AT, "code": FORGED}
        assert tills[GROCER].post("/v1/voucher-returns", **given).json()["code"] == "voucher_unknown"
        assert registered(right, "right") == (429, "cards_limited")
        assert registered(right, "right", PETROL) == (201, "")


def test_without_a_key_no_code_is_opened_or_made(database: Engine, card: str) -> None:
    """A server that cannot tell codes from forgeries takes none; sales go on."""
    with served(database, b"") as tills:
        asked = {"reference": "v-1", "occurred_at": AT, "card": card, "voucher": "paper", "points": 30}
        refused = tills[GROCER].post("/v1/vouchers", **asked)
        assert (refused.status_code, refused.json()["code"]) == (503, "codes_unavailable")
        use = {"reference": "u", "occurred_at": AT, "amount_minor": 2_000, "code": FORGED, **TILL}
        assert tills[GROCER].post("/v1/voucher-uses", **use).status_code == 503
        sold = {"reference": "s", "occurred_at": AT, "card": card, "amount_minor": 1_000, **TILL}
        assert tills[GROCER].post("/v1/accruals", **sold).status_code == 201
