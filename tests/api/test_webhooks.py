"""Webhooks over the signed API: made, shown once, rotated, tried, replayed, looked up; each partner's own.

Endpoints are made before the first command: a lane reads the rules then, and again after five seconds.
"""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import Engine, text

from api.verification import checks_of
from network.rules import Rules
from network.service import lapse_expired, set_clock
from partners.hooks import endpoints
from partners.hooks.endpoints import MOST_ENDPOINTS
from partners.hooks.signing import read_secret
from settlement.service import clear
from tests.api.conftest import Till, a_sale
from tests.api.office import Office
from tests.coalition import BANK, GROCER, HOTEL, START
from tests.conftest import as_owner
from tests.hooks import HOOK_KEY, Receiver, deliver, endpoint, endpoint_row, receiving, signed_endpoint
from tests.people import real_now

Tills = Callable[[int], Till]
URL = "https://hooks.example.com/a?b=c"
NOBODYS = f"whe_{7:032x}"


def made(till: Till, reference: str = "hook-1", **changed: Any) -> dict[str, Any]:
    """An endpoint as it is answered."""
    answer = till.post(
        "/v1/webhook-endpoints", **{"reference": reference, "url": URL, "events": ["*"], **changed}
    )
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


def refused(answer: Any) -> tuple[int, str]:
    """Status and code of a problem."""
    return answer.status_code, answer.json()["code"]


def test_an_endpoint_is_made_once_and_its_secret_shown_once(till: Tills, database: Engine) -> None:
    """The same reference gives the same endpoint without its secret; other content is refused."""
    grocer = till(GROCER)
    first = made(grocer, description="the till's")
    secret = read_secret(first["secret"])
    again = grocer.post(
        "/v1/webhook-endpoints", reference="hook-1", url=URL, events=["*"], description="the till's"
    )
    assert again.headers["idempotent-replayed"] == "true"
    assert again.json() == {**first, "secret": None}
    other = grocer.post("/v1/webhook-endpoints", reference="hook-1", url=URL, events=["entry.*"])
    assert refused(other) == (422, "reference_reused")
    assert [one["id"] for one in grocer.get("/v1/webhook-endpoints").json()["data"]] == [first["id"]]
    with database.connect() as connection:
        stored = endpoints.secrets_of(connection, UUID(first["id"][4:]), "v1", HOOK_KEY, real_now())
        everything = str(connection.execute(text("SELECT * FROM webhook_secret")).all())
    assert stored == [secret]
    assert first["secret"][6:] not in everything


def test_ed25519_shows_a_public_key_and_no_secret(till: Tills) -> None:
    """There is nothing for the partner to keep secret; a rotation shows both keys for a while."""
    grocer = till(GROCER)
    one = made(grocer, signature="v1a")
    assert one["secret"] is None
    [key] = one["public_keys"]
    assert (key["key"][:5], key["ends_at"]) == ("whpk_", None)
    rotated = grocer.post(f"/v1/webhook-endpoints/{one['id']}/secrets", reference="r1").json()
    assert [each["ends_at"] is None for each in rotated["public_keys"]] == [True, False]
    assert rotated["public_keys"][1]["key"] == key["key"]


@pytest.mark.parametrize(
    "url",
    [
        "http://hooks.example.com/",
        "https://127.1/",
        "https://2130706433/",
        "https://[::ffff:127.0.0.1]/",
        "https://169.254.169.254/latest",
        "https://224.0.0.1/",
        "https://[64:ff9b::7f00:1]/",
        "https://[2002:7f00:1::]/",
        "https://localhost/",
        "https://user:pass@hooks.example.com/",
        "https://hooks.example.com:22/",
        "https://hooks.example.com/\x01",
    ],
)
def test_an_address_that_is_not_public_is_refused(till: Tills, url: str) -> None:
    """Each trick: 422 with a pointer, and nothing is stored."""
    grocer = till(GROCER)
    answer = grocer.post("/v1/webhook-endpoints", reference="h", url=url, events=["*"])
    assert refused(answer) == (422, "webhook_address")
    assert answer.json()["errors"] == [{"pointer": "/url", "code": "address"}]
    assert grocer.get("/v1/webhook-endpoints").json() == {"data": []}


def test_what_else_is_refused(till: Tills) -> None:
    """Unknown types, no types, unknown fields, too many endpoints."""
    grocer = till(GROCER)
    for events, said in (
        (["entry.acrual"], (422, "event_type_unknown")),
        ([], (422, "validation_failed")),
        (["entry accrual"], (422, "validation_failed")),
    ):
        answer = grocer.post("/v1/webhook-endpoints", reference="h", url=URL, events=events)
        assert refused(answer) == said
    nul = grocer.post("/v1/webhook-endpoints", reference="h", url=f"{URL}\x00", events=["*"])
    assert refused(nul) == (422, "validation_failed")
    extra = grocer.post("/v1/webhook-endpoints", reference="h", url=URL, events=["*"], extra=1)
    assert refused(extra) == (422, "validation_failed")
    for number in range(MOST_ENDPOINTS):
        made(grocer, f"h{number}")
    full = grocer.post("/v1/webhook-endpoints", reference="more", url=URL, events=["*"])
    assert refused(full) == (422, "too_many_endpoints")


def test_each_partner_has_its_own(till: Tills, database: Engine) -> None:
    """Another's endpoint and event are as if they were not there, whatever is asked of them."""
    grocer, hotel = till(GROCER), till(HOTEL)
    mine = made(grocer)["id"]
    event = grocer.post(f"/v1/webhook-endpoints/{mine}/tests", x=1).json()["event"]
    for shown in (mine, NOBODYS, "whe_x"):
        address = f"/v1/webhook-endpoints/{shown}"
        answers = [
            hotel.get(address),
            hotel.send("DELETE", address),
            hotel.get(f"{address}/deliveries"),
            hotel.send("POST", f"{address}/enablement"),
            hotel.send("POST", f"{address}/tests"),
            hotel.post(f"{address}/secrets", reference="r"),
            hotel.post(f"{address}/replays", reference="r", since=START.isoformat()),
        ]
        assert {refused(answer) for answer in answers} == {(404, "endpoint_unknown")}
    for shown in (event, f"evt_{7:032x}", "evt_x"):
        found = [hotel.get(f"/v1/events/{shown}"), hotel.send("POST", f"/v1/events/{shown}/resend")]
        assert {refused(answer) for answer in found} == {(404, "event_unknown")}
    own = made(hotel)["id"]
    tested = hotel.send("POST", f"/v1/webhook-endpoints/{own}/tests").json()["event"]
    sent = hotel.send("POST", f"/v1/events/{tested}/resend?endpoint={mine}")
    assert refused(sent) == (404, "endpoint_unknown")
    assert hotel.get("/v1/events").json()["data"][0]["id"] == tested
    assert len(hotel.get("/v1/events").json()["data"]) == 1
    assert endpoint_row(database, UUID(mine[4:])).status == "active"


def test_events_are_paged_filtered_and_looked_up(till: Tills, database: Engine) -> None:
    """By type and instant; by pages; a cursor of another's or a changed one is 400."""
    grocer, hotel = till(GROCER), till(HOTEL)
    made(grocer)
    card = grocer.enrol()["card"]
    sales = [grocer.post("/v1/accruals", **a_sale(card, 500, f"s{n}")).json() for n in range(5)]
    paged: list[str] = []
    target: str | None = "/v1/events?limit=2&type=entry.accrual"
    cursor = ""
    while target is not None:
        page = grocer.get(target).json()
        paged += [one["data"]["reference"] for one in page["data"]]
        cursor = page["next_cursor"] or cursor
        target = f"/v1/events?limit=2&type=entry.accrual&cursor={cursor}" if page["has_more"] else None
    assert sorted(paged) == [f"s{n}" for n in range(5)]
    assert refused(hotel.get(f"/v1/events?cursor={cursor}")) == (400, "cursor_invalid")
    assert refused(grocer.get("/v1/events?cursor=AAAA")) == (400, "cursor_invalid")
    assert refused(grocer.get("/v1/events?since=2017-05-01T00:00:00")) == (422, "validation_failed")
    after = (START + timedelta(seconds=1)).isoformat().replace("+", "%2B")
    assert grocer.get(f"/v1/events?since={after}").json()["data"] == []
    for extreme in ("0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z"):
        assert grocer.get(f"/v1/events?since={extreme}").status_code == 200
    one = grocer.get(f"/v1/events/evt_{sales[0]['id'][4:]}").json()
    assert one["data"] == sales[0]
    assert [(each["state"], each["attempts"]) for each in one["deliveries"]] == [("waiting", 0)]
    enrolled = grocer.get("/v1/events?type=entry.enrolment").json()["data"][0]["data"]
    assert "card" not in enrolled
    del database


def test_delivered_replayed_and_looked_up(till: Tills, database: Engine) -> None:
    """The log of an endpoint, newest first, with what each attempt came to; a replay sends all again."""
    with receiving() as receiver:
        grocer = till(GROCER)
        endpoint_id = endpoint(database, GROCER, types=("entry.accrual",), url=receiver.url)
        shown = f"whe_{endpoint_id.hex}"
        card = grocer.enrol()["card"]
        sold = [grocer.post("/v1/accruals", **a_sale(card, 500, f"s{n}")).json()["id"][4:] for n in range(3)]
        deliver(database)
        log = grocer.get(f"/v1/webhook-endpoints/{shown}/deliveries?state=delivered&limit=2").json()
        assert [(one["state"], one["due_at"]) for one in log["data"]] == [("delivered", None)] * 2
        assert log["has_more"]
        since = {"reference": "p1", "since": START.isoformat()}
        first = grocer.post(f"/v1/webhook-endpoints/{shown}/replays", **since)
        again = grocer.post(f"/v1/webhook-endpoints/{shown}/replays", **since)
        assert [(one.status_code, one.json()) for one in (first, again)] == [(202, {"queued": 3})] * 2
        other = grocer.post(
            f"/v1/webhook-endpoints/{shown}/replays", reference="p1", since="2017-05-02T00:00:00Z"
        )
        assert refused(other) == (422, "reference_reused")
        deliver(database)
        assert receiver.events == [f"evt_{one}" for one in sold] * 2
        one = grocer.get(f"/v1/events/evt_{sold[0]}").json()
        assert [(each["attempt"], each["outcome"]) for each in one["attempts"]] == [
            (1, "delivered"),
            (2, "delivered"),
        ]
        assert grocer.send("POST", f"/v1/events/evt_{sold[0]}/resend").json() == {"queued": 1}


def test_a_deleted_endpoint_is_gone(till: Tills, database: Engine) -> None:
    """It says so, then is not there; its secrets are forgotten, and its reference is not to be used again."""
    grocer = till(GROCER)
    one = made(grocer)
    address = f"/v1/webhook-endpoints/{one['id']}"
    assert grocer.send("DELETE", address).json()["status"] == "deleted"
    assert refused(grocer.get(address)) == (404, "endpoint_unknown")
    assert grocer.get("/v1/webhook-endpoints").json() == {"data": []}
    again = grocer.post("/v1/webhook-endpoints", reference="hook-1", url=URL, events=["*"])
    assert refused(again) == (422, "reference_reused")
    with database.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM webhook_secret")).scalar_one() == 0


def test_a_rotation_is_done_once(till: Tills, database: Engine) -> None:
    """A new secret, shown once; a disabled endpoint takes no test and no replay until it is enabled."""
    grocer = till(GROCER)
    one = made(grocer)
    address = f"/v1/webhook-endpoints/{one['id']}"
    first = grocer.post(f"{address}/secrets", reference="r1", overlap_hours=0)
    again = grocer.post(f"{address}/secrets", reference="r1", overlap_hours=0)
    assert read_secret(first.json()["secret"]) is not None
    assert (again.json()["secret"], again.headers["idempotent-replayed"]) == (None, "true")
    with database.begin() as connection:
        found = endpoints.secrets_of(connection, UUID(one["id"][4:]), "v1", HOOK_KEY, real_now())
        assert [each.shown for each in found] == [first.json()["secret"]]
        endpoints.set_status(connection, UUID(one["id"][4:]), "disabled", at=START, because="it answered 410")
    assert refused(grocer.send("POST", f"{address}/tests")) == (409, "endpoint_disabled")
    replay = grocer.post(f"{address}/replays", reference="p", since=START.isoformat())
    assert refused(replay) == (409, "endpoint_disabled")
    assert grocer.get(address).json()["because"] == "it answered 410"
    assert grocer.send("POST", f"{address}/enablement").json()["status"] == "active"
    assert grocer.send("POST", f"{address}/tests").status_code == 202


def test_issuers_learn_what_lapsed_and_nobody_else_does(till: Tills, database: Engine, live: Rules) -> None:
    """The member by its public id, the issuer's own points, and no word of another's."""
    grocer, bank = till(GROCER), till(BANK)
    made(grocer, events=["points.expired"])
    made(bank, events=["points.expired"])
    member = grocer.enrol()
    grocer.post("/v1/accruals", **a_sale(member["card"], 90_000, "s"))
    bank.post("/v1/accruals", **a_sale(member["card"], 50_000, "s"))
    with database.begin() as connection:
        set_clock(connection, datetime(2017, 9, 1, tzinfo=UTC))
    lapse_expired(database, date(2017, 9, 1), live.programme.version)
    [told], [other] = (one.get("/v1/events").json()["data"] for one in (grocer, bank))
    assert told["data"] == {"member": member["member"], "points": 900, "business_date": "2017-05-01"}
    assert other["data"]["points"] == 500
    assert told["timestamp"] == "2017-09-01T00:00:00Z"


def test_a_night_tells_that_statements_are_ready(till: Tills, database: Engine) -> None:
    """Once, with the partner's own position; settling the date again tells nothing."""
    hotel, grocer = till(HOTEL), till(GROCER)
    made(hotel, events=["statement.ready"])
    card = grocer.enrol()["card"]
    grocer.post("/v1/accruals", **a_sale(card, 90_000, "s"))
    hotel.post("/v1/redemptions", **a_sale(card, 500, "b", points=500))
    over = datetime(2017, 5, 2, tzinfo=UTC)
    with database.begin() as connection:
        set_clock(connection, over)
    for _ in range(2):
        clear(database, START.date(), at=over)
    [told] = hotel.get("/v1/events").json()["data"]
    assert told["type"] == "statement.ready"
    assert told["data"] == {
        "business_date": "2017-05-01",
        "revision": 1,
        "positions": [{"currency": "USD", "payment_minor": 400}],
    }
    assert grocer.get("/v1/events").json()["data"] == []


def test_disputes_and_keys_are_told(office: Office, database: Engine) -> None:
    """A key that an operator revokes is told to its partner, by its name alone."""
    signed_endpoint(database, GROCER, types=("key.*",))
    maker = office.person("maker", "maker")
    from partners.model import PartnerKey  # noqa: PLC0415 - beside its only use
    from partners.store import add_key  # noqa: PLC0415

    with database.begin() as connection:
        add_key(
            connection,
            PartnerKey(
                key_id="grocer-1",
                partner_id=GROCER,
                public_key=bytes.fromhex("26b40b8f93fff3d897112f7ebc582b232dbd72517d082fe83cfb30ddce43d1bb"),
                not_before=START,
            ),
        )
    maker.post("/keys/grocer-1/revoke")
    with database.connect() as connection:
        row = connection.execute(text("SELECT type, body, partner_id FROM webhook_event")).one()
    assert tuple(row) == ("key.revoked", '{"key_id":"grocer-1"}', GROCER)


def test_operators_see_who_is_not_told(office: Office, database: Engine) -> None:
    """Endpoints that fail or are disabled, first; of the URL the host alone."""
    well, failing, disabled = (endpoint(database, one, url=URL) for one in (GROCER, HOTEL, BANK))
    with database.begin() as connection:
        connection.execute(
            text("UPDATE webhook_endpoint SET failures = 7 WHERE endpoint_id = :one"), {"one": failing}
        )
        endpoints.set_status(connection, disabled, "disabled", at=START, because="it answered 410")
    viewer = office.person("viewer", "viewer")
    assert [one["partner"] for one in viewer.get("/webhooks")["data"]] == ["bank", "hotel", "grocer"]
    unwell = viewer.get("/webhooks?unwell=true")["data"]
    assert [(one["partner"], one["failures"], one["because"]) for one in unwell] == [
        ("bank", 0, "it answered 410"),
        ("hotel", 7, ""),
    ]
    assert {one["host"] for one in unwell} == {"hooks.example.com"}
    del well


def test_verify_finds_what_is_told_to_the_wrong_partner(till: Tills, database: Engine) -> None:
    """An event of another's entry, of no entry, and a delivery across partners; nothing where all is well."""
    grocer = till(GROCER)
    endpoint(database, GROCER)
    stranger = endpoint(database, HOTEL)
    card = grocer.enrol()["card"]
    grocer.post("/v1/accruals", **a_sale(card, 500, "s"))

    def broken() -> set[str]:
        with database.connect() as connection:
            named = [check for check in checks_of(connection) if check[0].endswith("are_their_partners")]
            assert len(named) == 2
            return {name for name, _, run in named if run(connection)}

    assert broken() == set()
    with as_owner(database) as connection:
        connection.execute(text("UPDATE webhook_delivery SET endpoint_id = :one"), {"one": stranger})
    assert broken() == {"deliveries_are_their_partners"}
    with as_owner(database) as connection:
        connection.execute(text("UPDATE webhook_event SET partner_id = :one"), {"one": HOTEL})
    assert broken() == {"events_are_their_partners"}


def test_receivers_are_this_machine_only_where_that_is_allowed(database: Engine) -> None:
    """A worker without the setting sends nothing to the loopback, though the row is there."""
    with receiving() as receiver:
        _try_loopback(database, receiver)


def _try_loopback(database: Engine, receiver: Receiver) -> None:
    from tests.coalition import set_up  # noqa: PLC0415 - no application runs in this test

    set_up(database)
    endpoint_id = endpoint(database, GROCER, url=receiver.url)
    with database.begin() as connection:
        from partners.hooks.history import send_test  # noqa: PLC0415

        send_test(connection, GROCER, endpoint_id, at=START)
    deliver(database, loopback=False)
    assert receiver.got == []
    with database.connect() as connection:
        outcome = connection.execute(text("SELECT outcome FROM webhook_attempt")).scalar_one()
    assert outcome == "address_refused"
