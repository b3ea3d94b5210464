"""Tills that lose the line: what comes late, twice, out of order, from a wrong clock, or on trust."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import msgspec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, text
from starlette.testclient import TestClient

from api.app import create_app
from network.batch import execute
from network.commands import Command
from network.model import Entry
from network.outcomes import Reply
from network.service import set_clock
from network.verify import CHECKS, faults
from settlement.service import clear
from tests.api.conftest import AUTHORITY, Till, a_sale, real_now, till_of
from tests.coalition import GROCER, HOTEL, PETROL, START, burn, new_card, rules, sale, set_up, terms
from tests.signing import sign_request

Tills = Callable[[int], Till]
OFFLINE = [msgspec.structs.replace(terms(HOTEL), offline_floor_points=60), terms(GROCER), terms(PETROL)]


def windows(database: Engine) -> dict[str, tuple[int, str]]:
    """Window and local day of each sale, by its reference."""
    with database.connect() as connection:
        rows = connection.execute(
            text("SELECT reference, window_id, occurred_at::date::text FROM entry WHERE kind = 2")
        )
        return {reference: (window_id, day) for reference, window_id, day in rows}


def whole(database: Engine) -> bool:
    """Whether `verify` finds nothing."""
    with database.connect() as connection:
        return [problem for check in CHECKS for problem in faults(connection, check)] == []


def test_yesterdays_sales_after_the_close_are_todays(till: Tills, database: Engine) -> None:
    """A file of yesterday's after its night: today's window, yesterday's occurred_at; the night stays."""
    grocer = till(GROCER)
    card = grocer.enrol()["card"]
    assert grocer.post("/v1/accruals", **a_sale(card, 500, "in-time")).status_code == 201
    today = START.date()
    next_day = START + timedelta(days=1)
    with database.begin() as connection:
        set_clock(connection, next_day)
    night = clear(database, today, at=next_day, programme_version=1)
    late = [
        {"type": "accrual", **a_sale(card, 700, "late")},
        {"type": "accrual", **a_sale(card, 500, "in-time")},
        {"type": "accrual", **a_sale(card, 900, "fresh", occurred_at=next_day.isoformat())},
    ]
    told = grocer.file(late)
    assert [(one["status"], one.get("replayed", False)) for one in told] == [
        (201, False),
        (201, True),
        (201, False),
    ]
    tomorrow = today + timedelta(days=1)
    assert windows(database) == {
        "in-time": (int(f"{today:%Y%m%d}"), f"{today}"),
        "late": (int(f"{tomorrow:%Y%m%d}"), f"{today}"),
        "fresh": (int(f"{tomorrow:%Y%m%d}"), f"{tomorrow}"),
    }
    assert (told[0]["entry"]["business_date"], told[0]["entry"]["occurred_at"][:10]) == (
        f"{tomorrow}",
        f"{today}",
    )
    again = clear(database, today, at=next_day, programme_version=1)
    assert again.hashes == night.hashes
    assert whole(database)


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    amounts=st.lists(st.tuples(st.integers(0, 2), st.integers(1, 9_999)), min_size=1, max_size=12),
    data=st.data(),
)
def test_in_any_order_and_many_times_is_the_same(
    database: Engine, amounts: list[tuple[int, int]], data: st.DataObject
) -> None:
    """Sales that tills kept, shuffled and doubled, in files and singly at once: as if each came once."""
    with database.begin() as connection:
        if connection.execute(text("SELECT count(*) FROM network")).scalar_one() == 0:
            set_up(database)
        number = connection.execute(text("SELECT count(*) FROM member")).scalar_one()
    live = rules()
    cards = [new_card(database, live, f"member {number} {n}") for n in range(3)]
    sales: list[Command] = [
        sale(cards[who], cents, f"{number}-{place}", at=START - timedelta(hours=place), partner_id=GROCER)
        for place, (who, cents) in enumerate(amounts)
    ]
    doubled = data.draw(st.lists(st.sampled_from(sales), max_size=12))
    order = data.draw(st.permutations([*sales, *doubled]))
    cut = data.draw(st.integers(0, len(order)))

    def in_a_file(some: Sequence[Command]) -> list[Reply]:
        return execute(database, some, live)

    def singly(some: Sequence[Command]) -> list[Reply]:
        return [reply for one in some for reply in execute(database, [one], live)]

    with ThreadPoolExecutor(2) as pool:
        ways = [pool.submit(in_a_file, order[:cut]), pool.submit(singly, order[cut:])]
        replies = [reply for way in ways for reply in way.result()]
    assert len(replies) == len(order)
    entries = {reply.outcome.entry_id for reply in replies if isinstance(reply.outcome, Entry)}
    assert len(entries) == len(sales)
    assert sum(not reply.replayed for reply in replies) == len(sales)
    with database.connect() as connection:
        lots: dict[int, int] = dict(
            connection.execute(
                text(
                    "SELECT c.card_number, coalesce(sum(l.remaining), 0)::bigint FROM card c"
                    " LEFT JOIN lot l USING (member_id) WHERE card_number = ANY(:cards) GROUP BY 1"
                ),
                {"cards": cards},
            ).all()
        )
    assert lots == {card: sum(cents // 100 for who, cents in amounts if cards[who] == card) for card in cards}
    assert whole(database)


OFFLINE_BURNS = st.lists(st.tuples(st.integers(1, 70), st.booleans()), min_size=1, max_size=8)


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(earned=st.integers(0, 150), burns=OFFLINE_BURNS, data=st.data())
def test_offline_burns_take_what_is_there_and_no_point_more(
    database: Engine, earned: int, burns: list[tuple[int, bool]], data: st.DataObject
) -> None:
    """Taken and missing are what was asked; no balance is below zero; sent again it is answered the same."""
    with database.begin() as connection:
        fresh = connection.execute(text("SELECT count(*) FROM network")).scalar_one() == 0
    if fresh:
        set_up(database, contracts=OFFLINE)
    live = rules(OFFLINE)
    with database.begin() as connection:
        number = connection.execute(text("SELECT count(*) FROM member")).scalar_one()
    card = new_card(database, live, f"offline {number}")
    if earned:
        execute(database, [sale(card, earned * 100, f"{number}-earned")], live)
    asked = [
        burn(card, points, f"{number}-{place}", offline=offline, partner_id=HOTEL)
        for place, (points, offline) in enumerate(burns)
    ]
    order = data.draw(st.permutations([*asked, *data.draw(st.lists(st.sampled_from(asked), max_size=4))]))
    left = earned
    expected: dict[str, tuple[int | None, int]] = {}
    for one in order:
        if one.reference in expected:
            continue
        if one.offline and one.points > 60:
            expected[one.reference] = (None, 0)
        elif one.offline:
            expected[one.reference] = (min(one.points, left), one.points - min(one.points, left))
            left -= min(one.points, left)
        else:
            expected[one.reference] = (one.points, 0) if one.points <= left else (None, 0)
            left -= one.points if one.points <= left else 0
    found: dict[str, tuple[int | None, int]] = {}
    for one, reply in zip(order, execute(database, order, live), strict=True):
        if isinstance(reply.outcome, Entry):
            taken = sum(posting.points for posting in reply.postings)
            told: tuple[int | None, int] = (taken, (reply.asked or taken) - taken)
            assert reply.outcome.points == -taken
        else:
            told = (None, 0)
        assert found.setdefault(one.reference, told) == told
    assert found == expected
    assert whole(database)


def test_offline_over_http(database: Engine) -> None:
    """The till is told what was missing, again when it asks again; the night pays what was taken."""
    live = set_up(database, contracts=OFFLINE)
    card = new_card(database, live)
    execute(database, [sale(card, 40_00, "earned")], live)
    app = create_app(database, authority=AUTHORITY, now=real_now)
    with TestClient(app, base_url=f"http://{AUTHORITY}", raise_server_exceptions=False) as client:
        hotel = till_of(database, client, HOTEL)
        fields = a_sale(str(card), 55, "kept", points=55, offline=True)
        told = hotel.post("/v1/redemptions", **fields)
        assert told.status_code == 201, told.text
        entry = told.json()
        figures = ("points", "balance", "amount_minor", "offline", "shortfall")
        assert [entry[name] for name in figures] == [-40, 0, 55, True, 15]
        again = hotel.post("/v1/redemptions", **fields)
        assert (again.json(), again.headers["idempotent-replayed"]) == (entry, "true")
        assert hotel.get(f"/v1/entries/{entry['id']}").json() == entry
        [empty] = hotel.file([{"type": "redemption", **fields, "reference": "kept-too"}])
        assert empty["status"] == 201, empty
        assert [empty["entry"].get(name, 0) for name in figures] == [0, 0, 55, True, 55]
        above = hotel.post("/v1/redemptions", **{**fields, "reference": "a", "points": 61})
        assert (above.status_code, above.json()["code"]) == (422, "above_offline_floor")
        lines = hotel.post("/v1/redemptions", **{**fields, "reference": "l", "lines": [55]})
        assert lines.json()["errors"] == [{"pointer": "/lines", "code": "offline"}]
    with database.begin() as connection:
        set_clock(connection, START + timedelta(days=1))
    clear(database, START.date(), at=START + timedelta(days=1), programme_version=1)
    with database.connect() as connection:
        paid = connection.execute(
            text("SELECT sum(points), count(*) FROM window_total WHERE acceptor_id = :hotel"),
            {"hotel": HOTEL},
        ).one()
    assert tuple(paid) == (40, 1)
    assert whole(database)


def test_the_clock_of_who_signs_is_seen(till: Tills) -> None:
    """A till four minutes behind is served, and told so; one too far off is not, and not seen."""
    grocer = till(GROCER)

    def clock(ahead: int) -> Any:
        headers = sign_request(
            grocer.private_key,
            grocer.key_id,
            method="GET",
            authority=AUTHORITY,
            path="/v1/clock",
            created=int(real_now().timestamp()) + ahead,
        )
        return grocer.client.get("/v1/clock", headers=headers)

    assert clock(-240).status_code == 200
    told = clock(30).json()
    assert told["key"] == grocer.key_id
    assert (round(told["least_seconds"]), round(told["most_seconds"]), told["seen"]) == (-240, 30, 2)
    assert abs(told["ahead_seconds"] - 30) < 5
    assert clock(-301).json()["code"] == "signature_time"
    page = grocer.client.get("/metrics").text
    assert f'tessera_key_clock_ahead_seconds{{key="{grocer.key_id}",which="least"}} -2' in page
