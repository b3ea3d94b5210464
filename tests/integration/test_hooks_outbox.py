"""The outbox on a real database: written with the entry, for partners that asked, and for nobody else."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import Connection, Engine, event, text

from network.batch import execute
from network.ids import member_of
from network.model import EntryKind
from network.outbox import TYPE_OF
from network.outcomes import Rejected
from network.pipeline import Pipeline
from network.rules import Rules
from network.service import lapse_expired, load_rules, set_clock
from partners.hooks.events import EVENT_TYPES, Told, new_event_id
from partners.hooks.outbox import publish
from tests.coalition import (
    BANK,
    GROCER,
    HOTEL,
    PETROL,
    START,
    burn,
    entry_of,
    new_card,
    reserve,
    run,
    sale,
    set_up,
    take,
    undo,
)
from tests.hooks import endpoint


def events_of(database: Engine, partner_id: int) -> list[tuple[str, UUID, bool]]:
    """Type and id of a partner's events in the order of their delivery, and whether each is on its way."""
    rows = text(
        "SELECT e.type, e.event_id, d.place IS NOT NULL AS sent FROM webhook_event e"
        " LEFT JOIN webhook_delivery d ON (d.member_id, d.event_id) = (e.member_id, e.event_id)"
        " WHERE e.partner_id = :partner ORDER BY d.place, e.event_id"
    )
    with database.connect() as connection:
        return [(r.type, r.event_id, r.sent) for r in connection.execute(rows, {"partner": partner_id})]


def types_of(database: Engine, partner_id: int) -> list[str]:
    """The types of a partner's events, in order."""
    return [kind for kind, _, _ in events_of(database, partner_id)]


def fresh(database: Engine) -> Rules:
    """The rules with endpoints that were made just now."""
    with database.connect() as connection:
        return load_rules(connection)


def test_every_kind_that_a_partner_can_have_is_a_type() -> None:
    """What a batch writes as a type is one that endpoints can ask for; the operator's own kinds are not."""
    mine = (EntryKind.EXPIRY, EntryKind.ADJUSTMENT, EntryKind.TIER, EntryKind.PAYOUT)
    own = {TYPE_OF[kind] for kind in mine}
    assert {one for one in EVENT_TYPES if one.startswith("entry.")} == set(TYPE_OF.values()) - own


def test_entries_are_events_of_their_partner(database: Engine) -> None:
    """Under the id of the entry, in the order of the batch; of another partner's entries nothing is told."""
    set_up(database)
    endpoint(database, GROCER)
    endpoint(database, HOTEL, types=("entry.redemption", "entry.hold"))
    live = fresh(database)
    card = new_card(database, live)
    replies = execute(database, [sale(card, 90_000, f"s{n}") for n in range(3)], live)
    reward = run(database, live, burn(card, 100, "b"))
    held = run(database, live, reserve(card, 50, "h"))
    run(database, live, take(held, 50, "c"))
    run(database, live, undo(entry_of(replies[0]), "u", amount_minor=100))
    run(database, live, sale(card, 100, "p", partner_id=PETROL))
    grocers = events_of(database, GROCER)
    assert [one for one, _, _ in grocers] == ["entry.enrolment", *["entry.accrual"] * 3, "entry.reversal"]
    assert [one for _, one, _ in grocers][1:4] == [entry_of(reply).entry_id for reply in replies]
    assert [(kind, one) for kind, one, _ in events_of(database, HOTEL)] == [
        ("entry.redemption", reward.entry_id),
        ("entry.hold", held.entry_id),
    ]
    assert events_of(database, PETROL) == []


def test_a_refusal_and_a_replay_tell_nothing(database: Engine) -> None:
    """Only what is recorded is told, once."""
    set_up(database)
    endpoint(database, GROCER, types=("entry.accrual",))
    live = fresh(database)
    card = new_card(database, live)
    for _ in range(2):
        execute(database, [sale(card, 500, "s"), sale(7, 500, "unknown")], live)
    assert types_of(database, GROCER) == ["entry.accrual"]


def test_what_is_rolled_back_was_never_told(database: Engine) -> None:
    """Entry and event are of one transaction: where the batch breaks neither is there."""
    set_up(database)
    endpoint(database, GROCER)
    live = fresh(database)
    card = new_card(database, live)
    with database.begin() as connection:
        connection.execute(text("SELECT 1"))

    def fails(conn: Connection, *_: Any) -> None:
        raise RuntimeError("just before the commit")

    event.listen(database, "commit", fails)
    with pytest.raises(RuntimeError, match="just before"):
        execute(database, [sale(card, 500, "s")], live)
    event.remove(database, "commit", fails)
    assert types_of(database, GROCER) == ["entry.enrolment"]
    run(database, live, sale(card, 500, "s"))
    assert types_of(database, GROCER) == ["entry.enrolment", "entry.accrual"]


def test_who_has_no_endpoint_pays_nothing(database: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """A sale of a partner without endpoints sends the very statements it sent before others had some."""
    sent: list[str] = []
    asked = Pipeline._ask

    def spy(self: Pipeline, statement: Any, *given: Any, **more: Any) -> Any:
        sent.append(str(statement))
        return asked(self, statement, *given, **more)

    live = set_up(database)
    card = new_card(database, live)
    monkeypatch.setattr(Pipeline, "_ask", spy)

    def sale_sends(reference: str) -> list[str]:
        sent.clear()
        execute(database, [sale(card, 500, reference)], fresh(database))
        return list(sent)

    before = sale_sends("before")
    endpoint(database, HOTEL)
    assert sale_sends("after") == before
    endpoint(database, GROCER)
    told = sale_sends("told")
    assert told[: len(before)] == before
    assert [one.split()[2] for one in told[len(before) :]] == ["webhook_event", "webhook_delivery"]


def test_a_disabled_endpoint_has_its_events_logged_and_a_deleted_one_not(database: Engine) -> None:
    """What was missed while it was disabled can be replayed; nothing is kept for who has gone."""
    set_up(database)
    mine = endpoint(database, GROCER)
    card = new_card(database, fresh(database))
    for status in ("disabled", "deleted"):
        with database.begin() as connection:
            connection.execute(text("UPDATE webhook_endpoint SET status = :status"), {"status": status})
        run(database, fresh(database), sale(card, 500, status))
    told = [(kind, sent) for kind, _, sent in events_of(database, GROCER)]
    assert told == [("entry.enrolment", True), ("entry.accrual", False)]
    assert mine.version == 7


def test_a_held_points_return_by_time_is_told(database: Engine) -> None:
    """A hold's lapse is its partner's event, whoever's command found the time over."""
    set_up(database)
    endpoint(database, HOTEL)
    live = fresh(database)
    card = new_card(database, live)
    run(database, live, sale(card, 90_000, "s"))
    run(database, live, reserve(card, 50, "h", minutes=1))
    later = START + timedelta(minutes=2)
    with database.begin() as connection:
        set_clock(connection, later)
    run(database, live, sale(card, 100, "s2", at=later))
    assert types_of(database, HOTEL) == ["entry.hold", "entry.hold_lapse"]


def test_issuers_are_told_whose_points_lapsed(database: Engine) -> None:
    """Each of its own points, under the sweep's entry; who did not issue any hears nothing."""
    set_up(database)
    for partner_id in (GROCER, HOTEL):
        endpoint(database, partner_id, types=("points.*",))
    live = fresh(database)
    card = new_card(database, live)
    for partner_id in (GROCER, PETROL):
        run(database, live, sale(card, 90_000, f"s{partner_id}", partner_id=partner_id))
    with database.begin() as connection:
        set_clock(connection, datetime(2017, 9, 1, tzinfo=UTC))
    done = lapse_expired(database, datetime(2017, 9, 1, tzinfo=UTC).date(), 1)
    assert done.points == 900 + 450
    [(kind, entry_id, sent)] = events_of(database, GROCER)
    assert (kind, sent, member_of(entry_id) > 0) == ("points.expired", True, True)
    assert events_of(database, HOTEL) == []


def test_publishing_is_of_the_callers_transaction(database: Engine) -> None:
    """Rolled back with it; where nobody listens nothing is written; an unknown type is a slip of ours."""
    set_up(database)
    endpoint(database, BANK, types=("exposure.*",))
    told = [
        Told(partner_id=partner_id, type="exposure.warning", data={"used_bps": 8_100})
        for partner_id in (BANK, GROCER)
    ]
    connection = database.connect()
    assert len(publish(connection, told, at=START)) == 1
    connection.rollback()
    connection.close()
    assert events_of(database, BANK) == []
    with database.begin() as connection:
        assert len(publish(connection, told, at=START)) == 1
        assert publish(connection, [], at=START) == []
        with pytest.raises(ValueError, match=r"exposure\.doubt"):
            publish(connection, [Told(partner_id=BANK, type="exposure.doubt", data={})], at=START)
    assert [(kind, sent) for kind, _, sent in events_of(database, BANK)] == [("exposure.warning", True)]
    assert events_of(database, GROCER) == []


def test_ids_of_events_are_laid_out_as_all_others() -> None:
    """UUIDv7 with the member's number at the end; one that does not fit is refused."""
    made = new_event_id(START, 77, lambda bits: (1 << bits) - 1)
    assert (made.version, member_of(made), made.int >> 80) == (7, 77, int(START.timestamp() * 1000))
    with pytest.raises(ValueError, match="40 bits"):
        new_event_id(START, 1 << 40)


def test_refused_and_told_stand_side_by_side(database: Engine) -> None:
    """A batch of several partners and a refusal: each event is of its own entry."""
    set_up(database)
    endpoint(database, HOTEL)
    live = fresh(database)
    card = new_card(database, live)
    replies = execute(
        database,
        [
            sale(card, 100, "g"),
            burn(card, 10**6, "too much"),
            sale(card, 100, "h", partner_id=HOTEL),
        ],
        live,
    )
    assert replies[1].outcome == Rejected("insufficient_points")
    assert [one for _, one, _ in events_of(database, HOTEL)] == [entry_of(replies[2]).entry_id]
