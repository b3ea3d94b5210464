"""Adjustments: who may decide them is the database's law, and each is carried out once, whatever breaks."""

from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta
from uuid import UUID

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import DBAPIError, IntegrityError

from network import adjustments
from network.batch import execute
from network.errors import AdjustmentDecided, AdjustmentInvalid, AdjustmentUnknown, FourEyesNeeded
from network.model import Entry
from network.rules import Rules
from network.service import load_rules, set_clock
from partners.model import Participant
from partners.people.audit import chain_faults, read_page
from partners.store import add_participants, add_terms
from tests.between import merge
from tests.coalition import (
    BANK,
    GROCER,
    START,
    WHOLE,
    burn,
    entry_of,
    new_card,
    open_terms,
    run,
    sale,
    set_up,
    terms,
)
from tests.conftest import as_owner


@pytest.fixture
def live(database: Engine) -> Rules:
    """A network where adjustments above 100 points need a second person."""
    return set_up(database, source=WHOLE, contracts=open_terms())


@pytest.fixture
def card(database: Engine, live: Rules) -> int:
    """A member's card."""
    return new_card(database, live)


def prepared(
    database: Engine, live: Rules, card: int, points: int, issuer: str = "grocer", by: str = "anna"
) -> adjustments.Standing:
    """A proposal with a reason and evidence."""
    return adjustments.prepare(
        database,
        live,
        card_number=card,
        points=points,
        issuer=issuer,
        reason="till 7 was down",
        evidence="ticket 4711",
        by=by,
    )


def points_of(database: Engine) -> list[int]:
    """What each adjustment in the ledger moved, the smallest first."""
    with database.connect() as connection:
        return list(connection.scalars(text("SELECT points FROM entry WHERE kind = 19 ORDER BY points")))


def test_up_to_the_limit_one_person_is_enough(database: Engine, live: Rules, card: int) -> None:
    """100 points in all, given and taken, are carried out at once, and who did stands with them."""
    for points in (70, -30):
        standing = prepared(database, live, card, points)
        assert standing.entry_id is not None
        assert (standing.adjustment.decided_by, standing.adjustment.approved) == ("anna", True)
    assert points_of(database) == [-30, 70]
    assert run(database, live, sale(card, 1_00, "s")).balance_after == 41


def test_many_small_ones_are_a_large_one(database: Engine, live: Rules, card: int) -> None:
    """What one decided alone for a member in thirty days counts together; above it another must approve."""
    prepared(database, live, card, 60)
    prepared(database, live, card, 40)
    waiting = prepared(database, live, card, 1).adjustment
    assert (waiting.approved, waiting.four_eyes_above) == (None, 0)
    with pytest.raises(FourEyesNeeded):
        adjustments.decide(database, live, waiting.adjustment_id, by="anna", approve=True)
    assert prepared(database, live, card, 100, by="bert").entry_id is not None
    with database.begin() as connection:
        set_clock(connection, START + timedelta(days=30))
    assert prepared(database, live, card, 100).entry_id is not None


def test_many_small_ones_at_once_are_a_large_one(database: Engine, live: Rules, card: int) -> None:
    """Four prepare a hundred each at once under one name: one is decided alone, three wait for another."""
    with ThreadPoolExecutor(4) as pool:
        jobs = [pool.submit(prepared, database, live, card, 100) for _ in range(4)]
        standings = [job.result(60) for job in jobs]
    assert sorted(one.adjustment.approved or False for one in standings) == [False, False, False, True]


def test_what_was_given_before_a_merge_counts(database: Engine, live: Rules, card: int) -> None:
    """Two accounts that become one had one limit each, and have one together."""
    other = new_card(database, live, "other")
    prepared(database, live, other, 100)
    run(database, live, merge(card, other, "m"))
    assert prepared(database, live, other, 1).adjustment.approved is None


def test_what_was_decided_stays_decided(database: Engine, live: Rules, card: int) -> None:
    """The application itself cannot turn a rejection into an approval."""
    waiting = prepared(database, live, card, 101).adjustment
    adjustments.decide(database, live, waiting.adjustment_id, by="bert", approve=False)
    with database.begin() as connection, pytest.raises(DBAPIError, match="adjustment"):
        connection.execute(text("UPDATE adjustment SET approved = true"))


@pytest.mark.parametrize("points", [101, -101])
def test_above_it_another_must_approve(database: Engine, live: Rules, card: int, points: int) -> None:
    """Who prepared it cannot, in whatever spelling; another can, once; nobody can decide it again."""
    run(database, live, sale(card, 500_00, "s"))
    waiting = prepared(database, live, card, points).adjustment
    assert (waiting.approved, points_of(database)) == (None, [])
    for name in ("anna", " ANNA "):
        with pytest.raises(FourEyesNeeded, match="anna prepared it"):
            adjustments.decide(database, live, waiting.adjustment_id, by=name, approve=True)
    done = adjustments.decide(database, live, waiting.adjustment_id, by="Bert", approve=True)
    assert (done.adjustment.decided_by, points_of(database)) == ("bert", [points])
    for approve in (True, False):
        with pytest.raises(AdjustmentDecided, match="bert approved it"):
            adjustments.decide(database, live, waiting.adjustment_id, by="carl", approve=approve)
    assert points_of(database) == [points]


def test_a_rejected_one_is_never_carried_out(database: Engine, live: Rules, card: int) -> None:
    """Who prepared it may take it back; it then stays as it is."""
    waiting = prepared(database, live, card, 500).adjustment
    rejected = adjustments.decide(database, live, waiting.adjustment_id, by="anna", approve=False)
    assert (rejected.adjustment.approved, rejected.entry_id) == (False, None)
    with pytest.raises(AdjustmentDecided, match="anna rejected it"):
        adjustments.decide(database, live, waiting.adjustment_id, by="bert", approve=True)
    assert adjustments.carry_out_due(database, live) == []
    assert points_of(database) == []


@pytest.mark.parametrize(
    ("change", "law"),
    [
        ("approved = true, decided_by = prepared_by, decided_at = prepared_at", "adjustment_four_eyes"),
        ("approved = true", "adjustment_decided"),
        ("decided_by = 'bert', decided_at = prepared_at", "adjustment_decided"),
    ],
)
def test_the_database_itself_refuses(database: Engine, live: Rules, card: int, change: str, law: str) -> None:
    """Whoever writes past our code, the owner included, meets the same laws."""
    prepared(database, live, card, 500)
    with pytest.raises(IntegrityError, match=law), as_owner(database) as connection:
        connection.execute(text(f"UPDATE adjustment SET {change}"))


@pytest.mark.parametrize(
    "change", ["points = 1", "reason = 'other'", "prepared_by = 'bert'", "four_eyes_above = 900"]
)
def test_the_application_cannot_rewrite_a_proposal(
    database: Engine, live: Rules, card: int, change: str
) -> None:
    """What was prepared stays: only the decision can be added."""
    prepared(database, live, card, 500)
    with pytest.raises(Exception, match="permission denied"), database.begin() as connection:
        connection.execute(text(f"UPDATE adjustment SET {change}"))


def test_a_crash_after_the_decision_leaves_it_to_be_carried_out(
    database: Engine, live: Rules, card: int
) -> None:
    """The decision is durable before anything moves; later it is carried out, once, as of its day."""
    waiting = prepared(database, live, card, 500).adjustment
    day_after = START + timedelta(days=1)
    with database.begin() as connection:
        set_clock(connection, day_after)
    decided = adjustments.record_decision(database, waiting.adjustment_id, by="bert", approve=True)
    assert points_of(database) == []
    [standing] = adjustments.standings(database)
    assert (standing.adjustment, standing.entry_id, standing.refusal) == (decided, None, None)
    with database.begin() as connection:
        set_clock(connection, START + timedelta(days=3))
    [(one, reply)] = adjustments.carry_out_due(database, live)
    assert (one, entry_of(reply).points, entry_of(reply).occurred_at) == (decided, 500, day_after)
    assert adjustments.carry_out_due(database, live) == []
    [standing] = adjustments.standings(database)
    assert standing.entry_id == entry_of(reply).entry_id
    assert points_of(database) == [500]


def test_the_next_decision_carries_out_what_was_left(database: Engine, live: Rules, card: int) -> None:
    """Nobody has to notice the crash: the next adjustment finishes it."""
    waiting = prepared(database, live, card, 500).adjustment
    adjustments.record_decision(database, waiting.adjustment_id, by="bert", approve=True)
    prepared(database, live, card, 10)
    assert points_of(database) == [10, 500]


def test_a_crash_after_the_entry_does_nothing_twice(database: Engine, live: Rules, card: int) -> None:
    """Carried out twice at once, or again: the second is answered as the first was."""
    waiting = prepared(database, live, card, 500).adjustment
    decided = adjustments.record_decision(database, waiting.adjustment_id, by="bert", approve=True)
    first = execute(database, [adjustments._command(decided)], live)
    again = execute(database, [adjustments._command(decided)], live)
    assert ([r.replayed for r in (*first, *again)], first[0].outcome) == ([False, True], again[0].outcome)
    assert adjustments.carry_out_due(database, live) == []
    assert points_of(database) == [500]


def test_a_refusal_of_the_rules_stays_visible(database: Engine, live: Rules, card: int) -> None:
    """More is to be taken from an issuer's points than there is: decided, refused, and shown so for good."""
    run(database, live, sale(card, 50_00, "s"))
    refused = prepared(database, live, card, -51)
    assert (refused.adjustment.approved, refused.refusal) == (True, "insufficient_points")
    run(database, live, sale(card, 50_00, "s2"))
    assert adjustments.carry_out_due(database, live) == []
    assert [one.refusal for one in adjustments.standings(database)] == ["insufficient_points"]
    assert points_of(database) == []


def test_a_refusal_that_time_cures_is_tried_again(database: Engine, card: int) -> None:
    """An issuer without terms yet funds nothing; once it has them, the adjustment is carried out."""
    with database.begin() as connection:
        add_participants(connection, [Participant(partner_id=15, code="florist", name="The florist")])
        rules = load_rules(connection)
    refused = prepared(database, rules, card, 20, issuer="florist")
    assert (refused.refusal, refused.adjustment.approved) == ("no_contract_terms", True)
    assert [one.refusal for one in adjustments.standings(database)] == [None]
    with database.begin() as connection:
        add_terms(connection, [terms(15)], prepared_by="maker", activated_by="checker")
        rules = load_rules(connection)
    [(_, reply)] = adjustments.carry_out_due(database, rules)
    assert isinstance(reply.outcome, Entry)
    assert points_of(database) == [20]


def test_what_is_old_is_left_alone(database: Engine, live: Rules, card: int) -> None:
    """After 30 days nobody expects it any more: it is shown as not carried out, and is not."""
    waiting = prepared(database, live, card, 500).adjustment
    adjustments.record_decision(database, waiting.adjustment_id, by="bert", approve=True)
    with database.begin() as connection:
        set_clock(connection, START + timedelta(days=30, seconds=1))
    assert adjustments.carry_out_due(database, live) == []
    assert points_of(database) == []


@pytest.mark.parametrize(
    ("changed", "complaint"),
    [
        ({"card_number": 6330001234567895}, "no card 6330001234567895"),
        ({"issuer": "nobody"}, "no partner has the code 'nobody': bank, grocer, hotel, petrol"),
        ({"issuer": "operator"}, "no partner has the code"),
        ({"points": 0}, "0 points"),
        ({"points": 10**12 + 1}, "give or take"),
        ({"reason": " "}, "reason"),
        ({"evidence": ""}, "evidence"),
        ({"by": " "}, "names nobody"),
        ({"by": "x" * 65}, "names nobody"),
        ({"by": "an\nna\0"}, "names nobody"),
    ],
)
def test_what_is_missing_is_named(
    database: Engine, live: Rules, card: int, changed: dict[str, object], complaint: str
) -> None:
    """Nothing is stored of a proposal that cannot be understood."""
    given: dict[str, object] = {
        "card_number": card,
        "points": 5,
        "issuer": "grocer",
        "reason": "r",
        "evidence": "e",
        "by": "anna",
        **changed,
    }
    with pytest.raises(AdjustmentInvalid, match=complaint):
        adjustments.prepare(database, live, **given)  # type: ignore[arg-type]  # some of it is wrong on purpose
    assert adjustments.standings(database) == []


def test_what_is_not_there_cannot_be_decided(database: Engine, live: Rules) -> None:
    """An id that nobody was given."""
    with pytest.raises(AdjustmentUnknown):
        adjustments.decide(database, live, UUID(int=7), by="anna", approve=True)


def test_the_list_tells_the_waiting_from_the_decided(database: Engine, live: Rules, card: int) -> None:
    """Oldest first; `undecided` leaves those that wait."""
    waiting = prepared(database, live, card, 500).adjustment
    with database.begin() as connection:
        set_clock(connection, START + timedelta(minutes=1))
    prepared(database, live, card, 5)
    assert [one.adjustment.points for one in adjustments.standings(database)] == [500, 5]
    assert [one.adjustment for one in adjustments.standings(database, undecided=True)] == [waiting]


def test_points_are_funded_and_taken_back_at_the_named_issuer(
    database: Engine, live: Rules, card: int
) -> None:
    """An adjustment is the issuer's own: given at its terms, taken from its points and from no other's."""
    prepared(database, live, card, 80, issuer="bank")
    run(database, live, sale(card, 30_00, "s", partner_id=GROCER))
    assert prepared(database, live, card, -31, issuer="grocer", by="bert").refusal == "insufficient_points"
    prepared(database, live, card, -30, issuer="grocer", by="cora")
    with database.connect() as connection:
        lots = connection.execute(
            text("SELECT issuer_id, remaining, expires_on FROM lot WHERE remaining > 0")
        ).all()
    assert [tuple(lot) for lot in lots] == [(BANK, 80, date(2017, 8, 31))]
    assert run(database, live, burn(card, 80, "b")).balance_after == 0


def test_a_tier_is_set_by_somebody(database: Engine, live: Rules, card: int) -> None:
    """The entry's reference says who did; a tier that the programme has not is refused."""
    reply = adjustments.set_tier(database, live, card_number=card, tier="gold", by="Anna")
    assert entry_of(reply).reference.startswith("tier ")
    assert entry_of(reply).reference.endswith(" by anna")
    run(database, live, sale(card, 30_00, "s"))
    with database.connect() as connection:
        assert connection.execute(text("SELECT tier FROM account")).scalar_one() == "gold"
        assert connection.execute(text("SELECT expires_on FROM lot")).scalar_one() == date(9999, 12, 31)
    refused = adjustments.set_tier(database, live, card_number=card, tier="platinum", by="anna")
    assert getattr(refused.outcome, "reason", None) == "tier_unknown"
    with pytest.raises(AdjustmentInvalid, match="no card"):
        adjustments.set_tier(database, live, card_number=6330001234567895, tier="gold", by="anna")


def test_what_is_decided_is_on_the_record(database: Engine, live: Rules, card: int) -> None:
    """Who prepared and who approved or rejected what; tiers too. Card and reasons by their hash."""
    prepared(database, live, card, 50)
    for approve in (True, False):
        waiting = prepared(database, live, card, 500).adjustment
        adjustments.decide(database, live, waiting.adjustment_id, by="Bert", approve=approve)
    waiting = prepared(database, live, card, 500).adjustment
    with pytest.raises(FourEyesNeeded):
        adjustments.decide(database, live, waiting.adjustment_id, by="anna", approve=True)
    adjustments.set_tier(database, live, card_number=card, tier="gold", by="Anna")
    adjustments.set_tier(database, live, card_number=card, tier="tin", by="anna")
    with database.connect() as connection:
        rows = read_page(connection, limit=20)[::-1]
        seen = [(row.action, row.done_by, row.subject.partition(":")[0]) for row in rows]
        assert chain_faults(connection) == []
    assert seen == [
        ("adjustment.prepared", "anna", "adjustment"),
        ("adjustment.prepared", "anna", "adjustment"),
        ("adjustment.approved", "bert", "adjustment"),
        ("adjustment.prepared", "anna", "adjustment"),
        ("adjustment.rejected", "bert", "adjustment"),
        ("adjustment.prepared", "anna", "adjustment"),
        ("tier.ordered", "anna", "member"),
        ("tier.ordered", "anna", "member"),
        ("tier.refused", "anna", "member"),
    ]
    held = "".join(row.record for row in rows)
    assert '"before":{"tier":"gold"}' in held
    assert '"points":500' in held
    assert not any(piece in held for piece in (str(card), "till 7 was down", "ticket 4711"))
